"""Vectors of texts by OpenAI or a compatible host.

Source: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from assistant.adapters.providers.openai_answer import count_of
from assistant.adapters.providers.openai_host import OpenAiHost
from assistant.adapters.providers.openai_refusal import Refusal
from assistant.adapters.providers.vectors import unit_vectors
from assistant.domain.ports import Embeddings, TimeLimits, Vector
from assistant.domain.values import JsonValue
from assistant.errors import AssistantError, ContextLengthExceeded, InvalidResponse

# OpenAI takes 2,048 texts and 300,000 tokens at once, but 2,048 vectors of 3,072 numbers are
# over 100 MB of JSON: 128 vectors of 4,096 still fit what is read of an answer.
_BATCH_TEXTS = 128
# No token is shorter than a byte.
_BATCH_BYTES = 300_000


async def embed(
    host: OpenAiHost, model: str, texts: Sequence[str], limits: TimeLimits
) -> Embeddings:
    """One vector per text, in order. The total limit bounds all requests together.

    Raises: UpstreamError, ContextLengthExceeded.
    """
    now = asyncio.get_running_loop().time
    end_at = now() + limits.total_s
    vectors: list[Vector] = []
    counts: list[int | None] = []
    for batch in _batches(texts):
        answer = await host.ask(
            "POST",
            "/embeddings",
            {"model": model, "input": batch, "encoding_format": "float"},
            limits=replace(limits, total_s=max(0.0, end_at - now())),
        )
        if isinstance(answer, Refusal):
            raise _failure(host, answer, model, batch)
        if not isinstance(answer, dict):
            raise InvalidResponse(f"{host.name} did not answer with vectors.")
        vectors += unit_vectors(_rows(answer.get("data")), len(batch), host.name)
        usage = answer.get("usage")
        counts.append(count_of(usage.get("prompt_tokens")) if isinstance(usage, dict) else None)
        if len(vectors[0]) != len(vectors[-1]):
            raise InvalidResponse(f"{host.name}'s vectors have different lengths.")
    known = [count for count in counts if count is not None]
    return Embeddings(vectors, sum(known) if len(known) == len(counts) else None)


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, in requests of a bounded size; a text is never split."""
    batch: list[str] = []
    size = 0
    for text in texts:
        text_bytes = len(text.encode(errors="surrogatepass"))
        if batch and (len(batch) == _BATCH_TEXTS or size + text_bytes > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += text_bytes
    if batch:
        yield batch


def _rows(data: JsonValue) -> JsonValue:
    """The vectors in the order of their texts; None where entries do not say which is whose."""
    if not isinstance(data, list):
        return None
    rows: dict[int, JsonValue] = {}
    for position, entry in enumerate(data):
        index = entry.get("index", position) if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or type(index) is not int or index in rows:
            return None
        rows[index] = entry.get("embedding")
    return [rows[index] for index in sorted(rows)] if sorted(rows) == [*range(len(rows))] else None


def _failure(
    host: OpenAiHost, refusal: Refusal, model: str, batch: Sequence[str]
) -> AssistantError:
    if not refusal.is_overflow:
        return host.explain(refusal, model, batch)
    window = "" if refusal.window is None else f": {refusal.window:,} tokens fit"
    return ContextLengthExceeded(
        f"A text is too long for {model}{window}. Split it into shorter ones."
    )

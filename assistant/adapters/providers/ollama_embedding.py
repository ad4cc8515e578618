"""Vectors of texts by a model that runs on Ollama.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from assistant.adapters.providers.ollama_refusal import Refusal
from assistant.adapters.providers.ollama_server import OllamaServer, count_of
from assistant.adapters.providers.vectors import unit_vectors
from assistant.domain.ports import Embeddings, TimeLimits, Vector
from assistant.errors import AssistantError, ContextLengthExceeded, InvalidResponse

# A request is answered as a whole: the size of a batch bounds how long one is waited for.
_BATCH_TEXTS = 64
_BATCH_CHARACTERS = 200_000


async def embed(
    server: OllamaServer, model: str, texts: Sequence[str], limits: TimeLimits
) -> Embeddings:
    """One vector per text, in order. The total limit bounds all requests together.

    A text that is too long for the model is refused, not cut.
    Raises: UpstreamError, ContextLengthExceeded.
    """
    now = asyncio.get_running_loop().time
    end_at = now() + limits.total_s
    vectors: list[Vector] = []
    counts: list[int | None] = []
    for batch in _batches(texts):
        answer = await server.ask(
            "POST",
            "/api/embed",
            {"model": model, "input": batch, "truncate": False},
            limits=replace(limits, total_s=max(0.0, end_at - now())),
        )
        if isinstance(answer, Refusal):
            raise _failure(answer, model, batch)
        vectors += unit_vectors(answer.get("embeddings"), len(batch), "Ollama")
        if len(vectors[0]) != len(vectors[-1]):
            raise InvalidResponse("Ollama's vectors have different lengths.")
        counts.append(count_of(answer.get("prompt_eval_count")))
    known = [count for count in counts if count is not None]
    return Embeddings(vectors, sum(known) if len(known) == len(counts) else None)


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, in requests of a bounded size; a text is never split."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(batch) == _BATCH_TEXTS or characters + len(text) > _BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def _failure(refusal: Refusal, model: str, batch: Sequence[str]) -> AssistantError:
    if not refusal.is_overflow:
        return refusal.error(model, batch)
    numbers = ""
    if refusal.prompt_tokens is not None and refusal.window is not None:
        numbers = f": it has {refusal.prompt_tokens:,} tokens, and {refusal.window:,} fit"
    return ContextLengthExceeded(
        f"A text is too long for {model}{numbers}. Split it into shorter ones."
    )

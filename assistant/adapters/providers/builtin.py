"""Runs models that are always there, free and without network; none of them generates.

``extractive`` answers with parts of what it is given, ``all-minilm-l6-v2`` makes embeddings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from assistant.adapters.extractive.answers import answer
from assistant.adapters.extractive.classification import Classifier
from assistant.adapters.extractive.extract import Extract, count_tokens
from assistant.adapters.extractive.keywords import find_keywords
from assistant.adapters.extractive.summary import summarize
from assistant.adapters.extractive.titles import find_title
from assistant.adapters.extractive.vectors import estimate_pieces
from assistant.domain.completion import (
    FinishReason,
    GenerationFinished,
    ProviderEvent,
    TextDelta,
)
from assistant.domain.model import DiscoveredModel, ModelCapability, TaskType
from assistant.domain.ports import Embedder, Embeddings, ProviderCall, TimeLimits, Vector
from assistant.domain.values import JsonObject
from assistant.errors import ContextLengthExceeded, ProviderRejected, ProviderTimeout

MODEL = "extractive"
CONTEXT_WINDOW = 262_144  # tokens: 1 MiB of UTF-8
EMBEDDING_MODEL = "all-minilm-l6-v2"
EMBEDDING_WINDOW = 256  # word pieces
_BATCH_PIECES = 512  # as for the tasks: about 0.13 s on one core

_Task: TypeAlias = Callable[[JsonObject], Awaitable[Extract]]

TASK_TYPES = frozenset(
    {
        TaskType.SUMMARIZATION,
        TaskType.TITLE_GENERATION,
        TaskType.KEYWORD_EXTRACTION,
        TaskType.CLASSIFICATION,
        TaskType.QUESTION_ANSWERING,
    }
)
"""The tasks that the model serves; it never guesses a task from a text."""


class ExtractiveProvider:
    """Answers prompts whose task can be served with parts of their own variables.

    The same call has the same answer, to the byte. Work on the texts runs in threads; see
    docs/builtin-model.md for what each task reads, returns and is worth.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._tasks: Mapping[TaskType, _Task] = {
            TaskType.SUMMARIZATION: partial(summarize, embedder),
            TaskType.TITLE_GENERATION: partial(find_title, embedder),
            TaskType.KEYWORD_EXTRACTION: partial(find_keywords, embedder),
            TaskType.CLASSIFICATION: Classifier(embedder).classify,
            TaskType.QUESTION_ANSWERING: partial(answer, embedder),
        }

    async def generate(self, call: ProviderCall) -> AsyncGenerator[ProviderEvent, None]:
        """Yield the answer, streamed piece by piece, and then what it took.

        ``parameters.max_tokens`` drops whole pieces, those that matter least first, but never
        the last one; the reason is LENGTH then. Tokens are counted by ``count_tokens`` over the
        texts among the variables.

        Raises: ProviderRejected for another model or task, BadUserInput for a variable that is
        missing or wrong, ContextLengthExceeded, ProviderUnavailable without the embedder's files.
        """
        task = self._find_task(call)
        variables = call.variables or {}
        prompt_tokens = sum(
            count_tokens(value) for value in variables.values() if isinstance(value, str)
        )
        if prompt_tokens > CONTEXT_WINDOW:
            raise ContextLengthExceeded(
                f"The variables have about {prompt_tokens:,} tokens; builtin/extractive reads "
                f"{CONTEXT_WINDOW:,}. Shorten the text."
            )
        whole = await task(variables)
        limit = call.parameters.max_tokens
        extract = whole if limit is None else whole.within(limit)
        for delta in extract.deltas() if call.streamed else (extract.text,):
            yield TextDelta(delta)
        yield GenerationFinished(
            FinishReason.STOP if len(extract.pieces) == len(whole.pieces) else FinishReason.LENGTH,
            prompt_tokens=prompt_tokens,
            completion_tokens=extract.tokens,
        )

    async def list_models(self) -> Sequence[DiscoveredModel] | None:
        """The models there are. They need no server that could be away."""
        return [
            DiscoveredModel(MODEL, frozenset({ModelCapability.CHAT}), CONTEXT_WINDOW),
            DiscoveredModel(
                EMBEDDING_MODEL, frozenset({ModelCapability.EMBEDDING}), EMBEDDING_WINDOW
            ),
        ]

    async def embed(self, model: str, texts: Sequence[str], limits: TimeLimits) -> Embeddings:
        """The texts' vectors. Of a text the first 256 word pieces count: longer ones are cut.

        Tokens are counted by ``count_tokens``, over whole texts. Only the total limit holds.
        Raises: ProviderRejected for another model, ProviderTimeout, ProviderUnavailable without
        the embedder's files.
        """
        if model == MODEL:
            raise ProviderRejected(
                f"builtin/{MODEL} makes no embeddings. Use builtin/{EMBEDDING_MODEL}."
            )
        if model != EMBEDDING_MODEL:
            raise _no_such_model(model)
        vectors: list[Vector] = []
        try:
            async with asyncio.timeout(limits.total_s):
                for batch in await asyncio.to_thread(_batches, texts):
                    vectors += await self._embedder.embed(batch)
        except TimeoutError as error:
            raise ProviderTimeout(
                f"builtin/{EMBEDDING_MODEL} did not finish within {limits.total_s:g} s (limit: "
                "total). Send fewer texts, or allow more time."
            ) from error
        return Embeddings(vectors, sum(map(count_tokens, texts)))

    def _find_task(self, call: ProviderCall) -> _Task:
        if call.model == EMBEDDING_MODEL:
            raise ProviderRejected(
                f"builtin/{EMBEDDING_MODEL} makes embeddings and answers nothing. "
                f"Use builtin/{MODEL}, or another model."
            )
        if call.model != MODEL:
            raise _no_such_model(call.model)
        task = self._tasks.get(call.task)
        if task is None:
            served = ", ".join(sorted(self._tasks))
            raise ProviderRejected(
                f"builtin/{MODEL} generates nothing and does not serve {call.task.value}. "
                f"Choose another model, or a prompt whose task is one of {served}."
            )
        return task


def _batches(texts: Sequence[str]) -> list[list[str]]:
    """The texts in order, a few at once: other callers of the embedder wait for one batch only."""
    batches: list[list[str]] = []
    pieces = _BATCH_PIECES
    for text in texts:
        size = estimate_pieces(text)
        if pieces + size > _BATCH_PIECES:
            batches.append([])
            pieces = 0
        batches[-1].append(text)
        pieces += size
    return batches


def _no_such_model(model: str) -> ProviderRejected:
    return ProviderRejected(f"builtin has no model {model}; it has {MODEL} and {EMBEDDING_MODEL}.")

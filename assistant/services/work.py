"""One answer in the making: what is asked, and how a model is asked for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from assistant.domain.completion import (
    GenerationParameters,
    Message,
    MessageRole,
    ProgressEvent,
)
from assistant.domain.model import Model
from assistant.domain.ports import ProviderCall, TimeLimits
from assistant.domain.route import Candidate
from assistant.domain.tokens import estimate_tokens
from assistant.domain.values import JsonObject
from assistant.errors import ErrorCode
from assistant.services.attempts import Deadline
from assistant.services.ledger_entry import LedgerEntry
from assistant.services.seam import Seam

Emit: TypeAlias = Callable[[ProgressEvent], Awaitable[None]]

_GO_ON = (
    "Your answer was interrupted. Continue it exactly where it stops: repeat nothing of it, "
    "explain nothing, and begin with the very next word."
)


@dataclass(slots=True)
class Work:
    """One answer in the making: what is asked, of whom, until when, and what has come of it."""

    entry: LedgerEntry
    emit: Emit
    messages: tuple[Message, ...]
    parameters: GenerationParameters
    response_schema: JsonObject | None
    streamed: bool
    time_limits: TimeLimits
    deadline: Deadline
    remaining: list[Candidate]
    interruption: ErrorCode | None = None
    seam: Seam | None = None


def call_of(candidate: Candidate, work: Work) -> ProviderCall:
    """The call that asks ``candidate``, to go on from the text so far where there is a seam."""
    prompt, model = work.entry.prompt, candidate.model
    assert prompt is not None
    messages, tokens = work.messages, candidate.count.tokens
    if work.seam is not None:
        so_far = "".join(work.entry.text)
        messages = (
            *messages,
            Message(MessageRole.ASSISTANT, so_far),
            Message(MessageRole.USER, _GO_ON),
        )
    if messages is not prompt.messages:
        tokens += max(0, estimate_tokens(messages) - prompt.estimated_tokens)
    return ProviderCall(
        model=model.name,
        messages=messages,
        parameters=_within(work.parameters, model, tokens),
        streamed=work.streamed,
        context_window=model.context_window,
        estimated_tokens=tokens,
        task=prompt.task,
        variables=prompt.variables,
        time_limits=work.time_limits,
        response_schema=work.response_schema,
    )


def _within(
    parameters: GenerationParameters, model: Model, prompt_tokens: int
) -> GenerationParameters:
    """``parameters`` with max_tokens cut to what the model can put out, and its window holds."""
    if parameters.max_tokens is None:
        return parameters
    longest = max(1, model.context_window - prompt_tokens)
    if model.max_output_tokens is not None:
        longest = min(longest, model.max_output_tokens)
    return replace(parameters, max_tokens=min(parameters.max_tokens, longest))

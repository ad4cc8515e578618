"""A completion's stream as clients see it: an event of its own type for everything that happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import assert_never
from uuid import UUID

import strawberry

from assistant.api.completion import CompletionResponse
from assistant.api.completion_request import CompletionRequest
from assistant.api.context import Info
from assistant.api.model import Model, model_of
from assistant.api.prompt_version import PromptVersion, version_of
from assistant.domain import completion as domain
from assistant.domain.stream import EventId
from assistant.errors import BadUserInput, ErrorCode


@strawberry.interface(description="One event of a completion's stream.")
class CompletionChunk:
    event_id: strawberry.ID = strawberry.field(
        description="Unique; sorts by sequence within a stream."
    )
    completion_id: strawberry.ID = strawberry.field(description="The completion it belongs to.")
    sequence: int = strawberry.field(description="0-based, gap-free.")


@strawberry.type(description="A model was chosen and has begun to answer.")
class CompletionStarted(CompletionChunk):
    created_at: datetime = strawberry.field(description="When the completion was asked for.")
    model_id: strawberry.Private[str]
    prompt_version_id: strawberry.Private[UUID | None]

    @strawberry.field(description="The model that answers.")
    async def model(self, info: Info) -> Model:
        return await model_of(info, self.model_id)

    @strawberry.field(description="The version of the prompt that was rendered, if it was one.")
    async def prompt_version(self, info: Info) -> PromptVersion | None:
        return await version_of(info, self.prompt_version_id)


@strawberry.type(description="The next piece of the answer.")
class TokenDelta(CompletionChunk):
    text: str = strawberry.field(description="May hold several tokens.")


@strawberry.type(description="The next piece of what the model thinks before it answers.")
class ReasoningDelta(CompletionChunk):
    text: str = strawberry.field(description="May hold several tokens.")


@strawberry.type(
    description="Another model starts over: what was streamed so far is void "
    "(onInterruption: RESTART)."
)
class CompletionRestarted(CompletionChunk):
    reason: ErrorCode = strawberry.field(description="Why the answer so far is void.")
    model_id: strawberry.Private[str]

    @strawberry.field(description="The model that answers now.")
    async def model(self, info: Info) -> Model:
        return await model_of(info, self.model_id)


@strawberry.type(
    description="Another model goes on from the text so far (onInterruption: CONTINUE)."
)
class CompletionContinued(CompletionChunk):
    reason: ErrorCode = strawberry.field(description="Why the first model does not go on.")
    model_id: strawberry.Private[str]

    @strawberry.field(description="The model that goes on.")
    async def model(self, info: Info) -> Model:
        return await model_of(info, self.model_id)


@strawberry.type(description="Ends the stream: the answer is whole.")
class CompletionFinished(CompletionChunk):
    response: CompletionResponse = strawberry.field(description="The settled completion.")


@strawberry.type(
    description="Ends the stream: an expected failure as data; the transport then completes normally."
)
class CompletionFailed(CompletionChunk):
    code: ErrorCode = strawberry.field(description="What to branch on.")
    message: str = strawberry.field(description="What to do about it, in words.")
    is_retryable: bool = strawberry.field(description="Whether the same request may succeed later.")
    retry_after_ms: int | None = strawberry.field(
        description="How long to wait first; null where nobody knows."
    )


CHUNKS = (
    CompletionStarted,
    TokenDelta,
    ReasoningDelta,
    CompletionRestarted,
    CompletionContinued,
    CompletionFinished,
    CompletionFailed,
)


def _chunk(event: domain.StreamEvent, id_: strawberry.ID, sequence: int) -> CompletionChunk:
    event_id = strawberry.ID(f"{id_}:{sequence}")
    match event:
        case domain.TextDelta(text):
            return TokenDelta(event_id=event_id, completion_id=id_, sequence=sequence, text=text)
        case domain.ReasoningDelta(text):
            return ReasoningDelta(
                event_id=event_id, completion_id=id_, sequence=sequence, text=text
            )
        case domain.CompletionStarted():
            return CompletionStarted(
                event_id=event_id,
                completion_id=id_,
                sequence=sequence,
                created_at=event.created_at,
                model_id=event.model,
                prompt_version_id=event.prompt_version_id,
            )
        case domain.CompletionRestarted():
            return CompletionRestarted(
                event_id=event_id,
                completion_id=id_,
                sequence=sequence,
                reason=event.reason,
                model_id=event.model,
            )
        case domain.CompletionContinued():
            return CompletionContinued(
                event_id=event_id,
                completion_id=id_,
                sequence=sequence,
                reason=event.reason,
                model_id=event.model,
            )
        case domain.CompletionFinished():
            return CompletionFinished(
                event_id=event_id,
                completion_id=id_,
                sequence=sequence,
                response=CompletionResponse.of(event.completion),
            )
        case domain.CompletionFailed():
            return CompletionFailed(
                event_id=event_id,
                completion_id=id_,
                sequence=sequence,
                code=event.code,
                message=event.message,
                is_retryable=event.is_retryable,
                retry_after_ms=_as_int(event.retry_after_ms),
            )
        case _:
            assert_never(event)


@strawberry.input(description="Where to pick a stream up.")
class ResumeCompletion:
    completion_id: strawberry.ID = strawberry.field(description="The completion to go on with.")
    last_event_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The last event that the client has processed; without it, all are told again.",
    )

    def to_domain(self) -> tuple[UUID, EventId | None]:
        """Raises BadUserInput."""
        try:
            completion_id = UUID(self.completion_id)
        except ValueError:
            raise BadUserInput(
                "resume.completionId is not the id of a completion; give back what came with its "
                "events.",
                path=("resume", "completionId"),
            ) from None
        if self.last_event_id is None:
            return completion_id, None
        return completion_id, EventId.parse(self.last_event_id, path=("resume", "lastEventId"))


async def completion_stream(
    info: Info, wanted: CompletionRequest | None, resume: ResumeCompletion | None
) -> AsyncIterator[CompletionChunk]:
    """Yield the events of a completion: a new one's, or one's that has begun."""
    context = info.context
    runs = context.services.runs
    if wanted is not None and resume is None:
        numbered = runs.stream(wanted.to_domain(context))
    elif resume is not None and wanted is None:
        completion_id, after = resume.to_domain()
        numbered = runs.resume(context.caller, completion_id, after)
    else:
        raise BadUserInput(
            "completionStream needs either an input or what to resume.", path=("input",)
        )
    known, id_ = None, strawberry.ID("")
    # Closed with this generator, not whenever it is collected.
    async with aclosing(numbered) as events:
        async for completion_id, sequence, event in events:
            if completion_id is not known:  # one object for all events of a stream
                known, id_ = completion_id, strawberry.ID(str(completion_id))
            yield _chunk(event, id_, sequence)


def _as_int(milliseconds: int | None) -> int | None:
    """As far as GraphQL's Int goes: 24.8 days, which is longer than anybody waits."""
    return None if milliseconds is None else min(milliseconds, 2**31 - 1)

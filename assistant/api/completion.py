"""Completions, whole and streamed, as clients see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Self, assert_never, cast
from uuid import UUID

import strawberry
import strawberry.federation as fed
from strawberry.scalars import JSON

from assistant.api import loaders
from assistant.api.context import Context, Info
from assistant.api.model import Model, model_of
from assistant.api.money import Money, usd
from assistant.api.prompt import PromptVersion, version_of
from assistant.domain import completion as domain
from assistant.domain.completion import (
    AttemptOutcome,
    CacheOutcome,
    CompletionStatus,
    FinishReason,
    MessageRole,
)
from assistant.domain.values import JsonObject
from assistant.errors import BadUserInput, ErrorCode
from assistant.services.streaming import stream

# ------------------------------------------------------------------------ asking


@strawberry.input(description="One turn of a conversation.")
class MessageInput:
    role: MessageRole = strawberry.field(description="Who says it.")
    content: str = strawberry.field(description="What is said.")
    tool_call_id: strawberry.ID | None = strawberry.field(
        default=None, description="Which call a TOOL message answers."
    )


@strawberry.input(
    description="How to generate; what is left out is left to the prompt, then to the model."
)
class GenerationParameters:
    temperature: float | None = strawberry.field(
        default=None, description="0 to 2; 0 is the most predictable."
    )
    top_p: float | None = strawberry.field(
        default=None, description="0 to 1: the share of likely tokens to choose from."
    )
    max_tokens: int | None = strawberry.field(
        default=None, description="The longest answer, in tokens; from 1."
    )
    stop: list[str] | None = strawberry.field(
        default=None, description="Up to 16 texts that end the answer."
    )
    seed: int | None = strawberry.field(
        default=None, description="The same seed asks for the same answer, where a model can."
    )
    timeout_ms: int | None = strawberry.field(
        default=None, description="Bounds the whole completion, all attempts together."
    )

    def to_domain(self) -> domain.GenerationParameters:
        return domain.GenerationParameters(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=None if self.stop is None else tuple(self.stop),
            seed=self.seed,
            timeout_ms=self.timeout_ms,
        )


@strawberry.input(description="Exactly one of promptName, messages and text says what to complete.")
class CompletionRequest:
    prompt_name: str | None = strawberry.field(
        default=None, description="A prompt of the catalog, rendered with `variables`."
    )
    prompt_version: int | None = strawberry.field(
        default=None, description="Defaults to the published version."
    )
    variables: JSON | None = strawberry.field(
        default=None, description="An object with a value for each of the prompt's variables."
    )
    messages: list[MessageInput] | None = strawberry.field(
        default=None, description="A conversation to go on from."
    )
    text: str | None = strawberry.field(default=None, description="Shorthand for one user message.")
    model: str | None = strawberry.field(
        default=None,
        description="A model id or a model group; the service chooses when it is absent.",
    )
    parameters: GenerationParameters | None = strawberry.field(
        default=None, description="How to generate."
    )
    feature: str | None = strawberry.field(
        default=None,
        description="What part of the calling service this is for; usage is reported by it.",
    )
    metadata: JSON | None = strawberry.field(
        default=None, description="An object of the caller's own; not sent to models."
    )

    def to_domain(self, context: Context) -> domain.CompletionRequest:
        for name, value in (("variables", self.variables), ("metadata", self.metadata)):
            if value is not None and not isinstance(value, dict):
                raise BadUserInput(f"{name} must be a JSON object, as in {{}}.", path=(name,))
        return domain.CompletionRequest(
            caller=context.caller,
            prompt_name=self.prompt_name,
            prompt_version=self.prompt_version,
            variables=cast("JsonObject | None", self.variables),
            messages=None
            if self.messages is None
            else tuple(
                domain.Message(message.role, message.content, message.tool_call_id)
                for message in self.messages
            ),
            text=self.text,
            model=self.model,
            parameters=(self.parameters or GenerationParameters()).to_domain(),
            feature=self.feature,
            metadata=cast("JsonObject | None", self.metadata),
        )


# --------------------------------------------------------------------- answering


@strawberry.type(description="Tokens and what they cost.")
class TokenUsage:
    prompt_tokens: int = strawberry.field(description="Sent to models, cached ones included.")
    completion_tokens: int = strawberry.field(description="Answered, reasoning included.")
    cached_tokens: int = strawberry.field(
        description="Those of the prompt that the provider had cached."
    )
    total_tokens: int = strawberry.field(description="Prompt and answer.")
    is_estimated: bool = strawberry.field(description="Whether a provider did not report them.")
    cost: Money = strawberry.field(description="What they cost.")

    @classmethod
    def of(cls, usage: domain.TokenUsage) -> Self:
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            total_tokens=usage.total_tokens,
            is_estimated=usage.is_estimated,
            cost=usd(usage.cost),
        )


@strawberry.type(description="One call of one provider.")
class ProviderAttempt:
    provider: str = strawberry.field(description="Who was called.")
    model: str = strawberry.field(description="Model id.")
    outcome: AttemptOutcome = strawberry.field(description="How it ended.")
    error_code: ErrorCode | None = strawberry.field(description="Why it failed.")
    latency_ms: int = strawberry.field(description="How long it took.")
    prompt_tokens: int = strawberry.field(description="Tokens sent.")
    completion_tokens: int = strawberry.field(description="Tokens received.")
    cost: Money = strawberry.field(description="What it cost.")


@strawberry.type(description="How an answer came about.")
class CompletionDecision:
    rule_name: str | None = strawberry.field(
        description="The routing rule that decided; null for the default order or a named model."
    )
    candidates: list[str] = strawberry.field(
        description="Ids of the models that could serve, best first."
    )
    attempts: list[ProviderAttempt] = strawberry.field(description="Provider calls, in order.")
    similarity: float | None = strawberry.field(
        description="Cosine with the cached request; null where the cache did not answer by meaning."
    )
    overhead_ms: float = strawberry.field(
        description="Milliseconds spent in this service, provider time taken out."
    )
    saved_cost: Money = strawberry.field(description="What a cached answer would have cost.")

    @classmethod
    def of(cls, decision: domain.Decision) -> Self:
        return cls(
            rule_name=decision.rule_name,
            candidates=list(decision.candidates),
            attempts=[
                ProviderAttempt(
                    provider=attempt.provider,
                    model=attempt.model,
                    outcome=attempt.outcome,
                    error_code=attempt.error_code,
                    latency_ms=attempt.latency_ms,
                    prompt_tokens=attempt.usage.prompt_tokens,
                    completion_tokens=attempt.usage.completion_tokens,
                    cost=usd(attempt.usage.cost),
                )
                for attempt in decision.attempts
            ],
            similarity=decision.similarity,
            overhead_ms=round(decision.overhead_ms, 3),
            saved_cost=usd(decision.saved_cost),
        )


@fed.type(keys=["id"], description="A completion: its answer and how it came about.")
class CompletionResponse:
    id: strawberry.ID = strawberry.field(description="Identifies the completion everywhere.")
    text: str = strawberry.field(description="The answer; what there is of it while it runs.")
    json: JSON | None = strawberry.field(
        description="The parsed answer, where a response schema was given."
    )
    status: CompletionStatus = strawberry.field(description="Where it stands.")
    finish_reason: FinishReason | None = strawberry.field(
        description="Why the text ends where it does; null while it runs."
    )
    usage: TokenUsage = strawberry.field(description="Tokens of all attempts together.")
    cache: CacheOutcome = strawberry.field(description="Whether the cache answered.")
    decision: CompletionDecision = strawberry.field(
        description="How this answer came about: rule, attempts, cache verdict, cost."
    )
    latency_ms: int = strawberry.field(description="From the request to the settled answer.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    model_id: strawberry.Private[str]
    prompt_version_id: strawberry.Private[UUID | None]

    @strawberry.field(description="The model that answered, or was the last to be tried.")
    async def model(self, info: Info) -> Model:
        return await model_of(info, self.model_id)

    @strawberry.field(description="The version of the prompt that was rendered, if it was one.")
    async def prompt_version(self, info: Info) -> PromptVersion | None:
        return await version_of(info, self.prompt_version_id)

    @classmethod
    def of(cls, completion: domain.Completion) -> Self:
        return cls(
            id=strawberry.ID(str(completion.id)),
            text=completion.text,
            json=None,
            status=completion.status,
            finish_reason=completion.finish_reason,
            usage=TokenUsage.of(completion.usage),
            cache=completion.cache,
            decision=CompletionDecision.of(completion.decision),
            latency_ms=completion.latency_ms,
            created_at=completion.created_at,
            model_id=completion.model,
            prompt_version_id=completion.prompt_version_id,
        )

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> CompletionResponse | None:  # noqa: A002 - the key's name
        return await completion(info, id)


# --------------------------------------------------------------------- streaming


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


CHUNKS = (CompletionStarted, TokenDelta, ReasoningDelta, CompletionFinished, CompletionFailed)


def _chunk(event: domain.StreamEvent, completion_id: UUID | None, sequence: int) -> CompletionChunk:
    id_ = strawberry.ID(str(completion_id))
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
                retry_after_ms=event.retry_after_ms,
            )
        case _:
            assert_never(event)


# --------------------------------------------------------------------- resolvers


async def generate_completion(info: Info, wanted: CompletionRequest) -> CompletionResponse:
    """Run one completion and wait for its result."""
    context = info.context
    completed = await context.services.completions.complete(wanted.to_domain(context))
    return CompletionResponse.of(completed)


async def completion_stream(
    info: Info, wanted: CompletionRequest | None
) -> AsyncIterator[CompletionChunk]:
    """Run one completion and yield its events."""
    if wanted is None:
        raise BadUserInput("completionStream needs an input.", path=("input",))
    context = info.context
    request = wanted.to_domain(context)
    completion_id: UUID | None = None
    sequence = 0
    async for event in stream(context.services.completions.complete, request):
        match event:
            case domain.CompletionStarted() | domain.CompletionFailed():
                completion_id = completion_id or event.completion_id
            case domain.CompletionFinished():
                completion_id = event.completion.id
        yield _chunk(event, completion_id, sequence)
        sequence += 1


async def completion(info: Info, id_: str) -> CompletionResponse | None:
    """A finished or running completion of the caller."""
    completions = loaders.completion_by_id(info)  # needs a caller, whatever the id
    try:
        key = UUID(id_)
    except ValueError:
        return None
    found = await completions.load(key)
    return CompletionResponse.of(found) if found else None

"""Completions as clients see them: the answer, and how it came about."""

from __future__ import annotations

from datetime import datetime
from typing import Self, cast
from uuid import UUID

import strawberry
import strawberry.federation as fed
from strawberry.scalars import JSON

from assistant.api import loaders
from assistant.api.cache import CacheVerdict
from assistant.api.completion_request import CompletionRequest
from assistant.api.context import Info
from assistant.api.model import Model, model_of
from assistant.api.money import Money, usd
from assistant.api.prompt_version import PromptVersion, version_of
from assistant.api.user_errors import UserError, attempt
from assistant.domain import completion as domain
from assistant.domain.cache import CacheOutcome
from assistant.domain.completion import (
    AttemptOutcome,
    CompletionStatus,
    FinishReason,
)
from assistant.errors import ErrorCode
from assistant.services.stream_following import not_found


@strawberry.type(description="Tokens and what they cost.")
class TokenUsage:
    prompt_tokens: int = strawberry.field(description="Sent to models, cached ones included.")
    completion_tokens: int = strawberry.field(description="Answered, reasoning included.")
    cached_tokens: int = strawberry.field(
        description="Those of the prompt that the provider had cached."
    )
    total_tokens: int = strawberry.field(description="Prompt and answer.")
    is_estimated: bool = strawberry.field(description="Whether a provider did not report them.")
    cost: Money = strawberry.field(description="What they cost; at least, where isPriced is false.")
    reasoning_tokens: int = strawberry.field(
        description="Those of the answer that were thoughts; 0 also where a provider does not tell."
    )
    is_priced: bool = strawberry.field(
        description="Whether cost is all of it; false where some were used of a model without a "
        "known price, which is not in it."
    )

    @classmethod
    def of(cls, usage: domain.TokenUsage) -> Self:
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            total_tokens=usage.total_tokens,
            is_estimated=usage.is_estimated,
            cost=usd(usage.cost),
            reasoning_tokens=usage.reasoning_tokens,
            is_priced=usage.is_priced,
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
    cost: Money = strawberry.field(description="What it cost; 0 where isPriced is false.")
    reasoning_tokens: int = strawberry.field(
        description="Those of the tokens received that were thoughts."
    )
    is_priced: bool = strawberry.field(
        description="Whether it is known what it cost: the model had a price, or nothing was used."
    )
    first_token_ms: int | None = strawberry.field(
        description="From the call to the first that was heard of an answer; null where nothing was."
    )


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
    cache_verdict: CacheVerdict | None = strawberry.field(
        description="What the cache said, and why; null where it was not asked."
    )
    overhead_ms: float = strawberry.field(
        description="Milliseconds spent in this service, provider time taken out."
    )
    saved_cost: Money = strawberry.field(description="What a cached answer would have cost.")
    first_token_ms: int | None = strawberry.field(
        description="From the request to the first that was heard of an answer; null where nothing "
        "was."
    )
    max_output_tokens: int | None = strawberry.field(
        description="How long a budget let the answer be, in tokens, where the request left that "
        "open; null where it did not, and where no budget held."
    )

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
                    reasoning_tokens=attempt.usage.reasoning_tokens,
                    is_priced=attempt.usage.is_priced,
                    first_token_ms=attempt.first_token_ms,
                )
                for attempt in decision.attempts
            ],
            similarity=decision.similarity,
            cache_verdict=CacheVerdict.of(decision.cache),
            overhead_ms=round(decision.overhead_ms, 3),
            saved_cost=usd(decision.saved_cost),
            first_token_ms=decision.first_token_ms,
            max_output_tokens=decision.most_output_tokens,
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
            json=cast("JSON | None", completion.json),
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


async def generate_completion(info: Info, wanted: CompletionRequest) -> CompletionResponse:
    """Run one completion and wait for its result."""
    context = info.context
    completed = await context.services.runs.complete(wanted.to_domain(context))
    return CompletionResponse.of(completed)


@strawberry.type(description="The completion that was stopped.")
class CancelCompletionPayload:
    completion: CompletionResponse | None = strawberry.field(
        description="As it ended; null where it was refused, and where no model had been asked yet."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


async def cancel_completion(info: Info, id_: str) -> CancelCompletionPayload:
    """Stop a completion, on whichever replica it runs."""
    context = info.context

    async def cancel() -> domain.Completion | None:
        try:
            key = UUID(id_)
        except ValueError:
            raise not_found() from None
        return await context.services.runs.cancel(context.caller, key)

    cancelled, user_errors = await attempt(cancel())
    return CancelCompletionPayload(
        completion=CompletionResponse.of(cancelled) if cancelled else None, user_errors=user_errors
    )


async def completion(info: Info, id_: str) -> CompletionResponse | None:
    """A finished or running completion of the caller."""
    completions = loaders.completion_by_id(info)  # needs a caller, whatever the id
    try:
        key = UUID(id_)
    except ValueError:
        return None
    found = await completions.load(key)
    return CompletionResponse.of(found) if found else None

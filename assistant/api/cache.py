"""The cache as clients see it: what it said to a request, what it did, what is removed from it."""

from __future__ import annotations

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from assistant.api.context import Info
from assistant.api.money import Money, usd
from assistant.api.scalars import BigInt
from assistant.api.usage import UsageWindow
from assistant.api.user_errors import UserError, attempt
from assistant.domain import cache as domain
from assistant.domain import usage
from assistant.domain.cache import CacheOutcome, CacheSelection
from assistant.domain.usage import UsagePeriod
from assistant.errors import NotFound
from assistant.services.cache_reports import CacheReport


@strawberry.type(description="What the cache said to a request, and why.")
class CacheVerdict:
    outcome: CacheOutcome = strawberry.field(description="Whether it answered, and how.")
    reason: str = strawberry.field(description="Why, for people.")
    similarity: float | None = strawberry.field(
        description="Cosine with the nearest question that was asked before; null where the very "
        "same one was found, or none came near."
    )
    min_similarity: float | None = strawberry.field(
        description="From which cosine on that one's answer would be given: the prompt's, or more "
        "where it was wrong before."
    )
    age_ms: BigInt | None = strawberry.field(
        description="How long ago the answer was made; null where there is none."
    )
    guard: str | None = strawberry.field(
        description="What about the wordings forbade the nearest answer, however near it was; null "
        "where nothing did."
    )
    source_id: strawberry.ID | None = strawberry.field(
        description="The completion whose answer was given, or was the nearest."
    )

    @classmethod
    def of(cls, verdict: domain.CacheVerdict | None) -> Self | None:
        if verdict is None:
            return None
        return cls(
            outcome=verdict.outcome,
            reason=verdict.reason,
            similarity=verdict.similarity,
            min_similarity=verdict.min_similarity,
            age_ms=None if verdict.age_ms is None else BigInt(verdict.age_ms),
            guard=verdict.guard,
            source_id=None if verdict.source_id is None else strawberry.ID(str(verdict.source_id)),
        )


@strawberry.type(description="What the cache did for the caller's tenant within a window.")
class CacheStatistics:
    period: UsageWindow = strawberry.field(description="The window.")
    entries: int = strawberry.field(description="Answers that are kept now.")
    lookups: int = strawberry.field(
        description="Completions for which it was asked: hits and misses together."
    )
    exact_hits: int = strawberry.field(description="Those whose very same request was answered.")
    semantic_hits: int = strawberry.field(
        description="Those answered because a question of the same meaning had been."
    )
    coalesced: int = strawberry.field(
        description="Those that shared the answer to the same request while it was made."
    )
    misses: int = strawberry.field(description="Those that a model had to answer.")
    hit_rate: float | None = strawberry.field(
        description="The share of lookups that a model did not have to answer, 0 to 1; null where "
        "there were none."
    )
    saved_tokens: BigInt = strawberry.field(
        description="Tokens that the answers given had taken when they were made."
    )
    saved_cost: Money = strawberry.field(description="What those had cost.")

    @classmethod
    def of(cls, window: usage.UsageWindow, figures: domain.CacheFigures) -> Self:
        return cls(
            period=UsageWindow(from_=window.start, to=window.end),
            entries=figures.entries,
            lookups=figures.lookups,
            exact_hits=figures.exact_hits,
            semantic_hits=figures.semantic_hits,
            coalesced=figures.coalesced,
            misses=figures.misses,
            hit_rate=figures.hit_rate,
            saved_tokens=BigInt(figures.saved_tokens),
            saved_cost=usd(figures.saved_cost),
        )


@strawberry.input(
    description="Every given field narrows what is removed; none given removes the caller's "
    "tenant's whole cache."
)
class ClearCacheInput:
    prompt_name: str | None = strawberry.field(
        default=None, description="Answers to requests that named this prompt."
    )
    model: str | None = strawberry.field(
        default=None, description="Answers of this model, by its id."
    )
    older_than: datetime | None = strawberry.field(
        default=None, description="Answers that were made before."
    )

    def to_domain(self) -> CacheSelection:
        return CacheSelection(
            prompt_name=self.prompt_name, model=self.model, older_than=self.older_than
        )


@strawberry.type(description="What was removed from the cache.")
class ClearCachePayload:
    removed: int = strawberry.field(description="How many answers.")


@strawberry.type(description="What became of a kept answer that somebody judged.")
class ReportCacheHitPayload:
    removed: bool = strawberry.field(
        description="Whether the answer was removed: it was wrong for the very question that it was "
        "made for."
    )
    min_similarity: float | None = strawberry.field(
        description="From which cosine on it answers questions of the same meaning from now on, "
        "above 1 never; null where it is not kept any more, or did not answer by meaning."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


async def cache_statistics(info: Info, period: UsagePeriod) -> CacheStatistics:
    """What the cache did for the caller's tenant."""
    context = info.context
    found = await context.services.cache_reports.statistics(context.caller, period)
    return CacheStatistics.of(*found)


async def clear_cache(info: Info, given: ClearCacheInput) -> ClearCachePayload:
    context = info.context
    removed = await context.services.cache_reports.clear(context.caller, given.to_domain())
    return ClearCachePayload(removed=removed)


async def report_cache_hit(
    info: Info, completion_id: strawberry.ID, *, wrong: bool
) -> ReportCacheHitPayload:
    report, user_errors = await attempt(_report(info, completion_id, wrong=wrong))
    report = report or CacheReport()
    return ReportCacheHitPayload(
        removed=report.removed, min_similarity=report.min_similarity, user_errors=user_errors
    )


async def _report(info: Info, completion_id: str, *, wrong: bool) -> CacheReport:
    context = info.context
    try:
        id_ = UUID(completion_id)
    except ValueError:
        raise NotFound("There is no completion of this id.") from None
    return await context.services.cache_reports.report(context.caller, id_, wrong=wrong)

"""The cache in the schema: what it said, what it did, what is removed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from assistant.api.cache import CacheVerdict
from assistant.api.context import Context
from assistant.api.schema import create_schema
from assistant.domain import cache as domain
from assistant.domain.cache import (
    CachedAnswer,
    CacheEntry,
    CacheFigures,
    CacheKey,
    CacheOutcome,
    CachePolicy,
)
from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import (
    Completion,
    CompletionRequest,
    CompletionStatus,
    Decision,
    FinishReason,
)
from assistant.domain.route import RouteExplanation
from assistant.services.cache_reports import CacheReports
from assistant.services.periods import Periods
from assistant.services.prompts import Prompts
from tests.unit.fake_cache import FakeCacheStore, FakeCacheUpkeepStore
from tests.unit.fakes import FakeClock, FakeTelemetry, FakeTenantSettings
from tests.unit.prompt_stores import FakePromptStore

ANN = Caller("acme", "ann", None, frozenset(Scope) - {Scope.ADMIN})
ADAM = Caller("acme", "adam", None, frozenset({Scope.ADMIN}))
SOURCE = uuid7()
NEAR = domain.CacheVerdict(
    CacheOutcome.SEMANTIC,
    "It means the same.",
    similarity=0.96,
    min_similarity=0.95,
    age_ms=29 * 24 * 3_600_000,
    source_id=SOURCE,
)
VERDICT = "outcome reason similarity minSimilarity ageMs guard sourceId"
SCHEMA = create_schema()


@dataclass
class FakeCompletions:
    """One completion of Ann's, and what would become of a request; ``asked`` is the last one."""

    completion: Completion
    explained: domain.CacheVerdict | None = None
    asked: CompletionRequest | None = None

    async def find(self, caller: Caller, ids: Sequence[UUID]) -> Mapping[UUID, Completion]:
        is_theirs = caller.user_id == "ann" and self.completion.id in ids
        return {self.completion.id: self.completion} if is_theirs else {}

    async def explain(self, request: CompletionRequest) -> RouteExplanation:
        self.asked = request
        return RouteExplanation(None, (), (), self.explained)


class Desk:
    """The schema over stores in memory."""

    def __init__(self, verdict: domain.CacheVerdict | None = NEAR) -> None:
        self.clock = FakeClock()
        self.store = FakeCacheStore(self.clock)
        self.upkeep = FakeCacheUpkeepStore(self.store)
        completion = Completion(
            uuid7(),
            ANN,
            CompletionStatus.SUCCEEDED,
            self.clock.now(),
            "ollama/llama3.2:3b",
            decision=Decision(cache=verdict),
        )
        self.completions = FakeCompletions(completion)
        self.keep(SOURCE)

    def keep(self, id_: UUID, **changes: Any) -> None:
        now = self.clock.now()
        given = {
            "id": id_,
            "key": CacheKey("acme", bytes(32), b"s" * 32, "How far?"),
            "answer": CachedAnswer("Far.", FinishReason.STOP, "ollama/llama3.2:3b"),
            "created_at": now,
            "fresh_until": now + timedelta(minutes=4),
            "expires_at": now + timedelta(minutes=5),
        } | changes
        self.store.entries["acme", id_] = CacheEntry(**given)

    async def run(self, query: str, caller: Caller = ANN, **variables: Any) -> Any:
        """What the one root field of an operation holds."""
        services = SimpleNamespace(
            completions=self.completions,
            cache_reports=CacheReports(
                store=self.store,
                upkeep=self.upkeep,
                completions=self.completions,
                prompts=Prompts(FakePromptStore()),
                periods=Periods(FakeTenantSettings(), self.clock),
                forget=lambda _tenant_id: None,
            ),
            telemetry=FakeTelemetry(),
        )
        context = Context(cast(Any, services), caller)
        result = await SCHEMA.execute(query, variable_values=variables, context_value=context)
        assert result.errors is None, result.errors
        assert result.data is not None
        ((_, found),) = result.data.items()
        return found

    async def report(self, id_: object = None, caller: Caller = ANN, **given: Any) -> Any:
        query = """mutation ($id: ID!, $wrong: Boolean! = true) {
            reportCacheHit(completionId: $id, wrong: $wrong) {
                removed minSimilarity userErrors { code path } } }"""
        return await self.run(query, caller, id=str(id_ or self.completions.completion.id), **given)


# ------------------------------------------------------------------ verdicts


async def test_a_completion_says_what_the_cache_said() -> None:
    at = Desk()
    query = f"""query ($id: ID!) {{ completion(id: $id) {{ decision {{
        similarity cacheVerdict {{ {VERDICT} }} }} }} }}"""

    found = await at.run(query, id=str(at.completions.completion.id))

    assert found["decision"] == {
        "similarity": 0.96,
        "cacheVerdict": {
            "outcome": "SEMANTIC",
            "reason": "It means the same.",
            "similarity": 0.96,
            "minSimilarity": 0.95,
            "ageMs": "2505600000",  # more than an Int holds
            "guard": None,
            "sourceId": str(SOURCE),
        },
    }


async def test_where_the_cache_was_not_asked_there_is_no_verdict() -> None:
    at = Desk(verdict=None)
    query = f"""query ($id: ID!) {{ completion(id: $id) {{ decision {{
        similarity cacheVerdict {{ {VERDICT} }} }} }} }}"""
    found = await at.run(query, id=str(at.completions.completion.id))
    assert found["decision"] == {"similarity": None, "cacheVerdict": None}
    assert CacheVerdict.of(None) is None


async def test_an_explanation_says_what_the_cache_would_say() -> None:
    at = Desk()
    query = f'{{ explainRoute(input: {{text: "How far?"}}) {{ cache {{ {VERDICT} }} }} }}'
    assert await at.run(query) == {"cache": None}

    at.completions.explained = domain.CacheVerdict(
        CacheOutcome.MISS, "A number differs.", 0.98, 0.95, 60_000, "numbers", SOURCE
    )

    assert (await at.run(query))["cache"] == {
        "outcome": "MISS",
        "reason": "A number differs.",
        "similarity": 0.98,
        "minSimilarity": 0.95,
        "ageMs": "60000",
        "guard": "numbers",
        "sourceId": str(SOURCE),
    }


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ("", CachePolicy.DEFAULT),
        (", cache: null", CachePolicy.DEFAULT),
        *((f", cache: {policy.name}", policy) for policy in CachePolicy),
    ],
)
async def test_a_request_says_what_it_wants_of_the_cache(given: str, policy: CachePolicy) -> None:
    at = Desk()
    await at.run(f'{{ explainRoute(input: {{text: "How far?"{given}}}) {{ ruleName }} }}')
    assert at.completions.asked is not None
    assert at.completions.asked.cache is policy


# ------------------------------------------------------------------ figures, clearing

STATISTICS = """{ cacheStatistics { period { from to } entries lookups exactHits semanticHits
    coalesced misses hitRate savedTokens savedCost { amount currency } } }"""


async def test_statistics_are_of_the_last_seven_days_unless_asked_otherwise() -> None:
    at = Desk()
    at.upkeep.told["acme"] = CacheFigures(
        exact_hits=3, semantic_hits=1, coalesced=2, misses=2, saved_tokens=2**40,
        saved_cost=Decimal("0.125"),
    )  # fmt: skip

    assert await at.run(STATISTICS) == {
        "period": {"from": "2026-03-07T15:09:26.000Z", "to": "2026-03-14T15:09:26.000Z"},
        "entries": 1,
        "lookups": 8,
        "exactHits": 3,
        "semanticHits": 1,
        "coalesced": 2,
        "misses": 2,
        "hitRate": 0.75,
        "savedTokens": str(2**40),
        "savedCost": {"amount": "0.125", "currency": "USD"},
    }
    found = await at.run("{ cacheStatistics(period: TODAY) { period { from } } }")
    assert found["period"]["from"] == "2026-03-14T00:00:00.000Z"


async def test_of_nothing_there_is_no_hit_rate() -> None:
    assert (await Desk().run(STATISTICS))["hitRate"] is None


CLEAR = "mutation ($input: ClearCacheInput!) { clearCache(input: $input) { removed } }"


async def test_what_is_cleared_is_narrowed_by_every_field_that_is_given() -> None:
    at = Desk()
    at.keep(uuid7(), prompt_name="faq")
    at.clock.advance(60)
    at.keep(uuid7(), prompt_name="faq")
    model, minute = "ollama/llama3.2:3b", "2026-03-14T15:09:27Z"

    async def cleared(**given: Any) -> int:
        removed: int = (await at.run(CLEAR, ADAM, input=given))["removed"]
        return removed

    assert await cleared(promptName="faq", model="openai/gpt") == 0
    assert await cleared(promptName="faq", model=model, olderThan=minute) == 1
    assert await cleared(promptName="faq", model=None) == 1
    assert await cleared() == 1
    assert at.store.entries == {}


# ------------------------------------------------------------------ reports


async def test_a_wrong_hit_is_reported_by_whom_it_was_given_to() -> None:
    at = Desk()

    report = await at.report()

    assert report == {
        "removed": False,
        "minSimilarity": pytest.approx(0.97),
        "userErrors": [],
    }
    assert at.store.entries["acme", SOURCE].min_similarity == report["minSimilarity"]
    right = await at.report(wrong=False)
    assert right["minSimilarity"] == pytest.approx(0.97)


async def test_an_identical_question_that_was_answered_wrongly_is_not_answered_so_again() -> None:
    at = Desk(domain.CacheVerdict(CacheOutcome.EXACT, "The very same.", source_id=SOURCE))

    assert await at.report() == {"removed": True, "minSimilarity": None, "userErrors": []}
    assert at.store.entries == {}


@pytest.mark.parametrize("id_", ["no id at all", str(uuid7())])
async def test_a_completion_that_there_is_not_cannot_be_reported(id_: str) -> None:
    report = await Desk().report(id_)
    assert report == {
        "removed": False,
        "minSimilarity": None,
        "userErrors": [{"code": "NOT_FOUND", "path": []}],
    }


async def test_another_persons_completion_looks_like_one_that_there_is_not() -> None:
    eve = Caller("acme", "eve", None, frozenset({Scope.COMPLETE}))
    report = await Desk().report(caller=eve)
    assert report["userErrors"] == [{"code": "NOT_FOUND", "path": []}]


async def test_what_a_model_answered_is_a_mistake_in_the_input() -> None:
    at = Desk(domain.CacheVerdict(CacheOutcome.MISS, "Nothing is near."))
    report = await at.report()
    assert report["userErrors"] == [{"code": "BAD_USER_INPUT", "path": ["completionId"]}]

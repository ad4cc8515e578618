"""What callers say of kept answers, and what becomes of those."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from assistant.domain.cache import (
    CachedAnswer,
    CacheEntry,
    CacheFigures,
    CacheKey,
    CacheOutcome,
    CacheSelection,
    CacheSettings,
    CacheVerdict,
    relaxed,
    tightened,
)
from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import Completion, CompletionStatus, Decision, FinishReason
from assistant.domain.prompt import Prompt
from assistant.domain.usage import UsagePeriod
from assistant.errors import BadUserInput, Forbidden, NotFound
from assistant.services.cache_reports import CacheReport, CacheReports
from assistant.services.periods import Periods
from assistant.services.prompts import Prompts
from tests.unit.fake_cache import FakeCacheStore, FakeCacheUpkeepStore
from tests.unit.fakes import ALICE, FakeClock, FakeTenantSettings
from tests.unit.prompt_stores import FakePromptStore

AUDITOR = Caller("acme", "audrey", None, frozenset({Scope.USAGE_READ}))
ADMIN = Caller("acme", "adam", None, frozenset({Scope.ADMIN}))
ASKED = b"a" * 32


@dataclass
class FakeVisible:
    """The completions that each user may see."""

    rows: dict[tuple[str | None, UUID], Completion] = field(default_factory=dict)

    async def find(self, caller: Caller, ids: Sequence[UUID]) -> Mapping[UUID, Completion]:
        return {
            id_: self.rows[caller.user_id, id_] for id_ in ids if (caller.user_id, id_) in self.rows
        }


class Desk:
    """The reports over stores in memory; ``entry`` is kept."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = FakeCacheStore(self.clock)
        self.upkeep = FakeCacheUpkeepStore(self.store)
        self.visible = FakeVisible()
        self.prompts = FakePromptStore()
        self.entry = self.keep()
        self.forgotten: list[str] = []
        self.reports = CacheReports(
            store=self.store,
            upkeep=self.upkeep,
            completions=self.visible,
            prompts=Prompts(self.prompts),
            periods=Periods(FakeTenantSettings(), self.clock),
            forget=self.forgotten.append,
        )

    def keep(self, tenant_id: str = "acme", **changes: Any) -> CacheEntry:
        now = self.clock.now()
        given = {
            "id": uuid7(),
            "key": CacheKey(tenant_id, bytes(32), b"s" * 32, "How far is Paris?"),
            "answer": CachedAnswer("Far.", FinishReason.STOP, "ollama/llama3.2:3b"),
            "created_at": now,
            "fresh_until": now + timedelta(minutes=4),
            "expires_at": now + timedelta(minutes=5),
        } | changes
        entry = CacheEntry(**given)
        self.store.entries[tenant_id, entry.id] = entry
        return entry

    def answered(self, outcome: CacheOutcome | None, **changes: Any) -> UUID:
        """A completion of Alice's that the cache said ``outcome`` to."""
        verdict = None
        if outcome is not None:
            similarity = 0.96 if outcome is CacheOutcome.SEMANTIC else None
            given = {
                "similarity": similarity,
                "source_id": self.entry.id,
                "wording": ASKED,
            } | changes
            verdict = CacheVerdict(outcome, "For a test.", **given)
        completion = Completion(
            uuid7(),
            ALICE,
            CompletionStatus.SUCCEEDED,
            self.clock.now(),
            "ollama/llama3.2:3b",
            decision=Decision(cache=verdict),
        )
        self.visible.rows["alice", completion.id] = completion
        return completion.id

    async def said(self, id_: UUID, *, wrong: bool = True) -> CacheReport:
        return await self.reports.report(ALICE, id_, wrong=wrong)

    @property
    def kept(self) -> CacheEntry | None:
        return self.store.entries.get(("acme", self.entry.id))


@pytest.fixture
def at() -> Desk:
    return Desk()


# ------------------------------------------------------------------ thresholds


def test_after_a_wrong_hit_the_next_one_must_be_clearly_nearer() -> None:
    assert tightened(0.95, 0.96) == pytest.approx(0.97)
    assert tightened(0.99, 0.96) == 0.99
    # As near as can be and yet wrong: nothing else is near enough.
    assert tightened(0.95, 1.0) > 1


def test_a_right_hit_takes_back_a_fifth_of_what_a_wrong_one_did() -> None:
    limit = tightened(0.95, 0.95)
    for _ in range(4):
        limit = relaxed(limit, 0.95)
        assert limit > 0.95
    assert relaxed(limit, 0.95) == pytest.approx(0.95)


def test_right_hits_never_make_an_entry_laxer_than_its_prompt() -> None:
    assert relaxed(0.95, 0.95) == 0.95
    assert relaxed(0.951, 0.95) == 0.95
    # The prompt has become stricter since.
    assert relaxed(0.95, 0.97) == 0.97


# ------------------------------------------------------------------ wrong answers


@pytest.mark.parametrize("outcome", [CacheOutcome.EXACT, CacheOutcome.COALESCED])
async def test_a_wrong_answer_to_the_very_same_question_is_removed_and_all_hear_of_it(
    at: Desk, outcome: CacheOutcome
) -> None:
    heard: list[tuple[str, bytes | None]] = []
    at.store.listeners.append(lambda *what: heard.append(what))
    id_ = at.answered(outcome)

    assert await at.said(id_) == CacheReport(removed=True)

    assert at.kept is None
    assert heard == [("acme", at.entry.key.exact)]
    # Who says it again finds nothing to remove.
    assert await at.said(id_) == CacheReport(removed=False)


async def test_a_wrong_answer_to_another_question_is_kept_and_never_given_to_that_one_again(
    at: Desk,
) -> None:
    id_ = at.answered(CacheOutcome.SEMANTIC)

    report = await at.said(id_)

    assert report == CacheReport(min_similarity=pytest.approx(0.97))
    assert at.kept is not None
    assert (at.kept.min_similarity, at.kept.rejected) == (report.min_similarity, (ASKED,))
    assert await at.said(id_) == report
    assert (at.kept.min_similarity, at.kept.rejected) == (report.min_similarity, (ASKED,))


async def test_an_older_record_of_a_hit_has_no_wording_and_tightens_all_the_same(at: Desk) -> None:
    await at.said(at.answered(CacheOutcome.SEMANTIC, wording=None))

    assert at.kept is not None
    assert (at.kept.min_similarity, at.kept.rejected) == (pytest.approx(0.97), ())


# ------------------------------------------------------------------ right answers


async def test_a_right_answer_to_another_question_takes_back_what_wrong_ones_did(at: Desk) -> None:
    await at.said(at.answered(CacheOutcome.SEMANTIC))

    report = await at.said(at.answered(CacheOutcome.SEMANTIC, similarity=0.98), wrong=False)

    assert report == CacheReport(min_similarity=pytest.approx(0.968))
    assert at.kept is not None
    # What was wrong stays wrong.
    assert (at.kept.min_similarity, at.kept.rejected) == (report.min_similarity, (ASKED,))


async def test_an_entry_that_was_never_wrong_is_not_written_to_for_being_right(at: Desk) -> None:
    report = await at.said(at.answered(CacheOutcome.SEMANTIC), wrong=False)

    assert report == CacheReport(min_similarity=0.95)
    assert "judge" not in at.store.calls


@pytest.mark.parametrize(("name", "least"), [("faq", 0.9), ("gone", 0.95)])
async def test_right_answers_go_down_to_what_the_prompt_says_now(
    at: Desk, name: str, least: float
) -> None:
    now = at.clock.now()
    prompt = Prompt(
        uuid7(), "acme", "faq", None, "c", (), None, False, None, now, now,
        cache=CacheSettings(min_similarity=0.9),
    )  # fmt: skip
    at.prompts.prompts[prompt.id] = prompt
    at.entry = at.keep(prompt_name=name, min_similarity=least + 0.001)

    report = await at.said(at.answered(CacheOutcome.SEMANTIC), wrong=False)

    assert report == CacheReport(min_similarity=least)


async def test_a_right_answer_to_the_very_same_question_changes_nothing(at: Desk) -> None:
    for outcome in (CacheOutcome.EXACT, CacheOutcome.COALESCED):
        assert await at.said(at.answered(outcome), wrong=False) == CacheReport()
    assert at.kept == at.entry
    assert at.store.calls == []


# ------------------------------------------------------------------ what there is nothing to say of


@pytest.mark.parametrize("outcome", [None, CacheOutcome.MISS, CacheOutcome.BYPASSED])
async def test_what_a_model_answered_cannot_be_reported(
    at: Desk, outcome: CacheOutcome | None
) -> None:
    with pytest.raises(BadUserInput, match="did not come from the cache") as refused:
        await at.said(at.answered(outcome))
    assert refused.value.path == ("completionId",)
    assert at.kept == at.entry


@pytest.mark.parametrize("wrong", [True, False])
@pytest.mark.parametrize("outcome", [CacheOutcome.EXACT, CacheOutcome.SEMANTIC])
async def test_an_answer_that_is_not_kept_any_more_is_no_error(
    at: Desk, outcome: CacheOutcome, wrong: bool
) -> None:
    expired, unknown = at.answered(outcome), at.answered(outcome, source_id=None)
    del at.store.entries["acme", at.entry.id]

    assert await at.said(expired, wrong=wrong) == CacheReport()
    assert await at.said(unknown, wrong=wrong) == CacheReport()


async def test_what_others_were_answered_is_not_theirs_to_judge(at: Desk) -> None:
    id_ = at.answered(CacheOutcome.EXACT)
    eve = Caller("acme", "eve", None, frozenset({Scope.COMPLETE}))

    for caller, completion_id in ((eve, id_), (ALICE, uuid7())):
        with pytest.raises(NotFound):
            await at.reports.report(caller, completion_id, wrong=True)
    with pytest.raises(Forbidden):
        await at.reports.report(AUDITOR, id_, wrong=True)
    assert at.kept == at.entry


async def test_an_entry_of_another_tenant_is_out_of_reach_whatever_a_record_says(at: Desk) -> None:
    foreign = at.keep("globex")

    for outcome in (CacheOutcome.EXACT, CacheOutcome.SEMANTIC):
        assert await at.said(at.answered(outcome, source_id=foreign.id)) == CacheReport()
    assert at.store.entries["globex", foreign.id] == foreign


# ------------------------------------------------------------------ figures, clearing


async def test_figures_are_those_of_the_callers_tenant_in_the_window(at: Desk) -> None:
    at.keep("globex")
    at.upkeep.told["acme"] = CacheFigures(exact_hits=3, semantic_hits=1, misses=4)

    window, figures = await at.reports.statistics(AUDITOR, UsagePeriod.LAST_24_HOURS)

    assert (window.start, window.end) == (at.clock.now() - timedelta(hours=24), at.clock.now())
    assert at.upkeep.windows == [window]
    assert (figures.entries, figures.lookups, figures.hit_rate) == (1, 8, 0.5)
    with pytest.raises(Forbidden):
        await at.reports.statistics(ALICE, UsagePeriod.TODAY)


async def test_only_administrators_clear_and_only_their_own_tenants_cache(at: Desk) -> None:
    at.keep("globex")
    at.keep(prompt_name="faq")
    for caller in (ALICE, AUDITOR):
        with pytest.raises(Forbidden):
            await at.reports.clear(caller, CacheSelection())

    assert await at.reports.clear(ADMIN, CacheSelection(prompt_name="faq")) == 1
    assert await at.reports.clear(ADMIN, CacheSelection(model="openai/gpt")) == 0
    assert await at.reports.clear(ADMIN, CacheSelection(older_than=at.clock.now())) == 0
    assert await at.reports.clear(ADMIN, CacheSelection()) == 1
    assert [tenant_id for tenant_id, _ in at.store.entries] == ["globex"]


@pytest.mark.parametrize(
    ("selection", "path"),
    [(CacheSelection(prompt_name="\x00"), "promptName"), (CacheSelection(model="\ud800"), "model")],
)
async def test_what_no_entry_can_have_is_refused(
    at: Desk, selection: CacheSelection, path: str
) -> None:
    with pytest.raises(BadUserInput) as refused:
        await at.reports.clear(ADMIN, selection)
    assert refused.value.path == (path,)


async def test_a_hit_that_was_called_wrong_cannot_be_called_right_again(at: Desk) -> None:
    """It would be none any more: whoever takes it back has no say for those who met it since."""
    hit = at.answered(CacheOutcome.SEMANTIC, similarity=0.96)
    await at.said(hit)

    report = await at.said(hit, wrong=False)

    assert report.min_similarity == pytest.approx(0.97)
    assert at.kept is not None
    assert at.kept.min_similarity == pytest.approx(0.97)

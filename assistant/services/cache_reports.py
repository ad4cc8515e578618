"""What the cache did, what is removed from it, and what callers say of its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from assistant.domain.cache import (
    DEFAULT_MIN_SIMILARITY,
    CacheEntry,
    CacheFigures,
    CacheOutcome,
    CacheSelection,
    CacheVerdict,
    relaxed,
    tightened,
)
from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import Completion
from assistant.domain.ports import CacheStore, CacheUpkeepStore
from assistant.domain.usage import UsagePeriod, UsageWindow
from assistant.domain.values import check_text
from assistant.errors import BadUserInput, NotFound
from assistant.services.periods import Periods
from assistant.services.prompts import Prompts


class VisibleCompletions(Protocol):
    """Completions as far as a caller may see them."""

    async def find(self, caller: Caller, ids: Sequence[UUID]) -> Mapping[UUID, Completion]:
        """Those of ``ids`` that the caller may see."""
        ...


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What became of a kept answer that somebody judged.

    ``min_similarity`` is from which on it answers by meaning from now on; None where that has
    nothing to do with it, or where it is not kept any more.
    """

    removed: bool = False
    min_similarity: float | None = None


class CacheReports:
    """What those who use the cache see and say of it."""

    def __init__(
        self,
        *,
        store: CacheStore,
        upkeep: CacheUpkeepStore,
        completions: VisibleCompletions,
        prompts: Prompts,
        periods: Periods,
        forget: Callable[[str], None],
    ) -> None:
        """``forget`` is told the tenant of what was changed, before other replicas hear of it."""
        self._store = store
        self._upkeep = upkeep
        self._completions = completions
        self._prompts = prompts
        self._periods = periods
        self._forget = forget

    async def statistics(
        self, caller: Caller, period: UsagePeriod
    ) -> tuple[UsageWindow, CacheFigures]:
        """What the cache did for the caller's tenant, and in which window. Raises Forbidden."""
        caller.require(Scope.USAGE_READ)
        window = await self._periods.window(caller.tenant_id, period)
        return window, await self._upkeep.figures(caller.tenant_id, window)

    async def clear(self, caller: Caller, selection: CacheSelection) -> int:
        """Remove what is selected of the caller's tenant; how many answers that were.

        Raises: Forbidden, BadUserInput.
        """
        caller.require(Scope.ADMIN)
        for name, value in (("promptName", selection.prompt_name), ("model", selection.model)):
            if value is not None:
                check_text(value, (name,))
        cleared = await self._store.clear(caller.tenant_id, selection)
        self._forget(caller.tenant_id)
        return cleared

    async def report(self, caller: Caller, completion_id: UUID, *, wrong: bool) -> CacheReport:
        """Learn whether what the cache answered to a completion was right.

        A wrong answer to the very same question is removed. A wrong one to another question is
        kept, but never given to that question again, nor to one that is as far from it or farther.
        Right ones take that back step by step.

        Raises: Forbidden, NotFound; BadUserInput where a model answered.
        """
        caller.require(Scope.COMPLETE)
        found = await self._completions.find(caller, [completion_id])
        if completion_id not in found:
            raise NotFound(
                "There is no completion of this id, or it is somebody else's. Give the `id` of an "
                "answer of yours."
            )
        verdict = found[completion_id].decision.cache
        if verdict is None or not verdict.outcome.is_hit:
            raise BadUserInput(
                "The answer to this completion did not come from the cache; its `cache` says "
                "EXACT, SEMANTIC or COALESCED where one did. For a new answer in place of one that "
                "a model gave, ask again with `cache: REFRESH`.",
                path=("completionId",),
            )
        if verdict.source_id is None:
            return CacheReport()
        if verdict.outcome is CacheOutcome.SEMANTIC:
            return await self._judge(caller.tenant_id, verdict.source_id, verdict, wrong=wrong)
        removed = wrong and await self._store.remove(caller.tenant_id, verdict.source_id)
        self._forget(caller.tenant_id)
        return CacheReport(removed=removed)

    async def _judge(
        self, tenant_id: str, entry_id: UUID, verdict: CacheVerdict, *, wrong: bool
    ) -> CacheReport:
        entry = await self._store.get_entry(tenant_id, entry_id)
        if entry is None or verdict.similarity is None:
            return CacheReport()
        if wrong:
            limit = tightened(entry.min_similarity, verdict.similarity)
            await self._store.judge(tenant_id, entry.id, limit, verdict.wording)
            return CacheReport(min_similarity=limit)
        limit = relaxed(entry.min_similarity, await self._usual(tenant_id, entry))
        # A hit that would be none any more says nothing: somebody has called it wrong.
        if verdict.similarity < entry.min_similarity:
            limit = entry.min_similarity
        if limit != entry.min_similarity:
            await self._store.judge(tenant_id, entry.id, limit)
        return CacheReport(min_similarity=limit)

    async def _usual(self, tenant_id: str, entry: CacheEntry) -> float:
        """From which similarity on answers to the entry's prompt are given."""
        if entry.prompt_name is None:
            return DEFAULT_MIN_SIMILARITY
        found = (await self._prompts.by_name(tenant_id, [entry.prompt_name])).get(entry.prompt_name)
        return found.cache.min_similarity if found else DEFAULT_MIN_SIMILARITY

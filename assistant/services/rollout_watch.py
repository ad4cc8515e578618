"""New versions that do worse than the published one are taken back, without anybody's doing."""

from __future__ import annotations

import asyncio
from uuid import UUID

import structlog

from assistant.domain.ports import Clock, ReleaseStore, Telemetry, WatchedVersion
from assistant.domain.prompt import Prompt
from assistant.domain.rollout import PromptRelease, ReleaseKind, Rollout, breach
from assistant.errors import StorageUnavailable
from assistant.services.prompts import Prompts

log = structlog.get_logger(__name__)


class RolloutWatch:
    """Looks after every rollout that runs, of all tenants.

    Every replica does; the database lets only one of them take a version back.
    """

    def __init__(
        self,
        *,
        store: ReleaseStore,
        prompts: Prompts,
        clock: Clock,
        telemetry: Telemetry,
        interval_s: float,
    ) -> None:
        self._store = store
        self._prompts = prompts
        self._clock = clock
        self._telemetry = telemetry
        self._interval_s = interval_s

    async def watch(self) -> None:
        """Check again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.check()
            except StorageUnavailable as error:
                log.warning("rollouts_not_checked", reason=error.message)

    async def check(self) -> None:
        """Take back every version that is worse than its rollout allows.

        What cannot be checked now is left for the next time. Raises StorageUnavailable where
        nothing can.
        """
        reasons: list[str] = []
        for tenant_id, prompt_id in await self._store.list_rollouts():
            try:
                await self._check(tenant_id, prompt_id)
            except StorageUnavailable as error:
                reasons.append(error.message)
        if reasons:
            log.warning("rollouts_not_checked", rollouts=len(reasons), reason=reasons[0])

    async def _check(self, tenant_id: str, prompt_id: UUID) -> None:
        watched = await self._store.watch_rollout(tenant_id, prompt_id)
        if watched is None:
            return
        prompt, versions = watched
        rollout = prompt.rollout
        assert rollout is not None  # it is what makes a prompt watched
        published = next(version for version in versions if version.is_published)
        for version in versions:
            if version.is_published:
                continue
            reason = breach(rollout.guard, published.figures, version.figures)
            if reason is not None:
                await self._take_back(prompt, rollout, version, published, reason)
                return  # the next look finds the others, compared anew

    async def _take_back(
        self,
        prompt: Prompt,
        rollout: Rollout,
        version: WatchedVersion,
        published: WatchedVersion,
        reason: str,
    ) -> None:
        weights = dict(rollout.weights)
        weights[published.number] = weights.get(published.number, 0) + weights.pop(version.number)
        release = PromptRelease(
            id=self._clock.new_id(),
            prompt_id=prompt.id,
            at=self._clock.now(),
            kind=ReleaseKind.ROLLED_BACK,
            weights=weights,
            reason=f"Version {version.number} was taken back: {reason}.",
        )
        if await self._store.roll_back(prompt, version.number, release):
            self._prompts.forget(prompt.tenant_id)
            self._telemetry.version_taken_back(prompt.name)
            log.warning(
                "version_taken_back",
                tenant_id=prompt.tenant_id,
                prompt_name=prompt.name,
                version=version.number,
                reason=reason,
            )

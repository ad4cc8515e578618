"""Which versions of a prompt callers get: publishing, gradual rollout, and the history of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from assistant.domain.caller import Caller, Scope
from assistant.domain.ports import Clock, ReleaseStore
from assistant.domain.prompt import Prompt, PromptVersion
from assistant.domain.rollout import (
    POINTS,
    PromptRelease,
    ReleaseKind,
    Rollout,
    RolloutGuard,
    with_weights,
)
from assistant.errors import BadUserInput, NotFound
from assistant.services.prompt_checks import check_all, check_guard, check_reason, check_shares
from assistant.services.prompts import Prompts


class ReleaseGate(Protocol):
    """Says which versions may be given to callers for the first time."""

    async def require_passed(self, tenant_id: str, prompt: Prompt, version: PromptVersion) -> None:
        """Let a version pass whose tests have. Raises BadUserInput, saying which have not."""
        ...


class PromptReleases:
    """What those who publish prompts do. Callers need ``assistant:prompts:write``.

    A version that callers never got is published only after its tests have passed, where its
    prompt asks for that. One that they did get may be published again at any time: a way back is
    never held up.
    """

    def __init__(
        self, *, store: ReleaseStore, prompts: Prompts, tests: ReleaseGate, clock: Clock
    ) -> None:
        self._store = store
        self._prompts = prompts
        self._tests = tests
        self._clock = clock

    async def publish(
        self, caller: Caller, name: str, number: int, *, expected: int | None, reason: str | None
    ) -> tuple[Prompt, PromptVersion]:
        """Give every caller version ``number``; a rollout ends.

        ``expected`` is the number of the version that the caller believes to be published now, 0
        for none; None does not care.

        Raises: Forbidden, NotFound, BadUserInput; Conflict where another one than ``expected`` is
        published.
        """
        caller.require(Scope.PROMPTS_WRITE)
        check_reason(reason)
        prompt = await self._changeable(caller, name)
        version = (await self._versions(prompt, [number])).get(number)
        if version is None:
            raise NotFound(f"{name} has no version {number}. `versions` of the prompt lists them.")
        await self._require_tested(caller, prompt, [(("version",), version)])
        release = self._release(caller, prompt, ReleaseKind.PUBLISHED, {number: POINTS}, reason)
        await self._store.publish(prompt.tenant_id, version, expected, release)
        return await self._as_it_is_now(prompt, number)

    async def set_rollout(
        self,
        caller: Caller,
        name: str,
        shares: Sequence[tuple[int, int]],
        *,
        guard: RolloutGuard | None,
        reason: str | None,
    ) -> Prompt:
        """Split callers between versions: ``shares`` are (number, percent), 100 in all.

        As few callers as can be change their version. ``guard`` says when a version is taken back;
        None leaves it as it is, at first the default. All to the published version ends the rollout.

        Raises: Forbidden, NotFound, BadUserInput; Conflict where somebody else has changed who
        gets what meanwhile.
        """
        caller.require(Scope.PROMPTS_WRITE)
        prompt = await self._changeable(caller, name)
        numbers = [number for number, _ in shares]
        versions = await self._versions(prompt, numbers)
        published = await self._published(prompt)
        running = prompt.rollout
        guard = guard or (running.guard if running else RolloutGuard())
        check_all(
            lambda: check_reason(reason),
            lambda: check_shares(shares, published.version, versions),
            lambda: check_guard(guard),
        )
        shared = [
            (("shares", str(index), "version"), versions[number])
            for index, number in enumerate(numbers)
        ]
        await self._require_tested(caller, prompt, shared)
        weights = dict(shares)
        release = self._release(caller, prompt, ReleaseKind.ROLLOUT, weights, reason)
        points = running.points if running else (published.version,) * POINTS
        rollout = Rollout(with_weights(points, weights), self._clock.now(), guard)
        await self._store.set_rollout(prompt, rollout, release)
        changed, _ = await self._as_it_is_now(prompt, published.version)
        return changed

    async def list_releases(
        self, tenant_id: str, prompt_ids: Sequence[UUID], first: int, before: UUID | None
    ) -> Mapping[UUID, Sequence[PromptRelease]]:
        """Each prompt's history, newest first; one statement."""
        return await self._store.list_releases(tenant_id, prompt_ids, first, before)

    async def _changeable(self, caller: Caller, name: str) -> Prompt:
        prompt = await self._prompts.get_changeable(caller, name)
        if prompt.is_archived:
            raise BadUserInput(
                f"{prompt.name} is archived. Bring it back first: updatePrompt with isArchived false.",
                path=("promptName",),
            )
        return prompt

    async def _versions(
        self, prompt: Prompt, numbers: Sequence[int]
    ) -> Mapping[int, PromptVersion]:
        keys = [(prompt.id, number) for number in numbers if 0 < number < 2**31]
        found = await self._prompts.versions_by_number(prompt.tenant_id, keys)
        return {number: version for (_, number), version in found.items()}

    async def _published(self, prompt: Prompt) -> PromptVersion:
        id_ = prompt.published_version_id
        if id_ is None:
            raise BadUserInput(
                f"{prompt.name} has no published version to compare others with. Publish one first.",
                path=("promptName",),
            )
        return (await self._prompts.versions_by_id(prompt.tenant_id, [id_]))[id_]

    async def _require_tested(
        self,
        caller: Caller,
        prompt: Prompt,
        versions: Sequence[tuple[tuple[str, ...], PromptVersion]],
    ) -> None:
        """Let ``versions`` pass, each named by a field of the input; all must."""
        if not prompt.publish_requires_tests:
            return
        problems: list[BadUserInput] = []
        for path, version in versions:
            if version.published_at is not None:
                continue
            try:
                await self._tests.require_passed(caller.tenant_id, prompt, version)
            except BadUserInput as problem:
                problems += [BadUserInput(each.message, path=path) for each in problem.every]
        if problems:
            raise BadUserInput.joined(problems)

    async def _as_it_is_now(self, prompt: Prompt, number: int) -> tuple[Prompt, PromptVersion]:
        self._prompts.forget(prompt.tenant_id)
        prompts = await self._prompts.by_id(prompt.tenant_id, [prompt.id])
        return prompts[prompt.id], (await self._versions(prompt, [number]))[number]

    def _release(
        self,
        caller: Caller,
        prompt: Prompt,
        kind: ReleaseKind,
        weights: Mapping[int, int],
        reason: str | None,
    ) -> PromptRelease:
        return PromptRelease(
            id=self._clock.new_id(),
            prompt_id=prompt.id,
            at=self._clock.now(),
            kind=kind,
            weights=weights,
            user_id=caller.user_id,
            service_id=caller.service_id,
            reason=reason,
        )

"""Prompts in memory: hand-written stores that refuse what the database refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.ports import WatchedVersion
from assistant.domain.prompt import (
    Prompt,
    PromptChanges,
    PromptQuery,
    PromptVersion,
    PromptVersionStatus,
    ServedPrompt,
)
from assistant.domain.rollout import PromptRelease, ReleaseFigures, Rollout
from assistant.errors import BadUserInput, Conflict, StorageUnavailable


@dataclass
class FakePromptStore:
    """Prompts and versions by id, as a PromptStore; ``asked`` are the methods called, in order."""

    prompts: dict[UUID, Prompt] = field(default_factory=dict)
    versions: dict[UUID, PromptVersion] = field(default_factory=dict)
    releases: list[tuple[str, PromptRelease]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    is_away: bool = False

    def hear(self, method: str) -> None:
        self.asked.append(method)
        if self.is_away:
            raise StorageUnavailable("The database cannot be reached.")

    def visible(self, tenant_id: str) -> dict[str, Prompt]:
        """By name; a tenant's own hides the platform's, archived or not."""
        owned = [
            {prompt.name: prompt for prompt in self.prompts.values() if prompt.tenant_id == owner}
            for owner in (PLATFORM_TENANT, tenant_id)
        ]
        return owned[0] | owned[1]

    def of(self, prompt_id: UUID) -> dict[int, PromptVersion]:
        """The versions of a prompt by number, the oldest first."""
        found = [version for version in self.versions.values() if version.prompt_id == prompt_id]
        return {version.version: version for version in sorted(found, key=lambda v: v.version)}

    def published_number(self, prompt: Prompt) -> int | None:
        id_ = prompt.published_version_id
        return None if id_ is None else self.versions[id_].version

    async def find_served(self, tenant_id: str, name: str) -> ServedPrompt | None:
        self.hear("find_served")
        prompt = self.visible(tenant_id).get(name)
        if prompt is not None and not prompt.is_archived and prompt.published_version_id is None:
            prompt = self.visible(PLATFORM_TENANT).get(name)
        if prompt is None or prompt.is_archived:
            return None
        published = self.published_number(prompt)
        numbers = set(prompt.rollout.points if prompt.rollout else ())
        numbers |= set() if published is None else {published}
        served = {n: version for n, version in self.of(prompt.id).items() if n in numbers}
        return ServedPrompt(prompt, published, served) if served else None

    async def find_version(
        self, tenant_id: str, name: str, number: int
    ) -> tuple[Prompt, PromptVersion] | None:
        self.hear("find_version")
        prompt = self.visible(tenant_id).get(name)
        if prompt is None or prompt.is_archived or number not in self.of(prompt.id):
            return None
        return prompt, self.of(prompt.id)[number]

    async def prompts_by_id(self, tenant_id: str, ids: Sequence[UUID]) -> Mapping[UUID, Prompt]:
        self.hear("prompts_by_id")
        return {id_: self.prompts[id_] for id_ in ids if self._may_read(tenant_id, id_)}

    async def prompts_by_name(self, tenant_id: str, names: Sequence[str]) -> Mapping[str, Prompt]:
        self.hear("prompts_by_name")
        visible = self.visible(tenant_id)
        return {name: visible[name] for name in names if name in visible}

    async def versions_by_id(
        self, tenant_id: str, ids: Sequence[UUID]
    ) -> Mapping[UUID, PromptVersion]:
        self.hear("versions_by_id")
        found = {id_: self.versions[id_] for id_ in ids if id_ in self.versions}
        return {id_: v for id_, v in found.items() if self._may_read(tenant_id, v.prompt_id)}

    async def versions_by_number(
        self, tenant_id: str, keys: Sequence[tuple[UUID, int]]
    ) -> Mapping[tuple[UUID, int], PromptVersion]:
        self.hear("versions_by_number")
        assert all(0 <= number < 2**31 for _, number in keys)  # the database has no others
        return {
            (prompt_id, number): self.of(prompt_id)[number]
            for prompt_id, number in keys
            if self._may_read(tenant_id, prompt_id) and number in self.of(prompt_id)
        }

    async def list_versions(
        self, tenant_id: str, prompt_ids: Sequence[UUID], first: int, before: int | None
    ) -> Mapping[UUID, Sequence[PromptVersion]]:
        self.hear("list_versions")
        return {
            id_: [v for n, v in reversed(self.of(id_).items()) if before is None or n < before][
                :first
            ]
            for id_ in prompt_ids
            if self._may_read(tenant_id, id_)
        }

    async def list_prompts(self, tenant_id: str, query: PromptQuery) -> Sequence[Prompt]:
        self.hear("list_prompts")
        found = sorted(self.visible(tenant_id).values(), key=lambda prompt: prompt.name)
        return [p for p in found if query.include_archived or not p.is_archived][: query.first]

    def _may_read(self, tenant_id: str, prompt_id: UUID) -> bool:
        prompt = self.prompts.get(prompt_id)
        return prompt is not None and prompt.tenant_id in (tenant_id, PLATFORM_TENANT)


@dataclass
class FakePromptChanges:
    """A PromptChangeStore over the same rows; ``most`` of any kind where ``is_full``."""

    rows: FakePromptStore
    is_full: bool = False

    async def add_prompt(
        self, prompt: Prompt, first: PromptVersion, release: PromptRelease | None, most: int
    ) -> bool:
        self.rows.hear("add_prompt")
        if any(_key(other) == _key(prompt) for other in self.rows.prompts.values()):
            raise Conflict(f"There is a prompt named '{prompt.name}' already.")
        if self.is_full:
            return False
        if release is not None:
            first = replace(first, status=PromptVersionStatus.PUBLISHED, published_at=release.at)
            self.rows.releases.append((prompt.tenant_id, release))
        self.rows.prompts[prompt.id] = prompt
        self.rows.versions[first.id] = first
        return True

    async def update_prompt(
        self, tenant_id: str, id_: UUID, changes: PromptChanges, at: datetime
    ) -> Prompt | None:
        self.rows.hear("update_prompt")
        prompt = self.rows.prompts.get(id_)
        if prompt is None or prompt.tenant_id != tenant_id:
            return None
        cache = replace(prompt.cache, **changes.get("cache", {}))
        changed = replace(prompt, **(changes | {"cache": cache}))
        self.rows.prompts[id_] = replace(changed, updated_at=at)
        return self.rows.prompts[id_]

    async def add_version(
        self, tenant_id: str, version: PromptVersion, most: int
    ) -> PromptVersion | None:
        self.rows.hear("add_version")
        assert self.rows.prompts[version.prompt_id].tenant_id == tenant_id
        if self.is_full:
            return None
        added = replace(version, version=max(self.rows.of(version.prompt_id)) + 1)
        self.rows.versions[added.id] = added
        return added


@dataclass
class FakeReleases:
    """A ReleaseStore over the same rows.

    ``totals`` are what versions, by prompt and number, have done since they exist; ``broken`` are
    prompts that cannot be read. ``meanwhile`` is what another replica does just before a version
    is taken back.
    """

    rows: FakePromptStore
    totals: dict[tuple[UUID, int], ReleaseFigures] = field(default_factory=dict)
    since: dict[tuple[UUID, int], ReleaseFigures] = field(default_factory=dict)
    broken: set[UUID] = field(default_factory=set)
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def publish(
        self, tenant_id: str, version: PromptVersion, expected: int | None, release: PromptRelease
    ) -> None:
        self.rows.hear("publish")
        prompt = self.rows.prompts[version.prompt_id]
        assert prompt.tenant_id == tenant_id
        if expected is not None and expected != (self.rows.published_number(prompt) or 0):
            raise Conflict("Another version is published now.")
        self._serve(replace(prompt, rollout=None, published_version_id=version.id), release)

    async def set_rollout(self, prompt: Prompt, rollout: Rollout, release: PromptRelease) -> None:
        self.rows.hear("set_rollout")
        if not self._is_as_read(prompt):
            raise Conflict("Somebody else has changed which versions callers get.")
        alone = len(rollout.weights) == 1
        self._serve(
            replace(self.rows.prompts[prompt.id], rollout=None if alone else rollout), release
        )

    async def roll_back(self, prompt: Prompt, number: int, release: PromptRelease) -> bool:
        self.rows.hear("roll_back")
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        found = self.rows.prompts[prompt.id]
        published = self.rows.published_number(found)
        if found.rollout is None or published is None or not self._is_as_read(prompt):
            return False
        points = tuple(published if n == number else n for n in found.rollout.points)
        rollout = Rollout(points, release.at, found.rollout.guard)
        self._serve(
            replace(found, rollout=None if set(points) == {published} else rollout), release
        )
        return True

    async def list_rollouts(self) -> Sequence[tuple[str, UUID]]:
        self.rows.hear("list_rollouts")
        return [(p.tenant_id, p.id) for p in self.rows.prompts.values() if p.rollout]

    async def watch_rollout(
        self, tenant_id: str, prompt_id: UUID
    ) -> tuple[Prompt, Sequence[WatchedVersion]] | None:
        self.rows.hear("watch_rollout")
        if prompt_id in self.broken:
            raise StorageUnavailable("It took too long.")
        prompt = self.rows.prompts[prompt_id]
        if prompt.rollout is None:
            return None
        published = self.rows.published_number(prompt)
        return prompt, [
            WatchedVersion(
                number,
                number == published,
                self._total(prompt_id, number).since(self.since[prompt_id, number]),
            )
            for number in prompt.rollout.weights
        ]

    async def list_releases(
        self, tenant_id: str, prompt_ids: Sequence[UUID], first: int, before: UUID | None
    ) -> Mapping[UUID, Sequence[PromptRelease]]:
        self.rows.hear("list_releases")
        seen = [
            release
            for owner, release in reversed(self.rows.releases)
            if owner in (tenant_id, PLATFORM_TENANT) and (before is None or release.id < before)
        ]
        return {id_: [r for r in seen if r.prompt_id == id_][:first] for id_ in prompt_ids}

    def _total(self, prompt_id: UUID, number: int) -> ReleaseFigures:
        return self.totals.get((prompt_id, number), ReleaseFigures())

    def _is_as_read(self, prompt: Prompt) -> bool:
        found = self.rows.prompts[prompt.id]
        return (found.published_version_id, found.rollout) == (
            prompt.published_version_id,
            prompt.rollout,
        )

    def _serve(self, prompt: Prompt, release: PromptRelease) -> None:
        """Let callers get what ``prompt`` says from now on, and count anew what it does."""
        self.rows.prompts[prompt.id] = replace(prompt, updated_at=release.at)
        self.rows.releases.append((prompt.tenant_id, release))
        numbers = set(prompt.rollout.points if prompt.rollout else ())
        numbers.add(self.rows.published_number(prompt) or 0)
        for number, version in self.rows.of(prompt.id).items():
            self.since[prompt.id, number] = self._total(prompt.id, number)
            if number in numbers:
                self.rows.versions[version.id] = replace(
                    version,
                    status=PromptVersionStatus.PUBLISHED,
                    published_at=version.published_at or release.at,
                )
            elif version.status is PromptVersionStatus.PUBLISHED:
                self.rows.versions[version.id] = replace(
                    version, status=PromptVersionStatus.ARCHIVED
                )


@dataclass
class FakeGate:
    """A ReleaseGate: versions by id whose tests have passed, and those that it was asked about."""

    passed: set[UUID] = field(default_factory=set)
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def require_passed(self, tenant_id: str, prompt: Prompt, version: PromptVersion) -> None:
        self.asked.append((tenant_id, version.version))
        if version.id not in self.passed:
            raise BadUserInput(
                f"The tests of version {version.version} have not passed.", path=("version",)
            )


def _key(prompt: Prompt) -> tuple[str, str]:
    return prompt.tenant_id, prompt.name

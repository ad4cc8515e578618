"""Changes to what prompts say: new prompts, new versions, what describes them.

A tenant changes its own prompts. What it has under a name hides what the platform has under it;
only the operator may change the platform's. What a version says never changes: the texts that its
templates include are found when it is made, and kept with it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from assistant.domain.caller import Caller, Scope
from assistant.domain.ports import Clock, ModelCatalog, PromptChangeStore
from assistant.domain.prompt import (
    Prompt,
    PromptChanges,
    PromptDraft,
    PromptPartial,
    PromptVersion,
    VersionDraft,
)
from assistant.domain.rollout import POINTS, PromptRelease, ReleaseKind
from assistant.errors import BadUserInput, NotFound
from assistant.services.catalog_checks import no_room, not_yours
from assistant.services.models import Models
from assistant.services.prompt_checks import (
    check_all,
    check_cache,
    check_category,
    check_description,
    check_prompt_name,
    check_tags,
    check_version,
)
from assistant.services.prompt_partials import check_no_circle, find_partials
from assistant.services.prompts import Prompts

MAX_PROMPTS = 5_000
MAX_VERSIONS = 1_000


class PromptAuthoring:
    """What those who write prompts do. Callers need ``assistant:prompts:write``."""

    def __init__(
        self, *, store: PromptChangeStore, prompts: Prompts, models: Models, clock: Clock
    ) -> None:
        self._store = store
        self._prompts = prompts
        self._models = models
        self._clock = clock

    async def create(self, caller: Caller, draft: PromptDraft, *, publish: bool) -> Prompt:
        """Add a prompt of the tenant's own with its first version, published at once or a draft.

        Raises: Forbidden, BadUserInput; Conflict for a name that the tenant has, also where that
        prompt is archived.
        """
        caller.require(Scope.PROMPTS_WRITE)
        partials = await find_partials(self._prompts, caller.tenant_id, draft.version)
        catalog = await self._models.catalog(caller.tenant_id)
        check_all(
            lambda: check_prompt_name(draft.name),
            lambda: check_category(draft.category),
            lambda: check_description(draft.description),
            lambda: check_tags(draft.tags),
            lambda: check_cache(draft.cache),
            lambda: _check_publishable(draft, publish),
            lambda: _check_first(draft, partials, catalog),
        )
        at, id_ = self._clock.now(), self._clock.new_id()
        version = self._version(caller, id_, draft.version, partials)
        prompt = Prompt(
            id=id_,
            tenant_id=caller.tenant_id,
            name=draft.name,
            description=draft.description,
            category=draft.category,
            tags=draft.tags,
            published_version_id=version.id if publish else None,
            is_archived=False,
            created_by=caller.user_id,
            created_at=at,
            updated_at=at,
            publish_requires_tests=draft.publish_requires_tests,
            cache=draft.cache,
        )
        release = self._first_release(caller, prompt, at) if publish else None
        if not await self._store.add_prompt(prompt, version, release, MAX_PROMPTS):
            raise no_room("prompts", MAX_PROMPTS)
        self._prompts.forget(caller.tenant_id)
        return prompt

    async def update(self, caller: Caller, id_: UUID, changes: PromptChanges) -> Prompt:
        """Change what describes a prompt, or archive it, or bring it back; nothing it says.

        Raises: Forbidden, NotFound, BadUserInput.
        """
        caller.require(Scope.PROMPTS_WRITE)
        prompt = await self._changeable(caller, id_)
        check_all(
            lambda: check_category(changes.get("category", prompt.category)),
            lambda: check_description(changes.get("description")),
            lambda: check_tags(changes.get("tags", ())),
            lambda: check_cache(replace(prompt.cache, **changes.get("cache", {}))),
        )
        changed = await self._store.update_prompt(prompt.tenant_id, id_, changes, self._clock.now())
        if changed is None:
            raise _missing()
        self._prompts.forget(prompt.tenant_id)
        return changed

    async def add_version(
        self, caller: Caller, prompt_id: UUID, draft: VersionDraft
    ) -> PromptVersion:
        """Add a draft to a prompt, with the next number.

        Raises: Forbidden, NotFound, BadUserInput.
        """
        caller.require(Scope.PROMPTS_WRITE)
        prompt = await self._changeable(caller, prompt_id)
        if prompt.is_archived:
            raise BadUserInput(
                f"{prompt.name} is archived. Bring it back first: updatePrompt with isArchived false."
            )
        partials = await find_partials(self._prompts, prompt.tenant_id, draft)
        catalog = await self._models.catalog(prompt.tenant_id)
        _check_wording(prompt.name, draft, partials, catalog)
        version = self._version(caller, prompt_id, draft, partials)
        added = await self._store.add_version(prompt.tenant_id, version, MAX_VERSIONS)
        if added is None:
            raise BadUserInput(
                f"A prompt has at most {MAX_VERSIONS:,} versions. Go on with a new prompt."
            )
        self._prompts.forget(prompt.tenant_id)
        return added

    async def _changeable(self, caller: Caller, id_: UUID) -> Prompt:
        prompt = (await self._prompts.by_id(caller.tenant_id, [id_])).get(id_)
        if prompt is None:
            raise _missing()
        if prompt.tenant_id not in caller.may_change:
            raise not_yours("prompt")
        return prompt

    def _version(
        self,
        caller: Caller,
        prompt_id: UUID,
        draft: VersionDraft,
        partials: tuple[PromptPartial, ...],
    ) -> PromptVersion:
        """The first version of a prompt; the store gives later ones their number."""
        return PromptVersion.of(
            draft,
            partials,
            id_=self._clock.new_id(),
            prompt_id=prompt_id,
            created_at=self._clock.now(),
            created_by=caller.user_id,
        )

    def _first_release(self, caller: Caller, prompt: Prompt, at: datetime) -> PromptRelease:
        return PromptRelease(
            id=self._clock.new_id(),
            prompt_id=prompt.id,
            at=at,
            kind=ReleaseKind.PUBLISHED,
            weights={1: POINTS},
            user_id=caller.user_id,
            service_id=caller.service_id,
        )


def _check_wording(
    name: str, draft: VersionDraft, partials: tuple[PromptPartial, ...], catalog: ModelCatalog
) -> None:
    check_all(
        lambda: check_no_circle(name, draft, partials),
        lambda: check_version(draft, partials, catalog),
    )


def _check_first(
    draft: PromptDraft, partials: tuple[PromptPartial, ...], catalog: ModelCatalog
) -> None:
    try:
        _check_wording(draft.name, draft.version, partials, catalog)
    except BadUserInput as problem:
        raise problem.within("initialVersion") from None


def _check_publishable(draft: PromptDraft, publish: bool) -> None:
    if publish and draft.publish_requires_tests:
        raise BadUserInput(
            "With publishRequiresTests a version is published after its tests have passed: create "
            "the prompt as a draft, add tests, run testPromptVersion, then publishPromptVersion.",
            path=("publish",),
        )


def _missing() -> NotFound:
    return NotFound(
        "There is no prompt of this id. The query `prompts { nodes { id name } }` lists them."
    )

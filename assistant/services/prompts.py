"""The prompt catalog as callers use it: find, list, render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.completion import CompletionRequest, Message, MessageRole
from assistant.domain.model import TaskType
from assistant.domain.ports import PromptStore
from assistant.domain.prompt import Prompt, PromptQuery, PromptVersion, RenderedPrompt
from assistant.domain.tokens import estimate_tokens
from assistant.domain.values import check_text
from assistant.errors import NotFound
from assistant.services.bounded_cache import BoundedCache
from assistant.services.rendering import render_prompt


class Prompts:
    """Reads prompts for a tenant. What callers get is kept in memory until it changes."""

    def __init__(self, store: PromptStore) -> None:
        self._store = store
        # (tenant, name, number); None for the number is "the published one".
        self._versions: BoundedCache[tuple[str, str, int | None], tuple[Prompt, PromptVersion]] = (
            BoundedCache(10_000)
        )
        self._changes = 0

    def forget(self, tenant_id: str) -> None:
        """Read the tenant's prompts anew from now on; the platform's are every tenant's."""
        self._changes += 1
        every = tenant_id == PLATFORM_TENANT
        self._versions.discard(lambda key: every or key[0] == tenant_id)

    async def get(
        self, tenant_id: str, name: str, number: int | None = None
    ) -> tuple[Prompt, PromptVersion]:
        """A prompt and its version ``number``, by default the published one.

        Raises NotFound, BadUserInput.
        """
        check_text(name, ("promptName",))
        key = (tenant_id, name, number)
        found = self._versions.get(key)
        if found is None:
            changes = self._changes
            if number is None:
                found = await self._store.find_published(tenant_id, name)
            else:
                found = await self._store.find_version(tenant_id, name, number)
            if found is None:
                what = "no published version" if number is None else f"no version {number}"
                raise NotFound(
                    f"There is no prompt named '{name[:64]}', or it has {what}, or it is archived. "
                    "The query `prompts { nodes { name } }` lists what there is."
                )
            # What changed while it was being read may not be in it: then the next caller reads again.
            if changes == self._changes:
                self._versions.put(key, found)
        return found

    async def render(self, request: CompletionRequest) -> RenderedPrompt:
        """The messages that ``request`` would send. Raises NotFound, BadUserInput."""
        if request.prompt_name is not None:
            prompt, version = await self.get(
                request.caller.tenant_id, request.prompt_name, request.prompt_version
            )
            return replace(render_prompt(version, request.variables), prompt=prompt)
        messages = request.messages or (Message(MessageRole.USER, request.text or ""),)
        return RenderedPrompt(
            version=None,
            messages=messages,
            task=TaskType.GENERAL,
            variables={},
            estimated_tokens=estimate_tokens(messages),
        )

    # Batches for the API's loaders: one statement each.

    async def by_id(self, tenant_id: str, ids: Sequence[UUID]) -> Mapping[UUID, Prompt]:
        return await self._store.prompts_by_id(tenant_id, ids)

    async def by_name(self, tenant_id: str, names: Sequence[str]) -> Mapping[str, Prompt]:
        return await self._store.prompts_by_name(tenant_id, names)

    async def versions_by_id(
        self, tenant_id: str, ids: Sequence[UUID]
    ) -> Mapping[UUID, PromptVersion]:
        return await self._store.versions_by_id(tenant_id, ids)

    async def versions_by_number(
        self, tenant_id: str, keys: Sequence[tuple[UUID, int]]
    ) -> Mapping[tuple[UUID, int], PromptVersion]:
        return await self._store.versions_by_number(tenant_id, keys)

    async def list_versions(
        self, tenant_id: str, prompt_ids: Sequence[UUID], first: int, before: int | None
    ) -> Mapping[UUID, Sequence[PromptVersion]]:
        return await self._store.list_versions(tenant_id, prompt_ids, first, before)

    async def list_prompts(self, tenant_id: str, query: PromptQuery) -> Sequence[Prompt]:
        """A page of the prompts that the tenant sees. Raises BadUserInput."""
        query.check()
        return await self._store.list_prompts(tenant_id, query)

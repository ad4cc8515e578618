"""The prompt catalog as callers use it: find, list, render."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from assistant.domain.caller import PLATFORM_TENANT, Caller
from assistant.domain.completion import CompletionRequest, Message, MessageRole
from assistant.domain.model import TaskType
from assistant.domain.ports import PromptStore
from assistant.domain.prompt import (
    Prompt,
    PromptQuery,
    PromptVersion,
    RenderedPrompt,
    ServedPrompt,
)
from assistant.domain.rollout import subject_of
from assistant.domain.tokens import estimate_tokens
from assistant.domain.values import check_text
from assistant.errors import NotFound
from assistant.services.catalog_checks import not_yours
from assistant.services.last_known import LastKnown
from assistant.services.rendering import render_prompt


class Prompts:
    """Reads prompts for a tenant. What callers get is kept in memory until it changes.

    While the database is away, what is known is rendered as it was last.
    """

    def __init__(self, store: PromptStore) -> None:
        self._store = store
        self._served: LastKnown[tuple[str, str], ServedPrompt] = LastKnown("prompt", 10_000)
        # Versions that requests name: by tenant, name and number.
        self._named: LastKnown[tuple[str, str, int], tuple[Prompt, PromptVersion]] = LastKnown(
            "prompt version", 10_000
        )

    def forget(self, tenant_id: str) -> None:
        """Read the tenant's prompts anew from now on; the platform's are every tenant's."""
        every = tenant_id == PLATFORM_TENANT
        self._served.forget(lambda key: every or key[0] == tenant_id)
        self._named.forget(lambda key: every or key[0] == tenant_id)

    async def get_version(
        self, tenant_id: str, name: str, number: int
    ) -> tuple[Prompt, PromptVersion]:
        """A prompt and its version ``number``, whether callers get it or not.

        Raises: NotFound, BadUserInput.
        """
        check_text(name, ("promptName",))
        found = await self._named.get(
            (tenant_id, name, number), lambda: self._store.find_version(tenant_id, name, number)
        )
        if found is None:
            raise _not_found(name, f"no version {number}")
        return found

    async def get_served(
        self, tenant_id: str, name: str, subject: str | None = None
    ) -> tuple[Prompt, PromptVersion]:
        """A prompt and the version that ``subject`` gets of it; None: that nobody can be told apart.

        Raises: NotFound, BadUserInput.
        """
        check_text(name, ("promptName",))
        found = await self._served.get(
            (tenant_id, name), lambda: self._store.find_served(tenant_id, name)
        )
        version = found.version_for(subject) if found is not None else None
        if found is None or version is None:
            raise _not_found(name, "no published version")
        return found.prompt, version

    async def render(self, request: CompletionRequest) -> RenderedPrompt:
        """The messages that ``request`` would send. Raises NotFound, BadUserInput."""
        return render_request(request, await self.find_asked(request))

    async def find_asked(self, request: CompletionRequest) -> tuple[Prompt, PromptVersion] | None:
        """What ``request`` is to be rendered with; None where it brings its own messages.

        Raises: NotFound, BadUserInput.
        """
        if request.prompt_name is None:
            return request.unsaved
        tenant_id, name = request.caller.tenant_id, request.prompt_name
        if request.prompt_version is not None:
            return await self.get_version(tenant_id, name, request.prompt_version)
        return await self.get_served(tenant_id, name, subject_of(request.caller))

    async def get_changeable(self, caller: Caller, name: str) -> Prompt:
        """A prompt that the caller may change, as the database has it now.

        Raises: NotFound, BadUserInput; Forbidden for one of the platform's.
        """
        check_text(name, ("promptName",))
        prompt = (await self.by_name(caller.tenant_id, [name])).get(name)
        if prompt is None:
            raise NotFound(
                f"There is no prompt named '{name[:64]}'. The query `prompts {{ nodes {{ name }} }}` "
                "lists what there is."
            )
        if prompt.tenant_id not in caller.may_change:
            raise not_yours("prompt")
        return prompt

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


def render_request(
    request: CompletionRequest, asked: tuple[Prompt, PromptVersion] | None
) -> RenderedPrompt:
    """The messages of ``request``, by the prompt that was ``asked`` for. Raises BadUserInput."""
    if asked is not None:
        prompt, version = asked
        return replace(render_prompt(version, request.variables), prompt=prompt)
    messages = request.messages or (Message(MessageRole.USER, request.text or ""),)
    return RenderedPrompt(
        version=None,
        messages=messages,
        task=TaskType.GENERAL,
        variables={},
        estimated_tokens=estimate_tokens(messages),
    )


def _not_found(name: str, what: str) -> NotFound:
    return NotFound(
        f"There is no prompt named '{name[:64]}', or it has {what}, or it is archived. "
        "The query `prompts { nodes { name } }` lists what there is."
    )

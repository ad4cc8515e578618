"""Cases, and prompts that are tested before they are in any catalog."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from assistant.domain.caller import Caller
from assistant.domain.ports import Clock
from assistant.domain.prompt import Prompt, PromptPartial, PromptVersion
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import PromptTestCase, PromptTestDraft
from assistant.services.prompt_includes import version_of


def new_case(prompt_id: UUID, draft: PromptTestDraft, clock: Clock) -> PromptTestCase:
    """A case that says what ``draft`` does, from now on."""
    return PromptTestCase(
        id=clock.new_id(),
        prompt_id=prompt_id,
        name=draft.name,
        variables=draft.variables,
        assertions=draft.assertions,
        updated_at=clock.now(),
    )


def unsaved_prompt(
    document: PromptDocument,
    partials: tuple[PromptPartial, ...],
    caller: Caller,
    clock: Clock,
) -> tuple[Prompt, PromptVersion]:
    """The prompt of a file and its one version, as the caller's tenant might have them."""
    draft, at = document.prompt, clock.now()
    prompt = Prompt(
        id=clock.new_id(),
        tenant_id=caller.tenant_id,
        name=draft.name,
        description=draft.description,
        category=draft.category,
        tags=draft.tags,
        published_version_id=None,
        is_archived=False,
        created_by=caller.user_id,
        created_at=at,
        updated_at=at,
        publish_requires_tests=draft.publish_requires_tests,
    )
    version = replace(
        version_of(draft.version, partials),
        id=clock.new_id(),
        prompt_id=prompt.id,
        version=1,
        created_by=caller.user_id,
        created_at=at,
    )
    return prompt, version

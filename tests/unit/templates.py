"""Templates and versions for tests: rendered, refused, included."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from assistant.domain.completion import GenerationParameters
from assistant.domain.model import TaskType
from assistant.domain.prompt import (
    PromptPartial,
    PromptVariable,
    PromptVersion,
    PromptVersionStatus,
)
from assistant.errors import BadUserInput
from assistant.services.mustache import Template


def render(source: str, *partials: PromptPartial, **values: object) -> str:
    """The text of a template with ``values`` filled in."""
    return Template.parse(source, partials=partials).render(values)  # type: ignore[arg-type]


def refusal(source: str, *partials: PromptPartial) -> str:
    """What is said of a template that cannot be read."""
    with pytest.raises(BadUserInput) as refused:
        Template.parse(source, partials=partials)
    assert refused.value.path == ("template",)
    return refused.value.message


def text(used_as: str, template: str, *partials: PromptPartial) -> PromptPartial:
    """A text to include."""
    name, _, number = used_as.partition("@")
    return PromptPartial(used_as, name, int(number or 1), template, partials)


def version(
    template: str,
    *variables: PromptVariable,
    system_template: str | None = None,
    partials: tuple[PromptPartial, ...] = (),
) -> PromptVersion:
    """A version of a prompt that summarises."""
    return PromptVersion(
        id=UUID(int=1),
        prompt_id=UUID(int=2),
        version=1,
        status=PromptVersionStatus.PUBLISHED,
        template=template,
        system_template=system_template,
        variables=variables,
        task=TaskType.SUMMARIZATION,
        model=None,
        parameters=GenerationParameters(),
        response_schema=None,
        change_note=None,
        created_by=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        published_at=None,
        partials=partials,
    )

"""Prompts of the catalog and their immutable versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from assistant.domain.completion import GenerationParameters, InterruptionPolicy, Message
from assistant.domain.model import TaskType
from assistant.domain.values import JsonObject, check_text


class PromptVersionStatus(StrEnum):
    """Where a version stands."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    ARCHIVED = "ARCHIVED"


@dataclass(frozen=True, slots=True)
class PromptVariable:
    """A variable that a template takes. ``default_value`` serves when an optional one is absent."""

    name: str
    description: str | None = None
    is_required: bool = True
    default_value: str | None = None


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """One wording of a prompt, immutable. Templates are Mustache without HTML escaping."""

    id: UUID
    prompt_id: UUID
    version: int
    status: PromptVersionStatus
    template: str
    system_template: str | None
    variables: tuple[PromptVariable, ...]
    task: TaskType
    model: str | None
    parameters: GenerationParameters
    response_schema: JsonObject | None
    change_note: str | None
    created_by: str | None
    created_at: datetime
    published_at: datetime | None
    on_interruption: InterruptionPolicy = InterruptionPolicy.ERROR


@dataclass(frozen=True, slots=True)
class Prompt:
    """A named prompt. ``published_version_id`` is None until a version is published."""

    id: UUID
    tenant_id: str
    name: str
    description: str | None
    category: str
    tags: tuple[str, ...]
    published_version_id: UUID | None
    is_archived: bool
    created_by: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """What would be sent to a model.

    ``prompt`` and ``version`` are None for requests that bring their own messages. ``variables``
    are the values the templates were rendered with, defaults included: what builtin models work
    on. ``estimated_tokens`` is of no particular model.
    """

    version: PromptVersion | None
    messages: tuple[Message, ...]
    task: TaskType
    variables: JsonObject
    estimated_tokens: int
    prompt: Prompt | None = None


class PromptOrderField(StrEnum):
    """What a list of prompts is sorted by."""

    NAME = "NAME"
    CREATED_AT = "CREATED_AT"
    UPDATED_AT = "UPDATED_AT"


@dataclass(frozen=True, slots=True)
class PromptQuery:
    """Which prompts, in which order. ``after`` is the (sort value, id) of the last one seen."""

    first: int = 20
    after: tuple[str, UUID] | None = None
    name_contains: str | None = None
    category: str | None = None
    tag: str | None = None
    include_archived: bool = False
    order_by: PromptOrderField = PromptOrderField.NAME
    is_descending: bool = False

    def check(self) -> None:
        """Raises BadUserInput for a text that no prompt can have."""
        for name, value in (
            ("nameContains", self.name_contains),
            ("category", self.category),
            ("tag", self.tag),
        ):
            if value is not None:
                check_text(value, ("filter", name))

"""Prompts of the catalog and their immutable versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypedDict
from uuid import UUID

from assistant.domain.cache import CacheSettings, CacheSharing
from assistant.domain.completion import GenerationParameters, InterruptionPolicy, Message
from assistant.domain.model import TaskType
from assistant.domain.rollout import Rollout
from assistant.domain.values import JsonObject, check_text


class PromptVersionStatus(StrEnum):
    """Where a version stands: never given to callers, given to them now, or no longer."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    ARCHIVED = "ARCHIVED"


class VariableType(StrEnum):
    """What a variable's value may be. ANY: whatever the template can print or open."""

    ANY = "ANY"
    STRING = "STRING"
    INTEGER = "INTEGER"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"
    LIST = "LIST"
    OBJECT = "OBJECT"


@dataclass(frozen=True, slots=True)
class PromptVariable:
    """A variable that a template takes. ``default_value`` serves when an optional one is absent.

    It is text: as it is for STRING and ANY, JSON of the type for all others.
    """

    name: str
    description: str | None = None
    is_required: bool = True
    default_value: str | None = None
    type: VariableType = VariableType.ANY


@dataclass(frozen=True, slots=True)
class PromptPartial:
    """The text of another prompt's version that a template includes as ``{{> name}}``.

    ``used_as`` is what the template calls it, ``greeting`` or ``greeting@3``; ``partials`` are
    those of the included template itself. It is found once, when the including version is made,
    and kept with it: what a version says never changes.
    """

    used_as: str
    name: str
    version: int
    template: str
    partials: tuple[PromptPartial, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionDraft:
    """What a version is to say; becomes one by being added to a prompt."""

    template: str
    system_template: str | None = None
    variables: tuple[PromptVariable, ...] = ()
    task: TaskType = TaskType.GENERAL
    model: str | None = None
    parameters: GenerationParameters = GenerationParameters()
    response_schema: JsonObject | None = None
    on_interruption: InterruptionPolicy = InterruptionPolicy.ERROR
    change_note: str | None = None


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
    partials: tuple[PromptPartial, ...] = ()

    @staticmethod
    def of(
        draft: VersionDraft,
        partials: tuple[PromptPartial, ...],
        *,
        id_: UUID,
        prompt_id: UUID,
        created_at: datetime,
        created_by: str | None = None,
        number: int = 1,
    ) -> PromptVersion:
        """What ``draft`` says with the texts that it includes, never given to callers yet."""
        return PromptVersion(
            id=id_,
            prompt_id=prompt_id,
            version=number,
            status=PromptVersionStatus.DRAFT,
            template=draft.template,
            system_template=draft.system_template,
            variables=draft.variables,
            task=draft.task,
            model=draft.model,
            parameters=draft.parameters,
            response_schema=draft.response_schema,
            change_note=draft.change_note,
            created_by=created_by,
            created_at=created_at,
            published_at=None,
            on_interruption=draft.on_interruption,
            partials=partials,
        )


@dataclass(frozen=True, slots=True)
class Prompt:
    """A named prompt. ``published_version_id`` is None until a version is published.

    ``rollout`` is None while every caller gets the published version.
    ``publish_requires_tests``: a version is published only after its tests have passed.
    """

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
    publish_requires_tests: bool = False
    rollout: Rollout | None = None
    cache: CacheSettings = field(default_factory=CacheSettings)


class CacheChanges(TypedDict, total=False):
    """What changes of how a prompt's answers are kept; what is absent stays as it is."""

    ttl_s: int | None
    min_similarity: float
    max_temperature: float
    sharing: CacheSharing
    is_semantic: bool
    variables: tuple[str, ...]


class PromptChanges(TypedDict, total=False):
    """What changes of a prompt; what is absent stays as it is."""

    description: str | None
    category: str
    tags: tuple[str, ...]
    is_archived: bool
    publish_requires_tests: bool
    cache: CacheChanges


@dataclass(frozen=True, slots=True)
class PromptDraft:
    """A prompt that is to be, with its first version."""

    name: str
    category: str
    version: VersionDraft
    description: str | None = None
    tags: tuple[str, ...] = ()
    publish_requires_tests: bool = False
    cache: CacheSettings = field(default_factory=CacheSettings)


@dataclass(frozen=True, slots=True)
class ServedPrompt:
    """A prompt and the versions that callers get of it now, by number.

    ``published`` is the number of the published one, None where there is none yet.
    """

    prompt: Prompt
    published: int | None
    versions: Mapping[int, PromptVersion]

    def version_for(self, subject: str | None) -> PromptVersion | None:
        """The version that ``subject`` gets, always the same one while the rollout stands.

        None stands for callers whom nobody can tell apart: they get the published version.
        """
        number = self.published
        if self.prompt.rollout is not None and subject is not None:
            number = self.prompt.rollout.version_for(self.prompt.id, subject)
        return None if number is None else self.versions[number]


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

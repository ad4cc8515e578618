"""Changes to prompts and their versions: what clients send, and what they get."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, TypeVar, cast
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from assistant.api import loaders
from assistant.api.cache_settings import CacheSettingsInput
from assistant.api.changes import changes_of
from assistant.api.completion_request import GenerationParameters
from assistant.api.context import Info
from assistant.api.prompt import Prompt
from assistant.api.prompt_version import PromptVersion, uuid_of
from assistant.api.user_errors import UserError, attempt
from assistant.domain import prompt as domain
from assistant.domain.cache import CacheSettings
from assistant.domain.completion import InterruptionPolicy
from assistant.domain.model import TaskType
from assistant.domain.prompt import (
    CacheChanges,
    PromptChanges,
    PromptDraft,
    VariableType,
    VersionDraft,
)
from assistant.domain.values import JsonObject
from assistant.errors import BadUserInput, NotFound

T = TypeVar("T")


@strawberry.input(description="A variable that a prompt's templates take.")
class PromptVariableInput:
    name: str = strawberry.field(
        description="As the templates name it: 1 to 64 letters, digits, _ or -."
    )
    description: str | None = strawberry.field(default=None, description="What to give.")
    is_required: bool = strawberry.field(default=True, description="Whether it must be given.")
    default_value: str | None = strawberry.field(
        default=None,
        description="What serves when an optional one is not given: a text as it is for STRING and "
        "ANY, JSON for every other type.",
    )
    type: VariableType = strawberry.field(
        default=VariableType.ANY, description="What may be given."
    )

    def to_domain(self) -> domain.PromptVariable:
        return domain.PromptVariable(
            name=self.name,
            description=self.description,
            is_required=self.is_required,
            default_value=self.default_value,
            type=self.type,
        )


@strawberry.input(description="What a version of a prompt is to say.")
class PromptVersionInput:
    template: str = strawberry.field(
        description="Mustache without HTML escaping; becomes the user message. {{> name}} includes "
        "the template of another prompt's published version, {{> name@3}} that of its version 3."
    )
    system_template: str | None = strawberry.field(
        default=None, description="The same for a system message; there is none by default."
    )
    variables: list[PromptVariableInput] | None = strawberry.field(
        default=None, description="Every variable that the templates use; none by default."
    )
    task: TaskType | None = strawberry.field(
        default=TaskType.GENERAL,
        description="What kind of work this is; decides which models can serve it.",
    )
    model: str | None = strawberry.field(
        default=None, description="A model id or group to ask for; the routing chooses by default."
    )
    parameters: GenerationParameters | None = strawberry.field(
        default=None, description="How to generate."
    )
    response_schema: JSON | None = strawberry.field(
        default=None, description="A JSON Schema (draft 2020-12) that answers must satisfy."
    )
    on_interruption: InterruptionPolicy | None = strawberry.field(
        default=InterruptionPolicy.ERROR,
        description="What to do when a provider breaks off in the middle of an answer, where a "
        "request leaves it to the prompt.",
    )
    change_note: str | None = strawberry.field(
        default=None, description="Why this version is made."
    )

    def to_domain(self) -> VersionDraft:
        """Raises BadUserInput."""
        schema = cast("object", self.response_schema)
        if schema is not None and not isinstance(schema, dict):
            raise BadUserInput(
                "responseSchema must be a JSON Schema, an object, as in {}.",
                path=("responseSchema",),
            )
        return VersionDraft(
            template=self.template,
            system_template=self.system_template,
            variables=tuple(variable.to_domain() for variable in self.variables or ()),
            task=self.task or TaskType.GENERAL,
            model=self.model,
            parameters=(self.parameters or GenerationParameters()).to_domain(),
            response_schema=cast("JsonObject | None", schema),
            on_interruption=self.on_interruption or InterruptionPolicy.ERROR,
            change_note=self.change_note,
        )


@strawberry.input(description="A prompt with its first version.")
class CreatePromptInput:
    name: str = strawberry.field(
        description="1 to 64 small letters, digits or hyphens. Once published, it takes the place of "
        "the platform's prompt of that name."
    )
    category: str = strawberry.field(description="Groups prompts by kind of work.")
    description: str | None = strawberry.field(default=None, description="What it is for.")
    tags: list[str] | None = strawberry.field(default=None, description="Free labels.")
    initial_version: PromptVersionInput = strawberry.field(description="What version 1 says.")
    publish: bool | None = strawberry.field(
        default=False, description="Whether callers get version 1 at once; a draft by default."
    )
    publish_requires_tests: bool | None = strawberry.field(
        default=False,
        description="Whether a version is published for the first time only after its tests have "
        "passed.",
    )
    cache: CacheSettingsInput | None = strawberry.field(
        default=None, description="How its answers are kept; as usual by default."
    )

    def to_domain(self) -> PromptDraft:
        """Raises BadUserInput."""
        try:
            version = self.initial_version.to_domain()
        except BadUserInput as problem:
            raise problem.within("initialVersion") from None
        changes = _cache_changes(self.cache) if self.cache else {}
        return PromptDraft(
            name=self.name,
            category=self.category,
            version=version,
            description=self.description,
            tags=tuple(self.tags or ()),
            publish_requires_tests=bool(self.publish_requires_tests),
            cache=replace(CacheSettings(), **changes),
        )


@strawberry.input(description="What changes of a prompt; absent fields stay as they are.")
class UpdatePromptInput:
    description: str | None = strawberry.field(
        default=strawberry.UNSET, description="What it is for; null takes it away."
    )
    category: str | None = strawberry.field(
        default=strawberry.UNSET, description="Groups prompts by kind of work; not null."
    )
    tags: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description="All of its labels; not null."
    )
    is_archived: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="true takes it out of use, false brings it back; not null.",
    )
    publish_requires_tests: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="Whether a version is published for the first time only after its tests have "
        "passed; not null.",
    )
    cache: CacheSettingsInput | None = strawberry.field(
        default=strawberry.UNSET, description="How its answers are kept; not null."
    )

    def to_domain(self) -> PromptChanges:
        """Raises BadUserInput."""
        given: dict[str, tuple[str, Any]] = {
            "description": ("description", self.description),
            "category": ("category", self.category),
            "tags": ("tags", self.tags and tuple(self.tags)),
            "is_archived": ("isArchived", self.is_archived),
            "publish_requires_tests": ("publishRequiresTests", self.publish_requires_tests),
            "cache": ("cache", self.cache and _cache_changes(self.cache)),
        }
        return cast("PromptChanges", changes_of(given, nullable=("description",)))


@strawberry.type(description="A prompt that was made, or why not.")
class CreatePromptPayload:
    prompt: Prompt | None = strawberry.field(description="The prompt; null where it was refused.")
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


@strawberry.type(description="A prompt that was changed, or why not.")
class UpdatePromptPayload:
    prompt: Prompt | None = strawberry.field(
        description="The prompt as it is now; null where the change was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


@strawberry.type(description="A prompt that was archived, or why not.")
class DeletePromptPayload:
    prompt: Prompt | None = strawberry.field(
        description="The prompt, archived; null where that was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


@strawberry.type(description="A version that was made, or why not.")
class CreatePromptVersionPayload:
    prompt_version: PromptVersion | None = strawberry.field(
        description="The version, a draft; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


async def create_prompt(info: Info, given: CreatePromptInput) -> CreatePromptPayload:
    prompt, user_errors = await attempt_change(info, _create(info, given), "input")
    return CreatePromptPayload(
        prompt=Prompt.of(prompt) if prompt else None, user_errors=user_errors
    )


async def update_prompt(
    info: Info, id_: strawberry.ID, given: UpdatePromptInput
) -> UpdatePromptPayload:
    prompt, user_errors = await attempt_change(info, _update(info, id_, given), "input")
    return UpdatePromptPayload(
        prompt=Prompt.of(prompt) if prompt else None, user_errors=user_errors
    )


async def delete_prompt(info: Info, id_: strawberry.ID) -> DeletePromptPayload:
    prompt, user_errors = await attempt_change(info, _archive(info, id_), "id")
    return DeletePromptPayload(
        prompt=Prompt.of(prompt) if prompt else None, user_errors=user_errors
    )


async def create_prompt_version(
    info: Info, prompt_id: strawberry.ID, given: PromptVersionInput
) -> CreatePromptVersionPayload:
    version, user_errors = await attempt_change(
        info, _create_version(info, prompt_id, given), "input"
    )
    return CreatePromptVersionPayload(
        prompt_version=PromptVersion.of(version) if version else None, user_errors=user_errors
    )


async def attempt_change(
    info: Info, change: Awaitable[T], *arguments: str
) -> tuple[T | None, list[UserError]]:
    """As ``attempt``. What the operation has read before is read anew after it."""
    done = await attempt(change, *arguments)
    loaders.forget(info)
    return done


async def _create(info: Info, given: CreatePromptInput) -> domain.Prompt:
    context = info.context
    return await context.services.authoring.create(
        context.caller, given.to_domain(), publish=bool(given.publish)
    )


async def _update(info: Info, id_: str, given: UpdatePromptInput) -> domain.Prompt:
    context = info.context
    return await context.services.authoring.update(
        context.caller, _prompt_id(id_), given.to_domain()
    )


async def _archive(info: Info, id_: str) -> domain.Prompt:
    context = info.context
    return await context.services.authoring.update(
        context.caller, _prompt_id(id_), {"is_archived": True}
    )


async def _create_version(
    info: Info, prompt_id: str, given: PromptVersionInput
) -> domain.PromptVersion:
    context = info.context
    return await context.services.authoring.add_version(
        context.caller, _prompt_id(prompt_id), given.to_domain()
    )


def _cache_changes(given: CacheSettingsInput) -> CacheChanges:
    """Raises BadUserInput."""
    try:
        return given.to_domain()
    except BadUserInput as problem:
        raise problem.within("cache") from None


def _prompt_id(text: str) -> UUID:
    """Raises NotFound."""
    id_ = uuid_of(text)
    if id_ is None:
        raise NotFound(
            "There is no prompt of this id. The query `prompts { nodes { id name } }` lists what "
            "there is."
        )
    return id_

"""Prompts and their versions as clients see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Self, cast
from uuid import UUID

import strawberry
import strawberry.federation as fed
from strawberry.scalars import JSON

from assistant.api import loaders
from assistant.api.connection import (
    AFTER,
    FIRST,
    PageInfo,
    decode_cursor,
    encode_cursor,
    page,
)
from assistant.api.context import Info
from assistant.api.enums import OrderDirection
from assistant.api.federation import list_size
from assistant.api.usage import User
from assistant.domain import prompt as domain
from assistant.domain.caller import Scope
from assistant.domain.completion import CompletionRequest, InterruptionPolicy, MessageRole
from assistant.domain.model import TaskType
from assistant.domain.prompt import PromptOrderField, PromptQuery, PromptVersionStatus
from assistant.domain.tokens import TokenMethod
from assistant.domain.values import JsonObject, check_text

READERS = (Scope.COMPLETE, Scope.PROMPTS_WRITE)
"""Who may read the catalog: those who use prompts and those who write them."""


@strawberry.type(description="A variable that a prompt's template takes.")
class PromptVariable:
    name: str = strawberry.field(description="As the template names it.")
    description: str | None = strawberry.field(description="What to give.")
    is_required: bool = strawberry.field(description="Whether it must be given.")
    default_value: str | None = strawberry.field(description="What serves when it is not given.")


@strawberry.type(description="How a prompt asks models to generate; null leaves it to the model.")
class PromptParameters:
    temperature: float | None = strawberry.field(
        description="0 is the most predictable, 2 the least."
    )
    top_p: float | None = strawberry.field(description="The share of likely tokens to choose from.")
    max_tokens: int | None = strawberry.field(description="The longest answer, in tokens.")
    stop: list[str] | None = strawberry.field(description="Texts that end the answer.")


@fed.type(keys=["id"], description="One wording of a prompt; immutable.")
class PromptVersion:
    id: strawberry.ID = strawberry.field(description="Identifies the version everywhere.")
    version: int = strawberry.field(description="1 for a prompt's first version, then counting.")
    status: PromptVersionStatus = strawberry.field(description="Where it stands.")
    template: str = strawberry.field(
        description="Mustache without HTML escaping; becomes the user message."
    )
    system_template: str | None = strawberry.field(
        description="Becomes the system message, where there is one."
    )
    variables: list[PromptVariable] = strawberry.field(description="What the templates take.")
    task: TaskType = strawberry.field(
        description="What kind of work this is; decides which models can serve it."
    )
    model: str | None = strawberry.field(
        description="A model id or group that it asks for; null leaves it to the routing."
    )
    parameters: PromptParameters = strawberry.field(description="How to generate.")
    on_interruption: InterruptionPolicy = strawberry.field(
        description="What to do when a provider breaks off in the middle of an answer, unless the "
        "request says another thing than ERROR."
    )
    response_schema: JSON | None = strawberry.field(
        description="A JSON Schema that answers satisfy."
    )
    change_note: str | None = strawberry.field(description="Why this version was made.")
    created_by: User | None = strawberry.field(description="Who made it; null for seeded ones.")
    created_at: datetime = strawberry.field(description="When it was made.")
    published_at: datetime | None = strawberry.field(description="When it was first published.")
    prompt_id: strawberry.Private[UUID]

    @strawberry.field(description="The prompt that it is a version of.")
    async def prompt(self, info: Info) -> Prompt:
        found = await loaders.prompt_by_id(info).load(self.prompt_id)
        assert found is not None  # a version's prompt is never deleted, only archived
        return Prompt.of(found)

    @classmethod
    def of(cls, version: domain.PromptVersion) -> Self:
        parameters = version.parameters
        return cls(
            id=strawberry.ID(str(version.id)),
            version=version.version,
            status=version.status,
            template=version.template,
            system_template=version.system_template,
            variables=[
                PromptVariable(
                    name=variable.name,
                    description=variable.description,
                    is_required=variable.is_required,
                    default_value=variable.default_value,
                )
                for variable in version.variables
            ],
            task=version.task,
            model=version.model,
            parameters=PromptParameters(
                temperature=parameters.temperature,
                top_p=parameters.top_p,
                max_tokens=parameters.max_tokens,
                stop=None if parameters.stop is None else list(parameters.stop),
            ),
            on_interruption=version.on_interruption,
            response_schema=None
            if version.response_schema is None
            else JSON(version.response_schema),
            change_note=version.change_note,
            created_by=User.of(version.created_by),
            created_at=version.created_at,
            published_at=version.published_at,
            prompt_id=version.prompt_id,
        )

    @classmethod
    async def resolve_reference(cls, info: Info, id: strawberry.ID) -> PromptVersion | None:  # noqa: A002 - the key's name
        info.context.require(*READERS)
        return await version_of(info, _uuid(id))


async def version_of(info: Info, id_: UUID | None) -> PromptVersion | None:
    """The version that a record names; None where it names none."""
    found = await loaders.version_by_id(info).load(id_) if id_ else None
    return PromptVersion.of(found) if found else None


@strawberry.type(description="A version and where it stands in the list.")
class PromptVersionEdge:
    cursor: str = strawberry.field(description="Give it as `after` to go on from here.")
    node: PromptVersion = strawberry.field(description="The version.")


@strawberry.type(description="A page of versions.")
class PromptVersionConnection:
    edges: list[PromptVersionEdge] = strawberry.field(
        description="The versions with their cursors."
    )
    nodes: list[PromptVersion] = strawberry.field(description="The versions alone.")
    page_info: PageInfo = strawberry.field(description="Whether there is more.")


@fed.type(keys=["id", "name"], description="A named prompt of the catalog.")
class Prompt:
    id: strawberry.ID = strawberry.field(description="Identifies the prompt everywhere.")
    name: str = strawberry.field(description="What requests name it by: [a-z0-9-]{1,64}.")
    description: str | None = strawberry.field(description="What it is for.")
    category: str = strawberry.field(description="Groups prompts by kind of work.")
    tags: list[str] = strawberry.field(description="Free labels.")
    is_archived: bool = strawberry.field(description="Archived prompts can no longer be used.")
    created_by: User | None = strawberry.field(description="Who made it; null for seeded ones.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")
    key: strawberry.Private[UUID]
    published_version_id: strawberry.Private[UUID | None]

    @strawberry.field(description="The version that callers get; null until one is published.")
    async def published_version(self, info: Info) -> PromptVersion | None:
        return await version_of(info, self.published_version_id)

    @strawberry.field(description="One version by its number; null where there is none.")
    async def version(
        self,
        info: Info,
        number: Annotated[int, strawberry.argument(description="1 for the first version.")],
    ) -> PromptVersion | None:
        found = await loaders.version_by_number(info).load((self.key, number))
        return PromptVersion.of(found) if found else None

    @strawberry.field(description="Its versions, newest first.", directives=[list_size()])
    async def versions(
        self, info: Info, first: FIRST = 20, after: AFTER = None
    ) -> PromptVersionConnection:
        before = decode_cursor(after, _version_number)[0] if after else None
        found = await loaders.versions_page(info, first + 1, before).load(self.key)
        versions, info_ = page(
            found or (),
            first,
            after,
            lambda version: encode_cursor(str(version.version), version.id),
        )
        nodes = [PromptVersion.of(version) for version in versions]
        return PromptVersionConnection(
            edges=[
                PromptVersionEdge(cursor=encode_cursor(str(version.version), version.id), node=node)
                for version, node in zip(versions, nodes, strict=True)
            ],
            nodes=nodes,
            page_info=info_,
        )

    @classmethod
    def of(cls, prompt: domain.Prompt) -> Self:
        return cls(
            id=strawberry.ID(str(prompt.id)),
            name=prompt.name,
            description=prompt.description,
            category=prompt.category,
            tags=list(prompt.tags),
            is_archived=prompt.is_archived,
            created_by=User.of(prompt.created_by),
            created_at=prompt.created_at,
            updated_at=prompt.updated_at,
            key=prompt.id,
            published_version_id=prompt.published_version_id,
        )

    @classmethod
    async def resolve_reference(
        cls,
        info: Info,
        id: strawberry.ID | None = None,  # noqa: A002 - the key's name
        name: str | None = None,
    ) -> Prompt | None:
        info.context.require(*READERS)
        return await (prompt(info, id) if id is not None else prompt_by_name(info, name or ""))


@strawberry.type(description="A prompt and where it stands in the list.")
class PromptEdge:
    cursor: str = strawberry.field(description="Give it as `after` to go on from here.")
    node: Prompt = strawberry.field(description="The prompt.")


@strawberry.type(description="A page of prompts.")
class PromptConnection:
    edges: list[PromptEdge] = strawberry.field(description="The prompts with their cursors.")
    nodes: list[Prompt] = strawberry.field(description="The prompts alone.")
    page_info: PageInfo = strawberry.field(description="Whether there is more.")


@strawberry.input(description="Which prompts to list; every given field narrows.")
class PromptFilter:
    name_contains: str | None = strawberry.field(
        default=None, description="A part of the name, in any case."
    )
    category: str | None = strawberry.field(default=None, description="Exactly this category.")
    tag: str | None = strawberry.field(default=None, description="Carries this tag.")
    include_archived: bool | None = strawberry.field(
        default=False, description="Archived ones too."
    )


@strawberry.input(description="How to sort prompts.")
class PromptOrder:
    field: PromptOrderField = strawberry.field(description="What to sort by.")
    direction: OrderDirection = strawberry.field(
        default=OrderDirection.ASC, description="Which end comes first."
    )


@strawberry.input(description="A prompt to render.")
class RenderPromptInput:
    prompt_name: str = strawberry.field(description="A prompt of the catalog.")
    prompt_version: int | None = strawberry.field(
        default=None, description="Defaults to the published one."
    )
    variables: JSON | None = strawberry.field(
        default=None, description="An object with a value for each variable."
    )


@strawberry.type(description="One message that would be sent.")
class RenderedMessage:
    role: MessageRole = strawberry.field(description="Who says it.")
    content: str = strawberry.field(description="What is said.")


@strawberry.type(description="What would be sent to a model.")
class RenderedPrompt:
    prompt_version: PromptVersion = strawberry.field(description="The version that was rendered.")
    messages: list[RenderedMessage] = strawberry.field(description="In order.")
    estimated_tokens: int = strawberry.field(
        description="How many tokens it has, by what tokenCountMethod says."
    )
    token_count_method: TokenMethod = strawberry.field(
        description="How the tokens were counted, for the model that it would be sent to first."
    )
    token_count_error: float | None = strawberry.field(
        description="What such counts have been off by on average, 0.05 for 5 %; null until known."
    )


async def prompt(info: Info, id_: str) -> Prompt | None:
    """A prompt by its id; None where there is none for this caller."""
    key = _uuid(id_)
    found = await loaders.prompt_by_id(info).load(key) if key else None
    return Prompt.of(found) if found else None


async def prompt_by_name(info: Info, name: str) -> Prompt | None:
    """A prompt by its name; the tenant's own before the platform's."""
    check_text(name, ("name",))
    found = await loaders.prompt_by_name(info).load(name)
    return Prompt.of(found) if found else None


def _version_number(text: str) -> int:
    number = int(text)
    if not 0 < number < 2**31:
        raise ValueError("no version has this number")
    return number


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat()


_SORT_VALUES: Final[Mapping[PromptOrderField, Callable[[str], str]]] = {
    PromptOrderField.NAME: str,
    PromptOrderField.CREATED_AT: _moment,
    PromptOrderField.UPDATED_AT: _moment,
}


async def prompts(
    info: Info,
    filter: PromptFilter | None,  # noqa: A002 - the argument's name in the schema
    order_by: PromptOrder | None,
    first: int,
    after: str | None,
) -> PromptConnection:
    """A page of the prompts that the caller's tenant sees."""
    wanted = filter or PromptFilter()
    order = order_by or PromptOrder(field=PromptOrderField.NAME)
    query = PromptQuery(
        first=first + 1,
        after=decode_cursor(after, _SORT_VALUES[order.field]) if after else None,
        name_contains=wanted.name_contains,
        category=wanted.category,
        tag=wanted.tag,
        include_archived=bool(wanted.include_archived),
        order_by=order.field,
        is_descending=order.direction is OrderDirection.DESC,
    )

    def cursor(found: domain.Prompt) -> str:
        match query.order_by:
            case PromptOrderField.NAME:
                return encode_cursor(found.name, found.id)
            case PromptOrderField.CREATED_AT:
                return encode_cursor(found.created_at.isoformat(), found.id)
            case PromptOrderField.UPDATED_AT:
                return encode_cursor(found.updated_at.isoformat(), found.id)

    rows = await info.context.services.prompts.list_prompts(info.context.caller.tenant_id, query)
    found, page_info = page(rows, first, after, cursor)
    nodes = [Prompt.of(row) for row in found]
    return PromptConnection(
        edges=[
            PromptEdge(cursor=cursor(row), node=node)
            for row, node in zip(found, nodes, strict=True)
        ],
        nodes=nodes,
        page_info=page_info,
    )


async def render_prompt(info: Info, wanted: RenderPromptInput) -> RenderedPrompt:
    """What would be sent, and how many tokens it is estimated at."""
    context = info.context
    request = CompletionRequest(
        context.caller,
        prompt_name=wanted.prompt_name,
        prompt_version=wanted.prompt_version,
        variables=cast("JsonObject | None", wanted.variables),  # checked where it is bound
    )
    rendered, counted = await context.services.completions.preview(request)
    assert rendered.version is not None
    return RenderedPrompt(
        prompt_version=PromptVersion.of(rendered.version),
        messages=[
            RenderedMessage(role=message.role, content=message.content)
            for message in rendered.messages
        ],
        estimated_tokens=counted.tokens,
        token_count_method=counted.method,
        token_count_error=counted.error,
    )


def _uuid(text: str) -> UUID | None:
    """``text`` as a UUID; None where it is none, which names nothing."""
    try:
        return UUID(text)
    except ValueError:
        return None

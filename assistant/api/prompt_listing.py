"""Lists of prompts: which ones, in which order, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import strawberry

from assistant.api.connection import PageInfo, decode_cursor, encode_cursor, page
from assistant.api.context import Info
from assistant.api.enums import OrderDirection
from assistant.api.prompt import Prompt
from assistant.domain import prompt as domain
from assistant.domain.prompt import PromptOrderField, PromptQuery


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

"""Pages of a list: keyset cursors and what a connection says about itself.

A cursor names the last item that was seen by its sort value and id, so that pages neither skip
nor repeat items while others are added. It is opaque to clients and may change between releases.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar, overload
from uuid import UUID

import strawberry
import strawberry.federation as fed

from assistant.domain.values import check_text
from assistant.errors import BadUserInput

T = TypeVar("T")
V = TypeVar("V")

# Nullable in the schema because it has a default; never null here: the limits refuse an
# explicit null, and anything but 1 to 100, before a resolver runs.
FIRST: TypeAlias = Annotated[
    int, strawberry.argument(description="How many: 1 to 100.", graphql_type=int | None)
]
AFTER: TypeAlias = Annotated[
    str | None,
    strawberry.argument(
        description="The cursor after which to start; at the beginning by default."
    ),
]

_MAX_CURSOR_CHARS = 2_000


# Shareable, because every subgraph with a connection has one.
@fed.type(shareable=True, description="Whether a list goes on, and where.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follow.")
    has_previous_page: bool = strawberry.field(description="Whether some came before.")
    start_cursor: str | None = strawberry.field(description="Of the first item; null without any.")
    end_cursor: str | None = strawberry.field(description="Of the last item; null without any.")


def encode_cursor(value: str, id: UUID | str) -> str:  # noqa: A002 - what it is
    """The cursor of the item that sorts by ``value`` and then by ``id``."""
    text = json.dumps([value, str(id)], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@overload
def decode_cursor(cursor: str) -> tuple[str, UUID]: ...
@overload
def decode_cursor(cursor: str, convert: Callable[[str], V]) -> tuple[V, UUID]: ...
def decode_cursor(cursor: str, convert: Callable[[str], Any] = str) -> tuple[Any, UUID]:
    """Sort value and id that ``encode_cursor`` was given. Raises BadUserInput.

    ``convert`` turns the sort value's text into a value and raises ValueError where it cannot:
    a cursor may be forged.
    """
    try:
        if len(cursor) > _MAX_CURSOR_CHARS:
            raise ValueError("longer than any of ours")
        padded = cursor + "=" * (-len(cursor) % 4)
        value, id_ = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(value, str):
            raise TypeError("not a text")
        check_text(value, ("after",))
        return convert(value), UUID(id_)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise BadUserInput(
            "after is not a cursor of this list: give an `endCursor` or `cursor` as it was received.",
            path=("after",),
        ) from error


def page(
    rows: Sequence[T], first: int, after: str | None, cursor: Callable[[T], str]
) -> tuple[Sequence[T], PageInfo]:
    """The page in ``rows``, which holds one row more than ``first`` where more follow."""
    found = rows[:first]
    return found, PageInfo(
        has_next_page=len(rows) > first,
        has_previous_page=after is not None,
        start_cursor=cursor(found[0]) if found else None,
        end_cursor=cursor(found[-1]) if found else None,
    )

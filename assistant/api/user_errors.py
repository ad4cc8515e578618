"""What the caller of a mutation can mend, as part of its payload."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import strawberry

from assistant.errors import BadUserInput, ErrorCode, RequestError, Unauthenticated

T = TypeVar("T")


@strawberry.type(description="Why a change was not made, and what to do about it.")
class UserError:
    code: ErrorCode = strawberry.field(description="What a client branches on.")
    message: str = strawberry.field(description="What is wrong, and what to do, for a person.")
    path: list[str] = strawberry.field(
        description="The input field at fault, from the argument on; empty where it is none."
    )


@strawberry.type(description="What was deleted, or why not.")
class DeletePayload:
    deleted_id: strawberry.ID | None = strawberry.field(
        description="The id or name that was deleted; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")

    @classmethod
    def of(cls, id_: str, user_errors: list[UserError]) -> DeletePayload:
        """What became of deleting ``id_``."""
        return cls(deleted_id=None if user_errors else strawberry.ID(id_), user_errors=user_errors)


async def attempt(change: Awaitable[T], *arguments: str) -> tuple[T | None, list[UserError]]:
    """What a change came to, or why it was refused: everything that is wrong with its input.

    ``arguments`` lead from the mutation to the input that the service's paths begin in. Who is
    not identified, or lacks a scope, is no part of a payload: those are errors of the operation,
    and scopes are asked for before the change is.
    """
    try:
        return await change, []
    except Unauthenticated:
        raise
    except BadUserInput as error:
        return None, [
            UserError(code=each.code, message=each.message, path=[*arguments, *each.path])
            for each in error.every
        ]
    except RequestError as error:
        return None, [UserError(code=error.code, message=error.message, path=[])]

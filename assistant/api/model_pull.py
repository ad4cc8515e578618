"""Models that come and go: their download as clients watch it, and their removal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import strawberry

from assistant.api.context import Info
from assistant.api.scalars import BigInt
from assistant.api.user_errors import DeletePayload, attempt
from assistant.domain import model as domain
from assistant.domain.caller import Scope


@strawberry.type(description="How far a model's download is.")
class ModelPullProgress:
    status: str = strawberry.field(description="The host's own word, as in: pulling manifest.")
    digest: str | None = strawberry.field(description="The layer at work; null between layers.")
    completed_bytes: BigInt | None = strawberry.field(
        description="What is there of all layers that are known so far; null before the first."
    )
    total_bytes: BigInt | None = strawberry.field(
        description="Size of all layers that are known so far; it grows while they become known."
    )
    is_done: bool = strawberry.field(
        description="Ends the stream: the model is there and can be called."
    )

    @classmethod
    def of(cls, progress: domain.PullProgress) -> ModelPullProgress:
        done, in_all = progress.completed_bytes, progress.total_bytes
        return cls(
            status=progress.status,
            digest=progress.digest,
            completed_bytes=None if done is None else BigInt(done),
            total_bytes=None if in_all is None else BigInt(in_all),
            is_done=progress.is_done,
        )


async def model_pull(info: Info, name: str) -> AsyncIterator[ModelPullProgress]:
    """Fetch a model and yield how far it is."""
    context = info.context
    caller = context.require(Scope.ADMIN)
    async with aclosing(context.services.pulls.pull(caller, name)) as events:
        async for event in events:
            yield ModelPullProgress.of(event)


async def delete_model(info: Info, id_: strawberry.ID) -> DeletePayload:
    """Remove a model."""
    context = info.context
    _, user_errors = await attempt(context.services.removal.remove(context.caller, id_))
    return DeletePayload.of(id_, user_errors)

"""Which versions of a prompt callers get, and how that came about, as clients see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from assistant.api import loaders
from assistant.api.connection import PageInfo, encode_cursor, page
from assistant.api.context import Info
from assistant.api.prompt_version import PromptVersion
from assistant.api.usage import User
from assistant.domain import rollout as domain
from assistant.domain.rollout import ReleaseKind


@strawberry.type(description="The part of all callers that gets one version.")
class RolloutShare:
    weight: int = strawberry.field(description="In whole percents; those of all shares are 100.")
    prompt_id: strawberry.Private[UUID]
    number: strawberry.Private[int]

    @strawberry.field(description="The version that they get.")
    async def version(self, info: Info) -> PromptVersion:
        found = await loaders.version_by_number(info).load((self.prompt_id, self.number))
        assert found is not None  # a version is never deleted
        return PromptVersion.of(found)


def shares_of(prompt_id: UUID, weights: Mapping[int, int]) -> list[RolloutShare]:
    """The shares of a prompt's versions, the lowest number first."""
    return [
        RolloutShare(weight=weight, prompt_id=prompt_id, number=number)
        for number, weight in sorted(weights.items())
    ]


@strawberry.type(
    description="When a version is taken back without anybody's doing: its share returns to the "
    "published version, which it is compared with from the last change of shares on."
)
class RolloutGuard:
    error_rate_margin: float | None = strawberry.field(
        description="How much more of its requests may fail than of the published version's: 0.05 "
        "is five in a hundred. Null does not watch it."
    )
    cost_margin: float | None = strawberry.field(
        description="How much dearer a request may be on average: 0.5 is half as much again. Null "
        "does not watch it."
    )
    min_samples: int = strawberry.field(
        description="How many requests either version needs before they are compared."
    )

    @classmethod
    def of(cls, guard: domain.RolloutGuard) -> Self:
        return cls(
            error_rate_margin=guard.error_rate_margin,
            cost_margin=guard.cost_margin,
            min_samples=guard.min_samples,
        )


@strawberry.type(description="One change of which versions callers get.")
class PromptRelease:
    id: strawberry.ID = strawberry.field(description="Identifies the change.")
    at: datetime = strawberry.field(description="When it took effect.")
    kind: ReleaseKind = strawberry.field(description="What was done.")
    shares: list[RolloutShare] = strawberry.field(description="Who gets what from then on.")
    changed_by: User | None = strawberry.field(
        description="The person who did it; null where a service did, or the assistant by itself."
    )
    service_id: strawberry.ID | None = strawberry.field(
        description="The service that it was done through; null where it was none."
    )
    reason: str | None = strawberry.field(
        description="Why, as who did it says; of a version that was taken back, what it did wrong."
    )

    @classmethod
    def of(cls, release: domain.PromptRelease) -> Self:
        return cls(
            id=strawberry.ID(str(release.id)),
            at=release.at,
            kind=release.kind,
            shares=shares_of(release.prompt_id, release.weights),
            changed_by=User.of(release.user_id),
            service_id=strawberry.ID(release.service_id) if release.service_id else None,
            reason=release.reason,
        )


@strawberry.type(description="A release and where it stands in the history.")
class PromptReleaseEdge:
    cursor: str = strawberry.field(description="Give it as `after` to go on from here.")
    node: PromptRelease = strawberry.field(description="The release.")


@strawberry.type(description="A page of a prompt's history.")
class PromptReleaseConnection:
    edges: list[PromptReleaseEdge] = strawberry.field(
        description="The releases with their cursors."
    )
    nodes: list[PromptRelease] = strawberry.field(description="The releases alone.")
    page_info: PageInfo = strawberry.field(description="Whether there is more.")

    @classmethod
    def of(
        cls, rows: Sequence[domain.PromptRelease], first: int, after: str | None
    ) -> PromptReleaseConnection:
        """The page in ``rows``, which may hold one more than ``first``."""
        found, page_info = page(rows, first, after, _cursor)
        nodes = [PromptRelease.of(release) for release in found]
        edges = [
            PromptReleaseEdge(cursor=_cursor(release), node=node)
            for release, node in zip(found, nodes, strict=True)
        ]
        return cls(edges=edges, nodes=nodes, page_info=page_info)


def _cursor(release: domain.PromptRelease) -> str:
    return encode_cursor(release.at.isoformat(), release.id)

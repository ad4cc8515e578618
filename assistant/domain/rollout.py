"""How callers are split between the versions of a prompt, and when a new one is taken back.

A rollout is a hundred points, each given to one version. A caller hashes to one point for as long
as the prompt lives, so who gets which version changes only where points change hands; and of
them no more change hands than the weights ask for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from uuid import UUID

from assistant.domain.caller import Caller

POINTS = 100


@dataclass(frozen=True, slots=True)
class RolloutGuard:
    """When a version is taken back without anybody's doing.

    ``error_rate_margin`` is how much more of its requests may fail than of the published
    version's, 0.05 for five in a hundred; ``cost_margin`` how much dearer a request may be on
    average, 0.5 for half as much again. None does not watch it. Both versions need
    ``min_samples`` requests first, counted from the last change of shares.
    """

    error_rate_margin: float | None = 0.05
    cost_margin: float | None = 0.5
    min_samples: int = 100


@dataclass(frozen=True, slots=True)
class ReleaseFigures:
    """What a version did within some time. ``cost`` is in USD; cancelled requests are left out."""

    requests: int = 0
    failed: int = 0
    cost: Decimal = Decimal(0)

    @property
    def error_rate(self) -> float:
        return self.failed / self.requests if self.requests else 0.0

    @property
    def average_cost(self) -> Decimal:
        return self.cost / self.requests if self.requests else Decimal(0)

    def since(self, before: ReleaseFigures) -> ReleaseFigures:
        """What was added after ``before``."""
        return ReleaseFigures(
            self.requests - before.requests, self.failed - before.failed, self.cost - before.cost
        )


@dataclass(frozen=True, slots=True)
class Rollout:
    """Which version has each of the hundred points; changed last at ``started_at``."""

    points: tuple[int, ...]
    started_at: datetime
    guard: RolloutGuard = field(default_factory=RolloutGuard)

    @property
    def weights(self) -> Mapping[int, int]:
        """Percents by version, the lowest number first."""
        return dict(sorted(Counter(self.points).items()))

    def version_for(self, prompt_id: UUID, subject: str) -> int:
        """The version of the point that ``subject`` hashes to."""
        return self.points[point_of(prompt_id, subject)]


def point_of(prompt_id: UUID, subject: str) -> int:
    """0 to 99, the same for ever. Each prompt splits anew: nobody is always among the first ten."""
    digest = blake2b(subject.encode(), digest_size=8, key=prompt_id.bytes).digest()
    return int.from_bytes(digest) % POINTS


def subject_of(caller: Caller) -> str | None:
    """Whom a rollout tells apart: the user, else the service; None where there is neither."""
    if caller.user_id is not None:
        return f"user:{caller.user_id}"
    return None if caller.service_id is None else f"service:{caller.service_id}"


def with_weights(points: Sequence[int], weights: Mapping[int, int]) -> tuple[int, ...]:
    """``points`` given anew so that each version has its weight, moving as few as can be.

    ``weights`` add up to 100. A version that shrinks gives up its last points; they go to those
    that grow, the lowest version number first.
    """
    assert len(points) == sum(weights.values()) == POINTS
    keep = Counter(weights)
    given: list[int | None] = []
    for version in points:
        stays = keep[version] > 0
        keep[version] -= stays
        given.append(version if stays else None)
    growing = [number for number in sorted(weights) for _ in range(keep[number])]
    waiting = iter(growing)
    return tuple(next(waiting) if version is None else version for version in given)


def breach(guard: RolloutGuard, old: ReleaseFigures, new: ReleaseFigures) -> str | None:
    """Why the new version must be taken back, in words for its owner; None where it may stay.

    ``old`` is what the published version did over the same time.
    """
    if min(old.requests, new.requests) < guard.min_samples:
        return None
    margin = guard.error_rate_margin
    if margin is not None and new.error_rate > old.error_rate + margin:
        return (
            f"{new.error_rate:.1%} of its {new.requests:,} requests failed, against "
            f"{old.error_rate:.1%} of {old.requests:,}; {margin:.1%} more are allowed"
        )
    dearer = guard.cost_margin
    if dearer is not None and new.average_cost > old.average_cost * (1 + Decimal(str(dearer))):
        return (
            f"a request cost {new.average_cost:.6f} USD on average of {new.requests:,}, against "
            f"{old.average_cost:.6f} of {old.requests:,}; {dearer:.0%} more is allowed"
        )
    return None


class ReleaseKind(StrEnum):
    """What changed which version callers get."""

    PUBLISHED = "PUBLISHED"
    ROLLOUT = "ROLLOUT"
    ROLLED_BACK = "ROLLED_BACK"


@dataclass(frozen=True, slots=True)
class PromptRelease:
    """One change of who gets which version of a prompt: what, when, by whom and why.

    ``weights`` are the percents by version from then on. ``user_id`` and ``service_id`` are both
    None where the service did it by itself: a seed, or a version that was taken back.
    """

    id: UUID
    prompt_id: UUID
    at: datetime
    kind: ReleaseKind
    weights: Mapping[int, int]
    user_id: str | None = None
    service_id: str | None = None
    reason: str | None = None

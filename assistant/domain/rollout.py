"""How callers are split between the versions of a prompt, and when a new one is taken back.

A rollout is a hundred points, each given to one version. A caller hashes to one point for as long
as the prompt lives, so who gets which version changes only where points change hands; and of
them no more change hands than the weights ask for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from hashlib import blake2b
from math import sqrt
from uuid import UUID

from assistant.domain.caller import Caller

POINTS = 100
_STANDARD_ERRORS = 3.0


@dataclass(frozen=True, slots=True)
class RolloutGuard:
    """When a version is taken back without anybody's doing.

    ``error_rate_margin`` is how much more of its requests may fail than of the published
    version's, 0.05 for five in a hundred, and beyond what chance explains; ``cost_margin`` how much
    dearer a request may be on average, 0.5 for half as much again. None does not watch it. Both
    versions need ``min_samples`` requests first, counted from the last change of shares.
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

    ``old`` is what the published version did over the same time. What is more by exactly a margin
    may stay. Where the old one cost nothing, a new one that costs anything is dearer by any margin.
    """
    if min(old.requests, new.requests) < max(1, guard.min_samples):
        return None
    if guard.error_rate_margin is not None:
        most = Fraction(old.failed, old.requests) + _exactly(guard.error_rate_margin)
        if Fraction(new.failed, new.requests) > most and _is_beyond_chance(old, new):
            return (
                f"{new.failed:,} of its {new.requests:,} requests failed ({new.error_rate:.1%}), "
                f"against {old.failed:,} of {old.requests:,} ({old.error_rate:.1%}); "
                f"at most {100 * guard.error_rate_margin:g} points more are allowed"
            )
    if guard.cost_margin is not None:
        dearest = Fraction(old.cost) / old.requests * (1 + _exactly(guard.cost_margin))
        if Fraction(new.cost) / new.requests > dearest:
            return (
                f"a request cost {new.average_cost:.9f} USD on average of {new.requests:,}, against "
                f"{old.average_cost:.9f} of {old.requests:,}; "
                f"at most {100 * guard.cost_margin:g}% more is allowed"
            )
    return None


def _is_beyond_chance(old: ReleaseFigures, new: ReleaseFigures) -> bool:
    """Whether equal versions would hardly ever differ so much, however often they are compared.

    Two proportions, pooled, three standard errors. Source: simulated, tests/quality/rollouts.py.
    """
    failing = (old.failed + new.failed) / (old.requests + new.requests)
    standard_error = sqrt(failing * (1 - failing) * (1 / old.requests + 1 / new.requests))
    return new.error_rate - old.error_rate > _STANDARD_ERRORS * standard_error


def _exactly(margin: float) -> Fraction:
    """What was meant: 0.05 is five in a hundred, and not the nearest binary number."""
    return Fraction(str(margin))


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

    def for_others(self) -> PromptRelease:
        """What tenants may know of the platform's: not by whom and why, which tells of all of them."""
        return replace(self, user_id=None, service_id=None, reason=None)

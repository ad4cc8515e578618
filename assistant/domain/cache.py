"""Answers that are kept: what is looked up, what is found, and what was said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import BadUserInput

if TYPE_CHECKING:
    from assistant.domain.completion import CompletionRequest, FinishReason, ProgressEvent

DEFAULT_MIN_SIMILARITY = 0.95
"""Cosine of two questions from which on they may have one answer."""

DEFAULT_MAX_TEMPERATURE = 0.3
"""Who asks for more wants another answer each time."""

MARGIN = 0.01
"""How far above the similarity of a wrong hit the next one must be."""

RELAXATION = 0.002
"""What a right hit takes back: a wrong one weighs as much as five right ones."""

_MOST_VARIABLES = 20

LONGEST_TTL_S = 30 * 24 * 3600
"""No entry outlives it: a month's partition can be dropped when all in it are older."""


class CacheOutcome(StrEnum):
    """Whether the answer came from the cache, and how."""

    MISS = "MISS"
    EXACT = "EXACT"
    SEMANTIC = "SEMANTIC"
    COALESCED = "COALESCED"
    BYPASSED = "BYPASSED"

    @property
    def is_hit(self) -> bool:
        """Whether the answer was paid for by another request."""
        return self in (CacheOutcome.EXACT, CacheOutcome.SEMANTIC, CacheOutcome.COALESCED)


class CachePolicy(StrEnum):
    """What a request wants of the cache."""

    DEFAULT = "DEFAULT"
    EXACT_ONLY = "EXACT_ONLY"
    BYPASS = "BYPASS"
    REFRESH = "REFRESH"


class CacheSharing(StrEnum):
    """Whose requests may be answered by one entry. Never another tenant's."""

    USER = "USER"
    TENANT = "TENANT"


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How a prompt's answers are kept.

    ``ttl_s`` None: as the service is configured; 0: never kept. ``variables`` are those whose
    wording may differ in a semantic hit; none: the only text variable there is, if it is one.
    """

    ttl_s: int | None = None
    min_similarity: float = DEFAULT_MIN_SIMILARITY
    max_temperature: float = DEFAULT_MAX_TEMPERATURE
    sharing: CacheSharing = CacheSharing.USER
    is_semantic: bool = True
    variables: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises BadUserInput with everything that is out of its range."""
        problems = [
            BadUserInput(f"{name} must be between {lowest:,} and {highest:,}.", path=(name,))
            for name, value, lowest, highest in (
                ("ttlSeconds", self.ttl_s, 0, LONGEST_TTL_S),
                ("minSimilarity", self.min_similarity, 0.8, 1),
                ("maxTemperature", self.max_temperature, 0, 2),
            )
            # NaN compares false with everything, so "not inside" refuses it too.
            if value is not None and not lowest <= value <= highest
        ]
        if len(self.variables) > _MOST_VARIABLES:
            problems.append(
                BadUserInput(
                    f"variables takes at most {_MOST_VARIABLES} names.", path=("variables",)
                )
            )
        if problems:
            raise BadUserInput.joined(problems)


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a request's answer is looked up by. Both keys are SHA-256, 32 bytes.

    ``exact`` is of everything that shapes the answer. ``scope`` is of everything but ``wording``,
    the one text whose wording may differ; both are None where only the very same request will do.
    """

    tenant_id: str
    exact: bytes
    scope: bytes | None = None
    wording: str | None = None


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer as it was given when it was made. ``model`` is a model id.

    Tokens, ``cost`` (USD) and ``latency_ms`` are what it took, all attempts together.
    """

    text: str
    finish_reason: FinishReason
    model: str
    json: JsonValue = None
    reasoning: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal = Decimal(0)
    latency_ms: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A kept answer. ``id`` is that of the completion that made it, and holds the time of it.

    ``min_similarity`` is the entry's own: it rises with every wrong hit. ``rejected`` are SHA-256
    of wordings that it must never answer again. ``vector`` is None where it was made elsewhere
    or is not to be found by meaning. ``request`` is what it takes to ask again; None where that
    is too long to keep. After ``fresh_until`` it still answers, and is asked for anew behind it.
    """

    id: UUID
    key: CacheKey
    answer: CachedAnswer
    created_at: datetime
    fresh_until: datetime
    expires_at: datetime
    min_similarity: float = DEFAULT_MIN_SIMILARITY
    rejected: tuple[bytes, ...] = ()
    vector: Sequence[float] | None = None
    prompt_name: str | None = None
    prompt_version_id: UUID | None = None
    request: CompletionRequest | None = None


@dataclass(frozen=True, slots=True)
class CacheVerdict:
    """What the cache said to a request, and why.

    ``reason`` is for people. ``source_id`` is the completion whose answer was given, or was the
    nearest; ``similarity`` (cosine) and ``min_similarity`` are of it and None where the very same
    request was found or none came near; ``guard`` is what forbade the nearest one. ``wording`` is
    the SHA-256 of the one that was asked with, None where it was not looked for by meaning.
    """

    outcome: CacheOutcome
    reason: str
    similarity: float | None = None
    min_similarity: float | None = None
    age_ms: int | None = None
    guard: str | None = None
    source_id: UUID | None = None
    wording: bytes | None = None


def tightened(current: float, similarity: float) -> float:
    """From which similarity on an entry answers, after a wrong hit at ``similarity``.

    Above 1 it answers by meaning no more.
    """
    return max(current, similarity + MARGIN)


def relaxed(current: float, base: float) -> float:
    """From which similarity on an entry answers, after a right hit; never below ``base``."""
    return max(current - RELAXATION, base)


# ------------------------------------------------------------- one answer for many at once


class Lead(StrEnum):
    """Who asks for an answer that is not there yet."""

    OURS = "OURS"
    ANOTHERS = "ANOTHERS"


@dataclass(frozen=True, slots=True)
class FlightKey:
    """A question that is being asked. ``key`` is SHA-256; ``id`` is of who asks it here."""

    tenant_id: str
    key: bytes
    id: UUID


@dataclass(frozen=True, slots=True)
class Landing:
    """How a question ended for whoever waited for it: an answer, or an error to be told to all.

    Both None: nobody asks any more, and one of those who wait has to.
    """

    answer: CachedAnswer | None = None
    error: JsonObject | None = None
    source_id: UUID | None = None


FlightEvent: TypeAlias = "ProgressEvent | Landing"
"""What is told of a question that another replica asks: its events, then how it ended."""


# ------------------------------------------------------------------------ what is reported


class CacheLevel(StrEnum):
    """Where it is looked, in this order."""

    MEMORY = "memory"
    EXACT = "exact"
    SEMANTIC = "semantic"


class CacheLookup(StrEnum):
    """What came of looking. TIMEOUT, ERROR and SKIPPED fall open: as if there were no cache.

    SKIPPED: there was too much else to do.
    """

    HIT = "hit"
    MISS = "miss"
    TIMEOUT = "timeout"
    ERROR = "error"
    SKIPPED = "skipped"


class ShadowVerdict(StrEnum):
    """Whether a model says what a semantic hit said."""

    SAME = "same"
    DIFFERENT = "different"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """What the cache did for a tenant in a window of time; ``entries`` is how many there are now.

    ``saved_tokens`` and ``saved_cost`` (USD) are what the answers had taken when they were made.
    """

    entries: int = 0
    exact_hits: int = 0
    semantic_hits: int = 0
    coalesced: int = 0
    misses: int = 0
    saved_tokens: int = 0
    saved_cost: Decimal = Decimal(0)

    @property
    def hits(self) -> int:
        return self.exact_hits + self.semantic_hits + self.coalesced

    @property
    def lookups(self) -> int:
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float | None:
        """None where nothing was looked up."""
        return self.hits / self.lookups if self.lookups else None


@dataclass(frozen=True, slots=True)
class CacheSelection:
    """Entries to remove: those that every given field holds for; all of them where none is."""

    prompt_name: str | None = None
    model: str | None = None
    older_than: datetime | None = None


@dataclass(frozen=True, slots=True)
class CacheUpkeep:
    """What keeping the cache in order came to."""

    expired: int = 0
    evicted: int = 0
    entries: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class WarmingTask:
    """An entry of a much used prompt that is about to expire, and what to ask again for it."""

    entry_id: UUID
    request: CompletionRequest

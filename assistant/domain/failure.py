"""What an error says of the model that it came from, and what is done about it: one table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from assistant.errors import (
    AssistantError,
    CircuitOpen,
    ContextLengthExceeded,
    InvalidResponse,
    ModelMissing,
    ProviderBusy,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    SchemaViolated,
    StreamInterrupted,
    TimeLimitReached,
)


class Evidence(StrEnum):
    """What the end of a call says of the model's health."""

    WORKS = "WORKS"
    FAILS = "FAILS"
    NOTHING = "NOTHING"


@dataclass(frozen=True, slots=True)
class Handling:
    """``is_retried``: the same call of the same model may succeed in a moment."""

    is_retried: bool
    evidence: Evidence


# The first row that fits decides. A provider that refuses a call answers, so it works; whoever
# sends bad calls must not close a model to everybody else.
_HANDLING: tuple[tuple[type[AssistantError], Handling], ...] = (
    (CircuitOpen, Handling(False, Evidence.NOTHING)),
    (ProviderBusy, Handling(False, Evidence.NOTHING)),
    (TimeLimitReached, Handling(False, Evidence.NOTHING)),
    (ModelMissing, Handling(False, Evidence.WORKS)),
    (RateLimited, Handling(True, Evidence.WORKS)),
    (QuotaExhausted, Handling(False, Evidence.FAILS)),
    (ProviderRejected, Handling(False, Evidence.WORKS)),
    (ContextLengthExceeded, Handling(False, Evidence.WORKS)),
    (ProviderUnavailable, Handling(True, Evidence.FAILS)),
    (ProviderTimeout, Handling(True, Evidence.FAILS)),
    (StreamInterrupted, Handling(False, Evidence.FAILS)),
    (SchemaViolated, Handling(False, Evidence.WORKS)),
    (InvalidResponse, Handling(False, Evidence.FAILS)),
)
_UNKNOWN = Handling(False, Evidence.NOTHING)


def handling_of(error: BaseException) -> Handling:
    """What is done about ``error``. What is not a provider's, a cancellation say, says nothing."""
    for kind, handling in _HANDLING:
        if isinstance(error, kind):
            return handling
    return _UNKNOWN

"""Completions to write down."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from assistant.domain.cache import CacheOutcome, CacheVerdict
from assistant.domain.caller import Caller
from assistant.domain.completion import (
    Attempt,
    AttemptOutcome,
    Completion,
    CompletionStatus,
    Decision,
    FinishReason,
    TokenUsage,
)
from assistant.domain.identifier import time_of
from assistant.errors import ErrorCode

ATTEMPTS = (
    Attempt(
        provider="openai",
        model="openai/gpt",
        outcome=AttemptOutcome.FAILED,
        latency_ms=7,
        error_code=ErrorCode.PROVIDER_UNAVAILABLE,
    ),
    Attempt(
        provider="ollama",
        model="ollama/llama3.2:3b",
        outcome=AttemptOutcome.SUCCEEDED,
        latency_ms=41,
        usage=TokenUsage(12, 5, 3, False, Decimal("0.0000125")),
    ),
)


def running(tenant: str = "acme", *, at: datetime | None = None, **changes: Any) -> Completion:
    """A completion that has just opened."""
    id_ = uuid7() if at is None else id_at(at)
    opened = Completion(
        id=id_,
        caller=Caller(tenant, "ann", "billing", frozenset()),
        status=CompletionStatus.RUNNING,
        created_at=time_of(id_),
        model="ollama/llama3.2:3b",
        decision=Decision(candidates=("ollama/llama3.2:3b",)),
        feature="invoices",
    )
    return replace(opened, **changes)


def succeeded(opened: Completion, **changes: Any) -> Completion:
    """How a completion ends well."""
    ended = replace(
        opened,
        status=CompletionStatus.SUCCEEDED,
        text="Grüße, 世界 🎉",
        finish_reason=FinishReason.STOP,
        usage=TokenUsage(12, 5, 3, False, Decimal("0.0000125")),
        decision=Decision(
            rule_name="cheap first",
            candidates=("openai/gpt", "ollama/llama3.2:3b"),
            attempts=ATTEMPTS,
            overhead_ms=1.25,
            cache=CacheVerdict(
                CacheOutcome.SEMANTIC,
                "It means the same. 🎉",
                similarity=0.96,
                min_similarity=0.95,
                age_ms=3_000_000_000,
                guard="numbers",
                source_id=UUID(int=7),
                wording=b"w" * 32,
            ),
            saved_tokens=17,
            saved_cost=Decimal("0.5"),
        ),
        latency_ms=50,
    )
    return replace(ended, **changes)


def id_at(moment: datetime) -> UUID:
    """A UUIDv7 made at another time."""
    milliseconds = int(moment.timestamp() * 1000)
    random_bits = uuid4().int & ((1 << 80) - 1)
    version_and_variant = ~((0xF << 76) | (0b11 << 62))
    return UUID(
        int=(milliseconds << 80) | (random_bits & version_and_variant) | (0x7 << 76) | (0b10 << 62)
    )

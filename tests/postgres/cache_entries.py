"""Answers to keep, and vectors that are like one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import numpy as np
from uuid_utils.compat import uuid7

from assistant.domain.cache import CachedAnswer, CacheEntry, CacheKey, FlightKey
from assistant.domain.completion import FinishReason
from assistant.domain.identifier import time_of
from tests.postgres.completions import id_at

ANSWER = CachedAnswer(
    text="Grüße, 世界 🎉",
    finish_reason=FinishReason.STOP,
    model="ollama/llama3.2:3b",
    json={"answer": [1, None, "zwei"]},
    reasoning="hm",
    prompt_tokens=12,
    completion_tokens=5,
    cost=Decimal("0.0000125"),
    latency_ms=50,
)


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def a_key(
    question: str = "What is it?", tenant: str = "acme", scope: str | None = "scope"
) -> CacheKey:
    """The key of a question; ``scope`` None: only the very same request will do."""
    if scope is None:
        return CacheKey(tenant, digest(question))
    return CacheKey(tenant, digest(scope + question), digest(scope), question)


def an_entry(key: CacheKey | None = None, *, age_s: float = 0.0, **changes: Any) -> CacheEntry:
    """An answer that was made ``age_s`` seconds ago and is kept for an hour from now on."""
    now = datetime.now(UTC)
    id_ = id_at(now - timedelta(seconds=age_s)) if age_s else uuid7()
    entry = CacheEntry(
        id=id_,
        key=a_key() if key is None else key,
        answer=ANSWER,
        created_at=time_of(id_),
        fresh_until=now + timedelta(minutes=45),
        expires_at=now + timedelta(hours=1),
    )
    return replace(entry, **changes)


def a_flight(key: CacheKey | None = None) -> FlightKey:
    key = a_key() if key is None else key
    return FlightKey(key.tenant_id, sha256(b"asked: " + key.exact).digest(), uuid7())


def vectors(count: int, seed: int = 0) -> np.ndarray:
    """Random directions, as rows of length 1."""
    made = np.random.default_rng(seed).normal(size=(count, 384)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def near(vector: Sequence[float], cosine: float, seed: int = 1) -> list[float]:
    """A vector that has ``cosine`` with another."""
    base = np.asarray(vector, dtype=np.float64)
    other = np.random.default_rng(seed).normal(size=384)
    other -= base * (other @ base)
    other /= np.linalg.norm(other)
    return [float(x) for x in cosine * base + np.sqrt(1 - cosine**2) * other]

"""Kept answers and running questions as the cache's functions take them and give them back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from assistant.adapters.postgres.stream_rows import event_row
from assistant.domain.cache import (
    CachedAnswer,
    CacheEntry,
    CacheKey,
    CachePolicy,
    FlightKey,
    Landing,
)
from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import (
    CompletionRequest,
    FinishReason,
    GenerationParameters,
    InterruptionPolicy,
    Message,
    MessageRole,
    ProgressEvent,
)
from assistant.domain.identifier import time_of
from assistant.domain.model import RoutingStrategy

ENTRY_COLUMNS = """
    tenant_id, id, created_at, key, scope, wording, min_similarity, rejected, answer, prompt_name,
    prompt_version_id, request, fresh_until, expires_at
"""

LAND_FLIGHTS: LiteralString = "SELECT * FROM assistant_land_flights(%s)"

# What a row takes beside its texts, indexes included, and what its vector takes beside that: once
# in the row and once, with its neighbours, in the index. As measured by tests/bench/cache_lookup.
_ROW_BYTES = 600
_VECTOR_BYTES = 3_800


# -------------------------------------------------------------------------------- entries


def entry_row(entry: CacheEntry) -> dict[str, Any]:
    """The row as JSON. ``created_at`` is the time in the id, so that the id finds the partition."""
    key, answer = entry.key, json.dumps(answer_row(entry.answer))
    request = None if entry.request is None else request_row(entry.request)
    asked = None if request is None else json.dumps(request)
    texts = (answer, asked or "", key.wording or "")
    return {
        "tenant_id": key.tenant_id,
        "id": str(entry.id),
        "created_at": time_of(entry.id).isoformat(),
        "key_hex": key.exact.hex(),
        "scope_hex": None if key.scope is None else key.scope.hex(),
        "wording": key.wording,
        "embedding": None if entry.vector is None else vector_text(entry.vector),
        "min_similarity": entry.min_similarity,
        "rejected_hex": [rejected.hex() for rejected in entry.rejected],
        "answer": answer,
        "model": entry.answer.model,
        "prompt_name": entry.prompt_name,
        "prompt_version_id": (
            None if entry.prompt_version_id is None else str(entry.prompt_version_id)
        ),
        "request": asked,
        "tokens": entry.answer.tokens,
        "cost": str(entry.answer.cost),
        "size_bytes": (
            _ROW_BYTES
            + sum(len(text.encode()) for text in texts)
            + (0 if entry.vector is None else _VECTOR_BYTES)
        ),
        "fresh_until": entry.fresh_until.isoformat(),
        "expires_at": entry.expires_at.isoformat(),
    }


def entry_of(row: Any) -> CacheEntry:
    """The entry in a row of ENTRY_COLUMNS, without its vector."""
    return CacheEntry(
        id=row.id,
        key=CacheKey(row.tenant_id, row.key, row.scope, row.wording),
        answer=answer_of(row.answer),
        created_at=row.created_at,
        fresh_until=row.fresh_until,
        expires_at=row.expires_at,
        min_similarity=row.min_similarity,
        rejected=tuple(row.rejected),
        prompt_name=row.prompt_name,
        prompt_version_id=row.prompt_version_id,
        request=None if row.request is None else request_of(row.tenant_id, row.request),
    )


def vector_text(vector: Sequence[float]) -> str:
    """A vector as PostgreSQL reads it; nine digits are all that single precision has."""
    return f"[{','.join([f'{value:.9g}' for value in vector])}]"


def answer_row(answer: CachedAnswer) -> dict[str, Any]:
    """The answer as JSON; decimals as text, so that nothing is rounded."""
    return {
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "model": answer.model,
        "json": answer.json,
        "reasoning": answer.reasoning,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "cost": str(answer.cost),
        "latency_ms": answer.latency_ms,
    }


def answer_of(row: Mapping[str, Any]) -> CachedAnswer:
    return CachedAnswer(
        **{
            **row,
            "finish_reason": FinishReason(row["finish_reason"]),
            "cost": Decimal(row["cost"]),
        }
    )


# -------------------------------------------------------------------------------- requests


def request_row(request: CompletionRequest) -> dict[str, Any] | None:
    """What it takes to ask again; None of a prompt that the catalog does not have.

    Of the caller it is who they are, not what they may do.
    """
    if request.unsaved is not None:
        return None
    messages, strategy = request.messages, request.strategy
    return {
        "user_id": request.caller.user_id,
        "service_id": request.caller.service_id,
        "prompt_name": request.prompt_name,
        "prompt_version": request.prompt_version,
        "variables": request.variables,
        "messages": None if messages is None else [asdict(message) for message in messages],
        "text": request.text,
        "model": request.model,
        "parameters": asdict(request.parameters),
        "response_schema": request.response_schema,
        "requires_accuracy": request.requires_accuracy,
        "strategy": strategy,
        "on_interruption": request.on_interruption,
        "cache": request.cache,
        "feature": request.feature,
        "metadata": request.metadata,
    }


def request_of(tenant_id: str, row: Mapping[str, Any]) -> CompletionRequest:
    """The request in a row, of a caller who may complete and nothing else."""
    messages, parameters, strategy = row["messages"], row["parameters"], row["strategy"]
    stop = parameters["stop"]
    return CompletionRequest(
        caller=Caller(tenant_id, row["user_id"], row["service_id"], frozenset({Scope.COMPLETE})),
        prompt_name=row["prompt_name"],
        prompt_version=row["prompt_version"],
        variables=row["variables"],
        messages=None if messages is None else tuple(_message_of(each) for each in messages),
        text=row["text"],
        model=row["model"],
        parameters=GenerationParameters(
            **{**parameters, "stop": None if stop is None else tuple(stop)}
        ),
        response_schema=row["response_schema"],
        requires_accuracy=row["requires_accuracy"],
        strategy=None if strategy is None else RoutingStrategy(strategy),
        on_interruption=InterruptionPolicy(row["on_interruption"]),
        cache=CachePolicy(row["cache"]),
        feature=row["feature"],
        metadata=row["metadata"],
    )


def _message_of(row: Mapping[str, Any]) -> Message:
    return Message(MessageRole(row["role"]), row["content"], row["tool_call_id"])


# ------------------------------------------------------------------------ running questions


def flight_row(
    flight: FlightKey,
    told: int = 0,
    events: Sequence[ProgressEvent] = (),
    landing: Landing | None = None,
) -> dict[str, Any]:
    """News of a flight as JSON: the ``events`` after the first ``told``, and how it ended."""
    return {
        "tenant_id": flight.tenant_id,
        "key_hex": flight.key.hex(),
        "id": str(flight.id),
        "told": told,
        "events": [json.dumps(event_row(event)) for event in events],
        "landing": None if landing is None else json.dumps(landing_row(landing)),
    }


def landing_row(landing: Landing) -> dict[str, Any]:
    answer, source_id = landing.answer, landing.source_id
    return {
        "answer": None if answer is None else answer_row(answer),
        "error": landing.error,
        "source_id": None if source_id is None else str(source_id),
    }


def landing_of(row: Mapping[str, Any]) -> Landing:
    answer, source_id = row["answer"], row["source_id"]
    return Landing(
        answer=None if answer is None else answer_of(answer),
        error=row["error"],
        source_id=None if source_id is None else UUID(source_id),
    )

"""A completion as the ledger's functions take it and as the tables give it back."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

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
from assistant.domain.values import carriable
from assistant.errors import ErrorCode


def completion_row(completion: Completion) -> dict[str, Any]:
    """The row as JSON; decimals as text, so that nothing is rounded.

    ``created_at`` is the time in the id, so that the id alone finds the partition.
    """
    usage, decision = completion.usage, completion.decision
    return {
        "tenant_id": completion.caller.tenant_id,
        "id": str(completion.id),
        "created_at": time_of(completion.id).isoformat(),
        "status": completion.status,
        "user_id": completion.caller.user_id,
        "service_id": completion.caller.service_id,
        "feature": completion.feature,
        "prompt_version_id": (
            None if completion.prompt_version_id is None else str(completion.prompt_version_id)
        ),
        "model": completion.model,
        "provider": completion.model.partition("/")[0],
        "text": carriable(completion.text),
        "finish_reason": completion.finish_reason,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "is_estimated": usage.is_estimated,
        "cost": str(usage.cost),
        "is_priced": usage.is_priced,
        "saved_tokens": decision.saved_tokens,
        "saved_cost": str(decision.saved_cost),
        "cache": completion.cache,
        "decision": {
            "rule_name": decision.rule_name,
            "candidates": decision.candidates,
            "attempts": [_attempt_row(attempt) for attempt in decision.attempts],
            "overhead_ms": decision.overhead_ms,
            "cache": None if decision.cache is None else _verdict_row(decision.cache),
            "saved_tokens": decision.saved_tokens,
            "saved_cost": str(decision.saved_cost),
            "first_token_ms": decision.first_token_ms,
            "most_output_tokens": decision.most_output_tokens,
        },
        "latency_ms": completion.latency_ms,
        "error_code": completion.error_code,
        "json": completion.json,
        "operation": completion.operation,
    }


def _verdict_row(verdict: CacheVerdict) -> dict[str, Any]:
    return {
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "similarity": verdict.similarity,
        "min_similarity": verdict.min_similarity,
        "age_ms": verdict.age_ms,
        "guard": verdict.guard,
        "source_id": None if verdict.source_id is None else str(verdict.source_id),
        "wording": None if verdict.wording is None else verdict.wording.hex(),
    }


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    usage = attempt.usage
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome,
        "latency_ms": attempt.latency_ms,
        "first_token_ms": attempt.first_token_ms,
        "error_code": attempt.error_code,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "is_estimated": usage.is_estimated,
        "cost": str(usage.cost),
        "is_priced": usage.is_priced,
    }


def completion_of(row: Mapping[str, Any]) -> Completion:
    """The completion in a row of ``completions``; its caller's scopes are not kept."""
    return Completion(
        id=row["id"],
        caller=Caller(row["tenant_id"], row["user_id"], row["service_id"], frozenset()),
        status=CompletionStatus(row["status"]),
        created_at=row["created_at"],
        model=row["model"],
        text=row["text"],
        finish_reason=FinishReason(row["finish_reason"]) if row["finish_reason"] else None,
        prompt_version_id=row["prompt_version_id"],
        usage=_usage_of(row),
        cache=CacheOutcome(row["cache"]),
        decision=_decision_of(row["decision"]),
        latency_ms=row["latency_ms"],
        error_code=ErrorCode(row["error_code"]) if row["error_code"] else None,
        feature=row["feature"],
        json=row["json"],
    )


def _decision_of(row: Mapping[str, Any]) -> Decision:
    return Decision(
        rule_name=row["rule_name"],
        candidates=tuple(row["candidates"]),
        attempts=tuple(_attempt_of(attempt) for attempt in row["attempts"]),
        overhead_ms=row["overhead_ms"],
        cache=_verdict_of(row.get("cache")),
        saved_tokens=row.get("saved_tokens", 0),
        saved_cost=Decimal(row["saved_cost"]),
        first_token_ms=row.get("first_token_ms"),
        most_output_tokens=row.get("most_output_tokens"),
    )


def _verdict_of(row: Mapping[str, Any] | None) -> CacheVerdict | None:
    # Completions from before there was a cache have none.
    if row is None:
        return None
    return CacheVerdict(
        outcome=CacheOutcome(row["outcome"]),
        reason=row["reason"],
        similarity=row["similarity"],
        min_similarity=row["min_similarity"],
        age_ms=row["age_ms"],
        guard=row["guard"],
        source_id=None if row["source_id"] is None else UUID(row["source_id"]),
        wording=None if row["wording"] is None else bytes.fromhex(row["wording"]),
    )


def _attempt_of(row: Mapping[str, Any]) -> Attempt:
    return Attempt(
        provider=row["provider"],
        model=row["model"],
        outcome=AttemptOutcome(row["outcome"]),
        latency_ms=row["latency_ms"],
        error_code=ErrorCode(row["error_code"]) if row["error_code"] else None,
        usage=_usage_of(row),
        first_token_ms=row.get("first_token_ms"),
    )


def _usage_of(row: Mapping[str, Any]) -> TokenUsage:
    return TokenUsage(
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        cached_tokens=row["cached_tokens"],
        # Attempts from before these were recorded lack them.
        reasoning_tokens=row.get("reasoning_tokens", 0),
        is_estimated=row["is_estimated"],
        cost=Decimal(row["cost"]),
        is_priced=row.get("is_priced", True),
    )

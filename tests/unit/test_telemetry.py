"""What Prometheus is told."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families

from assistant.adapters.telemetry import PrometheusTelemetry
from assistant.domain.cache import CacheOutcome
from assistant.domain.caller import Caller
from assistant.domain.completion import (
    Attempt,
    AttemptOutcome,
    Completion,
    CompletionStatus,
    Decision,
    Operation,
    TokenUsage,
)
from assistant.errors import ErrorCode

LOCAL = "ollama/llama3.2:3b"
PAID = "openai/gpt-4o-mini"

ANSWERED = Completion(
    id=UUID(int=1),
    caller=Caller("tenant-7", "user-7", "service-7", frozenset()),
    status=CompletionStatus.SUCCEEDED,
    created_at=datetime(2026, 8, 1, tzinfo=UTC),
    model=PAID,
    text="the answer's text",
    decision=Decision(
        attempts=(
            Attempt("ollama", LOCAL, AttemptOutcome.TIMED_OUT, 1_500, ErrorCode.PROVIDER_TIMEOUT),
            Attempt(
                "openai",
                PAID,
                AttemptOutcome.SUCCEEDED,
                480,
                usage=TokenUsage(120, 30, cached_tokens=100, cost=Decimal("0.25")),
            ),
        ),
        overhead_ms=20.0,
    ),
    latency_ms=2_000,
    feature="search",
)


def exported(telemetry: PrometheusTelemetry) -> dict[tuple[str, frozenset[str]], float]:
    """Every sample, as (name, label values) -> value."""
    body, _ = telemetry.metrics_response()
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def sample(telemetry: PrometheusTelemetry, name: str, *labels: str) -> float | None:
    return exported(telemetry).get((name, frozenset(labels)))


def test_a_completion_is_counted_by_outcome_model_prompt_and_cache() -> None:
    telemetry = PrometheusTelemetry()
    telemetry.completion_settled(ANSWERED, prompt_name="summarize")
    telemetry.completion_settled(ANSWERED, prompt_name="summarize")
    labels = ("SUCCEEDED", PAID, "summarize", "BYPASSED")
    assert sample(telemetry, "assistant_requests_total", *labels) == 2
    assert sample(telemetry, "assistant_feature_requests_total", "SUCCEEDED", "search") == 2


def test_a_failure_is_counted_by_its_code_and_a_refusal_without_a_model() -> None:
    telemetry = PrometheusTelemetry()
    telemetry.completion_settled(
        replace(
            ANSWERED,
            status=CompletionStatus.FAILED,
            model="",
            error_code=ErrorCode.FORBIDDEN,
            decision=Decision(),
        )
    )
    telemetry.request_refused("UNAUTHENTICATED")
    assert sample(telemetry, "assistant_requests_total", "FORBIDDEN", "", "BYPASSED") == 1
    assert sample(telemetry, "assistant_refusals_total", "UNAUTHENTICATED") == 1


def test_versions_of_prompts_that_were_taken_back_are_counted_by_prompt() -> None:
    telemetry = PrometheusTelemetry()

    telemetry.version_taken_back("greet")

    assert sample(telemetry, "assistant_prompt_rollbacks_total", "greet") == 1


def test_tokens_and_cost_belong_to_the_model_that_was_called() -> None:
    telemetry = PrometheusTelemetry()
    telemetry.completion_settled(ANSWERED)
    assert sample(telemetry, "assistant_tokens_total", PAID, "prompt") == 120
    assert sample(telemetry, "assistant_tokens_total", PAID, "completion") == 30
    assert sample(telemetry, "assistant_tokens_total", PAID, "cached") == 100
    assert sample(telemetry, "assistant_cost_total", PAID) == 0.25
    assert sample(telemetry, "assistant_tokens_total", LOCAL, "prompt") is None


def test_a_cache_hit_counts_what_it_saved_and_no_tokens() -> None:
    telemetry = PrometheusTelemetry()
    telemetry.completion_settled(
        replace(
            ANSWERED,
            cache=CacheOutcome.EXACT,
            usage=TokenUsage(120, 30),
            decision=Decision(saved_cost=Decimal("0.5")),
        )
    )
    assert sample(telemetry, "assistant_requests_total", "SUCCEEDED", PAID, "", "EXACT") == 1
    assert sample(telemetry, "assistant_saved_cost_total", PAID) == 0.5
    assert sample(telemetry, "assistant_tokens_total", PAID, "prompt") is None


def test_overhead_is_apart_from_the_duration() -> None:
    telemetry = PrometheusTelemetry()
    telemetry.completion_settled(ANSWERED)
    assert sample(telemetry, "assistant_overhead_seconds_sum", "SUCCEEDED") == 0.02
    assert sample(telemetry, "assistant_request_duration_seconds_sum", "SUCCEEDED") == 2.0


def test_every_attempt_is_measured_by_the_genai_conventions() -> None:
    telemetry = PrometheusTelemetry()
    telemetry.completion_settled(ANSWERED)
    duration = "gen_ai_client_operation_duration_seconds_sum"
    failed = ("chat", "ollama", "llama3.2:3b", "PROVIDER_TIMEOUT")
    assert sample(telemetry, duration, *failed) == 1.5
    assert sample(telemetry, duration, "chat", "openai", "gpt-4o-mini", "") == 0.48
    tokens = "gen_ai_client_token_usage_sum"
    assert sample(telemetry, tokens, "chat", "openai", "gpt-4o-mini", "input") == 120
    assert sample(telemetry, tokens, "chat", "openai", "gpt-4o-mini", "output") == 30
    telemetry.completion_settled(replace(ANSWERED, operation=Operation.EMBEDDINGS))
    assert sample(telemetry, duration, "embeddings", "openai", "gpt-4o-mini", "") == 0.48


def test_a_call_that_was_held_back_is_counted_and_has_no_duration() -> None:
    telemetry = PrometheusTelemetry()
    held = Attempt(
        "ollama", "ollama/a", AttemptOutcome.CIRCUIT_OPEN, 0, ErrorCode.PROVIDER_UNAVAILABLE
    )
    decision = replace(ANSWERED.decision, attempts=(held,))
    telemetry.completion_settled(replace(ANSWERED, decision=decision))
    held_back = ("ollama/a", "CIRCUIT_OPEN", "PROVIDER_UNAVAILABLE")
    assert sample(telemetry, "assistant_attempts_total", *held_back) == 1
    count = "gen_ai_client_operation_duration_seconds_count"
    assert sample(telemetry, count, "chat", "ollama", "a", "PROVIDER_UNAVAILABLE") is None


def test_a_gauge_of_many_series_shows_those_there_are_at_each_scrape() -> None:
    telemetry = PrometheusTelemetry()
    states = {("ollama", "a"): 1.0}
    telemetry.watch_each(
        "assistant_circuit_state", "Held back.", ["provider", "model"], lambda: states
    )
    assert 'assistant_circuit_state{model="a",provider="ollama"} 1.0' in (
        telemetry.metrics_response()[0].decode()
    )
    states.clear()
    assert "assistant_circuit_state{" not in telemetry.metrics_response()[0].decode()


def test_no_tenant_user_service_or_text_is_exported() -> None:
    telemetry = PrometheusTelemetry()
    telemetry.completion_settled(ANSWERED, prompt_name="summarize")
    body = telemetry.metrics_response()[0].decode()
    for private in ("tenant-7", "user-7", "service-7", "the answer's text"):
        assert private not in body


def test_a_label_takes_200_values_and_the_rest_are_one() -> None:
    telemetry = PrometheusTelemetry()
    for number in range(500):
        telemetry.completion_settled(replace(ANSWERED, feature=f"feature-{number}"))
    features = {
        key: value
        for key, value in exported(telemetry).items()
        if key[0] == "assistant_feature_requests_total"
    }
    assert len(features) == 201
    assert features["assistant_feature_requests_total", frozenset({"SUCCEEDED", "other"})] == 300


def test_labels_that_multiply_are_bounded_together_and_nothing_is_lost() -> None:
    telemetry = PrometheusTelemetry()
    for model in range(60):
        for prompt in range(60):
            telemetry.completion_settled(
                replace(ANSWERED, model=f"m/{model}", decision=Decision()),
                prompt_name=f"p{prompt}",
            )
    counts = [
        value for key, value in exported(telemetry).items() if key[0] == "assistant_requests_total"
    ]
    assert len(counts) == 2_001
    assert sum(counts) == 3_600


def test_what_cannot_be_counted_does_not_fail_the_request() -> None:
    telemetry = PrometheusTelemetry()
    refund = replace(ANSWERED, decision=Decision(saved_cost=Decimal(-1)))
    telemetry.completion_settled(refund)
    telemetry.completion_settled(ANSWERED)
    assert sample(telemetry, "assistant_feature_requests_total", "SUCCEEDED", "search") == 2


def test_a_watched_value_is_read_at_each_scrape_and_a_broken_one_hides_nothing() -> None:
    telemetry = PrometheusTelemetry()
    running = [3.0]
    telemetry.watch("assistant_completions_in_flight", "Running now.", lambda: running[0])
    telemetry.watch("assistant_ledger_queue_length", "Waiting rows.", lambda: 1 / 0)
    assert sample(telemetry, "assistant_completions_in_flight") == 3
    running[0] = 4
    assert sample(telemetry, "assistant_completions_in_flight") == 4
    queue_length = sample(telemetry, "assistant_ledger_queue_length")
    assert queue_length is not None
    assert math.isnan(queue_length)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ],
)
def test_the_format_is_prometheus_text_unless_openmetrics_is_asked_for(
    accept: str, content_type: str
) -> None:
    assert PrometheusTelemetry().metrics_response(accept)[1] == content_type


def test_two_telemetries_in_one_process_do_not_share_counts() -> None:
    one, two = PrometheusTelemetry(), PrometheusTelemetry()
    one.completion_settled(ANSWERED)
    assert sample(two, "assistant_requests_total", "SUCCEEDED", PAID, "", "MISS") is None


def test_calls_without_a_price_are_counted_by_their_provider() -> None:
    unpriced = Attempt(
        "rented", "rented/x", AttemptOutcome.SUCCEEDED, 1, usage=TokenUsage(7, 3, is_priced=False)
    )
    telemetry = PrometheusTelemetry()
    telemetry.completion_settled(
        replace(ANSWERED, decision=Decision(attempts=(unpriced, *ANSWERED.decision.attempts)))
    )

    name = "assistant_unpriced_attempts_total"
    assert {
        labels: count for (metric, labels), count in exported(telemetry).items() if metric == name
    } == {frozenset({"rented"}): 1}

"""Counts what happened, for Prometheus. Never a tenant, a user or a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from assistant import __version__
from assistant.domain.budget import BudgetAlert
from assistant.domain.cache import CacheLevel, CacheLookup, ShadowVerdict
from assistant.domain.completion import Attempt, AttemptOutcome, Completion, Operation
from assistant.domain.idempotency import KeyOutcome
from assistant.domain.job import JobOutcome
from assistant.domain.stream import Resumption

_log = structlog.get_logger(__name__)

# Each series would otherwise be exported a second time, with the moment it began.
disable_created_metrics()  # type: ignore[no-untyped-call]

OTHER = "other"
"""What a label says once it has taken as many distinct values as it may."""

_MAX_LABEL_VALUES = 200
_MAX_SERIES = 2_000
_REMEMBERED_LOOKUPS = 1_000.0

# The service's own time is a few milliseconds; a whole answer may take minutes.
_OVERHEAD_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LOOKUP_S = (0.00002, 0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25)
_DURATION_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
# As the GenAI conventions recommend. Source:
# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
_GEN_AI_DURATION_S = tuple(0.01 * 2**power for power in range(14))
_GEN_AI_TOKENS = tuple(4**power for power in range(14))


class _Label:
    """The values of one label: the 201st distinct one and all after it are ``other``."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def fold(self, value: str) -> str:
        if value in self._known:
            return value
        if len(self._known) >= _MAX_LABEL_VALUES:
            return OTHER
        self._known.add(value)
        return value


class _Series:
    """The series of one metric by their label values.

    Bounded labels still multiply, so the series are bounded too, all labels being ``other``
    for those that come too late.
    """

    def __init__(self, metric: Counter | Histogram) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], Any] = {}

    def at(self, *values: str) -> Any:
        child = self._children.get(values)
        if child is None:
            if len(self._children) >= _MAX_SERIES:
                values = (OTHER,) * len(values)
            child = self._children[values] = self._metric.labels(*values)
        return child


class _Rate:
    """How many of the last about a thousand were hits: older ones count less and less."""

    def __init__(self) -> None:
        self._hits = self._all = 0.0

    def add(self, *, is_hit: bool) -> None:
        self._hits += is_hit
        self._all += 1.0
        if self._all > _REMEMBERED_LOOKUPS:
            self._hits /= 2
            self._all /= 2

    @property
    def share(self) -> float:
        return self._hits / self._all if self._all else math.nan


class _Each(Collector):
    """A gauge whose series are read when they are scraped: as many as there are then."""

    def __init__(
        self,
        name: str,
        description: str,
        labels: Sequence[str],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        self._family = partial(GaugeMetricFamily, name, description, labels=labels)
        self._read = read

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        for values, number in islice(self._read().items(), _MAX_SERIES):
            family.add_metric(values, number)
        yield family

    def describe(self) -> Iterator[Metric]:
        yield self._family()


class PrometheusTelemetry:
    """The Telemetry port, with a registry of its own: one per process, as many as tests want."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._models, self._prompts, self._features = _Label(), _Label(), _Label()
        self._providers = _Label()
        self._steps = _Label()

        def counter(name: str, description: str, *labels: str) -> _Series:
            return _Series(Counter(name, description, labels, registry=self._registry))

        def histogram(
            name: str, description: str, buckets: tuple[float, ...], *labels: str
        ) -> _Series:
            return _Series(
                Histogram(name, description, labels, buckets=buckets, registry=self._registry)
            )

        self._requests = counter(
            "assistant_requests_total",
            "Completions settled, refused ones included. outcome: SUCCEEDED or the error's code.",
            *("outcome", "model", "prompt", "cache"),
        )
        self._feature_requests = counter(
            "assistant_feature_requests_total",
            "Completions settled, by what callers say they are for.",
            *("outcome", "feature"),
        )
        self._refusals = counter(
            "assistant_refusals_total",
            "Callers turned away: not identified, or without the scope that a field needs.",
            "code",
        )
        self._budget_alerts = counter(
            "assistant_budget_alerts_total",
            "Steps of budgets that were reached, counted by one replica each. step: as in 0.8.",
            *("scope", "period", "step"),
        )
        self._rollbacks = counter(
            "assistant_prompt_rollbacks_total",
            "New versions of prompts that were taken back by themselves, by this replica.",
            "prompt",
        )
        self._tokens = counter(
            "assistant_tokens_total",
            "Tokens that providers processed. kind: prompt, completion; cached is part of prompt.",
            *("model", "kind"),
        )
        self._cost = counter(
            "assistant_cost_total",
            "Cost in USD. A float, so approximate; the usage in the database is exact.",
            "model",
        )
        self._unpriced = counter(
            "assistant_unpriced_attempts_total",
            "Calls that used tokens of a model without a known price.",
            "provider",
        )
        self._saved_cost = counter(
            "assistant_saved_cost_total",
            "Cost in USD that answers from the cache did not cause. A float, so approximate.",
            "model",
        )
        self._lookups = counter(
            "assistant_cache_lookups_total",
            "Looks into one level of the cache. outcome: hit, miss; timeout, error, skipped.",
            *("level", "outcome"),
        )
        self._lookup_duration = histogram(
            "assistant_cache_lookup_duration_seconds",
            "One look into one level of the cache. semantic: the search, guards included.",
            _LOOKUP_S,
            "level",
        )
        self._hit_rates = {level: _Rate() for level in CacheLevel}
        self.watch_each(
            "assistant_cache_hit_rate",
            "Share of hits among the last looks into one level of the cache, about a thousand.",
            ("level",),
            lambda: {(level.value,): rate.share for level, rate in self._hit_rates.items()},
        )
        self._shadow_checks = counter(
            "assistant_cache_shadow_checks_total",
            "Semantic hits that were compared with what a model says. verdict: same, different, "
            "failed.",
            "verdict",
        )
        self._resumptions = counter(
            "assistant_stream_resumptions_total",
            "Readers who picked a stream up: here, elsewhere (made by another replica, or no longer), "
            "refused.",
            "outcome",
        )
        self._dropped_readers = Counter(
            "assistant_stream_readers_dropped_total",
            "Readers who fell too far behind their stream. They can resume it.",
            registry=self._registry,
        )
        self._keys = counter(
            "assistant_idempotent_requests_total",
            "Requests with an idempotency key. outcome: first, repeated, conflict.",
            "outcome",
        )
        self._overhead = histogram(
            "assistant_overhead_seconds",
            "The service's own time in a completion: all but what providers were at work.",
            _OVERHEAD_S,
            "outcome",
        )
        self._duration = histogram(
            "assistant_request_duration_seconds",
            "A completion, from the request to the answer.",
            _DURATION_S,
            "outcome",
        )
        self._attempts = counter(
            "assistant_attempts_total",
            "Calls of providers, and those that were held back (outcome CIRCUIT_OPEN, or code "
            "RATE_LIMITED for a full queue). code is empty where one succeeded.",
            *("model", "outcome", "code"),
        )
        self._attempt_duration = histogram(
            "gen_ai_client_operation_duration_seconds",
            "One call of one provider. error_type is empty where it succeeded.",
            _GEN_AI_DURATION_S,
            *("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"),
            "error_type",
        )
        self._attempt_tokens = histogram(
            "gen_ai_client_token_usage",
            "Tokens of one call of one provider.",
            _GEN_AI_TOKENS,
            *("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"),
            "gen_ai_token_type",
        )
        self._job_runs = counter(
            "assistant_job_runs_total",
            "Runs of background jobs by this process. outcome: SUCCEEDED, FAILED, CANCELLED.",
            *("job", "outcome"),
        )
        self._job_duration = histogram(
            "assistant_job_duration_seconds",
            "A run of a background job, however it ended.",
            _DURATION_S,
            "job",
        )
        Gauge(
            "assistant_build_info", "The running version.", ["version"], registry=self._registry
        ).labels(__version__).set(1)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def watch(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Export as the gauge ``name`` what ``read`` returns at each scrape; NaN where it fails."""

        def read_or_nan() -> float:
            try:
                return float(read())
            except Exception:  # noqa: BLE001 - one broken gauge must not hide the other metrics
                return math.nan

        Gauge(name, description, registry=self._registry).set_function(read_or_nan)

    def watch_each(
        self,
        name: str,
        description: str,
        labels: Sequence[str],
        read: Callable[[], Mapping[tuple[str, ...], float]],
    ) -> None:
        """Export as the gauge ``name`` what ``read`` returns at each scrape, by label values."""
        self._registry.register(_Each(name, description, labels, read))

    def completion_settled(self, completion: Completion, prompt_name: str | None = None) -> None:
        """Count a completion and its attempts. ``prompt_name``: the catalog's, where it was found."""
        try:
            self._count(completion, prompt_name)
        except Exception:  # noqa: BLE001 - a request does not fail because it was not counted
            _log.warning("completion_not_counted", exc_info=True)

    def cache_looked_up(self, level: CacheLevel, outcome: CacheLookup, latency_s: float) -> None:
        """Count a look into one level of the cache."""
        self._lookups.at(level.value, outcome.value).inc()
        self._lookup_duration.at(level.value).observe(latency_s)
        self._hit_rates[level].add(is_hit=outcome is CacheLookup.HIT)

    def cache_shadow_checked(self, verdict: ShadowVerdict) -> None:
        """Count a semantic hit that was compared with what a model says."""
        self._shadow_checks.at(verdict.value).inc()

    def budget_alert_announced(self, alert: BudgetAlert) -> None:
        """Count a step of a budget that was reached."""
        step = self._steps.fold(f"{alert.step.normalize():f}")
        self._budget_alerts.at(alert.scope.value, alert.period.value, step).inc()

    def stream_resumed(self, outcome: Resumption) -> None:
        """Count a reader who wanted to pick a stream up."""
        self._resumptions.at(outcome.value).inc()

    def reader_dropped(self) -> None:
        """Count a reader who fell too far behind."""
        self._dropped_readers.inc()

    def key_met(self, outcome: KeyOutcome) -> None:
        """Count a request with an idempotency key."""
        self._keys.at(outcome.value).inc()

    def version_taken_back(self, prompt_name: str) -> None:
        """Count a new version of a prompt that was taken back."""
        self._rollbacks.at(self._prompts.fold(prompt_name)).inc()

    def job_ended(self, job: str, outcome: JobOutcome, duration_s: float) -> None:
        """Count a run of a background job."""
        self._job_runs.at(job, outcome.value).inc()
        self._job_duration.at(job).observe(duration_s)

    def request_refused(self, code: str) -> None:
        """Count a caller who was turned away before there was a completion."""
        self._refusals.at(code).inc()

    def metrics_response(self, accept: str = "") -> tuple[bytes, str]:
        """Every metric, and its content type: Prometheus text, or OpenMetrics if asked for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _count(self, completion: Completion, prompt_name: str | None) -> None:
        outcome = (completion.error_code or completion.status).value
        model = self._models.fold(completion.model)
        prompt = self._prompts.fold(prompt_name or "")
        self._requests.at(outcome, model, prompt, completion.cache.value).inc()
        if completion.feature:
            self._feature_requests.at(outcome, self._features.fold(completion.feature)).inc()
        decision = completion.decision
        self._overhead.at(outcome).observe(decision.overhead_ms / 1_000)
        self._duration.at(outcome).observe(completion.latency_ms / 1_000)
        if decision.saved_cost:
            self._saved_cost.at(model).inc(float(decision.saved_cost))
        for attempt in decision.attempts:
            self._count_attempt(attempt, completion.operation)

    def _count_attempt(self, attempt: Attempt, operation: Operation) -> None:
        model = self._models.fold(attempt.model)
        name = model.removeprefix(f"{attempt.provider}/")
        call = (operation.value, attempt.provider, name)
        error = attempt.error_code.value if attempt.error_code else ""
        self._attempts.at(model, attempt.outcome.value, error).inc()
        if attempt.outcome is AttemptOutcome.CIRCUIT_OPEN:
            return
        self._attempt_duration.at(*call, error).observe(attempt.latency_ms / 1_000)
        usage = attempt.usage
        for kind, token_type, tokens in (
            ("prompt", "input", usage.prompt_tokens),
            ("completion", "output", usage.completion_tokens),
        ):
            if tokens:
                self._tokens.at(model, kind).inc(tokens)
                self._attempt_tokens.at(*call, token_type).observe(tokens)
        if usage.cached_tokens:
            self._tokens.at(model, "cached").inc(usage.cached_tokens)
        if not usage.is_priced:
            self._unpriced.at(self._providers.fold(attempt.provider)).inc()
        if usage.cost:
            self._cost.at(model).inc(float(usage.cost))

"""One call of one model: guarded, measured, and recorded however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal

import structlog

from assistant.domain.completion import (
    Attempt,
    AttemptOutcome,
    GenerationFinished,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
)
from assistant.domain.model import CircuitState, Model
from assistant.domain.money import cost_of
from assistant.domain.ports import Clock, ProviderCall, ProviderConnector
from assistant.domain.route import Candidate
from assistant.domain.tokens import estimate_tokens
from assistant.errors import (
    AssistantError,
    CircuitOpen,
    ErrorCode,
    ProviderTimeout,
    StreamInterrupted,
    TimeLimitReached,
)
from assistant.services.bulkheads import Bulkheads
from assistant.services.circuits import Circuits
from assistant.services.latencies import Latencies
from assistant.services.ledger_entry import LedgerEntry
from assistant.services.unpriced_use import UnpricedUse

log = structlog.get_logger(__name__)

# What uvloop's clock counts by.
_TICK_S = 0.001
# More than any model reads or writes, and few enough for a ledger's row to have some of them.
_MOST_TOKENS = 100_000_000


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a completion must be over, on the event loop's clock.

    ``is_callers``: the caller has asked for less time than the service gives, so running out
    of it says nothing of the provider.
    """

    at: float
    limit_s: float
    is_callers: bool

    @property
    def left_s(self) -> float:
        """Nothing from a tick before its time on: that is when timers may go off."""
        return self.at - _TICK_S - asyncio.get_running_loop().time()

    @property
    def is_over(self) -> bool:
        return self.left_s <= 0

    def error(self, model: Model) -> ProviderTimeout:
        kind = TimeLimitReached if self.is_callers else ProviderTimeout
        return kind(
            f"{model.id} did not finish within {self.limit_s:g} s. "
            "Raise parameters.timeoutMs, or ask for fewer tokens."
        )


class Attempts:
    """Makes the calls."""

    def __init__(
        self,
        connect: ProviderConnector,
        clock: Clock,
        *,
        circuits: Circuits,
        bulkheads: Bulkheads,
        latencies: Latencies,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._circuits = circuits
        self._bulkheads = bulkheads
        self._latencies = latencies
        self._unpriced = UnpricedUse(clock)

    def is_held_back(self, candidate: Candidate) -> bool:
        """Whether a call would be refused by the model's circuit."""
        return self._circuits.state(candidate.key) is CircuitState.OPEN

    async def make(
        self,
        entry: LedgerEntry,
        candidate: Candidate,
        call: ProviderCall,
        deadline: Deadline,
        *,
        is_raced: bool = False,
    ) -> AsyncGenerator[ProviderEvent, None]:
        """Yield the events of one answer; the last is GenerationFinished.

        However it ends, ``entry`` has one attempt more with what it used. ``is_raced``: another
        call may win, so a prompt that was read in vain is charged.

        Raises: UpstreamError, ContextLengthExceeded.
        """
        record = _Record(candidate.model, call, is_raced)
        key = candidate.key
        started = self._clock.monotonic()
        try:
            self._circuits.check(key)
            async with (
                self._bulkheads.place(candidate.provider),
                self._circuits.guard(key),
                aclosing(self._connect(candidate.provider).generate(call)) as events,
            ):
                started = self._clock.monotonic()
                record.is_made = True
                self._latencies.begin(key)
                try:
                    async for event in events:
                        if record.first_event_s is None:
                            record.first_event_s = self._clock.monotonic() - started
                        record.take(event)
                        yield event
                except asyncio.CancelledError:
                    if not deadline.is_over:
                        raise
                    # Time is up, which is not the same as somebody's wish to stop.
                    raise deadline.error(candidate.model) from None
                if record.finished is None:
                    raise StreamInterrupted(
                        f"{candidate.model.id} ended its answer without saying so."
                    )
            record.outcome, record.code = AttemptOutcome.SUCCEEDED, None
        except AssistantError as error:
            record.fail(error)
            raise
        finally:
            ended = self._clock.monotonic()
            if record.is_made:
                took_s = record.first_event_s if record.code is None else None
                self._latencies.end(key, took_s, streamed=call.streamed)
                entry.provider_intervals.append((started, ended))
            attempt = record.attempt(ended - started if record.is_made else 0.0)
            entry.attempts.append(attempt)
            if not attempt.usage.is_priced:
                self._unpriced.note(candidate.model)
            _log(attempt, entry)


class _Record:
    """What is known of one attempt while it runs."""

    def __init__(self, model: Model, call: ProviderCall, is_raced: bool) -> None:
        self.outcome = AttemptOutcome.CANCELLED
        self.code: ErrorCode | None = ErrorCode.CANCELLED
        self.finished: GenerationFinished | None = None
        self.is_made = False
        """Whether the provider was called at all."""
        self.first_event_s: float | None = None
        """From the call to its first event; None while there is none."""
        self._model = model
        self._call = call
        self._is_raced = is_raced
        self._received: list[str] = []

    def take(self, event: ProviderEvent) -> None:
        match event:
            case TextDelta(text) | ReasoningDelta(text):
                self._received.append(text)
            case ToolCallDelta():
                self._received.append(f"{event.name or ''}{event.arguments}")
            case GenerationFinished():
                self.finished = event

    def fail(self, error: AssistantError) -> None:
        self.outcome, self.code = outcome_of(error), error.code

    def attempt(self, took_s: float) -> Attempt:
        return Attempt(
            provider=self._model.provider,
            model=self._model.id,
            outcome=self.outcome,
            latency_ms=round(1000 * took_s),
            error_code=self.code,
            usage=self._usage(),
            first_token_ms=(
                None if self.first_event_s is None else round(1000 * self.first_event_s)
            ),
        )

    def _usage(self) -> TokenUsage:
        """What the provider counted; estimated where it did not, or never came to it.

        An attempt that broke off before its first event produced nothing to charge, but for one
        that lost a race: it was at work.
        """
        model, finished = self._model, self.finished
        was_at_work = self._is_raced and self.is_made and self.outcome is AttemptOutcome.CANCELLED
        if finished is None and not self._received and not was_at_work:
            return TokenUsage()
        reported_prompt = plausible(finished.prompt_tokens) if finished else None
        reported_completion = plausible(finished.completion_tokens) if finished else None
        prompt_tokens, completion_tokens = reported_prompt, reported_completion
        if prompt_tokens is None:
            prompt_tokens = self._call.estimated_tokens
        if completion_tokens is None:
            completion_tokens = estimate_tokens("".join(self._received))
            # Whatever it looks like, it is no longer than it was allowed to be.
            if (most := self._call.parameters.max_tokens) is not None:
                completion_tokens = min(completion_tokens, most)
        # Parts of what was counted, whatever a host says of them.
        cached_tokens = min((finished and finished.cached_tokens) or 0, prompt_tokens)
        reasoning_tokens = min((finished and finished.reasoning_tokens) or 0, completion_tokens)
        cost = cost_of(model, prompt_tokens, completion_tokens, cached_tokens=cached_tokens)
        return TokenUsage(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cached_tokens=cached_tokens,
            is_estimated=reported_prompt is None or reported_completion is None,
            cost=Decimal(0) if cost is None else cost,
            reasoning_tokens=reasoning_tokens,
            is_priced=cost is not None,
        )


def plausible(tokens: int | None) -> int | None:
    """A count that can be one; what is none is not reported."""
    return tokens if tokens is not None and 0 <= tokens <= _MOST_TOKENS else None


def outcome_of(error: AssistantError) -> AttemptOutcome:
    """How an attempt ended that ended in ``error``."""
    match error:
        case CircuitOpen():
            return AttemptOutcome.CIRCUIT_OPEN
        case ProviderTimeout():
            return AttemptOutcome.TIMED_OUT
        case _:
            return AttemptOutcome.FAILED


def _log(attempt: Attempt, entry: LedgerEntry) -> None:
    """Tell of what did not go as it usually does: the rest is in the decision of every answer."""
    number, is_bad = len(entry.attempts), attempt.error_code not in (None, ErrorCode.CANCELLED)
    if number == 1 and not is_bad:
        return
    (log.warning if is_bad else log.info)(
        "provider_attempt",
        completion_id=str(entry.id),
        number=number,
        model=attempt.model,
        outcome=attempt.outcome.value,
        code=attempt.error_code and attempt.error_code.value,
        latency_ms=attempt.latency_ms,
    )

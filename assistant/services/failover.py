"""Asking the candidates in turn until one has answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import assert_never

from assistant.domain.completion import (
    CompletionContinued,
    CompletionRestarted,
    CompletionStarted,
    GenerationFinished,
    InterruptionPolicy,
    Message,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from assistant.domain.model import Model
from assistant.domain.ports import TimeLimits, TokenCounter
from assistant.domain.route import Candidate
from assistant.domain.values import JsonObject
from assistant.errors import (
    AssistantError,
    BudgetExceeded,
    CircuitOpen,
    ContextLengthExceeded,
    ErrorCode,
    ProviderBusy,
    ProviderTimeout,
    RateLimited,
    StreamInterrupted,
    UpstreamError,
)
from assistant.services.attempts import Attempts, Deadline
from assistant.services.hedging import HedgeBudget, race
from assistant.services.latencies import Latencies
from assistant.services.ledger_entry import LedgerEntry
from assistant.services.retries import Retries
from assistant.services.seam import Seam
from assistant.services.selection import on_interruption_of, parameters_of
from assistant.services.work import Emit, Work, call_of

# How long it is worth to wait for a provider that names a time: less, where another one may answer.
_PATIENCE_S = 10.0
_PATIENCE_WITH_OTHERS_S = 2.0
# What a caller is told to wait who was turned away by somebody who does not say for how long.
_USUAL_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class _Begun:
    """An answer whose first event is there."""

    candidate: Candidate
    first: ProviderEvent
    events: AsyncGenerator[ProviderEvent, None]


class Failover:
    """Moves on to the next candidate for as long as the client has seen nothing of an answer.

    After that the request says: an error, a new answer, or the next model goes on from the text.
    """

    def __init__(
        self,
        attempts: Attempts,
        retries: Retries,
        latencies: Latencies,
        tokens: TokenCounter,
        time_limits: TimeLimits,
    ) -> None:
        self._tokens = tokens
        self._attempts = attempts
        self._retries = retries
        self._latencies = latencies
        self._time_limits = time_limits
        # The one event of a whole answer comes when all of it has been generated.
        self._whole_limits = replace(time_limits, first_event_s=time_limits.total_s)
        self._hedges = HedgeBudget()

    async def answer(
        self,
        entry: LedgerEntry,
        emit: Emit,
        *,
        streamed: bool,
        candidates: Sequence[Candidate],
        messages: tuple[Message, ...],
        response_schema: JsonObject | None = None,
        starts_over: ErrorCode | None = None,
    ) -> None:
        """Fill ``entry`` with an answer to ``messages`` from the first candidate that gives one.

        ``starts_over``: there was an answer already, which is void for this reason. Every attempt
        is recorded with what it used.

        Raises: the UpstreamError or RequestError that says best why there is none;
        StreamInterrupted where one broke off that the client has seen some of.
        """
        work = self._work(entry, emit, streamed, candidates, messages, response_schema)
        if starts_over is not None:
            work.interruption = starts_over
            entry.void()
        failure: AssistantError | None = None
        try:
            async with asyncio.timeout_at(work.deadline.at):
                while work.remaining:
                    candidate = self._next(work)
                    try:
                        return await self._answer_by(candidate, work)
                    except (UpstreamError, ContextLengthExceeded, BudgetExceeded) as error:
                        failure = _telling(failure, error)
                        if work.deadline.is_over:
                            break
                        if entry.has_begun and not self._prepare_to_go_on(work, error):
                            break
        except TimeoutError as error:
            assert entry.model is not None
            raise work.deadline.error(entry.model) from error
        assert failure is not None
        if isinstance(failure, RateLimited) and failure.retry_after_s is None:
            failure.retry_after_s = _USUAL_WAIT_S
        has_shown = streamed and (entry.has_begun or work.interruption is not None)
        if has_shown and not isinstance(failure, StreamInterrupted | ProviderTimeout):
            raise StreamInterrupted(f"The answer broke off: {failure.message}") from failure
        raise failure

    def _work(
        self,
        entry: LedgerEntry,
        emit: Emit,
        streamed: bool,
        candidates: Sequence[Candidate],
        messages: tuple[Message, ...],
        response_schema: JsonObject | None,
    ) -> Work:
        assert entry.prompt is not None
        parameters = parameters_of(entry.request, entry.prompt)
        limits = self._time_limits if streamed else self._whole_limits
        asked_s = None if parameters.timeout_ms is None else parameters.timeout_ms / 1000
        is_callers = asked_s is not None and asked_s < limits.total_s
        limit_s = asked_s if asked_s is not None and is_callers else limits.total_s
        # A completion has one deadline, whatever it takes to make its answer fit a schema.
        if entry.deadline_at is None:
            entry.deadline_at = asyncio.get_running_loop().time() + limit_s
        return Work(
            entry=entry,
            emit=emit,
            messages=messages,
            parameters=parameters,
            response_schema=response_schema,
            streamed=streamed,
            time_limits=limits,
            deadline=Deadline(entry.deadline_at, limit_s, is_callers),
            remaining=list(candidates),
        )

    def _next(self, work: Work) -> Candidate:
        """The first candidate that is left, or another host of the same model that is less busy."""
        first = work.remaining[0]
        hosts = [c for c in work.remaining if _is_same_model(c, first)]
        if len(hosts) > 1:
            hosts = [host for host in hosts if not self._attempts.is_held_back(host)] or hosts
        candidate = hosts[self._latencies.least_busy([host.key for host in hosts])]
        work.remaining.remove(candidate)
        return candidate

    # ------------------------------------------------------------------ one candidate

    async def _answer_by(self, candidate: Candidate, work: Work) -> None:
        """The whole answer, from ``candidate`` or one that was hedged with and began sooner."""
        begun = await self._begin_hedged(candidate, work)
        entry, emit = work.entry, work.emit
        entry.model = begun.candidate.model
        entry.hear()
        async with self._closing(begun, entry) as events:
            await self._announce(begun.candidate.model, work)
            event, advance = begun.first, events.__anext__
            while True:
                match event:
                    case TextDelta(text):
                        new = text if work.seam is None else work.seam.feed(text)
                        if new:
                            entry.text.append(new)
                            await emit(event if new is text else TextDelta(new))
                    case ReasoningDelta(text):
                        entry.reasoning.append(text)
                        await emit(event)
                    case ToolCallDelta():
                        entry.tool_calls.append(event)
                    case GenerationFinished():
                        entry.finish_reason = event.finish_reason
                        self._learn(event, begun.candidate, work)
                    case _:
                        assert_never(event)
                try:
                    # Not ``anext`` with a default, which was measured to take longer.
                    event = await advance()
                except StopAsyncIteration:
                    break
        await self._let_through(work)

    @asynccontextmanager
    async def _closing(
        self, begun: _Begun, entry: LedgerEntry
    ) -> AsyncIterator[AsyncGenerator[ProviderEvent, None]]:
        """The events; when they are left, the call is over and what it has cost is known."""
        try:
            async with aclosing(begun.events) as events:
                yield events
        finally:
            entry.uncover(begun.candidate)

    def _learn(self, finished: GenerationFinished, candidate: Candidate, work: Work) -> None:
        """Let the counts that are made before calls profit from this one's, where they compare."""
        prompt = work.entry.prompt
        assert prompt is not None
        is_plain = (
            work.seam is None
            and work.response_schema is None
            and candidate.model.tasks is None
            and not finished.cached_tokens
        )
        if is_plain and finished.prompt_tokens:
            self._tokens.learn(prompt, candidate.model, finished.prompt_tokens, candidate.provider)

    async def _announce(self, model: Model, work: Work) -> None:
        """Say who answers, now that somebody does."""
        entry = work.entry
        if not entry.is_announced:
            entry.is_announced = True
            await work.emit(_started(entry, model))
        elif work.interruption is not None:
            event = CompletionRestarted if work.seam is None else CompletionContinued
            await work.emit(event(model.id, work.interruption))
        work.interruption = None

    async def _begin_hedged(self, candidate: Candidate, work: Work) -> _Begun:
        """An answer that has begun: of ``candidate``, or of the next one if that is quicker."""
        others = (c for c in work.remaining if c.is_hedged and c.model.tasks is None)
        other = next(others, None)
        if not candidate.is_hedged or other is None:
            return await self._begin(candidate, work)
        self._hedges.count_call()
        delay_s = self._latencies.p95_s(candidate.key, streamed=work.streamed)
        if delay_s is None:
            return await self._begin(candidate, work)

        def may_start() -> bool:
            if not self._hedges.take():
                return False
            work.remaining.remove(other)
            return True

        async def close(begun: _Begun) -> None:
            async with self._closing(begun, work.entry):
                pass

        begun = await race(
            lambda: self._begin(candidate, work, is_raced=True),
            lambda: self._begin(other, work, is_raced=True),
            delay_s=delay_s,
            may_start=may_start,
            discard=close,
        )
        if begun.candidate is candidate and other not in work.remaining:
            work.remaining.insert(0, other)  # it was stopped, and may be of use yet
        return begun

    async def _begin(self, candidate: Candidate, work: Work, *, is_raced: bool = False) -> _Begun:
        """The first event of ``candidate``'s answer, in as many attempts as it is worth."""
        work.entry.model = candidate.model
        call = await work.entry.cover(candidate, call_of(candidate, work))

        async def attempt() -> _Begun:
            events = self._attempts.make(
                work.entry, candidate, call, work.deadline, is_raced=is_raced
            )
            return _Begun(candidate, await anext(events), events)

        patience_s = _PATIENCE_WITH_OTHERS_S if work.remaining else _PATIENCE_S
        try:
            return await self._retries.run(
                (candidate.provider.tenant_id, candidate.provider.name),
                attempt,
                patience_s=lambda: min(patience_s, work.deadline.left_s),
                has_others=bool(work.remaining),
            )
        except BaseException:
            work.entry.uncover(candidate)
            raise

    # ----------------------------------------------------------- after an interruption

    def _prepare_to_go_on(self, work: Work, error: AssistantError) -> bool:
        """Whether the next candidate takes over an answer that has begun."""
        entry = work.entry
        assert entry.prompt is not None
        policy = on_interruption_of(entry.request, entry.prompt)
        if not work.streamed:
            policy = InterruptionPolicy.RESTART  # nobody has seen anything of it
        if policy is InterruptionPolicy.ERROR:
            return False
        # Nobody can go on in the middle of what is generated to fit a schema, and a model that
        # serves only some tasks cannot go on at all.
        goes_on = (
            policy is InterruptionPolicy.CONTINUE
            and bool(entry.text)
            and work.response_schema is None
        )
        if goes_on:
            work.remaining = [c for c in work.remaining if c.model.tasks is None]
        if not work.remaining:
            return False
        work.interruption = error.code
        if goes_on:
            # What the last seam still holds back repeats what is there: nothing is lost with it.
            work.seam = Seam("".join(entry.text))
            entry.tool_calls.clear()
        else:
            work.seam = None
            entry.void()
        return True

    async def _let_through(self, work: Work) -> None:
        """What the seam still holds back is new after all: nothing more comes."""
        if work.seam is not None and (rest := work.seam.flush()):
            work.entry.text.append(rest)
            await work.emit(TextDelta(rest))


def _started(entry: LedgerEntry, model: Model) -> CompletionStarted:
    version = entry.prompt.version if entry.prompt else None
    return CompletionStarted(entry.id, model.id, version.id if version else None, entry.created_at)


def _is_same_model(candidate: Candidate, first: Candidate) -> bool:
    """Whether two hosts run the same model for the same money, and none was to come before."""
    one, other = candidate.model, first.model
    return one is other or (candidate.tier == first.tier and one.is_twin_of(other))


def _telling(known: AssistantError | None, error: AssistantError) -> AssistantError:
    """Which of two failures tells more: one that a provider caused, before one of our caution."""
    if known is not None and isinstance(error, CircuitOpen | ProviderBusy | BudgetExceeded):
        return known
    return error

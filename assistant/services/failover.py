"""Asking the candidates in turn until one has answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TypeAlias, assert_never

from assistant.domain.completion import (
    Attempt,
    AttemptOutcome,
    CompletionStarted,
    GenerationFinished,
    GenerationParameters,
    ProgressEvent,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
)
from assistant.domain.model import Model
from assistant.domain.money import token_cost
from assistant.domain.ports import Clock, ProviderCall, ProviderConnector, TimeLimits
from assistant.domain.tokens import estimate_tokens
from assistant.errors import (
    AssistantError,
    ContextLengthExceeded,
    ErrorCode,
    ProviderTimeout,
    StreamInterrupted,
    UpstreamError,
)
from assistant.services.ledger import LedgerEntry
from assistant.services.routing import Candidate

Emit: TypeAlias = Callable[[ProgressEvent], Awaitable[None]]


class Failover:
    """Moves on to the next candidate as long as the client has seen nothing of an answer."""

    def __init__(
        self,
        connect: ProviderConnector,
        clock: Clock,
        time_limits: TimeLimits,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._time_limits = time_limits

    async def answer(self, entry: LedgerEntry, emit: Emit, *, streamed: bool) -> None:
        """Fill ``entry`` with an answer from the first candidate of its route that gives one.

        Every attempt is recorded with what it used. Raises: the last candidate's UpstreamError
        or ContextLengthExceeded; StreamInterrupted where one broke off after it had begun.
        """
        assert entry.route is not None and entry.prompt is not None
        version = entry.prompt.version
        parameters = entry.request.parameters.over(
            version.parameters if version else GenerationParameters()
        )
        total_s = self._time_limits.total_s
        if parameters.timeout_ms is not None:
            total_s = min(total_s, parameters.timeout_ms / 1000)
        deadline = asyncio.get_running_loop().time() + total_s
        time_limits = replace(self._time_limits, total_s=total_s)
        if not streamed:
            # The one event of a whole answer comes when all of it has been generated.
            time_limits = replace(time_limits, first_event_s=total_s)
        failure: AssistantError | None = None
        for candidate in entry.route.candidates:
            model = entry.model = candidate.model
            call = ProviderCall(
                model=model.name,
                messages=entry.prompt.messages,
                parameters=_within(parameters, model),
                streamed=streamed,
                context_window=model.context_window,
                estimated_tokens=entry.prompt.estimated_tokens,
                task=entry.prompt.task,
                variables=entry.prompt.variables,
                time_limits=time_limits,
            )
            try:
                await self._attempt(entry, candidate, call, emit, deadline)
            except (UpstreamError, ContextLengthExceeded) as error:
                failure = error
                if entry.has_begun or asyncio.get_running_loop().time() >= deadline:
                    break
            else:
                return
        assert failure is not None
        if entry.has_begun and not isinstance(failure, (StreamInterrupted, ProviderTimeout)):
            raise StreamInterrupted(f"The answer broke off: {failure.message}") from failure
        raise failure

    async def _attempt(
        self,
        entry: LedgerEntry,
        candidate: Candidate,
        call: ProviderCall,
        emit: Emit,
        deadline: float,
    ) -> None:
        """One call of one provider, recorded in ``entry`` however it ends."""
        model = candidate.model
        started = self._clock.monotonic()
        finished: GenerationFinished | None = None
        is_started = False
        outcome = AttemptOutcome.CANCELLED
        code: ErrorCode | None = ErrorCode.CANCELLED
        try:
            async with (
                asyncio.timeout_at(deadline),
                aclosing(self._connect(candidate.provider).generate(call)) as events,
            ):
                async for event in events:
                    if not is_started:
                        is_started = True
                        await emit(_started(entry, model))
                    match event:
                        case TextDelta(text):
                            entry.text.append(text)
                            await emit(event)
                        case ReasoningDelta(text):
                            entry.reasoning.append(text)
                            await emit(event)
                        case GenerationFinished():
                            finished = event
                        case _:
                            assert_never(event)
            if finished is None:
                raise StreamInterrupted(f"{model.id} ended its answer without saying so.")
            entry.finish_reason = finished.finish_reason
            outcome, code = AttemptOutcome.SUCCEEDED, None
        except TimeoutError as error:
            outcome, code = AttemptOutcome.TIMED_OUT, ErrorCode.PROVIDER_TIMEOUT
            raise ProviderTimeout(
                f"{model.id} did not finish within {call.time_limits.total_s:g} s. "
                "Raise parameters.timeoutMs, or ask for fewer tokens."
            ) from error
        except AssistantError as error:
            is_timeout = isinstance(error, ProviderTimeout)
            outcome = AttemptOutcome.TIMED_OUT if is_timeout else AttemptOutcome.FAILED
            code = error.code
            raise
        finally:
            ended = self._clock.monotonic()
            entry.provider_intervals.append((started, ended))
            entry.attempts.append(
                Attempt(
                    provider=model.provider,
                    model=model.id,
                    outcome=outcome,
                    latency_ms=round(1000 * (ended - started)),
                    error_code=code,
                    usage=_usage(entry, model, finished),
                )
            )


def _started(entry: LedgerEntry, model: Model) -> CompletionStarted:
    version = entry.prompt.version if entry.prompt else None
    return CompletionStarted(entry.id, model.id, version.id if version else None, entry.created_at)


def _within(parameters: GenerationParameters, model: Model) -> GenerationParameters:
    """``parameters`` with max_tokens cut to what the model can put out."""
    if model.max_output_tokens is None:
        return parameters
    asked = parameters.max_tokens or model.max_output_tokens
    return replace(parameters, max_tokens=min(asked, model.max_output_tokens))


def _usage(entry: LedgerEntry, model: Model, finished: GenerationFinished | None) -> TokenUsage:
    """What the provider counted; estimated where it did not, or never came to it.

    An attempt that broke off before its first event produced nothing to charge.
    """
    if finished is None and not entry.has_begun:
        return TokenUsage()
    reported_prompt = finished.prompt_tokens if finished else None
    reported_completion = finished.completion_tokens if finished else None
    prompt_tokens, completion_tokens = reported_prompt, reported_completion
    if prompt_tokens is None:
        assert entry.prompt is not None
        prompt_tokens = entry.prompt.estimated_tokens
    if completion_tokens is None:
        completion_tokens = estimate_tokens("".join([*entry.reasoning, *entry.text]))
    return TokenUsage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cached_tokens=(finished.cached_tokens or 0) if finished else 0,
        is_estimated=reported_prompt is None or reported_completion is None,
        cost=token_cost(prompt_tokens, completion_tokens, model.input_price, model.output_price),
    )

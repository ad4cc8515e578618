"""What is known of one completion while it runs; becomes its record when it ends."""

from __future__ import annotations

import copy
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from assistant.domain.budget import Admission, Stake
from assistant.domain.cache import CachedAnswer, CacheOutcome, CacheVerdict
from assistant.domain.completion import (
    Attempt,
    AttemptOutcome,
    Completion,
    CompletionRequest,
    CompletionStatus,
    Decision,
    FinishReason,
    TokenUsage,
    ToolCallDelta,
)
from assistant.domain.identifier import time_of
from assistant.domain.intervals import union_length
from assistant.domain.model import Model
from assistant.domain.ports import Clock, LedgerStore, ProviderCall
from assistant.domain.prompt import PromptVersion, RenderedPrompt
from assistant.domain.route import Candidate, Route
from assistant.domain.values import JsonValue
from assistant.errors import (
    AdmissionRefused,
    AssistantError,
    BudgetExceeded,
    CompletionCancelled,
    ErrorCode,
)
from assistant.services.reservations import Reservation
from assistant.services.selection import parameters_of, response_schema_of


class LedgerEntry:
    """One completion: what was asked, what has come of it so far, and what it holds."""

    def __init__(
        self, request: CompletionRequest, completion_id: UUID, store: LedgerStore, clock: Clock
    ) -> None:
        self.request = request
        self.id = completion_id
        self.version: PromptVersion | None = None
        """What it counts for, whether it could be rendered or not."""
        self.prompt: RenderedPrompt | None = None
        self.route: Route | None = None
        self.candidates: tuple[Candidate, ...] = ()
        """Those of the route for which there is enough in the budgets."""
        self.model: Model | None = None
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.tool_calls: list[ToolCallDelta] = []
        self.json: JsonValue = None
        self.finish_reason: FinishReason | None = None
        self.attempts: list[Attempt] = []
        self.provider_intervals: list[tuple[float, float]] = []
        self.reservation = Reservation()
        self.first_heard_at: float | None = None
        """When the first of an answer came, on the clock; None before."""
        self.is_announced = False
        """Whether the client has been told that an answer began."""
        self.deadline_at: float | None = None
        """When the answer must be there, on the event loop's clock; None before it is asked for."""
        self.verdict: CacheVerdict | None = None
        """What the cache said; None before it is asked."""
        self._taken: CachedAnswer | None = None
        self._store = store
        self._clock = clock
        self.created_at = time_of(self.id)
        self._started = clock.monotonic()
        self._completion: Completion | None = None

    async def open(self, route: Route) -> None:
        """Make the entry durable and hold what it may cost; from here on a provider may be called.

        Candidates for which a budget has too little left are not asked.

        Raises: BudgetExceeded where that is all of them, LimitReached, StorageUnavailable.
        """
        assert self.prompt is not None
        self.route, self.candidates = route, route.candidates

        async def ask(candidate: Candidate, stake: Stake) -> Admission:
            self.model = candidate.model
            return await self._store.open(self._running(), stake)

        def refuse(candidate: Candidate, error: BudgetExceeded) -> None:
            self.candidates = self.candidates[1:]
            model = candidate.model
            self.attempts.append(
                Attempt(model.provider, model.id, AttemptOutcome.FAILED, 0, error.code)
            )

        try:
            await self.reservation.open(
                route.candidates,
                self.prompt,
                schema=response_schema_of(self.request, self.prompt),
                asked_output_tokens=parameters_of(self.request, self.prompt).max_tokens,
                ask=ask,
                refuse=refuse,
            )
        except AdmissionRefused:
            self.model = None  # none was asked: it is no request of any model's
            raise

    async def cover(self, candidate: Candidate, call: ProviderCall) -> ProviderCall:
        """``call``, for which enough is held, and whose answer is no longer than that allows.

        It is to be uncovered when it is over. Raises: as ``open``.
        """
        assert self.prompt is not None

        async def ask(stake: Stake) -> Admission:
            return await self._store.open(self._running(), stake, is_more=True)

        spent = sum((attempt.usage.cost for attempt in self.attempts), Decimal(0))
        return await self.reservation.cover(candidate, call, self.prompt, spent=spent, ask=ask)

    def uncover(self, candidate: Candidate) -> None:
        """The call of ``candidate`` is over, and in ``attempts``."""
        self.reservation.uncover(candidate)

    async def take_over(self, draft: LedgerEntry) -> None:
        """Hold what ``draft`` holds, to pay for it from now on. Raises: as ``open``."""
        self.witness(draft)
        theirs = draft.reservation
        if not theirs.is_open:
            return
        is_priced = theirs.held is not None
        stake = replace(
            theirs.stake,
            least_output_tokens=theirs.stake.output_tokens,
            fixed_cost=theirs.held,
            output_price=Decimal(0) if is_priced else None,
        )
        admission = await self._store.open(self._running(), stake)
        if admission.is_limited and theirs.held and not theirs.is_limited:
            raise BudgetExceeded(
                "The answer was begun for somebody without a budget and may cost more than yours "
                "has left. Ask again."
            )
        theirs.pass_on(admission)

    def draft(self) -> LedgerEntry:
        """An entry like this one, for an answer that others may come to share. Never settled."""
        draft = copy.copy(self)
        draft.text, draft.reasoning, draft.tool_calls = [], [], []
        draft.attempts, draft.provider_intervals = [], []
        draft.reservation = Reservation()
        return draft

    def begin_anew(self) -> None:
        """Forget what somebody was asked for who may not pay: the next one is asked."""
        self.attempts, self.candidates = [], ()

    def pass_to(self, heir: LedgerEntry) -> None:
        """Be ``heir``'s draft from now on: what is opened and kept of it bears their name."""
        self.id, self.created_at, self.request = heir.id, heir.created_at, heir.request

    def adopt(self, draft: LedgerEntry) -> None:
        """Take what has come of ``draft`` so far, and what it has cost."""
        self.route, self.model, self.json = draft.route, draft.model, draft.json
        self.text, self.reasoning, self.tool_calls = draft.text, draft.reasoning, draft.tool_calls
        self.finish_reason, self.attempts = draft.finish_reason, draft.attempts
        self.is_announced, self.verdict = draft.is_announced, draft.verdict
        self.first_heard_at = draft.first_heard_at
        self.reservation.output_tokens = draft.reservation.output_tokens
        self.adopt_intervals(draft)

    def witness(self, draft: LedgerEntry) -> None:
        """Show what has come of ``draft`` so far; somebody else pays for it."""
        self.route, self.model = draft.route, draft.model
        self.text, self.reasoning = list(draft.text), list(draft.reasoning)
        self.adopt_intervals(draft)

    def adopt_intervals(self, draft: LedgerEntry) -> None:
        """While a provider was at work for ``draft``, this one waited for it, once it was there."""
        self.provider_intervals = [
            (max(start, self._started), end)
            for start, end in draft.provider_intervals
            if end > self._started
        ]

    def take(self, answer: CachedAnswer, model: Model, verdict: CacheVerdict) -> None:
        """Be answered by what another completion has paid for."""
        self.model, self.verdict, self._taken = model, verdict, answer
        self.text, self.json = [answer.text], answer.json
        self.reasoning = [answer.reasoning] if answer.reasoning else []
        self.finish_reason = answer.finish_reason

    @property
    def has_begun(self) -> bool:
        """Whether anything of an answer has been received, thoughts and tool calls included."""
        return bool(self.text or self.reasoning or self.tool_calls)

    def void(self) -> None:
        """Forget the answer so far: another one begins. What it has cost is kept."""
        for part in (self.text, self.reasoning, self.tool_calls):
            part.clear()

    @property
    def completion(self) -> Completion:
        """The settled record; exists once the entry has been left without an error."""
        assert self._completion is not None
        return self._completion

    @property
    def counted_prompt(self) -> str | None:
        # A name that nobody has found could be any text.
        return self.request.prompt_name if self.version else None

    def close(self, error: AssistantError | None) -> Completion:
        """The final record: how the completion ended and what it used."""
        match error:
            case None:
                status = CompletionStatus.SUCCEEDED
            case CompletionCancelled():
                status, self.finish_reason = CompletionStatus.CANCELLED, FinishReason.CANCELLED
            case _:
                status, self.finish_reason = CompletionStatus.FAILED, FinishReason.ERROR
        self._completion = self._record(status, error.code if error else None)
        return self._completion

    def hear(self) -> None:
        """The first of an answer has come."""
        if self.first_heard_at is None:
            self.first_heard_at = self._clock.monotonic()

    def _running(self) -> Completion:
        return self._record(CompletionStatus.RUNNING, None)

    def _record(self, status: CompletionStatus, error_code: ErrorCode | None) -> Completion:
        elapsed_s = self._clock.monotonic() - self._started
        heard_at = self.first_heard_at
        return Completion(
            id=self.id,
            caller=self.request.caller,
            status=status,
            created_at=self.created_at,
            model=self.model.id if self.model else "",
            text="".join(self.text),
            finish_reason=self.finish_reason,
            prompt_version_id=self.version.id if self.version else None,
            usage=sum((attempt.usage for attempt in self.attempts), TokenUsage()),
            decision=Decision(
                rule_name=self.route.rule_name if self.route else None,
                candidates=self.route.ids if self.route else (),
                attempts=tuple(self.attempts),
                overhead_ms=1000 * (elapsed_s - union_length(self.provider_intervals)),
                cache=self.verdict,
                saved_tokens=self._taken.tokens if self._taken else 0,
                saved_cost=self._taken.cost if self._taken else Decimal(0),
                first_token_ms=(
                    None if heard_at is None else max(round(1000 * (heard_at - self._started)), 0)
                ),
                most_output_tokens=self.reservation.output_tokens,
            ),
            cache=self.verdict.outcome if self.verdict else CacheOutcome.BYPASSED,
            latency_ms=round(1000 * elapsed_s),
            error_code=error_code,
            feature=self.request.recorded_feature,
            json=self.json,
        )

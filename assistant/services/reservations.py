"""What a completion holds of budgets while it runs: never less than what it may still cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from decimal import Decimal

from assistant.domain.budget import Admission, Stake
from assistant.domain.model import ModelKey
from assistant.domain.ports import ProviderCall
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.route import Candidate
from assistant.domain.values import JsonObject
from assistant.errors import BudgetExceeded
from assistant.services.stakes import most_prompt_tokens, stake_of


class Reservation:
    """What one completion holds.

    It is opened with the first call that it can pay for. Every other call is held for as well
    before it is made, beside what was used until then and what is still being used: also where no
    budget is about the caller, for one may be made meanwhile.
    """

    def __init__(self) -> None:
        self.held: Decimal | None = None
        """In USD, all in all; None before it is opened, and where a model has no price."""
        self.is_limited = False
        self.output_tokens: int | None = None
        """How long an answer of an open length may be; None where no budget bounds it."""
        self.stake = Stake()
        """What was asked for last."""
        self.changing = asyncio.Lock()
        """Held by whoever is about to change what is held, or in whose name."""
        self._admitted: ModelKey | None = None
        self._granted = 0
        self._running: dict[ModelKey, Decimal] = {}

    @property
    def is_open(self) -> bool:
        return self._admitted is not None

    def pass_on(self, admission: Admission) -> None:
        """Somebody else holds as much from now on, and it is theirs that is spent."""
        self.is_limited = admission.is_limited

    async def open(
        self,
        candidates: Iterable[Candidate],
        prompt: RenderedPrompt,
        *,
        schema: JsonObject | None,
        asked_output_tokens: int | None,
        ask: Callable[[Candidate, Stake], Awaitable[Admission]],
        refuse: Callable[[Candidate, BudgetExceeded], None],
    ) -> None:
        """Hold what the first of ``candidates`` may take that there is enough for.

        ``refuse`` is told of those before it. Raises: what ``ask`` does, of the first one where
        there is not enough for any.
        """
        refusal: BudgetExceeded | None = None
        async with self.changing:
            for candidate in candidates:
                stake = stake_of(
                    candidate.model,
                    prompt_tokens=most_prompt_tokens(prompt.messages, schema, candidate.count),
                    expected_prompt_tokens=candidate.count.tokens,
                    asked_output_tokens=asked_output_tokens,
                )
                try:
                    self._take(candidate.key, stake, await ask(candidate, stake))
                    return
                except BudgetExceeded as error:
                    refuse(candidate, error)
                    refusal = refusal or error
        assert refusal is not None
        raise refusal

    def _take(self, key: ModelKey, stake: Stake, admission: Admission) -> None:
        self._admitted, self.stake = key, stake
        self.held, self.is_limited = admission.cost, admission.is_limited
        is_open = stake.least_output_tokens < stake.output_tokens and stake.output_price != 0
        self.output_tokens = admission.output_tokens if is_open and self.is_limited else None
        self._granted = admission.output_tokens

    async def cover(
        self,
        candidate: Candidate,
        call: ProviderCall,
        prompt: RenderedPrompt,
        *,
        spent: Decimal,
        ask: Callable[[Stake], Awaitable[Admission]],
    ) -> ProviderCall:
        """``call``, held for: its answer is no longer than there is money for.

        ``spent`` is what earlier calls have cost. Every call that is covered is to be uncovered.

        Raises: what ``ask`` does.
        """
        model = candidate.model
        async with self.changing:
            is_counted = call.messages is prompt.messages
            others = sum(self._running.values(), Decimal(0))
            if self._admitted == candidate.key and is_counted and not spent and not others:
                # It was opened with this very call.
                self._running[candidate.key] = self.held or Decimal(0)
                is_free = not self.held and model.is_price_known
            else:
                stake = stake_of(
                    model,
                    prompt_tokens=most_prompt_tokens(
                        call.messages, call.response_schema, candidate.count if is_counted else None
                    ),
                    expected_prompt_tokens=call.estimated_tokens,
                    asked_output_tokens=call.parameters.max_tokens,
                    sunk_cost=spent + others,
                )
                cost = stake.cost
                is_free = cost is not None and cost == spent + others
                if not is_free and (cost is None or self.held is None or cost > self.held):
                    self._take(candidate.key, stake, await ask(stake))
                    cost = self.held
                elif not is_free:
                    self._granted = stake.output_tokens
                self._running[candidate.key] = max((cost or 0) - spent - others, Decimal(0))
            granted = self._granted
        # What is free, or has no price that anybody knows, is as long as it likes.
        if not self.is_limited or is_free or not model.is_price_known:
            return call
        return replace(call, parameters=replace(call.parameters, max_tokens=granted))

    def uncover(self, candidate: Candidate) -> None:
        """The call of ``candidate`` is over: what it cost is known."""
        self._running.pop(candidate.key, None)

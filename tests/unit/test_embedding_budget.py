"""Embedding leaves the processor to those who answer."""

from __future__ import annotations

from assistant.services.embedding_budget import EmbeddingBudget
from tests.unit.fakes import FakeClock


def test_a_few_at_once_are_never_turned_away() -> None:
    budget = EmbeddingBudget(FakeClock())
    for _ in range(1_000):
        budget.spend(0.01)

    assert budget.allows(asking=8)
    assert not budget.allows(asking=9)


def test_a_quarter_of_the_time_goes_into_embedding_while_many_ask() -> None:
    clock = FakeClock()
    budget = EmbeddingBudget(clock)
    embedded = 0
    for _ in range(10_000):
        clock.advance(0.001)
        if budget.allows(asking=64):
            embedded += 1
            budget.spend(0.01)

    # Ten seconds at a quarter are 250 of 10 ms; the burst is 50.
    assert 290 <= embedded <= 310


def test_after_a_quiet_time_half_a_second_may_be_spent_at_once_and_no_more() -> None:
    clock = FakeClock()
    budget = EmbeddingBudget(clock)
    clock.advance(3_600)
    embedded = 0
    while budget.allows(asking=64):
        embedded += 1
        budget.spend(0.01)

    assert 49 <= embedded <= 51

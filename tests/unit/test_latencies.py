"""Latencies: how quick models have been, and which of several hosts has less to do."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.model import ModelKey
from assistant.services.latencies import Latencies

A, B, C = (ModelKey("platform", provider, "llama3.2:3b") for provider in ("a", "b", "c"))


class FirstTwo(random.Random):
    """Chooses what comes first."""

    def sample(self, population: Sequence[int], k: int, *, counts: object = None) -> list[int]:  # type: ignore[override]
        return list(population)[:k]


class LastTwo(random.Random):
    """Chooses what comes last, the last first."""

    def sample(self, population: Sequence[int], k: int, *, counts: object = None) -> list[int]:  # type: ignore[override]
        return list(population)[::-1][:k]


def latencies(chance: random.Random | None = None, **answers: Sequence[float]) -> Latencies:
    """Where ``a``, ``b`` and ``c`` have answered after so long."""
    observed = Latencies(chance or FirstTwo())
    for name, seconds in answers.items():
        key = {"a": A, "b": B, "c": C}[name]
        for first_event_s in seconds:
            observed.begin(key)
            observed.end(key, first_event_s)
    return observed


# ------------------------------------------------------------------ means and percentiles


def test_nothing_is_known_of_a_model_that_has_not_answered() -> None:
    observed = latencies()
    observed.begin(A)
    observed.end(A, None)

    assert (observed.mean_s(A), observed.p95_s(A), observed.mean_s(B)) == (None, None, None)


def test_the_mean_begins_with_the_first_answer_and_follows_the_newest() -> None:
    assert latencies(a=[2.0]).mean_s(A) == 2.0
    assert latencies(a=[2.0, 1.0]).mean_s(A) == pytest.approx(1.8)
    assert latencies(a=[10.0, *[1.0] * 50]).mean_s(A) == pytest.approx(1, abs=0.01)


def test_a_call_without_an_answer_does_not_change_the_mean() -> None:
    observed = latencies(a=[2.0])
    observed.begin(A)
    observed.end(A, None)

    assert observed.mean_s(A) == 2.0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_the_mean_is_within_what_was_observed(seconds: list[float]) -> None:
    mean_s = latencies(a=seconds).mean_s(A)

    assert mean_s is not None
    assert min(seconds) - 1e-9 <= mean_s <= max(seconds) + 1e-9


def test_the_95th_percentile_is_told_once_there_are_enough_answers_for_one() -> None:
    assert latencies(a=[1.0] * 19).p95_s(A) is None
    assert latencies(a=[1.0] * 19 + [9.0]).p95_s(A) == 1.0
    assert latencies(a=[1.0] * 18 + [9.0] * 2).p95_s(A) == 9.0


def test_the_95th_percentile_is_of_the_last_answers() -> None:
    observed = latencies(a=[float(number) for number in range(1_000)])

    assert observed.p95_s(A) == 989.0  # of 800 to 999


# ------------------------------------------------------------------ the less busy host


def test_a_single_host_is_the_least_busy_one() -> None:
    assert latencies().least_busy([A]) == 0


def test_of_two_idle_hosts_the_quicker_one() -> None:
    assert latencies(a=[2.0], b=[1.0]).least_busy([A, B]) == 1
    assert latencies(a=[1.0], b=[2.0]).least_busy([A, B]) == 0


def test_a_quick_host_that_is_at_many_calls_has_more_to_do_than_a_slow_one_at_none() -> None:
    observed = latencies(a=[1.0], b=[2.5])
    chosen = []
    for _ in range(4):
        index = observed.least_busy([A, B])
        chosen.append(index)
        observed.begin([A, B][index])

    assert chosen == [0, 0, 1, 0]


def test_calls_that_have_ended_are_no_load() -> None:
    observed = latencies(a=[1.0], b=[1.5])
    observed.begin(A)
    assert observed.least_busy([A, B]) == 1

    observed.end(A, None)

    assert observed.least_busy([A, B]) == 0


def test_a_host_that_has_not_been_tried_is_tried() -> None:
    assert latencies(a=[0.001]).least_busy([A, B]) == 1


def test_a_host_that_has_not_answered_yet_does_not_get_every_call_until_it_does() -> None:
    observed = latencies(a=[1.0])
    observed.begin(B)

    chosen = Counter()
    for _ in range(10):
        index = observed.least_busy([A, B])
        chosen[index] += 1
        observed.begin([A, B][index])

    assert chosen[0] >= 4
    assert chosen[1] >= 4


def test_hosts_of_which_nothing_is_known_share_what_comes() -> None:
    observed = latencies()
    chosen = Counter()
    for _ in range(10):
        index = observed.least_busy([A, B])
        chosen[index] += 1
        observed.begin([A, B][index])

    assert chosen == {0: 5, 1: 5}


def test_only_two_by_chance_are_compared() -> None:
    quick_first = {"a": [0.001], "b": [1.0], "c": [2.0]}

    assert latencies(LastTwo(), **quick_first).least_busy([A, B, C]) == 1
    assert latencies(FirstTwo(), **quick_first).least_busy([A, B, C]) == 0


def test_two_by_chance_spread_load_nearly_evenly() -> None:
    keys = [ModelKey("platform", f"host{number}", "m") for number in range(10)]
    observed = Latencies(random.Random(7))
    for key in keys:
        observed.begin(key)
        observed.end(key, 1.0)

    load = Counter()
    for _ in range(1_000):
        index = observed.least_busy(keys)
        load[index] += 1
        observed.begin(keys[index])

    assert max(load.values()) - min(load.values()) <= 8

"""When a new version of a prompt is so much worse that it must be taken back."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.rollout import ReleaseFigures, RolloutGuard, breach

GUARD = RolloutGuard()
GOOD = ReleaseFigures(200, 4, Decimal("0.2"))
WHOLE_PERCENTS = st.integers(0, 100)


def figures(requests: int, failed: int = 0, cost: str = "0") -> ReleaseFigures:
    return ReleaseFigures(requests, failed, Decimal(cost))


# ------------------------------------------------------------------ failures


def test_a_version_that_fails_five_points_more_often_may_stay_and_one_more_failure_ends_it() -> (
    None
):
    old = figures(1_000, 20)

    assert breach(GUARD, old, figures(1_000, 70)) is None
    assert breach(GUARD, old, figures(1_000, 71)) is not None


def test_a_version_that_fails_less_than_the_published_one_is_never_taken_back_for_it() -> None:
    assert breach(RolloutGuard(0.0), figures(100, 100), figures(100, 99)) is None


def test_what_chance_explains_is_not_held_against_a_version_however_small_the_margin() -> None:
    guard = RolloutGuard(error_rate_margin=0.0)

    assert breach(guard, figures(100, 3), figures(100, 3)) is None
    assert breach(guard, figures(100, 3), figures(100, 14)) is None  # 2.8 standard errors
    assert breach(guard, figures(100, 3), figures(100, 16)) is not None


def test_equal_versions_are_hardly_ever_told_apart_however_often_they_are_compared() -> None:
    chance = random.Random(7)
    taken_back = 0
    for _ in range(300):
        old = new = requests = 0
        while requests < 2_000:
            requests += 20
            old += sum(chance.random() < 0.1 for _ in range(20))
            new += sum(chance.random() < 0.1 for _ in range(20))
            if breach(GUARD, figures(requests, old), figures(requests, new)):
                taken_back += 1
                break

    assert taken_back <= 9


@given(st.sampled_from([10_000, 100_000]), WHOLE_PERCENTS, WHOLE_PERCENTS)
def test_on_the_border_of_its_margin_a_version_may_stay_whatever_binary_numbers_make_of_it(
    requests: int, failing: int, margin: int
) -> None:
    old = figures(requests, requests * failing // 100)
    new = figures(requests, min(requests, old.failed + requests * margin // 100))
    guard = RolloutGuard(error_rate_margin=margin / 100, cost_margin=None)

    assert breach(guard, old, new) is None
    if new.failed < requests and margin >= 4:
        assert breach(guard, old, figures(requests, new.failed + 1)) is not None


@given(
    st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    st.integers(0, 100),
)
def test_a_version_is_taken_back_exactly_where_its_margin_and_chance_are_both_exceeded(
    old: tuple[int, int], new: tuple[int, int], percent: int
) -> None:
    guard = RolloutGuard(error_rate_margin=percent / 100, cost_margin=None, min_samples=1)
    worse_by = Fraction(new[1], new[0]) - Fraction(old[1], old[0])

    reason = breach(guard, figures(*old), figures(*new))

    failing = (old[1] + new[1]) / (old[0] + new[0])
    chance = 3 * sqrt(failing * (1 - failing) * (1 / old[0] + 1 / new[0]))
    if abs(float(worse_by) - chance) > 1e-9:
        assert (reason is not None) == (
            worse_by > Fraction(percent, 100) and float(worse_by) > chance
        )


# ------------------------------------------------------------------ cost


def test_a_version_that_is_half_as_dear_again_may_stay_and_anything_more_ends_it() -> None:
    old = figures(100, cost="1.00")

    assert breach(GUARD, old, figures(100, cost="1.50")) is None
    assert breach(GUARD, old, figures(100, cost="1.500000001")) is not None
    assert breach(GUARD, old, figures(100, cost="0")) is None


def test_costs_that_no_decimal_can_write_are_compared_exactly() -> None:
    guard = RolloutGuard(min_samples=1)

    # A third of a dollar each, and half as much again.
    assert breach(guard, figures(3, cost="1"), figures(2, cost="1")) is None


def test_where_requests_were_free_any_cost_at_all_is_dearer() -> None:
    free = figures(100)

    assert breach(GUARD, free, free) is None
    assert breach(GUARD, free, figures(100, cost="0.000000001")) is not None
    assert breach(RolloutGuard(cost_margin=None), free, figures(100, cost="9")) is None


def test_cost_is_compared_per_request_and_not_in_all() -> None:
    assert breach(GUARD, figures(1_000, cost="10"), figures(100, cost="1.5")) is None
    assert breach(GUARD, figures(1_000, cost="10"), figures(100, cost="1.6")) is not None


# ------------------------------------------------------------------ what is watched at all


@pytest.mark.parametrize(("old", "new"), [(99, 500), (500, 99), (99, 99), (0, 0)])
def test_versions_are_compared_only_once_both_have_enough_requests(old: int, new: int) -> None:
    assert breach(GUARD, figures(old), figures(new, failed=new, cost="99")) is None


def test_a_hundred_requests_of_each_are_enough() -> None:
    assert breach(GUARD, figures(100), figures(100, failed=100)) is not None


def test_no_requests_are_never_enough_whatever_the_guard_says() -> None:
    guard = RolloutGuard(min_samples=0)

    assert breach(guard, figures(0), figures(5, failed=5)) is None
    assert breach(guard, figures(5), figures(0)) is None


def test_a_margin_of_none_is_not_watched() -> None:
    failing, dear = figures(100, failed=100), figures(100, cost="100")

    assert breach(RolloutGuard(error_rate_margin=None), GOOD, failing) is None
    assert breach(RolloutGuard(cost_margin=None), GOOD, dear) is None
    assert breach(RolloutGuard(cost_margin=None), GOOD, failing) is not None
    assert breach(RolloutGuard(error_rate_margin=None), GOOD, dear) is not None


# ------------------------------------------------------------------ words


def test_the_reason_says_what_failed_against_what_and_what_was_allowed() -> None:
    assert breach(GUARD, figures(2_000, 40), figures(1_500, 150)) == (
        "150 of its 1,500 requests failed (10.0%), against 40 of 2,000 (2.0%); "
        "at most 5 points more are allowed"
    )


def test_the_reason_says_what_a_request_cost_against_what_and_what_was_allowed() -> None:
    assert breach(GUARD, figures(1_000, cost="0.002"), figures(100, cost="0.0004")) == (
        "a request cost 0.000004000 USD on average of 100, against 0.000002000 of 1,000; "
        "at most 50% more is allowed"
    )


def test_a_margin_of_less_than_a_percent_is_said_as_it_is() -> None:
    guard = RolloutGuard(error_rate_margin=0.0025, cost_margin=0.0025)

    assert "at most 0.25 points" in (breach(guard, figures(10_000), figures(10_000, 30)) or "")
    dear = figures(1_000, cost="1.003")
    assert "at most 0.25% more" in (breach(guard, figures(1_000, cost="1"), dear) or "")


def test_where_a_version_fails_and_costs_too_much_the_failures_are_the_reason() -> None:
    reason = breach(GUARD, GOOD, figures(100, failed=50, cost="100"))

    assert reason is not None
    assert "requests failed" in reason


# ------------------------------------------------------------------ figures


def test_figures_of_nothing_are_zero() -> None:
    assert (figures(0).error_rate, figures(0).average_cost) == (0.0, Decimal(0))


def test_figures_since_a_change_are_what_was_added_after_it() -> None:
    before, now = figures(100, 7, "1.25"), figures(160, 9, "2")

    assert now.since(before) == figures(60, 2, "0.75")
    assert now.since(ReleaseFigures()) == now

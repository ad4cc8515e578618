"""Which version of a prompt a caller gets while it is split, and how few of them ever change it."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.caller import Caller
from assistant.domain.rollout import POINTS, Rollout, point_of, subject_of, with_weights

PROMPT = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
OTHER = UUID("01890a5d-ac96-774b-bcce-b302099a8058")
START = datetime(2026, 3, 14, tzinfo=UTC)
SUBJECTS = [f"user:{number}" for number in range(100_000)]
ONE_IN_TEN = {1: 90, 2: 10}


def rollout(weights: dict[int, int], before: tuple[int, ...] = (1,) * POINTS) -> Rollout:
    return Rollout(with_weights(before, weights), START)


def given_to(split: Rollout, prompt_id: UUID = PROMPT) -> list[int]:
    """The version of every subject."""
    return [split.version_for(prompt_id, subject) for subject in SUBJECTS]


def splits(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[dict[int, int]]:
    """Weights of one to five versions that add up to 100."""

    def weighed(versions: list[int]) -> st.SearchStrategy[dict[int, int]]:
        borders = st.lists(
            st.integers(1, POINTS - 1),
            min_size=len(versions) - 1,
            max_size=len(versions) - 1,
            unique=True,
        )

        def between(chosen: list[int]) -> dict[int, int]:
            ends = [0, *sorted(chosen), POINTS]
            return {v: ends[i + 1] - ends[i] for i, v in enumerate(versions)}

        return borders.map(between)

    return st.lists(numbers, min_size=1, max_size=5, unique=True).flatmap(weighed)


# ------------------------------------------------------------------ the split


@pytest.mark.parametrize(
    "weights",
    [ONE_IN_TEN, {1: 99, 2: 1}, {1: 50, 2: 50}, {1: 1, 7: 99}, {1: 34, 2: 33, 3: 33}],
    ids=str,
)
def test_a_hundred_thousand_subjects_are_split_within_half_a_point(
    weights: dict[int, int],
) -> None:
    counts = Counter(given_to(rollout(weights)))

    assert counts.keys() == weights.keys()
    for version, weight in weights.items():
        assert abs(counts[version] / len(SUBJECTS) * 100 - weight) < 0.5


def test_subjects_are_spread_evenly_over_all_points() -> None:
    counts = Counter(point_of(PROMPT, subject) for subject in SUBJECTS)

    # Chi-square over 99 degrees of freedom exceeds 149 once in a thousand.
    expected = len(SUBJECTS) / POINTS
    assert counts.keys() == set(range(POINTS))
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 149


def test_a_subject_gets_the_same_version_every_time_and_from_every_rollout_that_says_the_same() -> (
    None
):
    here, there = rollout(ONE_IN_TEN), rollout(ONE_IN_TEN)

    assert given_to(here) == given_to(here) == given_to(there)


@pytest.mark.parametrize(
    ("prompt_id", "subject", "point"),
    [
        (PROMPT, "user:alice", 57),
        (OTHER, "user:alice", 42),
        (PROMPT, "user:bob", 21),
        (PROMPT, "service:alice", 13),
        (PROMPT, "service:web", 41),
        (UUID(int=0), "user:zoë", 18),
    ],
)
def test_a_subject_has_the_same_point_in_every_process_for_ever(
    prompt_id: UUID, subject: str, point: int
) -> None:
    assert point_of(prompt_id, subject) == point


def test_the_points_of_a_thousand_subjects_are_those_of_the_first_release() -> None:
    points = bytes(point_of(PROMPT, subject) for subject in SUBJECTS[:1_000])

    assert sha256(points).hexdigest() == (
        "fac9f918f6b03ff40519a9f3821ae14958146a93bdaa8a2774836c9a1874d943"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({1: 90, 2: 10}, {1: 80, 2: 20}),
        ({1: 80, 2: 10, 3: 10}, {1: 70, 2: 20, 3: 10}),
        ({1: 60, 2: 10, 3: 30}, {1: 60, 2: 20, 3: 20}),
    ],
    ids=["two versions", "three, from the first", "three, from the third"],
)
def test_going_from_ten_to_twenty_percent_moves_only_ten_in_a_hundred_subjects(
    before: dict[int, int], after: dict[int, int]
) -> None:
    old = rollout(before)
    new = rollout(after, old.points)

    moved = [
        (was, now) for was, now in zip(given_to(old), given_to(new), strict=True) if was != now
    ]

    assert abs(len(moved) / len(SUBJECTS) * 100 - 10) < 0.5
    assert {now for _, now in moved} == {2}
    assert sum(was != now for was, now in zip(old.points, new.points, strict=True)) == 10


def test_who_had_the_new_version_keeps_it_while_it_grows_to_all() -> None:
    split = rollout({1: 99, 2: 1})
    having = {s for s in SUBJECTS if split.version_for(PROMPT, s) == 2}
    for percent in (5, 25, 50, 100):
        split = rollout({1: 100 - percent, 2: percent}, split.points)
        now = {s for s in SUBJECTS if split.version_for(PROMPT, s) == 2}
        assert having < now
        having = now

    assert len(having) == len(SUBJECTS)


def test_prompts_split_the_same_subjects_independently_of_each_other() -> None:
    split = rollout(ONE_IN_TEN)
    pairs = Counter(zip(given_to(split, PROMPT), given_to(split, OTHER), strict=True))

    for (here, there), count in pairs.items():
        expected = ONE_IN_TEN[here] * ONE_IN_TEN[there] / 100
        assert abs(count / len(SUBJECTS) * 100 - expected) < 0.5
    assert len(pairs) == 4


# ------------------------------------------------------------------ weights


@given(splits(st.integers(1, 9)), splits(st.integers(1, 9)), st.randoms(use_true_random=False))
def test_new_weights_are_exact_and_move_only_as_many_points_as_versions_grow(
    before: dict[int, int], after: dict[int, int], chance: random.Random
) -> None:
    points = [version for version, weight in before.items() for _ in range(weight)]
    chance.shuffle(points)  # as many changes before have left them

    changed = with_weights(points, after)

    assert Counter(changed) == after
    moved = sum(was != now for was, now in zip(points, changed, strict=True))
    grown = sum(max(0, weight - before.get(version, 0)) for version, weight in after.items())
    assert moved == grown


@given(splits(st.integers(1, 9)), splits(st.integers(1, 9)))
def test_no_version_that_grows_loses_a_point_and_none_that_shrinks_gains_one(
    before: dict[int, int], after: dict[int, int]
) -> None:
    points = with_weights([next(iter(before))] * POINTS, before)
    changed = with_weights(points, after)

    for version in before.keys() | after.keys():
        had = {point for point in range(POINTS) if points[point] == version}
        has = {point for point in range(POINTS) if changed[point] == version}
        assert had <= has or has <= had


@given(splits(st.integers(1, 9)))
def test_the_same_weights_again_move_nothing(weights: dict[int, int]) -> None:
    points = with_weights([next(iter(weights))] * POINTS, weights)

    assert with_weights(points, weights) == points


@given(splits(st.integers(1, 9)))
def test_a_rollout_says_its_weights_lowest_version_first(weights: dict[int, int]) -> None:
    said = rollout(weights).weights

    assert said == weights
    assert list(said) == sorted(weights)


def test_what_a_version_gives_up_goes_to_the_lowest_of_those_that_grow_first() -> None:
    points = with_weights((1,) * POINTS, {1: 97, 3: 1, 2: 2})

    assert points == (1,) * 97 + (2, 2, 3)


# ------------------------------------------------------------------ subjects


def caller(user_id: str | None, service_id: str | None) -> Caller:
    return Caller("acme", user_id, service_id, frozenset())


def test_a_user_is_told_apart_before_the_service_that_asks_for_them() -> None:
    subjects = {subject_of(caller("ann", service)) for service in ("web", "batch", None)}

    assert len(subjects) == 1
    assert subject_of(caller(None, "web")) != subject_of(caller(None, "batch"))


def test_nobody_is_no_subject() -> None:
    assert subject_of(caller(None, None)) is None


def test_a_user_and_a_service_of_the_same_name_are_two_subjects() -> None:
    user, service = subject_of(caller("x", None)), subject_of(caller(None, "x"))

    assert None not in (user, service)
    assert user != service
    # Not even where an identifier looks like the other kind.
    assert subject_of(caller("service:x", None)) != service
    assert subject_of(caller(None, "user:x")) != user

"""Gradual rollout: how callers are split between versions, and under which guard."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.domain.prompt import Prompt
from assistant.domain.rollout import ReleaseKind, RolloutGuard
from assistant.errors import Conflict
from tests.unit.prompt_desk import PromptDesk, paths, refused


@pytest.fixture
def at() -> PromptDesk:
    return PromptDesk()


def weights(prompt: Prompt) -> dict[int, int] | None:
    return None if prompt.rollout is None else dict(prompt.rollout.weights)


def moved(before: Prompt, after: Prompt) -> int:
    assert before.rollout is not None
    assert after.rollout is not None
    pairs = zip(before.rollout.points, after.rollout.points, strict=True)
    return sum(was != now for was, now in pairs)


# ------------------------------------------------------------------ rollouts


async def test_a_rollout_serves_its_versions_and_says_who_gets_what(at: PromptDesk) -> None:
    prompt = await at.three()
    at.clock.advance(60)

    changed = await at.roll_out("greet", (2, 10), (1, 90))

    assert changed == at.now(prompt)
    assert weights(changed) == {1: 90, 2: 10}
    assert changed.rollout is not None
    assert changed.rollout.started_at == at.clock.now()
    assert changed.published_version_id == prompt.published_version_id
    assert at.statuses(prompt) == "PPD"


async def test_a_version_that_loses_its_share_is_archived(at: PromptDesk) -> None:
    prompt = await at.three()
    await at.roll_out("greet", (1, 80), (2, 10), (3, 10))
    assert at.statuses(prompt) == "PPP"

    await at.roll_out("greet", (1, 90), (3, 10))

    assert at.statuses(prompt) == "PAP"


async def test_from_ten_to_twenty_percent_ten_points_move_and_from_three_versions_as_few(
    at: PromptDesk,
) -> None:
    await at.three()
    ten = await at.roll_out("greet", (1, 90), (2, 10))
    twenty = await at.roll_out("greet", (1, 80), (2, 20))
    three = await at.roll_out("greet", (1, 50), (2, 25), (3, 25))

    assert (moved(ten, twenty), moved(twenty, three)) == (10, 30)


@settings(deadline=None)  # many changes, and a busy machine
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=6))
async def test_however_often_weights_change_no_more_callers_move_than_must(
    changes: list[tuple[int, int]],
) -> None:
    at = PromptDesk()
    await at.three()
    before = await at.roll_out("greet", (1, 50), (2, 50))
    for first, second in changes:
        low, high = sorted((first, second))
        given_weights = {1: 1 + low * 98 // 100, 2: (high - low) * 98 // 100}
        given_weights[3] = 100 - sum(given_weights.values())
        shares = [(number, weight) for number, weight in given_weights.items() if weight]
        after = await at.roll_out("greet", *shares)

        old, new = weights(before), weights(after)
        assert old is not None
        assert new == dict(shares)
        assert moved(before, after) == sum(max(0, new[n] - old.get(n, 0)) for n in new)
        before = after


async def test_all_to_the_published_version_ends_the_rollout(at: PromptDesk) -> None:
    prompt = await at.three()
    await at.roll_out("greet", (1, 50), (2, 50))

    changed = await at.roll_out("greet", (1, 100), reason="enough")

    assert changed.rollout is None
    assert at.statuses(prompt) == "PAD"
    release = at.last_release(prompt)
    assert (release.kind, release.weights) == (ReleaseKind.ROLLOUT, {1: 100})
    assert release.reason == "enough"


async def test_a_prompt_without_a_published_version_has_nothing_to_compare_with(
    at: PromptDesk,
) -> None:
    await at.create("greet", publish=False)

    problem = await refused(at.roll_out("greet", (1, 100)))

    assert problem.path == ("promptName",)
    assert "Publish one first" in problem.message


@pytest.mark.parametrize(
    ("shares", "path"),
    [
        ([], "shares"),
        ([(2, 100)], "shares"),
        ([(1, 90), (2, 20)], "shares"),
        ([(1, 90), (4, 10)], "shares.1.version"),
        ([(1, 90), (2**40, 10)], "shares.1.version"),
        ([(1, 90), (0, 10)], "shares.1.version"),
        ([(1, 90), (1, 10)], "shares.1.version"),
        ([(1, 100), (2, 0)], "shares.1.weight"),
    ],
)
async def test_shares_that_are_no_split_of_all_callers_change_nothing(
    at: PromptDesk, shares: list[tuple[int, int]], path: str
) -> None:
    prompt = await at.three()

    assert path in paths(await refused(at.roll_out("greet", *shares)))
    assert at.now(prompt).rollout is None
    assert at.statuses(prompt) == "PDD"


async def test_everything_that_is_wrong_with_a_rollout_is_said_at_once(at: PromptDesk) -> None:
    await at.three()

    problem = await refused(
        at.roll_out(
            "greet", (4, 10), (2, 0), guard=RolloutGuard(math.nan, -1, 0), reason="r" * 2_001
        )
    )

    assert paths(problem) == [
        "reason",
        "shares.0.version",
        "shares.1.weight",
        "shares",
        "guard.errorRateMargin",
        "guard.costMargin",
        "guard.minSamples",
    ]


@pytest.mark.parametrize("shares", [[(1, 50), (3, 50)], [(1, 100)]], ids=str)
async def test_who_read_the_prompt_before_another_version_was_published_is_told_to_look_again(
    at: PromptDesk, shares: list[tuple[int, int]]
) -> None:
    late = behind(at, await at.three())
    await at.publish("greet", 2)

    with pytest.raises(Conflict):
        await late.roll_out("greet", *shares)

    assert [r.weights for _, r in at.rows.releases] == [{1: 100}, {2: 100}]


async def test_of_two_who_change_a_rollout_at_the_same_time_one_is_told_to_look_again(
    at: PromptDesk,
) -> None:
    prompt = await at.three()
    late = behind(at, prompt)
    await at.roll_out("greet", (1, 90), (2, 10))

    with pytest.raises(Conflict):
        await late.roll_out("greet", (1, 50), (3, 50))

    assert weights(at.now(prompt)) == {1: 90, 2: 10}


def behind(at: PromptDesk, prompt: Prompt) -> PromptDesk:
    """Somebody who has read the prompt as it is now, and changes it later."""
    late = PromptDesk()
    late.rows.prompts[prompt.id] = at.now(prompt)
    late.rows.versions = dict(at.rows.versions)
    late.release_store.rows = at.rows
    return late


# ------------------------------------------------------------------ guards


async def test_without_a_guard_a_new_rollout_has_the_usual_one(at: PromptDesk) -> None:
    await at.three()

    changed = await at.roll_out("greet", (1, 90), (2, 10))

    assert changed.rollout is not None
    assert changed.rollout.guard == RolloutGuard(0.05, 0.5, 100)


async def test_a_guard_is_kept_until_another_one_is_given_and_forgotten_with_the_rollout(
    at: PromptDesk,
) -> None:
    await at.three()
    strict, lax = RolloutGuard(0.0, 0.0, 1), RolloutGuard(None, None, 1_000)

    async def guard_of(*shares: tuple[int, int], guard: RolloutGuard | None) -> RolloutGuard:
        rollout = (await at.roll_out("greet", *shares, guard=guard)).rollout
        assert rollout is not None
        return rollout.guard

    assert await guard_of((1, 90), (2, 10), guard=strict) == strict
    assert await guard_of((1, 80), (2, 20), guard=None) == strict
    assert await guard_of((1, 80), (2, 20), guard=lax) == lax
    assert await guard_of((1, 70), (2, 30), guard=None) == lax

    await at.roll_out("greet", (1, 100))
    assert await guard_of((1, 90), (2, 10), guard=None) == RolloutGuard()

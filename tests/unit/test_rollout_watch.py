"""Versions that do worse than the published one are taken back, without anybody's doing."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from assistant.adapters.log_safety import safe_fields
from assistant.domain.prompt import Prompt
from assistant.domain.rollout import ReleaseFigures, ReleaseKind, RolloutGuard
from assistant.errors import StorageUnavailable
from assistant.services.rollout_watch import RolloutWatch
from tests.unit.prompt_desk import ANN, BOB, OPERATOR, PromptDesk

GOOD = ReleaseFigures(1_000, 10, Decimal(1))
FAILING = ReleaseFigures(1_000, 100, Decimal(1))
DEAR = ReleaseFigures(1_000, 10, Decimal(2))


@pytest.fixture
def at() -> PromptDesk:
    return PromptDesk()


@pytest.fixture
def watch(at: PromptDesk) -> RolloutWatch:
    return watching(at)


def watching(at: PromptDesk, interval_s: float = 10.0) -> RolloutWatch:
    return RolloutWatch(
        store=at.release_store,
        prompts=at.prompts,
        clock=at.clock,
        telemetry=at.telemetry,
        interval_s=interval_s,
    )


async def split(at: PromptDesk, name: str = "greet", **given: Any) -> Prompt:
    """A prompt whose callers are split between three versions, the first one published."""
    await at.three(name)
    return await at.roll_out(name, (1, 70), (2, 20), (3, 10), **given)


def done(at: PromptDesk, prompt: Prompt, *figures: ReleaseFigures) -> None:
    """Let the versions have done so much since they exist, from the first one on."""
    for number, each in enumerate(figures, 1):
        at.release_store.totals[prompt.id, number] = each


def weights(at: PromptDesk, prompt: Prompt) -> dict[int, int] | None:
    rollout = at.now(prompt).rollout
    return None if rollout is None else dict(rollout.weights)


# ------------------------------------------------------------------ what is taken back


async def test_only_the_version_that_is_worse_is_taken_back(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    prompt = await split(at)
    done(at, prompt, GOOD, GOOD, FAILING)

    await watch.check()

    assert weights(at, prompt) == {1: 80, 2: 20}
    assert at.statuses(prompt) == "PPA"


async def test_those_who_had_the_good_new_version_keep_it(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    before = (await split(at)).rollout
    prompt = await split(at, "other")
    done(at, prompt, GOOD, FAILING, GOOD)

    await watch.check()

    after = at.now(prompt).rollout
    assert before is not None
    assert after is not None
    assert [1 if n == 2 else n for n in before.points] == list(after.points)


async def test_why_it_was_taken_back_is_recorded_and_that_nobody_did_it(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    prompt = await split(at)
    done(at, prompt, GOOD, DEAR, GOOD)
    at.clock.advance(60)

    with capture_logs() as lines:
        await watch.check()

    release = at.last_release(prompt)
    assert release.kind is ReleaseKind.ROLLED_BACK
    assert (release.user_id, release.service_id) == (None, None)
    assert (release.at, release.weights) == (at.clock.now(), {1: 90, 3: 10})
    assert release.reason == (
        "Version 2 was taken back: a request cost 0.002000000 USD on average of 1,000, against "
        "0.001000000 of 1,000; at most 50% more is allowed."
    )
    [line] = lines
    assert (line["event"], line["version"]) == ("version_taken_back", 2)
    # As the log prints them: a field that may hold a caller's text is redacted.
    assert safe_fields(line)["prompt_name"] == "greet"
    assert safe_fields(line)["tenant_id"] == prompt.tenant_id
    assert at.telemetry.taken_back == ["greet"]


async def test_when_the_last_new_version_is_taken_back_the_rollout_ends(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    await at.three()
    prompt = await at.roll_out("greet", (1, 50), (2, 50))
    done(at, prompt, GOOD, FAILING)

    await watch.check()

    assert weights(at, prompt) is None
    assert at.statuses(prompt) == "PAD"
    assert at.last_release(prompt).weights == {1: 100}


async def test_callers_get_the_published_version_from_the_next_request_on(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    await at.three()
    prompt = await at.roll_out("greet", (1, 1), (2, 99))
    assert (await at.prompts.get_served("acme", "greet", "user:0"))[1].version == 2
    done(at, prompt, GOOD, FAILING)

    await watch.check()

    assert (await at.prompts.get_served("acme", "greet", "user:0"))[1].version == 1


async def test_of_two_that_are_worse_the_second_is_compared_anew_after_the_first_is_gone(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    prompt = await split(at)
    done(at, prompt, GOOD, FAILING, FAILING)
    await watch.check()
    assert weights(at, prompt) == {1: 90, 3: 10}
    assert at.rows.asked.count("roll_back") == 1

    await watch.check()  # nothing was done since: nothing is known of it
    assert weights(at, prompt) == {1: 90, 3: 10}

    done(at, prompt, *(ReleaseFigures(2_000, f.failed * 2, f.cost * 2) for f in (GOOD,) * 2))
    at.release_store.totals[prompt.id, 3] = ReleaseFigures(2_000, 200, Decimal(2))
    await watch.check()
    assert weights(at, prompt) is None


# ------------------------------------------------------------------ what is not


async def test_a_version_that_does_as_well_stays(at: PromptDesk, watch: RolloutWatch) -> None:
    prompt = await split(at)
    done(at, prompt, GOOD, GOOD, GOOD)

    await watch.check()

    assert weights(at, prompt) == {1: 70, 2: 20, 3: 10}
    assert at.last_release(prompt).kind is ReleaseKind.ROLLOUT


async def test_the_published_version_is_never_taken_back_however_bad_it_is(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    prompt = await split(at)
    done(at, prompt, FAILING, GOOD, GOOD)

    await watch.check()

    assert weights(at, prompt) == {1: 70, 2: 20, 3: 10}


async def test_what_a_version_did_before_the_shares_changed_does_not_count(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    prompt = await at.three()
    done(at, prompt, GOOD, FAILING, GOOD)
    await at.roll_out("greet", (1, 50), (2, 50))

    await watch.check()

    assert weights(at, prompt) == {1: 50, 2: 50}


async def test_the_rollouts_own_guard_decides(at: PromptDesk, watch: RolloutWatch) -> None:
    prompt = await split(at, guard=RolloutGuard(0.2, None, 2_000))
    done(at, prompt, GOOD, FAILING, DEAR)

    await watch.check()

    assert weights(at, prompt) == {1: 70, 2: 20, 3: 10}


async def test_nothing_is_done_where_another_replica_has_taken_it_back_already(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    prompt = await split(at)
    done(at, prompt, GOOD, GOOD, FAILING)
    at.release_store.meanwhile = watching(at).check

    with capture_logs() as lines:
        await watch.check()

    assert weights(at, prompt) == {1: 80, 2: 20}
    kinds = [release.kind for _, release in at.rows.releases]
    assert kinds.count(ReleaseKind.ROLLED_BACK) == 1
    assert [line["event"] for line in lines] == ["version_taken_back"]  # by the other one


async def test_nothing_is_taken_back_of_what_somebody_has_just_published(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    prompt = await split(at)
    done(at, prompt, GOOD, GOOD, FAILING)
    at.release_store.meanwhile = lambda: at.publish("greet", 3)

    await watch.check()

    assert at.statuses(prompt) == "AAP"
    assert at.last_release(prompt).kind is ReleaseKind.PUBLISHED


async def test_a_rollout_that_ended_before_it_was_looked_at_is_left_alone(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    prompt = await split(at)
    listed = await at.release_store.list_rollouts()
    await at.publish("greet", 1)

    assert listed == [("acme", prompt.id)]
    assert await at.release_store.watch_rollout("acme", prompt.id) is None
    await watch.check()
    assert at.last_release(prompt).kind is ReleaseKind.PUBLISHED


# ------------------------------------------------------------------ all of them, always


async def test_the_rollouts_of_every_tenant_are_looked_after(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    prompts = []
    for caller in (ANN, BOB, OPERATOR):
        await at.add(await at.create("greet", caller=caller), caller=caller)
        prompts.append(await at.roll_out("greet", (1, 50), (2, 50), caller=caller))
        done(at, prompts[-1], GOOD, FAILING)

    await watch.check()

    assert [weights(at, prompt) for prompt in prompts] == [None] * 3


async def test_a_rollout_that_cannot_be_read_does_not_keep_others_from_being_looked_after(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    broken, prompt = await split(at, "broken"), await split(at)
    for each in (broken, prompt):
        done(at, each, GOOD, FAILING, GOOD)
    at.release_store.broken.add(broken.id)

    with capture_logs() as lines:
        await watch.check()

    assert weights(at, prompt) == {1: 90, 3: 10}
    assert weights(at, broken) == {1: 70, 2: 20, 3: 10}
    assert lines[-1] == {
        "event": "rollouts_not_checked",
        "log_level": "warning",
        "rollouts": 1,
        "reason": "It took too long.",
    }

    at.release_store.broken.clear()
    await watch.check()
    assert weights(at, broken) == {1: 90, 3: 10}


async def test_that_no_rollout_can_be_looked_at_is_said(
    at: PromptDesk, watch: RolloutWatch
) -> None:
    at.rows.is_away = True

    with pytest.raises(StorageUnavailable):
        await watch.check()


async def test_watching_goes_on_when_the_database_is_back(at: PromptDesk) -> None:
    prompt = await split(at)
    done(at, prompt, GOOD, FAILING, GOOD)
    at.rows.is_away = True

    with capture_logs() as lines:
        task = asyncio.create_task(watching(at, interval_s=0.001).watch())
        async with asyncio.timeout(5):
            while not lines:
                await asyncio.sleep(0.001)
            at.rows.is_away = False
            while weights(at, prompt) != {1: 90, 3: 10}:
                await asyncio.sleep(0.001)
        task.cancel()

    assert lines[0]["event"] == "rollouts_not_checked"

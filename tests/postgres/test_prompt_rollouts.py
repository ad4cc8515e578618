"""Callers split between versions: exact figures since the split, and no change over another."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.listen import CATALOG_CHANNEL, EVERYTHING, listen
from assistant.adapters.postgres.prompt_changes import PostgresPromptChanges
from assistant.adapters.postgres.prompt_releases import PostgresPromptReleases
from assistant.adapters.postgres.prompts import PostgresPrompts
from assistant.domain.completion import CompletionStatus, TokenUsage
from assistant.domain.ports import WatchedVersion
from assistant.domain.prompt import Prompt, PromptVersion
from assistant.domain.prompt_test import TEST_FEATURE
from assistant.domain.rollout import (
    ReleaseFigures,
    ReleaseKind,
    Rollout,
    RolloutGuard,
    with_weights,
)
from assistant.errors import Conflict
from tests.postgres.catalog import NOW, a_release, a_version, add
from tests.postgres.completions import running, succeeded

GUARD = RolloutGuard(0.1, None, 7)
FAILED, CANCELLED = CompletionStatus.FAILED, CompletionStatus.CANCELLED
# What answers would have cost without the cache: a version is not cheaper for being asked less.
SAVED = Decimal("0.5")
COST = SAVED + Decimal("0.0000125")


@pytest.fixture
def releases(database: Database) -> PostgresPromptReleases:
    return PostgresPromptReleases(database)


async def find(database: Database, prompt: Prompt) -> Prompt:
    found = await PostgresPrompts(database).prompts_by_id(prompt.tenant_id, [prompt.id])
    return found[prompt.id]


async def statuses(database: Database, prompt: Prompt) -> list[str]:
    """From the first version on, by their first letters."""
    found = await PostgresPrompts(database).list_versions(prompt.tenant_id, [prompt.id], 99, None)
    return [version.status[0] for version in reversed(found[prompt.id])]


async def split(
    releases: PostgresPromptReleases,
    prompt: Prompt,
    weights: dict[int, int],
    at: datetime | None = None,
) -> Rollout:
    points = prompt.rollout.points if prompt.rollout else (1,) * 100
    rollout = Rollout(with_weights(points, weights), at or datetime.now(UTC), GUARD)
    release = a_release(prompt, weights, ReleaseKind.ROLLOUT, rollout.started_at)
    await releases.set_rollout(prompt, rollout, release)
    return rollout


async def use(
    ledger: PostgresLedger, version: PromptVersion, count: int, tenant: str = "acme", **ended: Any
) -> None:
    """Settle some requests of a version."""
    await asyncio.gather(
        *(
            ledger.settle(succeeded(running(tenant, prompt_version_id=version.id), **ended))
            for _ in range(count)
        )
    )


async def figures(releases: PostgresPromptReleases, prompt: Prompt) -> dict[int, ReleaseFigures]:
    watched = await releases.watch_rollout(prompt.tenant_id, prompt.id)
    assert watched is not None
    return {version.number: version.figures for version in watched[1]}


# ------------------------------------------------------------------ splitting


async def test_a_split_reads_back_and_whoever_has_a_share_is_published(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database, versions=4)
    rollout = Rollout(with_weights((1,) * 100, {1: 70, 2: 20, 4: 10}), NOW, GUARD)
    later = NOW + timedelta(hours=1)
    release = a_release(prompt, rollout.weights, ReleaseKind.ROLLOUT, later)

    await releases.set_rollout(prompt, rollout, release)

    assert await find(database, prompt) == replace(prompt, rollout=rollout, updated_at=later)
    assert await statuses(database, prompt) == ["P", "P", "D", "P"]
    assert await releases.list_rollouts() == [("acme", prompt.id)]
    listed = await releases.list_releases("acme", [prompt.id], 1, None)
    assert listed == {prompt.id: [release]}
    second = await PostgresPrompts(database).find_version("acme", "summary", 2)
    assert second is not None
    assert second[1].published_at == later
    assert second[1].id == versions[1].id


async def test_another_split_archives_those_who_lost_their_share(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, _ = await add(database, versions=3)
    await split(releases, prompt, {1: 70, 2: 30})

    rollout = await split(releases, await find(database, prompt), {1: 50, 3: 50})

    assert (await find(database, prompt)).rollout == rollout
    assert await statuses(database, prompt) == ["P", "A", "P"]


async def test_nobody_splits_over_a_change_that_they_have_not_seen(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database, versions=3)
    first = await split(releases, prompt, {1: 70, 2: 30})

    with pytest.raises(Conflict, match="changed meanwhile"):
        await split(releases, prompt, {1: 10, 3: 90})
    assert (await find(database, prompt)).rollout == first

    seen = await find(database, prompt)
    await split(releases, seen, {1: 60, 2: 40})
    with pytest.raises(Conflict, match="changed meanwhile"):
        await split(releases, seen, {1: 10, 3: 90})

    seen = await find(database, prompt)
    await releases.publish("acme", versions[1], None, a_release(prompt, {2: 100}))
    with pytest.raises(Conflict, match="changed meanwhile"):
        await split(releases, seen, {1: 10, 3: 90})
    assert (await find(database, prompt)).rollout is None
    assert await statuses(database, prompt) == ["A", "P", "D"]


async def test_of_those_who_split_at_once_one_alone_does(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, _ = await add(database, versions=2)

    results = await asyncio.gather(
        *(split(releases, prompt, {1: 100 - weight, 2: weight}) for weight in (10, 20, 30, 40)),
        return_exceptions=True,
    )

    (winner,) = (result for result in results if isinstance(result, Rollout))
    assert sum(isinstance(result, Conflict) for result in results) == 3
    assert (await find(database, prompt)).rollout == winner


async def test_what_describes_a_prompt_may_change_while_it_is_split(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, _ = await add(database, versions=2)
    changes = PostgresPromptChanges(database)
    await changes.update_prompt("acme", prompt.id, {"category": "other"}, NOW)
    await changes.add_version("acme", a_version(prompt), 10)

    rollout = await split(releases, prompt, {1: 70, 2: 30})

    changed = await changes.update_prompt("acme", prompt.id, {"category": "third"}, NOW)
    assert changed is not None
    assert changed.rollout == rollout


async def test_a_split_is_announced(releases: PostgresPromptReleases, database: Database) -> None:
    prompt, _ = await add(database, versions=2)
    heard = listen(database, CATALOG_CHANNEL)
    assert await anext(heard) == EVERYTHING

    await split(releases, prompt, {1: 70, 2: 30})

    async with asyncio.timeout(5):
        assert await anext(heard) == "acme"
    await heard.aclose()  # type: ignore[attr-defined]


async def test_the_rollouts_of_all_tenants_are_listed(
    releases: PostgresPromptReleases, database: Database
) -> None:
    made = [await add(database, tenant, versions=2) for tenant in ("acme", "globex", "platform")]
    await add(database, name="whole")
    for prompt, _ in made:
        await split(releases, prompt, {1: 70, 2: 30})

    listed = await releases.list_rollouts()

    assert sorted(listed) == sorted((prompt.tenant_id, prompt.id) for prompt, _ in made)


@pytest.mark.parametrize(
    "rollout",
    [
        Rollout((1, 2) * 49, NOW),
        Rollout((0,) * 100, NOW),
        Rollout((1, 2) * 50, NOW, RolloutGuard(1.5)),
        Rollout((1, 2) * 50, NOW, RolloutGuard(float("nan"))),
        Rollout((1, 2) * 50, NOW, RolloutGuard(cost_margin=-1)),
        Rollout((1, 2) * 50, NOW, RolloutGuard(min_samples=0)),
    ],
    ids=["98 points", "no version", "margin", "NaN", "cost", "samples"],
)
async def test_the_database_itself_refuses_what_the_service_should_have(
    releases: PostgresPromptReleases, database: Database, rollout: Rollout
) -> None:
    prompt, _ = await add(database, versions=2)

    with pytest.raises(DBAPIError, match="check constraint"):
        await releases.set_rollout(prompt, rollout, a_release(prompt, {1: 100}))


async def test_all_to_the_published_version_ends_a_rollout_unless_somebody_changed_it_meanwhile(
    releases: PostgresPromptReleases, database: Database
) -> None:
    read, _ = await add(database, versions=2)
    await split(releases, read, {1: 70, 2: 30})
    (split_now,) = (await PostgresPrompts(database).prompts_by_id("acme", [read.id])).values()
    alone = Rollout((1,) * 100, NOW)

    with pytest.raises(Conflict):
        await releases.set_rollout(read, alone, a_release(read, {1: 100}))
    await releases.set_rollout(split_now, alone, a_release(read, {1: 100}))

    served = await PostgresPrompts(database).find_served("acme", read.name)
    assert served is not None and served.prompt.rollout is None
    assert list(served.versions) == [1]
    assert await releases.list_rollouts() == []


# ------------------------------------------------------------------ watching


async def test_only_what_versions_did_since_the_split_counts(
    releases: PostgresPromptReleases, database: Database, ledger: PostgresLedger
) -> None:
    prompt, (first, second, third) = await add(database, versions=3)
    await use(ledger, first, 5)
    await use(ledger, second, 2, status=FAILED)
    await split(releases, prompt, {1: 70, 2: 30})
    assert await figures(releases, prompt) == {1: ReleaseFigures(), 2: ReleaseFigures()}

    await use(ledger, first, 4)
    await use(ledger, first, 3, status=CANCELLED)
    await use(ledger, second, 1)
    await use(ledger, second, 2, status=FAILED, usage=TokenUsage(cost=Decimal("0.1")))
    await use(ledger, third, 9)

    watched = await releases.watch_rollout("acme", prompt.id)
    assert watched is not None
    assert watched == (
        await find(database, prompt),
        [
            WatchedVersion(1, True, ReleaseFigures(4, 0, 4 * COST)),
            WatchedVersion(2, False, ReleaseFigures(3, 2, COST + 2 * (SAVED + Decimal("0.1")))),
        ],
    )


async def test_every_split_counts_anew(
    releases: PostgresPromptReleases, database: Database, ledger: PostgresLedger
) -> None:
    prompt, (first, second, third) = await add(database, versions=3)
    await split(releases, prompt, {1: 70, 2: 30})
    await use(ledger, first, 4)
    await use(ledger, second, 3)
    await use(ledger, third, 2)

    await split(releases, await find(database, prompt), {1: 50, 2: 25, 3: 25})
    await use(ledger, third, 1)

    assert await figures(releases, prompt) == {
        1: ReleaseFigures(),
        2: ReleaseFigures(),
        3: ReleaseFigures(1, 0, COST),
    }


async def test_what_began_hours_before_or_in_hours_to_come_is_told_apart(
    releases: PostgresPromptReleases, database: Database, ledger: PostgresLedger
) -> None:
    prompt, (first, second) = await add(database, versions=2)
    started_at = datetime.now(UTC)
    await split(releases, prompt, {1: 70, 2: 30}, started_at)
    for hours in (-2, 0, 1, 30):
        opened = running(at=started_at + timedelta(hours=hours), prompt_version_id=second.id)
        await ledger.settle(succeeded(opened))

    # The one of two hours ago was answered before anybody got this version.
    assert await figures(releases, prompt) == {
        1: ReleaseFigures(),
        2: ReleaseFigures(3, 0, 3 * COST),
    }
    assert first.id != second.id


async def test_the_platforms_versions_are_judged_by_the_requests_of_all_tenants(
    releases: PostgresPromptReleases, database: Database, ledger: PostgresLedger
) -> None:
    prompt, (_, second) = await add(database, "platform", versions=2)
    await use(ledger, second, 2, "acme")
    await split(releases, prompt, {1: 70, 2: 30})
    for tenant in ("acme", "globex", "platform"):
        await use(ledger, second, 3, tenant, status=FAILED)

    found = await figures(releases, prompt)

    assert found[2] == ReleaseFigures(9, 9, 9 * COST)


async def test_runs_of_tests_are_not_what_a_version_is_judged_by(
    releases: PostgresPromptReleases, database: Database, ledger: PostgresLedger
) -> None:
    prompt, (_, second) = await add(database, versions=2)
    await split(releases, prompt, {1: 70, 2: 30})
    await use(ledger, second, 3, feature=TEST_FEATURE, status=FAILED)

    assert (await figures(releases, prompt))[2] == ReleaseFigures()


async def test_what_is_not_split_is_not_watched(
    releases: PostgresPromptReleases, database: Database, statements: list[str]
) -> None:
    prompt, versions = await add(database, versions=2)
    assert await releases.watch_rollout("acme", prompt.id) is None
    await split(releases, prompt, {1: 70, 2: 30})
    statements.clear()

    assert await releases.watch_rollout("acme", prompt.id) is not None
    assert len(statements) == 1
    assert await releases.watch_rollout("globex", prompt.id) is None
    await releases.publish("acme", versions[0], 1, a_release(prompt, {1: 100}))
    assert await releases.watch_rollout("acme", prompt.id) is None


# ------------------------------------------------------------------ taking back


async def test_a_version_that_is_taken_back_leaves_the_published_one_to_all(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, _ = await add(database, versions=2)
    await split(releases, prompt, {1: 70, 2: 30})
    seen = await find(database, prompt)
    release = a_release(prompt, {1: 100}, ReleaseKind.ROLLED_BACK, NOW, user_id=None, reason="bad")

    assert await releases.roll_back(seen, 2, release)

    assert await find(database, prompt) == prompt
    assert await statuses(database, prompt) == ["P", "A"]
    assert await releases.list_rollouts() == []
    listed = await releases.list_releases("acme", [prompt.id], 1, None)
    assert listed == {prompt.id: [release]}


async def test_others_keep_their_points_and_everything_counts_anew(
    releases: PostgresPromptReleases, database: Database, ledger: PostgresLedger
) -> None:
    prompt, versions = await add(database, versions=3)
    before = await split(releases, prompt, {1: 50, 2: 30, 3: 20})
    for version in versions:
        await use(ledger, version, 2)
    seen = await find(database, prompt)
    at = datetime.now(UTC)
    release = a_release(prompt, {1: 80, 3: 20}, ReleaseKind.ROLLED_BACK, at)

    assert await releases.roll_back(seen, 2, release)

    now = (await find(database, prompt)).rollout
    assert now == Rollout(tuple(1 if n == 2 else n for n in before.points), at, GUARD)
    assert now.weights == {1: 80, 3: 20}
    assert await statuses(database, prompt) == ["P", "A", "P"]
    assert await figures(releases, prompt) == {1: ReleaseFigures(), 3: ReleaseFigures()}


async def test_nothing_is_taken_back_after_somebody_has_changed_anything(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, versions = await add(database, versions=2)
    await split(releases, prompt, {1: 70, 2: 30})
    seen = await find(database, prompt)
    release = a_release(prompt, {1: 100}, ReleaseKind.ROLLED_BACK)

    changed = await split(releases, seen, {1: 60, 2: 40})
    assert not await releases.roll_back(seen, 2, release)
    assert (await find(database, prompt)).rollout == changed

    seen = await find(database, prompt)
    await releases.publish("acme", versions[1], None, a_release(prompt, {2: 100}))
    assert not await releases.roll_back(seen, 2, release)
    assert (await find(database, prompt)).published_version_id == versions[1].id
    listed = await releases.list_releases("acme", [prompt.id], 9, None)
    assert ReleaseKind.ROLLED_BACK not in {of.kind for of in listed[prompt.id]}


async def test_of_many_replicas_that_take_it_back_at_once_one_alone_does(
    releases: PostgresPromptReleases, database: Database
) -> None:
    prompt, _ = await add(database, versions=3)
    await split(releases, prompt, {1: 50, 2: 30, 3: 20})
    seen = await find(database, prompt)

    done = await asyncio.gather(
        *(
            releases.roll_back(seen, 2, a_release(prompt, {1: 80, 3: 20}, ReleaseKind.ROLLED_BACK))
            for _ in range(5)
        )
    )

    assert sorted(done) == [False] * 4 + [True]
    assert await statuses(database, prompt) == ["P", "A", "P"]

"""Versions published, split and taken back over a real socket, and the history of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.api.prompt_catalog import (
    PUBLISH,
    SET_ROLLOUT,
    UPDATE,
    answered,
    made,
    refused,
    rendered,
    said,
    with_versions,
    writer,
)
from tests.running_service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")

HISTORY = """query ($first: Int, $after: String) { promptByName(name: "greet") {
    releases(first: $first, after: $after) {
        nodes { id at kind reason serviceId changedBy { id } shares { weight version { version } } }
        edges { cursor node { id } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""


async def publish(
    service: RunningService, me: dict[str, str], version: int, **more: Any
) -> dict[str, Any]:
    given = {"promptName": "greet", "version": version} | more
    return await answered(service, me, PUBLISH, input=given)


async def split(
    service: RunningService, me: dict[str, str], *shares: tuple[int, int], **more: Any
) -> dict[str, Any]:
    weights = [{"version": version, "weight": weight} for version, weight in shares]
    given = {"promptName": "greet", "shares": weights} | more
    return await answered(service, me, SET_ROLLOUT, input=given)


def shares(prompt: dict[str, Any]) -> dict[int, int]:
    """Weights by version, in the order in which they are listed."""
    return {share["version"]["version"]: share["weight"] for share in prompt["rollout"]}


async def history(
    service: RunningService, me: dict[str, str], first: int = 20, after: str | None = None
) -> dict[str, Any]:
    found = await answered(service, me, HISTORY, first=first, after=after)
    releases: dict[str, Any] = found["releases"]
    return releases


# --- publishing


async def test_publishing_gives_a_version_to_callers_and_archives_the_one_before(
    service: RunningService,
) -> None:
    me = writer()
    await with_versions(service, me, 3)

    payload = await publish(service, me, 2)

    assert payload["userErrors"] == []
    assert payload["promptVersion"]["status"] == "PUBLISHED"
    assert payload["prompt"]["publishedVersion"] == {"version": 2}
    assert payload["prompt"]["versions"]["nodes"] == [
        {"version": 3, "status": "DRAFT"},
        {"version": 2, "status": "PUBLISHED"},
        {"version": 1, "status": "ARCHIVED"},
    ]
    assert await rendered(service, me) == "Version 2."


async def test_publishing_an_older_version_is_a_way_back(service: RunningService) -> None:
    me = writer()
    await with_versions(service, me, 2)
    first = (await publish(service, me, 1))["promptVersion"]["publishedAt"]
    await publish(service, me, 2)

    payload = await publish(service, me, 1)

    assert payload["promptVersion"] == {
        "version": 1, "status": "PUBLISHED", "publishedAt": first,
    }  # fmt: skip
    assert await rendered(service, me) == "Version 1."


async def test_who_expects_another_version_than_is_published_meets_a_conflict(
    service: RunningService,
) -> None:
    me = writer()
    await with_versions(service, me, 3)

    for expected in (0, 2):
        payload = await publish(service, me, 3, expectedPublishedVersion=expected)
        assert refused(payload) == [("CONFLICT", [])]
    for expected in (1, None):
        payload = await publish(service, me, 2, expectedPublishedVersion=expected)
        assert payload["userErrors"] == []
    assert await rendered(service, me) == "Version 2."

    await made(service, me, "new", publish=False)
    first = {"promptName": "new", "version": 1, "expectedPublishedVersion": 0}
    assert (await answered(service, me, PUBLISH, input=first))["userErrors"] == []


async def test_of_those_who_publish_at_once_one_does(service: RunningService) -> None:
    me = writer()
    await with_versions(service, me, 6)

    payloads = await asyncio.gather(
        *(publish(service, me, number, expectedPublishedVersion=1) for number in range(2, 7))
    )

    codes = Counter(error["code"] for payload in payloads for error in payload["userErrors"])
    assert codes == {"CONFLICT": 4}


async def test_what_cannot_be_published_is_a_user_error(service: RunningService) -> None:
    me = writer()
    prompt = await with_versions(service, me, 1)

    for version in (0, -1, 2):
        assert [code for code, _ in refused(await publish(service, me, version))] == ["NOT_FOUND"]
    for name in ("nobody", "no\x00body"):
        payload = await publish(service, me, 1, promptName=name)
        assert refused(payload)[0][0] in ("NOT_FOUND", "BAD_USER_INPUT")
    payload = await publish(service, me, 1, reason="x" * 10_001)
    assert refused(payload) == [("BAD_USER_INPUT", ["input", "reason"])]
    await answered(service, me, UPDATE, id=prompt["id"], input={"isArchived": True})
    payload = await publish(service, me, 1)
    assert refused(payload) == [("BAD_USER_INPUT", ["input", "promptName"])]
    assert "isArchived false" in said(payload)


async def test_a_prompt_can_ask_for_tests_before_a_version_is_published(
    service: RunningService,
) -> None:
    me = writer()
    prompt = await with_versions(service, me, 2)
    await answered(service, me, UPDATE, id=prompt["id"], input={"publishRequiresTests": True})

    payload = await publish(service, me, 2)
    assert refused(payload) == [("BAD_USER_INPUT", ["input", "version"])]
    assert "test" in said(payload)
    payload = await split(service, me, (1, 90), (2, 10))
    assert refused(payload) == [("BAD_USER_INPUT", ["input", "shares", "1", "version"])]
    # A way back is never held up.
    assert (await publish(service, me, 1))["userErrors"] == []


# --- rollouts


async def test_a_rollout_gives_each_version_its_share_of_the_callers(
    service: RunningService,
) -> None:
    me = writer()
    await with_versions(service, me, 3)

    payload = await split(service, me, (2, 30), (1, 60), (3, 10))

    assert payload["userErrors"] == []
    assert shares(payload["prompt"]) == {1: 60, 2: 30, 3: 10}
    assert list(shares(payload["prompt"])) == [1, 2, 3]
    statuses = {share["version"]["status"] for share in payload["prompt"]["rollout"]}
    assert statuses == {"PUBLISHED"}
    assert payload["prompt"]["publishedVersion"] == {"version": 1}

    users = [me | {"x-user-id": f"user-{n}"} for n in range(200)]
    texts = await asyncio.gather(*(rendered(service, user) for user in users))
    counted = Counter(texts)
    assert set(counted) == {"Version 1.", "Version 2.", "Version 3."}
    assert 90 <= counted["Version 1."] <= 150  # 120, give or take four standard deviations
    again = await asyncio.gather(*(rendered(service, user) for user in users[:50]))
    assert again == texts[:50]


async def test_explaining_a_route_and_completing_take_the_rollout_into_account(
    service: RunningService,
) -> None:
    me = writer()
    await made(
        service,
        me,
        initialVersion={
            "template": "{{text}}", "variables": [{"name": "text"}], "task": "SUMMARIZATION",
        },
    )  # fmt: skip
    other = {"template": "{{text}}", "variables": [{"name": "text"}], "task": "GENERAL"}
    prompt = (await answered(service, me, '{ promptByName(name: "greet") { id } }'))["id"]
    add = """mutation ($id: ID!, $input: PromptVersionInput!) {
        createPromptVersion(promptId: $id, input: $input) { userErrors { message } } }"""
    await answered(service, me, add, id=prompt, input=other)
    await split(service, me, (1, 50), (2, 50))
    query = """query ($input: CompletionRequest!) { explainRoute(input: $input) {
        candidates { model isEligible } } }"""
    request = {"promptName": "greet", "variables": {"text": "A storm closed the harbour."}}

    for n in range(8):
        user = me | {"x-user-id": f"user-{n}"}
        found = await answered(service, user, query, input=request)
        eligible = {c["model"] for c in found["candidates"] if c["isEligible"]}
        version = await answered(
            service,
            user,
            """query ($input: RenderPromptInput!) {
                renderPrompt(input: $input) { promptVersion { version } } }""",
            input=request,
        )
        summarizes = version["promptVersion"]["version"] == 1
        assert ("builtin/extractive" in eligible) is summarizes


async def test_new_shares_move_as_few_callers_as_can_be(service: RunningService) -> None:
    me = writer()
    await with_versions(service, me, 2)
    users = [me | {"x-user-id": f"user-{n}"} for n in range(100)]
    await split(service, me, (1, 80), (2, 20))
    before = await asyncio.gather(*(rendered(service, user) for user in users))

    await split(service, me, (1, 60), (2, 40))

    after = await asyncio.gather(*(rendered(service, user) for user in users))
    moved = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
    assert moved == {("Version 1.", "Version 2.")}


async def test_publishing_or_giving_all_to_the_published_version_ends_a_rollout(
    service: RunningService,
) -> None:
    me = writer()
    await with_versions(service, me, 2)

    await split(service, me, (1, 50), (2, 50))
    ended = (await split(service, me, (1, 100)))["prompt"]
    assert (shares(ended), ended["rolloutGuard"]) == ({}, None)
    assert ended["publishedVersion"] == {"version": 1}

    await split(service, me, (1, 50), (2, 50))
    payload = await publish(service, me, 2)
    assert shares(payload["prompt"]) == {}
    assert [version["status"] for version in payload["prompt"]["versions"]["nodes"]] == [
        "PUBLISHED",
        "ARCHIVED",
    ]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ([], ["shares"]),
        ([(1, 90)], ["shares"]),
        ([(1, 90), (2, 20)], ["shares"]),
        ([(2, 100)], ["shares"]),
        ([(1, 100), (2, 0)], ["shares", "1", "weight"]),
        ([(1, 110), (2, -10)], ["shares", "0", "weight"]),
        ([(1, 50), (1, 50)], ["shares", "1", "version"]),
        ([(1, 50), (9, 50)], ["shares", "1", "version"]),
        ([(1, 50), (-2, 50)], ["shares", "1", "version"]),
    ],
)
async def test_shares_that_do_not_add_up_are_a_user_error_with_their_place(
    service: RunningService, given: list[tuple[int, int]], path: list[str]
) -> None:
    me = writer()
    await with_versions(service, me, 2)

    payload = await split(service, me, *given)

    assert ("BAD_USER_INPUT", ["input", *path]) in refused(payload)
    assert await rendered(service, me) == "Version 1."


async def test_a_prompt_without_a_published_version_cannot_be_split(
    service: RunningService,
) -> None:
    me = writer()
    await made(service, me, publish=False)

    payload = await split(service, me, (1, 100))

    assert refused(payload) == [("BAD_USER_INPUT", ["input", "promptName"])]
    assert "Publish one first" in said(payload)


async def test_a_guard_is_on_by_default_stays_and_can_leave_a_margin_unwatched(
    service: RunningService,
) -> None:
    me = writer()
    await with_versions(service, me, 2)

    async def guarded(**more: Any) -> Any:
        payload = await split(service, me, (1, 50), (2, 50), **more)
        assert payload["userErrors"] == []
        return payload["prompt"]["rolloutGuard"]

    standard = {"errorRateMargin": 0.05, "costMargin": 0.5, "minSamples": 100}
    assert await guarded() == standard
    unwatched = standard | {"costMargin": None, "minSamples": 7}
    assert await guarded(guard={"costMargin": None, "minSamples": 7}) == unwatched
    assert await guarded() == unwatched
    assert await guarded(guard=None) == unwatched
    assert await guarded(guard={}) == standard
    assert await guarded(guard={"minSamples": None}) == standard

    payload = await split(
        service, me, (1, 50), (2, 50),
        guard={"errorRateMargin": -1, "costMargin": 5_000, "minSamples": 0},
    )  # fmt: skip
    assert refused(payload)[0] == ("BAD_USER_INPUT", ["input", "guard", "errorRateMargin"])


# --- history


async def test_every_change_is_in_the_history_with_who_and_why(service: RunningService) -> None:
    me = writer()
    await with_versions(service, me, 2)
    await split(service, me, (1, 75), (2, 25), reason="A first try.")
    robot = {name: value for name, value in me.items() if name != "x-user-id"}
    await publish(service, robot | {"x-service-id": "deployer"}, 2, reason="It does well.")

    releases = (await history(service, me))["nodes"]

    assert [release["kind"] for release in releases] == ["PUBLISHED", "ROLLOUT", "PUBLISHED"]
    assert [release["reason"] for release in releases] == ["It does well.", "A first try.", None]
    assert [release["changedBy"] for release in releases] == [None, {"id": "ada"}, {"id": "ada"}]
    assert [release["serviceId"] for release in releases] == ["deployer", None, None]
    assert [shares({"rollout": release["shares"]}) for release in releases] == [
        {2: 100},
        {1: 75, 2: 25},
        {1: 100},
    ]
    times = [release["at"] for release in releases]
    assert times == sorted(times, reverse=True)


async def test_the_history_is_paged_newest_first_without_gaps_or_repeats(
    service: RunningService,
) -> None:
    me = writer()
    await with_versions(service, me, 2)
    for number in (2, 1, 2, 1):
        await publish(service, me, number)
    everything = [release["id"] for release in (await history(service, me))["nodes"]]
    assert len(everything) == 5

    seen: list[str] = []
    after: str | None = None
    while True:
        found = await history(service, me, 2, after)
        assert [edge["node"]["id"] for edge in found["edges"]] == [n["id"] for n in found["nodes"]]
        assert found["pageInfo"]["hasPreviousPage"] is (after is not None)
        assert found["pageInfo"]["endCursor"] == found["edges"][-1]["cursor"]
        seen += [release["id"] for release in found["nodes"]]
        after = found["pageInfo"]["endCursor"]
        # What is published meanwhile is newer than every page to come.
        await publish(service, me, 1)
        if not found["pageInfo"]["hasNextPage"]:
            break

    assert seen == everything


async def test_a_cursor_that_is_none_of_the_history_is_refused(service: RunningService) -> None:
    me = writer()
    await made(service, me)

    answer = await service.graphql(HISTORY, {"first": 1, "after": "x"}, me)

    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert answer["errors"][0]["extensions"]["inputPath"] == ["after"]

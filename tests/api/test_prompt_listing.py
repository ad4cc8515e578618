"""Lists of prompts and versions, a page at a time, over a real socket."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.prompt_catalog import DELETE, UPDATE, answered, made, with_versions, writer
from tests.running_service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIST = """query ($filter: PromptFilter, $order: PromptOrder, $first: Int, $after: String) {
    prompts(filter: $filter, orderBy: $order, first: $first, after: $after) {
        nodes { id name createdAt updatedAt isArchived }
        edges { cursor node { id } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
VERSIONS = """query ($first: Int, $after: String) { promptByName(name: "greet") {
    versions(first: $first, after: $after) {
        nodes { version } edges { cursor node { version } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""
MINE = {"category": "mine"}


async def pages(
    service: RunningService, me: dict[str, str], query: str, first: int, **variables: Any
) -> list[list[dict[str, Any]]]:
    """Every page of the list that ``query`` asks for, each consistent in itself."""
    found: list[list[dict[str, Any]]] = []
    after: str | None = None
    while True:
        page = await answered(service, me, query, first=first, after=after, **variables)
        page = page.get("versions", page)
        info, cursors = page["pageInfo"], [edge["cursor"] for edge in page["edges"]]
        assert [edge["node"].items() <= node.items() for edge, node in zip(
            page["edges"], page["nodes"], strict=True)] == [True] * len(cursors)  # fmt: skip
        assert info["hasPreviousPage"] is (after is not None)
        assert (info["startCursor"], info["endCursor"]) == (cursors[0], cursors[-1])
        found.append(page["nodes"])
        if not info["hasNextPage"]:
            return found
        after = info["endCursor"]


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize(
    ("field", "key"),
    [("NAME", "name"), ("CREATED_AT", "createdAt"), ("UPDATED_AT", "updatedAt")],
)
async def test_prompts_are_paged_in_every_order_without_gaps_or_repeats(
    service: RunningService, field: str, key: str, direction: str
) -> None:
    me = writer()
    names = ["delta", "alpha", "echo", "bravo", "charlie"]
    prompts = [await made(service, me, name, category="mine") for name in names]
    for prompt in (prompts[3], prompts[0]):
        await answered(service, me, UPDATE, id=prompt["id"], input={"tags": ["touched"]})

    found = await pages(
        service, me, LIST, 2, filter=MINE, order={"field": field, "direction": direction}
    )

    assert [len(page) for page in found] == [2, 2, 1]
    listed = [prompt for page in found for prompt in page]
    assert sorted(prompt["name"] for prompt in listed) == sorted(names)
    by_moment = {
        "name": sorted(names),
        "createdAt": names,
        "updatedAt": ["alpha", "echo", "charlie", "bravo", "delta"],
    }[key]
    expected = by_moment if direction == "ASC" else by_moment[::-1]
    assert [prompt["name"] for prompt in listed] == expected


async def test_a_list_is_narrowed_by_every_given_field(service: RunningService) -> None:
    me = writer()
    await made(service, me, "greet-warmly", category="mine", tags=["warm", "short"])
    await made(service, me, "greet-coldly", category="mine", tags=["short"])
    await made(service, me, "leave", category="mine", tags=["short"])

    async def names(**narrowing: Any) -> list[str]:
        found = await answered(service, me, LIST, filter=narrowing)
        return [prompt["name"] for prompt in found["nodes"]]

    assert await names(category="mine") == ["greet-coldly", "greet-warmly", "leave"]
    assert await names(category="mine", nameContains="GREET") == ["greet-coldly", "greet-warmly"]
    assert await names(tag="short", nameContains="greet") == ["greet-coldly", "greet-warmly"]
    assert await names(tag="warm") == ["greet-warmly"]
    assert await names(category="mine", tag="long") == []


async def test_archived_prompts_are_listed_for_who_asks(service: RunningService) -> None:
    me = writer()
    prompt = await made(service, me, "gone", category="mine")
    await made(service, me, "here", category="mine")
    await answered(service, me, DELETE, id=prompt["id"])

    for archived, expected in ((False, ["here"]), (None, ["here"]), (True, ["gone", "here"])):
        narrowed = MINE | {"includeArchived": archived}
        found = await answered(service, me, LIST, filter=narrowed)
        assert [prompt["name"] for prompt in found["nodes"]] == expected


async def test_a_prompt_of_ones_own_is_listed_instead_of_the_platforms(
    service: RunningService,
) -> None:
    me = writer()
    own = await made(service, me, "summarize-text")

    found = await answered(service, me, LIST, filter={"nameContains": "summarize-text"})

    assert [prompt["id"] for prompt in found["nodes"]] == [own["id"]]


@pytest.mark.parametrize("after", ["x", "e30", "WyJhIiwiYiJd", "WyJhIl0", "bnVsbA"])
async def test_a_cursor_that_was_made_up_is_refused(service: RunningService, after: str) -> None:
    answer = await service.graphql(LIST, {"after": after}, writer())

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["inputPath"] == ["after"]
    assert "endCursor" in error["message"]


async def test_versions_are_paged_newest_first(service: RunningService) -> None:
    me = writer()
    await with_versions(service, me, 5)

    found = await pages(service, me, VERSIONS, 2)

    assert [[version["version"] for version in page] for page in found] == [[5, 4], [3, 2], [1]]

"""Prompts and versions, made and changed over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.api.prompt_catalog import (
    ADD_VERSION,
    CREATE,
    DELETE,
    UPDATE,
    add_version,
    answered,
    made,
    refused,
    rendered,
    said,
    writer,
)
from tests.running_service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")

USUAL = {
    "ttlSeconds": None, "minSimilarity": 0.95, "maxTemperature": 0.3, "sharing": "USER",
    "isSemantic": True, "variables": [],
}  # fmt: skip
NAMED = {"name": "greet", "category": "test", "initialVersion": {"template": "Hi."}}


async def test_a_prompt_is_made_as_a_draft_that_callers_do_not_get(
    service: RunningService,
) -> None:
    me = writer()
    given = NAMED | {"description": "Says hello.", "tags": ["polite", "short"]}

    prompt = (await answered(service, me, CREATE, input=given))["prompt"]

    assert (prompt["name"], prompt["category"]) == ("greet", "test")
    assert (prompt["description"], prompt["tags"]) == ("Says hello.", ["polite", "short"])
    assert (prompt["isArchived"], prompt["publishRequiresTests"]) == (False, False)
    assert prompt["cache"] == USUAL
    assert prompt["createdBy"] == {"id": "ada"}
    assert prompt["publishedVersion"] is None
    assert [(v["version"], v["status"]) for v in prompt["versions"]["nodes"]] == [(1, "DRAFT")]
    assert (prompt["rollout"], prompt["rolloutGuard"]) == ([], None)
    wanted = {"input": {"promptName": "greet"}}
    query = "query ($input: RenderPromptInput!) { renderPrompt(input: $input) { estimatedTokens } }"
    refusal = await service.graphql(query, wanted, me)
    assert refusal["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    wanted["input"]["promptVersion"] = 1  # type: ignore[assignment]
    assert "errors" not in await service.graphql(query, wanted, me)


async def test_a_prompt_that_is_published_at_once_is_given_to_callers(
    service: RunningService,
) -> None:
    me = writer()

    prompt = await made(service, me, initialVersion={"template": "Hi."})

    assert prompt["publishedVersion"]["status"] == "PUBLISHED"
    assert prompt["publishedVersion"]["publishedAt"] == prompt["createdAt"]
    assert await rendered(service, me) == "Hi."


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": "Say hello"}, ["name"]),
        ({"name": "x" * 65}, ["name"]),
        ({"category": ""}, ["category"]),
        ({"description": "x" * 10_001}, ["description"]),
        ({"tags": ["a", "a"]}, ["tags", "1"]),
        ({"cache": {"minSimilarity": 0.5}}, ["cache", "minSimilarity"]),
        ({"cache": {"ttlSeconds": 2_592_001}}, ["cache", "ttlSeconds"]),
        ({"cache": {"maxTemperature": -1}}, ["cache", "maxTemperature"]),
        ({"cache": {"variables": ["a", "a"]}}, ["cache", "variables", "1"]),
        ({"cache": {"sharing": None}}, ["cache", "sharing"]),
        ({"initialVersion": {"template": "{{#open}}"}}, ["initialVersion", "template"]),
        ({"initialVersion": {"template": "{{name}}"}}, ["initialVersion", "template"]),
        (
            {"initialVersion": {"template": "Hi.", "systemTemplate": "{{name}}"}},
            ["initialVersion", "systemTemplate"],
        ),
        ({"initialVersion": {"template": "{{> nobody}}"}}, ["initialVersion", "template"]),
        (
            {"initialVersion": {"template": "Hi.", "parameters": {"topP": 2}}},
            ["initialVersion", "parameters", "topP"],
        ),
        (
            {"initialVersion": {"template": "Hi.", "responseSchema": "text"}},
            ["initialVersion", "responseSchema"],
        ),
        (
            {"initialVersion": {"template": "Hi.", "model": "no/model"}},
            ["initialVersion", "model"],
        ),
        (
            {"initialVersion": {"template": "{{a}}", "variables": [{"name": "a"}, {"name": "a"}]}},
            ["initialVersion", "variables", "1", "name"],
        ),
        (
            {
                "initialVersion": {
                    "template": "{{n}}",
                    "variables": [
                        {
                            "name": "n",
                            "type": "INTEGER",
                            "isRequired": False,
                            "defaultValue": "many",
                        }
                    ],
                }
            },
            ["initialVersion", "variables", "0", "defaultValue"],
        ),
    ],
)
async def test_a_mistake_in_a_prompt_is_a_user_error_with_its_place(
    service: RunningService, changes: dict[str, Any], path: list[str]
) -> None:
    payload = await answered(service, writer(), CREATE, input=NAMED | changes)

    assert refused(payload) == [("BAD_USER_INPUT", ["input", *path])]
    assert said(payload)


async def test_everything_that_is_wrong_is_said_at_once(service: RunningService) -> None:
    payload = await answered(
        service, writer(), CREATE, input=NAMED | {"name": "No", "category": " ", "tags": ["", "b"]}
    )
    assert refused(payload) == [
        ("BAD_USER_INPUT", ["input", "name"]),
        ("BAD_USER_INPUT", ["input", "category"]),
        ("BAD_USER_INPUT", ["input", "tags", "0"]),
    ]

    version = {"template": "{{a}}", "systemTemplate": "{{b}}", "parameters": {"temperature": 9}}
    payload = await answered(service, writer(), CREATE, input=NAMED | {"initialVersion": version})
    assert {tuple(path) for _, path in refused(payload)} == {
        ("input", "initialVersion", "template"),
        ("input", "initialVersion", "systemTemplate"),
        ("input", "initialVersion", "parameters", "temperature"),
    }


async def test_a_second_prompt_of_a_name_is_a_conflict_also_where_the_first_is_archived(
    service: RunningService,
) -> None:
    me = writer()
    prompt = await made(service, me)

    assert refused(await answered(service, me, CREATE, input=NAMED)) == [("CONFLICT", [])]
    await answered(service, me, DELETE, id=prompt["id"])
    payload = await answered(service, me, CREATE, input=NAMED)
    assert refused(payload) == [("CONFLICT", [])]


async def test_what_is_absent_from_an_update_stays_as_it_is(service: RunningService) -> None:
    me = writer()
    prompt = await made(service, me, description="Says hello.", tags=["polite"])

    async def updated(**changes: Any) -> dict[str, Any]:
        payload = await answered(service, me, UPDATE, id=prompt["id"], input=changes)
        assert payload["userErrors"] == []
        found: dict[str, Any] = payload["prompt"]
        return found

    now = {key: prompt[key] for key in await updated()}
    assert await updated() == now
    assert await updated(category="other") == (now := now | {"category": "other"})
    assert await updated(tags=[]) == (now := now | {"tags": []})
    assert await updated(description=None) == (now := now | {"description": None})
    assert await updated(publishRequiresTests=True) == (now | {"publishRequiresTests": True})


async def test_of_how_answers_are_kept_what_is_absent_from_an_update_stays_too(
    service: RunningService,
) -> None:
    me = writer()
    prompt = await made(service, me)

    async def kept(**changes: Any) -> dict[str, Any]:
        payload = await answered(service, me, UPDATE, id=prompt["id"], input={"cache": changes})
        assert payload["userErrors"] == []
        found: dict[str, Any] = payload["prompt"]["cache"]
        return found

    assert await kept() == USUAL
    short = USUAL | {"ttlSeconds": 60, "variables": ["text"]}
    assert await kept(ttlSeconds=60, variables=["text"]) == short
    shared = short | {"sharing": "TENANT", "variables": []}
    assert await kept(sharing="TENANT", variables=[]) == shared
    assert await kept(sharing="USER", ttlSeconds=None) == USUAL


async def test_a_new_prompt_says_how_its_answers_are_kept(service: RunningService) -> None:
    kept = {
        "ttlSeconds": 0, "minSimilarity": 1.0, "maxTemperature": 0.0, "sharing": "TENANT",
        "isSemantic": False, "variables": ["text", "no-variable-of-any-version"],
    }  # fmt: skip
    prompt = await made(service, writer(), cache=kept)
    assert prompt["cache"] == kept
    prompt = await made(service, writer(), cache=None)
    assert prompt["cache"] == USUAL


async def test_only_a_description_can_be_taken_away(service: RunningService) -> None:
    me = writer()
    prompt = await made(service, me)
    nothing = dict.fromkeys(["category", "tags", "isArchived", "publishRequiresTests", "cache"])

    payload = await answered(service, me, UPDATE, id=prompt["id"], input=nothing)

    assert refused(payload) == [("BAD_USER_INPUT", ["input", name]) for name in nothing]
    assert "Leave it out" in said(payload)

    kept = dict.fromkeys(key for key in USUAL if key != "ttlSeconds")
    payload = await answered(service, me, UPDATE, id=prompt["id"], input={"cache": kept})
    assert refused(payload) == [("BAD_USER_INPUT", ["input", "cache", name]) for name in kept]


async def test_an_archived_prompt_is_out_of_use_keeps_its_versions_and_comes_back(
    service: RunningService,
) -> None:
    me = writer()
    prompt = await made(service, me)

    for _ in range(2):  # the second time changes nothing
        deleted = await answered(service, me, DELETE, id=prompt["id"])
        assert deleted["userErrors"] == []
        assert deleted["prompt"]["isArchived"] is True
        assert deleted["prompt"]["versions"]["nodes"] == [{"version": 1}]
    query = '{ renderPrompt(input: {promptName: "greet"}) { estimatedTokens } }'
    refusal = await service.graphql(query, headers=me)
    assert refusal["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    payload = await answered(
        service, me, ADD_VERSION, id=prompt["id"], input={"template": "Hello."}
    )
    assert [code for code, _ in refused(payload)] == ["BAD_USER_INPUT"]
    assert "isArchived false" in said(payload)

    await answered(service, me, UPDATE, id=prompt["id"], input={"isArchived": False})
    assert await rendered(service, me) == "Version 1."


async def test_a_version_is_a_draft_with_the_next_number_and_says_what_it_was_given(
    service: RunningService,
) -> None:
    me = writer()
    prompt = await made(service, me)
    variables = [
        {
            "name": "text", "description": "What to shorten.", "isRequired": True,
            "defaultValue": None, "type": "STRING",
        },
        {
            "name": "words", "description": None, "isRequired": False,
            "defaultValue": "12", "type": "INTEGER",
        },
    ]  # fmt: skip
    parameters = {
        "temperature": 0.5, "topP": 0.9, "maxTokens": 64, "stop": ["END"], "seed": 7,
        "timeoutMs": 5000,
    }  # fmt: skip
    given = {
        "template": "{{text}} in {{words}} words",
        "systemTemplate": "Be brief.",
        "variables": variables,
        "task": "SUMMARIZATION",
        "model": "builtin/extractive",
        "parameters": parameters,
        "responseSchema": {"type": "object"},
        "changeNote": "Shorter.",
        "onInterruption": "RESTART",
    }

    version = await add_version(service, me, prompt, **given)

    assert (version["version"], version["status"]) == (2, "DRAFT")
    assert {name: version[name] for name in given} == given
    assert version["createdBy"] == {"id": "ada"}
    assert (version["publishedAt"], version["partials"]) == (None, [])
    assert version["prompt"] == {"id": prompt["id"], "name": "greet"}
    smallest = await add_version(service, me, prompt, template="Hello.", variables=None, task=None)
    assert (smallest["version"], smallest["task"]) == (3, "GENERAL")
    assert (smallest["onInterruption"], smallest["variables"]) == ("ERROR", [])


async def test_versions_that_are_made_at_once_have_numbers_without_gaps(
    service: RunningService,
) -> None:
    me = writer()
    prompt = await made(service, me)

    versions = await asyncio.gather(
        *(add_version(service, me, prompt, template=f"Take {n}.") for n in range(8))
    )

    assert sorted(version["version"] for version in versions) == list(range(2, 10))


async def test_a_version_keeps_the_text_of_what_it_includes(service: RunningService) -> None:
    me = writer()
    name = await made(service, me, "name", initialVersion={"template": "friend"})
    await made(service, me, "hello", initialVersion={"template": "Hello, {{> name}}"})
    prompt = await made(service, me, initialVersion={"template": "{{> hello}}! {{> name@1}}"})
    await add_version(service, me, name, template="enemy")
    publish = """mutation { publishPromptVersion(input: {promptName: "name", version: 2}) {
        userErrors { code } } }"""
    await answered(service, me, publish)

    assert await rendered(service, me) == "Hello, friend! friend"
    query = """query ($id: ID!) { prompt(id: $id) { version(number: 1) {
        partials { usedAs name version template } } } }"""
    found = (await answered(service, me, query, id=prompt["id"]))["version"]["partials"]
    assert found == [
        {"usedAs": "hello", "name": "hello", "version": 1, "template": "Hello, {{> name}}"},
        {"usedAs": "name", "name": "name", "version": 1, "template": "friend"},
        {"usedAs": "name@1", "name": "name", "version": 1, "template": "friend"},
    ]


@pytest.mark.parametrize("id_", ["no id at all", str(uuid4())])
async def test_a_prompt_that_there_is_not_is_not_found(service: RunningService, id_: str) -> None:
    me = writer()
    for payload in (
        await answered(service, me, UPDATE, id=id_, input={"category": "x"}),
        await answered(service, me, DELETE, id=id_),
        await answered(service, me, ADD_VERSION, id=id_, input={"template": "Hi."}),
    ):
        assert refused(payload) == [("NOT_FOUND", [])]
        assert "prompts { nodes {" in said(payload)


async def test_what_an_operation_changes_is_seen_by_what_follows_in_it(
    service: RunningService,
) -> None:
    me = writer()
    prompt = await made(service, me)
    await add_version(service, me, prompt, template="Hello.")
    query = """mutation ($id: ID!) {
        a: publishPromptVersion(input: {promptName: "greet", version: 2}) { ...P }
        b: publishPromptVersion(input: {promptName: "greet", version: 1}) { ...P }
        c: deletePrompt(id: $id) { prompt { isArchived } } }
        fragment P on PublishPromptVersionPayload {
            prompt { versions { nodes { status } } one: version(number: 1) { status } } }"""

    answer = await service.graphql(query, {"id": prompt["id"]}, me)

    seen = [answer["data"][name]["prompt"] for name in "ab"]
    assert [prompt["one"]["status"] for prompt in seen] == ["ARCHIVED", "PUBLISHED"]
    assert [[version["status"] for version in prompt["versions"]["nodes"]] for prompt in seen] == [
        ["PUBLISHED", "ARCHIVED"],
        ["ARCHIVED", "PUBLISHED"],
    ]
    assert answer["data"]["c"]["prompt"]["isArchived"] is True

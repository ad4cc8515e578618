"""Tests of prompts, written and run over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest

from tests.api.prompt_catalog import (
    ERRORS,
    PUBLISH,
    add_version,
    answered,
    made,
    refused,
    said,
    writer,
)
from tests.api.test_main_job import TEXT
from tests.providers.fake_ollama import FakeOllama, Reply
from tests.running_service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASSERTION = """contains notContains matches jsonPath { path equals isCompared } satisfiesSchema
    maxTokens maxLatencyMs similarTo { text threshold } judgedBy { rubric model }"""
SET = f"""mutation ($input: PromptTestInput!) {{ setPromptTest(input: $input) {{
    promptTest {{ id name variables updatedAt assertions {{ {ASSERTION} }} }} {ERRORS} }} }}"""
REMOVE = f"mutation ($id: ID!) {{ deletePromptTest(id: $id) {{ deletedId {ERRORS} }} }}"
TESTS = """{ promptByName(name: "shorten") { tests { name variables
    assertions { contains maxTokens } } } }"""
RUN = f"""id status model cases passed startedAt endedAt cost {{ amount }} startedBy {{ id }}
    promptVersion {{ version }}
    results {{ caseName outcome latencyMs errorCode message cost {{ amount }}
        completion {{ text }} assertions {{ passed detail assertion {{ {ASSERTION} }} }} }}"""
TEST = f"""mutation ($input: TestPromptVersionInput!) {{ testPromptVersion(input: $input) {{
    run {{ {RUN} }} {ERRORS} }} }}"""
WATCH = f"""subscription ($input: TestPromptVersionInput!) {{ testPromptVersion(input: $input) {{
    isDone result {{ caseName outcome }} run {{ {RUN} }} }} }}"""
RUNS = """query ($first: Int) { promptByName(name: "shorten") { version(number: 1) {
    testRuns(first: $first) { id status } } } }"""
SUMMARY = {
    "template": "{{text}}",
    "variables": [{"name": "text"}],
    "task": "SUMMARIZATION",
    "model": "builtin/extractive",
}
FIRST = {"promptName": "shorten", "version": 1}
GOOD = {"contains": "harbour"}
BAD = {"contains": "Nowhere in the text."}


async def subject(service: RunningService, me: dict[str, str], **changes: Any) -> dict[str, Any]:
    """A prompt that a builtin model answers, the same thing every time."""
    return await made(service, me, "shorten", initialVersion=SUMMARY, **changes)


async def set_test(
    service: RunningService,
    me: dict[str, str],
    *assertions: dict[str, Any],
    name: str = "case",
    **changes: Any,
) -> dict[str, Any]:
    given = {
        "promptName": "shorten",
        "name": name,
        "variables": {"text": TEXT},
        "assertions": list(assertions),
    } | changes
    return await answered(service, me, SET, input=given)


def given_of(assertion: dict[str, Any]) -> dict[str, Any]:
    """What an assertion says; all other fields are null."""
    return {name: value for name, value in assertion.items() if value is not None}


# --- cases


async def test_every_kind_of_assertion_is_kept_as_it_was_given(service: RunningService) -> None:
    me = writer()
    await subject(service, me)
    assertions: list[dict[str, Any]] = [
        {"contains": "a"},
        {"notContains": "b"},
        {"matches": "a.*b"},
        {"jsonPath": {"path": "$.label"}},
        {"jsonPath": {"path": "$.label", "equals": "positive"}},
        {"jsonPath": {"path": "$.label", "equals": None}},
        {"satisfiesSchema": {"type": "object"}},
        {"maxTokens": 5},
        {"maxLatencyMs": 2000},
        {"similarTo": {"text": "a"}},
        {"similarTo": {"text": "a", "threshold": 0.5}},
        {"judgedBy": {"rubric": "Is it kind?"}},
        {"judgedBy": {"rubric": "Is it kind?", "model": "builtin/extractive"}},
    ]

    payload = await set_test(service, me, *assertions)

    assert payload["userErrors"] == []
    test = payload["promptTest"]
    assert (test["name"], test["variables"]) == ("case", {"text": TEXT})
    kept = [given_of(assertion) for assertion in test["assertions"]]
    compared = {"path": "$.label", "equals": None, "isCompared": True}
    assert kept[3:6] == [
        {"jsonPath": compared | {"isCompared": False}},
        {"jsonPath": compared | {"equals": "positive"}},
        {"jsonPath": compared},
    ]
    assert kept[9:] == [
        {"similarTo": {"text": "a", "threshold": 0.8}},
        {"similarTo": {"text": "a", "threshold": 0.5}},
        {"judgedBy": {"rubric": "Is it kind?", "model": None}},
        {"judgedBy": {"rubric": "Is it kind?", "model": "builtin/extractive"}},
    ]
    assert kept[:3] + kept[6:9] == assertions[:3] + assertions[6:9]


async def test_a_test_of_a_name_is_replaced_and_keeps_its_id(service: RunningService) -> None:
    me = writer()
    await subject(service, me)
    first = (await set_test(service, me, GOOD, name="b"))["promptTest"]
    await set_test(service, me, GOOD, name="a")

    second = (await set_test(service, me, {"maxTokens": 9}, name="b"))["promptTest"]

    assert second["id"] == first["id"]
    assert second["updatedAt"] > first["updatedAt"]
    assert (await answered(service, me, TESTS))["tests"] == [
        {"name": "a", "variables": {"text": TEXT},
         "assertions": [{"contains": "harbour", "maxTokens": None}]},
        {"name": "b", "variables": {"text": TEXT},
         "assertions": [{"contains": None, "maxTokens": 9}]},
    ]  # fmt: skip

    assert await answered(service, me, REMOVE, id=first["id"]) == {
        "deletedId": first["id"], "userErrors": [],
    }  # fmt: skip
    assert [test["name"] for test in (await answered(service, me, TESTS))["tests"]] == ["a"]
    for id_ in (first["id"], str(uuid4()), "no id at all"):
        payload = await answered(service, me, REMOVE, id=id_)
        assert refused(payload) == [("NOT_FOUND", [])]


@pytest.mark.parametrize(
    ("assertion", "path"),
    [
        ({}, []),
        ({"contains": None}, []),
        ({"contains": "a", "notContains": "b"}, []),
        ({"notContains": ""}, ["notContains"]),
        ({"matches": "("}, ["matches"]),
        ({"jsonPath": {"path": "label["}}, ["jsonPath", "path"]),
        ({"satisfiesSchema": "text"}, ["satisfiesSchema"]),
        ({"satisfiesSchema": {"type": 5}}, ["satisfiesSchema"]),
        ({"maxTokens": 0}, ["maxTokens"]),
        ({"maxLatencyMs": -1}, ["maxLatencyMs"]),
        ({"similarTo": {"text": "a", "threshold": 2}}, ["similarTo", "threshold"]),
        ({"judgedBy": {"rubric": ""}}, ["judgedBy", "rubric"]),
        ({"judgedBy": {"rubric": "a", "model": ""}}, ["judgedBy", "model"]),
    ],
)
async def test_a_mistake_in_an_assertion_is_a_user_error_spelt_as_clients_spell_it(
    service: RunningService, assertion: dict[str, Any], path: list[str]
) -> None:
    me = writer()
    await subject(service, me)

    payload = await set_test(service, me, GOOD, assertion)

    found = refused(payload)
    assert found[0][0] == "BAD_USER_INPUT"
    assert found[0][1][: 3 + len(path)] == ["input", "assertions", "1", *path]
    assert not {"not_contains", "json_path", "max_tokens", "similar_to"} & set(
        said(payload).split()
    )


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "x" * 129}, ["name"]),
        ({"variables": ["text"]}, ["variables"]),
        ({"assertions": []}, ["assertions"]),
        ({"assertions": [GOOD] * 33}, ["assertions"]),
    ],
)
async def test_a_mistake_in_a_test_is_a_user_error_with_its_place(
    service: RunningService, changes: dict[str, Any], path: list[str]
) -> None:
    me = writer()
    await subject(service, me)

    payload = await set_test(service, me, GOOD, **changes)
    assert refused(payload) == [("BAD_USER_INPUT", ["input", *path])]


async def test_a_prompt_that_there_is_not_has_no_tests(service: RunningService) -> None:
    me = writer()
    await subject(service, me)

    payload = await set_test(service, me, GOOD, promptName="nobody")
    assert [code for code, _ in refused(payload)] == ["NOT_FOUND"]
    for version in ({"promptName": "nobody", "version": 1}, FIRST | {"version": 9}):
        payload = await answered(service, me, TEST, input=version)
        assert [code for code, _ in refused(payload)] == ["NOT_FOUND"]


# --- runs


async def test_a_run_says_of_every_case_what_became_of_it(service: RunningService) -> None:
    me = writer()
    await subject(service, me)
    await set_test(service, me, GOOD, {"maxTokens": 500}, name="a")
    await set_test(service, me, GOOD, BAD, name="b")

    payload = await answered(service, me, TEST, input=FIRST)

    assert payload["userErrors"] == []
    run = payload["run"]
    assert (run["status"], run["cases"], run["passed"]) == ("FAILED", 2, 1)
    assert (run["promptVersion"], run["startedBy"]) == ({"version": 1}, {"id": "ada"})
    assert run["startedAt"] <= run["endedAt"]
    assert run["cost"] == {"amount": "0"}
    good, bad = run["results"]
    assert (good["caseName"], good["outcome"]) == ("a", "PASSED")
    assert "harbour" in good["completion"]["text"]
    assert good["latencyMs"] >= 0
    assert (bad["caseName"], bad["outcome"]) == ("b", "FAILED")
    assert [result["passed"] for result in bad["assertions"]] == [True, False]
    assert given_of(bad["assertions"][1]["assertion"]) == BAD
    assert bad["assertions"][1]["detail"]
    assert (bad["errorCode"], bad["message"]) == (None, None)


async def test_a_case_without_an_answer_is_an_error_of_that_case(service: RunningService) -> None:
    me = writer()
    await subject(service, me)
    await set_test(service, me, GOOD, variables={})

    run = (await answered(service, me, TEST, input=FIRST))["run"]

    assert (run["status"], run["passed"]) == ("FAILED", 0)
    (result,) = run["results"]
    assert (result["outcome"], result["errorCode"]) == ("ERROR", "BAD_USER_INPUT")
    assert "text" in result["message"]
    assert result["assertions"] == []


async def test_a_model_that_there_is_not_is_said_before_anything_is_asked_and_leaves_no_run(
    service: RunningService,
) -> None:
    me = writer()
    await subject(service, me)
    await set_test(service, me, GOOD)

    run = await answered(service, me, TEST, input=FIRST | {"model": "builtin/extractiv"})
    judge = await set_test(
        service, me, {"judgedBy": {"rubric": "Is short.", "model": "ollama/lama"}}, name="judged"
    )

    assert refused(run) == [("BAD_USER_INPUT", ["input", "model"])]
    assert "builtin/extractive" in said(run)
    path = ["input", "assertions", "0", "judgedBy", "model"]
    assert refused(judge) == [("BAD_USER_INPUT", path)]
    assert (await answered(service, me, RUNS))["version"]["testRuns"] == []


async def test_at_most_twenty_runs_are_given_at_once(service: RunningService) -> None:
    me = writer()
    await subject(service, me)

    answer = await service.graphql(RUNS, {"first": 21}, me)

    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_callers_cannot_pass_as_tests_and_so_stay_out_of_the_figures(
    service: RunningService,
) -> None:
    query = """mutation { generateCompletion(input: { text: "Hi.", feature: "prompt-tests" }) {
        text } }"""

    answer = await service.graphql(query, {}, writer())

    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert "Choose another name" in answer["errors"][0]["message"]


async def test_runs_are_kept_newest_first_and_are_not_in_the_figures(
    service: RunningService,
) -> None:
    me = writer()
    await subject(service, me)
    await set_test(service, me, GOOD)
    ids = [(await answered(service, me, TEST, input=FIRST))["run"]["id"] for _ in range(3)]

    found = (await answered(service, me, RUNS, first=2))["version"]["testRuns"]

    assert found == [{"id": id_, "status": "PASSED"} for id_ in reversed(ids[1:])]
    query = '{ promptPerformance(promptName: "shorten") { requests } }'
    assert await answered(service, me, query) == {"requests": 0}


async def test_a_version_whose_tests_have_passed_is_published(service: RunningService) -> None:
    me = writer()
    prompt = await subject(service, me, publish=False, publishRequiresTests=True)
    await set_test(service, me, GOOD)
    await add_version(service, me, prompt, **SUMMARY)

    async def errors() -> list[Any]:
        payload = await answered(service, me, PUBLISH, input=FIRST)
        return [(error["code"], error["path"]) for error in payload["userErrors"]]

    refusal = [("BAD_USER_INPUT", ["input", "version"])]
    assert await errors() == refusal
    await answered(service, me, TEST, input=FIRST | {"version": 2})
    assert await errors() == refusal
    await answered(service, me, TEST, input=FIRST)
    await set_test(service, me, GOOD, {"maxTokens": 500})  # worded anew since
    assert await errors() == refusal
    await answered(service, me, TEST, input=FIRST)
    assert await errors() == []


# --- progress


async def over_websocket(
    service: RunningService, me: dict[str, str], **given: Any
) -> AsyncGenerator[dict[str, Any], None]:
    """The results of the subscription; those that only have errors too."""
    async with service.session.ws_connect(
        f"{service.url}/graphql", protocols=["graphql-transport-ws"]
    ) as socket:
        await socket.send_json({"type": "connection_init", "payload": me})
        assert (await socket.receive_json())["type"] == "connection_ack"
        payload = {"query": WATCH, "variables": {"input": given}}
        await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
        while (message := await socket.receive_json())["type"] != "complete":
            if message["type"] == "error":
                yield {"errors": message["payload"]}
                return
            yield message["payload"]


async def over_sse(
    service: RunningService, me: dict[str, str], **given: Any
) -> AsyncGenerator[dict[str, Any], None]:
    async for result in service.subscribe(WATCH, {"input": given}, me):
        yield result


@pytest.mark.parametrize("transport", [over_websocket, over_sse])
async def test_a_run_is_watched_case_by_case(service: RunningService, transport: Any) -> None:
    me = writer()
    await subject(service, me)
    for name, assertion in (("a", GOOD), ("b", BAD), ("c", GOOD)):
        await set_test(service, me, assertion, name=name)

    events = [
        result["data"]["testPromptVersion"] async for result in transport(service, me, **FIRST)
    ]

    assert [event["isDone"] for event in events] == [False, False, False, True]
    assert [event["run"]["status"] for event in events] == ["RUNNING"] * 3 + ["FAILED"]
    assert [len(event["run"]["results"]) for event in events] == [0, 1, 2, 3]
    assert events[0]["result"] is None
    outcomes = {event["result"]["caseName"]: event["result"]["outcome"] for event in events[1:]}
    assert outcomes == {"a": "PASSED", "b": "FAILED", "c": "PASSED"}
    assert len({event["run"]["id"] for event in events}) == 1
    found = (await answered(service, me, RUNS))["version"]["testRuns"]
    assert found == [{"id": events[0]["run"]["id"], "status": "FAILED"}]


async def test_leaving_ends_the_run_which_is_recorded_as_far_as_it_was(
    generating: RunningService, ollama: FakeOllama
) -> None:
    me = writer()
    slow = SUMMARY | {"model": "ollama/llama3.2:3b"}
    await made(generating, me, "shorten", initialVersion=slow)
    await set_test(generating, me, GOOD)
    ollama.enqueue(Reply(first_token_delay_s=60))

    async with aclosing(over_sse(generating, me, **FIRST)) as events:
        first = await anext(events)
        assert first["data"]["testPromptVersion"]["run"]["status"] == "RUNNING"

    async with asyncio.timeout(5):
        while (run := (await answered(generating, me, RUNS))["version"]["testRuns"][0])[
            "status"
        ] == "RUNNING":
            await asyncio.sleep(0.05)
    assert run["status"] == "CANCELLED"


@pytest.mark.parametrize("transport", [over_websocket, over_sse])
async def test_a_run_that_cannot_begin_ends_the_stream_with_a_code(
    service: RunningService, transport: Any
) -> None:
    async def code(me: dict[str, str], **given: Any) -> str:
        (result,) = [result async for result in transport(service, me, **given)]
        found: str = result["errors"][0]["extensions"]["code"]
        return found

    me = writer()
    await subject(service, me)
    await set_test(service, me, GOOD)
    assert await code(me, promptName="nobody", version=1) == "NOT_FOUND"
    for scopes in ("assistant:complete", "assistant:prompts:write", "assistant:usage:read"):
        assert await code(me | {"x-scopes": scopes}, **FIRST) == "FORBIDDEN"

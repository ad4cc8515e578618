"""What prompts' figures say after real completions: what a hand count says."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from tests.api.prompt_catalog import PUBLISH, add_version, answered, made, writer
from tests.api.test_main_job import TEXT
from tests.running_service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIGURES = """requests successRate averageLatencyMs latencyP95Ms averageTokens
    averageCost { amount currency }"""
PERFORMANCE = f"""query ($name: String!, $period: UsagePeriod! = LAST_30_DAYS) {{
    promptPerformance(promptName: $name, period: $period) {{
        prompt {{ name }} period {{ from to }} latencyP50Ms {FIGURES}
        byVersion {{ promptVersion {{ version }} {FIGURES} }} }} }}"""
COMPLETE = """mutation ($input: CompletionRequest!) { generateCompletion(input: $input) { id } }"""
COMPLETION = """query ($id: ID!) { completion(id: $id) {
    status latencyMs usage { totalTokens cost { amount } } promptVersion { version } } }"""
PRICE = """mutation { setModel(input: {id: "builtin/extractive",
    inputPricePer1MTokens: "3", outputPricePer1MTokens: "15"}) { userErrors { message } } }"""
SUMMARY = {
    "template": "{{text}}",
    "variables": [{"name": "text"}],
    "task": "SUMMARIZATION",
}


# Of a request that reached no model there is nothing to show, but it counts.
NO_ANSWER: dict[str, Any] = {
    "status": "FAILED",
    "latencyMs": None,
    "usage": {"totalTokens": 0, "cost": {"amount": "0"}},
}


async def complete(service: RunningService, me: dict[str, str], **request: Any) -> dict[str, Any]:
    """The record of a completion, whether it had an answer or not."""
    request = {"promptName": "shorten", "variables": {"text": TEXT}} | request
    answer = await service.graphql(COMPLETE, {"input": request}, me)
    if "errors" in answer:
        return NO_ANSWER
    return await answered(service, me, COMPLETION, id=answer["data"]["generateCompletion"]["id"])


def counted(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of some completions, by hand."""
    answers = sorted(r["latencyMs"] for r in records if r["status"] == "SUCCEEDED")
    cost = sum((Decimal(record["usage"]["cost"]["amount"]) for record in records), Decimal(0))
    return {
        "requests": len(records),
        "successRate": len(answers) / len(records),
        "averageLatencyMs": sum(answers) / len(answers) if answers else None,
        "latencyP95Ms": answers[math.ceil(0.95 * len(answers)) - 1] if answers else None,
        "averageTokens": sum(record["usage"]["totalTokens"] for record in records) / len(records),
        "averageCost": {"amount": cost / len(records), "currency": "USD"},
    }


def read(figures: dict[str, Any]) -> dict[str, Any]:
    """The same of an answer."""
    cost = figures["averageCost"]
    return {name: figures[name] for name in counted([NO_ANSWER])} | {
        "averageCost": cost | {"amount": Decimal(cost["amount"])}
    }


async def test_figures_are_what_a_hand_count_of_the_completions_says(
    service: RunningService,
) -> None:
    me = writer()
    assert (await answered(service, me, PRICE))["userErrors"] == []
    prompt = await made(service, me, "shorten", initialVersion=SUMMARY)
    await add_version(service, me, prompt, **SUMMARY | {"systemTemplate": "Be brief."})
    first = [await complete(service, me) for _ in range(5)]
    await answered(service, me, PUBLISH, input={"promptName": "shorten", "version": 2})
    second = [await complete(service, me | {"x-user-id": f"user-{n}"}) for n in range(3)]
    # Nobody runs this model here, and the prompt cannot do without its variable.
    second.append(await complete(service, me, model="ollama/llama3.2:3b"))
    second.append(await complete(service, me, variables={}))
    assert [record["status"] for record in second] == ["SUCCEEDED"] * 3 + ["FAILED"] * 2

    found = await answered(service, me, PERFORMANCE, name="shorten")

    assert found["prompt"] == {"name": "shorten"}
    assert read(found) == counted(first + second)
    assert found["successRate"] == 0.8
    assert Decimal(found["averageCost"]["amount"]) > 0
    answers = sorted(r["latencyMs"] for r in first + second if r["status"] == "SUCCEEDED")
    assert found["latencyP50Ms"] == answers[3]
    assert [each["promptVersion"]["version"] for each in found["byVersion"]] == [1, 2]
    assert [read(each) for each in found["byVersion"]] == [counted(first), counted(second)]
    today = await answered(service, me, PERFORMANCE, name="shorten", period="TODAY")
    assert read(today) == read(found)
    assert found["period"]["from"] < today["period"]["from"] < today["period"]["to"]


async def test_a_prompt_that_nobody_used_has_no_averages_and_costs_nothing(
    service: RunningService,
) -> None:
    me = writer()
    await made(service, me)

    found = await answered(service, me, PERFORMANCE, name="greet")

    assert (found["requests"], found["averageCost"]["amount"]) == (0, "0")
    assert {found[name] for name in (
        "successRate", "averageLatencyMs", "latencyP50Ms", "latencyP95Ms", "averageTokens",
    )} == {None}  # fmt: skip
    assert found["byVersion"] == []


async def test_a_name_that_no_prompt_has_has_no_figures(service: RunningService) -> None:
    answer = await service.graphql(PERFORMANCE, {"name": "nobody"}, writer())
    assert answer == {"data": {"promptPerformance": None}}


async def test_a_tenant_sees_only_its_own_requests_of_a_platforms_prompt(
    service: RunningService,
) -> None:
    me, other = writer(), writer()
    await complete(service, me, promptName="summarize-text")

    query = """{ promptByName(name: "summarize-text") {
        performance(period: LAST_24_HOURS) { requests byVersion { requests } } } }"""
    mine = (await answered(service, me, query))["performance"]
    theirs = (await answered(service, other, query))["performance"]

    assert mine == {"requests": 1, "byVersion": [{"requests": 1}]}
    assert theirs == {"requests": 0, "byVersion": []}

"""Tests of prompts as they are kept: cases by name, runs by version, the newest first."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.prompt_tests import PostgresPromptTests
from assistant.domain.prompt import Prompt
from assistant.domain.prompt_test import (
    Assertion,
    AssertionResult,
    Contains,
    JsonPath,
    JudgedBy,
    Matches,
    MaxLatency,
    MaxTokens,
    NotContains,
    PromptTestCase,
    PromptTestOutcome,
    PromptTestResult,
    PromptTestRun,
    PromptTestStatus,
    SatisfiesSchema,
    SimilarTo,
)
from assistant.errors import ErrorCode
from tests.postgres.catalog import NOW, add

LATER = NOW + timedelta(hours=1)

ASSERTIONS: tuple[Assertion, ...] = (
    Contains("Paris 🎉"),
    NotContains("'; DROP TABLE"),
    Matches(r"^\d+\\n$"),
    JsonPath("$.a[0]", None, True),
    JsonPath("$.b"),
    JsonPath("$.c", {"z": [1, 2.5, True], "a": "x"}, True),
    SatisfiesSchema({"type": "object", "properties": {"b": {}, "a": {}}}),
    MaxTokens(100),
    MaxLatency(2_000),
    SimilarTo("about this", 0.75),
    JudgedBy("is polite"),
    JudgedBy("is right", "openai/gpt-4o-mini"),
)


@pytest.fixture
def tests(database: Database) -> PostgresPromptTests:
    return PostgresPromptTests(database)


def a_case(prompt: Prompt, name: str = "a short text", **changes: Any) -> PromptTestCase:
    variables = {"text": "Grüße", "zeta": {"b": [1, None], "a": 0.1}}
    case = PromptTestCase(uuid7(), prompt.id, name, variables, ASSERTIONS, NOW)
    return replace(case, **changes)


def a_run(prompt: Prompt, version_id: UUID, **changes: Any) -> PromptTestRun:
    run = PromptTestRun(
        id=uuid7(),
        prompt_id=prompt.id,
        version_id=version_id,
        model="ollama/llama3.2:3b",
        status=PromptTestStatus.RUNNING,
        cases=3,
        started_at=NOW,
        started_by="ann",
    )
    return replace(run, **changes)


RESULTS = (
    PromptTestResult(
        uuid7(),
        "a short text",
        NOW,
        PromptTestOutcome.FAILED,
        tuple(
            AssertionResult(assertion, index % 2 == 0, None if index % 2 else "found 💥")
            for index, assertion in enumerate(ASSERTIONS)
        ),
        uuid7(),
        1_234,
        Decimal("0.000000125"),
    ),
    PromptTestResult(
        uuid7(),
        "another",
        LATER,
        PromptTestOutcome.ERROR,
        error_code=ErrorCode.PROVIDER_TIMEOUT,
        message="It took too long.",
    ),
    PromptTestResult(uuid7(), "third", NOW, PromptTestOutcome.PASSED, cost=Decimal(2)),
)


# ------------------------------------------------------------------ cases


async def test_a_case_reads_back_as_it_was_written(
    tests: PostgresPromptTests, database: Database
) -> None:
    prompt, _ = await add(database)
    case = a_case(prompt)

    assert await tests.put_case("acme", case, 1) == case

    (found,) = (await tests.list_cases("acme", [prompt.id]))[prompt.id]
    assert found == case
    assert list(found.variables) == ["text", "zeta"]
    (schema,) = (a for a in found.assertions if isinstance(a, SatisfiesSchema))
    assert isinstance(schema.schema["properties"], dict)
    assert list(schema.schema["properties"]) == ["b", "a"]


async def test_a_case_of_the_same_name_is_changed_and_keeps_its_id(
    tests: PostgresPromptTests, database: Database
) -> None:
    prompt, _ = await add(database)
    case = a_case(prompt)
    await tests.put_case("acme", case, 1)
    changed = a_case(prompt, assertions=(Contains("x"),), variables={}, updated_at=LATER)

    assert await tests.put_case("acme", changed, 1) == replace(changed, id=case.id)

    listed = await tests.list_cases("acme", [prompt.id])
    assert listed == {prompt.id: [replace(changed, id=case.id)]}


async def test_a_case_that_says_what_it_said_before_is_not_newer(
    tests: PostgresPromptTests, database: Database
) -> None:
    prompt, _ = await add(database)
    case = a_case(prompt)
    await tests.put_case("acme", case, 1)

    assert await tests.put_case("acme", a_case(prompt, updated_at=LATER), 1) == case


async def test_a_case_too_many_is_not_written_and_other_prompts_cases_do_not_count(
    tests: PostgresPromptTests, database: Database
) -> None:
    prompt, _ = await add(database)
    other, _ = await add(database, name="other")
    for name in ("a", "b"):
        assert await tests.put_case("acme", a_case(prompt, name), 2) is not None
        assert await tests.put_case("acme", a_case(other, name), 2) is not None

    assert await tests.put_case("acme", a_case(prompt, "c"), 2) is None
    assert await tests.put_case("acme", a_case(prompt, "a", variables={}), 2) is not None

    names = [case.name for case in (await tests.list_cases("acme", [prompt.id]))[prompt.id]]
    assert names == ["a", "b"]


async def test_cases_of_many_prompts_are_one_statement_in_the_order_of_their_names(
    tests: PostgresPromptTests, database: Database, statements: list[str]
) -> None:
    own, _ = await add(database)
    platforms, _ = await add(database, "platform", "other")
    theirs, _ = await add(database, "globex")
    for name in ("b", "ä", "a", "B"):
        await tests.put_case("acme", a_case(own, name), 10)
    await tests.put_case("platform", a_case(platforms, "p"), 10)
    await tests.put_case("globex", a_case(theirs, "t"), 10)
    statements.clear()

    listed = await tests.list_cases("acme", [own.id, platforms.id, theirs.id])

    assert len(statements) == 1
    assert {id_: [case.name for case in cases] for id_, cases in listed.items()} == {
        own.id: ["B", "a", "b", "ä"],
        platforms.id: ["p"],
        theirs.id: [],
    }
    assert await tests.list_cases("acme", []) == {}


async def test_a_deleted_case_is_gone_once_and_nobody_elses_can_be_deleted(
    tests: PostgresPromptTests, database: Database
) -> None:
    platforms, _ = await add(database, "platform")
    own, _ = await add(database, name="own")
    theirs = await tests.put_case("platform", a_case(platforms), 10)
    mine = await tests.put_case("acme", a_case(own), 10)
    assert theirs is not None
    assert mine is not None

    assert not await tests.delete_case("acme", theirs.id)
    assert await tests.delete_case("acme", mine.id)
    assert not await tests.delete_case("acme", mine.id)

    listed = await tests.list_cases("acme", [platforms.id, own.id])
    assert listed == {platforms.id: [theirs], own.id: []}


async def test_a_case_cannot_be_added_to_anothers_prompt(
    tests: PostgresPromptTests, database: Database
) -> None:
    prompt, _ = await add(database, "platform")

    with pytest.raises(IntegrityError, match="prompt_test_cases_tenant_id_prompt_id_fkey"):
        await tests.put_case("acme", a_case(prompt), 10)


async def test_the_same_new_case_put_twice_at_once_is_one(
    tests: PostgresPromptTests, database: Database
) -> None:
    prompt, _ = await add(database)

    put = await asyncio.gather(*(tests.put_case("acme", a_case(prompt), 10) for _ in range(5)))

    assert len({case.id for case in put if case is not None}) == 1
    assert None not in put


# ------------------------------------------------------------------ runs


async def test_a_run_reads_back_at_every_step(
    tests: PostgresPromptTests, database: Database
) -> None:
    prompt, (version,) = await add(database)
    begun = a_run(prompt, version.id, model=None)
    ended = replace(begun, status=PromptTestStatus.FAILED, results=RESULTS, ended_at=LATER)
    steps = [begun, *(replace(begun, results=RESULTS[:number]) for number in (1, 2)), ended]

    for step in steps:
        await tests.put_run("acme", step, 10)
        assert await tests.list_runs("acme", [version.id], 10) == {version.id: [step]}


async def test_runs_are_the_tenants_own_also_of_the_platforms_versions(
    tests: PostgresPromptTests, database: Database
) -> None:
    prompt, (version,) = await add(database, "platform")
    run = a_run(prompt, version.id)
    await tests.put_run("acme", run, 10)

    assert await tests.list_runs("acme", [version.id], 10) == {version.id: [run]}
    for other in ("globex", "platform"):
        assert await tests.list_runs(other, [version.id], 10) == {version.id: []}


async def test_runs_of_many_versions_come_newest_first_in_one_statement(
    tests: PostgresPromptTests, database: Database, statements: list[str]
) -> None:
    prompt, versions = await add(database, versions=3)
    runs = {version.id: [a_run(prompt, version.id) for _ in range(4)] for version in versions[:2]}
    for of_version in runs.values():
        for run in of_version:
            await tests.put_run("acme", run, 10)
    statements.clear()

    listed = await tests.list_runs("acme", [version.id for version in versions], 3)

    assert len(statements) == 1
    assert listed == {
        versions[0].id: runs[versions[0].id][:0:-1],
        versions[1].id: runs[versions[1].id][:0:-1],
        versions[2].id: [],
    }
    assert await tests.list_runs("acme", [], 3) == {}


async def test_the_newest_runs_of_a_version_are_kept(
    tests: PostgresPromptTests, database: Database
) -> None:
    prompt, (first, second) = await add(database, versions=2)
    runs = [a_run(prompt, first.id) for _ in range(5)]
    other = a_run(prompt, second.id)
    theirs = a_run(prompt, first.id)
    await tests.put_run("acme", other, 3)
    await tests.put_run("globex", theirs, 3)
    for run in runs:
        await tests.put_run("acme", run, 3)
    # One that nobody waits for any more does not come back.
    await tests.put_run("acme", replace(runs[0], model=None), 3)

    assert await tests.list_runs("acme", [first.id, second.id], 99) == {
        first.id: runs[:1:-1],
        second.id: [other],
    }
    assert await tests.list_runs("globex", [first.id], 99) == {first.id: [theirs]}

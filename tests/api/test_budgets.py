"""Budgets and rate limits, set and watched over a real socket, and by the command line beside it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from tests.api.prompt_commands import Ended, environment
from tests.postgres.limits import by, ended, stake
from tests.postgres.server import DatabaseUrls, running_server
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "gateway-secret-for-budgets"
FIELDS = """id scope subject window limit { amount currency } spent { amount } reserved { amount }
    remaining { amount } override { amount } alertAt alertSteps timeZone resetsAt
    overrides { extra { amount } reason createdBy createdAt }
    members(first: 2) { subject spent { amount } reserved { amount } remaining { amount } }"""
ERRORS = "userErrors { code message path }"
BUDGETS = f"{{ budgets {{ {FIELDS} }} }}"
SET = f"""mutation ($input: BudgetInput!) {{ setBudget(input: $input) {{
    budget {{ {FIELDS} }} {ERRORS} }} }}"""
OVERRIDE = f"""mutation ($id: ID!, $input: BudgetOverrideInput!) {{
    overrideBudget(id: $id, input: $input) {{ budget {{ {FIELDS} }} {ERRORS} }} }}"""
DELETE = f"mutation ($id: ID!) {{ deleteBudget(id: $id) {{ deletedId {ERRORS} }} }}"
SET_ZONE = f"""mutation ($timeZone: String!) {{ setTimeZone(timeZone: $timeZone) {{
    timeZone {ERRORS} }} }}"""
LIMIT_FIELDS = "id scope subject measure capacity perMinute available"
LIMITS = f"{{ rateLimits {{ {LIMIT_FIELDS} }} }}"
SET_LIMIT = f"""mutation ($input: RateLimitInput!) {{ setRateLimit(input: $input) {{
    rateLimit {{ {LIMIT_FIELDS} }} {ERRORS} }} }}"""
DELETE_LIMIT = f"mutation ($id: ID!) {{ deleteRateLimit(id: $id) {{ deletedId {ERRORS} }} }}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def urls() -> AsyncIterator[DatabaseUrls]:
    async with running_server() as server, server.database() as urls:
        yield urls


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(
    tmp_path_factory: pytest.TempPathFactory, urls: DatabaseUrls
) -> AsyncIterator[RunningService]:
    async with running_service(
        tmp_path_factory.mktemp("budgets"),
        auth_mode="strict",
        gateway_secrets=SECRET,
        database_url=urls.owner,
    ) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ledger(strict: RunningService, urls: DatabaseUrls) -> AsyncIterator[PostgresLedger]:
    """That of another replica."""
    database = Database(urls.service)
    await database.start()
    opened = PostgresLedger(database)
    await opened.start()
    yield opened
    await opened.close()
    await database.close()


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid4().hex[:8]}"


def admin(tenant: str) -> dict[str, str]:
    return caller(tenant, "root", "admin")


def caller(tenant: str, user: str | None, scope: str, service: str | None = None) -> dict[str, str]:
    headers = {
        "x-gateway-secret": SECRET,
        "x-tenant-id": tenant,
        "x-scopes": f"assistant:{scope}",
    }
    if user is not None:
        headers["x-user-id"] = user
    if service is not None:
        headers["x-service-id"] = service
    return headers


async def ask(
    service: RunningService, query: str, headers: dict[str, str], **variables: Any
) -> Any:
    """What the one root field of ``query`` gives."""
    answer = await service.graphql(query, variables, headers)
    assert "errors" not in answer, answer
    (found,) = answer["data"].values()
    return found


def a_budget(**changes: Any) -> dict[str, Any]:
    return {"scope": "USER", "subject": "ann", "window": "MONTH", "limit": "10"} | changes


async def test_a_budget_is_set_spent_from_raised_and_deleted_and_each_is_seen_at_once(
    strict: RunningService, ledger: PostgresLedger, tenant: str
) -> None:
    me = admin(tenant)
    made = (await ask(strict, SET, me, input=a_budget(alertAt=0.5)))["budget"]
    assert (made["limit"], made["alertAt"], made["alertSteps"], made["timeZone"]) == (
        {"amount": "10", "currency": "USD"},
        0.5,
        [0.5],
        "UTC",
    )

    done, runs = by(tenant=tenant), by(tenant=tenant)
    for opened in (done, runs):
        await ledger.open(opened, stake(4))
    await ledger.settle(ended(done, 3))
    (seen,) = await ask(strict, BUDGETS, me)
    assert [seen[field]["amount"] for field in ("spent", "reserved", "remaining")] == [
        "3",
        "4",
        "3",
    ]

    raised = await ask(
        strict, OVERRIDE, me, id=made["id"], input={"extra": "2.5", "reason": "The launch."}
    )
    (override,) = raised["budget"]["overrides"]
    assert raised["budget"]["override"] == {"amount": "2.5"}
    assert raised["budget"]["remaining"] == {"amount": "5.5"}
    assert (override["reason"], override["createdBy"]) == ("The launch.", "root")

    changed = await ask(
        strict, SET, me, input=a_budget(limit="4", alertSteps=[0.5, 0.8, 1], alertAt=0.1)
    )
    assert changed["budget"]["id"] == made["id"]
    assert changed["budget"]["alertSteps"] == [0.5, 0.8, 1.0]
    assert changed["budget"]["override"] == {"amount": "2.5"}

    deleted = await ask(strict, DELETE, me, id=made["id"])
    assert deleted == {"deletedId": made["id"], "userErrors": []}
    assert await ask(strict, BUDGETS, me) == []
    await ledger.settle(ended(runs, 1))


async def test_a_budget_of_every_member_shows_who_has_least_left(
    strict: RunningService, ledger: PostgresLedger, tenant: str
) -> None:
    me = admin(tenant)
    await ask(strict, SET, me, input=a_budget(subject=None))
    await ask(strict, SET, me, input=a_budget(scope="GLOBAL", subject=None, limit="100"))
    for user, cost in (("ann", 2), ("bob", 7), ("cid", 5)):
        opened = by(user, tenant=tenant)
        await ledger.open(opened, stake(cost))
        await ledger.settle(ended(opened, cost))

    everybody, each = await ask(strict, BUDGETS, me)

    assert (everybody["spent"]["amount"], everybody["members"]) == ("14", [])
    assert (each["subject"], each["remaining"]["amount"]) == (None, "3")
    assert [(member["subject"], member["remaining"]["amount"]) for member in each["members"]] == [
        ("bob", "3"),
        ("cid", "5"),
    ]


async def test_others_than_administrators_see_what_is_about_them(
    strict: RunningService, ledger: PostgresLedger, tenant: str
) -> None:
    me = admin(tenant)
    for budget in (
        a_budget(subject=None),
        a_budget(subject="bob", limit="20"),
        a_budget(scope="SERVICE", subject="billing", limit="30"),
        a_budget(scope="GLOBAL", subject=None, limit="40"),
    ):
        await ask(strict, SET, me, input=budget)
    for scope, subject in (("USER", None), ("SERVICE", None), ("GLOBAL", None), ("USER", "bob")):
        given = {"scope": scope, "subject": subject, "capacity": 1_000, "perMinute": 60}
        await ask(strict, SET_LIMIT, me, input=given | {"measure": "TOKENS"})
    opened = by("ann", tenant=tenant)
    await ledger.open(opened, stake(3, expected=400))
    await ledger.settle(ended(opened, 3, tokens=400))

    async def seen(headers: dict[str, str]) -> list[tuple[str, str | None, str]]:
        budgets = await ask(strict, BUDGETS, headers)
        return [(each["scope"], each["subject"], each["spent"]["amount"]) for each in budgets]

    async def limited(headers: dict[str, str]) -> list[tuple[str, str | None, bool]]:
        limits = await ask(strict, LIMITS, headers)
        return [(each["scope"], each["subject"], each["available"] < 990) for each in limits]

    ann, cid = caller(tenant, "ann", "complete"), caller(tenant, "cid", "complete")
    assert await seen(ann) == [("USER", None, "3")]
    assert await seen(cid) == [("USER", None, "0")]
    assert await seen(caller(tenant, "bob", "complete")) == [("USER", "bob", "0")]
    assert await seen(caller(tenant, None, "complete", "billing")) == []
    assert await seen(caller(tenant, None, "usage:read", "billing")) == [
        ("SERVICE", "billing", "3")
    ]
    assert await limited(ann) == [("USER", None, True)]
    assert await limited(cid) == [("USER", None, False)]
    assert await limited(caller(tenant, None, "usage:read", "billing")) == [("SERVICE", None, True)]
    assert len(await limited(me)) == 4
    assert (await ask(strict, BUDGETS, ann))[0]["members"][0]["subject"] == "ann"
    assert await seen(admin("somebody-else")) == []


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ({"limit": "-1"}, [["input", "limit"]]),
        ({"limit": "0.0000000001"}, [["input", "limit"]]),
        ({"alertAt": 0}, [["input", "alertAt"]]),
        ({"alertAt": 10.5}, [["input", "alertAt"]]),
        ({"alertSteps": []}, [["input", "alertSteps"]]),
        ({"alertSteps": [0.8, 0.5]}, [["input", "alertSteps"]]),
        ({"scope": "API_KEY"}, [["input", "scope"]]),
        (
            {"scope": "GLOBAL", "limit": "2000000000000"},
            [["input", "subject"], ["input", "limit"]],
        ),
    ],
)
async def test_what_is_no_budget_is_refused_by_the_field(
    strict: RunningService, tenant: str, given: dict[str, Any], paths: list[list[str]]
) -> None:
    payload = await ask(strict, SET, admin(tenant), input=a_budget(**given))

    assert payload["budget"] is None
    assert [error["path"] for error in payload["userErrors"]] == paths
    assert {error["code"] for error in payload["userErrors"]} == {"BAD_USER_INPUT"}


async def test_what_is_not_there_is_said_to_be_not_there(
    strict: RunningService, tenant: str
) -> None:
    me = admin(tenant)
    for id_ in ("1", str(uuid4())):
        raised = await ask(strict, OVERRIDE, me, id=id_, input={"extra": "1", "reason": "r"})
        for payload in (
            raised,
            await ask(strict, DELETE, me, id=id_),
            await ask(strict, DELETE_LIMIT, me, id=id_),
        ):
            assert [error["code"] for error in payload["userErrors"]] == ["NOT_FOUND"]


async def test_windows_begin_in_the_tenants_time_zone(strict: RunningService, tenant: str) -> None:
    me = admin(tenant)
    await ask(strict, SET, me, input=a_budget())

    assert await ask(strict, SET_ZONE, me, timeZone="Asia/Kathmandu") == {
        "timeZone": "Asia/Kathmandu",
        "userErrors": [],
    }
    (seen,) = await ask(strict, BUDGETS, me)
    assert seen["timeZone"] == "Asia/Kathmandu"
    assert seen["resetsAt"].endswith("T18:15:00.000Z")

    refused = await ask(strict, SET_ZONE, me, timeZone="Middle/Earth")
    assert refused["timeZone"] is None
    assert [error["path"] for error in refused["userErrors"]] == [["timeZone"]]


async def test_a_rate_limit_is_set_changed_and_deleted(strict: RunningService, tenant: str) -> None:
    me = admin(tenant)
    given = {"scope": "USER", "subject": "alice", "capacity": 10, "perMinute": 60}
    made = (await ask(strict, SET_LIMIT, me, input=given))["rateLimit"]
    assert made == given | {"id": made["id"], "measure": "REQUESTS", "available": 10}

    changed = await ask(strict, SET_LIMIT, me, input=given | {"capacity": 5})
    assert changed["rateLimit"] == made | {"capacity": 5, "available": 5}
    assert await ask(strict, LIMITS, me) == [changed["rateLimit"]]
    refused = await ask(
        strict, SET_LIMIT, me, input=given | {"capacity": 0, "perMinute": 2**31 - 1}
    )
    assert [error["path"] for error in refused["userErrors"]] == [
        ["input", "capacity"],
        ["input", "perMinute"],
    ]

    assert (await ask(strict, DELETE_LIMIT, me, id=made["id"]))["deletedId"] == made["id"]
    assert await ask(strict, LIMITS, me) == []


# -------------------------------------------------------------------- command line


async def cli(urls: DatabaseUrls, *arguments: str) -> Ended:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assistant", *arguments,
        env=environment(database_url=urls.owner), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert "Traceback" not in errors.decode(), errors.decode()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


async def test_budgets_are_managed_by_the_command_line(
    strict: RunningService, urls: DatabaseUrls, tenant: str
) -> None:
    mine = ("--tenant", tenant)
    made = await cli(
        urls, "budgets", "set", *mine, "--scope", "user", "--window", "day", "--limit", "12.50",
        "--alert-at", "0.5", "--alert-at", "1", "--json",
    )  # fmt: skip
    budget = json.loads(made.output)
    assert (budget["limit"], budget["subject"], budget["alertSteps"]) == (
        "12.5",
        None,
        ["0.5", "1"],
    )

    changed = await cli(
        urls, "budgets", "set", *mine, "--scope", "user", "--window", "day", "--limit", "13"
    )
    assert changed.lines[-1] == "alerts at 0.5, 1 of the limit"
    raised = await cli(
        urls, "budgets", "override", budget["id"], *mine, "--extra", "2", "--reason", "Why not."
    )
    assert raised.code == 0
    heads, row, resets = (await cli(urls, "budgets", "list", *mine)).lines
    assert heads.split() == ["ID", "WHOM", "WINDOW", "LIMIT", "SPENT", "RESERVED", "REMAINING"]
    assert row.split() == [
        budget["id"], "user", "(each)", "day", "13", "+", "2", "0", "0", "15",
    ]  # fmt: skip
    assert resets.startswith("resets, in UTC: day ")
    (seen,) = await ask(strict, BUDGETS, admin(tenant))
    assert seen["overrides"][0]["createdBy"] == "service assistant-cli"

    zone = ("budgets", "time-zone", *mine)
    assert (await cli(urls, *zone, "Europe/Berlin")).lines == ["Europe/Berlin"]
    _, row, resets = (await cli(urls, "budgets", "list", *mine)).lines
    assert row.split()[4:7] == ["13", "+", "2"]
    assert re.fullmatch(r"resets, in Europe/Berlin: day \d{4}-\d\d-\d\d 00:00", resets)
    assert "no time zone" in (await cli(urls, *zone, "Middle/Earth")).complaint
    deleted = await cli(urls, "budgets", "delete", budget["id"], *mine)
    assert deleted.lines == [f"deleted {budget['id']}"]
    assert (await cli(urls, "budgets", "delete", budget["id"], *mine)).complaint == (
        "There is no budget of this id. `assistant budgets list` lists what there is."
    )


async def test_limits_are_managed_by_the_command_line(
    strict: RunningService, urls: DatabaseUrls, tenant: str
) -> None:
    mine = ("--tenant", tenant)
    await cli(urls, "keys", "create", *mine, "--name", "nightly", "--service", "nightly")
    (key,) = (await cli(urls, "keys", "list", *mine)).lines
    key_id = key.split()[0]
    made = await cli(
        urls, "limits", "set", *mine, "--scope", "api_key", "--subject", key_id, "--capacity",
        "20", "--per-minute", "1200",
    )  # fmt: skip
    assert made.lines[1].split()[1:] == ["api_key", key_id, "requests", "20", "1,200", "20"]
    listed = json.loads((await cli(urls, "limits", "list", *mine, "--json")).output)
    assert listed == await ask(strict, LIMITS, admin(tenant))

    wrong = await cli(
        urls, "limits", "set", *mine, "--scope", "global", "--subject", "x", "--capacity", "0",
        "--per-minute", "1",
    )  # fmt: skip
    assert wrong.complaint.startswith("--subject must be left out of what is global")
    assert "--capacity must be" in wrong.complaint
    deleted = await cli(urls, "limits", "delete", listed[0]["id"], *mine, "--json")
    assert json.loads(deleted.output) == {"deletedId": listed[0]["id"]}
    missing = await cli(urls, "limits", "delete", listed[0]["id"], *mine)
    assert missing.complaint.endswith("`assistant limits list` lists what there is.")


async def test_a_command_that_makes_no_sense_ends_in_one_line(urls: DatabaseUrls) -> None:
    amount = await cli(
        urls, "budgets", "set", "--tenant", "acme", "--scope", "global", "--window", "day",
        "--limit", "much",
    )  # fmt: skip
    assert amount.complaint == "--limit must be an amount in USD, as in 12.50"
    daily = ("budgets", "set", "--tenant", "acme", "--scope", "user", "--window", "day")
    for given, said in (
        (("--limit", "-1", "--alert-at", "1", "--alert-at", "0.5"), "--limit must be 0 to"),
        (("--limit", "1", "--alert-at", "1", "--alert-at", "0.5"), "--alert-at must ascend"),
        (("--limit", "1", "--alert-at", "80"), "--alert-at must be a share above 0 and up to 10"),
        (("--limit", "1", "--alert-at", "80%"), "--alert-at must be a share above 0 and up to 10"),
    ):
        assert (await cli(urls, *daily, *given)).complaint.startswith(said)
    assert "--tenant" in (await cli(urls, "limits", "list", "--tenant", "a b")).complaint

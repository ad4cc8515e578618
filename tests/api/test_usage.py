"""Reports of usage over a real socket: what a tenant's users, services and administrators see."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from tests.running_service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = """mutation ($variables: JSON!) {
    generateCompletion(input: {
        promptName: "generate-title", variables: $variables, feature: "news", cache: BYPASS
    }) {
        usage { promptTokens completionTokens totalTokens cost { amount } }
    } }"""
REPORTS = """query ($service: ID!) {
    serviceUsage(serviceId: $service, period: TODAY) { requests totalTokens byFeature { feature requests } }
    topUsers(period: LAST_24_HOURS, by: REQUESTS) { rank user { id } requests totalTokens cost { amount } }
    usageTrends(period: LAST_24_HOURS, granularity: HOUR) { at requests totalTokens }
}"""
ENTITIES = """query ($them: [_Any!]!) { _entities(representations: $them) {
    ... on User { id assistantUsage(period: LAST_24_HOURS) { requests totalTokens } }
    ... on Service { id assistantUsage(period: LAST_24_HOURS) { requests totalTokens } } } }"""


class Tenant:
    """A tenant of its own, whose users have asked for something: ann three times, bob once."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._name = f"tenant-{uuid.uuid4().hex[:8]}"
        self.tokens: dict[str, int] = {}

    def caller(self, user: str | None, service: str | None, scopes: str) -> dict[str, str]:
        headers = {"x-tenant-id": self._name, "x-scopes": scopes}
        named = {"x-user-id": user, "x-service-id": service}
        return headers | {name: value for name, value in named.items() if value}

    async def use(self) -> None:
        for number, (user, service) in enumerate(
            [("ann", "web"), ("ann", "web"), ("ann", "desk"), ("bob", "web")]
        ):
            text = f"The storm number {number} has closed the harbour. Ferries leave elsewhere."
            answer = await self._service.graphql(
                ASK,
                {"variables": {"text": text}},
                self.caller(user, service, "assistant:complete"),
            )
            used = answer["data"]["generateCompletion"]["usage"]["totalTokens"]
            for name in (user, service):
                self.tokens[name] = self.tokens.get(name, 0) + used


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(service: RunningService) -> Tenant:
    made = Tenant(service)
    await made.use()
    return made


async def test_administrators_see_who_used_what_and_when(
    service: RunningService, tenant: Tenant
) -> None:
    admin = tenant.caller("root", None, "assistant:admin")
    answer = await service.graphql(REPORTS, {"service": "web"}, admin)

    assert "errors" not in answer, answer
    reports = answer["data"]
    assert reports["serviceUsage"] == {
        "requests": 3,
        "totalTokens": str(tenant.tokens["web"]),
        "byFeature": [{"feature": "news", "requests": 3}],
    }
    assert [(u["rank"], u["user"]["id"], u["requests"]) for u in reports["topUsers"]] == [
        (1, "ann", 3),
        (2, "bob", 1),
    ]
    assert reports["topUsers"][0]["totalTokens"] == str(tenant.tokens["ann"])
    points = reports["usageTrends"]
    hours = [datetime.fromisoformat(point["at"]) for point in points]
    assert {later - hour for hour, later in pairwise(hours)} == {timedelta(hours=1)}
    assert len(points) == 25
    assert sum(point["requests"] for point in points) == 4
    assert sum(int(point["totalTokens"]) for point in points) == sum(
        tenant.tokens[user] for user in ("ann", "bob")
    )
    assert hours[-1] <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("user", "desk", "scopes", "seen"),
    [
        ("ann", None, "assistant:complete", {"ann"}),
        ("ann", "web", "assistant:complete", {"ann"}),
        (None, "web", "assistant:usage:read", {"web"}),
        (None, "web", "assistant:complete", set()),
        ("root", None, "assistant:admin", {"ann", "bob", "web", "desk"}),
    ],
)
async def test_usage_of_users_and_services_is_null_for_those_who_may_not_see_it(
    service: RunningService,
    tenant: Tenant,
    user: str | None,
    desk: str | None,
    scopes: str,
    seen: set[str],
) -> None:
    them: list[dict[str, Any]] = [
        *({"__typename": "User", "id": id_} for id_ in ("ann", "bob")),
        *({"__typename": "Service", "id": id_} for id_ in ("web", "desk")),
    ]
    answer = await service.graphql(ENTITIES, {"them": them}, tenant.caller(user, desk, scopes))

    assert "errors" not in answer, answer
    found = {entity["id"]: entity["assistantUsage"] for entity in answer["data"]["_entities"]}
    requests = {"ann": 3, "bob": 1, "web": 3, "desk": 1}
    assert found == {
        id_: {"requests": requests[id_], "totalTokens": str(tenant.tokens[id_])}
        if id_ in seen
        else None
        for id_ in requests
    }


async def test_trends_of_others_than_administrators_are_their_own(
    service: RunningService, tenant: Tenant
) -> None:
    query = "{ usageTrends(period: TODAY) { requests } }"
    for caller, requests in (
        (tenant.caller("bob", "web", "assistant:complete"), 1),
        (tenant.caller(None, "desk", "assistant:usage:read"), 1),
        (tenant.caller("root", None, "assistant:admin"), 4),
    ):
        answer = await service.graphql(query, headers=caller)
        assert answer["data"]["usageTrends"] == [{"requests": requests}]


async def test_more_top_users_than_a_hundred_are_refused(
    service: RunningService, tenant: Tenant
) -> None:
    admin = tenant.caller("root", None, "assistant:admin")
    answer = await service.graphql("{ topUsers(limit: 101) { rank } }", headers=admin)

    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "between 1 and 100" in error["message"]

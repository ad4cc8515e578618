"""Budgets and limits of all kinds that are never used up: what holding them costs is what is measured."""

from __future__ import annotations

from itertools import product
from typing import Any

from tests.running_service import RunningService

_SET = """mutation (
  $model: ModelInput!, $request: RateLimitInput!, $token: RateLimitInput!
) {
  setModel(input: $model) { userErrors { message } }
  request: setRateLimit(input: $request) { userErrors { message } }
  token: setRateLimit(input: $token) { userErrors { message } }
}"""
_SET_BUDGET = """mutation ($input: BudgetInput!) {
  setBudget(input: $input) { userErrors { message } } }"""


async def set_everything(service: RunningService, model: str) -> None:
    """A price of ``model``; nine budgets, of day, week and month, and limits of requests and tokens."""
    generous = {"scope": "USER", "capacity": 1_000_000_000, "perMinute": 1_000_000_000}
    priced = {"id": model, "inputPricePer1MTokens": "0.5", "outputPricePer1MTokens": "1.5"}
    limits = {
        "request": generous | {"measure": "REQUESTS"},
        "token": generous | {"measure": "TOKENS"},
    }
    _check(await service.graphql(_SET, {"model": priced, **limits}))
    for scope, window in product(("GLOBAL", "SERVICE", "USER"), ("DAY", "WEEK", "MONTH")):
        budget = {"scope": scope, "window": window, "limit": "1000000"}
        _check(await service.graphql(_SET_BUDGET, {"input": budget}))


def _check(answer: dict[str, Any]) -> None:
    assert not answer.get("errors"), answer
    assert all(payload["userErrors"] == [] for payload in answer["data"].values()), answer

"""Routing rules in force: which one decides, and for whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assistant.domain.completion import (
    GenerationParameters,
)
from assistant.domain.model import (
    ModelCapability,
    RoutingStrategy,
    TaskType,
)
from tests.unit.fakes import (
    model,
)
from tests.unit.routing_desk import (
    BUILTIN,
    CHEAPEST,
    LOCAL_ONLY,
    SCHEMA,
    Desk,
    cloud,
    rendered,
    rule,
)


async def test_the_first_rule_that_holds_puts_its_models_before_all_others() -> None:
    desk = Desk(
        *map(model, ("ollama/a", "ollama/b", "ollama/c")),
        rules=[
            rule({"feature": {"eq": "chat"}}, "ollama/b", name="chat", priority=1),
            rule({}, "ollama/c", "ollama/b", name="rest", priority=2),
        ],
    )

    route = await desk.route()
    assert (route.rule_name, route.ids) == ("rest", ("ollama/c", "ollama/b", "ollama/a"))
    route = await desk.route(feature="chat")
    assert (route.rule_name, route.ids) == ("chat", ("ollama/b", "ollama/a", "ollama/c"))


async def test_rules_are_tried_by_priority_and_the_tenants_before_the_platforms() -> None:
    rules = [
        rule({}, "ollama/a", name="platforms", tenant_id="platform", priority=5),
        rule({}, "ollama/b", name="later", priority=6),
        rule({}, "ollama/b", name="z-tenants", priority=5),
        rule({}, "ollama/b", name="y-tenants", priority=5),
        rule({"feature": {"eq": "chat"}}, "ollama/a", name="first", priority=-1),
    ]
    for order in (rules, rules[::-1]):
        desk = Desk(model("ollama/a"), model("ollama/b"), rules=order)
        explained = await desk.explain()
        assert explained.rule_name == "y-tenants"
        assert [verdict.rule_name for verdict in explained.rules_tried] == ["first", "y-tenants"]


async def test_a_rule_that_is_switched_off_or_unreadable_decides_nothing() -> None:
    desk = Desk(
        model("ollama/a"),
        model("ollama/b"),
        rules=[
            rule({}, "ollama/b", name="off", priority=1, is_enabled=False),
            rule({"phaseOfTheMoon": {"eq": "full"}}, "ollama/b", name="newer", priority=2),
            rule({"feature": {"sounds like": "x"}}, "ollama/b", name="newest", priority=3),
        ],
    )

    explained = await desk.explain()

    assert (explained.rule_name, explained.rules_tried) == (None, ())
    assert await desk.ids() == ("ollama/a", "ollama/b")


async def test_where_a_rules_models_cannot_serve_the_others_do() -> None:
    desk = Desk(
        model("ollama/a"), model("ollama/b", is_available=False), rules=[rule({}, "ollama/b")]
    )

    route = await desk.route()

    assert (route.rule_name, route.ids) == ("a-rule", ("ollama/a",))


@pytest.mark.parametrize("strategy", [None, *RoutingStrategy])
async def test_a_strategy_does_not_put_the_others_before_a_rules_models(
    strategy: RoutingStrategy | None,
) -> None:
    models = [cloud("openai/dear", 5), cloud("openai/cheap", 1), model("ollama/a")]
    desk = Desk(*models, BUILTIN, rules=[rule({}, "openai/dear")])

    ids = await desk.ids(strategy=strategy)

    if strategy is LOCAL_ONLY:
        assert ids == ("ollama/a",)
    else:
        assert ids[0] == "openai/dear"


async def test_of_a_rules_models_the_requests_strategy_says_the_order() -> None:
    models = [cloud("openai/dear", 5), cloud("openai/cheap", 1), model("ollama/a")]
    desk = Desk(*models, rules=[rule({}, "openai/dear", "openai/cheap")])

    assert await desk.ids() == ("openai/dear", "openai/cheap", "ollama/a")
    assert await desk.ids(strategy=CHEAPEST) == ("openai/cheap", "openai/dear", "ollama/a")


async def test_a_name_goes_before_all_rules_and_no_rule_is_tried() -> None:
    desk = Desk(model("ollama/a"), model("ollama/b"), rules=[rule({}, "ollama/b")])

    explained = await desk.explain("ollama/a")

    assert (explained.rule_name, explained.rules_tried) == (None, ())
    assert await desk.ids("ollama/a") == ("ollama/a",)


@pytest.mark.parametrize(
    "conditions",
    [
        {"promptCategory": "code"},
        {"promptName": "review"},
        {"task": "CODE_REVIEW"},
        {"tags": "go"},
        {"maxTokens": {"lte": 50}},
        {"estimatedPromptTokens": {"gte": 10}},
        {"requiresAccuracy": True},
        {"serviceId": "web"},
        {"userId": "alice"},
        {"feature": "editor"},
        {"language": "de"},
        {"hasResponseSchema": True},
        {"metadata.tier": "gold"},
        {"hour": 15},
    ],
    ids=lambda conditions: next(iter(conditions)),
)
async def test_a_rule_can_look_at(conditions: dict[str, Any]) -> None:
    conditions = {
        name: value if isinstance(value, dict) else {"eq": value}
        for name, value in conditions.items()
    }
    can = frozenset({ModelCapability.CHAT, ModelCapability.STRUCTURED_OUTPUT})
    desk = Desk(model("ollama/a", capabilities=can), rules=[rule(conditions, "ollama/a")])
    of_a_prompt = rendered(
        task=TaskType.CODE_REVIEW,
        parameters=GenerationParameters(max_tokens=50),
        response_schema=SCHEMA,
    )
    told = {"requires_accuracy": True, "feature": "editor", "metadata": {"tier": "gold"}}

    assert (await desk.route(None, of_a_prompt, **told)).rule_name == "a-rule"

    (verdict,) = (await desk.explain(None, of_a_prompt, **told)).rules_tried
    assert verdict.matched
    if not conditions.keys() & {"serviceId", "userId", "language", "hour"}:
        (verdict,) = (await desk.explain(None, rendered(1))).rules_tried
        assert verdict.failed_condition is not None
        assert next(iter(conditions)) in verdict.failed_condition


@pytest.mark.parametrize(("name", "asked"), [("language", 1), ("feature", 0)])
async def test_the_language_is_looked_for_only_where_a_rule_asks_for_it(
    name: str, asked: int
) -> None:
    desk = Desk(model("ollama/a"), rules=[rule({name: {"eq": "de"}}, "ollama/a")])

    await desk.route()

    assert desk.languages.asked == asked


async def test_rules_that_have_changed_are_seen_by_the_next_request() -> None:
    desk = Desk(model("ollama/a"), model("ollama/b"), rules=[rule({}, "ollama/b", name="old")])
    assert (await desk.route()).rule_name == "old"

    desk.catalog = replace(desk.catalog, rules=(rule({}, "ollama/a", name="new"),))

    assert (await desk.route()).rule_name == "new"

"""Which models may serve a request, and in which order."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from assistant.domain.completion import (
    GenerationParameters,
)
from assistant.domain.model import (
    Model,
    ModelCapability,
    ModelGroup,
    RoutingStrategy,
    TaskType,
)
from assistant.errors import (
    BadUserInput,
    ContextLengthExceeded,
    Forbidden,
    NotFound,
    ProviderUnavailable,
)
from tests.unit.fakes import (
    model,
)
from tests.unit.routing_desk import (
    BUILTIN,
    CHEAPEST,
    CLOUD_FIRST,
    CLOUD_ONLY,
    FASTEST,
    LOCAL_FIRST,
    LOCAL_ONLY,
    SCHEMA,
    CountsByModel,
    Desk,
    cloud,
    rendered,
    rule,
)

# ------------------------------------------------------------------ order

ALL = (
    BUILTIN,
    cloud("openai/dear", 5),
    cloud("openai/cheap", 1),
    model("ollama/second", preference=20),
    model("ollama/first", preference=10),
    model("rented/gpu", input_price=Decimal(2)),
)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (None, "first second gpu cheap dear extractive"),
        (LOCAL_FIRST, "first second gpu cheap dear extractive"),
        (CLOUD_FIRST, "cheap dear first second gpu extractive"),
        (LOCAL_ONLY, "first second gpu extractive"),
        (CLOUD_ONLY, "cheap dear"),
        (FASTEST, "dear second first cheap gpu extractive"),
        (CHEAPEST, "first second gpu cheap dear extractive"),
    ],
)
async def test_a_strategy_says_who_comes_first_or_at_all(
    strategy: RoutingStrategy | None, expected: str
) -> None:
    desk = Desk(*ALL)
    desk.answered("openai/dear", 0.1)
    desk.answered("ollama/second", 0.2)

    ids = await desk.ids(prompt=rendered(task=TaskType.SUMMARIZATION), strategy=strategy)

    assert [id_.partition("/")[2] for id_ in ids] == expected.split()


@pytest.mark.parametrize("strategy", [None, *RoutingStrategy])
async def test_a_model_of_some_tasks_comes_last_whatever_it_costs_and_however_quick_it_is(
    strategy: RoutingStrategy | None,
) -> None:
    others = [cloud("openai/a", 9), model("ollama/b", input_price=Decimal(9))]
    desk = Desk(BUILTIN, replace(BUILTIN, name="cloud", is_local=False), *others)
    desk.answered(BUILTIN.id, 0.001)

    route = await desk.route(prompt=rendered(task=TaskType.SUMMARIZATION), strategy=strategy)

    limited = [candidate.model.tasks is not None for candidate in route.candidates]
    assert limited == sorted(limited)
    assert any(limited)


async def test_of_equal_models_the_quicker_comes_first_and_who_is_not_known_last() -> None:
    desk = Desk(model("ollama/a"), model("ollama/b"), model("ollama/c"))
    desk.answered("ollama/c", 0.1)
    desk.answered("ollama/b", 0.2)

    assert await desk.ids() == ("ollama/c", "ollama/b", "ollama/a")


async def test_cheapest_goes_by_what_this_request_will_cost() -> None:
    """Which price list is cheaper depends on how long the prompt and the answer are."""
    reads = cloud("openai/reads", input_price=Decimal(1), output_price=Decimal(30))
    writes = cloud("openai/writes", input_price=Decimal(10), output_price=Decimal(1))
    desk = Desk(reads, writes)
    short = GenerationParameters(max_tokens=10)
    long = GenerationParameters(max_tokens=4_000)

    assert (await desk.ids(None, rendered(5_000), strategy=CHEAPEST, parameters=short))[0] == (
        "openai/reads"
    )
    assert (await desk.ids(None, rendered(50), strategy=CHEAPEST, parameters=long))[0] == (
        "openai/writes"
    )


@pytest.mark.parametrize("strategy", [CHEAPEST, CLOUD_FIRST, CLOUD_ONLY])
async def test_what_nobody_has_priced_is_taken_to_be_the_dearest(
    strategy: RoutingStrategy,
) -> None:
    desk = Desk(
        cloud("openai/unknown", input_price=None, output_price=None, preference=1),
        cloud("openai/half", input_price=None, preference=2),
        cloud("openai/dear", 1_000, preference=3),
        cloud("openai/free", 0, preference=4),
    )

    assert await desk.ids(strategy=strategy) == (
        "openai/free",
        "openai/dear",
        "openai/unknown",
        "openai/half",
    )


async def test_a_route_says_that_nobody_knows_what_a_model_costs() -> None:
    desk = Desk(cloud("openai/a", input_price=None), cloud("openai/b", 1))

    unknown, known = sorted((await desk.explain()).considered, key=lambda weighed: weighed.model.id)

    assert unknown.estimated_cost is None
    assert unknown.is_eligible
    assert unknown.reason.endswith("; nobody has said what it costs")
    assert known.estimated_cost is not None
    assert "costs" not in known.reason


async def test_cheapest_goes_by_each_models_own_count() -> None:
    tokens = CountsByModel(tokens={"openai/wordy": 4_000})
    desk = Desk(
        cloud("openai/wordy", input_price=Decimal(2)),
        cloud("openai/terse", input_price=Decimal(3)),
        tokens=tokens,
    )

    assert (await desk.ids(None, rendered(1_000), strategy=CHEAPEST))[0] == "openai/terse"


async def test_no_answer_is_longer_than_the_model_can_put_out() -> None:
    desk = Desk(cloud("openai/a", 1, max_output_tokens=100))

    explained = await desk.explain(None, rendered(900))
    asked = await desk.explain(None, rendered(900), parameters=GenerationParameters(max_tokens=50))

    assert explained.considered[0].estimated_cost == Decimal(1_000) / 1_000_000
    assert asked.considered[0].estimated_cost == Decimal(950) / 1_000_000


# ------------------------------------------------------------------ names


async def test_a_named_model_is_never_replaced() -> None:
    desk = Desk(model("ollama/a"), model("ollama/b", is_available=False))

    assert await desk.ids("ollama/a") == ("ollama/a",)
    refusal = await desk.refusal("ollama/b")
    assert isinstance(refusal, ProviderUnavailable)
    assert "ollama pull b" in refusal.message


async def test_a_name_without_a_provider_is_every_hosts_model_of_that_name() -> None:
    desk = Desk(model("h2/llama"), model("h1/llama"), model("h1/mistral"))

    assert await desk.ids("llama") == ("h1/llama", "h2/llama")


async def test_a_group_is_its_members_in_order_then_its_fallback_and_a_circle_ends() -> None:
    groups = (
        ModelGroup("quality", ("ollama/b", "ollama/gone", "llama"), "fast"),
        ModelGroup("fast", ("ollama/a", "ollama/b"), "quality"),
    )
    desk = Desk(*map(model, ("ollama/a", "ollama/b", "h2/llama", "h1/llama")), groups=groups)

    assert await desk.ids("quality") == ("ollama/b", "h1/llama", "h2/llama", "ollama/a")
    assert await desk.ids("fast") == ("ollama/a", "ollama/b", "h1/llama", "h2/llama")


async def test_a_models_id_goes_before_a_group_of_the_same_name() -> None:
    groups = (ModelGroup("ollama/a", ("ollama/b",), strategy=CLOUD_ONLY),)
    desk = Desk(model("ollama/a"), model("ollama/b"), groups=groups)

    assert await desk.ids("ollama/a") == ("ollama/a",)


async def test_the_name_of_the_prompts_version_holds_where_the_request_names_none() -> None:
    desk = Desk(model("ollama/a"), model("ollama/b"))

    assert await desk.ids(None, rendered(model="ollama/b")) == ("ollama/b",)
    assert await desk.ids("ollama/a", rendered(model="ollama/b")) == ("ollama/a",)


GROUP = ModelGroup("mixed", ("openai/dear", "ollama/first", "openai/cheap"))


@pytest.mark.parametrize(
    ("groups", "asked", "expected"),
    [
        (None, None, "dear first cheap"),
        (CHEAPEST, None, "first cheap dear"),
        (CLOUD_ONLY, None, "cheap dear"),
        (CLOUD_ONLY, LOCAL_ONLY, "first"),
        (None, LOCAL_FIRST, "first cheap dear"),
    ],
)
async def test_the_requests_strategy_goes_before_the_groups(
    groups: RoutingStrategy | None, asked: RoutingStrategy | None, expected: str
) -> None:
    desk = Desk(*ALL, groups=[replace(GROUP, strategy=groups)])

    ids = await desk.ids("mixed", strategy=asked)

    assert [id_.partition("/")[2] for id_ in ids] == expected.split()


@pytest.mark.parametrize("strategy", [CHEAPEST, LOCAL_FIRST, FASTEST])
async def test_whatever_the_strategy_a_fallback_comes_after_the_group(
    strategy: RoutingStrategy,
) -> None:
    groups = (
        ModelGroup("quality", ("openai/dear", "openai/cheap"), "fast", strategy),
        ModelGroup("fast", ("ollama/first",)),
    )
    desk = Desk(*ALL, groups=groups)

    assert await desk.ids("quality") == ("openai/cheap", "openai/dear", "ollama/first")


@pytest.mark.parametrize("is_hedged", [True, False])
async def test_a_route_is_hedged_where_the_group_is(is_hedged: bool) -> None:
    groups = (ModelGroup("fast", ("ollama/a",), is_hedged=is_hedged),)
    desk = Desk(model("ollama/a"), groups=groups, rules=[rule({}, "fast")])

    assert [c.is_hedged for c in (await desk.route("fast")).candidates] == [is_hedged]
    assert (await desk.route()).candidates[0].is_hedged is is_hedged
    assert not (await desk.route("ollama/a")).candidates[0].is_hedged


# ------------------------------------------------------------------ refusals


async def test_an_unknown_name_lists_what_there_is() -> None:
    desk = Desk(model("ollama/a"), groups=[ModelGroup("fast", ("ollama/a",))])

    refusal = await desk.refusal("ollama/zzz")

    assert isinstance(refusal, NotFound)
    assert "Known: fast, ollama/a." in refusal.message


async def test_a_group_without_models_is_known_but_of_no_use() -> None:
    desk = Desk(model("ollama/a"), groups=[ModelGroup("fast", ("ollama/gone",))])

    assert isinstance(await desk.refusal("fast"), ProviderUnavailable)


async def test_a_model_that_is_not_allowed_is_forbidden() -> None:
    desk = Desk(model("ollama/a", is_allowed=False), model("ollama/b"))

    assert isinstance(await desk.refusal("ollama/a"), Forbidden)


@pytest.mark.parametrize(
    ("unfit", "fields", "said"),
    [
        (BUILTIN, {}, "other tasks"),
        (model("m/x", capabilities=frozenset({ModelCapability.EMBEDDING})), {}, "generate text"),
        (model("m/x"), {"response_schema": SCHEMA}, "response schema"),
        (model("m/x"), {"strategy": CLOUD_ONLY}, "CLOUD_ONLY"),
        (cloud("m/x"), {"strategy": LOCAL_ONLY}, "LOCAL_ONLY"),
    ],
    ids=["task", "capability", "schema", "not cloud", "not local"],
)
async def test_a_named_model_that_cannot_serve_says_why(
    unfit: Model, fields: dict[str, Any], said: str
) -> None:
    refusal = await Desk(unfit, model("ollama/a")).refusal(unfit.id, **fields)

    assert isinstance(refusal, BadUserInput)
    assert refusal.path == ("model",)
    assert said in refusal.message


async def test_a_strategy_that_leaves_nobody_is_the_fault() -> None:
    refusal = await Desk(model("ollama/a"), BUILTIN).refusal(strategy=CLOUD_ONLY)

    assert isinstance(refusal, BadUserInput)
    assert refusal.path == ("strategy",)


async def test_a_prompt_that_fits_no_window_is_refused_with_both_numbers() -> None:
    desk = Desk(model("ollama/a", context_window=4_096), model("ollama/b"))

    refusal = await desk.refusal(None, rendered(9_000))

    assert isinstance(refusal, ContextLengthExceeded)
    assert "9,000 tokens" in refusal.message
    assert "8,192 (ollama/b)" in refusal.message


async def test_a_prompt_goes_where_it_fits() -> None:
    desk = Desk(model("ollama/a"), cloud("openai/b", 1, context_window=128_000))

    assert await desk.ids(None, rendered(8_192)) == ("ollama/a", "openai/b")
    assert await desk.ids(None, rendered(8_193)) == ("openai/b",)


@pytest.mark.parametrize("models", [[], [BUILTIN], [model("ollama/a", is_available=False)]])
async def test_without_a_model_that_generates_the_error_tells_two_ways_to_get_one(
    models: list[Model],
) -> None:
    refusal = await Desk(*models).refusal()

    assert isinstance(refusal, ProviderUnavailable)
    assert "ollama pull" in refusal.message
    assert "set ASSISTANT_OLLAMA_URL" in refusal.message


@pytest.mark.parametrize(
    "unfit",
    [
        model("ollama/b", is_available=False),
        model("ollama/b", is_allowed=False),
        model("ollama/b", capabilities=frozenset({ModelCapability.EMBEDDING})),
        model("ollama/b", context_window=5),
        replace(BUILTIN, provider="ollama", name="b"),
    ],
    ids=["gone", "not allowed", "embeds", "small", "another task"],
)
async def test_a_model_that_cannot_serve_is_left_out(unfit: Model) -> None:
    assert await Desk(unfit, model("ollama/a")).ids() == ("ollama/a",)


async def test_a_request_for_json_goes_to_models_that_can_be_held_to_it() -> None:
    can = frozenset({ModelCapability.CHAT, ModelCapability.STRUCTURED_OUTPUT})
    desk = Desk(model("ollama/a"), model("ollama/b", capabilities=can))

    assert await desk.ids(response_schema=SCHEMA) == ("ollama/b",)
    assert await desk.ids(None, rendered(response_schema=SCHEMA)) == ("ollama/b",)

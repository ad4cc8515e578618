"""Routes explained: every model with its reason, and what is explained is what is done."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.domain.model import (
    CircuitState,
    Model,
    ModelCapability,
    ModelGroup,
    RoutingStrategy,
    TaskType,
)
from assistant.domain.ports import CircuitNotice
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.rule import RoutingRule
from assistant.domain.tokens import TokenCount, TokenMethod
from assistant.errors import (
    AssistantError,
    NotFound,
)
from tests.unit.fakes import (
    model,
)
from tests.unit.routing_desk import (
    BUILTIN,
    CLOUD_ONLY,
    LOCAL_ONLY,
    SCHEMA,
    CountsByModel,
    Desk,
    cloud,
    key_of,
    rendered,
    rule,
)

# ------------------------------------------------------------------ reasons


async def test_every_model_that_was_considered_has_its_reason() -> None:
    desk = Desk(
        model("ollama/a"),
        model("ollama/broken"),
        model("ollama/tried"),
        model("ollama/gone", is_available=False),
        model("h2/unheard", is_available=False),
        model("ollama/secret", is_allowed=False),
        model("ollama/small", context_window=100),
        model("ollama/vectors", capabilities=frozenset({ModelCapability.EMBEDDING})),
        cloud("openai/b"),
        BUILTIN,
    )
    desk.unhealthy["h2"] = "cannot be reached"
    desk.circuits.learn(CircuitNotice(key_of("ollama/broken"), open_for_s=60))
    desk.circuits.learn(CircuitNotice(key_of("ollama/tried"), open_for_s=0))
    assert desk.circuits.state(key_of("ollama/tried")) is CircuitState.HALF_OPEN

    assert await desk.reasons(None, rendered(1_234), strategy=LOCAL_ONLY) == {
        "ollama/a": (True, "by LOCAL_ONLY"),
        "ollama/broken": (False, "circuit open: it has been failing"),
        "ollama/tried": (True, "by LOCAL_ONLY"),
        "ollama/gone": (False, "not available now: its provider does not have it"),
        "h2/unheard": (False, "not available now: cannot be reached"),
        "ollama/secret": (False, "not allowed"),
        "ollama/small": (False, "context window too small: 1,234 tokens, and 100 fit"),
        "ollama/vectors": (False, "does not generate text"),
        "openai/b": (False, "not local, and the strategy is LOCAL_ONLY"),
        "builtin/extractive": (False, "serves only prompts of other tasks"),
    }


async def test_the_reason_says_who_chose_it() -> None:
    desk = Desk(
        model("ollama/a"),
        model("ollama/b"),
        groups=[ModelGroup("fast", ("ollama/a",))],
        rules=[rule({"feature": {"eq": "chat"}}, "ollama/b")],
    )

    assert await desk.reasons("ollama/a") == {"ollama/a": (True, "named")}
    assert await desk.reasons("fast") == {"ollama/a": (True, "named by fast")}
    assert (await desk.reasons())["ollama/a"] == (True, "by LOCAL_FIRST")
    assert await desk.reasons(feature="chat") == {
        "ollama/b": (True, "by the rule a-rule"),
        "ollama/a": (True, "after the models of the rule a-rule"),
    }


async def test_the_count_and_its_method_are_each_models_own() -> None:
    tokens = CountsByModel(tokens={"ollama/a": 12, "ollama/b": 15})
    desk = Desk(*map(model, ("ollama/a", "ollama/b")), BUILTIN, tokens=tokens)

    considered = (await desk.explain(None, rendered(10))).considered

    assert {weighed.model.id: weighed.count for weighed in considered} == {
        "ollama/a": TokenCount(12, TokenMethod.EXACT, 0),
        "ollama/b": TokenCount(15, TokenMethod.EXACT, 0),
        "builtin/extractive": TokenCount(10),  # cannot serve it: nobody has counted for it
    }
    counts = {c.model.id: c.count.tokens for c in (await desk.route(None, rendered(10))).candidates}
    assert counts == {"ollama/a": 12, "ollama/b": 15}


async def test_an_explanation_of_an_unknown_name_is_refused_like_the_request() -> None:
    with pytest.raises(NotFound):
        await Desk(model("ollama/a")).explain("ollama/zzz")


async def test_where_nobody_can_serve_it_is_explained_and_not_refused() -> None:
    desk = Desk(model("ollama/a", is_available=False))

    ((is_eligible, reason),) = (await desk.reasons()).values()
    assert not is_eligible
    assert reason.startswith("not available now")


# ------------------------------------------------------------------ what is explained is what is done

NAMES = [f"{provider}/{name}" for provider in ("h1", "h2", "openai") for name in ("x", "y")]
CAPABILITIES = st.sets(
    st.sampled_from(
        [ModelCapability.CHAT, ModelCapability.STRUCTURED_OUTPUT, ModelCapability.EMBEDDING]
    )
)
PRICES = st.sampled_from([Decimal(0), Decimal(1), Decimal(7)])
MODELS = st.lists(
    st.builds(
        model,
        st.sampled_from(NAMES),
        capabilities=(CAPABILITIES | st.just({ModelCapability.CHAT})).map(frozenset),
        context_window=st.sampled_from([100, 8_192]),
        tasks=st.sampled_from([None, None, frozenset({TaskType.SUMMARIZATION})]),
        max_output_tokens=st.sampled_from([None, 50]),
        input_price=PRICES,
        output_price=PRICES,
        is_local=st.booleans(),
        is_allowed=st.sampled_from([True, True, False]),
        is_available=st.sampled_from([True, True, False]),
        preference=st.integers(0, 2),
    ),
    max_size=6,
    unique_by=lambda model: model.id,
)
STRATEGIES = st.sampled_from([None, *RoutingStrategy])
REFERENCES = st.sampled_from([*NAMES, "x", "y", "fast", "quality", "nobody"])
GROUPS = st.builds(
    lambda fast, quality, strategies, fallback: [
        ModelGroup("fast", tuple(fast), fallback, strategies[0]),
        ModelGroup("quality", tuple(quality), "fast", strategies[1]),
    ],
    st.lists(st.sampled_from([*NAMES, "x", "y"]), max_size=3),
    st.lists(st.sampled_from([*NAMES, "x", "y"]), max_size=3),
    st.tuples(STRATEGIES, STRATEGIES),
    st.sampled_from([None, "quality"]),
)
RULES = st.lists(
    st.builds(
        lambda conditions, models, priority, tenant_id: rule(
            conditions, *models, priority=priority, tenant_id=tenant_id
        ),
        st.sampled_from([{}, {"feature": {"eq": "chat"}}, {"task": {"eq": "SUMMARIZATION"}}]),
        st.lists(REFERENCES, min_size=1, max_size=3),
        st.integers(0, 1),
        st.sampled_from(["acme", "platform"]),
    ),
    max_size=3,
)
REQUESTS = st.fixed_dictionaries(
    {
        "model": st.none() | REFERENCES,
        "strategy": STRATEGIES,
        "feature": st.sampled_from([None, "chat"]),
        "response_schema": st.sampled_from([None, None, SCHEMA]),
    }
)
PROMPTS = st.builds(
    lambda tokens, task: rendered(tokens, task=task),
    st.sampled_from([10, 500, 9_000]),
    st.sampled_from([TaskType.GENERAL, TaskType.SUMMARIZATION]),
)
STATES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([-1.0, 60.0]))


@settings(max_examples=300)
@given(MODELS, GROUPS, RULES, REQUESTS, PROMPTS, STATES)
def test_what_is_explained_is_what_is_done(
    models: list[Model],
    groups: list[ModelGroup],
    rules: list[RoutingRule],
    request: dict[str, Any],
    prompt: RenderedPrompt,
    open_for_s: dict[str, float],
) -> None:
    async def scenario() -> None:
        desk = Desk(*models, groups=groups, rules=rules)
        for id_, seconds in open_for_s.items():
            desk.circuits.learn(CircuitNotice(key_of(id_), seconds))
            desk.answered(id_, abs(seconds))
        name = request["model"]
        fields = {key: value for key, value in request.items() if key != "model"}
        try:
            explained = await desk.explain(name, prompt, **fields)
        except AssistantError as refused:
            refusal = await desk.refusal(name, prompt, **fields)
            assert (type(refusal), refusal.message) == (type(refused), refused.message)
            return

        def is_held_back(id_: str) -> bool:
            return desk.circuits.state(key_of(id_)) is CircuitState.OPEN

        considered = [weighed.model.id for weighed in explained.considered]
        assert len(considered) == len(set(considered))
        assert name is not None or set(considered) == set(desk.catalog.models)
        eligible = [weighed.model.id for weighed in explained.considered if weighed.is_eligible]
        assert not any(map(is_held_back, eligible))
        try:
            route = await desk.route(name, prompt, **fields)
        except AssistantError:
            assert eligible == []
            return
        assert route.ids
        assert eligible == [id_ for id_ in route.ids if not is_held_back(id_)]
        assert [id_ for id_ in considered if id_ in route.ids] == list(route.ids)
        assert route.rule_name == explained.rule_name
        assert {c.model.id: c.count for c in route.candidates} == {
            weighed.model.id: weighed.count
            for weighed in explained.considered
            if weighed.model.id in route.ids
        }

    asyncio.run(scenario())


@given(MODELS, GROUPS, RULES, REQUESTS, PROMPTS)
def test_a_route_keeps_what_was_asked_for(
    models: list[Model],
    groups: list[ModelGroup],
    rules: list[RoutingRule],
    request: dict[str, Any],
    prompt: RenderedPrompt,
) -> None:
    async def scenario() -> None:
        desk = Desk(*models, groups=groups, rules=rules)
        name, strategy = request["model"], request["strategy"]
        fields = {key: value for key, value in request.items() if key != "model"}
        try:
            route = await desk.route(name, prompt, **fields)
        except AssistantError:
            return
        for candidate in route.candidates:
            chosen = candidate.model
            assert chosen.is_allowed and chosen.is_available
            assert ModelCapability.CHAT in chosen.capabilities
            assert chosen.tasks is None or prompt.task in chosen.tasks
            assert prompt.estimated_tokens <= chosen.context_window
            assert name is None or "/" not in name or chosen.id == name
            assert name not in ("x", "y") or chosen.name == name
            assert strategy is not LOCAL_ONLY or chosen.is_local
            assert strategy is not CLOUD_ONLY or not chosen.is_local

    asyncio.run(scenario())

"""What is answered from the cache, what is not, and what is said about it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from assistant.domain.cache import (
    CacheLevel,
    CacheLookup,
    CacheOutcome,
    CachePolicy,
    CacheVerdict,
)
from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import (
    Completion,
    CompletionStarted,
    FinishReason,
    GenerationFinished,
    GenerationParameters,
    Message,
    MessageRole,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from assistant.domain.route import key_of
from assistant.errors import ProviderUnavailable, StorageUnavailable
from assistant.services.cache_keeper import CacheLimits
from assistant.services.cache_keys import exact_key_of, question_of
from assistant.services.prompts import render_request
from tests.unit.fakes import ALICE, FakeEmbedder, FakeProvider, answering, model
from tests.unit.world import World, request_of

ID = "ollama/m"
BOB = replace(ALICE, user_id="bob")
GLOBEX = replace(ALICE, tenant_id="globex")


def cached_world(provider: FakeProvider | None = None, **fields: object) -> World:
    """A world of one priced model with its cache on."""
    row = model(ID, input_price=Decimal(1_000), output_price=Decimal(2_000))
    given: dict[str, object] = {"cache_limits": CacheLimits(lookup_timeout_s=5.0)}
    return World({ID: provider or answering("Paris.")}, [row], **(given | fields))  # type: ignore[arg-type]


def two_models(**fields: object) -> World:
    """A world whose cache is on, and whose first model is the one to ask."""
    rows = [model("ollama/a", preference=1), model("ollama/b", preference=2)]
    given: dict[str, object] = {"cache_limits": CacheLimits(lookup_timeout_s=5.0)}
    return World({"ollama/a": answering("A"), "ollama/b": answering("B")}, rows, **(given | fields))  # type: ignore[arg-type]


async def ask(
    world: World, text: str = "What is the capital of France?", **f: object
) -> Completion:
    await world.flow.complete(request_of(text=text, **f))
    await world.cache.drain(1)
    return world.store.settled[-1]


def calls(world: World) -> int:
    return sum(len(provider.calls) for provider in world.providers.values())


def verdict_of(completion: Completion) -> CacheVerdict:
    assert completion.decision.cache is not None
    return completion.decision.cache


# --------------------------------------------------------------------------- the very same


async def test_the_same_request_is_answered_once_and_then_from_the_cache() -> None:
    world = cached_world()

    miss, hit = await ask(world), await ask(world)

    assert (miss.cache, hit.cache) == (CacheOutcome.MISS, CacheOutcome.EXACT)
    assert (hit.text, hit.model, hit.finish_reason) == (miss.text, miss.model, FinishReason.STOP)
    assert calls(world) == 1
    assert verdict_of(hit).source_id == miss.id


async def test_a_hit_costs_nothing_and_saves_what_the_miss_cost() -> None:
    world = cached_world()

    miss, hit = await ask(world), await ask(world)

    assert miss.usage.cost > 0
    assert (hit.usage.cost, hit.usage.total_tokens) == (0, 0)
    assert hit.decision.saved_cost == miss.usage.cost
    assert hit.decision.saved_tokens == miss.usage.total_tokens


async def test_another_replica_finds_it_in_the_database() -> None:
    first = cached_world()
    second = cached_world(cache_store=first.cache_store)
    await ask(first)

    hit = await ask(second)

    assert (hit.cache, calls(second)) == (CacheOutcome.EXACT, 0)
    assert (CacheLevel.EXACT, CacheLookup.HIT) in second.telemetry.lookups


async def test_a_hit_is_counted_for_its_entry() -> None:
    world = cached_world()
    await ask(world)
    await ask(world)
    await ask(world)

    await world.cache.uses.flush()

    ((entry, hits),) = world.cache_store.hits.items()
    assert (entry in world.cache_store.entries, hits) == (True, 2)


async def test_hits_that_the_database_does_not_take_are_counted_when_it_is_back() -> None:
    world = cached_world()
    await ask(world)
    world.cache_store.error = StorageUnavailable("away")
    await ask(world)
    with pytest.raises(StorageUnavailable):
        await world.cache.uses.flush()
    world.cache_store.error = None
    await ask(world)

    await world.cache.uses.flush()

    assert list(world.cache_store.hits.values()) == [2]


@pytest.mark.parametrize(
    "other",
    [
        {"caller": BOB},
        {"caller": GLOBEX},
        {"text": "What is the capital of Spain?"},
        {"parameters": GenerationParameters(max_tokens=5)},
        {"parameters": GenerationParameters(seed=1)},
        {"parameters": GenerationParameters(temperature=0.1)},
        {"parameters": GenerationParameters(stop=("x",))},
        {"model": ID},
        {"requires_accuracy": True},
        {
            "text": None,
            "messages": (
                Message(MessageRole.SYSTEM, "Answer in rhymes."),
                Message(MessageRole.USER, "What is the capital of France?"),
            ),
        },
    ],
    ids="-".join,
)
async def test_what_shapes_the_answer_is_part_of_the_key(other: dict[str, object]) -> None:
    world = cached_world()
    await ask(world)

    again = await ask(world, **({"text": "What is the capital of France?"} | other))

    assert (again.cache, calls(world)) == (CacheOutcome.MISS, 2)


@pytest.mark.parametrize(
    "other",
    [
        {"feature": "search"},
        {"metadata": {"page": 2}},
        {"parameters": GenerationParameters(timeout_ms=9_000)},
        {"caller": replace(ALICE, service_id="another")},
        {"text": None, "messages": (Message(MessageRole.USER, "What is the capital of France?"),)},
    ],
    ids="-".join,
)
async def test_what_does_not_shape_the_answer_is_not(other: dict[str, object]) -> None:
    world = cached_world()
    await ask(world)

    again = await ask(world, **({"text": "What is the capital of France?"} | other))

    assert again.cache is CacheOutcome.EXACT


def test_the_order_of_keys_and_the_unicode_normal_form_change_nothing() -> None:
    schema = {"type": "object", "properties": {"é": {}, "ea": {}, "f": {}}}
    turned = {"properties": {"f": {}, "ea": {}, "e\u0301": {}}, "type": "object"}
    one = request_of(text="Où est le café?", response_schema=schema)
    other = request_of(text="Ou\u0300 est le cafe\u0301?", response_schema=turned)

    first, second = (
        question_of(request, prompt, exact_key_of(request, prompt), UUID(int=1), "e")
        for request, prompt in ((each, render_request(each, None)) for each in (one, other))
    )

    assert (first.key.exact, first.key.scope) == (second.key.exact, second.key.scope)
    assert first.flight == second.flight


async def test_an_entry_ends_when_its_time_is_up() -> None:
    world = cached_world()
    await ask(world)
    world.clock.advance(301)

    assert (await ask(world)).cache is CacheOutcome.MISS


async def test_what_is_forgotten_is_looked_up_again() -> None:
    world = cached_world()
    await ask(world)
    world.cache_store.entries.clear()
    world.cache.forget(ALICE.tenant_id)

    assert (await ask(world)).cache is CacheOutcome.MISS


# --------------------------------------------------------------------------- never kept


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"cache": CachePolicy.BYPASS}, "bypass"),
        ({"parameters": GenerationParameters(temperature=0.31)}, "temperature"),
    ],
)
async def test_what_is_not_to_be_kept_is_asked_each_time(
    fields: dict[str, object], reason: str
) -> None:
    world = cached_world()

    outcomes = [await ask(world, **fields) for _ in range(2)]

    assert [each.cache for each in outcomes] == [CacheOutcome.BYPASSED] * 2
    assert reason in verdict_of(outcomes[0]).reason
    assert (calls(world), world.cache_store.calls) == (2, [])


@pytest.mark.parametrize(
    "script",
    [
        [TextDelta("half"), GenerationFinished(FinishReason.LENGTH, 1, 1)],
        [TextDelta("bad"), GenerationFinished(FinishReason.CONTENT_FILTER, 1, 1)],
        [ToolCallDelta(0, "1", "f", "{}"), GenerationFinished(FinishReason.TOOL_CALLS, 1, 1)],
        [
            TextDelta("x"),
            ToolCallDelta(0, "1", "f", "{}"),
            GenerationFinished(FinishReason.STOP, 1, 1),
        ],
        [GenerationFinished(FinishReason.STOP, 1, 0)],
        [TextDelta("x" * 300_000), GenerationFinished(FinishReason.STOP, 1, 1)],
    ],
    ids=["truncated", "filtered", "tool calls", "a tool call beside text", "empty", "too long"],
)
async def test_an_answer_that_is_not_whole_is_not_kept(script: list[object]) -> None:
    world = cached_world(FakeProvider(script))  # type: ignore[arg-type]

    outcomes = [(await ask(world)).cache for _ in range(2)]

    assert outcomes == [CacheOutcome.MISS] * 2
    assert not world.cache_store.entries


async def test_a_failure_is_not_kept() -> None:
    world = cached_world(FakeProvider([ProviderUnavailable("away")]))

    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await ask(world)

    assert not world.cache_store.entries


async def test_refresh_asks_the_model_and_replaces_what_was_kept() -> None:
    world = cached_world()
    old = await ask(world)
    world.providers[ID].script = answering("It is Paris.").script

    new = await ask(world, cache=CachePolicy.REFRESH)
    hit = await ask(world)

    assert (new.cache, new.text) == (CacheOutcome.BYPASSED, "It is Paris.")
    assert (hit.cache, hit.text) == (CacheOutcome.EXACT, "It is Paris.")
    assert [entry.id for entry in world.cache_store.entries.values()] == [new.id] != [old.id]


async def test_an_answer_that_was_refreshed_is_found_in_other_words_still() -> None:
    world = cached_world()
    await ask(world, "What is the capital of France?", cache=CachePolicy.REFRESH)

    hit = await ask(world, "what is the capital of france")

    assert hit.cache is CacheOutcome.SEMANTIC


# --------------------------------------------------------------------------- in other words


async def test_the_same_in_other_words_is_a_semantic_hit_that_explains_itself() -> None:
    world = cached_world()
    miss = await ask(world, "What is the capital of France?")
    world.clock.advance(2)

    hit = await ask(world, "what is the capital of france")

    verdict = verdict_of(hit)
    assert (hit.cache, hit.text) == (CacheOutcome.SEMANTIC, "Paris.")
    assert hit.decision.similarity == verdict.similarity == pytest.approx(1)
    assert (verdict.source_id, verdict.min_similarity) == (miss.id, 0.95)
    assert verdict.age_ms is not None
    assert calls(world) == 1


async def test_a_guard_forbids_what_is_near_and_is_named() -> None:
    # Of one dimension all texts are as near as can be: nothing but the guard is in the way.
    world = cached_world(embedder=FakeEmbedder(dimensions=1))
    near = await ask(world, "How far are 5 miles?")

    other = await ask(world, "How far are 6 miles?")

    verdict = verdict_of(other)
    assert (other.cache, verdict.outcome) == (CacheOutcome.MISS, CacheOutcome.MISS)
    assert (verdict.guard, verdict.similarity, verdict.source_id) == ("NUMBER", 1.0, near.id)


async def test_exact_only_asks_the_model_where_only_the_words_differ() -> None:
    world = cached_world()
    await ask(world, "What is the capital of France?")

    other = await ask(world, "what is the capital of france", cache=CachePolicy.EXACT_ONLY)

    assert other.cache is CacheOutcome.MISS
    assert len(world.embedder.embedded) == 1  # type: ignore[attr-defined]


async def test_another_users_question_in_other_words_is_not_found() -> None:
    world = cached_world()
    await ask(world, "What is the capital of France?")

    other = await ask(world, "what is the capital of france", caller=BOB)

    assert other.cache is CacheOutcome.MISS


async def test_an_entry_that_was_tightened_answers_no_more() -> None:
    world = cached_world()
    await ask(world, "What is the capital of France?")
    (entry,) = world.cache_store.entries.values()
    await world.cache_store.judge(ALICE.tenant_id, entry.id, 1.01)

    other = await ask(world, "what is the capital of france")

    assert other.cache is CacheOutcome.MISS
    assert verdict_of(other).min_similarity == 1.01


async def test_a_text_that_does_not_fit_the_embedder_is_kept_for_the_very_same_only() -> None:
    world = cached_world()
    long = "word " * 500
    await ask(world, long)

    (entry,) = world.cache_store.entries.values()

    assert (entry.key.scope, entry.vector) == (None, None)
    assert (await ask(world, long)).cache is CacheOutcome.EXACT


# --------------------------------------------------------------------------- the right model


async def test_an_answer_of_a_model_that_is_not_the_one_to_ask_any_more_is_not_given() -> None:
    store = cached_world().cache_store
    fallback = World(
        {"builtin/b": answering("poor")},
        [model("builtin/b", preference=2)],
        cache_limits=CacheLimits(lookup_timeout_s=5),
        cache_store=store,
    )
    await ask(fallback)
    better = World(
        {"ollama/a": answering("good"), "builtin/b": answering("poor")},
        [model("ollama/a", preference=1), model("builtin/b", preference=2)],
        cache_limits=CacheLimits(lookup_timeout_s=5),
        cache_store=store,
    )

    assert (await ask(better)).text == "good"


async def test_an_answer_of_a_model_that_is_away_is_given_still() -> None:
    rows = [model("ollama/a", preference=1), model("builtin/b", preference=2)]
    world = World(
        {"ollama/a": answering("good"), "builtin/b": answering("poor")},
        rows,
        cache_limits=CacheLimits(lookup_timeout_s=5),
    )
    await ask(world)
    gone = World(
        world.providers,
        [replace(rows[0], is_available=False), rows[1]],
        cache_limits=CacheLimits(lookup_timeout_s=5),
        cache_store=world.cache_store,
    )

    hit = await ask(gone)

    assert (hit.cache, hit.text) == (CacheOutcome.EXACT, "good")


@pytest.mark.parametrize(
    "ids", [("one/m", "two/m"), ("ollama/a", "ollama/b")], ids=["hosts", "equals"]
)
async def test_which_of_two_equal_models_is_the_quicker_one_changes_nothing(
    ids: tuple[str, str],
) -> None:
    rows = [model(id_) for id_ in ids]
    world = World(
        {id_: answering("A") for id_ in ids}, rows, cache_limits=CacheLimits(lookup_timeout_s=5)
    )
    slow, quick = (key_of(row, world.catalog.providers[row.provider]) for row in rows)
    for key, first_event_s in ((slow, 1.0), (quick, 0.1)):
        world.latencies.begin(key)
        world.latencies.end(key, first_event_s)
    first = await ask(world)
    for _ in range(50):
        world.latencies.begin(quick)
        world.latencies.end(quick, 9.0)
    world.cache.forget()

    again = await ask(world)

    assert (first.model, again.cache) == (ids[1], CacheOutcome.EXACT)


# --------------------------------------------------------------------------- a hit looks like a miss


async def test_a_hit_streams_the_same_events() -> None:
    script = [
        ReasoningDelta("hm"),
        TextDelta("Par"),
        TextDelta("is."),
        GenerationFinished(FinishReason.STOP, 1, 1),
    ]
    world = cached_world(FakeProvider(script))
    miss = await world.ask(text="q")
    await world.cache.drain(1)
    hit = await world.ask(text="q")

    kinds = [type(event) for event in hit]
    assert kinds == [CompletionStarted, ReasoningDelta, TextDelta]
    assert _text(miss) == _text(hit) == "Paris."
    assert hit[0].completion_id == world.store.settled[-1].id  # type: ignore[union-attr]


async def test_a_long_hit_streams_in_pieces() -> None:
    text = "word " * 1_000
    world = cached_world(answering(text))
    await world.ask(text="q")

    hit = await world.ask(text="q")

    deltas = [event.text for event in hit if isinstance(event, TextDelta)]
    assert "".join(deltas) == text
    assert 4 <= len(deltas) <= 10


async def test_one_entry_serves_streams_and_whole_answers() -> None:
    world = cached_world()
    await world.ask(text="q")

    assert (await ask(world, "q")).cache is CacheOutcome.EXACT
    assert calls(world) == 1


def _text(events: list[object]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


# --------------------------------------------------------------------------- when it is away


async def test_without_its_database_the_model_answers() -> None:
    world = cached_world()
    world.cache_store.error = StorageUnavailable("away")

    answers = [await ask(world, text) for text in ("one", "two")]

    assert [each.cache for each in answers] == [CacheOutcome.MISS] * 2
    assert (CacheLevel.EXACT, CacheLookup.ERROR) in world.telemetry.lookups


async def test_a_slow_database_is_not_waited_for() -> None:
    world = cached_world(cache_limits=CacheLimits(lookup_timeout_s=0.02))
    world.cache_store.delay_s = 0.5

    answer = await ask(world)

    assert answer.text == "Paris."
    assert (CacheLevel.EXACT, CacheLookup.TIMEOUT) in world.telemetry.lookups


async def test_whoever_led_too_late_gives_the_lead_back() -> None:
    world = cached_world(cache_limits=CacheLimits(lookup_timeout_s=0.01))
    world.cache_store.delay_s = 0.05
    await ask(world)
    await asyncio.sleep(0.2)

    assert not world.cache_store.flights


async def test_an_embedder_that_fails_costs_the_semantic_hit_only() -> None:
    world = cached_world()
    world.embedder.error = ProviderUnavailable("no model")

    assert (await ask(world)).cache is CacheOutcome.MISS
    assert (await ask(world)).cache is CacheOutcome.EXACT


async def test_what_cannot_be_read_costs_the_hit_only() -> None:
    world = cached_world()
    world.cache_store.error = ValueError("a row that another version has written")
    world.embedder.error = ValueError("a defect")  # type: ignore[attr-defined]

    assert (await ask(world)).cache is CacheOutcome.MISS


async def test_a_request_that_is_refused_was_not_looked_up() -> None:
    world = cached_world()
    nobody = Caller("acme", "eve", None, frozenset[Scope]())

    with pytest.raises(Exception, match="assistant:complete"):
        await ask(world, caller=nobody)

    assert world.store.settled[-1].cache is CacheOutcome.BYPASSED
    assert world.store.settled[-1].decision.cache is None


# --------------------------------------------------------------------------- explained


async def test_explain_says_what_the_cache_would_do_and_does_not_do_it() -> None:
    world = cached_world()
    request = request_of(text="What is the capital of France?")

    before = (await world.flow.explain(request)).cache
    await ask(world)
    after = (await world.flow.explain(request)).cache
    near = (await world.flow.explain(replace(request, text="what is the capital of france"))).cache

    assert before is not None and after is not None and near is not None
    assert [before.outcome, after.outcome, near.outcome] == [
        CacheOutcome.MISS,
        CacheOutcome.EXACT,
        CacheOutcome.SEMANTIC,
    ]
    assert (calls(world), world.cache_store.flights) == (1, {})

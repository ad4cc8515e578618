"""What a completion holds of a budget: enough for whatever it may cost, and no more than there is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from assistant.domain.cache import CacheOutcome, CacheSettings, CacheSharing
from assistant.domain.completion import (
    AttemptOutcome,
    Completion,
    FinishReason,
    GenerationFinished,
    GenerationParameters,
    InterruptionPolicy,
    Message,
    MessageRole,
    TextDelta,
)
from assistant.domain.model import Model, ModelGroup
from assistant.domain.tokens import TokenCount, TokenMethod
from assistant.errors import BudgetExceeded, ErrorCode, ProviderUnavailable, StreamInterrupted
from assistant.services.cache_keeper import CacheLimits
from assistant.services.stakes import (
    LEAST_OUTPUT_TOKENS,
    USUAL_OUTPUT_TOKENS,
    most_prompt_tokens,
    stake_of,
)
from tests.unit.asking import Turns, ask
from tests.unit.fakes import ALICE, FakeProvider, answering, model
from tests.unit.prompt_stores import FakePromptStore
from tests.unit.purse import Purse
from tests.unit.test_cache_keys import asked_of, of_prompt
from tests.unit.world import World, request_of

BOB = replace(ALICE, user_id="bob")
FAILED, SUCCEEDED = AttemptOutcome.FAILED, AttemptOutcome.SUCCEEDED


def paid(id_: str, price: str = "10", **fields: object) -> Model:
    return model(
        id_, is_local=False, input_price=Decimal(price), output_price=Decimal(price), **fields
    )


def world_of(limit: str, providers: dict[str, FakeProvider], *models: Model) -> World:
    purse = Purse(limits={ALICE.user_id: Decimal(limit)})
    return World(providers, models=list(models), store=purse)


def purse_of(world: World) -> Purse:
    assert isinstance(world.store, Purse)
    return world.store


# ------------------------------------------------------------------------- stakes


def test_a_prompt_of_any_text_is_at_most_as_many_tokens_as_it_has_bytes() -> None:
    messages = [Message(MessageRole.USER, "übel 🙂")]

    most = most_prompt_tokens(messages, None, TokenCount(3, TokenMethod.ESTIMATE))

    assert most >= len("übel 🙂".encode())


def test_what_was_counted_exactly_is_taken_at_its_word() -> None:
    messages = [Message(MessageRole.USER, "word " * 1_000)]

    most = most_prompt_tokens(messages, None, TokenCount(1_000, TokenMethod.EXACT))

    assert 1_000 < most < 1_200


def test_a_schema_counts_for_the_prompt() -> None:
    messages = [Message(MessageRole.USER, "hello")]
    schema = {"type": "object", "description": "x" * 1_000}

    # Beside it what a provider says by itself to have it kept to: Anthropic bills up to 530 tokens.
    assert most_prompt_tokens(messages, schema, None) > 1_000 + 530


def test_half_a_surrogate_pair_is_counted_as_well() -> None:
    assert most_prompt_tokens([Message(MessageRole.USER, "\ud83d")], None, None) > 0


def test_an_answer_of_a_length_that_was_asked_for_is_all_or_nothing() -> None:
    stake = stake_of(
        paid("openai/a"), prompt_tokens=10, expected_prompt_tokens=5, asked_output_tokens=100
    )

    assert (stake.output_tokens, stake.least_output_tokens) == (100, 100)
    assert stake.cost == Decimal("0.0011")


def test_an_answer_of_an_open_length_is_as_long_as_usual_and_may_be_shorter() -> None:
    stake = stake_of(
        paid("openai/a"), prompt_tokens=10, expected_prompt_tokens=5, asked_output_tokens=None
    )

    assert (stake.output_tokens, stake.least_output_tokens) == (
        USUAL_OUTPUT_TOKENS,
        LEAST_OUTPUT_TOKENS,
    )


def test_no_answer_is_longer_than_its_model_can_give() -> None:
    short = paid("openai/a", max_output_tokens=50)
    stake = stake_of(short, prompt_tokens=10, expected_prompt_tokens=5, asked_output_tokens=500)

    assert (stake.output_tokens, stake.least_output_tokens) == (50, 50)


def test_a_cache_that_is_dearer_than_its_model_is_held_for() -> None:
    odd = paid("openai/a", cached_input_price=Decimal(20))
    stake = stake_of(odd, prompt_tokens=1_000_000, expected_prompt_tokens=5, asked_output_tokens=1)

    assert stake.fixed_cost == Decimal(20)


def test_nobody_knows_what_a_model_without_a_price_may_cost() -> None:
    unknown = model("openai/a", is_local=False, input_price=None, output_price=None)
    stake = stake_of(unknown, prompt_tokens=9, expected_prompt_tokens=5, asked_output_tokens=1)

    assert stake.cost is None


# --------------------------------------------------------------------------- calls


async def test_what_was_held_and_not_used_is_given_back() -> None:
    world = world_of("1", {"openai/a": answering("x")}, paid("openai/a"))

    asked = await ask(world)

    assert asked.error is None
    assert purse_of(world).held == {}
    assert purse_of(world).spent == {ALICE.user_id: Decimal("0.0001")}


async def test_one_statement_is_all_that_a_usual_answer_asks_for() -> None:
    world = world_of("1", {"openai/a": answering("x")}, paid("openai/a"))

    await ask(world)

    assert purse_of(world).asked == [("openai/a", False)]


async def test_an_answer_of_an_open_length_is_cut_to_what_is_left() -> None:
    provider = answering("x")
    world = world_of("0.0025", {"openai/a": provider}, paid("openai/a"))

    asked = await ask(world)

    (call,) = provider.calls
    most = call.parameters.max_tokens
    assert most is not None and LEAST_OUTPUT_TOKENS <= most < 250
    assert asked.record.decision.most_output_tokens == most


async def test_a_budget_that_has_enough_limits_the_answer_all_the_same() -> None:
    provider = answering("x")
    world = world_of("100", {"openai/a": provider}, paid("openai/a"))

    asked = await ask(world)

    assert provider.calls[0].parameters.max_tokens == USUAL_OUTPUT_TOKENS
    assert asked.record.decision.most_output_tokens == USUAL_OUTPUT_TOKENS

    asked = await ask(world, parameters=GenerationParameters(max_tokens=10))
    assert asked.record.decision.most_output_tokens is None


async def test_without_a_budget_an_answer_is_as_long_as_its_model_makes_it() -> None:
    provider = answering("x")
    world = World({"openai/a": provider}, models=[paid("openai/a")], store=Purse())

    await ask(world)

    assert provider.calls[0].parameters.max_tokens is None


async def test_a_length_that_was_asked_for_is_never_cut() -> None:
    provider = answering("x")
    world = world_of("0.0025", {"openai/a": provider}, paid("openai/a"))

    asked = await ask(world, parameters=GenerationParameters(max_tokens=4_000))

    assert isinstance(asked.error, BudgetExceeded)
    assert provider.calls == []
    assert asked.record.error_code is ErrorCode.BUDGET_EXCEEDED


async def test_what_is_free_is_answered_whatever_is_left_of_a_budget() -> None:
    provider = answering("x")
    world = world_of("0", {"ollama/a": provider}, model("ollama/a"))

    asked = await ask(world)

    assert asked.error is None
    assert provider.calls[0].parameters.max_tokens is None


async def test_where_there_is_too_little_for_one_model_a_cheaper_one_answers() -> None:
    dear, cheap = answering("dear"), answering("cheap")
    world = world_of(
        "0.001",
        {"openai/dear": dear, "openai/cheap": cheap},
        paid("openai/dear", "1000"),
        paid("openai/cheap", "1"),
    )

    asked = await ask(world, model="openai/dear")
    assert isinstance(asked.error, BudgetExceeded)

    asked = await ask(world)
    assert asked.record.text == "cheap"
    assert asked.attempts[-1] == ("openai/cheap", SUCCEEDED, None)
    assert dear.calls == []


async def test_a_retry_that_costs_nothing_new_asks_for_nothing() -> None:
    provider = Turns(turns=[[ProviderUnavailable("down")], answering("x").script])
    world = world_of("1", {"openai/a": provider}, paid("openai/a"))

    asked = await ask(world)

    assert asked.error is None
    assert purse_of(world).asked == [("openai/a", False)]


async def test_a_fallback_is_held_for_beside_what_was_used_before_it() -> None:
    broken = FakeProvider([TextDelta("half " * 20), StreamInterrupted("broke")])
    world = world_of(
        "1",
        {"openai/a": broken, "openai/b": answering("whole")},
        paid("openai/a"),
        paid("openai/b", "20"),
    )

    asked = await ask(world, on_interruption=InterruptionPolicy.RESTART)

    assert asked.error is None
    assert asked.outcomes == [("openai/a", FAILED), ("openai/b", SUCCEEDED)]
    first, second = (stake.cost for stake in purse_of(world).stakes)
    assert first is not None and second is not None and second > 2 * first
    assert purse_of(world).asked[1] == ("openai/b", True)
    assert purse_of(world).held == {}


async def test_a_fallback_for_which_too_little_is_left_is_not_called() -> None:
    never = answering("x")
    world = world_of(
        "0.02",
        {"openai/a": FakeProvider([ProviderUnavailable("down")]), "openai/b": never},
        paid("openai/a"),
        paid("openai/b", "1000"),
    )

    asked = await ask(world, parameters=GenerationParameters(max_tokens=100))

    assert asked.error is not None and asked.error.code is ErrorCode.PROVIDER_UNAVAILABLE
    assert never.calls == []
    assert purse_of(world).held == {}


async def test_a_budget_that_is_made_meanwhile_holds_for_the_next_call() -> None:
    never = answering("x")
    world = world_of(
        "1",
        {"openai/a": FakeProvider([0.05, ProviderUnavailable("down")]), "openai/b": never},
        paid("openai/a"),
        paid("openai/b", "1000"),
    )
    limits = purse_of(world).limits
    limit = limits.pop(ALICE.user_id)
    asking = asyncio.create_task(ask(world, parameters=GenerationParameters(max_tokens=100)))
    await asyncio.sleep(0.01)
    limits[ALICE.user_id] = limit / 100

    asked = await asking

    assert asked.error is not None and asked.error.code is ErrorCode.PROVIDER_UNAVAILABLE
    assert never.calls == []
    assert purse_of(world).held == {}


async def test_what_is_free_is_not_asked_for_after_a_call_that_was_not() -> None:
    broken = FakeProvider([TextDelta("half " * 20), StreamInterrupted("broke")])
    free = answering("whole")
    world = World(
        {"openai/a": broken, "ollama/b": free},
        models=[paid("openai/a"), model("ollama/b")],
        groups=[ModelGroup("pair", ("openai/a", "ollama/b"))],
        store=Purse(limits={ALICE.user_id: Decimal(1)}),
    )

    asked = await ask(world, model="pair", on_interruption=InterruptionPolicy.RESTART)

    assert asked.record.text == "whole"
    assert free.calls[0].parameters.max_tokens is None
    assert purse_of(world).asked == [("openai/a", False)]


async def test_who_is_cancelled_pays_for_what_was_received_and_gets_the_rest_back() -> None:
    provider = FakeProvider([TextDelta("some words of an answer"), 60.0])
    world = world_of("1", {"openai/a": provider}, paid("openai/a"))
    task = asyncio.create_task(ask(world))
    while not provider.calls:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert purse_of(world).held == {}
    assert 0 < purse_of(world).spent[ALICE.user_id] < Decimal("0.001")


async def test_many_at_once_never_hold_more_than_there_is() -> None:
    end = GenerationFinished(FinishReason.STOP, 7, 100)
    provider = FakeProvider([0.01, TextDelta("x"), end])
    world = world_of("0.01", {"openai/a": provider}, paid("openai/a"))
    request = request_of(parameters=GenerationParameters(max_tokens=100))

    ends = await asyncio.gather(
        *(world.flow.complete(request) for _ in range(50)), return_exceptions=True
    )

    refused = [end for end in ends if isinstance(end, BudgetExceeded)]
    assert 0 < len(refused) < 50
    assert len(provider.calls) == 50 - len(refused)
    assert purse_of(world).held == {}


# ------------------------------------------------------------- shared answers, who pays


def shared_world(alice: str, bob: str, provider: FakeProvider) -> World:
    """A world with a prompt whose answers all users of a tenant share."""
    shared = CacheSettings(sharing=CacheSharing.TENANT)
    prompt, version = asked_of("Translate: {{text}}", "text", settings=shared)
    return World(
        {"openai/a": provider},
        models=[paid("openai/a")],
        store=Purse(limits={ALICE.user_id: Decimal(alice), BOB.user_id: Decimal(bob)}),
        cache_limits=CacheLimits(lookup_timeout_s=5.0),
        prompts=FakePromptStore({prompt.id: prompt}, {version.id: replace(version, version=1)}),
    )


async def begun(world: World, provider: FakeProvider) -> list[asyncio.Task[Completion]]:
    """Alice, who asks, and Bob, who asks the same while she is being answered."""
    tasks = []
    for caller in (ALICE, BOB):
        asked = replace(of_prompt({"text": "cats"}), caller=caller)
        tasks.append(asyncio.create_task(world.flow.complete(asked, ignore)))
        while not provider.calls:
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
    return tasks


async def ignore(_event: object) -> None: ...


async def test_who_may_not_pay_leaves_the_question_to_the_others() -> None:
    provider = answering("x")
    world = shared_world("0", "1", provider)
    requests = [replace(of_prompt({"text": "cats"}), caller=caller) for caller in (ALICE, BOB)]

    alice, bob = await asyncio.gather(
        *(world.flow.complete(request) for request in requests), return_exceptions=True
    )

    assert isinstance(alice, BudgetExceeded)
    assert isinstance(bob, Completion) and bob.text == "x"
    assert len(provider.calls) == 1
    assert bob.decision.cache is not None and bob.decision.cache.outcome is CacheOutcome.MISS
    assert [record.error_code for record in world.store.settled] == [
        ErrorCode.BUDGET_EXCEEDED,
        None,
    ]
    assert purse_of(world).spent[BOB.user_id] > 0


async def test_who_leaves_gives_back_only_when_somebody_else_holds_as_much() -> None:
    provider = FakeProvider([TextDelta("some words"), 0.2, *answering("x").script])
    world = shared_world("1", "1", provider)
    alice, bob = await begun(world, provider)

    alice.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alice

    assert (await bob).text == "some wordsx"
    assert len(provider.calls) == 1
    assert purse_of(world).spent[ALICE.user_id] == 0
    assert purse_of(world).spent[BOB.user_id] > 0
    assert purse_of(world).held == {}


async def test_who_leaves_goes_on_to_pay_where_nobody_else_may() -> None:
    provider = FakeProvider([TextDelta("some words"), 0.2, *answering("x").script])
    world = shared_world("1", "0", provider)
    alice, bob = await begun(world, provider)

    alice.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alice
    with pytest.raises(BudgetExceeded):
        await bob

    assert len(provider.calls) == provider.closed == 1
    assert purse_of(world).spent[ALICE.user_id] > 0
    assert purse_of(world).spent[BOB.user_id] == 0
    assert purse_of(world).held == {}


async def test_an_answer_that_ends_while_it_is_passed_on_is_paid_for_once() -> None:
    class SlowForBob(Purse):
        async def open(self, completion, stake, *, is_more=False):  # type: ignore[no-untyped-def]
            if completion.caller.user_id == BOB.user_id:
                await asyncio.sleep(0.3)
            return await super().open(completion, stake, is_more=is_more)

    provider = FakeProvider([TextDelta("some words"), 0.1, *answering("x").script])
    world = shared_world("1", "1", provider)
    purse = SlowForBob(limits=purse_of(world).limits)
    world = replace(world, store=purse)
    alice, bob = await begun(world, provider)

    alice.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alice

    assert (await bob).text == "some wordsx"
    assert len(provider.calls) == 1
    assert purse.spent[ALICE.user_id] > 0
    assert purse.spent[BOB.user_id] == 0
    assert purse.held == {}


async def test_of_several_who_wait_the_first_one_pays_who_may() -> None:
    provider = FakeProvider([TextDelta("some words"), 0.2, *answering("x").script])
    world = shared_world("1", "0", provider)
    alice, bob = await begun(world, provider)
    carol = asyncio.create_task(
        world.flow.complete(
            replace(of_prompt({"text": "cats"}), caller=replace(ALICE, user_id="carol")), ignore
        )
    )
    await asyncio.sleep(0.02)

    alice.cancel()
    ends = await asyncio.gather(alice, bob, carol, return_exceptions=True)

    assert isinstance(ends[0], asyncio.CancelledError)
    assert isinstance(ends[1], BudgetExceeded)
    # Who has no budget at all may pay for anything.
    assert isinstance(ends[2], Completion) and ends[2].text == "some wordsx"
    assert purse_of(world).held == {}


async def test_an_answer_without_a_limit_is_not_passed_on_to_somebody_with_a_budget() -> None:
    provider = FakeProvider([TextDelta("some words"), 0.2, *answering("x").script])
    world = shared_world("1", "1", provider)
    del purse_of(world).limits[ALICE.user_id]
    alice, bob = await begun(world, provider)

    alice.cancel()
    ends = await asyncio.gather(alice, bob, return_exceptions=True)

    assert isinstance(ends[1], BudgetExceeded)
    assert purse_of(world).spent[ALICE.user_id] > 0
    assert purse_of(world).held == {}

"""Counting tokens before a call, and learning from what was counted after it."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.completion import Message, MessageRole
from assistant.domain.model import Model, ProviderConfig, ProviderKind
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.tokens import TokenCount, TokenMethod
from assistant.services.token_counting import TokenCounting
from tests.unit.token_fakes import (
    FakeTokenizer,
    FakeTokenizers,
    FakeTokenSums,
    model,
    prompt,
    random_prompt,
    syllables,
    words,
)

LONG = prompt("some words of a text that is counted " * 40, "and another one " * 20)


def text_tokens(asked: RenderedPrompt, count: Callable[[str], int]) -> int:
    return sum(count(message.content) for message in asked.messages)


def unheard_of(asked: RenderedPrompt) -> int:
    """What a model counts whose vocabulary nobody knows: between the references, and its framing."""
    own = 0.3 * text_tokens(asked, words) + 1.1 * text_tokens(asked, syllables)
    return round(own) + 7 * len(asked.messages) + 12


async def count(counting: TokenCounting, asked: RenderedPrompt, of: Model) -> TokenCount:
    return (await counting.count(asked, [of]))[of.id]


async def teach(
    counting: TokenCounting,
    of: Model,
    samples: int,
    reported: Callable[[RenderedPrompt], int],
    seed: int = 1,
) -> None:
    chance = random.Random(seed)
    for _ in range(samples):
        asked = random_prompt(chance)
        await counting.count(asked, [of])
        counting.learn(asked, of, reported(asked))


async def error_of(
    counting: TokenCounting, of: Model, right: Callable[[RenderedPrompt], int] = unheard_of
) -> float:
    """The mean relative error on prompts that were not learnt from."""
    chance = random.Random(99)
    asked = [random_prompt(chance) for _ in range(50)]
    errors = [
        abs((await count(counting, each, of)).tokens - right(each)) / right(each) for each in asked
    ]
    return sum(errors) / len(errors)


# ------------------------------------------------------------------ the three methods


async def test_a_model_that_nothing_is_known_of_is_estimated_between_the_references() -> None:
    counted = await count(TokenCounting(FakeTokenizers(), FakeTokenSums()), LONG, model())

    assert counted.method is TokenMethod.ESTIMATE
    assert counted.error is None
    low, high = text_tokens(LONG, words), text_tokens(LONG, syllables)
    assert low < counted.tokens < high + 20


async def test_reports_calibrate_a_model() -> None:
    counting = TokenCounting(FakeTokenizers(), FakeTokenSums())
    assert await error_of(counting, model()) > 0.2

    await teach(counting, model(), 40, unheard_of)

    counted = await count(counting, LONG, model())
    assert counted.method is TokenMethod.CALIBRATED
    assert counted.tokens == pytest.approx(unheard_of(LONG), rel=0.05)
    assert counted.error is not None
    assert counted.error < 0.05
    assert await error_of(counting, model()) < 0.02


async def test_a_few_reports_change_nothing_yet() -> None:
    counting = TokenCounting(FakeTokenizers(), FakeTokenSums())
    before = await count(counting, LONG, model())

    await teach(counting, model(), 19, unheard_of)

    assert await count(counting, LONG, model()) == before


async def test_a_calibration_that_is_no_better_is_not_used() -> None:
    counting = TokenCounting(FakeTokenizers(), FakeTokenSums())
    chance = random.Random(5)
    estimated: dict[int, int] = {}

    async def estimate(asked: RenderedPrompt) -> int:
        return (
            await count(TokenCounting(FakeTokenizers(), FakeTokenSums()), asked, model())
        ).tokens

    for _ in range(60):
        asked = random_prompt(chance)
        estimated[id(asked)] = await estimate(asked)
        await counting.count(asked, [model()])
        counting.learn(asked, model(), estimated[id(asked)])

    counted = await count(counting, LONG, model())
    assert counted.tokens == pytest.approx(await estimate(LONG), rel=0.01)
    assert counted.error is not None
    assert counted.error < 0.01


async def test_a_vocabulary_at_hand_counts_exactly() -> None:
    own = FakeTokenizer("own", words)
    counting = TokenCounting(FakeTokenizers({"m": own}), FakeTokenSums())

    counted = await count(counting, LONG, model())

    assert counted == TokenCount(text_tokens(LONG, words) + 2 * 5 + 4, TokenMethod.EXACT, None)


async def test_reports_teach_what_a_provider_adds_to_exact_texts() -> None:
    counting = TokenCounting(FakeTokenizers({"m": FakeTokenizer("own", words)}), FakeTokenSums())

    def reported(asked: RenderedPrompt) -> int:
        has_system = asked.messages[0].role is MessageRole.SYSTEM
        return text_tokens(asked, words) + 3 * len(asked.messages) + 40 + 9 * has_system

    await teach(counting, model(), 40, reported)
    short = prompt("Hello")
    counted = await count(counting, short, model())

    assert counted.method is TokenMethod.EXACT
    assert counted.tokens == pytest.approx(reported(short), abs=1)
    assert counted.error is not None
    assert counted.error < 0.05


async def test_a_system_messages_own_framing_is_learnt() -> None:
    counting = TokenCounting(FakeTokenizers({"m": FakeTokenizer("own", words)}), FakeTokenSums())
    roles = (MessageRole.SYSTEM, MessageRole.USER)
    for turn in range(60):
        asked = prompt("Be brief.", f"Hello {turn}", roles=roles) if turn % 2 else prompt("Hello")
        await counting.count(asked, [model()])
        counting.learn(asked, model(), text_tokens(asked, words) + (50 if turn % 2 else 10))

    for asked, framing in ((prompt("Hi"), 10), (prompt("Be so.", "Hi", roles=roles), 50)):
        counted = await count(counting, asked, model())
        assert counted.tokens == pytest.approx(text_tokens(asked, words) + framing, abs=1)


async def test_a_vocabulary_that_proves_not_to_be_the_models_is_given_up() -> None:
    """A name says llama3, and the model behind it has other tokens."""
    counting = TokenCounting(FakeTokenizers({"m": FakeTokenizer("own", words)}), FakeTokenSums())

    await teach(counting, model(), 80, unheard_of)

    assert (await count(counting, LONG, model())).method is TokenMethod.CALIBRATED
    assert await error_of(counting, model()) < 0.03


async def test_models_are_counted_together_each_its_own_way() -> None:
    tokenizers = FakeTokenizers({"known": FakeTokenizer("own", words)})
    counting = TokenCounting(tokenizers, FakeTokenSums())
    models = [model("known"), model("strange"), model("strange", provider="q")]

    counted = await counting.count(LONG, models)

    assert [counted[each.id].method for each in models] == [
        TokenMethod.EXACT,
        TokenMethod.ESTIMATE,
        TokenMethod.ESTIMATE,
    ]
    assert len(tokenizers.references[0].calls) == len(LONG.messages)


async def test_a_tenants_provider_of_the_same_name_is_another_model() -> None:
    counting, of = TokenCounting(FakeTokenizers(), FakeTokenSums()), model()
    theirs = ProviderConfig("p", ProviderKind.OLLAMA, tenant_id="acme")
    await teach(counting, of, 40, unheard_of)

    assert (await counting.count(LONG, [of]))[of.id].method is TokenMethod.CALIBRATED
    counted = (await counting.count(LONG, [of], {"p": theirs}))[of.id]
    assert counted.method is TokenMethod.ESTIMATE


# ------------------------------------------------------------------ what it costs


async def test_the_same_prompt_is_counted_once() -> None:
    tokenizers = FakeTokenizers({"m": FakeTokenizer("own", words)})
    counting = TokenCounting(tokenizers, FakeTokenSums())

    first = await counting.count(LONG, [model(), model("strange")])
    counting.learn(LONG, model("strange"), 700)
    again = await counting.count(replace(LONG), [model(), model("strange")])

    assert first == again
    assert len(tokenizers.references[0].calls) == len(LONG.messages)
    assert len(tokenizers.own["m"].calls) == len(LONG.messages)  # type: ignore[attr-defined]


async def test_a_model_is_looked_up_once() -> None:
    tokenizers = FakeTokenizers()
    counting = TokenCounting(tokenizers, FakeTokenSums())

    for _ in range(3):
        await counting.count(LONG, [model(), model("other")])

    assert len(tokenizers.asked) == 2


async def test_a_long_prompt_is_counted_in_a_thread_and_teaches_too() -> None:
    counting, of = TokenCounting(FakeTokenizers(), FakeTokenSums()), model()
    chance = random.Random(3)
    for _ in range(40):
        asked = prompt(" ".join("abcdefghijkl"[: chance.randint(1, 12)] for _ in range(8_000)))
        await counting.count(asked, [of])
        counting.learn(asked, of, unheard_of(asked))

    assert (await count(counting, LONG, of)).method is TokenMethod.CALIBRATED


# ------------------------------------------------------------------ reports to be wary of


@pytest.mark.parametrize("tokens", [0, -1, 3, 100_000, 200_000, 10**9])
async def test_a_report_that_cannot_be_of_the_prompt_teaches_nothing(tokens: int) -> None:
    store = FakeTokenSums()
    counting = TokenCounting(FakeTokenizers(), store)
    await counting.count(LONG, [model()])

    counting.learn(LONG, model(), tokens)
    await counting.save()

    assert store.rows == {}


async def test_a_report_at_the_windows_edge_teaches_nothing() -> None:
    store = FakeTokenSums()
    counting, of = TokenCounting(FakeTokenizers(), store), model(window=600)
    await counting.count(LONG, [of])

    counting.learn(LONG, of, 600)
    await counting.save()

    assert store.rows == {}


@pytest.mark.parametrize("share", [0.1, 0.3])
async def test_reports_without_their_cached_tokens_do_not_spoil_what_is_learnt(
    share: float,
) -> None:
    """Old Ollama servers report only what they had not in their cache."""
    chance = random.Random(8)

    def reported(asked: RenderedPrompt) -> int:
        whole = unheard_of(asked)
        return max(int(whole * chance.uniform(0.3, 0.8)), 1) if chance.random() < share else whole

    counting = TokenCounting(FakeTokenizers(), FakeTokenSums())
    await teach(counting, model(), 400, reported)

    assert await error_of(counting, model()) < 0.05


async def test_a_changed_chat_template_is_learnt() -> None:
    counting, of = TokenCounting(FakeTokenizers(), FakeTokenSums()), model()
    await teach(counting, of, 500, unheard_of)

    def changed(asked: RenderedPrompt) -> int:
        return unheard_of(asked) + 30

    before = await error_of(counting, of, changed)
    await teach(counting, of, 1_500, changed, seed=2)

    assert await error_of(counting, of, changed) < before / 3


@pytest.mark.parametrize("name", ["x" * 257, "a\0b", "\ud800", ""])
async def test_a_name_that_the_database_does_not_take_is_counted_and_not_learnt(name: str) -> None:
    store, of = FakeTokenSums(), model(name)
    counting = TokenCounting(FakeTokenizers(), store)
    assert (await count(counting, LONG, of)).tokens > 0

    counting.learn(LONG, of, 600)
    await counting.save()

    assert store.rows == {}


async def test_a_model_that_was_never_counted_is_not_learnt() -> None:
    store = FakeTokenSums()
    counting = TokenCounting(FakeTokenizers(), store)

    counting.learn(LONG, model(), 600)
    await counting.save()

    assert store.rows == {}


TEXTS = st.text(st.characters(exclude_categories=()), max_size=200)  # halves of surrogates too


@given(st.lists(TEXTS, min_size=1, max_size=4), st.integers(-10, 10_000))
async def test_no_text_and_no_report_raises_or_counts_below_zero(
    contents: list[str], reported: int
) -> None:
    counting = TokenCounting(FakeTokenizers({"m": FakeTokenizer("own", words)}), FakeTokenSums())
    asked = prompt(*contents)
    models = [model(), model("strange")]

    for _ in range(3):
        counted = await counting.count(asked, models)
        assert all(each.tokens > 0 for each in counted.values())
        for each in models:
            counting.learn(asked, each, reported)


@given(st.lists(st.integers(1, 3_000), min_size=30, max_size=60))
async def test_whatever_is_reported_a_count_stays_within_reason(reports: list[int]) -> None:
    counting, of = TokenCounting(FakeTokenizers(), FakeTokenSums()), model()
    estimated = (await count(counting, LONG, of)).tokens
    for index, tokens in enumerate(reports):
        asked = prompt(f"{index} is a number " * (index % 7 + 1))
        await counting.count(asked, [of])
        counting.learn(asked, of, tokens)

    counted = await count(counting, LONG, of)
    assert estimated / 3 - 1 <= counted.tokens <= estimated * 3 + 51


# ------------------------------------------------------------------ replicas


async def test_what_is_learnt_outlives_the_process() -> None:
    store, of = FakeTokenSums(), model()
    first = TokenCounting(FakeTokenizers(), store)
    await teach(first, of, 40, unheard_of)
    await first.save()

    second = TokenCounting(FakeTokenizers(), store)
    await second.save()

    assert await count(second, LONG, of) == await count(first, LONG, of)
    assert (await count(second, LONG, of)).method is TokenMethod.CALIBRATED


async def test_replicas_learn_from_each_other() -> None:
    store, of = FakeTokenSums(), model()
    replicas = [TokenCounting(FakeTokenizers(), store) for _ in range(3)]
    for seed, replica in enumerate(replicas):
        await teach(replica, of, 15, unheard_of, seed=seed)
        assert (await count(replica, LONG, of)).method is TokenMethod.ESTIMATE
    for replica in (*replicas, *replicas):
        await replica.save()

    counted = [await count(replica, LONG, of) for replica in replicas]
    assert len(set(counted)) == 1
    assert counted[0].method is TokenMethod.CALIBRATED
    (row,) = store.rows.values()
    assert row.samples == 45


async def test_a_database_that_is_down_costs_nothing_that_was_learnt() -> None:
    store, of = FakeTokenSums(), model()
    counting = TokenCounting(FakeTokenizers(), store)
    store.is_down = True
    await teach(counting, of, 25, unheard_of)
    await counting.save()
    await teach(counting, of, 25, unheard_of, seed=2)
    await counting.save()
    before = await count(counting, LONG, of)

    store.is_down = False
    await counting.save()

    (row,) = store.rows.values()
    assert row.samples == 50
    assert (await count(counting, LONG, of)).tokens == before.tokens
    await counting.save()
    assert store.rows == {(row.key, row.basis): row}


async def test_nothing_new_writes_nothing_and_a_tenant_is_asked_for_once() -> None:
    store = FakeTokenSums()
    counting = TokenCounting(FakeTokenizers(), store)
    theirs = ProviderConfig("p", ProviderKind.OLLAMA, tenant_id="acme")
    await counting.count(LONG, [model()], {"p": theirs})

    await counting.save()
    assert sorted(store.exchanges) == ["acme", "platform"]

    await counting.save()
    assert sorted(store.exchanges) == ["acme", "platform", "platform"]
    assert store.rows == {}


async def test_sums_of_another_form_are_ignored() -> None:
    store, of = FakeTokenSums(), model()
    first = TokenCounting(FakeTokenizers(), store)
    await teach(first, of, 30, unheard_of)
    await first.save()
    for place, row in list(store.rows.items()):
        store.rows[place] = replace(row, sums=(1.0, 2.0))
    second = TokenCounting(FakeTokenizers(), store)
    await second.save()

    assert (await count(second, LONG, of)).method is TokenMethod.ESTIMATE


async def test_messages_are_not_kept() -> None:
    """Numbers only: whoever reads this process's memory later finds no prompt of ours."""
    counting = TokenCounting(FakeTokenizers(), FakeTokenSums())
    for index in range(5):
        asked = prompt(f"secret number {index}")
        await counting.count(asked, [model()])
        counting.learn(asked, model(), 15)
    del asked
    counting._tokenizers.references[0].calls.clear()  # type: ignore[attr-defined]
    counting._tokenizers.references[1].calls.clear()  # type: ignore[attr-defined]
    gc.collect()

    kept = [each for each in gc.get_objects() if isinstance(each, Message)]
    assert not any("secret number" in message.content for message in kept)

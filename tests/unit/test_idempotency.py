"""A retry is free: what is asked again under its key is answered by what was done first."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from assistant.domain.cache import CachePolicy
from assistant.domain.caller import Caller
from assistant.domain.completion import (
    CompletionFailed,
    CompletionFinished,
    CompletionStatus,
    FinishReason,
    GenerationFinished,
    GenerationParameters,
    TextDelta,
)
from assistant.domain.idempotency import KeyHolder
from assistant.errors import (
    AssistantError,
    BadUserInput,
    Conflict,
    ErrorCode,
    Forbidden,
    ProviderRejected,
    ProviderUnavailable,
    StorageUnavailable,
    StreamInterrupted,
    StreamUnreadable,
)
from assistant.services.idempotency import fingerprint_of
from tests.unit.asking import Turns
from tests.unit.fake_streams import LOOK_S
from tests.unit.fakes import ALICE, FakeProvider, answering, statuses
from tests.unit.replicas import Replicas, all_of, end_of, take, text_of
from tests.unit.test_runs import EVE, WORDS, talking, until
from tests.unit.world import request_of

KEY = "order-4711"
KEYED = request_of(idempotency_key=KEY)
DONE = (GenerationFinished(FinishReason.STOP, 7, 1),)


def nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(levels):
        document = {"a": document}
    return document


async def test_a_retry_is_free_and_gives_the_first_result() -> None:
    replicas = Replicas({"ollama/a": answering("x")})

    first = await replicas.here.complete(KEYED)
    again = [await replicas.here.complete(KEYED), await replicas.there.complete(KEYED)]

    assert again == [first, first]
    assert replicas.calls == 1
    assert len(replicas.world.store.settled) == 1


async def test_fifty_requests_at_once_with_one_key_make_one_call_and_get_equal_answers() -> None:
    replicas = Replicas({"ollama/a": talking()})

    answers = await asyncio.gather(
        *[(replicas.here if number % 2 else replicas.there).complete(KEYED) for number in range(50)]
    )

    assert len(set(map(repr, answers))) == 1
    assert replicas.calls == 1
    assert len(replicas.world.store.settled) == 1


async def test_after_the_log_has_forgotten_the_ledger_still_knows() -> None:
    replicas = Replicas({"ollama/a": talking()})
    first = await replicas.here.complete(KEYED)
    replicas.log.kept.clear()
    replicas.log.owners.clear()

    assert await replicas.there.complete(KEYED) == first
    told = await all_of(replicas.there.stream(KEYED))
    assert text_of(told) == first.text
    assert end_of(told) == CompletionFinished(first)
    assert replicas.calls == 1


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_stream_joins_a_running_one_from_its_beginning(where: str) -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(KEYED)
    first = [await anext(events) for _ in range(5)]

    joined = await all_of(getattr(replicas, where).stream(KEYED))
    first += await all_of(events)

    assert joined == first
    assert replicas.calls == 1


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_stream_joins_a_whole_answer_and_a_whole_answer_a_stream(where: str) -> None:
    replicas = Replicas({"ollama/a": talking()})
    there = getattr(replicas, where)
    whole = asyncio.create_task(replicas.here.complete(KEYED))
    await until(lambda: replicas.calls == 1)
    told = await all_of(there.stream(KEYED))
    assert text_of(told) == (await whole).text == "".join(WORDS)

    replicas = Replicas({"ollama/a": talking()})
    there = getattr(replicas, where)
    events = replicas.here.stream(KEYED)
    await anext(events)
    joined = await there.complete(KEYED)
    assert end_of(await all_of(events)) == CompletionFinished(joined)
    assert replicas.calls == 1


async def test_who_stops_waiting_can_come_back_with_the_key() -> None:
    replicas = Replicas({"ollama/a": talking(pause_s=0.01)})
    waiting = asyncio.create_task(replicas.here.complete(KEYED))
    await until(lambda: replicas.calls == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    answer = await replicas.there.complete(KEYED)

    assert answer.text == "".join(WORDS)
    assert replicas.calls == 1


async def test_a_stream_with_a_key_outlives_a_connection_that_others_do_not() -> None:
    replicas = Replicas({"ollama/a": talking()})

    before = await take(replicas.here.stream(KEYED, survives=False), 3)
    again = await all_of(replicas.here.stream(KEYED, survives=False))

    assert again[:3] == before
    assert replicas.calls == 1


async def test_another_request_with_the_key_is_a_conflict() -> None:
    replicas = Replicas({"ollama/a": answering("x")})
    await replicas.here.complete(KEYED)
    other = replace(KEYED, text="something else")

    with pytest.raises(Conflict, match="new key"):
        await replicas.there.complete(other)
    (event,) = await all_of(replicas.there.stream(other))
    assert isinstance(event.event, CompletionFailed)
    assert event.event.code is ErrorCode.CONFLICT


async def test_two_callers_may_choose_the_same_key() -> None:
    replicas = Replicas({"ollama/a": answering("x")})

    mine = await replicas.here.complete(KEYED)
    hers = await replicas.here.complete(replace(KEYED, caller=EVE))

    assert mine.id != hers.id
    assert replicas.calls == 2


async def test_a_failure_that_may_pass_gives_the_key_back() -> None:
    provider = Turns(
        [], turns=[[ProviderUnavailable("down")], [ProviderUnavailable("down")], [TextDelta("x")]]
    )
    provider.turns = [[ProviderUnavailable("down")]]
    replicas = Replicas({"ollama/a": provider})
    with pytest.raises(ProviderUnavailable):
        await replicas.here.complete(KEYED)
    provider.turns = [answering("x").script]

    assert (await replicas.there.complete(KEYED)).text == "x"


async def test_a_refusal_gives_the_key_back() -> None:
    replicas = Replicas({"ollama/a": answering("x")})
    with pytest.raises(BadUserInput):
        await replicas.here.complete(replace(KEYED, text="  "))

    assert (await replicas.here.complete(KEYED)).text == "x"


async def test_a_failure_that_will_not_pass_is_the_result() -> None:
    replicas = Replicas({"ollama/a": FakeProvider([ProviderRejected("no")])})
    errors: list[AssistantError] = []
    for runs in (replicas.here, replicas.there):
        with pytest.raises(ProviderRejected) as caught:
            await runs.complete(KEYED)
        errors.append(caught.value)

    assert errors[0].completion_id == errors[1].completion_id
    assert str(errors[0]) == str(errors[1])
    assert replicas.calls == 1


async def test_what_was_cancelled_is_the_result() -> None:
    replicas = Replicas({"ollama/a": FakeProvider([TextDelta("Once"), 60.0])})
    events = replicas.here.stream(KEYED)
    started = await anext(events)
    cancelled = await replicas.here.cancel(ALICE, started.completion_id)

    assert await replicas.there.complete(KEYED) == cancelled
    await all_of(events)


@pytest.mark.parametrize("mode", ["whole", "stream"])
async def test_a_retry_after_the_replica_has_died_completes(mode: str) -> None:
    provider = Turns([], turns=[[TextDelta("Once"), 60.0], answering("x").script])
    replicas = Replicas({"ollama/a": provider})
    events = replicas.here.stream(KEYED)
    before = [await anext(events), await anext(events)]
    replicas.log.stop_writing(before[0].completion_id)

    if mode == "whole":
        assert (await replicas.there.complete(KEYED)).text == "x"
    else:
        again = await all_of(replicas.there.stream(KEYED))
        assert text_of(again) == "x"
        assert again[0].completion_id != before[0].completion_id
    assert replicas.calls == 2
    await events.aclose()


async def test_who_waits_for_a_whole_answer_when_its_replica_dies_gets_another() -> None:
    provider = Turns([], turns=[[TextDelta("Once"), 60.0], answering("x").script])
    replicas = Replicas({"ollama/a": provider})
    events = replicas.here.stream(KEYED)
    started = await anext(events)
    replicas.log.write()
    waiting = asyncio.create_task(replicas.there.complete(KEYED))
    await asyncio.sleep(0.05)  # it follows

    replicas.log.stop_writing(started.completion_id)

    assert (await waiting).text == "x"
    assert replicas.calls == 2
    await events.aclose()


async def test_while_nobody_knows_whether_the_first_one_runs_it_is_not_begun_again() -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(KEYED)
    started = await anext(events)
    running = await replicas.here.cancel(ALICE, started.completion_id)
    assert running is not None
    replicas.store.settled = []
    replicas.store.running = [replace(running, status=CompletionStatus.RUNNING)]
    replicas.log.kept.clear()
    replicas.log.owners.clear()

    with pytest.raises(StreamInterrupted, match="cleared up") as caught:
        await replicas.there.complete(KEYED)

    assert caught.value.is_retryable
    assert caught.value.retry_after_s
    assert replicas.calls == 1
    await all_of(events)


@pytest.mark.parametrize("key", ["short", "x" * 65, "with a space", "schlüssel-1", ""])
async def test_a_key_that_is_none_is_refused_and_counted(key: str) -> None:
    replicas = Replicas({"ollama/a": answering("x")})

    with pytest.raises(BadUserInput, match="idempotencyKey"):
        await replicas.here.complete(replace(KEYED, idempotency_key=key))

    assert statuses(replicas.world.store.settled) == [CompletionStatus.FAILED]
    assert not replicas.keys.holders


async def test_who_may_not_ask_gets_nothing_for_a_key() -> None:
    replicas = Replicas({"ollama/a": answering("x")})
    await replicas.here.complete(KEYED)
    stripped = Caller("acme", "alice", "web", frozenset())

    with pytest.raises(Forbidden):
        await replicas.here.complete(replace(KEYED, caller=stripped))


def test_the_fingerprint_is_of_what_is_asked_and_of_nothing_else() -> None:
    def of(**fields: object) -> bytes:
        return fingerprint_of(request_of(**fields))

    first = of(variables={"a": 1, "b": "ü"}, metadata={"run": str(UUID(int=1))})
    assert first == of(variables={"b": "u\u0308", "a": 1}, metadata={"run": str(UUID(int=1))})
    assert first == of(
        variables={"a": 1, "b": "ü"},
        metadata={"run": str(UUID(int=1))},
        idempotency_key=KEY,
        caller=EVE,
    )
    others = [
        of(variables={"a": 2, "b": "ü"}, metadata={"run": str(UUID(int=1))}),
        of(variables={"a": 1, "b": "ü"}),
        of(cache=CachePolicy.BYPASS),
        of(parameters=GenerationParameters(temperature=0.5)),
        of(model="ollama/a"),
    ]
    assert len({first, *others}) == 6


@pytest.mark.parametrize("stop", ["left", "shutdown"])
async def test_an_answer_that_was_settled_as_it_was_stopped_is_not_paid_for_again(
    stop: str,
) -> None:
    replicas = Replicas({"ollama/a": answering("x")}, grace_s=0.0 if stop == "left" else 30.0)
    replicas.world.store.settle_delay_s = 0.05
    events = replicas.here.stream(KEYED)
    started = [await anext(events), await anext(events)]
    if stop == "shutdown":
        await replicas.here.local.close()
    await events.aclose()

    again = await replicas.there.complete(KEYED)

    assert (again.id, again.text) == (started[0].completion_id, "x")
    assert replicas.calls == 1


async def test_a_key_whose_claim_took_long_belongs_to_who_has_it() -> None:
    replicas = Replicas({"ollama/a": talking()})
    claim = replicas.keys.claim

    async def slowly(*claimed: Any) -> KeyHolder:
        holder = await claim(*claimed)
        if replicas.world.clock.time.year != 2027:
            replicas.world.clock.time = replicas.world.clock.time.replace(year=2027)
            await asyncio.sleep(LOOK_S)  # it is durable, and its answer on the way
        return holder

    replicas.keys.claim = slowly  # type: ignore[method-assign]
    first = asyncio.create_task(all_of(replicas.here.stream(KEYED)))
    await until(lambda: bool(replicas.keys.holders))

    second = await all_of(replicas.there.stream(KEYED))

    assert second == await first
    assert replicas.calls == 1


@pytest.mark.parametrize("fields", [{"text": "\ud800"}, {"metadata": {"a": nested(900)}}])
async def test_a_request_that_nothing_can_carry_is_told_so_with_a_key_as_well(
    fields: dict[str, Any],
) -> None:
    replicas = Replicas({"ollama/a": answering("x")})

    (event,) = await all_of(replicas.here.stream(replace(KEYED, **fields)))

    assert isinstance(event.event, CompletionFailed)
    assert event.event.code is ErrorCode.BAD_USER_INPUT
    assert not replicas.keys.holders


async def test_who_has_joined_a_stream_that_cannot_be_read_on_is_told_of_no_end() -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(KEYED)
    first = [await anext(events), await anext(events)]
    joined = replicas.there.stream(KEYED)
    had = [await anext(joined)]
    replicas.log.outage = StorageUnavailable("away")

    with pytest.raises(StreamUnreadable) as caught:
        async for event in joined:
            had.append(event)

    assert caught.value.last_event_id == str(had[-1].id)
    first += await all_of(events)
    assert had == first[: len(had)]
    assert isinstance(end_of(first), CompletionFinished)


async def test_what_was_settled_by_one_that_was_taken_for_dead_is_found_in_the_ledger() -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(KEYED)
    before = [await anext(events), await anext(events)]
    id_ = before[0].completion_id
    replicas.log.stop_writing(id_)
    await all_of(replicas.there.resume(ALICE, id_, before[-1].id))  # who ends it
    await all_of(events)

    again = await replicas.there.complete(KEYED)

    assert (again.id, again.text) == (id_, "".join(WORDS))
    assert replicas.calls == 1


async def test_who_waits_for_a_whole_answer_that_is_made_here_needs_no_log() -> None:
    words = [f"{number:04} " * 200 for number in range(1_500)]  # too long to be joined
    replicas = Replicas({"ollama/a": FakeProvider([*map(TextDelta, words), 0.3, *DONE])})
    events = replicas.here.stream(KEYED)
    started = await anext(events)

    def is_written() -> bool:
        replicas.log.write()
        return len(replicas.log.written[started.completion_id]) > len(words)

    await until(is_written)
    replicas.log.outage = StorageUnavailable("away")

    answer = await replicas.here.complete(KEYED)

    assert answer.text == "".join(words)
    await events.aclose()

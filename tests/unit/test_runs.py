"""Streams that outlive their connection, and completions that are stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import (
    Completion,
    CompletionFailed,
    CompletionFinished,
    CompletionStarted,
    CompletionStatus,
    FinishReason,
    GenerationFinished,
    TextDelta,
)
from assistant.domain.stream import EventId
from assistant.errors import (
    AssistantError,
    ErrorCode,
    NotFound,
    ProviderRejected,
    ReaderTooSlow,
    ResumeExpired,
)
from tests.unit.fakes import ALICE, FakeClock, FakeProvider, answering, statuses
from tests.unit.replicas import Replicas, all_of, end_of, take, text_of
from tests.unit.world import request_of

EVE = Caller("acme", "eve", "web", frozenset({Scope.COMPLETE}))
MALLORY = Caller("evil", "alice", "web", frozenset({Scope.COMPLETE}))
ADMIN = Caller("acme", "root", None, frozenset({Scope.ADMIN}))
SERVICE = Caller("acme", None, "web", frozenset({Scope.COMPLETE}))

WORDS = [f"word{number} " for number in range(20)]


def talking(*, pause_s: float = 0.002, words: list[str] = WORDS) -> FakeProvider:
    """Says one word after the other, which no reader who reads on will find joined."""
    script = [each for word in words for each in (TextDelta(word), pause_s)]
    return FakeProvider([*script, GenerationFinished(FinishReason.STOP, 7, len(words))])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_stream_survives_its_connection_wherever_it_is_cut(where: str) -> None:
    for cut in range(1, len(WORDS) + 3):
        replicas = Replicas({"ollama/a": talking()})

        before = await take(replicas.here.stream(request_of()), cut)
        id_ = before[0].completion_id
        after = await all_of(getattr(replicas, where).resume(ALICE, id_, before[-1].id))

        events = before + after
        assert [event.sequence for event in events] == list(range(len(events)))
        assert isinstance(events[0].event, CompletionStarted)
        assert text_of(events) == "".join(WORDS)
        assert isinstance(end_of(events), CompletionFinished)
        assert replicas.calls == 1
        assert statuses(replicas.world.store.settled) == [CompletionStatus.SUCCEEDED]


@pytest.mark.parametrize("where", ["here", "there"])
async def test_it_is_known_whether_a_reader_has_had_everything(where: str) -> None:
    replicas = Replicas({"ollama/a": talking()})
    runs = getattr(replicas, where)
    events = replicas.here.stream(request_of())
    first = await anext(events)
    id_ = first.completion_id
    assert not await runs.is_over(ALICE, id_, first.id)

    last = (await all_of(events))[-1]
    await asyncio.sleep(0.01)

    assert await runs.is_over(ALICE, id_, last.id)
    assert not await runs.is_over(ALICE, id_, EventId(id_, last.sequence - 1))
    assert not await runs.is_over(ALICE, id_, None)
    with pytest.raises(NotFound):
        await runs.is_over(EVE, id_, last.id)
    with pytest.raises(NotFound):
        await runs.is_over(ALICE, replicas.world.clock.new_id(), last.id)
    replicas.log.owners.clear()
    with pytest.raises(ResumeExpired):
        await runs.is_over(ALICE, id_, last.id)


@pytest.mark.parametrize("is_ended", [False, True])
async def test_an_event_that_has_not_been_is_no_place_to_go_on_from(is_ended: bool) -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(request_of())
    id_ = (await anext(events)).completion_id
    if is_ended:
        await all_of(events)
        await asyncio.sleep(0.01)

    (refused,) = await all_of(replicas.here.resume(ALICE, id_, EventId(id_, 99_999)))

    assert isinstance(refused.event, CompletionFailed)
    assert refused.event.code is ErrorCode.BAD_USER_INPUT
    assert "has" in refused.event.message
    await events.aclose()


async def test_without_an_event_to_go_on_from_a_stream_is_told_from_its_beginning() -> None:
    replicas = Replicas({"ollama/a": talking()})
    first = await take(replicas.here.stream(request_of()), 3)

    again = await all_of(replicas.there.resume(ALICE, first[0].completion_id, None))

    assert again[:3] == first
    assert text_of(again) == "".join(WORDS)


async def test_a_stream_that_nobody_reads_is_stopped_after_the_grace_and_charged() -> None:
    provider = FakeProvider([TextDelta("Once"), 60.0])
    replicas = Replicas({"ollama/a": provider}, grace_s=0.05)
    started = await take(replicas.here.stream(request_of()), 2)

    assert replicas.world.ledger.running == 1  # the grace has only begun
    await until(lambda: replicas.world.ledger.running == 0)

    (settled,) = replicas.world.store.settled
    assert settled.status is CompletionStatus.CANCELLED
    assert settled.usage.completion_tokens > 0
    assert provider.closed == 1
    rest = await all_of(replicas.there.resume(ALICE, settled.id, started[-1].id))
    end = end_of(rest)
    assert isinstance(end, CompletionFailed)
    assert (end.code, end.is_retryable) == (ErrorCode.CANCELLED, True)


async def test_without_a_grace_closing_a_stream_returns_when_it_is_settled() -> None:
    provider = FakeProvider([TextDelta("Once"), 60.0])
    replicas = Replicas({"ollama/a": provider}, grace_s=0.0)

    await take(replicas.here.stream(request_of()), 2)

    assert statuses(replicas.world.store.settled) == [CompletionStatus.CANCELLED]
    assert provider.closed == 1


async def test_a_stream_that_shall_not_survive_ends_with_its_connection() -> None:
    replicas = Replicas({"ollama/a": FakeProvider([TextDelta("Once"), 60.0])})

    await take(replicas.here.stream(request_of(), survives=False), 2)

    assert statuses(replicas.world.store.settled) == [CompletionStatus.CANCELLED]


async def test_who_reads_on_another_replica_keeps_a_stream_going() -> None:
    replicas = Replicas({"ollama/a": talking(pause_s=0.01)}, grace_s=0.05)
    before = await take(replicas.here.stream(request_of()), 2)

    after = await all_of(replicas.there.resume(ALICE, before[0].completion_id, before[-1].id))

    assert text_of(before + after) == "".join(WORDS)


async def test_who_stops_waiting_for_a_whole_answer_stops_it() -> None:
    provider = FakeProvider([60.0])
    replicas = Replicas({"ollama/a": provider})
    waiting = asyncio.create_task(replicas.here.complete(request_of()))
    await until(lambda: bool(provider.calls))

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert statuses(replicas.world.store.settled) == [CompletionStatus.CANCELLED]


async def test_two_readers_are_told_the_same_under_the_same_numbers() -> None:
    replicas = Replicas({"ollama/a": talking()})
    first = replicas.here.stream(request_of())
    started = await anext(first)

    second = replicas.here.resume(ALICE, started.completion_id, None)
    rest, everything = await asyncio.gather(all_of(first), all_of(second))

    assert [started, *rest] == everything


async def test_deltas_that_nobody_has_read_are_joined_and_none_is_lost() -> None:
    replicas = Replicas({"ollama/a": answering(*"abcdefgh")})
    events = replicas.here.stream(request_of())
    assert isinstance((await anext(events)).event, CompletionStarted)
    await asyncio.sleep(0.01)  # the client is busy; the provider goes on

    received = await all_of(events)

    assert received[0].event == TextDelta("abcdefgh")
    assert isinstance(end_of(received), CompletionFinished)
    assert len(received) == 2


async def test_a_slow_reader_slows_nobody_and_is_dropped_with_where_to_go_on() -> None:
    words = [f"{number:04} " * 200 for number in range(1_500)]  # too long to be joined
    replicas = Replicas({"ollama/a": answering(*words)})
    slow = replicas.here.stream(request_of())
    taken = [await anext(slow)]
    await until(lambda: replicas.world.ledger.running == 0)  # it is ended all the same
    replicas.log.write()
    replicas.log.write()

    with pytest.raises(ReaderTooSlow) as caught:
        async for event in slow:
            taken.append(event)

    assert caught.value.last_event_id == str(taken[-1].id)
    last = EventId.parse(caught.value.last_event_id)
    rest = await all_of(replicas.here.resume(ALICE, last.completion_id, last))
    assert text_of(taken + rest) == "".join(words)
    assert len(statuses(replicas.world.store.settled)) == 1


async def test_what_stays_in_memory_of_long_deltas_is_bounded_by_their_characters() -> None:
    words = [f"{number:04} " * 2_000 for number in range(100)]
    replicas = Replicas({"ollama/a": answering(*words)})
    events = replicas.here.stream(request_of())
    started = await anext(events)
    await until(lambda: replicas.world.ledger.running == 0)

    replicas.log.write()

    with pytest.raises(ReaderTooSlow):
        await all_of(events)
    rest = await all_of(replicas.here.resume(ALICE, started.completion_id, started.id))
    assert text_of(rest) == "".join(words)


@pytest.mark.parametrize("stranger", [EVE, MALLORY])
@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_stream_is_resumed_by_nobody_but_its_owner(where: str, stranger: Caller) -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(request_of())
    started = await anext(events)
    replicas.log.write()
    replicas.world.clock.time = replicas.world.clock.time.replace(year=2027)

    refused = await all_of(
        getattr(replicas, where).resume(stranger, started.completion_id, started.id)
    )

    (event,) = refused
    assert isinstance(event.event, CompletionFailed)
    assert event.event.code is ErrorCode.NOT_FOUND
    await all_of(events)


@pytest.mark.parametrize("where", ["here", "there"])
async def test_what_a_service_asks_for_itself_is_not_that_of_people_who_come_through_it(
    where: str,
) -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(request_of(caller=SERVICE))
    started = await anext(events)
    replicas.log.write()
    runs = getattr(replicas, where)

    (refused,) = await all_of(runs.resume(ALICE, started.completion_id, None))
    own = await all_of(runs.resume(SERVICE, started.completion_id, None))

    assert isinstance(refused.event, CompletionFailed)
    assert refused.event.code is ErrorCode.NOT_FOUND
    assert text_of(own) == "".join(WORDS)
    with pytest.raises(NotFound):
        await runs.cancel(ALICE, started.completion_id)
    await all_of(events)


async def test_what_the_log_has_forgotten_cannot_be_resumed_and_is_not_begun_again() -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = await all_of(replicas.here.stream(request_of()))
    await asyncio.sleep(0.01)
    replicas.log.kept.clear()
    replicas.log.owners.clear()

    (refused,) = await all_of(replicas.here.resume(ALICE, events[0].completion_id, events[4].id))

    assert isinstance(refused.event, CompletionFailed)
    assert refused.event.code is ErrorCode.RESUME_EXPIRED
    assert refused.sequence == 5
    assert replicas.calls == 1


async def test_an_event_of_another_completion_is_no_place_to_go_on_from() -> None:
    replicas = Replicas({"ollama/a": talking()})
    ids = [FakeClock().new_id() for _ in range(2)]

    (refused,) = await all_of(replicas.here.resume(ALICE, ids[0], EventId(ids[1], 3)))

    assert isinstance(refused.event, CompletionFailed)
    assert refused.event.code is ErrorCode.BAD_USER_INPUT


async def test_readers_of_a_dead_replica_are_told_so_and_go_on_from_where_they_were() -> None:
    replicas = Replicas({"ollama/a": FakeProvider([TextDelta("Once"), 60.0])})
    events = replicas.here.stream(request_of())
    before = [await anext(events), await anext(events)]
    replicas.log.stop_writing(before[0].completion_id)

    (event,) = await all_of(replicas.there.resume(ALICE, before[0].completion_id, before[-1].id))

    assert event.sequence == 2
    assert isinstance(event.event, CompletionFailed)
    assert event.event.code is ErrorCode.STREAM_INTERRUPTED
    assert event.event.is_retryable
    await events.aclose()


async def test_who_had_heard_more_than_the_log_is_told_of_the_end_all_the_same() -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(request_of())
    before = [await anext(events), await anext(events)]
    replicas.log.stop_writing(before[0].completion_id)
    before += [await anext(events) for _ in range(5)]

    (event,) = await all_of(replicas.there.resume(ALICE, before[0].completion_id, before[-1].id))

    assert event.sequence == 7
    assert isinstance(event.event, CompletionFailed)
    assert event.event.code is ErrorCode.STREAM_INTERRUPTED
    await events.aclose()


async def test_what_a_dead_replica_had_settled_is_told_to_its_end() -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(request_of())
    before = [await anext(events) for _ in range(4)]
    replicas.log.stop_writing(before[0].completion_id)
    await all_of(events)  # it ends, and dies before it has told the log

    after = await all_of(replicas.there.resume(ALICE, before[0].completion_id, before[-1].id))

    assert isinstance(end_of(after), CompletionFinished)
    assert text_of(before + after) == "".join(WORDS)


async def test_who_was_taken_for_dead_stops_and_says_so() -> None:
    provider = FakeProvider([TextDelta("Once"), 60.0])
    replicas = Replicas({"ollama/a": provider})
    events = replicas.here.stream(request_of())
    before = [await anext(events), await anext(events)]
    id_ = before[0].completion_id
    replicas.log.stop_writing(id_)
    await all_of(replicas.there.resume(ALICE, id_, before[-1].id))

    replicas.log.silent.clear()  # it was not dead
    replicas.log.write()

    end = end_of(await all_of(events))
    assert isinstance(end, CompletionFailed)
    assert end.code is ErrorCode.STREAM_INTERRUPTED
    assert statuses(replicas.world.store.settled) == [CompletionStatus.CANCELLED]
    assert provider.closed == 1


@pytest.mark.parametrize("where", ["here", "there"])
@pytest.mark.parametrize("caller", [ALICE, ADMIN])
async def test_a_completion_is_cancelled_on_any_replica(where: str, caller: Caller) -> None:
    provider = FakeProvider([TextDelta("Once"), 60.0])
    replicas = Replicas({"ollama/a": provider})
    events = replicas.here.stream(request_of())
    before = [await anext(events), await anext(events)]

    cancelled = await getattr(replicas, where).cancel(caller, before[0].completion_id)

    assert cancelled is not None
    assert (cancelled.status, cancelled.finish_reason, cancelled.text) == (
        CompletionStatus.CANCELLED,
        FinishReason.CANCELLED,
        "Once",
    )
    end = end_of(await all_of(events))
    assert isinstance(end, CompletionFinished)
    assert end.completion == cancelled
    assert provider.closed == 1


async def test_a_notice_to_stop_that_was_lost_is_given_again() -> None:
    replicas = Replicas({"ollama/a": FakeProvider([TextDelta("Once"), 60.0])})
    replicas.log.deaf_to = 1
    events = replicas.here.stream(request_of())
    before = [await anext(events), await anext(events)]
    replicas.log.write()

    cancelled = await replicas.there.cancel(ALICE, before[0].completion_id)

    assert cancelled is not None and cancelled.status is CompletionStatus.CANCELLED
    await all_of(events)


async def test_who_waits_for_a_whole_answer_is_told_that_it_was_cancelled() -> None:
    provider = FakeProvider([60.0])
    replicas = Replicas({"ollama/a": provider})
    waiting = asyncio.create_task(replicas.here.complete(request_of()))
    await until(lambda: bool(provider.calls))
    (id_,) = [completion.id for completion in replicas.world.store.opened]

    await replicas.here.cancel(ALICE, id_)

    assert (await waiting).status is CompletionStatus.CANCELLED


@pytest.mark.parametrize("where", ["here", "there"])
async def test_nobody_cancels_what_is_not_theirs(where: str) -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(request_of())
    started = await anext(events)
    replicas.log.write()

    for stranger in (EVE, MALLORY):
        with pytest.raises(NotFound):
            await getattr(replicas, where).cancel(stranger, started.completion_id)

    assert isinstance(end_of(await all_of(events)), CompletionFinished)


async def test_cancelling_what_has_ended_leaves_it_as_it_is() -> None:
    replicas = Replicas({"ollama/a": talking()})
    whole = await replicas.here.complete(request_of())

    assert await replicas.there.cancel(ALICE, whole.id) == whole


async def test_at_a_shutdown_readers_are_told_and_everything_is_settled() -> None:
    replicas = Replicas({"ollama/a": FakeProvider([TextDelta("Once"), 60.0])})
    events = replicas.here.stream(request_of())
    await anext(events)

    await replicas.here.local.close()

    end = end_of(await all_of(events))
    assert isinstance(end, CompletionFailed)
    assert (end.code, end.is_retryable) == (ErrorCode.STREAM_INTERRUPTED, True)
    assert statuses(replicas.world.store.settled) == [CompletionStatus.CANCELLED]


@pytest.mark.parametrize("why", ["asked", "left", "shutdown"])
async def test_an_answer_that_is_being_settled_when_it_is_stopped_is_an_answer(why: str) -> None:
    grace_s = 0.0 if why == "left" else 30.0
    replicas = Replicas({"ollama/a": answering("x")}, grace_s=grace_s)
    replicas.world.store.settle_delay_s = 0.05
    events = replicas.here.stream(request_of())
    started = [await anext(events), await anext(events)]
    id_ = started[0].completion_id
    if why == "asked":
        await replicas.here.cancel(ALICE, id_)
    elif why == "left":
        await events.aclose()
    else:
        await replicas.here.local.close()

    end = end_of(await all_of(replicas.there.resume(ALICE, id_, started[-1].id)))

    assert isinstance(end, CompletionFinished)
    assert end.completion.status is CompletionStatus.SUCCEEDED
    await events.aclose()


async def test_a_failure_that_is_being_settled_when_it_is_cancelled_is_no_answer() -> None:
    replicas = Replicas({"ollama/a": FakeProvider([TextDelta("x"), ProviderRejected("no")])})
    replicas.world.store.settle_delay_s = 0.05
    events = replicas.here.stream(request_of())
    before = [await anext(events), await anext(events)]
    await asyncio.sleep(0.01)

    settled = await replicas.here.cancel(ALICE, before[0].completion_id)

    assert settled is not None and settled.status is CompletionStatus.FAILED
    assert isinstance(end_of(before + await all_of(events)), CompletionFailed)


@pytest.mark.parametrize("where", ["here", "there"])
async def test_cancelling_what_was_refused_says_at_once_that_there_is_nothing(where: str) -> None:
    replicas = Replicas({"ollama/a": answering("x")})
    (refused,) = await all_of(replicas.here.stream(request_of(text=" ")))

    async with asyncio.timeout(1):
        assert await getattr(replicas, where).cancel(ALICE, refused.completion_id) is None


async def test_who_had_heard_a_part_of_what_the_log_lacks_is_told_no_other_part() -> None:
    # The rest is written anew for a dead replica, in other pieces under the same numbers.
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(request_of())
    before = [await anext(events) for _ in range(4)]
    replicas.log.stop_writing(before[0].completion_id)
    before.append(await anext(events))
    await all_of(events)  # it is settled

    after = await all_of(replicas.there.resume(ALICE, before[0].completion_id, before[-1].id))

    end = end_of(before + after)
    assert isinstance(end, CompletionFailed)
    assert end.code is ErrorCode.STREAM_INTERRUPTED


async def test_an_answer_of_which_the_log_has_nothing_is_told_from_its_very_beginning() -> None:
    replicas = Replicas({"ollama/a": talking()})
    keyed = request_of(idempotency_key="order-4711")
    whole = asyncio.create_task(replicas.here.complete(keyed))
    await until(lambda: replicas.calls == 1)
    (id_,) = [completion.id for completion in replicas.world.store.opened]
    replicas.log.stop_writing(id_)
    await whole  # it is settled, and its replica dies

    told = await all_of(replicas.there.stream(keyed))

    assert isinstance(told[0].event, CompletionStarted)
    assert text_of(told) == "".join(WORDS)
    assert isinstance(end_of(told), CompletionFinished)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
async def test_who_leaves_while_the_key_is_claimed_finds_the_completion_running_under_it(
    whole: bool,
) -> None:
    replicas = Replicas({"ollama/a": talking()})
    keyed = request_of(idempotency_key="order-4712")
    asked = replicas.here.complete(keyed) if whole else all_of(replicas.here.stream(keyed))
    leaving = asyncio.create_task(asked)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert replicas.calls == 0
    await until(lambda: bool(replicas.keys.holders))

    told = await all_of(replicas.there.stream(keyed))

    assert isinstance(end_of(told), CompletionFinished)
    assert text_of(told) == "".join(WORDS)
    assert replicas.calls == 1


async def test_who_leaves_while_the_key_is_claimed_and_never_returns_has_a_grace_as_any() -> None:
    replicas = Replicas({"ollama/a": talking(pause_s=1.0)}, grace_s=0.05)
    leaving = asyncio.create_task(
        all_of(replicas.here.stream(request_of(idempotency_key="order-4713")))
    )
    await asyncio.sleep(0)
    leaving.cancel()

    await until(lambda: statuses(replicas.world.store.settled) == [CompletionStatus.CANCELLED])


async def test_a_log_that_has_lost_the_beginning_is_no_reason_to_wait_for_ever() -> None:
    replicas = Replicas({"ollama/a": talking()})
    events = replicas.here.stream(request_of())
    before = [await anext(events) for _ in range(4)]
    id_ = before[0].completion_id
    replicas.log.stop_writing(id_)
    await all_of(events)
    replicas.log.forget(id_, 2)

    async with asyncio.timeout(2):
        after = await all_of(replicas.there.resume(ALICE, id_, before[-1].id))

    end = end_of(after)
    assert isinstance(end, CompletionFailed)
    assert end.code is ErrorCode.STREAM_INTERRUPTED


async def test_a_database_that_does_not_answer_keeps_no_process_alive() -> None:
    answers = asyncio.Event()

    async def complete(_request: object, _emit: object, _id: object) -> Completion:
        while not answers.is_set():  # settles under a shield, as the ledger does
            with suppress(asyncio.CancelledError):
                await answers.wait()
        raise asyncio.CancelledError

    replicas = Replicas({}, complete=complete)
    asking = asyncio.create_task(replicas.here.complete(request_of()))
    await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await replicas.here.local.close()

    answers.set()
    with pytest.raises(AssistantError):
        await asking

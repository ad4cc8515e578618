"""The bytes of a stream's events, each of which a client reads without GraphQL."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from assistant.api.stream_events import NAMED_EVENTS, EventEncoder
from assistant.domain.cache import CacheOutcome
from assistant.domain.completion import (
    Completion,
    CompletionContinued,
    CompletionFailed,
    CompletionFinished,
    CompletionRestarted,
    CompletionStarted,
    CompletionStatus,
    FinishReason,
    ReasoningDelta,
    StreamEvent,
    TextDelta,
    TokenUsage,
)
from assistant.domain.stream import EventId, NumberedEvent
from assistant.errors import ErrorCode, ReaderTooSlow, StreamInterrupted
from tests.unit.fakes import ALICE

ID = UUID("018f0000-0000-7000-8000-000000000001")
VERSION = UUID("018f0000-0000-7000-8000-000000000002")
HEAD = '"eventId":"018f0000-0000-7000-8000-000000000001:7","completionId":"018f0000-0000-7000-8000-000000000001","sequence":7'
ASKED_AT = datetime(2026, 3, 14, 15, 9, 26, 535_897, tzinfo=UTC)
COMPLETION = Completion(
    id=ID,
    caller=ALICE,
    status=CompletionStatus.SUCCEEDED,
    created_at=ASKED_AT,
    model="ollama/llama3.2:3b",
    text="Grüezi",
    finish_reason=FinishReason.STOP,
    prompt_version_id=VERSION,
    usage=TokenUsage(12, 5, 3, is_estimated=True, cost=Decimal("0.00001230"), reasoning_tokens=2),
    cache=CacheOutcome.MISS,
    latency_ms=42,
    json={"greeting": ["Grüezi", None, 1.5]},
)


def encoded(event: StreamEvent) -> str:
    return EventEncoder().encode(NumberedEvent(ID, 7, event)).decode("ascii")


@pytest.mark.parametrize(
    ("event", "name", "fields"),
    [
        (TextDelta("a"), "TokenDelta", '"text":"a"'),
        (ReasoningDelta("b"), "ReasoningDelta", '"text":"b"'),
        (
            CompletionStarted(ID, "ollama/llama3.2:3b", VERSION, ASKED_AT),
            "CompletionStarted",
            '"model":{"id":"ollama/llama3.2:3b"},"promptVersion":{"id":"018f0000-0000-7000-8000-'
            '000000000002"},"createdAt":"2026-03-14T15:09:26.535Z"',
        ),
        (
            CompletionStarted(
                ID, "m", None, datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
            ),
            "CompletionStarted",
            '"model":{"id":"m"},"promptVersion":null,"createdAt":"2026-01-01T00:00:00.000Z"',
        ),
        (
            CompletionRestarted("m", ErrorCode.STREAM_INTERRUPTED),
            "CompletionRestarted",
            '"model":{"id":"m"},"reason":"STREAM_INTERRUPTED"',
        ),
        (
            CompletionContinued("m", ErrorCode.PROVIDER_TIMEOUT),
            "CompletionContinued",
            '"model":{"id":"m"},"reason":"PROVIDER_TIMEOUT"',
        ),
        (
            CompletionFailed(ID, ErrorCode.RATE_LIMITED, "Wait.", True, 2_007),
            "CompletionFailed",
            '"code":"RATE_LIMITED","message":"Wait.","isRetryable":true,"retryAfterMs":2007',
        ),
        (
            CompletionFailed(None, ErrorCode.BUDGET_EXCEEDED, "Wait.", False, 10**11),
            "CompletionFailed",
            '"code":"BUDGET_EXCEEDED","message":"Wait.","isRetryable":false,'
            '"retryAfterMs":2147483647',
        ),
        (
            CompletionFailed(ID, ErrorCode.NOT_FOUND, "None.", False, None),
            "CompletionFailed",
            '"code":"NOT_FOUND","message":"None.","isRetryable":false,"retryAfterMs":null',
        ),
        (
            CompletionFinished(COMPLETION),
            "CompletionFinished",
            '"response":{"id":"018f0000-0000-7000-8000-000000000001","text":"Gr\\u00fcezi",'
            '"json":{"greeting":["Gr\\u00fcezi",null,1.5]},"status":"SUCCEEDED",'
            '"finishReason":"STOP","model":{"id":"ollama/llama3.2:3b"},"promptVersion":'
            '{"id":"018f0000-0000-7000-8000-000000000002"},"usage":{"promptTokens":12,'
            '"completionTokens":5,"totalTokens":17,"cachedTokens":3,"reasoningTokens":2,'
            '"isEstimated":true,"isPriced":true,"cost":{"amount":"0.00001230","currency":"USD"}},'
            '"cache":"MISS","latencyMs":42,"createdAt":"2026-03-14T15:09:26.535Z"}',
        ),
    ],
)
def test_an_event_is_its_id_its_name_and_one_line_of_json(
    event: StreamEvent, name: str, fields: str
) -> None:
    assert encoded(event) == (
        f"id: 018f0000-0000-7000-8000-000000000001:7\nevent: {name}\ndata: {{{HEAD},{fields}}}\n\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Grüezi 🧀",
        "two\nlines\r\nand\ra third",
        "line\u2028and\u2029paragraph\u0085next",
        'a "quoted" \\ backslash\x00\x1f\x7f',
        "data: not a field\n\nid: 1",
        "",
        "half a pair: \ud83e",
    ],
)
@pytest.mark.parametrize("kind", [TextDelta, ReasoningDelta])
def test_any_text_stays_on_one_line_of_ascii_and_comes_back_as_it_was(
    kind: type[TextDelta], text: str
) -> None:
    lines = encoded(kind(text)).split("\n")

    assert [line.partition(":")[0] for line in lines] == ["id", "event", "data", "", ""]
    assert all(line.isprintable() for line in lines)
    assert json.loads(lines[2].removeprefix("data: "))["text"] == text


def test_a_stream_begins_with_the_wait_before_a_new_connection_and_keeps_alive_by_comments() -> (
    None
):
    assert NAMED_EVENTS.opening == b"retry: 1000\n\n"
    assert NAMED_EVENTS.heartbeat == b": keep-alive\n\n"
    assert NAMED_EVENTS.heartbeat_s == 15


async def failing(*events: StreamEvent, error: Exception) -> AsyncGenerator[NumberedEvent, None]:
    for sequence, event in enumerate(events):
        yield NumberedEvent(ID, sequence, event)
    raise error


async def last_frame(encoder: EventEncoder, *events: StreamEvent, error: Exception) -> Any:
    *_, last = [frame async for frame in encoder.frames(failing(*events, error=error))]
    event, data, *rest = last.decode().split("\n")
    assert (event, rest) == ("event: error", ["", ""])
    return json.loads(data.removeprefix("data: "))


async def test_a_connection_that_is_too_slow_ends_with_where_to_resume() -> None:
    error = ReaderTooSlow(f"{ID}:3")

    assert await last_frame(EventEncoder(), TextDelta("a"), error=error) == {
        "code": "STREAM_INTERRUPTED",
        "message": error.message,
        "isRetryable": True,
        "lastEventId": f"{ID}:3",
    }


async def test_a_defect_is_masked_and_leads_on_from_the_last_event_that_was_delivered() -> None:
    with capture_logs() as logs:
        last = await last_frame(EventEncoder(), TextDelta("a"), error=RuntimeError("secret"))

    assert last["code"] == "INTERNAL_SERVER_ERROR"
    assert last["lastEventId"] == f"{ID}:0"
    assert "secret" not in json.dumps(last)
    assert len(logs) == 1


async def test_an_answer_whose_json_is_none_is_a_defect_and_no_broken_line() -> None:
    async def events() -> AsyncGenerator[NumberedEvent, None]:
        completion = replace(COMPLETION, json=float("nan"))
        yield NumberedEvent(ID, 0, CompletionFinished(completion))

    with capture_logs():
        [frame] = [frame async for frame in EventEncoder().frames(events())]

    assert b'"code":"INTERNAL_SERVER_ERROR"' in frame
    assert b"NaN" not in frame


async def test_an_event_counts_as_delivered_when_the_next_one_is_asked_for() -> None:
    async def events() -> AsyncGenerator[NumberedEvent, None]:
        for sequence in range(3):
            yield NumberedEvent(ID, sequence, TextDelta("a"))

    encoder = EventEncoder(EventId(ID, 6))
    frames = encoder.frames(events())
    error = StreamInterrupted("Enough.")

    await anext(frames)
    assert f'"lastEventId":"{ID}:6"'.encode() in encoder.interrupted(error)
    await anext(frames)
    assert f'"lastEventId":"{ID}:0"'.encode() in encoder.interrupted(error)
    await frames.aclose()
    assert b'"lastEventId":null' in EventEncoder().interrupted(error)

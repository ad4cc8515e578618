"""What goes wrong on Anthropic's wire, in both modes, and the error that a caller gets for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from assistant.adapters.providers.anthropic import AnthropicProvider
from assistant.adapters.providers.http import HttpClient
from assistant.domain.completion import (
    Message,
    MessageRole,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from assistant.domain.ports import TimeLimits
from assistant.errors import (
    AssistantError,
    ContextLengthExceeded,
    InvalidResponse,
    ModelMissing,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    StreamInterrupted,
)
from tests.providers.anthropic_calls import CALL, KEY, PROMPT, call, collect
from tests.providers.fake_anthropic import FakeAnthropic, Reply, ToolUse, event, told
from tests.providers.fake_server import Fault, closed_url, unaccepting_url

both_modes = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])


@pytest.fixture
async def fake() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic(api_key=KEY) as server:
        yield server


@pytest.fixture
def provider(fake: FakeAnthropic, http: HttpClient) -> AnthropicProvider:
    return AnthropicProvider(fake.url, KEY, http)


def limits(**limit: float) -> TimeLimits:
    generous = {"connect_s": 5.0, "first_event_s": 5.0, "between_events_s": 5.0, "total_s": 5.0}
    return TimeLimits(**(generous | limit))


# --------------------------------------------------------- it cannot be reached


@both_modes
async def test_a_server_that_cannot_be_reached_is_unavailable_by_its_name(
    http: HttpClient, *, streamed: bool
) -> None:
    url = closed_url().replace("http://", "http://ada:s3cret@")
    provider = AnthropicProvider(url, KEY, http, name="claude-gateway")
    with pytest.raises(ProviderUnavailable, match=r"^claude-gateway cannot be reached") as caught:
        await collect(provider, call(streamed=streamed))
    assert "s3cret" not in caught.value.message


@both_modes
async def test_a_connection_that_does_not_open_has_a_limit(
    http: HttpClient, *, streamed: bool
) -> None:
    with unaccepting_url() as url, pytest.raises(ProviderTimeout, match=r"\(limit: connect\)"):
        asked = call(streamed=streamed, time_limits=limits(connect_s=0.2))
        await collect(AnthropicProvider(url, KEY, http), asked)


@pytest.mark.parametrize("key", ["sk-ant-\n", "sk-änt", "sk\x00"])
async def test_a_key_that_cannot_be_sent_is_not_told_either(
    fake: FakeAnthropic, http: HttpClient, key: str
) -> None:
    with pytest.raises(ProviderRejected, match="key") as caught:
        await collect(AnthropicProvider(fake.url, f"{key}x", http), CALL)
    assert key not in caught.value.message
    assert fake.requests == []


# ------------------------------------------------------------------- it refuses


@both_modes
@pytest.mark.parametrize(
    ("status", "error", "kind", "says"),
    [
        (400, "messages.0: unexpected", ProviderRejected, "It says: messages.0: unexpected"),
        (401, "invalid x-api-key", ProviderRejected, "API key"),
        (402, "payment required", QuotaExhausted, "used up"),
        (403, "no permission", ProviderRejected, "API key"),
        (404, "model: claude-sonnet-4-5", ModelMissing, "have the model claude-sonnet-4-5"),
        (408, "timed out", ProviderUnavailable, "failed to answer"),
        (409, "conflict", ProviderUnavailable, "failed to answer"),
        (413, "Request exceeds the maximum size", ProviderRejected, "that size"),
        (422, "unprocessable", ProviderRejected, "refused the call"),
        (429, "would exceed your rate limit", RateLimited, "no more calls"),
        (500, "Internal server error", ProviderUnavailable, "failed to answer"),
        (502, "upstream", ProviderUnavailable, "failed to answer"),
        (503, "unavailable", ProviderUnavailable, "overloaded"),
        (504, "timeout", ProviderUnavailable, "failed to answer"),
        (529, "Overloaded", ProviderUnavailable, "overloaded"),
    ],
)
@pytest.mark.parametrize("retry_after", [None, "7"], ids=["", "with-retry-after"])
async def test_each_status_has_its_error(
    fake: FakeAnthropic,
    provider: AnthropicProvider,
    *,
    streamed: bool,
    status: int,
    error: str,
    kind: type[AssistantError],
    says: str,
    retry_after: str | None,
) -> None:
    fake.reply = Reply(status=status, error=error, retry_after=retry_after)
    with pytest.raises(kind) as caught:
        await collect(provider, call(streamed=streamed))
    assert type(caught.value) is kind
    assert says in caught.value.message
    waits = kind.is_retryable and retry_after is not None
    assert caught.value.retry_after_s == (7 if waits else None)


@both_modes
@pytest.mark.parametrize(
    "error",
    [
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
        "You have reached your specified API usage limits. You will regain access on 2026-04-01.",
    ],
)
async def test_an_account_that_is_used_up_is_told_apart_from_a_bad_call(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool, error: str
) -> None:
    fake.reply = Reply(status=400, error=error)
    with pytest.raises(QuotaExhausted):
        await collect(provider, call(streamed=streamed))


@both_modes
async def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    asked = call(messages=(Message(MessageRole.USER, "word" * 210_000),), streamed=streamed)
    with pytest.raises(ContextLengthExceeded, match=r"has 210,\d{3} tokens.*holds 200,000"):
        await collect(provider, asked)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, "
            "decrease input length or `max_tokens` and try again",
            "has 178,959 tokens, the answer may have 64,000, and the context window holds 200,000",
        ),
        ("prompt is too long", "is estimated at 13 tokens, and the context window holds 200,000"),
    ],
)
async def test_other_words_for_an_overflow_are_understood(
    fake: FakeAnthropic, provider: AnthropicProvider, error: str, says: str
) -> None:
    fake.reply = Reply(status=400, error=error)
    with pytest.raises(ContextLengthExceeded) as caught:
        await collect(provider, CALL)
    assert says in caught.value.message


@pytest.mark.parametrize("status", [429, 529])
async def test_a_server_that_asks_not_to_be_called_again_is_not(
    fake: FakeAnthropic, provider: AnthropicProvider, status: int
) -> None:
    fake.reply = Reply(status=status, headers=("X-Should-Retry: false",))
    with pytest.raises(ProviderRejected, match="not to be called again"):
        await collect(provider, CALL)


async def test_a_wrong_key_is_rejected(fake: FakeAnthropic, http: HttpClient) -> None:
    with pytest.raises(ProviderRejected, match=r"HTTP 401.*API key"):
        await collect(AnthropicProvider(fake.url, "sk-other", http), CALL)


async def test_a_model_that_is_not_there_is_missing(provider: AnthropicProvider) -> None:
    with pytest.raises(ModelMissing, match="claude-9"):
        await collect(provider, call(model="claude-9"))


@pytest.mark.parametrize(
    "error", [f"cannot parse {PROMPT!r}", "bad token near 'secret recipe of the house.'", KEY]
)
async def test_an_error_text_that_repeats_the_prompt_or_the_key_is_not_passed_on(
    fake: FakeAnthropic, provider: AnthropicProvider, error: str
) -> None:
    fake.reply = Reply(status=400, error=error)
    with pytest.raises(ProviderRejected) as caught:
        await collect(provider, CALL)
    assert "secret" not in caught.value.message


async def test_a_long_error_text_is_cut(fake: FakeAnthropic, provider: AnthropicProvider) -> None:
    fake.reply = Reply(status=500, error="x" * 5000)
    with pytest.raises(ProviderUnavailable) as caught:
        await collect(provider, CALL)
    assert caught.value.message.endswith("It says: " + "x" * 200)


# --------------------------------------------- it answers something else, or breaks


@both_modes
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(fault=Fault.HTML), InvalidResponse),
        (Reply(fault=Fault.HTML, status=404), InvalidResponse),
        (Reply(fault=Fault.HTML, status=413), ProviderRejected),
        (Reply(fault=Fault.HTML, status=502), ProviderUnavailable),
        (Reply(fault=Fault.REDIRECT), InvalidResponse),
        (Reply(fault=Fault.NOT_HTTP), InvalidResponse),
        (Reply(fault=Fault.NO_ANSWER), ProviderUnavailable),
        (Reply(fault=Fault.MALFORMED), InvalidResponse),
        (Reply(fault=Fault.NOT_AN_OBJECT), InvalidResponse),
        (Reply(fault=Fault.WRONG_TYPES), InvalidResponse),
        (Reply(fault=Fault.TOO_DEEP), InvalidResponse),
        (Reply(fault=Fault.INVALID_UTF8), InvalidResponse),
        (Reply(fault=Fault.HUGE), InvalidResponse),
        (Reply(fault=Fault.ERROR_LINE, error="Overloaded"), ProviderUnavailable),
        (Reply(fault=Fault.NO_DONE), ProviderUnavailable),
        (Reply(fault=Fault.TRUNCATE), ProviderUnavailable),
        (Reply(fault=Fault.RESET), ProviderUnavailable),
        (Reply(fault=Fault.BAD_FRAMING), InvalidResponse),
        (Reply(status=404, verbatim=b'{"detail":"Not Found"}'), InvalidResponse),
        (Reply(status=404, type="not_found", error="no route"), ProviderRejected),
    ],
    ids=lambda value: f"{value.fault}-{value.status}" if isinstance(value, Reply) else "",
)
async def test_nothing_is_made_of_an_answer_that_broke_before_its_first_text(
    fake: FakeAnthropic,
    provider: AnthropicProvider,
    *,
    streamed: bool,
    reply: Reply,
    kind: type[AssistantError],
) -> None:
    fake.reply = reply
    with pytest.raises(kind) as caught:
        await collect(provider, call(streamed=streamed))
    assert type(caught.value) is kind
    assert PROMPT not in caught.value.message
    await idle(fake)


@both_modes
@pytest.mark.parametrize(
    ("error_type", "kind"),
    [
        ("overloaded_error", ProviderUnavailable),
        ("api_error", ProviderUnavailable),
        ("timeout_error", ProviderUnavailable),
        ("error_of_tomorrow", ProviderUnavailable),
        ("rate_limit_error", RateLimited),
        ("invalid_request_error", ProviderRejected),
        ("authentication_error", ProviderRejected),
        ("permission_error", ProviderRejected),
        ("request_too_large", ProviderRejected),
        ("billing_error", QuotaExhausted),
        ("not_found_error", ModelMissing),
    ],
)
async def test_an_error_under_200_is_what_its_type_says(
    fake: FakeAnthropic,
    provider: AnthropicProvider,
    *,
    streamed: bool,
    error_type: str,
    kind: type[AssistantError],
) -> None:
    fake.reply = Reply(fault=Fault.ERROR_LINE, type=error_type, error="so it is")
    with pytest.raises(kind) as caught:
        await collect(provider, call(streamed=streamed))
    assert type(caught.value) is kind


async def test_an_overflow_that_is_told_in_a_stream_is_one(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    error = "prompt is too long: 208310 tokens > 200000 maximum"
    fake.reply = Reply(fault=Fault.ERROR_LINE, type="invalid_request_error", error=error)
    with pytest.raises(ContextLengthExceeded, match="208,310"):
        await collect(provider, CALL)


@pytest.mark.parametrize(
    "error_type", ["overloaded_error", "rate_limit_error", "invalid_request_error"]
)
async def test_an_error_after_the_first_text_interrupts_the_stream(
    fake: FakeAnthropic, provider: AnthropicProvider, error_type: str
) -> None:
    fake.reply = Reply(
        fault=Fault.ERROR_LINE, fault_after=2, type=error_type, error="prompt is too long"
    )
    received: list[ProviderEvent] = []
    with pytest.raises(StreamInterrupted, match="broke off"):
        await collect(provider, CALL, into=received)
    assert received == [TextDelta("Hello"), TextDelta(", ")]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.NO_DONE, StreamInterrupted),
        (Fault.TRUNCATE, StreamInterrupted),
        (Fault.RESET, StreamInterrupted),
        (Fault.ERROR_LINE, StreamInterrupted),
        (Fault.MALFORMED, InvalidResponse),
        (Fault.NOT_AN_OBJECT, InvalidResponse),
        (Fault.WRONG_TYPES, InvalidResponse),
        (Fault.INVALID_UTF8, InvalidResponse),
        (Fault.HUGE, InvalidResponse),
    ],
)
@pytest.mark.parametrize("delay_s", [0.0, 0.005])
async def test_a_stream_that_breaks_yields_what_came_and_then_fails(
    fake: FakeAnthropic,
    provider: AnthropicProvider,
    fault: Fault,
    kind: type[AssistantError],
    delay_s: float,
) -> None:
    fake.reply = Reply(fault=fault, fault_after=2, token_delay_s=delay_s)
    received: list[ProviderEvent] = []
    with pytest.raises(kind) as caught:
        await collect(provider, CALL, into=received)
    assert type(caught.value) is kind
    assert received == [TextDelta("Hello"), TextDelta(", ")]
    await idle(fake)


async def test_a_stream_that_ends_behind_its_reason_is_not_done(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    # Deltas of four tokens, content_block_stop and message_delta, but no message_stop.
    fake.reply = Reply(fault=Fault.NO_DONE, fault_after=6)
    with pytest.raises(StreamInterrupted, match="without saying that it was done"):
        await collect(provider, CALL)


@pytest.mark.parametrize(
    ("reply", "first"),
    [
        (Reply(thinking=("Hm",), fault=Fault.NO_DONE, fault_after=1), ReasoningDelta("Hm")),
        (
            Reply(tokens=(), tool_uses=(ToolUse("t", "look"),), fault=Fault.NO_DONE),
            ToolCallDelta(0, "t", "look", ""),
        ),
    ],
    ids=["thinking", "tool"],
)
async def test_a_stream_that_breaks_after_a_thought_or_a_tool_call_was_interrupted(
    fake: FakeAnthropic, provider: AnthropicProvider, reply: Reply, first: ProviderEvent
) -> None:
    fake.reply = reply
    received: list[ProviderEvent] = []
    with pytest.raises(StreamInterrupted):
        await collect(provider, CALL, into=received)
    assert received == [first]


async def test_a_wrapped_answer_that_breaks_off_has_told_nothing_yet(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    fake.reply = Reply(tokens=('{"value": [1', ", 2]}"), fault=Fault.NO_DONE, fault_after=2)
    received: list[ProviderEvent] = []
    with pytest.raises(ProviderUnavailable):
        await collect(provider, call(response_schema={"type": "array"}), into=received)
    assert received == []


@pytest.mark.parametrize(
    "piece",
    [
        told("message_start"),
        told("content_block_start", index=0),
        told("content_block_start", content_block={"type": "text"}),
        told("content_block_start", index=0, content_block={"type": "tool_use", "id": "t"}),
        told("content_block_start", index=0, content_block={"type": "text", "text": 7}),
        told("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": []}),
        told("content_block_delta", index=True, delta={"type": "text_delta", "text": "x"}),
        told("message_delta", delta=7),
        event("message_stop", b"7"),
        event("message_stop", b""),
    ],
)
async def test_an_event_with_other_types_is_an_invalid_answer(
    fake: FakeAnthropic, provider: AnthropicProvider, piece: bytes
) -> None:
    fake.reply = Reply(verbatim=piece)
    with pytest.raises(InvalidResponse):
        await collect(provider, CALL)


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"message","stop_reason":"end_turn"}',
        b'{"type":"message","content":"Hi","stop_reason":"end_turn"}',
        b'{"type":"message","content":[7],"stop_reason":"end_turn"}',
        b'{"type":"message","content":[{"type":"text","text":7}],"stop_reason":"end_turn"}',
    ],
)
async def test_a_whole_answer_with_other_types_is_an_invalid_one(
    fake: FakeAnthropic, provider: AnthropicProvider, body: bytes
) -> None:
    fake.reply = Reply(verbatim=body)
    with pytest.raises(InvalidResponse):
        await collect(provider, call(streamed=False))


async def test_a_stream_without_end_is_not_read_without_end(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    fake.reply = Reply(tokens=("x" * 900_000,) * 80)
    received = 0
    with pytest.raises(InvalidResponse, match="64,000,000 bytes in all"):
        async for one in provider.generate(CALL):
            received += len(one.text) if isinstance(one, TextDelta) else 0
    assert 60_000_000 < received <= 64_000_000


# ------------------------------------------------------------------ time limits


@both_modes
@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HEADERS_ONLY])
async def test_the_first_event_has_a_limit(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool, fault: Fault
) -> None:
    fake.reply = Reply(fault=fault)
    started = time.monotonic()
    with pytest.raises(ProviderTimeout, match=r"within 0.1 s \(limit: first event\)"):
        await collect(provider, call(streamed=streamed, time_limits=limits(first_event_s=0.1)))
    assert time.monotonic() - started < 1
    await fake.chats[0].wait_closed()


@pytest.mark.parametrize(
    ("reply", "limit"),
    [
        (Reply(fault=Fault.STALL), limits(first_event_s=0.2, between_events_s=0.05)),
        (Reply(fault=Fault.ALIVE_ONLY), limits(first_event_s=0.2)),
    ],
    ids=["message_start", "pings"],
)
async def test_a_stream_that_has_only_been_announced_has_not_begun(
    fake: FakeAnthropic, provider: AnthropicProvider, reply: Reply, limit: TimeLimits
) -> None:
    fake.reply = reply
    with pytest.raises(ProviderTimeout, match=r"within 0.2 s \(limit: first event\)"):
        await collect(provider, call(time_limits=limit))


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.ALIVE_ONLY], ids=["silence", "pings"])
async def test_the_time_between_events_has_a_limit(
    fake: FakeAnthropic, provider: AnthropicProvider, fault: Fault
) -> None:
    fake.reply = Reply(fault=fault, fault_after=2)
    with pytest.raises(ProviderTimeout, match=r"0.1 s .*\(limit: between events\)"):
        await collect(provider, call(time_limits=limits(between_events_s=0.1)))
    await fake.chats[0].wait_closed()


@both_modes
@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.STALL])
async def test_the_whole_call_has_a_limit(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool, fault: Fault
) -> None:
    fake.reply = Reply(fault=fault, fault_after=2)
    with pytest.raises(ProviderTimeout, match=r"within 0.1 s \(limit: total\)"):
        await collect(provider, call(streamed=streamed, time_limits=limits(total_s=0.1)))


async def test_a_slow_consumer_is_not_a_slow_provider(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    fake.reply = Reply(token_delay_s=0.02)
    received = 0
    asked = call(time_limits=limits(first_event_s=0.15, between_events_s=0.15))
    async for _event in provider.generate(asked):
        received += 1
        await asyncio.sleep(0.2)
    assert received == 5


# ----------------------------------------------------------------- cancellation


@both_modes
@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HEADERS_ONLY, Fault.STALL])
async def test_cancelling_the_task_closes_the_connection_within_100_ms(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool, fault: Fault
) -> None:
    fake.reply = Reply(fault=fault, fault_after=1)
    task = asyncio.create_task(collect(provider, call(streamed=streamed)))
    await asyncio.sleep(0.1)
    cancelled_at = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await fake.chats[0].wait_closed() - cancelled_at < 0.1


async def test_closing_the_iterator_closes_the_connection_within_100_ms(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    fake.reply = Reply(tokens=("tick",) * 1000, token_delay_s=0.01)
    async with aclosing(provider.generate(CALL)) as events:
        assert await anext(events) == TextDelta("tick")
        closed_at = time.monotonic()
    assert await fake.chats[0].wait_closed() - closed_at < 0.1
    assert fake.chats[0].tokens_sent < 50


async def idle(fake: FakeAnthropic) -> None:
    """Wait until the fake is answering nobody: a failed call leaves no connection busy."""
    async with asyncio.timeout(1):
        while any(connection.request is not None for connection in fake.connections):
            await asyncio.sleep(0.005)

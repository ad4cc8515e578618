"""What goes wrong on the wire, in both modes, and the error that a caller gets for it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.openai import OpenAiProvider
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
from tests.providers.fake_openai import FakeOpenAi, Reply, ToolCall
from tests.providers.fake_server import Fault, closed_url, unaccepting_url
from tests.providers.openai_calls import CALL, PROMPT, call, collect

both_modes = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAi]:
    async with FakeOpenAi() as server:
        yield server


@pytest.fixture
def provider(fake: FakeOpenAi, http: HttpClient) -> OpenAiProvider:
    return OpenAiProvider(fake.url, "sk-test-0123456789abcdef", http)


# --------------------------------------------------------- it cannot be reached


@both_modes
async def test_a_host_that_is_away_is_unavailable_and_the_message_helps(
    http: HttpClient, *, streamed: bool
) -> None:
    url = closed_url() + "/v1"
    with pytest.raises(ProviderUnavailable) as caught:
        await collect(OpenAiProvider(url, "sk-secret", http, "vllm"), call(streamed=streamed))
    assert caught.value.message == (
        f"vllm cannot be reached at {url}. Correct the provider's URL, or see whether it is up."
    )


@both_modes
@pytest.mark.parametrize("key", ["sk-ключ", "sk-a\nX-Evil: 1", "sk-\x00", "sk-\x7f", "sk-\ud83d"])
async def test_a_key_that_cannot_be_sent_is_refused_and_not_told(
    fake: FakeOpenAi, http: HttpClient, *, streamed: bool, key: str
) -> None:
    provider = OpenAiProvider(fake.url, key, http)
    with pytest.raises(ProviderRejected, match="variable that holds") as caught:
        await collect(provider, call(streamed=streamed))
    assert "sk-" not in caught.value.message
    with pytest.raises(ProviderRejected):
        await provider.list_models()
    assert not fake.requests


# ------------------------------------------------------------------- it refuses


@both_modes
@pytest.mark.parametrize(
    ("reply", "kind", "told"),
    [
        (Reply(status=400, error="bad temperature"), ProviderRejected, "It says: bad temperature"),
        (Reply(status=401, error="no such key"), ProviderRejected, "variable that holds"),
        (Reply(status=402, error="Insufficient Balance"), QuotaExhausted, "billing"),
        (Reply(status=403, error="no"), ProviderRejected, "variable that holds"),
        (
            Reply(status=403, error="Project has no access", code="model_not_found"),
            ModelMissing,
            "does not have the model gpt-4o-mini",
        ),
        (Reply(status=404, error="The model `x` does not exist"), ModelMissing, "gpt-4o-mini"),
        (
            Reply(status=404, error="Invalid URL (POST /v1/v1/chat/completions)"),
            ProviderRejected,
            "Invalid URL",
        ),
        (Reply(status=408, error="slow"), ProviderUnavailable, "failed to answer"),
        (Reply(status=409, error="conflict"), ProviderUnavailable, "failed to answer"),
        (Reply(status=413, error="too large"), ProviderRejected, "refused the call"),
        (Reply(status=422, error="bad"), ProviderRejected, "refused the call"),
        (Reply(status=429, error="slow down", code="rate_limit_exceeded"), RateLimited, "no more"),
        (Reply(status=429, error="x", code="insufficient_quota"), QuotaExhausted, "billing"),
        (Reply(status=429, error="x", type="insufficient_quota"), QuotaExhausted, "billing"),
        (Reply(status=400, error="x", code="billing_hard_limit_reached"), QuotaExhausted, "plan"),
        (Reply(status=499, error="closed"), ProviderUnavailable, "failed to answer"),
        (Reply(status=500, error="oops", type="server_error"), ProviderUnavailable, "oops"),
        (Reply(status=501, error="no"), ProviderRejected, "refused the call"),
        (Reply(status=502, error="upstream"), ProviderUnavailable, "failed to answer"),
        (Reply(status=503, error="overloaded"), ProviderUnavailable, "overloaded"),
        (Reply(status=529, error="overloaded"), ProviderUnavailable, "overloaded"),
    ],
)
async def test_each_refusal_has_its_error(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    *,
    streamed: bool,
    reply: Reply,
    kind: type[AssistantError],
    told: str,
) -> None:
    fake.reply = reply
    with pytest.raises(kind) as caught:
        await collect(provider, call(streamed=streamed))
    assert type(caught.value) is kind
    assert told in caught.value.message
    assert caught.value.retry_after_s is None
    assert len(fake.chats) == 1


async def test_a_model_that_the_host_does_not_have_is_missing(provider: OpenAiProvider) -> None:
    with pytest.raises(ModelMissing, match="does not have the model gpt-9"):
        await collect(provider, call(model="gpt-9"))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error":"no images, please"}', "no images, please"),
        (b'{"object":"error","message":"no images, please","code":400}', "no images, please"),
        (b'[{"error":{"code":400,"message":"no images, please"}}]', "no images, please"),
        (b'{"detail":"no images, please"}', "no images, please"),
        (b'{"error":{"message":"no images,\\n  please"}}', "no images, please"),
        (b'{"error":{"message":7,"code":{},"type":[],"param":{}}}', "refused the call."),
    ],
)
async def test_errors_come_in_many_shapes(
    fake: FakeOpenAi, provider: OpenAiProvider, body: bytes, told: str
) -> None:
    fake.reply = Reply(status=400, verbatim=body)
    with pytest.raises(ProviderRejected) as caught:
        await collect(provider, CALL)
    assert caught.value.message.endswith(told)


@pytest.mark.parametrize("body", [b"", b"not found", b"[]", b"7", b"{}", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidResponse),
        (401, ProviderRejected),
        (404, InvalidResponse),
        (429, RateLimited),
        (500, ProviderUnavailable),
    ],
)
async def test_a_refusal_without_a_word_is_known_by_its_status(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    status: int,
    kind: type[AssistantError],
    body: bytes,
) -> None:
    fake.reply = Reply(status=status, verbatim=body)
    with pytest.raises(kind) as caught:
        await collect(provider, CALL)
    assert type(caught.value) is kind


# -- when to come back


@pytest.mark.parametrize(
    ("headers", "retry_after_s"),
    [
        (("Retry-After: 7",), 7),
        (("Retry-After: 0",), 0),
        (("Retry-After: 0.25",), 0.25),
        (("Retry-After: 120",), 120),
        (("Retry-After: 121",), None),
        (("Retry-After: -1",), None),
        (("Retry-After: nan",), None),
        (("Retry-After: inf",), None),
        (("Retry-After: soon",), None),
        (("Retry-After: ",), None),
        (("retry-after-ms: 1500",), 1.5),
        (("retry-after-ms: 1500", "Retry-After: 7"), 1.5),
        (("retry-after-ms: many", "Retry-After: 7"), 7),
        (("retry-after-ms: -1", "Retry-After: 7"), None),
        (("Retry-After: Mon, 01 Jan 2001 00:00:00 GMT",), 0),
        (("Retry-After: Fri, 01 Jan 2100 00:00:00 GMT",), None),
        (("Retry-After: Fri, 99 Jan 2100 00:00:00 GMT",), None),
        (("x-ratelimit-reset-requests: 6m0s",), None),
    ],
)
@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, ProviderUnavailable)])
async def test_the_host_says_when_to_come_back(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    headers: tuple[str, ...],
    retry_after_s: float | None,
    status: int,
    kind: type[AssistantError],
) -> None:
    fake.reply = Reply(status=status, headers=headers)
    with pytest.raises(kind) as caught:
        await collect(provider, CALL)
    assert caught.value.retry_after_s == retry_after_s


async def test_the_host_may_name_a_date_to_come_back(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    fake.reply = Reply(status=429, headers=(f"Retry-After: {then}",))
    with pytest.raises(RateLimited) as caught:
        await collect(provider, CALL)
    assert caught.value.retry_after_s is not None
    assert 25 < caught.value.retry_after_s <= 30


@both_modes
@pytest.mark.parametrize(
    ("status", "told", "kind"),
    [
        (408, "false", ProviderRejected),
        (409, "false", ProviderRejected),
        (429, "false", ProviderRejected),
        (500, "false", ProviderRejected),
        (503, "false", ProviderRejected),
        (400, "false", ProviderRejected),
        (400, "true", ProviderUnavailable),
        (500, "true", ProviderUnavailable),
        (429, "true", RateLimited),
        (402, "true", QuotaExhausted),
        (500, "maybe", ProviderUnavailable),
    ],
)
async def test_a_host_that_knows_whether_to_try_again_is_obeyed(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    *,
    streamed: bool,
    status: int,
    told: str,
    kind: type[AssistantError],
) -> None:
    fake.reply = Reply(status=status, headers=(f"x-should-retry: {told}", "Retry-After: 1"))
    with pytest.raises(kind) as caught:
        await collect(provider, call(streamed=streamed))
    assert type(caught.value) is kind
    assert caught.value.retry_after_s == (1 if kind.is_retryable else None)


# -- a prompt that is too long


@both_modes
@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            Reply(
                status=400,
                error="This model's maximum context length is 8192 tokens. However, your messages "
                "resulted in 10000 tokens. Please reduce the length of the messages.",
                code="context_length_exceeded",
                param="messages",
            ),
            r"10,000 tokens .* holds 8,192",
        ),
        (
            Reply(
                status=400,
                error="Input tokens exceed the configured limit of 272,000 tokens. Your messages "
                "resulted in 300,000 tokens. Please reduce the length of the messages.",
                code="context_length_exceeded",
            ),
            r"300,000 tokens .* holds 272,000",
        ),
        (
            Reply(
                status=400,
                error="This model's maximum context length is 4096 tokens. However, you requested "
                "5000 tokens (4900 in the messages, 100 in the completion).",
                type="BadRequestError",
                code=400,
            ),
            r"5,000 tokens .* holds 4,096",
        ),
        (
            Reply(
                status=400,
                error="'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's "
                "maximum context length is 4096 tokens and your request has 100 input tokens.",
            ),
            r"100 tokens .* holds 4,096",
        ),
        (
            Reply(
                status=400,
                verbatim=json.dumps(
                    {
                        "error": {
                            "code": 400,
                            "message": "the request exceeds the available context size",
                            "type": "exceed_context_size_error",
                            "n_prompt_tokens": 5000,
                            "n_ctx": 4096,
                        }
                    }
                ).encode(),
            ),
            r"5,000 tokens .* holds 4,096",
        ),
        (
            Reply(
                status=400,
                error="The input token count (2000000) exceeds the maximum number of tokens "
                "allowed (1048576).",
            ),
            r"2,000,000 tokens .* holds 1,048,576",
        ),
        (
            Reply(
                status=400,
                verbatim=b'{"error":"The number of tokens to keep from the initial prompt is '
                b'greater than the context length."}',
            ),
            r"does not fit gpt-4o-mini\. Shorten it",
        ),
        (Reply(status=413, error="x", code="context_length_exceeded"), "does not fit"),
        (Reply(status=400, error="", code="context_length_exceeded"), "does not fit"),
    ],
)
async def test_a_prompt_that_does_not_fit_is_told_with_the_numbers_that_are_known(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool, reply: Reply, told: str
) -> None:
    fake.reply = reply
    with pytest.raises(ContextLengthExceeded, match=told):
        await collect(provider, call(streamed=streamed))
    assert len(fake.chats) == 1


# -- nothing leaks


@both_modes
@pytest.mark.parametrize(
    "error",
    [
        f"cannot parse {PROMPT!r}",
        "cannot parse  Tell me\nthe secret recipe of",
        "bad token near 'secret recipe of the house.'",
        "the key sk-test-0123456789abcdef may not be secret",
    ],
)
async def test_an_error_text_that_repeats_the_prompt_or_the_key_is_not_passed_on(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool, error: str
) -> None:
    for reply in (Reply(status=400, error=error), Reply(fault=Fault.ERROR_LINE, error=error)):
        fake.reply = reply
        with pytest.raises((ProviderRejected, StreamInterrupted)) as caught:
            await collect(provider, call(streamed=streamed))
        assert "secret" not in caught.value.message


async def test_a_wrong_key_is_not_told(fake: FakeOpenAi, http: HttpClient) -> None:
    fake.api_key = "sk-right"
    provider = OpenAiProvider(fake.url, "sk-wrong", http)
    with pytest.raises(ProviderRejected) as caught:
        await collect(provider, CALL)
    assert caught.value.message == (
        "OpenAI (HTTP 401) refuses access. Check the variable that holds the provider's key."
    )


@pytest.mark.parametrize("told", ["true", "false"])
async def test_what_is_said_of_a_key_is_not_told_whatever_else_is_said(
    fake: FakeOpenAi, provider: OpenAiProvider, told: str
) -> None:
    fake.reply = Reply(
        status=401, error="Wrong key: sk-t****cdef", headers=(f"x-should-retry: {told}",)
    )
    with pytest.raises((ProviderRejected, ProviderUnavailable)) as caught:
        await collect(provider, CALL)
    assert "sk-t" not in caught.value.message


async def test_a_short_prompt_is_not_repeated_either(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(status=400, error="unexpected 4711 at position 0")
    asked = call(messages=(Message(MessageRole.USER, "4711"),))
    with pytest.raises(ProviderRejected) as caught:
        await collect(provider, asked)
    assert "4711" not in caught.value.message


async def test_a_long_error_text_is_cut(fake: FakeOpenAi, provider: OpenAiProvider) -> None:
    fake.reply = Reply(status=500, error="x" * 5000)
    with pytest.raises(ProviderUnavailable) as caught:
        await collect(provider, CALL)
    assert caught.value.message.endswith("It says: " + "x" * 200)


# --------------------------------------------- it answers something else, or breaks


async def test_a_redirect_is_not_followed(fake: FakeOpenAi, provider: OpenAiProvider) -> None:
    fake.reply = Reply(fault=Fault.REDIRECT)
    with pytest.raises(InvalidResponse, match="redirect"):
        await collect(provider, CALL)
    assert len(fake.requests) == 1


@both_modes
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(fault=Fault.HTML), InvalidResponse),
        (Reply(fault=Fault.HTML, status=404), InvalidResponse),
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
        (Reply(fault=Fault.ERROR_LINE, type="server_error"), ProviderUnavailable),
        (Reply(fault=Fault.ERROR_LINE, type=None), ProviderUnavailable),
        (Reply(fault=Fault.ERROR_LINE, code=502), ProviderUnavailable),
        (Reply(fault=Fault.ERROR_LINE, type=None, code=429), RateLimited),
        (Reply(fault=Fault.ERROR_LINE, code="rate_limit_exceeded"), RateLimited),
        (Reply(fault=Fault.ERROR_LINE, code="insufficient_quota"), QuotaExhausted),
        (Reply(fault=Fault.ERROR_LINE, code="invalid_api_key"), ProviderRejected),
        (Reply(fault=Fault.ERROR_LINE, code="model_not_found"), ModelMissing),
        (Reply(fault=Fault.ERROR_LINE, code="context_length_exceeded"), ContextLengthExceeded),
        (Reply(fault=Fault.NO_DONE), ProviderUnavailable),
        (Reply(fault=Fault.TRUNCATE), ProviderUnavailable),
        (Reply(fault=Fault.RESET), ProviderUnavailable),
        (Reply(fault=Fault.BAD_FRAMING), InvalidResponse),
        (Reply(finish_reason=None, tokens=()), ProviderUnavailable),
    ],
)
async def test_what_breaks_before_the_first_text_fails_without_any(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    *,
    streamed: bool,
    reply: Reply,
    kind: type[AssistantError],
) -> None:
    fake.reply = reply
    received: list[ProviderEvent] = []
    with pytest.raises(kind) as caught:
        await collect(provider, call(streamed=streamed), into=received)
    assert type(caught.value) is kind
    assert PROMPT not in caught.value.message
    assert received == []
    await idle(fake)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(fault=Fault.NO_DONE), StreamInterrupted),
        (Reply(fault=Fault.TRUNCATE), StreamInterrupted),
        (Reply(fault=Fault.RESET), StreamInterrupted),
        (Reply(fault=Fault.ERROR_LINE), StreamInterrupted),
        (Reply(fault=Fault.ERROR_LINE, code="rate_limit_exceeded"), StreamInterrupted),
        (Reply(fault=Fault.ERROR_LINE, code="insufficient_quota"), StreamInterrupted),
        (Reply(fault=Fault.ERROR_LINE, code="context_length_exceeded"), StreamInterrupted),
        (Reply(fault=Fault.MALFORMED), InvalidResponse),
        (Reply(fault=Fault.NOT_AN_OBJECT), InvalidResponse),
        (Reply(fault=Fault.WRONG_TYPES), InvalidResponse),
        (Reply(fault=Fault.INVALID_UTF8), InvalidResponse),
        (Reply(fault=Fault.HUGE), InvalidResponse),
    ],
)
@pytest.mark.parametrize("delay_s", [0.0, 0.005])
async def test_a_stream_that_breaks_yields_what_came_and_then_fails(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    reply: Reply,
    kind: type[AssistantError],
    delay_s: float,
) -> None:
    fake.reply = replace(reply, fault_after=2, token_delay_s=delay_s)
    received: list[ProviderEvent] = []
    with pytest.raises(kind) as caught:
        await collect(provider, CALL, into=received)
    assert type(caught.value) is kind
    assert received == [TextDelta("Hello"), TextDelta(", ")]
    await idle(fake)


async def test_a_stream_that_ends_without_a_reason_was_interrupted_though_it_says_done(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(finish_reason=None)
    with pytest.raises(StreamInterrupted, match="without saying that it was done"):
        await collect(provider, CALL)


@pytest.mark.parametrize(
    ("reply", "first"),
    [
        (Reply(thinking=("Hm",)), ReasoningDelta("Hm")),
        (
            Reply(tokens=(), tool_calls=(ToolCall(id="call_1", name="look"),)),
            ToolCallDelta(0, "call_1", "look", "{}"),
        ),
        (Reply(tokens=(), refusal=("No",)), TextDelta("No")),
    ],
)
async def test_a_stream_that_breaks_after_anything_was_interrupted(
    fake: FakeOpenAi, provider: OpenAiProvider, reply: Reply, first: ProviderEvent
) -> None:
    fake.reply = replace(reply, fault=Fault.NO_DONE, fault_after=1)
    received: list[ProviderEvent] = []
    with pytest.raises(StreamInterrupted):
        await collect(provider, CALL, into=received)
    assert received == [first]


@both_modes
@pytest.mark.parametrize(
    "choice",
    [
        "7",
        '{"PART":7}',
        '{"PART":{"content":["a"]}}',
        '{"PART":{"reasoning":7}}',
        '{"PART":{"refusal":7}}',
        '{"PART":{"tool_calls":7}}',
        '{"PART":{"tool_calls":[7]}}',
        '{"PART":{"tool_calls":[{"function":7}]}}',
        '{"PART":{"tool_calls":[{"index":"0","function":{"name":"a"}}]}}',
        '{"PART":{"tool_calls":[{"index":-1,"function":{"name":"a"}}]}}',
        '{"PART":{"tool_calls":[{"index":1e400,"function":{"name":"a"}}]}}',
        '{"PART":{"tool_calls":[{"index":0,"function":{"name":7}}]}}',
        '{"PART":{"tool_calls":[{"index":0,"function":{"arguments":{}}}]}}',
        '{"PART":{"tool_calls":[{"index":0,"id":7}]}}',
        '{"PART":{"content":"a"},"finish_reason":7}',
        '{"PART":{"content":"a"},"finish_reason":' + "1" * 5000 + "}",
    ],
)
async def test_what_has_other_types_is_not_the_protocol(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool, choice: str
) -> None:
    part = "delta" if streamed else "message"
    body = f'{{"choices":[{choice.replace("PART", part)}]}}'
    fake.reply = Reply(verbatim=f"data: {body}\n\n".encode() if streamed else body.encode())
    with pytest.raises(InvalidResponse):
        await collect(provider, call(streamed=streamed))


@both_modes
@pytest.mark.parametrize(
    "body", ['{"choices":7}', '{"choices":[],"usage":7}', "7", '"text"', "null", "[]", "{"]
)
async def test_a_body_of_another_shape_is_not_the_protocol(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool, body: str
) -> None:
    fake.reply = Reply(verbatim=f"data: {body}\n\n".encode() if streamed else body.encode())
    with pytest.raises(InvalidResponse):
        await collect(provider, call(streamed=streamed))


@pytest.mark.parametrize("usage", ["1e400", "-5", '"many"', "true", "null", "12.5", "[]"])
async def test_a_count_that_is_none_is_unknown(
    fake: FakeOpenAi, provider: OpenAiProvider, usage: str
) -> None:
    counts = f'{{"prompt_tokens":{usage},"prompt_tokens_details":{{"cached_tokens":{usage}}}}}'
    choice = '{"delta":{"content":"a"},"finish_reason":"stop"}'
    fake.reply = Reply(verbatim=f'data: {{"choices":[{choice}],"usage":{counts}}}\n\n'.encode())
    last = (await collect(provider, CALL))[-1]
    assert (last.prompt_tokens, last.cached_tokens) == (None, None)


async def test_an_event_of_many_lines_is_not_read_without_end(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(verbatim=(b"data: " + b"x" * 10_000 + b"\n") * 200)
    with pytest.raises(InvalidResponse, match="an event of over 1,000,000 bytes"):
        await collect(provider, CALL)


async def test_a_stream_whose_framing_breaks_ends_with_the_limit_at_the_latest(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(fault=Fault.BAD_FRAMING, fault_after=2, token_delay_s=0.005)
    with pytest.raises((InvalidResponse, ProviderTimeout)):
        await collect(provider, call(time_limits=limits(between_events_s=0.2)))
    await idle(fake)


async def test_a_stream_without_end_is_not_read_without_end(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(tokens=("x" * 900_000,) * 80)
    received = 0
    with pytest.raises(InvalidResponse, match="64,000,000 bytes in all"):
        async for event in provider.generate(CALL):
            received += len(event.text) if isinstance(event, TextDelta) else 0
    assert 60_000_000 < received <= 64_000_000


async def test_an_error_in_the_middle_of_a_stream_is_told(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(fault=Fault.ERROR_LINE, fault_after=1, error="an error was encountered")
    with pytest.raises(StreamInterrupted, match="It says: an error was encountered"):
        await collect(provider, CALL)


# ------------------------------------------------------------------ time limits


def limits(**limit: float) -> TimeLimits:
    generous = {"connect_s": 5.0, "first_event_s": 5.0, "between_events_s": 5.0, "total_s": 5.0}
    return TimeLimits(**(generous | limit))


@both_modes
@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HEADERS_ONLY, Fault.STALL, Fault.ALIVE_ONLY])
async def test_the_first_event_has_a_limit_that_comments_and_roles_do_not_meet(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool, fault: Fault
) -> None:
    fake.reply = Reply(fault=fault)
    started = time.monotonic()
    with pytest.raises(ProviderTimeout, match=r"within 0.1 s \(limit: first event\)"):
        await collect(provider, call(streamed=streamed, time_limits=limits(first_event_s=0.1)))
    assert time.monotonic() - started < 1
    await fake.chats[0].wait_closed()


async def test_a_model_may_think_in_silence_after_its_role_was_named(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    role = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    rest = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    fake.reply = Reply(verbatim=role + rest, split_bytes=len(role), split_delay_s=0.3)
    events = await collect(provider, call(time_limits=limits(between_events_s=0.1)))
    assert events[0] == TextDelta("a")


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.ALIVE_ONLY])
async def test_the_time_between_events_has_a_limit_that_comments_do_not_extend(
    fake: FakeOpenAi, provider: OpenAiProvider, fault: Fault
) -> None:
    fake.reply = Reply(fault=fault, fault_after=2)
    with pytest.raises(ProviderTimeout, match=r"0.1 s .*\(limit: between events\)"):
        await collect(provider, call(time_limits=limits(between_events_s=0.1)))
    await fake.chats[0].wait_closed()


@pytest.mark.parametrize(
    ("tokens", "limit", "told"),
    [
        (("x" * 400,), limits(first_event_s=0.2), "limit: first event"),
        (("x", "x" * 400), limits(between_events_s=0.2), "limit: between events"),
    ],
)
async def test_an_event_that_trickles_in_is_one_event(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    tokens: tuple[str, ...],
    limit: TimeLimits,
    told: str,
) -> None:
    fake.reply = Reply(tokens=tokens, split_bytes=1, split_delay_s=0.002)
    with pytest.raises(ProviderTimeout, match=told):
        await collect(provider, call(time_limits=limit))


@both_modes
@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.STALL, Fault.ALIVE_ONLY])
async def test_the_whole_call_has_a_limit(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool, fault: Fault
) -> None:
    fake.reply = Reply(fault=fault, fault_after=2)
    with pytest.raises(ProviderTimeout, match=r"within 0.1 s \(limit: total\)"):
        await collect(provider, call(streamed=streamed, time_limits=limits(total_s=0.1)))


async def test_steady_tokens_do_not_outlast_the_total_limit(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(tokens=("tick",) * 1000, token_delay_s=0.01)
    with pytest.raises(ProviderTimeout, match="limit: total"):
        await collect(provider, call(time_limits=limits(total_s=0.2)))


async def test_a_slow_consumer_is_not_a_slow_provider(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(token_delay_s=0.02)
    received = 0
    asked = call(time_limits=limits(first_event_s=0.15, between_events_s=0.15))
    async for _event in provider.generate(asked):
        received += 1
        await asyncio.sleep(0.2)
    assert received == 5


@both_modes
async def test_a_connection_that_does_not_open_has_a_limit(
    http: HttpClient, *, streamed: bool
) -> None:
    with (
        unaccepting_url() as url,
        pytest.raises(ProviderTimeout, match=r"0.2 s \(limit: connect\)"),
    ):
        asked = call(streamed=streamed, time_limits=limits(connect_s=0.2))
        await collect(OpenAiProvider(url, None, http), asked)


# ----------------------------------------------------------------- cancellation


@both_modes
@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HEADERS_ONLY, Fault.STALL])
async def test_cancelling_the_task_closes_the_connection_within_100_ms(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool, fault: Fault
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
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(tokens=("tick",) * 1000, token_delay_s=0.01)
    async with aclosing(provider.generate(CALL)) as events:
        assert await anext(events) == TextDelta("tick")
        closed_at = time.monotonic()
    assert await fake.chats[0].wait_closed() - closed_at < 0.1
    assert fake.chats[0].tokens_sent < 50


async def test_cancelling_while_the_counts_are_waited_for_closes_the_connection(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(fault=Fault.STALL, fault_after=5)
    task = asyncio.create_task(collect(provider, CALL))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await fake.chats[0].wait_closed(0.1)


async def idle(fake: FakeOpenAi) -> None:
    """Wait until the fake is answering nobody: a failed call leaves no connection busy."""
    async with asyncio.timeout(1):
        while any(connection.request is not None for connection in fake.connections):
            await asyncio.sleep(0.005)

"""What a healthy OpenAI, or a host like it, answers, streamed and whole, and what it was asked."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.openai import OpenAiProvider
from assistant.domain.completion import (
    FinishReason,
    GenerationFinished,
    GenerationParameters,
    Message,
    MessageRole,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from assistant.errors import ProviderRejected, ProviderUnavailable, StreamInterrupted
from tests.providers.fake_openai import (
    FakeOpenAi,
    Reply,
    ToolCall,
    stream_events,
    unsupported,
)
from tests.providers.fake_server import Fault, words
from tests.providers.openai_calls import CALL, call, collect, text_of

both_modes = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAi]:
    async with FakeOpenAi() as server:
        yield server


@pytest.fixture
def provider(fake: FakeOpenAi, http: HttpClient) -> OpenAiProvider:
    return OpenAiProvider(fake.url, "sk-test", http)


async def test_a_stream_yields_each_token_as_it_comes(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(tokens=("One", " two", " three"), completion_tokens=3)
    assert await collect(provider, CALL) == [
        TextDelta("One"),
        TextDelta(" two"),
        TextDelta(" three"),
        GenerationFinished(FinishReason.STOP, prompt_tokens=12, completion_tokens=3),
    ]


async def test_a_whole_answer_is_one_delta(fake: FakeOpenAi, provider: OpenAiProvider) -> None:
    fake.reply = Reply(tokens=("One", " two", " three"), completion_tokens=3)
    assert await collect(provider, call(streamed=False)) == [
        TextDelta("One two three"),
        GenerationFinished(FinishReason.STOP, prompt_tokens=12, completion_tokens=3),
    ]
    assert fake.chats[0].body["stream"] is False
    assert "stream_options" not in fake.chats[0].body


@both_modes
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_characters_may_be_cut_between_packets(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool, size: int
) -> None:
    fake.reply = Reply(tokens=("naïve ", "日本語", " 🦙🦙"), split_bytes=size)
    assert text_of(await collect(provider, call(streamed=streamed))) == "naïve 日本語 🦙🦙"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(comments=True),
        Reply(line_end=b"\r\n"),
        Reply(comments=True, line_end=b"\r\n", split_bytes=5),
        Reply(has_done=False),
        Reply(usage="with-finish"),
        Reply(usage="with-finish", has_done=False),
        Reply(usage="every"),
        Reply(usage="every", has_done=False),
    ],
)
async def test_compatible_hosts_may_differ(
    fake: FakeOpenAi, provider: OpenAiProvider, reply: Reply
) -> None:
    fake.reply = reply
    events = await collect(provider, CALL)
    assert text_of(events) == "Hello, world!"
    assert events[-1] == GenerationFinished(FinishReason.STOP, 12, 4)


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(
            b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}',
            [TextDelta("a")],
            id="no-blank-line-at-the-end",
        ),
        pytest.param(
            b"event: message\nid: 1\nretry: 10\n"
            b'data: {"choices":[\ndata: {"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n',
            [TextDelta("a")],
            id="several-lines-and-other-fields",
        ),
        pytest.param(
            b'data:{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata:[DONE]\n',
            [TextDelta("a")],
            id="no-space",
        ),
        pytest.param(
            b'\n\n:\n\nevent: ping\n\ndata:\n\ndata: {"choices":[{"delta":null,'
            b'"finish_reason":null}]}\n\ndata: {"choices":[{"index":1,"delta":{"content":"b"}},'
            b'{"index":0,"delta":{"content":"a"},"finish_reason":""}]}\n\n'
            b'data: {"choices":[],"prompt_filter_results":[]}\n\n'
            b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n',
            [TextDelta("a")],
            id="nothing-in-many-shapes",
        ),
        pytest.param(
            b'data: {"choices":[{"delta":{"reasoning_content":"hm","reasoning":"hm"}}]}\n\n'
            b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n',
            [ReasoningDelta("hm")],
            id="a-thought-under-two-names",
        ),
    ],
)
async def test_events_come_in_many_shapes(
    fake: FakeOpenAi, provider: OpenAiProvider, stream: bytes, events: list[ProviderEvent]
) -> None:
    fake.reply = Reply(verbatim=stream)
    assert await collect(provider, CALL) == [*events, GenerationFinished(FinishReason.STOP)]


@both_modes
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thinking_is_told_apart_from_the_answer(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool, field: str
) -> None:
    fake.reply = Reply(thinking=("Hm", "m."), tokens=("Yes",), reasoning_field=field)
    *events, last = await collect(provider, call(streamed=streamed))
    thoughts = [event.text for event in events if isinstance(event, ReasoningDelta)]
    assert "".join(thoughts) == "Hmm."
    assert events[-1] == TextDelta("Yes")
    assert isinstance(last, GenerationFinished)


@both_modes
@pytest.mark.parametrize(
    ("said", "finish_reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("a reason of tomorrow", FinishReason.STOP),
    ],
)
async def test_the_finish_reason_is_the_hosts(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    *,
    streamed: bool,
    said: str,
    finish_reason: FinishReason,
) -> None:
    fake.reply = Reply(finish_reason=said)
    last = (await collect(provider, call(streamed=streamed)))[-1]
    assert isinstance(last, GenerationFinished)
    assert last.finish_reason is finish_reason


@pytest.mark.parametrize("said", ["error", "abort", "insufficient_system_resource"])
async def test_an_answer_that_was_given_up_is_no_success(
    fake: FakeOpenAi, provider: OpenAiProvider, said: str
) -> None:
    fake.reply = Reply(finish_reason=said)
    with pytest.raises(StreamInterrupted, match=said):
        await collect(provider, CALL)
    with pytest.raises(ProviderUnavailable, match=said):
        await collect(provider, call(streamed=False))


@both_modes
async def test_a_refusal_is_text_and_no_answer(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=(), refusal=("I can't", " help with that."))
    events = await collect(provider, call(streamed=streamed))
    assert text_of(events) == "I can't help with that."
    assert events[-1] == GenerationFinished(FinishReason.CONTENT_FILTER, 12, 4)


@both_modes
@pytest.mark.parametrize(
    "reply",
    [
        Reply(usage="never"),
        Reply(prompt_tokens=0, completion_tokens=0, cached_tokens=0),
        Reply(prompt_tokens=None),
    ],
)
async def test_counts_that_are_absent_or_zero_are_unknown(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool, reply: Reply
) -> None:
    fake.reply = reply
    last = (await collect(provider, call(streamed=streamed)))[-1]
    assert last == GenerationFinished(FinishReason.STOP, None, None, None)


@both_modes
async def test_cached_tokens_are_reported(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(prompt_tokens=40, completion_tokens=4, cached_tokens=30)
    last = (await collect(provider, call(streamed=streamed)))[-1]
    assert last == GenerationFinished(FinishReason.STOP, 40, 4, 30)


@both_modes
@pytest.mark.parametrize(
    ("answered", "thoughts", "beside", "counted"),
    [
        (40, 30, False, (40, 30)),
        (40, 41, False, (40, 40)),
        (9, 30, True, (39, 30)),
        (0, 30, True, (30, 30)),
        (0, 30, False, (None, None)),
        (40, 0, False, (40, None)),
        (40, -1, False, (40, None)),
    ],
)
async def test_thoughts_are_counted_among_the_answer_whoever_counts_them_beside_it(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    *,
    streamed: bool,
    answered: int,
    thoughts: int,
    beside: bool,
    counted: tuple[int | None, int | None],
) -> None:
    fake.reply = Reply(
        completion_tokens=answered, reasoning_tokens=thoughts, reasoning_is_beside=beside
    )
    last = (await collect(provider, call(streamed=streamed)))[-1]
    assert isinstance(last, GenerationFinished)
    assert (last.completion_tokens, last.reasoning_tokens) == counted


@pytest.mark.parametrize("details", ["7", "[]", "null", '{"reasoning_tokens": "7"}', '{"x": 7}'])
async def test_details_that_are_none_are_passed_over(
    fake: FakeOpenAi, provider: OpenAiProvider, details: str
) -> None:
    fake.reply = Reply(
        verbatim=b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":'
        b'{"prompt_tokens":3,"completion_tokens":9,"completion_tokens_details":%b}}'
        % details.encode()
    )
    last = (await collect(provider, call(streamed=False)))[-1]
    assert last == GenerationFinished(FinishReason.STOP, 3, 9)


async def test_the_last_count_is_waited_for(fake: FakeOpenAi, provider: OpenAiProvider) -> None:
    pieces = [
        b'data: {"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":9}}',
        b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}',
        b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":7}}',
    ]
    size = max(map(len, pieces))
    stream = b"".join(piece.ljust(size) + b"\n\n" for piece in pieces)
    fake.reply = Reply(verbatim=stream, split_bytes=size + 2, split_delay_s=0.05)
    assert (await collect(provider, CALL))[-1] == GenerationFinished(FinishReason.STOP, 9, 7)


@both_modes
async def test_an_empty_answer_is_an_answer(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=())
    events = await collect(provider, call(streamed=streamed))
    assert [type(event) for event in events] == [GenerationFinished]


# -------------------------------------------------------------------- tool calls

CALLS = (
    ToolCall(id="call_1", name="look", fragments=('{"wh', 'ere":"', 'up"}')),
    ToolCall(id="call_2", name="listen"),
)


async def test_tool_calls_come_in_fragments(fake: FakeOpenAi, provider: OpenAiProvider) -> None:
    fake.reply = Reply(tokens=("Let me see.",), tool_calls=CALLS, finish_reason="tool_calls")
    assert await collect(provider, CALL) == [
        TextDelta("Let me see."),
        ToolCallDelta(0, "call_1", "look", '{"wh'),
        ToolCallDelta(0, None, None, 'ere":"'),
        ToolCallDelta(0, None, None, 'up"}'),
        ToolCallDelta(1, "call_2", "listen", "{}"),
        GenerationFinished(FinishReason.TOOL_CALLS, 12, 4),
    ]


async def test_tool_calls_of_a_whole_answer_are_whole(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(tokens=(), tool_calls=CALLS, finish_reason="tool_calls")
    assert await collect(provider, call(streamed=False)) == [
        ToolCallDelta(0, "call_1", "look", '{"where":"up"}'),
        ToolCallDelta(1, "call_2", "listen", "{}"),
        GenerationFinished(FinishReason.TOOL_CALLS, 12, 4),
    ]


@pytest.mark.parametrize(
    "odd", [{"is_repeated": True}, {"is_numbered": False}, {"id": None, "is_numbered": False}]
)
async def test_tool_calls_of_compatible_hosts_are_told_apart_as_well(
    fake: FakeOpenAi, provider: OpenAiProvider, odd: dict[str, Any]
) -> None:
    calls = tuple(replace(asked, **odd) for asked in CALLS)
    fake.reply = Reply(tokens=(), tool_calls=calls, finish_reason="stop")
    *deltas, last = await collect(provider, CALL)
    assert [(event.index, event.name, event.id) for event in deltas if event.name] == [
        (0, "look", calls[0].id),
        (1, "listen", calls[1].id),
    ]
    joined = ["".join(event.arguments for event in deltas if event.index == n) for n in (0, 1)]
    assert joined == ['{"where":"up"}', "{}"]
    assert last.finish_reason is FinishReason.TOOL_CALLS


@both_modes
async def test_characters_that_cannot_be_stored_are_replaced(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(
        tokens=("a\x00b", "é\ud83dé", "🦙"),
        tool_calls=(ToolCall(id="\x00", name="\ud83d", fragments=("\x00",)),),
        escaped=True,
    )
    events = await collect(provider, call(streamed=streamed))
    assert text_of(events) == "a\ufffdbé\ufffdé🦙"
    assert ToolCallDelta(0, "\ufffd", "\ufffd", "\ufffd") in events


# ------------------------------------------------------------------ what is sent


async def test_nothing_but_what_was_asked_for_is_sent(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    await collect(
        provider,
        call(
            messages=(
                Message(MessageRole.SYSTEM, "Be brief."),
                Message(MessageRole.USER, "Hi"),
                Message(MessageRole.ASSISTANT, "Hello"),
                Message(MessageRole.TOOL, "42", tool_call_id="call-1"),
            )
        ),
    )
    assert fake.chats[0].body == {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "tool", "content": "42", "tool_call_id": "call-1"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert fake.chats[0].headers["authorization"] == "Bearer sk-test"


async def test_parameters_are_sent(fake: FakeOpenAi, provider: OpenAiProvider) -> None:
    parameters = GenerationParameters(
        temperature=0.0, top_p=0.5, max_tokens=7, stop=("END",), seed=0, timeout_ms=1000
    )
    await collect(provider, call(parameters=parameters, streamed=False))
    sent = fake.chats[0].body
    assert {name: sent[name] for name in sent.keys() - {"model", "messages", "stream"}} == {
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 7,
        "stop": ["END"],
        "seed": 0,
    }


@pytest.mark.parametrize("key", [None, "", "  "])
async def test_without_a_key_none_is_sent(
    fake: FakeOpenAi, http: HttpClient, key: str | None
) -> None:
    await collect(OpenAiProvider(fake.url, key, http), CALL)
    assert "authorization" not in fake.chats[0].headers


async def test_white_space_around_a_key_does_not_count(fake: FakeOpenAi, http: HttpClient) -> None:
    fake.api_key = "sk-live"
    await collect(OpenAiProvider(fake.url + "/", " sk-live\n", http), CALL)
    assert len(fake.chats) == 1


# --------------------------------------------------- the words of a model are learnt


@both_modes
async def test_a_model_that_calls_the_limit_otherwise_is_asked_in_its_own_words(
    fake: FakeOpenAi, provider: OpenAiProvider, *, streamed: bool
) -> None:
    fake.unknown_parameters = {"max_tokens": unsupported("max_tokens", "max_completion_tokens")}
    asked = call(parameters=GenerationParameters(max_tokens=7), streamed=streamed)
    for _ in range(2):
        assert text_of(await collect(provider, asked)) == "Hello, world!"
    limits = [(c.body.get("max_tokens"), c.body.get("max_completion_tokens")) for c in fake.chats]
    assert limits == [(7, None), (None, 7), (None, 7)]


async def test_what_one_model_does_not_understand_others_are_asked_all_the_same(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    limited = GenerationParameters(max_tokens=7)
    fake.enqueue(unsupported("max_tokens", "max_completion_tokens"))
    await collect(provider, call(parameters=limited))
    await collect(provider, call(parameters=limited, model="gpt-5-mini"))
    assert fake.chats[-1].body["max_tokens"] == 7


async def test_a_limit_that_is_too_large_is_no_unknown_word(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(
        status=400,
        error="max_tokens is too large: 900000. This model supports at most 16384.",
        param="max_tokens",
        code="invalid_value",
    )
    with pytest.raises(ProviderRejected, match="too large"):
        await collect(provider, call(parameters=GenerationParameters(max_tokens=900_000)))
    assert len(fake.chats) == 1


@pytest.mark.parametrize(
    "refused",
    [
        unsupported("stream_options"),
        Reply(status=400, error="Unrecognized request argument supplied: stream_options"),
        Reply(
            status=422,
            verbatim=b'{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"]}]}',
        ),
    ],
)
async def test_a_host_that_cannot_count_in_streams_is_asked_without(
    fake: FakeOpenAi, provider: OpenAiProvider, refused: Reply
) -> None:
    fake.unknown_parameters = {"stream_options": refused}
    for _ in range(2):
        events = await collect(provider, CALL)
        assert events[-1] == GenerationFinished(FinishReason.STOP)
    assert ["stream_options" in chat.body for chat in fake.chats] == [True, False, False]


async def test_several_words_are_learnt_from_one_call(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.unknown_parameters = {
        "stream_options": unsupported("stream_options"),
        "max_tokens": unsupported("max_tokens", "max_completion_tokens"),
        "response_format": unsupported("response_format"),
    }
    asked = call(parameters=GenerationParameters(max_tokens=7), response_schema={"type": "object"})
    for _ in range(2):
        assert text_of(await collect(provider, asked)) == "Hello, world!"
    assert len(fake.chats) == 6


async def test_other_parameters_that_are_refused_are_refused(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.unknown_parameters = {"temperature": unsupported("temperature")}
    with pytest.raises(ProviderRejected, match="'temperature' is not supported"):
        await collect(provider, call(parameters=GenerationParameters(temperature=0.3)))
    assert len(fake.chats) == 1


# --------------------------------------------------------------- response schemas

STRICT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "Who"},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
        "age": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
    "required": ["name", "tags", "age"],
    "additionalProperties": False,
    "$defs": {
        "tag": {
            "type": "object",
            "properties": {"text": {"enum": ["a", "b"]}},
            "required": ["text"],
            "additionalProperties": False,
        }
    },
}


def changed(**changes: Any) -> dict[str, Any]:
    return STRICT | changes


@both_modes
@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (STRICT, True),
        (changed(additionalProperties=True), False),
        (changed(required=["name"]), False),
        ({key: value for key, value in STRICT.items() if key != "additionalProperties"}, False),
        (changed(**{"$defs": {"tag": {"type": "object"}}}), False),
        (changed(allOf=[]), False),
        (changed(properties={"name": True, "tags": {}, "age": {}}), False),
        (changed(properties={"name": {"default": 1}, "tags": {}, "age": {}}), False),
        (changed(properties=7), False),
        ({"type": "array", "items": STRICT}, False),
        ({"anyOf": [STRICT]}, False),
        ({}, False),
    ],
)
async def test_a_schema_is_strict_where_openai_takes_it_as_such(
    fake: FakeOpenAi,
    provider: OpenAiProvider,
    *,
    streamed: bool,
    schema: dict[str, Any],
    strict: bool,
) -> None:
    await collect(provider, call(response_schema=schema, streamed=streamed))
    assert fake.chats[0].body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": strict},
    }


async def test_a_host_that_knows_no_schemas_is_asked_for_json(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    error = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
    fake.enqueue(Reply(status=400, error=error), Reply(), Reply())
    for _ in range(2):
        assert text_of(await collect(provider, call(response_schema=STRICT))) == "Hello, world!"
    kinds = [chat.body["response_format"]["type"] for chat in fake.chats]
    assert kinds == ["json_schema", "json_object", "json_object"]


async def test_a_host_that_knows_no_formats_is_asked_without(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.unknown_parameters = {"response_format": unsupported("response_format")}
    for _ in range(2):
        assert text_of(await collect(provider, call(response_schema=STRICT))) == "Hello, world!"
    assert ["response_format" in chat.body for chat in fake.chats] == [True, True, False, False]


async def test_a_schema_that_is_refused_says_nothing_about_the_next(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.enqueue(
        Reply(
            status=400,
            error="Invalid schema for response_format 'answer': In context=(), ...",
            param="response_format",
        ),
        Reply(
            status=400,
            error="'messages' must contain the word 'json' in some form, to use"
            " 'response_format' of type 'json_object'.",
            param="messages",
        ),
        Reply(),
        Reply(),
    )
    for _ in range(2):
        await collect(provider, call(response_schema=STRICT))
    kinds = [chat.body.get("response_format", {}).get("type") for chat in fake.chats]
    assert kinds == ["json_schema", "json_object", None, "json_schema"]


# -------------------------------------------------------------------- connections


@pytest.mark.parametrize("end_delay_s", [0.0, 0.01])
async def test_a_connection_is_used_again(
    fake: FakeOpenAi, provider: OpenAiProvider, end_delay_s: float
) -> None:
    fake.reply = Reply(end_delay_s=end_delay_s)
    for streamed in (True, False, True):
        await collect(provider, call(streamed=streamed))
    assert fake.accepted == 1


async def test_a_connection_is_used_again_after_a_refusal(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.unknown_parameters = {"stream_options": unsupported("stream_options")}
    await collect(provider, CALL)
    assert (len(fake.chats), fake.accepted) == (2, 1)


async def test_many_calls_run_at_once(fake: FakeOpenAi, provider: OpenAiProvider) -> None:
    fake.reply = Reply(tokens=words(10), token_delay_s=0.02)
    answers = await asyncio.gather(*(collect(provider, CALL) for _ in range(150)))
    assert {text_of(events) for events in answers} == {"".join(words(10))}
    assert fake.accepted == 150


@pytest.mark.parametrize("fault", [Fault.STALL, Fault.TRUNCATE, Fault.RESET, Fault.ALIVE_ONLY])
async def test_an_answer_that_has_ended_counts_though_its_counts_never_come(
    fake: FakeOpenAi, provider: OpenAiProvider, fault: Fault
) -> None:
    whole = Reply(fault=fault)
    # All but the preface, the counts and [DONE].
    fake.reply = replace(whole, fault_after=len(stream_events(whole, CALL.model)) - 3)
    started = time.monotonic()
    events = await collect(provider, CALL)
    assert time.monotonic() - started < 3  # the limit between events is 5 s
    assert text_of(events) == "Hello, world!"
    assert events[-1] == GenerationFinished(FinishReason.STOP)


async def test_a_host_that_does_not_stream_answers_all_the_same(
    http: HttpClient,
) -> None:
    body = {"choices": [{"message": {"content": "All at once"}, "finish_reason": "stop"}]}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        data = json.dumps(body).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(data), data)
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        events = await collect(OpenAiProvider(url, None, http), CALL)
    assert events == [TextDelta("All at once"), GenerationFinished(FinishReason.STOP)]


async def test_long_answers_are_read_to_their_end(
    fake: FakeOpenAi, provider: OpenAiProvider
) -> None:
    fake.reply = Reply(tokens=words(20_000))
    assert text_of(await collect(provider, CALL)) == "".join(words(20_000))

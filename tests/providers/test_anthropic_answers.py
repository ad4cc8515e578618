"""What a healthy Anthropic answers, streamed and whole, and what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from assistant.adapters.providers.anthropic import AnthropicProvider
from assistant.adapters.providers.anthropic_schema import answer_tool
from assistant.adapters.providers.http import HttpClient
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
from assistant.domain.model import DiscoveredModel, ModelCapability
from assistant.domain.ports import TimeLimits
from assistant.domain.values import JsonObject
from assistant.errors import InvalidResponse, ProviderRejected, ProviderUnavailable
from tests.providers.anthropic_calls import CALL, KEY, call, collect, text_of
from tests.providers.fake_anthropic import (
    FakeAnthropic,
    Reply,
    ToolUse,
    find_fault,
    stream_events,
    told,
)
from tests.providers.fake_server import Fault, closed_url, words

both_modes = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])

OBJECT: JsonObject = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}
LIST: JsonObject = {"type": "array", "items": {"type": "integer"}}


@pytest.fixture
async def fake() -> AsyncIterator[FakeAnthropic]:
    async with FakeAnthropic(api_key=KEY) as server:
        yield server


@pytest.fixture
def provider(fake: FakeAnthropic, http: HttpClient) -> AnthropicProvider:
    return AnthropicProvider(fake.url, KEY, http)


async def test_a_stream_yields_each_token_as_it_comes(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    fake.reply = Reply(tokens=("One", " two", " three"), completion_tokens=3)
    assert await collect(provider, CALL) == [
        TextDelta("One"),
        TextDelta(" two"),
        TextDelta(" three"),
        GenerationFinished(FinishReason.STOP, prompt_tokens=12, completion_tokens=3),
    ]


async def test_a_whole_answer_is_one_delta(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    fake.reply = Reply(tokens=("One", " two", " three"), completion_tokens=3)
    assert await collect(provider, call(streamed=False)) == [
        TextDelta("One two three"),
        GenerationFinished(FinishReason.STOP, prompt_tokens=12, completion_tokens=3),
    ]
    assert fake.chats[0].body["stream"] is False


async def test_several_texts_of_a_whole_answer_are_one_delta(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    content = [
        {"type": "text", "text": "One", "citations": [{"type": "char_location"}]},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "redacted_thinking", "data": "EmwKAhgB"},
        {"type": "text", "text": " two"},
    ]
    body = {"type": "message", "content": content, "stop_reason": "end_turn"}
    fake.reply = Reply(verbatim=json.dumps(body).encode())
    assert await collect(provider, call(streamed=False)) == [
        TextDelta("One two"),
        GenerationFinished(FinishReason.STOP),
    ]


@both_modes
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_characters_may_be_cut_between_packets(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool, size: int
) -> None:
    fake.reply = Reply(tokens=("naïve ", "日本語", " 🦙🦙"), split_bytes=size)
    assert text_of(await collect(provider, call(streamed=streamed))) == "naïve 日本語 🦙🦙"


@both_modes
async def test_thinking_is_told_apart_from_the_answer(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(thinking=("Hm", "m."), tokens=("Yes",))
    *events, last = await collect(provider, call(streamed=streamed))
    thoughts = [event.text for event in events if isinstance(event, ReasoningDelta)]
    assert "".join(thoughts) == "Hmm."
    assert events[-1] == TextDelta("Yes")
    assert isinstance(last, GenerationFinished)


@both_modes
@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("pause_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("a reason of tomorrow", FinishReason.STOP),
    ],
)
async def test_the_finish_reason_is_the_servers(
    fake: FakeAnthropic,
    provider: AnthropicProvider,
    *,
    streamed: bool,
    stop_reason: str,
    finish_reason: FinishReason,
) -> None:
    fake.reply = Reply(stop_reason=stop_reason)
    last = (await collect(provider, call(streamed=streamed)))[-1]
    assert isinstance(last, GenerationFinished)
    assert last.finish_reason is finish_reason


@both_modes
async def test_prompt_tokens_include_what_the_cache_read_and_wrote(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(
        prompt_tokens=3, cached_tokens=2000, cache_write_tokens=500, completion_tokens=7
    )
    last = (await collect(provider, call(streamed=streamed)))[-1]
    assert last == GenerationFinished(FinishReason.STOP, 2503, 7, 2000)


@both_modes
@pytest.mark.parametrize(
    ("thoughts", "counted"), [(30, 30), (41, 40), (0, None), (-1, None), (None, None)]
)
async def test_thoughts_are_counted_among_the_answer_where_anthropic_tells_them(
    fake: FakeAnthropic,
    provider: AnthropicProvider,
    *,
    streamed: bool,
    thoughts: int | None,
    counted: int | None,
) -> None:
    fake.reply = Reply(completion_tokens=40, reasoning_tokens=thoughts)
    last = (await collect(provider, call(streamed=streamed)))[-1]
    assert last == GenerationFinished(FinishReason.STOP, 12, 40, None, counted)


@pytest.mark.parametrize("details", [7, [], None, {"thinking_tokens": "7"}, {"x": 7}])
async def test_details_that_are_none_are_passed_over(
    fake: FakeAnthropic, provider: AnthropicProvider, details: object
) -> None:
    usage = {"input_tokens": 3, "output_tokens": 9, "output_tokens_details": details}
    message = {"content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}
    fake.reply = Reply(verbatim=json.dumps(message | {"usage": usage}).encode())
    last = (await collect(provider, call(streamed=False)))[-1]
    assert last == GenerationFinished(FinishReason.STOP, 3, 9)


@both_modes
async def test_counts_that_are_absent_are_unknown(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    content = [{"type": "text", "text": "x"}]
    message = {"type": "message", "content": content, "stop_reason": "end_turn", "usage": None}
    events = told("message_start", message={"usage": {"input_tokens": None}})
    events += told("content_block_start", index=0, content_block=content[0])
    events += told("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": "7"})
    events += told("message_stop")
    fake.reply = Reply(verbatim=events if streamed else json.dumps(message).encode())
    assert await collect(provider, call(streamed=streamed)) == [
        TextDelta("x"),
        GenerationFinished(FinishReason.STOP, None, None, None),
    ]


@both_modes
async def test_an_empty_answer_is_an_answer(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=())
    events = await collect(provider, call(streamed=streamed))
    assert [type(event) for event in events] == [GenerationFinished]


@both_modes
async def test_characters_that_cannot_be_stored_are_replaced(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=("a\x00b", "é\ud83dé", "🦙"), escaped=True)
    assert text_of(await collect(provider, call(streamed=streamed))) == "a\ufffdbé\ufffdé🦙"


async def test_events_that_nobody_knows_are_passed_over(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    pieces = list(stream_events(Reply(tokens=("Yes",)), CALL.model))
    citation = {"type": "citations_delta", "citation": {"type": "char_location"}}
    pieces[3:3] = [
        told("content_block_delta", index=0, delta=citation),
        told("content_block_delta", index=0, delta={"type": "delta of tomorrow", "text": 7}),
        told("content_block_start", index=9, content_block={"type": "block of tomorrow"}),
        told(
            "content_block_delta", index=9, delta={"type": "input_json_delta", "partial_json": "{"}
        ),
        told("content_block_stop", index=9),
        told("event of tomorrow", index="x"),
        b": a comment\n\n",
    ]
    fake.reply = Reply(verbatim=b"".join(pieces))
    assert await collect(provider, CALL) == [
        TextDelta("Yes"),
        GenerationFinished(FinishReason.STOP, prompt_tokens=12, completion_tokens=4),
    ]


async def test_lines_may_end_in_cr_and_lf(fake: FakeAnthropic, provider: AnthropicProvider) -> None:
    stream = b"".join(stream_events(Reply(), CALL.model)).replace(b"\n", b"\r\n")
    fake.reply = Reply(verbatim=stream)
    assert text_of(await collect(provider, CALL)) == "Hello, world!"


async def test_a_whole_answer_in_the_place_of_a_stream_is_read(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    body = {
        "type": "message",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
    }
    fake.stream_type = "application/json"  # type: ignore[misc]
    fake.reply = Reply(verbatim=json.dumps(body).encode())
    assert text_of(await collect(provider, CALL)) == "Hi"


# ------------------------------------------------------------------- what is sent


async def test_nothing_but_what_was_asked_for_is_sent(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    await collect(provider, CALL)
    (request,) = fake.requests
    assert request.body == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [text(CALL.messages[0].content)]}],
        "stream": True,
    }
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in request.headers


async def test_parameters_are_sent_and_a_seed_is_not(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    parameters = GenerationParameters(
        temperature=0.0, top_p=0.5, max_tokens=7, stop=("END", " x "), seed=0, timeout_ms=1000
    )
    await collect(provider, call(parameters=parameters))
    body = fake.chats[0].body
    assert {name: body[name] for name in body.keys() - {"model", "messages", "stream"}} == {
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 7,
        "stop_sequences": ["END", " x "],
    }


@pytest.mark.parametrize(("asked", "sent"), [(0.3, 0.3), (1.0, 1.0), (1.7, 1.0)])
async def test_a_temperature_above_one_is_sent_as_one(
    fake: FakeAnthropic, provider: AnthropicProvider, asked: float, sent: float
) -> None:
    await collect(provider, call(parameters=GenerationParameters(temperature=asked)))
    assert fake.chats[0].body["temperature"] == sent


async def test_a_stop_sequence_of_white_space_is_refused_before_it_is_sent(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    with pytest.raises(ProviderRejected, match="white space"):
        await collect(provider, call(parameters=GenerationParameters(stop=("END", "\n\n"))))
    assert fake.requests == []


def text(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}


def turn(role: str, *blocks: object) -> dict[str, object]:
    return {"role": role, "content": list(blocks)}


SYSTEM, USER, ASSISTANT, TOOL = MessageRole


@pytest.mark.parametrize(
    ("messages", "system", "turns"),
    [
        (
            [Message(SYSTEM, "Be brief."), Message(USER, "Hi"), Message(SYSTEM, "And kind.")],
            "Be brief.\n\nAnd kind.",
            [turn("user", text("Hi"))],
        ),
        (
            [Message(USER, "a"), Message(USER, "b"), Message(ASSISTANT, "c"), Message(USER, "d")],
            None,
            [
                turn("user", text("a"), text("b")),
                turn("assistant", text("c")),
                turn("user", text("d")),
            ],
        ),
        (
            [
                Message(USER, "What is it?"),
                Message(ASSISTANT, "Let me look."),
                Message(TOOL, "42", tool_call_id="toolu_1"),
                Message(TOOL, "43", tool_call_id="toolu_2"),
                Message(USER, "Well?"),
            ],
            None,
            [
                turn("user", text("What is it?")),
                turn("assistant", text("Let me look.")),
                turn(
                    "user",
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "43"},
                    text("Well?"),
                ),
            ],
        ),
        (
            [Message(USER, "a"), Message(TOOL, "of no call")],
            None,
            [turn("user", text("a"), text("of no call"))],
        ),
        (
            [Message(ASSISTANT, "How can I help?"), Message(USER, "Sing.")],
            None,
            [
                turn("user", text("(The conversation begins.)")),
                turn("assistant", text("How can I help?")),
                turn("user", text("Sing.")),
            ],
        ),
        (
            [Message(SYSTEM, "Tell a joke."), Message(SYSTEM, "A short one.")],
            None,
            [turn("user", text("Tell a joke.\n\nA short one."))],
        ),
        (
            [Message(USER, "Go on:"), Message(ASSISTANT, "Once upon a time \n")],
            None,
            [turn("user", text("Go on:")), turn("assistant", text("Once upon a time"))],
        ),
    ],
)
async def test_a_conversation_is_told_in_turns_of_user_and_assistant(
    fake: FakeAnthropic,
    provider: AnthropicProvider,
    messages: list[Message],
    system: str | None,
    turns: list[object],
) -> None:
    await collect(provider, call(messages=tuple(messages)))
    body = fake.chats[0].body
    assert body.get("system") == system
    assert body["messages"] == turns


async def test_without_a_key_none_is_sent(http: HttpClient) -> None:
    async with FakeAnthropic() as fake:
        await collect(AnthropicProvider(fake.url, None, http), CALL)
        await collect(AnthropicProvider(fake.url, " ", http), CALL)
    assert not any("x-api-key" in request.headers for request in fake.requests)


# ----------------------------------------------------------------------- tools


@both_modes
async def test_tool_uses_become_tool_calls(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(
        tokens=("Let me look.",),
        tool_uses=(
            ToolUse("toolu_1", "look", ('{"at":', ' "naïve"}')),
            ToolUse("toolu_2", "wait"),
        ),
        stop_reason="tool_use",
    )
    events = await collect(provider, call(streamed=streamed))
    assert events[0] == TextDelta("Let me look.")
    assert events[-1] == GenerationFinished(FinishReason.TOOL_CALLS, 12, 4)
    assert joined(events) == [
        (0, "toolu_1", "look", {"at": "naïve"}),
        (1, "toolu_2", "wait", {}),
    ]
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert len(calls) == (5 if streamed else 2)
    assert [event.index for event in calls if event.name is not None] == [0, 1]


def joined(events: list[ProviderEvent]) -> list[tuple[int, str | None, str | None, object]]:
    """The tool calls, their pieces put together as a consumer does it."""
    calls: dict[int, list[ToolCallDelta]] = {}
    for one in events:
        if isinstance(one, ToolCallDelta):
            calls.setdefault(one.index, []).append(one)
    return [
        (index, first.id, first.name, json.loads("".join(piece.arguments for piece in pieces)))
        for index, pieces in calls.items()
        for first in pieces[:1]
    ]


@both_modes
async def test_a_tool_named_answer_is_a_tool_like_any_other_without_a_schema(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=(), tool_uses=(ToolUse("t", "answer"),), stop_reason="tool_use")
    events = await collect(provider, call(streamed=streamed))
    assert joined(events) == [(0, "t", "answer", {})]


# ------------------------------------------------------------- response schemas


@both_modes
async def test_a_response_schema_is_the_input_of_a_tool_that_must_be_used(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=('{"n"', ": 1", "}"))
    events = await collect(provider, call(streamed=streamed, response_schema=OBJECT))
    assert json.loads(text_of(events)) == {"n": 1}
    assert events[-1] == GenerationFinished(FinishReason.STOP, 12, 4)
    assert len(events) == (4 if streamed else 2)
    body = fake.chats[0].body
    assert [(tool["name"], tool["input_schema"]) for tool in body["tools"]] == [("answer", OBJECT)]
    assert (body["tool_choice"]["type"], body["tool_choice"]["name"]) == ("tool", "answer")
    assert body["tool_choice"]["disable_parallel_tool_use"] is True


@both_modes
@pytest.mark.parametrize(
    ("schema", "tokens", "answer"),
    [
        (LIST, ('{"val', 'ue": [1', ", 2]}"), [1, 2]),
        ({"type": "string"}, ('{"value": "naïve 🦙"}',), "naïve 🦙"),
        ({"type": ["object", "null"]}, ('{"value": null}',), None),
        ({**OBJECT, "anyOf": [{"required": ["n"]}]}, ('{"value": {"n": 7}}',), {"n": 7}),
        ({}, ('{"value": {}}',), {}),
    ],
)
async def test_a_schema_that_is_no_plain_object_is_wrapped_and_its_answer_unwrapped(
    fake: FakeAnthropic,
    provider: AnthropicProvider,
    *,
    streamed: bool,
    schema: JsonObject,
    tokens: tuple[str, ...],
    answer: object,
) -> None:
    fake.reply = Reply(tokens=tokens)
    events = await collect(provider, call(streamed=streamed, response_schema=schema))
    assert [type(event) for event in events] == [TextDelta, GenerationFinished]
    assert json.loads(text_of(events)) == answer
    (tool,) = fake.chats[0].body["tools"]
    assert tool["input_schema"] == {
        "type": "object",
        "properties": {"value": schema},
        "required": ["value"],
        "additionalProperties": False,
    }


@both_modes
async def test_an_empty_object_is_an_answer(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=())
    asked = call(streamed=streamed, response_schema={"type": "object"})
    assert text_of(await collect(provider, asked)) == "{}"


@both_modes
@pytest.mark.parametrize("tokens", [("{}",), ('{"other": 1}',), ("[1]",)])
async def test_an_answer_without_its_wrapper_is_an_invalid_one(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool, tokens: tuple[str, ...]
) -> None:
    fake.reply = Reply(tokens=tokens)
    with pytest.raises(InvalidResponse):
        await collect(provider, call(streamed=streamed, response_schema=LIST))


async def test_an_answer_whose_tokens_were_used_up_ends_by_length_and_not_by_a_failure(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    cut = [
        told("message_start", message={"usage": {"input_tokens": 3}}),
        told(
            "content_block_start",
            index=0,
            content_block={"type": "tool_use", "id": "t", "name": "answer", "input": {}},
        ),
        told(
            "content_block_delta",
            index=0,
            delta={"type": "input_json_delta", "partial_json": '{"value": [1'},
        ),
        told("content_block_stop", index=0),
        told("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 5}),
        told("message_stop"),
    ]
    fake.reply = Reply(verbatim=b"".join(cut), stop_reason="max_tokens")
    finished = GenerationFinished(FinishReason.LENGTH, 3, 5)
    assert await collect(provider, call(response_schema=LIST)) == [finished]
    events = await collect(provider, call(response_schema=OBJECT))
    assert events == [TextDelta('{"value": [1'), finished]


def test_references_of_a_schema_are_right_where_it_is_wrapped() -> None:
    tree: JsonObject = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "left": {"$ref": "#/$defs/node"},
                    "whole": {"$ref": "#"},
                    "other": {"$ref": "https://example.com/x#/y"},
                    "anchor": {"$ref": "#node"},
                    "$ref": {"enum": [{"$ref": "#/kept"}]},
                },
            }
        },
    }
    tool = answer_tool(tree)
    assert tool.is_wrapped
    assert tool.input_schema["properties"] == {
        "value": {
            "$ref": "#/properties/value/$defs/node",
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": {
                        "left": {"$ref": "#/properties/value/$defs/node"},
                        "whole": {"$ref": "#/properties/value"},
                        "other": {"$ref": "https://example.com/x#/y"},
                        "anchor": {"$ref": "#node"},
                        "$ref": {"enum": [{"$ref": "#/kept"}]},
                    },
                }
            },
        }
    }
    named = {**tree, "$id": "https://example.com/tree"}
    assert answer_tool(named).input_schema["properties"] == {"value": named}


# ----------------------------------------------------------------- connections


@both_modes
async def test_a_connection_is_used_again(
    fake: FakeAnthropic, provider: AnthropicProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(end_delay_s=0.01)
    for _ in range(3):
        await collect(provider, call(streamed=streamed))
    assert fake.accepted == 1


async def test_many_calls_run_at_once(fake: FakeAnthropic, provider: AnthropicProvider) -> None:
    fake.reply = Reply(tokens=words(10), token_delay_s=0.02)
    answers = await asyncio.gather(*(collect(provider, CALL) for _ in range(100)))
    assert {text_of(events) for events in answers} == {"".join(words(10))}


async def test_an_answer_that_is_done_counts_though_its_body_never_ends(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    reply = Reply(fault=Fault.STALL)
    fake.reply = replace(reply, fault_after=len(stream_events(reply, CALL.model)))
    assert text_of(await collect(provider, CALL)) == "Hello, world!"
    await fake.chats[0].wait_closed()


async def test_long_answers_are_read_to_their_end(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    fake.reply = Reply(tokens=words(20_000))
    assert text_of(await collect(provider, CALL)) == "".join(words(20_000))


# ---------------------------------------------------------------------- models


async def test_models_are_listed_with_what_is_told_of_them(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    fake.models = ("claude-haiku-4-5",)
    assert await provider.list_models() == [DiscoveredModel("claude-haiku-4-5")]
    fake.details = {
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "capabilities": {
            "image_input": {"supported": True},
            "thinking": {"supported": True, "types": {"enabled": {"supported": True}}},
            "structured_outputs": {"supported": False},
        },
    }
    chat = {ModelCapability.CHAT, ModelCapability.TOOLS, ModelCapability.STRUCTURED_OUTPUT}
    more = {ModelCapability.VISION, ModelCapability.REASONING}
    assert await provider.list_models() == [
        DiscoveredModel("claude-haiku-4-5", frozenset(chat | more), 200_000)
    ]
    fake.details = {"max_input_tokens": 0, "capabilities": {"thinking": {"supported": False}}}
    assert await provider.list_models() == [DiscoveredModel("claude-haiku-4-5", frozenset(chat))]


async def test_a_list_of_several_pages_is_read_to_its_end(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    fake.models = tuple(f"claude&{number}" for number in range(7))
    fake.page_size = 3
    listed = await provider.list_models()
    assert listed is not None
    assert [model.name for model in listed] == list(fake.models)
    assert [request.query for request in fake.requests] == [
        "limit=1000",
        "limit=1000&after_id=claude%262",
        "limit=1000&after_id=claude%265",
    ]


async def test_a_list_without_end_is_not_read_without_end(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    page = {"data": [{"id": "claude"}], "has_more": True, "last_id": "claude"}
    fake.replies_by_path["/v1/models"] = Reply(verbatim=json.dumps(page).encode())
    await provider.list_models()
    assert len(fake.requests) == 5


@pytest.mark.parametrize("status", [404, 405])
async def test_a_server_that_keeps_no_list_says_nothing(
    fake: FakeAnthropic, provider: AnthropicProvider, status: int
) -> None:
    fake.replies_by_path["/v1/models"] = Reply(status=status)
    assert await provider.list_models() is None


async def test_entries_that_are_not_models_are_passed_over(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    entries = [7, {}, {"id": 7}, {"id": ""}, {"id": "claude", "max_input_tokens": "many"}]
    body = json.dumps({"data": entries, "has_more": True}).encode()
    fake.replies_by_path["/v1/models"] = Reply(verbatim=body)
    assert await provider.list_models() == [DiscoveredModel("claude")]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=401, error="invalid x-api-key"), ProviderRejected),
        (Reply(status=500), ProviderUnavailable),
        (Reply(fault=Fault.HTML), InvalidResponse),
        (Reply(verbatim=b"{}"), InvalidResponse),
        (Reply(verbatim=b"[]"), InvalidResponse),
        (Reply(verbatim=b"\xff"), InvalidResponse),
    ],
)
async def test_a_list_that_cannot_be_had_is_a_failure(
    fake: FakeAnthropic, provider: AnthropicProvider, reply: Reply, kind: type[Exception]
) -> None:
    fake.replies_by_path["/v1/models"] = reply
    with pytest.raises(kind):
        await provider.list_models()


async def test_a_server_that_is_down_says_so(http: HttpClient) -> None:
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        await AnthropicProvider(closed_url(), KEY, http).list_models()


async def test_there_are_no_embeddings_and_the_message_says_what_has_them(
    fake: FakeAnthropic, provider: AnthropicProvider
) -> None:
    with pytest.raises(ProviderRejected, match="all-minilm-l6-v2"):
        await provider.embed("claude-sonnet-4-5", ["x"], TimeLimits())
    assert fake.requests == []


def test_the_fake_refuses_what_anthropic_refuses() -> None:
    good = {"model": "m", "max_tokens": 1, "messages": [turn("user", text("x"))]}
    assert find_fault(good) is None
    for bad in (
        {"seed": 1},
        {"max_tokens": None},
        {"temperature": 1.5},
        {"stop_sequences": [" "]},
        {"system": ""},
        {"messages": []},
        {"messages": [turn("assistant", text("x"))]},
        {"messages": [turn("system", text("x"))]},
        {"messages": [turn("user", text("x")), turn("user", text("x"))]},
        {"messages": [turn("user", text("x")), turn("assistant", text("x "))]},
        {"messages": [turn("user", text(" "))]},
        {"tools": [{"input_schema": LIST}]},
        {"tools": [{"input_schema": {"type": "object", "anyOf": []}}]},
    ):
        assert find_fault(good | bad) is not None, bad

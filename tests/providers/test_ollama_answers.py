"""What a healthy Ollama answers, streamed and whole, and what it was asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.ollama import OllamaProvider
from assistant.domain.completion import (
    FinishReason,
    GenerationFinished,
    GenerationParameters,
    Message,
    MessageRole,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from assistant.errors import ContextLengthExceeded, ProviderUnavailable
from tests.providers.fake_ollama import (
    FakeModel,
    FakeOllama,
    Fault,
    Reply,
    ToolCall,
    stream_lines,
    words,
)
from tests.providers.ollama_calls import CALL, call, collect, text_of

both_modes = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])


@pytest.fixture
def provider(fake: FakeOllama, http: HttpClient) -> OllamaProvider:
    return OllamaProvider(fake.url, http)


async def test_a_stream_yields_each_token_as_it_comes(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(tokens=("One", " two", " three"), completion_tokens=3)
    assert await collect(provider, CALL) == [
        TextDelta("One"),
        TextDelta(" two"),
        TextDelta(" three"),
        GenerationFinished(FinishReason.STOP, prompt_tokens=12, completion_tokens=3),
    ]


async def test_a_whole_answer_is_one_delta(fake: FakeOllama, provider: OllamaProvider) -> None:
    fake.reply = Reply(tokens=("One", " two", " three"), completion_tokens=3)
    assert await collect(provider, call(streamed=False)) == [
        TextDelta("One two three"),
        GenerationFinished(FinishReason.STOP, prompt_tokens=12, completion_tokens=3),
    ]
    assert fake.chats[0].body["stream"] is False


@both_modes
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
async def test_characters_may_be_cut_between_packets(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool, size: int
) -> None:
    fake.reply = Reply(tokens=("naïve ", "日本語", " 🦙🦙"), split_bytes=size)
    assert text_of(await collect(provider, call(streamed=streamed))) == "naïve 日本語 🦙🦙"


@both_modes
async def test_thinking_is_told_apart_from_the_answer(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(thinking=("Hm", "m."), tokens=("Yes",))
    *events, last = await collect(provider, call(streamed=streamed))
    thoughts = [event.text for event in events if isinstance(event, ReasoningDelta)]
    assert "".join(thoughts) == "Hmm."
    assert events[-1] == TextDelta("Yes")
    assert isinstance(last, GenerationFinished)


@both_modes
@pytest.mark.parametrize(
    ("done_reason", "finish_reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        (None, FinishReason.STOP),
        ("a reason of tomorrow", FinishReason.STOP),
    ],
)
async def test_the_finish_reason_is_the_servers(
    fake: FakeOllama,
    provider: OllamaProvider,
    *,
    streamed: bool,
    done_reason: str | None,
    finish_reason: FinishReason,
) -> None:
    fake.reply = Reply(done_reason=done_reason)
    last = (await collect(provider, call(streamed=streamed)))[-1]
    assert isinstance(last, GenerationFinished)
    assert last.finish_reason is finish_reason


@pytest.mark.parametrize("done_reason", ["load", "unload"])
async def test_loading_a_model_is_not_an_answer(
    fake: FakeOllama, provider: OllamaProvider, done_reason: str
) -> None:
    fake.reply = Reply(tokens=(), done_reason=done_reason)
    with pytest.raises(ProviderUnavailable, match=f"{done_reason}ed the model"):
        await collect(provider, CALL)


@both_modes
@pytest.mark.parametrize("count", [None, 0])
async def test_counts_that_are_absent_or_zero_are_unknown(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool, count: int | None
) -> None:
    fake.reply = Reply(prompt_tokens=count, completion_tokens=count, cached_tokens=count)
    last = (await collect(provider, call(streamed=streamed)))[-1]
    assert last == GenerationFinished(FinishReason.STOP, None, None, None)


async def test_cached_tokens_are_reported(fake: FakeOllama, provider: OllamaProvider) -> None:
    fake.reply = Reply(prompt_tokens=40, completion_tokens=4, cached_tokens=30)
    last = (await collect(provider, CALL))[-1]
    assert last == GenerationFinished(FinishReason.STOP, 40, 4, 30)


@both_modes
async def test_an_empty_answer_is_an_answer(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=())
    events = await collect(provider, call(streamed=streamed))
    assert [type(event) for event in events] == [GenerationFinished]


@both_modes
async def test_a_tool_call_comes_whole_behind_the_text(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(
        tokens=("Let me look.",),
        tool_calls=(ToolCall("look", '{"at": "naïve", "deep": {"n": [1, 2.5, null]}}', "call_1"),),
    )
    assert await collect(provider, call(streamed=streamed)) == [
        TextDelta("Let me look."),
        ToolCallDelta(0, "call_1", "look", '{"at":"naïve","deep":{"n":[1,2.5,null]}}'),
        GenerationFinished(FinishReason.TOOL_CALLS, prompt_tokens=12, completion_tokens=4),
    ]


@both_modes
async def test_tool_calls_are_told_apart_by_their_index_and_may_have_no_id(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=(), tool_calls=(ToolCall("look"), ToolCall("look")))
    *calls, last = await collect(provider, call(streamed=streamed))
    assert calls == [ToolCallDelta(0, None, "look", "{}"), ToolCallDelta(1, None, "look", "{}")]
    assert isinstance(last, GenerationFinished)
    assert last.finish_reason is FinishReason.TOOL_CALLS


async def test_tool_calls_on_several_lines_are_numbered_through(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    (line, done) = stream_lines(Reply(tokens=(), tool_calls=(ToolCall("look"),)), CALL.model)
    fake.reply = Reply(lines=(line, line, done))
    *calls, _ = await collect(provider, CALL)
    assert [event.index for event in calls if isinstance(event, ToolCallDelta)] == [0, 1]


@both_modes
async def test_tool_calls_that_were_cut_off_end_by_length(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=(), tool_calls=(ToolCall("look"),), done_reason="length")
    last = (await collect(provider, call(streamed=streamed)))[-1]
    assert isinstance(last, GenerationFinished)
    assert last.finish_reason is FinishReason.LENGTH


@both_modes
async def test_a_response_schema_is_the_format(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    fake.reply = Reply(tokens=('{"n"', ": 1}"))
    asked = call(streamed=streamed, response_schema=schema)
    assert text_of(await collect(provider, asked)) == '{"n": 1}'
    assert fake.chats[0].body["format"] == schema


@both_modes
async def test_characters_that_cannot_be_stored_are_replaced(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool
) -> None:
    fake.reply = Reply(tokens=("a\x00b", "é\ud83dé", "🦙"), escaped=True)
    assert text_of(await collect(provider, call(streamed=streamed))) == "a\ufffdbé\ufffdé🦙"


async def test_nothing_but_what_was_asked_for_is_sent(
    fake: FakeOllama, provider: OllamaProvider
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
        "model": "llama3.2:3b",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "tool", "content": "42", "tool_call_id": "call-1"},
        ],
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": {},
    }


async def test_parameters_become_options(fake: FakeOllama, provider: OllamaProvider) -> None:
    parameters = GenerationParameters(
        temperature=0.0, top_p=0.5, max_tokens=7, stop=("END",), seed=0, timeout_ms=1000
    )
    await collect(provider, call(parameters=parameters))
    assert fake.chats[0].body["options"] == {
        "temperature": 0.0,
        "top_p": 0.5,
        "num_predict": 7,
        "stop": ["END"],
        "seed": 0,
    }


@pytest.mark.parametrize("end_delay_s", [0.0, 0.01])
async def test_a_connection_is_used_again(
    fake: FakeOllama, provider: OllamaProvider, end_delay_s: float
) -> None:
    fake.reply = Reply(end_delay_s=end_delay_s)
    for streamed in (True, False, True):
        await collect(provider, call(streamed=streamed))
    assert fake.accepted == 1


async def test_many_calls_run_at_once(fake: FakeOllama, provider: OllamaProvider) -> None:
    fake.reply = Reply(tokens=words(10), token_delay_s=0.02)
    answers = await asyncio.gather(*(collect(provider, CALL) for _ in range(150)))
    assert {text_of(events) for events in answers} == {"".join(words(10))}
    assert fake.accepted == 150


async def test_a_connection_that_the_server_dropped_is_not_used(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    await collect(provider, CALL)
    fake.drop_connections()
    await asyncio.sleep(0.05)
    assert text_of(await collect(provider, CALL)) == "Hello, world!"


async def test_an_answer_that_is_done_counts_though_its_body_never_ends(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    reply = Reply(fault=Fault.STALL)
    fake.reply = replace(reply, fault_after=len(stream_lines(reply, CALL.model)))
    assert text_of(await collect(provider, CALL)) == "Hello, world!"
    await fake.chats[0].wait_closed()


# ------------------------------------------------------------- the context window


@pytest.mark.parametrize(
    ("estimated_tokens", "max_tokens", "context_window", "num_ctx"),
    [
        (3000, 1096, 131_072, None),
        (3000, 1097, 131_072, 8192),
        (3000, None, 131_072, None),
        (3500, None, 131_072, 8192),
        (8000, 192, 131_072, 8192),
        (8000, 193, 131_072, 16_384),
        (30_000, 100_000, 131_072, 131_072),
        (30_000, 1000, 20_000, 20_000),
    ],
)
async def test_a_larger_window_is_asked_for_only_when_it_is_needed(
    fake: FakeOllama,
    provider: OllamaProvider,
    estimated_tokens: int,
    max_tokens: int | None,
    context_window: int,
    num_ctx: int | None,
) -> None:
    await collect(
        provider,
        call(
            estimated_tokens=estimated_tokens,
            parameters=GenerationParameters(max_tokens=max_tokens),
            context_window=context_window,
        ),
    )
    assert fake.chats[0].body["options"].get("num_ctx") == num_ctx


@both_modes
async def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool
) -> None:
    fake.models = (FakeModel(context_length=8192),)
    asked = call(
        messages=(Message(MessageRole.USER, "word" * 9000),),
        estimated_tokens=8500,
        context_window=8192,
        streamed=streamed,
    )
    with pytest.raises(ContextLengthExceeded, match=r"9,000 tokens.*holds 8,192"):
        await collect(provider, asked)
    assert len(fake.chats) == 1


async def test_a_prompt_that_was_underestimated_gets_the_window_that_it_needs(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    asked = call(messages=(Message(MessageRole.USER, "word" * 9000),), estimated_tokens=2000)
    assert text_of(await collect(provider, asked)) == "Hello, world!"
    assert [chat.body["options"].get("num_ctx") for chat in fake.chats] == [None, 16_384]


@pytest.mark.parametrize(
    "error",
    [
        "the input length exceeds the context length",
        "prompt too long; exceeded max context length by 17 tokens",
    ],
)
async def test_an_overflow_without_numbers_tells_the_estimate(
    fake: FakeOllama, provider: OllamaProvider, error: str
) -> None:
    fake.reply = Reply(status=400, error=error)
    with pytest.raises(ContextLengthExceeded, match=r"estimated at 5,000 .* holds 8,192"):
        await collect(provider, call(estimated_tokens=5000, context_window=8192))


@both_modes
@pytest.mark.parametrize(
    ("estimated_tokens", "counted_tokens"),
    [(6000, 8192), (2800, 2048), (6000, 9000)],
)
async def test_a_prompt_that_was_cut_in_silence_is_no_success(
    fake: FakeOllama,
    provider: OllamaProvider,
    *,
    streamed: bool,
    estimated_tokens: int,
    counted_tokens: int,
) -> None:
    fake.reply = Reply(prompt_tokens=counted_tokens)
    with pytest.raises(ContextLengthExceeded, match=f"read only {counted_tokens:,} tokens"):
        await collect(provider, call(estimated_tokens=estimated_tokens, streamed=streamed))


@pytest.mark.parametrize(
    ("estimated_tokens", "counted_tokens"),
    [(6000, 100), (2100, 2048), (6000, 8191), (1000, 2048), (2800, 2047)],
)
async def test_a_count_below_the_estimate_alone_proves_nothing(
    fake: FakeOllama, provider: OllamaProvider, estimated_tokens: int, counted_tokens: int
) -> None:
    fake.reply = Reply(prompt_tokens=counted_tokens)
    events = await collect(provider, call(estimated_tokens=estimated_tokens))
    assert text_of(events) == "Hello, world!"


async def test_long_answers_are_read_to_their_end(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(tokens=words(20_000))
    assert text_of(await collect(provider, CALL)) == "".join(words(20_000))

"""What OpenAI's clients ask for, read into requests of ours; and what is refused, in their words."""

from __future__ import annotations

from typing import Any, cast

import pytest

from assistant.api.context import Context
from assistant.api.openai.chat_request import ChatRequest, read_chat
from assistant.api.openai.embeddings import embeddings_answer, read_embeddings
from assistant.api.openai.errors import Failure, failure_of
from assistant.api.request_json import RequestReader
from assistant.api.schema import create_schema
from assistant.domain.cache import CachePolicy
from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import (
    GenerationParameters,
    InterruptionPolicy,
    Message,
    MessageRole,
    TokenUsage,
)
from assistant.domain.model import Model, RoutingStrategy
from assistant.domain.prompt_test import TEST_FEATURE
from assistant.errors import BadUserInput
from assistant.services.embeddings import EmbeddedTexts

ANN = Caller("acme", "ann", None, frozenset({Scope.COMPLETE}))
HI = {"role": "user", "content": "Hi."}


@pytest.fixture(scope="module")
def reader() -> RequestReader:
    return RequestReader(create_schema())


def read(reader: RequestReader, body: dict[str, Any], **headers: str) -> ChatRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_chat(body, named, reader, Context(cast(Any, None), ANN, named))


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [HI], **fields}


def refusal(reader: RequestReader, body: dict[str, Any], **headers: str) -> Failure:
    with pytest.raises(BadUserInput) as refused:
        read(reader, body, **headers)
    failure = failure_of(refused.value)
    assert (failure.status, failure.type) == (400, "invalid_request_error")
    assert failure.headers["x-should-retry"] == "false"
    return failure


def test_a_conversation_is_read_with_its_roles(reader: RequestReader) -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        # As clients send back what they were given.
        {
            "role": "assistant",
            "content": "c",
            "refusal": None,
            "annotations": [],
            "tool_calls": None,
        }
        | {"reasoning_content": "hm", "audio": None, "function_call": None},
        {"role": "tool", "content": "d", "tool_call_id": "call_1"},
    ]

    found = read(reader, {"model": "openai/gpt-4o-mini", "messages": messages}).request

    assert found.model == "openai/gpt-4o-mini"
    assert found.caller == ANN
    assert found.messages == (
        Message(MessageRole.SYSTEM, "Be short."),
        Message(MessageRole.SYSTEM, "Be kind."),
        Message(MessageRole.USER, "a\nb"),
        Message(MessageRole.ASSISTANT, "c"),
        Message(MessageRole.TOOL, "d", "call_1"),
    )


def test_parameters_are_read(reader: RequestReader) -> None:
    body = asked(temperature=1, top_p=0.5, max_tokens=7, stop=["a", "b"], seed=2**63 - 1)

    assert read(reader, body).request.parameters == GenerationParameters(
        temperature=1.0, top_p=0.5, max_tokens=7, stop=("a", "b"), seed=2**63 - 1
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stop": "a"}, GenerationParameters(stop=("a",))),
        ({"max_completion_tokens": 9}, GenerationParameters(max_tokens=9)),
        ({"max_completion_tokens": 9, "max_tokens": 9}, GenerationParameters(max_tokens=9)),
        ({"temperature": None, "stop": None, "seed": None}, GenerationParameters()),
        ({"assistant": {"parameters": {"timeoutMs": 5}}}, GenerationParameters(timeout_ms=5)),
    ],
)
def test_parameters_come_in_several_forms(
    reader: RequestReader, fields: dict[str, Any], expected: GenerationParameters
) -> None:
    assert read(reader, asked(**fields)).request.parameters == expected


@pytest.mark.parametrize("model", ["auto", None])
def test_auto_or_no_model_leaves_it_to_the_rules(reader: RequestReader, model: Any) -> None:
    assert read(reader, {"model": model, "messages": [HI]}).request.model is None


@pytest.mark.parametrize(
    ("format_", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        (
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "strict": True, "schema": {"a": 1}},
            },
            {"a": 1},
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": {"a": 1}, "description": "An a."}},
            {"description": "An a.", "a": 1},
        ),
    ],
)
def test_a_response_format_is_a_response_schema(
    reader: RequestReader, format_: dict[str, Any], schema: object
) -> None:
    assert read(reader, asked(response_format=format_)).request.response_schema == schema


def test_users_and_metadata_are_metadata_and_nobodys_identity(reader: RequestReader) -> None:
    body = asked(
        user="u-1",
        safety_identifier="s-1",
        metadata={"a": "1", "b": "2"},
        assistant={"metadata": {"b": 3}},
    )

    found = read(reader, body).request

    assert found.metadata == {"user": "u-1", "safety_identifier": "s-1", "a": "1", "b": 3}
    assert found.caller == ANN


def test_what_is_ours_is_read_from_the_body(reader: RequestReader) -> None:
    ours = {
        "promptName": "summarize-text",
        "promptVersion": 2,
        "variables": {"text": "x"},
        "cache": "BYPASS",
        "strategy": "LOCAL_ONLY",
        "onInterruption": "CONTINUE",
        "requiresAccuracy": True,
        "feature": "digest",
        "idempotencyKey": "key-12345",
    }

    found = read(reader, {"model": "auto", "messages": [], "assistant": ours}).request

    assert (found.prompt_name, found.prompt_version) == ("summarize-text", 2)
    assert found.variables == {"text": "x"}
    assert found.messages is None
    assert (found.cache, found.strategy) == (CachePolicy.BYPASS, RoutingStrategy.LOCAL_ONLY)
    assert found.on_interruption is InterruptionPolicy.CONTINUE
    assert found.requires_accuracy
    assert (found.feature, found.idempotency_key) == ("digest", "key-12345")


def test_what_is_ours_is_read_from_headers(reader: RequestReader) -> None:
    found = read(
        reader,
        {"messages": []},
        idempotency_key="key-12345",
        x_assistant_cache="Exact-Only",
        x_assistant_prompt="summarize-text@2",
        x_assistant_feature="digest",
    ).request

    assert (found.prompt_name, found.prompt_version) == ("summarize-text", 2)
    assert (found.cache, found.feature) == (CachePolicy.EXACT_ONLY, "digest")
    assert found.idempotency_key == "key-12345"


def test_a_header_may_repeat_the_body_but_not_contradict_it(reader: RequestReader) -> None:
    body = asked(assistant={"feature": "digest"})
    assert read(reader, body, x_assistant_feature="digest").request.feature == "digest"

    assert refusal(reader, body, x_assistant_feature="mail").param == "assistant.feature"


@pytest.mark.parametrize(
    ("fields", "streamed", "usage"),
    [
        ({}, False, False),
        ({"stream": None}, False, False),
        ({"stream": True}, True, False),
        ({"stream": True, "stream_options": {"include_usage": True}}, True, True),
        ({"stream": True, "stream_options": {"include_obfuscation": False}}, True, False),
    ],
)
def test_how_it_is_to_be_told(
    reader: RequestReader, fields: dict[str, Any], streamed: bool, usage: bool
) -> None:
    found = read(reader, asked(**fields))
    assert (found.is_streamed, found.includes_usage) == (streamed, usage)


def test_what_asks_for_nothing_or_only_concerns_openai_is_let_through(
    reader: RequestReader,
) -> None:
    body = asked(
        n=1,
        logprobs=False,
        logit_bias={},
        presence_penalty=0.0,
        frequency_penalty=0,
        modalities=["text"],
        audio=None,
        tools=[],
        tool_choice="none",
        verbosity="medium",
        store=True,
        service_tier="flex",
        parallel_tool_calls=False,
        prompt_cache_key="k",
    )
    assert read(reader, body).request == read(reader, asked()).request


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"50256": -100}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "ash"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("moderation", {}),
        ("reasoning_effort", "low"),
        ("verbosity", "high"),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("functions", [{"name": "f"}]),
        ("tool_choice", "required"),
        ("function_call", {"name": "f"}),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(
    reader: RequestReader, name: str, value: object
) -> None:
    failure = refusal(reader, asked(**{name: value}))
    assert (failure.param, failure.code) == (name, "unsupported_parameter")
    assert failure.message.startswith(name)


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,SECRET"}}


@pytest.mark.parametrize(
    ("message", "param", "code"),
    [
        ("Hi.", "messages[0]", "invalid_type"),
        ({"content": "x"}, "messages[0].role", "invalid_value"),
        ({"role": "function", "content": "x"}, "messages[0].role", "invalid_value"),
        ({"role": "user", "content": 5}, "messages[0].content", "invalid_type"),
        ({"role": "user", "content": [IMAGE]}, "messages[0].content[0]", "unsupported_value"),
        ({"role": "user", "content": ["x"]}, "messages[0].content[0]", "invalid_type"),
        (
            {"role": "user", "content": [{"type": "text"}]},
            "messages[0].content[0].text",
            "invalid_type",
        ),
        (
            {"role": "user", "content": [{"type": "text", "text": "x", "size": 1}]},
            "messages[0].content[0].size",
            "unknown_parameter",
        ),
        (HI | {"name": "ann"}, "messages[0].name", "unsupported_parameter"),
        (HI | {"mood": "good"}, "messages[0].mood", "unknown_parameter"),
        (
            {"role": "assistant", "tool_calls": [{"id": "1"}]},
            "messages[0].tool_calls",
            "unsupported_parameter",
        ),
        (
            {"role": "tool", "content": "x"},
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused_by_its_place(
    reader: RequestReader, message: object, param: str, code: str
) -> None:
    failure = refusal(reader, {"messages": [message]})
    assert (failure.param, failure.code) == (param, code)
    assert "SECRET" not in failure.message


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"model": "auto"}, "messages", "missing_required_parameter"),
        ({"messages": "Hi."}, "messages", "invalid_type"),
        (asked(top_k=5), "top_k", "unknown_parameter"),
        (asked(assistant=[]), "assistant", "invalid_type"),
        (asked(assistant={"text": "x"}), "assistant.text", "unknown_parameter"),
        (asked(assistant={"colour": 1}), "assistant.colour", "unknown_parameter"),
        (asked(assistant={"cache": "NEVER"}), "assistant.cache", None),
        (asked(assistant={"parameters": 5}), "assistant.parameters", "invalid_type"),
        (asked(assistant={"promptName": "summarize-text"}), "messages", None),
        (asked(assistant={"feature": TEST_FEATURE}), "assistant.feature", None),
        (asked(model=5), "model", None),
        (asked(temperature="hot"), "temperature", None),
        (asked(top_p=[]), "top_p", None),
        (asked(max_tokens=1.5), "max_tokens", None),
        (asked(max_tokens=1, max_completion_tokens=2), "max_completion_tokens", None),
        (asked(seed=2**63), "seed", "invalid_type"),
        (asked(seed=True), "seed", "invalid_type"),
        (asked(user=5), "user", "invalid_type"),
        (asked(metadata=[]), "metadata", "invalid_type"),
        (asked(stream=1), "stream", "invalid_type"),
        (asked(stream_options={"include_usage": True}), "stream_options", None),
        (
            asked(stream=True, stream_options={"a": 1}),
            "stream_options.a",
            "unknown_parameter",
        ),
        (
            asked(stream=True, stream_options={"include_obfuscation": True}),
            "stream_options.include_obfuscation",
            "unsupported_parameter",
        ),
        (
            asked(stream=True, assistant={"onInterruption": "RESTART"}),
            "assistant.onInterruption",
            "unsupported_parameter",
        ),
        (asked(response_format="json"), "response_format.type", "invalid_value"),
        (asked(response_format={"type": "grammar"}), "response_format.type", "invalid_value"),
        (
            asked(response_format={"type": "json_schema", "json_schema": {"name": "n"}}),
            "response_format.json_schema.schema",
            None,
        ),
        (
            asked(response_format={"type": "json_object"}, assistant={"responseSchema": {"a": 1}}),
            "assistant.responseSchema",
            None,
        ),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_by_the_field(
    reader: RequestReader, body: dict[str, Any], param: str, code: str | None
) -> None:
    failure = refusal(reader, body)
    assert (failure.param, failure.code) == (param, code)


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({"x_assistant_cache": "never"}, "x-assistant-cache"),
        ({"x_assistant_prompt": "summarize-text@two"}, "x-assistant-prompt"),
        ({"x_assistant_prompt": "summarize-text@"}, "x-assistant-prompt"),
    ],
)
def test_a_header_that_cannot_be_read_is_refused(
    reader: RequestReader, headers: dict[str, str], param: str
) -> None:
    assert refusal(reader, {"messages": []}, **headers).param == param


def test_a_name_that_a_client_made_up_is_echoed_in_part_only(reader: RequestReader) -> None:
    for body in (asked(**{"x" * 5_000: 1}), asked(assistant={"x" * 5_000: 1})):
        assert len(refusal(reader, body).message) < 500


@pytest.mark.parametrize(
    ("path", "message", "param", "told"),
    [
        (
            ("parameters", "topP"),
            "parameters.topP must be between 0 and 1.",
            "top_p",
            "top_p must be between 0 and 1.",
        ),
        (
            ("messages", "0", "content"),
            "messages.0.content is empty; give some text to complete.",
            "messages[0].content",
            "messages[0].content is empty; give some text to complete.",
        ),
        (
            ("responseSchema",),
            "responseSchema: unknown type.",
            "response_format",
            "response_format: unknown type.",
        ),
        (
            ("variables", "text"),
            "Variable text is missing.",
            "assistant.variables.text",
            "Variable text is missing.",
        ),
        (
            ("texts", "3"),
            "texts.3 is empty; leave it out.",
            "input[3]",
            "input[3] is empty; leave it out.",
        ),
        ((), "No.", None, "No."),
    ],
)
def test_our_own_refusals_name_fields_as_openai_does(
    path: tuple[str, ...], message: str, param: str | None, told: str
) -> None:
    failure = failure_of(BadUserInput(message, path=path))
    assert (failure.param, failure.message) == (param, told)


# ------------------------------------------------------------------------ embeddings


def test_texts_to_embed_come_alone_or_as_a_list() -> None:
    for given, texts in (("a", ("a",)), (["a", "b"], ("a", "b"))):
        found, as_base64 = read_embeddings({"input": given, "model": "auto", "user": "u"}, ANN)
        assert found.texts == texts
        assert found.model == "builtin/all-minilm-l6-v2"
        assert not as_base64
    found, as_base64 = read_embeddings(
        {"input": "a", "model": "m", "encoding_format": "base64"}, ANN
    )
    assert (found.model, as_base64) == ("m", True)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "input", "missing_required_parameter"),
        ({"input": [1, 2]}, "input", "unsupported_parameter"),
        ({"input": [[1, 2], [3]]}, "input", "unsupported_parameter"),
        ({"input": ["a", 1]}, "input", "invalid_type"),
        ({"input": {"text": "a"}}, "input", "invalid_type"),
        ({"input": "a", "dimensions": 3}, "dimensions", "unsupported_parameter"),
        ({"input": "a", "model": 3}, "model", "invalid_type"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "invalid_value"),
        ({"input": "a", "texts": []}, "texts", "unknown_parameter"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_the_field(
    body: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(BadUserInput) as refused:
        read_embeddings(body, ANN)
    failure = failure_of(refused.value)
    assert (failure.param, failure.code) == (param, code)


def test_vectors_in_base64_are_little_endian_numbers_of_32_bits() -> None:
    model = Model("builtin", "m", frozenset(), 512)
    found = EmbeddedTexts(model, [[1.0, -2.0]], TokenUsage(prompt_tokens=3))

    answer = embeddings_answer(found, as_base64=True)

    assert answer["data"] == [{"object": "embedding", "index": 0, "embedding": "AACAPwAAAMA="}]
    assert answer["usage"] == {"prompt_tokens": 3, "total_tokens": 3}

"""What OpenAI's clients read: the bytes of streams, whole answers, failures and their headers."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from assistant.api.http_request import Refused
from assistant.api.openai.chat_response import chunks, whole_answer
from assistant.api.openai.errors import (
    cancelled,
    encode,
    error_response,
    failure_of,
    failure_of_stream,
)
from assistant.domain.cache import CacheOutcome
from assistant.domain.caller import Caller
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
from assistant.domain.stream import NumberedEvent
from assistant.errors import (
    AssistantError,
    BudgetExceeded,
    CompletionCancelled,
    Conflict,
    ContextLengthExceeded,
    ErrorCode,
    Forbidden,
    LimitReached,
    NotFound,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    ReaderTooSlow,
    StorageUnavailable,
    StreamInterrupted,
    Unauthenticated,
)

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MODEL = "ollama/llama3.2:3b"
STARTED = CompletionStarted(ID, MODEL, None, AT)
USAGE = TokenUsage(5, 3, cached_tokens=2, cost=Decimal("0.00125"), reasoning_tokens=1)
COMMON = (
    '"id":"chatcmpl-01890a5d-ac96-774b-bcce-b302099a8057","object":"chat.completion.chunk",'
    '"created":1772366400,"model":"ollama/llama3.2:3b","system_fingerprint":null,'
)


def completion(**fields: Any) -> Completion:
    given: dict[str, Any] = {
        "id": ID,
        "caller": Caller("acme", "ann", None, frozenset()),
        "status": CompletionStatus.SUCCEEDED,
        "created_at": AT,
        "model": MODEL,
        "text": "Hello",
        "finish_reason": FinishReason.STOP,
        "usage": USAGE,
        "cache": CacheOutcome.MISS,
    }
    return Completion(**(given | fields))


class Events:
    """A stream that is known beforehand, and knows whether it was closed."""

    def __init__(self, *events: StreamEvent | Exception) -> None:
        self.first, *self._rest = events
        self.is_closed = False

    async def _read(self) -> AsyncGenerator[NumberedEvent, None]:
        try:
            yield NumberedEvent(ID, 0, STARTED)
            for sequence, event in enumerate(self._rest, 1):
                if isinstance(event, Exception):
                    raise event
                yield NumberedEvent(ID, sequence, event)
        finally:
            self.is_closed = True

    async def told(self, *, includes_usage: bool = False) -> list[str]:
        """The chunks, each of which is one server-sent event."""
        assert not isinstance(self.first, Exception)
        events = self._read()
        await anext(events)
        first = NumberedEvent(ID, 0, self.first)
        found = [chunk async for chunk in chunks(events, first, includes_usage=includes_usage)]
        assert self.is_closed
        assert all(chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") for chunk in found)
        return [chunk.decode("ascii")[6:-2] for chunk in found]


async def test_a_stream_is_chunks_and_then_done() -> None:
    events = Events(
        STARTED, TextDelta('é\n"'), TextDelta("\u2028"), CompletionFinished(completion())
    )

    account = (
        '"assistant":{"completionId":"01890a5d-ac96-774b-bcce-b302099a8057",'
        '"model":"ollama/llama3.2:3b"'
    )
    assert await events.told() == [
        f'{{{COMMON}"choices":[{{"index":0,"delta":{{"role":"assistant","content":"","refusal":null}},'
        f'"logprobs":null,"finish_reason":null}}],{account}}}}}',
        f'{{{COMMON}"choices":[{{"index":0,"delta":{{"content":"\\u00e9\\n\\""}},'
        '"logprobs":null,"finish_reason":null}]}',
        f'{{{COMMON}"choices":[{{"index":0,"delta":{{"content":"\\u2028"}},'
        '"logprobs":null,"finish_reason":null}]}',
        f'{{{COMMON}"choices":[{{"index":0,"delta":{{}},"logprobs":null,"finish_reason":"stop"}}],'
        f'{account},"cache":"MISS","costUsd":"0.00125"}}}}',
        "[DONE]",
    ]


async def test_usage_comes_in_a_chunk_of_its_own_and_is_null_before() -> None:
    events = Events(STARTED, TextDelta("a"), CompletionFinished(completion()))

    *running, last, done = await events.told(includes_usage=True)

    assert all(json.loads(chunk)["usage"] is None for chunk in running)
    found = json.loads(last)
    assert found["choices"] == []
    assert found["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 3,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    assert done == "[DONE]"


async def test_reasoning_is_a_field_beside_the_content() -> None:
    events = Events(STARTED, ReasoningDelta("Hm."), CompletionFinished(completion()))
    deltas = [json.loads(chunk)["choices"][0]["delta"] for chunk in (await events.told())[:-1]]
    assert deltas[1] == {"reasoning_content": "Hm."}


async def test_a_model_that_goes_on_is_named_from_then_on() -> None:
    goes_on = CompletionContinued("openai/gpt-4o-mini", ErrorCode.STREAM_INTERRUPTED)
    end = CompletionFinished(completion(model="openai/gpt-4o-mini"))
    events = Events(STARTED, TextDelta("a"), goes_on, TextDelta("b"), end)

    models = [json.loads(chunk)["model"] for chunk in (await events.told())[:-1]]

    assert models == [MODEL, MODEL, "openai/gpt-4o-mini", "openai/gpt-4o-mini"]


async def test_an_answer_that_starts_over_is_a_failure_once_some_of_it_was_told() -> None:
    over = CompletionRestarted("openai/gpt-4o-mini", ErrorCode.STREAM_INTERRUPTED)
    end = CompletionFinished(completion())

    early = await Events(STARTED, over, TextDelta("b"), end).told()
    late = await Events(STARTED, TextDelta("a"), over, TextDelta("b"), end).told()

    assert early[-1] == "[DONE]"
    assert len(late) == 3
    assert json.loads(late[-1])["error"]["code"] == "stream_interrupted"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (
            CompletionFailed(ID, ErrorCode.STREAM_INTERRUPTED, "It broke off.", True, None),
            "stream_interrupted",
        ),
        (CompletionFinished(completion(status=CompletionStatus.CANCELLED)), "cancelled"),
        (ReaderTooSlow(f"{ID}:7"), "stream_interrupted"),
        (RuntimeError("secret"), "internal_error"),
    ],
)
async def test_a_failure_ends_a_stream_in_place_of_done(
    end: StreamEvent | Exception, code: str
) -> None:
    told = await Events(STARTED, TextDelta("a"), end).told()

    assert len(told) == 3
    error = json.loads(told[-1])["error"]
    assert error["code"] == code
    assert error.keys() == {"message", "type", "param", "code"}
    assert "secret" not in error["message"]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (FinishReason.STOP, "stop"),
        (FinishReason.LENGTH, "length"),
        (FinishReason.CONTENT_FILTER, "content_filter"),
        (FinishReason.TOOL_CALLS, "tool_calls"),
        (None, "stop"),
    ],
)
def test_a_whole_answer_says_why_it_ends(reason: FinishReason | None, said: str) -> None:
    answer: Any = whole_answer(completion(finish_reason=reason))

    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "refusal": None},
            "logprobs": None,
            "finish_reason": said,
        }
    ]
    assert (answer["object"], answer["created"]) == ("chat.completion", 1772366400)
    assert answer["assistant"]["costUsd"] == "0.00125"


@pytest.mark.parametrize(
    ("error", "status", "type_", "code", "retries"),
    [
        (Unauthenticated("x"), 401, "authentication_error", "invalid_api_key", "false"),
        (Forbidden("x"), 403, "permission_error", "insufficient_permissions", "false"),
        (NotFound("x"), 404, "invalid_request_error", "not_found", "false"),
        (Conflict("x"), 409, "invalid_request_error", "idempotency_conflict", "false"),
        (
            ContextLengthExceeded("x"),
            400,
            "invalid_request_error",
            "context_length_exceeded",
            "false",
        ),
        (
            LimitReached("x", retry_after_s=1.2345),
            429,
            "rate_limit_error",
            "rate_limit_exceeded",
            "true",
        ),
        (RateLimited("x"), 429, "rate_limit_error", "rate_limit_exceeded", "true"),
        (BudgetExceeded("x"), 429, "insufficient_quota", "insufficient_quota", "false"),
        (ProviderUnavailable("x"), 503, "upstream_error", "provider_unavailable", "true"),
        (ProviderRejected("x"), 502, "upstream_error", "provider_rejected", "false"),
        (ProviderTimeout("x"), 504, "upstream_error", "provider_timeout", "true"),
        (StreamInterrupted("x"), 502, "upstream_error", "stream_interrupted", "true"),
        (CompletionCancelled("x"), 409, "invalid_request_error", "cancelled", "true"),
        (StorageUnavailable("x"), 503, "server_error", "internal_error", "true"),
        (RuntimeError("secret"), 500, "server_error", "internal_error", "false"),
    ],
)
def test_a_failure_has_the_status_and_words_that_clients_know(
    error: Exception, status: int, type_: str, code: str, retries: str
) -> None:
    response = error_response(failure_of(error))

    assert response.status_code == status
    told = json.loads(bytes(response.body))["error"]
    assert (told["type"], told["code"]) == (type_, code)
    assert response.headers["x-should-retry"] == retries
    assert "secret" not in told["message"]


def test_every_code_has_its_words() -> None:
    for code in ErrorCode:
        failed = CompletionFailed(ID, code, "x", False, None)
        assert 400 <= failure_of_stream(failed).status <= 599


@pytest.mark.parametrize(
    ("wait_s", "seconds", "milliseconds", "retries"),
    [
        (0.2, "1", "200", "true"),
        (1.2345, "2", "1235", "true"),
        (60.0, "60", "60000", "true"),
        # Some clients would wait that long and say nothing, others come back too early.
        (60.5, "61", "60500", "false"),
    ],
)
def test_a_client_is_told_how_long_to_wait_and_whether_to(
    wait_s: float, seconds: str, milliseconds: str, retries: str
) -> None:
    headers = failure_of(LimitReached("x", retry_after_s=wait_s)).headers
    assert headers["retry-after"] == seconds
    assert headers["retry-after-ms"] == milliseconds
    assert headers["x-should-retry"] == retries


def test_what_was_cancelled_on_purpose_is_not_to_be_repeated() -> None:
    failure = cancelled(ID)
    assert (failure.status, failure.code) == (409, "cancelled")
    assert failure.headers["x-should-retry"] == "false"
    assert failure.headers["x-assistant-completion-id"] == str(ID)


def test_a_failure_names_its_completion_and_a_refused_transport_keeps_its_status() -> None:
    error: AssistantError = ProviderTimeout("x")
    error.completion_id = ID
    assert failure_of(error).headers["x-assistant-completion-id"] == str(ID)

    assert failure_of(Refused(413, "Send less.")).status == 413
    assert "x-should-retry" not in failure_of(Refused(408, "Faster.")).headers


def test_half_a_surrogate_pair_in_a_whole_answer_can_be_sent() -> None:
    assert encode(whole_answer(completion(text="\ud800"))).isascii()

"""What goes wrong on the wire, in both modes, and the error that a caller gets for it."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.ollama import OllamaProvider
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
    InvalidResponse,
    ModelMissing,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    StreamInterrupted,
)
from tests.providers.fake_ollama import (
    SERVER_BUSY,
    FakeOllama,
    Fault,
    Reply,
    ToolCall,
    closed_url,
    unaccepting_url,
)
from tests.providers.ollama_calls import CALL, PROMPT, call, collect

both_modes = pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])


@pytest.fixture
def provider(fake: FakeOllama, http: HttpClient) -> OllamaProvider:
    return OllamaProvider(fake.url, http)


# --------------------------------------------------------- it cannot be reached


@both_modes
async def test_a_server_that_is_not_running_is_unavailable_and_the_message_helps(
    http: HttpClient, *, streamed: bool
) -> None:
    url = closed_url()
    with pytest.raises(ProviderUnavailable) as caught:
        await collect(OllamaProvider(url, http), call(streamed=streamed))
    assert caught.value.message == (
        f"Ollama cannot be reached at {url}. "
        "Start it with `ollama serve`, or correct the provider's URL."
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://no-such-host.invalid:11434",
        "http://",
        "not a url",
        "ftp://127.0.0.1:1",
        "http://[::",
    ],
)
async def test_an_address_that_leads_nowhere_is_unavailable(http: HttpClient, url: str) -> None:
    patient = call(time_limits=TimeLimits(connect_s=30))
    with pytest.raises(ProviderUnavailable):
        await collect(OllamaProvider(url, http), patient)


async def test_tls_to_a_plain_port_is_unavailable(fake: FakeOllama, http: HttpClient) -> None:
    url = fake.url.replace("http:", "https:")
    with pytest.raises(ProviderUnavailable, match="TLS"):
        await collect(OllamaProvider(url, http), CALL)


async def test_a_certificate_that_nobody_signed_is_not_trusted(
    http: HttpClient, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    async with await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context
    ) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(ProviderUnavailable, match="certificate"):
            await collect(OllamaProvider(url, http), CALL)


async def test_a_password_in_the_address_is_not_told(http: HttpClient) -> None:
    url = closed_url().replace("http://", "http://ada:s3cret@")
    with pytest.raises(ProviderUnavailable) as caught:
        await collect(OllamaProvider(url, http), CALL)
    assert "s3cret" not in caught.value.message
    assert "ada" not in caught.value.message


async def test_a_proxy_of_the_environment_is_not_used(
    fake: FakeOllama, provider: OllamaProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, closed_url())
    await collect(provider, CALL)
    assert len(fake.chats) == 1


# ------------------------------------------------------------------- it refuses


@both_modes
@pytest.mark.parametrize(
    ("status", "error", "kind", "told"),
    [
        (400, '"llama3.2:3b" does not support tools', ProviderRejected, "does not support tools"),
        (401, "unauthorized", ProviderRejected, "credentials"),
        (402, "payment required", QuotaExhausted, "used up"),
        (403, "forbidden", ProviderRejected, "credentials"),
        (404, "model 'llama3.2:3b' not found", ModelMissing, "`ollama pull llama3.2:3b`"),
        (413, "too large", ProviderRejected, "refused the call"),
        (429, "slow down", RateLimited, "no more calls"),
        (499, "client closed request", ProviderUnavailable, "failed to answer"),
        (500, "llama runner process has terminated", ProviderUnavailable, "has terminated"),
        (501, "not supported", ProviderRejected, "refused the call"),
        (502, "upstream", ProviderUnavailable, "failed to answer"),
        (503, SERVER_BUSY, ProviderUnavailable, "too many requests waiting"),
    ],
)
async def test_each_status_has_its_error(
    fake: FakeOllama,
    provider: OllamaProvider,
    *,
    streamed: bool,
    status: int,
    error: str,
    kind: type[AssistantError],
    told: str,
) -> None:
    fake.reply = Reply(status=status, error=error)
    with pytest.raises(kind) as caught:
        await collect(provider, call(streamed=streamed))
    assert type(caught.value) is kind
    assert told in caught.value.message
    assert caught.value.retry_after_s is None, "what the server does not say is not made up"


async def test_a_model_that_was_not_pulled_is_unavailable_with_the_command_that_pulls_it(
    provider: OllamaProvider,
) -> None:
    with pytest.raises(ProviderUnavailable, match="`ollama pull mistral:7b`"):
        await collect(provider, call(model="mistral:7b"))


@pytest.mark.parametrize(
    ("status", "kind"), [(429, RateLimited), (503, ProviderUnavailable)], ids=["limit", "queue"]
)
async def test_the_servers_own_retry_after_is_passed_on(
    fake: FakeOllama, provider: OllamaProvider, status: int, kind: type[AssistantError]
) -> None:
    fake.reply = Reply(status=status, error=SERVER_BUSY, retry_after="7")
    with pytest.raises(kind) as caught:
        await collect(provider, CALL)
    assert caught.value.retry_after_s == 7


async def test_an_error_wrapped_in_json_is_unwrapped(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    wrapped = json.dumps({"error": {"code": 400, "message": "no images, please", "type": "x"}})
    fake.reply = Reply(status=400, error=wrapped)
    with pytest.raises(ProviderRejected, match=r"It says: no images, please$"):
        await collect(provider, CALL)


@pytest.mark.parametrize(
    "error",
    [
        f"cannot parse {PROMPT!r}",
        "cannot parse  Tell me\nthe secret recipe of",
        "bad token near 'secret recipe of the house.'",
    ],
)
async def test_an_error_text_that_repeats_the_prompt_is_not_passed_on(
    fake: FakeOllama, provider: OllamaProvider, error: str
) -> None:
    fake.reply = Reply(status=400, error=error)
    with pytest.raises(ProviderRejected) as caught:
        await collect(provider, CALL)
    assert "secret" not in caught.value.message


async def test_a_short_prompt_is_not_repeated_either(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(status=400, error="unexpected 4711 at position 0")
    asked = call(messages=(Message(MessageRole.USER, "4711"),))
    with pytest.raises(ProviderRejected) as caught:
        await collect(provider, asked)
    assert "4711" not in caught.value.message


async def test_a_long_error_text_is_cut(fake: FakeOllama, provider: OllamaProvider) -> None:
    fake.reply = Reply(status=500, error="x" * 5000)
    with pytest.raises(ProviderUnavailable) as caught:
        await collect(provider, CALL)
    assert caught.value.message.endswith("It says: " + "x" * 200)


# --------------------------------------------- it answers something else, or breaks


async def test_a_redirect_is_not_followed(fake: FakeOllama, provider: OllamaProvider) -> None:
    fake.reply = Reply(fault=Fault.REDIRECT)
    with pytest.raises(InvalidResponse, match="redirect"):
        await collect(provider, CALL)
    assert [request.path for request in fake.requests] == ["/api/chat"]


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
        (Reply(fault=Fault.ERROR_LINE), ProviderUnavailable),
        (Reply(fault=Fault.NO_DONE), ProviderUnavailable),
        (Reply(fault=Fault.TRUNCATE), ProviderUnavailable),
        (Reply(fault=Fault.RESET), ProviderUnavailable),
        (Reply(fault=Fault.BAD_FRAMING), InvalidResponse),
    ],
    ids=lambda value: f"{value.fault}-{value.status}" if isinstance(value, Reply) else "",
)
async def test_nothing_is_made_of_an_answer_that_broke_before_its_first_text(
    fake: FakeOllama,
    provider: OllamaProvider,
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
    fake: FakeOllama,
    provider: OllamaProvider,
    fault: Fault,
    kind: type[AssistantError],
    delay_s: float,
) -> None:
    fake.reply = Reply(fault=fault, fault_after=2, token_delay_s=delay_s, error="out of memory")
    received: list[ProviderEvent] = []
    with pytest.raises(kind) as caught:
        await collect(provider, CALL, into=received)
    assert type(caught.value) is kind
    assert received == [TextDelta("Hello"), TextDelta(", ")]
    await idle(fake)


async def test_a_stream_whose_framing_breaks_ends_with_the_limit_at_the_latest(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(fault=Fault.BAD_FRAMING, fault_after=2, token_delay_s=0.005)
    with pytest.raises((InvalidResponse, ProviderTimeout)):
        await collect(provider, call(time_limits=limits(between_events_s=0.2)))
    await idle(fake)


async def test_a_stream_that_breaks_after_thinking_was_interrupted(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(thinking=("Hm",), fault=Fault.NO_DONE, fault_after=1)
    received: list[ProviderEvent] = []
    with pytest.raises(StreamInterrupted):
        await collect(provider, CALL, into=received)
    assert received == [ReasoningDelta("Hm")]


async def test_a_stream_that_breaks_after_a_tool_call_was_interrupted(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(
        tokens=(), tool_calls=(ToolCall("look"),), fault=Fault.NO_DONE, fault_after=1
    )
    received: list[ProviderEvent] = []
    with pytest.raises(StreamInterrupted):
        await collect(provider, CALL, into=received)
    assert received == [ToolCallDelta(0, None, "look", "{}")]


@both_modes
@pytest.mark.parametrize(
    "calls",
    [
        7,
        {"function": {"name": "look"}},
        [7],
        [{}],
        [{"function": {"arguments": {}}}],
        [{"function": {"name": "", "arguments": {}}}],
        [{"function": {"name": "look", "arguments": [1]}}],
        [{"function": {"name": "look", "arguments": "{}"}}],
    ],
)
async def test_a_tool_call_that_is_none_is_an_invalid_answer(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool, calls: object
) -> None:
    message = {"role": "assistant", "content": "", "tool_calls": calls}
    fake.reply = Reply(verbatim=json.dumps({"message": message, "done": True}).encode())
    with pytest.raises(InvalidResponse, match="tool"):
        await collect(provider, call(streamed=streamed))


async def test_a_stream_without_end_is_not_read_without_end(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(tokens=("x" * 900_000,) * 80)
    received = 0
    with pytest.raises(InvalidResponse, match="64,000,000 bytes in all"):
        async for event in provider.generate(CALL):
            received += len(event.text) if isinstance(event, TextDelta) else 0
    assert 60_000_000 < received <= 64_000_000


async def test_an_error_in_the_middle_of_a_stream_is_told(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(fault=Fault.ERROR_LINE, fault_after=1, error="an error was encountered")
    with pytest.raises(StreamInterrupted, match="It says: an error was encountered"):
        await collect(provider, CALL)


# ------------------------------------------------------------------ time limits


def limits(**limit: float) -> TimeLimits:
    generous = {"connect_s": 5.0, "first_event_s": 5.0, "between_events_s": 5.0, "total_s": 5.0}
    return TimeLimits(**(generous | limit))


@both_modes
@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HEADERS_ONLY])
async def test_the_first_event_has_a_limit(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool, fault: Fault
) -> None:
    fake.reply = Reply(fault=fault)
    started = time.monotonic()
    with pytest.raises(ProviderTimeout, match=r"within 0.1 s \(limit: first event\)"):
        await collect(provider, call(streamed=streamed, time_limits=limits(first_event_s=0.1)))
    assert time.monotonic() - started < 1
    await fake.chats[0].wait_closed()


async def test_the_time_between_events_has_a_limit(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(fault=Fault.STALL, fault_after=2)
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
async def test_a_line_that_trickles_in_is_one_event(
    fake: FakeOllama,
    provider: OllamaProvider,
    tokens: tuple[str, ...],
    limit: TimeLimits,
    told: str,
) -> None:
    fake.reply = Reply(tokens=tokens, split_bytes=1, split_delay_s=0.002)
    with pytest.raises(ProviderTimeout, match=told):
        await collect(provider, call(time_limits=limit))


@both_modes
@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.STALL])
async def test_the_whole_call_has_a_limit(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool, fault: Fault
) -> None:
    fake.reply = Reply(fault=fault, fault_after=2)
    with pytest.raises(ProviderTimeout, match=r"within 0.1 s \(limit: total\)"):
        await collect(provider, call(streamed=streamed, time_limits=limits(total_s=0.1)))


async def test_steady_tokens_do_not_outlast_the_total_limit(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(tokens=("tick",) * 1000, token_delay_s=0.01)
    with pytest.raises(ProviderTimeout, match="limit: total"):
        await collect(provider, call(time_limits=limits(total_s=0.2)))


async def test_a_slow_consumer_is_not_a_slow_provider(
    fake: FakeOllama, provider: OllamaProvider
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
        await collect(OllamaProvider(url, http), asked)


# ----------------------------------------------------------------- cancellation


@both_modes
@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HEADERS_ONLY, Fault.STALL])
async def test_cancelling_the_task_closes_the_connection_within_100_ms(
    fake: FakeOllama, provider: OllamaProvider, *, streamed: bool, fault: Fault
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
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(tokens=("tick",) * 1000, token_delay_s=0.01)
    async with aclosing(provider.generate(CALL)) as events:
        assert await anext(events) == TextDelta("tick")
        closed_at = time.monotonic()
    assert await fake.chats[0].wait_closed() - closed_at < 0.1
    assert fake.chats[0].tokens_sent < 50


async def test_a_cancelled_call_leaves_nothing_that_disturbs_the_next(
    fake: FakeOllama, provider: OllamaProvider
) -> None:
    fake.reply = Reply(tokens=("a",) * 100, token_delay_s=0.01)
    async with aclosing(provider.generate(CALL)) as events:
        await anext(events)
    fake.reply = Reply(tokens=("b",))
    assert (await collect(provider, CALL))[0] == TextDelta("b")


def self_signed(folder: Path) -> Path:
    """A PEM file with a new key and its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1)
    ).sign(key, hashes.SHA256())
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return pem


async def idle(fake: FakeOllama) -> None:
    """Wait until the fake is answering nobody: a failed call leaves no connection busy."""
    async with asyncio.timeout(1):
        while any(connection.request is not None for connection in fake.connections):
            await asyncio.sleep(0.005)

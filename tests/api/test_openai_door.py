"""OpenAI's own Python package, pointed at this service."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.api.test_identity import cli
from tests.api.test_main_job import TEXT, as_user, somebody, usage
from tests.cutting_proxy import ANSWERS, cutting_proxy
from tests.providers.fake_openai import MODELS, FakeOpenAi, Reply
from tests.providers.fake_server import Fault, words
from tests.running_service import RunningService, running_service

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAID = "openai/gpt-4o-mini"
MINI_LM = "builtin/all-minilm-l6-v2"
JWT_KEY = "a-secret-of-at-least-thirty-two-bytes!"
GATEWAY_SECRET = "gateway-secret-number-one"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncIterator[FakeOpenAi]:
    async with FakeOpenAi(models=(*MODELS, "gpt-3.5-turbo")) as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def door(
    tmp_path_factory: pytest.TempPathFactory, provider: FakeOpenAi
) -> AsyncIterator[RunningService]:
    async with running_service(
        tmp_path_factory.mktemp("door"),
        openai_api_key="sk-x",
        openai_base_url=provider.url,
        cache_enabled="true",
        # Its tests fail one after the other.
        circuit_failures="1000",
        max_body_bytes="300000",
        stream_grace_s="30",
    ) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="session")
async def client(door: RunningService) -> AsyncIterator[AsyncOpenAI]:
    """As a user of its own, with the key that one writes where none is needed; without retries."""
    async with client_of(door.url, headers=somebody()) as opened:
        yield opened


def client_of(url: str, key: str = "sk-local", **options: Any) -> AsyncOpenAI:
    headers = options.pop("headers", None)
    options = {"max_retries": 0} | options
    return AsyncOpenAI(api_key=key, base_url=f"{url}/v1", default_headers=headers, **options)


def asked(**more: Any) -> dict[str, Any]:
    """A request that nobody has made before."""
    messages = [{"role": "user", "content": f"Say hello, {uuid.uuid4().hex}."}]
    return {"model": PAID, "messages": messages} | more


def headers_of(client: AsyncOpenAI) -> dict[str, str]:
    """Who the client says to be."""
    return {k: str(v) for k, v in client.default_headers.items() if k.startswith("x-")}


async def text_of(stream: openai.AsyncStream[Any]) -> str:
    return "".join(
        [
            chunk.choices[0].delta.content or ""
            async for chunk in stream
            if chunk.choices  # the one with the usage has none
        ]
    )


# ------------------------------------------------------------------------- what is answered


async def test_a_whole_answer_is_what_the_package_expects(
    client: AsyncOpenAI, provider: FakeOpenAi
) -> None:
    provider.enqueue(Reply(tokens=("Good", " day."), prompt_tokens=12, completion_tokens=4))

    raw = await client.chat.completions.with_raw_response.create(**asked(max_completion_tokens=9))
    answer = raw.parse()

    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "Good day.")
    assert (choice.finish_reason, choice.message.refusal) == ("stop", None)
    assert (answer.object, answer.model) == ("chat.completion", PAID)
    assert abs(answer.created - time.time()) < 60
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 4)
    assert answer.usage.total_tokens == 16
    assert answer.id == f"chatcmpl-{raw.headers['x-assistant-completion-id']}"
    assert raw.headers["x-assistant-cache"] == "miss"
    account = answer.model_extra["assistant"]  # type: ignore[index]
    assert account["cache"] == "MISS"
    assert account["costUsd"] == "0.0000042"
    assert provider.chats[-1].body["max_tokens"] == 9


async def test_a_stream_is_what_the_package_expects(
    client: AsyncOpenAI, provider: FakeOpenAi
) -> None:
    tokens = ("Grüße", " \u2028", "\U0001f30a", "\n")
    provider.enqueue(Reply(tokens=tokens, token_delay_s=0.02))

    stream = await client.chat.completions.create(
        **asked(stream=True, stream_options={"include_usage": True})
    )
    found = [chunk async for chunk in stream]

    first, *middle, last, counted = found
    assert first.choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in middle) == "".join(tokens)
    assert [chunk.choices[0].finish_reason for chunk in (*middle, last)][-1] == "stop"
    assert {chunk.id for chunk in found} == {first.id}
    assert {chunk.object for chunk in found} == {"chat.completion.chunk"}
    assert all(chunk.usage is None for chunk in found[:-1])
    assert counted.choices == []
    assert counted.usage is not None
    assert counted.usage.total_tokens == 16
    assert last.model_extra["assistant"]["cache"] == "MISS"  # type: ignore[index]


async def test_the_packages_own_helpers_work_on_it(
    client: AsyncOpenAI, provider: FakeOpenAi
) -> None:
    class Harbour(BaseModel):
        name: str
        cranes: int

    provider.enqueue(*[Reply(tokens=('{"name": "Varde", ', '"cranes": 2}'))] * 2)

    parsed = await client.chat.completions.parse(**asked(response_format=Harbour))
    async with client.chat.completions.stream(**asked(response_format=Harbour)) as stream:
        streamed = await stream.get_final_completion()

    for answer in (parsed, streamed):
        assert answer.choices[0].message.parsed == Harbour(name="Varde", cranes=2)
    sent = provider.chats[-1].body["response_format"]["json_schema"]
    assert set(sent["schema"]["properties"]) == {"name", "cranes"}


async def test_an_answer_can_be_sent_back_as_a_message(
    client: AsyncOpenAI, provider: FakeOpenAi
) -> None:
    request = asked()
    answer = await client.chat.completions.create(**request)
    request["messages"] += [
        answer.choices[0].message.model_dump(),
        {"role": "user", "content": "And then?"},
    ]

    await client.chat.completions.create(**request)

    roles = [message["role"] for message in provider.chats[-1].body["messages"]]
    assert roles == ["user", "assistant", "user"]


async def test_a_prompt_of_the_catalog_is_asked_for_in_the_body_or_a_header(
    client: AsyncOpenAI,
) -> None:
    variables = {"text": TEXT, "max_sentences": 2}
    in_body = await client.chat.completions.create(
        model="builtin/extractive",
        messages=[],
        extra_body={"assistant": {"promptName": "summarize-text", "variables": variables}},
    )
    in_header = await client.chat.completions.create(
        model="builtin/extractive",
        messages=[],
        extra_headers={"x-assistant-prompt": "summarize-text@1"},
        extra_body={"assistant": {"variables": variables}},
    )

    assert in_body.choices[0].message.content == in_header.choices[0].message.content
    assert "harbour" in (in_body.choices[0].message.content or "")


async def test_a_repeat_comes_from_the_cache_unless_that_is_bypassed(
    client: AsyncOpenAI, provider: FakeOpenAi
) -> None:
    request = asked()
    before = len(provider.chats)

    async def outcome(**headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = await client.chat.completions.with_raw_response.create(**request, extra_headers=named)
        found: str = raw.headers["x-assistant-cache"]
        return found

    assert await outcome() == "miss"
    assert await outcome() == "exact"
    assert await outcome(x_assistant_cache="bypass") == "bypassed"
    stream = await client.chat.completions.create(**request, stream=True)
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].model_extra["assistant"]["cache"] == "EXACT"  # type: ignore[index]
    assert len(provider.chats) - before == 2


async def test_a_feature_is_reported_and_a_users_name_is_not_an_identity(
    client: AsyncOpenAI, door: RunningService
) -> None:
    await client.chat.completions.create(
        **asked(user="somebody-else"), extra_headers={"x-assistant-feature": "digest"}
    )

    found = await usage(door, headers_of(client))
    assert found["byFeature"] == [{"feature": "digest", "requests": 1}]


async def test_embeddings_come_as_numbers_or_in_base64(client: AsyncOpenAI) -> None:
    texts = ["The harbour is closed.", "Ferries leave from the old pier."]

    in_base64 = await client.embeddings.create(model=MINI_LM, input=texts)  # the package's default
    as_numbers = await client.embeddings.create(model="auto", input=texts, encoding_format="float")

    assert [entry.index for entry in in_base64.data] == [0, 1]
    assert (in_base64.model, in_base64.usage.prompt_tokens > 0) == (MINI_LM, True)
    for one, other in zip(in_base64.data, as_numbers.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
        assert sum(number * number for number in one.embedding) == pytest.approx(1, abs=1e-4)


async def test_models_are_listed_by_our_ids_and_found_by_them(client: AsyncOpenAI) -> None:
    listed = {model.id: model async for model in client.models.list()}

    assert {PAID, "builtin/extractive", MINI_LM} <= set(listed)
    assert listed[PAID].owned_by == "openai"
    assert (await client.models.retrieve(PAID)).id == PAID
    with pytest.raises(openai.NotFoundError) as refused:
        await client.models.retrieve("openai/gpt-9")
    assert refused.value.code == "model_not_found"


# --------------------------------------------------------------------------- what is refused


async def test_what_cannot_be_done_is_a_bad_request_that_names_the_field(
    client: AsyncOpenAI,
) -> None:
    for stream in (False, True):
        for field, more in (
            ("temperature", {"temperature": 7}),
            ("messages[0].content", {"messages": [{"role": "user", "content": " "}]}),
            ("messages", {"messages": []}),
            ("n", {"n": 2}),
            ("tools", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
            ("colour", {"extra_body": {"colour": "red"}}),
        ):
            with pytest.raises(openai.BadRequestError) as refused:
                await client.chat.completions.create(**asked(stream=stream) | more)
            assert refused.value.param == field
            assert refused.value.type == "invalid_request_error"
            assert refused.value.request_id


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_or_prompt_that_is_not_there_is_not_found(
    client: AsyncOpenAI, stream: bool
) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await client.chat.completions.create(**asked(model="gpt-9", stream=stream))
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert refused.value.response.headers["x-assistant-completion-id"]

    with pytest.raises(openai.NotFoundError) as refused:
        await client.chat.completions.create(
            model="auto",
            messages=[],
            stream=stream,
            extra_body={"assistant": {"promptName": "no-such-prompt"}},
        )
    assert refused.value.code == "not_found"

    with pytest.raises(openai.NotFoundError) as refused:
        await client.embeddings.create(model="no-such-model", input="a")
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_longer_than_the_window_is_refused_as_such(
    client: AsyncOpenAI, provider: FakeOpenAi, stream: bool
) -> None:
    before = len(provider.chats)
    messages = [{"role": "user", "content": "harbour " * 30_000}]
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(
            model="openai/gpt-3.5-turbo", messages=messages, stream=stream
        )
    assert refused.value.code == "context_length_exceeded"
    assert len(provider.chats) == before


async def test_a_body_that_is_too_long_or_no_json_is_refused(
    client: AsyncOpenAI, door: RunningService
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        await client.chat.completions.create(
            model=PAID, messages=[{"role": "user", "content": "x" * 300_000}]
        )
    assert refused.value.status_code == 413

    for status, sent in (
        (400, {"data": b"{", "headers": {"content-type": "application/json"}}),
        (400, {"json": []}),
        (415, {"data": b"{}", "headers": {"content-type": "text/plain"}}),
    ):
        url = f"{door.url}/v1/chat/completions"
        async with door.session.post(url, **sent) as response:  # type: ignore[arg-type]
            assert response.status == status
            assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_an_address_that_is_not_served_is_told_as_clients_read_it(
    client: AsyncOpenAI, door: RunningService
) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await client.responses.create(model=PAID, input="Hi.")
    assert "/v1/chat/completions" in refused.value.message

    async with door.session.get(f"{door.url}/v1/chat/completions") as response:
        assert (response.status, response.headers["allow"]) == (405, "POST")


async def test_who_may_not_is_told_so(client: AsyncOpenAI, door: RunningService) -> None:
    restricted = client.with_options(default_headers={"x-scopes": "assistant:usage:read"})
    for stream in (False, True):
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await restricted.chat.completions.create(**asked(stream=stream))
        assert refused.value.type == "permission_error"
    async with client_of(door.url, "ak_01234567_" + "x" * 43) as stranger:
        with pytest.raises(openai.AuthenticationError) as unknown:
            await stranger.models.list()
        assert unknown.value.code == "invalid_api_key"


# -------------------------------------------------------------------- failures and retries


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_fails_before_the_answer_is_a_status(
    client: AsyncOpenAI, provider: FakeOpenAi, stream: bool
) -> None:
    provider.replies_by_model["gpt-4o-mini"] = Reply(status=503, error="down")
    try:
        with pytest.raises(openai.InternalServerError) as failed:
            await client.chat.completions.create(**asked(stream=stream))
    finally:
        del provider.replies_by_model["gpt-4o-mini"]
    assert (failed.value.status_code, failed.value.code) == (503, "provider_unavailable")
    assert failed.value.response.headers["x-should-retry"] == "true"


async def test_a_failure_in_the_middle_is_an_error_of_the_stream(
    client: AsyncOpenAI, provider: FakeOpenAi
) -> None:
    provider.enqueue(Reply(tokens=words(20), fault=Fault.RESET, fault_after=5, token_delay_s=0.02))

    stream = await client.chat.completions.create(**asked(stream=True))
    told = ""
    with pytest.raises(openai.APIError) as failed:
        async for chunk in stream:
            told += chunk.choices[0].delta.content or ""

    assert told
    assert failed.value.code == "stream_interrupted"


async def test_a_rate_limit_is_waited_for_and_a_budget_is_not(door: RunningService) -> None:
    set_limit = """mutation ($input: RateLimitInput!) {
        setRateLimit(input: $input) { userErrors { message } } }"""
    set_budget = """mutation ($input: BudgetInput!) {
        setBudget(input: $input) { userErrors { message } } }"""
    hasty, poor = (f"user-{uuid.uuid4().hex[:8]}" for _ in range(2))
    limit = {"scope": "USER", "subject": hasty, "capacity": 1, "perMinute": 30}
    budget = {"scope": "USER", "subject": poor, "window": "MONTH", "limit": "0.0000001"}
    for mutation, given in ((set_limit, limit), (set_budget, budget)):
        answer = await door.graphql(mutation, {"input": given}, as_user("root"))
        assert all(payload["userErrors"] == [] for payload in answer["data"].values())

    async with client_of(door.url, headers=as_user(hasty), max_retries=2) as client:
        await client.chat.completions.create(**asked())
        with pytest.raises(openai.RateLimitError) as limited:
            await client.with_options(max_retries=0).chat.completions.create(**asked())
        raw = await client.chat.completions.with_raw_response.create(**asked(stream=True))
        assert await text_of(raw.parse())

    assert limited.value.code == "rate_limit_exceeded"
    assert 1 <= int(limited.value.response.headers["retry-after"]) <= 2
    assert raw.retries_taken == 1

    async with client_of(door.url, headers=as_user(poor), max_retries=2) as client:
        with pytest.raises(openai.RateLimitError) as refused:
            await client.chat.completions.create(**asked())
    assert refused.value.code == "insufficient_quota"
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_retry_with_its_key_after_a_dropped_connection_is_paid_once(
    door: RunningService, provider: FakeOpenAi, stream: bool
) -> None:
    ann, key = somebody(), {"idempotency-key": uuid.uuid4().hex}
    request = asked(stream=stream)
    before = len(provider.chats)
    provider.enqueue(Reply(tokens=words(20), token_delay_s=0.01))
    async with (
        cutting_proxy(door.url, ANSWERS) as proxy,
        client_of(proxy.url, headers=ann, max_retries=2) as client,
    ):
        proxy.plan.append(0)
        raw = await client.chat.completions.with_raw_response.create(**request, extra_headers=key)
        answer: Any = raw.parse()
        text = await text_of(answer) if stream else answer.choices[0].message.content

    assert (proxy.cuts, raw.retries_taken) == (1, 1)
    assert text == "".join(words(20))
    assert len(provider.chats) - before == 1
    assert (await usage(door, ann))["requests"] == 1


async def test_a_stream_that_was_cut_is_had_again_from_its_beginning_with_its_key(
    door: RunningService, provider: FakeOpenAi
) -> None:
    ann, key = somebody(), {"idempotency-key": uuid.uuid4().hex}
    request = asked(stream=True)
    before = len(provider.chats)
    provider.enqueue(Reply(tokens=words(50), token_delay_s=0.02))
    async with (
        cutting_proxy(door.url, ANSWERS) as proxy,
        client_of(proxy.url, headers=ann) as client,
    ):
        proxy.plan.append(30)
        stream = await client.chat.completions.create(**request, extra_headers=key)
        with pytest.raises(openai.APIConnectionError):
            await text_of(stream)
        again = await client.chat.completions.create(**request, extra_headers=key)
        assert await text_of(again) == "".join(words(50))

    assert len(provider.chats) - before == 1
    assert (await usage(door, ann))["requests"] == 1


async def test_many_requests_with_one_key_are_one_and_another_body_is_a_conflict(
    client: AsyncOpenAI, door: RunningService, provider: FakeOpenAi
) -> None:
    key = {"idempotency-key": uuid.uuid4().hex}
    before = len(provider.chats)
    provider.enqueue(Reply(tokens=words(5), first_token_delay_s=0.2))
    request = asked()

    answers = await asyncio.gather(
        *(client.chat.completions.create(**request, extra_headers=key) for _ in range(20))
    )

    assert len({answer.id for answer in answers}) == 1
    assert len(provider.chats) - before == 1
    # The package would repeat a conflict.
    with pytest.raises(openai.ConflictError) as refused:
        await client.with_options(max_retries=2).chat.completions.create(
            **asked(), extra_headers=key
        )
    assert refused.value.code == "idempotency_conflict"
    assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"
    assert (await usage(door, headers_of(client)))["requests"] == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_the_answer_stops_its_completion(
    client: AsyncOpenAI, door: RunningService, provider: FakeOpenAi, stream: bool
) -> None:
    provider.enqueue(Reply(first_token_delay_s=20))
    before = len(provider.chats)
    waiting = asyncio.create_task(client.chat.completions.create(**asked(stream=stream)))
    async with asyncio.timeout(10):
        while len(provider.chats) == before:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    waiting.cancel()

    await is_stopped_and_recorded(client, door, provider)


async def test_a_client_that_leaves_a_stream_stops_its_completion(
    client: AsyncOpenAI, door: RunningService, provider: FakeOpenAi
) -> None:
    provider.enqueue(Reply(tokens=words(400), token_delay_s=0.05))
    running = await client.chat.completions.create(**asked(stream=True))
    await anext(aiter(running))
    await running.close()

    await is_stopped_and_recorded(client, door, provider)


async def is_stopped_and_recorded(
    client: AsyncOpenAI, door: RunningService, provider: FakeOpenAi
) -> None:
    await provider.chats[-1].wait_closed(timeout_s=5)
    async with asyncio.timeout(10):
        while (await usage(door, headers_of(client)))["requests"] == 0:
            await asyncio.sleep(0.05)


# --------------------------------------------------------------------------------- identity


async def test_a_key_or_a_token_is_what_the_package_sends_as_its_key(tmp_path: Path) -> None:
    async with running_service(
        tmp_path, auth_mode="strict", jwt_key=JWT_KEY, gateway_secrets=GATEWAY_SECRET
    ) as strict:
        _, created, _ = await cli(
            strict, "keys", "create", "--tenant", "acme", "--name", "n", "--service", "reports"
        )
        claims = {"exp": int(time.time()) + 300, "sub": "alice", "tenant_id": "acme"}
        token = jwt.encode(claims | {"scope": "assistant:complete"}, JWT_KEY, "HS256")
        for key in (created.strip(), token):
            async with client_of(strict.url, key) as client:
                assert (await client.models.retrieve(MINI_LM)).owned_by == "builtin"
                assert (await client.embeddings.create(model="auto", input="a")).data
        vouched = {"x-gateway-secret": GATEWAY_SECRET, **as_user("ann")}
        async with client_of(strict.url) as client:
            through_gateway = vouched | {"authorization": openai.Omit()}
            assert await client.models.retrieve(MINI_LM, extra_headers=through_gateway)
        for key in ("sk-local", f"ak_{'0' * 8}_{'x' * 43}", f"{token}x"):
            async with client_of(strict.url, key) as client:
                with pytest.raises(openai.AuthenticationError) as refused:
                    await client.embeddings.create(model="auto", input="a")
                assert refused.value.type == "authentication_error"
                assert key not in json.dumps(refused.value.body)

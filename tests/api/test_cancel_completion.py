"""cancelCompletion, on whichever replica it is asked: within a second, and what was said is charged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from assistant.domain.tokens import estimate_tokens
from tests.api.stream_readers import DOORS, Reader
from tests.api.stream_replicas import ANN, MODEL, Replicas, running_replicas
from tests.providers.fake_ollama import Reply
from tests.providers.fake_server import words

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWER = words(200)
# The promise is a second; the rest is for a machine that does much else.
WITHIN_S = 2.0
CANCEL = """mutation ($id: ID!) { cancelCompletion(id: $id) {
    completion { id status finishReason text usage { completionTokens } }
    userErrors { message code } } }"""
GENERATE = """mutation ($input: CompletionRequest!) {
    generateCompletion(input: $input) { id status } }"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replicas(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    async with running_replicas(tmp_path_factory.mktemp("replicas")) as running:
        running.ollama.reply = Reply(tokens=ANSWER, token_delay_s=0.05, completion_tokens=200)
        yield running


async def cancel(
    replicas: Replicas, url: str, id_: str, headers: dict[str, str] = ANN
) -> dict[str, Any]:
    answer = await replicas.graphql(url, CANCEL, headers, id=id_)
    assert "errors" not in answer, answer
    payload: dict[str, Any] = answer["data"]["cancelCompletion"]
    return payload


@pytest.mark.parametrize("asked_on", [0, 1], ids=["the same replica", "the other replica"])
@pytest.mark.parametrize("door", DOORS)
async def test_a_stream_is_stopped_within_a_second_and_charged_for_what_was_said(
    replicas: Replicas, door: str, asked_on: int
) -> None:
    loop = asyncio.get_running_loop()
    wanted = {"text": f"cancel, {door}, {asked_on}", "model": MODEL}
    reader = Reader(DOORS[door], wanted, ANN)
    # One reads where it is made, one elsewhere.
    await reader.read(replicas.urls[0], leave_after=8)
    elsewhere = Reader(DOORS[door], wanted, ANN, list(reader.events))
    reading = [
        asyncio.create_task(reader.read(replicas.urls[0])),
        asyncio.create_task(elsewhere.read(replicas.urls[1])),
    ]
    await asyncio.sleep(0.3)
    (call,) = replicas.calls(wanted["text"])

    began = loop.time()
    payload = await cancel(replicas, replicas.urls[asked_on], reader.completion_id)
    await asyncio.gather(*reading)
    took_s = loop.time() - began

    closed_at = await call.wait_closed()
    assert max(took_s, closed_at - began) < WITHIN_S
    assert payload["userErrors"] == []
    completion = payload["completion"]
    assert (completion["status"], completion["finishReason"]) == ("CANCELLED", "CANCELLED")
    for one in (reader, elsewhere):
        assert one.last["__typename"] == "CompletionFinished"
        response = one.last["response"]
        assert (response["status"], response["finishReason"]) == ("CANCELLED", "CANCELLED")
        assert one.text == response["text"] == completion["text"]
    assert 0 < len(completion["text"]) < len("".join(ANSWER))
    ((status, tokens),) = await replicas.charges(reader.completion_id)
    assert (status, tokens) == ("CANCELLED", estimate_tokens(completion["text"]))
    assert completion["usage"]["completionTokens"] == tokens

    again = await cancel(replicas, replicas.urls[1 - asked_on], reader.completion_id)
    assert again["completion"] == completion, "what has ended stays as it is"


async def test_a_stream_that_nobody_reads_can_be_cancelled(replicas: Replicas) -> None:
    wanted = {"text": "alone", "model": MODEL}
    reader = Reader(DOORS["api-stream"], wanted, ANN)
    await reader.read(replicas.urls[0], leave_after=5)

    payload = await cancel(replicas, replicas.urls[1], reader.completion_id)

    assert payload["completion"]["status"] == "CANCELLED"
    await reader.read(replicas.urls[1])
    assert reader.last["response"]["finishReason"] == "CANCELLED"
    (call,) = replicas.calls("alone")
    await call.wait_closed()


async def test_who_waits_for_a_whole_answer_is_told_that_it_was_cancelled(
    replicas: Replicas,
) -> None:
    replicas.ollama.enqueue(Reply(first_token_delay_s=20))
    wanted = {"text": "whole", "model": MODEL, "idempotencyKey": "whole-and-cancelled"}
    waiting = asyncio.create_task(replicas.graphql(replicas.urls[0], GENERATE, input=wanted))
    await replicas.called("whole")
    ((id_,),) = await replicas.execute("SELECT completion_id::text FROM idempotency_keys")

    await cancel(replicas, replicas.urls[1], id_)
    answer = await waiting

    completion = answer["data"]["generateCompletion"]
    assert (completion["id"], completion["status"]) == (id_, "CANCELLED")
    (call,) = replicas.calls("whole")
    await call.wait_closed()
    settled = await replicas.execute("SELECT status FROM usage_logs WHERE id = %s", id_)
    assert settled == [("CANCELLED",)], "it had said nothing"


async def test_nobody_else_cancels_a_stream_but_an_administrator_of_its_tenant(
    replicas: Replicas,
) -> None:
    wanted = {"text": "whose", "model": MODEL}
    reader = Reader(DOORS["websocket"], wanted, ANN)
    await reader.read(replicas.urls[0], leave_after=5)

    for other in (ANN | {"x-user-id": "bob"}, ANN | {"x-tenant-id": "reef"}):
        for url in replicas.urls:
            payload = await cancel(replicas, url, reader.completion_id, other)
            assert payload["completion"] is None
            assert [error["code"] for error in payload["userErrors"]] == ["NOT_FOUND"]
    (call,) = replicas.calls("whose")
    assert call.client_closed_at is None

    admin = ANN | {"x-user-id": "root", "x-scopes": "assistant:complete assistant:admin"}
    payload = await cancel(replicas, replicas.urls[1], reader.completion_id, admin)
    assert payload["completion"]["status"] == "CANCELLED"
    await call.wait_closed()

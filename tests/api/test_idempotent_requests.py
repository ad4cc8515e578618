"""A retry is free: one key is one call of a model and one charge, however often it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from tests.api.stream_readers import DOORS, Reader
from tests.api.stream_replicas import ANN, MODEL, Replicas, running_replicas
from tests.providers.fake_ollama import Reply
from tests.providers.fake_server import words

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWER = words(50)
TEXT = "".join(ANSWER)
GENERATE = """mutation ($input: CompletionRequest!) { generateCompletion(input: $input) {
    id text status finishReason usage { completionTokens totalTokens } } }"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replicas(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    async with running_replicas(tmp_path_factory.mktemp("replicas")) as running:
        yield running


async def whole(replicas: Replicas, url: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    answer = await replicas.graphql(url, GENERATE, input=wanted)
    assert "errors" not in answer, answer
    completion: dict[str, Any] = answer["data"]["generateCompletion"]
    return completion


async def streamed(url: str, wanted: Mapping[str, Any], door: str) -> dict[str, Any]:
    """The completion at the end of a stream that has told all of it."""
    reader = Reader(DOORS[door], wanted, ANN)
    await reader.read(url)
    reader.require(TEXT)
    response: dict[str, Any] = reader.last["response"]
    return response


async def fifty(
    replicas: Replicas, wanted: Mapping[str, Any], *, first: str = "mixed"
) -> list[tuple[str, ...]]:
    """Fifty at once over both replicas, half of them whole: what each was answered."""
    doors = list(DOORS)
    asked = []
    for number in range(50):
        url = replicas.urls[number // 2 % 2]
        if number % 2 == (first == "streamed"):
            asked.append(whole(replicas, url, wanted))
        else:
            asked.append(streamed(url, wanted, doors[number % 3]))
    return [
        (found["id"], found["text"], found["status"], str(found["usage"]["completionTokens"]))
        for found in await asyncio.gather(*asked)
    ]


@pytest.mark.parametrize("first", ["whole", "streamed"])
async def test_a_retry_is_free(replicas: Replicas, first: str) -> None:
    """Also while the first still runs, and after a restart of everything, a crash included."""
    replicas.ollama.reply = Reply(tokens=ANSWER, token_delay_s=0.01, completion_tokens=50)
    wanted = {"text": f"free, {first}", "model": MODEL, "idempotencyKey": f"free-{first}"}

    answers = await fifty(replicas, wanted, first=first)

    assert len(set(answers)) == 1
    ((completion_id, text, status, _), *_) = answers
    assert (text, status) == (TEXT, "SUCCEEDED")
    assert len(replicas.calls(wanted["text"])) == 1
    assert await replicas.charges(completion_id) == [("SUCCEEDED", 50)]

    for born in replicas.born:
        born.kill()
    if first == "whole":
        await replicas.server.embedded.stop()
    else:
        await replicas.kill_database()
    await replicas.server.embedded.start()
    await replicas.all_ready()

    assert await fifty(replicas, wanted, first=first) == answers
    assert len(replicas.calls(wanted["text"])) == 1
    assert await replicas.charges(completion_id) == [("SUCCEEDED", 50)]


async def test_one_key_of_another_request_is_a_conflict_on_both_replicas(
    replicas: Replicas,
) -> None:
    replicas.ollama.reply = Reply(tokens=ANSWER, token_delay_s=0.02, completion_tokens=50)
    wanted = {"text": "conflict", "model": MODEL, "idempotencyKey": "conflict-1"}
    running = asyncio.create_task(whole(replicas, replicas.urls[0], wanted))
    await replicas.called("conflict")

    others = [wanted | {"text": "another"}, wanted | {"parameters": {"maxTokens": 7}}]
    for is_over in (False, True):
        for url in replicas.urls:
            for other in others:
                answer = await replicas.graphql(url, GENERATE, input=other)
                assert answer["errors"][0]["extensions"]["code"] == "CONFLICT"
                for door in DOORS.values():
                    reader = Reader(door, other, ANN)
                    async for event in door(url, {"input": other}, ANN):
                        reader.take(event)
                    assert [event["__typename"] for event in reader.events] == ["CompletionFailed"]
                    assert reader.last["code"] == "CONFLICT"
        if not is_over:
            assert (await running)["text"] == TEXT
    assert len(replicas.calls("conflict")) == 1
    assert replicas.calls("another") == []


async def test_the_same_key_of_another_user_is_another_key(replicas: Replicas) -> None:
    replicas.ollama.reply = Reply(tokens=ANSWER, completion_tokens=50)
    wanted = {"text": "two users", "model": MODEL, "idempotencyKey": "two-users"}

    own = await whole(replicas, replicas.urls[0], wanted)
    answer = await replicas.graphql(
        replicas.urls[1], GENERATE, ANN | {"x-user-id": "bob"}, input=wanted
    )

    assert answer["data"]["generateCompletion"]["id"] != own["id"]
    assert len(replicas.calls("two users")) == 2


async def test_who_leaves_a_keyed_request_finds_its_answer_on_the_other_replica(
    replicas: Replicas,
) -> None:
    """A whole answer that is waited for no more is made all the same, for whoever asks again."""
    replicas.ollama.reply = Reply(tokens=ANSWER, token_delay_s=0.02, completion_tokens=50)
    wanted = {"text": "left", "model": MODEL, "idempotencyKey": "left-alone"}
    leaving = asyncio.create_task(whole(replicas, replicas.urls[0], wanted))
    await replicas.called("left")
    leaving.cancel()
    await asyncio.wait([leaving])

    found = await whole(replicas, replicas.urls[1], wanted)

    assert found["text"] == TEXT
    assert len(replicas.calls("left")) == 1
    assert await replicas.charges(found["id"]) == [("SUCCEEDED", 50)]

"""Streams that survive their connection behind Hive Gateway, which knows nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.api.stream_readers import Reader, over_graphql_sse
from tests.api.stream_replicas import MODEL, Replicas, running_replicas
from tests.federation.conftest import GATEWAY_SECRET, Supergraph
from tests.federation.processes import running
from tests.providers.fake_ollama import Reply
from tests.providers.fake_server import words

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Of these no two deltas are joined: see test_stream_survival.py.
ANSWER = tuple(f"{word} \u00e9 ".ljust(502, ".") for word in words(200))
AT_ONCE = 70
CANCEL = """mutation ($id: ID!) { cancelCompletion(id: $id) {
    completion { status finishReason text } userErrors { message } } }"""


@dataclass(frozen=True, slots=True)
class Gateways:
    """One asks the first replica over SSE, the other the second one over WebSocket."""

    urls: dict[str, str]
    replicas: Replicas


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gateways(
    node: str, subgraph: str, supergraph: Supergraph, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateways]:
    folder = tmp_path_factory.mktemp("replicas")
    async with running_replicas(folder, gateway_secrets=GATEWAY_SECRET) as replicas:
        replicas.ollama.reply = Reply(tokens=ANSWER, token_delay_s=0.015, completion_tokens=200)
        with ExitStack() as programs:
            urls = {}
            for leg, replica in zip(("sse", "ws"), replicas.urls, strict=True):
                theirs = folder / f"{leg}.graphql"
                composed = supergraph.guild.read_text("utf-8")
                assert subgraph in composed
                theirs.write_text(composed.replace(subgraph, f"{replica}/graphql"), "utf-8")
                command = [node, "hive-gateway.mjs", str(theirs), leg]
                secret = {"GATEWAY_SECRET": GATEWAY_SECRET}
                program = programs.enter_context(running(command, folder / f"{leg}.log", secret))
                urls[leg] = program.wait_for_report()["url"].removesuffix("/graphql")
            yield Gateways(urls, replicas)


def reader_of(text: str, user: str = "ada") -> Reader:
    headers = {"authorization": f"Bearer {user}"}
    return Reader(over_graphql_sse, {"text": text, "model": MODEL}, headers)


async def test_a_stream_that_is_cut_at_any_event_goes_on_through_another_gateway(
    gateways: Gateways,
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    sse, ws = gateways.urls["sse"], gateways.urls["ws"]

    async def cut_after(number: int) -> Reader:
        # Of one user the gateway has one WebSocket, which takes twenty subscriptions at once.
        reader = reader_of(f"number {number}", f"user-{number % AT_ONCE}")
        here, there = (sse, ws) if number % 2 else (ws, sse)
        async with gate:
            await reader.read(here, leave_after=number)
            await reader.read(there)
        reader.require("".join(ANSWER))
        return reader

    readers = await asyncio.gather(*map(cut_after, range(len(ANSWER) + 1)))

    await gateways.replicas.require_paid_once(readers)


@pytest.mark.parametrize("leg", ["sse", "ws"])
async def test_a_client_that_leaves_a_gateway_leaves_its_stream_running_for_its_return(
    gateways: Gateways, leg: str
) -> None:
    reader = reader_of(f"left, {leg}")
    await reader.read(gateways.urls[leg], leave_after=10)
    (call,) = gateways.replicas.calls(reader.wanted["text"])
    sent = call.tokens_sent

    await asyncio.sleep(1)
    assert call.client_closed_at is None
    assert call.tokens_sent > sent + 10

    await reader.read(gateways.urls[leg])
    reader.require("".join(ANSWER))


@pytest.mark.parametrize("leg", ["sse", "ws"])
async def test_a_stream_is_cancelled_through_another_gateway(gateways: Gateways, leg: str) -> None:
    (other,) = gateways.urls.keys() - {leg}
    reader = reader_of(f"cancelled, {leg}")
    await reader.read(gateways.urls[leg], leave_after=10)
    reading = asyncio.create_task(reader.read(gateways.urls[leg]))
    await asyncio.sleep(0.2)

    answer = await gateways.replicas.graphql(
        gateways.urls[other], CANCEL, dict(reader.headers), id=reader.completion_id
    )
    async with asyncio.timeout(2):
        await reading

    cancelled = answer["data"]["cancelCompletion"]["completion"]
    assert (cancelled["status"], cancelled["finishReason"]) == ("CANCELLED", "CANCELLED")
    assert reader.last["response"]["finishReason"] == "CANCELLED"
    assert reader.text == reader.last["response"]["text"] == cancelled["text"]
    (call,) = gateways.replicas.calls(reader.wanted["text"])
    await call.wait_closed()

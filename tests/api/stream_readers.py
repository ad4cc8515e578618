"""Clients that lose the connection wherever a test likes, and take their stream up again."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

Event: TypeAlias = dict[str, Any]
"""An event as GraphQL has it, ``__typename`` included."""
Asked: TypeAlias = Mapping[str, Any]
"""``input``, a CompletionRequest, and where events were had before, ``resume``."""
Door: TypeAlias = Callable[[str, Asked, Mapping[str, str]], AsyncGenerator[Event, None]]
"""Asks the service at an address; closing it cuts the connection."""

SUBSCRIPTION = """
subscription ($input: CompletionRequest, $resume: ResumeCompletion) {
  completionStream(input: $input, resume: $resume) {
    __typename eventId completionId sequence
    ... on CompletionStarted { model { id } }
    ... on TokenDelta { text }
    ... on ReasoningDelta { text }
    ... on CompletionFinished {
      response { id text status finishReason usage { completionTokens totalTokens } } }
    ... on CompletionFailed { code message isRetryable retryAfterMs }
  }
}
"""
ENDS = ("CompletionFinished", "CompletionFailed")


class Interrupted(Exception):
    """The service ended the connection, not the completion; ``error`` is what it said."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error))
        self.error = error


async def over_api_stream(
    url: str, asked: Asked, headers: Mapping[str, str]
) -> AsyncGenerator[Event, None]:
    """As EventSource's replacements do: the same request again, with Last-Event-ID beside it."""
    given = dict(headers)
    if resume := asked.get("resume"):
        given["last-event-id"] = resume["lastEventId"]
    async with _post(f"{url}/api/stream", asked.get("input", {}), given) as response:
        async for frame in _frames(response):
            event = json.loads(frame["data"])
            if frame["event"] == "error":
                raise Interrupted(event)
            assert frame["id"] == event["eventId"]
            yield event | {"__typename": frame["event"]}


async def over_graphql_sse(
    url: str, asked: Asked, headers: Mapping[str, str]
) -> AsyncGenerator[Event, None]:
    async with _post(f"{url}/graphql", _operation(asked), headers) as response:
        async for frame in _frames(response):
            if frame["event"] == "complete":
                return
            yield _event_of(json.loads(frame["data"]))


async def over_websocket(
    url: str, asked: Asked, headers: Mapping[str, str]
) -> AsyncGenerator[Event, None]:
    async with acknowledged(url, headers) as socket:
        message = {"id": "1", "type": "subscribe", "payload": _operation(asked)}
        await socket.send(json.dumps(message))
        while True:
            message = json.loads(await socket.recv())
            match message["type"]:
                case "next":
                    yield _event_of(message["payload"])
                case "error":
                    raise _interrupted(message["payload"])
                case _:
                    return


DOORS: dict[str, Door] = {
    "api-stream": over_api_stream,
    "graphql-sse": over_graphql_sse,
    "websocket": over_websocket,
}


@asynccontextmanager
async def acknowledged(url: str, headers: Mapping[str, str]) -> AsyncIterator[ClientConnection]:
    """A WebSocket that has been initialised. It is cut off, without a word, when the block ends."""
    async with connect(
        f"{url.replace('http', 'ws', 1)}/graphql",
        subprotocols=["graphql-transport-ws"],  # type: ignore[list-item]
        compression=None,
        max_queue=None,
        # What comes of the cut is not waited for.
        close_timeout=0.1,
    ) as socket:
        try:
            await socket.send(json.dumps({"type": "connection_init", "payload": dict(headers)}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            yield socket
        finally:
            socket.transport.abort()


@dataclass
class Reader:
    """What one client has had of one completion, over however many connections."""

    door: Door
    wanted: Mapping[str, Any]
    """The CompletionRequest."""
    headers: Mapping[str, str]
    events: list[Event] = field(default_factory=list)

    @property
    def completion_id(self) -> str:
        id_: str = self.events[0]["completionId"]
        return id_

    @property
    def last(self) -> Event:
        return self.events[-1]

    @property
    def text(self) -> str:
        """What the deltas made, all of them together."""
        return "".join(
            event["text"] for event in self.events if event["__typename"] == "TokenDelta"
        )

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """Every event, as far as the doors do not differ: its id, its type and its text."""
        return [(e["eventId"], e["__typename"], e.get("text", "")) for e in self.events]

    @property
    def is_over(self) -> bool:
        return bool(self.events) and self.last["__typename"] in ENDS

    async def read(self, url: str, *, leave_after: int | None = None) -> None:
        """Ask the replica at ``url``: for the completion, or for what comes after the last event.

        The connection is cut as soon as event number ``leave_after`` is there. Raises
        AssertionError where an event is missing or comes twice, or the stream has no end.
        """
        asked: dict[str, Any] = {"input": self.wanted}
        if self.events:
            resume = {"completionId": self.completion_id, "lastEventId": self.last["eventId"]}
            asked = (
                asked | {"resume": resume} if self.door is over_api_stream else {"resume": resume}
            )
        async with aclosing(self.door(url, asked, self.headers)) as events:
            async for event in events:
                self.take(event)
                if event["sequence"] == leave_after:
                    return
        assert self.is_over, f"the stream ended after {self.last}"

    def take(self, event: Event) -> None:
        assert event["sequence"] == len(self.events), (event, self.events[-1:])
        assert event["eventId"] == f"{event['completionId']}:{event['sequence']}"
        assert event["completionId"] == (self.events or [event])[0]["completionId"]
        assert not self.is_over
        self.events.append(event)

    def require(self, text: str) -> None:
        """Raises AssertionError unless the answer is this one, told event by event and as a whole."""
        assert self.last["__typename"] == "CompletionFinished", self.last
        assert self.events[0]["__typename"] == "CompletionStarted"
        assert self.text == text
        assert self.last["response"]["text"] == text
        assert self.last["response"]["id"] == self.completion_id


@asynccontextmanager
async def _post(
    url: str, body: object, headers: Mapping[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """A response on a connection of its own, which is closed with the block."""
    accept = {"accept": "text/event-stream"}
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector, read_bufsize=2**20) as session,
        session.post(url, json=body, headers=accept | dict(headers)) as response,
    ):
        assert response.status == 200, (response.status, await response.text())
        yield response


async def _frames(response: aiohttp.ClientResponse) -> AsyncGenerator[dict[str, str], None]:
    """Server-sent events, comments and what has no data left out."""
    frame: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().removesuffix("\n")
        if line:
            name, _, value = line.partition(": ")
            frame[name] = value
        else:
            if "event" in frame:
                yield frame
            frame = {}


def _operation(asked: Asked) -> dict[str, Any]:
    return {"query": SUBSCRIPTION, "variables": dict(asked)}


def _event_of(result: Mapping[str, Any]) -> Event:
    if errors := result.get("errors"):
        raise _interrupted(errors)
    event: Event = result["data"]["completionStream"]
    return event


def _interrupted(errors: Sequence[Mapping[str, Any]]) -> Interrupted:
    return Interrupted(errors[0]["extensions"] | {"message": errors[0]["message"]})

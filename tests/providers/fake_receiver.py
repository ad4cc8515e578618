"""Somebody who receives webhooks over a real port, checks who sent them, and misbehaves on request.

In a test::

    async with FakeReceiver() as receiver:      # receiver.url == "http://127.0.0.1:<port>/hook"
        receiver.answers = [500, "cut", 200]    # in order; then 204
        receiver.delay_s = 11
        assert receiver.received[0].is_genuine

The check is another implementation than the sender's: hmac in hex, by hand.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_genuine(self) -> bool:
        """Whether one of its signatures is by the secret, of just this id, time and body."""
        key = base64.b64decode(SECRET[len("whsec_") :])
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.{self.body.decode()}"
        wanted = hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
        given = [s.split(",", 1) for s in self.headers["webhook-signature"].split(" ")]
        return any(v == "v1" and base64.b64decode(text).hex() == wanted for v, text in given)


class FakeReceiver:
    """``answers`` are statuses, or "cut" for a connection that is closed without a byte."""

    def __init__(self) -> None:
        self.answers: list[int | str] = []
        self.delay_s = 0.0
        self.location = ""
        self.retry_after = ""
        self.received: list[ReceivedWebhook] = []
        self.url = ""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/hook/?key=of-theirs"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value
                for name, _, value in (line.partition(": ") for line in head[1:] if line)
            }
            body = await reader.readexactly(int(headers["content-length"]))
            self.received.append(ReceivedWebhook(head[0].split(" ")[1], headers, body))
            answer = self.answers.pop(0) if self.answers else 204
            await asyncio.sleep(self.delay_s)
            if answer != "cut":
                extra = f"location: {self.location}\r\n" if self.location else ""
                extra += f"retry-after: {self.retry_after}\r\n" if self.retry_after else ""
                writer.write(
                    f"HTTP/1.1 {answer} Status\r\n{extra}content-length: 0\r\n"
                    "connection: close\r\n\r\n".encode()
                )
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client had waited long enough
        finally:
            writer.close()

"""Subscriptions over a WebSocket for the load generator, one after the other on each connection.

Sources: https://www.rfc-editor.org/rfc/rfc6455#section-5.2 and
https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import asyncio
import struct
from urllib.parse import urlsplit

from tests.bench.load import Connection, Load

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


class WebSocketConnection(Connection):
    """A target's ``body`` is what a subscription's payload shall be."""

    def __init__(self, load: Load) -> None:
        super().__init__(load)
        self._received = b""
        self._is_open = False
        self._is_acknowledged = False
        self._shall_send = False
        self._subscriptions = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        parts = urlsplit(self.load.target.url)
        self.transport.write(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
        )

    def send(self, due_at: float | None = None) -> None:
        if not self._is_acknowledged:
            self._shall_send = True
            return
        self.begin(due_at)
        self._subscriptions += 1
        self._write(
            b'{"id":"%d","type":"subscribe","payload":%b}'
            % (self._subscriptions, self.load.next_body())
        )

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._is_open:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.load.result.errors.append(f"no WebSocket: {head[:100]!r}")
                self.transport.abort()
                return
            self._is_open, self._received = True, rest
            self._write(b'{"type":"connection_init"}')
        while (frame := self._next_frame()) is not None:
            self._take(*frame)

    def _next_frame(self) -> tuple[int, bytes] | None:
        """(opcode, payload) of a frame that has come in whole."""
        data = self._received
        if len(data) < 2:
            return None
        length, start = data[1] & 0x7F, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            if len(data) < start:
                return None
            length = int.from_bytes(data[2:start], "big")
        if len(data) < start + length:
            return None
        self._received = data[start + length :]
        return data[0] & 0x0F, data[start : start + length]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._write(payload, _PONG)
        elif opcode == _CLOSE:
            self.transport.close()
        elif not self._is_acknowledged:
            self._is_acknowledged = True
            if self._shall_send:
                self.send()
        else:
            self.on_body(payload)
            if b'"type":"complete"' in payload:
                self.go_on_after(200)
            elif b'"type":"error"' in payload:
                self.go_on_after(400)

    def _write(self, payload: bytes, opcode: int = _TEXT) -> None:
        """A frame with the mask that changes nothing: a client's must have one."""
        length = len(payload)
        size = struct.pack("!BH", 0x80 | 126, length) if length >= 126 else bytes([0x80 | length])
        self.transport.write(bytes([0x80 | opcode]) + size + bytes(4) + payload)

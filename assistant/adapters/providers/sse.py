"""Server-sent events, as OpenAI, Anthropic and many others stream their answers.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream,
but for two things: lines end in LF or CRLF only, and an event at the end of the body needs no
blank line after it.
"""

from __future__ import annotations

from typing import NamedTuple

from assistant.adapters.providers.http import MAX_LINE_BYTES, HttpResponse


class ServerSentEvent(NamedTuple):
    """One event. ``name`` is "" where the stream names none; several lines of data are joined
    by LF. A tuple, because one is made for every token."""

    name: str
    data: bytes


class EventStream:
    """The events of a response's body, read once.

    What counts for the time limits: comments, events without data and those named in
    ``passed_over`` are no events, so that a server which only says that it is alive ends by a
    limit. And a stream begins when ``begin`` is called, not with its first event, which often
    carries nothing: until then the limit of the first event holds.
    """

    def __init__(
        self,
        response: HttpResponse,
        *,
        passed_over: frozenset[str] = frozenset(),
        max_event_bytes: int = MAX_LINE_BYTES,
    ) -> None:
        self._response = response
        self._passed_over = passed_over
        self._max_event_bytes = max_event_bytes
        # Of the event whose blank line has not come yet.
        self._name = b""
        self._data: bytes | None = None

    def begin(self) -> None:
        """The answer proper is here: from now on the limit between events holds."""
        self._response.begin()

    async def next_events(self, within_s: float | None = None) -> list[ServerSentEvent]:
        """The events that have come in, at least one; none at the end of the body.

        ``within_s`` makes a wait end earlier than the limits do.
        Raises: ProviderTimeout, ProviderUnavailable where it broke off, InvalidResponse.
        """
        deadline = self._response.next_deadline(within_s)
        events: list[ServerSentEvent] = []
        while not events:
            lines = await self._response.lines_before(
                deadline, max_line_bytes=self._max_event_bytes
            )
            if not lines:
                self._end_event(events)
                break
            for line in lines:
                self._read_line(line, events)
        return events

    def _read_line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        line = line.removesuffix(b"\r")
        if line.startswith(b"data:"):
            data = line[5:].removeprefix(b" ")
            if self._data is not None:
                data = self._data + b"\n" + data
                if len(data) > self._max_event_bytes:
                    raise self._response.too_long("an event", self._max_event_bytes)
            self._data = data
        elif not line:
            self._end_event(events)
        elif line.startswith(b"event:"):
            self._name = line[6:].removeprefix(b" ")
        # Everything else is a comment, or a field (id, retry) for those who connect again.

    def _end_event(self, events: list[ServerSentEvent]) -> None:
        if self._data is not None:
            name = self._name.decode(errors="replace")
            if name not in self._passed_over:
                events.append(ServerSentEvent(name, self._data))
        self._name = b""
        self._data = None

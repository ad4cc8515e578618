"""Reads ``Accept``: in which form a client wants its answer.

Source: https://graphql.github.io/graphql-over-http/draft/#sec-Accept
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

GRAPHQL_JSON: Final = "application/graphql-response+json"
JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
MULTIPART: Final = "multipart/mixed"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The best form of each kind; None where the client wants none of that kind.

    ``result`` is a single answer, ``stream`` a subscription's. Only what is named counts as a
    stream: ``*/*`` comes from clients that would wait for its end.
    """

    result: str | None
    stream: str | None
    page: bool


@lru_cache(maxsize=256)
def read_accept(header: str) -> Accepted:
    """By q-value; the newer form wins a tie. A missing header means ``application/json``."""
    results: dict[str, float] = {}
    streams: dict[str, float] = {}
    page = False
    for part in (header or JSON).split(","):
        name, *pairs = (piece.strip().lower() for piece in part.split(";"))
        parameters = dict(pair.partition("=")[::2] for pair in pairs)
        quality = _quality(parameters.get("q", "1"))
        if quality <= 0:
            continue
        if name in (GRAPHQL_JSON, JSON):
            results[name] = quality
        elif name in ("*/*", "application/*"):
            results.setdefault(JSON, quality)
        elif name == EVENT_STREAM:
            streams[name] = quality
        elif name == MULTIPART:
            # Without it, multipart is asked for @defer.
            # Source: https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol
            if parameters.get("subscriptionspec", "").strip("\"'").startswith("1."):
                streams[name] = quality
        elif name == "text/html":
            page = True
    return Accepted(
        result=max(results, key=lambda name: (results[name], name == GRAPHQL_JSON), default=None),
        stream=max(streams, key=lambda name: (streams[name], name == EVENT_STREAM), default=None),
        page=page,
    )


@lru_cache(maxsize=256)
def accepts(header: str, media_type: str) -> bool:
    """Whether ``media_type`` may be answered: the range that fits it best decides.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
    """
    if not header.strip():
        return True
    kind = media_type.partition("/")[0]
    ranges = {"*/*": 0, f"{kind}/*": 1, media_type: 2}
    best, is_welcome = -1, False
    for part in header.split(","):
        name, *pairs = (piece.strip().lower() for piece in part.split(";"))
        parameters = dict(pair.partition("=")[::2] for pair in pairs)
        if ranges.get(name, -1) > best:
            best, is_welcome = ranges[name], _quality(parameters.get("q", "1")) > 0
    return is_welcome


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0

"""Tells apart requests that any web page can make a browser send.

A browser sends a GET to another site without asking that site first, and network access and
address are credentials enough in many companies. What it cannot send unasked is a header of its
own, or a POST of JSON. The reasoning is in docs/decisions/0006-graphql-over-http.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from strawberry.http.websocket_origin import is_same_origin, normalize_origin

# A page on another site can only send these after a preflight that the service answers.
PREFLIGHTED: Final = frozenset(
    {
        "apollo-require-preflight",
        "x-apollo-operation-name",
        "x-gateway-secret",
        "authorization",
        "x-api-key",
    }
)


def may_come_from_any_page(headers: Mapping[str, str], allowed_origins: Collection[str]) -> bool:
    """Whether a page of another site could be behind this GET. ``headers`` are lower-cased."""
    if not PREFLIGHTED.isdisjoint(headers):
        return False
    origin = headers.get("origin")
    if origin is not None:
        return not (
            is_same_origin(origin, headers.get("host"))
            or "*" in allowed_origins
            or normalize_origin(origin) in allowed_origins
        )
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site != "same-origin"
    # Over plain HTTP browsers leave Sec-Fetch-Site out. They all call themselves Mozilla, and no
    # page can change that without a preflight; programs do not.
    return headers.get("user-agent", "").startswith("Mozilla/")

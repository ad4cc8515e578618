"""Reading Accept."""

from __future__ import annotations

import pytest

from assistant.api.media_type import accepts, read_accept

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
SSE = "text/event-stream"
MULTIPART = "multipart/mixed"

APOLLO_CLIENT = (
    "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,"
    "application/graphql-response+json,application/json;q=0.9"
)
APOLLO_DEFER = "multipart/mixed;deferSpec=20220824,application/graphql-response+json"
URQL = (
    "application/graphql-response+json, application/graphql+json, application/json, "
    "text/event-stream, multipart/mixed"
)
CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)


@pytest.mark.parametrize(
    ("header", "result", "stream", "page"),
    [
        ("", JSON, None, False),
        ("*/*", JSON, None, False),
        (JSON, JSON, None, False),
        ("Application/JSON; charset=utf-8", JSON, None, False),
        (f"{GRAPHQL};q=0.1, {JSON}", JSON, None, False),
        (f"{JSON};q=0.1, {GRAPHQL};q=0.2", GRAPHQL, None, False),
        (f"{GRAPHQL};q=0.1, */*", JSON, None, False),
        (f"{JSON};q=0", None, None, False),
        (f"{JSON};q=nonsense", None, None, False),
        (SSE, None, SSE, False),
        (f"{MULTIPART};subscriptionSpec=1.0, {SSE}", None, SSE, False),
        (f'{MULTIPART};subscriptionSpec="1.0", {SSE};q=0.5', None, MULTIPART, False),
        (MULTIPART, None, None, False),
        (APOLLO_CLIENT, GRAPHQL, MULTIPART, False),
        (APOLLO_DEFER, GRAPHQL, None, False),
        (URQL, GRAPHQL, SSE, False),
        (CHROME, JSON, None, True),
        ("text/html;q=0", None, None, False),
        (",;,=;q=1,", None, None, False),
    ],
)
def test_the_best_form_of_each_kind_is_chosen(
    header: str, result: str | None, stream: str | None, page: bool
) -> None:
    accepted = read_accept(header)

    assert (accepted.result, accepted.stream, accepted.page) == (result, stream, page)


@pytest.mark.parametrize(
    ("header", "is_accepted"),
    [
        ("", True),
        ("*/*", True),
        ("text/*", True),
        ("text/event-stream", True),
        ("Text/Event-Stream; charset=utf-8", True),
        ("application/json, text/event-stream;q=0.1", True),
        (CHROME, True),
        ("application/json", False),
        ("application/*", False),
        ("text/event-stream;q=0", False),
        ("*/*, text/event-stream;q=0", False),
        ("text/event-stream;q=0, text/*;q=0.5", False),
        ("text/event-stream;q=1, */*;q=0", True),
        ("text/event-stream;q=nonsense", False),
    ],
)
def test_the_range_that_fits_best_says_whether_a_type_is_accepted(
    header: str, is_accepted: bool
) -> None:
    assert accepts(header, SSE) is is_accepted

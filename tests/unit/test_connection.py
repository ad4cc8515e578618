"""Cursors and pages."""

from __future__ import annotations

import base64
import json
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.api.connection import decode_cursor, encode_cursor, page
from assistant.errors import BadUserInput

ID = UUID("01890000-0000-7000-8000-000000000001")


def forged(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=300))
def test_a_cursor_gives_back_what_it_was_made_of(value: str) -> None:
    id_ = uuid4()

    assert decode_cursor(encode_cursor(value, id_)) == (value, id_)


def test_a_cursor_fits_into_a_url() -> None:
    cursor = encode_cursor("???>>>~~~ÿÿÿ", ID)

    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_a_cursor_can_hold_a_number() -> None:
    assert decode_cursor(encode_cursor("17", ID), int) == (17, ID)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "not a cursor",
        "é",
        "%%%%",
        encode_cursor("a", ID)[:-4],
        encode_cursor("a", ID) + "!",
        encode_cursor("a" * 2_000, ID),
        forged("a"),
        forged(1),
        forged([]),
        forged(["a"]),
        forged(["a", 1]),
        forged([1, str(ID)]),
        forged(["a", "no id"]),
        forged(["a", str(ID), 1]),
        forged(["a\x00", str(ID)]),
        forged(["\ud800", str(ID)]),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b"[" * 1_400).decode(),
    ],
)
def test_what_is_no_cursor_of_ours_is_bad_input(cursor: str) -> None:
    with pytest.raises(BadUserInput) as refused:
        decode_cursor(cursor)
    assert refused.value.path == ("after",)


def test_a_forged_number_is_bad_input() -> None:
    with pytest.raises(BadUserInput):
        decode_cursor(encode_cursor("seventeen", ID), int)


def cursor(number: int) -> str:
    return f"c{number}"


def test_a_page_goes_on_where_one_row_more_was_found() -> None:
    rows, info = page([1, 2, 3], 2, None, cursor)

    assert rows == [1, 2]
    assert (info.has_next_page, info.has_previous_page) == (True, False)
    assert (info.start_cursor, info.end_cursor) == ("c1", "c2")


def test_the_last_page_says_so() -> None:
    rows, info = page([3], 2, "c2", cursor)

    assert rows == [3]
    assert (info.has_next_page, info.has_previous_page) == (False, True)


def test_an_empty_page_has_no_cursors() -> None:
    rows, info = page([], 2, None, cursor)

    assert rows == []
    assert (info.has_next_page, info.start_cursor, info.end_cursor) == (False, None, None)

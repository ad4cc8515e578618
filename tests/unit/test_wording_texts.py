"""Any text can be read, in time that grows with its length."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.services.wording import failing_guard, read_wording
from assistant.services.wording.text import word_list

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)
_SMALL_WORDS = """
what is the a to from not how do i in may 5 two wie ist nicht como no es march and between of can
you please tell me when if one wann der den que se por
"""
WORDS = st.lists(
    st.sampled_from([*",.?:'\"", "'s", "5pm", "`x`", "$5", "3.5", *word_list(_SMALL_WORDS)]),
    max_size=30,
).map(" ".join)


@given(TEXTS | WORDS, TEXTS | WORDS)
def test_guards_are_symmetric_and_a_text_is_its_own_answer(one: str, other: str) -> None:
    asked, answered = read_wording(one), read_wording(other)

    assert failing_guard(asked, answered) == failing_guard(answered, asked)
    assert failing_guard(asked, read_wording(one)) is None


@given(TEXTS)
def test_composed_and_decomposed_characters_are_one_text(text: str) -> None:
    composed, decomposed = (
        read_wording(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")
    )
    assert composed == decomposed


@pytest.mark.parametrize("text", ["", " ", "\n", "?", "\u200b", "\u200f", "\x00", "...", "-", "'"])
def test_a_text_of_nothing_has_a_wording(text: str) -> None:
    assert failing_guard(read_wording(text), read_wording(text)) is None


def test_emoji_are_words() -> None:
    assert "🎉" in read_wording("Write a poem about 🎉").canonical
    assert failing_guard(read_wording("Is 👍🏽 rude?"), read_wording("Is 👎🏽 rude?")) is not None


def test_marks_of_direction_say_nothing() -> None:
    plain = read_wording("אמת אחת")
    assert read_wording("\u200fאמת \u202bאחת\u202c\u200f?") == plain


def test_acronyms_are_not_the_small_words_that_they_look_like() -> None:
    assert read_wording("rules in the US") != read_wording("rules in the us")
    assert read_wording("WHO GAVE IT TO US") == read_wording("who gave it to us")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1,234.50", "1234.50"),
        ("1,5", "1,5"),
        ("two hundred and fifty", "250"),
        ("twenty-five", "25"),
        ("3 million", "3000000"),
        ("version 3.10", "version 3.10"),
        ("5:30 pm", "17:30"),
        ("12am", "00:00"),
        ("1st and 2nd", "first and 2nd"),
        ("March 5, 2024", "5 march 2024"),
        ("the 5th of March", "5 march"),
    ],
)
def test_numbers_dates_and_times_have_one_form(text: str, canonical: str) -> None:
    assert read_wording(f"is it {text}").canonical.removeprefix("whether ") == canonical


HOSTILE = [
    "a", "a.", '"', "“", "„", "`x ", "```", "'a ", "(", "[[", "f(", "{", "1", "1,", "1-", ": ", "\n", "\n\n",
    "hi. ", "hi, ", "please ", "what is the ", "can you please tell me ", "how do i my ", "a and b ", "turn a ",
    "one hundred and ", "march 5 ", "if a, ", "when ", "a's ", "wie kann ich ", "como puedo ", "❤️ ", "é", "ש\u200f ",
    "Will ", "Vitamin A ", "Is Apple ", "(a + ", "[a ", "*a ", "~ ", ":) ", "man-eating ", "what does ",
    "a@", "a_", "http://", "\\", "xqzvw ", "not ", "the ",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_reading_takes_steps_in_proportion_to_the_length(unit: str) -> None:
    short, long = (
        _lines_run(lambda size=size: read_wording(unit * (size // len(unit))))
        for size in (2_000, 8_000)
    )
    assert long < 5 * short + 2_000


def test_a_hundred_kilobytes_are_read() -> None:
    for unit in ("a.", '"', "“", "'a ", "what is the ", "hi. ", "if a, ", "❤️ ", "1,", "\n"):
        assert read_wording((unit * 100_000)[:100_000]) is not None


def _lines_run(read: Callable[[], object]) -> int:
    """How many lines of Python it takes: the same on every machine."""
    read()  # fills what is kept of single words
    lines = 0

    def count(_frame: object, event: str, _argument: object) -> object:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        read()
    finally:
        sys.settrace(before)
    return lines

"""Seams: a continuation repeats what is there already, or not; the reader sees it once."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assistant.services.seam import Seam

STORY = "Once upon a time there was a fox. It was quick, and brown, and it jumped over"
SHORTEST = 8


def joined(so_far: str, *pieces: str) -> str:
    """What a reader has in the end."""
    seam = Seam(so_far)
    return so_far + "".join(seam.feed(piece) for piece in pieces) + seam.flush()


def plainly_joined(so_far: str, continuation: str) -> str:
    """The same by the plainest means, for a continuation that is there as a whole."""
    if so_far and continuation.startswith(so_far):
        return continuation
    for length in range(min(len(continuation), len(so_far), 2_000), SHORTEST - 1, -1):
        if so_far.endswith(continuation[:length]):
            return so_far + continuation[length:]
    return so_far + continuation


# Few letters make for texts that repeat themselves; others are as they come.
TEXTS = st.text(max_size=40) | st.text("ab ", max_size=60) | st.text("a", max_size=30)


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """``text`` in pieces of any lengths, empty ones among them."""
    places = draw(st.lists(st.integers(0, len(text)), max_size=12))
    return [text[start:end] for start, end in pairwise([0, *sorted(places), len(text)])]


# ------------------------------------------------------------------ by example


@pytest.mark.parametrize(
    ("continuation", "rest"),
    [
        (" the lazy dog.", " the lazy dog."),
        ("and it jumped over the lazy dog.", " the lazy dog."),
        ("jumped over", ""),
        (STORY, ""),
        (STORY + " the lazy dog.", " the lazy dog."),
        ("over the lazy dog.", "over the lazy dog."),  # four letters may be chance
        ("Once upon a time there was a wolf.", "Once upon a time there was a wolf."),
        ("", ""),
    ],
)
def test_what_is_said_twice_is_left_out_once(continuation: str, rest: str) -> None:
    assert joined(STORY, continuation) == STORY + rest
    assert joined(STORY, *continuation) == STORY + rest


@pytest.mark.parametrize("so_far", ["T", "Hi", "Hello w"])
def test_of_a_short_text_the_whole_is_known_again(so_far: str) -> None:
    assert joined(so_far, *(so_far + " and so on")) == so_far + " and so on"


def test_a_model_that_begins_anew_after_a_long_text_is_met() -> None:
    long = " ".join(str(number) for number in range(5_000))

    assert joined(long, *(long[i : i + 7] for i in range(0, len(long), 7)), " END") == long + " END"


def test_a_repetition_from_farther_back_than_is_looked_for_passes() -> None:
    long = " ".join(str(number) for number in range(5_000))

    assert joined(long, long[-2_000:], "!") == long + "!"
    assert joined(long, long[-2_001:], "!") == long + long[-2_001:] + "!"


def test_what_cannot_be_a_repetition_passes_at_once() -> None:
    seam = Seam(STORY)

    assert seam.feed("Xyl") == "Xyl"
    assert Seam(STORY).feed("ve") == "ve"  # it is there, but too near to the end
    assert seam.feed("jumped over") == "jumped over"  # from then on everything does
    assert seam.flush() == ""


def test_a_repetition_is_held_back_and_what_comes_after_it_is_not() -> None:
    seam = Seam(STORY)

    assert [seam.feed(piece) for piece in ("it jum", "ped ov", "er the", " lazy")] == [
        "",
        "",
        " the",
        " lazy",
    ]


def test_what_only_seemed_to_be_a_repetition_comes_whole() -> None:
    seam = Seam(STORY)

    assert [seam.feed(piece) for piece in ("it jum", "ps")] == ["", "it jumps"]


def test_what_is_still_held_back_when_it_ends_comes_then() -> None:
    seam = Seam(STORY)

    assert seam.feed("It was quick") == ""
    assert seam.flush() == "It was quick"
    assert seam.flush() == ""


def test_after_nothing_everything_is_new() -> None:
    assert joined("", "Once ", "upon") == "Once upon"


# ------------------------------------------------------------------ for any text


@given(st.data(), TEXTS, TEXTS)
def test_however_it_is_cut_the_longest_repetition_is_left_out(
    data: st.DataObject, so_far: str, continuation: str
) -> None:
    pieces = data.draw(cut(continuation))

    assert joined(so_far, *pieces) == plainly_joined(so_far, continuation)


# An end that is nowhere else: of one that repeats itself nobody can tell how much was meant.
ENDS = st.permutations("stuvwxyz").map("".join)
BEFORE = st.text(st.characters(exclude_characters="stuvwxyz"), max_size=40) | st.text("ab ")


@given(st.data(), BEFORE, ENDS, TEXTS)
def test_a_repetition_of_the_end_is_neither_seen_twice_nor_lost(
    data: st.DataObject, before: str, end: str, rest: str
) -> None:
    so_far = before + end
    repeated = so_far[-data.draw(st.integers(SHORTEST, len(so_far))) :]

    assert joined(so_far, *data.draw(cut(repeated + rest))) == so_far + rest


@given(st.data(), TEXTS, TEXTS)
def test_a_model_that_begins_anew_is_met_whatever_the_text(
    data: st.DataObject, so_far: str, rest: str
) -> None:
    assert joined(so_far, *data.draw(cut(so_far + rest))) == so_far + rest


@given(st.data(), st.text("abc", max_size=60), st.text("XYZ", max_size=60))
def test_a_continuation_that_repeats_nothing_passes_unchanged(
    data: st.DataObject, so_far: str, continuation: str
) -> None:
    seam = Seam(so_far)

    for piece in data.draw(cut(continuation)):
        assert seam.feed(piece) == piece


@given(st.data(), TEXTS, TEXTS)
@example(data=None, so_far="a" * 30, continuation="a" * 60)  # type: ignore[arg-type]
def test_nothing_is_held_back_but_what_has_been_said_already(
    data: st.DataObject | None, so_far: str, continuation: str
) -> None:
    pieces = data.draw(cut(continuation)) if data else list(continuation)
    seam = Seam(so_far)
    fed = let_through = ""
    for piece in pieces:
        fed += piece
        let_through += seam.feed(piece)
        held = not let_through and bool(fed)
        assert not held or fed in so_far
        assert fed.endswith(let_through)


@pytest.mark.parametrize(
    ("so_far", "continuation"),
    [
        ("a" * 100_000, "a" * 100_000 + "b"),
        ("\n" * 2_500, "\n" * 2_400),
        ("ab" * 50_000, "ab" * 50_000),
        ("a" * 1_999 + "b", "a" * 1_998 + "b"),
        ("word " * 20_000, "word " * 20_000 + "end"),
    ],
    ids=["one letter", "line breaks", "two letters", "almost", "a word"],
)
def test_a_model_that_says_the_same_for_ever_costs_little(so_far: str, continuation: str) -> None:
    began = time.process_time()

    joined(so_far, *(continuation[i : i + 2] for i in range(0, len(continuation), 2)))

    assert time.process_time() - began < 1

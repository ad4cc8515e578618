"""Splitting a text into sentences."""

# ruff: noqa: RUF001 - marks of other scripts are what is tested

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.adapters.extractive.sentences import (
    MAX_SENTENCE_CHARS,
    MAX_SENTENCES,
    first_line,
    is_complete,
    points_back,
    running_text,
    split_sentences,
)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith met Mr. J. R. Jones.", ["Dr. Smith met Mr. J. R. Jones."]),
        ("It has tools, e.g. A hammer, i.e. Two.", ["It has tools, e.g. A hammer, i.e. Two."]),
        ("Pi is 3.14. Two is 2.", ["Pi is 3.14.", "Two is 2."]),
        ("See Fig. 3 and No. 5. It is clear.", ["See Fig. 3 and No. 5.", "It is clear."]),
        ("The answer is no. We go on.", ["The answer is no.", "We go on."]),
        ("The U.S. Army left the U.S. The end.", ["The U.S. Army left the U.S.", "The end."]),
        ("Acme Inc. Chairman Lee left Acme Inc. He is old.",
         ["Acme Inc. Chairman Lee left Acme Inc.", "He is old."]),
        ("It ends at 5 p.m. sharp. Come at 3 p.m. We wait.",
         ["It ends at 5 p.m. sharp.", "Come at 3 p.m.", "We wait."]),
        ('He said "Stop!" and ran. "I won." The crowd cheered.',
         ['He said "Stop!" and ran.', '"I won."', "The crowd cheered."]),
        ("“Really?” he asked. (He did.) Done.", ["“Really?” he asked.", "(He did.)", "Done."]),
        ("Wait... what? Then silence… And so on.",
         ["Wait... what?", "Then silence…", "And so on."]),
        ("See https://a.example/b?c=d.e. Next one.", ["See https://a.example/b?c=d.e.", "Next one."]),
        ("Mail bob@a.example or 10.0.0.1. Bye.", ["Mail bob@a.example or 10.0.0.1.", "Bye."]),
        ("no capitals here. none at all. end", ["no capitals here.", "none at all.", "end"]),
        ("今天天气很好。我们去公园吧！好吗？", ["今天天气很好。", "我们去公园吧！", "好吗？"]),
        ("هل أنت بخير؟ نعم أنا بخير.", ["هل أنت بخير؟", "نعم أنا بخير."]),
        ("I love it 😀. 😀 Great!", ["I love it 😀.", "😀 Great!"]),
    ],
)  # fmt: skip
def test_end_marks_end_sentences_and_abbreviations_do_not(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_headings_and_list_items_are_sentences_without_their_markers() -> None:
    text = "# Tools\n\nBring:\n- a hammer\n- two nails\n3. A saw (big)\n(a) glue\n> - tape"
    assert split_sentences(text) == [
        "Tools", "Bring:", "a hammer", "two nails", "A saw (big)", "glue", "tape",
    ]  # fmt: skip


def test_hard_wrapped_lines_are_joined_and_short_lines_are_not() -> None:
    text = (
        "This is a paragraph whose lines were broken by a\nmail program, as they often are. It\n"
        "goes on here.\nKind regards\nHelena Brandt"
    )
    assert split_sentences(text) == [
        "This is a paragraph whose lines were broken by a mail program, as they often are.",
        "It goes on here.",
        "Kind regards",
        "Helena Brandt",
    ]


def test_a_blank_line_ends_a_sentence() -> None:
    assert split_sentences("a title of some considerable length, forty\n\nand a text") == [
        "a title of some considerable length, forty",
        "and a text",
    ]


def test_lines_of_symbols_are_left_out_as_long_as_there_are_words() -> None:
    assert split_sentences("Title\n=====\nText. !!!\n|---|---|") == ["Title", "Text."]
    assert split_sentences("*** !!!") == ["*** !!!"]


@pytest.mark.parametrize("text", ["", " \n\t \u00a0\u2028 "])
def test_white_space_has_no_sentences(text: str) -> None:
    assert split_sentences(text) == []


def test_a_sentence_without_end_is_cut_at_the_best_place() -> None:
    clause = "and then we walked on for a while"
    pieces = split_sentences("; ".join([clause] * 100))
    assert all(len(piece) <= MAX_SENTENCE_CHARS for piece in pieces)
    assert all(piece.endswith(";") for piece in pieces[:-1])
    assert " ".join(pieces) == "; ".join([clause] * 100)


def test_one_endless_word_is_cut_without_losing_a_character() -> None:
    pieces = split_sentences("x" * 2_500)
    assert [len(piece) for piece in pieces] == [1_000, 1_000, 500]


def test_of_very_many_sentences_some_are_kept_from_the_beginning_to_the_end() -> None:
    sentences = split_sentences("".join(f"Line {number} is.\n" for number in range(90_000)))
    assert len(sentences) <= MAX_SENTENCES
    assert sentences[0] == "Line 0 is."
    assert sentences[-1] == "Line 89997 is."


@given(st.text(alphabet=st.sampled_from("aB1 .!?…\n-;:'\"()。😀é#>"), max_size=300))
def test_sentences_add_and_reorder_nothing(text: str) -> None:
    sentences = split_sentences(text)
    assert all(sentence == " ".join(sentence.split()) != "" for sentence in sentences)
    source = iter(text)
    assert all(character in source for character in "".join("".join(sentences).split()))


@given(st.text(max_size=200))
def test_a_text_with_something_in_it_has_a_sentence(text: str) -> None:
    assert bool(split_sentences(text)) == bool(text.split())


@pytest.mark.parametrize(
    "text",
    [
        "a." * 500_000,
        "Ab. " * 250_000,
        "x" * 1_000_000,
        "." * 1_000_000,
        "?!" * 500_000 + "x",
        "\"'" * 500_000,
        "\n" * 1_000_000,
        "a\n" * 500_000,
        "- " * 500_000,
        "1. " * 300_000,
        "😀" * 250_000,
        "今天" * 150_000,
        " " * 1_000_000 + "x",
    ],
    ids=lambda text: repr(text[:6]),
)
def test_no_text_of_one_megabyte_takes_more_than_linear_time(text: str) -> None:
    start = time.perf_counter()
    split_sentences(text)
    # It takes 0.5 s at most; a quadratic step would take hours.
    assert time.perf_counter() - start < 20


def test_sentences_are_told_from_headings_by_their_end_mark() -> None:
    assert is_complete('He said "no."')
    assert is_complete("终于。」")
    assert not is_complete("Next steps")
    sentences = ["Next steps", "We meet on Monday.", "a list item of five words"]
    assert running_text(sentences, at_least=2) == sentences[1:]
    assert running_text(sentences, at_least=3) == sentences


def test_a_sentence_that_begins_with_a_pronoun_or_connective_points_back() -> None:
    assert points_back("However, it rained.")
    assert points_back('"They left."')
    assert not points_back("Item 5 is missing.")
    assert points_back("Outside these hours nobody answers.", within_words=3)
    assert not points_back("Outside these hours nobody answers.")


def test_the_first_line_has_no_marker() -> None:
    assert first_line("\n\n  ## Next   steps \n text") == "Next steps"
    assert first_line(" \n ") == ""

"""Choosing what stands for a text, and fitting it into a limit."""

from __future__ import annotations

import numpy as np

from assistant.adapters.extractive.extract import Extract, Piece, count_tokens, in_turn
from assistant.adapters.extractive.ranking import (
    direction,
    diverse_order,
    pick_representatives,
    within_budget,
)
from assistant.adapters.extractive.vectors import MAX_PIECES, MAX_TEXTS, estimate_pieces


def test_the_second_choice_is_relevant_and_different_from_the_first() -> None:
    relevance = np.array([0.9, 0.89, 0.6])
    likeness = np.array([[1.0, 0.99, 0.1], [0.99, 1.0, 0.1], [0.1, 0.1, 1.0]])
    assert diverse_order(relevance, likeness, 0.5, 2) == [0, 2]
    assert diverse_order(relevance, likeness, 1.0, 2) == [0, 1]


def test_ties_go_to_what_comes_first() -> None:
    assert diverse_order(np.ones(3), np.ones((3, 3)), 0.7, 9) == [0, 1, 2]


def test_the_direction_of_opposites_is_nothing_and_not_an_error() -> None:
    assert not direction(np.array([[1.0, 0.0], [-1.0, 0.0]]), [1.0, 1.0]).any()


def test_few_sentences_stand_for_themselves() -> None:
    assert pick_representatives(["One.", "Two."]) == [0, 1]
    assert pick_representatives([]) == []


def test_of_many_sentences_every_part_of_the_text_sends_one() -> None:
    sentences = [f"Sentence number {number} of the text." for number in range(10_000)]
    picked = pick_representatives(sentences)
    assert len(picked) == MAX_TEXTS
    assert all(slot * 40 <= index < (slot + 1) * 40 for slot, index in enumerate(picked))


def test_each_part_sends_the_sentence_whose_words_are_shared_most() -> None:
    sentences = ["The pump is on.", "A zebra sang."] * 1_000
    assert all(index % 2 == 0 for index in pick_representatives(sentences))


def test_long_sentences_are_fewer_so_that_the_work_stays_bounded() -> None:
    sentences = ["word " * 200] * 300
    picked = pick_representatives(sentences)
    assert sum(estimate_pieces(sentences[index]) for index in picked) <= MAX_PIECES
    assert picked[-1] > 290
    assert within_budget(sentences, [5, 6, 7], 2 * estimate_pieces(sentences[0])) == [5, 6]


def test_an_estimate_of_pieces_is_never_above_what_the_model_reads() -> None:
    assert estimate_pieces("x" * 1_000_000) <= 256
    assert estimate_pieces("。" * 1_000) == 256
    assert estimate_pieces("The cat sat.") == 6


def test_tokens_are_a_quarter_of_the_bytes() -> None:
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde", "今天")] == [0, 1, 1, 2, 2]


def test_a_limit_keeps_what_matters_most_in_the_order_of_the_text() -> None:
    extract = Extract(
        (Piece("aaaa bbbb.", rank=2), Piece("cccc dddd.", rank=0), Piece("eeee ffff.", rank=1))
    )
    assert extract.text == "aaaa bbbb. cccc dddd. eeee ffff."
    assert extract.within(6).text == "cccc dddd. eeee ffff."
    assert extract.within(1).text == "cccc dddd."
    assert extract.within(8) == extract


def test_the_pieces_joined_are_the_text() -> None:
    extract = in_turn(["one", "two", "three"], ", ")
    assert list(extract.deltas()) == ["one", ", two", ", three"]
    assert extract.text == "one, two, three"
    assert extract.tokens == 4

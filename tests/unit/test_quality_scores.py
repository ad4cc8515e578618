"""The measures behind the published figures of the extractive model."""

from __future__ import annotations

import pytest

from tests.quality.builtin.scores import (
    f1,
    interval,
    related_keywords,
    rouge,
    same_keywords,
)


def test_rouge_is_the_f1_of_shared_words_and_pairs_of_words() -> None:
    assert rouge("The cat sat.", "the cat ran", 1) == pytest.approx(2 / 3)
    assert rouge("The cat sat.", "the cat ran", 2) == pytest.approx(1 / 2)
    assert rouge("cat cat cat", "cat", 1) == pytest.approx(1 / 2)
    assert rouge("", "", 1) == 0


def test_f1_punishes_what_is_missing_and_what_is_too_much() -> None:
    assert f1(2, given=4, wanted=2) == pytest.approx(2 / 3)


def test_keywords_are_the_same_whatever_their_case_and_plural() -> None:
    assert same_keywords(["Flood barriers", "salmon"], ["flood barrier", "river"]) == 1


def test_a_keyword_is_related_to_one_that_it_is_a_part_of_and_only_once() -> None:
    assert related_keywords(["chairs", "office"], ["office chairs", "refund"]) == 1
    assert related_keywords(["chairs", "refund"], ["office chairs", "refund"]) == 2


def test_the_interval_is_wilsons() -> None:
    assert interval(40, 50) == pytest.approx((0.670, 0.888), abs=0.001)
    assert interval(0, 20) == pytest.approx((0, 0.161), abs=0.001)
    assert interval(20, 20) == pytest.approx((0.839, 1), abs=0.001)

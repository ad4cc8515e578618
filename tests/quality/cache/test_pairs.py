"""What the published figures rest on: enough pairs, of every kind, in halves that share nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.quality.cache.pairs import (
    DIFFERENT_KINDS,
    DOMAINS,
    HALVES,
    LANGUAGES,
    OTHER_LANGUAGES,
    SAME_KINDS,
    TEMPLATES,
    Pair,
    load_file,
    pair_files,
)

FILES = {path: load_file(path) for path in pair_files()}
PAIRS = [pair for pairs in FILES.values() for pair in pairs]
WRITTEN = [pair for path, pairs in FILES.items() for pair in pairs if path != TEMPLATES]


def questions(pair: Pair) -> frozenset[str]:
    """The two texts, whichever is first and however they are spaced."""
    return frozenset(" ".join(text.split()) for text in (pair.a, pair.b))


def test_there_are_700_pairs_with_one_answer_and_700_with_two() -> None:
    labels = Counter(pair.label for pair in WRITTEN)
    assert set(labels) == {0, 1}
    assert min(labels.values()) >= 700


def test_every_kind_has_50_pairs_in_both_halves_together_and_20_in_each() -> None:
    for label, kinds in ((1, SAME_KINDS), (0, DIFFERENT_KINDS)):
        counts = Counter(
            (pair.kind, pair.half)
            for pair in WRITTEN
            if pair.label == label and pair.language in LANGUAGES
        )
        assert {kind for kind, _ in counts} == set(kinds)
        for kind in kinds:
            assert sum(counts[kind, half] for half in HALVES) >= 50, kind
            assert min(counts[kind, half] for half in HALVES) >= 20, kind


def test_german_and_spanish_have_every_kind_in_both_halves() -> None:
    counts = Counter((p.language, p.label, p.kind, p.half) for p in PAIRS)
    for language in LANGUAGES:
        assert sum(pair.language == language for pair in PAIRS) >= 150
        for label, kinds in ((1, SAME_KINDS), (0, DIFFERENT_KINDS)):
            for kind in kinds:
                for half in HALVES:
                    assert counts[language, label, kind, half], (language, label, kind, half)


def test_other_languages_are_a_surprise() -> None:
    halves = {pair.half for pair in PAIRS if pair.language in OTHER_LANGUAGES}
    assert halves == {"held-out"}
    for label in (0, 1):
        found = {pair.language for pair in PAIRS if pair.label == label}
        assert found == {*LANGUAGES, *OTHER_LANGUAGES}


def test_every_pair_names_a_domain_and_each_has_both_labels() -> None:
    assert {(pair.domain, pair.label) for pair in PAIRS} == {
        (domain, label) for domain in DOMAINS for label in (0, 1)
    }


def test_no_pair_is_there_twice_whichever_question_is_first() -> None:
    times = Counter(frozenset((pair.a, pair.b)) for pair in PAIRS)
    assert [pair for pair, count in times.items() if count > 1] == []


def test_the_same_two_questions_never_have_both_labels() -> None:
    labelled = {label: {questions(p) for p in PAIRS if p.label == label} for label in (0, 1)}
    assert labelled[0] & labelled[1] == set()


def test_the_texts_of_a_pair_differ_and_say_something() -> None:
    assert [pair for pair in PAIRS if pair.a == pair.b] == []
    assert [pair for pair in PAIRS if not pair.a.strip() or not pair.b.strip()] == []
    assert [pair for pair in PAIRS if not pair.label and len(questions(pair)) == 1] == []


def test_no_question_is_in_both_halves() -> None:
    tune, held_out = (
        {text.lower() for pair in PAIRS if pair.half == half for text in questions(pair)}
        for half in HALVES
    )
    assert tune & held_out == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_holds_the_half_that_its_name_says_alone(path: Path) -> None:
    half = "tune" if path.stem.endswith("_tune") else "held-out"
    assert path.stem.endswith(half.replace("-", "_"))
    assert {pair.half for pair in FILES[path]} == {half}

"""Words, phrases and their leaning."""

# ruff: noqa: RUF001 - the typographic apostrophe is what is tested

from __future__ import annotations

import pytest

from assistant.adapters.extractive.phrases import find_phrases
from assistant.adapters.extractive.polarity import polarity
from assistant.adapters.extractive.words import root, stem


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Policies", "policy"),
        ("boxes", "box"),
        ("classes", "class"),
        ("buses", "buse"),  # not English, but the same for every "buses"
        ("company’s", "company"),
        ("glass", "glass"),
        ("status", "status"),
        ("analysis", "analysis"),
        ("news", "news"),
        ("gas", "gas"),
    ],
)
def test_plural_and_possessive_have_the_stem_of_the_singular(word: str, expected: str) -> None:
    assert stem(word) == expected


def test_forms_of_a_verb_have_the_same_root() -> None:
    assert {root(word) for word in ("update", "updates", "updated", "updating")} == {"updat"}
    assert root("ring") == "ring"


def texts_of(sentence: str) -> list[str]:
    return [phrase.text for phrase in find_phrases([sentence])]


def test_phrases_stop_at_vague_words_punctuation_and_numbers() -> None:
    assert texts_of("The load test, for 600 users, is over") == [
        "load", "test", "load test", "users",
    ]  # fmt: skip


def test_phrases_have_no_adverbs_links_or_verbs_before_an_object() -> None:
    assert texts_of("The script finally locks the table at https://a.example/some/table") == [
        "script", "locks", "table",
    ]  # fmt: skip
    assert texts_of("A migration script locks the table") == [
        "migration", "script", "migration script", "table",
    ]  # fmt: skip


def test_plural_and_case_are_the_same_phrase_shown_in_its_small_form() -> None:
    phrases = find_phrases(["Pumps need oil.", "The pump needs oil, the pumps too."])
    assert [(phrase.text, phrase.count) for phrase in phrases if phrase.stems == ("pump",)] == [
        ("pump", 3)
    ]


def test_a_chinese_text_has_phrases_of_bounded_length() -> None:
    assert texts_of("今天天气很好我们去公园吧。好的") == ["今天天气很好我们", "好的"]


@pytest.mark.parametrize(
    "sentence",
    [
        "I love it.",
        "It is not bad at all.",
        "I have never been disappointed.",
        "The soup was awful, but everything else was excellent.",
        "We weren’t unhappy.",
    ],
)
def test_favourable_sentences_lean_up(sentence: str) -> None:
    assert polarity(sentence) > 0


@pytest.mark.parametrize(
    "sentence",
    [
        "I hate it.",
        "This is not good.",
        "I would not recommend it.",
        "The idea is great, but the execution is terrible.",
    ],
)
def test_unfavourable_sentences_lean_down(sentence: str) -> None:
    assert polarity(sentence) < 0


def test_a_sentence_of_facts_leans_nowhere() -> None:
    assert polarity("The meeting starts at ten in room 204.") == 0

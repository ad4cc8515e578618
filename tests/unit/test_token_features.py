"""The numbers of a prompt that decide how many tokens it has."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.completion import MessageRole
from assistant.services.token_features import GENERAL, CountedPrompt, own_basis
from tests.unit.token_fakes import FakeTokenizer, FakeTokenizers, prompt, words

REFERENCES = FakeTokenizers().references
TEXTS = st.lists(
    st.text(st.characters(exclude_categories=()), max_size=100), min_size=1, max_size=5
)


def counted(*contents: str, roles: tuple[MessageRole, ...] = ()) -> CountedPrompt:
    asked = prompt(*contents, roles=roles)
    made = CountedPrompt.of(asked.messages)
    made.fill(asked.messages, REFERENCES, wants_surface=True)
    return made


@given(TEXTS)
def test_every_text_has_as_many_features_as_there_are_weights(contents: list[str]) -> None:
    features = counted(*contents).general(REFERENCES)

    assert features.shape == GENERAL.weights.shape == GENERAL.spreads.shape
    assert np.isfinite(features).all()
    assert (features >= 0).all()
    assert features @ GENERAL.weights > 0


@given(TEXTS)
def test_every_character_is_of_one_kind(contents: list[str]) -> None:
    surface = counted(*contents).surface
    assert surface is not None
    assert sum(surface[:-2]) == sum(map(len, contents))


def test_scripts_are_told_apart() -> None:
    texts = ("word", "WORD", "1234", "\n\n\n", "жизнь", "λόγος", "سلام", "שלום", "नमस्ते", "漢字",
             "かな", "한국어", "été", "🎉")  # fmt: skip
    kinds = [tuple(np.sign(counted(text).surface or [])) for text in texts]

    assert len(set(kinds)) >= len(texts) - 1


def test_pairs_begin_runs() -> None:
    spaces, points = (counted(text).surface for text in ("a    b", "a...."))
    assert spaces is not None and points is not None
    assert (spaces[-2], points[-1]) == (2, 2)


def test_a_message_does_not_run_into_the_next() -> None:
    assert counted("a ", " b").surface != counted("a  b").surface


def test_framing_knows_messages_and_whether_one_is_the_systems() -> None:
    roles = (MessageRole.SYSTEM, MessageRole.USER)

    assert counted("a", "b", roles=roles).framing == (2, 1, 1)
    assert counted("a", "b", "c").framing == (3, 0, 1)


def test_a_tokenizer_counts_each_text_once() -> None:
    tokenizer = FakeTokenizer("own", words)
    asked = prompt("one two", "three")
    made = CountedPrompt.of(asked.messages)
    assert made.lacks([tokenizer], wants_surface=False)
    for _ in range(2):
        made.fill(asked.messages, [tokenizer], wants_surface=False)

    assert not made.lacks([tokenizer], wants_surface=False)
    assert made.lacks([tokenizer], wants_surface=True)
    assert tokenizer.calls == ["one two", "three"]
    assert made.own(tokenizer) @ own_basis(tokenizer).weights == 3 + 2 * 5 + 4

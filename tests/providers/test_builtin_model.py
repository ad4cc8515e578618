"""The extractive model on its real embeddings. Figures: python -m tests.quality.builtin."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator

import pytest

from assistant.adapters.embedding import MiniLmEmbedder
from assistant.adapters.extractive.answers import NO_ANSWER
from assistant.adapters.providers.builtin import EMBEDDING_MODEL, ExtractiveProvider
from assistant.domain.completion import TextDelta
from assistant.domain.model import TaskType
from assistant.domain.ports import TimeLimits
from tests.providers.embedding_files import installed_embedding
from tests.providers.test_builtin import call
from tests.quality.builtin.data import LabelledText, load_sentences, load_texts

TEXTS = {text.name: text for text in load_texts()}
FLOOD = TEXTS["news-flood-barrier"]


@pytest.fixture
async def provider() -> AsyncIterator[ExtractiveProvider]:
    embedder = MiniLmEmbedder(installed_embedding())
    yield ExtractiveProvider(embedder)
    await embedder.close()


async def ask(provider: ExtractiveProvider, task: TaskType, **variables: str) -> str:
    events = provider.generate(call(task, variables))
    return "".join([event.text async for event in events if isinstance(event, TextDelta)])


async def test_a_text_is_embedded_with_its_first_256_word_pieces(
    provider: ExtractiveProvider,
) -> None:
    long = "barrier " * 300
    texts = ["A flood barrier.", long, f"{long} salmon"]
    embeddings = await provider.embed(EMBEDDING_MODEL, texts, TimeLimits())
    assert [math.hypot(*vector) for vector in embeddings.vectors] == pytest.approx([1.0] * 3)
    assert {len(vector) for vector in embeddings.vectors} == {384}
    assert embeddings.vectors[1] == pytest.approx(embeddings.vectors[2], abs=1e-5)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
async def test_every_sentence_of_a_summary_stands_in_the_page(
    provider: ExtractiveProvider, text: LabelledText
) -> None:
    summary = await ask(provider, TaskType.SUMMARIZATION, text=text.text)
    chosen = [sentence for sentence in text.sentences if sentence in summary]
    assert len(chosen) == 3
    assert " ".join(summary.split()) == " ".join(chosen)


async def test_a_news_story_is_summarised_titled_and_tagged_by_its_news(
    provider: ExtractiveProvider,
) -> None:
    summary = await ask(provider, TaskType.SUMMARIZATION, text=FLOOD.text)
    assert "the city council approved a movable flood barrier" in summary
    title = await ask(provider, TaskType.TITLE_GENERATION, text=FLOOD.text)
    assert title == "City council approved a movable flood barrier"
    title = await ask(
        provider,
        TaskType.TITLE_GENERATION,
        text="After two years of debate, the council approved a barrier.",
    )
    assert title == "Council approved a barrier"
    keywords = await ask(provider, TaskType.KEYWORD_EXTRACTION, text=FLOOD.text)
    assert {"flood barrier", "city council"} <= set(keywords.split(", "))


async def test_sentiment_is_right_for_three_sentences_of_four(
    provider: ExtractiveProvider,
) -> None:
    sentences = load_sentences("sentiment")
    right = 0
    for sentence in sentences:
        answer = await ask(provider, TaskType.CLASSIFICATION, text=sentence.text)
        right += answer.splitlines()[0] == sentence.label
    assert right / len(sentences) >= 0.75


async def test_a_context_answers_what_it_says_and_nothing_else(
    provider: ExtractiveProvider,
) -> None:
    question = "How much will the barrier cost?"
    answer = await ask(provider, TaskType.QUESTION_ANSWERING, context=FLOOD.text, question=question)
    assert "41 million euros" in answer
    for question in ("Which company will build the gates?", "Who won the football match?"):
        answer = await ask(
            provider, TaskType.QUESTION_ANSWERING, context=FLOOD.text, question=question
        )
        assert answer == NO_ANSWER

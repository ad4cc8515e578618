"""The provider ``builtin``: every task, both modes, limits, refusals and hostile texts."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence

import pytest

from assistant.adapters.embedding import MiniLmEmbedder
from assistant.adapters.extractive.answers import NO_ANSWER
from assistant.adapters.extractive.extract import count_tokens
from assistant.adapters.extractive.vectors import MAX_TEXTS
from assistant.adapters.providers.builtin import (
    CONTEXT_WINDOW,
    EMBEDDING_MODEL,
    MODEL,
    TASK_TYPES,
    ExtractiveProvider,
)
from assistant.domain.completion import (
    FinishReason,
    GenerationFinished,
    GenerationParameters,
    TextDelta,
)
from assistant.domain.model import DiscoveredModel, ModelCapability, TaskType
from assistant.domain.ports import Embeddings, ProviderCall, TimeLimits, Vector
from assistant.domain.values import JsonObject
from assistant.errors import (
    BadUserInput,
    ContextLengthExceeded,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from tests.providers.bag_of_words import BagOfWords

STORY = (
    "Rain fell on Harlow. The council of Harlow approved a flood barrier for the river. "
    "The flood barrier will cost 41 million euros. Anglers object because the barrier may "
    "disturb the salmon. It will be built by Dr. Stone, e.g. The man with the hat. "
    "The council promised a study of the salmon before the barrier is built."
)
SENTENCES = [
    "Rain fell on Harlow.",
    "The council of Harlow approved a flood barrier for the river.",
    "The flood barrier will cost 41 million euros.",
    "Anglers object because the barrier may disturb the salmon.",
    "It will be built by Dr. Stone, e.g. The man with the hat.",
    "The council promised a study of the salmon before the barrier is built.",
]


def call(
    task: TaskType,
    variables: JsonObject | None,
    *,
    streamed: bool = False,
    max_tokens: int | None = None,
    model: str = MODEL,
) -> ProviderCall:
    return ProviderCall(
        model=model,
        messages=(),
        parameters=GenerationParameters(max_tokens=max_tokens),
        streamed=streamed,
        context_window=CONTEXT_WINDOW,
        estimated_tokens=1,
        task=task,
        variables=variables,
    )


async def run(
    asked: ProviderCall, embedder: BagOfWords | MiniLmEmbedder | None = None
) -> tuple[list[str], GenerationFinished]:
    """The pieces of the answer, and how it ended."""
    provider = ExtractiveProvider(embedder or BagOfWords())
    *deltas, end = [event async for event in provider.generate(asked)]
    assert isinstance(end, GenerationFinished)
    return [delta.text for delta in deltas if isinstance(delta, TextDelta)], end


async def answer_of(task: TaskType, variables: JsonObject) -> str:
    (text,), _ = await run(call(task, variables))
    return text


# ------------------------------------------------------------------ the port


async def test_two_models_are_always_there() -> None:
    assert await ExtractiveProvider(BagOfWords()).list_models() == [
        DiscoveredModel("extractive", frozenset({ModelCapability.CHAT}), CONTEXT_WINDOW),
        DiscoveredModel("all-minilm-l6-v2", frozenset({ModelCapability.EMBEDDING}), 256),
    ]


async def test_texts_are_embedded_in_their_order() -> None:
    embedder = BagOfWords()
    texts = ["flood barrier", "", "salmon " * 1000]
    embeddings = await ExtractiveProvider(embedder).embed(EMBEDDING_MODEL, texts, TimeLimits())
    assert embeddings.vectors == await embedder.embed(texts)
    assert embeddings.prompt_tokens == sum(map(count_tokens, texts))


async def test_many_texts_are_embedded_a_few_at_once() -> None:
    embedder = BagOfWords()
    texts = [f"text number {number} " * (number % 90) for number in range(300)]
    embeddings = await ExtractiveProvider(embedder).embed(EMBEDDING_MODEL, texts, TimeLimits())
    assert embedder.texts == texts
    assert len(embeddings.vectors) == 300
    assert 2 <= max(len(batch) for batch in embedder.batches) <= 64
    assert await ExtractiveProvider(embedder).embed(EMBEDDING_MODEL, [], TimeLimits()) == (
        Embeddings([], 0)
    )


@pytest.mark.parametrize(("model", "told"), [(MODEL, "all-minilm-l6-v2"), ("bge", "no model bge")])
async def test_only_the_embedding_model_embeds(model: str, told: str) -> None:
    with pytest.raises(ProviderRejected, match=told):
        await ExtractiveProvider(BagOfWords()).embed(model, ["x"], TimeLimits())


async def test_the_embedding_model_answers_nothing() -> None:
    with pytest.raises(ProviderRejected, match="makes embeddings"):
        await run(call(TaskType.SUMMARIZATION, {"text": STORY}, model=EMBEDDING_MODEL))


async def test_embedding_has_a_limit() -> None:
    class Slow(BagOfWords):
        async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
            await asyncio.sleep(60)
            return []

    with pytest.raises(ProviderTimeout, match="limit: total"):
        await ExtractiveProvider(Slow()).embed(EMBEDDING_MODEL, ["x"], TimeLimits(total_s=0.05))


TASKS: dict[TaskType, JsonObject] = {
    TaskType.SUMMARIZATION: {"text": STORY},
    TaskType.TITLE_GENERATION: {"text": STORY},
    TaskType.KEYWORD_EXTRACTION: {"text": STORY},
    TaskType.CLASSIFICATION: {"text": STORY},
    TaskType.QUESTION_ANSWERING: {"context": STORY, "question": "What will the barrier cost?"},
}


def test_the_examples_are_all_the_tasks_there_are() -> None:
    assert TASKS.keys() == TASK_TYPES


@pytest.mark.parametrize("task", TASKS)
async def test_a_stream_is_the_whole_answer_in_pieces(task: TaskType) -> None:
    (whole,), end = await run(call(task, TASKS[task]))
    pieces, streamed_end = await run(call(task, TASKS[task], streamed=True))
    assert "".join(pieces) == whole
    assert streamed_end == end
    assert len(pieces) > 1 or task is TaskType.QUESTION_ANSWERING
    assert end.finish_reason is FinishReason.STOP
    assert end.completion_tokens == count_tokens(whole)
    assert end.prompt_tokens == sum(count_tokens(str(text)) for text in TASKS[task].values())


@pytest.mark.parametrize("task", TASKS)
async def test_the_same_call_has_the_same_answer(task: TaskType) -> None:
    provider = ExtractiveProvider(BagOfWords())
    asked = call(task, TASKS[task], streamed=True)
    first = [event async for event in provider.generate(asked)]
    assert [event async for event in provider.generate(asked)] == first


@pytest.mark.parametrize("task", set(TaskType) - TASK_TYPES)
async def test_other_tasks_are_rejected_and_the_message_names_those_that_are_served(
    task: TaskType,
) -> None:
    with pytest.raises(ProviderRejected, match=f"{task.value}.*CLASSIFICATION, KEYWORD"):
        await run(call(task, {"text": STORY}))


async def test_another_model_is_rejected() -> None:
    with pytest.raises(ProviderRejected, match="no model llama3"):
        await run(call(TaskType.SUMMARIZATION, {"text": STORY}, model="llama3"))


@pytest.mark.parametrize(
    ("task", "variables", "missing"),
    [
        (TaskType.SUMMARIZATION, None, "text"),
        (TaskType.SUMMARIZATION, {"content": STORY}, "text"),
        (TaskType.TITLE_GENERATION, {"text": "  "}, "text"),
        (TaskType.KEYWORD_EXTRACTION, {"text": ["a"]}, "text"),
        (TaskType.CLASSIFICATION, {"text": None}, "text"),
        (TaskType.CLASSIFICATION, {"text": STORY, "labels": "one"}, "labels"),
        (TaskType.QUESTION_ANSWERING, {"question": "Who?"}, "context"),
        (TaskType.QUESTION_ANSWERING, {"context": STORY}, "question"),
        (TaskType.SUMMARIZATION, {"text": STORY, "max_sentences": "many"}, "max_sentences"),
        (TaskType.SUMMARIZATION, {"text": STORY, "max_words": 0}, "max_words"),
        (TaskType.TITLE_GENERATION, {"text": STORY, "max_words": 101}, "max_words"),
        (TaskType.KEYWORD_EXTRACTION, {"text": STORY, "max_keywords": -1}, "max_keywords"),
    ],
)
async def test_a_variable_that_is_missing_or_wrong_is_named(
    task: TaskType, variables: JsonObject | None, missing: str
) -> None:
    with pytest.raises(BadUserInput, match=missing) as raised:
        await run(call(task, variables))
    assert raised.value.path == ("variables", missing)


async def test_more_than_the_context_window_is_refused() -> None:
    text = "word " * (CONTEXT_WINDOW * 4 // 5 + 1)
    with pytest.raises(ContextLengthExceeded, match="262,144"):
        await run(call(TaskType.SUMMARIZATION, {"text": text}))


async def test_without_the_embedders_files_it_says_what_the_embedder_says(tmp_path) -> None:
    embedder = MiniLmEmbedder(tmp_path)
    try:
        with pytest.raises(ProviderUnavailable, match="make setup"):
            await run(call(TaskType.SUMMARIZATION, {"text": STORY}), embedder)
    finally:
        await embedder.close()


async def test_closing_the_iterator_early_is_harmless() -> None:
    events = ExtractiveProvider(BagOfWords()).generate(
        call(TaskType.SUMMARIZATION, {"text": STORY}, streamed=True)
    )
    assert isinstance(await anext(events), TextDelta)
    await events.aclose()


# ------------------------------------------------------------------ limits of tokens


async def test_max_tokens_drops_whole_sentences_and_says_so() -> None:
    whole, _ = await run(call(TaskType.SUMMARIZATION, {"text": STORY}, streamed=True))
    assert len(whole) == 3
    pieces, end = await run(
        call(TaskType.SUMMARIZATION, {"text": STORY}, streamed=True, max_tokens=30)
    )
    assert {piece.strip() for piece in pieces} < {piece.strip() for piece in whole}
    assert end.finish_reason is FinishReason.LENGTH
    assert end.completion_tokens is not None and end.completion_tokens <= 30


@pytest.mark.parametrize("task", TASKS)
async def test_at_least_one_piece_is_given_however_small_the_limit(task: TaskType) -> None:
    (text,), _ = await run(call(task, TASKS[task], max_tokens=1))
    assert text.strip()


# ------------------------------------------------------------------ the tasks


async def test_a_summary_is_sentences_of_the_text_in_its_order() -> None:
    text = await answer_of(TaskType.SUMMARIZATION, {"text": STORY})
    chosen = [sentence for sentence in SENTENCES if sentence in text]
    assert len(chosen) == 3
    assert text == " ".join(chosen)


@pytest.mark.parametrize(("asked", "given"), [("1", 1), (2, 2), ("6", 6), (50, 6), (None, 3)])
async def test_a_summary_has_as_many_sentences_as_asked_for(asked: str | int, given: int) -> None:
    pieces, _ = await run(
        call(TaskType.SUMMARIZATION, {"text": STORY, "max_sentences": asked}, streamed=True)
    )
    assert len(pieces) == given


@pytest.mark.parametrize("max_words", [12, 20, 30])
async def test_a_summary_has_no_more_words_than_asked_for(max_words: int) -> None:
    text = await answer_of(
        TaskType.SUMMARIZATION, {"text": STORY, "max_sentences": 6, "max_words": max_words}
    )
    assert 0 < len(text.split()) <= max_words


async def test_if_no_sentence_is_short_enough_the_shortest_is_given() -> None:
    assert await answer_of(TaskType.SUMMARIZATION, {"text": STORY, "max_words": 2}) == SENTENCES[0]


async def test_a_summary_leaves_out_headings_and_puts_list_items_on_lines() -> None:
    text = (
        "Minutes\n\nDecisions\n- move the release of version four to October\n"
        "- repeat the load test of the release with 600 users\n"
        "- rehearse the release on the staging system before October\n"
    )
    summary = await answer_of(TaskType.SUMMARIZATION, {"text": text})
    assert summary.splitlines() == [
        "move the release of version four to October",
        "repeat the load test of the release with 600 users",
        "rehearse the release on the staging system before October",
    ]


async def test_a_summary_does_not_say_the_same_twice() -> None:
    text = "The pump leaks oil on the floor. " * 5 + "The seal of the pump must be replaced."
    pieces, _ = await run(
        call(TaskType.SUMMARIZATION, {"text": text, "max_sentences": 2}, streamed=True)
    )
    assert sorted(piece.strip() for piece in pieces) == [
        "The pump leaks oil on the floor.",
        "The seal of the pump must be replaced.",
    ]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Updating the firmware\n\nThe router checks once a day.", "Updating the firmware"),
        ("Subject: Late delivery of chairs\nDear Sir,\nwhere are they?", "Late delivery of chairs"),
        ("7.1 Deposit and interest\nThe tenant pays a deposit.", "Deposit and interest"),
        ("The council of Harlow slept.", "Council of Harlow slept"),
        ("iPhone sales fell in May.", "iPhone sales fell in May"),
        ("Hello", "Hello"),
        ("!!!", "!!!"),
        ("今天天气很好。", "今天天气很好"),
    ],
)
async def test_a_title_is_a_heading_or_clause_without_end_mark(text: str, title: str) -> None:
    assert await answer_of(TaskType.TITLE_GENERATION, {"text": text}) == title


@pytest.mark.parametrize("max_words", [1, 2, 3, 5, 10, "4"])
async def test_a_title_is_no_longer_than_asked_for_and_ends_with_a_word(
    max_words: int | str,
) -> None:
    title = await answer_of(TaskType.TITLE_GENERATION, {"text": STORY, "max_words": max_words})
    assert 1 <= len(title.split()) <= int(max_words)
    assert title[-1].isalnum()
    assert title[0].isupper()
    assert title[1:] in STORY


async def test_keywords_are_phrases_of_the_text_that_share_no_word() -> None:
    keywords = (await answer_of(TaskType.KEYWORD_EXTRACTION, {"text": STORY})).split(", ")
    assert len(keywords) == 8
    assert all(keyword in STORY for keyword in keywords)
    words = [word.lower() for keyword in keywords for word in keyword.split()]
    assert len(words) == len(set(words))
    assert {"barrier", "flood barrier", "salmon", "council"} & set(keywords)


@pytest.mark.parametrize("asked", [1, "3", 5])
async def test_there_are_as_many_keywords_as_asked_for(asked: int | str) -> None:
    text = await answer_of(TaskType.KEYWORD_EXTRACTION, {"text": STORY, "max_keywords": asked})
    assert len(text.split(", ")) == int(asked)


async def test_a_class_is_one_of_the_labels_and_a_confidence_on_a_second_line() -> None:
    answer = await answer_of(
        TaskType.CLASSIFICATION,
        {"text": "The invoice is wrong.", "labels": {"billing": "an invoice", "other": "zebras"}},
    )
    assert re.fullmatch(r"billing\nconfidence: 0\.\d\d", answer)


async def test_a_label_is_given_back_as_it_was_written() -> None:
    answer = await answer_of(
        TaskType.CLASSIFICATION, {"text": "I love it.", "labels": '["Negative", "POSITIVE"]'}
    )
    assert answer.startswith("POSITIVE\n")


async def test_the_examples_of_sentiment_are_embedded_once() -> None:
    embedder = BagOfWords()
    provider = ExtractiveProvider(embedder)
    asked = call(TaskType.CLASSIFICATION, {"text": "I love it."})
    first = [event async for event in provider.generate(asked)]
    after_first = len(embedder.texts)
    assert [event async for event in provider.generate(asked)] == first
    assert embedder.texts[after_first:] == ["I love it."]


async def test_an_answer_is_the_sentence_of_the_context_that_is_nearest() -> None:
    answer = await answer_of(
        TaskType.QUESTION_ANSWERING,
        {"context": STORY, "question": "How much will the flood barrier cost?"},
    )
    assert answer == "The flood barrier will cost 41 million euros."


async def test_an_answer_that_points_back_comes_with_the_sentence_before() -> None:
    context = "The manual is in the box. It describes the reset button of the router."
    asked = {"context": context, "question": "Which text describes the reset button of the router?"}
    assert await answer_of(TaskType.QUESTION_ANSWERING, asked) == context
    (limited,), end = await run(call(TaskType.QUESTION_ANSWERING, asked, max_tokens=1))
    assert limited == "It describes the reset button of the router."
    assert end.finish_reason is FinishReason.LENGTH


async def test_a_question_that_the_context_does_not_answer_is_told_so() -> None:
    asked = {"context": STORY, "question": "Which planets have rings?"}
    assert await answer_of(TaskType.QUESTION_ANSWERING, asked) == NO_ANSWER


async def test_an_answer_is_found_deep_in_a_long_context() -> None:
    filler = "".join(f"Paragraph {number} speaks about other things. " for number in range(5_000))
    context = f"{filler}The secret key lies under the mat. {filler}"
    answer = await answer_of(
        TaskType.QUESTION_ANSWERING,
        {"context": context, "question": "Where does the secret key lie?"},
    )
    assert answer == "The secret key lies under the mat."


# ------------------------------------------------------------------ bounds

HOSTILE = {
    "dots": "a." * 20_000,
    "words with dots": "Ab. " * 250_000,
    "one word": "x" * 1_000_000,
    "only punctuation": "?!" * 500_000,
    "emojis": "😀🎉" * 100_000,
    "no sentence ends": "the cat sat on a mat and then " * 30_000,
    "Chinese": "今天天气很好。" * 40_000,
    "right to left": "نعم أنا بخير؟ " * 20_000,
    "lines": "a\n" * 400_000,
    "quotes": "\"'" * 400_000,
    "addresses": "http://" * 100_000,
    "mail addresses": "a@" * 400_000,
    "identifiers": "a_b_" * 200_000,
    "list markers": "- " * 400_000,
    "numbers": "1. " * 300_000,
    "stop words": "the of and to. " * 40_000,
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_no_text_is_slow_or_has_an_empty_answer(task: TaskType, text: str) -> None:
    embedder = BagOfWords()
    variables = {name: text if value == STORY else value for name, value in TASKS[task].items()}
    start = time.perf_counter()
    (answer,), _ = await run(call(task, variables), embedder)
    # It takes 1 s at most; a quadratic step would take hours.
    assert time.perf_counter() - start < 30
    assert answer.strip()
    # Sentences, phrases, the examples of sentiment.
    assert len(embedder.texts) <= 2 * MAX_TEXTS + 66


async def test_other_callers_of_the_embedder_wait_for_a_small_batch_only() -> None:
    embedder = BagOfWords()
    text = " ".join(f"The sentence number {number} has some words." for number in range(200))
    await run(call(TaskType.SUMMARIZATION, {"text": text}), embedder)
    assert len(embedder.texts) == 200
    assert max(len(batch) for batch in embedder.batches) <= 64


async def test_the_event_loop_goes_on_while_a_long_text_is_read() -> None:
    text = " ".join(f"Clause {number} of it speaks about a thing." for number in range(22_000))
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - start)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.02)
    start = time.perf_counter()
    await run(call(TaskType.SUMMARIZATION, {"text": text}))
    took = time.perf_counter() - start
    await asyncio.sleep(0.02)
    watching.cancel()
    # On the loop, reading the text would stop it for as long as the call takes.
    assert longest < took / 2

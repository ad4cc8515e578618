"""Prints what the model builtin/extractive is worth, as the tables of docs/builtin-model.md.

python -m tests.quality.builtin            print them
python -m tests.quality.builtin --update   print them and write them into the document
python -m tests.quality.builtin --speed    how long each task takes by size of the text
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from assistant.adapters.embedding import MiniLmEmbedder
from assistant.adapters.extractive.answers import NO_ANSWER
from assistant.adapters.providers.builtin import ExtractiveProvider
from assistant.domain.completion import GenerationParameters, TextDelta
from assistant.domain.model import TaskType
from assistant.domain.ports import ProviderCall
from assistant.settings import load_settings
from tests.quality.builtin import baselines
from tests.quality.builtin.data import (
    HALVES,
    LabelledSentence,
    LabelledText,
    load_sentences,
    load_texts,
)
from tests.quality.builtin.scores import (
    f1,
    interval,
    mean,
    related_keywords,
    rouge,
    same_keywords,
)

DOCUMENT = Path("docs/builtin-model.md")


async def deltas(provider: ExtractiveProvider, task: TaskType, **variables: str) -> list[str]:
    """The streamed pieces of an answer, as a client gets them."""
    call = ProviderCall(
        model="extractive",
        messages=(),
        parameters=GenerationParameters(),
        streamed=True,
        context_window=262_144,
        estimated_tokens=0,
        task=task,
        variables=variables,
    )
    return [event.text async for event in provider.generate(call) if isinstance(event, TextDelta)]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return [*lines, ""]


def share(right: int, of: int) -> str:
    low, high = interval(right, of)
    return f"{right} of {of}, {right / of:.0%} ({low:.0%} to {high:.0%})"


async def summaries(provider: ExtractiveProvider, texts: Sequence[LabelledText]) -> list[str]:
    chosen: dict[str, dict[str, list[str]]] = {"builtin/extractive": {}}
    for text in texts:
        pieces = await deltas(provider, TaskType.SUMMARIZATION, text=text.text, max_sentences="3")
        chosen["builtin/extractive"][text.name] = [piece.strip() for piece in pieces]
    chosen["first 3 sentences"] = {t.name: baselines.lead(t.sentences, 3) for t in texts}
    chosen["longest 3 sentences"] = {t.name: baselines.longest(t.sentences, 3) for t in texts}
    rows = []
    for half in HALVES:
        members = [text for text in texts if text.half == half]
        for name, summary in chosen.items():
            common = [len({*summary[t.name]} & {*t.key_sentences}) for t in members]
            joined = [(" ".join(summary[t.name]), " ".join(t.key_sentences)) for t in members]
            rows.append(
                (
                    half,
                    name,
                    f"{mean([n / 3 for n in common]):.2f}",
                    f"{mean([rouge(a, b, 1) for a, b in joined]):.2f}",
                    f"{mean([rouge(a, b, 2) for a, b in joined]):.2f}",
                )
            )
    return table(("half", "summary", "same sentences, F1", "ROUGE-1 F1", "ROUGE-2 F1"), rows)


async def keywords(provider: ExtractiveProvider, texts: Sequence[LabelledText]) -> list[str]:
    found: dict[str, dict[str, list[str]]] = {"builtin/extractive": {}}
    for text in texts:
        pieces = await deltas(provider, TaskType.KEYWORD_EXTRACTION, text=text.text)
        found["builtin/extractive"][text.name] = [piece.strip(", ") for piece in pieces]
    found["8 most frequent words"] = {t.name: baselines.frequent_words(t.text, 8) for t in texts}
    rows = []
    for half in HALVES:
        members = [text for text in texts if text.half == half]
        for name, given in found.items():
            scores = [
                mean([f1(count(given[t.name], t.keywords), len(given[t.name]), len(t.keywords))
                      for t in members])
                for count in (same_keywords, related_keywords)
            ]  # fmt: skip
            rows.append((half, name, *(f"{score:.2f}" for score in scores)))
    samples = [
        (text.name, ", ".join(found["builtin/extractive"][text.name]))
        for text in texts
        if text.half == "test"
    ]
    return [
        *table(("half", "keywords", "same, F1", "same or a part, F1"), rows),
        *table(("text of the test half", "keywords of builtin/extractive"), samples),
    ]


async def titles(provider: ExtractiveProvider, texts: Sequence[LabelledText]) -> list[str]:
    given: dict[str, dict[str, str]] = {"builtin/extractive": {}}
    for text in texts:
        pieces = await deltas(provider, TaskType.TITLE_GENERATION, text=text.text)
        given["builtin/extractive"][text.name] = "".join(pieces)
    given["first 10 words"] = {t.name: baselines.first_words(t.text, 10) for t in texts}
    rows = []
    for half in HALVES:
        members = [text for text in texts if text.half == half]
        for name, title in given.items():
            score = mean([rouge(title[t.name], t.title, 1) for t in members])
            rows.append((half, name, f"{score:.2f}"))
    samples = [
        (given["builtin/extractive"][text.name], text.title)
        for text in texts
        if text.half == "test"
    ]
    return [
        *table(("half", "title", "ROUGE-1 F1"), rows),
        *table(("title by builtin/extractive, test half", "title by a person"), samples),
    ]


async def _label(
    provider: ExtractiveProvider, sentences: Sequence[LabelledSentence], labels: str
) -> list[tuple[LabelledSentence, str, float]]:
    labelled = []
    for sentence in sentences:
        label, confidence = await deltas(
            provider, TaskType.CLASSIFICATION, text=sentence.text, labels=labels
        )
        labelled.append((sentence, label, float(confidence.rsplit(" ", 1)[1])))
    return labelled


async def sentiment(provider: ExtractiveProvider) -> list[str]:
    labelled = await _label(provider, load_sentences("sentiment"), "positive, negative, neutral")
    rows = []
    for half in HALVES:
        members = [each for each in labelled if each[0].half == half]
        right = sum(sentence.label == label for sentence, label, _ in members)
        sure = mean([confidence for _, _, confidence in members])
        rows.append((half, "builtin/extractive", share(right, len(members)), f"{sure:.2f}"))
        counted = sum(
            baselines.word_lists(sentence.text) == sentence.label for sentence, _, _ in members
        )
        rows.append((half, "its word lists alone", share(counted, len(members)), ""))
    kinds = []
    for kind in ("plain", "negation", "mixed"):
        members = [each for each in labelled if each[0].kind == kind and each[0].half == "test"]
        right = sum(sentence.label == label for sentence, label, _ in members)
        kinds.append((kind, share(right, len(members))))
    return [
        *table(("half", "sentiment", "right (95 % interval)", "mean confidence"), rows),
        *table(("kind of sentence, test half", "right (95 % interval)"), kinds),
    ]


async def tickets(provider: ExtractiveProvider) -> list[str]:
    sentences = load_sentences("tickets")
    labels = ", ".join(sorted({sentence.label for sentence in sentences}))
    labelled = await _label(provider, sentences, labels)
    rows = []
    for half in HALVES:
        members = [each for each in labelled if each[0].half == half]
        right = sum(sentence.label == label for sentence, label, _ in members)
        sure = mean([confidence for _, _, confidence in members])
        rows.append((half, share(right, len(members)), f"{sure:.2f}"))
    return table(("half", f"right of: {labels}", "mean confidence"), rows)


async def answers(provider: ExtractiveProvider, texts: Sequence[LabelledText]) -> list[str]:
    rows = []
    for half in HALVES:
        for name in ("builtin/extractive", "most shared words"):
            found = refused = answerable = others = 0
            for text in texts:
                for question in text.questions if text.half == half else ():
                    if name == "builtin/extractive":
                        passage = "".join(
                            await deltas(
                                provider,
                                TaskType.QUESTION_ANSWERING,
                                context=text.text,
                                question=question.ask,
                            )
                        )
                    else:
                        passage = baselines.most_shared_words(text.sentences, question.ask)
                    if question.answer is None:
                        others += 1
                        refused += passage == NO_ANSWER
                    else:
                        answerable += 1
                        found += question.answer.lower() in passage.lower()
            rows.append(
                (
                    half,
                    name,
                    share(found, answerable),
                    share(refused, others),
                    share(found + refused, answerable + others),
                )
            )
    return table(
        ("half", "answer", "right passage", "refused what is not answered", "right in all"), rows
    )


async def speed(provider: ExtractiveProvider, texts: Sequence[LabelledText]) -> list[str]:
    page = "\n\n".join(text.text for text in texts)
    calls: dict[str, Callable[[str], dict[str, str]]] = {
        TaskType.SUMMARIZATION: lambda text: {"text": text},
        TaskType.TITLE_GENERATION: lambda text: {"text": text},
        TaskType.KEYWORD_EXTRACTION: lambda text: {"text": text},
        TaskType.CLASSIFICATION: lambda text: {"text": text},
        TaskType.QUESTION_ANSWERING: lambda text: {
            "context": text,
            "question": "How long did the outage last?",
        },
    }
    sizes = (1_000, 10_000, 100_000, 1_000_000)
    await deltas(provider, TaskType.CLASSIFICATION, text="Load the model and the examples.")
    rows = []
    for task, variables in calls.items():
        row = [task]
        for size in sizes:
            text = (page * (size // len(page) + 1))[:size]
            start = time.perf_counter()
            await deltas(provider, TaskType(task), **variables(text))
            row.append(f"{time.perf_counter() - start:.2f} s")
        rows.append(row)
    return table(("task", *(f"{size:,} characters" for size in sizes)), rows)


async def measure(wants_speed: bool) -> str:
    embedder = MiniLmEmbedder(load_settings().embedding_dir)
    provider = ExtractiveProvider(embedder)
    texts = load_texts()
    try:
        if wants_speed:
            return "\n".join(await speed(provider, texts))
        sections = {
            "Summaries": await summaries(provider, texts),
            "Keywords": await keywords(provider, texts),
            "Titles": await titles(provider, texts),
            "Sentiment": await sentiment(provider),
            "Own labels": await tickets(provider),
            "Answers": await answers(provider, texts),
        }
    finally:
        await embedder.close()
    return "\n".join(
        line for name, lines in sections.items() for line in (f"### {name}", "", *lines)
    )


def main() -> None:
    wants_speed = "--speed" in sys.argv
    figures = asyncio.run(measure(wants_speed))
    print(figures)
    if "--update" in sys.argv:
        part = "time" if wants_speed else "figures"
        begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
        document = DOCUMENT.read_text(encoding="utf-8")
        between = re.compile(f"{begin}.*{end}", re.DOTALL)
        updated = between.sub(lambda _: f"{begin}\n\n{figures}\n{end}", document)
        DOCUMENT.write_text(updated, encoding="utf-8")


if __name__ == "__main__":
    main()

"""The labelled texts. Everything was written for this evaluation; see docs/builtin-model.md."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from assistant.adapters.extractive.sentences import split_sentences

FOLDER = Path(__file__).parent
HALVES = ("development", "test")


@dataclass(frozen=True, slots=True)
class Question:
    """``answer`` is a part of every sentence that answers it; None: the text does not."""

    ask: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A page with the three sentences, the keywords and the title that a person gave it."""

    name: str
    half: str
    domain: str
    text: str
    sentences: tuple[str, ...]
    key_sentences: tuple[str, ...]
    keywords: tuple[str, ...]
    title: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class LabelledSentence:
    """``kind`` is plain, negation or mixed where it was noted."""

    half: str
    label: str
    text: str
    kind: str = "plain"


def load_texts() -> list[LabelledText]:
    """All texts by name. Key sentences stand in [[double brackets]] in the files."""
    return [_load_text(path) for path in sorted((FOLDER / "texts").glob("*.yaml"))]


def load_sentences(name: str) -> list[LabelledSentence]:
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [LabelledSentence(**json.loads(line)) for line in lines]


def _load_text(path: Path) -> LabelledText:
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    marked = fields["text"]
    text = marked.replace("[[", "").replace("]]", "")
    sentences = tuple(split_sentences(text))
    key_sentences = tuple(
        " ".join(key.split()) for key in re.findall(r"\[\[(.*?)\]\]", marked, re.DOTALL)
    )
    missing = set(key_sentences) - set(sentences)
    if missing:
        raise ValueError(f"{path.name}: marked, but not a sentence: {missing}")
    return LabelledText(
        name=path.stem,
        half=fields["half"],
        domain=fields["domain"],
        text=text,
        sentences=sentences,
        key_sentences=key_sentences,
        keywords=tuple(fields["keywords"]),
        title=fields["title"],
        questions=tuple(Question(**question) for question in fields["questions"]),
    )

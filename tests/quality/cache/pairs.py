"""The labelled pairs of questions. Everything was written for this evaluation.

A pair has label 1 where one answer serves both questions, 0 where it would be wrong for one of
them; where that can be disputed it is 0. What is near in wording is in one half, German and
Spanish pairs that say the same too, so that the held-out half holds questions nobody tuned on.
Each half has files of its own: who writes guards opens those of the tune half alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
TEMPLATES = FOLDER / "pairs_templates_tune.jsonl"
"""A few sentence patterns, filled in many times, that the guards were begun with."""

HALVES = ("tune", "held-out")

LANGUAGES = {"en": "English", "de": "German", "es": "Spanish"}
OTHER_LANGUAGES = {"fr": "French", "pt": "Portuguese", "it": "Italian"}
"""A surprise to the guards: in the held-out half alone, and reported apart."""

DOMAINS = (
    "customer support",
    "programming",
    "medicine",
    "law and finance",
    "travel",
    "cooking",
    "geography",
    "workplace",
    "science",
    "household",
    "general",
)

SAME_KINDS = (
    "case and punctuation",
    "politeness",
    "spelling variant",
    "typo",
    "synonym",
    "paraphrase",
    "reordered",
    "inflection",
    "filler words",
    "number as word or digit",
    "question or imperative",
)

DIFFERENT_KINDS = (
    "negation",
    "number or unit",
    "date or time",
    "word order",
    "antonym",
    "name",
    "quoted or code",
    "scope word",
    "other topic",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """``kind`` is how the two differ; ``label`` is 1 where one answer serves both, else 0."""

    a: str
    b: str
    label: int
    kind: str
    language: str
    domain: str
    half: str


def load_pairs() -> list[Pair]:
    """All pairs, by file."""
    return [pair for path in pair_files() for pair in load_file(path)]


def pair_files() -> list[Path]:
    return sorted(FOLDER.glob("pairs_*.jsonl"))


def load_file(path: Path) -> list[Pair]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Pair(**json.loads(line)) for line in lines]

"""Prints how often a semantic hit is right, and how often it is wrong, beside plain cosine.

python -m tests.quality.cache.report                   with our false hits of the tune half
python -m tests.quality.cache.report --show-held-out   with those of the held-out half too

Who tunes guards must not look at the held-out ones: its rates are what is published.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from assistant.adapters.embedding import MiniLmEmbedder
from assistant.domain.cache import DEFAULT_MIN_SIMILARITY
from assistant.services.wording import Guard, Wording, failing_guard, read_wording
from assistant.settings import load_settings
from tests.quality.builtin.scores import interval
from tests.quality.cache.pairs import (
    DIFFERENT_KINDS,
    HALVES,
    LANGUAGES,
    OTHER_LANGUAGES,
    SAME_KINDS,
    TEMPLATES,
    Pair,
    load_file,
    load_pairs,
)

MOST_FALSE_HITS = 0.01  # of the pairs of every kind that need different answers
FEWEST_HITS = 0.6  # of the pairs that have one answer


@dataclass(frozen=True, slots=True)
class Measured:
    """``plain`` is the cosine of the texts as they are, ``similarity`` that of the wordings.

    ``is_covered`` is False where the embedder does not see a whole wording.
    """

    pair: Pair
    plain: float
    similarity: float
    is_covered: bool
    guard: Guard | None

    @property
    def is_hit(self) -> bool:
        """Whether an entry that was made for one text would answer the other."""
        return self.is_covered and self.similarity >= DEFAULT_MIN_SIMILARITY and self.guard is None


METHODS: dict[str, Callable[[Measured], bool]] = {
    "cosine >= 0.80": lambda each: each.plain >= 0.80,
    "cosine >= 0.90": lambda each: each.plain >= 0.90,
    "cosine >= 0.95": lambda each: each.plain >= 0.95,
    "ours": lambda each: each.is_hit,
}


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Of vectors that are normalised already."""
    return sum(a * b for a, b in zip(left, right, strict=True))


async def measure(embedder: MiniLmEmbedder, pairs: Sequence[Pair]) -> list[Measured]:
    raw = {text for pair in pairs for text in (pair.a, pair.b)}
    wordings = {text: read_wording(text) for text in raw}
    texts = sorted(raw | {wording.canonical for wording in wordings.values()})
    vectors = dict(zip(texts, await embedder.embed(texts), strict=True))

    def can_be_found(wording: Wording) -> bool:
        return bool(wording.canonical) and embedder.covers(wording.canonical)

    measured = []
    for pair in pairs:
        a, b = wordings[pair.a], wordings[pair.b]
        measured.append(
            Measured(
                pair=pair,
                plain=cosine(vectors[pair.a], vectors[pair.b]),
                similarity=cosine(vectors[a.canonical], vectors[b.canonical]),
                is_covered=can_be_found(a) and can_be_found(b),
                guard=failing_guard(a, b),
            )
        )
    return measured


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return [*lines, ""]


def share(hits: int, of: int) -> str:
    low, high = interval(hits, of)
    return f"{hits}: {hits / of:.1%} ({low:.1%} to {high:.1%})"


def row(name: str, members: Sequence[Measured]) -> list[str]:
    counts = (sum(map(is_hit, members)) for is_hit in METHODS.values())
    return [name, str(len(members)), *(share(hits, len(members)) for hits in counts)]


def kinds(measured: Sequence[Measured], label: int) -> list[str]:
    names = SAME_KINDS if label else DIFFERENT_KINDS
    labelled = [each for each in measured if each.pair.label == label]
    rows = [row(name, [each for each in labelled if each.pair.kind == name]) for name in names]
    rows.append(row("all", labelled))
    templates = set(load_file(TEMPLATES))
    others = [each for each in labelled if each.pair not in templates]
    if len(others) < len(labelled):
        rows.append(row("all but the templates", others))
    head = "same answer: hits" if label else "different answers: false hits"
    return table((head, "pairs", *METHODS), rows)


def languages(measured: Sequence[Measured], names: dict[str, str]) -> list[str]:
    rows = []
    for label, outcome in ((1, "hits"), (0, "false hits")):
        for code, name in names.items():
            members = [e for e in measured if (e.pair.language, e.pair.label) == (code, label)]
            rows.append(row(f"{name}, {outcome}", members))
    return table(("language", "pairs", *METHODS), rows)


def goal(measured: Sequence[Measured]) -> str:
    same = [each.is_hit for each in measured if each.pair.label]
    hits = sum(same) / len(same)
    false = {
        kind: [e.is_hit for e in measured if not e.pair.label and e.pair.kind == kind]
        for kind in DIFFERENT_KINDS
    }
    above = [kind for kind, hit in false.items() if sum(hit) / len(hit) >= MOST_FALSE_HITS]
    return (
        f"{'Reached' if hits >= FEWEST_HITS and not above else 'Missed'}: {hits:.1%} hits; "
        f"kinds with {MOST_FALSE_HITS:.0%} false hits or more: {', '.join(above) or 'none'}."
    )


def false_hits(measured: Sequence[Measured]) -> list[str]:
    found = [each for each in measured if each.is_hit and not each.pair.label]
    return [
        f"{each.similarity:.4f}  {each.pair.kind}, {each.pair.language}\n"
        f"        {each.pair.a}\n        {each.pair.b}"
        for each in sorted(found, key=lambda each: each.pair.kind)
    ] or ["none"]


def report(measured: Sequence[Measured], shows_held_out: bool) -> str:
    lines = [
        f"Goal: less than {MOST_FALSE_HITS:.0%} false hits on every kind of pair with different"
        f" answers, at {FEWEST_HITS:.0%} hits or more on pairs with one.",
        f"Ours: cosine >= {DEFAULT_MIN_SIMILARITY} of the wordings, and no guard objects."
        " In brackets: 95 % intervals.",
        "",
    ]
    for half in HALVES:
        members = [e for e in measured if e.pair.half == half and e.pair.language in LANGUAGES]
        lines += [f"### Half: {half}", "", goal(members), ""]
        lines += [*kinds(members, 1), *kinds(members, 0), *languages(members, LANGUAGES)]
    others = [each for each in measured if each.pair.language in OTHER_LANGUAGES]
    lines += ["### Other languages, held-out", "", *languages(others, OTHER_LANGUAGES)]
    for half in HALVES if shows_held_out else ("tune",):
        found = false_hits([each for each in measured if each.pair.half == half])
        lines += [f"### Our false hits, {half}", "", *found, ""]
    return "\n".join(lines)


async def main() -> None:
    embedder = MiniLmEmbedder(load_settings().embedding_dir)
    try:
        measured = await measure(embedder, load_pairs())
    finally:
        await embedder.close()
    print(report(measured, "--show-held-out" in sys.argv))


if __name__ == "__main__":
    asyncio.run(main())

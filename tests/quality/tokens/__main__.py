"""Prints how near the counts made before a call are, as the tables of docs/token-counting.md.

python -m tests.quality.tokens             print them
python -m tests.quality.tokens --update    print them and write them into the document
python -m tests.quality.tokens --speed     what counting costs by size of the prompt
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from assistant.adapters.tokenizers import TokenizerLibrary
from assistant.domain.completion import Message, MessageRole
from assistant.domain.model import Model, TaskType
from assistant.domain.ports import Tokenizers
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.tokens import TokenSums, TokenSumsChange
from assistant.services.token_counting import TokenCounting
from tests.quality.tokens.families import FAMILIES, Family, load_reported
from tests.quality.tokens.prompts import TRAFFICS, Prompts, load_prompts

DOCUMENT = Path("docs/token-counting.md")
NEAR = 0.05
LONG = 1_000  # characters
SAMPLES = (50, 200, 1_000)


class NoStore:
    """What is learnt ends with the measurement."""

    async def exchange(
        self, tenant_id: str, changes: Sequence[TokenSumsChange]
    ) -> Sequence[TokenSums]:
        return ()


def model(name: str) -> Model:
    return Model("measured", name, frozenset(), context_window=1_000_000)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return [*lines, ""]


def characters(prompt: RenderedPrompt) -> int:
    return sum(len(message.content) for message in prompt.messages)


def nearness(prompts: Sequence[RenderedPrompt], counts: Sequence[int], right: Sequence[int]) -> str:
    """Shares within NEAR, of all prompts and of long ones, and the median error of all."""
    errors = [abs(count - tokens) / tokens for count, tokens in zip(counts, right, strict=True)]
    long = [e for e, prompt in zip(errors, prompts, strict=True) if characters(prompt) >= LONG]
    shares = [sum(e <= NEAR for e in part) / len(part) for part in (errors, long)]
    return f"{shares[0]:.0%} / **{shares[1]:.0%}** / {median(errors):.1%}"


async def counted(counting: TokenCounting, name: str, prompts: Prompts) -> list[int]:
    asked = model(name)
    return [(await counting.count(p, [asked]))[asked.id].tokens for p in prompts.measured]


async def learnt(
    library: Tokenizers, name: str, prompts: Prompts, reported: Sequence[int]
) -> TokenCounting:
    """Counting that has seen what the provider of the model ``name`` reported."""
    counting, asked = TokenCounting(library, NoStore()), model(name)
    for prompt, tokens in zip(prompts.learnt, reported, strict=False):
        await counting.count(prompt, [asked])
        counting.learn(prompt, asked, tokens)
    return counting


async def row(library: Tokenizers, family: Family, traffic: str) -> list[str]:
    prompts, reported = load_prompts(traffic), load_reported(family, traffic)

    def near(counts: Sequence[int]) -> str:
        return nearness(prompts.measured, counts, reported.measured)

    nothing_known = TokenCounting(library, NoStore())
    cells = [
        near([characters(prompt) // 4 for prompt in prompts.measured]),
        near([prompt.estimated_tokens for prompt in prompts.measured]),
        near(await counted(nothing_known, "unheard-of", prompts)),
    ]
    for samples in SAMPLES:
        counting = await learnt(library, "unheard-of", prompts, reported.learnt[:samples])
        cells.append(near(await counted(counting, "unheard-of", prompts)))
    cells.append(near(await counted(nothing_known, family.model, prompts)))
    counting = await learnt(library, family.model, prompts, reported.learnt[: SAMPLES[0]])
    cells.append(near(await counted(counting, family.model, prompts)))
    return [family.name, *cells]


async def figures() -> str:
    library = TokenizerLibrary()
    head = ("model", "characters / 4", "surface", "ESTIMATE",
            *(f"CALIBRATED, {samples:,} reports" for samples in SAMPLES),
            "EXACT, no report", f"EXACT, {SAMPLES[0]} reports")  # fmt: skip
    lines: list[str] = []
    titles = dict(zip(TRAFFICS, ("All texts", "English, code and data alone"), strict=True))
    for traffic, title in titles.items():
        rows = [await row(library, family, traffic) for family in FAMILIES]
        lines += [f"### {title}", "", *table(head, rows)]
    return "\n".join(lines)


# ------------------------------------------------------------------------------ speed


async def speed() -> str:
    library = TokenizerLibrary()
    sizes = (400, 4_000, 40_000, 1_000_000)
    page = "\n\n".join(m.content for p in load_prompts("all").measured for m in p.messages)
    rows = []
    for name in ("unheard-of", "llama3.2", "gpt-4o", "mistral:7b", "gemma3"):
        cells = []
        for size in sizes:
            counting, asked, taken = TokenCounting(library, NoStore()), model(name), []
            for start in range(20 if size < 1_000_000 else 3):
                begin = start * 4_001
                message = Message(MessageRole.USER, page[begin : begin + size])
                prompt = RenderedPrompt(None, (message,), TaskType.GENERAL, {}, 0)
                began = time.perf_counter()
                await counting.count(prompt, [asked])
                taken.append(time.perf_counter() - began)
            cells.append(f"{median(taken[1:]) * 1e6:,.0f} µs")
        rows.append((name, *cells))
    lines = table(("model", *(f"{size:,} characters" for size in sizes)), rows)

    began = time.perf_counter()
    TokenizerLibrary()
    lines.append(f"Starting takes {(time.perf_counter() - began) * 1e3:.0f} ms.")
    learning = await learning_time(library)
    lines.append(f"Learning from a report takes {learning * 1e6:.0f} µs.")
    held = await longest_hold(library, page[:1_000_000])
    lines.append(f"A prompt of 1,000,000 characters holds the event loop for {held * 1e3:.1f} ms.")
    return "\n".join(lines) + "\n"


async def learning_time(library: Tokenizers) -> float:
    prompts, asked = load_prompts("all"), model("unheard-of")
    reported = load_reported(FAMILIES[0], "all").learnt
    counting, taken = TokenCounting(library, NoStore()), []
    for prompt, tokens in zip(prompts.learnt, reported, strict=True):
        await counting.count(prompt, [asked])
        began = time.perf_counter()
        counting.learn(prompt, asked, tokens)
        taken.append(time.perf_counter() - began)
    return median(taken)


async def longest_hold(library: Tokenizers, text: str) -> float:
    """The longest that other work waits while a long prompt is counted, in seconds."""
    counting, longest = TokenCounting(library, NoStore()), 0.0
    prompt = RenderedPrompt(None, (Message(MessageRole.USER, text),), TaskType.GENERAL, {}, 0)
    done = threading.Event()

    async def watch() -> None:
        nonlocal longest
        while not done.is_set():
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - before)

    await counting.count(
        RenderedPrompt(None, (Message(MessageRole.USER, "x"),), TaskType.GENERAL, {}, 0),
        [model("mistral:7b"), model("unheard-of")],
    )
    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    await counting.count(prompt, [model("mistral:7b"), model("unheard-of")])
    done.set()
    await watching
    return longest


def main() -> None:
    wants_speed = "--speed" in sys.argv
    printed = asyncio.run(speed() if wants_speed else figures())
    print(printed)
    if "--update" in sys.argv:
        part = "time" if wants_speed else "figures"
        begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
        document = DOCUMENT.read_text(encoding="utf-8")
        between = re.compile(f"{begin}.*{end}", re.DOTALL)
        updated = between.sub(lambda _: f"{begin}\n\n{printed}\n{end}", document)
        DOCUMENT.write_text(updated, encoding="utf-8")


if __name__ == "__main__":
    main()

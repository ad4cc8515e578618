"""Every way in which a provider fails, over each wire format, whole and streamed.

What must become of it is read from the table in docs/providers.md: the document is the test.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from assistant.adapters.providers.anthropic import AnthropicProvider
from assistant.adapters.providers.http import HttpClient
from assistant.adapters.providers.ollama import OllamaProvider
from assistant.adapters.providers.openai import OpenAiProvider
from assistant.domain.completion import Completion
from assistant.domain.model import ModelKey
from assistant.domain.ports import Provider, TimeLimits
from assistant.domain.tokens import estimate_tokens
from assistant.errors import AssistantError
from tests.providers import fake_anthropic, fake_ollama, fake_openai
from tests.providers.fake_server import Fault, Reply, closed_url, unaccepting_url, words
from tests.unit.world import World, request_of

DOCUMENT = Path(__file__).parents[2] / "docs/providers.md"
SECTION = "## From the wire to the answer"
ANSWER = words(24)
LIMITS = TimeLimits(connect_s=0.15, first_event_s=0.3, between_events_s=0.3, total_s=2.5)


@dataclass(frozen=True, slots=True)
class Expected:
    """One half of a row: how it ends for the caller, after how many attempts, charged for what."""

    code: str
    attempts: int
    charged: str


@dataclass(frozen=True, slots=True)
class Row:
    streamed: Expected
    whole: Expected
    is_counted: bool


def read_table() -> Mapping[str, Row]:
    section = DOCUMENT.read_text().partition(SECTION)[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (?!on the wire|---)(.+) \|$", section, re.MULTILINE)
    rows = {}
    for line in lines:
        wire, *cells = (cell.strip().strip("`") for cell in line.split(" | "))
        code, attempts, charged, whole_code, whole_attempts, whole_charged, counted = cells
        rows[wire] = Row(
            Expected(code, int(attempts), charged),
            Expected(whole_code, int(whole_attempts), whole_charged),
            {"yes": True, "no": False}[counted],
        )
    return rows


ROWS = read_table()


# ------------------------------------------------------------------- the three wires


@dataclass(frozen=True, slots=True)
class Wire:
    """One wire format: its stand-in, its adapter, and how its errors are said there."""

    model: str
    fake: Callable[[], Any]
    reply: Callable[..., Reply]
    adapter: Callable[[str, HttpClient], Provider]
    server_error: Mapping[str, Any]
    quota: Mapping[str, Any]
    missing: Mapping[str, Any]


WIRES = {
    "ollama": Wire(
        "llama3.2:3b",
        fake_ollama.FakeOllama,
        fake_ollama.Reply,
        OllamaProvider,
        server_error={},
        quota={"status": 402, "error": "you have reached your usage limit"},
        missing={"status": 404, "error": "model 'llama3.2:3b' not found"},
    ),
    "openai": Wire(
        "gpt-4o-mini",
        fake_openai.FakeOpenAi,
        fake_openai.Reply,
        lambda url, http: OpenAiProvider(url, "key", http),
        server_error={"type": "server_error"},
        quota={"status": 429, "type": "insufficient_quota", "code": "insufficient_quota"},
        missing={"status": 404, "code": "model_not_found"},
    ),
    "anthropic": Wire(
        "claude-haiku-4-5",
        fake_anthropic.FakeAnthropic,
        fake_anthropic.Reply,
        lambda url, http: AnthropicProvider(url, "key", http),
        server_error={"type": "api_error"},
        quota={"status": 400, "error": "Your credit balance is too low to access the API."},
        missing={"status": 404, "type": "not_found_error"},
    ),
}


def soon() -> str:
    """A date to try again at: in less than a second."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)


UNREACHED = ("connection refused", "connection never opens")
"""Rows in which no stand-in comes to answer."""


def scenarios(wire: Wire) -> Mapping[str, Callable[[], Reply]]:
    """What the stand-in does for each other row of the table."""

    def reply(**fields: Any) -> Reply:
        return wire.reply(**{"tokens": ANSWER, **fields})

    def broken(fault: Fault, after: int = 0) -> Reply:
        return reply(fault=fault, fault_after=after, **wire.server_error)

    played: dict[str, Callable[[], Reply]] = {
        "silence": lambda: broken(Fault.SILENT),
        "headers, then silence": lambda: broken(Fault.HEADERS_ONLY),
        "silence after 2 tokens": lambda: broken(Fault.STALL, 2),
        "cut before the first token": lambda: broken(Fault.TRUNCATE),
        "cut after 1 token": lambda: broken(Fault.TRUNCATE, 1),
        "cut after 20 tokens": lambda: broken(Fault.TRUNCATE, 20),
        "cut after the last token": lambda: broken(Fault.NO_DONE, len(ANSWER)),
        "connection reset after 2 tokens": lambda: broken(Fault.RESET, 2),
        "a malformed line": lambda: broken(Fault.MALFORMED),
        "a malformed line after 2 tokens": lambda: broken(Fault.MALFORMED, 2),
        "an error under 200": lambda: broken(Fault.ERROR_LINE),
        "an error under 200 after 2 tokens": lambda: broken(Fault.ERROR_LINE, 2),
        "a line of 20 MB": lambda: broken(Fault.HUGE),
        "invalid UTF-8": lambda: broken(Fault.INVALID_UTF8),
        "HTML under 200": lambda: broken(Fault.HTML),
        "HTML under 502": lambda: reply(fault=Fault.HTML, status=502),
        "400": lambda: reply(status=400),
        "401": lambda: reply(status=401),
        "404: no such model": lambda: reply(**wire.missing),
        "the quota is used up": lambda: reply(**wire.quota),
        "429": lambda: reply(status=429),
        "429, Retry-After: 0.05": lambda: reply(status=429, retry_after="0.05"),
        "429, retry-after-ms": lambda: reply(status=429, headers=("retry-after-ms: 30",)),
        "429, Retry-After is a date": lambda: reply(status=429, retry_after=soon()),
        "429, Retry-After: 60": lambda: reply(status=429, retry_after="60"),
        "503, Retry-After: 0.05": lambda: reply(status=503, retry_after="0.05"),
    } | {
        str(status): lambda status=status: reply(status=status, **wire.server_error)  # type: ignore[misc]
        for status in (408, 500, 529)
    }
    return played


# --------------------------------------------------------------------------- the test


@asynccontextmanager
async def served(wire: Wire, row: str) -> AsyncIterator[World]:
    """The flow over the wire's adapter, whose provider fails as the row says."""
    async with HttpClient() as http, wire.fake() as fake:
        with ExitStack() as stack:
            if row == "connection refused":
                url = closed_url()
            elif row == "connection never opens":
                url = stack.enter_context(unaccepting_url())
            else:
                url, fake.reply = fake.url, scenarios(wire)[row]()
            provider = wire.adapter(url, http)
            # The catalog is a fake's: a provider that fails at once would not be asked at all.
            yield World(
                {f"served/{wire.model}": None}, connect=lambda _config: provider, time_limits=LIMITS
            )  # type: ignore[dict-item]


async def outcome(world: World, *, streamed: bool) -> tuple[str, Completion]:
    code = "success"
    try:
        if streamed:
            await world.ask()
        else:
            await world.flow.complete(request_of())
    except AssistantError as error:
        code = error.code.value
    (settled,) = world.store.settled
    return code, settled


@pytest.mark.parametrize("mode", ["streamed", "whole"])
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("row", ROWS)
async def test_a_failure_becomes_what_the_document_says(row: str, wire: str, mode: str) -> None:
    expected: Expected = getattr(ROWS[row], mode)
    started = time.monotonic()

    async with served(WIRES[wire], row) as world:
        code, settled = await outcome(world, streamed=mode == "streamed")

    attempts = settled.decision.attempts
    assert (code, len(attempts)) == (expected.code, expected.attempts)
    charged = settled.usage.completion_tokens
    if expected.charged == "nothing":
        assert settled.usage.total_tokens == 0
    else:
        assert expected.charged == "what came"
        assert settled.usage.prompt_tokens > 0
        assert charged == max(estimate_tokens(settled.text), 1)
    key = ModelKey("platform", "served", WIRES[wire].model)
    counted = world.circuits.failures_in_a_row(key)
    assert counted == (len(attempts) if ROWS[row].is_counted else 0)
    assert time.monotonic() - started < 6


@pytest.mark.parametrize("wire", WIRES)
def test_the_table_has_the_rows_that_are_played_and_no_others(wire: str) -> None:
    assert set(ROWS) == {*UNREACHED, *scenarios(WIRES[wire])}

"""`assistant usage export | reconcile` as real processes on a real database."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pyarrow import parquet

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.seeds import PostgresSeeds
from assistant.adapters.usage_export.columns import COLUMNS
from assistant.services.seeds import read_seeds
from tests.postgres.server import DatabaseUrls
from tests.postgres.usage_rows import usage_row, write_usage

DAY = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
MONTH = ("--from", f"{DAY:%Y-%m-%d}", "--to", f"{DAY + timedelta(days=28):%Y-%m-%d}")
ROWS = [
    usage_row(DAY + timedelta(hours=1), attempt=0, feature="=1+1"),
    usage_row(DAY + timedelta(hours=1), prompt_tokens=1000, cached_tokens=800, is_estimated=True),
    usage_row(DAY + timedelta(hours=2), cost=None),
    usage_row(DAY + timedelta(hours=2), tenant_id="globex"),
]


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    output: bytes
    errors: str

    @property
    def complaint(self) -> str:
        (line,) = self.errors.splitlines()
        assert line.startswith("assistant: "), self
        assert self.output == b""
        return line.removeprefix("assistant: ")


def environment(urls: DatabaseUrls) -> Mapping[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ASSISTANT_")}
    return inherited | {
        "ASSISTANT_DATABASE_URL": urls.service,
        "ASSISTANT_MIGRATION_DATABASE_URL": urls.owner or urls.service,
    }


async def usage(urls: DatabaseUrls, *arguments: str | Path) -> Ended:
    """Run `assistant usage` to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assistant", "usage", *map(str, arguments),
        env=environment(urls), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert "Traceback" not in errors.decode(), errors.decode()
    assert process.returncode is not None
    return Ended(process.returncode, output, errors.decode())


def openai_file(path: Path, *results: dict[str, Any]) -> Path:
    start = int(DAY.timestamp())
    bucket = {"start_time": start, "end_time": start + 86400, "results": list(results)}
    path.write_text(json.dumps({"object": "page", "data": [bucket], "has_more": False}))
    return path


def result(**changes: Any) -> dict[str, Any]:
    return {
        "object": "organization.usage.completions.result",
        "model": "gpt-4o-2024-08-06",
        "num_model_requests": 2,
        "input_tokens": 1012,
        "input_cached_tokens": 803,
        "output_tokens": 10,
    } | changes


async def test_an_export_is_printed_or_becomes_a_file(urls: DatabaseUrls, tmp_path: Path) -> None:
    await write_usage(urls, ROWS)
    options = ("--tenant", "acme", *MONTH)
    file = tmp_path / "usage.parquet"

    printed, lines, written = await asyncio.gather(
        usage(urls, "export", *options),
        usage(urls, "export", *options, "--format", "jsonl", "--attempts", "--output", "-"),
        usage(urls, "export", *options, "--format", "parquet", "--requests", "--output", file),
    )

    rows = list(csv.DictReader(io.StringIO(printed.output.decode(), newline="")))
    assert [(row["id"], row["attempt"]) for row in rows] == [
        (str(row.id), str(row.attempt))
        for row in sorted(ROWS[:3], key=lambda row: (row.id, row.attempt))
    ]
    assert sorted(row["cost_usd"] for row in rows) == ["", "0.0000125", "0.0000125"]
    assert printed.errors.startswith(f"3 rows from {DAY.isoformat()} to ")
    documents = [json.loads(line) for line in lines.output.splitlines()]
    assert [(row["attempt"], row["cost_usd"]) for row in documents] == [
        (1, "0.0000125"),
        (1, None),
    ]
    assert written.output == b""
    table = parquet.read_table(file)
    assert table.column("cost_usd").to_pylist() == [Decimal("0.0000125")]
    assert table.column("feature").to_pylist() == ["=1+1"]
    assert list(tmp_path.iterdir()) == [file]


async def test_a_reader_that_goes_away_ends_the_export_without_a_word(urls: DatabaseUrls) -> None:
    # More than a pipe holds.
    await write_usage(urls, [usage_row(DAY + timedelta(minutes=number)) for number in range(2_000)])
    process = await asyncio.create_subprocess_shell(
        f'set -o pipefail; "{sys.executable}" -m assistant usage export --tenant acme '
        f"{' '.join(MONTH)} | head -c 100 > {os.devnull}",
        env=environment(urls), executable="/bin/bash",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (141, b"")


async def test_a_file_of_the_provider_is_equal_or_it_is_said_what_is_not(
    urls: DatabaseUrls, tmp_path: Path
) -> None:
    await write_usage(urls, ROWS)
    options = ("--tenant", "acme", "--provider", "openai")
    same = openai_file(tmp_path / "same", result())
    other = openai_file(tmp_path / "other", result(output_tokens=9))

    equal, different, document = await asyncio.gather(
        usage(urls, "reconcile", *options, same),
        usage(urls, "reconcile", *options, other),
        usage(urls, "reconcile", *options, other, "--json", "--tolerance", "12"),
    )

    assert (equal.code, equal.errors) == (0, ""), equal
    lines = equal.output.decode().splitlines()
    assert lines[0].endswith("beside OpenAI's usage of completions")
    assert lines[1] == "gpt-4o-2024-08-06 is counted as gpt-4o"
    assert lines[-2].startswith("Our attempts whose tokens are estimated")
    assert lines[-1] == "4 of 4 figures are equal"
    assert different.code == 1
    (line,) = [
        line.split() for line in different.output.decode().splitlines() if " gpt-4o " in line
    ]
    assert line == [f"{DAY:%Y-%m-%d}", "gpt-4o", "output_tokens", "10", "9", "+1", "+11.1111", "%"]
    assert document.code == 0
    line = json.loads(document.output)["lines"][3]
    assert (line["figure"], line["difference"], line["isEqual"]) == ("output_tokens", 1, True)


async def test_days_can_be_said_but_nothing_beside_nothing_is_trouble(
    urls: DatabaseUrls, database: Database, tmp_path: Path
) -> None:
    await write_usage(urls, ROWS)
    await PostgresSeeds(database).apply(read_seeds(), DAY)
    options = ("--tenant", "acme", openai_file(tmp_path / "usage", result()))
    first, end = (f"{DAY + timedelta(days=offset):%Y-%m-%d}" for offset in (1, 2))
    days = ("--from", first, "--to", end)

    nothing, unused, nobody = await asyncio.gather(
        usage(urls, "reconcile", *options, *days, "--provider", "openai"),
        usage(urls, "reconcile", *options, "--provider", "anthropic"),
        usage(urls, "reconcile", *options, "--provider", "nope"),
    )

    assert nothing.code == 2
    assert nothing.output.decode().startswith(f"openai, {first} to {first} (UTC, both included)")
    assert nothing.output.endswith(b"\n0 of 0 figures are equal\n")
    assert nothing.errors.startswith("assistant: Nothing was compared")
    assert (unused.code, unused.errors) == (1, "")
    assert nobody.code == 2
    assert nobody.complaint.startswith("There is no such provider, and no usage of one: nope.")


async def test_a_file_that_is_not_whole_is_trouble(urls: DatabaseUrls, tmp_path: Path) -> None:
    await write_usage(urls, ROWS)
    file = openai_file(tmp_path / "usage", result())
    file.write_text(file.read_text().replace('"has_more": false', '"has_more": true'))

    ended = await usage(urls, "reconcile", "--tenant", "acme", "--provider", "openai", file)

    assert ended.code == 2
    assert ended.output.endswith(b"\n4 of 4 figures are equal\n")
    assert ended.errors.startswith("assistant: The file is not whole")


async def test_a_database_that_is_down_is_trouble_and_no_difference(
    urls: DatabaseUrls, tmp_path: Path
) -> None:
    nowhere = replace(urls, service="postgresql://user:secret@127.0.0.1:9/none", owner="")
    ended = await usage(
        nowhere, "reconcile", "--tenant", "acme", "--provider", "openai",
        openai_file(tmp_path / "usage", result()),
    )  # fmt: skip
    assert ended.code == 2
    assert "secret" not in ended.complaint


def test_every_column_of_an_export_is_documented_in_its_order() -> None:
    text = (Path(__file__).parents[2] / "docs/usage.md").read_text()
    section = text.partition("## Export")[2].partition("\n## ")[0]
    documented = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    assert documented == [column.name for column in COLUMNS]

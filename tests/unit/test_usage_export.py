"""Usage as files: what each format makes of a row, where it goes, and when days begin."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pyarrow
import pytest
from pyarrow import parquet

from assistant.adapters.usage_export.columns import COLUMNS
from assistant.adapters.usage_export.output import opened_output
from assistant.adapters.usage_export.parquet import ParquetWriter
from assistant.adapters.usage_export.text_formats import CsvWriter, JsonLinesWriter
from assistant.domain.provider_usage import RecordedDay
from assistant.domain.usage import UsageWindow
from assistant.domain.usage_log import UsageRow
from assistant.errors import BadUserInput
from assistant.services.usage_export import UsageExport, read_moment
from tests.postgres.usage_rows import usage_row

AT = datetime(2026, 11, 1, 9, 30, 0, 123_000, tzinfo=UTC)
ID = UUID("019a3e9c-0b1b-7abc-8def-0123456789ab")
WHOLE = usage_row(AT, id=ID, created_at=AT, prompt_version_id=ID)
SPARSE = usage_row(
    AT,
    id=ID,
    created_at=AT.astimezone(ZoneInfo("Asia/Kathmandu")),
    attempt=0,
    user_id=None,
    service_id=None,
    feature=None,
    cost=None,
    first_token_ms=None,
    is_estimated=True,
)


def in_csv(*rows: UsageRow) -> list[dict[str, str]]:
    file = io.BytesIO()
    writer = CsvWriter(file)
    writer.write(rows)
    writer.finish()
    return list(csv.DictReader(io.StringIO(file.getvalue().decode(), newline="")))


def in_json(*rows: UsageRow) -> list[dict[str, Any]]:
    file = io.BytesIO()
    writer = JsonLinesWriter(file)
    writer.write(rows)
    writer.finish()
    return [json.loads(line) for line in file.getvalue().decode().splitlines()]


def in_parquet(*pages: Sequence[UsageRow]) -> pyarrow.Table:
    file = io.BytesIO()
    writer = ParquetWriter(file)
    for page in pages:
        writer.write(page)
    writer.finish()
    return parquet.read_table(io.BytesIO(file.getvalue()))


def test_a_row_of_csv_has_exact_digits_and_nothing_for_null() -> None:
    whole, sparse = in_csv(WHOLE, SPARSE)
    assert whole == {
        "id": str(ID),
        "attempt": "1",
        "created_at": "2026-11-01T09:30:00.123000Z",
        "tenant_id": "acme",
        "user_id": "ann",
        "service_id": "billing",
        "feature": "invoices",
        "operation": "chat",
        "prompt_version_id": str(ID),
        "model": "openai/gpt-4o",
        "provider": "openai",
        "status": "SUCCEEDED",
        "error_code": "",
        "cache": "MISS",
        "prompt_tokens": "12",
        "cached_tokens": "3",
        "completion_tokens": "5",
        "reasoning_tokens": "2",
        "is_estimated": "false",
        "cost_usd": "0.0000125",
        "saved_tokens": "0",
        "saved_cost_usd": "0",
        "latency_ms": "41",
        "first_token_ms": "7",
    }
    assert sparse["created_at"] == whole["created_at"]
    assert {name for name, value in sparse.items() if value == ""} == {
        "user_id",
        "service_id",
        "feature",
        "prompt_version_id",
        "error_code",
        "cost_usd",
        "first_token_ms",
    }
    assert sparse["is_estimated"] == "true"


def test_a_line_of_json_has_every_column_and_money_as_text() -> None:
    whole, sparse = in_json(WHOLE, SPARSE)
    assert list(whole) == list(sparse) == [column.name for column in COLUMNS]
    assert (whole["cost_usd"], sparse["cost_usd"]) == ("0.0000125", None)
    assert (whole["attempt"], whole["is_estimated"]) == (1, False)
    assert whole["created_at"] == "2026-11-01T09:30:00.123000Z"


def test_parquet_has_decimals_and_times_of_utc() -> None:
    table = in_parquet([WHOLE], [SPARSE])
    assert table.schema.field("cost_usd").type == pyarrow.decimal128(38, 18)
    assert table.schema.field("created_at").type == pyarrow.timestamp("us", tz="UTC")
    assert table.column("cost_usd").to_pylist() == [Decimal("0.0000125"), None]
    assert table.column("created_at").to_pylist() == [AT, AT]
    assert table.column("id").to_pylist() == [str(ID)] * 2
    assert table.column_names == [column.name for column in COLUMNS]


@pytest.mark.parametrize("amount", ["0.000000000000000001", "99999999999999999999.5", "1E+3"])
def test_an_amount_is_the_same_in_every_format(amount: str) -> None:
    row = usage_row(AT, cost=Decimal(amount))
    assert Decimal(in_csv(row)[0]["cost_usd"]) == Decimal(amount)
    assert "E" not in in_csv(row)[0]["cost_usd"]
    assert Decimal(in_json(row)[0]["cost_usd"]) == Decimal(amount)
    assert in_parquet([row]).column("cost_usd").to_pylist() == [Decimal(amount)]


@pytest.mark.parametrize("amount", ["0.0000000000000000001", "100000000000000000000"])
def test_an_amount_that_parquet_would_round_is_refused(amount: str) -> None:
    with pytest.raises(BadUserInput, match="Export as csv or jsonl"):
        in_parquet([usage_row(AT, cost=Decimal(amount))])
    assert in_csv(usage_row(AT, cost=Decimal(amount)))[0]["cost_usd"] == amount


@pytest.mark.parametrize(
    ("feature", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\uff1d1", "'\uff1d1"),
        ("'=1", "''=1"),
        ("a=1", "a=1"),
        ('a "word", two\nlines, 世界', 'a "word", two\nlines, 世界'),
    ],
)
def test_no_cell_of_csv_is_a_formula_and_every_text_can_be_had_back(
    feature: str, cell: str
) -> None:
    row = usage_row(AT, feature=feature)
    assert in_csv(row)[0]["feature"] == cell
    assert cell.removeprefix("'") == feature or cell == feature
    assert in_json(row)[0]["feature"] == feature
    assert in_parquet([row]).column("feature").to_pylist() == [feature]


def test_an_export_without_rows_has_its_columns() -> None:
    file = io.BytesIO()
    CsvWriter(file).finish()
    assert file.getvalue().decode() == ",".join(column.name for column in COLUMNS) + "\n"
    assert in_json() == []
    table = in_parquet()
    assert (table.num_rows, table.column_names) == (0, [column.name for column in COLUMNS])


def test_parquet_groups_rows_and_keeps_the_last_ones() -> None:
    page = [WHOLE] * 40_000
    file = io.BytesIO()
    writer = ParquetWriter(file)
    for _ in range(4):
        writer.write(page)
    writer.finish()
    metadata = parquet.ParquetFile(io.BytesIO(file.getvalue())).metadata
    groups = [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)]
    assert groups == [120_000, 40_000]


# ---------------------------------------------------------------------- where it goes


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "usage.csv"
    with opened_output(file) as output:
        output.write(b"old")
        assert not file.exists()
    assert file.read_bytes() == b"old"

    with pytest.raises(BadUserInput, match="somebody stopped it"), opened_output(file) as output:
        output.write(b"new")
        raise BadUserInput("somebody stopped it")

    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


async def test_a_cut_parquet_file_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "usage.parquet"
    good, bad = usage_row(AT), usage_row(AT, cost=Decimal(1) / 3)
    for cut in ([good] * 100_000, [bad]), ([bad], []):
        export = UsageExport(Log(*cut), Zones(None))
        with pytest.raises(BadUserInput, match="more digits"), opened_output(file) as output:
            await export.export("acme", UsageWindow(AT, AT), ParquetWriter(output))
        assert list(tmp_path.iterdir()) == []


async def test_parquet_that_was_cut_off_in_a_pipe_is_no_parquet() -> None:
    piped = io.BytesIO()
    export = UsageExport(Log([WHOLE] * 100_000, [usage_row(AT, cost=Decimal(1) / 3)]), Zones(None))
    with pytest.raises(BadUserInput, match="more digits"):
        await export.export("acme", UsageWindow(AT, AT), ParquetWriter(piped))
    with pytest.raises(pyarrow.ArrowInvalid):
        parquet.read_table(io.BytesIO(piped.getvalue()))


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with opened_output(tmp_path / "link") as output:
        output.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_device_takes_what_comes() -> None:
    with opened_output(Path(os.devnull)) as output:
        output.write(b"gone")
    assert Path(os.devnull).is_char_device()


def test_where_nothing_can_be_written_it_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, said in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none" / "usage.csv", "No such file or directory"),
        (tmp_path / "file" / "usage.csv", "Not a directory"),
    ):
        with pytest.raises(BadUserInput, match=f"cannot be written: {said}"), opened_output(path):
            raise AssertionError("the block must not begin")


# ------------------------------------------------------------------------------- when


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-11-01", "UTC", "2026-11-01T00:00:00+00:00"),
        ("2026-11-01", "Asia/Kathmandu", "2026-10-31T18:15:00+00:00"),
        ("2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00+00:00"),
        ("2026-03-30", "Europe/Berlin", "2026-03-29T22:00:00+00:00"),
        ("2026-10-26", "Europe/Berlin", "2026-10-25T23:00:00+00:00"),
        ("2028-02-29", "America/New_York", "2028-02-29T05:00:00+00:00"),
        # No midnight on that day: clocks went from 24:00 to 1:00.
        ("2026-04-24", "Africa/Cairo", "2026-04-23T22:00:00+00:00"),
        # Midnight twice, from 1:00 back to 0:00: budgets begin with the second one.
        ("2026-11-01", "America/Havana", "2026-11-01T05:00:00+00:00"),
        # No such day at all: the next one begins then.
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00+00:00"),
        ("2026-11-01T09:30:00Z", "Asia/Kathmandu", "2026-11-01T09:30:00+00:00"),
        ("2026-11-01T09:30:00.5+05:45", "UTC", "2026-11-01T03:45:00.500000+00:00"),
    ],
)
def test_a_day_begins_when_it_does_in_the_tenants_time_zone(
    text: str, zone: str, moment: str
) -> None:
    found = read_moment(text, ZoneInfo(zone), "--from")
    assert (found.isoformat(), found.tzinfo) == (moment, UTC)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-02-29", "20261101", "2026-11-01T09:30:00", "2026-W45-1", "0001-01-01"],
)
def test_what_is_neither_a_date_nor_an_instant_is_refused(text: str) -> None:
    with pytest.raises(BadUserInput, match="--to must be a date"):
        read_moment(text, ZoneInfo("Asia/Kathmandu"), "--to")


class Zones:
    """The TenantSettingsStore port: everybody is in one time zone, or has none."""

    def __init__(self, time_zone: str | None) -> None:
        self._time_zone = time_zone

    async def find_time_zone(self, tenant_id: str) -> str | None:
        return self._time_zone

    async def set_time_zone(self, tenant_id: str, time_zone: str) -> None:
        self._time_zone = time_zone


class Log:
    """The UsageLogStore port, of pages that are known beforehand."""

    def __init__(self, *pages: Sequence[UsageRow]) -> None:
        self._pages = pages

    async def pages(
        self, tenant_id: str, window: UsageWindow, *, of_attempts: bool | None = None
    ) -> AsyncGenerator[Sequence[UsageRow], None]:
        for page in self._pages:
            yield page

    async def used_of_provider(
        self, tenant_id: str, provider: str, day: object, operation: str | None
    ) -> Sequence[RecordedDay]:
        raise AssertionError("an export adds nothing up")


class Written:
    """The UsageWriter port, which remembers."""

    def __init__(self) -> None:
        self.pages: list[Sequence[UsageRow]] = []
        self.is_finished = False

    def write(self, rows: Sequence[UsageRow]) -> None:
        self.pages.append(rows)

    def finish(self) -> None:
        self.is_finished = True

    def abandon(self) -> None:
        raise AssertionError("nothing went wrong")


async def test_a_window_is_in_the_tenants_days_and_utc_where_it_has_set_none() -> None:
    for zone, start in (("Asia/Kathmandu", AT.replace(day=1)), (None, AT)):
        window = await UsageExport(Log(), Zones(zone)).window("acme", "2026-11-01", "2026-11-02")
        offset = timedelta(hours=5, minutes=45) if zone else timedelta(0)
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        assert window == UsageWindow(midnight - offset, midnight + timedelta(days=1) - offset)
    with pytest.raises(BadUserInput, match="--from must be before --to"):
        await UsageExport(Log(), Zones(None)).window("acme", "2026-11-01", "2026-11-01")


async def test_pages_are_written_as_they_come_and_counted() -> None:
    written = Written()
    export = UsageExport(Log([WHOLE, SPARSE], [WHOLE]), Zones(None))

    assert await export.export("acme", UsageWindow(AT, AT), written) == 3
    assert written.pages == [[WHOLE, SPARSE], [WHOLE]]
    assert written.is_finished


async def test_a_page_is_written_before_the_next_one_is_read() -> None:
    written = Written()

    class Pages(Log):
        async def pages(
            self, tenant_id: str, window: UsageWindow, *, of_attempts: bool | None = None
        ) -> AsyncGenerator[Sequence[UsageRow], None]:
            for number in range(3):
                assert len(written.pages) == number
                yield [WHOLE]

    export = UsageExport(Pages(), Zones(None))
    assert await export.export("acme", UsageWindow(AT, AT), written) == 3

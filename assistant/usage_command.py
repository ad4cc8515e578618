"""``assistant usage export | reconcile``: the ledger's rows as files, and a provider's beside them."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from datetime import UTC, date, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, TypeAlias

import typer

from assistant.adapters.clock import SystemClock
from assistant.adapters.postgres.models import PostgresModels
from assistant.adapters.postgres.tenant_settings import PostgresTenantSettings
from assistant.adapters.postgres.usage_log import PostgresUsageLog
from assistant.adapters.provider_usage.formats import UsageFormat, read_reported_usage
from assistant.adapters.usage_export.output import STDOUT, opened_output
from assistant.adapters.usage_export.parquet import ParquetWriter
from assistant.adapters.usage_export.text_formats import CsvWriter, JsonLinesWriter
from assistant.app import database
from assistant.command_line import fail, run, settings_or_end
from assistant.domain.caller import check_identifier
from assistant.domain.provider_usage import Reconciliation, ReportedUsage
from assistant.errors import BadUserInput
from assistant.services.usage_export import UsageExport, UsageWriter, read_moment
from assistant.services.usage_reconciliation import UsageReconciliation
from assistant.usage_output import reconciliation_json, reconciliation_lines

usage = typer.Typer(no_args_is_help=True, help="What was used: as files, and beside the bill.")

Tenant: TypeAlias = Annotated[str, typer.Option(help="Whose usage.")]

_TROUBLE = 2
"""As diff(1) has it: 0 for equal, 1 for different, 2 where there was nothing to compare."""


class ExportFormat(StrEnum):
    """How rows are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


_WRITERS: dict[ExportFormat, Callable[[BinaryIO], UsageWriter]] = {
    ExportFormat.CSV: CsvWriter,
    ExportFormat.JSONL: JsonLinesWriter,
    ExportFormat.PARQUET: ParquetWriter,
}


@usage.command("export")
def export_usage(
    tenant: Tenant,
    start: Annotated[
        str,
        typer.Option("--from", help="A date, as the tenant counts days, or an RFC 3339 instant."),
    ],
    end: Annotated[str, typer.Option("--to", help="The same; exclusive.")],
    format_: Annotated[ExportFormat, typer.Option("--format")] = ExportFormat.CSV,
    output: Annotated[Path, typer.Option(help="A file, or - for the standard output.")] = STDOUT,
    of_attempts: Annotated[
        bool | None,
        typer.Option(
            "--attempts/--requests", help="Only rows of attempts, or of requests. Default: both."
        ),
    ] = None,
) -> None:
    """Write usage, row by row, in the order of time. Columns: docs/usage.md."""
    if format_ is ExportFormat.PARQUET and output == STDOUT and sys.stdout.isatty():
        fail("Parquet is nothing for a terminal. Say where to with --output.")

    async def work() -> str:
        check_identifier(tenant, "--tenant")
        async with database(settings_or_end()) as db:
            export = UsageExport(PostgresUsageLog(db), PostgresTenantSettings(db))
            window = await export.window(tenant, start, end)
            with opened_output(output) as file:
                count = await export.export(
                    tenant, window, _WRITERS[format_](file), of_attempts=of_attempts
                )
        rows = "row" if count == 1 else "rows"
        said = f"{count:,} {rows} from {window.start.isoformat()} to {window.end.isoformat()}"
        if SystemClock().now() < window.end:
            said += ", which is not over: rows that come later are not among them"
        return said

    try:
        typer.echo(run(work()), err=True)
    except BrokenPipeError:
        # Whoever read has what they wanted: `head` has. It ends as other programs end then.
        raise typer.Exit(128 + signal.SIGPIPE) from None


@usage.command("reconcile")
def reconcile_usage(
    tenant: Tenant,
    provider: Annotated[str, typer.Option(help="Its name here, as in `openai`.")],
    file: Annotated[Path, typer.Argument(help="What the provider says: JSON or CSV.")],
    start: Annotated[
        str | None, typer.Option("--from", help="A day of UTC. Default: the file's first.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="A day of UTC, exclusive. Default: after its last.")
    ] = None,
    format_: Annotated[UsageFormat, typer.Option("--format")] = UsageFormat.AUTO,
    tolerance: Annotated[
        str, typer.Option(help="Percent of theirs that ours may be off and be equal.")
    ] = "0",
    show_all: Annotated[bool, typer.Option("--all", help="Equal figures, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
) -> None:
    """Compare usage with a provider's own file. Ends with 0: equal, 1: not, 2: cannot say."""

    async def work() -> tuple[ReportedUsage, Reconciliation]:
        check_identifier(tenant, "--tenant")
        percent = _percent(tolerance)
        first_day, last_day = _day(start, "--from"), _day(end, "--to")
        if first_day is not None and last_day is not None and first_day >= last_day:
            raise BadUserInput("--from must be before --to, which is exclusive.")
        reported = read_reported_usage(file, format_)
        async with database(settings_or_end()) as db:
            comparison = UsageReconciliation(PostgresUsageLog(db), PostgresModels(db))
            return reported, await comparison.reconcile(
                tenant,
                provider,
                reported,
                first_day=first_day,
                last_day=None if last_day is None else last_day - timedelta(days=1),
                tolerance_percent=percent,
            )

    try:
        reported, found = run(work())
    except typer.Exit as ended:
        raise typer.Exit(_TROUBLE if ended.exit_code == 1 else ended.exit_code) from None
    if as_json:
        typer.echo(json.dumps(reconciliation_json(provider, reported, found), indent=2))
    else:
        for line in reconciliation_lines(provider, reported, found, show_all=show_all):
            typer.echo(line)
    if found.doubt is not None:
        typer.echo(f"assistant: {found.doubt}", err=True)
        raise typer.Exit(_TROUBLE)
    if not found.is_equal:
        raise typer.Exit(1)


def _day(text: str | None, name: str) -> date | None:
    """A day of UTC, which is what providers count by. Raises BadUserInput."""
    if text is None:
        return None
    moment = read_moment(text, UTC, name)
    if moment != moment.replace(hour=0, minute=0, second=0, microsecond=0):
        raise BadUserInput(f"{name} must be a day of UTC: providers count by those.")
    return moment.astimezone(UTC).date()


def _percent(text: str) -> Decimal:
    try:
        percent = Decimal(text)
        if percent.is_finite() and 0 <= percent <= 100:
            return percent
    except InvalidOperation:
        pass
    raise BadUserInput("--tolerance must be 0 to 100.")

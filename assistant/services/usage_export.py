"""Usage, row by row, for other programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Protocol

from assistant.domain.ports import TenantSettingsStore, UsageLogStore
from assistant.domain.usage import UsageWindow, midnight, time_zone_named
from assistant.domain.usage_log import UsageRow
from assistant.errors import BadUserInput

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class UsageWriter(Protocol):
    """Writes usage in one format."""

    def write(self, rows: Sequence[UsageRow]) -> None: ...

    def finish(self) -> None:
        """Write what ends a file."""
        ...

    def abandon(self) -> None:
        """Write nothing more, so that what has been written is not taken for all of it."""
        ...


class UsageExport:
    """Brings a tenant's usage out, a page at a time: memory does not grow with it."""

    def __init__(self, log: UsageLogStore, settings: TenantSettingsStore) -> None:
        self._log = log
        self._settings = settings

    async def window(self, tenant_id: str, start: str, end: str) -> UsageWindow:
        """From ``start`` to ``end``, exclusive: dates as the tenant counts days, or RFC 3339 instants.

        Raises: BadUserInput.
        """
        zone = time_zone_named(await self._settings.find_time_zone(tenant_id) or "UTC")
        window = UsageWindow(read_moment(start, zone, "--from"), read_moment(end, zone, "--to"))
        if window.start >= window.end:
            raise BadUserInput("--from must be before --to, which is exclusive.")
        return window

    async def export(
        self,
        tenant_id: str,
        window: UsageWindow,
        writer: UsageWriter,
        *,
        of_attempts: bool | None = None,
    ) -> int:
        """Write the rows of a window, those of requests first made first; how many they were.

        ``of_attempts``: only those of attempts, or only those of requests; None: both. Requests that
        run are not among them: usage is known when they have ended.
        """
        count = 0
        try:
            async for page in self._log.pages(tenant_id, window, of_attempts=of_attempts):
                writer.write(page)
                count += len(page)
            writer.finish()
        except BaseException:
            writer.abandon()
            raise
        return count


def read_moment(text: str, zone: tzinfo, name: str) -> datetime:
    """A moment in UTC: of a date, when that day begins in ``zone``, for reports and budgets as well.

    Raises: BadUserInput, which calls it ``name``.
    """
    try:
        if _DATE.fullmatch(text):
            return midnight(date.fromisoformat(text), zone)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadUserInput(
        f"{name} must be a date, as in 2026-11-01, or an instant with its offset from UTC, "
        "as in 2026-11-01T09:30:00Z."
    )

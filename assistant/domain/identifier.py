"""Identifiers that carry the time at which they were made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)


def find_time(identifier: UUID) -> datetime | None:
    """When a UUIDv7 was made, to the millisecond; None for any other identifier.

    Source: RFC 9562, section 5.7 (https://www.rfc-editor.org/rfc/rfc9562#section-5.7): the first
    48 bits are milliseconds since 1970.
    """
    milliseconds = identifier.int >> 80
    if identifier.version != 7 or milliseconds > _LATEST_MS:
        return None
    return _EPOCH + timedelta(milliseconds=milliseconds)


def time_of(identifier: UUID) -> datetime:
    """When a UUIDv7 that this service made was made, to the millisecond."""
    made_at = find_time(identifier)
    assert made_at is not None
    return made_at

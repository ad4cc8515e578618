"""Identifiers carry their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid4, uuid7

from assistant.domain.identifier import find_time, time_of


def test_a_new_id_carries_the_present_time_in_utc() -> None:
    before = datetime.now(UTC)

    made_at = time_of(uuid7())

    assert made_at.tzinfo is UTC
    assert before - timedelta(milliseconds=2) <= made_at <= datetime.now(UTC)


def test_the_standards_own_example_is_read_right() -> None:
    """RFC 9562, appendix A.6: Tuesday, February 22, 2022 2:22:22.00 PM GMT-05:00."""
    example = UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")

    assert time_of(example) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    "other", [uuid4(), UUID(int=0), UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")], ids=str
)
def test_an_id_without_a_time_that_exists_has_none(other: UUID) -> None:
    assert find_time(other) is None

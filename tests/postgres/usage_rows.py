"""Rows of usage to write down as they are, whatever made them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from assistant.domain.identifier import time_of
from assistant.domain.usage_log import UsageRow
from tests.postgres.completions import id_at
from tests.postgres.server import DatabaseUrls, connect

_COLUMNS = tuple(UsageRow.__dataclass_fields__)


def usage_row(at: datetime, **changes: Any) -> UsageRow:
    """What an attempt used."""
    id_ = changes.pop("id", None) or id_at(at)
    values: dict[str, Any] = {
        "id": id_,
        "attempt": 1,
        "created_at": time_of(id_),
        "tenant_id": "acme",
        "user_id": "ann",
        "service_id": "billing",
        "feature": "invoices",
        "operation": "chat",
        "prompt_version_id": None,
        "model": "openai/gpt-4o",
        "provider": "openai",
        "status": "SUCCEEDED",
        "error_code": None,
        "cache": "MISS",
        "prompt_tokens": 12,
        "cached_tokens": 3,
        "completion_tokens": 5,
        "reasoning_tokens": 2,
        "is_estimated": False,
        "cost": Decimal("0.0000125"),
        "saved_tokens": 0,
        "saved_cost": Decimal(0),
        "latency_ms": 41,
        "first_token_ms": 7,
    }
    return UsageRow(**(values | changes))


async def write_usage(urls: DatabaseUrls, rows: Iterable[UsageRow]) -> None:
    async with await connect(urls.superuser) as connection, connection.cursor() as cursor:
        places = ", ".join(["%s"] * len(_COLUMNS))
        await cursor.executemany(
            f"INSERT INTO usage_logs ({', '.join(_COLUMNS)}) VALUES ({places})",
            [tuple(getattr(row, name) for name in _COLUMNS) for row in rows],
        )

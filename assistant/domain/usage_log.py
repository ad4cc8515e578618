"""Usage as it was recorded: request by request, and by the attempts that each of them took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A row of ``usage_logs``. Costs are in USD, ``created_at`` is when the request came, in UTC.

    ``attempt`` is 0 for a request as a whole, from 1 on for what each attempt used: who adds up both
    counts everything twice. ``cached_tokens`` are among those of the prompt, ``reasoning_tokens``
    among those of the answer. ``cost`` is None where the model had no price. ``first_token_ms`` is
    None where nothing came.
    """

    id: UUID
    attempt: int
    created_at: datetime
    tenant_id: str
    user_id: str | None
    service_id: str | None
    feature: str | None
    operation: str
    prompt_version_id: UUID | None
    model: str
    provider: str
    status: str
    error_code: str | None
    cache: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    is_estimated: bool
    cost: Decimal | None
    saved_tokens: int
    saved_cost: Decimal
    latency_ms: int
    first_token_ms: int | None

"""Tells somebody else's address of budget alerts: signed, so that it can tell that it was us.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID

from assistant.adapters.providers.http import HttpClient, Peer
from assistant.domain.budget import BudgetAlert
from assistant.domain.ports import Clock, TimeLimits
from assistant.domain.values import JsonObject
from assistant.domain.webhook_signature import signature
from assistant.errors import ProviderUnavailable

EVENT_TYPE = "budget.alert"
_GONE = 410


class AlertWebhook:
    """The AlertReceiver port. ``key`` is what ``signing_key`` reads from the shared secret.

    A redirect is not followed: what it leads to is nobody's choice here.
    """

    def __init__(
        self, http: HttpClient, url: str, key: bytes, clock: Clock, *, timeout_s: float = 10.0
    ) -> None:
        parts = urlsplit(url)
        self._http = http
        # What follows the host may be a secret, and errors name a peer's address.
        self._peer = Peer(
            "The webhook", f"{parts.scheme}://{parts.netloc}", "Check ASSISTANT_ALERT_WEBHOOK_URL."
        )
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._limits = TimeLimits(timeout_s, timeout_s, timeout_s, timeout_s)
        self._key = key
        self._clock = clock

    async def tell(self, alert_id: UUID, alert: BudgetAlert) -> bool:
        body = json.dumps(payload(alert), separators=(",", ":")).encode("ascii")
        sent_at = str(int(self._clock.now().timestamp()))
        response = await self._http.request(
            self._peer,
            "POST",
            self._path,
            limits=self._limits,
            body=body,
            headers={
                "webhook-id": str(alert_id),
                "webhook-timestamp": sent_at,
                "webhook-signature": signature(self._key, str(alert_id), sent_at, body),
            },
        )
        try:
            if 200 <= response.status < 300:
                return True
            if response.status == _GONE:
                return False
            raise ProviderUnavailable(
                f"The webhook answered {response.status}.", retry_after_s=response.retry_after_s
            )
        finally:
            response.close()


def payload(alert: BudgetAlert) -> JsonObject:
    """What is told. Amounts are strings, since a number would be read as a float."""
    return {
        "type": EVENT_TYPE,
        "timestamp": _time(alert.created_at),
        "data": {
            "tenantId": alert.tenant_id,
            "budgetId": str(alert.budget_id),
            "scope": alert.scope.value,
            "subject": alert.subject,
            "window": alert.period.value,
            "step": f"{alert.step.normalize():f}",
            "spent": f"{alert.spent:f}",
            "limit": f"{alert.amount:f}",
            "currency": "USD",
            "startsAt": _time(alert.starts_at),
            "resetsAt": _time(alert.ends_at),
        },
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

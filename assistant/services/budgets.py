"""Budgets as administrators set them, and as those see them whom they are about.

What they hold back is decided where it is reserved, by the ledger's statement: it reads the rows that
are written here, so that a change holds at once, on every replica.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from assistant.domain.budget import (
    DEFAULT_ALERT_STEPS,
    Budget,
    BudgetAccount,
    BudgetDraft,
    BudgetOverride,
    BudgetStanding,
    LimitScope,
    Members,
)
from assistant.domain.caller import Caller, Scope
from assistant.domain.ports import BudgetStore, Clock, TenantSettingsStore
from assistant.domain.usage import time_zone_named
from assistant.errors import BadUserInput, NotFound
from assistant.services.limit_checks import check_budget, check_override, no_room

MAX_BUDGETS = 1_000
MAX_OVERRIDES = 100


class Budgets:
    """A tenant's budgets. Who changes one has been found to be an administrator before."""

    def __init__(self, store: BudgetStore, settings: TenantSettingsStore, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    async def list_budgets(self, caller: Caller) -> Sequence[BudgetAccount]:
        """All, to administrators; to others those about them, as they themselves stand."""
        return await self._store.list_budgets(
            caller.tenant_id, self._clock.now(), members_of(caller)
        )

    async def list_members(
        self, caller: Caller, ids: Sequence[UUID], first: int
    ) -> Mapping[UUID, Sequence[BudgetStanding]]:
        """Of each budget the members that have least left; of others' only the caller."""
        return await self._store.list_members(
            caller.tenant_id, ids, first, self._clock.now(), members_of(caller)
        )

    async def set_budget(self, caller: Caller, draft: BudgetDraft) -> BudgetAccount:
        """Add a budget, or change the one of its scope, subject and period. Raises BadUserInput."""
        check_budget(draft)
        budget = Budget(
            id=self._clock.new_id(),
            tenant_id=caller.tenant_id,
            scope=draft.scope,
            subject=draft.subject,
            period=draft.period,
            amount=draft.amount,
            alert_steps=draft.alert_steps or DEFAULT_ALERT_STEPS,
        )
        id_ = await self._store.put_budget(
            budget,
            self._clock.now(),
            MAX_BUDGETS,
            keeps_alert_steps=draft.alert_steps is None,
        )
        if id_ is None:
            raise no_room("budgets", MAX_BUDGETS)
        return await self._get(caller, id_)

    async def override(
        self, caller: Caller, id_: UUID, extra: Decimal, reason: str
    ) -> BudgetAccount:
        """Raise a budget by ``extra`` USD until its running window ends.

        Raises: NotFound, BadUserInput.
        """
        check_override(extra, reason)
        account = await self._get(caller, id_)
        override = BudgetOverride(
            id=self._clock.new_id(),
            budget_id=id_,
            starts_at=account.standing.starts_at,
            extra=extra,
            reason=reason,
            created_by=_name(caller),
            created_at=self._clock.now(),
        )
        if not await self._store.add_override(caller.tenant_id, override, MAX_OVERRIDES):
            raise BadUserInput(
                f"A budget is raised at most {MAX_OVERRIDES} times in a window. Set a higher limit."
            )
        return await self._get(caller, id_)

    async def delete_budget(self, caller: Caller, id_: UUID) -> None:
        """Remove a budget with all that is counted for it; usage stays. Raises NotFound."""
        if not await self._store.delete_budget(caller.tenant_id, id_):
            raise _missing()

    async def time_zone(self, caller: Caller) -> str:
        """The IANA name of the zone in which the tenant's windows begin and end."""
        return await self._settings.find_time_zone(caller.tenant_id) or "UTC"

    async def set_time_zone(self, caller: Caller, name: str) -> str:
        """Let windows begin and end in another zone, from now on. Raises BadUserInput."""
        zone = time_zone_named(name).key
        if not await self._settings.set_time_zone(caller.tenant_id, zone):
            raise BadUserInput(
                "The database does not know this time zone. Give a usual name, as in "
                "Europe/Berlin.",
                path=("timeZone",),
            )
        return zone

    async def _get(self, caller: Caller, id_: UUID) -> BudgetAccount:
        account = await self._store.find_budget(caller.tenant_id, id_, self._clock.now())
        if account is None:
            raise _missing()
        return account


def members_of(caller: Caller) -> Members | None:
    """As whom a caller may see budgets and limits; None for an administrator, who sees all.

    A service's are for those who may read its usage.
    """
    if caller.may(Scope.ADMIN):
        return None
    parties = {
        LimitScope.SERVICE: caller.service_id if caller.may(Scope.USAGE_READ) else None,
        LimitScope.USER: caller.user_id,
        LimitScope.API_KEY: caller.api_key_id,
    }
    return {scope: party for scope, party in parties.items() if party is not None}


def _name(caller: Caller) -> str:
    """Who did something, for the record."""
    if caller.user_id is not None:
        return caller.user_id
    if caller.service_id is not None:
        return f"service {caller.service_id}"
    if caller.api_key_id is not None:
        return f"API key {caller.api_key_id}"
    return "an administrator"


def _missing() -> NotFound:
    return NotFound("There is no budget of this id. The query `budgets` lists what there is.")

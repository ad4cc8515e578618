"""What is asked for a completion that opens, as the ledger's function takes it, and its answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, assert_never

from assistant.domain.budget import Admission, BudgetPeriod, LimitScope, Stake
from assistant.domain.completion import Completion
from assistant.domain.identifier import time_of
from assistant.domain.money import in_words
from assistant.errors import BudgetExceeded, EntryReaped, LimitReached, PriceUnknown

_Verdict: TypeAlias = Literal["ADMITTED", "BUDGET", "RATE", "UNPRICED", "REAPED"]
_WHOSE: Final = {
    LimitScope.GLOBAL: "of all together",
    LimitScope.SERVICE: "of the service",
    LimitScope.USER: "of the user",
    LimitScope.API_KEY: "of the API key",
}
_PER = {BudgetPeriod.DAY: "day", BudgetPeriod.WEEK: "week", BudgetPeriod.MONTH: "month"}


def stake_row(
    completion: Completion, stake: Stake, *, is_more: bool, may_be_unpriced: bool
) -> dict[str, Any]:
    """What is asked for ``completion``, as JSON."""
    caller = completion.caller
    return _who(completion) | {
        "user_id": caller.user_id,
        "service_id": caller.service_id,
        "api_key_id": caller.api_key_id,
        "stake_prompt": stake.prompt_tokens,
        "stake_output": stake.output_tokens,
        "least_output": stake.least_output_tokens,
        "fixed_cost": None if stake.fixed_cost is None else str(stake.fixed_cost),
        "output_price": None if stake.output_price is None else str(stake.output_price),
        "expected_tokens": stake.expected_tokens,
        "may_be_unpriced": may_be_unpriced,
        "is_more": is_more,
    }


def used_row(completion: Completion) -> dict[str, Any]:
    """What ``completion`` used of what it held, as JSON."""
    return _who(completion) | {
        "prompt_tokens": completion.usage.prompt_tokens,
        "completion_tokens": completion.usage.completion_tokens,
        "cost": str(completion.usage.cost),
    }


def _who(completion: Completion) -> dict[str, Any]:
    return {
        "tenant_id": completion.caller.tenant_id,
        "id": str(completion.id),
        "created_at": time_of(completion.id).isoformat(),
    }


def admission_of(answer: Mapping[str, Any], model: str, stake: Stake) -> Admission:
    """What was granted. Raises: BudgetExceeded, PriceUnknown, LimitReached, EntryReaped."""
    verdict: _Verdict = answer["verdict"]
    match verdict:
        case "ADMITTED":
            return Admission(answer["output_tokens"], answer["cost"], answer["is_limited"])
        case "BUDGET":
            raise _budget_exceeded(answer["details"], model, stake)
        case "RATE":
            raise _limit_reached(answer["details"], stake)
        case "UNPRICED":
            raise PriceUnknown(
                f"{model} has no price, and there is a budget to be kept. Ask an administrator to "
                "set its prices with setModel, or name another model."
            )
        case "REAPED":
            raise EntryReaped(
                "This process was not heard of for so long that the completion was given up. "
                "Try again."
            )
        case _:
            assert_never(verdict)


def _budget_exceeded(details: Mapping[str, Any], model: str, stake: Stake) -> BudgetExceeded:
    scope, period = LimitScope(details["scope"]), BudgetPeriod(details["period"])
    amount, left = Decimal(details["amount"]), Decimal(details["left"])
    resets_at = datetime.fromisoformat(details["ends_at"])
    advice = "Lower maxTokens, use" if stake.output_tokens else "Send less, use"
    return BudgetExceeded(
        f"The budget {whose(scope, details['subject'])} of {in_words(amount)} per {_PER[period]} has "
        f"{in_words(left)} left, which is less than a call of {model} may cost. It resets at "
        f"{resets_at:%Y-%m-%dT%H:%M:%SZ}. {advice} a cheaper model, or ask an administrator to "
        "raise it.",
        retry_after_s=details["retry_after_ms"] / 1000,
        details=named(scope, details["subject"])
        | {
            "period": period.value,
            "limit": str(amount),
            "remaining": str(left),
            "resetsAt": f"{resets_at:%Y-%m-%dT%H:%M:%SZ}",
        },
    )


def _limit_reached(details: Mapping[str, Any], stake: Stake) -> LimitReached:
    scope, after_s = LimitScope(details["scope"]), details["retry_after_ms"] / 1000
    return LimitReached(
        f"The rate limit {whose(scope, details['subject'])} of {details['capacity']:,} tokens at "
        f"once and {details['per_minute']:,} per minute is used up: this takes about "
        f"{stake.expected_tokens:,}. Try again in {duration(after_s)}.",
        retry_after_s=after_s,
        details=named(scope, details["subject"]) | {"measure": "TOKENS"},
    )


def whose(scope: LimitScope, subject: str) -> str:
    """Whom a refusal is about, in words."""
    return f"{_WHOSE[scope]} {subject}" if subject else _WHOSE[scope]


def duration(seconds: float) -> str:
    """How long, as it is told to people: never too short."""
    for most, unit_s, unit in ((120, 1, "s"), (7_200, 60, "minutes"), (172_800, 3_600, "hours")):
        if seconds <= most:
            return f"{math.ceil(seconds / unit_s * 10) / 10:g} {unit}"
    return f"{math.ceil(seconds / 86_400 * 10) / 10:g} days"


def named(scope: LimitScope, subject: str) -> dict[str, str]:
    """Whom a refusal is about, as clients read it; an empty ``subject``: a whole tenant."""
    return {"scope": scope.value} | ({"subject": subject} if subject else {})

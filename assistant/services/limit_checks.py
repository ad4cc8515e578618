"""What an administrator may say of budgets and rate limits, and what is said of anything else.

Every check raises BadUserInput for all that is wrong, with the path of it inside the input. Messages
begin with the field at fault, so that it can be called as the one calls it who is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from assistant.domain.budget import MOST_ALERT_STEPS, BudgetDraft, LimitScope
from assistant.domain.caller import check_identifier
from assistant.domain.rate_limit import RateLimitDraft
from assistant.domain.values import check_text
from assistant.errors import BadUserInput

MAX_AMOUNT = Decimal(1_000_000_000_000)
MAX_RATE = 1_000_000_000

_MAX_STEP = 10
_MAX_REASON = 1_000
_NANO = Decimal("1e-9")


def check_budget(draft: BudgetDraft) -> None:
    """Refuse a budget of nobody who spends, and amounts that are none."""
    _raise_all(_budget_problems(draft))


def check_override(extra: Decimal, reason: str) -> None:
    """Refuse what would not raise a budget, and what nobody can look up later."""
    _raise_all(_override_problems(extra, reason))


def check_rate_limit(draft: RateLimitDraft) -> None:
    """Refuse a bucket that could never give anything."""
    _raise_all(_rate_limit_problems(draft))


def no_room(what: str, most: int) -> BadUserInput:
    """For a tenant that has ``most`` of them."""
    return BadUserInput(f"A tenant has at most {most:,} {what}. Delete some first.")


def _budget_problems(draft: BudgetDraft) -> Iterator[BadUserInput]:
    if draft.scope is LimitScope.API_KEY:
        yield BadUserInput(
            "A budget is for GLOBAL, SERVICE or USER: an API key is a credential, not a party that "
            "spends. Rate limits take API_KEY.",
            path=("scope",),
        )
    yield from _subject_problems(draft.scope, draft.subject)
    if not _is_amount(draft.amount):
        yield BadUserInput(
            f"limit must be 0 to {MAX_AMOUNT:,} USD, with at most 9 digits after the point.",
            path=("limit",),
        )
    if draft.alert_steps is not None:
        yield from _step_problems(draft.alert_steps)


def _step_problems(steps: tuple[Decimal, ...]) -> Iterator[BadUserInput]:
    path = ("alertSteps",)
    if not 1 <= len(steps) <= MOST_ALERT_STEPS:
        yield BadUserInput(f"alertSteps takes 1 to {MOST_ALERT_STEPS} steps.", path=path)
    elif any(not step.is_finite() or not 0 < step <= _MAX_STEP for step in steps):
        yield BadUserInput(
            f"alertSteps must be a share above 0 and up to {_MAX_STEP}, as in 0.8.", path=path
        )
    elif any(later <= step for step, later in pairwise(steps)):
        yield BadUserInput("alertSteps must ascend, without one that is there twice.", path=path)


def _override_problems(extra: Decimal, reason: str) -> Iterator[BadUserInput]:
    if not _is_amount(extra) or not extra:
        yield BadUserInput(
            f"extra must be more than 0 and at most {MAX_AMOUNT:,} USD, with at most 9 digits "
            "after the point. To lower a budget, set its limit.",
            path=("extra",),
        )
    try:
        check_text(reason, ("reason",))
    except BadUserInput as error:
        yield error
    if not reason.strip() or len(reason) > _MAX_REASON:
        yield BadUserInput(f"reason must have 1 to {_MAX_REASON:,} characters.", path=("reason",))


def _rate_limit_problems(draft: RateLimitDraft) -> Iterator[BadUserInput]:
    yield from _subject_problems(draft.scope, draft.subject)
    for value, field in ((draft.capacity, "capacity"), (draft.per_minute, "perMinute")):
        if not 1 <= value <= MAX_RATE:
            yield BadUserInput(f"{field} must be 1 to {MAX_RATE:,}.", path=(field,))


def _subject_problems(scope: LimitScope, subject: str | None) -> Iterator[BadUserInput]:
    if subject is None:
        return
    if scope is LimitScope.GLOBAL:
        yield BadUserInput(
            "subject must be left out of what is global: that is about all together.",
            path=("subject",),
        )
        return
    try:
        check_identifier(subject, "subject")
    except BadUserInput as error:
        yield error.within("subject")


def _is_amount(amount: Decimal) -> bool:
    try:
        return 0 <= amount <= MAX_AMOUNT and amount == amount.quantize(_NANO)
    except InvalidOperation:  # too many digits to be one
        return False


def _raise_all(found: Iterator[BadUserInput]) -> None:
    problems = list(found)
    if problems:
        raise BadUserInput.joined(problems)

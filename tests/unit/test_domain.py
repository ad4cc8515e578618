"""Rules of the domain that need nothing but values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from assistant.domain.caller import Caller, Scope, check_identifier, parse_scopes
from assistant.domain.completion import GenerationParameters
from assistant.domain.intervals import union_length
from assistant.domain.money import token_cost
from assistant.domain.usage import UsagePeriod, window_of
from assistant.domain.values import carriable, check_json, check_text
from assistant.errors import BadUserInput


def test_overlapping_intervals_count_once() -> None:
    assert union_length([(0, 2), (1, 3), (5, 6), (5.2, 5.4)]) == 4
    assert union_length([]) == 0


def test_cost_is_exact_to_the_last_digit() -> None:
    assert token_cost(1, 3, Decimal("0.50"), Decimal("1.50")) == Decimal("0.000005")
    assert token_cost(10**15, 1, Decimal("0.1"), Decimal("0.3")) == Decimal("100000000.0000003")


@pytest.mark.parametrize(
    ("period", "start"),
    [
        (UsagePeriod.TODAY, datetime(2024, 2, 29, tzinfo=UTC)),
        (UsagePeriod.THIS_WEEK, datetime(2024, 2, 26, tzinfo=UTC)),
        (UsagePeriod.THIS_MONTH, datetime(2024, 2, 1, tzinfo=UTC)),
        (UsagePeriod.LAST_24_HOURS, datetime(2024, 2, 28, 22, 30, tzinfo=UTC)),
        (UsagePeriod.LAST_7_DAYS, datetime(2024, 2, 22, 22, 30, tzinfo=UTC)),
        (UsagePeriod.LAST_30_DAYS, datetime(2024, 1, 30, 22, 30, tzinfo=UTC)),
        (UsagePeriod.LAST_90_DAYS, datetime(2023, 12, 1, 22, 30, tzinfo=UTC)),
    ],
)
def test_periods_are_seen_from_now_in_utc(period: UsagePeriod, start: datetime) -> None:
    elsewhere = datetime(2024, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    window = window_of(period, elsewhere)
    assert (window.start, window.end) == (start, datetime(2024, 2, 29, 22, 30, tzinfo=UTC))


def test_an_admin_may_everything_and_others_what_they_were_given() -> None:
    admin = Caller("t", "u", None, frozenset({Scope.ADMIN}))
    reader = Caller("t", "u", None, frozenset({Scope.USAGE_READ}))
    assert all(admin.may(scope) for scope in Scope)
    assert [scope for scope in Scope if reader.may(scope)] == [Scope.USAGE_READ]


def test_scopes_of_other_services_are_ignored() -> None:
    assert parse_scopes("openid assistant:complete,billing:read") == {Scope.COMPLETE}


@pytest.mark.parametrize("value", ["", " ", "-x", "a b", "a\nb", "x" * 129, "ä"])
def test_an_identifier_that_could_confuse_a_log_or_a_header_is_refused(value: str) -> None:
    with pytest.raises(BadUserInput):
        check_identifier(value, "x-tenant-id")


def test_parameters_of_the_request_win_over_those_of_the_prompt() -> None:
    asked = GenerationParameters(temperature=0.0, stop=())
    assert asked.over(GenerationParameters(temperature=1.0, max_tokens=5, stop=("x",))) == (
        GenerationParameters(temperature=0.0, max_tokens=5, stop=())
    )


def test_json_nested_without_end_is_refused() -> None:
    value: list[object] = []
    for _ in range(100):
        value = [value]
    with pytest.raises(BadUserInput, match="nested deeper"):
        check_json({"x": value}, ("variables",))  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("text", "carried"),
    [
        ("plain", "plain"),
        ("nul \x00", "nul \ufffd"),
        ("\x00é\ud800\ud800x", "\ufffdé\ufffd\ufffdx"),
        ("a\udc00b", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),
    ],
)
def test_what_cannot_be_carried_is_replaced_and_nothing_else_is(text: str, carried: str) -> None:
    assert carriable(text) == carried
    check_text(carried, ("text",))

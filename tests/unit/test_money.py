"""Money: exact to the last digit, never a float, and never nothing where nobody knows."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.completion import TokenUsage
from assistant.domain.model import Model, ModelCapability
from assistant.domain.money import cost_of, token_cost
from assistant.services.seeds import read_seeds
from tests.unit.fakes import model
from tests.unit.float_money import in_python, in_schema, in_sql

ROOT = Path(__file__).parents[2]
MOST_TOKENS = 100_000_000
PRICES = st.decimals(0, 1_000_000, places=9, allow_nan=False, allow_infinity=False)
TOKENS = st.integers(0, MOST_TOKENS)


def priced(input_price: str | None, output_price: str | None, cached: str | None = None) -> Model:
    def decimal(price: str | None) -> Decimal | None:
        return None if price is None else Decimal(price)

    return model(
        "openai/a",
        input_price=decimal(input_price),
        output_price=decimal(output_price),
        cached_input_price=decimal(cached),
        is_local=False,
    )


# ------------------------------------------------------------------ what tokens cost


@pytest.mark.parametrize(
    ("prices", "tokens", "cost"),
    [
        (("0.001", "0"), (1, 0, 0), "0.000000001"),
        (("0.001", "0.002"), (1, 1, 0), "0.000000003"),
        (("0.000000001", "0"), (1, 0, 0), "1E-15"),
        (("0.50", "1.50"), (1, 3, 0), "0.000005"),
        (("0.50", "1.50"), (16_385, 4_096, 0), "0.0143365"),
        (("0.15", "0.60", "0.075"), (1_000, 10, 900), "0.0000885"),
        (("0.15", "0.60", "0"), (1_000, 0, 1_000), "0"),
        (("1", "5", "3"), (10, 0, 10), "0.00003"),
        (("0.15", "0.60"), (1_000, 0, 900), "0.00015"),
        (("0.1", "0.3"), (MOST_TOKENS, 1, 0), "10.0000003"),
        (
            ("999999.999999999", "999999.999999999"),
            (MOST_TOKENS, MOST_TOKENS, 0),
            "199999999.9999998",
        ),
        (("0.123456789", "0.987654321"), (7, 13, 0), "0.000013703703696"),
    ],
)
def test_cost_is_exact_to_the_last_digit(
    prices: tuple[str, ...], tokens: tuple[int, int, int], cost: str
) -> None:
    prompt, completion, cached = tokens
    assert cost_of(priced(*prices), prompt, completion, cached_tokens=cached) == Decimal(cost)


@given(PRICES, PRICES, PRICES, TOKENS, TOKENS, TOKENS)
def test_no_price_and_no_count_that_is_allowed_is_ever_rounded(
    input_price: Decimal, output_price: Decimal, cached_price: Decimal, a: int, b: int, c: int
) -> None:
    prompt, cached = max(a, b), min(a, b)
    cost = token_cost(
        prompt, c, input_price, output_price, cached_tokens=cached, cached_input_price=cached_price
    )
    assert Fraction(cost) * 1_000_000 == (
        (prompt - cached) * Fraction(input_price)
        + cached * Fraction(cached_price)
        + c * Fraction(output_price)
    )


def test_many_costs_add_up_without_rounding() -> None:
    least = cost_of(priced("0.000000001", "0"), 1, 0)
    most = cost_of(priced("1000000", "1000000"), MOST_TOKENS, MOST_TOKENS)
    assert least is not None
    assert most is not None
    total = sum([TokenUsage(cost=least)] * 10 + [TokenUsage(cost=most)] * 10, TokenUsage()).cost
    with localcontext(prec=60):
        assert total == 10 * least + 10 * most


def test_the_shipped_turbo_costs_half_a_dollar_in_and_one_and_a_half_out() -> None:
    (turbo,) = (row for row in read_seeds().models if row.id == "openai/gpt-3.5-turbo")
    assert cost_of(turbo, 1_000_000, 0) == Decimal("0.50")
    assert cost_of(turbo, 0, 1_000_000) == Decimal("1.50")


# ------------------------------------------------------------------ what nobody knows


@pytest.mark.parametrize(
    ("prices", "tokens", "cost"),
    [
        ((None, None), (1, 1), None),
        ((None, "1"), (1, 0), None),
        (("1", None), (0, 1), None),
        (("1", None), (1, 1), None),
        # What is not asked for may be unknown.
        (("1", None), (1_000_000, 0), Decimal(1)),
        ((None, "1"), (0, 1_000_000), Decimal(1)),
        ((None, None), (0, 0), Decimal(0)),
    ],
)
def test_a_cost_is_unknown_where_a_price_that_it_takes_is(
    prices: tuple[str | None, str | None], tokens: tuple[int, int], cost: Decimal | None
) -> None:
    assert cost_of(priced(*prices), *tokens) == cost


def test_a_model_is_priced_where_both_prices_are_known_or_it_only_embeds() -> None:
    assert priced("0", "0").is_price_known
    assert not priced(None, "1").is_price_known
    assert not priced("1", None).is_price_known
    embeds = replace(priced("1", None), capabilities=frozenset({ModelCapability.EMBEDDING}))
    assert embeds.is_price_known
    assert not replace(embeds, input_price=None).is_price_known


def test_hosts_of_which_nobody_knows_what_they_cost_are_not_taken_to_cost_the_same() -> None:
    for prices in ((None, None), ("1", None), (None, "1")):
        assert not priced(*prices).is_twin_of(replace(priced(*prices), provider="other"))
    assert priced("1", "1").is_twin_of(replace(priced("1.0", "1"), provider="other"))


def test_a_sum_with_something_unpriced_in_it_is_not_priced() -> None:
    priced_usage = TokenUsage(cost=Decimal(1), reasoning_tokens=2)
    total = priced_usage + TokenUsage(is_priced=False, reasoning_tokens=3)
    assert (total.cost, total.is_priced, total.reasoning_tokens) == (Decimal(1), False, 5)
    assert (priced_usage + priced_usage).is_priced


# ------------------------------------------------------------------ never a float

# Prometheus has nothing else; `docs/operations.md` says that these are approximate.
SHOWN = {
    ("assistant/adapters/telemetry.py", "float(decision.saved_cost)"),
    ("assistant/adapters/telemetry.py", "float(usage.cost)"),
}


def test_no_money_in_the_service_goes_through_a_float() -> None:
    files = sorted((ROOT / "assistant").rglob("*.py"))
    assert len(files) > 100
    found = {
        (path.relative_to(ROOT).as_posix(), text)
        for path in files
        for _, text in in_python(path.read_text("utf-8"))
    }
    assert found == SHOWN


def test_no_money_in_the_schema_is_a_float() -> None:
    assert list(in_schema((ROOT / "schema.graphql").read_text("utf-8"))) == []


def test_no_money_in_the_database_is_a_float() -> None:
    folders = ("migrations/versions", "assistant/adapters/postgres")
    files = [path for folder in folders for path in (ROOT / folder).glob("*") if path.is_file()]
    assert len(files) > 30
    assert {
        (path.relative_to(ROOT).as_posix(), text)
        for path in files
        if path.suffix in (".py", ".sql")
        for text in in_sql(path.read_text("utf-8"))
    } == set()


@pytest.mark.parametrize(
    "source",
    [
        "x = float(cost)",
        "x = float(usage.saved_cost)",
        "x = float(row['cost'])",
        "x = float(total_cost + 1)",
        "x = float(sum_of(attempt.cost))",
        "x = float(-price or 0)",
        "cost: float = 0",
        "class A:\n    input_price: float | None",
        "class A:\n    budget_amount: dict[str, float]",
        "self.spent: float = 0",
        "def f(amount: float) -> None: ...",
        "def f(*, reserved: float | None = None) -> None: ...",
        "async def total_cost() -> float: ...",
        "x = cost * 0.8",
        "x = 1.25 * model.input_price",
        "cost = 0.0",
        "x = Decimal(0.1)",
    ],
)
def test_the_scan_finds_money_as_a_float_in_python(source: str) -> None:
    assert list(in_python(source))


@pytest.mark.parametrize(
    "source",
    [
        "x = float(seconds)",
        "cost: Decimal = Decimal(0)",
        "cost_margin: float = 0.5",
        "alert_share: float = 0.8",
        "x = cost * Decimal('0.8')",
        "def f(latency_s: float, cost: Decimal) -> None: ...",
        "x = Decimal('0.1')",
        "costly: float = 1",
    ],
)
def test_the_scan_lets_everything_else_pass(source: str) -> None:
    assert list(in_python(source)) == []


def test_the_scan_finds_money_as_a_float_in_a_schema() -> None:
    sdl = """
        type Usage { cost: Float! savedCost: Money! costMargin: Float seconds: Float }
        interface Priced { inputPricePer1MTokens: [Float!]! }
        input Budget { amount: Float alertSteps: [Float!] }
        type Query { spend(amount: Float!): Int }
    """
    assert list(in_schema(sdl)) == [
        "Usage.cost",
        "Priced.inputPricePer1MTokens",
        "Budget.amount",
        "Query.spend(amount)",
    ]


@pytest.mark.parametrize(
    "source",
    [
        "cost double precision NOT NULL",
        "saved_cost real",
        "SELECT cost::float8",
        "SELECT sum(cost)::double precision",
        "SELECT CAST(cost AS double precision)",
        "SELECT CAST(sum(l.cost) AS float)",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY cost)",
        "input_price\n    float4",
    ],
)
def test_the_scan_finds_money_as_a_float_in_sql(source: str) -> None:
    assert list(in_sql(source))


@pytest.mark.parametrize(
    "source",
    [
        "cost numeric NOT NULL, seconds double precision",
        "cost_margin double precision",
        "SELECT cost::numeric, latency_ms::float8",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms), sum(cost)",
    ],
)
def test_the_scan_lets_other_sql_pass(source: str) -> None:
    assert list(in_sql(source)) == []

"""Anthropic's usage and costs: pages of its Admin API, and the table of its Console.

Source: https://platform.claude.com/docs/en/api/admin/usage_report/retrieve_messages and
https://platform.claude.com/docs/en/api/admin/cost_report/retrieve; the table is "Export" on
https://platform.claude.com/usage. Input tokens come in parts that exclude each other: uncached, read
from the cache, written to it for 5 minutes or an hour. All of them are input here, as with our
adapter; those read are the cached ones. There are no counts of requests. Costs are in cents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ValidationError

from assistant.adapters.provider_usage.buckets import (
    Bucket,
    check_pages,
    repetitions,
    reported,
)
from assistant.adapters.provider_usage.contents import Pages, Table
from assistant.adapters.provider_usage.figures import Amount, Count, Name, refusal
from assistant.domain.completion import Operation
from assistant.domain.provider_usage import EXACT, Figures, Measure, ReportedUsage, UsageOfDay
from assistant.errors import BadUserInput

USAGE_COLUMNS = frozenset(
    {"usage_date_utc", "model_version", "usage_input_tokens_no_cache", "usage_output_tokens"}
)
_TOKENS = (Measure.INPUT_TOKENS, Measure.CACHED_INPUT_TOKENS, Measure.OUTPUT_TOKENS)


class _Written(BaseModel):
    ephemeral_5m_input_tokens: Count = 0
    ephemeral_1h_input_tokens: Count = 0


class _Messages(BaseModel):
    model: Name | None = None
    uncached_input_tokens: Count
    cache_read_input_tokens: Count
    cache_creation: _Written
    output_tokens: Count

    def figures(self) -> Figures:
        written = self.cache_creation
        return _figures(
            self.uncached_input_tokens,
            self.cache_read_input_tokens,
            written.ephemeral_5m_input_tokens + written.ephemeral_1h_input_tokens,
            self.output_tokens,
        )


class _Costs(BaseModel):
    amount: Amount
    currency: Literal["USD"]
    model: Name | None = None
    description: Name | None = None

    def figures(self) -> Figures:
        return {Measure.COST: EXACT.divide(self.amount, Decimal(100))}


class _Bucket(BaseModel):
    starting_at: AwareDatetime
    ending_at: AwareDatetime
    results: list[dict[str, Any]]


class _Page(BaseModel):
    data: list[_Bucket]
    has_more: bool = False


class _Row(BaseModel):
    """A row of the Console's table; its older form did not tell 5 minutes from an hour."""

    model_version: Name
    usage_input_tokens_no_cache: Count
    usage_input_tokens_cache_read: Count = 0
    usage_input_tokens_cache_write: Count = 0
    usage_input_tokens_cache_write_5m: Count = 0
    usage_input_tokens_cache_write_1h: Count = 0
    usage_output_tokens: Count

    def figures(self) -> Figures:
        return _figures(
            self.usage_input_tokens_no_cache,
            self.usage_input_tokens_cache_read,
            self.usage_input_tokens_cache_write
            + self.usage_input_tokens_cache_write_5m
            + self.usage_input_tokens_cache_write_1h,
            self.usage_output_tokens,
        )


def _figures(uncached: int, read: int, written: int, output: int) -> Figures:
    return {
        Measure.INPUT_TOKENS: Decimal(uncached + read + written),
        Measure.CACHED_INPUT_TOKENS: Decimal(read),
        Measure.OUTPUT_TOKENS: Decimal(output),
    }


def read_anthropic_pages(pages: Pages) -> ReportedUsage:
    """Raises: BadUserInput."""
    buckets: list[Bucket] = []
    found: list[tuple[Bucket, str, Mapping[str, Any]]] = []
    has_more = False
    for number, raw in enumerate(pages, start=1):
        try:
            page = _Page.model_validate(raw)
        except ValidationError as error:
            raise refusal(error, f"page {number}") from error
        has_more = page.has_more
        for each in page.data:
            bucket = Bucket(each.starting_at, each.ending_at)
            buckets.append(bucket)
            found += [(bucket, f"page {number}, {bucket}", result) for result in each.results]
    check_pages(buckets)
    are_costs = ["amount" in raw for _, _, raw in found]
    if any(are_costs) and not all(are_costs):
        raise BadUserInput("has both usage and costs in it; compare them one by one")
    is_costs = any(are_costs)
    return reported(
        "Anthropic's costs" if is_costs else "Anthropic's usage of messages",
        (Measure.COST,) if is_costs else _TOKENS,
        None if is_costs else Operation.CHAT,
        [_costs(each) if is_costs else _messages(each) for each in found],
        buckets,
        is_cut_off=has_more,
        repeated=repetitions({**raw, "": (b.start, b.end)} for b, _, raw in found),
    )


def _messages(found: tuple[Bucket, str, Mapping[str, Any]]) -> UsageOfDay:
    bucket, where, raw = found
    try:
        result = _Messages.model_validate(raw)
    except ValidationError as error:
        raise refusal(error, where) from error
    if result.model is None:
        raise BadUserInput(f"{where}: says no model: fetch it with group_by[]=model")
    return UsageOfDay(result.model, bucket.day, result.figures())


def _costs(found: tuple[Bucket, str, Mapping[str, Any]]) -> UsageOfDay:
    """Of what is no model's, as searches of the web, the description stands for the model."""
    bucket, where, raw = found
    try:
        result = _Costs.model_validate(raw)
    except ValidationError as error:
        raise refusal(error, where) from error
    name = result.model or result.description
    if name is None:
        raise BadUserInput(f"{where}: says no model: fetch it with group_by[]=description")
    return UsageOfDay(name, bucket.day, result.figures())


def read_anthropic_table(table: Table) -> ReportedUsage:
    """Raises: BadUserInput."""
    days: list[Bucket] = []
    rows: list[UsageOfDay] = []
    for number, raw in enumerate(table.rows, start=2):
        where = f"row {number}"
        day = _day(raw["usage_date_utc"], where)
        try:
            row = _Row.model_validate({name: value for name, value in raw.items() if value})
        except ValidationError as error:
            raise refusal(error, where) from error
        days.append(day)
        rows.append(UsageOfDay(row.model_version, day.day, row.figures()))
    return _of_table(days, rows, table.rows)


def _of_table(
    days: Sequence[Bucket], rows: Sequence[UsageOfDay], raw: Sequence[Mapping[str, str]]
) -> ReportedUsage:
    return reported(
        "Anthropic's table of usage",
        _TOKENS,
        Operation.CHAT,
        rows,
        days,
        repeated=repetitions(raw),
    )


def _day(text: str, where: str) -> Bucket:
    """Of a date, or of a time, which is of UTC as the column says: its day."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadUserInput(f"{where}: usage_date_utc: is no date") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return Bucket(start, start + timedelta(days=1))
    except OverflowError:
        raise BadUserInput(f"{where}: usage_date_utc: is no date") from None

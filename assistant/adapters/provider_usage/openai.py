"""OpenAI's usage and costs: pages of its API for organizations, and the tables of its dashboard.

Source: https://platform.openai.com/docs/api-reference/usage (completions, embeddings, costs) and
https://cookbook.openai.com/examples/completions_usage_api for how pages follow each other. The
tables, "Export" on https://platform.openai.com/usage, are the same fields with ``start_time`` and
``end_time`` in each row, whole numbers as ``59200.0``, and empty rows for days without usage.
Input tokens include cached ones. Line items of costs are ``gpt-4o-mini-2024-07-18, cached input``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, Field, TypeAdapter, ValidationError

from assistant.adapters.provider_usage.buckets import (
    Bucket,
    check_pages,
    moment_of_seconds,
    repetitions,
    reported,
)
from assistant.adapters.provider_usage.contents import Pages, Table
from assistant.adapters.provider_usage.figures import Amount, Count, Name, refusal
from assistant.domain.completion import Operation
from assistant.domain.provider_usage import Figures, Measure, ReportedUsage, UsageOfDay
from assistant.errors import BadUserInput

USAGE_COLUMNS = frozenset({"start_time", "end_time", "model", "num_model_requests", "input_tokens"})
COST_COLUMNS = frozenset({"start_time", "end_time", "amount_value", "line_item"})


class _Completions(BaseModel):
    object: Literal["organization.usage.completions.result"]
    model: Name | None = None
    num_model_requests: Count
    input_tokens: Count
    input_cached_tokens: Count | None = None
    output_tokens: Count

    def figures(self) -> Figures:
        return {
            Measure.REQUESTS: Decimal(self.num_model_requests),
            Measure.INPUT_TOKENS: Decimal(self.input_tokens),
            Measure.CACHED_INPUT_TOKENS: Decimal(self.input_cached_tokens or 0),
            Measure.OUTPUT_TOKENS: Decimal(self.output_tokens),
        }


class _Embeddings(BaseModel):
    object: Literal["organization.usage.embeddings.result"]
    model: Name | None = None
    num_model_requests: Count
    input_tokens: Count

    def figures(self) -> Figures:
        return {
            Measure.REQUESTS: Decimal(self.num_model_requests),
            Measure.INPUT_TOKENS: Decimal(self.input_tokens),
        }


class _Money(BaseModel):
    value: Amount
    currency: Literal["usd", "USD"]


class _Costs(BaseModel):
    object: Literal["organization.costs.result"]
    amount: _Money
    line_item: Name | None = None

    @property
    def model(self) -> str | None:
        """What stands before the last comma; what has no model's form is kept as it is."""
        if self.line_item is None or "," not in self.line_item or "|" in self.line_item:
            return self.line_item
        return self.line_item.rpartition(",")[0].strip()

    def figures(self) -> Figures:
        return {Measure.COST: self.amount.value}


_Result = Annotated[_Completions | _Embeddings | _Costs, Field(discriminator="object")]


class _Bucket(BaseModel):
    start_time: Count
    end_time: Count
    # The specification of the API says `result`, the API `results`.
    results: list[dict[str, Any]] = Field(validation_alias=AliasChoices("results", "result"))


class _Page(BaseModel):
    data: list[_Bucket]
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class _Kind:
    source: str
    measures: tuple[Measure, ...]
    operation: str | None
    group_by: str


_TOKENS = (
    Measure.REQUESTS,
    Measure.INPUT_TOKENS,
    Measure.CACHED_INPUT_TOKENS,
    Measure.OUTPUT_TOKENS,
)
_KINDS = {
    _Completions: _Kind("OpenAI's usage of completions", _TOKENS, Operation.CHAT, "model"),
    _Embeddings: _Kind(
        "OpenAI's usage of embeddings",
        (Measure.REQUESTS, Measure.INPUT_TOKENS),
        Operation.EMBEDDINGS,
        "model",
    ),
    _Costs: _Kind("OpenAI's costs", (Measure.COST,), None, "line_item"),
}
_RESULT: TypeAdapter[_Completions | _Embeddings | _Costs] = TypeAdapter(_Result)


def read_openai_pages(pages: Pages) -> ReportedUsage:
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
            bucket = _bucket(each.start_time, each.end_time)
            buckets.append(bucket)
            found += [(bucket, f"page {number}, {bucket}", result) for result in each.results]
    check_pages(buckets)
    return _read(found, buckets, is_cut_off=has_more)


def read_openai_table(table: Table) -> ReportedUsage:
    """Raises: BadUserInput."""
    is_costs = table.columns >= COST_COLUMNS
    has_output = "output_tokens" in table.columns
    buckets: list[Bucket] = []
    found: list[tuple[Bucket, str, Mapping[str, Any]]] = []
    for number, row in enumerate(table.rows, start=2):
        where = f"row {number}"
        try:
            times = _Bucket.model_validate({**row, "results": []})
        except ValidationError as error:
            raise refusal(error, where) from error
        bucket = _bucket(times.start_time, times.end_time)
        buckets.append(bucket)
        result: dict[str, Any] = {name: value for name, value in row.items() if value}
        if is_costs:
            if "amount_value" not in result:
                continue  # a day without costs
            result["object"] = "organization.costs.result"
            result["amount"] = {
                "value": result["amount_value"],
                "currency": result.get("amount_currency", "usd"),
            }
        else:
            if "model" not in result and "num_model_requests" not in result:
                continue  # a day without usage
            kind = "completions" if has_output else "embeddings"
            result["object"] = f"organization.usage.{kind}.result"
        found.append((bucket, where, result))
    return _read(found, buckets, is_cut_off=False)


def _bucket(start_s: int, end_s: int) -> Bucket:
    return Bucket(moment_of_seconds(start_s), moment_of_seconds(end_s))


def _read(
    found: list[tuple[Bucket, str, Mapping[str, Any]]], buckets: list[Bucket], *, is_cut_off: bool
) -> ReportedUsage:
    kinds = set()
    rows = []
    for bucket, where, raw in found:
        try:
            result = _RESULT.validate_python(raw)
        except ValidationError as error:
            raise refusal(error, where) from error
        kind = _KINDS[type(result)]
        if result.model is None:
            raise BadUserInput(
                f"{where}: says no {kind.group_by}: fetch it with group_by={kind.group_by}"
            )
        kinds.add(type(result))
        rows.append(UsageOfDay(result.model, bucket.day, result.figures()))
    if len(kinds) > 1:
        raise BadUserInput(
            f"has more than one kind in it: {', '.join(_names(kinds))}; compare them one by one"
        )
    kind = _KINDS[kinds.pop() if kinds else _Completions]
    return reported(
        kind.source,
        kind.measures,
        kind.operation,
        rows,
        buckets,
        is_cut_off=is_cut_off,
        repeated=repetitions({**raw, "": (b.start, b.end)} for b, _, raw in found),
    )


def _names(kinds: set[Any]) -> Iterator[str]:
    yield from sorted(_KINDS[kind].source for kind in kinds)

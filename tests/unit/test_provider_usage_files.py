"""Files of providers: what is read from them, and how what is wrong with them is said.

Written by hand after the documents that the readers name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from assistant.adapters.provider_usage.contents import MOST_BYTES
from assistant.adapters.provider_usage.formats import UsageFormat, read_reported_usage
from assistant.domain.provider_usage import Measure, ReportedUsage, UsageOfDay
from assistant.errors import BadUserInput

FIRST, SECOND = date(2026, 11, 1), date(2026, 11, 2)
REQUESTS, INPUT, CACHED, OUTPUT, COST = Measure

Read = Callable[[str], ReportedUsage]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(text: str) -> ReportedUsage:
        file = tmp_path / "usage"
        file.write_text(text)
        return read_reported_usage(file)

    return read


@pytest.fixture
def refused(tmp_path: Path, read: Read) -> Callable[[str], str]:
    def refused(text: str) -> str:
        with pytest.raises(BadUserInput) as raised:
            read(text)
        return raised.value.message.removeprefix(f"{tmp_path / 'usage'}: ")

    return refused


def seconds(day: date, hour: int = 0) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp())


def completions(model: str | None = "gpt-4o-2024-08-06", **changes: Any) -> dict[str, Any]:
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "output_tokens": 500,
        "input_cached_tokens": 800,
        "input_audio_tokens": 0,
        "output_audio_tokens": 0,
        "num_model_requests": 5,
        "project_id": None,
        "user_id": None,
        "api_key_id": None,
        "model": model,
        "batch": None,
    } | changes


def bucket(day: date, *results: dict[str, Any], start: int = 0, hours: int = 24) -> dict[str, Any]:
    return {
        "object": "bucket",
        "start_time": seconds(day, start),
        "end_time": seconds(day, start) + 3600 * hours,
        "results": list(results),
    }


def page(*buckets: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    next_page = "page_AAAAAGdGxdEiJdKOAAAAAGcqsYA=" if has_more else None
    return {"object": "page", "data": list(buckets), "has_more": has_more, "next_page": next_page}


def messages(model: str | None = "claude-haiku-4-5-20251001", **changes: Any) -> dict[str, Any]:
    return {
        "uncached_input_tokens": 1500,
        "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
        "cache_read_input_tokens": 200,
        "output_tokens": 500,
        "server_tool_use": {"web_search_requests": 10},
        "api_key_id": "apikey_01Rj2N8SVvo6BePZj99NhmiT",
        "workspace_id": "wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ",
        "model": model,
        "service_tier": "standard",
        "context_window": "0-200k",
    } | changes


def report(*results: dict[str, Any], day: date = FIRST, has_more: bool = False) -> dict[str, Any]:
    return {
        "data": [
            {
                "starting_at": f"{day}T00:00:00Z",
                "ending_at": f"{day.replace(day=day.day + 1)}T00:00:00Z",
                "results": list(results),
            }
        ],
        "has_more": has_more,
        "next_page": None,
    }


def figures(requests: int, prompt: int, cached: int, output: int) -> dict[Measure, Decimal]:
    values = (requests, prompt, cached, output)
    return dict(zip((REQUESTS, INPUT, CACHED, OUTPUT), map(Decimal, values), strict=True))


# ---------------------------------------------------------------------------- OpenAI


PAGES = [page(bucket(FIRST, completions()), has_more=True), page(bucket(SECOND))]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PAGES),
        "\n".join(map(json.dumps, PAGES)),
        "".join(json.dumps(each, indent=2) for each in PAGES) + "\n",
        "\ufeff" + json.dumps([each for one in PAGES for each in one["data"]]),
    ],
    ids=["a list", "lines", "one behind the other", "their buckets"],
)
def test_pages_of_openai_are_read_however_they_were_put_together(read: Read, text: str) -> None:
    assert read(text) == ReportedUsage(
        source="OpenAI's usage of completions",
        measures=(REQUESTS, INPUT, CACHED, OUTPUT),
        operation="chat",
        rows=(UsageOfDay("gpt-4o-2024-08-06", FIRST, figures(5, 1000, 800, 500)),),
        first_day=FIRST,
        last_day=SECOND,
    )


def test_hours_are_of_their_day(read: Read) -> None:
    hours = [bucket(FIRST, completions(), start=hour, hours=1) for hour in (0, 23)]
    assert [row.day for row in read(json.dumps(page(*hours))).rows] == [FIRST, FIRST]


def test_embeddings_have_neither_answers_nor_cached_tokens(read: Read) -> None:
    result = {
        "object": "organization.usage.embeddings.result",
        "input_tokens": 16,
        "num_model_requests": 2,
        "model": "text-embedding-3-small",
    }
    found = read(json.dumps(page(bucket(FIRST, result))))
    assert (found.measures, found.operation) == ((REQUESTS, INPUT), "embeddings")
    assert found.rows[0].figures == {REQUESTS: 2, INPUT: 16}


def test_costs_are_exact_and_of_the_model_that_their_line_names(read: Read) -> None:
    def costs(value: object, line: str) -> dict[str, Any]:
        amount = {"value": value, "currency": "usd"}
        return {"object": "organization.costs.result", "amount": amount, "line_item": line}

    text = json.dumps(
        page(
            bucket(
                FIRST,
                costs("0.0000045000000000000000000000000000001", "gpt-4o-mini-2024-07-18, input"),
                costs("@", "gpt-4o-mini-2024-07-18, cached input"),
                costs("-0.5", "evals | gpt-4o-mini-2024-07-18, input"),
                costs("1", "web search tool calls"),
            )
        )
    ).replace('"@"', "0.1")
    found = read(text)
    assert (found.measures, found.operation) == ((COST,), None)
    assert [(row.model, row.figures[COST]) for row in found.rows] == [
        ("gpt-4o-mini-2024-07-18", Decimal("0.0000045000000000000000000000000000001")),
        ("gpt-4o-mini-2024-07-18", Decimal("0.1")),
        ("evals | gpt-4o-mini-2024-07-18, input", Decimal("-0.5")),
        ("web search tool calls", Decimal(1)),
    ]


USAGE_TABLE = f"""\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens
{seconds(FIRST)},{seconds(SECOND)},2026-11-01T00:00:00+00:00,2026-11-02T00:00:00+00:00,proj_4B,10.0,user-dA,key_OY,gpt-4o-2024-08-06,FALSE,default,59200.0,10646.0,5760.0,53440.0
{seconds(SECOND)},{seconds(SECOND) + 86400},2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,,,,,,,,,,,
"""


@pytest.mark.parametrize("separator", [",", "\t"])
def test_the_table_of_openais_dashboard_is_read(read: Read, separator: str) -> None:
    found = read(USAGE_TABLE.replace(",", separator).replace("\n", "\r\n"))
    assert found.rows == (UsageOfDay("gpt-4o-2024-08-06", FIRST, figures(10, 59200, 5760, 10646)),)
    assert (found.first_day, found.last_day) == (FIRST, SECOND)


def test_the_table_of_openais_costs_is_read(read: Read) -> None:
    found = read(
        "start_time,end_time,amount_value,amount_currency,line_item\n"
        f'{seconds(FIRST)},{seconds(SECOND)},0.8958740000000000,usd,"gpt-5, output"\n'
        f"{seconds(SECOND)},{seconds(SECOND) + 86400},,,\n"
    )
    assert found.rows == (UsageOfDay("gpt-5", FIRST, {COST: Decimal("0.895874")}),)


# ------------------------------------------------------------------------- Anthropic


def test_all_kinds_of_anthropics_input_are_input_and_what_was_read_is_cached(read: Read) -> None:
    found = read(json.dumps(report(messages())))
    assert found == ReportedUsage(
        source="Anthropic's usage of messages",
        measures=(INPUT, CACHED, OUTPUT),
        operation="chat",
        rows=(
            UsageOfDay("claude-haiku-4-5-20251001", FIRST, {INPUT: 3200, CACHED: 200, OUTPUT: 500}),
        ),
        first_day=FIRST,
        last_day=FIRST,
    )


def test_anthropics_costs_are_in_cents(read: Read) -> None:
    line = {"amount": "123.45", "currency": "USD", "cost_type": "tokens", "description": "Haiku"}
    search = line | {"amount": "1", "model": None, "description": "Web Search Usage"}
    found = read(json.dumps(report(line | {"model": "claude-haiku-4-5-20251001"}, search)))
    assert found.measures == (COST,)
    assert [(row.model, row.figures[COST]) for row in found.rows] == [
        ("claude-haiku-4-5-20251001", Decimal("1.2345")),
        ("Web Search Usage", Decimal("0.01")),
    ]


CONSOLE_TABLE = """\
usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,web_search_count,inference_geo,speed
2026-11-01,claude-haiku-4-5-20251001,"an app, mine",Default,standard,≤ 200k,46981,15969,4,50,16932,0,global,
2026-11-02 15:00,claude-haiku-4-5-20251001,other,Default,standard,≤ 200k,1,0,0,0,2,0,global,
"""


def test_the_table_of_anthropics_console_is_read(read: Read) -> None:
    found = read(CONSOLE_TABLE)
    assert found.rows == (
        UsageOfDay("claude-haiku-4-5-20251001", FIRST, {INPUT: 63004, CACHED: 50, OUTPUT: 16932}),
        UsageOfDay("claude-haiku-4-5-20251001", SECOND, {INPUT: 1, CACHED: 0, OUTPUT: 2}),
    )
    assert (found.first_day, found.last_day) == (FIRST, SECOND)


# --------------------------------------------------------------- what is wrong with them


def test_a_file_that_ends_before_the_usage_does_says_so(read: Read) -> None:
    for text in (json.dumps(page(bucket(FIRST), has_more=True)), json.dumps(report(has_more=True))):
        assert read(text).is_cut_off
    for text in (json.dumps(page(bucket(FIRST))), json.dumps(PAGES)):
        assert not read(text).is_cut_off


def test_rows_that_are_alike_are_counted_and_pointed_out(read: Read) -> None:
    found = read(json.dumps(page(bucket(FIRST, completions(), completions()))))
    assert len(found.rows) == 2
    assert found.notes == (
        "Rows of the file that are like another one in everything, and counted: 1",
    )


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (page(bucket(FIRST), bucket(FIRST)), "2026-11-02T00:00:00+00:00 is in it 2 times"),
        ([page(bucket(FIRST))] * 3, "2026-11-02T00:00:00+00:00 is in it 3 times"),
        (page(bucket(FIRST), bucket(FIRST, hours=1)), "hours and days are mixed"),
        (page(bucket(FIRST, start=12)), "is in more than one day of UTC"),
        (page(bucket(FIRST, hours=168)), "is in more than one day of UTC"),
        (page(bucket(FIRST, hours=0)), "ends before it begins"),
        (page(bucket(FIRST, completions(None))), "says no model: fetch it with group_by=model"),
        (report(messages(None)), "says no model: fetch it with group_by[]=model"),
        (page(bucket(FIRST, completions(input_tokens=-1))), "input_tokens: is no count from 0 to"),
        (page(bucket(FIRST, completions(input_tokens=10**30))), "input_tokens: is no count from"),
        (page(bucket(FIRST, completions(input_tokens=1.5))), "input_tokens: is no count from 0"),
        (page(bucket(FIRST, completions(input_tokens=True))), "input_tokens: is no count"),
        (page(bucket(FIRST, completions(input_tokens="many"))), "input_tokens: is no count"),
        (page(bucket(FIRST, completions(output_tokens=None))), "output_tokens: is no count"),
        (page(bucket(FIRST, completions("a\x1b[2Jb"))), "model: is no name"),
        (page(bucket(FIRST, completions(object="organization.usage.images.result"))), "does not"),
        (page({"start_time": 10**18, "end_time": 10**18 + 1, "results": []}), "is no time"),
        (page({"start_time": 0, "results": []}), "data.0.end_time: Field required"),
        (report(messages(cache_creation=None)), "cache_creation: "),
        ({"data": [{"starting_at": "2026-11-01", "ending_at": "x", "results": []}]}, "starting_at"),
        ({"error": {"message": "Incorrect API key"}}, "is no usage file of OpenAI or Anthropic"),
        ([1, 2], "something other than pages of usage"),
        ([], "is no usage file of OpenAI or Anthropic"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    refused: Callable[[str], str], contents: object, said: str
) -> None:
    message = refused(json.dumps(contents))
    assert said in message
    assert "\n" not in message and len(message) < 400


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(PAGES)[:-40], "line 1, column "),
        ('{"object": "page", "data": [', "line 1, column "),
        ('{"data": [NaN]}', "a number that is too long"),
        (f'{{"data": [{"9" * 5000}]}}', "a number that is too long"),
        ("[" * 100_000, "lists in too many lists"),
        ("", "is no usage file"),
        ("day;model;tokens\n2026-11-01;gpt-4o;5\n", "is no usage file"),
        (USAGE_TABLE.replace("59200.0,", ""), "line 2 has 14 columns, and the first 15"),
        (USAGE_TABLE.replace("59200.0", "NaN"), "row 2: organization.usage.completions.result"),
        (USAGE_TABLE.replace("59200.0", '"59200'), "is not CSV"),
        (USAGE_TABLE.replace("user_id", "model"), "two columns of the same name"),
        (CONSOLE_TABLE.replace("2026-11-01,", "yesterday,"), "row 2: usage_date_utc: is no date"),
        (CONSOLE_TABLE.replace("46981", ""), "row 2: usage_input_tokens_no_cache: Field required"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(
    refused: Callable[[str], str], text: str, said: str
) -> None:
    message = refused(text)
    assert said in message
    assert "\n" not in message and len(message) < 400


def test_usage_and_costs_in_one_file_are_refused(refused: Callable[[str], str]) -> None:
    costs = {
        "object": "organization.costs.result",
        "amount": {"value": 1, "currency": "usd"},
        "line_item": "gpt-5, input",
    }
    assert "more than one kind" in refused(json.dumps(page(bucket(FIRST, completions(), costs))))
    costs = {"amount": "1", "currency": "USD", "model": "claude-haiku-4-5"}
    assert "both usage and costs" in refused(json.dumps(report(messages(), costs)))


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for file, said in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file")):
        with pytest.raises(BadUserInput, match=f"cannot be read: {said}"):
            read_reported_usage(file)
    (tmp_path / "utf-16").write_bytes(USAGE_TABLE.encode("utf-16"))
    with pytest.raises(BadUserInput, match="is not UTF-8 text"):
        read_reported_usage(tmp_path / "utf-16")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(MOST_BYTES + 1)
    with pytest.raises(BadUserInput, match="more than 256 MiB"):
        read_reported_usage(tmp_path / "large")


def test_a_file_of_another_than_was_said_is_refused(tmp_path: Path) -> None:
    (tmp_path / "usage").write_text(CONSOLE_TABLE)
    with pytest.raises(BadUserInput, match="is of anthropic, as it looks, and not of openai"):
        read_reported_usage(tmp_path / "usage", UsageFormat.OPENAI)

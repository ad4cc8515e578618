"""What is in a log line, and what never is."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from graphql import GraphQLError, Source

from assistant.adapters.logging import configure_logging
from assistant.adapters.postgres.errors import DatabaseStartError
from assistant.errors import NotFound, StorageUnavailable
from assistant.settings import Settings

log = structlog.get_logger(__name__)

# Computed, because a traceback rightly quotes the source lines of this file.
WISH = "secret wish".upper()


class Stream(io.StringIO):
    """Standard error, on a terminal or not."""

    is_terminal = False
    failure: OSError | None = None

    def write(self, text: str) -> int:
        if self.failure is not None:
            raise self.failure
        return super().write(text)

    def isatty(self) -> bool:
        return self.is_terminal

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def line(self) -> dict[str, Any]:
        (line,) = self.lines()
        return line


@pytest.fixture
def stream() -> Iterator[Stream]:
    """Where the lines go; what configure_logging changes is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Stream()
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def lines(stream: Stream) -> Stream:
    configure_logging(Settings(log_format="json"), stream)
    return stream


class CallersText(Exception):
    """An error of a library that quotes its input."""


def test_a_line_is_json_with_its_identity_in_a_fixed_order(lines: Stream) -> None:
    structlog.contextvars.bind_contextvars(request_id="r-1", trace_id="a" * 32)
    log.info("prompt_published", version=3, prompt_name="summarize")
    line = lines.line()
    assert list(line)[:5] == ["timestamp", "level", "event", "request_id", "trace_id"]
    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() == UTC.utcoffset(None)
    assert line == {
        "level": "info",
        "event": "prompt_published",
        "request_id": "r-1",
        "trace_id": "a" * 32,
        "version": 3,
        "prompt_name": "summarize",
    }


def test_outside_a_request_the_identity_is_null(lines: Stream) -> None:
    log.warning("cache_unavailable")
    assert lines.line()["request_id"] is None
    assert lines.line()["trace_id"] is None


@pytest.mark.parametrize(
    ("log_format", "is_terminal", "is_json"),
    [
        ("auto", False, True),
        ("auto", True, False),
        ("json", True, True),
        ("console", False, False),
    ],
)
def test_auto_is_for_people_on_a_terminal_and_for_machines_elsewhere(
    stream: Stream, log_format: Any, is_terminal: bool, is_json: bool
) -> None:
    stream.is_terminal = is_terminal
    configure_logging(Settings(log_format=log_format), stream)
    log.info("started", port=8090)
    assert stream.getvalue().startswith("{") is is_json
    assert "8090" in stream.getvalue()
    assert ("\x1b[" in stream.getvalue()) is (is_terminal and not is_json)


def test_below_the_level_nothing_is_said(stream: Stream) -> None:
    configure_logging(Settings(log_format="json", log_level="warning"), stream)
    log.debug("detail")
    log.info("normal")
    logging.getLogger("uvicorn.error").info("Started server process")
    assert stream.getvalue() == ""


def test_configuring_again_replaces_the_first(stream: Stream) -> None:
    configure_logging(Settings(log_format="json"), stream)
    log.info("to_the_first")
    second = Stream()
    configure_logging(Settings(log_format="json"), second)
    log.info("to_the_second")
    logging.getLogger("alembic").info("migrated")
    assert [line["event"] for line in stream.lines()] == ["to_the_first"]
    assert [line["event"] for line in second.lines()] == ["to_the_second", "migrated"]


# ------------------------------------------------------------------- libraries


@pytest.mark.parametrize("failure", [BrokenPipeError(), OSError(28, "No space left on device")])
def test_a_line_that_cannot_be_written_harms_nobody_and_the_next_one_is_written(
    stream: Stream, failure: OSError
) -> None:
    configure_logging(Settings(), stream)
    stream.failure = failure
    log.info("lost")
    logging.getLogger("uvicorn.error").info("lost")

    stream.failure = None
    log.info("written")

    assert stream.line()["event"] == "written"


def test_a_librarys_line_takes_the_same_path(lines: Stream) -> None:
    structlog.contextvars.bind_contextvars(request_id="r-1", trace_id="b" * 32)
    logging.getLogger("sqlalchemy.pool").warning("Pool exhausted, %d waiting", 7)
    line = lines.line()
    assert (line["level"], line["event"]) == ("warning", "Pool exhausted, 7 waiting")
    assert (line["logger"], line["request_id"]) == ("sqlalchemy.pool", "r-1")


def test_at_debug_libraries_still_keep_their_parameters_to_themselves(stream: Stream) -> None:
    configure_logging(Settings(log_format="json", log_level="debug"), stream)
    logging.getLogger("sqlalchemy.engine").info("[parameters: ('the prompt',)]")
    logging.getLogger("httpx").debug("HTTP Request: POST http://key@example.test")
    log.debug("ours")
    assert [line["event"] for line in stream.lines()] == ["ours"]


def test_what_uvicorn_had_set_up_for_itself_is_undone(stream: Stream) -> None:
    theirs = logging.getLogger("uvicorn.error")
    theirs.setLevel(logging.CRITICAL)
    theirs.addHandler(logging.NullHandler())
    configure_logging(Settings(log_format="json"), stream)
    theirs.info("Started server process")
    assert stream.line()["event"] == "Started server process"
    assert theirs.handlers == []


def test_uvicorns_own_access_lines_are_left_to_the_request_log(lines: Stream) -> None:
    logging.getLogger("uvicorn.access").info('%s - "%s %s"', "addr", "GET", "/graphql?query=q")
    logging.getLogger("uvicorn.error").info('%s - "WebSocket %s" [accepted]', "addr", "/g?token=t")
    logging.getLogger("uvicorn.error").info("Uvicorn running on %s", "http://127.0.0.1:8090")
    assert lines.line()["event"] == "Uvicorn running on http://127.0.0.1:8090"


def test_a_migration_is_a_line_and_what_alembic_assumes_is_none(lines: Stream) -> None:
    alembic = logging.getLogger("alembic.runtime.migration")
    alembic.info("Context impl %s.", "PostgresqlImpl")
    alembic.info("Running upgrade 0001 -> 0002")
    assert lines.line()["event"] == "Running upgrade 0001 -> 0002"


def test_a_graphql_error_given_as_the_message_does_not_quote_the_document(lines: Stream) -> None:
    error = GraphQLError(WISH, source=Source(f'{{ ask(text: "{WISH}") }}'), positions=[2])
    logging.getLogger("strawberry.execution").error(error, exc_info=error)
    assert WISH not in lines.getvalue()
    assert lines.line()["event"] == "graphql.error.graphql_error.GraphQLError"


async def test_an_exception_nobody_awaited_is_logged_without_its_text(lines: Stream) -> None:
    async def fail() -> None:
        raise CallersText(WISH)

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    line = lines.line()
    assert line["event"] == "Task exception was never retrieved"
    assert "CallersText" in line["exception"]
    assert WISH not in lines.getvalue()


def test_a_warning_is_a_line_like_any_other(lines: Stream) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)
    assert lines.line()["logger"] == "py.warnings"
    assert "DeprecationWarning: soon gone" in lines.line()["event"]


# ------------------------------------------------------------------ exceptions


def test_an_exception_shows_where_and_what_kind_but_not_its_text(lines: Stream) -> None:
    def deep(text: str) -> None:
        raise CallersText(text)

    try:
        deep(WISH)
    except CallersText:
        log.exception("completion_defect")
    line = lines.line()
    assert "in deep" in line["exception"]
    assert line["exception"].endswith("CallersText")
    assert WISH not in lines.getvalue()


@pytest.mark.parametrize("kind", [StorageUnavailable, DatabaseStartError])
def test_our_own_message_is_shown(lines: Stream, kind: type[Exception]) -> None:
    log.error("start_failed", exc_info=kind("The database does not answer."))
    assert lines.line()["exception"].endswith(f"{kind.__name__}: The database does not answer.")


def test_the_operating_systems_reason_is_shown(lines: Stream) -> None:
    log.error("start_failed", exc_info=OSError(98, "address already in use"))
    assert lines.line()["exception"].endswith("OSError: address already in use")


def test_causes_and_groups_are_told_without_their_texts_too(lines: Stream) -> None:
    try:
        try:
            raise CallersText(WISH)
        except CallersText as error:
            raise ExceptionGroup(WISH, [CallersText(WISH)]) from error
    except ExceptionGroup as group:
        group.add_note(WISH)
        log.exception("several")
    exception = lines.line()["exception"]
    assert exception.count("test_logging.CallersText") == 2
    assert "which caused" in exception
    assert "member 1 of 1" in exception
    assert WISH not in exception


def test_an_exception_that_is_its_own_cause_ends(lines: Stream) -> None:
    one, two = CallersText(), CallersText()
    one.__cause__, two.__cause__ = two, one
    log.error("circular", exc_info=one)
    assert lines.line()["exception"].count("CallersText") == 2


def test_on_a_terminal_exceptions_come_without_local_variables(stream: Stream) -> None:
    stream.is_terminal = True
    configure_logging(Settings(log_format="console"), stream)
    local = WISH
    try:
        raise CallersText(local)
    except CallersText:
        log.exception("completion_defect")
    assert "Traceback" in stream.getvalue()
    assert WISH not in stream.getvalue()


# --------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    "field",
    [
        "api_key",
        "openai_api_key",
        "gateway_secret",
        "x-gateway-secret",
        "Authorization",
        "access_token",
        "jwt",
        "password",
        "database_url",
        "set-cookie",
        "prompt",
        "messages",
        "variables",
        "text",
        "query",
    ],
)
def test_a_field_that_names_a_secret_or_a_text_is_redacted_at_any_depth(
    lines: Stream, field: str
) -> None:
    log.info("called", **{field: "hunter2", "details": {"inner": [{field: {"a": "hunter2"}}]}})
    assert "hunter2" not in lines.getvalue()
    assert lines.line()[field] == "[redacted]"


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach postgresql://app:hunter2@db:5432/assistant",
        "cannot reach https://hunter2@example.test/v1",
        "sent Bearer hunter2-hunter2",
        "sent sk-hunter2hunter2hunter2",
    ],
)
def test_a_credential_inside_a_text_is_redacted(lines: Stream, text: str) -> None:
    log.info(text, reason=text)
    assert "hunter2" not in lines.getvalue()
    assert lines.line()["reason"].startswith(text.split()[0])


def test_counts_of_tokens_are_no_secret(lines: Stream) -> None:
    log.info("settled", prompt_tokens=12, completion_tokens=3, has_api_key=True, content=None)
    line = lines.line()
    assert (line["prompt_tokens"], line["completion_tokens"]) == (12, 3)
    assert line["has_api_key"] is True
    assert line["content"] is None


def test_values_that_json_does_not_know_are_written_plainly(lines: Stream) -> None:
    log.info(
        "settled",
        id=UUID(int=1),
        cost=Decimal("0.10"),
        at=datetime(2026, 8, 1, tzinfo=UTC),
        folder=Path("/data"),
        ratio=float("nan"),
        scopes=frozenset({"a"}),
    )
    line = lines.line()
    assert line["id"] == str(UUID(int=1))
    assert line["cost"] == "0.10"
    assert line["at"].startswith("2026-08-01")
    assert (line["folder"], line["ratio"], line["scopes"]) == ("/data", "nan", ["a"])


def test_an_object_is_named_and_never_represented(lines: Stream) -> None:
    class Answer:
        def __repr__(self) -> str:
            return "hunter2"

    log.info("settled", result=Answer(), raw=b"hunter2", error=NotFound("No such prompt."))
    assert "hunter2" not in lines.getvalue()
    assert lines.line()["raw"] == "<7 bytes>"
    assert lines.line()["error"] == "assistant.errors.NotFound: No such prompt."


def test_a_long_value_is_cut(lines: Stream) -> None:
    log.info("called", reason="x" * 100_000, items=list(range(100_000)))
    assert len(lines.getvalue()) < 2_000
    assert lines.line()["reason"].endswith("(100000 characters)")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_value_can_neither_forge_a_line_nor_command_a_terminal(
    stream: Stream, log_format: Any
) -> None:
    configure_logging(Settings(log_format=log_format), stream)
    log.info("called", path='/a\n{"event": "forged"}\x1b[2J\u2028\ud800')
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()

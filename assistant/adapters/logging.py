"""One log: a line per event, JSON for machines and columns for people, without secrets.

Every line has ``timestamp`` (UTC), ``level``, ``event``, ``request_id`` and ``trace_id``; the
last two are null outside a request. Lines of libraries take the same path. All go to standard
error: standard output belongs to what commands print.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from json import JSONEncoder
from typing import TYPE_CHECKING, TextIO, cast

import structlog

from assistant.adapters.log_safety import describe_exception, format_exception, safe_fields

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

    from assistant.settings import Settings

# Libraries with something to say below "warning". The others are heard from "warning" up,
# whatever the level: at "info" SQLAlchemy prints parameters and HTTP clients print addresses.
_TALKATIVE = ("uvicorn", "alembic")

# How the lines begin that say nothing, or what RequestLog says better: uvicorn prints the paths of
# WebSockets with their query strings, and a failed start as the text of a traceback.
_NOISE = {
    "uvicorn.error": ('%s - "WebSocket ', "Traceback "),
    "alembic.runtime.migration": ("Context impl", "Will assume"),
}

# Compact, and ASCII only, so that a line is one line to every reader. Built once: json.dumps
# with options builds an encoder per call.
_encode = JSONEncoder(separators=(",", ":")).encode


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream`` (default: standard error).

    ``log_format`` auto is console where the stream is a terminal, else json. Changes the state
    of the process, so the command line calls it once; a second call replaces the first.
    """
    output = _FailOpen(sys.stderr if stream is None else stream)
    is_terminal = output.isatty()
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not is_terminal)
    render: list[Processor] = (
        [_render_json] if as_json else [_drop_absent_ids, _console(colors=is_terminal)]
    )
    processors = [structlog.contextvars.merge_contextvars, _complete, *render]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=processors,
        # Below the level, a call is a method without a body.
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", output)),
    )
    _adopt_standard_logging(output, level, processors)


class _FailOpen:
    """A stream whose full disk or departed reader costs lines, and no request its answer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, line: str) -> None:
        with suppress(OSError):
            self._stream.write(line)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def _adopt_standard_logging(stream: _FailOpen, level: int, processors: list[Processor]) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_from_library],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
        )
    )
    handler.addFilter(_is_worth_a_line)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        # RequestLog writes the access lines, without query strings.
        logger.propagate = name != "uvicorn.access"
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.INFO))
    logging.captureWarnings(True)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    noise = _NOISE.get(record.name)
    return noise is None or not (isinstance(record.msg, str) and record.msg.startswith(noise))


def _from_library(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Name the library, and keep of its message only what cannot hold a caller's text.

    An exception passed as the message renders as its text: GraphQL's quotes the document. The
    lines after the first are asyncio's representations of tasks and their exceptions.
    """
    record: logging.LogRecord = event["_record"]
    event["logger"] = record.name
    if isinstance(record.msg, BaseException):
        event["event"] = describe_exception(record.msg)
    elif record.name == "py.warnings":
        event["event"] = str(event["event"]).strip()
    else:
        event["event"] = str(event["event"]).strip().partition("\n")[0]
    return event


def _complete(_: WrappedLogger, level: str, event: EventDict) -> EventDict:
    """The whole line in its order, safe to be read by anybody who may read logs."""
    exc_info = event.pop("exc_info", None)
    line: EventDict = {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "event": None,
        "request_id": event.pop("request_id", None),
        "trace_id": event.pop("trace_id", None),
    }
    line.update(safe_fields(event))
    error = _exception_of(exc_info)
    if error is not None:
        line["exception"] = format_exception(error)
    return line


def _exception_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _render_json(_: WrappedLogger, __: str, line: EventDict) -> str:
    return _encode(line)


def _drop_absent_ids(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    for name in ("request_id", "trace_id"):
        if line[name] is None:
            del line[name]
    return line


def _console(*, colors: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=colors,
        sort_keys=False,
        # Exceptions arrive rendered; the default formatter prints local variables.
        exception_formatter=structlog.dev.plain_traceback,
    )

"""Events of streams as JSON, as the replay log and running questions have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, assert_never
from uuid import UUID

from assistant.domain.completion import (
    CompletionContinued,
    CompletionFailed,
    CompletionRestarted,
    CompletionStarted,
    ProgressEvent,
    ReasoningDelta,
    TextDelta,
)
from assistant.domain.stream import LoggedEvent, LogPage, Settled
from assistant.errors import ErrorCode

LoggedRow: TypeAlias = str | dict[str, Any]
"""A piece of the answer is its text alone: nearly every event is one."""


def event_row(event: ProgressEvent) -> dict[str, Any]:
    match event:
        case TextDelta(text):
            return {"kind": "text", "text": text}
        case ReasoningDelta(text):
            return {"kind": "reasoning", "text": text}
        case CompletionStarted(completion_id, model, prompt_version_id, created_at):
            return {
                "kind": "started",
                "completion_id": str(completion_id),
                "model": model,
                "prompt_version_id": None if prompt_version_id is None else str(prompt_version_id),
                "created_at": created_at.isoformat(),
            }
        case CompletionRestarted(model, reason):
            return {"kind": "restarted", "model": model, "reason": reason}
        case CompletionContinued(model, reason):
            return {"kind": "continued", "model": model, "reason": reason}
        case _:
            assert_never(event)


def event_of(row: Mapping[str, Any]) -> ProgressEvent:
    match row["kind"]:
        case "text":
            return TextDelta(row["text"])
        case "reasoning":
            return ReasoningDelta(row["text"])
        case "started":
            version = row["prompt_version_id"]
            return CompletionStarted(
                completion_id=UUID(row["completion_id"]),
                model=row["model"],
                prompt_version_id=None if version is None else UUID(version),
                created_at=datetime.fromisoformat(row["created_at"]),
            )
        case "restarted":
            return CompletionRestarted(row["model"], ErrorCode(row["reason"]))
        case _:
            return CompletionContinued(row["model"], ErrorCode(row["reason"]))


def logged_rows(events: Sequence[LoggedEvent]) -> list[LoggedRow]:
    return [event.text if type(event) is TextDelta else _logged_row(event) for event in events]


def _logged_row(event: LoggedEvent) -> dict[str, Any]:
    match event:
        case Settled():
            return {"kind": "settled"}
        case CompletionFailed(completion_id, code, message, is_retryable, retry_after_ms):
            return {
                "kind": "failed",
                "completion_id": None if completion_id is None else str(completion_id),
                "code": code,
                "message": message,
                "is_retryable": is_retryable,
                "retry_after_ms": retry_after_ms,
            }
        case _:
            return event_row(event)


def _logged_of(row: LoggedRow) -> LoggedEvent:
    if isinstance(row, str):
        return TextDelta(row)
    match row["kind"]:
        case "settled":
            return Settled()
        case "failed":
            completion_id = row["completion_id"]
            return CompletionFailed(
                None if completion_id is None else UUID(completion_id),
                ErrorCode(row["code"]),
                row["message"],
                row["is_retryable"],
                row["retry_after_ms"],
            )
        case _:
            return event_of(row)


def page_of(row: Any, after: int) -> tuple[LogPage, bool]:
    """What a row of ``assistant_read_streams`` has after event ``after``, and whether there is more.

    A page ends before a gap, so that the next one shows it.
    """
    expected = first = after + 1
    events: list[LoggedEvent] = []
    has_more: bool = row.has_more
    for start, said in zip(row.firsts or (), row.events or (), strict=True):
        if start > expected:
            if events:
                has_more = True
                break
            expected = first = start
        # What was written twice, the second time with more, is said once.
        events += map(_logged_of, said[expected - start :])
        expected = max(expected, start + len(said))
    is_ended = row.is_ended and not has_more
    # The end that others write is one row, and the last.
    ends_at = row.firsts[-1] if row.firsts else after
    page = LogPage(
        user_id=row.user_id,
        service_id=row.service_id,
        first=first,
        events=events,
        count=row.count,
        is_ended=is_ended,
        is_abandoned=row.is_abandoned,
        is_torn=is_ended and row.is_abandoned and ends_at <= after,
        is_silent=row.is_silent,
    )
    return page, has_more

"""What the tests of a version must have shown before it is published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from assistant.domain.prompt_test import (
    PromptTestCase,
    PromptTestOutcome,
    PromptTestRun,
    PromptTestStatus,
)

_NAMED: Final = 5


def untested(run: PromptTestRun | None, cases: Sequence[PromptTestCase]) -> str | None:
    """What of ``cases`` the latest run does not show, as a sentence; None where it shows all."""
    if run is None:
        return "It has not been tested yet."
    when = f"{run.started_at:%Y-%m-%d %H:%M} UTC"
    match run.status:
        case PromptTestStatus.RUNNING:
            return f"The run of {when} has not ended yet."
        case PromptTestStatus.CANCELLED:
            return f"The run of {when} was cancelled."
        case PromptTestStatus.FAILED:
            passed = PromptTestOutcome.PASSED
            names = [result.case_name for result in run.results if result.outcome is not passed]
            return f"In the run of {when} these did not pass: {_some(names)}."
        case PromptTestStatus.PASSED:
            tried = {result.case_id: result.case_updated_at for result in run.results}
            names = [case.name for case in cases if tried.get(case.id) != case.updated_at]
            return (
                f"Since the run of {when} these are new or changed: {_some(names)}."
                if names
                else None
            )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more

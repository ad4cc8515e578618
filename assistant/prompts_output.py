"""What ``assistant prompts ...`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import typer

from assistant.domain.prompt_test import (
    PromptTestOutcome,
    PromptTestResult,
    PromptTestRun,
    assertion_json,
)
from assistant.services.prompt_import import Imported
from assistant.services.prompt_import_step import ImportStep

_COLOURS = {"+": typer.colors.GREEN, "-": typer.colors.RED, "@": typer.colors.CYAN}
_MAX_ASSERTION_CHARACTERS = 120


def counted(number: int, what: str) -> str:
    """As in "1 file", "2 files"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def echo_lines(lines: Iterable[str]) -> None:
    """Print lines; where there is a terminal, those of a diff in colours."""
    for line in lines:
        typer.secho(line, fg=_COLOURS.get(line[:1]))


def describe_plan(steps: Sequence[ImportStep]) -> list[str]:
    """Every diff, then a line for each prompt that is changed, then how many there are."""
    changed = [step for step in steps if step.actions]
    new = sum(step.prompt is None for step in changed)
    lines = [line for step in changed for line in step.diff()]
    for step in steps:
        if step.actions:
            lines.append(f"{step.name}: {', '.join(step.actions)}")
        if step.kept_tests:
            lines.append(
                f"{step.name}: keeps {counted(len(step.kept_tests), 'test')} that the file does not "
                f"have: {', '.join(step.kept_tests)}"
            )
    if not changed:
        return [
            *lines,
            f"Nothing to do: the catalog says what the {counted(len(steps), 'file')} say.",
        ]
    unchanged = len(steps) - len(changed)
    return [*lines, f"{new} to create, {len(changed) - new} to change, {unchanged} unchanged."]


def describe_imported(step: ImportStep, done: Imported) -> str:
    """What became of a step."""
    if done.failed_run is not None:
        run = done.failed_run
        return (
            f"{step.name}: version {done.number} stays a draft: "
            f"{run.passed} of {counted(run.cases, 'test')} passed"
        )
    if done.is_published:
        return f"{step.name}: done, version {done.number} is published"
    return f"{step.name}: done, version {done.number} is not published"


class RunLines:
    """Prints a line for each case of a run as it ends, and what is wrong with its answer."""

    def __init__(self) -> None:
        self._printed: set[str] = set()

    async def __call__(self, run: PromptTestRun) -> None:
        for result in run.results:
            if result.case_name not in self._printed:
                self._printed.add(result.case_name)
                for line in _result_lines(result):
                    typer.echo(line)


def _result_lines(result: PromptTestResult) -> Iterable[str]:
    took = "" if result.latency_ms is None else f" ({result.latency_ms:,} ms)"
    match result.outcome:
        case PromptTestOutcome.PASSED:
            yield f"  ok      {result.case_name}{took}"
        case PromptTestOutcome.FAILED:
            yield f"  FAILED  {result.case_name}{took}"
        case PromptTestOutcome.ERROR:
            yield f"  ERROR   {result.case_name}: {result.message}"
    for checked in result.assertions:
        if not checked.passed:
            asked = json.dumps(assertion_json(checked.assertion), ensure_ascii=False)
            if len(asked) > _MAX_ASSERTION_CHARACTERS:
                asked = f"{asked[:_MAX_ASSERTION_CHARACTERS]}..."
            yield f"          {asked}: {checked.detail or 'does not hold'}"

"""Programs beside the service: gateways, other subgraphs, composers, a model's stand-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 10.0


class Program:
    """A process whose output is kept in a file; those of this folder report in lines of JSON."""

    def __init__(
        self, command: Sequence[str], output: Path, environment: Mapping[str, str]
    ) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                cwd=HERE,
            )

    def lines(self, start: str) -> list[str]:
        """Every line so far that starts so. Node writes to a file at once: none is under way."""
        output = self._output.read_text(encoding="utf-8", errors="replace")
        return [line for line in output.splitlines() if line.startswith(start)]

    def wait_for_line(self, start: str) -> str:
        """The first line that starts so. Raises AssertionError with the output if none comes."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (lines := self.lines(start)):
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                state = f"ended with {self._process.returncode}" if ended else "is not ready"
                output = "\n".join(self.lines(""))
                raise AssertionError(f"{self._process.args!r} {state}:\n{output}")
            time.sleep(0.05)
        return lines[0]

    def reports(self) -> list[dict[str, Any]]:
        """What a program of this folder has reported so far."""
        return [json.loads(line) for line in self.lines("{")]

    def wait_for_report(self) -> dict[str, Any]:
        """Its first report: where it listens. Raises AssertionError as wait_for_line does."""
        report: dict[str, Any] = json.loads(self.wait_for_line("{"))
        return report

    def stop(self) -> None:
        """Ask the process to end; end it if it does not."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(
    command: Sequence[str], output: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """A program that is stopped at the end of the block."""
    program = Program(command, output, environment or {})
    try:
        yield program
    finally:
        program.stop()


def run_node(command: Sequence[str], timeout_s: float = 60) -> Any:
    """What a program wrote as JSON. Raises AssertionError with its complaint if it failed."""
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=HERE,
        check=False,
    )
    assert result.returncode == 0, f"{command!r} failed:\n{result.stdout}{result.stderr}"
    return json.loads(result.stdout)

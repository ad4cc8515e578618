"""Programs that run on Node beside the service: gateways, other subgraphs, composers."""

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
    """A process whose output is kept in a file; ours report in lines of JSON."""

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

    def reports(self) -> list[dict[str, Any]]:
        """Every report so far. Node writes to a file at once, so none is under way."""
        lines = self._output.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for_report(self) -> dict[str, Any]:
        """The first report: a server's address. Raises AssertionError with the output if none comes."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not (reports := self.reports()):
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                state = f"ended with {self._process.returncode}" if ended else "is not ready"
                raise AssertionError(
                    f"{self._process.args!r} {state}:\n{self._output.read_text(errors='replace')}"
                )
            time.sleep(0.05)
        return reports[0]

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

"""`assistant prompts ...` as real processes, beside a service on the same database."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.running_service import NO_OLLAMA, RunningService

MOOD = """\
name: mood
description: Says how a text sounds.
category: analysis
tags: [text]
task: CLASSIFICATION
system_template: |-
  You classify texts.
template: |-
  Labels: {{labels}}

  Text: {{text}}
variables:
  - name: text
    description: What to classify.
    type: STRING
  - name: labels
    description: Which there are.
    type: STRING
    is_required: false
    default_value: positive, negative, neutral
parameters:
  temperature: 0
  max_tokens: 16
tests:
  - name: a good one
    variables:
      text: What a wonderful, friendly and helpful team!
    assertions:
      - contains: positive
  - name: a lot
    variables:
      text: |-
        This is a terrible, horrible mess.
        I hate it.
    assertions:
      - contains: negative
      - max_tokens: 100
"""
"""A prompt that the builtin model serves, written as `export` writes it."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    @property
    def complaint(self) -> str:
        """The one line that a failed command says, and nothing else is said."""
        assert self.code == 1, self
        assert self.output == "", self
        (line,) = self.errors.splitlines()
        assert line.startswith("assistant: "), self
        return line.removeprefix("assistant: ")


def environment(**settings: str) -> Mapping[str, str]:
    """This process's, with nothing of ASSISTANT_* but ``settings``."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ASSISTANT_")}
    given = {"ollama_url": NO_OLLAMA} | settings
    return inherited | {f"ASSISTANT_{name.upper()}": value for name, value in given.items()}


def beside(service: RunningService) -> Mapping[str, str]:
    """For commands that use the database of ``service``."""
    return environment(data_dir=str(service.log.parent / "data"))


async def prompts(*arguments: str | Path, env: Mapping[str, str]) -> Ended:
    """Run `assistant prompts` without a terminal, to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assistant", "prompts", *map(str, arguments),
        env=env, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert "Traceback" not in errors.decode(), errors.decode()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


def folder_of(path: Path, **files: str) -> Path:
    """A folder with prompts in it."""
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / f"{name}.yaml").write_text(text)
    return path


def texts_in(folder: Path) -> dict[str, str]:
    """What the files of a folder say, by name."""
    return {file.stem: file.read_text() for file in sorted(folder.iterdir())}

"""What the documents tell a newcomer to type does what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from assistant.__main__ import cli
from tests.api.test_main_job import somebody
from tests.running_service import RunningService

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/identity.md", "docs/operations.md")
OPERATIONS = re.findall(r"^```graphql\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands(program: str) -> list[str]:
    """What follows ``program`` on each line of a code block and in each `piece` of code."""
    texts = "\n".join((ROOT / document).read_text() for document in DOCUMENTS)
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", texts, re.DOTALL | re.MULTILINE)
    lines = "\n".join(text for language, text in blocks if language in ("", "sh"))
    found = re.findall(rf"^(?:\S*/|docker .* )?{program} (.*)$", lines, re.MULTILINE)
    found += re.findall(rf"`(?:\S*/)?{program} ([^`]*)`", texts)
    return [re.split(r"\s+#", line)[0].strip() for line in found]


@pytest.mark.asyncio(loop_scope="session")
async def test_the_operations_of_the_readme_run_as_they_stand(service: RunningService) -> None:
    """In their order, as a reader does it."""
    complete, stream, usage = OPERATIONS
    reader = somebody()

    answer = await service.graphql(complete, headers=reader)
    assert "errors" not in answer
    completion = answer["data"]["generateCompletion"]
    quoted = re.search(r"^> .*(?:\n> .*)*", README, re.MULTILINE)
    assert quoted is not None
    assert completion["text"] == re.sub(r"\n?> ", " ", quoted[0]).strip()
    source = re.search(r'text: "(.*)"', complete)
    assert source is not None
    sentences = re.split(r"(?<=\.) ", completion["text"])
    assert len(sentences) == 2
    assert all(sentence in source[1] for sentence in sentences)
    assert completion["model"]["id"] == "builtin/extractive"

    events: list[dict[str, Any]] = [
        result["data"]["completionStream"]
        async for result in service.subscribe(stream, headers=reader)
    ]
    assert events[0]["model"]["id"] == "builtin/extractive"
    assert all(event["text"] for event in events[1:-1])
    streamed = events[-1]["response"]["usage"]["totalTokens"]

    used = (await service.graphql(usage, headers=reader))["data"]["myUsage"]
    assert used["requests"] == 2
    assert int(used["totalTokens"]) == completion["usage"]["totalTokens"] + streamed
    assert used["byModel"] == [{"model": "builtin/extractive", "requests": 2}]


def test_every_make_command_of_the_documents_has_its_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^(\w[\w-]*):", makefile, re.MULTILINE))
    named = {line.split()[0] for line in commands("make")}
    assert {"run", "test", "check"} <= named
    assert named <= targets


def test_every_assistant_command_of_the_documents_is_understood() -> None:
    lines = commands("assistant")
    assert {"keys create", "keys list", "print-schema >", "serve"} <= {
        " ".join(line.split()[:2]) for line in lines
    }
    for line in lines:
        arguments = shlex.split(
            line.partition(" >")[0].replace("<id>", "0198f2c4-0000-7000-8000-000000000000")
        )
        command: Any = typer.main.get_command(cli)
        context = None
        while arguments and hasattr(command, "commands"):
            context = command.make_context(None, [arguments[0]], parent=context)
            command = command.commands[arguments.pop(0)]
        command.make_context(None, arguments, parent=context)  # raises what a user would be told

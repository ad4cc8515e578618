"""Prompts as files, by the real command line: lint and test, and what is said when all goes wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.api.prompt_commands import MOOD, beside, environment, folder_of, prompts
from tests.running_service import RunningService, free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

NO_DATABASE = environment(database_url=f"postgresql://me:secret@127.0.0.1:{free_port()}/none")


async def test_nothing_is_wrong_with_the_shipped_library() -> None:
    ended = await prompts("lint", env=NO_DATABASE)
    assert ended.code == 0, ended.output
    assert ", 0 problems, " in ended.lines[-1]


async def test_every_problem_of_a_file_is_a_line_and_any_is_a_failure(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "prompts",
        mood=MOOD.replace("max_tokens: 100", "is: 1"),
        other=MOOD.replace("name: mood", "name: another").replace("Text: {{text}}", "{{txt}}"),
    )
    ended = await prompts("lint", folder, env=NO_DATABASE)

    assert ended.code == 1
    mood, other = folder / "mood.yaml", folder / "other.yaml"
    assert [line for line in ended.lines if line.startswith(f"{mood}: ")] == [
        f"{mood}: problem: tests.1.assertions.1: There is no assertion is; there are contains, "
        "not_contains, matches, json_path, satisfies_schema, max_tokens, max_latency_ms, "
        "similar_to, judged_by."
    ]
    found = [line.removeprefix(f"{other}: problem: ") for line in ended.lines[1:-1]]
    assert found[0] == "the name is another, so the file must be another.yaml"
    assert found[1].startswith("template, line 3, column 1: txt is not declared")
    assert ended.lines[-1] == f"2 files, {len(found) + 1} problems, 0 warnings"


async def test_a_warning_is_a_failure_only_where_that_is_asked_for(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "prompts", mood=MOOD.replace("    type: STRING\n", "", 1))

    lenient, strict = await asyncio.gather(
        prompts("lint", folder / "mood.yaml", env=NO_DATABASE),
        prompts("lint", "--strict", folder, env=NO_DATABASE),
    )
    assert (lenient.code, strict.code) == (0, 1)
    assert lenient.lines == [
        f"{folder / 'mood.yaml'}: warning: no type for text: callers may send anything",
        "1 file, 0 problems, 1 warning",
    ]


async def test_the_tests_of_a_file_are_asked_and_answered_one_by_one(
    service: RunningService, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "prompts", mood=MOOD)

    worse = folder_of(
        tmp_path / "worse", mood=MOOD.replace("max_tokens: 100", "matches: 'no[pt]e'")
    )
    passed, failed = await asyncio.gather(
        prompts("test", folder, "--model", "builtin/extractive", env=beside(service)),
        prompts("test", worse, "--tenant", "acme", env=beside(service)),
    )

    assert passed.code == 0, passed
    assert passed.lines[0] == f"{folder / 'mood.yaml'}:"
    assert {line.partition(" (")[0] for line in passed.lines[1:-1]} == {
        "  ok      a good one",
        "  ok      a lot",
    }
    assert passed.lines[-1] == "2 of 2 tests passed; they cost 0 USD"
    assert failed.code == 1
    place = next(i for i, line in enumerate(failed.lines) if "FAILED  a lot" in line)
    assert failed.lines[place + 1].startswith('          {"matches": "no[pt]e"}: ')
    assert failed.lines[-1] == "1 of 2 tests passed; they cost 0 USD"


async def test_a_file_is_tested_with_what_it_includes_from_beside_and_from_the_catalog(
    service: RunningService, tmp_path: Path
) -> None:
    text = MOOD.replace("Labels: {{labels}}", "{{> labels-line}} {{> generate-title@1}}")
    text = text.replace("    default_value: positive, negative, neutral\n", "")
    # What the title prompt of the catalog takes.
    text = text.replace(
        "variables:\n", "variables:\n  - {name: max_words, is_required: false}\n", 1
    )
    text = text.replace("helpful team!", "helpful team!\n      labels: positive, negative")
    text = text.replace("I hate it.\n", "I hate it.\n      labels: positive, negative\n")
    line = "name: labels-line\ncategory: misc\ntemplate: 'Labels: {{labels}}'\n"
    line += "variables: [{name: labels}]\n"
    folder = folder_of(tmp_path / "prompts", mood=text, **{"labels-line": line})

    ended = await prompts("test", folder / "mood.yaml", env=beside(service))
    assert ended.code == 0, ended
    (folder / "labels-line.yaml").unlink()
    ended = await prompts("test", folder / "mood.yaml", env=beside(service))
    assert "template, line 1, column 1: There is no" in ended.complaint
    assert "labels-line" in ended.complaint


async def test_what_cannot_be_done_is_said_in_one_line(
    service: RunningService, tmp_path: Path
) -> None:
    env = beside(service)
    folder = folder_of(tmp_path / "prompts", mood=MOOD)
    broken = folder_of(tmp_path / "broken", mood="name: [mood")
    nowhere = tmp_path / "nowhere"
    (tmp_path / "file").write_text("not a folder")

    said = await asyncio.gather(
        prompts("import", nowhere, "--tenant", "acme", env=env),
        prompts("test", broken, env=env),
        prompts("import", folder, "--tenant", "no tenant", env=env),
        prompts("import", folder, "--tenant", "acme", "--note", "x" * 2_001, env=env),
        prompts("test", folder, "--model", "ollama/none", env=env),
        prompts("export", "gone", "--tenant", "acme", "--to", nowhere, env=env),
        prompts("export", "judge", "--tenant", "acme", "--to", tmp_path / "file", env=env),
    )
    for ended, expected in zip(
        said,
        [
            f"{nowhere}: there is no such file or folder",
            f"{broken / 'mood.yaml'}: cannot be read: line 1, column ",
            "--tenant must be 1 to 128 letters",
            "--note has at most 2,000 characters.",
            "There is no model or group named 'ollama/none'. Models: ",
            "There is no prompt gone, or it is archived.",
            f"{tmp_path / 'file'}: cannot be written: ",
        ],
        strict=True,
    ):
        assert ended.complaint.startswith(expected)
    assert not nowhere.exists()


async def test_a_database_that_is_down_is_said_in_one_line_without_its_password(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path / "prompts", mood=MOOD)
    for ended in await asyncio.gather(
        prompts("import", folder, "--tenant", "acme", "--yes", env=NO_DATABASE),
        prompts("export", "--tenant", "acme", "--to", tmp_path / "out", env=NO_DATABASE),
        prompts("test", folder, env=NO_DATABASE),
    ):
        assert "start it, or correct its URL" in ended.complaint
        assert "secret" not in ended.complaint
    assert not (tmp_path / "out").exists()

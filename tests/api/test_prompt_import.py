"""Files and the catalog, by the real command line: what is carried over, and what is shown first."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.api.prompt_catalog import ADD_VERSION, PUBLISH, RENDER, answered, writer
from tests.api.prompt_commands import MOOD, beside, folder_of, prompts, texts_in
from tests.running_service import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIND = """query ($name: String!) { promptByName(name: $name) {
    id description publishedVersion { version changeNote template }
    versions { nodes { version status } } tests { name }
    releases { nodes { kind reason serviceId changedBy { id } } } } }"""


def changed(lines: list[str]) -> list[str]:
    """The lines of a diff that somebody must look at."""
    return [x for x in lines if x[:1] in ("+", "-") and x[:4] not in ("+++ ", "--- ")]


async def published_by_hand(service: RunningService, me: dict[str, str], template: str) -> None:
    """An administrator's doing."""
    prompt = await answered(service, me, FIND, name="mood")
    version = {"template": template, "variables": [{"name": "text"}]}
    added = await answered(service, me, ADD_VERSION, id=prompt["id"], input=version)
    number = added["promptVersion"]["version"]
    done = await answered(
        service, me, PUBLISH, input={"promptName": "mood", "version": number, "reason": "better"}
    )
    assert done["userErrors"] == []


async def test_what_is_exported_can_be_imported_elsewhere_and_exported_again(
    service: RunningService, tmp_path: Path
) -> None:
    env, one, other = beside(service), writer(), writer()
    source = folder_of(tmp_path / "source", mood=MOOD)
    given = ("--tenant", one["x-tenant-id"])
    ended = await prompts("import", source, *given, "--yes", "--note", "a beginning", env=env)
    assert ended.code == 0, ended
    assert changed(ended.lines) == [f"+{line}" for line in MOOD.splitlines()]
    assert ended.lines[-3:] == [
        "mood: create it, put 2 tests, publish it",
        "1 to create, 0 to change, 0 unchanged.",
        "mood: done, version 1 is published",
    ]
    # The service sees it at once, and says who did it, and why.
    found = await answered(service, one, FIND, name="mood")
    assert found["publishedVersion"]["changeNote"] == "a beginning"
    assert found["tests"] == [{"name": "a good one"}, {"name": "a lot"}]
    assert found["releases"]["nodes"] == [
        {
            "kind": "PUBLISHED",
            "reason": "a beginning",
            "serviceId": "assistant-cli",
            "changedBy": None,
        }
    ]

    out = tmp_path / "out"
    ended = await prompts("export", "--platform", *given, "--to", out, env=env)
    assert ended.code == 0, ended
    assert ended.lines[-1] == f"{len(texts_in(out))} written, 0 unchanged"
    assert texts_in(out)["mood"] == MOOD
    assert "summarize-text" in texts_in(out)

    given = ("--tenant", other["x-tenant-id"])
    ended = await prompts("import", out, *given, "--yes", env=env)
    assert ended.code == 0, ended
    again = await prompts("import", out, *given, "--yes", env=env)
    assert again.lines == [
        f"Nothing to do: the catalog says what the {len(texts_in(out))} files say."
    ]
    ended = await prompts("export", *given, "--to", tmp_path / "back", env=env)
    assert ended.code == 0, ended
    assert texts_in(tmp_path / "back") == texts_in(out)


async def test_without_a_terminal_it_is_only_shown_what_would_be_done(
    service: RunningService, tmp_path: Path
) -> None:
    me = writer()
    source = folder_of(tmp_path / "source", mood=MOOD)
    ended = await prompts("import", source, "--tenant", me["x-tenant-id"], env=beside(service))
    assert ended.code == 0
    assert ended.lines[0] == "--- nothing"
    assert ended.lines[-2:] == [
        "1 to create, 0 to change, 0 unchanged.",
        "Nothing has been changed: add --yes to do this.",
    ]
    assert (await service.graphql(FIND, {"name": "mood"}, me))["data"]["promptByName"] is None


async def test_what_an_administrator_changed_is_shown_before_it_is_overwritten(
    service: RunningService, tmp_path: Path
) -> None:
    env, me = beside(service), writer()
    given = ("--tenant", me["x-tenant-id"])
    source = folder_of(tmp_path / "source", mood=MOOD)
    await prompts("import", source, *given, "--yes", env=env)
    await published_by_hand(service, me, "Is this good? {{text}}")

    ended = await prompts("import", source, *given, env=env)
    assert ended.lines[0] == "--- catalog: mood, version 2"
    assert "-  Is this good? {{text}}" in ended.lines
    assert "mood: publish version 1" in ended.lines

    # The other way round: the catalog is not written over a file that says something else.
    ended = await prompts("export", *given, "--to", source, env=env)
    assert ended.code == 1
    assert "+  Is this good? {{text}}" in ended.lines
    assert ended.lines[-1].endswith("1 kept because they say something else: --force overwrites")
    assert texts_in(source) == {"mood": MOOD}
    ended = await prompts("export", *given, "--to", source, "--force", env=env)
    assert ended.code == 0, ended
    assert "Is this good? {{text}}" in texts_in(source)["mood"]

    (source / "mood.yaml").write_text(MOOD)
    await prompts("import", source, *given, "--yes", "--note", "as it was", env=env)
    found = await answered(service, me, FIND, name="mood")
    assert found["publishedVersion"]["version"] == 1
    releases = found["releases"]["nodes"]
    assert [release["reason"] for release in releases] == ["as it was", "better", None]


async def test_a_change_that_is_made_while_it_asks_is_not_overwritten(
    service: RunningService, tmp_path: Path
) -> None:
    env, me = beside(service), writer()
    arguments = ["import", str(tmp_path / "source"), "--tenant", me["x-tenant-id"]]
    folder_of(tmp_path / "source", mood=MOOD)
    await prompts(*arguments, "--yes", env=env)
    folder_of(tmp_path / "source", mood=MOOD.replace("You classify", "You judge"))

    terminal, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "assistant", "prompts", *arguments,
        env=env, stdin=theirs, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            shown = await process.stdout.readuntil(b"Do this?")
            assert b"+  You judge texts." in shown
            await published_by_hand(service, me, "Is this good? {{text}}")
            os.write(terminal, b"y\n")
            _, errors = await process.communicate()
    finally:
        os.close(terminal)
    assert process.returncode == 1
    assert errors.decode() == (
        "assistant: The catalog has changed meanwhile. Run it again to see what is new.\n"
    )
    found = await answered(service, me, FIND, name="mood")
    assert found["publishedVersion"]["template"] == "Is this good? {{text}}"


async def test_a_draft_waits_and_is_published_by_an_import_that_may(
    service: RunningService, tmp_path: Path
) -> None:
    env, me = beside(service), writer()
    given = ("--tenant", me["x-tenant-id"])
    source = folder_of(tmp_path / "source", mood=MOOD)
    ended = await prompts("import", source, *given, "--yes", "--draft", env=env)
    assert ended.lines[-1] == "mood: done, version 1 is not published"
    ended = await prompts("import", source, *given, "--yes", "--draft", env=env)
    assert ended.lines[-1].startswith("Nothing to do")
    ended = await prompts("export", *given, "--to", tmp_path / "out", env=env)
    assert ended.lines == ["mood: left out, it has no published version", "0 written, 0 unchanged"]

    ended = await prompts("import", source, *given, "--yes", env=env)
    assert ended.lines == [
        "mood: publish version 1",
        "0 to create, 1 to change, 0 unchanged.",
        "mood: done, version 1 is published",
    ]


async def test_only_what_differs_is_changed_and_no_test_is_lost(
    service: RunningService, tmp_path: Path
) -> None:
    env, me = beside(service), writer()
    given = ("--tenant", me["x-tenant-id"])
    source = folder_of(tmp_path / "source", mood=MOOD)
    await prompts("import", source, *given, "--yes", env=env)
    fewer = MOOD[: MOOD.index("  - name: a lot")].replace("Says how", "Tells how")
    folder_of(source, mood=fewer)

    ended = await prompts("import", source, *given, "--yes", env=env)
    assert changed(ended.lines) == [
        "-description: Says how a text sounds.",
        "+description: Tells how a text sounds.",
    ]
    assert "mood: change description" in ended.lines
    assert "mood: keeps 1 test that the file does not have: a lot" in ended.lines
    found = await answered(service, me, FIND, name="mood")
    assert found["description"] == "Tells how a text sounds."
    assert found["versions"]["nodes"] == [{"version": 1, "status": "PUBLISHED"}]
    assert len(found["tests"]) == 2


async def test_files_that_include_one_another_are_imported_in_the_right_order(
    service: RunningService, tmp_path: Path
) -> None:
    env, me = beside(service), writer()
    given = ("--tenant", me["x-tenant-id"])
    letter = "name: a-letter\ncategory: misc\ntemplate: '{{> b-greeting}} Bye.'\n"
    greeting = "name: b-greeting\ncategory: misc\ntemplate: Hello!\n"
    source = folder_of(tmp_path / "source", **{"a-letter": letter, "b-greeting": greeting})

    ended = await prompts("import", source, *given, "--yes", env=env)
    assert ended.lines[-2:] == [
        "b-greeting: done, version 1 is published",
        "a-letter: done, version 1 is published",
    ]
    folder_of(source, **{"b-greeting": greeting.replace("Hello", "Good morning")})
    ended = await prompts("import", source, *given, "--yes", env=env)
    assert "a-letter: add a version, for a text that it includes has changed, publish it" in (
        ended.lines
    )
    rendered = await answered(service, me, RENDER, input={"promptName": "a-letter"})
    assert rendered["messages"] == [{"role": "USER", "content": "Good morning! Bye."}]
    assert (await prompts("import", source, *given, env=env)).lines[-1].startswith("Nothing to do")


async def test_where_a_prompt_asks_for_it_its_tests_decide_whether_it_is_published(
    service: RunningService, tmp_path: Path
) -> None:
    env, me = beside(service), writer()
    given = ("--tenant", me["x-tenant-id"])
    strict = MOOD.replace("tags: [text]\n", "tags: [text]\npublish_requires_tests: true\n")
    source = folder_of(tmp_path / "source", mood=strict.replace("max_tokens: 100", "max_tokens: 1"))

    ended = await prompts("import", source, *given, "--yes", env=env)
    assert ended.code == 1
    assert any(line.startswith("  FAILED  a lot") for line in ended.lines)
    assert ended.lines[-1] == "mood: version 1 stays a draft: 1 of 2 tests passed"

    folder_of(source, mood=strict)
    ended = await prompts("import", source, *given, "--yes", env=env)
    assert ended.code == 0, ended
    assert ended.lines[-1] == "mood: done, version 1 is published"


async def test_the_operator_imports_what_every_tenant_sees(
    service: RunningService, tmp_path: Path
) -> None:
    name = f"mood-{writer()['x-tenant-id'][-8:]}"
    source = folder_of(tmp_path / "source", **{name: MOOD.replace("name: mood", f"name: {name}")})
    ended = await prompts("import", source, "--tenant", "platform", "--yes", env=beside(service))
    assert ended.code == 0, ended

    found = await answered(service, writer(), FIND, name=name)
    assert found["publishedVersion"]["version"] == 1

"""What is said of files of prompts, and what is let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.services.prompt_files import find_prompt_files
from assistant.services.prompt_lint import lint
from assistant.services.seeds import SEEDS

GOOD = """\
name: hello
description: Greets somebody.
category: misc
template: Say hello to {{who}}.
variables:
  - {name: who, description: Whom to greet., type: STRING}
parameters: {temperature: 0}
tests:
  - name: a name
    variables: {who: Ada}
    assertions: [{contains: Ada}]
"""


def said(folder: Path, **files: str) -> list[tuple[str, bool, str]]:
    """What lint says of a folder of ``files``: the file, whether it is a problem, the text."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return [
        (found.file.stem, found.is_problem, found.text)
        for found in lint(find_prompt_files([folder]))
    ]


def problems(folder: Path, **files: str) -> list[str]:
    return [text for _, is_problem, text in said(folder, **files) if is_problem]


def test_there_is_nothing_to_say_of_a_good_file(tmp_path: Path) -> None:
    assert said(tmp_path, hello=GOOD) == []


def test_nothing_is_wrong_with_the_shipped_prompts() -> None:
    assert [f for f in lint(find_prompt_files([SEEDS / "prompts"])) if f.is_problem] == []


def test_a_file_is_named_after_its_prompt(tmp_path: Path) -> None:
    assert problems(tmp_path, hallo=GOOD) == ["the name is hello, so the file must be hello.yaml"]


def test_a_name_is_for_one_file(tmp_path: Path) -> None:
    (text,) = problems(tmp_path, hello=GOOD, other=GOOD)
    assert text == f"{tmp_path / 'hello.yaml'} has the name hello already"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{{who}}.", "{{who}} and {{whom}}.", "template, line 1, column 26: whom is not declared"),
        ("{{who}}.", "{{who.", "template, line 1, column 14"),
        ("template: Say", "system_template: '{{#x}}'\ntemplate: Say", "system_template, line 1"),
        ("{{who}}", "you", "declared and used in no template"),
        ("type: STRING", "type: STRING, default_value: x, is_required: true", "default"),
        ("temperature: 0", "temperature: 3", "parameters.temperature must be between 0 and 2"),
        ("name: hello", "name: Hello", "must be 1 to 64 small letters, digits or hyphens"),
        ("category: misc", "category: ' misc'", "category must be 1 to 64 characters"),
        ("category: misc", "category: misc\nresponse_schema: {type: foo}", "response_schema"),
        (
            "category: misc",
            "category: misc\ncache: {min_similarity: 0.5, variables: [who, a b]}",
            "cache.min_similarity: min_similarity must be between 0.8 and 1",
        ),
        (
            "category: misc",
            "category: misc\ncache: {variables: [who, who]}",
            "cache.variables.1: The variable who is given twice",
        ),
        ("{who: Ada}", "{whom: Ada}", "tests.0.variables.whom: The prompt has no variable whom"),
        ("{who: Ada}", "{who: [1]}", "tests.0.variables.who"),
        ("{who: Ada}", "{who: Ada, maxWords: 1}", "tests.0.variables.maxWords: "),
        ("temperature: 0", "temperature: 0, top_p: 2", "parameters.top_p must be between"),
        ("[{contains: Ada}]", "[]", "tests.0.assertions must hold 1 to 32 assertions"),
        ("contains: Ada", "matches: '('", "tests.0.assertions.0.matches"),
        ("contains: Ada", "json_path: {path: a b}", "tests.0.assertions.0.json_path.path"),
        ("tests:", "tests:\n  - {name: a name, assertions: [{contains: x}]}", "Two tests have"),
    ],
)
def test_what_the_catalog_would_refuse_is_a_problem(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in GOOD
    found = problems(tmp_path, hello=GOOD.replace(old, new))
    assert any(says in text for text in found), found


def test_a_file_that_cannot_be_read_keeps_nothing_from_being_said_of_others(tmp_path: Path) -> None:
    found = said(tmp_path, bad="name: [", hello=GOOD.replace("{{who}}", "{{you}}"))
    assert {(file, is_problem) for file, is_problem, _ in found} == {("bad", True), ("hello", True)}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("description: Greets somebody.\n", "", "no description says what it is for"),
        (GOOD.partition("tests:")[1] + GOOD.partition("tests:")[2], "", "no tests show"),
        (", type: STRING", "", "no type for who"),
        ("description: Whom to greet., ", "", "no description for who"),
        ("Say hello to {{who}}.", "Greet {{who}} as JSON.", "no response_schema makes sure"),
        ("Say hello to {{who}}.", "A JSON object for {{who}}.", "no response_schema makes sure"),
        ("parameters: {temperature: 0}\n", "", "no temperature"),
        (
            "category: misc",
            "category: misc\ncache: {variables: [who, whom, when]}",
            "cache.variables names whom, when, which it does not take",
        ),
    ],
)
def test_what_could_be_better_is_a_warning(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    ((file, is_problem, text),) = said(tmp_path, hello=GOOD.replace(old, new))
    assert (file, is_problem) == ("hello", False)
    assert says in text


def test_what_a_file_includes_is_found_among_the_others_of_its_folder(tmp_path: Path) -> None:
    letter = GOOD.replace("name: hello", "name: letter").replace(
        "Say hello to {{who}}.", "'{{> hello}} Then write.'"
    )
    assert said(tmp_path, letter=letter, hello=GOOD) == []

    (tmp_path / "hello.yaml").write_text(GOOD.replace("{{who}}", "{{who}} and {{whom}}"))
    of_letter = [found.text for found in lint([tmp_path / "letter.yaml"])]
    assert len(of_letter) == 1
    assert "whom is not declared" in of_letter[0]


def test_what_no_file_has_cannot_be_included(tmp_path: Path) -> None:
    found = problems(tmp_path, hello=GOOD.replace("{{who}}", "{{who}}{{> gone}}"))
    assert len(found) == 1
    assert "line 1, column 21" in found[0]
    assert "gone" in found[0]


def test_a_version_of_the_catalog_may_be_included_and_may_use_every_variable(
    tmp_path: Path,
) -> None:
    hello = GOOD.replace("{{who}}", "{{> name@3}}")
    letter = GOOD.replace("name: hello", "name: letter").replace("{{who}}", "{{> hello}}")

    assert {text for _, _, text in said(tmp_path, hello=hello, letter=letter)} == {
        "{{> name@3}} is the catalog's and cannot be checked here"
    }


def test_prompts_that_include_each_other_are_a_problem(tmp_path: Path) -> None:
    one = GOOD.replace("name: hello", "name: one").replace("{{who}}", "{{who}}{{> two}}")
    two = GOOD.replace("name: hello", "name: two").replace("{{who}}", "{{who}}{{> one}}")
    assert problems(tmp_path, one=one, two=two) == [
        "A prompt cannot include itself: one -> two -> one."
    ]

"""Prompts as files: what is read, what is refused and how, and what a written one looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.domain.cache import CacheSettings, CacheSharing
from assistant.domain.completion import GenerationParameters, InterruptionPolicy
from assistant.domain.model import TaskType
from assistant.domain.prompt import PromptDraft, PromptVariable, VariableType, VersionDraft
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import (
    Contains,
    JsonPath,
    JudgedBy,
    MaxLatency,
    MaxTokens,
    PromptTestDraft,
    SatisfiesSchema,
    SimilarTo,
)
from assistant.services.prompt_files import (
    PromptFileError,
    find_prompt_files,
    read_prompt,
    write_prompt,
)

WHOLE = """\
name: ticket-triage
description: Sorts a support ticket.
category: support
tags: [tickets, triage]
publish_requires_tests: true
cache: {ttl_seconds: 3600, min_similarity: 0.97, sharing: TENANT, variables: [ticket]}
task: CLASSIFICATION
model: fast
system_template: |-
  You sort support tickets.
template: |
  <ticket>
    {{ticket}}
  </ticket>
variables:
  - name: ticket
    description: "What the customer wrote: all of it."
    type: STRING
  - name: labels
    is_required: false
    default_value: "8"
parameters:
  temperature: 0
  max_tokens: 8
  stop: [END]
response_schema:
  type: object
  required: [label]
  properties:
    label:
      type: string
on_interruption: RESTART
tests:
  - name: an invoice
    variables:
      ticket: You charged me twice in May.
    assertions:
      - contains: billing
      - max_tokens: 4
      - json_path: {path: $.label, equals: no}
      - json_path: {path: "$.labels[*]"}
      - satisfies_schema: {type: object}
  - name: nothing at all
    assertions:
      - similar_to: {text: other, threshold: 0.5}
      - judged_by: {rubric: Says so.}
      - max_latency_ms: 1000
"""

DOCUMENT = PromptDocument(
    PromptDraft(
        name="ticket-triage",
        description="Sorts a support ticket.",
        category="support",
        tags=("tickets", "triage"),
        publish_requires_tests=True,
        cache=CacheSettings(
            ttl_s=3600, min_similarity=0.97, sharing=CacheSharing.TENANT, variables=("ticket",)
        ),
        version=VersionDraft(
            template="<ticket>\n  {{ticket}}\n</ticket>\n",
            system_template="You sort support tickets.",
            variables=(
                PromptVariable(
                    "ticket", "What the customer wrote: all of it.", type=VariableType.STRING
                ),
                PromptVariable("labels", is_required=False, default_value="8"),
            ),
            task=TaskType.CLASSIFICATION,
            model="fast",
            parameters=GenerationParameters(temperature=0.0, max_tokens=8, stop=("END",)),
            response_schema={
                "type": "object",
                "required": ["label"],
                "properties": {"label": {"type": "string"}},
            },
            on_interruption=InterruptionPolicy.RESTART,
        ),
    ),
    (
        PromptTestDraft(
            "an invoice",
            {"ticket": "You charged me twice in May."},
            (
                Contains("billing"),
                MaxTokens(4),
                # YAML 1.1 would take it for false.
                JsonPath("$.label", "no", has_expected=True),
                JsonPath("$.labels[*]"),
                SatisfiesSchema({"type": "object"}),
            ),
        ),
        PromptTestDraft(
            "nothing at all", {}, (SimilarTo("other", 0.5), JudgedBy("Says so."), MaxLatency(1000))
        ),
    ),
)


def read(folder: Path, text: str) -> PromptDocument:
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return read_prompt(folder / "mine.yaml")


def test_a_file_says_all_that_there_is_to_say_of_a_prompt(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE) == DOCUMENT


def test_a_prompt_is_written_in_one_order_with_blocks_and_without_what_is_usual() -> None:
    # A text that readers of YAML 1.1 would take for something else is quoted.
    assert write_prompt(DOCUMENT) == WHOLE.replace("equals: no}", 'equals: "no"}')


def test_a_small_prompt_is_a_small_file(tmp_path: Path) -> None:
    small = PromptDocument(PromptDraft("hi", "misc", VersionDraft("Hi {{name}}")))
    assert write_prompt(small) == "name: hi\ncategory: misc\ntemplate: |-\n  Hi {{name}}\n"
    assert read(tmp_path, write_prompt(small)) == small


def test_the_change_note_stays_in_the_catalog() -> None:
    noted = PromptDocument(PromptDraft("hi", "misc", VersionDraft("Hi", change_note="because")))
    assert "because" not in write_prompt(noted)


def test_a_date_is_a_text_and_so_are_the_words_that_yaml_once_took_for_booleans(
    tmp_path: Path,
) -> None:
    document = read(
        tmp_path,
        "name: mine\ncategory: c\ntemplate: x\n"
        "tests: [{name: a, variables: {day: 2026-03-14, yes: off, n: 017}, "
        "assertions: [{contains: 12:30:00}]}]",
    )
    assert document.tests[0].variables == {"day": "2026-03-14", "yes": "off", "n": "017"}
    assert document.tests[0].assertions == (Contains("12:30:00"),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no prompt"),
        ("- a\n- b", "holds no prompt"),
        ("name: [mine\ntask: x", "cannot be read: line "),
        ("name: mine\nname: yours", "line 2, column 1: the key name is there twice"),
        ("name: mine\ntemplate: {{you}}", "line 2, column 12: a key must be a text; put texts"),
        ("name: !!python/name:os.system", "cannot be read: line 1"),
        ("name: !!int x", "cannot be read"),
        ("name: a\x00b", "cannot be read"),
        ("[" * 5000, "cannot be read: nested too deep"),
        ("n: " + "1" * 5000, "cannot be read"),
        ("name: mine\ncategory: c", "template: Field required"),
        ("name: 1\ncategory: c\ntemplate: x", "name: Input should be a valid string"),
        ("name: m\ncategory: c\ntemplate: x\ncolour: red", "colour: there is no such key"),
        (
            "name: m\ncategory: c\ntemplate: x\nvariables: [{name: a, typ: LIST}]",
            "variables.0.typ: there is no such key",
        ),
        (
            "name: m\ncategory: c\ntemplate: x\nparameters: {temp: 1}",
            "parameters.temp: there is no such key",
        ),
        (
            "name: m\ncategory: c\ntemplate: x\ncache: {ttl: 60}",
            "cache.ttl: there is no such key",
        ),
        ("name: m\ncategory: c\ntemplate: x\ntask: FOO", "task: Input should be 'GENERAL'"),
        (
            "name: m\ncategory: c\ntemplate: x\ntests: [{name: a, assertions: [{is: x}]}]",
            "tests.0.assertions.0: There is no assertion is; there are contains,",
        ),
        (
            "name: m\ncategory: c\ntemplate: x\n"
            "tests: [{name: a, assertions: [{max_tokens: 0}, {similar_to: {threshold: 2}}]}]",
            "tests.0.assertions.1.similar_to.threshold: threshold must be between -1 and 1.",
        ),
        (
            "name: m\ncategory: c\ntemplate: x\ntests: [{name: a, assertions: [], answer: x}]",
            "tests.0.answer: there is no such key",
        ),
    ],
)
def test_a_wrong_file_is_named_with_all_that_is_wrong_in_one_line(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(PromptFileError) as refused:
        read(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'mine.yaml'}: ")
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(PromptFileError) as refused:
        read(tmp_path, "name: 1\ncategory: c\nfoo: 1\nbar: 2")
    assert len(refused.value.problems) == 4


def test_what_is_no_text_at_all_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"name: \xff")
    with pytest.raises(PromptFileError, match="it is not UTF-8"):
        read_prompt(tmp_path / "mine.yaml")
    with pytest.raises(PromptFileError, match="cannot be read: No such file"):
        read_prompt(tmp_path / "none.yaml")


def test_a_file_of_another_system_reads_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert read_prompt(tmp_path / "mine.yaml") == DOCUMENT


def test_a_folder_stands_for_its_yaml_files_by_name(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "README.md", "c.txt"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()

    assert find_prompt_files([tmp_path / "c.txt", tmp_path, tmp_path / "b.yaml"]) == (
        tmp_path / "c.txt",
        tmp_path / "a.yml",
        tmp_path / "b.yaml",
    )
    with pytest.raises(PromptFileError, match="holds no prompts"):
        find_prompt_files([tmp_path / "empty"])
    with pytest.raises(PromptFileError, match="there is no such file or folder"):
        find_prompt_files([tmp_path / "gone"])

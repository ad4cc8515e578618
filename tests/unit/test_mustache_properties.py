"""Whatever the template and whatever the values: our own errors, no files, no end of time."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.domain.prompt import PromptVariable, VariableType
from assistant.errors import BadUserInput
from assistant.services.mustache import Template
from assistant.services.rendering import check_templates, partial_names, render_prompt
from tests.unit.templates import refusal, render, text, version

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
HOSTILE = st.sampled_from(
    [
        "{{other}}",
        "{{#other}}",
        "{{/value}}",
        "{{>/etc/passwd}}",
        "{{>inner}}",
        "{{=<%",
        "%>=}}",
        "}}",
        "{{{",
        "{{",
        "{",
        "%>",
        "\x00",
        "�",
    ]
)
sources = st.lists(
    st.sampled_from(["{{", "}}", "{{{", "}}}", "<%", "%>", "\n", "\r\n", " ", "\t", "é"])
    | st.sampled_from([*"#^/>=!&.{}|@-"])
    | st.sampled_from(["x", "y", "{{x}}", "{{#x}}", "{{/x}}", "{{> a}}", "{{=<% %>=}}"]),
    max_size=40,
).map("".join)

_opened: list[str] = []
_watched: set[int] = set()  # threads


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if threading.get_ident() in _watched and event in (
        "open",
        "os.listdir",
        "os.scandir",
        "import",
        "exec",
        "compile",
    ):
        _opened.append(f"{event} {arguments[:1]}")


@contextmanager
def nothing_is_opened() -> Iterator[None]:
    """Fails where something is opened, imported or compiled meanwhile."""
    _opened.clear()
    _watched.add(threading.get_ident())
    try:
        yield
    finally:
        _watched.clear()
    assert _opened == []


# The interpreter keeps a hook until it ends; this one does nothing but while it is asked to.
sys.addaudithook(_watch)


def test_what_watches_for_files_sees_them(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AssertionError), nothing_is_opened():
        (tmp_path / "file").read_text()


def test_nothing_is_ever_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("secret", "secret.mustache"):
        (tmp_path / name).write_text("secret")
    monkeypatch.chdir(tmp_path)
    with nothing_is_opened():
        refusal("{{> secret}}")
        assert partial_names("{{> secret}}", None) == ("secret",)
        assert render("{{secret}}{{x}}", x="{{> secret}}") == "{{> secret}}"


@given(st.one_of(json_values, HOSTILE), st.sampled_from(VariableType))
def test_no_value_changes_the_text_around_it_reads_a_file_or_raises_a_foreign_error(
    value: Any, type_: VariableType
) -> None:
    prompt = version(
        "before {{other}} | {{value}} | {{#value}}{{/value}} after\n  {{> inner}}",
        PromptVariable("value", type=type_),
        PromptVariable("other"),
        partials=(text("inner", "{{other}}{{^value}}{{/value}}"),),
    )
    with nothing_is_opened():
        try:
            said = render_prompt(prompt, {"value": value, "other": "OTHER"}).messages[0].content
        except BadUserInput:
            return
    assert said.startswith("before OTHER | ")
    assert said.endswith(" |  after\n  OTHER")


@given(st.dictionaries(st.sampled_from(["rows", "text", "x"]), json_values))
def test_any_values_render_or_are_refused_by_our_own_errors(values: Any) -> None:
    prompt = version(
        "{{text}}{{#rows}}{{.}}{{x}}{{#x}}{{.}}{{/x}}{{rows.0.text}}{{/rows}}{{^x}}-{{/x}}",
        *(PromptVariable(name, is_required=False) for name in ("rows", "text", "x")),
    )
    try:
        content = render_prompt(prompt, values).messages[0].content
    except BadUserInput:
        return
    assert "object at 0x" not in content


@settings(deadline=None)
@given(sources, sources, json_values)
def test_any_template_is_read_or_refused_and_what_is_read_can_be_rendered(
    source: str, included: str, value: Any
) -> None:
    partial = text("a", included, text("a", "end"))
    started = time.perf_counter()
    with nothing_is_opened():
        try:
            template = Template.parse(source, partials=[partial])
        except BadUserInput as refused:
            assert refused.path == ("template",)
        else:
            template.render({"x": value, "y": "Y"})
    assert time.perf_counter() - started < 1


@settings(deadline=None)
@given(sources, sources, st.lists(st.sampled_from(["x", "y", "z", "x y", ""]), max_size=3))
def test_any_version_passes_or_is_refused_with_a_path_for_all_that_is_wrong(
    source: str, system: str, names: list[str]
) -> None:
    variables = [PromptVariable(name) for name in names]
    try:
        check_templates(source, system, variables, [text("a", "{{x}}")])
    except BadUserInput as refused:
        assert all(
            problem.path in (("template",), ("systemTemplate",)) or problem.path[0] == "variables"
            for problem in refused.every
        )
    else:
        Template.parse(source, partials=[text("a", "{{x}}")])
        assert names == sorted(set(names), key=names.index)

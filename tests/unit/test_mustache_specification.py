"""The Mustache specification's own cases; ``--mustache-spec FOLDER`` says where they are.

The folder is ``specs`` of https://github.com/mustache/spec, or one with the same JSON files. Files
whose names begin with ~ are of optional modules (lambdas, inheritance), which we do not have.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assistant.domain.prompt import PromptPartial
from assistant.errors import BadUserInput
from assistant.services.mustache import Template
from tests.conftest import SPECIFICATION

NOT_ESCAPED = "prompts are no HTML: values are printed as they are"
NOT_EMPTY = (
    "an unknown text is refused when a version is made, for it would say less than was meant"
)
NO_CIRCLES = "a prompt that includes itself is refused; a version holds all that it includes"

DEVIATIONS: Mapping[tuple[str, str], str] = {
    ("interpolation", "HTML Escaping"): NOT_ESCAPED,
    ("interpolation", "Implicit Iterators - HTML Escaping"): NOT_ESCAPED,
    ("sections", "Implicit Iterator - HTML Escaping"): NOT_ESCAPED,
    ("partials", "Failed Lookup"): NOT_EMPTY,
    ("partials", "Recursion"): NO_CIRCLES,
}
"""Where we do something else than the specification on purpose, and why."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" not in metafunc.fixturenames:
        return
    cases = read_cases(metafunc.config.getoption(SPECIFICATION))
    metafunc.parametrize(
        ("module", "case"),
        [pytest.param(*case, id=f"{case[0]}: {case[1]['name']}") for case in cases],
    )


def read_cases(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    files = sorted(file for file in folder.glob("*.json") if not file.name.startswith("~"))
    if not files:
        raise pytest.UsageError(f"{SPECIFICATION}: there are no JSON files in {folder}")
    return [
        (file.stem, case)
        for file in files
        for case in json.loads(file.read_text(encoding="utf-8"))["tests"]
    ]


def included(
    texts: Mapping[str, str], without: frozenset[str] = frozenset()
) -> list[PromptPartial]:
    """``texts`` as a version holds them: each with what it includes, but for itself."""
    return [
        PromptPartial(name, name, 1, text, tuple(included(texts, without | {name})))
        for name, text in texts.items()
        if name not in without
    ]


def render(case: Mapping[str, Any]) -> str:
    partials = included(case.get("partials", {}))
    return Template.parse(case["template"], partials=partials).render(case["data"])


def test_a_case_renders_as_specified_or_deviates_as_we_say(
    module: str, case: Mapping[str, Any]
) -> None:
    deviation = DEVIATIONS.get((module, case["name"]))
    if deviation is None:
        assert render(case) == case["expected"]
    elif deviation is NOT_ESCAPED:
        assert render(case) == html.unescape(case["expected"]) != case["expected"]
    else:
        with pytest.raises(BadUserInput, match="There is no published prompt"):
            render(case)


def test_every_deviation_is_of_a_case_that_there_is(pytestconfig: pytest.Config) -> None:
    cases = read_cases(pytestconfig.getoption(SPECIFICATION))
    assert DEVIATIONS.keys() <= {(module, case["name"]) for module, case in cases}

"""What the documents say about the code is so."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from assistant.adapters.telemetry import PrometheusTelemetry
from assistant.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
SCHEMA = build_schema((ROOT / "schema.graphql").read_text(), assume_valid_sdl=True)
OPERATIONS = (ROOT / "docs/operations.md").read_text()
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (ROOT, ROOT / "docs", ROOT / "docs/decisions")
    for path in folder.glob("*.md")
)


def shown(default: object) -> str:
    """A setting's default as the table shows it."""
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, Path) and default.is_absolute():
        default = Path(".venv") / default.relative_to(sys.prefix)
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def test_the_settings_table_names_every_setting_with_its_default() -> None:
    rows = re.findall(rf"^\| `({PREFIX}\w+)` \| (.+?) \| (.+) \|$", OPERATIONS, re.MULTILINE)
    assert [(name, default) for name, default, _ in rows] == [
        (PREFIX + name.upper(), shown(field.default))
        for name, field in Settings.model_fields.items()
    ]


def test_the_metrics_table_names_every_metric_of_ours() -> None:
    body = PrometheusTelemetry().metrics_response()[0].decode()
    exported = set(re.findall(r"^# TYPE ((?:assistant|gen_ai)_\w+)", body, re.MULTILINE))
    section = OPERATIONS.partition("## Metrics")[2].partition("\n## ")[0]
    rows = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert exported - rows == set()
    # Gauges that the application adds are not known to an empty registry.
    assert rows - exported == {
        "assistant_running",
        "assistant_streams",
        "assistant_provider_calls_running",
        "assistant_provider_calls_waiting",
        "assistant_circuit_state",
        "assistant_cache_entries",
        "assistant_cache_bytes",
        "assistant_cache_memory_bytes",
    }


def test_the_index_of_decisions_is_complete() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text()
    listed = re.findall(r"^- \[(\d{4})\]\((\1-[\w-]+\.md)\) .", index, re.MULTILINE)
    files = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [name for _, name in listed] == [path.name for path in files]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_module_and_test_that_a_document_names_exists() -> None:
    """So that each figure can be printed again, and each promise shown."""
    texts = "\n".join((ROOT / document).read_text() for document in DOCUMENTS)
    modules = set(re.findall(r"python -m ([\w.]+)", texts))
    tests = set(re.findall(r"(tests/[\w/]+\.py)?::(test_\w+)", texts))
    assert modules and tests
    assert [name for name in sorted(modules) if find_spec(name) is None] == []
    shown = (ROOT / "tests/api/test_promises.py").read_text()
    for path, name in tests:
        source = (ROOT / path).read_text() if path else shown
        assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_shows_in_graphql_could_be_sent(document: str) -> None:
    text = (ROOT / document).read_text()
    for operation in re.findall(r"^```graphql\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        assert validate(SCHEMA, parse(operation)) == [], operation

"""`assistant usage`: what is refused before a database is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from assistant.usage_command import usage

MONTH = ("--from", "2026-11-01", "--to", "2026-12-01")


def test_an_export_for_nobody_is_refused() -> None:
    ended = CliRunner().invoke(usage, ["export", "--tenant", "no tenant", *MONTH])
    assert ended.exit_code == 1
    assert ended.stderr.startswith("assistant: --tenant must be 1 to 128 letters")
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("--tenant", "no tenant"), "--tenant must be 1 to 128 letters"),
        (("--tolerance", "much"), "--tolerance must be 0 to 100."),
        (("--tolerance", "NaN"), "--tolerance must be 0 to 100."),
        (("--from", "2026-11-01T01:00:00Z"), "--from must be a day of UTC"),
        (("--to", "tomorrow"), "--to must be a date, as in 2026-11-01"),
        (("--from", "2026-11-02", "--to", "2026-11-02"), "--from must be before --to"),
        (("--format", "anthropic"), "is of openai, as it looks, and not of anthropic"),
    ],
)
def test_trouble_is_told_apart_from_a_difference(
    tmp_path: Path, changes: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "usage"
    bucket = {"start_time": 1793491200, "end_time": 1793577600, "results": []}
    file.write_text(json.dumps({"object": "page", "data": [bucket]}))
    ended = CliRunner().invoke(
        usage, ["reconcile", "--tenant", "acme", "--provider", "openai", str(file), *changes]
    )
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""

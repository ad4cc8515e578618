"""What every folder of tests shares: one option, for a suite that is not ours to ship."""

from __future__ import annotations

from pathlib import Path

import pytest

SPECIFICATION = "--mustache-spec"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        SPECIFICATION,
        type=Path,
        metavar="FOLDER",
        help="run the Mustache specification's cases too: its folder of JSON files",
    )


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class,
) -> list[pytest.Item] | None:
    """Without its folder the specification has no cases, and nothing is reported as skipped."""
    is_of_it = collector.path.name == "test_mustache_specification.py"
    return [] if is_of_it and collector.config.getoption(SPECIFICATION) is None else None

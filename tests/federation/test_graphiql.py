"""The page at /graphql in a real browser, with no other host in reach."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.federation.conftest import lacking
from tests.federation.processes import HERE, run_node
from tests.running_service import running_service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The service as ``make run`` starts it on a machine without any model."""
    if not (Path(sys.prefix) / "share" / "assistant" / "graphiql" / "graphiql.js").is_file():
        lacking("the test of the page needs GraphiQL's local copies: run `make setup`")
    async with running_service(tmp_path_factory.mktemp("dev")) as service:
        yield f"{service.url}/graphql"


@pytest.fixture(scope="module")
def visit(node: str, chromium: str, page: str) -> dict[str, Any]:
    """What a person saw who opened the page and ran the operations of both tabs.

    Screenshots are left in the folder that ``TEST_ARTIFACTS`` names.
    """
    artifacts = Path(os.environ.get("TEST_ARTIFACTS", HERE / "artifacts"))
    artifacts.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = run_node([node, "browse.mjs", page, chromium, str(artifacts)])
    return report


def test_the_page_asks_no_other_host_and_logs_no_error(visit: dict[str, Any]) -> None:
    assert visit["refused"] == []
    assert visit["problems"] == []


def test_scripts_and_workers_are_served_as_javascript(visit: dict[str, Any]) -> None:
    types = {
        path: media_type
        for path, media_type in visit["mediaTypes"].items()
        if path.startswith("/graphql/assets/") and path.endswith(".js")
    }
    assert "/graphql/assets/graphql.worker.js" in types
    assert set(types.values()) == {"text/javascript; charset=utf-8"}


def test_the_first_tab_summarizes_a_text(visit: dict[str, Any]) -> None:
    answer = json.loads(visit["query"][-1])["data"]["generateCompletion"]
    assert answer["finishReason"] == "STOP"
    assert answer["text"].count(".") == 2
    assert first_words(answer["text"]) in visit["shown"]["query"]


def test_the_second_tab_streams_the_summary_event_by_event(visit: dict[str, Any]) -> None:
    events = [
        json.loads(text)["data"]["completionStream"] for text in visit["subscription"] if text
    ]
    names = [event["__typename"] for event in events]
    assert names[0] == "CompletionStarted"
    assert set(names[1:-1]) == {"TokenDelta"}
    assert names[-1] == "CompletionFinished"
    text = events[-1]["response"]["text"]
    assert "".join(event["text"] for event in events[1:-1]) == text
    assert first_words(text) in visit["shown"]["subscription"]


def first_words(text: str) -> str:
    """As many as the result pane shows on one line."""
    return " ".join(text.split()[:4])

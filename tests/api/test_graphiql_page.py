"""The page at /graphql: what it loads from where, and how its files are served."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from graphql import parse, validate
from starlette.applications import Starlette

from assistant.api.graphiql import SUMMARIZE, SUMMARY_STREAM, graphiql_html, load_graphiql
from assistant.api.schema import create_schema

PACKAGES = Path(__file__).parents[2] / "ops" / "graphiql" / "package-lock.json"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the build leaves its files."""
    (tmp_path / "chunks").mkdir()
    for name in ("graphiql.js", "graphiql.css", "json.worker.js", "chunks/monaco-AB12.js"):
        (tmp_path / name).write_text(f"/* {name} */")
    return tmp_path


@pytest_asyncio.fixture
async def client(directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=load_graphiql(directory).routes)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://assistant") as client:
        yield client


def test_with_local_copies_the_page_names_no_other_host(directory: Path) -> None:
    page = load_graphiql(directory)
    assert not re.findall(r"(?:https?:)?//[\w.]+", page.html)
    assert "http" not in page.content_security_policy
    assert "script-src 'self';" in page.content_security_policy


def test_without_local_copies_the_policy_allows_just_the_scripts_on_the_page(
    tmp_path: Path,
) -> None:
    page = load_graphiql(tmp_path / "missing")
    assert page.routes == ()
    inline = re.findall(r'<script type="(?:importmap|module)">(.*?)</script>', page.html, re.DOTALL)
    assert len(inline) == 2
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.content_security_policy


def test_the_cdn_serves_the_versions_that_are_bundled() -> None:
    locked = json.loads(PACKAGES.read_text(encoding="utf-8"))["packages"]
    named = set(
        re.findall(r"https://esm\.sh/((?:@\w+/)?[\w-]+)@([\d.]+)", graphiql_html(assets=False))
    )
    assert {name for name, _ in named} > {"graphiql", "react", "react-dom", "graphql"}
    assert named == {(name, locked[f"node_modules/{name}"]["version"]) for name, _ in named}


@pytest.mark.parametrize("document", [SUMMARIZE, SUMMARY_STREAM])
def test_the_operations_of_the_page_are_valid(document: str) -> None:
    assert validate(create_schema()._schema, parse(document)) == []


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("graphiql.js", "text/javascript"), ("graphiql.css", "text/css")],
)
async def test_files_with_plain_names_are_asked_for_again(
    client: httpx.AsyncClient, name: str, media_type: str
) -> None:
    first = await client.get(f"/graphql/assets/{name}")
    assert first.headers["content-type"] == f"{media_type}; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get(
        f"/graphql/assets/{name}", headers={"if-none-match": first.headers["etag"]}
    )
    assert again.status_code == 304


async def test_files_named_by_their_content_are_kept_for_ever(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql/assets/chunks/monaco-AB12.js")
    assert response.status_code == 200
    assert "immutable" in response.headers["cache-control"]


async def test_nothing_beside_the_files_is_served(client: httpx.AsyncClient) -> None:
    for path in ("../secrets", "..%2f..%2fetc/passwd", "missing.js", ""):
        assert (await client.get(f"/graphql/assets/{path}")).status_code == 404

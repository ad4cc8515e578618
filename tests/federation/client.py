"""A GraphQL client that knows nothing of the service: POST, and server-sent events."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class GraphQLClient:
    """Asks ``url`` with ``headers`` on every request."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an operation. Raises AssertionError where there are errors."""
        result = self.result(query, **variables)
        assert "errors" not in result, result
        data: dict[str, Any] = result["data"]
        return data

    def result(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer of an operation."""
        response = httpx.post(
            self.url,
            json={"query": query, "variables": variables},
            headers=dict(self.headers),
            timeout=_TIMEOUT_S,
        )
        answer: dict[str, Any] = response.json()
        return answer

    def subscribe(self, query: str, **variables: Any) -> Generator[dict[str, Any], None, None]:
        """The results of a subscription until it is complete; close it to leave earlier.

        Raises AssertionError where the stream ends without saying so.
        """
        with httpx.stream(
            "POST",
            self.url,
            json={"query": query, "variables": variables},
            headers={**self.headers, "accept": "text/event-stream"},
            timeout=_TIMEOUT_S,
        ) as response:
            assert response.headers["content-type"].startswith("text/event-stream"), response.read()
            event = ""
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data" and event == "next":
                    yield json.loads(value)
                if event == "complete":
                    return
        raise AssertionError("the stream ended without a complete event")

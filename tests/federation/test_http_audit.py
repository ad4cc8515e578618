"""The service speaks GraphQL over HTTP as the specification's audit asks."""

from __future__ import annotations

import json

from tests.federation.conftest import GATEWAY_IDENTITY
from tests.federation.processes import run_node


def test_the_audit_of_graphql_over_http_is_passed_in_every_point(node: str, subgraph: str) -> None:
    results = run_node([node, "audit.mjs", subgraph, json.dumps(GATEWAY_IDENTITY)])
    assert len(results) == 61
    assert [result for result in results if result["status"] != "ok"] == []

"""Composers accept the subgraph's schema beside other teams'."""

from __future__ import annotations

from pathlib import Path

from graphql import ObjectTypeDefinitionNode, StringValueNode, parse

from tests.federation.client import GraphQLClient
from tests.federation.conftest import GATEWAY_IDENTITY, Supergraph
from tests.federation.processes import HERE, ROOT


def test_both_composers_accept_the_schema_without_errors_or_hints(supergraph: Supergraph) -> None:
    assert supergraph.report == {
        "apollo": {"errors": [], "hints": []},
        "guild": {"errors": []},  # has no hints
    }


def test_another_team_points_at_our_entities_by_every_key_they_have() -> None:
    """Makes whoever adds an entity add it to tickets.graphql, and so to the tests of gateways."""
    ours = _keys(ROOT / "schema.graphql")
    theirs = _keys(HERE / "accounts.graphql") | _keys(HERE / "tickets.graphql")
    assert ours <= theirs


def test_the_service_publishes_the_schema_that_was_composed(subgraph: str) -> None:
    client = GraphQLClient(subgraph, GATEWAY_IDENTITY)
    sdl = client.execute("{ _service { sdl } }")["_service"]["sdl"]
    assert sdl == (ROOT / "schema.graphql").read_text(encoding="utf-8")


def _keys(path: Path) -> set[tuple[str, str]]:
    """Each type with each of its keys."""
    document = parse(path.read_text(encoding="utf-8"))
    return {
        (definition.name.value, argument.value.value)
        for definition in document.definitions
        if isinstance(definition, ObjectTypeDefinitionNode)
        for directive in definition.directives or ()
        if directive.name.value == "key"
        for argument in directive.arguments or ()
        if isinstance(argument.value, StringValueNode)
    }

"""Documents are remembered within a budget of memory."""

from __future__ import annotations

import pytest
from graphql import GraphQLSyntaxError, build_schema

from assistant.api.documents import Documents
from assistant.api.limits import Limits

SCHEMA = build_schema("type Query { a: Int b: Int c: Int }")


def passed(documents: Documents, query: str) -> object:
    document = documents.parse(query)
    assert documents.check(SCHEMA, query, document) == []
    return document


def test_what_passed_is_the_same_document_again() -> None:
    documents = Documents(Limits())

    assert passed(documents, "{ a }") is documents.parse("{ a }")


def test_what_did_not_pass_is_not_remembered() -> None:
    documents = Documents(Limits())
    document = documents.parse("{ z }")

    assert documents.check(SCHEMA, "{ z }", document)
    assert documents.parse("{ z }") is not document


def test_what_cannot_be_parsed_is_a_syntax_error() -> None:
    with pytest.raises(GraphQLSyntaxError):
        Documents(Limits()).parse("{")


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    # "{ a }" has three tokens: two such documents fit, three do not.
    documents = Documents(Limits(), max_bytes=4_000)
    first, second = passed(documents, "{ a }"), passed(documents, "{ b }")
    assert documents.parse("{ a }") is first
    passed(documents, "{ c }")

    assert documents.parse("{ a }") is first
    assert documents.parse("{ b }") is not second


def test_a_document_larger_than_the_memory_is_checked_each_time() -> None:
    documents = Documents(Limits(), max_bytes=20_000)
    query = "{ a" + " " * 50_000 + "}"
    small = passed(documents, "{ a }")

    assert passed(documents, query) is not documents.parse(query)
    assert documents.parse("{ a }") is not small  # it went first, being older

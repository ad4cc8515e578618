"""What a GraphQL request says, read from a body or from a URL.

Source: https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from assistant.errors import BadUserInput


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One operation to run. ``operation_name`` is None where the document has only one."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None


def decode_json(text: str | bytes) -> Any:
    """Strict JSON in UTF-8, with or without a byte order mark. Raises JSONDecodeError.

    ``NaN`` and its like, bytes of another encoding and a nesting that no stack can hold are
    refused as well; lone surrogates in escapes are kept, as JSON allows.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        return _DECODER.decode(text.removeprefix("\ufeff"))
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError("not JSON in UTF-8, or nested too deeply", "", 0) from error


def request_of_body(body: bytes) -> GraphQLRequest:
    """Raises BadUserInput."""
    try:
        document = decode_json(body)
    except json.JSONDecodeError:
        raise BadUserInput("The request body must be JSON in UTF-8.") from None
    if isinstance(document, list):
        raise BadUserInput(
            "Batches are not supported: send each operation in a request of its own."
        )
    if not isinstance(document, dict):
        raise BadUserInput("The request body must be a JSON object with a `query`.")
    return _request(document)


def request_of_url(parameters: Mapping[str, str]) -> GraphQLRequest:
    """``variables`` and ``extensions`` are JSON texts. Raises BadUserInput."""
    document: dict[str, Any] = dict(parameters)
    for name in ("variables", "extensions"):
        if text := document.get(name):
            try:
                document[name] = decode_json(text)
            except json.JSONDecodeError:
                raise BadUserInput(f"`{name}` must be a JSON object.", path=(name,)) from None
        else:
            document[name] = None
    document["operationName"] = document.get("operationName") or None
    return _request(document)


def _request(document: Mapping[str, Any]) -> GraphQLRequest:
    query = document.get("query")
    if not isinstance(query, str) or not query:
        raise BadUserInput("Send a GraphQL document as `query`.", path=("query",))
    operation_name = document.get("operationName")
    if not isinstance(operation_name, str | None):
        raise BadUserInput("`operationName` must be a text or null.", path=("operationName",))
    return GraphQLRequest(
        query=query,
        variables=_object(document, "variables"),
        operation_name=operation_name,
        extensions=_object(document, "extensions"),
    )


def _object(document: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = document.get(name)
    if not isinstance(value, dict | None):
        raise BadUserInput(f"`{name}` must be an object or null.", path=(name,))
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)

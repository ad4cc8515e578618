"""Reads a CompletionRequest that comes as JSON, by the schema's own rules.

For doors other than GraphQL: what a field means, and which values it takes, is said once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from graphql import GraphQLInputObjectType, GraphQLNonNull, Undefined
from graphql.utilities import coerce_input_value
from strawberry.types.arguments import convert_argument

from assistant.api.completion_request import CompletionRequest
from assistant.api.input_errors import explain_input
from assistant.errors import BadUserInput

if TYPE_CHECKING:
    from assistant.api.federation import SubgraphSchema

_TYPE: Final = "CompletionRequest"


class RequestReader:
    """Turns JSON into what a resolver would be given for it."""

    def __init__(self, schema: SubgraphSchema) -> None:
        type_ = cast("GraphQLInputObjectType", schema._schema.type_map[_TYPE])
        self.fields: Collection[str] = type_.fields.keys()
        """The names of what a document may have."""
        self._type = GraphQLNonNull(type_)
        self._scalars = schema.schema_converter.scalar_registry
        self._config = schema.config

    def read(self, document: Mapping[str, Any]) -> CompletionRequest:
        """``document`` has the fields of the input type CompletionRequest, in its spelling.

        Raises BadUserInput with every problem that was found, ten at most, none of which repeats
        what was sent.
        """
        try:
            coerced = coerce_input_value(document, self._type)
        except RecursionError:
            raise BadUserInput("The request is nested too deeply.") from None
        if coerced is Undefined:
            raise BadUserInput.joined(
                [
                    BadUserInput(problem, path=tuple(map(str, path)))
                    for path, problem in explain_input(document, self._type)
                ]
                or [BadUserInput(f"This is no {_TYPE}.")]
            )
        return cast(
            "CompletionRequest",
            convert_argument(coerced, CompletionRequest, self._scalars, self._config),
        )

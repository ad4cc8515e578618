"""The documents of a schema: checked once, remembered, and let pass for whoever may.

What passed is remembered by its text; the same text is then neither parsed, weighed nor
validated again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from graphql import (
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    ValuesOfCorrectTypeRule,
    parse,
    specified_rules,
    validate,
)
from strawberry.extensions import SchemaExtension
from strawberry.extensions.runner import SchemaExtensionsRunner
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from assistant.api.errors import VALIDATION_FAILED, coded, cut, extensions_of
from assistant.api.input_errors import ValuesOfCorrectType
from assistant.api.limits import Limits, Scale, is_page_size, page_error
from assistant.errors import AssistantError, ErrorCode

if TYPE_CHECKING:
    from graphql import GraphQLSchema
    from strawberry.types.execution import ParseOptions

    from assistant.api.context import Context

_RULES: Final = (
    *(ValuesOfCorrectType if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules),
    MaybeNullValidationRule,
    OneOfInputValidationRule,
)
_MAX_ERRORS: Final = 10


@dataclass(slots=True)
class _Document:
    """A parsed document. ``page_variables`` and ``needs_caller`` are known once it is checked."""

    node: DocumentNode
    is_checked: bool = False
    page_variables: frozenset[str] = frozenset()
    needs_caller: bool = False


class Documents:
    """The documents of one schema: parsed, weighed, validated, and remembered if they pass.

    They take about ``max_bytes`` of memory; what was used longest ago is forgotten first.
    """

    def __init__(self, limits: Limits, *, max_bytes: int = 32_000_000) -> None:
        self.limits = limits
        self.parse_options: dict[str, Any] = {
            "max_source_length": limits.characters,
            "max_tokens": limits.tokens,
        }
        self._passed: OrderedDict[str, _Document] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes

    def parse(self, query: str) -> _Document:
        """Raises GraphQLSyntaxError."""
        document = self._passed.get(query)
        if document is None:
            return _Document(parse(query, **self.parse_options))
        self._passed.move_to_end(query)
        return document

    def check(self, schema: GraphQLSchema, query: str, document: _Document) -> list[GraphQLError]:
        """Everything wrong with the document itself; empty where it may be executed."""
        if document.is_checked:
            return []
        scale = Scale(document.node, self.limits)
        if errors := scale.errors():
            return errors
        if errors := validate(schema, document.node, _RULES, max_errors=_MAX_ERRORS):
            return [_with_code(error) for error in errors]
        document.page_variables = frozenset(scale.page_variables)
        document.needs_caller = scale.needs_caller
        document.is_checked = True
        self._remember(query, document)
        return []

    def _remember(self, query: str, document: _Document) -> None:
        self._passed[query] = document
        self._bytes += _size(query, document)
        while self._bytes > self._max_bytes:
            self._bytes -= _size(*self._passed.popitem(last=False))


class DocumentGate(SchemaExtension):
    """Lets an operation pass only within the limits; gives it loaders of its own."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._document: _Document | None = None

    def on_operation(self) -> None:  # type: ignore[override]
        context: Context | None = self.execution_context.context
        # A WebSocket's context serves every operation of its connection. In-process use, such as
        # printing an introspection, has none.
        if context is not None and context.connection_params is not None:
            self.execution_context.context = replace(context, loaders={})
        self.execution_context.parse_options = cast("ParseOptions", self._documents.parse_options)

    def on_parse(self) -> None:  # type: ignore[override]
        execution = self.execution_context
        try:
            self._document = self._documents.parse(execution.query or "")
        except GraphQLError:
            # Strawberry parses again and reports it as the result that the transport expects.
            self._document = None
        else:
            execution.graphql_document = self._document.node

    def on_validate(self) -> None:  # type: ignore[override]
        execution = self.execution_context
        document = cast("_Document", self._document)
        errors = self._documents.check(
            execution.schema._schema, cast("str", execution.query), document
        )
        execution.pre_execution_errors = errors or list(self._request_errors(document))

    def _request_errors(self, document: _Document) -> Iterator[GraphQLError]:
        """What is wrong with this request of a document that is right."""
        execution = self.execution_context
        identity = execution.context and execution.context.identity
        if document.needs_caller and isinstance(identity, AssistantError):
            yield GraphQLError(identity.message, extensions=extensions_of(identity))
        if execution._provided_operation_name is None and _count_operations(document.node) > 1:
            yield coded(
                "The document has several operations: name one as `operationName`.",
                ErrorCode.BAD_USER_INPUT.value,
            )
        variables = execution.variables or {}
        for name in document.page_variables & variables.keys():
            if not is_page_size(variables[name], self._documents.limits.page_size):
                yield page_error(self._documents.limits, name, None, f"Variable ${name}")


class GateHooks(SchemaExtensionsRunner):
    """Runs the hooks of DocumentGate, the only extension that there is, and looks for no others.

    Strawberry looks for every hook of every extension, makes a context manager of it and puts
    that on a stack: for each operation, and for each event of a stream.
    """

    def operation(self) -> Any:
        self._gate.on_operation()
        return nullcontext()

    def parsing(self) -> Any:
        self._gate.on_parse()
        return nullcontext()

    def validation(self) -> Any:
        self._gate.on_validate()
        return nullcontext()

    def executing(self) -> Any:
        return nullcontext()

    def on_stream_result(self, result: object) -> Any:  # noqa: ARG002
        return nullcontext()

    async def get_extensions_results(self, ctx: object) -> dict[str, Any]:  # noqa: ARG002
        return {}

    @property
    def _gate(self) -> DocumentGate:
        (gate,) = self.extensions
        assert isinstance(gate, DocumentGate)
        return gate


def _size(query: str, document: _Document) -> int:
    # A token with its nodes and locations was measured to take 600 bytes; blanks take their own.
    return len(query) + 600 * document.node.token_count


def _with_code(error: GraphQLError) -> GraphQLError:
    return GraphQLError(cut(error.message), error.nodes, extensions={"code": VALIDATION_FAILED})


def _count_operations(document: DocumentNode) -> int:
    return sum(
        isinstance(definition, OperationDefinitionNode) for definition in document.definitions
    )

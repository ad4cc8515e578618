"""What a document may ask for, and the memory of documents that may.

A document is weighed before it is validated, so that hostile ones stay cheap: fragments are
weighed once however often they are spread. What passed is remembered by its text; the same
text is then neither parsed, weighed nor validated again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    ValuesOfCorrectTypeRule,
    VariableNode,
    parse,
    specified_rules,
)
from strawberry.extensions import SchemaExtension
from strawberry.schema.schema import validate_document

from assistant.api.errors import VALIDATION_FAILED, coded, cut, extensions_of
from assistant.api.input_errors import ValuesOfCorrectType
from assistant.errors import AssistantError, ErrorCode
from assistant.services.bounded_cache import BoundedCache

if TYPE_CHECKING:
    from graphql import GraphQLSchema, Node

    from assistant.api.context import Context

# Built once: a tuple made per request would be a new set of rules for every cache behind it.
_RULES: Final = tuple(
    ValuesOfCorrectType if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules
)
_INTROSPECTION: Final = frozenset({"__schema", "__type"})
_NEEDS_CALLER: Final = _INTROSPECTION | {"_service"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Per operation, fragments counted wherever they are spread.

    ``depth`` is levels of fields, ``fields`` what the operation would say without fragments.
    ``paid_fields`` cost money: one of them per operation, whatever its alias. ``page_arguments``
    say how many items a list has: 1 to ``page_size``.
    """

    tokens: int = 2_000
    depth: int = 12
    fields: int = 2_000
    aliases: int = 30
    directives: int = 50
    operations: int = 20
    page_size: int = 100
    page_arguments: frozenset[str] = frozenset({"first"})
    paid_fields: frozenset[str] = frozenset({"generateCompletion", "completionStream"})


@dataclass(frozen=True, slots=True)
class _Weight:
    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    paid: frozenset[str] = frozenset()


_WEIGHTLESS: Final = _Weight()


@dataclass(slots=True)
class _Document:
    """A parsed document. ``page_variables`` and ``needs_caller`` are known once it is checked."""

    node: DocumentNode
    is_checked: bool = False
    page_variables: frozenset[str] = frozenset()
    needs_caller: bool = False


class Documents:
    """The documents of one schema: parsed, weighed, validated, and remembered if they pass.

    Memory is bounded by both numbers: a document that is longer than ``max_cached_chars`` is
    checked anew each time.
    """

    def __init__(
        self, limits: Limits, *, max_cached: int = 512, max_cached_chars: int = 10_000
    ) -> None:
        self.limits = limits
        self._passed: BoundedCache[str, _Document] = BoundedCache(max_cached)
        self._max_cached_chars = max_cached_chars

    def parse(self, query: str) -> _Document:
        """Raises GraphQLSyntaxError."""
        return self._passed.get(query) or _Document(parse(query, max_tokens=self.limits.tokens))

    def check(self, schema: GraphQLSchema, query: str, document: _Document) -> list[GraphQLError]:
        """Everything wrong with the document itself; empty where it may be executed."""
        if document.is_checked:
            return []
        scale = _Scale(document.node, self.limits)
        if errors := scale.errors():
            return errors
        if errors := validate_document(schema, document.node, _RULES):
            return [_invalid(error.message, error.nodes) for error in errors]
        document.page_variables = frozenset(scale.page_variables)
        document.needs_caller = scale.needs_caller
        document.is_checked = True
        if len(query) <= self._max_cached_chars:
            self._passed.put(query, document)
        return []


class DocumentGate(SchemaExtension):
    """Lets an operation pass only within the limits; gives it loaders of its own."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._document: _Document | None = None

    def on_operation(self) -> Iterator[None]:
        context: Context = self.execution_context.context
        # A WebSocket's context serves every operation of its connection.
        if context.connection_params is not None:
            self.execution_context.context = replace(context, loaders={})
        self.execution_context.parse_options["max_tokens"] = self._documents.limits.tokens
        yield

    def on_parse(self) -> Iterator[None]:
        execution = self.execution_context
        try:
            self._document = self._documents.parse(execution.query or "")
        except GraphQLError:
            # Strawberry parses again and reports it as the result that the transport expects.
            self._document = None
        else:
            execution.graphql_document = self._document.node
        yield

    def on_validate(self) -> Iterator[None]:
        execution = self.execution_context
        document = cast("_Document", self._document)
        errors = self._documents.check(
            execution.schema._schema, cast("str", execution.query), document
        )
        execution.pre_execution_errors = errors or list(self._request_errors(document))
        yield

    def _request_errors(self, document: _Document) -> Iterator[GraphQLError]:
        """What is wrong with this request of a document that is right."""
        execution = self.execution_context
        identity = execution.context.identity
        if document.needs_caller and isinstance(identity, AssistantError):
            yield GraphQLError(identity.message, extensions=extensions_of(identity))
        if execution._provided_operation_name is None and _count_operations(document.node) > 1:
            yield coded(
                "The document has several operations: name one as `operationName`.",
                ErrorCode.BAD_USER_INPUT.value,
            )
        variables = execution.variables or {}
        for name in document.page_variables & variables.keys():
            if not _is_page_size(variables[name], self._documents.limits.page_size):
                yield _page_error(self._documents.limits, f"${name}", None)


class _Scale:
    """Weighs the operations of a document that may be hostile and need not be valid."""

    def __init__(self, document: DocumentNode, limits: Limits) -> None:
        self._document = document
        self._limits = limits
        self._fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        # None while a fragment is being weighed: a cycle, which validation reports.
        self._weights: dict[str, _Weight | None] = {}
        self._page_errors: list[GraphQLError] = []
        self.page_variables: set[str] = set()
        self.needs_caller = False

    def errors(self) -> list[GraphQLError]:
        """Every limit that is passed."""
        operations = [
            definition
            for definition in self._document.definitions
            if isinstance(definition, OperationDefinitionNode)
        ]
        if len(operations) > self._limits.operations:
            return [_invalid(f"A document may have {self._limits.operations} operations.")]
        try:
            weights = [self._operation(operation) for operation in operations]
        except RecursionError:
            return [_invalid("The document's fragments are nested too deeply.")]
        errors = [error for weight in weights for error in self._excesses(weight)]
        return errors + self._page_errors[:10]

    def _excesses(self, weight: _Weight) -> Iterator[GraphQLError]:
        limits = self._limits
        for what, found, limit in (
            ("levels of fields", weight.depth, limits.depth),
            ("fields", weight.fields, limits.fields),
            ("aliases", weight.aliases, limits.aliases),
            ("directives", weight.directives, limits.directives),
        ):
            if found > limit:
                yield _invalid(
                    f"An operation may have {limit} {what}, fragments included; this one has more: "
                    "ask for less, or in several operations."
                )
        if len(weight.paid) > 1:
            yield _invalid(
                f"An operation may run one completion, this one asks for {len(weight.paid)}: "
                "send an operation for each."
            )

    def _operation(self, operation: OperationDefinitionNode) -> _Weight:
        weight = self._selections(operation.selection_set)
        for variable in operation.variable_definitions or ():
            name, default = variable.variable.name.value, variable.default_value
            if name in self.page_variables and default is not None:
                self._check_page(name, default)
        return replace(weight, directives=weight.directives + len(operation.directives or ()))

    def _selections(self, selections: SelectionSetNode) -> _Weight:
        depth = fields = aliases = directives = 0
        paid: frozenset[str] = frozenset()
        for selection in selections.selections:
            if isinstance(selection, FragmentSpreadNode):
                inner = self._fragment(selection.name.value)
            elif selection.selection_set is not None:  # type: ignore[attr-defined]
                inner = self._selections(selection.selection_set)  # type: ignore[attr-defined]
            else:
                inner = _WEIGHTLESS
            own_depth = inner.depth
            if isinstance(selection, FieldNode):
                name = selection.name.value
                fields += 1
                aliases += selection.alias is not None
                # GraphQL bounds the depth of introspection by a rule of its own.
                own_depth = 1 if name in _INTROSPECTION else inner.depth + 1
                self.needs_caller |= name in _NEEDS_CALLER
                if name in self._limits.paid_fields:
                    paid |= {(selection.alias or selection.name).value}
                for argument in selection.arguments or ():
                    if argument.name.value in self._limits.page_arguments:
                        self._check_page(argument.name.value, argument.value)
            depth = max(depth, own_depth)
            fields += inner.fields
            aliases += inner.aliases
            directives += inner.directives + len(selection.directives or ())
            paid |= inner.paid
        return _Weight(depth, fields, aliases, directives, paid)

    def _fragment(self, name: str) -> _Weight:
        if name not in self._weights:
            fragment = self._fragments.get(name)
            if fragment is None:
                return _WEIGHTLESS  # validation reports it
            self._weights[name] = None
            weight = self._selections(fragment.selection_set)
            self._weights[name] = weight
        return self._weights[name] or _WEIGHTLESS

    def _check_page(self, name: str, value: ValueNode) -> None:
        if isinstance(value, VariableNode):
            self.page_variables.add(value.name.value)
        elif not (
            isinstance(value, IntValueNode)
            # A longer one is not worth converting.
            and len(value.value) < 10
            and _is_page_size(int(value.value), self._limits.page_size)
        ):
            self._page_errors.append(_page_error(self._limits, name, value))


def _is_page_size(value: object, largest: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= largest


def _page_error(limits: Limits, name: str, node: ValueNode | None) -> GraphQLError:
    return GraphQLError(
        f"{name} must be 1 to {limits.page_size}.",
        node,
        extensions={"code": ErrorCode.BAD_USER_INPUT.value, "inputPath": [name]},
    )


def _invalid(message: str, nodes: Sequence[Node] | None = None) -> GraphQLError:
    return GraphQLError(cut(message), nodes, extensions={"code": VALIDATION_FAILED})


def _count_operations(document: DocumentNode) -> int:
    return sum(
        isinstance(definition, OperationDefinitionNode) for definition in document.definitions
    )

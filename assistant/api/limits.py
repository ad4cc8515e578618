"""What a document may ask for.

A document is weighed before it is validated, so that hostile ones stay cheap: fragments are
weighed once however often they are spread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

from assistant.api.errors import VALIDATION_FAILED, coded
from assistant.errors import ErrorCode

_MAX_ERRORS: Final = 10
_INTROSPECTION: Final = frozenset({"__schema", "__type"})
_NEEDS_CALLER: Final = _INTROSPECTION | {"_service"}


@dataclass(frozen=True, slots=True)
class Limits:
    """``characters``, ``tokens`` and ``operations`` of a document; the others per operation,
    fragments counted wherever they are spread.

    ``depth`` is levels of fields, ``fields`` what the operation would say without fragments,
    ``repeats`` how often it may name what it has named beside: each pair has to be compared.
    ``paid_fields`` cost money: one of them per operation, whatever its alias. ``page_arguments``
    say how many items a list has: 1 to ``page_size``. ``list_fields`` are long lists that lead on
    to other lists or back to where they are: none of them within itself, and ``list_levels`` at
    most within one another, or a few levels would answer millions of items.
    """

    characters: int = 100_000
    tokens: int = 2_000
    operations: int = 20
    depth: int = 12
    fields: int = 2_000
    aliases: int = 30
    repeats: int = 50
    directives: int = 50
    page_size: int = 100
    page_arguments: frozenset[str] = frozenset({"first"})
    list_levels: int = 2
    paid_fields: frozenset[str] = frozenset(
        {"generateCompletion", "completionStream", "createEmbeddings", "testPromptVersion"}
    )
    list_fields: frozenset[str] = frozenset(
        {
            *("_entities", "prompts", "models", "versions", "releases", "rollout"),
            *("byVersion", "testRuns"),
        }
    )


_NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class _Weight:
    """What selections add up to. ``loops`` are those of ``lists`` that stand within themselves."""

    depth: int = 0
    list_levels: int = 0
    fields: int = 0
    aliases: int = 0
    repeats: int = 0
    directives: int = 0
    paid: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    loops: frozenset[str] = frozenset()


_WEIGHTLESS: Final = _Weight()


class Scale:
    """Weighs the operations of a document that may be hostile and need not be valid.

    After ``errors``, ``page_variables`` are the variables that say how many items a list has,
    and ``needs_caller`` is whether the document asks for the schema.
    """

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
        self._pages: list[GraphQLError] = []
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
            return [_too_much(f"A document may have {self._limits.operations} operations.")]
        try:
            weights = [self._operation(operation) for operation in operations]
        except RecursionError:
            return [_too_much("The document's fragments are nested too deeply.")]
        errors = [error for weight in weights for error in self._excesses(weight)]
        return errors + self._pages[:_MAX_ERRORS]

    def _excesses(self, weight: _Weight) -> Iterator[GraphQLError]:
        limits = self._limits
        for what, found, limit in (
            ("levels of fields", weight.depth, limits.depth),
            ("long lists within one another", weight.list_levels, limits.list_levels),
            ("fields", weight.fields, limits.fields),
            ("aliases", weight.aliases, limits.aliases),
            ("repeated fields", weight.repeats, limits.repeats),
            ("directives", weight.directives, limits.directives),
        ):
            if found > limit:
                yield _too_much(
                    f"An operation may have {limit} {what}, fragments included; this one has more: "
                    "ask for less, or in several operations."
                )
        if len(weight.paid) > 1:
            yield _too_much(
                "An operation may run one completion, or embed once, or run tests once; this one "
                f"asks for {len(weight.paid)}: send an operation for each."
            )
        for name in sorted(weight.loops):
            yield _too_much(
                f"{name} may not be asked for within {name}: ask in an operation of its own."
            )

    def _operation(self, operation: OperationDefinitionNode) -> _Weight:
        weight = self._selections(operation.selection_set)
        for variable in operation.variable_definitions or ():
            name, default = variable.variable.name.value, variable.default_value
            if name in self.page_variables and default is not None:
                self._check_page(name, default)
        return replace(weight, directives=weight.directives + len(operation.directives or ()))

    def _selections(self, selections: SelectionSetNode, keys: set[str] | None = None) -> _Weight:
        """What ``selections`` add up to. ``keys`` are those named already in the same place."""
        depth = list_levels = fields = aliases = repeats = directives = 0
        paid = lists = loops = _NOTHING
        keys = set() if keys is None else keys
        for selection in selections.selections:
            inner = _WEIGHTLESS
            if isinstance(selection, FragmentSpreadNode):
                inner = self._fragment(selection.name.value)
            elif isinstance(selection, InlineFragmentNode):
                inner = self._selections(selection.selection_set, keys)
            elif isinstance(selection, FieldNode) and selection.selection_set is not None:
                inner = self._selections(selection.selection_set)
            own_depth, own_levels = inner.depth, inner.list_levels
            if isinstance(selection, FieldNode):
                name = selection.name.value
                key = (selection.alias or selection.name).value
                fields += 1
                aliases += selection.alias is not None
                repeats += key in keys
                keys.add(key)
                # GraphQL bounds the depth of introspection by a rule of its own.
                own_depth = 1 if name in _INTROSPECTION else inner.depth + 1
                self.needs_caller |= name in _NEEDS_CALLER
                if name in self._limits.paid_fields:
                    paid |= {key}
                if name in self._limits.list_fields:
                    loops |= inner.lists & {name}
                    lists |= {name}
                    own_levels += 1
                for argument in selection.arguments or ():
                    if argument.name.value in self._limits.page_arguments:
                        self._check_page(argument.name.value, argument.value)
            depth = max(depth, own_depth)
            list_levels = max(list_levels, own_levels)
            fields += inner.fields
            aliases += inner.aliases
            repeats += inner.repeats
            directives += inner.directives + len(selection.directives or ())
            paid |= inner.paid
            lists |= inner.lists
            loops |= inner.loops
        return _Weight(depth, list_levels, fields, aliases, repeats, directives, paid, lists, loops)

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
            and is_page_size(int(value.value), self._limits.page_size)
        ):
            self._pages.append(page_error(self._limits, name, value))


def is_page_size(value: object, largest: int) -> bool:
    """Whether ``value``, as JSON has it, is a number of items that a page may have."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= largest


def page_error(
    limits: Limits, name: str, node: ValueNode | None, subject: str | None = None
) -> GraphQLError:
    """That ``name``, called ``subject`` where it is a variable, is out of range."""
    return GraphQLError(
        f"{subject or name} must be 1 to {limits.page_size}.",
        node,
        extensions={"code": ErrorCode.BAD_USER_INPUT.value, "inputPath": [name]},
    )


def _too_much(message: str) -> GraphQLError:
    return coded(message, VALIDATION_FAILED)

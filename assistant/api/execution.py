"""Executes operations as graphql-core does, without doing the same work for every event.

An event of a subscription is an execution of its own: with a hundred streams, most of what this
service does is to execute the same selections of the same fields again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from graphql import (
    ExecutionResult,
    GraphQLFloat,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    OperationType,
    get_nullable_type,
    is_leaf_type,
    is_non_null_type,
)
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

if TYPE_CHECKING:
    from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
    from graphql.pyutils import AwaitableOrValue, Path

_DEFINITION: Final = GraphQLCoreConverter.DEFINITION_BACKREF
_Field: TypeAlias = tuple[str, Callable[[Any], Any]]


class _NotPlain(Exception):
    """A field turned out to need graphql-core's full treatment."""


class Execution(StrawberryGraphQLCoreExecutionContext):
    """One operation's execution. The first event of a type has a copy of it; for those that follow,
    also in other clients' streams of the same document, it is known by then how they are read.

    Whatever fails in here is done again by graphql-core, which finds the error and its place.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Strawberry passes the quick one for queries and mutations only.
        self.is_awaitable = optimized_is_awaitable  # type: ignore[assignment]
        if self.middleware_manager is not None and not self.middleware_manager.middlewares:
            # An empty one would be asked for every field.
            self.middleware_manager = None
        # By the event's class: the subscription's name in the response, the event's own fields.
        self._events: dict[type, tuple[str, list[_Field]]] = {}
        if self.operation.operation is OperationType.SUBSCRIPTION:
            variables = self.variable_values.coerced
            # All that a selection depends on, besides its document.
            switches = frozenset((name, on) for name, on in variables.items() if type(on) is bool)
            self._events = _events_of(_Identity(self.schema), _Identity(self.operation), switches)

    def build_per_event_executor(self, payload: Any) -> Any:
        if known := self._events.get(type(payload)):
            name, fields = known
            try:
                return _Executed({name: {key: read(payload) for key, read in fields}})
            except Exception:  # noqa: BLE001, S110 - done again below
                pass
        return super().build_per_event_executor(payload)

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> AwaitableOrValue[dict[str, Any]]:
        if (
            self.operation.operation is OperationType.SUBSCRIPTION
            and source_value is self.root_value
            and path is not None
            and path.prev is None
        ):
            readers = [
                (name, self._reader(parent_type, details))
                for name, details in grouped_field_set.items()
            ]
            fields = [(name, read) for name, read in readers if read is not None]
            if len(fields) == len(readers):
                self._events[type(source_value)] = (str(path.key), fields)
        return super().execute_fields(
            parent_type, source_value, path, grouped_field_set, position_context
        )

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: FieldDetailsList,
        path: Path,
        position_context: Any,
    ) -> Any:
        if read := self._reader(parent_type, field_details_list):
            try:
                return read(source)
            except Exception:  # noqa: BLE001, S110 - done again below
                pass
        return super().execute_field(
            parent_type, source, field_details_list, path, position_context
        )

    def complete_list_value(
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> AwaitableOrValue[list[Any]]:
        # A thousand vectors are half a million numbers, which are what they shall be already.
        if _are_floats(return_type.of_type, result):
            return result  # type: ignore[no-any-return]
        items = self._read_items(return_type.of_type, field_details_list, result)
        if items is not None:
            return items
        return super().complete_list_value(
            return_type, field_details_list, info, path, result, position_context
        )

    def _read_items(
        self, item_type: GraphQLOutputType, details: FieldDetailsList, result: Any
    ) -> list[Any] | None:
        """The items of a list of objects that are only read; None for any other list.

        A page of prompts has a thousand versions, most of them asked for a number and a status.
        """
        type_ = get_nullable_type(item_type)
        if not isinstance(result, list) or not isinstance(type_, GraphQLObjectType):
            return None
        selected, new_defer_usages, _ = self.collect_subfields(type_, details)
        fields = [(name, self._reader(type_, each)) for name, each in selected.items()]
        if new_defer_usages or not all(read for _, read in fields):
            return None
        try:
            return [{name: read(item) for name, read in fields if read} for item in result]
        except Exception:  # noqa: BLE001 - done again by the caller
            return None

    def _reader(
        self, parent_type: GraphQLObjectType, details: FieldDetailsList
    ) -> Callable[[Any], Any] | None:
        if self.middleware_manager is not None:
            return None
        return _reader(parent_type, details[0].node.name.value)


@dataclass(frozen=True, slots=True, eq=False)
class _Identity:
    """A key that equals that of the very same object; the object's own comparison reads all of it."""

    value: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


@lru_cache(maxsize=100)  # operations; each keeps its document
def _events_of(
    _schema: _Identity, _operation: _Identity, _switches: frozenset[tuple[str, bool]]
) -> dict[type, tuple[str, list[_Field]]]:
    """What is learnt of a subscription's events, for all who ask with the same document."""
    return {}


class _Executed:
    """Stands for the execution of an event that needed none; nearly every event is one."""

    __slots__ = ("_data",)

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def execute_operation(self, _serially: bool) -> ExecutionResult:
        return ExecutionResult(self._data)


def _are_floats(item_type: GraphQLOutputType, result: Any) -> bool:
    """Whether ``result`` is a list of what a ``Float!`` answers unchanged."""
    return (
        isinstance(result, list)
        and isinstance(item_type, GraphQLNonNull)
        and item_type.of_type is GraphQLFloat
        and set(map(type, result)) == {float}
        and all(map(isfinite, result))
    )


@lru_cache(maxsize=10_000)  # more than a schema has fields
def _reader(parent_type: GraphQLObjectType, name: str) -> Callable[[Any], Any] | None:
    """Reads a leaf that is an attribute of its source; None for any other field."""
    if name == "__typename":
        return lambda _source: parent_type.name
    field = parent_type.fields.get(name)
    definition = field and field.extensions.get(_DEFINITION)
    if (
        field is None
        or not isinstance(definition, StrawberryField)
        or not definition.is_basic_field
    ):
        return None
    type_ = get_nullable_type(field.type)
    if not is_leaf_type(type_):
        return None
    attribute, coerce = attrgetter(definition.python_name), type_.coerce_output_value
    is_required = is_non_null_type(field.type)

    def read(source: Any) -> Any:
        value = attribute(source)
        coerced = None if value is None else coerce(value)
        if coerced is None and (is_required or value is not None):
            raise _NotPlain
        return coerced

    return read

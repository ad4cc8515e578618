"""Executes operations as graphql-core does, without doing the same work for every event.

An event of a subscription is an execution of its own: with a hundred streams, most of what this
service does is to execute the same selections of the same fields again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from graphql import GraphQLObjectType, get_nullable_type, is_leaf_type, is_non_null_type
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

if TYPE_CHECKING:
    from graphql.execution.collect_fields import DeferUsage, GroupedFieldSet
    from graphql.pyutils import AwaitableOrValue, Path

_DEFINITION: Final = GraphQLCoreConverter.DEFINITION_BACKREF
_Plan: TypeAlias = list[tuple[str, Callable[[Any], Any]]]


class _NotPlain(Exception):
    """A field turned out to need graphql-core's full treatment."""


class Execution(StrawberryGraphQLCoreExecutionContext):
    """One operation's execution. A subscription's events have shallow copies of it, which share
    what is remembered here: that the operation's fields are the same for all of them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Strawberry passes the quick one for queries and mutations only.
        self.is_awaitable = optimized_is_awaitable  # type: ignore[assignment]
        if self.middleware_manager is not None and not self.middleware_manager.middlewares:
            # An empty one would be asked for every field.
            self.middleware_manager = None
        self._root_fields: dict[GraphQLObjectType, GroupedFieldSet] = {}
        # By the identity of the field set, which is kept beside its plan to stay the only one.
        self._plans: dict[tuple[GraphQLObjectType, int], tuple[GroupedFieldSet, _Plan | None]] = {}

    def __copy__(self) -> Self:
        # What copy() does, which takes thrice as long to find that out for every event.
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def execute_collected_root_fields(
        self,
        root_type: GraphQLObjectType,
        root_value: Any,
        grouped_field_set: GroupedFieldSet,
        serially: bool,
        new_defer_usages: Sequence[DeferUsage],
    ) -> AwaitableOrValue[dict[str, Any]]:
        # graphql-core remembers the fields below by the identity of those above. With new ones
        # for every event it would find nothing, and keep what it collected until the stream ends.
        first = self._root_fields.setdefault(root_type, grouped_field_set)
        return super().execute_collected_root_fields(
            root_type, root_value, first, serially, new_defer_usages
        )

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> AwaitableOrValue[dict[str, Any]]:
        key = (parent_type, id(grouped_field_set))
        known = self._plans.get(key)
        if known is None:
            known = (grouped_field_set, self._plan(parent_type, grouped_field_set))
            self._plans[key] = known
        plan = known[1]
        if plan is not None:
            try:
                return {name: read(source_value) for name, read in plan}
            except Exception:  # noqa: BLE001, S110 - the full treatment finds it again, and says where
                pass
        return super().execute_fields(
            parent_type, source_value, path, grouped_field_set, position_context
        )

    def _plan(self, parent_type: GraphQLObjectType, fields: GroupedFieldSet) -> _Plan | None:
        """How to read ``fields`` one by one; None where one of them is more than an attribute."""
        if self.middleware_manager is not None:
            return None
        plan: _Plan = []
        for name, details in fields.items():
            read = _reader(parent_type, details[0].node.name.value)
            if read is None:
                return None
            plan.append((name, read))
        return plan


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

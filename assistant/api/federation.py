"""The subgraph's side of Apollo Federation: entities by reference, the SDL that gateways compose.

Source: https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final, TypeVar, cast

from graphql import (
    DefinitionNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    Node,
    ObjectTypeDefinitionNode,
    SchemaDefinitionNode,
    SchemaExtensionNode,
    Undefined,
    get_named_type,
    is_leaf_type,
    parse,
    print_ast,
)
from strawberry.extensions import SchemaExtension
from strawberry.extensions.runner import SchemaExtensionsRunner
from strawberry.federation import Schema
from strawberry.federation.schema import FederationAny
from strawberry.federation.schema_directives import Cost, Key, ListSize
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.types import ExecutionContext, Info
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.unset import UNSET

from assistant.api.documents import DocumentGate, Documents, GateHooks
from assistant.api.errors import coded, present
from assistant.api.execution import Execution
from assistant.api.limits import Limits
from assistant.errors import BadUserInput, ErrorCode

_T = TypeVar("_T")

MAX_REPRESENTATIONS: Final = 500

# What gateways add to a subgraph themselves and composition does not want to read.
_MACHINERY: Final = frozenset({"_Any", "_Entity", "_Service", "_entities", "_service"})


def cost(weight: int) -> Cost:
    """``@cost``: what a field weighs in a gateway's demand control, a plain object being 1."""
    return Cost(weight=weight)


def list_size() -> ListSize:
    """``@listSize`` of a connection: as many nodes as ``first`` asks for."""
    return ListSize(
        # An argument that is None would be printed as null, which composition cannot read.
        assumed_size=UNSET,
        slicing_arguments=["first"],
        sized_fields=["edges", "nodes"],
        require_one_slicing_argument=False,
    )


def slice_size() -> ListSize:
    """``@listSize`` of a plain list that has as many items as ``first`` asks for."""
    return ListSize(
        assumed_size=UNSET,
        slicing_arguments=["first"],
        sized_fields=UNSET,
        require_one_slicing_argument=False,
    )


def assumed_size(size: int) -> ListSize:
    """``@listSize`` of a plain list: how many items a gateway should reckon with."""
    return ListSize(
        assumed_size=size,
        slicing_arguments=UNSET,
        sized_fields=UNSET,
        require_one_slicing_argument=UNSET,
    )


class _Names(NameConverter):
    """Converts a name once: Strawberry converts those of an input's fields for every argument."""

    def __init__(self) -> None:
        super().__init__()
        self.apply_naming_config = cache(super().apply_naming_config)  # type: ignore[method-assign]


def _always(resolved: _T) -> Callable[..., _T]:
    return lambda **_: resolved


class SubgraphSchema(Schema):
    """A Federation 2.9 subgraph whose documents are limited and whose errors are presented.

    ``types`` names every entity and every type that is reachable only through an interface.
    """

    def __init__(
        self,
        *,
        query: type,
        mutation: type | None = None,
        subscription: type | None = None,
        types: Iterable[type] = (),
        scalar_overrides: Mapping[object, Any] | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(
            query=query,
            mutation=mutation,
            subscription=subscription,
            types=types,
            scalar_overrides=dict(scalar_overrides or {}),
            extensions=[partial(DocumentGate, Documents(limits or Limits()))],
            config=StrawberryConfig(name_converter=_Names()),
            execution_context_class=Execution,
            # The newest that the composition libraries of every gateway know.
            federation_version="2.9",
        )
        self._resolve_input_types_once()
        self._entities = {
            name: _Entity.of(name, type_.definition, self._schema.type_map[name])
            for name, type_ in self.schema_converter.type_map.items()
            if isinstance(type_.definition, StrawberryObjectDefinition)
            and any(isinstance(directive, Key) for directive in type_.definition.directives or ())
        }
        _forget_null_defaults(self._schema)
        self._sdl = _print(self)
        service = cast("GraphQLObjectType", self._schema.type_map["_Service"])
        service.fields["sdl"].resolve = lambda _service, _info: self._sdl

    def _resolve_input_types_once(self) -> None:
        """Strawberry resolves the types of an input's fields anew for every argument."""
        for concrete in self.schema_converter.type_map.values():
            definition = concrete.definition
            if isinstance(definition, StrawberryObjectDefinition) and definition.is_input:
                for field in definition.fields:
                    resolved = field.resolve_type(type_definition=definition)
                    field.resolve_type = _always(resolved)  # type: ignore[method-assign]

    def as_str(self) -> str:
        """The SDL that gateways compose; the same text for the same types."""
        return self._sdl

    __str__ = as_str

    def create_extensions_runner(
        self, execution_context: ExecutionContext, extensions: list[SchemaExtension]
    ) -> SchemaExtensionsRunner:
        return GateHooks(execution_context, extensions)

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Present every error; Strawberry would log each with its text and traceback."""
        present(errors, execution_context)

    def entities_resolver(
        self, info: Info, representations: list[FederationAny]
    ) -> list[FederationAny]:
        """Resolve each representation on its own: a bad one is an error beside the others' data.

        What ``resolve_reference`` returns to be awaited is awaited together, so that a loader
        sees all keys at once.
        """
        if len(representations) > MAX_REPRESENTATIONS:
            raise BadUserInput(
                f"At most {MAX_REPRESENTATIONS} representations can be resolved at once.",
                path=("representations",),
            )
        return [self._resolve(info, representation) for representation in representations]

    def _resolve(self, info: Info, representation: object) -> Any:
        # An exception in a list becomes the error of its item.
        if not isinstance(representation, Mapping):
            return _bad_representation("A representation must be an object.")
        name = representation.get("__typename")
        entity = self._entities.get(name) if isinstance(name, str) else None
        if entity is None:
            return _bad_representation("A representation's __typename must name an entity.")
        try:
            return entity.resolve(info, representation)
        except Exception as error:  # noqa: BLE001 - reported as this item's error, see above
            return error


@dataclass(frozen=True, slots=True)
class _Entity:
    """How representations of one type are resolved.

    ``keys`` are the field sets of its ``@key``, ``leaves`` turn a key's JSON into its value.
    """

    name: str
    resolve_reference: Callable[..., Any]
    wants_info: bool
    keys: tuple[frozenset[str], ...]
    leaves: Mapping[str, Callable[[Any], Any]]

    @classmethod
    def of(cls, name: str, definition: StrawberryObjectDefinition, type_: Any) -> _Entity:
        resolve_reference = getattr(definition.origin, "resolve_reference", None)
        if resolve_reference is None:
            raise TypeError(f"{name} has a @key and needs a resolve_reference.")
        parameters = inspect.signature(resolve_reference).parameters
        leaves = {}
        for field_name in parameters:
            field = type_.fields.get(field_name)
            if field is not None and is_leaf_type(leaf := get_named_type(field.type)):
                leaves[field_name] = leaf.coerce_input_value
        return cls(
            name=name,
            resolve_reference=resolve_reference,
            wants_info="info" in parameters,
            keys=tuple(
                frozenset(_top_level(str(directive.fields)))
                for directive in definition.directives or ()
                if isinstance(directive, Key)
            ),
            leaves=leaves,
        )

    def resolve(self, info: Info, representation: Mapping[str, Any]) -> Awaitable[Any] | Any:
        """The entity, None, or what to await for it. Raises GraphQLError, AssistantError."""
        if not any(
            all(representation.get(field) is not None for field in key) for key in self.keys
        ):
            keys = " or ".join(" and ".join(sorted(key)) for key in self.keys)
            raise _bad_representation(f"A representation of {self.name} needs {keys}.")
        arguments: dict[str, Any] = {"info": info} if self.wants_info else {}
        for name, coerce in self.leaves.items():
            if representation.get(name) is not None:
                try:
                    arguments[name] = coerce(representation[name])
                except GraphQLError:
                    raise _bad_representation(
                        f"A representation of {self.name} has the wrong type of {name}."
                    ) from None
        return self.resolve_reference(**arguments)


def _forget_null_defaults(schema: GraphQLSchema) -> None:
    """Let an optional argument or field of Python, ``= None``, have no default in the schema.

    ``= null`` says nothing more to a client, but has to be the same in every subgraph.
    """
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            optional = list(type_.fields.values())
        elif isinstance(type_, GraphQLObjectType):
            optional = [arg for field in type_.fields.values() for arg in field.args.values()]
        else:
            continue
        for value in optional:
            if value.default_value is None:
                value.default_value = Undefined


def _print(schema: Schema) -> str:
    """Strawberry's SDL as an extension of a schema, without the machinery of federation."""
    document = parse(print_schema(schema))
    definitions = [
        _without_machinery(definition)
        for definition in document.definitions
        if getattr(getattr(definition, "name", None), "value", None) not in _MACHINERY
    ]
    return "\n\n".join(print_ast(definition) for definition in definitions) + "\n"


def _without_machinery(definition: DefinitionNode) -> Node:
    if isinstance(definition, SchemaDefinitionNode):
        return SchemaExtensionNode(directives=definition.directives, operation_types=())
    if isinstance(definition, ObjectTypeDefinitionNode) and definition.name.value == "Query":
        fields = tuple(
            field for field in definition.fields or () if field.name.value not in _MACHINERY
        )
        return ObjectTypeDefinitionNode(
            description=definition.description,
            name=definition.name,
            interfaces=definition.interfaces,
            directives=definition.directives,
            fields=fields,
        )
    return definition


def _top_level(field_set: str) -> list[str]:
    """The names in ``id organization { id }`` outside any braces."""
    while "{" in field_set:
        field_set = re.sub(r"\{[^{}]*\}", "", field_set)
    return field_set.split()


def _bad_representation(message: str) -> GraphQLError:
    return coded(message, ErrorCode.BAD_USER_INPUT.value)

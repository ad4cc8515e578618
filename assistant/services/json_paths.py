"""JSONPath: what a path finds in an answer, in bounded time.

The library walks; what it reads is counted. Path and answer may both be anybody's, and a short
path can ask for as many nodes as there are pairs, triples, quadruples of values.

Source: RFC 9535, https://www.rfc-editor.org/rfc/rfc9535
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from jsonpath import JSONPathEnvironment, JSONPathError, JSONPathMatch, NodeList
from jsonpath.filter import RelativeFilterQuery, StringLiteral
from jsonpath.function_extensions import ExpressionType, FilterFunction
from jsonpath.parse import Parser
from jsonpath.selectors import FilterContext
from jsonpath.stream import TokenStream
from jsonpath.token import Token

from assistant.domain.values import JsonValue, carriable, check_text
from assistant.errors import BadUserInput
from assistant.services.json_schema_reading import Pattern, SchemaRefused

if TYPE_CHECKING:
    from _collections_abc import dict_items

MAX_PATH_CHARACTERS = 1_000
MAX_STEPS = 100_000
"""Values read, each weighted by the path's length: less than a second's work."""

_PATTERNS_KEPT = 16
# In steps: a pattern may be one of the answer's, another one for every value.
_COST_OF_PATTERN = 1_000
_COST_OF_SEARCH = 8


class TooManySteps(Exception):
    """Finding what the path asks for takes more than ``MAX_STEPS``."""


def check_path(source: str, path: tuple[str, ...]) -> None:
    """Let a path pass that can be followed. Raises BadUserInput."""
    check_text(source, path)
    if len(source) > MAX_PATH_CHARACTERS:
        raise BadUserInput(
            f"{'.'.join(path)} has {len(source):,} characters; at most {MAX_PATH_CHARACTERS:,} "
            "are allowed.",
            path=path,
        )
    try:
        _Environment(source).compile(source)
    except (JSONPathError, SchemaRefused) as error:
        reason = error.message if isinstance(error, JSONPathError) else error
        _refuse(_in_words(str(reason)), path, error)
    except RecursionError as error:
        _refuse("it is nested too deep", path, error)
    except (OverflowError, ValueError) as error:
        _refuse("it holds a number that cannot be read", path, error)


def _in_words(reason: str) -> str:
    """The library's reason without its names of tokens, which say nothing to who wrote the path."""
    if "TOKEN_ROOT" in reason:
        return "it does not begin with $, as $.label does"
    if "TOKEN_" in reason:
        return "something is missing or left over; between selectors stands a comma"
    return reason


def _refuse(reason: str, path: tuple[str, ...], error: Exception) -> NoReturn:
    raise BadUserInput(
        f"{'.'.join(path)} is not a path of RFC 9535 (https://www.rfc-editor.org/rfc/rfc9535): "
        f"{carriable(reason[:200])}.",
        path=path,
    ) from error


def find(source: str, document: JsonValue) -> Sequence[JsonValue]:
    """The values at every place in ``document`` that the path leads to, each place once.

    ``source`` has passed ``check_path``, and ``document`` is no deeper than JSON may be here.

    Raises: TooManySteps.
    """
    environment = _Environment(source)
    try:
        compiled = environment.compile(source)
        if not isinstance(document, list | dict):
            # The library would take a text for a document, and read it.
            return [document] if source == "$" else []
        nodes = compiled.finditer(environment.counted(document))
        places = dict.fromkeys(node.parts for node in nodes)
    except RecursionError as error:
        raise TooManySteps from error
    return [_value_at(document, place) for place in places]


def _value_at(document: Any, place: Sequence[str | int]) -> JsonValue:
    for part in place:
        document = document[part]
    return document  # type: ignore[no-any-return]


def is_same(left: JsonValue, right: JsonValue) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, and is not true. Stops at a difference."""
    match left, right:
        case dict(), dict():
            return len(left) == len(right) and all(
                name in right and is_same(item, right[name]) for name, item in left.items()
            )
        case list(), list():
            return len(left) == len(right) and all(map(is_same, left, right))
        case (bool(), _) | (_, bool()):
            return left is right
        case _:
            return left == right


# --------------------------------------------------------------------- what is counted


class _Budget:
    """The steps that are left."""

    def __init__(self, weight: int) -> None:
        self._weight = weight
        self._left = MAX_STEPS

    def read(self, values: int) -> None:
        self.take(values * self._weight)

    def take(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooManySteps


class _Object(dict[str, Any]):
    """An object that counts what is read of it."""

    def __init__(self, items: dict[str, Any], budget: _Budget) -> None:
        super().__init__(items)
        self._budget = budget

    def __getitem__(self, name: str) -> Any:
        self._budget.read(1)
        return super().__getitem__(name)

    def items(self) -> dict_items[str, Any]:
        self._budget.read(len(self))
        return super().items()

    def __eq__(self, other: object) -> bool:
        self._budget.read(1)
        return isinstance(other, dict) and is_same(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


class _Array(list[Any]):
    """An array that counts what is read of it."""

    def __init__(self, items: list[Any], budget: _Budget) -> None:
        super().__init__(items)
        self._budget = budget

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        self._budget.read(len(found) if isinstance(place, slice) else 1)
        return found

    def __iter__(self) -> Iterator[Any]:
        self._budget.read(len(self))
        return super().__iter__()

    def __eq__(self, other: object) -> bool:
        self._budget.read(1)
        return isinstance(other, list) and is_same(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


class _Current(RelativeFilterQuery):
    """What ``@`` leads to. The library has no node for a scalar, so that 0 would not exist."""

    def evaluate(self, context: FilterContext) -> object:
        if isinstance(context.current, list | dict) or not self.path.empty():
            return super().evaluate(context)
        node = JSONPathMatch(
            filter_context={},
            obj=context.current,
            parent=None,
            path="@",
            parts=(),
            root=context.root,
        )
        return NodeList([node])


class _Parser(Parser):
    def parse_relative_query(self, stream: TokenStream) -> RelativeFilterQuery:
        query = super().parse_relative_query(stream)
        assert isinstance(query, RelativeFilterQuery)
        return _Current(query.path)


class _Environment(JSONPathEnvironment):
    """The library's own, strict, and where it departs from the standard, put right.

    It serves one search: what that reads is counted here.
    """

    parser_class = _Parser

    def __init__(self, source: str) -> None:
        self.budget = _Budget(1 + len(source) // 50)
        super().__init__(strict=True)

    def counted(self, value: Any) -> Any:
        match value:
            case dict():
                items = {name: self.counted(item) for name, item in value.items()}
                return _Object(items, self.budget)
            case list():
                return _Array([self.counted(item) for item in value], self.budget)
            case _:
                return value

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        self.function_extensions["match"] = _Matching(self.budget, whole=True)
        self.function_extensions["search"] = _Matching(self.budget, whole=False)

    def validate_function_extension_signature(self, token: Token, args: list[Any]) -> list[Any]:
        """Beyond the library: a pattern that cannot be read finds nothing, which nobody wants."""
        checked = super().validate_function_extension_signature(token, args)
        if token.value in ("match", "search") and isinstance(args[1], StringLiteral):
            Pattern(args[1].value)
        return checked

    def getitem(self, obj: Any, key: Any) -> Any:
        """The library takes slices of texts, too."""
        return "" if isinstance(obj, str) else super().getitem(obj, key)

    def compare(self, left: object, operator: str, right: object) -> bool:
        """The library orders true and false like numbers."""
        is_ordering = operator in ("<", "<=", ">", ">=")
        if is_ordering and (isinstance(left, bool) or isinstance(right, bool)):
            return len(operator) == 2 and left is right
        return super().compare(left, operator, right)


class _Matching(FilterFunction):
    """``match`` and ``search`` in time linear in the text: the library's would backtrack."""

    arg_types: Final = [ExpressionType.VALUE, ExpressionType.VALUE]
    return_type: Final = ExpressionType.LOGICAL

    def __init__(self, budget: _Budget, *, whole: bool) -> None:
        self._budget = budget
        self._whole = whole
        self._patterns: dict[str, Pattern | None] = {}

    def __call__(self, text: object, source: object) -> bool:
        if not isinstance(text, str) or not isinstance(source, str):
            return False
        pattern = self._pattern(source)
        if pattern is None:
            return False
        self._budget.take(_COST_OF_SEARCH * pattern.cost_of(text))
        return pattern.is_in(text)

    def _pattern(self, source: str) -> Pattern | None:
        if source not in self._patterns:
            if len(self._patterns) == _PATTERNS_KEPT:
                self._patterns.clear()
            self._budget.take(_COST_OF_PATTERN)
            self._patterns[source] = self._compiled(source)
        return self._patterns[source]

    def _compiled(self, source: str) -> Pattern | None:
        try:
            pattern = Pattern(source)
            return Pattern(rf"\A(?:{source})\z") if self._whole else pattern
        except SchemaRefused:
            return None

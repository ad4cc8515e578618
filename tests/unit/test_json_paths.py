"""JSONPath over answers: as the standard has it, and in bounded time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.values import JsonValue
from assistant.errors import BadUserInput
from assistant.services.json_paths import TooManySteps, check_path, find, is_same

STORE: JsonValue = {
    "books": [
        {"title": "A", "price": 8, "tags": ["x"]},
        {"title": "B", "price": 12.5},
        {"title": "C", "price": True, "tags": []},
    ],
    "limit": 10,
    "": None,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.books[0].title", ["A"]),
        ("$.books[-1].title", ["C"]),
        ("$['books'][0:2].price", [8, 12.5]),
        ("$.books[*].tags[*]", ["x"]),
        ("$..title", ["A", "B", "C"]),
        ("$['']", [None]),
        ("$.books[?@.price < $.limit].title", ["A"]),
        ("$.books[?@.tags].title", ["A", "C"]),
        ("$.books[?!@.tags].title", ["B"]),
        ("$.books[?count(@.tags[*]) == 1].title", ["A"]),
        ("$.books[?length(@.title) == 1 && @.price != 8].title", ["B", "C"]),
        ("$.books[?match(@.title, '[AB]')].title", ["A", "B"]),
        ("$.nothing", []),
        ("$.limit.deeper", []),
    ],
)
def test_a_path_finds_what_the_standard_says(path: str, found: list[JsonValue]) -> None:
    check_path(path, ("path",))
    assert find(path, STORE) == found


@pytest.mark.parametrize(
    ("path", "document", "found"),
    [
        ("$[?@]", [0, "", False, None, []], [0, "", False, None, []]),
        ("$[?count(@) == 1]", [0, None], [0, None]),
        ("$[?@ <= true]", [True, False, 1], [True]),
        ("$[?@ == $[0]]", [[1], [True], [1.0]], [[1], [1.0]]),
        ("$[?@ == 1]", [1, True, 1.0, "1"], [1, 1.0]),
        ("$[*][0:1]", ["text", ["item"]], ["item"]),
        ("$", "12", ["12"]),
        ("$", "{}", ["{}"]),
        ("$[0]", "text", []),
        ("$[?search(@, 'b.')]", ["abc", "ab"], ["abc"]),
        ("$[?match(@, 'b.')]", ["abc", "bc"], ["bc"]),
        ("$[?match(@.text, @.pattern)]", [{"text": "x", "pattern": "("}], []),
        ("$['a', 'a', 'a']", {"a": 1}, [1]),
    ],
)
def test_where_the_library_departs_from_the_standard_we_do_not(
    path: str, document: JsonValue, found: list[JsonValue]
) -> None:
    check_path(path, ("path",))
    # By text: to Python 0 is False.
    assert json.dumps(find(path, document)) == json.dumps(found)


@pytest.mark.parametrize(
    "path",
    [
        *("", "books", "$.", "$ ", " $", "$[", "$[?]", "$[01]", "$[1e5]"),
        *("$.a | $.b", "$.a & $.b", "^.a", "$[~]", "$[?@ =~ /a/]", "$[?isinstance(@, 'a')]"),
        *(
            "$[?@.a == 1e999]",
            "$[" + "9" * 400 + "]",
            "$[?search(@, '(')]",
            "$[?match(@, '(?=a)')]",
        ),
        *("$" + "[?@" * 240 + "]" * 240, "$" + ".a" * 500, "$.\ud800", "$.a\x00"),
    ],
)
def test_what_is_not_a_path_is_refused(path: str) -> None:
    with pytest.raises(BadUserInput) as error:
        check_path(path, ("json_path", "path"))
    assert error.value.path == ("json_path", "path")
    assert "json_path.path" in error.value.message
    assert len(error.value.message) < 500


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "it does not begin with $, as $.label does."),
        ("label", "it does not begin with $, as $.label does."),
        ("@.label", "it does not begin with $, as $.label does."),
        ("$[1 2]", "something is missing or left over; between selectors stands a comma."),
        ("$[?@.a = 1]", "unexpected token '='."),
    ],
)
def test_what_is_wrong_with_a_path_is_said_without_names_of_tokens(path: str, reason: str) -> None:
    with pytest.raises(BadUserInput) as error:
        check_path(path, ("path",))
    assert error.value.message.endswith(f": {reason}")


MANY: JsonValue = [{"a": place, "b": [{"c": "text"}] * 3} for place in range(20_000)]


def doubled(times: int) -> JsonValue:
    """So many levels of pairs, each of the same two: 2^times leaves."""
    value: JsonValue = [1]
    for _ in range(times):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("$..*", MANY),
        ("$..*..*..*", doubled(10)),
        ("$..[?" + "&&".join(["1 == 1"] * 100) + "]", MANY),
        ("$[?$[?@ == $[0]]]", [[0] * 1_000 + [place] for place in range(200)]),
        ("$[?search(@, @)]", [f"(.{{1,{place}}}e){{3}}z" for place in range(1, 300)]),
        ("$[?search(@, '.{900}x')]", ["ab" * 200_000] * 5),
    ],
)
def test_a_path_that_asks_for_too_much_is_given_up(path: str, document: JsonValue) -> None:
    check_path(path, ("path",))
    with pytest.raises(TooManySteps):
        find(path, document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, JSON)
def test_values_are_the_same_exactly_where_json_says_so(one: JsonValue, other: JsonValue) -> None:
    assert is_same(one, one)
    assert is_same(one, other) is is_same(other, one)
    assert not is_same(one, [one])
    if is_same(one, other):
        assert one == other


def test_true_is_not_one_at_any_depth() -> None:
    assert is_same({"a": [1]}, {"a": [1.0]})
    assert not is_same({"a": [1]}, {"a": [True]})
    assert not is_same([1, 2], [1])
    assert not is_same({"a": 1}, {"b": 1})
    assert not is_same(None, False)


PARTS = ["$", "@", ".", "..", "a", "*", "[", "]", "?", "(", ")", "'a'", "1", "-1", ":", ",", "=="]
PARTS += [
    "<=",
    "&&",
    "!",
    "length(",
    "count(",
    "match(",
    "value(",
    "null",
    "true",
    " ",
    "1e5",
    "'(",
]


@given(st.lists(st.sampled_from(PARTS), max_size=10), JSON)
def test_any_text_is_refused_or_followed(parts: list[str], document: JsonValue) -> None:
    path = "$" + "".join(parts)
    try:
        check_path(path, ("path",))
    except BadUserInput:
        return
    find(path, document)

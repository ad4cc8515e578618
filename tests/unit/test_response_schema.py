"""Response schemas: which are refused, which answers satisfy them, and at what cost."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from assistant.domain.completion import Message, MessageRole
from assistant.domain.values import JsonValue, check_json
from assistant.errors import BadUserInput, SchemaViolated
from assistant.services.response_schema import ResponseSchema, repair_messages

PERSON: dict[str, JsonValue] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z]"},
        "age": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
        "child": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


def refusal(schema: JsonValue) -> str:
    with pytest.raises(BadUserInput) as refused:
        ResponseSchema.parse(schema)
    assert refused.value.path == ("responseSchema",)
    return refused.value.message


def violation(schema: JsonValue, answer: str) -> str:
    with pytest.raises(SchemaViolated) as violated:
        ResponseSchema.parse(schema).check(answer)
    assert len(violated.value.message) <= 300
    return violated.value.message


def accepts(schema: JsonValue, value: JsonValue) -> bool:
    try:
        ResponseSchema.parse(schema).check(json.dumps(value))
    except SchemaViolated:
        return False
    return True


# ------------------------------------------------------------------------------ schemas


@pytest.mark.parametrize("schema", [True, False, None, [], "object", 1])
def test_only_an_object_is_a_schema(schema: JsonValue) -> None:
    assert "must be a JSON object" in refusal(schema)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strin"}, "#/type must be one or more of array, boolean"),
        ({"minLength": -1}, "#/minLength must be a whole number from 0"),
        ({"properties": {"a/b": {"required": "b"}}}, "#/properties/a~1b/required must be a list"),
        ({"allOf": [{}, 1]}, "#/allOf/1 must be a schema"),
        ({"items": [{}]}, "#/items must be a schema"),
        ({"type": [{}, 0] * 10_000}, "#/type must be"),
        ({"default": float("nan")}, "not a finite number"),
        ({"title": "\x00"}, "NUL"),
        ({"title": "\ud800"}, "surrogate"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "dialect"),
        ({"title": "x" * 65_536}, "at most 65,536"),
        ({"$defs": {"a": {"$id": "https://a.example"}}}, "#/$defs/a/$id"),
        ({"$dynamicRef": "#x"}, "$dynamicRef"),
    ],
)
def test_a_schema_that_is_none_is_refused_saying_where(schema: JsonValue, words: str) -> None:
    assert words in refusal(schema)


def test_a_schema_may_be_nested_32_levels_deep() -> None:
    def nested(levels: int) -> JsonValue:
        schema: JsonValue = {}
        for _ in range(levels):
            schema = {"items": schema}
        return schema

    assert accepts(nested(32), [])
    assert "deeper than 32" in refusal(nested(33))
    assert "too deep" in refusal(nested(5_000))


@pytest.mark.parametrize(
    "reference",
    [
        "https://example.com/schema.json",
        "https://json-schema.org/draft/2020-12/schema",
        "file:///etc/passwd",
        "other.json#/a",
        "#/$defs/absent",
        "#absent",
        "#/required",  # there, but not a schema
    ],
)
def test_a_reference_out_of_the_document_is_refused_and_never_fetched(reference: str) -> None:
    assert "nothing is fetched" in refusal({"required": ["a"], "items": {"$ref": reference}})


def test_references_are_pointers_or_anchors() -> None:
    schema = {
        "$id": "https://example.com/own",
        "$defs": {"a/b": {"type": "string"}, "c d": {"$anchor": "number", "type": "number"}},
        "prefixItems": [
            {"$ref": "#/$defs/a~1b"},
            {"$ref": "#/$defs/c%20d"},
            {"$ref": "#number"},
            {"$ref": "#"},
        ],
    }
    assert accepts(schema, ["a", 1, 2, []])
    assert not accepts(schema, ["a", "b"])
    assert not accepts(schema, ["a", 1, "c"])
    assert not accepts(schema, ["a", 1, 2, [3]])


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}},
    ],
)
def test_a_reference_that_leads_to_itself_is_refused(schema: JsonValue) -> None:
    assert "leads back to itself" in refusal(schema)


def test_a_schema_that_grows_exponentially_is_refused() -> None:
    definitions: dict[str, JsonValue] = {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(30)
    }
    schema = {"$defs": definitions | {"d30": {}}, "$ref": "#/$defs/d0"}
    assert "more than 10,000 schemas" in refusal(schema)


@pytest.mark.parametrize(
    "pattern", ["(?=a)", r"(a)\1", "(?<!a)b", r"\u0041", "(", "a{2000}", "a{1000}b{1000}" * 40]
)
@pytest.mark.parametrize("where", ["pattern", "patternProperties"])
def test_a_pattern_that_re2_does_not_take_is_refused(
    pattern: str, where: str, capfd: pytest.CaptureFixture[str]
) -> None:
    schema: JsonValue = {where: pattern if where == "pattern" else {pattern: {}}}
    assert f"#/{where}: the pattern is" in refusal(schema)
    assert capfd.readouterr().err == ""


def test_a_schema_may_have_100_different_patterns() -> None:
    assert accepts({"allOf": [{"pattern": f"^{i % 100}"} for i in range(200)]}, 1)
    refused = refusal({"allOf": [{"pattern": f"^{i}"} for i in range(101)]})
    assert "more than 100 patterns" in refused


# ------------------------------------------------------------------------------ answers


def test_an_answer_is_returned_parsed() -> None:
    answer = ' \n{"name": "Ada", "age": null, "child": {"name": "Bo", "age": 1e0}}\n'
    assert ResponseSchema.parse(PERSON).check(answer) == {
        "name": "Ada",
        "age": None,
        "child": {"name": "Bo", "age": 1.0},
    }


@pytest.mark.parametrize(
    "answer", ["```json\n[1]\n```", "```\n[1]\n```", "\n```JSON \r\n[\n1]\n```  ", "[1]"]
)
def test_an_answer_may_stand_in_one_fence(answer: str) -> None:
    assert ResponseSchema.parse({}).check(answer) == [1]


@pytest.mark.parametrize(
    "answer",
    [
        "Here it is:\n```json\n[1]\n```",
        "```json\n[1]\n```\nDone.",
        "```json\n[1]",
        "```python\n[1]\n```",
        "```json\n[1]\n```\n```json\n[2]\n```",
        "[1] [2]",
        "",
        "[1,]",
        "{'a': 1}",
        "[NaN]",
        "-Infinity",
    ],
)
def test_nothing_else_is_guessed(answer: str) -> None:
    assert "is not JSON" in violation({}, answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ('[{"a": {"b": 1, "b": 1}}]', "twice"),
        ("1e999", "too large"),
        ("9" * 5_000, "4,300 digits"),
        ("[" * 34 + "]" * 34, "deeper than 32"),
        ("[" * 100_000 + "]" * 100_000, "deeper than 32"),
        (" " + "1" * 1_000_001, "1,000,000 characters"),
    ],
)
def test_json_that_not_everybody_can_hold_is_a_violation(answer: str, words: str) -> None:
    assert words in violation({}, answer)


def test_numbers_keep_their_exact_value() -> None:
    digits = "9" * 4_000
    assert ResponseSchema.parse({"multipleOf": 1e-300}).check(digits) == int(digits)
    assert ResponseSchema.parse({"multipleOf": 0.1}).check("0.3") == 0.3
    assert accepts({"type": "integer"}, 1.0)
    assert not accepts({"type": "integer"}, True)


def test_what_postgresql_cannot_hold_is_replaced() -> None:
    assert ResponseSchema.parse({}).check(r'{"\u0000": ["\ud800", "\ud83d\ude00"]}') == {
        "\ufffd": ["\ufffd", "😀"]
    }


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("[]", "$ must be of type object"),
        ("{}", '$ lacks the property "name"; $ lacks the property "age"'),
        ('{"name": "ada", "age": 1}', '$.name must match the pattern "^[A-Z]"'),
        ('{"name": "Ada", "age": -1}', "$.age must be at least 0"),
        ('{"name": "Ada", "age": 1, "x": 1}', "$.x is not allowed"),
        (
            '{"name": "Ada", "age": 1, "child": {"name": "Bo", "age": "secret"}}',
            "$.child.age must be of type integer or must be of type null",
        ),
    ],
)
def test_a_violation_says_where_and_what_and_holds_nothing_of_the_answer(
    answer: str, words: str
) -> None:
    message = violation(PERSON, answer)
    assert words in message
    assert "secret" not in message


def test_a_violation_stays_short_whatever_the_answer_is() -> None:
    answer = json.dumps([{"k" * 10_000: i} for i in range(10)])
    message = violation({"items": {"additionalProperties": False}}, answer)
    assert len(message) <= 300


def test_format_is_an_annotation() -> None:
    assert accepts({"format": "date"}, "yesterday")


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [("b", "abc", True), ("^b", "abc", False), ("c$", "c\n", False), (r"^\p{L}+$", "Ωé", True)],
)
def test_a_pattern_is_searched_for_as_ecma_262_does(pattern: str, text: str, matches: bool) -> None:
    assert accepts({"pattern": pattern}, text) is matches
    assert accepts({"patternProperties": {pattern: False}}, {text: 1}) is not matches


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(a+)+$"},
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": {}},
        {"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": {}},
    ],
)
def test_no_pattern_takes_more_than_linear_time(schema: JsonValue) -> None:
    text = "a" * 50_000 + "!"
    started = time.process_time()
    accepts(schema, text)
    accepts(schema, {text: 1})
    assert time.process_time() - started < 5


def test_work_without_end_is_given_up() -> None:
    wide: JsonValue = {"allOf": [{"items": {"type": "integer"}}] * 1_000}
    assert "too long to check" in violation(wide, json.dumps([1] * 100_000))
    # Four properties that each lead back, and an answer that goes down all of them.
    fan: JsonValue = {"$defs": {"n": {"allOf": [{"items": {"$ref": "#/$defs/n"}}] * 4}}}
    fan = {**fan, "$ref": "#/$defs/n"}  # type: ignore[dict-item]
    deep: JsonValue = []
    for _ in range(30):
        deep = [deep]
    assert "too long to check" in violation(fan, json.dumps(deep))


def test_comparing_items_takes_linear_time() -> None:
    items: list[JsonValue] = [[i, {}] if i % 2 else str(i) for i in range(20_000)]
    started = time.process_time()
    assert accepts({"uniqueItems": True}, items)
    assert time.process_time() - started < 5
    assert not accepts({"uniqueItems": True}, [1, {"a": 1, "b": 2}, {"b": 2.0, "a": 1}])
    assert accepts({"uniqueItems": True}, [1, True, "1", [1], [[1]], None, 0, False])


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"const": 1, "enum": [1, 2]}, [1, 1.0], [2, True]),
        ({"const": 3, "enum": [1, 2]}, [], [1, 2, 3]),
        ({"enum": [1, 2], "const": 2}, [2], [1]),
        ({"const": {"a": [1]}}, [{"a": [1.0]}], [{"a": [True]}, {"a": 1}]),
        ({"contains": {"type": "null"}, "maxContains": 1}, [[None], [1, None]], [[], [None, None]]),
        ({"contains": False, "minContains": 0}, [[], [1]], []),
        ({"minContains": 3}, [[]], []),
        ({"oneOf": [{"minimum": 1}, {"maximum": 3}]}, [0, 4], [2]),
        ({"oneOf": [{"type": "null"}, {"const": 1}]}, [None, 1], [2]),
        ({"if": {"minimum": 5}, "then": {"maximum": 8}, "else": False}, [5, 8], [9, 4]),
        ({"if": {"minimum": 5}}, [1, 9], []),
        ({"dependentRequired": {"a": ["b"]}}, [{}, {"a": 1, "b": 1}], [{"a": 1}]),
        ({"dependentSchemas": {"a": {"minProperties": 2}}}, [{"b": 1}], [{"a": 1}]),
        ({"propertyNames": {"maxLength": 1}}, [{"a": 1}], [{"ab": 1}]),
        ({"prefixItems": [{"type": "null"}], "items": False}, [[], [None]], [[1], [None, 1]]),
        (
            {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False},
            [{"a": 1}],
            [{"b": 1}],
        ),
        (
            {
                "anyOf": [
                    {"properties": {"a": {"const": 1}}, "required": ["a"]},
                    {"properties": {"b": {}}, "patternProperties": {"^c": {}}},
                ],
                "unevaluatedProperties": False,
            },
            [{"a": 1}, {"b": 1}, {"a": 1, "b": 1, "cc": 0}],
            [{"a": 2}, {"d": 1}],
        ),
        (
            {
                "if": {"properties": {"k": {"const": 1}}, "required": ["k"]},
                "then": {"properties": {"a": {}}},
                "else": {"properties": {"b": {}}},
                "unevaluatedProperties": {"type": "null"},
            },
            [{"k": 1, "a": 1}, {"b": 1}, {"x": None}],
            [{"k": 1, "b": 1}, {"a": 1}],
        ),
        (
            {"contains": {"type": "string"}, "unevaluatedItems": {"type": "null"}},
            [["a", None], ["a", "b"]],
            [["a", 1], [None]],
        ),
        (
            {"$ref": "#/$defs/t", "$defs": {"t": {"prefixItems": [{}]}}, "unevaluatedItems": False},
            [[], [1]],
            [[1, 2]],
        ),
    ],
)
def test_keywords_mean_what_the_specification_says(
    schema: JsonValue, valid: list[JsonValue], invalid: list[JsonValue]
) -> None:
    for value in valid:
        assert accepts(schema, value), value
    for value in invalid:
        assert not accepts(schema, value), value


def test_the_order_of_a_schema_stays_although_equal_ones_are_read_once() -> None:
    first = ResponseSchema.parse({"properties": {"b": {}, "a": {}}})
    second = ResponseSchema.parse({"properties": {"a": {}, "b": {}}})
    assert json.dumps(first.document) == '{"properties": {"b": {}, "a": {}}}'
    assert json.dumps(second.document) == '{"properties": {"a": {}, "b": {}}}'


def test_the_path_of_a_refusal_is_the_one_that_was_given() -> None:
    for path in (("a", "b"), ("c",)):
        with pytest.raises(BadUserInput) as refused:
            ResponseSchema.parse({"type": 1}, path)
        assert refused.value.path == path


def test_a_repair_shows_the_answer_and_names_the_violation() -> None:
    asked = (Message(MessageRole.USER, "Who?"),)
    error = SchemaViolated("$.age must be at least 0.")
    *before, answer, demand = repair_messages(asked, "{}", error)
    assert tuple(before) == asked
    assert answer == Message(MessageRole.ASSISTANT, "{}")
    assert demand.role is MessageRole.USER
    assert "$.age must be at least 0." in demand.content


# ----------------------------------------------------------------- whatever comes in

META_SCHEMA = Draft202012Validator(Draft202012Validator.META_SCHEMA)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.sampled_from(["a", "b", "ab", "", "string", "number", "array", "object", "#", "#/$defs/a"]),
    st.text(max_size=4),
    st.text(st.characters(), max_size=2),
)
keywords = st.sampled_from(
    [
        *("$anchor", "$defs", "$dynamicRef", "$id", "$ref", "$schema", "a", "b", "x"),
        *sorted(Draft202012Validator.VALIDATORS),
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)
wild = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keywords, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(keywords, wild, max_size=4), values | st.text())
@example({"patternProperties": {"\ud800": {}}}, {})
@example({"$ref": "#/$defs/%"}, {})
@settings(max_examples=400, deadline=None)
def test_nothing_but_our_errors_comes_of_any_schema_and_any_text(
    schema: dict[str, JsonValue], answer: JsonValue
) -> None:
    try:
        parsed = ResponseSchema.parse(schema)
        parsed.check(answer if isinstance(answer, str) else json.dumps(answer))
    except (BadUserInput, SchemaViolated) as error:
        json.dumps(error.message, ensure_ascii=False).encode()  # it can be sent


OURS_TO_REFUSE = ("nothing is fetched", "not supported", "leads back", "RE2", "dialect")


@given(st.dictionaries(keywords, wild, max_size=3), keywords, keywords, wild)
@settings(max_examples=600, deadline=None)
def test_what_is_a_schema_is_what_the_meta_schema_says(
    schema: dict[str, JsonValue], outer: str, inner: str, value: JsonValue
) -> None:
    for document in (schema, {inner: value}, {outer: {inner: value}}, {outer: [{inner: value}]}):
        try:
            check_json(document, ())
        except BadUserInput:
            continue
        try:
            ResponseSchema.parse(document)
        except BadUserInput as error:
            is_schema = any(words in error.message for words in OURS_TO_REFUSE)
            assert is_schema or not META_SCHEMA.is_valid(document), error.message
        else:
            assert META_SCHEMA.is_valid(document)


names = st.sampled_from(["a", "b", "ab"])
numbers = st.integers(-2, 5) | st.sampled_from([0.5, 1.0, 2.5])
lengths = st.integers(0, 3)
small_values = st.recursive(
    st.none() | st.booleans() | numbers | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


def _schemas(inner: st.SearchStrategy[JsonValue]) -> st.SearchStrategy[JsonValue]:
    several = st.lists(inner, min_size=1, max_size=3)
    types = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
    patterns = st.sampled_from(["a", "^b", "^ab$", "^(a|b)+$"])
    options: dict[str, st.SearchStrategy[JsonValue]] = {
        "$ref": st.just("#/$defs/a"),
        "additionalProperties": inner,
        "allOf": several,
        "anyOf": several,
        "const": small_values,
        "contains": inner,
        "dependentRequired": st.dictionaries(names, st.lists(names, unique=True), max_size=2),
        "dependentSchemas": st.dictionaries(names, inner, max_size=2),
        "else": inner,
        "enum": st.lists(small_values, max_size=3),
        "if": inner,
        "items": inner,
        "maxContains": lengths,
        "maxItems": lengths,
        "maxLength": lengths,
        "maximum": numbers,
        "exclusiveMinimum": numbers,
        "minContains": lengths,
        "minItems": lengths,
        "minProperties": lengths,
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "not": inner,
        "oneOf": several,
        "pattern": patterns,
        "patternProperties": st.dictionaries(patterns, inner, max_size=2),
        "prefixItems": several,
        "properties": st.dictionaries(names, inner, max_size=3),
        "propertyNames": inner,
        "required": st.lists(names, unique=True),
        "then": inner,
        "type": types | st.lists(types, min_size=1, max_size=3, unique=True),
        "unevaluatedItems": inner,
        "unevaluatedProperties": inner,
        "uniqueItems": st.booleans(),
    }
    return st.lists(st.sampled_from(sorted(options)), max_size=4, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({name: options[name] for name in chosen})
    )


schemas = st.recursive(st.booleans() | st.just({}), _schemas, max_leaves=6).filter(
    lambda schema: isinstance(schema, dict)
)


@given(schemas, _schemas(st.booleans()), st.lists(small_values, min_size=1, max_size=5))
@settings(max_examples=400, deadline=None)
def test_a_verdict_is_the_one_of_the_library(
    schema: dict[str, JsonValue], shared: dict[str, JsonValue], answers: list[JsonValue]
) -> None:
    shared.pop("$ref", None)
    document = {**schema, "$defs": {"a": shared}}
    library = Draft202012Validator(document)
    for answer in answers:
        assert accepts(document, answer) == library.is_valid(answer)

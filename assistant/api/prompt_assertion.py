"""What tests assert of answers, as clients write it and see it.

GraphQL has no input unions: an assertion is an object of which exactly one field is set.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, Final, Self, assert_never, cast

import strawberry
from strawberry.scalars import JSON

from assistant.domain import prompt_test as domain
from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import BadUserInput

_SPELLINGS: Final = {
    "contains": "contains",
    "not_contains": "notContains",
    "matches": "matches",
    "json_path": "jsonPath",
    "satisfies_schema": "satisfiesSchema",
    "max_tokens": "maxTokens",
    "max_latency_ms": "maxLatencyMs",
    "similar_to": "similarTo",
    "judged_by": "judgedBy",
}
"""Each kind of assertion, as files and the database call it and as this API does."""

_SPELT_OTHERWISE: Final = re.compile(
    rf"\b({'|'.join(name for name, spelt in _SPELLINGS.items() if name != spelt)})\b"
)


@strawberry.type(description="That the answer is JSON in which a path finds something.")
class JsonPathAssertion:
    path: str = strawberry.field(description="JSONPath (RFC 9535), as in $.items[0].label.")
    equals: JSON | None = strawberry.field(
        description="What one of the values that it finds must be, where isCompared."
    )
    is_compared: bool = strawberry.field(
        description="Whether a value is asked for, which may be null; else any will do."
    )


@strawberry.type(description="That the answer means about what a text means.")
class SimilarToAssertion:
    text: str = strawberry.field(description="What it should mean.")
    threshold: float = strawberry.field(
        description="The least cosine of their MiniLM vectors, -1 to 1."
    )


@strawberry.type(description="That a model finds the answer to satisfy a rubric.")
class JudgedByAssertion:
    rubric: str = strawberry.field(description="What makes an answer good, in words.")
    model: str | None = strawberry.field(
        description="The judge's model id or group; null leaves it to the routing."
    )


@strawberry.type(description="What must hold of an answer: exactly one field is not null.")
class PromptAssertion:
    contains: str | None = strawberry.field(
        default=None, description="It holds this text, letter for letter."
    )
    not_contains: str | None = strawberry.field(
        default=None, description="It does not hold this text."
    )
    matches: str | None = strawberry.field(
        default=None, description="Some part of it matches this RE2 regular expression."
    )
    json_path: JsonPathAssertion | None = strawberry.field(
        default=None, description="It is JSON in which this path finds something."
    )
    satisfies_schema: JSON | None = strawberry.field(
        default=None, description="It is JSON that satisfies this JSON Schema."
    )
    max_tokens: int | None = strawberry.field(
        default=None, description="It has at most so many tokens, as the provider counts them."
    )
    max_latency_ms: int | None = strawberry.field(
        default=None, description="It took at most so many milliseconds, all of it."
    )
    similar_to: SimilarToAssertion | None = strawberry.field(
        default=None, description="It means about what this text means."
    )
    judged_by: JudgedByAssertion | None = strawberry.field(
        default=None, description="A model finds that it satisfies this rubric."
    )

    @classmethod
    def of(cls, assertion: domain.Assertion) -> Self:
        match assertion:
            case domain.Contains(text):
                return cls(contains=text)
            case domain.NotContains(text):
                return cls(not_contains=text)
            case domain.Matches(pattern):
                return cls(matches=pattern)
            case domain.JsonPath(path, expected, has_expected):
                equals = cast("JSON | None", expected)
                return cls(
                    json_path=JsonPathAssertion(path=path, equals=equals, is_compared=has_expected)
                )
            case domain.SatisfiesSchema(schema):
                return cls(satisfies_schema=cast("JSON", schema))
            case domain.MaxTokens(tokens):
                return cls(max_tokens=tokens)
            case domain.MaxLatency(latency_ms):
                return cls(max_latency_ms=latency_ms)
            case domain.SimilarTo(text, threshold):
                return cls(similar_to=SimilarToAssertion(text=text, threshold=threshold))
            case domain.JudgedBy(rubric, model):
                return cls(judged_by=JudgedByAssertion(rubric=rubric, model=model))
            case _:
                assert_never(assertion)


@strawberry.input(description="That the answer is JSON in which a path finds something.")
class JsonPathAssertionInput:
    path: str = strawberry.field(description="JSONPath (RFC 9535), as in $.items[0].label.")
    equals: JSON | None = strawberry.field(
        default=strawberry.UNSET,
        description="What one of the values that it finds must be; absent, any will do. Null asks "
        "for null.",
    )

    def to_json(self) -> JsonObject:
        if self.equals is strawberry.UNSET:
            return {"path": self.path}
        return {"path": self.path, "equals": cast("JsonValue", self.equals)}


@strawberry.input(description="That the answer means about what a text means.")
class SimilarToAssertionInput:
    text: str = strawberry.field(description="What it should mean.")
    threshold: float = strawberry.field(
        default=0.8, description="The least cosine of their MiniLM vectors, -1 to 1."
    )

    def to_json(self) -> JsonObject:
        return {"text": self.text, "threshold": self.threshold}


@strawberry.input(description="That a model finds the answer to satisfy a rubric.")
class JudgedByAssertionInput:
    rubric: str = strawberry.field(description="What makes an answer good, in words.")
    model: str | None = strawberry.field(
        default=None, description="The judge's model id or group; the routing chooses by default."
    )

    def to_json(self) -> JsonObject:
        return {"rubric": self.rubric, "model": self.model}


@strawberry.input(description="What must hold of an answer: give exactly one field.")
class PromptAssertionInput:
    contains: str | None = strawberry.field(
        default=None, description="It holds this text, letter for letter."
    )
    not_contains: str | None = strawberry.field(
        default=None, description="It does not hold this text."
    )
    matches: str | None = strawberry.field(
        default=None, description="Some part of it matches this RE2 regular expression."
    )
    json_path: JsonPathAssertionInput | None = strawberry.field(
        default=None, description="It is JSON in which this path finds something."
    )
    satisfies_schema: JSON | None = strawberry.field(
        default=None, description="It is JSON that satisfies this JSON Schema (draft 2020-12)."
    )
    max_tokens: int | None = strawberry.field(
        default=None, description="It has at most so many tokens, as the provider counts them."
    )
    max_latency_ms: int | None = strawberry.field(
        default=None, description="It took at most so many milliseconds, all of it."
    )
    similar_to: SimilarToAssertionInput | None = strawberry.field(
        default=None, description="It means about what this text means."
    )
    judged_by: JudgedByAssertionInput | None = strawberry.field(
        default=None, description="A model finds that it satisfies this rubric."
    )

    def to_domain(self, path: tuple[str, ...]) -> domain.Assertion:
        """Raises BadUserInput; ``path`` leads to this assertion."""
        given = {field.name: getattr(self, field.name) for field in fields(cast("Any", self))}
        said = {name: _json(value) for name, value in given.items() if value is not None}
        if len(said) != 1:
            found = ", ".join(_SPELLINGS[name] for name in said) or "none"
            raise BadUserInput(
                f"Give an assertion exactly one of {', '.join(_SPELLINGS.values())}; found {found}.",
                path=path,
            )
        return domain.assertion_of(said, path)


def in_graphql(problem: BadUserInput) -> BadUserInput:
    """What is wrong with a test, its assertions called as this API calls them."""
    path = list(problem.path)
    if path[:1] == ["assertions"] and len(path) > 2:
        # Beyond it are names of the caller's own.
        path[2] = _SPELLINGS.get(path[2], path[2])
    return BadUserInput(
        _SPELT_OTHERWISE.sub(lambda found: _SPELLINGS[found[1]], problem.message),
        path=tuple(path),
        also=tuple(in_graphql(other) for other in problem.also),
    )


def _json(value: object) -> JsonValue:
    match value:
        case JsonPathAssertionInput() | SimilarToAssertionInput() | JudgedByAssertionInput():
            return value.to_json()
        case _:
            return cast("JsonValue", value)

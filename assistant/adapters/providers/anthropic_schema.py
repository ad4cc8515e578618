"""A response schema as Anthropic takes it: the input of one tool that the model must call.

Source: https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use#json-mode
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assistant.domain.values import JsonObject, JsonValue

ANSWER = "answer"
"""The name of the tool whose input is the answer."""

_VALUE = "value"
# "input_schema does not support oneOf, allOf, or anyOf at the top level", nor what is no object.
_NOT_AT_THE_TOP = frozenset({"oneOf", "allOf", "anyOf", "$ref"})
# Keywords whose values are data, not schemas.
_DATA = frozenset({"const", "default", "enum", "examples"})


@dataclass(frozen=True, slots=True)
class AnswerTool:
    """The tool. Where ``is_wrapped``, the answer is the property ``value`` of its input."""

    input_schema: JsonObject
    is_wrapped: bool

    @property
    def definition(self) -> JsonObject:
        return {
            "name": ANSWER,
            "description": "Gives the answer. Its input is the whole answer, and all that is read.",
            "input_schema": self.input_schema,
        }

    def answer_in(self, tool_input: JsonValue) -> JsonValue:
        """The answer in a whole input. Raises ValueError where there is none."""
        if not self.is_wrapped:
            return tool_input
        if not isinstance(tool_input, dict) or _VALUE not in tool_input:
            raise ValueError("no answer in the tool's input")
        answer: JsonValue = tool_input[_VALUE]
        return answer


def answer_tool(schema: JsonObject) -> AnswerTool:
    """The tool for a response schema; one that is no plain object is wrapped in one."""
    if schema.get("type") == "object" and _NOT_AT_THE_TOP.isdisjoint(schema):
        return AnswerTool(schema, is_wrapped=False)
    wrapper: JsonObject = {
        "type": "object",
        # A schema with an id of its own is what its references start from.
        "properties": {_VALUE: schema if "$id" in schema else _moved(schema)},
        "required": [_VALUE],
        "additionalProperties": False,
    }
    return AnswerTool(wrapper, is_wrapped=True)


def _moved(schema: JsonValue) -> JsonValue:
    """The schema with references into itself that are right where it stands in the wrapper."""
    if isinstance(schema, Mapping):
        return {
            key: _moved_reference(value)
            if key == "$ref" and isinstance(value, str)
            else value
            if key in _DATA
            else _moved(value)
            for key, value in schema.items()
        }
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return [_moved(item) for item in schema]
    return schema


def _moved_reference(reference: str) -> str:
    """``#`` and ``#/...`` point to the whole document; anchors and addresses stay."""
    if reference == "#" or reference.startswith("#/"):
        return f"#/properties/{_VALUE}{reference[1:]}"
    return reference

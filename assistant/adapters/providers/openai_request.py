"""What is asked of OpenAI and compatible hosts, in the words that a model understands.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from assistant.adapters.providers.openai_refusal import Refusal
from assistant.domain.completion import Message
from assistant.domain.ports import ProviderCall
from assistant.domain.values import JsonObject, JsonValue


class SchemaForm(IntEnum):
    """How a response schema travels, the firmest first. Who called checks the answer anyway."""

    SCHEMA = 0
    OBJECT = 1  # any JSON object
    NONE = 2


@dataclass(frozen=True, slots=True)
class Dialect:
    """The words that a model understands. They are found out by what it refuses, and never by
    a version. ``limit`` is the name of what bounds the answer's length."""

    limit: str = "max_tokens"
    reports_usage: bool = True
    schema_form: SchemaForm = SchemaForm.SCHEMA

    def without(self, refusal: Refusal) -> Dialect | None:
        """What to say instead of what was refused; None where other words would not help."""
        if not refusal.is_of_call:
            return None
        # "max_tokens is too large" is about a number; what advises the other name is about this.
        if self.limit == "max_tokens" and (
            refusal.names("max_completion_tokens")
            or (refusal.names("max_tokens") and "unsupported_parameter" in refusal.codes)
        ):
            return replace(self, limit="max_completion_tokens")
        if self.reports_usage and refusal.names("stream_options"):
            return replace(self, reports_usage=False)
        if self.schema_form < SchemaForm.NONE and _is_about_schema(refusal):
            return replace(self, schema_form=SchemaForm(self.schema_form + 1))
        return None

    def having_learnt(self, refusal: Refusal) -> Dialect:
        """What to say from now on: that a schema itself was refused holds for no other call."""
        text = (refusal.text or "").lower()
        is_of_this_call = "invalid schema" in text or "messages" in text
        if is_of_this_call and _is_about_schema(refusal):
            return self
        return self.without(refusal) or self


def _is_about_schema(refusal: Refusal) -> bool:
    return refusal.names("response_format") or refusal.names("json_schema")


def chat(call: ProviderCall, dialect: Dialect) -> JsonObject:
    """The body of /chat/completions. What the call leaves open is left to the model."""
    parameters = call.parameters
    body: dict[str, JsonValue] = {
        "model": call.model,
        "messages": [_message(message) for message in call.messages],
        "stream": call.streamed,
    }
    optional: Mapping[str, JsonValue] = {
        "stream_options": {"include_usage": True}
        if call.streamed and dialect.reports_usage
        else None,
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        dialect.limit: parameters.max_tokens,
        "stop": parameters.stop,
        "seed": parameters.seed,
        "response_format": _response_format(call.response_schema, dialect.schema_form),
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def _message(message: Message) -> JsonObject:
    sent = {"role": message.role.value.lower(), "content": message.content}
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


# ------------------------------------------------------------- response schemas


def _response_format(schema: JsonObject | None, form: SchemaForm) -> JsonObject | None:
    if schema is None or form is SchemaForm.NONE:
        return None
    if form is SchemaForm.OBJECT:
        return {"type": "json_object"}
    is_strict = schema.get("type") == "object" and _is_strict(schema)
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": is_strict},
    }


# What strict schemas may say, beside the rule that every property is required and none added.
# Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
_PLAIN_KEYWORDS = {
    *("type", "enum", "const", "title", "description", "$ref", "required", "additionalProperties"),
    *("pattern", "format", "multipleOf", "minimum", "maximum", "exclusiveMinimum"),
    *("exclusiveMaximum", "minItems", "maxItems"),
}
_SCHEMAS_BY_NAME = ("properties", "$defs", "definitions")


def _is_strict(schema: JsonValue) -> bool:
    """Whether OpenAI takes the schema as strict; it refuses the call where one only looks so."""
    if not isinstance(schema, Mapping):
        return False
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties is not None:
        required = schema.get("required")
        if schema.get("additionalProperties") is not False or not (
            isinstance(properties, Mapping)
            and isinstance(required, Sequence)
            and set(properties) == set(map(str, required))
        ):
            return False
    return all(_is_strict_keyword(keyword, value) for keyword, value in schema.items())


def _is_strict_keyword(keyword: str, value: JsonValue) -> bool:
    if keyword in _PLAIN_KEYWORDS:
        return True
    if keyword in _SCHEMAS_BY_NAME:
        return isinstance(value, Mapping) and all(map(_is_strict, value.values()))
    if keyword == "anyOf":
        return isinstance(value, Sequence) and all(map(_is_strict, value))
    return keyword == "items" and _is_strict(value)

"""Embeddings as OpenAI's clients ask for them and read them.

Source: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from assistant.api.openai.chat_request import ANY_MODEL
from assistant.api.openai.errors import InvalidRequest, unsupported
from assistant.domain.caller import Caller
from assistant.domain.embeddings import DEFAULT_MODEL, EmbeddingsRequest
from assistant.services.embeddings import EmbeddedTexts

_READ: Final = frozenset({"input", "model", "encoding_format", "dimensions", "user"})
_LONGEST_NAME: Final = 64


def read_embeddings(body: Mapping[str, Any], caller: Caller) -> tuple[EmbeddingsRequest, bool]:
    """What to embed, and whether the vectors are to be base64. Raises BadUserInput."""
    given = {name: value for name, value in body.items() if value is not None}
    for name in given:
        if name not in _READ:
            cut = name[:_LONGEST_NAME]
            raise InvalidRequest(f"Unknown parameter: '{cut}'.", cut, "unknown_parameter")
    if "dimensions" in given:
        raise unsupported(
            "dimensions", "dimensions is not supported here: a model's vectors come as they are."
        )
    model = given.get("model", ANY_MODEL)
    if not isinstance(model, str):
        raise InvalidRequest("model must be a string.", "model", "invalid_type")
    format_ = given.get("encoding_format", "float")
    if format_ not in ("float", "base64"):
        raise InvalidRequest(
            "encoding_format must be float or base64.", "encoding_format", "invalid_value"
        )
    request = EmbeddingsRequest(
        caller, _texts(given.get("input")), DEFAULT_MODEL if model == ANY_MODEL else model
    )
    return request, format_ == "base64"


def _texts(given: object) -> tuple[str, ...]:
    match given:
        case str():
            return (given,)
        case list() if all(isinstance(text, str) for text in given):
            return tuple(given)
        case [int() | [int(), *_], *_]:
            raise unsupported(
                "input", "input must be text: tokens are of one model, and are not taken here."
            )
        case None:
            raise InvalidRequest(
                "Missing required parameter: 'input'.", "input", "missing_required_parameter"
            )
        case _:
            raise InvalidRequest(
                "input must be a string or a list of strings.", "input", "invalid_type"
            )


def embeddings_answer(found: EmbeddedTexts, *, as_base64: bool) -> Mapping[str, object]:
    """The vectors in the order of their texts."""
    encode = _base64 if as_base64 else list
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": encode(vector)}
            for index, vector in enumerate(found.vectors)
        ],
        "model": found.model.id,
        "usage": {
            "prompt_tokens": found.usage.prompt_tokens,
            "total_tokens": found.usage.total_tokens,
        },
        "assistant": {"costUsd": f"{found.usage.cost:f}"},
    }


def _base64(vector: Sequence[float]) -> str:
    """Numbers of 32 bits, the least significant byte first."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()

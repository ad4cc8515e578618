"""One form of JSON for everything that says the same, and its digest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from unicodedata import normalize

from assistant.domain.values import JsonValue

# Made once: ``json.dumps`` would make one for every key.
as_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def digest(value: JsonValue) -> bytes:
    """SHA-256 of JSON that is the same whatever the order of keys and the Unicode normal form."""
    text = as_json(value)
    if not text.isascii():
        text = as_json(_normal(value))
    return sha256(text.encode()).digest()


def _normal(value: JsonValue) -> JsonValue:
    """``value`` with every text, keys too, in NFC."""
    if isinstance(value, str):
        return normalize("NFC", value)
    if isinstance(value, Mapping):
        return {normalize("NFC", key): _normal(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_normal(item) for item in value]
    return value

"""How a message to somebody else's address is signed, so that they can tell that it was us.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)


def signing_key(secret: str) -> bytes:
    """The key in a shared secret. Raises ValueError where it holds none of 24 to 64 bytes."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in _KEY_BYTES:
        raise ValueError(f"must be 24 to 64 bytes in base64, with or without {_PREFIX} before it")
    return key


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The header ``webhook-signature`` of a body that is sent at ``timestamp``, in Unix seconds."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()

"""What a status means whoever sends it, a provider or a proxy in front of it: an error and words.

The words follow the provider's name, as in "OpenAI (HTTP 429) takes no more calls now". Each
protocol puts its own beside these, in its ``*_refusal.py``.
"""

from __future__ import annotations

from typing import TypeAlias

from assistant.errors import (
    InvalidResponse,
    ProviderRejected,
    ProviderUnavailable,
    QuotaExhausted,
    RateLimited,
    UpstreamError,
)

Meaning: TypeAlias = tuple[type[UpstreamError], str]

FAILED: Meaning = (ProviderUnavailable, "failed to answer")
LIMITED: Meaning = (RateLimited, "takes no more calls now")
REFUSED: Meaning = (ProviderRejected, "refused the call")
SPENT: Meaning = (
    QuotaExhausted,
    "has used up what its account may spend. Check its plan and billing",
)
STRANGE: Meaning = (InvalidResponse, "is not what answered. Check what listens at the URL")
_REDIRECTED: Meaning = (InvalidResponse, "answered with a redirect. Correct the provider's URL")

BY_STATUS: dict[int, Meaning] = {
    402: SPENT,
    408: FAILED,
    409: FAILED,
    429: LIMITED,
    499: FAILED,
    501: REFUSED,  # it never will, for this model
} | dict.fromkeys((301, 302, 303, 307, 308), _REDIRECTED)

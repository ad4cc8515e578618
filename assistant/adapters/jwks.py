"""The keys that tokens are verified with: one that was configured, or those an issuer publishes."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK

from assistant.adapters.providers.http import HttpClient, Peer
from assistant.domain.ports import Clock, TimeLimits
from assistant.errors import InvalidResponse, ProviderUnavailable, Unauthenticated, UpstreamError

KEYS_LIVE_S = 300.0
"""How long published keys are trusted before they are read anew, in the background."""
REFRESH_INTERVAL_S = 30.0
"""How often an unknown key may make us ask the issuer: a forger must not make us knock at will."""
FIRST_KEYS_INTERVAL_S = 5.0
"""The same while there are no keys at all and nobody with a token can get in."""
MAX_KEYS = 100
MAX_JWKS_BYTES = 256_000

_LIMITS = TimeLimits(connect_s=3.0, first_event_s=5.0, between_events_s=5.0, total_s=5.0)

_PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the algorithms it may be used with; ``id`` is its ``kid``, None without one.

    The algorithms come from the kind of key and never from a token, so that a public key
    cannot be taken for an HMAC secret.
    """

    id: str | None
    key: _PublicKey | bytes
    algorithms: tuple[str, ...]


class KeySource(Protocol):
    """Where the key of a token is looked up."""

    async def find(self, key_id: str | None, algorithm: object) -> VerificationKey | None:
        """The key that a token's header means; None for one that is not the issuer's.

        ``algorithm`` is what the header says: it chooses among keys, and decides nothing.
        Raises: Unauthenticated where the keys are not to be had.
        """
        ...


def algorithms_of(key: object) -> tuple[str, ...]:
    """The signature algorithms that suit a public key; none for what is no such key, or too weak.

    Source: RFC 7518 section 3.1 (https://www.rfc-editor.org/rfc/rfc7518#section-3.1), RFC 8037;
    RSA from 2,048 bits as its section 3.3 demands.
    """
    match key:
        case RSAPublicKey():
            names = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
            return names if key.key_size >= 2048 else ()
        case EllipticCurvePublicKey():
            return _BY_CURVE.get(key.curve.name, ())
        case Ed25519PublicKey() | Ed448PublicKey():
            return ("EdDSA",)
        case _:
            return ()


_BY_CURVE = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}


class PublishedKeys:
    """The keys at an issuer's JWKS address, kept and renewed.

    Every five minutes they are read anew while the old ones still serve; a key that nobody
    knows is asked for at once, at most every 30 s. While the issuer is away the last good
    keys stay in force: an outage there must not lock everybody out here.

    Source: RFC 7517 (https://www.rfc-editor.org/rfc/rfc7517).
    """

    def __init__(self, http: HttpClient, url: str, clock: Clock) -> None:
        self._http = http
        self._peer = Peer("The token issuer", url, "Check ASSISTANT_JWKS_URL.")
        self._clock = clock
        self._keys: tuple[VerificationKey, ...] = ()
        self._read_at = -math.inf
        self._tried_at = -math.inf
        self._reading: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None, algorithm: object) -> VerificationKey | None:
        found = self._match(key_id, algorithm)
        if found is None:
            reading = self._start_reading()
            if reading is not None:
                # Others wait for the same answer: one who goes away must not end it.
                await asyncio.shield(reading)
            found = self._match(key_id, algorithm)
        elif self._clock.monotonic() - self._read_at > KEYS_LIVE_S:
            self._start_reading()
        if found is None and not self._keys:
            raise Unauthenticated(
                "The token cannot be verified now: its issuer's keys cannot be fetched. Try again.",
                retry_after_s=FIRST_KEYS_INTERVAL_S,
            )
        return found

    def _match(self, key_id: str | None, algorithm: object) -> VerificationKey | None:
        if key_id is not None:
            return next((key for key in self._keys if key.id == key_id), None)
        # Without a name it can only be the one that fits.
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        return fitting[0] if len(fitting) == 1 else None

    def _start_reading(self) -> asyncio.Task[None] | None:
        """The running attempt, a new one, or None where it is too early for another."""
        if self._reading is None:
            now = self._clock.monotonic()
            interval_s = REFRESH_INTERVAL_S if self._keys else FIRST_KEYS_INTERVAL_S
            if now - self._tried_at < interval_s:
                return None
            self._tried_at = now
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._end_reading)
        return self._reading

    def _end_reading(self, _: asyncio.Task[None]) -> None:
        self._reading = None

    async def _read(self) -> None:
        try:
            self._keys = _parse(await self._download())
        except UpstreamError as error:
            _log.warning("jwks_unavailable", reason=error.message, keys_kept=len(self._keys))
            return
        self._read_at = self._clock.monotonic()

    async def _download(self) -> bytes:
        response = await self._http.request(self._peer, "GET", "", limits=_LIMITS)
        try:
            if response.status != 200:
                raise ProviderUnavailable(f"The token issuer answered {response.status}, not 200.")
            return await response.body(max_bytes=MAX_JWKS_BYTES)
        finally:
            response.close()


def _parse(body: bytes) -> tuple[VerificationKey, ...]:
    """The usable keys of a JWK Set. Raises InvalidResponse where there is none."""
    try:
        document = json.loads(body)
        entries = document["keys"][:MAX_KEYS]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidResponse("The token issuer's answer is not a JWK Set.") from error
    keys = tuple(key for entry in entries if (key := _parse_key(entry)) is not None)
    if not keys:
        raise InvalidResponse("The token issuer's JWK Set has no public key that we can use.")
    return keys


def _parse_key(entry: Any) -> VerificationKey | None:
    """The key, or None for one that is not ours to use: others are published beside it."""
    # A symmetric or private key that is published is no secret; "enc" keys sign nothing.
    if not isinstance(entry, dict) or "d" in entry or entry.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK(entry).key
    except Exception:  # noqa: BLE001 - a foreign document, and PyJWK answers nonsense in it with
        # many kinds of error; one odd key must not lock out the bearers of the others.
        return None
    algorithms = algorithms_of(key)
    if "alg" in entry:
        algorithms = tuple(name for name in algorithms if name == entry["alg"])
    key_id = entry.get("kid")
    if not algorithms or not isinstance(key_id, str | None):
        return None
    return VerificationKey(key_id, key, algorithms)

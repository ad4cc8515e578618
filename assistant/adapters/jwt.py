"""Verifies JWTs with PyJWT: signature, issuer, audience, time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import jwt
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from assistant.adapters.jwks import KeySource, PublishedKeys, VerificationKey, algorithms_of
from assistant.adapters.providers.http import HttpClient
from assistant.domain.ports import Clock, TokenVerifier
from assistant.domain.values import JsonObject
from assistant.errors import Unauthenticated
from assistant.settings import AuthMode, Settings, SettingsError, is_loopback

LEEWAY_S = 30.0
"""By how much the issuer's clock may differ from ours."""
MAX_TOKEN_CHARACTERS = 16_384

_log = structlog.get_logger(__name__)


def token_verifier(settings: Settings, http: HttpClient, clock: Clock) -> TokenVerifier | None:
    """The verifier that the settings ask for; None where they name neither address nor key.

    Raises: SettingsError for an address or a key that cannot be used safely.
    """
    keys: KeySource
    match settings.jwks_url, settings.jwt_key:
        case None, None:
            return None
        case str() as url, None:
            keys = PublishedKeys(http, _check_url(url), clock)
        case None, secret if secret is not None:
            keys = ConfiguredKey(secret.get_secret_value())
        case _:
            raise SettingsError("ASSISTANT_JWKS_URL and ASSISTANT_JWT_KEY are both set; keep one.")
    if settings.auth_mode is AuthMode.STRICT:
        for name, value in (("AUDIENCE", settings.jwt_audience), ("ISSUER", settings.jwt_issuer)):
            if value is None:
                _log.warning(
                    f"jwt_{name.lower()}_unchecked",
                    advice=f"Set ASSISTANT_JWT_{name}: tokens made for others are accepted.",
                )
    return JwtVerifier(keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)


def _check_url(url: str) -> str:
    # Who can change the keys on their way to us can sign as anybody.
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        raise SettingsError(
            "ASSISTANT_JWKS_URL: must begin with https://; http:// is for loopback only."
        )
    return url


class ConfiguredKey:
    """One key for every token: a public key in PEM, or a secret shared with the issuer.

    Raises: SettingsError for a key that is neither.
    """

    def __init__(self, text: str) -> None:
        # Environment files often hold a PEM on one line.
        data = text.strip().replace("\\n", "\n").encode()
        if b"-----BEGIN" in data:
            self._key = _read_pem(data)
        else:
            self._key = _read_secret(text.encode())

    async def find(self, key_id: str | None, algorithm: object) -> VerificationKey | None:  # noqa: ARG002 - there is no other
        return self._key


def _read_pem(data: bytes) -> VerificationKey:
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    algorithms = algorithms_of(key)
    if not algorithms:
        # Not the cause: it may quote the key.
        raise SettingsError(
            "ASSISTANT_JWT_KEY: is not a public key that can be used; give an RSA (2,048 bits or "
            "more), P-256, P-384, P-521 or Ed25519 key in PEM, as in -----BEGIN PUBLIC KEY-----."
        )
    return VerificationKey(None, key, algorithms)  # type: ignore[arg-type]  # has algorithms


def _read_secret(secret: bytes) -> VerificationKey:
    """Source: RFC 7518 section 3.2: the secret is at least as long as the hash."""
    sizes = {"HS256": 32, "HS384": 48, "HS512": 64}
    algorithms = tuple(name for name, size in sizes.items() if len(secret) >= size)
    if not algorithms:
        raise SettingsError(
            "ASSISTANT_JWT_KEY: a secret needs at least 32 bytes; make one with "
            "`openssl rand -base64 48`."
        )
    return VerificationKey(None, secret, algorithms)


class JwtVerifier:
    """The TokenVerifier port on a source of keys.

    ``issuer`` and ``audience`` are not checked where they are None; an expiry is required
    always. Source: RFC 7519 section 4.1, RFC 8725 (https://www.rfc-editor.org/rfc/rfc8725).
    """

    def __init__(self, keys: KeySource, *, issuer: str | None, audience: str | None) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    async def verify(self, token: str) -> JsonObject:
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise Unauthenticated(_MALFORMED)
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            # Not the cause, here and below: PyJWT quotes what it was given.
            raise Unauthenticated(_MALFORMED) from None
        key = await self._keys.find(header.get("kid"), header.get("alg"))
        if key is None:
            raise Unauthenticated(
                "The token is signed with a key that its issuer does not publish. Get a new one "
                "from the issuer that this service is set up for."
            )
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key=key.key,
                algorithms=key.algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"require": ["exp"], "verify_aud": self._audience is not None},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(self._explain(error, token, key)) from None
        return claims

    def _explain(self, error: jwt.PyJWTError, token: str, key: VerificationKey) -> str:
        match error:
            case jwt.ExpiredSignatureError():
                return f"The token expired{_expiry(token)}; get a new one."
            case jwt.ImmatureSignatureError():
                return "The token is not valid yet; check the issuer's clock, or wait."
            case jwt.MissingRequiredClaimError():
                return f"The token has no claim {error.claim}; it needs one."
            case jwt.InvalidIssuerError():
                return f"The token comes from another issuer; get one from {self._issuer}."
            case jwt.InvalidAudienceError():
                return f"The token is for another audience; get one for {self._audience}."
            case jwt.InvalidSignatureError():
                return (
                    "The token's signature is wrong: it was altered, cut, or signed by another "
                    "key. Get a new one."
                )
            case jwt.InvalidAlgorithmError():
                accepted = ", ".join(key.algorithms)
                return f"The token's algorithm is not accepted; sign with {accepted}."
            case _:
                return _MALFORMED


_MALFORMED = (
    "The token is malformed. Send `authorization: Bearer` with a JWT as its issuer gave it, or an "
    "API key that begins with ak_."
)


def _expiry(token: str) -> str:
    """When, for a token whose signature was found right; nothing where it is no date."""
    claims = jwt.decode(token, options={"verify_signature": False})
    try:
        return f" at {datetime.fromtimestamp(int(claims['exp']), UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return ""

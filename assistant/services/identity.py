"""Who is asking: a JWT, an API key, or a gateway that vouches for its caller."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from assistant.domain.caller import (
    EVERY_SCOPE,
    Caller,
    Scope,
    check_identifier,
    check_platform_access,
    parse_scopes,
)
from assistant.domain.ports import Telemetry, TokenVerifier
from assistant.domain.values import JsonObject, JsonValue
from assistant.errors import BadUserInput, RequestError, Unauthenticated
from assistant.services.api_keys import KEY_START, ApiKeys

TENANT_HEADER = "x-tenant-id"
USER_HEADER = "x-user-id"
SERVICE_HEADER = "x-service-id"
SCOPES_HEADER = "x-scopes"
GATEWAY_HEADER = "x-gateway-secret"
_IDENTITY_HEADERS = (TENANT_HEADER, USER_HEADER, SERVICE_HEADER, SCOPES_HEADER)

DEV_TENANT = "default"
DEV_USER = "developer"


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claims of a JWT say what; the user is always ``sub``."""

    tenant: str = "tenant_id"
    service: str = "service_id"
    scope: str = "scope"


class Authenticator:
    """Turns a request's headers into a Caller, or refuses. It fails closed.

    A JWT comes before an API key, and both before identity headers, which count only beside a
    gateway's secret. What is given must be right: a bad credential is refused even where
    another would do, or where development would have needed none. The one exception is an
    ``authorization`` that a gateway passed on to a service that verifies no JWTs.

    ``is_dev`` makes a caller without a credential a local admin, and honours identity headers
    without a secret; a bearer that can be no credential of ours, as in ``sk-local``, is none.
    ``tokens`` is None where no JWTs are accepted.
    """

    def __init__(
        self,
        *,
        is_dev: bool,
        gateway_secrets: Sequence[str],
        tokens: TokenVerifier | None,
        api_keys: ApiKeys,
        telemetry: Telemetry,
        claims: ClaimNames = ClaimNames(),
    ) -> None:
        self._is_dev = is_dev
        self._secret_hashes = tuple(_hash(secret) for secret in gateway_secrets)
        self._tokens = tokens
        self._api_keys = api_keys
        self._telemetry = telemetry
        self._claims = claims

    async def authenticate(self, headers: Mapping[str, str]) -> Caller:
        """The caller that ``headers``, by lower-case name, identify.

        Raises: Unauthenticated; Forbidden for the platform's tenant without the admin scope;
        StorageUnavailable where an API key cannot be looked up.
        """
        try:
            caller = await self._identify(headers)
            check_platform_access(caller)
        except RequestError as error:
            self._telemetry.request_refused(error.code)
            raise
        return caller

    async def _identify(self, headers: Mapping[str, str]) -> Caller:
        is_vouched_for = self._check_gateway(headers)
        bearer = _bearer(headers)
        if bearer is not None and self._is_placeholder(bearer):
            bearer = None
        if bearer is not None and bearer.startswith(KEY_START):
            return await self._api_keys.verify(bearer)
        if bearer is not None and (self._tokens is not None or not is_vouched_for):
            return await self._verify_token(bearer)
        if api_key := _header(headers, "x-api-key"):
            return await self._api_keys.verify(api_key)
        if self._is_dev:
            return _dev_caller(headers)
        if is_vouched_for:
            return _vouched_caller(headers)
        raise Unauthenticated(_explain_missing(headers))

    def _is_placeholder(self, bearer: str) -> bool:
        """Whether it only stands where OpenAI's clients, which start with no key, want to have one.

        In development alone, where nothing gives what this takes away: no API key, and nothing
        that looks like a JWT or could be one that is verified here.
        """
        is_credential = bearer.startswith(KEY_START) or "." in bearer or not bearer
        return self._is_dev and self._tokens is None and not is_credential

    def _check_gateway(self, headers: Mapping[str, str]) -> bool:
        """Whether the right secret is there. Raises Unauthenticated for a wrong one."""
        given = _header(headers, GATEWAY_HEADER)
        if given is None:
            return False
        # Hashes are of one length, and all are compared: the time taken tells nothing.
        given_hash = _hash(given)
        matches = [hmac.compare_digest(given_hash, live) for live in self._secret_hashes]
        if not any(matches):
            raise Unauthenticated(
                f"{GATEWAY_HEADER} is wrong. It must be one of ASSISTANT_GATEWAY_SECRETS; leave "
                "it out where you are not the gateway."
            )
        return True

    async def _verify_token(self, token: str) -> Caller:
        if self._tokens is None:
            raise Unauthenticated(
                "JWTs are not accepted here: neither ASSISTANT_JWKS_URL nor ASSISTANT_JWT_KEY is "
                "set. Send an API key instead."
            )
        claims = await self._tokens.verify(token)
        tenant_id = _claim(claims, self._claims.tenant)
        if tenant_id is None:
            raise Unauthenticated(
                f"The token has no claim {self._claims.tenant}, which says whose data it is for."
            )
        return _caller(
            tenant_id,
            _claim(claims, "sub"),
            _claim(claims, self._claims.service),
            parse_scopes(_scope_text(claims.get(self._claims.scope))),
            "The token has neither a claim sub nor a claim " + self._claims.service,
        )


def _vouched_caller(headers: Mapping[str, str]) -> Caller:
    tenant_id = _header(headers, TENANT_HEADER)
    if tenant_id is None:
        raise Unauthenticated(f"{GATEWAY_HEADER} is right, but {TENANT_HEADER} is missing.")
    return _caller(
        tenant_id,
        _header(headers, USER_HEADER),
        _header(headers, SERVICE_HEADER),
        parse_scopes(_header(headers, SCOPES_HEADER) or ""),
        f"Neither {USER_HEADER} nor {SERVICE_HEADER} is there",
    )


def _dev_caller(headers: Mapping[str, str]) -> Caller:
    service_id = _header(headers, SERVICE_HEADER)
    scopes = _header(headers, SCOPES_HEADER)
    caller = _caller(
        _header(headers, TENANT_HEADER) or DEV_TENANT,
        # A service that names itself and no user acts for none.
        _header(headers, USER_HEADER) or (DEV_USER if service_id is None else None),
        service_id,
        EVERY_SCOPE if scopes is None else parse_scopes(scopes),
        "",
    )
    return replace(caller, is_developer=True)


def _caller(
    tenant_id: str,
    user_id: str | None,
    service_id: str | None,
    scopes: frozenset[Scope],
    nobody: str,
) -> Caller:
    """The caller, its identifiers checked. ``nobody`` begins the refusal of a nameless one."""
    if user_id is None and service_id is None:
        raise Unauthenticated(f"{nobody}: name the user, the service or both.")
    try:
        check_identifier(tenant_id, "The tenant's identifier")
        if user_id is not None:
            check_identifier(user_id, "The user's identifier")
        if service_id is not None:
            check_identifier(service_id, "The service's identifier")
    except BadUserInput as error:
        raise Unauthenticated(error.message) from None
    return Caller(tenant_id, user_id, service_id, scopes)


def _header(headers: Mapping[str, str], name: str) -> str | None:
    """The header's value; None where it is absent or empty, as gateways send what they lack."""
    return headers.get(name, "").strip() or None


def _bearer(headers: Mapping[str, str]) -> str | None:
    """What follows ``Bearer``; None for any other scheme, which is somebody else's.

    Source: RFC 6750 section 2.1 (https://www.rfc-editor.org/rfc/rfc6750#section-2.1).
    """
    scheme, _, credential = (_header(headers, "authorization") or "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    return credential.strip()


def _claim(claims: JsonObject, name: str) -> str | None:
    value = claims.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Unauthenticated(f"The token's claim {name} must be a string.")
    return value


def _scope_text(value: JsonValue) -> str:
    """A claim's scopes as one text: issuers write one, separated by spaces, or a list."""
    if isinstance(value, list):
        return " ".join(word for word in value if isinstance(word, str))
    return value if isinstance(value, str) else ""


def _explain_missing(headers: Mapping[str, str]) -> str:
    if any(_header(headers, name) for name in _IDENTITY_HEADERS):
        return (
            f"{', '.join(_IDENTITY_HEADERS)} count only beside {GATEWAY_HEADER}, which the "
            "gateway sends. Anybody else sends `authorization: Bearer` with a JWT or an API key."
        )
    return (
        "This needs a caller. Send `authorization: Bearer` with a JWT or an API key, or "
        f"`x-api-key`; a gateway sends {GATEWAY_HEADER} and {', '.join(_IDENTITY_HEADERS)}."
    )


def _hash(secret: str) -> bytes:
    # Not every WebSocket client's text is valid Unicode; a wrong secret must not be a crash.
    return hashlib.sha256(secret.encode(errors="replace")).digest()

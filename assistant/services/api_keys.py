"""API keys: made, listed, revoked, and told from forgeries."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from assistant.domain.api_key import ApiKey
from assistant.domain.caller import Caller, Scope, check_identifier, check_platform_access
from assistant.domain.ports import ApiKeyStore, Clock
from assistant.domain.values import check_text
from assistant.errors import BadUserInput, NotFound, Unauthenticated
from assistant.services.bounded_cache import BoundedCache

KEY_START = "ak_"
REVOKED_WITHIN_S = 5.0
"""How long another replica may still honour a key that was revoked; here it ends at once."""

_MAX_LIFETIME_S = 10 * 365 * 86_400
_SECRET = re.compile(r"ak_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class _Seen:
    key: ApiKey
    good_until_s: float


class ApiKeys:
    """API keys of every tenant.

    A secret is ``ak_<8 hex digits>_<43 characters>``: the first two parts are its prefix, which
    may be shown, and the third is 256 random bits. What is stored is its SHA-256: a slow hash
    protects secrets that can be guessed, and nobody guesses 256 bits however fast the hash is.
    """

    def __init__(self, store: ApiKeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: BoundedCache[bytes, _Seen] = BoundedCache(10_000)

    async def create(
        self,
        tenant_id: str,
        name: str,
        user_id: str | None,
        service_id: str | None,
        scopes: str,
        expires_in_s: float | None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which nobody can show again.

        ``scopes`` are separated by spaces or commas; ``expires_in_s`` None is never.
        Raises: BadUserInput, Forbidden for the platform's tenant without the admin scope.
        """
        caller = Caller(
            tenant_id=_check(tenant_id, "tenantId"),
            user_id=None if user_id is None else _check(user_id, "userId"),
            service_id=None if service_id is None else _check(service_id, "serviceId"),
            scopes=_read_scopes(scopes),
        )
        if caller.user_id is None and caller.service_id is None:
            raise BadUserInput(
                "A key acts as somebody: give a user, a service or both.", path=("userId",)
            )
        check_platform_access(caller)
        if not 1 <= len(name) <= 100:
            raise BadUserInput("A key's name has 1 to 100 characters.", path=("name",))
        check_text(name, ("name",))
        if expires_in_s is not None and not 1 <= expires_in_s <= _MAX_LIFETIME_S:
            raise BadUserInput("A key lasts from 1 second to 10 years.", path=("expiresInS",))
        now = self._clock.now()
        id_ = self._clock.new_id()
        prefix = KEY_START + secrets.token_hex(4)
        secret = f"{prefix}_{secrets.token_urlsafe(32)}"
        key = ApiKey(
            id=id_,
            caller=replace(caller, api_key_id=str(id_)),
            name=name,
            prefix=prefix,
            created_at=now,
            expires_at=None if expires_in_s is None else now + timedelta(seconds=expires_in_s),
            revoked_at=None,
        )
        await self._store.add(key, _hash(secret))
        return key, secret

    async def list(self, tenant_id: str) -> Sequence[ApiKey]:
        """A tenant's keys, expired and revoked ones included."""
        return await self._store.list_keys(tenant_id)

    async def revoke(self, tenant_id: str, key_id: UUID) -> ApiKey:
        """Make a key useless for good: here at once, on other replicas within 5 s.

        Revoking again changes nothing. Raises NotFound.
        """
        key = await self._store.revoke(tenant_id, key_id, self._clock.now())
        if key is None:
            raise NotFound("There is no such API key. `assistant keys list` shows those there are.")
        self._seen.discard(lambda _: True)
        return key

    async def verify(self, secret: str) -> Caller:
        """Whom the key's bearer may act as. Raises Unauthenticated, StorageUnavailable.

        A good key is remembered for 5 s, so that a busy caller costs no query each time; a bad
        one never is.
        """
        if not _SECRET.fullmatch(secret):
            raise Unauthenticated(
                "This is not an API key: one has the form ak_12345678_ and 43 characters. Check "
                "that it was copied whole."
            )
        secret_hash = _hash(secret)
        seen = self._seen.get(secret_hash)
        if seen is None or self._clock.monotonic() >= seen.good_until_s:
            asked_at_s = self._clock.monotonic()
            key = await self._store.find_by_hash(secret_hash)
            if key is None:
                raise Unauthenticated(
                    "This API key is not known here. Check that it was copied whole and belongs "
                    "to this installation."
                )
            if key.revoked_at is not None:
                raise Unauthenticated(f"The API key {key.prefix} was revoked; use another one.")
            seen = _Seen(key, asked_at_s + REVOKED_WITHIN_S)
            self._seen.put(secret_hash, seen)
        expires_at = seen.key.expires_at
        if expires_at is not None and expires_at <= self._clock.now():
            raise Unauthenticated(
                f"The API key {seen.key.prefix} expired at {expires_at:%Y-%m-%d %H:%M:%S} UTC; "
                "use another one."
            )
        return seen.key.caller


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _check(value: str, field: str) -> str:
    try:
        return check_identifier(value, field)
    except BadUserInput as error:
        raise BadUserInput(error.message, path=(field,)) from None


def _read_scopes(text: str) -> frozenset[Scope]:
    """Unlike a token's, these are all meant for us: an unknown one is a slip."""
    words = text.replace(",", " ").split()
    known = [scope.value for scope in Scope]
    for word in words or [""]:
        if word not in known:
            found = f"{word[:64]!r} is none" if word else "none is given"
            raise BadUserInput(
                f"A key needs scopes out of {', '.join(known)}; {found}.", path=("scopes",)
            )
    return frozenset(Scope(word) for word in words)

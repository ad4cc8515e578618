"""The life of an API key."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import uuid4

import pytest

from assistant.domain.api_key import ApiKey
from assistant.domain.caller import Caller, Scope
from assistant.errors import BadUserInput, Forbidden, NotFound, StorageUnavailable, Unauthenticated
from assistant.services.api_keys import ApiKeys
from tests.unit.fake_api_keys import FakeApiKeyStore
from tests.unit.fakes import FakeClock


class Setup:
    def __init__(self) -> None:
        self.store = FakeApiKeyStore()
        self.clock = FakeClock()
        self.keys = ApiKeys(self.store, self.clock)

    async def create(self, **fields: Any) -> tuple[ApiKey, str]:
        given: dict[str, Any] = {
            "tenant_id": "acme",
            "name": "nightly report",
            "user_id": None,
            "service_id": "reports",
            "scopes": "assistant:complete, assistant:usage:read",
            "expires_in_s": None,
        }
        return await self.keys.create(**(given | fields))

    async def refusal(self, secret: str) -> str:
        with pytest.raises(Unauthenticated) as refused:
            await self.keys.verify(secret)
        assert len(secret) < 8 or secret not in refused.value.message
        return refused.value.message


@pytest.fixture
def setup() -> Setup:
    return Setup()


async def test_a_key_identifies_whom_it_was_made_for(setup: Setup) -> None:
    key, secret = await setup.create()
    expected = Caller(
        tenant_id="acme",
        user_id=None,
        service_id="reports",
        scopes=frozenset({Scope.COMPLETE, Scope.USAGE_READ}),
        api_key_id=str(key.id),
    )
    assert await setup.keys.verify(secret) == expected == key.caller


async def test_a_secret_has_256_random_bits_and_only_its_hash_is_stored(setup: Setup) -> None:
    key, secret = await setup.create()
    _, other = await setup.create()
    start, prefix, random_part = secret.split("_", 2)
    assert start == "ak"
    assert key.prefix == f"ak_{prefix}"
    assert len(random_part) == 43
    assert random_part != other.split("_", 2)[2]
    assert hashlib.sha256(secret.encode()).digest() in setup.store.rows
    assert random_part not in repr(setup.store.rows)


async def test_an_unknown_key_and_a_malformed_one_are_refused(setup: Setup) -> None:
    _, secret = await setup.create()
    assert "not known" in await setup.refusal(secret[:-1] + ("a" if secret[-1] != "a" else "b"))
    lookups = setup.store.lookups
    for wrong in (secret[:-1], secret + "a", "ak_", "ak_\ud800", "ak_12345678_" + "ü" * 43):
        assert "copied whole" in await setup.refusal(wrong)
    assert setup.store.lookups == lookups


async def test_an_expired_key_is_refused_even_while_it_is_remembered(setup: Setup) -> None:
    _, secret = await setup.create(expires_in_s=3.0)
    await setup.keys.verify(secret)
    setup.clock.advance(3)
    assert "expired at 2026-03-14 15:09:29 UTC" in await setup.refusal(secret)


async def test_a_revoked_key_is_refused_at_once(setup: Setup) -> None:
    key, secret = await setup.create()
    await setup.keys.verify(secret)
    revoked = await setup.keys.revoke("acme", key.id)
    assert revoked.revoked_at == setup.clock.now()
    assert "revoked" in await setup.refusal(secret)


async def test_a_key_revoked_on_another_replica_is_refused_within_five_seconds(
    setup: Setup,
) -> None:
    key, secret = await setup.create()
    await setup.keys.verify(secret)
    await ApiKeys(setup.store, setup.clock).revoke("acme", key.id)
    setup.clock.advance(5)
    assert "revoked" in await setup.refusal(secret)


async def test_a_busy_caller_costs_one_lookup_in_five_seconds(setup: Setup) -> None:
    _, secret = await setup.create()
    for _ in range(100):
        await setup.keys.verify(secret)
    assert setup.store.lookups == 1
    setup.clock.advance(5)
    await setup.keys.verify(secret)
    assert setup.store.lookups == 2


async def test_nobody_gets_in_while_the_database_is_away(setup: Setup) -> None:
    _, secret = await setup.create()
    setup.store.error = StorageUnavailable("away")
    with pytest.raises(StorageUnavailable):
        await setup.keys.verify(secret)


async def test_keys_are_listed_and_revoked_within_their_tenant_only(setup: Setup) -> None:
    key, secret = await setup.create()
    assert await setup.keys.list("acme") == [key]
    assert await setup.keys.list("globex") == []
    for tenant_id, key_id in (("globex", key.id), ("acme", uuid4())):
        with pytest.raises(NotFound):
            await setup.keys.revoke(tenant_id, key_id)
    await setup.keys.verify(secret)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"tenant_id": "a b"}, ("tenantId",)),
        ({"tenant_id": ""}, ("tenantId",)),
        ({"user_id": "é"}, ("userId",)),
        ({"service_id": "x" * 129}, ("serviceId",)),
        ({"service_id": None}, ("userId",)),
        ({"name": ""}, ("name",)),
        ({"name": "a\x00"}, ("name",)),
        ({"scopes": "assistant:complet"}, ("scopes",)),
        ({"scopes": " , "}, ("scopes",)),
        ({"expires_in_s": 0.0}, ("expiresInS",)),
        ({"expires_in_s": float("nan")}, ("expiresInS",)),
        ({"expires_in_s": 1e300}, ("expiresInS",)),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(
    setup: Setup, fields: dict[str, Any], path: tuple[str, ...]
) -> None:
    with pytest.raises(BadUserInput) as refused:
        await setup.create(**fields)
    assert refused.value.path == path
    assert not setup.store.rows


async def test_only_an_admin_key_acts_for_the_platform(setup: Setup) -> None:
    with pytest.raises(Forbidden, match="assistant:admin"):
        await setup.create(tenant_id="platform")
    key, secret = await setup.create(tenant_id="platform", scopes="assistant:admin")
    assert await setup.keys.verify(secret) == key.caller

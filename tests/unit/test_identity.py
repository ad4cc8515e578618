"""Who a request's headers make its caller."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.domain.caller import Caller, Scope
from assistant.domain.values import JsonObject
from assistant.errors import (
    AssistantError,
    ErrorCode,
    Forbidden,
    StorageUnavailable,
    Unauthenticated,
)
from assistant.services.api_keys import ApiKeys
from assistant.services.identity import Authenticator, ClaimNames
from tests.unit.fake_api_keys import FakeApiKeyStore
from tests.unit.fakes import FakeClock, FakeTelemetry

EVERYTHING = frozenset(Scope)
NAMES = ClaimNames()
IDENTITY = {
    "x-tenant-id": "acme",
    "x-user-id": "alice",
    "x-service-id": "web",
    "x-scopes": "assistant:complete assistant:usage:read",
}
VOUCHED = Caller("acme", "alice", "web", frozenset({Scope.COMPLETE, Scope.USAGE_READ}))
GATEWAY = {"x-gateway-secret": "gateway-one"}
CLAIMS: JsonObject = {"tenant_id": "globex", "sub": "bob", "scope": "openid assistant:complete"}
BOB = Caller("globex", "bob", None, frozenset({Scope.COMPLETE}))


class FakeTokens:
    """Knows the token "good" and refuses every other."""

    def __init__(self, claims: JsonObject) -> None:
        self.claims = claims

    async def verify(self, token: str) -> JsonObject:
        if token != "good":
            raise Unauthenticated("The token is bad.")
        return self.claims


class Setup:
    def __init__(
        self,
        *,
        is_dev: bool = False,
        gateway_secrets: tuple[str, ...] = ("gateway-one", "gateway-two"),
        claims: JsonObject | None = CLAIMS,
        names: ClaimNames = NAMES,
    ) -> None:
        self.store = FakeApiKeyStore()
        self.keys = ApiKeys(self.store, FakeClock())
        self.telemetry = FakeTelemetry()
        self.authenticator = Authenticator(
            is_dev=is_dev,
            gateway_secrets=gateway_secrets,
            tokens=None if claims is None else FakeTokens(claims),
            api_keys=self.keys,
            telemetry=self.telemetry,
            claims=names,
        )

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        caller = await self.authenticator.authenticate(headers)
        assert not self.telemetry.refused
        return caller

    async def refusal(self, headers: Mapping[str, str]) -> str:
        with pytest.raises(Unauthenticated) as refused:
            await self.authenticator.authenticate(headers)
        assert self.telemetry.refused == [ErrorCode.UNAUTHENTICATED]
        self.telemetry.refused.clear()
        for credential in headers.values():
            # The shortest ones are words that any message may have.
            assert len(credential) < 8 or credential not in refused.value.message
        return refused.value.message

    async def api_key(self, **fields: Any) -> tuple[Caller, str]:
        given = {"tenant_id": "acme", "name": "n", "user_id": None, "service_id": "batch"}
        given |= {"scopes": "assistant:complete", "expires_in_s": None} | fields
        key, secret = await self.keys.create(**given)  # type: ignore[arg-type]
        return key.caller, secret


# ------------------------------------------------------------------ nobody


async def test_a_request_without_a_credential_is_told_what_to_send() -> None:
    message = await Setup().refusal({"accept": "application/json"})
    assert "authorization: Bearer" in message
    assert "x-api-key" in message
    assert "x-gateway-secret" in message


async def test_another_scheme_than_bearer_is_no_credential_of_ours() -> None:
    assert "authorization: Bearer" in await Setup().refusal({"authorization": "Basic YTpi"})


# ----------------------------------------------------------------- gateway


@pytest.mark.parametrize("secret", ["gateway-one", "gateway-two"])
async def test_identity_headers_count_beside_either_live_gateway_secret(secret: str) -> None:
    assert await Setup().caller(IDENTITY | {"x-gateway-secret": secret}) == VOUCHED


async def test_identity_headers_without_the_secret_are_refused_with_what_is_missing() -> None:
    message = await Setup().refusal(IDENTITY)
    assert "only beside x-gateway-secret" in message
    assert "authorization: Bearer" in message


async def test_identity_headers_without_the_secret_are_ignored_beside_another_credential() -> None:
    setup = Setup()
    caller, secret = await setup.api_key()
    assert await setup.caller(IDENTITY | {"authorization": "Bearer good"}) == BOB
    assert await setup.caller(IDENTITY | {"x-api-key": secret}) == caller


@pytest.mark.parametrize("wrong", ["gateway", "gateway-one?", "GATEWAY-ONE", "é", "\ud800"])
async def test_a_wrong_gateway_secret_is_refused_whatever_else_is_there(wrong: str) -> None:
    setup = Setup()
    for other in (IDENTITY, {"authorization": "Bearer good"}, {}):
        assert "x-gateway-secret is wrong" in await setup.refusal(
            {**other, "x-gateway-secret": wrong}
        )


async def test_any_gateway_secret_is_wrong_where_none_is_configured() -> None:
    setup = Setup(gateway_secrets=())
    assert "ASSISTANT_GATEWAY_SECRETS" in await setup.refusal(IDENTITY | GATEWAY)


async def test_a_gateway_secret_is_compared_with_all_live_ones_in_constant_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[int] = []
    compare = hmac.compare_digest

    def counted(left: bytes, right: bytes) -> bool:
        compared.append(len(left))
        assert len(left) == len(right)
        return compare(left, right)

    # The standard library's function, not one of ours: whether it is used can only be seen here.
    monkeypatch.setattr(hmac, "compare_digest", counted)
    setup = Setup()
    await setup.caller(IDENTITY | {"x-gateway-secret": "gateway-one"})
    await setup.refusal(IDENTITY | {"x-gateway-secret": "x"})
    assert compared == [32] * 4


async def test_a_gateway_names_a_tenant_and_a_user_or_a_service() -> None:
    setup = Setup()
    assert "x-tenant-id" in await setup.refusal(GATEWAY | {"x-user-id": "alice"})
    assert "x-user-id" in await setup.refusal(GATEWAY | {"x-tenant-id": "acme", "x-user-id": " "})
    assert await setup.caller(GATEWAY | {"x-tenant-id": "acme", "x-service-id": "web"}) == Caller(
        "acme", None, "web", frozenset()
    )


async def test_scopes_come_with_spaces_or_commas_and_those_of_others_are_ignored() -> None:
    headers = IDENTITY | GATEWAY | {"x-scopes": "billing:read,assistant:admin  assistant:x"}
    assert (await Setup().caller(headers)).scopes == {Scope.ADMIN}


@pytest.mark.parametrize("name", ["x-tenant-id", "x-user-id", "x-service-id"])
@pytest.mark.parametrize("value", ["a b", "acme, globex", "é", "../x", "a" * 129])
async def test_an_identifier_of_another_form_is_refused(name: str, value: str) -> None:
    assert "identifier must be 1 to 128" in await Setup().refusal(
        IDENTITY | GATEWAY | {name: value}
    )


# --------------------------------------------------------------------- JWT


async def test_a_jwt_identifies_its_subject() -> None:
    setup = Setup()
    assert await setup.caller({"authorization": "Bearer good"}) == BOB
    assert await setup.caller({"authorization": "bearer  good "}) == BOB


async def test_a_jwt_comes_before_an_api_key_and_before_a_gateway() -> None:
    setup = Setup()
    _, secret = await setup.api_key()
    headers = IDENTITY | GATEWAY | {"x-api-key": secret, "authorization": "Bearer good"}
    assert await setup.caller(headers) == BOB


@pytest.mark.parametrize("token", ["bad", ""])
async def test_a_bad_jwt_is_refused_even_beside_a_good_credential(token: str) -> None:
    setup = Setup()
    _, secret = await setup.api_key()
    headers = IDENTITY | GATEWAY | {"x-api-key": secret, "authorization": f"Bearer {token} "}
    with pytest.raises(Unauthenticated, match="The token is bad"):
        await setup.authenticator.authenticate(headers)


async def test_claims_have_the_names_that_the_settings_give_them() -> None:
    claims: JsonObject = {
        "org": "acme",
        "azp": "web",
        "sub": "auth0|alice",
        "scp": ["assistant:complete", 7, "assistant:usage:read"],
    }
    setup = Setup(claims=claims, names=ClaimNames("org", "azp", "scp"))
    assert await setup.caller({"authorization": "Bearer good"}) == Caller(
        "acme", "auth0|alice", "web", frozenset({Scope.COMPLETE, Scope.USAGE_READ})
    )


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"sub": "bob"}, "no claim tenant_id"),
        ({"sub": "bob", "tenant_id": 7}, "tenant_id must be a string"),
        ({"sub": "bob", "tenant_id": ["acme"]}, "tenant_id must be a string"),
        ({"sub": "bob", "tenant_id": "a b"}, "tenant's identifier must be"),
        ({"tenant_id": "acme"}, "neither a claim sub nor a claim service_id"),
        ({"tenant_id": "acme", "sub": "x" * 200}, "user's identifier must be"),
    ],
)
async def test_a_jwt_that_does_not_say_for_whom_is_refused(claims: JsonObject, said: str) -> None:
    assert said in await Setup(claims=claims).refusal({"authorization": "Bearer good"})


@pytest.mark.parametrize("scope", [None, "", 7, {}, [], "email"])
async def test_a_jwt_without_scopes_of_ours_may_do_nothing(scope: Any) -> None:
    setup = Setup(claims={"tenant_id": "acme", "sub": "alice", "scope": scope})
    assert (await setup.caller({"authorization": "Bearer good"})).scopes == frozenset()


async def test_a_jwt_is_refused_where_none_can_be_verified_unless_a_gateway_passed_it_on() -> None:
    setup = Setup(claims=None)
    bearer = {"authorization": "Bearer good"}
    assert "ASSISTANT_JWKS_URL" in await setup.refusal(bearer)
    assert "ASSISTANT_JWKS_URL" in await setup.refusal(bearer | IDENTITY)
    assert await setup.caller(bearer | IDENTITY | GATEWAY) == VOUCHED


# ----------------------------------------------------------------- API key


async def test_an_api_key_is_accepted_in_either_header() -> None:
    setup = Setup()
    caller, secret = await setup.api_key()
    assert await setup.caller({"x-api-key": secret}) == caller
    assert await setup.caller({"authorization": f"Bearer {secret}"}) == caller


async def test_a_bad_api_key_is_refused_even_beside_a_gateway() -> None:
    setup = Setup()
    for headers in ({"x-api-key": "sk-1"}, {"authorization": "Bearer ak_1"}):
        assert "API key" in await setup.refusal(headers | IDENTITY | GATEWAY)


async def test_nobody_gets_in_while_keys_cannot_be_looked_up() -> None:
    for is_dev in (False, True):
        setup = Setup(is_dev=is_dev)
        _, secret = await setup.api_key()
        setup.store.error = StorageUnavailable("away")
        with pytest.raises(StorageUnavailable):
            await setup.authenticator.authenticate({"x-api-key": secret})


# ---------------------------------------------------------------- platform


async def test_only_an_admin_acts_for_the_platform() -> None:
    setup = Setup()
    headers = IDENTITY | GATEWAY | {"x-tenant-id": "platform"}
    with pytest.raises(Forbidden, match="assistant:admin"):
        await setup.authenticator.authenticate(headers)
    assert setup.telemetry.refused == [ErrorCode.FORBIDDEN]
    setup.telemetry.refused.clear()
    assert (await setup.caller(headers | {"x-scopes": "assistant:admin"})).tenant_id == "platform"


# ------------------------------------------------------------- development


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        ({}, Caller("default", "developer", None, EVERYTHING)),
        ({"x-tenant-id": "acme"}, Caller("acme", "developer", None, EVERYTHING)),
        ({"x-user-id": "alice"}, Caller("default", "alice", None, EVERYTHING)),
        ({"x-service-id": "web"}, Caller("default", None, "web", EVERYTHING)),
        (IDENTITY, VOUCHED),
        (IDENTITY | GATEWAY, VOUCHED),
        ({"x-scopes": "email"}, Caller("default", "developer", None, frozenset())),
        ({"authorization": "Bearer good"}, BOB),
        ({"authorization": "Basic YTpi"}, Caller("default", "developer", None, EVERYTHING)),
    ],
)
async def test_in_development_a_caller_is_an_admin_or_whom_the_headers_say(
    headers: dict[str, str], caller: Caller
) -> None:
    found = await Setup(is_dev=True).caller(headers)
    assert replace(found, is_developer=False) == caller
    assert found.is_operator is (caller is not BOB)


async def test_in_development_too_a_bad_credential_is_refused() -> None:
    setup = Setup(is_dev=True, claims=None)
    assert "x-gateway-secret is wrong" in await setup.refusal({"x-gateway-secret": "x"})
    assert "ASSISTANT_JWT_KEY" in await setup.refusal({"authorization": "Bearer eyJ.x.y"})
    assert "API key" in await setup.refusal({"x-api-key": "x"})
    assert "identifier" in await setup.refusal({"x-tenant-id": "a b"})


async def test_in_development_what_only_stands_where_a_client_wants_a_key_is_no_credential() -> (
    None
):
    placeholder = {"authorization": "Bearer sk-local"}
    developer = Caller("default", "developer", None, EVERYTHING, is_developer=True)

    assert await Setup(is_dev=True, claims=None).caller(placeholder) == developer
    # Where JWTs are verified it could be one, and in strict mode nothing is taken for nobody.
    await Setup(is_dev=True).refusal(placeholder)
    await Setup(claims=None).refusal(placeholder)
    # Beside other credentials it does not make them right.
    refused = await Setup(is_dev=True, claims=None).refusal(placeholder | {"x-api-key": "x"})
    assert "API key" in refused


# ---------------------------------------------------------------- property

_VALUES = st.one_of(
    st.sampled_from(["acme", "platform", "assistant:admin", "Bearer good", "Bearer ", "ak_", ""]),
    st.text(max_size=20),
)
_HEADERS = st.dictionaries(
    st.sampled_from(["authorization", "x-api-key", "x-gateway-secret", *IDENTITY]), _VALUES
)


@given(_HEADERS)
async def test_without_a_right_secret_no_headers_make_anybody_but_the_tokens_subject(
    headers: dict[str, str],
) -> None:
    try:
        caller = await Setup().authenticator.authenticate(headers)
    except AssistantError:
        return
    assert caller == BOB

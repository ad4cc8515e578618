"""JWTs, good and forged, with configured keys and with keys that an issuer publishes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from structlog.testing import capture_logs

from assistant.adapters.jwt import token_verifier
from assistant.adapters.providers.http import HttpClient
from assistant.domain.ports import TokenVerifier
from assistant.errors import Unauthenticated
from assistant.settings import AuthMode, SettingsError, load_settings
from tests.providers.fake_jwks import FakeJwks
from tests.unit.fakes import FakeClock

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
SECRET = "a secret that has more than thirty-two bytes"
ISSUER, AUDIENCE = "https://id.example.com", "assistant"


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def token(
    key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = None, **claims: Any
) -> str:
    """Good by default; a claim given as None is left out."""
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time.time() + 60} | claims
    return jwt.encode(
        {name: value for name, value in given.items() if value is not None},
        key,
        algorithm,
        headers={} if kid is None else {"kid": kid},
    )


def jwk(key: Any, **fields: Any) -> dict[str, Any]:
    algorithm = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    kind = next(value for type_, value in algorithm.items() if isinstance(key, type_))
    published: dict[str, Any] = kind.to_jwk(key.public_key(), as_dict=True)
    return published | fields


def verifier(http: HttpClient | None = None, clock: Any = None, **settings: str) -> TokenVerifier:
    given = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE} | settings
    environment = {f"ASSISTANT_{name.upper()}": value for name, value in given.items()}
    made = token_verifier(load_settings(environment), http or HttpClient(), clock or FakeClock())
    assert made is not None
    return made


async def refusal(verifies: TokenVerifier, token: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await verifies.verify(token)
    message = refused.value.message
    # What PyJWT says may quote the token, and a cause is logged.
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None or refused.value.__suppress_context__
    for part in token.split("."):
        assert len(part) < 8 or part not in message
    return message


def forged(header: Any, payload: Any, sign: bytes = b"") -> str:
    """A token that no library would make. ``sign`` is an HMAC secret."""

    def encode(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = encode(json.dumps(header).encode()) + b"." + encode(json.dumps(payload).encode())
    signature = hmac.digest(sign, signed, hashlib.sha256) if sign else b""
    return (signed + b"." + encode(signature)).decode()


GOOD_CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": 4_000_000_000}


# ---------------------------------------------------------------- configured keys


@pytest.mark.parametrize(
    ("configured", "key", "algorithm"),
    [
        (pem(RSA_KEY), RSA_KEY, "RS256"),
        (pem(RSA_KEY), RSA_KEY, "PS384"),
        (pem(RSA_KEY).replace("\n", "\\n"), RSA_KEY, "RS512"),
        (pem(EC_KEY), EC_KEY, "ES256"),
        (pem(ED_KEY), ED_KEY, "EdDSA"),
        (SECRET, SECRET, "HS256"),
        (SECRET * 2, SECRET * 2, "HS512"),
    ],
)
async def test_a_genuine_token_yields_its_claims(configured: str, key: Any, algorithm: str) -> None:
    claims = await verifier(jwt_key=configured).verify(
        token(key, algorithm, tenant_id="acme", scope="assistant:complete")
    )
    assert claims["sub"] == "alice"
    assert claims["tenant_id"] == "acme"
    assert claims["scope"] == "assistant:complete"


async def test_an_expired_token_says_when_it_expired() -> None:
    message = await refusal(verifier(jwt_key=pem(RSA_KEY)), token(exp=1_767_225_600))
    assert message == "The token expired at 2026-01-01 00:00:00 UTC; get a new one."
    for strange in (-(10**30), "-5", -1e300):
        assert "expired" in await refusal(verifier(jwt_key=pem(RSA_KEY)), token(exp=strange))


async def test_clocks_may_differ_by_half_a_minute() -> None:
    verifies = verifier(jwt_key=pem(RSA_KEY))
    now = time.time()
    await verifies.verify(token(exp=now - 20, nbf=now + 20, iat=now + 20))
    assert "expired" in await refusal(verifies, token(exp=now - 40))
    assert "not valid yet" in await refusal(verifies, token(nbf=now + 40))


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": None}, "no claim exp"),
        ({"exp": "soon"}, "malformed"),
        ({"iss": None}, "no claim iss"),
        ({"iss": "https://evil.example.com"}, f"get one from {ISSUER}"),
        ({"aud": None}, "no claim aud"),
        ({"aud": "billing"}, "get one for assistant"),
        ({"aud": ["billing", "search"]}, "get one for assistant"),
    ],
)
async def test_each_wrong_claim_has_its_own_message(claims: dict[str, Any], said: str) -> None:
    assert said in await refusal(verifier(jwt_key=pem(RSA_KEY)), token(**claims))


async def test_one_audience_of_several_is_enough() -> None:
    await verifier(jwt_key=pem(RSA_KEY)).verify(token(aud=["billing", AUDIENCE]))


async def test_issuer_and_audience_are_checked_where_they_are_configured_only() -> None:
    verifies = verifier(jwt_key=pem(RSA_KEY), jwt_issuer="", jwt_audience="")
    await verifies.verify(token(iss="https://any.example.com", aud="anybody"))
    await verifies.verify(token(iss=None, aud=None))


async def test_a_token_signed_by_another_key_or_altered_is_refused() -> None:
    verifies = verifier(jwt_key=pem(RSA_KEY))
    assert "signature is wrong" in await refusal(verifies, token(OTHER_RSA_KEY))
    head, _, signature = token().split(".")
    altered = token(sub="root").split(".")[1]
    assert "signature is wrong" in await refusal(verifies, f"{head}.{altered}.{signature}")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 7, ["RS256"]])
async def test_an_unsigned_token_is_refused(algorithm: Any) -> None:
    for configured in (pem(RSA_KEY), SECRET):
        message = await refusal(
            verifier(jwt_key=configured), forged({"alg": algorithm}, GOOD_CLAIMS)
        )
        assert "algorithm is not accepted" in message


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
async def test_a_public_key_is_never_taken_for_a_secret(algorithm: str) -> None:
    verifies = verifier(jwt_key=pem(RSA_KEY))
    for secret in (pem(RSA_KEY).encode(), pem(RSA_KEY).strip().encode()):
        message = await refusal(verifies, forged({"alg": algorithm}, GOOD_CLAIMS, sign=secret))
        assert "not accepted" in message or "signature is wrong" in message


async def test_a_secret_serves_only_the_hashes_it_is_long_enough_for() -> None:
    verifies = verifier(jwt_key=SECRET)
    long_signature = forged({"alg": "HS512"}, GOOD_CLAIMS, sign=SECRET.encode())
    assert "sign with HS256." in await refusal(verifies, long_signature)


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "...",
        "eyJ.eyJ.x",
        "é.é.é",
        token() + ".x",
        pytest.param("a" * 20_000, id="huge"),
        forged({"alg": "RS256", "crit": ["x"], "x": 1}, {}),
        forged({"alg": "RS256", "kid": 7}, {}),
        forged([], {}),
        forged({}, []),
    ],
)
async def test_what_is_no_token_is_refused_as_malformed(garbage: str) -> None:
    message = await refusal(verifier(jwt_key=pem(RSA_KEY)), garbage)
    assert "malformed" in message or "not accepted" in message


@pytest.mark.parametrize(
    "key",
    [
        "short",
        "x" * 31,
        "-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----",
        RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
        pem(ec.generate_private_key(ec.SECP256K1())),
    ],
    ids=["short", "31 bytes", "nonsense", "private", "1024 bits", "secp256k1"],
)
async def test_a_key_that_cannot_be_used_safely_stops_the_start(key: str) -> None:
    with pytest.raises(SettingsError, match="ASSISTANT_JWT_KEY") as refused:
        verifier(jwt_key=key)
    assert key not in str(refused.value)


async def test_one_source_of_keys_is_configured_or_none() -> None:
    assert token_verifier(load_settings({}), HttpClient(), FakeClock()) is None
    with pytest.raises(SettingsError, match="keep one"):
        verifier(jwt_key=SECRET, jwks_url="https://id.example.com/jwks.json")


@pytest.mark.parametrize("mode", AuthMode)
async def test_an_unchecked_audience_is_warned_of_in_strict_mode(mode: AuthMode) -> None:
    with capture_logs() as lines:
        verifier(jwt_key=SECRET, jwt_audience="", jwt_issuer="", auth_mode=mode)
    events = [line["event"] for line in lines if line["log_level"] == "warning"]
    strict = ["jwt_audience_unchecked", "jwt_issuer_unchecked"]
    assert events == (strict if mode is AuthMode.STRICT else [])


# ----------------------------------------------------------------- published keys


class Published(NamedTuple):
    fake: FakeJwks
    verifier: TokenVerifier
    clock: FakeClock


@pytest.fixture
async def published() -> AsyncIterator[Published]:
    clock = FakeClock()
    async with FakeJwks() as fake, HttpClient() as http:
        fake.keys = [jwk(RSA_KEY, kid="a")]
        yield Published(fake, verifier(http, clock, jwks_url=fake.url), clock)


async def until_read(fake: FakeJwks, requests: int) -> None:
    async with asyncio.timeout(2):
        while fake.requests < requests:
            await asyncio.sleep(0.005)
        # The answer is on its way: a turn or two of the event loop until it is taken in.
        await asyncio.sleep(0.05)


async def test_keys_are_read_once_for_many_tokens(published: Published) -> None:
    fake, verifies, _ = published
    tokens = [token(kid="a") for _ in range(20)]
    await asyncio.gather(*(verifies.verify(one) for one in tokens))
    assert fake.requests == 1


async def test_a_token_finds_its_key_among_several_kinds(published: Published) -> None:
    fake, verifies, _ = published
    fake.keys = [jwk(EC_KEY, kid="e"), jwk(ED_KEY, kid="d"), jwk(OTHER_RSA_KEY, kid="b")]
    await verifies.verify(token(EC_KEY, "ES256", "e"))
    await verifies.verify(token(ED_KEY, "EdDSA", "d"))
    await verifies.verify(token(OTHER_RSA_KEY, "PS256", "b"))
    assert "signature is wrong" in await refusal(verifies, token(RSA_KEY, "RS256", "b"))


async def test_a_token_without_a_key_id_means_the_only_key_that_fits(
    published: Published,
) -> None:
    fake, verifies, clock = published
    fake.keys = [jwk(RSA_KEY), jwk(EC_KEY, kid="e")]
    await verifies.verify(token())
    fake.keys.append(jwk(OTHER_RSA_KEY, kid="b"))
    clock.advance(31)
    await refusal(verifies, token(kid="unknown"))
    assert "does not publish" in await refusal(verifies, token())


async def test_a_rotated_key_is_fetched_when_its_first_token_arrives(
    published: Published,
) -> None:
    fake, verifies, clock = published
    await verifies.verify(token(kid="a"))
    fake.keys = [jwk(OTHER_RSA_KEY, kid="b")]
    clock.advance(31)
    await verifies.verify(token(OTHER_RSA_KEY, kid="b"))
    assert fake.requests == 2
    assert "does not publish" in await refusal(verifies, token(kid="a"))


async def test_unknown_keys_make_us_ask_at_most_once_in_thirty_seconds(
    published: Published,
) -> None:
    fake, verifies, clock = published
    await verifies.verify(token(kid="a"))
    for n in range(10):
        assert "does not publish" in await refusal(verifies, token(kid=f"x{n}"))
    assert fake.requests == 1
    clock.advance(30)
    for n in range(10):
        await refusal(verifies, token(kid=f"x{n}"))
    assert fake.requests == 2


async def test_old_keys_are_renewed_in_the_background(published: Published) -> None:
    fake, verifies, clock = published
    await verifies.verify(token(kid="a"))
    clock.advance(301)
    fake.keys = [jwk(OTHER_RSA_KEY, kid="b")]
    fake.is_open.clear()
    await asyncio.wait_for(verifies.verify(token(kid="a")), 1)  # does not wait for the issuer
    fake.is_open.set()
    await until_read(fake, 2)
    assert "does not publish" in await refusal(verifies, token(kid="a"))
    await verifies.verify(token(OTHER_RSA_KEY, kid="b"))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"keys": {}}', b'{"keys": []}', b"[" * 9_999])
async def test_the_last_good_keys_serve_while_the_issuer_is_out_of_order(
    published: Published, body: bytes
) -> None:
    fake, verifies, clock = published
    await verifies.verify(token(kid="a"))
    fake.body = body
    clock.advance(301)
    with capture_logs() as lines:
        await verifies.verify(token(kid="a"))
        await until_read(fake, 2)
    assert [line["event"] for line in lines] == ["jwks_unavailable"]
    await verifies.verify(token(kid="a"))


@pytest.mark.parametrize("fault", ["status", "redirect", "huge"])
async def test_without_any_keys_tokens_are_refused_until_the_issuer_is_back(
    published: Published, fault: str
) -> None:
    fake, verifies, clock = published
    match fault:
        case "status":
            fake.status = 503
        case "redirect":
            fake.status, fake.location = 302, fake.url
        case "huge":
            fake.body = b" " * 300_000 + json.dumps({"keys": fake.keys}).encode()
    for _ in range(3):
        with pytest.raises(Unauthenticated, match="cannot be verified now") as refused:
            await verifies.verify(token(kid="a"))
        assert refused.value.retry_after_s == 5
    assert fake.requests == 1
    fake.status, fake.location, fake.body = 200, "", None
    clock.advance(5)
    await verifies.verify(token(kid="a"))


async def test_one_who_goes_away_does_not_end_the_fetch_for_the_others(
    published: Published,
) -> None:
    fake, verifies, _ = published
    fake.is_open.clear()
    first = asyncio.create_task(verifies.verify(token(kid="a")))
    second = asyncio.create_task(verifies.verify(token(kid="a")))
    await until_read(fake, 1)
    first.cancel()
    fake.is_open.set()
    assert (await second)["sub"] == "alice"
    assert fake.requests == 1


@pytest.mark.parametrize(
    "unusable",
    [
        {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "alg": "HS256"},
        jwk(EC_KEY, use="enc"),
        jwk(EC_KEY, alg="HS256"),
        jwk(EC_KEY, alg="none"),
        {"kty": "EC", "crv": "P-256", "x": 7},
        {"kty": "EC", "crv": [], "alg": {}},
        {"kty": "RSA"},
        jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
        jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_RSA_KEY, as_dict=True),
        "key",
        None,
    ],
    ids=[
        "secret",
        "enc",
        "HS256",
        "none",
        "numbers",
        "types",
        "empty",
        "1024",
        "private",
        "text",
        "null",
    ],
)
async def test_keys_that_are_not_for_us_to_use_are_left_out(
    published: Published, unusable: Any
) -> None:
    fake, verifies, _ = published
    fake.keys.append(unusable | {"kid": "b"} if isinstance(unusable, dict) else unusable)
    await verifies.verify(token(kid="a"))
    forgery = forged({"alg": "HS256", "kid": "b"}, GOOD_CLAIMS, sign=SECRET.encode())
    assert "does not publish" in await refusal(verifies, forgery)


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://id.example.com/jwks.json", True),
        ("http://localhost:8080/jwks.json", True),
        ("http://[::1]/jwks.json", True),
        ("http://id.example.com/jwks.json", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://127.0.0.1@example.com/", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("id.example.com", False),
    ],
)
async def test_keys_come_over_tls_or_loopback(url: str, is_allowed: bool) -> None:
    if is_allowed:
        verifier(jwks_url=url)
    else:
        with pytest.raises(SettingsError, match="ASSISTANT_JWKS_URL"):
            verifier(jwks_url=url)

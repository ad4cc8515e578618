"""Completions, models, usage and API keys as they read back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from assistant.adapters.clock import SystemClock
from assistant.adapters.postgres.api_keys import PostgresApiKeys
from assistant.adapters.postgres.completions import PostgresCompletions
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.ledger import PostgresLedger
from assistant.adapters.postgres.models import PostgresModels
from assistant.adapters.postgres.usage import PostgresUsage
from assistant.domain.api_key import ApiKey
from assistant.domain.budget import Stake
from assistant.domain.cache import CacheOutcome
from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import (
    Attempt,
    AttemptOutcome,
    CompletionStatus,
    Decision,
    TokenUsage,
)
from assistant.domain.model import (
    Model,
    ModelCapability,
    ModelGroup,
    ProviderConfig,
    ProviderKind,
    TaskType,
)
from assistant.domain.usage import UsageShare, UsageSummary, UsageWindow
from assistant.services.api_keys import ApiKeys
from tests.postgres.completions import running, succeeded
from tests.postgres.server import DatabaseUrls, connect

# ------------------------------------------------------------------ completions


async def test_a_completion_of_another_tenant_does_not_exist(
    ledger: PostgresLedger, database: Database
) -> None:
    opened = running("globex")
    await ledger.open(opened, Stake())

    assert await PostgresCompletions(database).find_completions("acme", [opened.id]) == {}


async def test_ids_that_are_not_ours_are_simply_not_found(database: Database) -> None:
    strange = [uuid4(), UUID(int=0), UUID("ffffffff-ffff-7fff-bfff-ffffffffffff"), uuid7()]

    assert await PostgresCompletions(database).find_completions("acme", strange) == {}


async def test_many_completions_are_one_statement(
    ledger: PostgresLedger, database: Database, statements: list[str]
) -> None:
    completions = [running() for _ in range(20)]
    await asyncio.gather(*(ledger.open(completion, Stake()) for completion in completions))
    statements.clear()

    found = await PostgresCompletions(database).find_completions(
        "acme", [completion.id for completion in completions]
    )

    assert found == {completion.id: completion for completion in completions}
    assert len(statements) == 1


async def test_an_id_leads_straight_to_its_months_partition(
    ledger: PostgresLedger, database: Database, urls: DatabaseUrls
) -> None:
    opened = running()
    await ledger.open(opened, Stake())
    next_month = (opened.created_at.replace(day=1) + timedelta(days=32)).strftime("%Y_%m")

    async with await connect(urls.owner) as connection, connection.transaction():
        # Whoever looked into next month's partition would now have to wait.
        await connection.execute(
            f"LOCK TABLE completions_{next_month} IN ACCESS EXCLUSIVE MODE".encode()
        )
        found = await asyncio.wait_for(
            PostgresCompletions(database).find_completions("acme", [opened.id]), timeout=2
        )

    assert list(found) == [opened.id]


# ------------------------------------------------------------------ models


async def test_a_catalog_reads_back_with_the_tenants_rows_over_the_platforms(
    database: Database,
) -> None:
    for tenant, url, price in (("platform", None, 0), ("acme", "http://own:11434", Decimal("0.1"))):
        async with database.tenant(tenant) as connection:
            await connection.execute(
                text(
                    "INSERT INTO providers VALUES (:tenant, 'ollama', 'OLLAMA', :url, NULL, "
                    "true, true)"
                ),
                {"tenant": tenant, "url": url},
            )
            await connection.execute(
                text(
                    "INSERT INTO llm_models VALUES (:tenant, 'ollama', 'llama3.2:3b', "
                    "'{CHAT,TOOLS}', NULL, 8192, 1024, :price, :price, true, 7)"
                ),
                {"tenant": tenant, "price": price},
            )
            await connection.execute(
                text("INSERT INTO model_groups VALUES (:tenant, 'fast', :models, NULL)"),
                {"tenant": tenant, "models": [f"ollama/{tenant}"]},
            )
    async with database.tenant("platform") as connection:
        await connection.execute(
            text(
                "INSERT INTO providers VALUES ('platform', 'openai', 'OPENAI', NULL, 'KEY', false)"
            )
        )
        await connection.execute(
            text(
                "INSERT INTO llm_models VALUES ('platform', 'openai', 'gpt', '{CHAT}', "
                "'{SUMMARIZATION}', 1000)"
            )
        )

    own = await PostgresModels(database).load("acme")
    others = await PostgresModels(database).load("globex")

    openai = ProviderConfig("openai", ProviderKind.OPENAI, None, "KEY", is_local=False)
    assert own.providers == {
        "ollama": ProviderConfig(
            "ollama", ProviderKind.OLLAMA, "http://own:11434", tenant_id="acme"
        ),
        "openai": openai,
    }
    gpt = Model(
        provider="openai",
        name="gpt",
        capabilities=frozenset({ModelCapability.CHAT}),
        context_window=1000,
        tasks=frozenset({TaskType.SUMMARIZATION}),
        input_price=None,
        output_price=None,
        is_local=False,
    )
    llama = Model(
        provider="ollama",
        name="llama3.2:3b",
        capabilities=frozenset({ModelCapability.CHAT, ModelCapability.TOOLS}),
        context_window=8192,
        max_output_tokens=1024,
        input_price=Decimal("0.1"),
        output_price=Decimal("0.1"),
        preference=7,
    )
    assert own.models == {"ollama/llama3.2:3b": llama, "openai/gpt": gpt}
    assert own.groups == {"fast": ModelGroup("fast", ("ollama/acme",))}
    assert others.providers["ollama"].base_url is None
    assert others.models["ollama/llama3.2:3b"] == replace(
        llama, input_price=Decimal(0), output_price=Decimal(0)
    )
    assert others.groups == {"fast": ModelGroup("fast", ("ollama/platform",))}


# ------------------------------------------------------------------ usage

# Far enough from a month's end that windows of hours stay inside partitions that exist.
NOON = datetime.now(UTC).replace(day=2, hour=12, minute=0, second=0, microsecond=0)
DAY = UsageWindow(NOON - timedelta(hours=12), NOON + timedelta(hours=12))


async def settle(ledger: PostgresLedger, user: str | None, at: datetime, **changes: object) -> None:
    opened = replace(
        running(at=at), caller=Caller("acme", user, "billing", frozenset()), feature=None
    )
    await ledger.settle(succeeded(opened, **changes))


def calling(usage: TokenUsage, model: str = "ollama/llama3.2:3b") -> Decision:
    """What it used, it used in one attempt."""
    attempt = Attempt(model.partition("/")[0], model, AttemptOutcome.SUCCEEDED, 5, usage=usage)
    return Decision(attempts=(attempt,), saved_cost=Decimal(0))


async def test_a_summary_adds_up_by_user_model_and_feature(
    ledger: PostgresLedger, database: Database, statements: list[str]
) -> None:
    cheap = TokenUsage(10, 5, 0, False, Decimal("0.0001"))
    dear = TokenUsage(100, 50, 0, False, Decimal("0.3"))
    none = Decision(saved_cost=Decimal(0))
    await settle(ledger, "ann", NOON, usage=cheap, decision=calling(cheap), feature="invoices")
    await settle(
        ledger, "ann", NOON, usage=dear, decision=calling(dear, "openai/gpt"), model="openai/gpt"
    )
    await settle(
        ledger,
        "ann",
        NOON,
        usage=TokenUsage(),
        cache=CacheOutcome.EXACT,
        decision=Decision(saved_cost=Decimal("0.25")),
        feature="invoices",
    )
    await settle(
        ledger, "ann", NOON, usage=TokenUsage(), decision=none, status=CompletionStatus.FAILED
    )
    await settle(ledger, "bob", NOON, usage=cheap, decision=calling(cheap))
    await settle(ledger, None, NOON, usage=dear, decision=calling(dear))
    statements.clear()

    found = await PostgresUsage(database).summarize_users("acme", ["ann", "bob", "eve"], DAY)

    assert len(statements) == 1
    assert found["ann"] == UsageSummary(
        window=DAY,
        requests=4,
        failed_requests=1,
        cached_requests=1,
        prompt_tokens=110,
        completion_tokens=55,
        cost=Decimal("0.3001"),
        saved_cost=Decimal("0.25"),
        by_model=(
            UsageShare("openai/gpt", 1, 150, Decimal("0.3")),
            UsageShare("ollama/llama3.2:3b", 3, 15, Decimal("0.0001")),
        ),
        by_feature=(
            UsageShare("", 2, 150, Decimal("0.3")),
            UsageShare("invoices", 2, 15, Decimal("0.0001")),
        ),
    )
    assert found["bob"].requests == 1
    assert found["eve"] == UsageSummary(DAY)


async def test_a_window_includes_its_start_and_excludes_its_end(
    ledger: PostgresLedger, database: Database
) -> None:
    window = UsageWindow(NOON, NOON + timedelta(hours=1))
    for at in (
        window.start - timedelta(milliseconds=1),
        window.start,
        window.end - timedelta(milliseconds=1),
        window.end,
    ):
        await settle(ledger, "ann", at)

    found = await PostgresUsage(database).summarize_users("acme", ["ann"], window)

    assert found["ann"].requests == 2


async def test_services_are_summed_over_all_their_users(
    ledger: PostgresLedger, database: Database
) -> None:
    for user in ("ann", "bob", None):
        await settle(ledger, user, NOON)

    found = await PostgresUsage(database).summarize_services("acme", ["billing", "other"], DAY)

    assert (found["billing"].requests, found["other"].requests) == (3, 0)


async def test_usage_of_another_tenant_counts_for_nobody_here(
    ledger: PostgresLedger, database: Database
) -> None:
    await ledger.settle(succeeded(running("globex", at=NOON)))

    found = await PostgresUsage(database).summarize_users("acme", ["ann"], DAY)

    assert found["ann"].requests == 0


# ------------------------------------------------------------------ API keys

MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def api_key(tenant: str = "acme") -> ApiKey:
    id_ = uuid7()
    scopes = frozenset({Scope.COMPLETE, Scope.USAGE_READ})
    return ApiKey(
        id=id_,
        caller=Caller(tenant, "ann", None, scopes, api_key_id=str(id_)),
        name="laptop",
        prefix="ak_1234",
        created_at=MADE,
        expires_at=MADE + timedelta(days=90),
        revoked_at=None,
    )


@pytest.fixture
def keys(database: Database) -> PostgresApiKeys:
    return PostgresApiKeys(database)


async def test_a_key_is_found_by_its_secrets_hash_before_a_tenant_is_known(
    keys: PostgresApiKeys,
) -> None:
    key, other = api_key(), api_key("globex")
    await keys.add(key, sha256(b"one").digest())
    await keys.add(other, sha256(b"two").digest())

    assert await keys.find_by_hash(sha256(b"one").digest()) == key
    assert await keys.find_by_hash(sha256(b"two").digest()) == other
    assert await keys.find_by_hash(sha256(b"three").digest()) is None


async def test_nowhere_in_the_database_is_the_secret_of_a_key(
    keys: PostgresApiKeys, urls: DatabaseUrls
) -> None:
    _, secret = await ApiKeys(keys, SystemClock()).create(
        tenant_id="acme",
        name="nightly",
        user_id=None,
        service_id="reports",
        scopes="assistant:complete",
        expires_in_s=None,
    )

    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute("SELECT k::text, secret_hash FROM api_keys AS k")
        ((row, secret_hash),) = await cursor.fetchall()
    assert secret_hash == sha256(secret.encode()).digest()
    assert secret.rpartition("_")[2] not in row
    assert secret.rpartition("_")[2].encode().hex() not in row


async def test_a_tenant_lists_its_own_keys(keys: PostgresApiKeys) -> None:
    first, second = api_key(), api_key()
    await keys.add(first, sha256(b"one").digest())
    await keys.add(second, sha256(b"two").digest())
    await keys.add(api_key("globex"), sha256(b"three").digest())

    assert await keys.list_keys("acme") == [first, second]


async def test_a_revoked_key_stays_revoked_since_the_first_time(keys: PostgresApiKeys) -> None:
    key = api_key()
    await keys.add(key, sha256(b"one").digest())

    revoked = await keys.revoke("acme", key.id, MADE + timedelta(days=1))
    again = await keys.revoke("acme", key.id, MADE + timedelta(days=2))

    assert revoked == again == replace(key, revoked_at=MADE + timedelta(days=1))
    assert await keys.find_by_hash(sha256(b"one").digest()) == revoked


async def test_another_tenants_key_cannot_be_revoked(keys: PostgresApiKeys) -> None:
    key = api_key()
    await keys.add(key, sha256(b"one").digest())

    assert await keys.revoke("globex", key.id, MADE) is None
    assert await keys.find_by_hash(sha256(b"one").digest()) == key


async def test_the_service_never_reads_a_secrets_hash_of_another_tenant(
    keys: PostgresApiKeys, database: Database
) -> None:
    await keys.add(api_key(), sha256(b"one").digest())

    async with database.tenant("globex") as connection:
        rows = await connection.execute(text("SELECT secret_hash FROM api_keys"))

    assert rows.all() == []

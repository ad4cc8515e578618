"""Kept answers: found exactly or by meaning, by whom they belong to, however many ask at once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import psutil
import psycopg
import pytest
import pytest_asyncio

from assistant.adapters.postgres import migrate
from assistant.adapters.postgres.cache import CacheNotice, PostgresCache, notice_of
from assistant.adapters.postgres.cache_flights import PostgresFlights
from assistant.adapters.postgres.cache_rows import answer_row, vector_text
from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.adapters.postgres.listen import CACHE_CHANNEL
from assistant.domain.cache import CacheEntry, CacheSelection, Landing, Lead
from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import (
    CompletionRequest,
    GenerationParameters,
    Message,
    MessageRole,
)
from assistant.domain.model import RoutingStrategy
from assistant.errors import InternalError, StorageUnavailable
from tests.postgres.cache_entries import (
    ANSWER,
    a_flight,
    a_key,
    an_entry,
    digest,
    near,
    vectors,
)
from tests.postgres.completions import id_at
from tests.postgres.server import DatabaseUrls, connect

CALLER = Caller("acme", "ann", "billing", frozenset({Scope.COMPLETE}))


@pytest_asyncio.fixture
async def cache(database: Database) -> AsyncIterator[PostgresCache]:
    opened = PostgresCache(database)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def flights(database: Database) -> AsyncIterator[PostgresFlights]:
    opened = PostgresFlights(database)
    yield opened
    await opened.close()


async def fetch(urls: DatabaseUrls, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(sql.encode(), parameters)
        return await cursor.fetchall()


# ------------------------------------------------------------------------------- by key


async def test_what_was_kept_is_found_exactly_as_it_was(cache: PostgresCache) -> None:
    request = CompletionRequest(
        caller=CALLER,
        prompt_name="summarize",
        prompt_version=3,
        variables={"text": "a\x00b \ud83d", "deep": [{"x": 1.5}]},
        messages=(Message(MessageRole.TOOL, "hi", "call-1"),),
        text="t",
        model="ollama/m",
        parameters=GenerationParameters(0.1, 0.9, 5, ("a", "b"), 7, 1000),
        response_schema={"type": "object"},
        requires_accuracy=True,
        strategy=RoutingStrategy.CHEAPEST,
        feature="invoices",
        metadata={"trace": "x"},
    )
    entry = an_entry(
        answer=replace(ANSWER, text="a\x00b \ud83d \\u0000", json={"a\x00": "\ud83d"}),
        rejected=(digest("no"), digest("never")),
        min_similarity=0.97,
        vector=list(map(float, vectors(1)[0])),
        prompt_name="summarize",
        prompt_version_id=uuid4(),
        request=request,
    )

    await cache.keep(entry)

    expected = replace(entry, vector=None)
    assert await cache.find(entry.key) == expected
    assert await cache.get_entry("acme", entry.id) == expected
    assert await cache.find_or_lead(entry.key, a_flight(entry.key)) == expected
    ((similar, cosine),) = await cache.find_similar(entry.key, entry.vector or (), 5)
    assert similar == expected
    assert cosine == pytest.approx(1, abs=1e-6)


async def test_a_question_without_a_scope_has_neither_wording_nor_vector(
    cache: PostgresCache,
) -> None:
    entry = an_entry(a_key(scope=None))

    await cache.keep(entry)

    assert await cache.find(entry.key) == entry


async def test_a_prompt_that_the_catalog_does_not_have_cannot_be_asked_again(
    cache: PostgresCache,
) -> None:
    request = CompletionRequest(caller=CALLER, unsaved=("prompt", "version"))  # type: ignore[arg-type]

    await cache.keep(entry := an_entry(request=request))

    assert await cache.find(entry.key) == replace(entry, request=None)


async def test_another_key_finds_nothing(cache: PostgresCache) -> None:
    await cache.keep(an_entry())

    assert await cache.find(a_key("Another?")) is None
    assert await cache.find(a_key(tenant="globex")) is None


async def test_the_newest_takes_the_place_of_the_older(
    cache: PostgresCache, urls: DatabaseUrls
) -> None:
    older, newer = an_entry(age_s=10), an_entry()
    await cache.keep(older)
    await cache.keep(newer)

    assert await cache.find(a_key()) == newer
    assert await cache.get_entry("acme", older.id) is None
    assert await fetch(urls, "SELECT count(*) FROM cache_entries") == [(1,)]


async def test_an_older_one_that_comes_late_does_not_hide_the_newest(cache: PostgresCache) -> None:
    older, newer = an_entry(age_s=10), an_entry()
    await cache.keep(newer)
    await cache.keep(older)

    assert await cache.find(a_key()) == newer


async def test_keeping_twice_is_keeping_once(cache: PostgresCache, urls: DatabaseUrls) -> None:
    entry = an_entry(vector=list(map(float, vectors(1)[0])))

    await asyncio.gather(*(cache.keep(entry) for _ in range(10)))

    assert await fetch(urls, "SELECT count(*) FROM cache_entries") == [(1,)]


async def test_what_has_expired_is_not_there(cache: PostgresCache) -> None:
    vector = list(map(float, vectors(1)[0]))
    entry = an_entry(vector=vector, age_s=60, expires_at=datetime.now(UTC) - timedelta(seconds=1))

    await cache.keep(entry)

    assert await cache.find(entry.key) is None
    assert await cache.get_entry("acme", entry.id) is None
    assert await cache.find_similar(entry.key, vector, 5) == []


async def test_ids_that_no_entry_can_have_are_not_there(cache: PostgresCache) -> None:
    assert await cache.get_entry("acme", uuid4()) is None
    assert await cache.remove("acme", uuid4()) is False
    await cache.judge("acme", uuid4(), 1.0)
    await cache.count_hits({("acme", uuid4()): 1})
    await cache.count_hits({})


async def test_many_that_ask_at_once_get_each_their_own(cache: PostgresCache) -> None:
    entries = [an_entry(a_key(f"Question {n}?", f"tenant-{n % 7}")) for n in range(300)]
    await asyncio.gather(*map(cache.keep, entries))

    found = await asyncio.gather(*(cache.find(entry.key) for entry in entries))

    assert found == entries


async def test_a_broken_entry_fails_alone_and_says_nothing_of_its_text(
    cache: PostgresCache,
) -> None:
    good = [an_entry(a_key(f"Question {n}?")) for n in range(20)]
    secret = an_entry(a_key("Secret?"), min_similarity=7.0)

    results = await asyncio.gather(
        *(cache.keep(entry) for entry in (*good[:7], secret, *good[7:])), return_exceptions=True
    )

    (error,) = [result for result in results if result is not None]
    assert isinstance(error, InternalError)
    assert "min_similarity" in str(error)
    assert "Secret" not in str(error)
    found = await asyncio.gather(*(cache.find(entry.key) for entry in good))
    assert found == good


# --------------------------------------------------------------------------- by meaning


async def test_the_nearest_come_first_with_their_cosine(cache: PostgresCache) -> None:
    base = list(map(float, vectors(1)[0]))
    cosines = (0.5, 0.99, 0.9, 0.97)
    entries = {
        cosine: an_entry(a_key(f"About {cosine}"), vector=near(base, cosine)) for cosine in cosines
    }
    await asyncio.gather(*map(cache.keep, entries.values()))

    found = await cache.find_similar(a_key("Asked"), base, 3)

    assert [entry.key.wording for entry, _ in found] == ["About 0.99", "About 0.97", "About 0.9"]
    assert [cosine for _, cosine in found] == pytest.approx([0.99, 0.97, 0.9], abs=1e-6)


async def test_the_index_of_vectors_finds_what_comparing_all_of_them_finds(
    fresh: DatabaseUrls,
) -> None:
    """In a scope too large to be compared one by one, beside others with the same vectors."""
    chance = np.random.default_rng(6)
    mine = vectors(100, seed=5)[chance.integers(0, 100, 8_100)]
    mine = mine + 0.04 * chance.normal(size=mine.shape)
    mine /= np.linalg.norm(mine, axis=1, keepdims=True)
    alive = mine[100:]
    async with await connect(fresh.superuser) as superuser:
        index = "SELECT pg_get_indexdef('cache_entries_embedding'::regclass)"
        ((definition,),) = await fetch(fresh, index)
        await superuser.execute("DROP INDEX cache_entries_embedding")
        await fill(superuser, "acme", "scope", mine, expired=100)
        await fill(superuser, "acme", "other", mine[:500])
        await fill(superuser, "globex", "scope", mine[:500])
        await superuser.execute(definition.replace("ON ONLY", "ON").encode())
    opened = Database(fresh.service, pool_size=2)
    cache = PostgresCache(opened)

    right = 0
    for asked in mine[:100]:
        found = await cache.find_similar(a_key("Asked"), list(map(float, asked)), 5)
        assert {entry.key.scope for entry, _ in found} == {digest("scope")}
        assert {entry.key.tenant_id for entry, _ in found} == {"acme"}
        nearest = np.argsort(-(alive @ asked))[:5]
        exact = [float(alive[n] @ asked) for n in nearest]
        right += len({f"{n + 100}" for n in nearest} & {entry.key.wording for entry, _ in found})
        cosines = [cosine for _, cosine in found]
        assert cosines == sorted(cosines, reverse=True)
        assert cosines[0] <= exact[0] + 1e-6

    await cache.close()
    await opened.close()
    assert right / 500 >= 0.98


async def fill(
    superuser: psycopg.AsyncConnection,
    tenant: str,
    scope: str,
    rows: np.ndarray,
    expired: int = 0,
) -> None:
    """Write entries past the adapter; the first few have expired."""
    await superuser.execute(
        """
        INSERT INTO cache_entries (
            tenant_id, id, created_at, key, scope, wording, embedding, min_similarity, answer,
            model, tokens, cost, size_bytes, fresh_until, expires_at)
        SELECT %(tenant)s, gen_random_uuid(), now(), sha256(%(scope)s || number::text::bytea),
               sha256(%(scope)s), number, vector::vector, 0.95, %(answer)s, 'm', 1, 0, 1, now(),
               now() + CASE WHEN number < %(expired)s THEN '0' ELSE '1 hour' END::interval
        FROM unnest(%(vectors)s::text[]) WITH ORDINALITY AS v (vector, place),
             LATERAL (SELECT place - 1 AS number) AS n
        """,
        {
            "tenant": tenant,
            "scope": scope.encode(),
            "answer": json.dumps(answer_row(ANSWER)),
            "expired": expired,
            "vectors": [vector_text(row) for row in rows],
        },
    )


async def test_searches_at_once_are_not_mixed_up(cache: PostgresCache) -> None:
    bases = vectors(30)
    for number, base in enumerate(bases):
        scope, tenant = f"scope-{number % 5}", f"tenant-{number % 3}"
        key = a_key(f"{number}", tenant, scope)
        await cache.keep(an_entry(key, vector=[float(x) for x in base]))

    found = await asyncio.gather(
        *(
            cache.find_similar(
                a_key("Asked", f"tenant-{n % 3}", f"scope-{n % 5}"), [float(x) for x in base], 1
            )
            for n, base in enumerate(bases)
        )
    )

    assert [nearest[0][0].key.wording for nearest in found] == [str(n) for n in range(30)]


# ------------------------------------------------------------------------ whose they are


async def test_the_functions_find_nothing_of_one_tenant_for_another(
    cache: PostgresCache, urls: DatabaseUrls
) -> None:
    """Even with the other's key, scope and ids: the database itself keeps them apart."""
    vector = list(map(float, vectors(1)[0]))
    entry = an_entry(vector=vector)
    await cache.keep(entry)
    flight = a_flight(a_key("Running?"))
    assert await cache.find_or_lead(a_key("Running?"), flight) is Lead.OURS
    key, scope, text = entry.key.exact, entry.key.scope, str(vector)
    calls = (
        ("SELECT id FROM assistant_find_cached(%s::text[], %s::bytea[], '{NULL}')", [key]),
        (
            "SELECT id FROM assistant_find_similar(%s::text[], %s::bytea[], "
            f"ARRAY['{text}'], '{{f}}', 5)",
            [scope],
        ),
        (
            "SELECT id FROM assistant_read_flights(%s::text[], %s::bytea[], '{NULL}', '{0}')",
            [flight.key],
        ),
    )
    async with await psycopg.AsyncConnection.connect(urls.service, autocommit=True) as connection:
        for sql, keys in calls:
            found = []
            for tenant in ("acme", "globex"):
                cursor = await connection.execute(sql.encode(), ([tenant], keys))
                found.append(await cursor.fetchall())
            mine, foreign = found
            assert len(mine) == 1, sql
            assert foreign == [], sql
        # Afterwards the connection acts for nobody again.
        cursor = await connection.execute("SELECT count(*) FROM cache_entries")
        assert await cursor.fetchone() == (0,)


async def test_nothing_is_written_or_changed_for_another_tenant(
    cache: PostgresCache, flights: PostgresFlights, urls: DatabaseUrls
) -> None:
    entry = an_entry(vector=list(map(float, vectors(1)[0])))
    await cache.keep(entry)
    flight = a_flight(a_key("Running?"))
    assert await cache.find_or_lead(a_key("Running?"), flight) is Lead.OURS

    assert await cache.remove("globex", entry.id) is False
    await cache.judge("globex", entry.id, 2.0, digest("x"))
    await cache.count_hits({("globex", entry.id): 5})
    assert await cache.clear("globex", CacheSelection()) == 0
    await flights.land(replace(flight, tenant_id="globex"), Landing())
    await cache.keep(an_entry(replace(entry.key, tenant_id="globex")))

    assert await cache.find(entry.key) == replace(entry, vector=None)
    assert await fetch(urls, "SELECT count(*) FROM cache_entry_uses") == [(0,)]
    assert await fetch(urls, "SELECT tenant_id FROM cache_flights") == [("acme",)]


async def test_the_code_cannot_reach_past_row_security(
    cache: PostgresCache, urls: DatabaseUrls
) -> None:
    """What a lookup says of its tenant is what binds it: without one it sees nothing at all."""
    await cache.keep(an_entry())

    async with await psycopg.AsyncConnection.connect(urls.service, autocommit=True) as connection:
        for sql in (
            "SELECT count(*) FROM cache_entries",
            "SELECT count(*) FROM cache_entries WHERE tenant_id = 'acme'",
            "SELECT count(*) FROM assistant_find_cached("
            "ARRAY[NULL], (SELECT array_agg(sha256('x'))), '{NULL}')",
        ):
            cursor = await connection.execute(sql.encode())
            assert await cursor.fetchone() == (0,)


async def test_a_hundred_thousand_random_lookups_meet_nothing_foreign(
    cache: PostgresCache, urls: DatabaseUrls
) -> None:
    """Every tenant and user has asked the same questions, and each has an answer of their own."""
    tenants, users, questions = 20, 10, 10
    everyone = [(f"tenant-{t}", f"user-{u}") for t in range(tenants) for u in range(users)]
    base = vectors(questions, seed=3)

    def answer(tenant: str, user: str, question: int) -> str:
        return f"{tenant} {user} {question}"

    entries = [
        an_entry(
            a_key(f"question {q}", tenant, user),
            answer=replace(ANSWER, text=answer(tenant, user, q)),
            vector=[float(x) for x in base[q]],
        )
        for tenant, user in everyone
        for q in range(questions)
        if (hash((tenant, user)) + q) % 3
    ]
    await asyncio.gather(*map(cache.keep, entries))
    kept = {(entry.key.tenant_id, entry.key.exact): entry.answer.text for entry in entries}
    asked = random.Random(4)
    hits = 0

    async with await psycopg.AsyncConnection.connect(urls.service, autocommit=True) as connection:
        for _ in range(100):
            keys = []
            for _ in range(1_000):
                (tenant, user), q = asked.choice(everyone), asked.randrange(questions)
                # One in three asks with another tenant's or user's key.
                other = asked.choice(everyone) if asked.random() < 1 / 3 else (tenant, user)
                keys.append((tenant, a_key(f"question {q}", other[0], other[1]).exact))
            cursor = await connection.execute(
                "SELECT place, tenant_id, answer->>'text' "
                "FROM assistant_find_cached(%s::text[], %s::bytea[], %s::uuid[])",
                ([tenant for tenant, _ in keys], [key for _, key in keys], [None] * len(keys)),
            )
            found = {place: (tenant, text) for place, tenant, text in await cursor.fetchall()}
            for place, (tenant, key) in enumerate(keys, start=1):
                expected = kept.get((tenant, key))
                assert found.get(place) == (None if expected is None else (tenant, expected))
            hits += len(found)
        for _ in range(40):
            searches = [(*asked.choice(everyone), asked.randrange(questions)) for _ in range(50)]
            cursor = await connection.execute(
                "SELECT place, answer->>'text' "
                "FROM assistant_find_similar(%s::text[], %s::bytea[], %s::text[], %s::boolean[], 3)",
                (
                    [tenant for tenant, _, _ in searches],
                    [digest(user) for _, user, _ in searches],
                    [str([float(x) for x in base[q]]) for _, _, q in searches],
                    [n % 2 == 0 for n in range(len(searches))],
                ),
            )
            rows = await cursor.fetchall()
            assert rows
            for place, text in rows:
                tenant, user, _ = searches[place - 1]
                assert text.startswith(f"{tenant} {user} ")

    assert hits > 30_000


# ------------------------------------------------------------------- judged and removed


async def test_a_judgement_is_the_entrys_own(cache: PostgresCache) -> None:
    judged, other = an_entry(a_key("One?")), an_entry(a_key("Two?"))
    await cache.keep(judged)
    await cache.keep(other)

    await cache.judge("acme", judged.id, 0.98, digest("wrong"))
    await cache.judge("acme", judged.id, 0.985, digest("wrong"))
    await cache.judge("acme", judged.id, 0.97)

    found = await cache.find(judged.key)
    assert found == replace(judged, min_similarity=0.97, rejected=(digest("wrong"),))
    assert await cache.find(other.key) == other


async def test_the_last_thirty_two_that_were_rejected_are_remembered(cache: PostgresCache) -> None:
    entry = an_entry()
    await cache.keep(entry)

    for number in range(40):
        await cache.judge("acme", entry.id, 0.98, digest(f"{number}"))

    found = await cache.find(entry.key)
    assert found is not None
    assert found.rejected == tuple(digest(f"{number}") for number in range(8, 40))


async def test_what_was_removed_is_gone(cache: PostgresCache, urls: DatabaseUrls) -> None:
    entry = an_entry()
    await cache.keep(entry)
    await cache.count_hits({("acme", entry.id): 2})

    assert await cache.remove("acme", entry.id) is True
    assert await cache.remove("acme", entry.id) is False

    assert await cache.find(entry.key) is None
    assert await fetch(urls, "SELECT count(*) FROM cache_entry_uses") == [(0,)]


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        (CacheSelection(), []),
        (CacheSelection(prompt_name="a"), ["b old", "b x", "none"]),
        (CacheSelection(model="x/x"), ["a", "a old", "b old", "none"]),
        (CacheSelection(prompt_name="b", model="x/x"), ["a", "a old", "b old", "none"]),
        (CacheSelection(prompt_name="a", model="x/x"), ["a", "a old", "b old", "b x", "none"]),
        (CacheSelection(older_than=datetime.now(UTC) - timedelta(minutes=5)), ["a", "b x", "none"]),
    ],
)
async def test_what_is_selected_is_cleared_and_nothing_else(
    cache: PostgresCache, selection: CacheSelection, left: list[str]
) -> None:
    entries = [
        an_entry(a_key("a"), prompt_name="a"),
        an_entry(a_key("a old"), prompt_name="a", age_s=3600),
        an_entry(a_key("b old"), prompt_name="b", age_s=3600),
        an_entry(a_key("b x"), prompt_name="b", answer=replace(ANSWER, model="x/x")),
        an_entry(a_key("none")),
    ]
    foreign = an_entry(a_key(tenant="globex"), prompt_name="a")
    await asyncio.gather(*map(cache.keep, (*entries, foreign)))

    cleared = await cache.clear("acme", selection)

    found = [entry for entry in entries if await cache.find(entry.key) is not None]
    assert [entry.key.wording for entry in found] == left
    assert cleared == len(entries) - len(left)
    assert await cache.find(foreign.key) == foreign


async def test_hits_add_up_and_go_on_with_the_answer_that_takes_the_place(
    cache: PostgresCache, urls: DatabaseUrls
) -> None:
    older, other = an_entry(age_s=10), an_entry(a_key("Other?", "globex"))
    await cache.keep(older)
    await cache.keep(other)
    await cache.count_hits({("acme", older.id): 2, ("globex", other.id): 1})
    await cache.count_hits({("acme", older.id): 3, ("globex", older.id): 9})

    newer = an_entry()
    await cache.keep(newer)

    counted = await fetch(urls, "SELECT tenant_id, id, hits FROM cache_entry_uses ORDER BY 1")
    assert counted == [("acme", newer.id, 5), ("globex", other.id, 1)]


async def test_counting_hits_takes_no_new_place_in_the_index_of_vectors(
    cache: PostgresCache, urls: DatabaseUrls
) -> None:
    entry = an_entry(vector=list(map(float, vectors(1)[0])))
    await cache.keep(entry)
    where = "SELECT ctid::text, xmin::text FROM cache_entries"
    before = await fetch(urls, where)

    await cache.count_hits({("acme", entry.id): 2})

    assert await fetch(urls, where) == before


# ---------------------------------------------------------------------------- announced


@pytest_asyncio.fixture
async def announced(urls: DatabaseUrls) -> AsyncIterator[list[CacheNotice]]:
    """What replicas are told, as it comes."""
    heard: list[CacheNotice] = []

    async def hear(connection: psycopg.AsyncConnection) -> None:
        async for notification in connection.notifies():
            heard.append(notice_of(notification.payload))

    async with await connect(urls.service) as connection:
        await connection.execute(f"LISTEN {CACHE_CHANNEL}".encode())
        hearing = asyncio.create_task(hear(connection))
        yield heard
        hearing.cancel()
        await asyncio.wait([hearing])


async def heard_next(announced: list[CacheNotice]) -> list[CacheNotice]:
    """What has been announced since it was asked last."""
    for _ in range(30):
        await asyncio.sleep(0.01)
        if announced:
            break
    heard, announced[:] = list(announced), []
    return heard


async def test_whatever_is_removed_replaced_or_judged_is_announced(
    cache: PostgresCache, announced: list[CacheNotice]
) -> None:
    key = a_key()
    await cache.keep(older := an_entry(age_s=10))
    assert await heard_next(announced) == [], "nobody can have it yet"

    await cache.keep(entry := an_entry())
    assert await heard_next(announced) == [CacheNotice("acme", key.exact)]
    await cache.judge("acme", entry.id, 0.99)
    assert await heard_next(announced) == [CacheNotice("acme", key.exact)]
    await cache.remove("acme", entry.id)
    assert await heard_next(announced) == [CacheNotice("acme", key.exact)]
    await cache.clear("globex", CacheSelection(prompt_name="x"))
    assert await heard_next(announced) == [CacheNotice("globex", None)]

    await cache.remove("acme", older.id)
    assert await heard_next(announced) == [CacheNotice("acme", None)], "some may remember it"
    await cache.judge("acme", older.id, 0.99)
    await cache.find(key)
    await cache.count_hits({("acme", entry.id): 1})
    assert await heard_next(announced) == [], "nothing has changed"


# ------------------------------------------------------------------------------ one asks


async def test_whoever_finds_nothing_first_leads_and_the_others_do_not(
    cache: PostgresCache, flights: PostgresFlights
) -> None:
    key = a_key()
    ours, theirs = a_flight(key), a_flight(key)

    assert await cache.find_or_lead(key, ours) is Lead.OURS
    assert await cache.find_or_lead(key, theirs) is Lead.ANOTHERS
    assert await cache.find_or_lead(key, ours) is Lead.OURS, "as often as the same one asks"
    other = a_key("Other?")
    assert await cache.find_or_lead(other, a_flight(other)) is Lead.OURS
    other_tenant = a_key(tenant="globex")
    assert await cache.find_or_lead(other_tenant, a_flight(other_tenant)) is Lead.OURS

    await cache.keep(entry := an_entry(key))
    await flights.land(ours, Landing(ANSWER))
    assert await cache.find_or_lead(key, theirs) == entry


async def test_when_the_leader_lands_without_an_answer_the_next_one_leads(
    cache: PostgresCache, flights: PostgresFlights
) -> None:
    key = a_key()
    ours, theirs = a_flight(key), a_flight(key)
    await cache.find_or_lead(key, ours)
    await cache.find_or_lead(key, theirs)

    await flights.land(theirs, Landing())
    assert await cache.find_or_lead(key, theirs) is Lead.ANOTHERS, "it was not theirs to land"
    await flights.land(ours, Landing())

    assert await cache.find_or_lead(key, theirs) is Lead.OURS


async def test_a_leader_that_was_not_heard_of_is_followed_by_nobody(
    cache: PostgresCache, urls: DatabaseUrls
) -> None:
    key = a_key()
    await cache.find_or_lead(key, a_flight(key))
    async with await connect(urls.superuser) as connection:
        await connection.execute("UPDATE cache_flights SET heard_at = now() - interval '2.9 s'")
        assert await cache.find_or_lead(key, a_flight(key)) is Lead.ANOTHERS
        await connection.execute("UPDATE cache_flights SET heard_at = now() - interval '3 s'")

    claims = await asyncio.gather(*(cache.find_or_lead(key, a_flight(key)) for _ in range(10)))

    assert sorted(claims) == [*([Lead.ANOTHERS] * 9), Lead.OURS]


async def test_of_fifty_on_several_connections_one_leads_at_any_time(urls: DatabaseUrls) -> None:
    """Each that leads answers at once or gives up; nobody leads beside another, nobody waits."""
    databases = [Database(urls.service, pool_size=1) for _ in range(5)]
    caches = [PostgresCache(database) for database in databases]
    stores = [PostgresFlights(database) for database in databases]
    keys = [a_key(f"Question {n}?", f"tenant-{n % 2}") for n in range(8)]
    leaders: dict[bytes, int] = dict.fromkeys((key.exact for key in keys), 0)
    led = dict(leaders)
    answered: dict[bytes, int] = dict(leaders)

    async def claim(number: int) -> None:
        cache, flights = caches[number % 5], stores[number % 5]
        chance = random.Random(number)
        for _ in range(30):
            key = chance.choice(keys)
            flight = a_flight(key)
            found = await cache.find_or_lead(key, flight)
            if found is Lead.OURS:
                leaders[key.exact] += 1
                led[key.exact] += 1
                assert leaders[key.exact] == 1
                await asyncio.sleep(chance.random() * 0.004)
                if chance.random() < 0.3:
                    await cache.keep(an_entry(key))
                    answered[key.exact] += 1
                leaders[key.exact] -= 1
                await flights.land(flight, Landing())
            elif isinstance(found, CacheEntry) and chance.random() < 0.5:
                await cache.remove(key.tenant_id, found.id)

    await asyncio.gather(*(claim(number) for number in range(50)))

    assert all(times > 1 for times in led.values()), led
    for opened in (*caches, *stores, *databases):
        await opened.close()
    left = await fetch(urls, "SELECT count(*) FROM cache_flights WHERE landing IS NULL")
    assert left == [(0,)]


async def test_an_answer_is_asked_for_once_however_many_want_it(urls: DatabaseUrls) -> None:
    databases = [Database(urls.service, pool_size=1) for _ in range(5)]
    caches = [PostgresCache(database) for database in databases]
    stores = [PostgresFlights(database) for database in databases]
    key = a_key()
    led = 0

    async def ask(number: int) -> CacheEntry:
        nonlocal led
        flight = a_flight(key)
        while True:
            found = await caches[number % 5].find_or_lead(key, flight)
            if isinstance(found, CacheEntry):
                return found
            if found is Lead.OURS:
                led += 1
                await caches[number % 5].keep(an_entry(key))
                await stores[number % 5].land(flight, Landing())
            await asyncio.sleep(0)

    answers = await asyncio.gather(*(ask(number) for number in range(50)))

    for opened in (*caches, *stores, *databases):
        await opened.close()
    assert led == 1
    assert len({entry.id for entry in answers}) == 1


# --------------------------------------------------------------- who does not wait any more


async def test_who_gives_up_waiting_leads_nothing(cache: PostgresCache, urls: DatabaseUrls) -> None:
    key = a_key()
    await cache.find(key)
    async with await connect(urls.superuser) as superuser, superuser.transaction():
        await superuser.execute("LOCK TABLE cache_flights IN ACCESS EXCLUSIVE MODE")
        # It returns while the database still hangs: to give up takes nobody's consent.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cache.find_or_lead(key, a_flight(key)), 0.02)

    for _ in range(100):
        await asyncio.sleep(0.01)
        if await cache.find_or_lead(key, flight := a_flight(key)) is Lead.OURS:
            break
    else:
        pytest.fail("nobody can lead")
    leaders = await fetch(urls, "SELECT id FROM cache_flights WHERE landing IS NULL")
    assert leaders == [(flight.id,)]


async def test_while_the_database_hangs_nobody_queues_and_afterwards_all_is_well(
    cache: PostgresCache, urls: DatabaseUrls
) -> None:
    await cache.keep(entry := an_entry())
    async with await connect(urls.superuser) as superuser, superuser.transaction():
        await superuser.execute("LOCK TABLE cache_entries IN ACCESS EXCLUSIVE MODE")
        stuck = asyncio.create_task(cache.find(entry.key))
        await asyncio.sleep(0.4)
        for _ in range(100):
            with pytest.raises(StorageUnavailable):
                await cache.find(entry.key)
        assert not stuck.done()
        with pytest.raises(StorageUnavailable):
            await stuck

    await until_found(cache, entry)


async def until_found(cache: PostgresCache, entry: CacheEntry) -> None:
    for _ in range(200):
        try:
            assert await cache.find(entry.key) == entry
        except StorageUnavailable:
            await asyncio.sleep(0.05)
        else:
            return
    pytest.fail("it is not found any more")


async def test_a_connection_that_died_while_it_waited_is_replaced_unnoticed(
    cache: PostgresCache, urls: DatabaseUrls
) -> None:
    vector = list(map(float, vectors(1)[0]))
    await cache.keep(an_entry(vector=vector))
    await cache.find(a_key())
    await cache.find_similar(a_key(), vector, 1)

    async with await connect(urls.superuser) as superuser:
        await superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE usename = 'assistant_service' AND datname = current_database()"
        )
    await asyncio.sleep(0.05)

    assert await cache.find(a_key()) is not None
    assert await cache.find_or_lead(a_key("New?"), a_flight(a_key("New?"))) is Lead.OURS
    assert len(await cache.find_similar(a_key(), vector, 1)) == 1
    await cache.keep(an_entry())


async def test_a_server_that_hangs_is_given_up_and_found_again(short_folder: Path) -> None:
    embedded = EmbeddedPostgres(short_folder / "postgres")
    url = await embedded.start()
    await migrate.upgrade(url)
    database = Database(embedded.service_url, pool_size=2)
    cache = PostgresCache(database)
    await cache.keep(entry := an_entry())
    assert await cache.find(entry.key) == entry
    server = psutil.Process(int((short_folder / "postgres/postmaster.pid").read_text().split()[0]))
    pids = [server.pid, *(child.pid for child in server.children(recursive=True))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StorageUnavailable, match="does not answer"):
            await cache.find(entry.key)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    await until_found(cache, entry)
    await cache.close()
    await database.close()
    await embedded.stop()


async def test_a_month_in_the_past_has_no_place(cache: PostgresCache) -> None:
    ancient = id_at(datetime.now(UTC) - timedelta(days=200))

    with pytest.raises(InternalError):
        await cache.keep(replace(an_entry(), id=ancient))

    await cache.keep(an_entry())


async def test_what_was_learnt_of_an_answer_holds_for_the_one_that_takes_its_place(
    cache: PostgresCache,
) -> None:
    old = an_entry(age_s=5)
    await cache.keep(old)
    await cache.judge("acme", old.id, 0.98, b"w" * 32)

    await cache.keep(new := an_entry(old.key))

    found = await cache.find(old.key)
    assert found is not None
    assert (found.id, found.min_similarity, found.rejected) == (new.id, 0.98, (b"w" * 32,))

"""The cache in front of the whole service: on two replicas, when one is killed, when it is slow."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from tests.api.test_main_job import as_user
from tests.api.test_resilience import two_replicas
from tests.postgres.server import connect, running_server
from tests.providers.fake_ollama import FakeOllama, Reply, words
from tests.running_service import RunningService, free_port, running_service

ON = {"cache_enabled": "true", "cache_shadow_share": "0", "cache_lookup_timeout_ms": "2000"}
ALICE, BOB = as_user("alice"), as_user("bob")
ASK = """mutation ($input: CompletionRequest!) { generateCompletion(input: $input) {
    id text json status finishReason cache model { id }
    usage { promptTokens completionTokens totalTokens cost { amount } } createdAt
    decision { similarity savedCost { amount } attempts { model }
        cacheVerdict { outcome reason similarity minSimilarity ageMs guard sourceId } } } }"""
STREAM = """subscription ($input: CompletionRequest!) { completionStream(input: $input) {
    __typename eventId completionId sequence
    ... on CompletionStarted { model { id } }
    ... on TokenDelta { text }
    ... on CompletionFinished { response { id text cache finishReason model { id } } }
    ... on CompletionFailed { code message } } }"""
STATISTICS = """{ cacheStatistics(period: LAST_24_HOURS) {
    entries lookups exactHits semanticHits coalesced misses hitRate savedTokens } }"""
REPORT = """mutation ($id: ID!) { reportCacheHit(completionId: $id, wrong: true) {
    removed minSimilarity userErrors { message } } }"""
CLEAR = "mutation ($input: ClearCacheInput!) { clearCache(input: $input) { removed } }"

FRANCE = "What is the capital of France?"
FRANCE_REWORDED = "Hi, please tell me what's the capital of France"


async def ask(service: RunningService, text: str = FRANCE, **wanted: Any) -> dict[str, Any]:
    headers = wanted.pop("headers", ALICE)
    answer = await service.graphql(ASK, {"input": {"text": text} | wanted}, headers)
    assert "errors" not in answer, answer
    completion: dict[str, Any] = answer["data"]["generateCompletion"]
    return completion


async def stream(service: RunningService, text: str = FRANCE) -> list[dict[str, Any]]:
    results = service.subscribe(STREAM, {"input": {"text": text}}, ALICE)
    return [result["data"]["completionStream"] async for result in results]


async def test_a_hit_looks_like_a_miss(tmp_path: Path) -> None:
    """Same fields, same stream; a hundred identical requests on two replicas make one call."""
    async with FakeOllama() as ollama, two_replicas(tmp_path, ollama, **ON) as replicas:
        ollama.reply = Reply(tokens=words(20), token_delay_s=0.1, prompt_tokens=9)

        answers = await asyncio.gather(*(ask(replica) for _ in range(50) for replica in replicas))

        assert len(ollama.chats) == 1
        assert len({answer["text"] for answer in answers}) == 1
        assert len([answer for answer in answers if answer["usage"]["totalTokens"]]) == 1
        outcomes = Counter(answer["cache"] for answer in answers)
        # Who came so late that it was there already has it all the same.
        assert outcomes["MISS"] == 1
        assert outcomes["COALESCED"] + outcomes["EXACT"] == 99
        assert outcomes["COALESCED"] >= 50

        miss = next(answer for answer in answers if answer["cache"] == "MISS")
        for replica in replicas:
            hit = await ask(replica)
            assert hit["cache"] == "EXACT"
            assert hit.keys() == miss.keys()
            for same in ("text", "status", "finishReason", "model"):
                assert hit[same] == miss[same]
            assert hit["usage"]["totalTokens"] == 0
            assert hit["decision"]["cacheVerdict"]["sourceId"] == miss["id"]

        ollama.reply = Reply(tokens=words(20), token_delay_s=0.02)
        first = await stream(replicas[0], "Tell me something else")
        again = await stream(replicas[1], "Tell me something else")
        assert len(ollama.chats) == 2
        assert [e["sequence"] for e in again] == list(range(len(again)))
        for events in (first, again):
            kinds = [event["__typename"] for event in events]
            assert kinds[0] == "CompletionStarted"
            assert kinds[-1] == "CompletionFinished"
            assert set(kinds[1:-1]) == {"TokenDelta"}
        assert _text(first) == _text(again) == again[-1]["response"]["text"]

        figures = (await replicas[1].graphql(STATISTICS, headers=ALICE))["data"]["cacheStatistics"]
        assert figures["coalesced"] == outcomes["COALESCED"]
        assert figures["exactHits"] == outcomes["EXACT"] + 3
        assert figures["misses"] == 2
        assert figures["entries"] == 2


async def test_another_replicas_answer_streams_along_while_it_is_made(tmp_path: Path) -> None:
    async with FakeOllama() as ollama, two_replicas(tmp_path, ollama, **ON) as (one, two):
        ollama.reply = Reply(tokens=words(60), token_delay_s=0.05)
        leading = asyncio.create_task(stream(one))
        while not ollama.chats:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)

        seen: list[dict[str, Any]] = []
        was_running = False
        async for result in two.subscribe(STREAM, {"input": {"text": FRANCE}}, ALICE):
            seen.append(result["data"]["completionStream"])
            if seen[-1]["__typename"] == "TokenDelta":
                was_running = was_running or not leading.done()

        led = await leading
        assert was_running
        assert _text(seen) == _text(led) == led[-1]["response"]["text"]
        assert [event["sequence"] for event in seen] == list(range(len(seen)))
        assert len(ollama.chats) == 1
        assert seen[-1]["response"]["cache"] == "COALESCED"


async def test_a_leader_that_is_killed_is_replaced_and_nobody_waits_for_ever(
    tmp_path: Path,
) -> None:
    async with FakeOllama() as ollama, two_replicas(tmp_path, ollama, **ON) as (one, two):
        ollama.reply = Reply(first_token_delay_s=30)
        leading = asyncio.create_task(stream(one))
        while not ollama.chats:
            await asyncio.sleep(0.01)
        following = asyncio.create_task(ask(two))
        await asyncio.sleep(1.0)
        ollama.reply = Reply(tokens=words(3))
        await one.stop(signal.SIGKILL)

        async with asyncio.timeout(15):
            answer = await following

        assert (answer["cache"], len(ollama.chats)) == ("MISS", 2)
        leading.cancel()
        await asyncio.wait([leading])


async def test_a_semantic_hit_is_a_right_answer(tmp_path: Path) -> None:
    """Found in other words, told with its reason, apart by user; what a guard forbids is asked."""
    async with (
        FakeOllama() as ollama,
        running_service(tmp_path, ollama_url=ollama.url, **ON) as service,
    ):
        ollama.reply = Reply(tokens=("Par", "is."))
        miss = await ask(service)
        hit = await ask(service, FRANCE_REWORDED)

        verdict = hit["decision"]["cacheVerdict"]
        assert (hit["cache"], hit["text"]) == ("SEMANTIC", "Paris.")
        assert hit["decision"]["similarity"] == verdict["similarity"] >= 0.95
        assert verdict["sourceId"] == miss["id"]
        assert int(verdict["ageMs"]) >= 0

        assert (await ask(service, FRANCE_REWORDED, headers=BOB))["cache"] == "MISS"
        for question, other in (
            ("Find flights from Paris to London", "Find flights from London to Paris"),
            (
                "Is it safe to take ibuprofen with alcohol?",
                "Is it unsafe to take ibuprofen with alcohol?",
            ),
            ("Convert 5 miles to kilometers", "Convert 6 miles to kilometers"),
        ):
            await ask(service, question)
            near = await ask(service, other)
            assert near["cache"] == "MISS", (question, other)
            found = near["decision"]["cacheVerdict"]
            assert found["guard"] or found["similarity"] < 0.95


async def test_a_hit_that_is_reported_wrong_is_not_given_again(tmp_path: Path) -> None:
    async with (
        FakeOllama() as ollama,
        running_service(tmp_path, ollama_url=ollama.url, **ON) as service,
    ):
        await ask(service)
        hit = await ask(service, FRANCE_REWORDED)
        exact = await ask(service)

        reported = await service.graphql(REPORT, {"id": hit["id"]}, ALICE)
        again = await ask(service, FRANCE_REWORDED, cache="DEFAULT", feature="again")
        removed = await service.graphql(REPORT, {"id": exact["id"]}, ALICE)
        async with asyncio.timeout(2):
            while (await ask(service))["cache"] == "EXACT":
                await asyncio.sleep(0.02)
                if len(ollama.chats) > 2:
                    break

        assert reported["data"]["reportCacheHit"]["minSimilarity"] > 0.95
        assert again["cache"] == "MISS"
        assert removed["data"]["reportCacheHit"]["removed"]


async def test_what_an_administrator_clears_is_gone_on_every_replica_within_a_second(
    tmp_path: Path,
) -> None:
    async with FakeOllama() as ollama, two_replicas(tmp_path, ollama, **ON) as (one, two):
        for replica in (one, two):
            await ask(replica, headers={})
        assert (await ask(two, headers={}))["cache"] == "EXACT"

        cleared = await one.graphql(CLEAR, {"input": {}})
        await asyncio.sleep(1.0)
        asked = len(ollama.chats)

        assert cleared["data"]["clearCache"]["removed"] == 1
        assert (await ask(two, headers={}))["cache"] == "MISS"
        assert len(ollama.chats) == asked + 1


async def test_an_answer_of_the_builtin_model_ends_when_a_better_model_comes_up(
    tmp_path: Path,
) -> None:
    request = {"promptName": "summarize-text", "variables": {"text": "One. Two. Three. " * 9}}
    query = {"input": request}
    port = free_port()
    async with running_service(
        tmp_path, ollama_url=f"http://127.0.0.1:{port}", provider_poll_interval_s="0.3", **ON
    ) as service:
        for expected in ("MISS", "EXACT"):
            answer = await service.graphql(ASK, query, ALICE)
            completion = answer["data"]["generateCompletion"]
            assert (completion["cache"], completion["model"]["id"]) == (
                expected,
                "builtin/extractive",
            )
        async with FakeOllama(port=port), asyncio.timeout(15):
            while True:
                answer = await service.graphql(ASK, query, ALICE)
                if answer["data"]["generateCompletion"]["model"]["id"].startswith("ollama/"):
                    break
                await asyncio.sleep(0.1)


async def test_without_its_tables_the_cache_is_left_out_and_the_model_answers(
    tmp_path: Path,
) -> None:
    """Whatever is wrong with it: a lock that nobody lets go of, say."""
    async with (
        FakeOllama() as ollama,
        running_server() as server,
        server.database() as urls,
        running_service(
            tmp_path,
            ollama_url=ollama.url,
            database_url=urls.owner,
            **ON | {"cache_lookup_timeout_ms": "20"},
        ) as service,
        await connect(urls.superuser) as locker,
    ):
        await ask(service, "Before")
        await locker.set_autocommit(False)
        await locker.execute("LOCK TABLE cache_entries, cache_flights IN ACCESS EXCLUSIVE MODE")

        loop = asyncio.get_running_loop()
        started = loop.time()
        answers = [await ask(service, f"Question number {number}") for number in range(10)]
        took_s = loop.time() - started

        assert [answer["cache"] for answer in answers] == ["MISS"] * 10
        assert took_s < 5, "nobody waits for the lock"
        _, metrics = await service.get("/metrics")
        assert 'assistant_cache_lookups_total{level="exact",outcome="timeout"}' in metrics
        await locker.rollback()
        async with asyncio.timeout(20):
            number = 0
            while True:
                number += 1
                await ask(service, f"After {number}")
                _, metrics = await service.get("/metrics")
                if await _is_kept(urls.superuser, f"After {number}"):
                    break
                await asyncio.sleep(0.2)


async def _is_kept(url: str, wording: str) -> bool:
    async with await connect(url) as connection:
        cursor = await connection.execute(
            "SELECT count(*) FROM cache_entries WHERE wording = %s", (wording,)
        )
        row = await cursor.fetchone()
        return row is not None and row[0] > 0


def _text(events: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in events if event["__typename"] == "TokenDelta")

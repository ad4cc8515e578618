"""The TypeScript SDK against the running service, its connections cut on the way."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cutting_proxy import SSE, WEBSOCKET, Marks, cutting_proxy
from tests.providers.fake_ollama import FakeOllama, Reply
from tests.providers.fake_server import Fault
from tests.running_service import RunningService
from tests.sdk.conftest import ROOT, SDK, Sdk, run

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRANSPORTS = [
    pytest.param("sse", SSE, id="sse"),
    pytest.param("websocket", WEBSOCKET, id="websocket"),
]
NAMES = ["sse", "websocket"]


def pieces(count: int) -> tuple[str, ...]:
    """All different, and none easy on those who decode or split."""
    return tuple(f"{n} Größe\u2028\n\n🦊 " for n in range(count))


def stream(text: str, **more: Any) -> dict[str, Any]:
    return {"do": "stream", "request": {"text": text}} | more


def check_whole(report: dict[str, Any], text: str) -> None:
    """Every event came once and in order, and makes up the text."""
    assert "error" not in report, report
    assert [event["sequence"] for event in report["events"]] == list(range(len(report["events"])))
    assert report["soFar"] == text
    assert report["response"]["text"] == text
    assert report["events"][-1]["type"] == "CompletionFinished"


# --- as it is built and packaged


async def test_its_own_tests_pass(sdk: Sdk) -> None:
    await run(sdk.tsc, "-p", "tsconfig.test.json")
    await run(sdk.node[0], "run-tests.mjs")


async def test_the_examples_are_of_the_right_types(sdk: Sdk) -> None:
    await run(sdk.tsc, "-p", "tsconfig.examples.json")


async def test_every_relative_link_of_its_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", (SDK / "README.md").read_text())
    assert [link for link in links if not (SDK / link).exists()] == []


async def test_the_example_for_a_terminal_streams_an_answer(
    sdk: Sdk, service: RunningService, ollama: FakeOllama
) -> None:
    ollama.reply = Reply(tokens=("The ", "sky ", "is ", "blue."))
    output = await run(
        *("env", f"ASSISTANT_URL={service.url}"),
        *(sdk.node[0], str(ROOT / "examples" / "node.mjs"), "Why?"),
    )
    assert output == "The sky is blue."


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--module", "NodeNext", "--lib", "ES2022", "--types", "node"], id="node"),
        pytest.param(
            ["--module", "ESNext", "--moduleResolution", "bundler", "--lib", "ES2022,DOM"],
            id="browser",
        ),
    ],
)
async def test_its_types_are_whole_for_programs_and_pages(
    sdk: Sdk, options: list[str], tmp_path: Path
) -> None:
    modules = tmp_path / "node_modules"
    (modules / "@assistant").mkdir(parents=True)
    (modules / "@assistant" / "client").symlink_to(SDK)
    for name in ("@types", "undici-types"):
        (modules / name).symlink_to(SDK / "node_modules" / name)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "program.ts").write_text(
        """
        import { Assistant, AssistantError, type CompletionResponse } from "@assistant/client";
        const assistant = new Assistant({ url: "http://host.example", headers: async () => ({}) });
        const answer: CompletionResponse = await assistant.complete({ text: "x" });
        for await (const event of assistant.stream({ text: answer.text })) {
            if (event.type === "TokenDelta") event.text.trim();
            // @ts-expect-error a failure is thrown
            if (event.type === "CompletionFailed") break;
        }
        // @ts-expect-error no such field
        await assistant.complete({ prompt: "x" }).catch((e: AssistantError) => e.retryAfterMs);
        export {};
        """
    )
    await run(
        *(sdk.tsc, "--noEmit", "--strict", "--target", "ES2022", "--skipLibCheck", "false"),
        *(*options, "program.ts"),
        folder=tmp_path,
    )


async def test_its_package_holds_what_is_built_its_readme_and_nothing_else(sdk: Sdk) -> None:
    npm = shutil.which("npm")
    assert npm is not None
    (packed,) = json.loads(await run(npm, "pack", "--dry-run", "--json", "--ignore-scripts"))
    names = {file["path"] for file in packed["files"]}
    assert {"README.md", "package.json", "dist/index.js", "dist/index.d.ts"} <= names
    rest = {name for name in names if not name.startswith("dist/")}
    assert rest == {"README.md", "package.json"}
    package = json.loads((SDK / "package.json").read_text())
    assert not {"dependencies", "peerDependencies", "optionalDependencies"} & package.keys()


# --- connections that are cut


@pytest.mark.parametrize(("transport", "marks"), TRANSPORTS)
async def test_cut_after_every_single_event_nothing_is_lost_doubled_or_asked_again(
    sdk: Sdk,
    service: RunningService,
    ollama: FakeOllama,
    transport: str,
    marks: Marks,
) -> None:
    # Slow enough for most tokens to be an event of their own: those that wait are joined.
    ollama.reply = Reply(tokens=pieces(200), token_delay_s=0.02)
    asked = len(ollama.chats)
    async with cutting_proxy(service.url, marks) as proxy:
        proxy.usual = 1
        (report,) = await sdk.perform(proxy.url, stream("long"), transport=transport)
        check_whole(report, "".join(pieces(200)))
        assert proxy.cuts == len(report["events"]) - 1 > 50
    assert len(ollama.chats) == asked + 1


@pytest.mark.parametrize(("transport", "marks"), TRANSPORTS)
async def test_cut_once_after_each_event_in_turn_the_rest_comes(
    sdk: Sdk,
    service: RunningService,
    ollama: FakeOllama,
    transport: str,
    marks: Marks,
) -> None:
    """After none too: the request is sent again, and its key joins what has begun."""
    ollama.reply = Reply(tokens=pieces(20), token_delay_s=0.002)
    asked, count = len(ollama.chats), 20
    async with cutting_proxy(service.url, marks) as proxy:
        for after in range(count):
            proxy.plan.extend([after, None])
        tasks = [stream(f"in turn {after}") for after in range(count)]
        reports = await sdk.perform(proxy.url, *tasks, transport=transport)
        assert proxy.cuts == count
    for report in reports:
        check_whole(report, "".join(pieces(20)))
        assert report["connections"] == 2
    assert len({report["completionId"] for report in reports}) == count
    assert len(ollama.chats) == asked + count


@pytest.mark.parametrize("transport", NAMES)
async def test_a_service_that_cannot_be_reached_for_a_moment_is_waited_for(
    sdk: Sdk, service: RunningService, ollama: FakeOllama, transport: str
) -> None:
    ollama.reply = Reply(tokens=pieces(40), token_delay_s=0.02)
    asked = len(ollama.chats)
    async with cutting_proxy(service.url) as proxy:
        retry = {"baseDelayMs": 50, "maxDelayMs": 200}
        task = asyncio.create_task(
            sdk.perform(proxy.url, stream("moment"), transport=transport, retry=retry)
        )
        async with asyncio.timeout(30):
            while len(ollama.chats) == asked or not ollama.chats[-1].tokens_sent > 5:
                await asyncio.sleep(0.01)
        proxy.is_down = True
        assert proxy.cut() == 1
        await asyncio.sleep(0.4)
        proxy.is_down = False
        (report,) = await task
    check_whole(report, "".join(pieces(40)))
    assert len(ollama.chats) == asked + 1


async def test_a_whole_answer_that_is_cut_is_asked_for_again_and_made_once(
    sdk: Sdk, service: RunningService, ollama: FakeOllama
) -> None:
    ollama.reply = Reply(tokens=("All of it.",), first_token_delay_s=0.4)
    asked = len(ollama.chats)
    async with cutting_proxy(service.url) as proxy:
        task = asyncio.create_task(
            sdk.perform(proxy.url, {"do": "complete", "request": {"text": "whole"}})
        )
        async with asyncio.timeout(30):
            while len(ollama.chats) == asked:
                await asyncio.sleep(0.01)
        assert proxy.cut() == 1
        (report,) = await task
    assert report["response"]["text"] == "All of it."
    assert report["response"]["status"] == "SUCCEEDED"
    assert len(ollama.chats) == asked + 1


# --- leaving, and what goes wrong


@pytest.mark.parametrize("transport", NAMES)
@pytest.mark.parametrize("action", ["abort", "break"])
async def test_leaving_a_stream_stops_the_model_long_before_the_grace_ends(
    sdk: Sdk, service: RunningService, ollama: FakeOllama, transport: str, action: str
) -> None:
    ollama.reply = Reply(tokens=pieces(400), token_delay_s=0.05)
    (report,) = await sdk.perform(
        service.url, stream(f"leave {action}", do=action, after=4), transport=transport
    )
    await ollama.chats[-1].wait_closed(timeout_s=5)
    assert len(report["events"]) == 4
    if action == "abort":
        assert report["error"]["name"] == "AbortError"
    assert await status(service, report["completionId"]) == "CANCELLED"


@pytest.mark.parametrize("transport", NAMES)
async def test_a_cancelled_stream_ends_with_what_there_was(
    sdk: Sdk, service: RunningService, ollama: FakeOllama, transport: str
) -> None:
    ollama.reply = Reply(tokens=pieces(400), token_delay_s=0.05)
    (report,) = await sdk.perform(
        service.url, stream("cancel", do="cancel", after=4), transport=transport
    )
    await ollama.chats[-1].wait_closed(timeout_s=5)
    check_whole(report, report["soFar"])
    assert report["response"]["status"] == "CANCELLED"
    assert 0 < len(report["soFar"]) < len("".join(pieces(400)))
    assert report["response"]["usage"]["completionTokens"] > 0


@pytest.mark.parametrize("transport", NAMES)
async def test_what_the_service_refuses_is_thrown_with_its_code(
    sdk: Sdk, service: RunningService, transport: str
) -> None:
    unnamed, strange, whole = await sdk.perform(
        service.url,
        {"do": "stream", "request": {"promptName": "no-such-prompt"}},
        {"do": "stream", "request": {"text": 7}},
        {"do": "complete", "request": {"promptName": "no-such-prompt"}},
        transport=transport,
    )
    assert unnamed["error"]["code"] == whole["error"]["code"] == "NOT_FOUND"
    assert strange["error"]["code"] == "BAD_USER_INPUT"
    assert not any(report["error"]["isRetryable"] for report in (unnamed, strange, whole))


@pytest.mark.parametrize("transport", NAMES)
async def test_a_provider_that_breaks_off_is_thrown_or_with_restart_asked_again(
    sdk: Sdk, service: RunningService, ollama: FakeOllama, transport: str
) -> None:
    ollama.reply = Reply(tokens=pieces(10))
    broken = Reply(tokens=pieces(10), fault=Fault.RESET, fault_after=5)
    ollama.enqueue(broken, broken)
    thrown, restarted = await sdk.perform(
        service.url,
        stream("breaks off"),
        stream("breaks off again", restart=True),
        transport=transport,
    )
    assert thrown["error"]["code"] == "STREAM_INTERRUPTED"
    assert thrown["error"]["isRetryable"]
    assert "error" not in restarted
    begins = [n for n, event in enumerate(restarted["events"]) if not event["sequence"]]
    assert len(begins) == 2
    check_whole(restarted | {"events": restarted["events"][begins[1] :]}, "".join(pieces(10)))


async def status(service: RunningService, completion_id: str) -> str:
    """Of a completion, once it has ended."""
    query = "query($id: ID!) { completion(id: $id) { status } }"
    async with asyncio.timeout(10):
        while True:
            answer = await service.graphql(query, {"id": completion_id})
            found: str = answer["data"]["completion"]["status"]
            if found != "RUNNING":
                return found
            await asyncio.sleep(0.05)

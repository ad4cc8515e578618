"""Probes and metrics, over a real socket."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from starlette.applications import Starlette

from assistant import __version__
from assistant.adapters.telemetry import PrometheusTelemetry
from assistant.api.health import Check, operations_routes
from tests.api.serving import serving


async def well() -> str | None:
    return None


def failing(reason: str) -> Check:
    async def check() -> str | None:
        return reason

    return check


async def silent() -> str | None:
    await asyncio.sleep(60)
    return None


async def stubborn() -> str | None:
    """Answers late, and does not stop when it is told to."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(3)
    return None


async def broken() -> str | None:
    raise RuntimeError("connection to postgresql://app:hunter2@db failed")


def application(
    checks: Mapping[str, Check], providers: Mapping[str, str | None] | None = None
) -> Starlette:
    return Starlette(
        routes=operations_routes(
            checks=checks, providers=lambda: providers or {}, telemetry=PrometheusTelemetry()
        )
    )


async def get(app: Starlette, path: str) -> httpx.Response:
    async with serving(app) as address, httpx.AsyncClient() as client:
        return await client.get(f"http://{address}{path}")


async def test_a_running_process_is_up_even_where_nothing_it_needs_is() -> None:
    response = await get(application({"database": failing("down")}), "/health")
    assert response.status_code == 200
    assert response.json() == {"status": "up", "version": __version__}


async def test_a_service_whose_checks_all_pass_is_ready() -> None:
    response = await get(application({"database": well, "embedder": well}), "/health/ready")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "status": "ready",
        "version": __version__,
        "checks": {"database": {"ok": True}, "embedder": {"ok": True}},
        "providers": {},
    }


async def test_one_failing_check_makes_it_unavailable_and_says_why() -> None:
    app = application({"database": well, "migrations": failing("at 0003, needs 0004")})
    response = await get(app, "/health/ready")
    assert response.status_code == 503
    assert response.json()["status"] == "unavailable"
    assert response.json()["checks"] == {
        "database": {"ok": True},
        "migrations": {"ok": False, "reason": "at 0003, needs 0004"},
    }


async def test_providers_are_listed_but_not_required() -> None:
    app = application({"database": well}, {"ollama": "not reachable", "openai": None})
    response = await get(app, "/health/ready")
    assert response.status_code == 200
    assert response.json()["providers"] == {
        "ollama": {"ok": False, "reason": "not reachable"},
        "openai": {"ok": True},
    }


async def test_checks_that_never_answer_are_cut_off_together() -> None:
    app = application({"database": silent, "migrations": stubborn})
    started_at = time.monotonic()
    async with serving(app) as address, httpx.AsyncClient() as client:
        response = await client.get(f"http://{address}/health/ready")
        elapsed_s = time.monotonic() - started_at
    assert response.status_code == 503
    assert response.json()["checks"]["database"]["reason"] == "no answer within 2 s"
    # Each in its turn would take 6 s, waiting for the stubborn one 5 s.
    assert elapsed_s < 4


async def test_a_check_that_breaks_fails_without_saying_what_it_knows() -> None:
    response = await get(application({"database": broken}), "/health/ready")
    assert response.status_code == 503
    assert response.json()["checks"]["database"]["reason"] == "failed with RuntimeError"
    assert "hunter2" not in response.text


async def test_probes_at_the_same_time_share_one_run_of_the_checks() -> None:
    runs = 0

    async def counted() -> str | None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.2)
        return None

    app = application({"database": counted})
    async with serving(app) as address, httpx.AsyncClient() as client:
        url = f"http://{address}/health/ready"
        responses = await asyncio.gather(*(client.get(url) for _ in range(20)))
        assert {response.status_code for response in responses} == {200}
        assert runs == 1
        await client.get(url)
    assert runs == 2


async def test_a_probe_that_hangs_up_does_not_fail_the_others() -> None:
    release = asyncio.Event()

    async def slow() -> str | None:
        await release.wait()
        return None

    app = application({"database": slow})
    async with serving(app) as address, httpx.AsyncClient() as client:
        url = f"http://{address}/health/ready"
        first, second = (asyncio.create_task(client.get(url)) for _ in range(2))
        await asyncio.sleep(0.1)
        first.cancel()
        await asyncio.sleep(0.1)
        release.set()
        assert (await second).status_code == 200


async def test_metrics_are_prometheus_text() -> None:
    response = await get(application({}), "/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert f'assistant_build_info{{version="{__version__}"}} 1.0' in response.text


async def container_check(address: str) -> int | None:
    """What the image's HEALTHCHECK ends with, for a service on ``address``."""
    check = await asyncio.create_subprocess_exec(
        sys.executable,
        "ops/healthcheck.py",
        env={"ASSISTANT_PORT": address.partition(":")[2]},
        cwd=Path(__file__).parents[2],
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await check.wait()


async def test_the_containers_check_tells_ready_from_unavailable_and_from_gone() -> None:
    async with serving(application({"database": well})) as address:
        assert await container_check(address) == 0
    assert await container_check(address) == 1
    async with serving(application({"database": failing("down")})) as address:
        assert await container_check(address) == 1

"""What machines ask of a running service: is it up, is it ready, what has it counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from assistant import __version__

_log = structlog.get_logger(__name__)

Check: TypeAlias = Callable[[], Awaitable[str | None]]
"""None while it works, else why not, in words that may be shown to anybody."""

_DEADLINE_S = 2.0
_NO_STORE = {"cache-control": "no-store"}


class MetricsSource(Protocol):
    """Whatever has counted."""

    def metrics_response(self, accept: str = "") -> tuple[bytes, str]:
        """Body and content type."""
        ...


def operations_routes(
    *,
    checks: Mapping[str, Check],
    providers: Callable[[], Mapping[str, str | None]] = dict,
    telemetry: MetricsSource,
) -> list[Route]:
    """``/health``, ``/health/ready`` and ``/metrics``, for anybody who can reach the port.

    The service is ready while every one of ``checks`` is. ``providers`` are those there are now,
    each with what keeps it from serving: they are listed, but not required, since without any,
    the catalog and the builtin model are still served.
    """
    readiness = _Readiness(checks, providers)

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "up", "version": __version__}, headers=_NO_STORE)

    async def ready(_: Request) -> Response:
        report = await readiness.report()
        status_code = 200 if report["status"] == "ready" else 503
        return JSONResponse(report, status_code, headers=_NO_STORE)

    async def metrics(request: Request) -> Response:
        body, content_type = telemetry.metrics_response(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type, **_NO_STORE})

    return [
        Route("/health", health),
        Route("/health/ready", ready),
        Route("/metrics", metrics),
    ]


class _Readiness:
    """Runs the checks, once for all who ask at the same time: probes need no credentials."""

    def __init__(
        self, checks: Mapping[str, Check], providers: Callable[[], Mapping[str, str | None]]
    ) -> None:
        self._checks = checks
        self._providers = providers
        self._running: asyncio.Task[dict[str, Any]] | None = None

    async def report(self) -> dict[str, Any]:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._examine())
        # One who hangs up must not cancel what others wait for.
        return await asyncio.shield(self._running)

    async def _examine(self) -> dict[str, Any]:
        checks = await _run_all(self._checks)
        is_ready = all(result["ok"] for result in checks.values())
        return {
            "status": "ready" if is_ready else "unavailable",
            "version": __version__,
            "checks": checks,
            "providers": _results(self._providers()),
        }


async def _run_all(checks: Mapping[str, Check]) -> dict[str, dict[str, Any]]:
    """Every check's result within the deadline, however the check behaves."""
    tasks = {name: asyncio.create_task(_run(name, check)) for name, check in checks.items()}
    if tasks:
        await asyncio.wait(tasks.values(), timeout=_DEADLINE_S)
    reasons = {
        name: task.result() if task.done() else f"no answer within {_DEADLINE_S:g} s"
        for name, task in tasks.items()
    }
    for task in tasks.values():
        # Not awaited: one that is slow to answer may be slow to stop.
        task.cancel()
    return _results(reasons)


def _results(reasons: Mapping[str, str | None]) -> dict[str, dict[str, Any]]:
    return {
        name: {"ok": True} if reason is None else {"ok": False, "reason": reason}
        for name, reason in reasons.items()
    }


async def _run(name: str, check: Check) -> str | None:
    try:
        return await check()
    except Exception as error:  # noqa: BLE001 - a check that breaks is a check that fails
        _log.warning("health_check_broke", check=name, exc_info=True)
        # The type only: the text of a database error may name hosts and users.
        return f"failed with {type(error).__name__}"

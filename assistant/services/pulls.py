"""Downloads of models to the providers that run them, and how far they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias

import structlog

from assistant.domain.caller import PLATFORM_TENANT, Caller, Scope
from assistant.domain.model import ProviderConfig, PullProgress, full_name
from assistant.domain.ports import ModelCatalog, ProviderConnector
from assistant.errors import (
    AssistantError,
    CompletionCancelled,
    Forbidden,
    InternalError,
    ProviderUnavailable,
)
from assistant.services.model_hosts import HostedModel, get_hosted_model
from assistant.services.models import Models

log = structlog.get_logger(__name__)

_Key: TypeAlias = tuple[ProviderConfig, str]


class Pulls:
    """Fetches models. A download is one however many watch it, and goes on when they leave."""

    def __init__(self, models: Models, connect: ProviderConnector) -> None:
        self._models = models
        self._connect = connect
        self._running: dict[_Key, _Pull] = {}

    @property
    def running(self) -> int:
        """How many downloads run in this process now."""
        return len(self._running)

    async def pull(self, caller: Caller, name: str) -> AsyncGenerator[PullProgress, None]:
        """Fetch a model, or join who fetches it already, and yield how far that is.

        Who is slow to ask misses what was in between, never the end. When the last event comes,
        which has ``is_done``, the model can be called.

        Raises: Forbidden for a model that nobody has allowed, BadUserInput, NotFound,
        UpstreamError, and CompletionCancelled where the service shuts down.
        """
        caller.require(Scope.ADMIN)
        catalog = await self._models.catalog(caller.tenant_id)
        wanted = get_hosted_model(name, catalog, self._connect)
        await self._check_allowed(caller, wanted, catalog)
        key = (wanted.config, wanted.name)
        pull = self._running.get(key)
        if pull is None:
            pull = self._running[key] = _Pull()
            pull.task = asyncio.create_task(self._run(key, wanted, pull), name=f"pull {wanted.id}")
        async with aclosing(pull.progress()) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Stop every download; the next one of the same model goes on where it was."""
        pulls = list(self._running.values())
        tasks = [pull.task for pull in pulls if pull.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for pull in pulls:
            pull.end(_stopped())  # one that had not begun could not say so itself
        self._running.clear()

    async def _check_allowed(
        self, caller: Caller, wanted: HostedModel, catalog: ModelCatalog
    ) -> None:
        """Raises Forbidden.

        On a host of the platform a tenant fetches what the platform allows, not what it has
        allowed itself: it is everybody's disk that fills.
        """
        _check_row(wanted, catalog)
        if wanted.config.tenant_id == PLATFORM_TENANT and not caller.is_operator:
            try:
                _check_row(wanted, await self._models.catalog(PLATFORM_TENANT))
            except Forbidden:
                raise Forbidden(
                    f"{wanted.config.name} belongs to the platform, which does not allow "
                    f"'{wanted.name[:80]}'. Ask the operator, or add a provider of your own."
                ) from None

    async def _run(self, key: _Key, wanted: HostedModel, pull: _Pull) -> None:
        """The download itself. It raises nothing: what went wrong is told to who watches."""
        log.info("model_pull_started", model=wanted.id)
        try:
            last = await self._fetch(wanted, pull)
            # Who hears that it is done may call it at once.
            await self._models.refresh(wanted.config)
        except asyncio.CancelledError:
            pull.end(_stopped())
            raise
        except AssistantError as error:
            log.warning("model_pull_failed", model=wanted.id, code=error.code, reason=error.message)
            pull.end(error)
        except Exception:
            # Whatever a defect raises, nobody waits for ever.
            log.exception("model_pull_defect", model=wanted.id)
            pull.end(InternalError("Something broke inside the service. It has been logged."))
        else:
            log.info("model_pull_finished", model=wanted.id, bytes=last.total_bytes)
            pull.tell(last)
            pull.end(None)
        finally:
            # Whoever comes from now on starts anew.
            self._running.pop(key, None)

    async def _fetch(self, wanted: HostedModel, pull: _Pull) -> PullProgress:
        """The last event; those before it are told at once."""
        async with aclosing(wanted.host.pull(wanted.name)) as events:
            async for event in events:
                if event.is_done:
                    return event
                pull.tell(event)
        raise ProviderUnavailable(f"{wanted.id} was not fetched to its end. Try again.")


class _Pull:
    """How far one download is: its latest event, for any number of watchers."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self._latest: PullProgress | None = None
        self._number = 0
        self._has_ended = False
        self._error: AssistantError | None = None
        self._changed = asyncio.Event()

    def tell(self, event: PullProgress) -> None:
        self._latest = event
        self._number += 1
        self._wake()

    def end(self, error: AssistantError | None) -> None:
        if self._has_ended:
            return
        self._error = error
        self._has_ended = True
        self._wake()

    def _wake(self) -> None:
        # An event of its own for every change: nobody has to have been woken before the next.
        self._changed.set()
        self._changed = asyncio.Event()

    async def progress(self) -> AsyncGenerator[PullProgress, None]:
        """The latest event at once, then whatever is the latest when the watcher asks."""
        seen = 0
        while True:
            if self._number > seen and self._latest is not None:
                seen = self._number
                yield self._latest
            elif self._error is not None:
                raise self._error
            elif self._has_ended:
                return
            else:
                await self._changed.wait()


def _stopped() -> CompletionCancelled:
    return CompletionCancelled("The download was stopped; the next one goes on where it was.")


def _check_row(wanted: HostedModel, catalog: ModelCatalog) -> None:
    """Raises Forbidden for a model that the catalog does not allow."""
    for model in catalog.models.values():
        is_meant = model.provider == wanted.config.name and full_name(model.name) == wanted.name
        if is_meant and model.is_allowed:
            return
    raise Forbidden(
        f"Model '{wanted.id[:80]}' is not allowed here. Allow it first: "
        f'setModel(input: {{id: "{wanted.id[:80]}", isAllowed: true}}), with capabilities and '
        "contextWindow where it is new."
    )

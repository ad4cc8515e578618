"""THE FLOW: one completion, from the request to the settled answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import Completion, CompletionRequest
from assistant.domain.ports import CompletionStore
from assistant.services.failover import Emit, Failover
from assistant.services.ledger import Ledger
from assistant.services.models import Models
from assistant.services.prompts import Prompts
from assistant.services.routing import route


async def discard(_event: object) -> None:
    """Emit for callers who wait for the whole answer."""


class Completions:
    """Runs completions. Each is one call of ``complete``; streaming is the same call in a task."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        prompts: Prompts,
        models: Models,
        failover: Failover,
        store: CompletionStore,
    ) -> None:
        self._ledger = ledger
        self._prompts = prompts
        self._models = models
        self._failover = failover
        self._store = store

    async def complete(self, request: CompletionRequest, emit: Emit = discard) -> Completion:
        """Answer ``request``, and account for it whatever happens.

        ``emit`` receives CompletionStarted and the deltas as they arrive; only when it has been
        given something is the call streamed on the provider's wire. Cancelling the task closes
        the provider's connection and charges what was received. When this returns, the answer
        and its usage are durable.

        Raises: every AssistantError; ``completion_id`` on it names the ledger entry.
        """
        async with self._ledger.entry(request) as entry:
            request.caller.require(Scope.COMPLETE)
            request.check()
            prompt = await self._prompts.render(request)
            catalog = await self._models.catalog(request.caller.tenant_id)
            chosen = route(request, prompt, catalog)
            await entry.open(prompt, chosen)
            await self._failover.answer(entry, emit, streamed=emit is not discard)
        return entry.completion

    async def find(self, caller: Caller, ids: Sequence[UUID]) -> Mapping[UUID, Completion]:
        """Those of ``ids`` that are the caller's own, or of their tenant for administrators.

        A request that was refused before a model was chosen has usage, but nothing to show.
        """
        found = await self._store.find_completions(caller.tenant_id, ids)
        return {
            id_: completion
            for id_, completion in found.items()
            if completion.model and (caller.may(Scope.ADMIN) or _is_own(completion, caller))
        }


def _is_own(completion: Completion, caller: Caller) -> bool:
    """A person's completions are theirs through whichever service they asked."""
    owner = completion.caller
    if owner.user_id is not None:
        return owner.user_id == caller.user_id
    return owner.service_id is not None and owner.service_id == caller.service_id

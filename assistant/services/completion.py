"""THE FLOW: one completion, from the request to the settled answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from assistant.domain.caller import Caller, Scope
from assistant.domain.completion import Completion, CompletionRequest
from assistant.domain.ports import CompletionStore
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.route import RouteExplanation
from assistant.domain.tokens import TokenCount
from assistant.errors import RequestError, UpstreamError
from assistant.services.answers import Answers
from assistant.services.cache import Cache
from assistant.services.ledger import Ledger
from assistant.services.ledger_entry import LedgerEntry
from assistant.services.models import Models
from assistant.services.prompts import Prompts, render_request
from assistant.services.request_limits import RequestLimits
from assistant.services.response_schema import ResponseSchema
from assistant.services.routing import Router
from assistant.services.work import Emit


async def discard(_event: object) -> None:
    """Emit for callers who wait for the whole answer."""


class Completions:
    """Runs completions. Each is one call of ``complete``; streaming is the same call in a task."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        request_limits: RequestLimits,
        prompts: Prompts,
        models: Models,
        router: Router,
        answers: Answers,
        cache: Cache,
        store: CompletionStore,
    ) -> None:
        self._ledger = ledger
        self._request_limits = request_limits
        self._prompts = prompts
        self._models = models
        self._router = router
        self._answers = answers
        self._cache = cache
        self._store = store

    async def complete(
        self, request: CompletionRequest, emit: Emit = discard, completion_id: UUID | None = None
    ) -> Completion:
        """Answer ``request``, and account for it whatever happens.

        ``emit`` receives CompletionStarted and the deltas as they arrive; only when it has been
        given something is the call streamed on the provider's wire. Cancelling the task closes
        the provider's connection and charges what was received. When this returns, the answer
        and its usage are durable. ``completion_id`` is a new one where it is not given.

        Raises: every AssistantError; ``completion_id`` on it names the ledger entry.
        """
        async with self._ledger.entry(request, completion_id) as entry:
            request.caller.require(Scope.COMPLETE)
            await self._request_limits.check(request.caller)
            check_request(request)
            asked = await self._prompts.find_asked(request)
            # A version that does not take what callers give fails as one that is not answered.
            entry.version = asked[1] if asked else None
            entry.prompt = prompt = render_request(request, asked)
            catalog = await self._models.catalog(request.caller.tenant_id)
            streamed = emit is not discard

            async def ask(entry: LedgerEntry, emit: Emit) -> None:
                await entry.open(await self._router.route(request, prompt, catalog))
                await self._answers.give(entry, emit, streamed=streamed)

            await self._cache.answer(entry, catalog, emit, ask, streamed=streamed)
        return entry.completion

    async def explain(self, request: CompletionRequest) -> RouteExplanation:
        """What ``complete`` would do with ``request``, and why. Calls no model, records nothing.

        Raises: RequestError.
        """
        request.caller.require(Scope.COMPLETE)
        check_request(request)
        prompt = await self._prompts.render(request)
        catalog = await self._models.catalog(request.caller.tenant_id)
        explanation = await self._router.explain(request, prompt, catalog)
        return replace(explanation, cache=await self._cache.explain(request, prompt, catalog))

    async def preview(self, request: CompletionRequest) -> tuple[RenderedPrompt, TokenCount]:
        """What would be sent, and its length for the model that it would be sent to first.

        An estimate where no model could serve now. Raises: NotFound, BadUserInput.
        """
        prompt = await self._prompts.render(request)
        catalog = await self._models.catalog(request.caller.tenant_id)
        try:
            route = await self._router.route(request, prompt, catalog)
        except (RequestError, UpstreamError):
            return prompt, TokenCount(prompt.estimated_tokens)
        return prompt, route.candidates[0].count

    async def find(self, caller: Caller, ids: Sequence[UUID]) -> Mapping[UUID, Completion]:
        """Those of ``ids`` that are the caller's own, or of their tenant for administrators.

        A request that was refused before a model was chosen has usage, but nothing to show.
        """
        found = await self._store.find_completions(caller.tenant_id, ids)
        return {
            id_: completion
            for id_, completion in found.items()
            if completion.model
            and (
                caller.may(Scope.ADMIN)
                or caller.owns(completion.caller.user_id, completion.caller.service_id)
            )
        }


def check_request(request: CompletionRequest) -> None:
    """Raises BadUserInput for what is wrong with a request on its own."""
    request.check()
    if request.response_schema is not None:
        ResponseSchema.parse(request.response_schema)

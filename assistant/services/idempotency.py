"""A request that is repeated under its key is answered by what was done first, and done once."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import cast
from uuid import UUID

from assistant.domain.caller import Scope
from assistant.domain.completion import CompletionRequest
from assistant.domain.idempotency import IdempotencyKey, KeyOutcome
from assistant.domain.ports import IdempotencyStore, Telemetry
from assistant.domain.values import JsonValue
from assistant.errors import AssistantError, BadUserInput, Conflict, UpstreamError, error_of
from assistant.services.canonical_json import digest
from assistant.services.run import Run


class Idempotency:
    """Says which completion answers a request that has a key.

    A key is given back where its completion came to nothing: the request was refused, or failed
    in a way that may pass or be mended. What the model said, a failure that will not pass, and a completion that
    its caller stopped are results, and repeated for 24 hours.
    """

    def __init__(self, store: IdempotencyStore, telemetry: Telemetry) -> None:
        self._store = store
        self._telemetry = telemetry

    async def claim(
        self, request: CompletionRequest, completion_id: UUID, instead_of: UUID | None = None
    ) -> UUID:
        """The completion that answers ``request``: ``completion_id``, unless there is one already.

        ``instead_of`` is one that has turned out to have come to nothing.

        Raises: Conflict where the key is another request's; the error that is the result;
        StorageUnavailable.
        """
        fingerprint = fingerprint_of(request)
        holder = await self._store.claim(_key(request), completion_id, fingerprint, instead_of)
        if holder.completion_id == completion_id:
            self._telemetry.key_met(KeyOutcome.FIRST)
            return completion_id
        if holder.fingerprint != fingerprint:
            self._telemetry.key_met(KeyOutcome.CONFLICT)
            raise Conflict(
                "This idempotencyKey was used for another request. Repeat that one as it was, or "
                "choose a new key."
            )
        self._telemetry.key_met(KeyOutcome.REPEATED)
        if holder.error is not None:
            error = error_of(holder.error)
            error.completion_id = holder.completion_id
            raise error
        return holder.completion_id

    async def settle(self, request: CompletionRequest, run: Run) -> None:
        """Keep or give back the key, now that its completion has ended."""
        error = run.error
        if error is None:
            return
        if is_result(error):
            await self._store.keep_error(_key(request), run.id, error.to_json())
        else:
            await self._store.release(_key(request), run.id)


def is_keyed(request: CompletionRequest) -> bool:
    """Whether its key counts: who may not ask, or asks nonsense, is told so by the flow."""
    if request.idempotency_key is None or not request.caller.may(Scope.COMPLETE):
        return False
    try:
        request.check()  # of what cannot be carried there is no fingerprint either
    except BadUserInput:
        return False
    return True


def is_result(error: AssistantError) -> bool:
    """Whether a provider would come to the same end again, and be paid for it again."""
    return isinstance(error, UpstreamError) and not error.is_retryable


def fingerprint_of(request: CompletionRequest) -> bytes:
    """SHA-256 of all that is asked, whoever asks."""
    asked = asdict(replace(request, idempotency_key=None))
    del asked["caller"]
    return digest(cast("JsonValue", asked))


def _key(request: CompletionRequest) -> IdempotencyKey:
    assert request.idempotency_key is not None
    return IdempotencyKey.of(request.caller, request.idempotency_key)

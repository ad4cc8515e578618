"""Answers as they were asked for: where a schema was given, they satisfy it."""

from __future__ import annotations

from assistant.domain.completion import InterruptionPolicy
from assistant.domain.route import Candidate
from assistant.errors import SchemaViolated
from assistant.services.failover import Failover
from assistant.services.ledger_entry import LedgerEntry
from assistant.services.response_schema import ResponseSchema, repair_messages
from assistant.services.selection import on_interruption_of, response_schema_of
from assistant.services.work import Emit


class Answers:
    """Fills entries with answers."""

    def __init__(self, failover: Failover) -> None:
        self._failover = failover

    async def give(self, entry: LedgerEntry, emit: Emit, *, streamed: bool) -> None:
        """An answer from the first candidate of the entry's route that gives one.

        With a schema the answer is checked when it is whole. One that does not satisfy it is sent
        back to its model once, with what is wrong; what was streamed of it cannot be taken back,
        so in a stream only where the request says RESTART.

        Raises: as ``Failover.answer``; SchemaViolated; BadUserInput for an unfit schema.
        """
        assert entry.route is not None and entry.prompt is not None
        messages, document = (
            entry.prompt.messages,
            response_schema_of(entry.request, entry.prompt),
        )
        schema = None if document is None else ResponseSchema.parse(document)
        await self._failover.answer(
            entry,
            emit,
            streamed=streamed,
            candidates=entry.candidates,
            messages=messages,
            response_schema=document,
        )
        if schema is None:
            return
        answer = "".join(entry.text)
        try:
            entry.json = schema.check(answer)
        except SchemaViolated as violation:
            policy = on_interruption_of(entry.request, entry.prompt)
            if streamed and policy is not InterruptionPolicy.RESTART:
                raise
            await self._failover.answer(
                entry,
                emit,
                streamed=streamed,
                candidates=(_who_answered(entry),),
                messages=repair_messages(messages, answer, violation),
                response_schema=document,
                starts_over=violation.code,
            )
            entry.json = schema.check("".join(entry.text))


def _who_answered(entry: LedgerEntry) -> Candidate:
    assert entry.route is not None and entry.model is not None
    return next(c for c in entry.route.candidates if c.model.id == entry.model.id)

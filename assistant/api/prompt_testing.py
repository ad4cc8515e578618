"""Tests of prompts written and run: what clients send, and what they get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import cast
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from assistant.api import loaders
from assistant.api.context import Info
from assistant.api.prompt_assertion import PromptAssertionInput, in_graphql
from assistant.api.prompt_changes import attempt_change
from assistant.api.prompt_test_run import PromptTestCase, PromptTestResult, PromptTestRun
from assistant.api.prompt_version import uuid_of
from assistant.api.user_errors import DeletePayload, UserError
from assistant.domain import prompt_test as domain
from assistant.domain.caller import Scope
from assistant.domain.prompt_test import PromptTestDraft, PromptTestStatus
from assistant.domain.values import JsonObject
from assistant.errors import BadUserInput, NotFound


@strawberry.input(
    description="A test of a prompt, whole: one of that name is replaced, what is left out is not "
    "kept."
)
class PromptTestInput:
    prompt_name: str = strawberry.field(description="A prompt of the catalog.")
    name: str = strawberry.field(description="Unique among the prompt's: 1 to 128 characters.")
    variables: JSON | None = strawberry.field(
        default=None,
        description="An object with a value for each of the prompt's variables; empty by default.",
    )
    assertions: list[PromptAssertionInput] = strawberry.field(
        description="What must hold of the answer, all of it: 1 to 32."
    )

    def to_domain(self) -> PromptTestDraft:
        """Raises BadUserInput."""
        variables = cast("object", {} if self.variables is None else self.variables)
        if not isinstance(variables, dict):
            raise BadUserInput("variables must be a JSON object, as in {}.", path=("variables",))
        return PromptTestDraft(
            name=self.name,
            variables=cast("JsonObject", variables),
            assertions=tuple(
                assertion.to_domain(("assertions", str(index)))
                for index, assertion in enumerate(self.assertions)
            ),
        )


@strawberry.input(
    name="TestPromptVersionInput", description="A version of a prompt whose tests are to be run."
)
class PromptTestingInput:
    prompt_name: str = strawberry.field(description="A prompt of the catalog.")
    version: int = strawberry.field(description="The number of one of its versions, drafts too.")
    model: str | None = strawberry.field(
        default=None,
        description="A model id or group to ask; what the version says by default, else the "
        "routing chooses.",
    )


@strawberry.type(description="A test that was written, or why not.")
class PromptTestPayload:
    prompt_test: PromptTestCase | None = strawberry.field(
        description="The test as it is now; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where all went well.")


@strawberry.type(
    name="TestPromptVersionPayload",
    description="A run of a prompt's tests that has ended, or why there was none.",
)
class PromptTestingPayload:
    run: PromptTestRun | None = strawberry.field(
        description="The run, whether the tests have passed or not; null where it was refused."
    )
    user_errors: list[UserError] = strawberry.field(description="Empty where the tests were run.")


@strawberry.type(description="How far a run of a prompt's tests is.")
class PromptTestProgress:
    run: PromptTestRun = strawberry.field(description="The run so far.")
    result: PromptTestResult | None = strawberry.field(
        description="What became of the case that has just ended; null where none has."
    )
    is_done: bool = strawberry.field(description="Ends the stream: every case has ended.")

    @classmethod
    def of(cls, run: domain.PromptTestRun, seen: Collection[UUID]) -> PromptTestProgress:
        """``seen`` are the cases that had ended at the last event."""
        ended = [result for result in run.results if result.case_id not in seen]
        return cls(
            run=PromptTestRun.of(run),
            result=PromptTestResult.of(ended[0]) if ended else None,
            is_done=run.status is not PromptTestStatus.RUNNING,
        )


async def set_prompt_test(info: Info, given: PromptTestInput) -> PromptTestPayload:
    case, user_errors = await attempt_change(info, _set(info, given), "input")
    return PromptTestPayload(
        prompt_test=PromptTestCase.of(case) if case else None, user_errors=user_errors
    )


async def delete_prompt_test(info: Info, id_: strawberry.ID) -> DeletePayload:
    _, user_errors = await attempt_change(info, _delete(info, id_), "id")
    return DeletePayload.of(id_, user_errors)


async def run_prompt_tests(info: Info, given: PromptTestingInput) -> PromptTestingPayload:
    context = info.context
    run = context.services.prompt_tests.run(
        context.caller, given.prompt_name, given.version, given.model
    )
    ended, user_errors = await attempt_change(info, run, "input")
    return PromptTestingPayload(
        run=PromptTestRun.of(ended) if ended else None, user_errors=user_errors
    )


async def watch_prompt_tests(
    info: Info, given: PromptTestingInput
) -> AsyncIterator[PromptTestProgress]:
    """Run the tests and yield how far they are; leaving ends the run."""
    seen: set[UUID] = set()
    async with aclosing(_runs(info, given)) as runs:
        async for run in runs:
            loaders.forget(info)
            yield PromptTestProgress.of(run, seen)
            seen.update(result.case_id for result in run.results)


async def _runs(
    info: Info, given: PromptTestingInput
) -> AsyncGenerator[domain.PromptTestRun, None]:
    """The run when it begins and when a case ends, the last time ended itself."""
    context = info.context
    context.require(Scope.PROMPTS_WRITE)
    emitted: asyncio.Queue[domain.PromptTestRun | None] = asyncio.Queue()
    task = asyncio.create_task(
        context.services.prompt_tests.run(
            context.require(Scope.COMPLETE),
            given.prompt_name,
            given.version,
            given.model,
            emitted.put,
        )
    )
    task.add_done_callback(lambda _: emitted.put_nowait(None))
    try:
        while (run := await emitted.get()) is not None:
            # That the last case has ended is said with how the whole run did.
            if len(run.results) < run.cases:
                yield run
        yield await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _set(info: Info, given: PromptTestInput) -> domain.PromptTestCase:
    context = info.context
    try:
        return await context.services.prompt_tests.set_case(
            context.caller, given.prompt_name, given.to_domain()
        )
    except BadUserInput as problem:
        raise in_graphql(problem) from None


async def _delete(info: Info, id_: str) -> None:
    context = info.context
    key = uuid_of(id_)
    if key is None:
        raise NotFound("There is no test of this id. `tests` of a prompt lists those it has.")
    await context.services.prompt_tests.delete_case(context.caller, key)

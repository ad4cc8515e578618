"""Tests of prompts and what became of them, as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Self, cast
from uuid import UUID

import strawberry
from strawberry.scalars import JSON

from assistant.api import loaders
from assistant.api.completion import CompletionResponse
from assistant.api.context import Info
from assistant.api.money import Money, usd
from assistant.api.prompt_assertion import PromptAssertion
from assistant.api.prompt_version import PromptVersion, version_of
from assistant.api.usage import User
from assistant.domain import prompt_test as domain
from assistant.domain.prompt_test import PromptTestOutcome, PromptTestStatus
from assistant.errors import ErrorCode


@strawberry.type(description="What a prompt is asked in tests, and what must hold of the answer.")
class PromptTestCase:
    id: strawberry.ID = strawberry.field(description="Names it in changes.")
    name: str = strawberry.field(description="Unique among the prompt's.")
    variables: JSON = strawberry.field(description="An object with a value for each variable.")
    assertions: list[PromptAssertion] = strawberry.field(description="All must hold.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")

    @classmethod
    def of(cls, case: domain.PromptTestCase) -> Self:
        return cls(
            id=strawberry.ID(str(case.id)),
            name=case.name,
            variables=cast("JSON", case.variables),
            assertions=[PromptAssertion.of(assertion) for assertion in case.assertions],
            updated_at=case.updated_at,
        )


@strawberry.type(description="Whether one assertion holds.")
class PromptAssertionResult:
    assertion: PromptAssertion = strawberry.field(description="What was asserted.")
    passed: bool = strawberry.field(description="Whether it holds.")
    detail: str | None = strawberry.field(
        description="What was found instead, or what a judge says, in words."
    )

    @classmethod
    def of(cls, result: domain.AssertionResult) -> Self:
        return cls(
            assertion=PromptAssertion.of(result.assertion),
            passed=result.passed,
            detail=result.detail,
        )


@strawberry.type(description="What became of one case.")
class PromptTestResult:
    case_name: str = strawberry.field(description="The case, as it was called then.")
    outcome: PromptTestOutcome = strawberry.field(description="What became of it.")
    assertions: list[PromptAssertionResult] = strawberry.field(
        description="Each of its assertions, in order; none where there was no answer to judge."
    )
    latency_ms: int | None = strawberry.field(
        description="How long the answer took; null without one."
    )
    cost: Money = strawberry.field(description="What the answer and its judges cost.")
    error_code: ErrorCode | None = strawberry.field(
        description="Why there was no answer, or no judge; null for every other outcome."
    )
    message: str | None = strawberry.field(description="The same in words.")
    completion_id: strawberry.Private[UUID | None]

    @strawberry.field(
        description="The answer; null where there was none, where it is no longer kept, and for "
        "who may not read it: it belongs to who ran the test."
    )
    async def completion(self, info: Info) -> CompletionResponse | None:
        if self.completion_id is None:
            return None
        found = await loaders.completion_by_id(info).load(self.completion_id)
        return CompletionResponse.of(found) if found else None

    @classmethod
    def of(cls, result: domain.PromptTestResult) -> Self:
        return cls(
            case_name=result.case_name,
            outcome=result.outcome,
            assertions=[PromptAssertionResult.of(each) for each in result.assertions],
            latency_ms=result.latency_ms,
            cost=usd(result.cost),
            error_code=result.error_code,
            message=result.message,
            completion_id=result.completion_id,
        )


@strawberry.type(description="One run of a prompt's tests against one of its versions.")
class PromptTestRun:
    id: strawberry.ID = strawberry.field(description="Identifies the run.")
    model: str | None = strawberry.field(
        description="The model id or group that was asked for; null where the routing chose."
    )
    status: PromptTestStatus = strawberry.field(description="How it stands.")
    cases: int = strawberry.field(description="How many cases it has.")
    passed: int = strawberry.field(description="How many of them have passed so far.")
    results: list[PromptTestResult] = strawberry.field(
        description="Those that have ended so far, in the order of the cases."
    )
    cost: Money = strawberry.field(description="Of all answers and judges.")
    started_at: datetime = strawberry.field(description="When it began.")
    ended_at: datetime | None = strawberry.field(description="When it ended; null while it runs.")
    started_by: User | None = strawberry.field(
        description="The person who began it; null where a service did."
    )
    version_id: strawberry.Private[UUID]

    @strawberry.field(description="The version that was tested.")
    async def prompt_version(self, info: Info) -> PromptVersion | None:
        return await version_of(info, self.version_id)

    @classmethod
    def of(cls, run: domain.PromptTestRun) -> Self:
        return cls(
            id=strawberry.ID(str(run.id)),
            model=run.model,
            status=run.status,
            cases=run.cases,
            passed=run.passed,
            results=[PromptTestResult.of(result) for result in run.results],
            cost=usd(run.cost),
            started_at=run.started_at,
            ended_at=run.ended_at,
            started_by=User.of(run.started_by),
            version_id=run.version_id,
        )

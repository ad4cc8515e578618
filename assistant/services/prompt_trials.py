"""One test case: asked, answered, and the answer judged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final, Protocol

from assistant.domain.cache import CachePolicy
from assistant.domain.completion import Completion, CompletionRequest, MessageRole
from assistant.domain.ports import Embedder
from assistant.domain.prompt import RenderedPrompt
from assistant.domain.prompt_test import (
    TEST_FEATURE,
    Assertion,
    AssertionResult,
    JudgedBy,
    PromptTestCase,
    PromptTestOutcome,
    PromptTestResult,
    SimilarTo,
)
from assistant.errors import AssistantError
from assistant.services.prompt_assertions import check_answer, clipped
from assistant.services.response_schema import ResponseSchema

JUDGE: Final = "judge"
"""The prompt that judges answers: ``rubric``, ``question``, ``answer`` in, a verdict out."""

VERDICT: Final = ResponseSchema.parse(
    {
        "type": "object",
        "properties": {"passes": {"type": "boolean"}, "reason": {"type": "string"}},
        "required": ["passes"],
    }
)
"""What a judge answers; the prompt's own schema may ask for more."""

# About 256 word pieces; the embedder reads no further.
_SHORT_CHARACTERS = 1_000


class Asks(Protocol):
    """Answers requests, as Completions does."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Raises AssistantError."""
        ...


class Renders(Protocol):
    """Says what a request sends, as Prompts does."""

    async def render(self, request: CompletionRequest) -> RenderedPrompt:
        """Raises NotFound, BadUserInput."""
        ...


class Trials:
    """Tries prompts on test cases."""

    def __init__(self, completions: Asks, prompts: Renders, embedder: Embedder) -> None:
        self._completions = completions
        self._prompts = prompts
        self._embedder = embedder

    async def try_case(self, case: PromptTestCase, request: CompletionRequest) -> PromptTestResult:
        """What becomes of ``case`` where ``request``, with its variables, is answered.

        No answer, or nobody to judge it, is an outcome, too.
        """
        # A test is of what the model says now.
        asked = replace(request, variables=case.variables, cache=CachePolicy.BYPASS)
        try:
            answer = await self._completions.complete(asked)
        except AssistantError as error:
            return replace(_error(case, error), completion_id=error.completion_id)
        results: list[AssertionResult] = []
        spent = [answer.usage.cost]
        try:
            for assertion in case.assertions:
                # One by one: what was judged before one that cannot be is kept.
                results.append(await self._judge(assertion, asked, answer, spent))  # noqa: PERF401
        except AssistantError as error:
            judge = f" by the prompt {JUDGE}" if _is_for_a_judge(case, results) else ""
            result = _error(case, error, f"The answer could not be judged{judge}: ")
        else:
            has_passed = all(result.passed for result in results)
            outcome = PromptTestOutcome.PASSED if has_passed else PromptTestOutcome.FAILED
            result = PromptTestResult(case.id, case.name, case.updated_at, outcome)
        return replace(
            result,
            assertions=tuple(results),
            completion_id=answer.id,
            latency_ms=answer.latency_ms,
            cost=sum(spent, Decimal(0)),
        )

    async def _judge(
        self,
        assertion: Assertion,
        asked: CompletionRequest,
        answer: Completion,
        spent: list[Decimal],
    ) -> AssertionResult:
        match assertion:
            case SimilarTo():
                return await self._compare(assertion, answer.text)
            case JudgedBy():
                return await self._ask_judge(assertion, asked, answer.text, spent)
            case _:
                # A pattern, a path or a schema may take a moment; others go on meanwhile.
                return await asyncio.to_thread(check_answer, assertion, answer)

    async def _compare(self, assertion: SimilarTo, answer: str) -> AssertionResult:
        one, other = await self._embedder.embed([assertion.text, answer])
        # Equal texts have vectors that are equal but for float noise.
        similarity = round(sum(a * b for a, b in zip(one, other, strict=True)), 4)
        detail = f"The similarity is {similarity:g}."
        if max(len(assertion.text), len(answer)) > _SHORT_CHARACTERS:
            detail += " Of a long text only the beginning counts: 256 word pieces."
        return AssertionResult(assertion, similarity >= assertion.threshold, detail)

    async def _ask_judge(
        self, assertion: JudgedBy, asked: CompletionRequest, answer: str, spent: list[Decimal]
    ) -> AssertionResult:
        rendered = await self._prompts.render(asked)
        judged = await self._completions.complete(
            CompletionRequest(
                caller=asked.caller,
                prompt_name=JUDGE,
                variables={
                    "rubric": assertion.rubric,
                    "question": _question(rendered),
                    "answer": answer,
                },
                model=assertion.model,
                feature=TEST_FEATURE,
            )
        )
        spent.append(judged.usage.cost)
        verdict = VERDICT.check(judged.text)
        assert isinstance(verdict, Mapping), "the schema asks for an object"
        reason = clipped(str(verdict.get("reason", "")))
        return AssertionResult(assertion, verdict["passes"] is True, reason or None)


def _question(rendered: RenderedPrompt) -> str:
    said = [m.content for m in rendered.messages if m.role is MessageRole.USER]
    return said[-1] if said else ""


def _is_for_a_judge(case: PromptTestCase, results: Sequence[AssertionResult]) -> bool:
    """Whether it is a prompt that had to judge next: what went wrong is of that, not of ours."""
    return isinstance(case.assertions[len(results)], JudgedBy)


def _error(case: PromptTestCase, error: AssistantError, what: str = "") -> PromptTestResult:
    return PromptTestResult(
        case.id,
        case.name,
        case.updated_at,
        PromptTestOutcome.ERROR,
        error_code=error.code,
        message=f"{what}{error.message}",
    )

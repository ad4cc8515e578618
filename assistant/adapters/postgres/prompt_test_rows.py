"""Test cases of prompts and their runs as rows and as values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from assistant.domain.prompt_test import (
    Assertion,
    AssertionResult,
    PromptTestCase,
    PromptTestOutcome,
    PromptTestResult,
    PromptTestRun,
    PromptTestStatus,
    assertion_json,
    assertion_of,
)
from assistant.domain.values import JsonObject
from assistant.errors import ErrorCode

CASE_COLUMNS = "id, prompt_id, name, variables, assertions, updated_at"
RUN_COLUMNS = (
    "id, prompt_id, version_id, model, status, cases, results, started_at, ended_at, started_by"
)
_OF_PROMPT = "FROM prompt_test_cases WHERE tenant_id = :tenant_id AND prompt_id = :prompt_id"

# Writes no row where the prompt has :most other cases already. NULL is no limit. A case that says
# what it said before is as it is worded now for runs, too.
PUT_CASE = text(
    f"""
    INSERT INTO prompt_test_cases AS kept (tenant_id, {CASE_COLUMNS})
    SELECT :tenant_id, :id, :prompt_id, :name, CAST(:variables AS json),
           CAST(:assertions AS json), :updated_at
    WHERE CAST(:most AS integer) IS NULL
       OR EXISTS (SELECT {_OF_PROMPT} AND name = :name)
       OR (SELECT count(*) {_OF_PROMPT}) < :most
    ON CONFLICT (tenant_id, prompt_id, name) DO UPDATE SET
        variables = excluded.variables,
        assertions = excluded.assertions,
        updated_at = CASE
            WHEN kept.variables::text = excluded.variables::text
             AND kept.assertions::text = excluded.assertions::text
            THEN kept.updated_at ELSE excluded.updated_at END
    RETURNING {CASE_COLUMNS}
    """
)


def case_row(case: PromptTestCase) -> dict[str, object]:
    return {
        "id": case.id,
        "prompt_id": case.prompt_id,
        "name": case.name,
        "variables": json.dumps(case.variables),
        "assertions": json.dumps(assertions_json(case.assertions)),
        "updated_at": case.updated_at,
    }


def case_of(row: Row[Any]) -> PromptTestCase:
    """The case in a row with CASE_COLUMNS."""
    return PromptTestCase(
        id=row.id,
        prompt_id=row.prompt_id,
        name=row.name,
        variables=row.variables,
        assertions=tuple(assertion_of(found, ("assertions",)) for found in row.assertions),
        updated_at=row.updated_at,
    )


def assertions_json(assertions: Sequence[Assertion]) -> list[JsonObject]:
    """The assertions as the column keeps them."""
    return [assertion_json(assertion) for assertion in assertions]


def run_row(run: PromptTestRun) -> dict[str, object]:
    return {
        "id": run.id,
        "prompt_id": run.prompt_id,
        "version_id": run.version_id,
        "model": run.model,
        "status": run.status.value,
        "cases": run.cases,
        "results": json.dumps([_result_json(result) for result in run.results]),
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "started_by": run.started_by,
    }


def run_of(row: Row[Any]) -> PromptTestRun:
    """The run in a row with RUN_COLUMNS."""
    return PromptTestRun(
        id=row.id,
        prompt_id=row.prompt_id,
        version_id=row.version_id,
        model=row.model,
        status=PromptTestStatus(row.status),
        cases=row.cases,
        started_at=row.started_at,
        results=tuple(map(_result_of, row.results)),
        ended_at=row.ended_at,
        started_by=row.started_by,
    )


def _result_json(result: PromptTestResult) -> JsonObject:
    return {
        "case_id": str(result.case_id),
        "case_name": result.case_name,
        "case_updated_at": result.case_updated_at.isoformat(),
        "outcome": result.outcome,
        "assertions": [
            {"assertion": assertion_json(of.assertion), "passed": of.passed, "detail": of.detail}
            for of in result.assertions
        ],
        "completion_id": None if result.completion_id is None else str(result.completion_id),
        "latency_ms": result.latency_ms,
        "cost": str(result.cost),
        "error_code": result.error_code,
        "message": result.message,
    }


def _result_of(row: Mapping[str, Any]) -> PromptTestResult:
    return PromptTestResult(
        case_id=UUID(row["case_id"]),
        case_name=row["case_name"],
        case_updated_at=datetime.fromisoformat(row["case_updated_at"]),
        outcome=PromptTestOutcome(row["outcome"]),
        assertions=tuple(
            AssertionResult(
                assertion_of(of["assertion"], ("assertions",)), of["passed"], of["detail"]
            )
            for of in row["assertions"]
        ),
        completion_id=None if row["completion_id"] is None else UUID(row["completion_id"]),
        latency_ms=row["latency_ms"],
        cost=Decimal(row["cost"]),
        error_code=None if row["error_code"] is None else ErrorCode(row["error_code"]),
        message=row["message"],
    )

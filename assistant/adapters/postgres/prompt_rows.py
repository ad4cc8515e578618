"""A prompt and a version as rows and as values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, text

from assistant.domain.cache import CacheSettings, CacheSharing
from assistant.domain.completion import GenerationParameters, InterruptionPolicy
from assistant.domain.model import TaskType
from assistant.domain.prompt import (
    CacheChanges,
    Prompt,
    PromptPartial,
    PromptVariable,
    PromptVersion,
    PromptVersionStatus,
    VariableType,
)
from assistant.domain.rollout import Rollout, RolloutGuard
from assistant.domain.values import JsonValue

PROMPT_COLUMNS = """
    p.tenant_id, p.id AS prompt_id, p.name AS prompt_name, p.description, p.category, p.tags,
    p.published_version_id, p.is_archived, p.created_by AS prompt_created_by,
    p.created_at AS prompt_created_at, p.updated_at, p.publish_requires_tests, p.cache,
    r.points, r.started_at AS rollout_started_at, r.error_rate_margin, r.cost_margin, r.min_samples
"""
PROMPTS = """
    prompts AS p
    LEFT JOIN prompt_rollouts AS r ON r.tenant_id = p.tenant_id AND r.prompt_id = p.id
"""
"""What PROMPT_COLUMNS are of."""
VERSION_COLUMNS = """
    v.id AS version_id, v.prompt_id AS version_prompt_id, v.version AS version_number, v.status,
    v.template, v.system_template, v.variables::text, v.task, v.model, v.parameters::text,
    v.response_schema, v.on_interruption, v.partials::text, v.change_note,
    v.created_by AS version_created_by, v.created_at AS version_created_at, v.published_at
"""
"""Aliased apart from the prompt's, so that one statement can return both; these come last."""
_WIDTH = VERSION_COLUMNS.count(",") + 1
# Gives it the next number, or writes none where the prompt has :most already. NULL is no limit.
ADD_VERSION = text(
    f"""
    INSERT INTO prompt_versions AS v (
        tenant_id, version, id, prompt_id, status, template, system_template, variables, task,
        model, parameters, response_schema, on_interruption, partials, change_note, created_by,
        created_at, published_at)
    SELECT :tenant_id, coalesce(max(version), 0) + 1, :id, :prompt_id, :status, :template,
           :system_template, CAST(:variables AS jsonb), :task, :model, CAST(:parameters AS jsonb),
           CAST(:response_schema AS json), :on_interruption, CAST(:partials AS json),
           :change_note, :created_by, :created_at, :published_at
    FROM prompt_versions WHERE tenant_id = :tenant_id AND prompt_id = :prompt_id
    HAVING CAST(:most AS integer) IS NULL OR count(*) < :most
    RETURNING {VERSION_COLUMNS}
    """  # noqa: S608 - constants
)


# Looked up, because a page of a catalog has a thousand versions and making an enum takes longer.
_STATUSES = {status.value: status for status in PromptVersionStatus}
_TASKS = {task.value: task for task in TaskType}
_POLICIES = {policy.value: policy for policy in InterruptionPolicy}
_NO_PARAMETERS = GenerationParameters()
_USUAL_CACHE = CacheSettings()


def prompt_of(row: Row[Any]) -> Prompt:
    """The prompt in a row with PROMPT_COLUMNS."""
    return Prompt(
        id=row.prompt_id,
        tenant_id=row.tenant_id,
        name=row.prompt_name,
        description=row.description,
        category=row.category,
        tags=tuple(row.tags),
        published_version_id=row.published_version_id,
        is_archived=row.is_archived,
        created_by=row.prompt_created_by,
        created_at=row.prompt_created_at,
        updated_at=row.updated_at,
        publish_requires_tests=row.publish_requires_tests,
        rollout=_rollout_of(row) if row.points else None,
        cache=_USUAL_CACHE if row.cache is None else _cache_of(row.cache),
    )


def cache_json(settings: CacheSettings) -> dict[str, JsonValue] | None:
    """How answers are kept, as the column has it: what is not as usual, None where everything is."""
    usual = asdict(_USUAL_CACHE)
    found = {name: value for name, value in asdict(settings).items() if value != usual[name]}
    return found or None


def cache_column(settings: CacheSettings | CacheChanges | None) -> str | None:
    """The JSON text of ``cache_json``, or of changes as they are."""
    found = cache_json(settings) if isinstance(settings, CacheSettings) else settings
    return None if found is None else json.dumps(found)


def _cache_of(row: Mapping[str, Any]) -> CacheSettings:
    return CacheSettings(
        ttl_s=row.get("ttl_s"),
        min_similarity=row.get("min_similarity", _USUAL_CACHE.min_similarity),
        max_temperature=row.get("max_temperature", _USUAL_CACHE.max_temperature),
        sharing=CacheSharing(row.get("sharing", _USUAL_CACHE.sharing)),
        is_semantic=row.get("is_semantic", _USUAL_CACHE.is_semantic),
        variables=tuple(row.get("variables", ())),
    )


def _rollout_of(row: Row[Any]) -> Rollout:
    guard = RolloutGuard(row.error_rate_margin, row.cost_margin, row.min_samples)
    return Rollout(tuple(row.points), row.rollout_started_at, guard)


def version_of(row: Row[Any]) -> PromptVersion:
    """The version in a row that ends with VERSION_COLUMNS."""
    # By place: by name takes three times as long, and there are a thousand on a page of prompts.
    (
        id_,
        prompt_id,
        version,
        status,
        template,
        system_template,
        variables,
        task,
        model,
        parameters,
        response_schema,
        on_interruption,
        partials,
        change_note,
        created_by,
        created_at,
        published_at,
    ) = row[-_WIDTH:]
    return PromptVersion(
        id=id_,
        prompt_id=prompt_id,
        version=version,
        status=_STATUSES[status],
        template=template,
        system_template=system_template,
        # JSON as text, because most of it is empty and reading that takes longer than to see it.
        variables=() if variables == "[]" else tuple(map(_variable_of, json.loads(variables))),
        task=_TASKS[task],
        model=model,
        parameters=_NO_PARAMETERS if parameters == "{}" else _parameters_of(json.loads(parameters)),
        response_schema=response_schema,
        on_interruption=_POLICIES[on_interruption],
        partials=() if partials == "[]" else tuple(map(_partial_of, json.loads(partials))),
        change_note=change_note,
        created_by=created_by,
        created_at=created_at,
        published_at=published_at,
    )


def _variable_of(variable: Mapping[str, Any]) -> PromptVariable:
    return PromptVariable(
        name=variable["name"],
        description=variable["description"],
        is_required=variable["is_required"],
        default_value=variable["default_value"],
        type=VariableType(variable.get("type", VariableType.ANY)),
    )


def version_row(version: PromptVersion) -> dict[str, object]:
    """The version without its number."""
    schema = version.response_schema
    return {
        "id": version.id,
        "prompt_id": version.prompt_id,
        "status": version.status.value,
        "template": version.template,
        "system_template": version.system_template,
        "variables": json.dumps(variables_json(version.variables)),
        "task": version.task.value,
        "model": version.model,
        "parameters": json.dumps(parameters_json(version.parameters)),
        "response_schema": None if schema is None else json.dumps(schema),
        "on_interruption": version.on_interruption.value,
        "partials": json.dumps(partials_json(version.partials)),
        "change_note": version.change_note,
        "created_by": version.created_by,
        "created_at": version.created_at,
        "published_at": version.published_at,
    }


def variables_json(variables: tuple[PromptVariable, ...]) -> list[dict[str, JsonValue]]:
    """The variables as the column keeps them."""
    return [
        {
            "name": variable.name,
            "description": variable.description,
            "is_required": variable.is_required,
            "default_value": variable.default_value,
            # Left out where it is the usual one, so that hashes of old seeds hold.
            **({} if variable.type is VariableType.ANY else {"type": variable.type}),
        }
        for variable in variables
    ]


def partials_json(partials: tuple[PromptPartial, ...]) -> list[dict[str, JsonValue]]:
    """The included texts as the column keeps them."""
    return [
        {
            "used_as": partial.used_as,
            "name": partial.name,
            "version": partial.version,
            "template": partial.template,
            "partials": partials_json(partial.partials),
        }
        for partial in partials
    ]


def _partial_of(row: Mapping[str, Any]) -> PromptPartial:
    return PromptPartial(
        used_as=row["used_as"],
        name=row["name"],
        version=row["version"],
        template=row["template"],
        partials=tuple(map(_partial_of, row["partials"])),
    )


def parameters_json(parameters: GenerationParameters) -> dict[str, JsonValue]:
    """The parameters as the column keeps them; what says nothing is left out."""
    values: dict[str, JsonValue] = {
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "max_tokens": parameters.max_tokens,
        "stop": parameters.stop,
        "seed": parameters.seed,
        "timeout_ms": parameters.timeout_ms,
    }
    return {name: value for name, value in values.items() if value is not None}


def _parameters_of(row: Mapping[str, Any]) -> GenerationParameters:
    stop = row.get("stop")
    return GenerationParameters(
        temperature=row.get("temperature"),
        top_p=row.get("top_p"),
        max_tokens=row.get("max_tokens"),
        stop=None if stop is None else tuple(stop),
        seed=row.get("seed"),
        timeout_ms=row.get("timeout_ms"),
    )

"""Seeding of prompts: what describes one, and its wording, each brought up to the seed on its own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import text
from uuid_utils.compat import uuid7

from assistant.adapters.postgres import seed_contents as contents
from assistant.adapters.postgres.prompt_rows import (
    PROMPT_COLUMNS,
    PROMPTS,
    VERSION_COLUMNS,
    parameters_json,
    prompt_of,
    variables_json,
    version_of,
)
from assistant.adapters.postgres.seeding import Seeding, Verdict
from assistant.domain.prompt import (
    Prompt,
    PromptDraft,
    PromptVersion,
    PromptVersionStatus,
    VersionDraft,
)
from assistant.domain.prompt_document import PromptDocument

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

# A left join, because a prompt may have no published version.
_PROMPTS = text(
    f"""
    SELECT {PROMPT_COLUMNS}, {VERSION_COLUMNS}
    FROM {PROMPTS} LEFT JOIN prompt_versions AS v
      ON v.tenant_id = p.tenant_id AND v.id = p.published_version_id
    WHERE p.tenant_id = :tenant_id
    """
)
_PUT_PROMPT = text(
    """
    INSERT INTO prompts (tenant_id, id, name, description, category, tags, created_at, updated_at)
    VALUES (:tenant_id, :id, :name, :description, :category, CAST(:tags AS text[]), :at, :at)
    ON CONFLICT (tenant_id, name) DO UPDATE SET
        description = excluded.description, category = excluded.category, tags = excluded.tags,
        updated_at = excluded.updated_at
    """
)
_ADD_VERSION = text(
    """
    INSERT INTO prompt_versions (tenant_id, id, prompt_id, version, status, template,
                                 system_template, variables, task, parameters, response_schema,
                                 on_interruption, change_note, created_at, published_at)
    SELECT :tenant_id, :id, :prompt_id, coalesce(max(version), 0) + 1, :status, :template,
           :system_template, CAST(:variables AS jsonb), :task, CAST(:parameters AS jsonb),
           CAST(:response_schema AS json), :on_interruption, :change_note, :at, :published_at
    FROM prompt_versions WHERE tenant_id = :tenant_id AND prompt_id = :prompt_id
    """
)
_PUBLISH = text(
    """
    UPDATE prompts SET published_version_id = :version_id, updated_at = :at
    WHERE tenant_id = :tenant_id AND id = :prompt_id
    """
)


async def seed_prompts(seeding: Seeding, wanted: Iterable[PromptDocument]) -> None:
    """Add or update prompts; a new wording is a new version, published over the old seed's."""
    prompts = {
        row.prompt_name: (prompt_of(row), version_of(row) if row.version_id else None)
        for row in await seeding.fetch(_PROMPTS)
    }
    for document in wanted:
        prompt = document.prompt
        await _seed(seeding, prompt, *prompts.get(prompt.name, (None, None)))


async def _seed(
    seeding: Seeding, wanted: PromptDraft, found: Prompt | None, published: PromptVersion | None
) -> None:
    about, wording = contents.prompt_content(wanted), contents.wording_content(wanted.version)
    describe = seeding.judge(
        "prompt", wanted.name, about, contents.prompt_content(found) if found else None
    )
    reword = seeding.judge(
        "prompt_version",
        wanted.name,
        wording,
        contents.wording_content(published) if published else None,
    )
    is_new = found is None and describe is Verdict.ADD
    is_theirs = found is not None and not seeding.was_seeded("prompt", wanted.name)
    if not is_new and (found is None or found.is_archived or is_theirs):
        # Deleted, archived, or made by an admin: whatever the seed says, it stays so.
        is_same = describe is reword is Verdict.LEAVE
        seeding.count(Verdict.LEAVE if is_same else Verdict.KEEP)
        return
    prompt_id = found.id if found else uuid7()
    if describe in (Verdict.ADD, Verdict.UPDATE):
        await seeding.execute(_PUT_PROMPT, _prompt_parameters(wanted, prompt_id))
        await seeding.remember("prompt", wanted.name, about)
    if reword is not Verdict.LEAVE:
        # Where an admin has published a wording of their own, the seed's is only offered.
        await _add_version(
            seeding, wanted.version, prompt_id, is_published=reword is not Verdict.KEEP
        )
        await seeding.remember("prompt_version", wanted.name, wording)
    by_weight = (Verdict.ADD, Verdict.KEEP, Verdict.UPDATE, Verdict.LEAVE)
    seeding.count(min(describe, reword, key=by_weight.index))


async def _add_version(
    seeding: Seeding, wanted: VersionDraft, prompt_id: UUID, is_published: bool
) -> None:
    status = PromptVersionStatus.PUBLISHED if is_published else PromptVersionStatus.DRAFT
    version_id = uuid7()
    parameters = _version_parameters(wanted) | {
        "id": version_id,
        "prompt_id": prompt_id,
        "status": status.value,
        "published_at": seeding.at if is_published else None,
    }
    await seeding.execute(_ADD_VERSION, parameters)
    if is_published:
        await seeding.execute(_PUBLISH, {"prompt_id": prompt_id, "version_id": version_id})


def _prompt_parameters(prompt: PromptDraft, prompt_id: UUID) -> dict[str, object]:
    return {
        "id": prompt_id,
        "name": prompt.name,
        "description": prompt.description,
        "category": prompt.category,
        "tags": list(prompt.tags),
    }


def _version_parameters(version: VersionDraft) -> dict[str, object]:
    schema = version.response_schema
    return {
        "template": version.template,
        "system_template": version.system_template,
        "variables": json.dumps(variables_json(version.variables)),
        "task": version.task.value,
        "parameters": json.dumps(parameters_json(version.parameters)),
        "response_schema": None if schema is None else json.dumps(schema),
        "on_interruption": version.on_interruption.value,
        "change_note": "Comes with the service.",
    }

"""Seeding of prompts: what describes one, its wording, and its tests, each brought up on its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from sqlalchemy import text
from uuid_utils.compat import uuid7

from assistant.adapters.postgres import seed_contents as contents
from assistant.adapters.postgres.prompt_rows import (
    ADD_VERSION,
    PROMPT_COLUMNS,
    PROMPTS,
    VERSION_COLUMNS,
    cache_column,
    prompt_of,
    version_of,
    version_row,
)
from assistant.adapters.postgres.prompt_test_rows import (
    CASE_COLUMNS,
    PUT_CASE,
    case_of,
    case_row,
)
from assistant.adapters.postgres.release_rows import record_release
from assistant.adapters.postgres.seeding import Entry, Seeding, Verdict
from assistant.domain.caller import PLATFORM_TENANT
from assistant.domain.prompt import (
    Prompt,
    PromptDraft,
    PromptPartial,
    PromptVersion,
    VersionDraft,
)
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.prompt_test import PromptTestCase, PromptTestDraft
from assistant.domain.rollout import POINTS, PromptRelease, ReleaseKind

# ruff: noqa: S608 - statements are put together from constants only; values are parameters

_ORIGIN = "Comes with the service."

# Who publishes meanwhile waits, and is told what has changed.
_LOCK = text("SELECT id FROM prompts WHERE tenant_id = :tenant_id ORDER BY id FOR NO KEY UPDATE")
# A left join, because a prompt may have no published version.
_PROMPTS = text(
    f"""
    SELECT {PROMPT_COLUMNS}, {VERSION_COLUMNS}
    FROM {PROMPTS} LEFT JOIN prompt_versions AS v
      ON v.tenant_id = p.tenant_id AND v.id = p.published_version_id
    WHERE p.tenant_id = :tenant_id
    """
)
_CASES = text(
    f"""
    SELECT prompt_name, {CASE_COLUMNS} FROM prompt_test_cases
    JOIN (SELECT tenant_id, id AS prompt_id, name AS prompt_name FROM prompts) AS p
      USING (tenant_id, prompt_id)
    WHERE tenant_id = :tenant_id
    """
)
_NUMBERS = text(
    """
    SELECT name, template, max(version) AS number
    FROM prompts AS p JOIN prompt_versions AS v ON v.tenant_id = p.tenant_id AND v.prompt_id = p.id
    WHERE p.tenant_id = :tenant_id
    GROUP BY name, template
    """
)
_PUT_PROMPT = text(
    """
    INSERT INTO prompts (tenant_id, id, name, description, category, tags, created_at, updated_at,
                         publish_requires_tests, cache)
    VALUES (:tenant_id, :id, :name, :description, :category, CAST(:tags AS text[]), :at, :at,
            :publish_requires_tests, CAST(:cache AS json))
    ON CONFLICT (tenant_id, name) DO UPDATE SET
        description = excluded.description, category = excluded.category, tags = excluded.tags,
        publish_requires_tests = excluded.publish_requires_tests, cache = excluded.cache,
        updated_at = excluded.updated_at
    """
)


async def seed_prompts(
    seeding: Seeding,
    wanted: Iterable[PromptDocument],
    partials: Mapping[str, tuple[PromptPartial, ...]],
) -> None:
    """Add or update prompts; a new wording is a new version, published over the old seed's."""
    await seeding.fetch(_LOCK)
    prompts = {
        row.prompt_name: (prompt_of(row), version_of(row) if row.version_id else None)
        for row in await seeding.fetch(_PROMPTS)
    }
    cases = {
        _key(row.prompt_name, row.name): contents.case_content(case_of(row))
        for row in await seeding.fetch(_CASES)
    }
    for document in wanted:
        name = document.prompt.name
        found, published = prompts.get(name, (None, None))
        included = partials.get(name, ())
        prompt_id = await _seed(seeding, document.prompt, included, found, published)
        entries = [_case_entry(seeding, name, prompt_id, test) for test in document.tests]
        if prompt_id is not None:
            await seeding.entries("prompt_test", entries, cases, PUT_CASE)
            continue
        for entry in entries:
            seeding.keep("prompt_test", entry, cases.get(entry.key))


async def _seed(
    seeding: Seeding,
    wanted: PromptDraft,
    partials: tuple[PromptPartial, ...],
    found: Prompt | None,
    published: PromptVersion | None,
) -> UUID | None:
    """The id of the prompt where it is the seed's to change, None where it is not."""
    about = contents.prompt_content(wanted)
    wording = contents.wording_content(wanted.version, partials)
    describe = seeding.judge(
        "prompt", wanted.name, about, contents.prompt_content(found) if found else None
    )
    reword = seeding.judge(
        "prompt_version",
        wanted.name,
        wording,
        contents.wording_content(published, published.partials) if published else None,
    )
    is_new = found is None and describe is Verdict.ADD
    is_theirs = found is not None and not seeding.was_seeded("prompt", wanted.name)
    if not is_new and (found is None or found.is_archived or is_theirs):
        # Deleted, archived, or made by an admin: whatever the seed says, it stays so.
        is_same = describe is reword is Verdict.LEAVE
        seeding.count(Verdict.LEAVE if is_same else Verdict.KEEP)
        return None
    if reword is Verdict.UPDATE and found is not None and found.rollout is not None:
        # Whoever splits callers between versions compares them, and is to see it through.
        reword = Verdict.KEEP
    prompt_id = found.id if found else uuid7()
    if describe in (Verdict.ADD, Verdict.UPDATE):
        await seeding.execute(_PUT_PROMPT, _prompt_parameters(wanted, prompt_id))
        await seeding.remember("prompt", wanted.name, about)
    if reword is not Verdict.LEAVE:
        version = await _add_version(seeding, wanted.version, prompt_id, partials)
        # Where an admin has published a wording of their own, the seed's is only offered.
        if reword is not Verdict.KEEP:
            await _publish(seeding, version)
        await seeding.remember("prompt_version", wanted.name, wording)
    by_weight = (Verdict.ADD, Verdict.KEEP, Verdict.UPDATE, Verdict.LEAVE)
    seeding.count(min(describe, reword, key=by_weight.index))
    return prompt_id


async def _add_version(
    seeding: Seeding, wanted: VersionDraft, prompt_id: UUID, partials: tuple[PromptPartial, ...]
) -> PromptVersion:
    if partials:
        numbers = {(row.name, row.template): row.number for row in await seeding.fetch(_NUMBERS)}
        partials = _numbered(partials, numbers)
    version = PromptVersion.of(
        replace(wanted, change_note=_ORIGIN),
        partials,
        id_=uuid7(),
        prompt_id=prompt_id,
        created_at=seeding.at,
    )
    parameters = {"tenant_id": PLATFORM_TENANT, "most": None, **version_row(version)}
    return version_of((await seeding.connection.execute(ADD_VERSION, parameters)).one())


def _numbered(
    partials: tuple[PromptPartial, ...], numbers: Mapping[tuple[str, str], int]
) -> tuple[PromptPartial, ...]:
    """With the numbers that the texts have in the catalog; as it is where an admin deleted them."""
    return tuple(
        replace(
            partial,
            version=numbers.get((partial.name, partial.template), partial.version),
            partials=_numbered(partial.partials, numbers),
        )
        for partial in partials
    )


async def _publish(seeding: Seeding, version: PromptVersion) -> None:
    release = PromptRelease(
        id=uuid7(),
        prompt_id=version.prompt_id,
        at=seeding.at,
        kind=ReleaseKind.PUBLISHED,
        weights={version.version: POINTS},
        reason=_ORIGIN,
    )
    await record_release(
        seeding.connection, PLATFORM_TENANT, release, {version.version}, version.id
    )


def _case_entry(
    seeding: Seeding, prompt: str, prompt_id: UUID | None, test: PromptTestDraft
) -> Entry:
    """``prompt_id`` is None where it will not be written."""
    parameters: dict[str, object] = {"most": None}
    if prompt_id is not None:
        case = PromptTestCase(
            uuid7(), prompt_id, test.name, test.variables, test.assertions, seeding.at
        )
        parameters |= case_row(case)
    return Entry(_key(prompt, test.name), contents.case_content(test), parameters)


def _key(prompt: str, test: str) -> str:
    return f"{prompt}/{test}"


def _prompt_parameters(prompt: PromptDraft, prompt_id: UUID) -> dict[str, object]:
    return {
        "id": prompt_id,
        "name": prompt.name,
        "description": prompt.description,
        "category": prompt.category,
        "tags": list(prompt.tags),
        "publish_requires_tests": prompt.publish_requires_tests,
        "cache": cache_column(prompt.cache),
    }

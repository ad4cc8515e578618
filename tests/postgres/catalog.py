"""Prompts to write down, and how they read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.prompt_changes import PostgresPromptChanges
from assistant.adapters.postgres.prompt_releases import PostgresPromptReleases
from assistant.domain.completion import GenerationParameters, InterruptionPolicy
from assistant.domain.model import TaskType
from assistant.domain.prompt import (
    Prompt,
    PromptPartial,
    PromptVariable,
    PromptVersion,
    PromptVersionStatus,
    VariableType,
)
from assistant.domain.rollout import POINTS, PromptRelease, ReleaseKind

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)

PARTIALS = (
    PromptPartial(
        "greeting@3",
        "greeting",
        3,
        "Hello {{> name}}",
        (PromptPartial("name", "name", 1, "{{name}} 🎉"),),
    ),
    PromptPartial("tone", "tone", 12, "Be dry."),
)


def a_prompt(tenant: str = "acme", name: str = "summary", **changes: Any) -> Prompt:
    prompt = Prompt(
        id=uuid7(),
        tenant_id=tenant,
        name=name,
        description="Makes a summary",
        category="writing",
        tags=("text", "short"),
        published_version_id=None,
        is_archived=False,
        created_by="ann",
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(prompt, **changes)


def a_version(prompt: Prompt, number: int = 1, **changes: Any) -> PromptVersion:
    """A draft that says something in every field."""
    version = PromptVersion(
        id=uuid7(),
        prompt_id=prompt.id,
        version=number,
        status=PromptVersionStatus.DRAFT,
        template="{{> greeting@3}} Summarise {{text}} 🎉",
        system_template="Be brief. {{> tone}}",
        variables=(
            PromptVariable("text", "What to summarise"),
            PromptVariable("tone", None, is_required=False, default_value="dry"),
            PromptVariable("words", None, False, "200", VariableType.INTEGER),
        ),
        task=TaskType.SUMMARIZATION,
        model="fast",
        parameters=GenerationParameters(temperature=0.7, max_tokens=200, stop=("\n", "END")),
        response_schema={"zeta": {"type": "string"}, "alpha": {"type": "number"}},
        change_note="first",
        created_by="ann",
        created_at=NOW,
        published_at=None,
        on_interruption=InterruptionPolicy.RESTART,
        partials=PARTIALS,
    )
    return replace(version, **changes)


def a_release(
    prompt: Prompt,
    weights: Mapping[int, int],
    kind: ReleaseKind = ReleaseKind.PUBLISHED,
    at: datetime = NOW,
    **changes: Any,
) -> PromptRelease:
    return replace(PromptRelease(uuid7(), prompt.id, at, kind, weights, "ann"), **changes)


def published(version: PromptVersion, at: datetime = NOW) -> PromptVersion:
    return replace(version, status=PromptVersionStatus.PUBLISHED, published_at=at)


async def add(
    database: Database,
    tenant: str = "acme",
    name: str = "summary",
    *,
    versions: int = 1,
    published_number: int | None = 1,
    **changes: Any,
) -> tuple[Prompt, list[PromptVersion]]:
    """Write a prompt with some versions, as it should read back."""
    prompt = a_prompt(tenant, name, **changes)
    made = [a_version(prompt, number) for number in range(1, versions + 1)]
    store = PostgresPromptChanges(database)
    assert await store.add_prompt(prompt, made[0], None, 1_000)
    for version in made[1:]:
        await store.add_version(tenant, version, 1_000)
    if published_number is not None:
        prompt, made = await publish(database, prompt, made, published_number)
    return prompt, made


async def publish(
    database: Database, prompt: Prompt, versions: Sequence[PromptVersion], number: int
) -> tuple[Prompt, list[PromptVersion]]:
    """Publish one of the drafts, as the prompt and all of them should read back."""
    chosen = versions[number - 1]
    release = a_release(prompt, {number: POINTS}, at=prompt.updated_at)
    await PostgresPromptReleases(database).publish(prompt.tenant_id, chosen, None, release)
    return replace(prompt, published_version_id=chosen.id), [
        published(version, release.at) if version is chosen else version for version in versions
    ]


def ids_of(versions: Sequence[PromptVersion]) -> list[UUID]:
    return [version.id for version in versions]

"""Seeding: complete on the first day, up to date later, and never over what an admin did."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from assistant.adapters.postgres.connection import Database
from assistant.adapters.postgres.models import PostgresModels
from assistant.adapters.postgres.prompts import PostgresPrompts
from assistant.adapters.postgres.seeds import PostgresSeeds
from assistant.domain.completion import GenerationParameters, InterruptionPolicy
from assistant.domain.model import (
    Model,
    ModelCapability,
    ModelGroup,
    ProviderConfig,
    ProviderKind,
    TaskType,
)
from assistant.domain.prompt import (
    Prompt,
    PromptDraft,
    PromptVariable,
    PromptVersion,
    PromptVersionStatus,
    VersionDraft,
)
from assistant.domain.prompt_document import PromptDocument
from assistant.domain.seed import Seed, SeedReport, SeedRule
from tests.postgres.server import DatabaseUrls, connect

DAY_1 = datetime(2026, 1, 1, tzinfo=UTC)
DAY_2 = DAY_1 + timedelta(days=1)

OLLAMA = ProviderConfig("ollama", ProviderKind.OLLAMA)
LLAMA = Model(
    provider="ollama",
    name="llama3.2:3b",
    capabilities=frozenset({ModelCapability.CHAT, ModelCapability.TOOLS}),
    context_window=8192,
    input_price=Decimal("0.10"),
)
FAST = ModelGroup("fast", ("ollama/llama3.2:3b", "ollama/qwen"), None)
SUMMARY = PromptDraft(
    name="summary",
    category="writing",
    version=VersionDraft(
        template="Summarise {{text}}",
        variables=(PromptVariable("text"),),
        task=TaskType.SUMMARIZATION,
        parameters=GenerationParameters(temperature=0.2, max_tokens=300),
        response_schema={"type": "object", "properties": {"b": {}, "a": {}}},
        on_interruption=InterruptionPolicy.CONTINUE,
    ),
    description="Makes a summary",
    tags=("text",),
)
TITLE = PromptDraft("title", "writing", VersionDraft("A title for {{text}}"))
SEED = Seed((OLLAMA,), (LLAMA,), (FAST,), (PromptDocument(SUMMARY), PromptDocument(TITLE)))


def reworded(prompt: PromptDraft, template: str, **changes: Any) -> PromptDocument:
    return PromptDocument(
        replace(prompt, version=replace(prompt.version, template=template), **changes)
    )


@pytest.fixture
def seeds(database: Database) -> PostgresSeeds:
    return PostgresSeeds(database)


async def get_published(database: Database, name: str) -> tuple[Prompt, PromptVersion]:
    """The prompt as every tenant finds it, and what all of their callers get."""
    found = await PostgresPrompts(database).find_served("acme", name)
    assert found is not None
    assert found.published is not None
    return found.prompt, found.versions[found.published]


async def execute(urls: DatabaseUrls, sql: str) -> None:
    async with await connect(urls.superuser) as connection:
        await connection.execute(sql.encode())


async def test_the_first_seed_fills_the_catalog_of_every_tenant(
    seeds: PostgresSeeds, database: Database
) -> None:
    assert await seeds.apply(SEED, DAY_1) == SeedReport(added=5)

    catalog = await PostgresModels(database).load("acme")
    assert catalog.providers == {"ollama": OLLAMA}
    assert catalog.models == {LLAMA.id: LLAMA}
    assert catalog.groups == {"fast": FAST}
    prompt, version = await get_published(database, "summary")
    assert (prompt.tenant_id, prompt.category, prompt.tags) == ("platform", "writing", ("text",))
    assert (version.version, version.status) == (1, PromptVersionStatus.PUBLISHED)
    assert version.template == SUMMARY.version.template
    assert version.variables == SUMMARY.version.variables
    assert version.parameters == SUMMARY.version.parameters
    assert version.response_schema == SUMMARY.version.response_schema
    assert version.on_interruption is InterruptionPolicy.CONTINUE
    assert version.published_at == DAY_1


async def test_seeding_again_changes_nothing(
    seeds: PostgresSeeds, urls: DatabaseUrls, database: Database
) -> None:
    await seeds.apply(SEED, DAY_1)
    before = await get_published(database, "summary")

    assert await seeds.apply(SEED, DAY_2) == SeedReport(unchanged=5)

    assert await get_published(database, "summary") == before


async def test_replicas_that_seed_at_once_add_everything_once(seeds: PostgresSeeds) -> None:
    reports = await asyncio.gather(*(seeds.apply(SEED, DAY_1) for _ in range(4)))

    assert sorted(report.added for report in reports) == [0, 0, 0, 5]
    assert sorted(report.unchanged for report in reports) == [0, 5, 5, 5]


async def test_a_changed_seed_updates_what_nobody_touched(
    seeds: PostgresSeeds, database: Database
) -> None:
    await seeds.apply(SEED, DAY_1)
    changed = Seed(
        (replace(OLLAMA, is_enabled=False),),
        (replace(LLAMA, context_window=32768),),
        (replace(FAST, models=("ollama/qwen",)),),
        (reworded(SUMMARY, "Sum up {{text}}", description="Better"), PromptDocument(TITLE)),
    )

    assert await seeds.apply(changed, DAY_2) == SeedReport(updated=4, unchanged=1)

    catalog = await PostgresModels(database).load("acme")
    assert not catalog.providers["ollama"].is_enabled
    assert catalog.models[LLAMA.id].context_window == 32768
    assert catalog.groups["fast"].models == ("ollama/qwen",)
    found = await get_published(database, "summary")
    assert found[0].description == "Better"
    assert (found[1].version, found[1].template) == (2, "Sum up {{text}}")
    assert await seeds.apply(changed, DAY_2) == SeedReport(unchanged=5)


async def test_an_admins_change_outlives_an_unchanged_and_a_changed_seed(
    seeds: PostgresSeeds, urls: DatabaseUrls, database: Database
) -> None:
    await seeds.apply(SEED, DAY_1)
    await execute(urls, "UPDATE llm_models SET input_price = 9")
    await execute(urls, "UPDATE providers SET base_url = 'http://gpu:11434'")

    assert await seeds.apply(SEED, DAY_2) == SeedReport(unchanged=5)
    changed = replace(
        SEED,
        models=(replace(LLAMA, context_window=1),),
        providers=(replace(OLLAMA, is_local=False),),
    )
    assert await seeds.apply(changed, DAY_2) == SeedReport(kept=2, unchanged=3)

    catalog = await PostgresModels(database).load("acme")
    assert catalog.models[LLAMA.id].input_price == 9
    assert catalog.models[LLAMA.id].context_window == 8192
    assert catalog.providers["ollama"].base_url == "http://gpu:11434"


async def test_what_an_admin_deleted_does_not_come_back(
    seeds: PostgresSeeds, urls: DatabaseUrls, database: Database
) -> None:
    await seeds.apply(SEED, DAY_1)
    await execute(urls, "DELETE FROM llm_models")

    assert await seeds.apply(SEED, DAY_2) == SeedReport(unchanged=5)
    changed = replace(SEED, models=(replace(LLAMA, context_window=1),))
    assert await seeds.apply(changed, DAY_2) == SeedReport(kept=1, unchanged=4)

    assert (await PostgresModels(database).load("acme")).models == {}


async def test_what_an_admin_made_first_is_theirs(
    seeds: PostgresSeeds, urls: DatabaseUrls, database: Database
) -> None:
    await execute(
        urls,
        "INSERT INTO prompts (tenant_id, id, name, category, created_at, updated_at) VALUES "
        "('platform', gen_random_uuid(), 'summary', 'own', now(), now())",
    )
    await execute(urls, "INSERT INTO providers VALUES ('platform', 'ollama', 'OPENAI')")

    assert await seeds.apply(SEED, DAY_1) == SeedReport(added=3, kept=2)

    prompt = (await PostgresPrompts(database).prompts_by_name("acme", ["summary"]))["summary"]
    assert (prompt.category, prompt.published_version_id) == ("own", None)


async def test_an_admins_own_wording_stays_published_and_the_seeds_is_offered_as_a_draft(
    seeds: PostgresSeeds, urls: DatabaseUrls, database: Database
) -> None:
    await seeds.apply(SEED, DAY_1)
    await execute(
        urls,
        """
        WITH own AS (
            INSERT INTO prompt_versions (tenant_id, id, prompt_id, version, status, template,
                                         variables, task, parameters, created_at)
            SELECT tenant_id, gen_random_uuid(), id, 2, 'PUBLISHED', 'Own words', '[]', 'GENERAL',
                   '{}', now()
            FROM prompts WHERE name = 'summary'
            RETURNING id
        )
        UPDATE prompts SET published_version_id = (SELECT id FROM own) WHERE name = 'summary'
        """,
    )
    prompts = (reworded(SUMMARY, "Sum up {{text}}"), PromptDocument(TITLE))
    changed = replace(SEED, prompts=prompts)

    assert await seeds.apply(changed, DAY_2) == SeedReport(kept=1, unchanged=4)
    assert await seeds.apply(changed, DAY_2) == SeedReport(unchanged=5)

    published = await get_published(database, "summary")
    offered = await PostgresPrompts(database).find_version("acme", "summary", 3)
    assert published[1].template == "Own words"
    assert offered is not None
    assert (offered[1].template, offered[1].status) == (
        "Sum up {{text}}",
        PromptVersionStatus.DRAFT,
    )


async def test_an_archived_prompt_stays_archived(
    seeds: PostgresSeeds, urls: DatabaseUrls, database: Database
) -> None:
    await seeds.apply(SEED, DAY_1)
    await execute(urls, "UPDATE prompts SET is_archived = true WHERE name = 'title'")
    prompts = (PromptDocument(SUMMARY), reworded(TITLE, "New {{text}}"))
    changed = replace(SEED, prompts=prompts)

    assert await seeds.apply(changed, DAY_2) == SeedReport(kept=1, unchanged=4)

    assert await PostgresPrompts(database).find_version("acme", "title", 2) is None


RULE = SeedRule("code", 100, {"promptCategory": "code", "hour": {"lt": 8}}, ("ollama/qwen",))


async def test_rules_are_seeded_and_kept_up_to_date_by_their_names(
    seeds: PostgresSeeds, database: Database
) -> None:
    models = PostgresModels(database)
    assert await seeds.apply(Seed(rules=(RULE,)), DAY_1) == SeedReport(added=1)
    (rule,) = (await models.load("acme")).rules
    assert (rule.tenant_id, rule.name, rule.priority, rule.created_at) == (
        "platform",
        "code",
        100,
        DAY_1,
    )
    assert (rule.conditions, rule.models, rule.is_enabled) == (RULE.conditions, RULE.models, True)

    reordered = replace(RULE, conditions=dict(reversed(RULE.conditions.items())))
    assert await seeds.apply(Seed(rules=(reordered,)), DAY_2) == SeedReport(unchanged=1)
    changed = Seed(rules=(replace(RULE, priority=5, conditions={}),))
    assert await seeds.apply(changed, DAY_2) == SeedReport(updated=1)
    assert (await models.load("acme")).rules == (replace(rule, priority=5, conditions={}),)


@pytest.mark.parametrize("change", ["is_enabled = false", "priority = 7", "conditions = '{}'"])
async def test_a_rule_that_an_admin_changed_stays_as_it_is(
    seeds: PostgresSeeds, urls: DatabaseUrls, change: str
) -> None:
    await seeds.apply(Seed(rules=(RULE,)), DAY_1)
    await execute(urls, f"UPDATE model_routing_rules SET {change}")

    changed = Seed(rules=(replace(RULE, models=("ollama/llama3.2:3b",)),))
    assert await seeds.apply(changed, DAY_2) == SeedReport(kept=1)


async def test_what_was_seeded_before_there_were_new_fields_counts_as_untouched(
    seeds: PostgresSeeds, urls: DatabaseUrls
) -> None:
    """The hashes are those that the first release wrote."""
    await seeds.apply(SEED, DAY_1)
    async with await connect(urls.superuser) as connection:
        cursor = await connection.execute(
            "SELECT kind, encode(content_hash, 'hex') FROM seeds WHERE key <> 'title'"
        )
        remembered = {kind: hash_[:16] for kind, hash_ in await cursor.fetchall()}

    assert remembered == {
        "provider": "ae0d7daf04b784e5",
        "model": "1e70be2dfcc7197c",
        "model_group": "36bb789fe2943b9b",
        "prompt": "85afad7134fc095c",
        "prompt_version": "2a972c898e8cea53",
    }


async def test_a_seed_that_fails_leaves_nothing_behind(
    seeds: PostgresSeeds, database: Database
) -> None:
    broken = replace(SEED, groups=(ModelGroup("Not A Name", ("x",)),))

    with pytest.raises(Exception, match="model_groups_name_check"):
        await seeds.apply(broken, DAY_1)

    async with database.tenant("platform") as connection:
        rows = await connection.execute(text("SELECT count(*) FROM providers"))
        assert rows.scalar() == 0

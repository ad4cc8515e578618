"""Prompts as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry
import strawberry.federation as fed

from assistant.api import loaders
from assistant.api.cache_settings import CacheSettings
from assistant.api.connection import AFTER, FIRST, decode_cursor
from assistant.api.context import Info
from assistant.api.federation import cost, list_size
from assistant.api.prompt_performance import PromptPerformance, performance_of
from assistant.api.prompt_rollout import (
    PromptReleaseConnection,
    RolloutGuard,
    RolloutShare,
    shares_of,
)
from assistant.api.prompt_test_run import PromptTestCase
from assistant.api.prompt_version import (
    READERS,
    PromptVersion,
    PromptVersionConnection,
    uuid_of,
    version_of,
)
from assistant.api.usage import Period, User
from assistant.domain import prompt as domain
from assistant.domain.rollout import Rollout
from assistant.domain.usage import UsagePeriod
from assistant.domain.values import check_text


@fed.type(keys=["id", "name"], description="A named prompt of the catalog.")
class Prompt:
    id: strawberry.ID = strawberry.field(description="Identifies the prompt everywhere.")
    name: str = strawberry.field(description="What requests name it by: [a-z0-9-]{1,64}.")
    description: str | None = strawberry.field(description="What it is for.")
    category: str = strawberry.field(description="Groups prompts by kind of work.")
    tags: list[str] = strawberry.field(description="Free labels.")
    is_archived: bool = strawberry.field(description="Archived prompts can no longer be used.")
    publish_requires_tests: bool = strawberry.field(
        description="Whether a version is published for the first time only after its tests have "
        "passed."
    )
    cache: CacheSettings = strawberry.field(description="How its answers are kept.")
    created_by: User | None = strawberry.field(description="Who made it; null for seeded ones.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")
    key: strawberry.Private[UUID]
    owner: strawberry.Private[str]
    published_version_id: strawberry.Private[UUID | None]
    running: strawberry.Private[Rollout | None]

    @strawberry.field(
        description="The version that callers get, unless a rollout splits them; null until one is "
        "published."
    )
    async def published_version(self, info: Info) -> PromptVersion | None:
        return await version_of(info, self.published_version_id)

    @strawberry.field(description="One version by its number; null where there is none.")
    async def version(
        self,
        info: Info,
        number: Annotated[int, strawberry.argument(description="1 for the first version.")],
    ) -> PromptVersion | None:
        found = await loaders.version_by_number(info).load((self.key, number))
        return PromptVersion.of(found) if found else None

    @strawberry.field(description="Its versions, newest first.", directives=[list_size()])
    async def versions(
        self, info: Info, first: FIRST = 20, after: AFTER = None
    ) -> PromptVersionConnection:
        before = decode_cursor(after, _version_number)[0] if after else None
        found = await loaders.versions_page(info, first + 1, before).load(self.key)
        return PromptVersionConnection.of(found or (), first, after)

    @strawberry.field(
        description="How callers are split between versions while a rollout runs, the lowest number "
        "first; empty while all get the published one."
    )
    def rollout(self) -> list[RolloutShare]:
        return shares_of(self.key, self.running.weights) if self.running else []

    @strawberry.field(
        description="When the running rollout takes a version back by itself; null while none runs."
    )
    def rollout_guard(self) -> RolloutGuard | None:
        return RolloutGuard.of(self.running.guard) if self.running else None

    @strawberry.field(
        description="How it did, all versions together and each.", directives=[cost(10)]
    )
    async def performance(
        self, info: Info, period: Period = UsagePeriod.LAST_30_DAYS
    ) -> PromptPerformance:
        return await performance_of(info, self, period)

    @strawberry.field(description="What its versions are asked in tests, by name.")
    async def tests(self, info: Info) -> list[PromptTestCase]:
        cases = await loaders.test_cases(info).load(self.key)
        return [PromptTestCase.of(case) for case in cases or ()]

    @strawberry.field(
        description="Every change of which versions callers get, newest first. Of the platform's "
        "prompts only its operator sees by whom and why.",
        directives=[list_size()],
    )
    async def releases(
        self, info: Info, first: FIRST = 20, after: AFTER = None
    ) -> PromptReleaseConnection:
        before = decode_cursor(after)[1] if after else None
        found = await loaders.releases_page(info, first + 1, before).load(self.key) or ()
        if self.owner not in info.context.caller.may_change:
            found = [release.for_others() for release in found]
        return PromptReleaseConnection.of(found, first, after)

    @classmethod
    def of(cls, prompt: domain.Prompt) -> Self:
        return cls(
            id=strawberry.ID(str(prompt.id)),
            name=prompt.name,
            description=prompt.description,
            category=prompt.category,
            tags=list(prompt.tags),
            is_archived=prompt.is_archived,
            publish_requires_tests=prompt.publish_requires_tests,
            cache=CacheSettings.of(prompt.cache),
            created_by=User.of(prompt.created_by),
            created_at=prompt.created_at,
            updated_at=prompt.updated_at,
            key=prompt.id,
            owner=prompt.tenant_id,
            published_version_id=prompt.published_version_id,
            running=prompt.rollout,
        )

    @classmethod
    async def resolve_reference(
        cls,
        info: Info,
        id: strawberry.ID | None = None,  # noqa: A002 - the key's name
        name: str | None = None,
    ) -> Prompt | None:
        info.context.require(*READERS)
        return await (prompt(info, id) if id is not None else prompt_by_name(info, name or ""))


async def prompt(info: Info, id_: str) -> Prompt | None:
    """A prompt by its id; None where there is none for this caller."""
    key = uuid_of(id_)
    found = await loaders.prompt_by_id(info).load(key) if key else None
    return Prompt.of(found) if found else None


async def prompt_by_name(info: Info, name: str) -> Prompt | None:
    """A prompt by its name; the tenant's own before the platform's."""
    check_text(name, ("name",))
    found = await loaders.prompt_by_name(info).load(name)
    return Prompt.of(found) if found else None


async def prompt_performance(
    info: Info, prompt_name: str, period: UsagePeriod
) -> PromptPerformance | None:
    """How the prompt of a name did; None where there is none for this caller."""
    check_text(prompt_name, ("promptName",))
    found = await loaders.prompt_by_name(info).load(prompt_name)
    return await performance_of(info, Prompt.of(found), period) if found else None


def _version_number(text: str) -> int:
    number = int(text)
    if not 0 < number < 2**31:
        raise ValueError("no version has this number")
    return number

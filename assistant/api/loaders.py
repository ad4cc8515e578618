"""Loaders that turn many lookups of one operation into one statement each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader

from assistant.api.context import Info
from assistant.domain.budget import BudgetStanding
from assistant.domain.completion import Completion
from assistant.domain.model import PriceChange
from assistant.domain.performance import PromptLatencies, PromptPerformance
from assistant.domain.prompt import Prompt, PromptVersion
from assistant.domain.prompt_test import PromptTestCase, PromptTestRun
from assistant.domain.rollout import PromptRelease
from assistant.domain.usage import UsagePeriod, UsageSummary

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _loader(
    info: Info, name: str, load: Callable[[list[K]], Awaitable[Mapping[K, V]]]
) -> DataLoader[K, V | None]:
    """This operation's loader called ``name``; made when first asked for."""

    async def load_in_order(keys: list[K]) -> Sequence[V | None]:
        found = await load(keys)
        return [found.get(key) for key in keys]

    loaders = info.context.loaders
    if name not in loaders:
        loaders[name] = DataLoader(load_in_order)
    loader: DataLoader[K, V | None] = loaders[name]
    return loader


def forget(info: Info) -> None:
    """Read everything anew from now on: the operation has changed something."""
    info.context.loaders.clear()


def prompt_by_id(info: Info) -> DataLoader[UUID, Prompt | None]:
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(info, "prompt_by_id", lambda ids: context.services.prompts.by_id(tenant_id, ids))


def prompt_by_name(info: Info) -> DataLoader[str, Prompt | None]:
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(
        info, "prompt_by_name", lambda names: context.services.prompts.by_name(tenant_id, names)
    )


def version_by_id(info: Info) -> DataLoader[UUID, PromptVersion | None]:
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(
        info, "version_by_id", lambda ids: context.services.prompts.versions_by_id(tenant_id, ids)
    )


def version_by_number(info: Info) -> DataLoader[tuple[UUID, int], PromptVersion | None]:
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(
        info,
        "version_by_number",
        lambda keys: context.services.prompts.versions_by_number(tenant_id, keys),
    )


def versions_page(
    info: Info, first: int, before: int | None
) -> DataLoader[UUID, Sequence[PromptVersion] | None]:
    """Pages of the same size and start, for many prompts."""
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(
        info,
        f"versions_page:{first}:{before}",
        lambda ids: context.services.prompts.list_versions(tenant_id, ids, first, before),
    )


def releases_page(
    info: Info, first: int, before: UUID | None
) -> DataLoader[UUID, Sequence[PromptRelease] | None]:
    """Pages of the same size and start of many prompts' histories."""
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(
        info,
        f"releases_page:{first}:{before}",
        lambda ids: context.services.releases.list_releases(tenant_id, ids, first, before),
    )


def prompt_performance(
    info: Info, period: UsagePeriod
) -> DataLoader[UUID, PromptPerformance | None]:
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(
        info,
        f"prompt_performance:{period}",
        lambda ids: context.services.reports.performance(tenant_id, ids, period),
    )


def prompt_latencies(info: Info, period: UsagePeriod) -> DataLoader[UUID, PromptLatencies | None]:
    """Percentiles: dear, so that only a field which shows one may load them."""
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(
        info,
        f"prompt_latencies:{period}",
        lambda ids: context.services.reports.latencies(tenant_id, ids, period),
    )


def test_cases(info: Info) -> DataLoader[UUID, Sequence[PromptTestCase] | None]:
    """By prompt."""
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(
        info, "test_cases", lambda ids: context.services.prompt_tests.list_cases(tenant_id, ids)
    )


def test_runs(info: Info, first: int) -> DataLoader[UUID, Sequence[PromptTestRun] | None]:
    """By version, as many of each."""
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(
        info,
        f"test_runs:{first}",
        lambda ids: context.services.prompt_tests.list_runs(tenant_id, ids, first),
    )


def price_changes(info: Info, first: int) -> DataLoader[str, Sequence[PriceChange] | None]:
    """By model id, as many of each."""
    context = info.context
    tenant_id = context.caller.tenant_id
    return _loader(
        info,
        f"price_changes:{first}",
        lambda ids: context.services.prices.list_changes(tenant_id, ids, first),
    )


def budget_members(info: Info, first: int) -> DataLoader[UUID, Sequence[BudgetStanding] | None]:
    """By budget, as many of each."""
    context = info.context
    caller = context.caller
    return _loader(
        info,
        f"budget_members:{first}",
        lambda ids: context.services.budgets.list_members(caller, ids, first),
    )


def completion_by_id(info: Info) -> DataLoader[UUID, Completion | None]:
    context = info.context
    caller = context.caller
    return _loader(
        info, "completion_by_id", lambda ids: context.services.completions.find(caller, ids)
    )


def user_usage(info: Info, period: UsagePeriod) -> DataLoader[str, UsageSummary | None]:
    context = info.context
    caller = context.caller
    return _loader(
        info,
        f"user_usage:{period}",
        lambda ids: context.services.usage.of_users(caller, ids, period),
    )


def service_usage(info: Info, period: UsagePeriod) -> DataLoader[str, UsageSummary | None]:
    context = info.context
    caller = context.caller
    return _loader(
        info,
        f"service_usage:{period}",
        lambda ids: context.services.usage.of_services(caller, ids, period),
    )

"""Removing models: whose row, from whose host, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from assistant.domain.caller import PLATFORM_TENANT, Caller, Scope
from assistant.domain.model import DiscoveredModel, Model, ProviderConfig, ProviderKind
from assistant.domain.ports import ModelCatalog, Provider
from assistant.errors import (
    AssistantError,
    BadUserInput,
    Forbidden,
    NotFound,
    ProviderUnavailable,
)
from assistant.services.model_removal import ModelRemoval
from assistant.services.models import Models
from tests.unit.fake_hosts import FakeHost
from tests.unit.fakes import ALICE, FakeProvider, model

ADMIN = Caller("acme", "ann", None, frozenset({Scope.ADMIN}))
DEVELOPER = replace(ADMIN, is_developer=True)
PLATFORM = replace(ADMIN, tenant_id=PLATFORM_TENANT)

ROW = model("ollama/tiny:1b")


@dataclass
class Rows:
    """Each tenant's own rows of models; everybody sees the platform's beneath."""

    configs: dict[str, ProviderConfig]
    rows: dict[str, dict[str, Model]]

    async def load(self, tenant_id: str) -> ModelCatalog:
        seen = self.rows[PLATFORM_TENANT] | self.rows.get(tenant_id, {})
        return ModelCatalog(self.configs, seen, {})

    async def delete_model(self, tenant_id: str, provider: str, name: str) -> bool:
        return self.rows.get(tenant_id, {}).pop(f"{provider}/{name}", None) is not None


class Service:
    """``own`` and ``platform`` are the models that acme and the platform have rows of."""

    def __init__(
        self,
        *,
        own: tuple[Model, ...] = (),
        platform: tuple[Model, ...] = (),
        host_owner: str = PLATFORM_TENANT,
        is_local: bool = True,
        has: tuple[str, ...] = ("tiny:1b",),
    ) -> None:
        self.host = FakeHost(models=[DiscoveredModel(name) for name in has])
        configs = (
            ProviderConfig("ollama", ProviderKind.OLLAMA, tenant_id=host_owner, is_local=is_local),
            ProviderConfig("openai", ProviderKind.OPENAI, is_local=False),
            ProviderConfig("builtin", ProviderKind.BUILTIN),
        )
        self.store = Rows(
            {config.name: config for config in configs},
            {
                "acme": {row.id: row for row in own},
                PLATFORM_TENANT: {row.id: row for row in platform},
            },
        )

        def connect(config: ProviderConfig) -> Provider:
            return self.host if config.name == "ollama" else FakeProvider()

        self.models = Models(self.store, connect, 30.0)
        self.removal = ModelRemoval(self.store, self.models, connect)  # type: ignore[arg-type]

    def left(self) -> dict[str, list[str]]:
        return {tenant: list(rows) for tenant, rows in self.store.rows.items() if rows}

    async def refusal(self, caller: Caller, id_: str) -> AssistantError:
        before = self.left()
        with pytest.raises(AssistantError) as refused:
            await self.removal.remove(caller, id_)
        assert self.left() == before
        return refused.value


@pytest.mark.parametrize("caller", [DEVELOPER, PLATFORM])
async def test_an_operator_removes_the_platforms_row_and_the_model_from_its_host(
    caller: Caller,
) -> None:
    service = Service(platform=(ROW,))
    await service.models.catalog(caller.tenant_id)

    await service.removal.remove(caller, ROW.id)

    assert service.left() == {}
    assert service.host.deleted == ["tiny:1b"]
    assert ROW.id not in (await service.models.catalog(caller.tenant_id)).models


async def test_a_name_without_a_tag_removes_the_one_that_is_tagged_latest() -> None:
    row = replace(ROW, name="tiny:latest")
    service = Service(platform=(row,), has=("tiny:latest",))

    await service.removal.remove(PLATFORM, "ollama/tiny")

    assert service.left() == {}
    assert service.host.deleted == ["tiny:latest"]


async def test_an_own_row_is_removed_before_the_platforms() -> None:
    service = Service(own=(ROW,), platform=(ROW,))

    await service.removal.remove(DEVELOPER, ROW.id)

    assert service.left() == {PLATFORM_TENANT: [ROW.id]}


async def test_from_a_host_of_their_own_administrators_remove_models_that_no_row_tells_of() -> None:
    service = Service(host_owner="acme")

    await service.removal.remove(ADMIN, ROW.id)

    assert service.host.deleted == ["tiny:1b"]


async def test_an_administrator_removes_an_own_row_and_leaves_the_platforms_host_alone() -> None:
    service = Service(own=(ROW,), platform=(ROW,))

    await service.removal.remove(ADMIN, ROW.id)

    assert service.left() == {PLATFORM_TENANT: [ROW.id]}
    assert service.host.deleted == []


@pytest.mark.parametrize("platform", [(), (ROW,)])
async def test_a_model_of_the_platforms_host_is_the_operators_to_remove(
    platform: tuple[Model, ...],
) -> None:
    service = Service(platform=platform)

    error = await service.refusal(ADMIN, ROW.id)

    assert isinstance(error, Forbidden)
    assert "only the operator" in error.message
    assert service.host.deleted == []


async def test_from_a_host_that_is_not_local_only_the_row_is_removed() -> None:
    service = Service(platform=(ROW, model("openai/gpt-4o")), is_local=False)

    await service.removal.remove(DEVELOPER, ROW.id)
    await service.removal.remove(DEVELOPER, "openai/gpt-4o")

    assert service.left() == {}
    assert service.host.deleted == []


async def test_a_row_stays_when_its_model_cannot_be_removed() -> None:
    service = Service(platform=(ROW,))
    service.host.delete_error = ProviderUnavailable("It is away.")

    assert isinstance(await service.refusal(DEVELOPER, ROW.id), ProviderUnavailable)


@pytest.mark.parametrize("id_", ["", "ollama", "ollama/other", "nobody/tiny:1b", "/", "\x00"])
async def test_what_there_is_not_cannot_be_removed(id_: str) -> None:
    service = Service(platform=(ROW,))

    assert isinstance(await service.refusal(DEVELOPER, id_), NotFound)
    assert service.host.deleted == []


async def test_builtin_models_are_not_removed() -> None:
    service = Service(platform=(model("builtin/extractive"),))

    error = await service.refusal(DEVELOPER, "builtin/extractive")

    assert isinstance(error, BadUserInput)
    assert error.path == ("id",)


async def test_only_administrators_remove_models() -> None:
    assert isinstance(await Service(own=(ROW,)).refusal(ALICE, ROW.id), Forbidden)

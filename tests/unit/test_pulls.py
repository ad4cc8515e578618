"""Downloads of models: one for all who watch, going on without them, told to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace

import pytest

from assistant.domain.caller import PLATFORM_TENANT, Caller, Scope
from assistant.domain.model import Model, ProviderConfig, ProviderKind, PullProgress, full_name
from assistant.domain.ports import ModelCatalog, Provider
from assistant.errors import (
    AssistantError,
    BadUserInput,
    CompletionCancelled,
    Forbidden,
    InternalError,
    NotFound,
    ProviderUnavailable,
)
from assistant.services.models import Models
from assistant.services.pulls import Pulls
from tests.unit.fake_hosts import FakeHost
from tests.unit.fakes import ALICE, FakeProvider, model

ADMIN = Caller("acme", "ann", None, frozenset({Scope.ADMIN}))
OPERATOR = replace(ADMIN, tenant_id=PLATFORM_TENANT)


class Catalogs:
    """A store of a catalog for each tenant; those that are not named see the platform's."""

    def __init__(self, **catalogs: ModelCatalog) -> None:
        self.catalogs = catalogs

    async def load(self, tenant_id: str) -> ModelCatalog:
        return self.catalogs.get(tenant_id) or self.catalogs[PLATFORM_TENANT]


def rows(*models: Model, **providers: ProviderConfig) -> ModelCatalog:
    providers = providers or {"ollama": ProviderConfig("ollama", ProviderKind.OLLAMA)}
    return ModelCatalog(providers, {found.id: found for found in models}, {})


class Service:
    """Pulls over one catalog, or one for each tenant, and over fake providers by name."""

    def __init__(
        self,
        host: FakeHost,
        *models: Model,
        providers: Mapping[str, Provider] | None = None,
        **catalogs: ModelCatalog,
    ) -> None:
        models = models or (model("ollama/tiny:latest"),)
        by_name = providers or {"ollama": host}

        def connect(config: ProviderConfig) -> Provider:
            return by_name[config.name]

        catalogs.setdefault(PLATFORM_TENANT, rows(*models))
        self.models = Models(Catalogs(**catalogs), connect, 30.0)
        self.pulls = Pulls(self.models, connect)

    def pull(self, name: str = "ollama/tiny") -> AsyncGenerator[PullProgress, None]:
        return self.pulls.pull(ADMIN, name)

    def watch(self, name: str = "ollama/tiny") -> asyncio.Task[list[str]]:
        """The statuses that somebody sees who is never slow."""
        return asyncio.create_task(_statuses(self.pull(name)))

    async def refusal(self, name: str, caller: Caller = ADMIN) -> AssistantError:
        with pytest.raises(AssistantError) as refused:
            async with asyncio.timeout(1):
                await anext(self.pulls.pull(caller, name))
        assert self.pulls.running == 0
        return refused.value


async def _statuses(events: AsyncGenerator[PullProgress, None]) -> list[str]:
    async with asyncio.timeout(2):
        return [event.status async for event in events]


async def settled() -> None:
    """Give every task its turn."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("tiny", "tiny:latest"),
        ("tiny:3b", "tiny:3b"),
        ("hf.co/who/tiny", "hf.co/who/tiny:latest"),
        ("host:5000/tiny", "host:5000/tiny:latest"),
    ],
)
def test_a_name_without_a_tag_is_that_of_the_latest(name: str, full: str) -> None:
    assert full_name(name) == full


async def test_a_download_is_told_as_it_goes_and_the_model_is_there_at_its_end() -> None:
    host = FakeHost()
    service = Service(host)
    assert not (await service.models.catalog("acme")).models["ollama/tiny:latest"].is_available

    events = service.pull()
    host.say("pulling manifest")
    assert (await anext(events)).status == "pulling manifest"
    host.finish()
    last = await anext(events)

    assert last.is_done
    assert (await service.models.catalog("acme")).models["ollama/tiny:latest"].is_available
    assert [event async for event in events] == []
    assert host.pulled == ["tiny:latest"]
    assert service.pulls.running == 0


async def test_who_comes_later_gets_the_latest_at_once_and_no_download_of_their_own() -> None:
    host = FakeHost()
    service = Service(host)
    first = service.watch("tiny")
    for status in ("a", "b"):
        await settled()
        host.say(status)
    await settled()

    second = service.watch("ollama/tiny:latest")
    await settled()
    host.finish()

    assert await first == ["a", "b", "success"]
    assert await second == ["b", "success"]
    assert host.pulled == ["tiny:latest"]


async def test_a_download_goes_on_when_everybody_has_left() -> None:
    host = FakeHost()
    service = Service(host)
    events = service.pull()
    host.say("a")
    await anext(events)

    await events.aclose()
    await settled()
    assert (host.stopped, service.pulls.running) == (0, 1)

    host.finish()
    async with asyncio.timeout(1):
        while service.pulls.running:
            await asyncio.sleep(0)
    assert (await service.models.catalog("acme")).models["ollama/tiny:latest"].is_available


async def test_who_is_slow_misses_what_is_between_and_holds_up_nobody() -> None:
    host = FakeHost()
    service = Service(host)
    slow = service.pull()
    host.say("first")
    assert (await anext(slow)).status == "first"
    quick = service.watch()

    for number in range(100):
        host.say(str(number))
        await settled()
    host.finish()

    assert len(await quick) > 50
    assert [event.status async for event in slow] == ["success"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (NotFound("There is no such model."), NotFound),
        (ProviderUnavailable("It went away."), ProviderUnavailable),
        (RuntimeError("a defect"), InternalError),
    ],
)
async def test_a_failure_ends_every_stream_with_its_error_and_the_next_starts_anew(
    failure: Exception, kind: type[AssistantError]
) -> None:
    host = FakeHost()
    service = Service(host)
    watching = [service.watch(), service.watch()]
    await settled()

    host.say("a", failure)
    found = await asyncio.gather(*watching, return_exceptions=True)

    assert [type(each) for each in found] == [kind, kind]
    assert (service.pulls.running, host.stopped) == (0, 1)
    again = service.watch()
    host.finish()
    assert await again == ["success"]
    assert len(host.pulled) == 2


async def test_who_comes_after_the_end_starts_a_download_that_ends_at_once() -> None:
    host = FakeHost()
    service = Service(host)
    for _ in range(2):
        host.finish()
        assert await service.watch() == ["success"]

    assert host.pulled == ["tiny:latest"] * 2


async def test_at_shutdown_downloads_stop_and_everybody_is_told() -> None:
    host = FakeHost()
    service = Service(host, model("ollama/a:1"), model("ollama/b:1"))
    begun = service.watch("a:1")
    await settled()
    just_asked = service.pull("b:1")
    waiting = asyncio.ensure_future(anext(just_asked))
    while service.pulls.running < 2:  # its task exists and has not run yet
        await asyncio.sleep(0)

    await service.pulls.close()

    for each in (begun, waiting):
        with pytest.raises(CompletionCancelled):
            async with asyncio.timeout(1):
                await each
    assert service.pulls.running == 0
    await service.pulls.close()


async def test_only_administrators_fetch_models() -> None:
    with pytest.raises(Forbidden, match="assistant:admin"):
        await anext(Service(FakeHost()).pulls.pull(ALICE, "tiny"))


@pytest.mark.parametrize("row", [model("ollama/tiny:latest", is_allowed=False), model("ollama/b")])
async def test_a_model_that_nobody_allowed_is_refused_saying_how_to_allow_it(row: Model) -> None:
    host = FakeHost()

    error = await Service(host, row).refusal("tiny")

    assert isinstance(error, Forbidden)
    assert 'setModel(input: {id: "ollama/tiny:latest", isAllowed: true})' in error.message
    assert host.pulled == []


async def test_a_tenant_fetches_to_the_platforms_host_what_the_platform_allows() -> None:
    own = rows(model("ollama/huge:405b"), model("ollama/tiny:latest"))
    service = Service(FakeHost(), acme=own, platform=rows(model("ollama/tiny:latest")))

    error = await service.refusal("huge:405b")

    assert isinstance(error, Forbidden)
    assert "belongs to the platform" in error.message


@pytest.mark.parametrize(
    ("caller", "owner"), [(ADMIN, "acme"), (replace(ADMIN, is_developer=True), PLATFORM_TENANT)]
)
async def test_to_a_host_of_their_own_and_as_operators_they_fetch_what_they_allow(
    caller: Caller, owner: str
) -> None:
    host = FakeHost()
    config = ProviderConfig("ollama", ProviderKind.OLLAMA, tenant_id=owner)
    own = rows(model("ollama/huge:405b"), ollama=config)
    service = Service(host, acme=own, platform=rows())

    host.finish()

    assert await _statuses(service.pulls.pull(caller, "huge:405b")) == ["success"]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("", BadUserInput, "1 to 256"),
        ("x" * 257, BadUserInput, "1 to 256"),
        ("a\x00", BadUserInput, "NUL"),
        ("openai/gpt-4o", BadUserInput, "No models can be fetched to 'openai'"),
        ("gpu/", BadUserInput, "No models can be fetched to 'gpu'"),
        ("off/tiny", ProviderUnavailable, "disabled"),
        ("nothing", Forbidden, "gpu/nothing:latest"),
    ],
)
async def test_a_name_that_means_no_model_of_a_host_is_refused(
    name: str, kind: type[AssistantError], words: str
) -> None:
    host = FakeHost()
    configs = {
        "builtin": ProviderConfig("builtin", ProviderKind.BUILTIN),
        "openai": ProviderConfig("openai", ProviderKind.OPENAI, is_local=False),
        "off": ProviderConfig("off", ProviderKind.OLLAMA, is_enabled=False),
        "gpu": ProviderConfig("gpu", ProviderKind.OLLAMA),
    }
    providers = {name: FakeProvider() for name in configs} | {"gpu": host, "off": host}
    service = Service(host, providers=providers, platform=rows(**configs))

    error = await service.refusal(name)

    assert type(error) is kind
    assert words in error.message
    if isinstance(error, BadUserInput):
        assert error.path == ("name",)


async def test_a_bare_name_is_of_ollama_before_other_local_hosts() -> None:
    hosts = {"another": FakeHost(), "ollama": FakeHost()}
    configs = {name: ProviderConfig(name, ProviderKind.OLLAMA) for name in hosts}
    found = rows(model("ollama/tiny:latest"), model("another/tiny:latest"), **configs)
    service = Service(hosts["ollama"], providers=hosts, platform=found)

    hosts["ollama"].finish()
    await service.watch("tiny")
    hosts["another"].finish()
    await service.watch("another/tiny")

    assert [host.pulled for host in hosts.values()] == [["tiny:latest"], ["tiny:latest"]]


async def test_without_a_local_host_it_is_said_how_to_add_one() -> None:
    configs = {"builtin": ProviderConfig("builtin", ProviderKind.BUILTIN)}
    service = Service(FakeHost(), providers={"builtin": FakeProvider()}, platform=rows(**configs))

    error = await service.refusal("tiny")

    assert isinstance(error, ProviderUnavailable)
    assert "setProvider" in error.message

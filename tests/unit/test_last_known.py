"""What the database said last, for the time that it says nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from structlog.testing import capture_logs

from assistant.domain.model import DiscoveredModel
from assistant.domain.ports import ModelCatalog
from assistant.errors import StorageUnavailable
from assistant.services.last_known import LastKnown
from assistant.services.models import Models
from tests.unit.fakes import FakeProvider, catalog, model

AWAY = StorageUnavailable("The database cannot be reached.")


class Source:
    """What may be read: a value, nothing, or an error; counts its readers."""

    def __init__(self, value: str | None = "old") -> None:
        self.value = value
        self.error: StorageUnavailable | None = None
        self.reads = 0

    async def read(self) -> str | None:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.value


class SlowSource:
    """Readers that begin now and end when they are told to, with what they are told."""

    def __init__(self) -> None:
        self.readers: list[asyncio.Future[str | None]] = []

    async def read(self) -> str | None:
        self.readers.append(asyncio.get_running_loop().create_future())
        return await self.readers[-1]


def everything(_key: str) -> bool:
    return True


@pytest.fixture
def known() -> LastKnown[str, str]:
    return LastKnown("word", 100)


async def begin(
    known: LastKnown[str, str], read: Callable[[], Awaitable[str | None]]
) -> asyncio.Task[str | None]:
    task = asyncio.create_task(known.get("a", read))
    await asyncio.sleep(0)
    return task


# ------------------------------------------------------------------ while there is a database


async def test_what_is_known_is_read_once(known: LastKnown[str, str]) -> None:
    source = Source()

    assert [await known.get("a", source.read) for _ in range(3)] == ["old"] * 3
    assert source.reads == 1


async def test_what_is_forgotten_is_read_anew_and_nothing_else(
    known: LastKnown[str, str],
) -> None:
    source = Source()
    await known.get("a", source.read)
    await known.get("b", source.read)
    source.value = "new"

    known.forget(lambda key: key == "a")

    assert [await known.get(key, source.read) for key in "aabb"] == ["new", "new", "old", "old"]
    assert source.reads == 3


async def test_what_does_not_exist_is_none_and_looked_for_every_time(
    known: LastKnown[str, str],
) -> None:
    source = Source(None)

    assert [await known.get("a", source.read) for _ in range(2)] == [None, None]
    assert source.reads == 2


async def test_what_is_deleted_is_gone_also_when_the_database_goes_away(
    known: LastKnown[str, str],
) -> None:
    source = Source()
    await known.get("a", source.read)
    known.forget(everything)
    source.value = None

    assert await known.get("a", source.read) is None

    source.error = AWAY
    with pytest.raises(StorageUnavailable):
        await known.get("a", source.read)


async def test_only_so_many_are_kept_those_that_were_used_last() -> None:
    known, source = LastKnown[str, str]("word", 2), Source()
    for key in "abac":
        await known.get(key, source.read)
    source.reads = 0

    assert [known.is_fresh(key) for key in "abc"] == [True, False, True]


async def test_only_what_was_read_and_not_forgotten_since_is_fresh(
    known: LastKnown[str, str],
) -> None:
    assert not known.is_fresh("a")
    await known.get("a", Source().read)
    assert known.is_fresh("a")
    known.forget(everything)
    assert not known.is_fresh("a")


# ------------------------------------------------------------------ changes in the middle of reading


async def test_a_change_while_it_is_read_makes_the_next_caller_read_again(
    known: LastKnown[str, str],
) -> None:
    source = SlowSource()
    first = await begin(known, source.read)
    known.forget(everything)
    source.readers[0].set_result("before the change")
    assert await first == "before the change"

    second = await begin(known, source.read)
    source.readers[1].set_result("after it")

    assert await second == "after it"
    assert known.is_fresh("a")


async def test_what_was_read_before_a_change_does_not_take_the_place_of_what_was_read_after(
    known: LastKnown[str, str],
) -> None:
    source = SlowSource()
    early = await begin(known, source.read)
    known.forget(everything)
    late = await begin(known, source.read)

    source.readers[1].set_result("new")
    assert await late == "new"
    source.readers[0].set_result("old")
    assert await early == "old"

    assert await known.get("a", Source("unread").read) == "new"


async def test_a_reader_that_found_nothing_before_a_change_does_not_drop_what_was_made_by_it(
    known: LastKnown[str, str],
) -> None:
    source = SlowSource()
    early = await begin(known, source.read)
    known.forget(everything)
    late = await begin(known, source.read)
    source.readers[1].set_result("made")
    await late
    source.readers[0].set_result(None)
    await early

    assert await known.get("a", Source("unread").read) == "made"


async def test_a_reader_that_fails_gets_what_another_has_read_meanwhile(
    known: LastKnown[str, str],
) -> None:
    source = SlowSource()
    failing, lucky = await begin(known, source.read), await begin(known, source.read)
    source.readers[1].set_result("new")
    await lucky
    source.readers[0].set_exception(AWAY)

    with capture_logs() as lines:
        assert await failing == "new"
    assert lines == []  # it is not the last known, but what is


# ------------------------------------------------------------------ while there is none


async def test_while_the_database_is_away_the_last_known_serves(
    known: LastKnown[str, str],
) -> None:
    source = Source()
    await known.get("a", source.read)
    known.forget(everything)
    source.value, source.error = "new", AWAY

    assert [await known.get("a", source.read) for _ in range(2)] == ["old", "old"]

    source.error = None
    assert await known.get("a", source.read) == "new"


async def test_what_was_never_known_cannot_be_had_while_the_database_is_away(
    known: LastKnown[str, str],
) -> None:
    source = Source()
    source.error = AWAY

    with pytest.raises(StorageUnavailable) as caught:
        await known.get("a", source.read)

    assert caught.value is AWAY


async def test_that_the_last_known_serves_is_logged_once_for_each_value_and_outage(
    known: LastKnown[str, str],
) -> None:
    source = Source()
    for key in "ab":
        await known.get(key, source.read)

    for _outage in range(2):
        known.forget(everything)
        source.error = AWAY
        with capture_logs() as lines:
            for key in "aabba":
                await known.get(key, source.read)
        assert lines == [
            {
                "event": "last_known_serves",
                "log_level": "warning",
                "what": "word",
                "key": key,
                "reason": "The database cannot be reached.",
            }
            for key in "ab"
        ]
        source.error = None
        for key in "ab":
            await known.get(key, source.read)


# ------------------------------------------------------------------ as models use it


class Rows:
    """A ModelStore that can be away."""

    def __init__(self) -> None:
        self.rows: ModelCatalog = catalog(model("ollama/a"))
        self.is_away = False
        self.loads = 0

    async def load(self, tenant_id: str) -> ModelCatalog:
        self.loads += 1
        if self.is_away:
            raise AWAY
        return self.rows


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def models(rows: Rows) -> Models:
    there = [DiscoveredModel("a"), DiscoveredModel("b")]
    return Models(rows, lambda _config: FakeProvider(models=there), 30.0)


async def allowed(models: Models) -> list[str]:
    return [m.id for m in (await models.catalog("acme")).models.values() if m.is_allowed]


async def test_models_are_served_as_they_were_last_while_the_database_is_away(
    models: Models, rows: Rows
) -> None:
    await models.catalog("acme")
    rows.rows, rows.is_away = catalog(model("ollama/a"), model("ollama/b")), True
    models.forget("acme")

    with capture_logs() as lines:
        assert [await allowed(models) for _ in range(3)] == [["ollama/a"]] * 3

    assert [line["what"] for line in lines] == ["models"]
    with pytest.raises(StorageUnavailable):
        await models.catalog("globex")


async def test_models_are_read_anew_once_the_database_is_back_without_another_notice(
    models: Models, rows: Rows
) -> None:
    await models.catalog("acme")
    rows.rows, rows.is_away = catalog(model("ollama/a"), model("ollama/b")), True
    models.forget("acme")
    await models.catalog("acme")

    rows.is_away = False
    assert await allowed(models) == ["ollama/a", "ollama/b"]

    rows.loads = 0
    await models.catalog("acme")
    assert rows.loads == 0


async def test_models_that_were_read_before_a_change_do_not_take_the_place_of_what_came_after(
    rows: Rows,
) -> None:
    answers = asyncio.Event()

    class Slow(FakeProvider):
        async def list_models(self) -> Sequence[DiscoveredModel]:
            await answers.wait()
            return ()

    models = Models(
        rows,
        lambda config: Slow() if config.name == "ollama" else FakeProvider(),
        30.0,
    )
    early = asyncio.create_task(models.catalog("acme"))
    await asyncio.sleep(0)
    rows.rows = catalog(model("openai/b"))
    models.forget("acme")
    assert await allowed(models) == ["openai/b"]

    answers.set()
    assert "ollama/a" in (await early).models

    assert await allowed(models) == ["openai/b"]

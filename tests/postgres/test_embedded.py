"""The embedded server: any folder, any number of processes, any kind of death."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import psutil
import psycopg
import pytest
from sqlalchemy import make_url

from assistant.adapters.postgres.embedded import EmbeddedPostgres
from assistant.adapters.postgres.errors import DatabaseStartError
from tests.postgres.server import connect

# Joins the server of a folder, says so, and stays until its input ends.
JOIN = """
import asyncio, sys
from pathlib import Path
from assistant.adapters.postgres.embedded import EmbeddedPostgres

async def main():
    embedded = EmbeddedPostgres(Path(sys.argv[1]))
    await embedded.start()
    print("joined", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await embedded.stop()

asyncio.run(main())
"""


@asynccontextmanager
async def joined(folder: Path) -> AsyncIterator[str]:
    embedded = EmbeddedPostgres(folder)
    url = await embedded.start()
    try:
        yield url
    finally:
        await embedded.stop()


def join_in_process(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", JOIN, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def await_joined(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "joined\n"


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("", timeout=30)
    assert process.returncode == 0


def server_pid(folder: Path) -> int:
    return int((folder / "postmaster.pid").read_text().splitlines()[0])


def is_running(pid: int) -> bool:
    """Whether the process is there and stays: one that is about to leave gets a moment."""
    for _ in range(20):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            return False
        time.sleep(0.01)
    return True


async def answers(url: str) -> bool:
    async with await connect(url) as connection:
        cursor = await connection.execute("SELECT 1")
        return await cursor.fetchone() == (1,)


@pytest.mark.parametrize(
    "name",
    ["plain", "with space", 'it\'s "quoted" $HOME `id`', "a,b", "long" * 40, "Grüße"],
    ids=["plain", "space", "quotes", "comma", "long", "umlaut"],
)
async def test_it_starts_in_any_folder(short_folder: Path, name: str) -> None:
    folder = short_folder / name / "postgres"

    async with joined(folder) as url:
        assert await answers(url)
        socket_folder = Path(str(make_url(url).query["host"]))

    assert not (folder / "postmaster.pid").exists()
    assert socket_folder == folder or not socket_folder.exists()


async def test_data_survives_a_restart(short_folder: Path) -> None:
    folder = short_folder / "postgres"
    async with joined(folder) as url, await connect(url) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    async with joined(folder) as url, await connect(url) as connection:
        cursor = await connection.execute("SELECT answer FROM kept")
        assert await cursor.fetchone() == (42,)


async def test_it_listens_on_no_tcp_port_and_lets_nobody_else_in(short_folder: Path) -> None:
    folder = short_folder / "postgres"
    async with joined(folder) as url, await connect(url) as connection:
        cursor = await connection.execute("SHOW listen_addresses")
        assert await cursor.fetchone() == ("",)
        assert psutil.Process(server_pid(folder)).net_connections("inet") == []
        assert folder.stat().st_mode & 0o077 == 0
        assert (folder / ".s.PGSQL.5432").stat().st_mode & 0o077 == 0


async def test_its_owner_is_no_superuser_and_pgvector_is_there(short_folder: Path) -> None:
    async with joined(short_folder / "postgres") as url, await connect(url) as connection:
        cursor = await connection.execute(
            "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        )
        assert await cursor.fetchone() == (False,)
        cursor = await connection.execute("SELECT '[1,2]'::vector <-> '[1,2]'::vector")
        assert await cursor.fetchone() == (0.0,)


async def test_commits_are_durable(short_folder: Path) -> None:
    async with joined(short_folder / "postgres") as url, await connect(url) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            cursor = await connection.execute(f"SHOW {setting}")
            assert await cursor.fetchone() == ("on",)


async def test_two_users_of_one_folder_share_one_server_and_the_last_stops_it(
    short_folder: Path,
) -> None:
    folder = short_folder / "postgres"
    first, second = EmbeddedPostgres(folder), EmbeddedPostgres(folder)
    await first.start()
    pid = server_pid(folder)
    url = await second.start()
    assert server_pid(folder) == pid

    await first.stop()
    assert await answers(url)
    await second.stop()
    assert not is_running(pid)


def test_processes_that_start_at_once_in_a_new_folder_share_one_server(
    short_folder: Path,
) -> None:
    folder = short_folder / "postgres"
    processes = [join_in_process(folder) for _ in range(3)]
    for process in processes:
        await_joined(process)
    pid = server_pid(folder)

    for process in processes[:-1]:
        leave(process)
        assert is_running(pid)
    leave(processes[-1])
    assert not is_running(pid)


async def test_a_user_that_was_killed_does_not_keep_the_server_alive(short_folder: Path) -> None:
    folder = short_folder / "postgres"
    victim = join_in_process(folder)
    await asyncio.to_thread(await_joined, victim)
    pid = server_pid(folder)
    survivor = EmbeddedPostgres(folder)
    await survivor.start()

    victim.kill()
    victim.communicate()
    assert is_running(pid)
    await survivor.stop()

    assert not is_running(pid)


async def test_a_server_left_running_by_kill_9_is_joined_again(short_folder: Path) -> None:
    folder = short_folder / "postgres"
    victim = join_in_process(folder)
    await asyncio.to_thread(await_joined, victim)
    pid = server_pid(folder)
    victim.kill()
    victim.communicate()

    async with joined(folder) as url:
        assert await answers(url)
        assert server_pid(folder) == pid
    assert not is_running(pid)


async def test_ctrl_c_in_the_terminal_does_not_reach_the_server(short_folder: Path) -> None:
    folder = short_folder / "postgres"
    async with joined(folder) as url:
        assert os.getpgid(server_pid(folder)) != os.getpgid(0)
        assert os.getsid(server_pid(folder)) != os.getsid(0)
        assert await answers(url)


async def test_a_server_that_dies_is_started_again(short_folder: Path) -> None:
    folder = short_folder / "postgres"
    async with joined(folder) as url:
        pid = server_pid(folder)
        os.kill(pid, signal.SIGKILL)
        await until_answers(url)
        assert server_pid(folder) != pid


async def test_a_folder_left_by_kill_9_of_everything_starts_again(short_folder: Path) -> None:
    folder = short_folder / "postgres"
    victim = join_in_process(folder)
    await asyncio.to_thread(await_joined, victim)
    os.kill(server_pid(folder), signal.SIGKILL)
    victim.kill()
    victim.communicate()
    assert (folder / "postmaster.pid").exists()

    async with joined(folder) as url:
        assert await answers(url)


async def test_a_process_id_that_now_belongs_to_another_program_does_not_matter(
    short_folder: Path,
) -> None:
    folder = short_folder / "postgres"
    async with joined(folder):
        lines = (folder / "postmaster.pid").read_text().splitlines()
    # The parent of this process: alive, somebody's, and not PostgreSQL.
    (folder / "postmaster.pid").write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")

    async with joined(folder) as url:
        assert await answers(url)


async def test_an_unfinished_first_start_is_begun_anew(short_folder: Path) -> None:
    unfinished = short_folder / "postgres.new"
    (unfinished / "base").mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")

    async with joined(short_folder / "postgres") as url:
        assert await answers(url)
    assert not unfinished.exists()


# ------------------------------------------------------------------ what cannot work, and says so


async def refusal(folder: Path) -> str:
    with pytest.raises(DatabaseStartError) as caught:
        await EmbeddedPostgres(folder).start()
    message = str(caught.value)
    assert "\n" not in message
    return message


async def test_a_file_in_the_place_of_the_data_folder_is_named(short_folder: Path) -> None:
    (short_folder / "data").write_text("")

    message = await refusal(short_folder / "data" / "postgres")

    assert str(short_folder / "data") in message
    assert "a file is in its place" in message
    assert "ASSISTANT_DATA_DIR" in message


async def test_a_file_in_the_place_of_the_cluster_is_named(short_folder: Path) -> None:
    (short_folder / "postgres").write_text("")

    assert "a file is in its place" in await refusal(short_folder / "postgres")


async def test_a_folder_of_other_things_is_left_alone(short_folder: Path) -> None:
    precious = short_folder / "postgres" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("do not delete")

    assert "no database" in await refusal(short_folder / "postgres")
    assert precious.read_text() == "do not delete"


async def test_data_of_another_major_version_is_refused_by_number(short_folder: Path) -> None:
    folder = short_folder / "postgres"
    folder.mkdir()
    (folder / "PG_VERSION").write_text("15\n")

    message = await refusal(folder)

    assert "PostgreSQL 15" in message
    assert "18" in message


async def test_damaged_data_is_reported_with_the_servers_own_reason(short_folder: Path) -> None:
    folder = short_folder / "postgres"
    async with joined(folder):
        pass
    (folder / "global" / "pg_control").unlink()

    assert "pg_control" in await refusal(folder)


def test_a_folder_without_write_permission_is_named(short_folder: Path) -> None:
    short_folder.chmod(0o755)
    data = short_folder / "data"
    data.mkdir(mode=0o555)

    def lose_rights() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)

    message = start_in_fork(data / "postgres", lose_rights)

    assert str(data) in message
    assert "permission denied" in message


def test_a_disk_that_takes_no_more_is_reported(short_folder: Path) -> None:
    def allow_only_small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    message = start_in_fork(short_folder / "postgres", allow_only_small_files)

    assert "a new database cannot be made" in message
    assert "File size limit exceeded" in message or "File too large" in message
    assert not (short_folder / "postgres").exists()
    assert not (short_folder / "postgres.new").exists()


def start_in_fork(folder: Path, prepare: Callable[[], None]) -> str:
    """What a process with less than ours is told when it starts the server."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _start_and_tell(folder, prepare, write)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    assert "\n" not in told
    return told


def _start_and_tell(folder: Path, prepare: Callable[[], None], write: int) -> NoReturn:
    told = "it started"
    try:
        prepare()
        asyncio.run(EmbeddedPostgres(folder).start())
    except DatabaseStartError as error:
        told = str(error)
    except BaseException as error:  # noqa: BLE001 - told to the parent, which fails
        told = repr(error)
    finally:
        os.write(write, told.encode())
        os._exit(0)


async def until_answers(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            assert await answers(url)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            return

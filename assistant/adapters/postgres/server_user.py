"""Who runs the embedded server. PostgreSQL refuses to run as root, so root lends it another user."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from assistant.adapters.postgres.errors import DatabaseStartError

_NAME = "pgserver"
_ENTER = stat.S_IXOTH
_READ = stat.S_IROTH


@dataclass(frozen=True, slots=True)
class ServerUser:
    """A user of this machine that may run the server."""

    name: str
    uid: int
    gid: int

    def owns(self, folder: Path) -> None:
        """Give ``folder`` to the user, closed to everybody else."""
        os.chown(folder, self.uid, self.gid)
        folder.chmod(0o700)

    def reaches(self, path: Path) -> None:
        """Let the user pass through every folder above ``path``.

        Where a folder is closed to it, anybody may pass through from now on, but not look
        inside: the least that works. Only root's own folders are opened like this.

        Raises: DatabaseStartError where a folder belongs to somebody else.
        """
        for folder in path.parents:
            found = folder.stat()
            if self._may_enter(found):
                continue
            if found.st_uid != os.geteuid():
                raise DatabaseStartError(
                    f"the embedded database runs as the user {self.name}, who may not pass "
                    f"through {folder}; run `chmod o+x {folder}`, or start as its owner "
                    "instead of root, or set ASSISTANT_DATABASE_URL"
                )
            folder.chmod(stat.S_IMODE(found.st_mode) | _ENTER)

    def may_run(self, program: Path) -> bool:
        """Whether the user may run ``program``, as far as the file itself is concerned."""
        mode = program.stat().st_mode
        return bool(mode & _ENTER and mode & _READ)

    def _may_enter(self, found: os.stat_result) -> bool:
        if found.st_uid == self.uid:
            return bool(found.st_mode & stat.S_IXUSR)
        if found.st_gid == self.gid:
            return bool(found.st_mode & stat.S_IXGRP)
        return bool(found.st_mode & _ENTER)


def find_server_user(folder: Path) -> ServerUser | None:
    """The user to switch to, made if need be; None where the process need not switch.

    A cluster in ``folder`` goes on under the user that it belongs to.

    Raises: DatabaseStartError.
    """
    if os.geteuid() != 0:
        return None
    try:
        owner = folder.stat()
        if owner.st_uid != 0:
            return ServerUser(pwd.getpwuid(owner.st_uid).pw_name, owner.st_uid, owner.st_gid)
    except (FileNotFoundError, KeyError):
        pass
    try:
        entry = pwd.getpwnam(_NAME)
    except KeyError:
        entry = _make_user()
    return ServerUser(_NAME, entry.pw_uid, entry.pw_gid)


def _make_user() -> pwd.struct_passwd:
    problem = ""
    try:
        made = subprocess.run(  # noqa: S603 - constants
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _NAME],  # noqa: S607 - its folder differs between systems
            capture_output=True,
            text=True,
            check=False,
        )
        problem = made.stderr.strip()
    except OSError as error:
        problem = str(error)
    try:
        # Looked up even after a failure: another process may have made it meanwhile.
        return pwd.getpwnam(_NAME)
    except KeyError:
        raise DatabaseStartError(
            f"the embedded database cannot run as root and no user {_NAME} can be made "
            f"({problem}); start as another user or set ASSISTANT_DATABASE_URL"
        ) from None


def open_to_all(folder: Path) -> None:
    """Make installed files readable, and programs runnable, where a strict umask closed them."""
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | _READ | (_ENTER if mode & stat.S_IXUSR else 0))

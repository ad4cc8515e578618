"""Node and the packages of a folder, for tests of what runs on it.

Without Node such tests are skipped on a developer's machine; in CI (``CI=true``) they fail.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

_NEEDED_NODE = 20


def lacking(what: str) -> NoReturn:
    """Skip the test; in CI, where nothing may be lacking, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def node_with_packages(folder: Path) -> str:
    """The Node that has the packages of ``folder``, installed once per lock file."""
    path, npm = shutil.which("node"), shutil.which("npm")
    if path is None or npm is None:
        lacking(f"the tests of {folder.name} need Node >= {_NEEDED_NODE} with npm")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    major = re.match(r"v(\d+)", version)
    if major is None or int(major[1]) < _NEEDED_NODE:
        lacking(
            f"the tests of {folder.name} need Node >= {_NEEDED_NODE}, this is {version.strip()}"
        )
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules" / ".lock"
    if not stamp.is_file() or stamp.read_text() != lock:
        subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True
        )
        stamp.write_text(lock)
    return path

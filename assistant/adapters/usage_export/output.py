"""Where an export goes: to a file that is there whole or not at all, or down a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from assistant.errors import BadUserInput

STDOUT = Path("-")


@contextmanager
def opened_output(path: Path) -> Iterator[BinaryIO]:
    """What to write to; ``-`` is the standard output.

    A file appears under its name when the block has ended well, in place of an older one.

    Raises: BadUserInput where it cannot be written; BrokenPipeError where the reader has gone.
    """
    try:
        with _opened(path) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BadUserInput(f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if path == STDOUT:
        with _to_the_end(os.fdopen(os.dup(sys.stdout.fileno()), "wb")) as file:
            yield file
        return
    if path.exists() and not path.is_file() and not path.is_dir():
        with _to_the_end(path.open("wb")) as file:  # a device or a pipe takes what comes
            yield file
        return
    path = path.resolve()  # a link stays one: what it leads to is replaced
    unfinished = path.with_name(f".{path.name[:100]}.{uuid4().hex[:8]}")
    if path.is_dir():
        raise IsADirectoryError(None, "Is a directory")
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def _to_the_end(file: BinaryIO) -> Iterator[BinaryIO]:
    """Close a pipe, and do not mind that it cannot take the rest where it broke."""
    try:
        yield file
        file.flush()
    finally:
        with suppress(BrokenPipeError):
            file.close()

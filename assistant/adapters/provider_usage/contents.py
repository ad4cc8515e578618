"""What a file consists of, whoever wrote it: pages of JSON, or a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from assistant.errors import BadUserInput

MOST_BYTES = 256 * 1024 * 1024

Pages: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows by the names of their columns; values are texts without spaces around them."""

    columns: frozenset[str]
    rows: Sequence[Mapping[str, str]]


def read_contents(path: Path) -> Pages | Table:
    """What is in a file: JSON where it begins as such, else a table with commas or tabs.

    Raises: BadUserInput, saying what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise BadUserInput(f"more than {MOST_BYTES >> 20} MiB; fetch fewer days at once")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise BadUserInput(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadUserInput("is not UTF-8 text") from error
    if text.lstrip()[:1] in {"{", "["}:
        return _pages(text)
    return _table(text)


def _pages(text: str) -> Pages:
    """Pages as they were fetched: one, several behind each other, or a list; of buckets one page."""
    # Amounts are money: they never become floats.
    decoder = JSONDecoder(parse_float=Decimal, parse_constant=_no_number)
    found: list[Any] = []
    at = 0
    try:
        while (at := _next(text, at)) < len(text):
            document, at = decoder.raw_decode(text, at)
            found += document if isinstance(document, list) else [document]
    except JSONDecodeError as error:
        raise BadUserInput(
            f"line {error.lineno}, column {error.colno}: is not JSON: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadUserInput("has a number that is too long, or lists in too many lists") from error
    if not all(isinstance(document, dict) for document in found):
        raise BadUserInput("has something other than pages of usage in it")
    if found and not any("data" in document for document in found):
        return [{"data": found, "object": "page", "has_more": False}]
    return found


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _no_number(_: str) -> NoReturn:
    raise ValueError


def _table(text: str) -> Table:
    head = text.partition("\n")[0]
    lines = csv.reader(
        io.StringIO(text, newline=""), delimiter="\t" if "\t" in head else ",", strict=True
    )
    try:
        names = [name.strip() for name in next(lines, [])]
        rows: list[Mapping[str, str]] = []
        for line in lines:
            if not any(cell.strip() for cell in line):
                continue
            if len(line) != len(names):
                raise BadUserInput(
                    f"line {lines.line_num} has {len(line)} columns, and the first {len(names)}"
                )
            rows.append({name: cell.strip() for name, cell in zip(names, line, strict=True)})
    except csv.Error as error:
        raise BadUserInput(f"line {lines.line_num}: is not CSV: {error}") from error
    if len(set(names)) != len(names):
        raise BadUserInput("has two columns of the same name")
    return Table(frozenset(names), rows)

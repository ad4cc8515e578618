"""CSV and JSON Lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, BinaryIO

from assistant.adapters.usage_export.columns import COLUMNS, ColumnKind, in_digits, values_of
from assistant.domain.usage_log import UsageRow

# A spreadsheet takes a cell that begins so for a formula, and runs it; the last four are the first
# four as East Asian keyboards have them.
# Source: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_GUARD = "'"
_IS_TEXT = [column.kind is ColumnKind.TEXT for column in COLUMNS]


class CsvWriter:
    """The UsageWriter port: RFC 4180 with a line of names, UTF-8, nothing for null.

    Text that a spreadsheet would run has ``'`` before it, and so has text that begins with ``'``:
    who takes one away has the text as it was. Numbers are never negative here.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._write([[column.name for column in COLUMNS]])

    def write(self, rows: Sequence[UsageRow]) -> None:
        self._write(
            [
                _guarded(value) if is_text else value
                for value, is_text in zip(_cells(row), _IS_TEXT, strict=True)
            ]
            for row in rows
        )

    def finish(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    def _write(self, lines: Any) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._file.write(text.getvalue().encode())


class JsonLinesWriter:
    """The UsageWriter port: an object a line, with every column; money as text, so that none is a float."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._names = [column.name for column in COLUMNS]

    def write(self, rows: Sequence[UsageRow]) -> None:
        lines = (
            json.dumps(
                dict(zip(self._names, _values(row), strict=True)),
                ensure_ascii=False,
                separators=(",", ":"),
            )
            for row in rows
        )
        self._file.write("".join(f"{line}\n" for line in lines).encode())

    def finish(self) -> None:
        pass

    def abandon(self) -> None:
        pass


def _values(row: UsageRow) -> list[Any]:
    return [
        in_digits(value, column.kind) for value, column in zip(values_of(row), COLUMNS, strict=True)
    ]


def _cells(row: UsageRow) -> list[Any]:
    return [str(value).lower() if isinstance(value, bool) else value for value in _values(row)]


def _guarded(value: str | None) -> str | None:
    if value is not None and value.startswith((*_FORMULA_SIGNS, _GUARD)):
        return f"{_GUARD}{value}"
    return value

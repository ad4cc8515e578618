"""Parquet, with exact decimals."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, BinaryIO

from assistant.adapters.usage_export.columns import COLUMNS, ColumnKind, values_of
from assistant.domain.usage_log import UsageRow
from assistant.errors import BadUserInput

# Readers skip what they do not ask for by groups of rows: neither many of them nor large ones.
# Source: https://arrow.apache.org/docs/python/parquet.html (row_group_size)
_ROWS_PER_GROUP = 100_000


class _Sink(io.RawIOBase):
    """Passes on what is written, until no more is wanted.

    Arrow's writer ends its file even where it is only thrown away: half of an export would be a
    valid file then.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.is_abandoned = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.is_abandoned:
            self._file.write(data)
        return len(data)


class ParquetWriter:
    """The UsageWriter port. Money is decimal(38, 18): 20 digits before the point, 18 after it.

    A price has at most 9 decimals for a million tokens, so a cost has at most 15.
    """

    def __init__(self, file: BinaryIO) -> None:
        # Only who asks for this format waits for it to load, or needs it at all.
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise BadUserInput(
                "The format parquet needs the package pyarrow: pip install 'assistant[parquet]'."
            ) from error
        kinds = {
            ColumnKind.TEXT: pyarrow.string(),
            ColumnKind.WHOLE: pyarrow.int64(),
            ColumnKind.MONEY: pyarrow.decimal128(38, 18),
            ColumnKind.TRUTH: pyarrow.bool_(),
            ColumnKind.TIME: pyarrow.timestamp("us", tz="UTC"),
        }
        self._arrow = pyarrow
        self._sink = _Sink(file)
        self._schema = pyarrow.schema([(column.name, kinds[column.kind]) for column in COLUMNS])
        self._writer = parquet.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._batches: list[Any] = []
        self._waiting_rows = 0

    def write(self, rows: Sequence[UsageRow]) -> None:
        self._batches.append(self._batch(rows))
        self._waiting_rows += len(rows)
        if self._waiting_rows >= _ROWS_PER_GROUP:
            self._write_group()

    def finish(self) -> None:
        self._write_group()
        self._writer.close()

    def abandon(self) -> None:
        self._sink.is_abandoned = True

    def _write_group(self) -> None:
        if self._batches:
            table = self._arrow.Table.from_batches(self._batches, self._schema)
            self._writer.write_table(table, row_group_size=self._waiting_rows)
            self._batches.clear()
            self._waiting_rows = 0

    def _batch(self, rows: Sequence[UsageRow]) -> Any:
        columns = zip(*map(values_of, rows), strict=True)
        try:
            arrays = [
                self._arrow.array(
                    _texts(values) if column.kind is ColumnKind.TEXT else values,
                    type=self._schema.field(column.name).type,
                )
                for values, column in zip(columns, COLUMNS, strict=True)
            ]
        except self._arrow.ArrowInvalid as error:
            raise BadUserInput(
                f"Between the requests {rows[0].id} and {rows[-1].id} an amount has more digits than "
                "Parquet's decimal(38, 18). Export as csv or jsonl."
            ) from error
        return self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema)


def _texts(values: Sequence[Any]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]

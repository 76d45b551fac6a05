"""The answers on disk: one Parquet file for each chunk, there as a whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

SCHEMA = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
        ("prompt", pa.string()),
        ("answer", pa.string()),
        ("finish_reason", pa.string()),
        ("message", pa.string()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("request_id", pa.string()),
        pa.field("attempts", pa.int32(), nullable=False),
        ("error_type", pa.string()),
        ("error_message", pa.string()),
        ("error_status", pa.int32()),
        ("error_retryable", pa.bool_()),
        pa.field("is_final", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Row:
    """What became of one prompt: an answer, or an error with its type.

    Args:
        position: Where the prompt stands in its file, from 0.
        row_id: What identifies it.
        prompt: What was asked.
        attempts: How often it was sent.
        answer: The text of the answer.
        finish_reason: Why the answer ended.
        message: The whole answer as JSON, as LangChain writes messages.
        input_tokens: Tokens of the prompt, as the server counts.
        output_tokens: Tokens of the answer.
        request_id: The id to quote to Sunra's support.
        error_type: The name of the error's class; None where there is an answer.
        error_message: What happened.
        error_status: The HTTP status, where there was one.
        error_retryable: Whether the same prompt may be answered later.
        is_final: Whether the row is left as it is when the batch is run again.
    """

    position: int
    row_id: str
    prompt: str | None
    attempts: int
    answer: str | None = None
    finish_reason: str | None = None
    message: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    request_id: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    error_status: int | None = None
    error_retryable: bool | None = None
    is_final: bool = True

    @property
    def is_hopeless(self) -> bool:
        """Whether it failed for a reason that every row would fail for."""
        return not (self.is_final or self.error_retryable)


@dataclass(frozen=True)
class Standing:
    """How far the rows of a part, or of several, are.

    Args:
        rows: All of them.
        failed: Those that ended in an error.
        open: Those of the failed that are asked when the batch is run again.
    """

    rows: int = 0
    failed: int = 0
    open: int = 0

    def __add__(self, other: Standing) -> Standing:
        return Standing(self.rows + other.rows, self.failed + other.failed, self.open + other.open)


def path(folder: Path, number: int) -> Path:
    """Where the part of a chunk is, or will be."""
    return folder / f"part-{number:06d}.parquet"


def standings(folder: Path) -> dict[int, Standing]:
    """How far each chunk is whose part is there, by its number."""
    return {
        int(found.stem.removeprefix("part-")): _standing(found)
        for found in sorted(folder.glob("part-*.parquet"))
    }


def _standing(part: Path) -> Standing:
    with parquet.ParquetFile(part) as file:
        table = file.read(columns=["error_type", "is_final"])
    open_rows = table["is_final"].to_pylist().count(False)
    return Standing(table.num_rows, table.num_rows - table["error_type"].null_count, open_rows)


def write(folder: Path, number: int, rows: Iterable[Row]) -> None:
    """Writes the part of a chunk; one that is there already is replaced.

    Args:
        folder: Where the parts are.
        number: The chunk's number.
        rows: All rows of the chunk.
    """
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    with replacing(path(folder, number)) as unfinished:
        parquet.write_table(table, unfinished)


def read(folder: Path, number: int) -> list[Row]:
    """The rows of a chunk's part, none if there is no part."""
    part = path(folder, number)
    if not part.exists():
        return []
    with parquet.ParquetFile(part) as file:
        return [Row(**row) for row in file.read().to_pylist()]


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to; it becomes the target in one step, once it is safely on the disk.

    Names that begin with a dot are no data to those who read the folder as a dataset.
    """
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}.unfinished")
    try:
        yield unfinished
        _flush(unfinished)
        unfinished.replace(target)
        _flush(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Removes what killed writers left unfinished."""
    for unfinished in folder.glob(".*.unfinished"):
        unfinished.unlink(missing_ok=True)


def _flush(target: Path) -> None:
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The prompts of a Parquet file, cut into chunks that are the same at every run."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

PROMPT, ID = "prompt", "id"


@dataclass(frozen=True)
class Chunk:
    """Some rows that follow each other, which are asked together and written to one part.

    Args:
        number: Which chunk it is, from 0.
        first: The position of its first row in the file, from 0.
        row_ids: What identifies each row.
        prompts: What is asked; None where the file has none.
    """

    number: int
    first: int
    row_ids: tuple[str, ...]
    prompts: tuple[str | None, ...]

    def digest(self) -> bytes:
        """A hash of the rows and of where they stand."""
        told = repr((self.number, self.first, self.row_ids, self.prompts))
        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).digest()


def read(path: Path, chunk_size: int) -> list[Chunk]:
    """The chunks of a file with a text column `prompt` and, if it has one, a unique column `id`.

    Without ids a row is identified by the hash of its prompt and by how often it was there before.

    Args:
        path: A Parquet file.
        chunk_size: Rows in each chunk; the last may have fewer.

    Raises:
        ValueError: The columns are not those; the message says what is wrong.
    """
    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        if PROMPT not in schema.names or not _is_text(schema.field(PROMPT).type):
            raise ValueError(f"{path} has no text column `{PROMPT}`; it has: {schema.names}")
        columns = [PROMPT, *([ID] if ID in schema.names else [])]
        table = file.read(columns=columns)
    prompts = table[PROMPT].to_pylist()
    ids = [str(given) for given in table[ID].to_pylist()] if ID in columns else list(_ids(prompts))
    repeated = [row_id for row_id, count in Counter(ids).items() if count > 1]
    if repeated:
        raise ValueError(f"{path} has rows with the same `{ID}`, among them {repeated[:3]}")
    return [
        Chunk(
            number=number,
            first=first,
            row_ids=tuple(ids[first : first + chunk_size]),
            prompts=tuple(prompts[first : first + chunk_size]),
        )
        for number, first in enumerate(range(0, len(prompts), chunk_size))
    ]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _ids(prompts: list[str | None]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for prompt in prompts:
        told = "null" if prompt is None else f"text:{prompt}"
        digest = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        yield f"{digest}-{seen[digest]}"
        seen[digest] += 1

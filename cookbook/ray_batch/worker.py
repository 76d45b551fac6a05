"""What runs in each Ray actor: chunks in, parts written, a line of summary for each out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from cookbook.ray_batch import parts
from cookbook.ray_batch.asking import Asking, Patience
from cookbook.ray_batch.gate import BatchStopped, Gate
from cookbook.ray_batch.parts import Row
from cookbook.ray_batch.prompts import Chunk
from sunra_integrations.langchain import ChatSunra


@dataclass(frozen=True)
class Summary:
    """What became of a chunk.

    Args:
        chunk: Its number.
        rows: Its rows that were asked.
        failed: Those that ended in an error.
        open: Those of the failed that are asked when the batch is run again.
        calls: Calls that were made for it this time, in all tries.
        input_tokens: Tokens of its prompts.
        output_tokens: Tokens of its answers.
        process: The process that did it.
        stopped_by: The error for which the batch is stopped, where it came up here.
    """

    chunk: int
    rows: int
    failed: int
    open: int
    calls: int
    input_tokens: int
    output_tokens: int
    process: int
    stopped_by: str | None


def as_row(chunk: Chunk) -> pa.Table:
    """A chunk as one row of a Ray dataset, so that no batching of Ray's can tear it apart."""
    return pa.table({name: [value] for name, value in asdict(chunk).items()}, _CHUNK)


_CHUNK = pa.schema(
    [
        ("number", pa.int64()),
        ("first", pa.int64()),
        ("row_ids", pa.list_(pa.string())),
        ("prompts", pa.list_(pa.string())),
    ]
)
_SUMMARY = pa.schema(
    [
        (field.name, pa.string() if field.name == "stopped_by" else pa.int64())
        for field in fields(Summary)
    ]
)


class Worker:
    """A Ray Data callable: asks the rows of chunks and writes a part for each chunk.

    Args:
        model: What to ask.
        limiter: The handle of the `Limiter` actor.
        folder: Where parts go; every machine must see the same.
        calls_in_flight: Calls of this worker that may be open at once.
        patience: How often a row is tried.
    """

    def __init__(
        self,
        model: ChatSunra,
        limiter: Any,
        folder: Path,
        calls_in_flight: int,
        patience: Patience,
    ) -> None:
        self._asking = Asking(model, Gate(limiter), patience)
        self._folder = folder
        self._free = asyncio.Semaphore(calls_in_flight)

    async def __call__(self, batch: pa.Table) -> AsyncIterator[pa.Table]:
        """Yields a summary of each chunk, once its part is on the disk."""
        for row in batch.to_pylist():
            summary = await self._work_off(Chunk(**row))
            yield pa.Table.from_pylist([asdict(summary)], _SUMMARY)

    async def _work_off(self, chunk: Chunk) -> Summary:
        # A part is there if this chunk was done before its worker died, or has rows that are still
        # open: what it holds is kept, only the rest is asked.
        before = await asyncio.to_thread(parts.read, self._folder, chunk.number)
        kept = {row.row_id: row for row in before if row.is_final}
        asked_for = zip(chunk.row_ids, chunk.prompts, strict=True)
        missing = [
            (chunk.first + offset, row_id, prompt)
            for offset, (row_id, prompt) in enumerate(asked_for)
            if row_id not in kept
        ]
        results = await asyncio.gather(*(self._ask(*row) for row in missing))
        asked = [row for row in results if row is not None]
        rows = sorted([*kept.values(), *asked], key=lambda row: row.position)
        if asked:
            await asyncio.to_thread(parts.write, self._folder, chunk.number, rows)
        return _summary(chunk, rows, sum(row.attempts for row in asked))

    async def _ask(self, position: int, row_id: str, prompt: str | None) -> Row | None:
        async with self._free:
            try:
                return await self._asking.row(position, row_id, prompt)
            except BatchStopped:
                return None


def _summary(chunk: Chunk, rows: Sequence[Row], calls: int) -> Summary:
    hopeless = (f"{row.error_type}: {row.error_message}" for row in rows if row.is_hopeless)
    return Summary(
        chunk=chunk.number,
        rows=len(rows),
        failed=sum(row.error_type is not None for row in rows),
        open=sum(not row.is_final for row in rows),
        calls=calls,
        input_tokens=sum(row.input_tokens or 0 for row in rows),
        output_tokens=sum(row.output_tokens or 0 for row in rows),
        process=os.getpid(),
        stopped_by=next(hopeless, None),
    )

"""A batch from end to end: what is left of it goes through Ray Data, part by part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import ray
from ray.data import ActorPoolStrategy

from cookbook.ray_batch import limiter, manifest, parts, prompts
from cookbook.ray_batch.asking import Patience
from cookbook.ray_batch.interrupt import stopping
from cookbook.ray_batch.pace import Limits
from cookbook.ray_batch.parts import Standing
from cookbook.ray_batch.progress import Progress
from cookbook.ray_batch.prompts import Chunk
from cookbook.ray_batch.worker import Summary, Worker, as_row
from sunra_integrations.langchain import ChatSunra


@dataclass(frozen=True)
class Plan:
    """How a batch is run; the answers do not depend on it.

    Args:
        workers: Actors, each a process of its own.
        calls_in_flight: Calls of each worker that may be open at once.
        limits: What all workers together may send.
        patience: How often a row is tried.

    Raises:
        ValueError: A number is not positive.
    """

    workers: int = 2
    calls_in_flight: int = 32
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        for name in ("workers", "calls_in_flight"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` was {getattr(self, name)}; the rule is: from 1.")


@dataclass(frozen=True)
class Outcome:
    """What is there when a run ends.

    Args:
        total: Rows of the batch.
        standing: Rows that are in the parts, how many failed and how many are still open.
        calls: Calls that this run made.
        seconds: How long this run worked.
        stopped_by: The error that every row would have ended in, for which the run was stopped.
    """

    total: int
    standing: Standing
    calls: int
    seconds: float
    stopped_by: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every row has an answer or an error that another run would not mend."""
        return self.standing.rows == self.total and not self.standing.open


def run(
    model: ChatSunra,
    source: Path,
    folder: Path,
    plan: Plan | None = None,
    *,
    chunk_size: int = 50,
    heard: Callable[[Summary], None] = lambda _: None,
) -> Outcome:
    """Answers every prompt that has no answer yet, and returns what is there then.

    Needs Ray to be connected, as within `cluster.cluster()`.

    Args:
        model: What to ask; its own retries are switched off, as they would pass the limiter by.
        source: A Parquet file with a text column `prompt` and, if it has one, a unique `id`.
        folder: Where the answers go, and where they are taken up again.
        plan: How to run.
        chunk_size: Rows that are written together; what a killed worker loses is what it had of
            the chunks that it was at.
        heard: Called with the summary of each chunk that is done.

    Raises:
        OtherBatch: The folder holds the answers of another batch.
        ValueError: The file has not the right columns, or a number cannot be used.
    """
    if chunk_size < 1:
        raise ValueError(f"`chunk_size` was {chunk_size}; the rule is: from 1.")
    plan = plan or Plan()
    source, folder = source.resolve(), folder.resolve()
    chunks = prompts.read(source, chunk_size)
    batch = manifest.of(model, chunks, chunk_size)
    batch.claim(folder)
    parts.sweep(folder)
    before = parts.standings(folder)
    left = [chunk for chunk in chunks if _is_left(chunk, before.get(chunk.number))]
    progress = Progress(batch.rows, batch.rows - sum(len(chunk.row_ids) for chunk in left))
    stopped_by = None
    if left:
        with (
            limiter.limiting(plan.limits, batch.name) as gate,
            stopping(lambda: ray.get(gate.stop.remote())),
        ):
            progress.paused = lambda: ray.get(gate.paused.remote())
            for summary in _summaries(model, left, folder, plan, gate=gate):
                progress.add(
                    rows=summary.rows,
                    failed=summary.failed,
                    calls=summary.calls,
                    tokens=summary.input_tokens + summary.output_tokens,
                )
                stopped_by = stopped_by or summary.stopped_by
                heard(summary)
    progress.end()
    now = reduce(add, parts.standings(folder).values(), Standing())
    return Outcome(batch.rows, now, progress.calls, progress.seconds, stopped_by)


def _is_left(chunk: Chunk, standing: Standing | None) -> bool:
    return standing is None or standing.open > 0 or standing.rows < len(chunk.row_ids)


def _summaries(
    model: ChatSunra,
    chunks: Sequence[Chunk],
    folder: Path,
    plan: Plan,
    *,
    gate: Any,
) -> Iterator[Summary]:
    """What Ray Data hands back while it works: a summary of each chunk, in no particular order."""
    # One chunk more than the calls need: the last, slow calls of one are no reason to idle.
    at_once = math.ceil(plan.calls_in_flight / len(chunks[0].row_ids)) + 1
    answered = ray.data.from_arrow([as_row(chunk) for chunk in chunks]).map_batches(
        Worker,
        fn_constructor_kwargs={
            "model": model.model_copy(update={"max_retries": 0}),
            "limiter": gate,
            "folder": folder,
            "calls_in_flight": plan.calls_in_flight,
            "patience": plan.patience,
        },
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=1,
        compute=ActorPoolStrategy(
            size=min(plan.workers, len(chunks)),
            max_concurrent_calls_per_actor=at_once,
            max_tasks_in_flight_per_actor=at_once,
        ),
    )
    # Without prefetching: each summary is heard as soon as its part is there.
    tables: Iterable[Any] = answered.iter_batches(
        batch_size=None, batch_format="pyarrow", prefetch_batches=0
    )
    for table in tables:
        for row in table.to_pylist():
            yield Summary(**row)

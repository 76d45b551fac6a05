"""``python -m cookbook.ray_batch.throughput``: answers a second against the number of workers.

The answers come from a server on this machine that takes a fixed time for each, as a model would,
and hardly any CPU, so that what is measured is the batch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from benchmarks.scenarios import Scenario
from cookbook.ray_batch.batch import Plan, run
from cookbook.ray_batch.chart import draw
from cookbook.ray_batch.cluster import cluster
from cookbook.ray_batch.worker import Summary
from sunra_integrations.langchain import ChatSunra

_HERE = Path(__file__).parent
_CHUNK = 50


@dataclass(frozen=True)
class Measured:
    """One run.

    Args:
        workers: How many there were.
        rows: How many prompts they answered.
        seconds: How long it took, from the start of the workers to the last part.
        per_second: Answers a second while all worked: without the first and the last few seconds,
            in which workers start or have nothing left.
        ideal: What the server's delay and the calls in flight allow at most.
    """

    workers: int
    rows: int
    seconds: float
    per_second: float
    ideal: float


@dataclass(frozen=True)
class Setting:
    """What the runs have in common.

    Args:
        delay: Seconds that the server takes for an answer.
        calls_in_flight: Open calls of each worker.
        cores: Cores of the machine, which the server, Ray and the workers share.
    """

    delay: float
    calls_in_flight: int
    cores: int


@contextmanager
def server(delay: float) -> Iterator[str]:
    """The base URL of a server that takes so many seconds for an answer."""
    command = [sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(  # noqa: S603 - this repository's own server
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin  # noqa: S101 - asked for above
        assert process.stdout  # noqa: S101 - asked for above
        port = int(process.stdout.readline())
        try:
            yield f"http://127.0.0.1:{port}/{Scenario('late', round(delay * 1000))}/v1"
        finally:
            process.stdin.close()


def measure(setting: Setting, workers: int, rows: int) -> Measured:
    """Answers so many prompts with so many workers."""
    os.environ.setdefault("SUNRA_KEY", "no-key-is-needed-here")
    moments: list[tuple[float, int]] = []

    def heard(summary: Summary) -> None:
        moments.append((time.monotonic(), summary.rows))

    with tempfile.TemporaryDirectory() as folder, server(setting.delay) as base_url:
        source = Path(folder, "prompts.parquet")
        texts = [f"Say something about the number {number}." for number in range(rows)]
        parquet.write_table(pa.table({"prompt": texts}), source)
        model = ChatSunra(model="openai/gpt-4o", base_url=base_url)
        plan = Plan(workers=workers, calls_in_flight=setting.calls_in_flight)
        with cluster(workers):
            outcome = run(
                model, source, Path(folder, "answers"), plan, chunk_size=_CHUNK, heard=heard
            )
    if not outcome.is_complete or outcome.standing.failed:
        raise RuntimeError(f"Not all rows were answered: {outcome}")
    ideal = workers * setting.calls_in_flight / setting.delay
    return Measured(
        workers, rows, round(outcome.seconds, 1), round(steady(moments), 1), round(ideal, 1)
    )


def steady(moments: Sequence[tuple[float, int]]) -> float:
    """Rows a second in the middle of a run, leaving out a quarter at each end."""
    quarter = len(moments) // 4
    middle = moments[quarter : len(moments) - quarter]
    return sum(rows for _, rows in middle[1:]) / (middle[-1][0] - middle[0][0])


def main() -> None:
    """Measures, and writes the figures and the picture."""
    parser = argparse.ArgumentParser(prog="python -m cookbook.ray_batch.throughput")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 12])
    parser.add_argument("--delay", type=float, default=0.5, help="seconds an answer (%(default)s)")
    parser.add_argument("--calls-in-flight", type=int, default=32, help="a worker (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="of each run (%(default)s)")
    parser.add_argument("--output", type=Path, default=_HERE, help="folder for figures and chart")
    options = parser.parse_args()
    setting = Setting(options.delay, options.calls_in_flight, os.cpu_count() or 1)
    runs = []
    for workers in options.workers:
        rows = round(options.seconds * workers * setting.calls_in_flight / setting.delay)
        runs.append(measure(setting, workers, rows))
        print(runs[-1])
    figures = {**asdict(setting), "runs": [asdict(run) for run in runs]}
    (options.output / "throughput.json").write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    draw(figures, options.output / "throughput.svg")


if __name__ == "__main__":
    main()

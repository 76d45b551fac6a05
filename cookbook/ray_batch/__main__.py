"""Answers the prompts of a Parquet file: on Sunra where SUNRA_KEY is set, else on the sandbox."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cookbook.ray_batch.asking import Patience
from cookbook.ray_batch.batch import Outcome, Plan, run
from cookbook.ray_batch.cluster import cluster
from cookbook.ray_batch.pace import Limits
from sunra_integrations.errors import SunraError
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import stand_in

COMPLETE, INCOMPLETE, UNUSABLE = 0, 1, 2
"""Exit codes: run it again after 1, mend what it was called with after 2."""


def arguments() -> argparse.ArgumentParser:
    """What it takes on the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m cookbook.ray_batch",
        description="Answer every prompt of a Parquet file, on Ray, into a folder of parts.",
        epilog="Run it again after it was killed or stopped: it goes on where it was. "
        "Exit code 0: all rows are done; 1: some are open, run it again; 2: it cannot be run so.",
    )
    parser.add_argument("prompts", type=Path, help="Parquet with a column `prompt`, maybe `id`")
    parser.add_argument("answers", type=Path, help="folder for the parts; all machines must see it")
    parser.add_argument("--model", default="openai/gpt-4o", help="the model (%(default)s)")
    parser.add_argument("--max-tokens", type=int, help="most tokens of an answer")
    parser.add_argument("--temperature", type=float, help="0 to 2")
    parser.add_argument("--requests-per-minute", type=float, help="of all workers together")
    parser.add_argument("--tokens-per-minute", type=float, help="of all workers together")
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument(
        "--calls-in-flight", type=int, default=32, help="open calls of each worker (%(default)s)"
    )
    parser.add_argument(
        "--chunk-size", type=int, default=50, help="rows in each part (%(default)s)"
    )
    parser.add_argument("--tries", type=int, default=5, help="tries of a failing row (%(default)s)")
    parser.add_argument("--ray-address", help="of a cluster; else RAY_ADDRESS, else this machine")
    return parser


def main() -> int:
    """Runs the batch; returns the exit code."""
    options = arguments().parse_args()
    stand_in()
    try:
        model = ChatSunra(
            model=options.model, max_tokens=options.max_tokens, temperature=options.temperature
        )
        plan = Plan(
            workers=options.workers,
            calls_in_flight=options.calls_in_flight,
            limits=Limits(options.requests_per_minute, options.tokens_per_minute),
            patience=Patience(options.tries),
        )
        with cluster(options.workers, options.ray_address):
            outcome = run(
                model, options.prompts, options.answers, plan, chunk_size=options.chunk_size
            )
    except (SunraError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    print(told(outcome, options.answers))
    return COMPLETE if outcome.is_complete else INCOMPLETE


def told(outcome: Outcome, answers: Path) -> str:
    """What there is to say at the end."""
    standing = outcome.standing
    lines = [f"{standing.rows - standing.failed:,} of {outcome.total:,} answers are in {answers}."]
    if outcome.stopped_by:
        lines.append(f"Stopped, as every row would have failed: {outcome.stopped_by}")
    if final := standing.failed - standing.open:
        lines.append(f"{final:,} rows failed for good; their `error_type` says how.")
    if left := outcome.total - standing.rows + standing.open:
        lines.append(f"{left:,} rows are open: the same command asks them again.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

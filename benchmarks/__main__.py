"""``python -m benchmarks``: measures, and writes tables, a chart and the figures themselves."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

from benchmarks.measures import Measure, plan
from benchmarks.rounds import Crew, measured, server
from benchmarks.run import Run
from benchmarks.terminal import lines

_NAMES = [measure.name for measure in plan(quick=True)]


def main() -> int:
    """Measures; returns the exit status."""
    options = _options()
    chosen = [m for m in plan(quick=options.quick) if m.name in options.only]
    run = _measure(chosen, options.framework, quick=options.quick)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        run.save(options.output / "benchmarks.json")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rough figures in about a minute")
    parser.add_argument(
        "--only",
        type=lambda text: _known(text.split(",")),
        default=_NAMES,
        help=f"comma-separated, of: {', '.join(_NAMES)}",
    )
    parser.add_argument("--framework", choices=("langchain", "llama-index"), help="only this one")
    parser.add_argument("--output", type=Path, help="folder to write to; else only print")
    return parser.parse_args()


def _known(names: list[str]) -> list[str]:
    if unknown := set(names) - set(_NAMES):
        raise argparse.ArgumentTypeError(f"no such measure: {', '.join(sorted(unknown))}")
    return names


def _measure(chosen: list[Measure], framework: str | None, *, quick: bool) -> Run:
    run = Run.begin(quick=quick)
    with server() as address, Crew(address) as shared:
        for measure in chosen:
            contestants = measure.contestants(framework)
            if not contestants:
                continue
            # A quick check saves the start of new processes; a full run begins each measure anew.
            with nullcontext(shared) if quick else Crew(address) as crew:
                run.measures[measure.name] = measured(measure, contestants, crew, _say)
            print("\n".join(lines(run, measure)), flush=True)
    return run


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

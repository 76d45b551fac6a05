"""``python -m benchmarks``: measures, and writes tables, a chart and the figures themselves."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from benchmarks.chart import draw
from benchmarks.measures import Measure, plan
from benchmarks.report import document, with_headlines
from benchmarks.rounds import Crew, measured, server
from benchmarks.run import Run
from benchmarks.terminal import lines

_NAMES = [measure.name for measure in plan(quick=True)]


_ROOT = Path(__file__).parent.parent
_README = _ROOT / "README.md"
_DOCS = _ROOT / "docs"


def main() -> int:
    """Measures; returns the exit status."""
    options = _options()
    if options.write_readme:
        run = Run.load((options.output or _DOCS) / "benchmarks.json")
        readme = _README.read_text(encoding="utf-8")
        _README.write_text(with_headlines(readme, run), encoding="utf-8")
        return 0
    chosen = [m for m in plan(quick=options.quick) if m.name in options.only]
    if options.rounds:
        chosen = [replace(measure, rounds=options.rounds) for measure in chosen]
    run = Run.begin(quick=options.quick)
    with server() as address:
        for measure in _measured(run, chosen, options.framework, address):
            print("\n".join(lines(run, measure)), flush=True)
            if options.output:  # after each, so that a run that is broken off has not been in vain
                _write(run, options.output)
    return 0


def _write(run: Run, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    run.save(folder / "benchmarks.json")
    (folder / "benchmarks.md").write_text(document(run), encoding="utf-8")
    draw(run, folder / "benchmarks.svg")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rough figures in about two minutes")
    parser.add_argument(
        "--only",
        type=lambda text: _known(text.split(",")),
        default=_NAMES,
        help=f"comma-separated, of: {', '.join(_NAMES)}",
    )
    parser.add_argument("--rounds", type=int, help="rounds of each measure; defaults to the plan")
    parser.add_argument("--framework", choices=("langchain", "llama-index"), help="only this one")
    parser.add_argument(
        "--output", type=Path, help="write benchmarks.json, .md and .svg to this folder"
    )
    parser.add_argument(
        "--write-readme",
        action="store_true",
        help="only update the README from the output folder (default: docs/)",
    )
    return parser.parse_args()


def _known(names: list[str]) -> list[str]:
    if unknown := set(names) - set(_NAMES):
        raise argparse.ArgumentTypeError(f"no such measure: {', '.join(sorted(unknown))}")
    return names


def _measured(
    run: Run, chosen: list[Measure], framework: str | None, address: str
) -> Iterator[Measure]:
    """Each measure as soon as the run has its figures."""
    with Crew(address) as shared:
        for measure in chosen:
            contestants = measure.contestants(framework)
            if not contestants:
                continue
            # A quick check saves the start of new processes; a full run begins each measure anew.
            with nullcontext(shared) if run.quick else Crew(address) as crew:
                run.measures[measure.name] = measured(measure, contestants, crew, _say)
            yield measure


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

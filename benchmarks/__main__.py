"""``python -m benchmarks``: measures each class in its own environment, and writes the results."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.chart import draw
from benchmarks.environments import Environments, IncompleteEnvironment
from benchmarks.measures import Measure, plan
from benchmarks.report import document, verdict, with_block
from benchmarks.rounds import Crew, measured, server
from benchmarks.run import Run
from benchmarks.terminal import lines

_NAMES = [measure.name for measure in plan(quick=True)]
_ROOT = Path(__file__).parent.parent
_README = _ROOT / "README.md"
_DOCS = _ROOT / "docs"
_PUBLISHED = ("docs/benchmarks.json", "docs/benchmarks.md", "docs/benchmarks.svg", "README.md")
_IDLE = 0.5
"""The highest load average of an idle machine."""


def main() -> int:
    """Measures; returns the exit status."""
    options = _options()
    if options.render:
        _publish(Run.load(_DOCS / "benchmarks.json"))
        return 0
    chosen = [m for m in plan(quick=options.quick) if m.name in options.only]
    if options.rounds:
        chosen = [replace(measure, rounds=options.rounds) for measure in chosen]
    if options.publish:  # a README without markers is an error now, not after the measures
        with_block(_README.read_text(encoding="utf-8"), Run.begin({}, quick=True))
    failures: list[str] = []
    try:
        run = _run(options, chosen, failures.append)
    except (IncompleteEnvironment, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    if failures:
        print("\n".join(["Not measured:", *failures]), file=sys.stderr)
        if options.publish:
            print(
                "Publish the other figures with `python -m benchmarks --render`.", file=sys.stderr
            )
        return 1
    if options.publish:
        _publish(run)
    return 0


def _run(options: argparse.Namespace, chosen: list[Measure], fail: Callable[[str], None]) -> Run:
    """The results. They are saved after each measure, so that an interrupted run is not lost."""
    _warn_of_load()
    framework = options.framework
    contestants = dict.fromkeys(one for m in chosen for one in m.contestants(framework))
    environments = Environments(options.environments)
    if options.install:
        environments.install(contestants, _say)
    versions = {one.name: environments.versions(one) for one in contestants}
    run = Run.begin(versions, quick=options.quick)
    folder = _DOCS if options.publish else options.output
    with server() as address:
        crew = partial(Crew, address, environments.interpreter)
        for measure in _measured(run, chosen, framework, crew, fail):
            print("\n".join(lines(run, measure)), flush=True)
            if folder:
                _write(run, folder)
    return run


def _warn_of_load() -> None:
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0
    if load > _IDLE:
        _say(f"The load average is {load:.1f}: other programs are running, and figures will vary.")


def _write(run: Run, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    run.save(folder / "benchmarks.json")
    (folder / "benchmarks.md").write_text(document(run), encoding="utf-8")
    (folder / "benchmarks.svg").write_text(draw(run), encoding="utf-8")


def _publish(run: Run) -> None:
    """Writes the page, the chart and the README, and says what to commit."""
    _write(run, _DOCS)
    readme = _README.read_text(encoding="utf-8")
    _README.write_text(with_block(readme, run), encoding="utf-8")
    files = " ".join(_PUBLISHED)
    print(f"Wrote {files}. {verdict(run)}.")
    if run.quick:
        print(f"A quick run is not for publication. Restore with:\n    git checkout {files}")
    else:
        print(f"Commit with:\n    git add {files}")
        print(f'    git commit -m "Benchmarks of {run.began}"')


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="rough figures, about three minutes")
    parser.add_argument(
        "--only",
        type=lambda text: _known(text.split(",")),
        default=_NAMES,
        help=f"comma-separated, of: {', '.join(_NAMES)}",
    )
    parser.add_argument("--rounds", type=int, help="rounds of each measure; defaults to the plan")
    parser.add_argument("--framework", choices=("langchain", "llama-index"), help="only this one")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(sys.prefix) / "environments",
        help="folder of the environments; defaults to one inside the current environment",
    )
    parser.add_argument(
        "--no-install",
        dest="install",
        action="store_false",
        help="use the environments as they are, also our own package",
    )
    parser.add_argument(
        "--output", type=Path, help="write benchmarks.json, .md and .svg to this folder"
    )
    parser.add_argument(
        "--publish", action="store_true", help="write them to docs/, and the block of the README"
    )
    parser.add_argument(
        "--render", action="store_true", help="only write the documents from docs/benchmarks.json"
    )
    options = parser.parse_args()
    if options.publish and (options.only != _NAMES or options.framework):
        parser.error("--publish needs all measures: omit --only and --framework")
    return options


def _known(names: list[str]) -> list[str]:
    if unknown := set(names) - set(_NAMES):
        raise argparse.ArgumentTypeError(f"no such measure: {', '.join(sorted(unknown))}")
    return names


def _measured(
    run: Run,
    chosen: list[Measure],
    framework: str | None,
    new_crew: Callable[[], Crew],
    fail: Callable[[str], None],
) -> Iterator[Measure]:
    """Each measure, after its figures are in the run."""
    with new_crew() as shared:
        for measure in chosen:
            contestants = measure.contestants(framework)
            if not contestants:
                continue
            # A quick run keeps the processes. A full run starts new ones for each measure.
            with nullcontext(shared) if run.quick else new_crew() as crew:
                run.measures[measure.name] = measured(measure, contestants, crew, _say, fail)
            yield measure


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""``python -m benchmarks.importing CONTESTANT``: what the first line of a program costs."""

from __future__ import annotations

import json
import sys

from benchmarks.contestants import NAMED
from benchmarks.tasks import resident
from benchmarks.tasks.meter import Meter


def main() -> None:
    """Imports, and prints its figures."""
    contestant = NAMED[sys.argv[1]]
    before = resident.now_kb()
    with Meter() as meter:
        exec(contestant.imports, {})  # noqa: S102 - our own statement
    figures = {**meter.figures(1), "kb": resident.now_kb() - before}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()

"""``python -m benchmarks.importing CONTESTANT class|framework``: the cost of an import."""

from __future__ import annotations

import json
import sys

from benchmarks.contestants import FRAMEWORK_IMPORTS, NAMED
from benchmarks.tasks import resident
from benchmarks.tasks.meter import Meter


def main() -> None:
    """Imports a class, or only its framework, and prints the figures."""
    name, of = sys.argv[1:]
    contestant = NAMED[name]
    alone = FRAMEWORK_IMPORTS.get(contestant.framework, contestant.imports)
    statement = contestant.imports if of == "class" else alone
    before = resident.now_kb()
    with Meter() as meter:
        exec(statement, {})  # noqa: S102 - our own statement
    figures = {**meter.figures(1), "kb": resident.now_kb() - before}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()

"""``python -m benchmarks.importing CONTESTANT``: what the first line of a program costs."""

from __future__ import annotations

import json
import sys
import time

from benchmarks.contestants import NAMED
from benchmarks.tasks import resident


def main() -> None:
    """Imports, and prints its figures."""
    contestant = NAMED[sys.argv[1]]
    before = resident.now_kb()
    began = time.process_time()
    exec(contestant.imports, {})  # noqa: S102 - our own statement
    took = time.process_time() - began
    figures = {"cpu_us": took * 1e6, "kb": resident.now_kb() - before}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()

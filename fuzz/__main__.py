"""``python -m fuzz [SECONDS]``: searches for bytes that break a property of `targets`.

Each target gets an equal share of the time in its own process. Findings are written to
`fuzz/found/`. Fix the bug, then move the input to `fuzz/corpus/<target>/` under a name that
describes it. Fuzzing requires atheris. The test suite runs all inputs of the corpus without it.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from fuzz import corpora
from fuzz.targets import TARGETS

_HERE = Path(__file__).parent
_MAX_INPUT = 8192
_MEGABYTES = 1024
_SECONDS_PER_INPUT = 5


def main() -> int:
    """Fuzzes; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("seconds", type=int, nargs="?", default=60, help="total time")
    parser.add_argument(
        "--target", choices=sorted(TARGETS), action="append", help="run only these targets"
    )
    options = parser.parse_args()
    targets = options.target or list(TARGETS)
    seconds = max(options.seconds // len(targets), 1)
    return max([_fuzz(target, seconds) for target in targets])


def _fuzz(target: str, seconds: int) -> int:
    sys.stdout.write(f"── {target}, {seconds} s\n")
    sys.stdout.flush()
    found = _HERE / "found" / target
    found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, (_, data) in enumerate(corpora.inputs(target)):
            (Path(folder) / str(number)).write_bytes(data)
        command = [sys.executable, "-m", "fuzz.one_target", target, folder]
        limits = {
            "max_total_time": seconds,
            "max_len": _MAX_INPUT,
            "rss_limit_mb": _MEGABYTES,
            "timeout": _SECONDS_PER_INPUT,
            "print_final_stats": 1,
            "artifact_prefix": f"{found}/",
        }
        command += [f"-{name}={value}" for name, value in limits.items()]
        dictionary = _HERE / "words.dict"
        return subprocess.run([*command, f"-dict={dictionary}"], check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())

"""The way of a new user, timed: the wheel, an empty environment, a streamed answer.

`make first-answer` runs it. Without SUNRA_KEY the answer comes from the local sandbox.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_PROGRAMS = {
    "langchain": """\
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import stand_in

stand_in()
for chunk in ChatSunra(model="openai/gpt-4o").stream("Say hello to Oslo."):
    print(chunk.text, end="", flush=True)
print()
""",
    "llama-index": """\
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import stand_in

stand_in()
for response in Sunra(model="openai/gpt-4o").stream_complete("Say hello to Oslo."):
    print(response.delta, end="", flush=True)
print()
""",
}


def main() -> None:
    """Takes the way for each framework, and prints what each step took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--framework", choices=_PROGRAMS, action="append")
    options = parser.parse_args()
    for framework in options.framework or _PROGRAMS:
        _take(framework, options.wheel)


def _take(framework: str, wheel: Path) -> None:
    print(f"── {framework}")
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "bin" / "python"
        steps: dict[str, Sequence[str]] = {
            "an empty environment": [sys.executable, "-m", "venv", folder],
            "pip install": [
                str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                f"{wheel.resolve()}[{framework},sandbox]",
            ],
            "the first answer, imports and sandbox included": [
                str(python), "-W", "error", "-c", _PROGRAMS[framework],
            ],
        }  # fmt: skip
        total = 0.0
        for what, command in steps.items():
            began = time.monotonic()
            subprocess.run(command, check=True, cwd=folder)  # noqa: S603 - our own commands
            took = time.monotonic() - began
            total += took
            print(f"   {took:5.1f} s  {what}")
        print(f"   {total:5.1f} s  in all")


if __name__ == "__main__":
    main()

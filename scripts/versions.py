"""Runs the suites on the oldest versions that pyproject.toml allows, and on the newest there are.

`lowest` gives each extra an environment with the lowest versions of its own requirements, first
alone, then with the tools and extras that its tests need. `newest` takes pre-releases too. Test
tools are always new. What is left out is named below, with the reason.

    make lowest                  # all; EXTRAS="langchain sandbox" in two
    make newest
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

TOOLS = (
    "pytest",
    "pytest-asyncio",
    "pytest-socket",
    "pytest-timeout",
    "pytest-xdist",
    "hypothesis",
    "jsonschema",
    "trustme",
)
# Warnings are about the versions, and the tests of what is installed need no tools.
OLD = ("--override-ini=filterwarnings=default",)
ALONE = (
    *("--confcutdir=tests/installed", "--override-ini=addopts="),
    *("--override-ini=filterwarnings=ignore", "tests/installed"),
)


@dataclass(frozen=True)
class Suite:
    """What is run on the oldest versions of an extra.

    Args:
        tests: Files and folders, and options that select from them.
        extras: Further extras that these tests need.
        tools: Further packages that these tests need.
    """

    tests: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


LOWEST: dict[str, Suite] = {
    "base": Suite(
        ("tests/protocol", "tests/transport", "-k", "not aiohttp"),
        tools=("openai",),  # its types check request bodies
    ),
    "aiohttp": Suite(("tests/transport", "-k", "aiohttp or async")),
    "sandbox": Suite(
        (
            "tests/sandbox",
            "--ignore=tests/sandbox/test_openapi.py",  # a fuzzer; `make test` has it
            "--ignore=tests/sandbox/test_openai_sdk.py",  # about the SDK of OpenAI
            "--ignore=tests/sandbox/test_scripting.py",  # asks through it
            "--ignore=tests/sandbox/test_without_key.py",  # asks through LangChain
        ),
        tools=("openai",),
    ),
    "cli": Suite(("tests/cli",), ("sandbox",)),
    "langchain": Suite(
        (
            "tests/langchain",
            # langchain-tests needs a newer httpx than we do.
            "--ignore=tests/langchain/test_standard_suites.py",
            "--ignore=tests/langchain/test_stream_events.py",
            # `ModelRefusalMiddleware` came with langchain 1.4.9 and langchain-core 1.7.5.
            "--ignore=tests/langchain/test_refusals.py",
            # Its retry middleware reads `is_retryable` from langchain 1.4 on.
            "--deselect=tests/langchain/test_traps.py::test_trap_a_permanent_error_retried",
        ),
        ("sandbox",),
        (
            *("langchain", "langgraph"),
            *("langfuse", "openinference-instrumentation-langchain", "opentelemetry-sdk"),
        ),
    ),
    "llama-index": Suite(
        (
            "tests/llama_index",
            "--ignore=tests/llama_index/test_parity.py",  # needs LangChain too
            "--ignore=tests/llama_index/test_conformance.py",  # below, with the oldest pytest
            # LlamaIndex's exporter needs an older llama-index-instrumentation than the newest.
            "--ignore=tests/llama_index/test_observability.py",
            "--ignore=tests/llama_index/test_cost_in_traces.py",
        ),
        ("sandbox",),
    ),
    "conformance": Suite(("tests/llama_index/test_conformance.py",)),
    "all": Suite(
        (
            "tests/test_requirements.py",
            "tests/test_both_adapters_settings.py",
            "tests/test_request_bodies.py",
            *("-k", "not httpcore-missing"),  # httpx before 0.28 imports httpcore before we can
        ),
        ("conformance", "aiohttp"),
        ("openai",),
    ),
}

NEWEST = (
    "tests/installed",
    "tests/upstream",
    "tests/langchain",
    "tests/llama_index",
    "tests/transport",
    "tests/cli",
)


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own."""

    folder: Path
    python: str

    @property
    def interpreter(self) -> str:
        """The path of its Python."""
        return str(self.folder / ("Scripts" if os.name == "nt" else "bin") / "python")

    def make(self) -> None:
        """Makes it anew."""
        _uv("venv", "--clear", "--python", self.python, str(self.folder))

    def resolve_lowest(self, extras: tuple[str, ...]) -> Path:
        """The lowest versions that these extras require, as a file of constraints."""
        found = self.folder / "lowest.txt"
        asked = [f"--extra={extra}" for extra in extras]
        _uv(
            *("pip", "compile", "--resolution=lowest-direct", "--python", self.interpreter),
            *("pyproject.toml", *asked, "--no-header", "--no-annotate", "--output-file"),
            str(found),
        )
        return found

    def install(self, *arguments: str) -> None:
        """Installs into it."""
        _uv("pip", "install", "--python", self.interpreter, *arguments)

    def test(self, *arguments: str) -> bool:
        """Runs pytest in it; whether all passed."""
        command = (self.interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)
        return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - our own suite


def _uv(*arguments: str) -> None:
    subprocess.run((find_uv_bin(), *arguments, "--quiet"), check=True)  # noqa: S603 - from PyPI


def _package(*extras: str) -> str:
    return f".[{','.join(extras)}]" if extras else "."


def lowest(extra: str, environment: Environment, *options: str) -> bool:
    """Runs the suite of an extra on its lowest versions."""
    suite = LOWEST[extra]
    own = () if extra == "base" else (extra,)
    environment.make()
    versions = str(environment.resolve_lowest((*own, *suite.extras)))
    environment.install("--constraint", versions, "--editable", _package(*own), "pytest")
    alone = environment.test(*ALONE)
    needed = (_package(*own, *suite.extras), *TOOLS, *suite.tools)
    environment.install("--constraint", versions, "--editable", *needed)
    return environment.test(*OLD, *options, *suite.tests) and alone


def newest(environment: Environment, *options: str) -> bool:
    """Runs the adapters' and clients' suites on the newest versions, pre-releases among them."""
    environment.make()
    environment.install(
        *("--prerelease=allow", "--upgrade", "--editable", _package("all", "aiohttp")),
        *("--group", "test"),
    )
    return environment.test(*options, *NEWEST)


def main() -> int:
    """Runs what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["lowest", "newest"])
    parser.add_argument("folder", type=Path, help="where environments are made")
    parser.add_argument("extras", nargs="*", help=f"of `lowest`: {', '.join(LOWEST)}")
    parser.add_argument("--workers", default="auto")
    asked = parser.parse_args()
    os.environ.setdefault("CI", "1")  # the same examples of each property at every run
    options = (f"--numprocesses={asked.workers}", "--dist=worksteal")
    failed = []
    for name in asked.extras or LOWEST if asked.which == "lowest" else ["newest"]:
        began = time.monotonic()
        environment = Environment(asked.folder / name, sys.executable)
        print(f"── {asked.which} {name}", flush=True)
        passed = (
            lowest(name, environment, *options)
            if asked.which == "lowest"
            else newest(environment, *options)
        )
        print(f"── {name}: {'passed' if passed else 'FAILED'}, {time.monotonic() - began:.0f} s")
        failed += [] if passed else [name]
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Run the command line, in this process or in its own. The key must not appear in any output."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from sunra_integrations.cli import main
from sunra_integrations.sandbox import Http
from tests import children

KEY = "sk-look-for-me-0123456789"
PROGRAM = [sys.executable, "-m", "sunra_integrations.cli"]


class Ended(NamedTuple):
    status: int
    out: str
    err: str


class Typed(io.StringIO):
    """Input that is typed at a terminal."""

    def isatty(self):
        return True


def without_key(ended):
    assert KEY not in ended.out
    assert KEY not in ended.err
    assert "Traceback" not in ended.err
    return ended


def found(ended):
    """Return the findings of `sunra doctor --json` by check."""
    return {finding["check"]: finding for finding in json.loads(ended.out)["findings"]}


def statuses(ended):
    return {name: finding["status"] for name, finding in found(ended).items()}


@pytest.fixture
def environment(sunra_sandbox, monkeypatch):
    """The environment of a user whose gateway is the sandbox."""
    monkeypatch.setenv("SUNRA_KEY", KEY)
    monkeypatch.setenv("SUNRA_BASE_URL", sunra_sandbox.base_url)
    return monkeypatch


@pytest.fixture
def sunra(environment, capfd):
    """Run `sunra` with these arguments in this process, with its output piped."""

    def sunra(*arguments, stdin=""):
        environment.setattr(
            "sys.stdin", stdin if isinstance(stdin, io.StringIO) else io.StringIO(stdin)
        )
        capfd.readouterr()
        try:
            status = main(arguments)
        except SystemExit as exited:  # argparse, of the sandbox's own options
            status = exited.code
        captured = capfd.readouterr()
        return without_key(Ended(status, captured.out, captured.err))

    return sunra


@pytest.fixture
def start(environment):
    """Start `sunra` in its own process."""

    def start(*arguments, **more):
        child = children.started(
            [*PROGRAM, *arguments],
            env={**os.environ, "PYTHONUNBUFFERED": "1", **more.pop("env", {})},
            **{"stdin": subprocess.DEVNULL, "stdout": -1, "stderr": -1, **more},
        )
        return running.enter_context(child)

    with ExitStack() as running:
        yield start


@pytest.fixture
def refusing(sunra_sandbox):
    """Make the sandbox reject requests that have one of these parameters, with these messages."""

    def refusing(status=400, **words):
        def answer(request):
            for name, message in words.items():
                if name in request:
                    return Http(status, {"error": {"message": message, "code": "invalid_input"}})
            return None

        sunra_sandbox.answer_with(answer)

    return refusing

"""Run the command line, in this process or in its own. The key must not appear in any output."""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from sunra_integrations.cli import main
from sunra_integrations.sandbox import Http
from tests import children
from tests.waiting import DEADLINE

KEY = "sk-look-for-me-0123456789"
PROGRAM = [sys.executable, "-m", "sunra_integrations.cli"]


class Ended(NamedTuple):
    status: int
    out: str
    err: str


class Screen:
    """A pseudo-terminal with a simulated user."""

    def __init__(self):
        self._ours, self._theirs = os.openpty()
        self.seen = ""
        self._seen_up_to = 0

    def close(self):
        os.close(self._ours)
        os.close(self._theirs)

    def streams(self):
        return dict.fromkeys(("stdin", "stdout", "stderr"), self._theirs)

    def see(self, text):
        """Wait until this text appears after the one before."""
        end = time.monotonic() + DEADLINE
        while text not in self.seen[self._seen_up_to :]:
            assert time.monotonic() < end, self.seen
            if select.select([self._ours], [], [], 0.1)[0]:
                self.seen += os.read(self._ours, 65536).decode("utf-8", "replace")
        self._seen_up_to = self.seen.index(text, self._seen_up_to) + len(text)

    def type_after(self, prompt, keys):
        self.see(prompt)
        self.type(keys)

    def type(self, keys):
        os.write(self._ours, keys.encode())


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
def environment(sunra_sandbox, monkeypatch, tmp_path):
    """The environment of a user whose gateway is the sandbox, with a home of its own."""
    monkeypatch.setenv("SUNRA_KEY", KEY)
    monkeypatch.setenv("SUNRA_BASE_URL", sunra_sandbox.base_url)
    monkeypatch.delenv("SUNRA_NO_SAVE")
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
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
        except SystemExit as exited:  # click's completion of words
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
def terminal():
    """A terminal for a program that is started."""
    screen = Screen()
    yield screen
    screen.close()


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

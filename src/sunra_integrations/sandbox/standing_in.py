"""The first line of a notebook: Sunra where there is a key, else a sandbox in its place."""

import atexit
import os
import sys

from sunra_integrations.sandbox.server import Sandbox

_KEY, _BASE_URL = "SUNRA_KEY", "SUNRA_BASE_URL"

_started: list[Sandbox] = []


def stand_in() -> Sandbox | None:
    """Lets a program run with a key and without: where there is none, a sandbox stands in.

    Without `SUNRA_KEY` in the environment it starts a sandbox for the rest of the program and sets
    `SUNRA_KEY` and `SUNRA_BASE_URL`, for this process, to it. Either way it prints who will answer.

    Returns:
        The sandbox, whose replies can be scripted and requests looked at; None where there is a
        key. Asked again, the same one.
    """
    if _started and os.environ.get(_BASE_URL) == _started[0].base_url:
        return _started[0]
    if os.environ.get(_KEY):
        _say(f"Answers come from {os.environ.get(_BASE_URL) or 'Sunra'}.")
        return None
    sandbox = Sandbox()
    sandbox.start()
    atexit.register(sandbox.stop)
    _started[:] = [sandbox]
    os.environ[_KEY], os.environ[_BASE_URL] = sandbox.api_key, sandbox.base_url
    _say("Answers come from the local sandbox: a stand-in for the wire, not a model.")
    _say("It quotes and calls by rule. Set SUNRA_KEY to ask Sunra.")
    return sandbox


def _say(line: str) -> None:
    if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] - under pythonw.exe
        sys.stdout.write(line + "\n")

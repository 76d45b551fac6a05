"""`stand_in`: use Sunra if there is a key, and a local sandbox otherwise."""

import atexit
import os
import sys

from sunra_integrations.sandbox.server.sandbox import Sandbox

_KEY, _BASE_URL = "SUNRA_KEY", "SUNRA_BASE_URL"

_started: list[Sandbox] = []


def stand_in() -> Sandbox | None:
    """Starts a local sandbox if the environment has no ``SUNRA_KEY``.

    Call it before you create a model. The sandbox runs until the program ends. ``SUNRA_KEY`` and
    ``SUNRA_BASE_URL`` are set to it for this process. Prints where requests go.

    Returns:
        The sandbox, or None if there is a key. Further calls return the same sandbox.
    """
    if _started and os.environ.get(_BASE_URL) == _started[0].base_url:
        return _started[0]
    if os.environ.get(_KEY):
        _print(f"SUNRA_KEY found: using {os.environ.get(_BASE_URL) or 'Sunra'}.")
        return None
    sandbox = Sandbox()
    sandbox.start()
    atexit.register(sandbox.stop)
    _started[:] = [sandbox]
    os.environ[_KEY], os.environ[_BASE_URL] = sandbox.api_key, sandbox.base_url
    _print("No SUNRA_KEY found: using the local sandbox. Replies are rule-based, not from a model.")
    _print("Set SUNRA_KEY to use Sunra.")
    return sandbox


def _print(line: str) -> None:
    if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] - under pythonw.exe
        sys.stdout.write(line + "\n")

"""The command `sunra` (also ``python -m sunra_integrations.cli``): chat, doctor, probe, sandbox.

Needs the extra: ``pip install 'sunra-integrations[cli]'``.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

_NEEDED = ("click", "rich")

_FAILED, _INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status.

    Args:
        arguments: What stands behind `sunra`; None takes the process's own.

    Returns:
        0 when all went well, 1 when something failed, 2 when the command was not understood, 130
        when it was interrupted.
    """
    if any(find_spec(name) is None for name in _NEEDED):
        sys.stderr.write("sunra needs its extra: pip install 'sunra-integrations[cli]'\n")
        return _FAILED
    try:
        from sunra_integrations.cli import application  # noqa: PLC0415 - needs the extra

        return application.run(arguments)
    except KeyboardInterrupt:  # before the command had begun
        return _INTERRUPTED

"""The command `sunra` (also ``python -m sunra_integrations.cli``): chat, doctor, probe, sandbox.

Needs the extra: ``pip install 'sunra-integrations[cli]'``.
"""

import sys
from collections.abc import Sequence

from sunra_integrations.errors import RequirementNotMet
from sunra_integrations.requirements import check

_FAILED, _INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status.

    Args:
        arguments: What stands behind `sunra`; None takes the process's own.

    Returns:
        0 when all went well, 1 when something failed, 2 when the command was not understood, 130
        when it was interrupted.
    """
    try:
        check("sunra", "pydantic", "httpx", "click", "rich", extra="cli")
        from sunra_integrations.cli import application  # noqa: PLC0415 - needs the extra

        return application.run(arguments)
    except RequirementNotMet as error:
        sys.stderr.write(f"{error.message}\n")
        return _FAILED
    except KeyboardInterrupt:  # before the command had begun
        return _INTERRUPTED

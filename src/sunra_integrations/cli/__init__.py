"""The command `sunra` (also ``python -m sunra_integrations.cli``): chat, doctor, probe, sandbox.

Needs the extra: ``pip install 'sunra-integrations[cli]'``.
"""

import sys
from collections.abc import Sequence

from sunra_integrations.errors import RequirementNotMet
from sunra_integrations.requirements import check

_FAILED, _INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments after `sunra`. Defaults to those of the process.

    Returns:
        The exit status: 0 success, 1 failure, 2 usage error, 130 interrupted.
    """
    try:
        check("sunra", "pydantic", "httpx", "click", "rich", extra="cli")
        from sunra_integrations.cli import application  # noqa: PLC0415 - needs the extra

        return application.run(arguments)
    except RequirementNotMet as error:
        sys.stderr.write(f"{error.message}\n")
        return _FAILED
    except KeyboardInterrupt:  # during the imports
        return _INTERRUPTED

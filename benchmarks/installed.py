"""``python -m benchmarks.installed MODULE``: versions, and whether the module is installed."""

from __future__ import annotations

import json
import sys
from importlib.metadata import distributions
from importlib.util import find_spec


def report(module: str) -> str:
    """The versions of all packages, and whether the module can be imported, as JSON."""
    found = {one.metadata["Name"].lower().replace("_", "-"): one.version for one in distributions()}
    return json.dumps({"versions": found, "has_module": _has(module)})


def _has(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its parent package
        return False


if __name__ == "__main__":
    print(report(sys.argv[1]))

"""Checks that a release tag fits the code: the version, and a dated section in the changelog.

python scripts/check_release.py v0.2.0
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def problems(tag: str, *, version: str, changelog: str) -> Iterator[str]:
    """What does not fit the tag.

    Args:
        tag: The name of the git tag.
        version: `sunra_integrations.__version__`.
        changelog: The text of `CHANGELOG.md`.
    """
    if tag != f"v{version}":
        yield f"The tag is {tag}, but the version is {version}. The tag must be v{version}."
    if not re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE
    ):
        yield f"CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD`."
    unreleased = re.search(
        r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", changelog, re.DOTALL | re.MULTILINE
    )
    if unreleased and unreleased[1].strip():
        yield "CHANGELOG.md still has entries under `## [Unreleased]`."


def main() -> None:
    """Exits with the problems, if there are any."""
    [tag] = sys.argv[1:]
    source = (_ROOT / "src/sunra_integrations/__init__.py").read_text(encoding="utf-8")
    [version] = re.findall(r'^__version__ = "([^"]+)"', source, re.MULTILINE)
    changelog = (_ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if found := list(problems(tag, version=version, changelog=changelog)):
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()

"""Type checkers agree with what users may count on; see `langchain_usage.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LONGEST = 1200  # seconds; a first run on a slow machine reads all of the frameworks
pytestmark = pytest.mark.timeout(LONGEST + 60)
USAGE = sorted(HERE.glob("*_usage.py"))


@pytest.mark.parametrize("usage", USAGE, ids=lambda path: path.stem)
def test_users_code_passes_mypy_strict_without_our_configuration(
    usage: Path, tmp_path: Path
) -> None:
    """Without the pydantic plugin too, which users may not have."""
    pytest.importorskip("mypy")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--follow-imports=silent",
    ]
    kept = HERE.parents[1] / ".mypy_cache" / "usage"
    cache = kept if os.access(HERE.parents[1], os.W_OK) else tmp_path / "cache"
    checked = subprocess.run(  # noqa: S603 - our own file
        [*command, f"--cache-dir={cache}", str(usage)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
        cwd=tmp_path,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("usage", USAGE, ids=lambda path: path.stem)
def test_users_code_passes_pyright(usage: Path) -> None:
    pytest.importorskip("pyright")
    checked = subprocess.run(  # noqa: S603 - our own file
        [sys.executable, "-m", "pyright", str(usage)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
        cwd=HERE.parents[1],
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr

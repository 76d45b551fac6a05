"""`make profiles`, offline: reading a source and writing `_profiles.py`."""

from __future__ import annotations

import runpy
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("tomllib")  # the script needs Python 3.11

from scripts import make_profiles
from sunra_integrations.data import _profiles
from tests import children

SOURCE = """
from typing import Any

_PROFILES: dict[str, dict[str, Any]] = {
    "vendor/known": {
        "name": "Known, with true {braces}",
        "last_updated": "2026-01-02",
        "max_input_tokens": 1000,
        "max_output_tokens": None,
        "tool_calling": True,
        "image_inputs": False,
        "status": "beta",
    },
    "vendor/known:free": {"name": "A variant"},
    "openrouter/auto": {"name": "A router"},
    "local": {"name": "No vendor"},
}
"""
AUGMENTATIONS = """
[overrides]
tool_call_streaming = true

[overrides."vendor/known"]
max_output_tokens = 7
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(make_profiles, "TARGET", tmp_path)
    (tmp_path / "profile_augmentations.toml").write_text(AUGMENTATIONS)
    return tmp_path


def source(folder: Path, kind: str) -> Path:
    if kind == "module":
        path = folder / "source.py"
        path.write_text(SOURCE)
    else:
        path = folder / "langchain_openrouter-9.8.7-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(make_profiles.MEMBER, SOURCE)
    return path


@pytest.mark.parametrize(("kind", "version"), [("module", "(unknown version)"), ("wheel", "9.8.7")])
def test_profiles_are_written_from_a_file(target, monkeypatch, capsys, kind, version):
    monkeypatch.setattr(sys, "argv", ["make_profiles.py", str(source(target, kind))])
    make_profiles.main()
    module = runpy.run_path(str(target / "_profiles.py"))
    assert module["_PROFILES"] == {
        "vendor/known": {
            "name": "Known, with true {braces}",
            "last_updated": "2026-01-02",
            "max_input_tokens": 1000,
            "tool_calling": True,
            "image_inputs": False,
            "tool_call_streaming": True,
            "max_output_tokens": 7,
        }
    }
    assert f"langchain-openrouter {version}" in (module["__doc__"] or "")
    assert capsys.readouterr().out.endswith("the newest of 2026-01-02\n")


def test_written_profiles_are_formatted(target, monkeypatch):
    pytest.importorskip("ruff")
    monkeypatch.setattr(sys, "argv", ["make_profiles.py", str(source(target, "wheel"))])
    make_profiles.main()
    formatting = ("-m", "ruff", "format", "--isolated", "--line-length=100", "--check")
    done = children.python(*formatting, str(target / "_profiles.py"))
    assert done.returncode == 0, done.stderr


def test_the_packaged_profiles_can_be_read_back():
    text = Path(_profiles.__file__).read_text(encoding="utf-8")
    assert make_profiles.assigned_profiles(text) == _profiles._PROFILES

"""`make profiles`, offline: reading a source and writing `_profiles.py`."""

from __future__ import annotations

import runpy
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tomllib")  # the script needs Python 3.11

from scripts import make_profiles
from sunra_integrations.data import _profiles
from tests import children

GATEWAY = {
    "vendor/known": {
        "name": "Known, with true {braces} and [brackets]",
        "last_updated": "2026-01-02",
        "max_input_tokens": 1000,
        "max_output_tokens": None,
        "tool_calling": True,
        "image_inputs": False,
        "image_tool_message": True,
        "odd": "text",
    },
    "openai/gpt-9": {
        "name": "GPT-9",
        "last_updated": "2026-01-02",
        "max_input_tokens": 400,
        "text_inputs": True,
        "image_inputs": False,
        "tool_calling": True,
        "reasoning_output": True,
    },
    "openai/gpt-9-pro": {"last_updated": "2026-01-02", "reasoning_output": True},
    "vendor/known:free": {"name": "A variant"},
    "openrouter/auto": {"name": "A router"},
    "local": {"name": "No vendor"},
}
LEVELS = {
    "reasoning_effort_levels": ["none", "high", "max"],
    "reasoning_effort_default": "high",
}
OPENAI = {
    "gpt-9": {
        **LEVELS,
        "name": "Not taken",
        "max_input_tokens": 300,
        "image_url_inputs": True,
        "tool_choice": True,
        "mid_conversation_tools": True,
        "status": "deprecated",
    },
    "gpt-9-pro": {**LEVELS, "max_input_tokens": 100},
}
ABLE = {"text_inputs": True, "text_outputs": True, "tool_calling": True, "image_inputs": True}
ANTHROPIC = {
    "claude-new-4-5": {
        **ABLE,
        **LEVELS,
        "name": "Claude New",
        "last_updated": "2026-02-03",
        "max_input_tokens": 500,
        "image_url_inputs": True,
        "tool_choice": False,
        "pdf_tool_message": True,
    },
    "claude-new-4-5-20260203": {**ABLE, "name": "A version", "last_updated": "2026-02-03"},
    "claude-live": {**ABLE, "name": "Not for chat completions", "last_updated": "2026-02-03"},
    "embedding": {"name": "Without tools", "text_inputs": True, "last_updated": "2026-02-03"},
}
SOURCES = {
    "langchain-openrouter": GATEWAY,
    "langchain-openai": OPENAI,
    "langchain-anthropic": ANTHROPIC,
    "langchain-google-genai": {},
    "langchain-xai": {},
}
AUGMENTATIONS = """
[overrides]
tool_call_streaming = true

[overrides."vendor/known"]
max_output_tokens = 7
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the script writes to."""
    monkeypatch.setattr(make_profiles, "TARGET", tmp_path)
    (tmp_path / "profile_augmentations.toml").write_text(AUGMENTATIONS)
    return tmp_path


@pytest.fixture
def wheels(tmp_path: Path) -> list[str]:
    """A wheel of each package."""
    return [wheel(tmp_path, name, profiles) for name, profiles in SOURCES.items()]


def wheel(folder: Path, name: str, profiles: dict[str, Any]) -> str:
    module = name.replace("-", "_")
    path = folder / f"{module}-9.8.7-py3-none-any.whl"
    source = f"from typing import Any\n\n_PROFILES: dict[str, dict[str, Any]] = {profiles!r}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}/data/_profiles.py", source)
    return str(path)


def test_profiles_are_written_from_wheels(target, wheels, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["make_profiles.py", *reversed(wheels)])
    make_profiles.main()
    module = runpy.run_path(str(target / "_profiles.py"))
    assert module["_PROFILES"] == {
        "anthropic/claude-new-4.5": {
            **ABLE,
            "name": "Claude New",
            "last_updated": "2026-02-03",
            "max_input_tokens": 500,
            "image_url_inputs": True,
            "tool_choice": False,
            "tool_call_streaming": True,
        },
        "openai/gpt-9": {
            "name": "GPT-9",
            "status": "deprecated",
            "last_updated": "2026-01-02",
            "max_input_tokens": 300,
            "text_inputs": True,
            "image_inputs": False,
            "tool_calling": True,
            "reasoning_output": True,
            "tool_choice": True,
            "reasoning_effort_levels": ["none", "high"],
            "reasoning_effort_default": "high",
            "tool_call_streaming": True,
        },
        "openai/gpt-9-pro": {
            "last_updated": "2026-01-02",
            "max_input_tokens": 100,
            "reasoning_output": True,
            "tool_call_streaming": True,
        },
        "vendor/known": {
            "name": "Known, with true {braces} and [brackets]",
            "last_updated": "2026-01-02",
            "max_input_tokens": 1000,
            "tool_calling": True,
            "image_inputs": False,
            "tool_call_streaming": True,
            "max_output_tokens": 7,
        },
    }
    for name in SOURCES:
        assert f"{name} 9.8.7" in module["__doc__"]
    assert "Newest entry: 2026-02-03\n" in module["__doc__"]
    assert capsys.readouterr().out.startswith("4 models, the newest of 2026-02-03, from langchain-")


def test_a_package_that_is_not_given_is_downloaded(target, wheels, monkeypatch, tmp_path):
    asked = []

    def download(requirement: str, folder: Path) -> Path:
        asked.append(requirement)
        folder.mkdir(parents=True)
        return Path(wheel(folder, requirement.partition("==")[0], {}))

    monkeypatch.setattr(make_profiles, "download", download)
    given = [*wheels[:3], "langchain-xai==1.2"]
    found = dict(make_profiles.read_packages(given, tmp_path / "downloads"))
    assert asked == ["langchain-google-genai", "langchain-xai==1.2"]
    assert list(found) == list(SOURCES)


def test_a_package_that_is_not_a_source_is_named(wheels, tmp_path):
    with pytest.raises(SystemExit, match="Not a source of model data: langchain-groq==1"):
        list(make_profiles.read_packages([*wheels, "langchain-groq==1"], tmp_path))


def test_written_profiles_are_formatted(target, wheels, monkeypatch):
    pytest.importorskip("ruff")
    monkeypatch.setattr(sys, "argv", ["make_profiles.py", *wheels])
    make_profiles.main()
    formatting = ("-m", "ruff", "format", "--isolated", "--line-length=100", "--check")
    done = children.python(*formatting, str(target / "_profiles.py"))
    assert done.returncode == 0, done.stderr


def test_the_packaged_profiles_can_be_read_back():
    text = Path(_profiles.__file__).read_text(encoding="utf-8")
    assert make_profiles.assigned_profiles(text) == _profiles._PROFILES

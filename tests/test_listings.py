"""How the frameworks' catalogues list this package."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml
from langchain_core.language_models import BaseChatModel
from llama_index.core.llms import LLM

tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")

ROOT = Path(__file__).parents[1]
LISTING = yaml.safe_load((ROOT / "docs/providers/langchain_listing.yaml").read_text("utf-8"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
[ROW] = LISTING["python"]["chat"]
CAPABILITIES = ("stream", "tool_calling", "structured_output", "multimodal")


def test_langchain_s_row_has_the_required_keys_and_names_a_chat_model_of_this_package():
    assert list(ROW) == ["name", "pypi", "docs_url", *CAPABILITIES]
    assert ROW["pypi"] == PYPROJECT["project"]["name"]
    assert ROW["docs_url"].startswith("https://")
    cls = getattr(importlib.import_module("sunra_integrations.langchain"), ROW["name"])
    assert issubclass(cls, BaseChatModel)


def test_langchain_s_row_says_what_the_class_does():
    cls = getattr(importlib.import_module("sunra_integrations.langchain"), ROW["name"])
    own = {
        "stream": "_stream" in vars(cls) and "_astream" in vars(cls),
        "tool_calling": "bind_tools" in vars(cls),
        "structured_output": "with_structured_output" in vars(cls),
        "multimodal": bool(cls(model="openai/gpt-4o", api_key="k").profile["image_inputs"]),
    }
    assert {one: ROW[one] for one in CAPABILITIES} == own


def test_the_form_says_the_same_as_the_row():
    form = LISTING["form"]
    assert (form["display_name"], form["pypi_package"]) == (ROW["name"], ROW["pypi"])
    assert form["docs_url"] == ROW["docs_url"]
    assert (form["language"], form["component"]) == ("Python", "chat")
    assert yaml.safe_load(form["capability_notes"]) == {one: ROW[one] for one in CAPABILITIES}


def test_llamahub_s_metadata_name_an_llm_of_this_package():
    hub = PYPROJECT["tool"]["llamahub"]
    module = importlib.import_module(hub["import_path"])
    assert list(hub["class_authors"]) == ["Sunra"]
    assert issubclass(getattr(module, "Sunra"), LLM)  # noqa: B009 - as the catalogue looks it up

"""The reference: every keyword has a sentence and an example, and every method is named."""

from __future__ import annotations

import inspect
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from langchain_core.rate_limiters import InMemoryRateLimiter
from llama_index.core import PromptTemplate
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.output_parsers import PydanticOutputParser
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from sunra_integrations.budget import Budget
from sunra_integrations.langchain import ChatSunra, UsageCallback
from sunra_integrations.llama_index import Sunra

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
MODELS = {ChatSunra: REFERENCE / "langchain.md", Sunra: REFERENCE / "llama_index.md"}


class Person(BaseModel):
    name: str


IN_EXAMPLES = {
    "Budget": Budget,
    "CallbackManager": CallbackManager,
    "InMemoryRateLimiter": InMemoryRateLimiter,
    "Person": Person,
    "PromptTemplate": PromptTemplate,
    "PydanticOutputParser": PydanticOutputParser,
    "PydanticProgramMode": PydanticProgramMode,
    "TokenBucketRateLimiter": TokenBucketRateLimiter,
    "TokenCountingHandler": TokenCountingHandler,
    "UsageCallback": UsageCallback,
    "httpx": httpx,
    "os": os,
}


@pytest.fixture
def in_docstring(monkeypatch):
    """The arguments that the docstring of a class describes, as the site reads them."""
    monkeypatch.setitem(sys.modules, "griffe", SimpleNamespace(Extension=object))  # of the site's
    monkeypatch.delitem(sys.modules, "scripts.site_docstrings", raising=False)
    site = import_module("scripts.site_docstrings")
    return lambda cls: site.described_arguments(inspect.getdoc(cls) + "\n")


def keyword_of(name, field):
    return field.alias if name == "model_name" else name


FIELDS = [(cls, name) for cls in MODELS for name in cls.model_fields]


@pytest.mark.parametrize(("cls", "name"), FIELDS)
def test_every_keyword_has_a_sentence_and_an_example_that_works(cls, name, in_docstring):
    field = cls.model_fields[name]
    keyword = keyword_of(name, field)
    described = in_docstring(cls)
    ours = any(
        name in vars(base).get("__annotations__", {})
        for base in cls.__mro__
        if base.__module__.startswith("sunra_integrations")
    )
    text = (field.description or "") if ours else described[keyword]
    sentence, example = re.fullmatch(r"(.+\.) Example: `([^`]+)`\.", text).groups()
    assert sentence[0].isupper() or sentence[0] == "`"
    arguments = eval(f"dict({example})", IN_EXAMPLES)  # noqa: S307 - our own text
    assert keyword in arguments
    cls(**{"model": "openai/gpt-4o", "api_key": "k", **arguments})


@pytest.mark.parametrize("cls", MODELS)
def test_the_docstring_of_a_class_says_of_a_field_what_its_description_begins_with(
    cls, in_docstring
):
    descriptions = {
        keyword_of(name, field): field.description or "" for name, field in cls.model_fields.items()
    }
    described = in_docstring(cls)
    assert described
    for name, text in described.items():
        if "Example: " not in text:
            assert descriptions[name].startswith(text.rstrip(".")), name


@pytest.mark.parametrize("cls", MODELS)
def test_aliases_are_named_by_the_field_that_they_stand_for(cls):
    for name, field in cls.model_fields.items():
        if field.alias and name != "model_name":
            assert f"Alias `{field.alias}`." in field.description
    assert "Alias `request_timeout`." in cls.model_fields["timeout"].description


def methods_named(page):
    table = page.read_text(encoding="utf-8").partition("| Method |")[2].partition("\n\n")[0]
    return set(re.findall(r"\[`(\w+)`\]", table))


@pytest.mark.parametrize("cls", MODELS)
def test_the_methods_in_the_reference_exist(cls):
    assert [name for name in methods_named(MODELS[cls]) if not hasattr(cls, name)] == []


@pytest.mark.parametrize("cls", MODELS)
def test_the_reference_names_every_method_of_the_class_itself(cls):
    not_called = {"class_name", "get_lc_namespace", "get_num_tokens", "is_lc_serializable"}
    not_called |= {"lc_attributes", "lc_secrets", "model", "to_payload", "model_config"}
    own = {name for name in vars(cls) if not name.startswith("_")} - cls.model_fields.keys()
    assert own - not_called <= methods_named(MODELS[cls])


@pytest.mark.parametrize("cls", MODELS)
def test_links_to_a_framework_are_those_of_methods_defined_there(cls):
    text = MODELS[cls].read_text(encoding="utf-8")
    for name, address in re.findall(r"\[`(\w+)`\]\((https://[^)]+)\)", text):
        owner = next(base for base in cls.__mro__ if name in vars(base))
        assert not owner.__module__.startswith("sunra_integrations"), name
        if cls is ChatSunra:
            module = owner.__module__.replace("langchain_core", "langchain-core").replace(".", "/")
            assert address.endswith(f"{module}/{owner.__name__}/{name}")

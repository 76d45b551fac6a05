"""What type checkers are told of the constructors is what they take; users' code uses all of it."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.arguments import CONNECTION_SETTINGS
from sunra_integrations.transport.parameters import ConnectionParameters, ModelArguments
from sunra_integrations.transport.settings import ConnectionArguments
from tests.documents import DOCS

USERS = Path(__file__).parent / "users"
IN_NEWER_FRAMEWORKS = {"output_version", "profile", "rate_limiter"}
"""Fields that an older framework lacks."""

MODULES = (
    "budget",
    "conformance.llama_index",
    "data",
    "errors",
    "langchain",
    "llama_index",
    "sandbox",
    "transport",
    "usage",
)


def declared_constructor(cls: type) -> ast.arguments:
    """Pydantic makes the constructor; the one that stands in the source is for type checkers."""
    [made] = [
        one
        for one in ast.walk(ast.parse(inspect.getsource(cls)))
        if isinstance(one, ast.FunctionDef) and one.name == "__init__"
    ]
    return made.args


@pytest.mark.parametrize(
    ("cls", "more", "less"),
    [
        (ChatSunra, {"model", "stop_sequences", "request_timeout"}, {"model_name"}),
        (Sunra, {"request_timeout"}, set[str]()),
    ],
)
def test_a_constructor_is_declared_with_each_of_its_fields(cls, more, less):
    fields = {*cls.model_fields, *more} - less
    arguments = declared_constructor(cls)
    assert ast.unparse(arguments.kwarg.annotation) == "Unpack[ModelArguments]"
    declared = {one.arg for one in arguments.kwonlyargs} | ModelArguments.__annotations__.keys()
    assert fields - declared == set()
    assert declared - fields <= IN_NEWER_FRAMEWORKS


def test_connection_arguments_are_the_fields_of_both_adapters():
    assert ConnectionParameters.model_fields.keys() - {"http_client", "budget"} == (
        ConnectionArguments.__annotations__.keys()
    )


@pytest.mark.parametrize("cls", [ChatSunra, Sunra])
def test_a_default_is_declared_as_it_is(cls):
    arguments = declared_constructor(cls)
    for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        field = cls.model_fields.get(parameter.arg)
        if default is None or field is None or not isinstance(default, ast.Constant):
            continue
        if default.value is not ...:
            assert default.value == field.default, parameter.arg


def documented_names() -> set[str]:
    names = {
        name for module in MODULES for name in import_module(f"sunra_integrations.{module}").__all__
    }
    reference = (DOCS / "reference" / "protocol.md").read_text(encoding="utf-8")
    members = re.findall(r"members: \[([^]]+)\]", reference)
    return names.union(*(one.split(", ") for one in members))


def test_users_code_uses_every_documented_name():
    used: set[str] = set()
    for file in USERS.glob("*_usage.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
    assert documented_names() - used == set()


def test_each_connection_setting_is_known_to_the_suggestions_for_unknown_arguments():
    assert ConnectionArguments.__annotations__.keys() <= CONNECTION_SETTINGS

"""Tools, their choice and answer formats, in every form LangChain users write them."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from langchain_core.tools import tool as make_tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.langchain.tools import response_format, tool, tool_choice

MODEL = ChatSunra(model="openai/gpt-4o", api_key="sk-made-up")
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


class Weather(BaseModel):
    """Tells the weather."""

    city: str = Field()


class WeatherDict(TypedDict):
    """Tells the weather."""

    city: Annotated[str, ..., "the city"]


def weather(city: str) -> str:
    """Tells the weather."""
    return city


class Tree(BaseModel):
    """A tree."""

    name: str
    children: list[Tree] = []


FORMS: dict[str, Any] = {
    "pydantic": Weather,
    "TypedDict": WeatherDict,
    "function": weather,
    "LangChain tool": make_tool(weather),
    "JSON schema": {"title": "weather", "description": "Tells the weather.", **PARAMETERS},
    "Anthropic's": {
        "name": "weather",
        "description": "Tells the weather.",
        "input_schema": PARAMETERS,
    },
    "OpenAI's": {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather.",
            "parameters": PARAMETERS,
        },
    },
    "OpenAI's function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": PARAMETERS,
    },
}


@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_tool_becomes_the_same_function(form: str, strict: bool | None):
    function = tool(FORMS[form], strict=strict)["function"]
    assert function["name"].lower().removesuffix("dict") == "weather"
    assert function["description"] == "Tells the weather."
    assert function["parameters"]["properties"]["city"]["type"] == "string"
    assert function["parameters"]["required"] == ["city"]
    assert function.get("strict") == strict
    assert (function["parameters"].get("additionalProperties") is False) == bool(strict)


def test_cache_control_of_a_tool_is_kept():
    given = {**FORMS["Anthropic's"], "cache_control": {"type": "ephemeral"}}
    assert tool(given)["cache_control"] == {"type": "ephemeral"}


def test_a_recursive_model_keeps_its_definitions_and_is_strict_all_through():
    function = tool(Tree, strict=True)["function"]
    node = function["parameters"]["$defs"]["Tree"]
    assert node["additionalProperties"] is False
    assert node["required"] == ["name", "children"]
    assert node["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}


@pytest.mark.parametrize("given", [{"x": 1}, {"type": "object"}, 3])
def test_what_cannot_be_a_function_is_refused(given: Any):
    with pytest.raises(InvalidParameter, match="cannot be converted to a function tool"):
        tool(given)


@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize(
    "given",
    [
        {"type": "web_search"},
        {"type": "mcp", "server_label": "docs", "server_url": "https://a.example"},
        {"type": "builtin_function", "function": {"name": "$web_search"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
)
def test_a_tool_that_the_server_runs_is_unchanged(given: dict[str, Any], strict: bool | None):
    assert tool(given, strict=strict) == given


NAMED = {"type": "function", "function": {"name": "weather"}}
CHOICES: list[tuple[Any, Any]] = [
    ("any", "required"),
    ("required", "required"),
    (True, "required"),
    ({"type": "any"}, "required"),
    ("auto", "auto"),
    ({"type": "auto"}, "auto"),
    ("none", "none"),
    (False, None),
    (None, None),
    ("weather", NAMED),
    (NAMED, NAMED),
    ({"type": "tool", "name": "weather"}, NAMED),
]


@pytest.mark.parametrize(("given", "expected"), CHOICES)
def test_a_tool_choice_is_sent_as(given: Any, expected: Any):
    assert tool_choice(given, [FORMS["OpenAI's"]]) == expected
    bound = MODEL.bind_tools([weather], tool_choice=given).kwargs
    assert bound.get("tool_choice") == expected


def test_a_choice_that_is_not_among_the_tools_is_refused():
    with pytest.raises(InvalidParameter, match="weather"):
        MODEL.bind_tools([weather], tool_choice="wether")


def test_no_tools_bind_nothing_about_tools():
    bound = MODEL.bind_tools([], tool_choice="any", parallel_tool_calls=False, temperature=0)
    assert bound.kwargs == {"temperature": 0}


def test_an_answer_format_goes_with_tools_or_without():
    bound = MODEL.bind_tools([weather], response_format=Weather, strict=True).kwargs
    assert bound["response_format"]["json_schema"]["strict"] is True
    assert bound["tools"][0]["function"]["strict"] is True
    assert "tools" not in MODEL.bind_tools([], response_format=Weather).kwargs


def test_binding_an_unknown_parameter_is_refused_at_once():
    with pytest.raises(InvalidParameter, match="Did you mean `temperature`"):
        MODEL.bind_tools([weather], temperatur=1)


@pytest.mark.parametrize("form", ["pydantic", "TypedDict", "JSON schema", "OpenAI's function"])
def test_every_form_of_schema_becomes_an_answer_format(form: str):
    made = response_format(FORMS[form], strict=True)
    assert made["type"] == "json_schema"
    assert made["json_schema"]["strict"] is True
    schema = made["json_schema"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["city"]["type"] == "string"


@pytest.mark.parametrize(
    "given",
    [
        {"type": "json_object"},
        {"type": "grammar", "grammar": "root ::= x"},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    ],
)
def test_a_finished_format_is_passed_on(given: dict[str, Any]):
    assert response_format(given) == given

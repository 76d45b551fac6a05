from __future__ import annotations

import copy

import pytest
from pydantic import BaseModel, Field, SecretStr

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.json_schema import strict_schema
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.protocol.tools import function_tool, json_schema_format, tool_choice

TOOLS = [function_tool("add"), function_tool("sub")]
NAMED = {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        (False, None),
        (True, "required"),
        ("any", "required"),
        ("required", "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("add", NAMED),
        (NAMED, NAMED),
    ],
)
def test_tool_choice(choice, sent):
    assert tool_choice(choice, TOOLS) == sent


@pytest.mark.parametrize("choice", ["multiply", {"type": "function", "function": {"name": "x"}}])
def test_a_choice_of_an_unknown_tool_is_rejected(choice):
    with pytest.raises(InvalidParameter, match="add, sub"):
        tool_choice(choice, TOOLS)


def test_a_tool_without_description_and_parameters():
    assert function_tool("now") == {
        "type": "function",
        "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
    }


STRING = {"type": "string"}


class Address(BaseModel):
    street: str
    zip_code: str | None = None


class Person(BaseModel):
    name: str
    age: int = 30
    home: Address = Field(description="where they live")
    others: list[Address] = []
    contact: Address | str


def objects_of(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from objects_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects_of(value)


def test_a_strict_schema_closes_every_object_and_requires_its_properties():
    schema = Person.model_json_schema()
    before = copy.deepcopy(schema)
    strict = strict_schema(schema)
    found = list(objects_of(strict))
    assert len(found) >= 2
    for one in found:
        assert one["additionalProperties"] is False
        assert one["required"] == list(one["properties"])
    assert schema == before


def test_a_strict_schema_inlines_a_reference_with_siblings():
    home = strict_schema(Person.model_json_schema())["properties"]["home"]
    assert "$ref" not in home
    assert home["description"] == "where they live"
    assert home["required"] == ["street", "zip_code"]


def test_a_strict_schema_has_no_defaults_and_no_one_of():
    schema = {
        "type": "object",
        "properties": {"a": {"oneOf": [{"type": "string"}, {"type": "null"}], "default": None}},
    }
    assert strict_schema(schema)["properties"]["a"] == {
        "anyOf": [{"type": "string"}, {"type": "null"}]
    }


def test_a_property_may_have_the_name_of_a_keyword():
    schema = {"type": "object", "properties": {"default": STRING, "oneOf": STRING}}
    assert strict_schema(schema)["required"] == ["default", "oneOf"]


@pytest.mark.parametrize("rest", [True, {"type": "string"}])
def test_a_free_form_object_cannot_be_strict(rest):
    schema = {
        "type": "object",
        "properties": {"tags": {"type": "object", "additionalProperties": rest}},
    }
    with pytest.raises(InvalidParameter, match=r"schema\.tags"):
        strict_schema(schema)


def test_a_reference_without_a_target_is_rejected():
    with pytest.raises(InvalidParameter, match="#/\\$defs/Gone"):
        strict_schema(
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/Gone", "title": "A"}}}
        )


def test_a_recursive_schema_stays_finite():
    schema = {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
            }
        },
    }
    strict = strict_schema(schema)
    assert strict["$defs"]["Node"]["required"] == ["next"]
    assert strict["type"] == "object"


def test_a_json_schema_format_has_strict_only_if_it_is_given():
    schema = Address.model_json_schema()
    loose = json_schema_format("address", schema)["json_schema"]
    strict = json_schema_format("address", schema, strict=True, description="An address")
    assert "strict" not in loose
    assert loose["schema"] == schema
    assert strict["json_schema"]["strict"] is True
    assert strict["json_schema"]["schema"]["additionalProperties"] is False
    assert strict["json_schema"]["description"] == "An address"


SEARCH = {"type": "web_search"}


def test_a_tool_that_the_server_runs_is_chosen_by_its_type():
    assert tool_choice("web_search", [SEARCH]) == SEARCH
    with pytest.raises(InvalidParameter, match="not one of the tools"):
        tool_choice("web_search", [])


@pytest.mark.parametrize(
    ("tool", "is_accepted"),
    [
        ({"type": "function", "function": {"name": "f"}}, True),
        ({"type": "custom", "custom": {"name": "f"}}, True),
        ({"type": "builtin_function", "function": {"name": "$web_search"}}, True),  # Moonshot
        ({"function": {"name": "f"}}, True),
        ({"type": "custom", "name": "f"}, False),
        (SEARCH, False),
        ({"type": "mcp", "server_label": "a", "authorization": SecretStr("hush")}, False),
    ],
)
def test_chat_completions_accept_tools_with_a_definition(tool, is_accepted):
    request = {"model": "a/b", "messages": [{"role": "user", "content": "?"}], "tools": [tool]}
    assert ChatRequest(**request, api="responses").body(stream=False)["tools"]
    if is_accepted:
        assert ChatRequest(**request).body(stream=False)["tools"] == [tool]
    else:
        with pytest.raises(InvalidParameter, match=r"`tools\[0\]` is a tool of type") as caught:
            ChatRequest(**request)
        assert caught.value.parameter == "tools"
        assert "hush" not in repr(vars(caught.value))
        extra = {"tools": request.pop("tools")}
        assert ChatRequest(**request, extra_body=extra).body(stream=False)["tools"] == [tool]

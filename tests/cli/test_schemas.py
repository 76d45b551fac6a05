"""`sunra chat --schema`: JSON that matches a schema, or an error."""

from __future__ import annotations

import json

import pytest

from sunra_integrations.cli import main
from sunra_integrations.cli.schemas import load_schema
from sunra_integrations.sandbox import Message, TextReply
from tests.cli.conftest import Typed

CHAT = ("chat", "-q", "-m", "sandbox/echo")
PERSON = {
    "title": "Person",
    "description": "A person.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ADA = {"name": "Ada", "age": 36}


@pytest.fixture
def schema(tmp_path):
    """Write a schema to a file, and return its path."""

    def schema(value=PERSON, name="person.json"):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return str(path)

    return schema


def test_the_schema_is_sent_and_the_json_of_the_reply_is_printed(sunra, sunra_sandbox, schema):
    sunra_sandbox.next(json.dumps(ADA))
    ended = sunra(*CHAT, "--schema", schema(), "Ada is 36.")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == json.dumps(ADA, indent=2) + "\n"
    [request] = sunra_sandbox.requests
    assert request.json["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "Person",
            "description": "A person.",
            "schema": {
                "type": "object",
                "properties": PERSON["properties"],
                "required": ["name", "age"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
    assert "stream" not in request.json


def test_token_usage_is_still_reported(sunra, sunra_sandbox, schema):
    sunra_sandbox.next(json.dumps(ADA))
    ended = sunra("chat", "-m", "sandbox/echo", "--schema", schema(), "Ada is 36.")
    assert ended.err.startswith("sandbox/echo · ")


def test_the_sandboxs_own_reply_matches_on_both_apis(sunra, sunra_sandbox, schema):
    for api in ("chat", "responses"):
        ended = sunra(*CHAT, "--api", api, "--schema", schema(), "Ada is 36 years old.")
        assert ended.status == 0, ended.err
        assert json.loads(ended.out).keys() == ADA.keys()
    assert sunra_sandbox.requests[1].json["text"]["format"]["name"] == "Person"


def test_a_schema_without_a_title_is_named_after_its_file_and_may_not_be_strict(
    sunra, sunra_sandbox, schema
):
    anything = {"type": "object", "properties": {"a": {}}}
    sunra_sandbox.next('{"a": [1], "b": 2}')
    ended = sunra(*CHAT, "--schema", schema(anything, "my schema.json"), "Hi")
    assert json.loads(ended.out) == {"a": [1], "b": 2}
    sent = sunra_sandbox.requests[0].json["response_format"]["json_schema"]
    assert sent["name"].startswith("my_schema_")
    assert "strict" not in sent


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("Ada is 36.", "it is not valid JSON"),
        ('{"name": "Ada"}', "$: 'age' is a required property"),
        ('{"name": "Ada", "age": "36"}', "$.age: '36' is not of type 'integer'"),
        ('{"name": "Ada", "age": 36, "x": 1}', "Additional properties are not allowed"),
        ("[]", "[] is not of type 'object'"),
    ],
)
def test_a_reply_that_does_not_match_is_an_error_and_is_not_on_standard_output(
    sunra, sunra_sandbox, schema, reply, why
):
    sunra_sandbox.next(reply)
    ended = sunra(*CHAT, "--schema", schema(), "Ada is 36.")
    assert (ended.status, ended.out) == (1, "")
    text, error = ended.err.splitlines()
    assert text == reply
    assert error.startswith("Error: The reply does not match the schema: ")
    assert why in error


def test_with_json_the_response_is_printed_also_if_the_reply_does_not_match(
    sunra, sunra_sandbox, schema
):
    for reply, status in ((json.dumps(ADA), 0), ("Ada is 36.", 1)):
        sunra_sandbox.next(reply)
        ended = sunra(*CHAT, "--json", "--schema", schema(), "Ada is 36.")
        assert ended.status == status
        assert json.loads(ended.out)["choices"][0]["message"]["content"] == reply
        assert ("does not match the schema" in ended.err) is bool(status)


def test_a_truncated_reply_and_a_refusal_are_errors_that_say_so(sunra, sunra_sandbox, schema):
    sunra_sandbox.next(TextReply('{"name": "Ad', finish_reason="length"))
    ended = sunra(*CHAT, "--schema", schema(), "Hi")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("The reply was truncated at the token limit.\n")
    sunra_sandbox.next(Message({"role": "assistant", "content": None, "refusal": "I will not."}))
    ended = sunra(*CHAT, "--schema", schema(), "Hi")
    assert ended == (1, "", "Error: The model declined to answer: I will not.\n")


def test_references_within_the_schema_are_followed(sunra, sunra_sandbox, schema):
    nested = {
        "type": "object",
        "properties": {"one": {"$ref": "#/$defs/Person"}, "$ref": {"type": "string"}},
        "$defs": {"Person": PERSON},
    }
    for value, status in ((ADA, 0), ({"name": "Ada"}, 1)):
        sunra_sandbox.next(json.dumps({"one": value}))
        assert sunra(*CHAT, "--schema", schema(nested), "Ada is 36.").status == status


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ("[1]", "it must be an object"),
        ('{"type": "objekt"}', "is invalid at $.type"),
        (
            '{"properties": {"a": {"$ref": "https://example.com/a"}}}',
            "refers to https://example.com/a",
        ),
        ('{"$ref": "#/$defs/gone"}', "refers to #/$defs/gone, which is not in it."),
        ('{"$ref": "http://[bad"}', "refers to http://[bad, which is not in it."),
        ('{"$schema": 5}', "its `$schema` must be a string"),
    ],
)
def test_an_invalid_schema_is_a_usage_error(sunra, sunra_sandbox, schema, content, message):
    ended = sunra(*CHAT, "--schema", schema(content), "Hi")
    assert (ended.status, ended.out) == (2, "")
    assert message in ended.err
    assert sunra_sandbox.requests == []


def test_the_schema_of_a_pydantic_class_can_be_named(sunra, sunra_sandbox, tmp_path, monkeypatch):
    (tmp_path / "of_this_test.py").write_text(
        "from pydantic import BaseModel\n"
        "class Person(BaseModel):\n    name: str\n    age: int\n"
        "class Outer:\n    Inner = Person\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("of_this_test:Person", "of_this_test:Outer.Inner"):
        sunra_sandbox.next(json.dumps(ADA))
        assert json.loads(sunra(*CHAT, "--schema", name, "Ada is 36.").out) == ADA
    sent = sunra_sandbox.requests[0].json["response_format"]["json_schema"]
    assert (sent["name"], sent["strict"]) == ("Person", True)


ODD_MODULES = {
    "raising_module": "raise RuntimeError('boom')",
    "exiting_module": "raise SystemExit(3)",
    "broken_module": "x = = 1",
    "odd_module": "from collections.abc import Callable\nfrom pydantic import BaseModel\n"
    "class Person(BaseModel):\n    call: Callable[[int], int]\n",
}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone_module:Person", "cannot be imported"),
        ("json:Person", "cannot be imported"),
        ("json:dumps", "is not a Pydantic class"),
        ("json:JSONDecoder", "is not a Pydantic class"),
        ("no such file", "There is no file no such file"),
        ("..relative:Person", "cannot be imported"),
        ("raising_module:Person", "cannot be imported: RuntimeError('boom')."),
        ("exiting_module:Person", "cannot be imported: SystemExit(3)."),
        ("broken_module:Person", "cannot be imported: SyntaxError("),
        ("odd_module:Person", "has no JSON schema: Cannot generate"),
    ],
)
def test_a_class_that_cannot_be_used_is_a_usage_error(sunra, tmp_path, monkeypatch, name, message):
    for module, code in ODD_MODULES.items():
        (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    ended = sunra(*CHAT, "--schema", name, "Hi")
    assert ended.status == 2
    assert message in ended.err


def test_with_debug_the_traceback_of_a_module_is_shown(environment, tmp_path, capfd):
    (tmp_path / "raising_module.py").write_text(ODD_MODULES["raising_module"])
    environment.chdir(tmp_path)
    assert main([*CHAT, "--debug", "--schema", "raising_module:Person", "Hi"]) == 2
    assert 'raising_module.py", line 1' in capfd.readouterr().err


def test_an_example_with_a_reference_is_not_a_reference(sunra, sunra_sandbox, schema):
    sunra_sandbox.next("{}")
    given = schema('{"type": "object", "examples": [{"$ref": "elsewhere"}]}')
    assert sunra(*CHAT, "--schema", given, "Hi").status == 0


def test_a_reference_within_an_embedded_schema_is_followed(schema):
    inner = {
        "$id": "https://example.com/inner",
        "$ref": "#/$defs/number",
        "$defs": {"number": {"type": "number"}},
    }
    load_schema(schema(json.dumps({"type": "object", "properties": {"a": inner}})))


def test_a_schema_requires_a_prompt(sunra, sunra_sandbox, schema):
    ended = sunra(*CHAT, "--schema", schema(), stdin=Typed("one\n"))
    assert ended.status == 2
    assert "--schema requires PROMPT" in ended.err
    assert sunra_sandbox.requests == []

"""Limits on the work of one request, and requests for other hosts."""

import socket

import pytest

from sunra_integrations import sandbox as package
from sunra_integrations.sandbox import Sandbox
from sunra_integrations.sandbox.contract.http_rules import (
    MAX_BODY_BYTES,
    MAX_DEPTH,
    is_served_host,
)
from sunra_integrations.sandbox.contract.json_schema import (
    MAX_SCHEMA_LENGTH,
    MAX_STEPS,
    is_supported_pattern,
    is_valid,
    matches_pattern,
)
from sunra_integrations.sandbox.contract.parameters import PARAMETERS
from sunra_integrations.sandbox.server.stored_responses import MAX_CHARACTERS, MAX_RESPONSES
from tests.waiting import DEADLINE

# Over this text, backtracking engines take longer than the world is old.
CATASTROPHE = r"^(\w+\s?)*$"
LETTERS = "a" * 40 + "!"
A = {"^a": {}}


def asking(schema, text="Hello"):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    return {"messages": [{"role": "user", "content": text}], "response_format": form}


def of(**properties):
    return {"type": "object", "properties": properties, "required": list(properties)}


def test_the_documentation_has_the_limits():
    choices = PARAMETERS["n"].check.schema["maximum"]
    for limit in (
        f"{choices} choices",
        f"{MAX_BODY_BYTES // 1024**2} MiB",
        f"{MAX_DEPTH} levels",
        f"{MAX_SCHEMA_LENGTH:,} characters",
        f"{MAX_STEPS:,} steps",
        f"{MAX_RESPONSES:,} responses",
        f"{MAX_CHARACTERS // 1024**2} MiB together",
    ):
        assert limit in package.__doc__.replace("\n", " ")


# ── patterns ─────────────────────────────────────────────────────────────────


def test_a_pattern_that_backtracks_for_ever_is_matched_at_once(ask):
    text = f"The person is called '{LETTERS}' ok"
    response = ask(**asking(of(name={"type": "string", "pattern": CATASTROPHE}), text))
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": CATASTROPHE}, LETTERS),
        ({"patternProperties": {CATASTROPHE: False}}, {LETTERS: 1}),
        ({"patternProperties": {CATASTROPHE: {}}, "additionalProperties": False}, {LETTERS: 1}),
        ({"propertyNames": {"pattern": CATASTROPHE}}, {LETTERS: 1}),
        (
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "pattern": CATASTROPHE,
                "items": {"$ref": "#"},
            },
            [LETTERS],
        ),
    ],
)
def test_every_keyword_with_a_pattern_is_judged_in_linear_time(schema, value):
    expected = "patternProperties" in schema and "additionalProperties" not in schema
    assert is_valid(value, schema, schema) is expected


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"pattern": "b"}, "abc", True),
        ({"pattern": "^b"}, "abc", False),
        ({"pattern": "^b"}, 3, True),
        ({"patternProperties": {"^a": {"type": "string"}}}, {"a1": 1}, False),
        ({"patternProperties": {"^a": {"type": "string"}}}, {"b": 1}, True),
        (
            {
                "properties": {"x": {}},
                "patternProperties": {"^a": {}},
                "additionalProperties": False,
            },
            {"x": 1, "a1": 2},
            True,
        ),
        ({"patternProperties": {"^a": {}}, "additionalProperties": False}, {"b": 1}, False),
        (
            {"patternProperties": {"^a": {}}, "additionalProperties": {"type": "null"}},
            {"b": 1},
            False,
        ),
        ({"additionalProperties": False}, {"b": 1}, False),
        ({"additionalProperties": False}, [1], True),
    ],
)
def test_patterns_mean_what_json_schema_says(schema, value, expected):
    assert is_valid(value, schema, schema) is expected


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?!a)b", "(?<=a)b", r"(a)\1"])
def test_patterns_that_no_linear_engine_reads_are_not_matched(ask, pattern):
    assert not is_supported_pattern(pattern)
    assert matches_pattern(pattern, "anything")
    assert ask(**asking(of(name={"type": "string", "pattern": pattern}))).status_code == 200


# ── schemas that multiply ────────────────────────────────────────────────────


def fan(keyword, depth=24):
    """References that double with each level, to something that no word satisfies."""
    made = {
        f"a{level}": {keyword: [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(depth)
    }
    impossible = {"type": "string", "minLength": 500_000}
    return {**of(x={"$ref": "#/$defs/a0"}), "$defs": {**made, f"a{depth}": impossible}}


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_a_schema_that_multiplies_is_refused(ask, keyword):
    response = ask(**asking(fan(keyword)))
    assert response.status_code == 400
    assert "too complex" in response.json()["error"]["message"]


def test_an_all_of_that_multiplies_is_refused_or_filled(ask):
    assert ask(**asking(fan("allOf"))).status_code in {200, 400}


def test_the_same_schema_as_the_arguments_of_a_tool_is_refused_too(ask):
    tool = {"type": "function", "function": {"name": "f", "parameters": fan("anyOf")}}
    assert ask(tools=[tool], tool_choice="required").status_code == 400


def test_schemas_that_are_too_many_to_check_are_refused(ask):
    parameters = of(**{f"p{number}": {"type": "string"} for number in range(10_000)})
    tools = [
        {"type": "function", "function": {"name": f"f{place}", "parameters": parameters}}
        for place in range(4)
    ]
    response = ask(tools=tools)
    assert response.status_code == 400
    assert "steps to check" in response.json()["error"]["message"]


def test_a_long_text_is_looked_through_for_few_values_only(ask):
    schema = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(5_000)}}
    assert ask(**asking(schema, "word " * 4_000)).status_code == 400
    assert ask(**asking(of(p={"type": "string"}), "word " * 4_000)).status_code == 200


def test_the_sandbox_goes_on_after_a_request_that_was_too_much(ask):
    ask(**asking(fan("anyOf")))
    assert ask().status_code == 200


def test_a_large_enum_is_read_value_by_value(ask):
    values = [f"value{number}" for number in range(3000)]
    response = ask(**asking(of(x={"type": "string", "enum": values}), "Take value2999."))
    assert response.json()["choices"][0]["message"]["content"] == '{"x": "value2999"}'


def test_enums_that_apply_together_leave_what_both_allow(ask):
    both = {"allOf": [{"enum": list(range(3000))}, {"enum": [2999, 1, True]}]}
    response = ask(**asking(of(x=both)))
    assert response.json()["choices"][0]["message"]["content"] == '{"x": 1}'


def test_lists_of_choices_among_themselves_come_to_an_end(ask):
    schema = {
        **of(node={"$ref": "#/$defs/N"}),
        "$defs": {
            "N": of(
                parts={"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/N"}], "title": "N"}}
            )
        },
    }
    assert '"parts": []' in ask(**asking(schema)).json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("keyword", ["oneOf", "anyOf", "allOf"])
def test_references_that_lead_in_a_circle_are_refused_or_filled(ask, keyword):
    inner = {keyword: [{"$ref": "#/properties/a"}, {"type": "null"}]}
    empty = {"type": "object", "properties": {}, "unevaluatedProperties": False}
    circle = {keyword: [empty, {"$ref": "#/$defs/d", "description": "x"}]}
    for schema in (of(a=inner), {**of(a={"$ref": "#/$defs/d"}), "$defs": {"d": circle}}):
        response = ask(**asking(schema))
        assert response.status_code in {200, 400, 422}, response.text


def test_an_encoded_reference_leads_to_its_name(ask):
    schema = {**of(a={"$ref": "#/$defs/A%20B~1C"}), "$defs": {"A B/C": {"type": "boolean"}}}
    content = ask(**asking(schema)).json()["choices"][0]["message"]["content"]
    assert content in {'{"a": true}', '{"a": false}'}


# ── requests that are not meant for it ───────────────────────────────────────


@pytest.mark.parametrize(
    ("header", "bound", "served"),
    [
        ("127.0.0.1:8111", "127.0.0.1", True),
        ("localhost:8111", "127.0.0.1", True),
        ("LOCALHOST.", "127.0.0.1", True),
        ("app.localhost", "127.0.0.1", True),
        ("127.9.9.9", "127.0.0.1", True),
        ("[::1]:8111", "127.0.0.1", True),
        ("192.168.1.5:8111", "192.168.1.5", True),
        ("Box.local:8111", "box.local", True),
        ("anything.example:1", "0.0.0.0", True),  # noqa: S104 - a header, not an address to bind
        ("evil.example:8111", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("192.168.1.6", "192.168.1.5", False),
        ("[2001:db8::1]", "::1", False),
        ("", "127.0.0.1", False),
        ("[::1", "127.0.0.1", False),
        ("[::1]evil.example", "127.0.0.1", False),
        ("localhost:80:80", "127.0.0.1", False),
        ("localhost:evil.example", "127.0.0.1", False),
        ("localhost@evil.example", "127.0.0.1", False),
        (".localhost", "127.0.0.1", False),
        ("127.0.0.1..", "127.0.0.1", False),
    ],
)
def test_only_its_own_address_and_loopback_names_are_served(header, bound, served):
    assert is_served_host(header, bound) is served


@pytest.mark.parametrize("path", ["/openapi.json", "/v1/chat/completions", "/v1/responses"])
def test_a_page_whose_name_leads_here_is_refused(http, path):
    url = str(http.base_url).removesuffix("/v1/") + path
    method = "GET" if path == "/openapi.json" else "POST"
    response = http.request(method, url, json={}, headers={"host": "evil.example"})
    assert response.status_code == 400
    assert "evil.example" in response.json()["error"]["message"]


def test_a_request_with_two_lengths_is_refused_and_its_connection_closed():
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer k\r\n"
        "Content-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with Sandbox() as sandbox:
        port = int(sandbox.base_url.split(":")[2].split("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
            connection.sendall(head.encode() + b"2\r\n{}\r\n0\r\n\r\n")
            received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"not both" in received


# ── requests for responses ───────────────────────────────────────────────────


def test_a_schema_that_multiplies_is_refused_in_a_response_too(respond):
    form = {"format": {"type": "json_schema", "name": "x", "schema": fan("anyOf")}}
    tool = {"type": "function", "name": "f", "parameters": fan("anyOf")}
    for asked in ({"text": form}, {"tools": [tool], "tool_choice": "required"}):
        response = respond(**asked)
        assert response.status_code == 400
        assert "too complex" in response.json()["error"]["message"]


def test_many_items_take_little_time(respond):
    first = respond().json()["output"][0]
    reasoning = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "x"}
    reference = {"type": "item_reference", "id": first["id"]}
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "output": "x"}
    calls = [{**call, "call_id": str(number)} for number in range(10_000)]
    results = [{**result, "call_id": str(number)} for number in range(10_000)]
    many = [*[reasoning] * 20_000, *[reference] * 20_000, *calls, *results]
    assert respond(input=many).status_code == 200

"""Invalid requests are refused with the path of each problem, and never with a 5xx."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sunra_integrations.protocol.parameters import RequestParameters
from sunra_integrations.sandbox.contract.parameters import COMPLETION_REQUEST, PARAMETERS
from tests.examples import examples

request_problems = COMPLETION_REQUEST.problems
SENT = RequestParameters.model_fields.keys() - {"api", "extra_body"}
STRING = {"type": "string"}
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"q": STRING}, "required": ["q"]},
    },
}
STRICT = {
    "type": "object",
    "properties": {"q": STRING},
    "required": ["q"],
    "additionalProperties": False,
}
CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWER = {"role": "tool", "tool_call_id": "c1", "content": "found"}
# What pydantic makes of a class that refers to itself: a root without a type.
RECURSIVE = {
    "$ref": "#/$defs/Node",
    "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
}
LONG = {"type": "object", "description": "x" * 500_000}
USER = {"role": "user", "content": "Hello"}
PNG = base64.b64encode(b"\x89PNG").decode()


def tool(**function):
    return {"type": "function", "function": {"name": "f", **function}}


def calling(name):
    function = {"name": name, "arguments": "{}"}
    return {**CALLING, "tool_calls": [{"id": "c1", "type": "function", "function": function}]}


def parts(*found, role="user"):
    return {"messages": [{"role": role, "content": list(found)}]}


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url, **more}}


def named_schema(schema, **more):
    body = {"name": "shape", "schema": schema, **more}
    return {"response_format": {"type": "json_schema", "json_schema": body}}


# (parameters, status, the path that the message must name)
REFUSED = [
    ({"temperature": "1"}, 400, "temperature"),
    ({"temperature": True}, 400, "temperature"),
    ({"temperature": None}, 400, "temperature"),
    ({"temperature": 2.1}, 422, "temperature"),
    ({"temperature": -0.1}, 422, "temperature"),
    ({"top_p": 1.01}, 422, "top_p"),
    ({"frequency_penalty": -2.5}, 422, "frequency_penalty"),
    ({"presence_penalty": 3}, 422, "presence_penalty"),
    ({"stream": "true"}, 400, "stream"),
    ({"n": 0}, 422, "n"),
    ({"n": 129}, 422, "a limit of the sandbox"),
    ({"n": 1.0}, 400, "n"),
    ({"seed": "7"}, 400, "seed"),
    ({"max_tokens": 0}, 422, "max_tokens"),
    ({"max_tokens": True}, 400, "max_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, 422, "max_completion_tokens"),
    ({"stop": ["a", "b", "c", "d", "e"]}, 422, "stop"),
    ({"stop": ""}, 422, "stop"),
    ({"stop": [1]}, 400, "stop[0]"),
    ({"logprobs": 1}, 400, "logprobs"),
    ({"top_logprobs": 2}, 422, "top_logprobs"),
    ({"top_logprobs": 21, "logprobs": True}, 422, "top_logprobs"),
    ({"user": 5}, 400, "user"),
    ({"stream_options": {"include_usage": True}}, 422, "stream_options"),
    ({"provider": {"only": "openai"}}, 400, "provider.only"),
    ({"temprature": 1}, 422, "did you mean 'temperature'"),
    ({"max_token": 1}, 422, "did you mean 'max_tokens'"),
    ({"toolChoice": "auto"}, 422, "did you mean 'tool_choice'"),
    # tools
    ({"tools": []}, 422, "tools"),
    ({"tools": {}}, 400, "tools"),
    (
        {"tools": [TOOL, TOOL]},
        422,
        "`tools` must be a list of tools with distinct names, got 'look_up'",
    ),
    ({"tools": [tool(name="no spaces")]}, 422, "tools[0].function.name"),
    ({"tools": [tool(name="n" * 65)]}, 422, "tools[0].function.name"),
    ({"tools": [{"type": "web_search", "function": {"name": "f"}}]}, 422, "tools[0].type"),
    ({"tools": [tool(parameters={"type": "objekt"})]}, 422, "tools[0].function.parameters"),
    ({"tools": [tool(parameters={"type": "array"})]}, 422, "tools[0].function.parameters.type"),
    ({"tools": [tool(parameters={"$ref": "#/$defs/gone"})]}, 422, "$ref"),
    ({"tools": [tool(parameters={"$ref": "https://example.com/s.json"})]}, 422, "$ref"),
    ({"tools": [tool(parameters=TOOL["function"]["parameters"], strict=True)]}, 422, "strict"),
    ({"tools": [tool(parameters={**STRICT, "required": []}, strict=True)]}, 422, "including q"),
    ({"tool_choice": "auto"}, 422, "tool_choice"),
    ({"parallel_tool_calls": True}, 422, "parallel_tool_calls"),
    ({"tools": [TOOL], "tool_choice": "any"}, 422, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}}, 422, "'x'"),
    ({"tools": [TOOL], "tool_choice": {"name": "look_up"}}, 400, "tool_choice"),
    ({"tools": [tool(name="")]}, 422, "tools[0].function.name"),
    ({"tools": [tool(parameters={"type": "object"})]}, 422, "parameters.properties"),
    ({"tools": [tool(parameters=RECURSIVE)]}, 422, "tools[0].function.parameters.type"),
    ({"tools": [tool(parameters={"properties": {}})]}, 422, "tools[0].function.parameters.type"),
    ({"tools": [tool(parameters={**RECURSIVE, **STRICT}, strict=True)]}, 422, "$ref"),
    # response_format
    (named_schema(RECURSIVE), 422, "response_format.json_schema.schema.type"),
    (named_schema(LONG), 422, "a schema of at most 500000 characters"),
    (
        named_schema({"type": "object", "properties": {"a": {"$schema": "x"}}}),
        422,
        "schema.properties.a.$schema",
    ),
    (
        named_schema(
            {
                "type": "object",
                "patternProperties": {"a": {}},
                "properties": {"b": {"unevaluatedProperties": False}},
            }
        ),
        422,
        "unevaluatedProperties",
    ),
    ({"response_format": "json"}, 400, "response_format"),
    ({"response_format": {"type": "xml"}}, 422, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, 400, "response_format"),
    (named_schema({"type": 7}), 422, "response_format.json_schema.schema"),
    (named_schema({"type": "object", "properties": {}}, strict=True), 422, "additionalProperties"),
    (named_schema(STRICT, stirct=True), 422, "response_format.json_schema.stirct"),
    # messages
    ({"messages": []}, 422, "messages"),
    ({"messages": "Hello"}, 400, "messages"),
    ({"messages": [{"content": "Hello"}]}, 400, "messages[0].role"),
    ({"messages": [{"role": "human", "content": "Hello"}]}, 422, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, 400, "messages[0]"),
    ({"messages": [{"role": "user", "content": None}]}, 400, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, 400, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "x", "id": "run-1"}]}, 422, "messages[0].id"),
    ({"messages": [{**USER, "name": "Ann Lee"}]}, 422, "messages[0].name"),
    ({"messages": [{**USER, "name": "n" * 65}]}, 422, "messages[0].name"),
    ({"messages": [USER, calling("a b"), ANSWER]}, 422, "tool_calls[0].function.name"),
    ({"messages": [USER, {"role": "assistant", "content": None}]}, 422, "messages[1].content"),
    ({"messages": [USER, {"role": "assistant", "content": "x", "tool_calls": []}]}, 422, "calls"),
    ({"messages": [USER, CALLING]}, 422, "messages[1].tool_calls"),
    ({"messages": [USER, CALLING, USER]}, 422, "before messages[2]"),
    ({"messages": [USER, ANSWER]}, 422, "messages[1].tool_call_id"),
    ({"messages": [USER, CALLING, ANSWER, ANSWER]}, 422, "messages[3].tool_call_id"),
    ({"messages": [USER, CALLING, {**ANSWER, "tool_call_id": "c2"}]}, 422, "tool_call_id"),
    ({"messages": [USER, CALLING, {"role": "tool", "content": "x"}]}, 400, "'tool_call_id'"),
    (
        {"messages": [USER, {**CALLING, "tool_calls": [CALL, CALL]}, ANSWER]},
        422,
        "messages[1].tool_calls",
    ),
    (
        {"messages": [USER, {**CALLING, "tool_calls": [{**CALL, "id": ""}]}, ANSWER]},
        422,
        "messages[1].tool_calls[0].id",
    ),
    (
        {
            "messages": [
                USER,
                {
                    **CALLING,
                    "tool_calls": [{**CALL, "function": {"name": "look_up", "arguments": {}}}],
                },
                ANSWER,
            ]
        },
        400,
        "messages[1].tool_calls[0].function.arguments",
    ),
    # parts
    (parts(), 422, "messages[0].content"),
    (parts("text"), 400, "messages[0].content[0]"),
    (parts({"type": "text"}), 400, "'text'"),
    (parts({"type": "input_image", "image_url": "x"}), 422, "messages[0].content[0].type"),
    (parts({"type": "image_url", "image_url": "http://x.y/z.png"}), 400, "image_url"),
    (parts(image("ftp://example.com/a.png")), 422, "image_url.url"),
    (parts(image("https://example.com/a.png", detail="medium")), 422, "image_url.detail"),
    (parts(image(f"data:image/png,{PNG}")), 422, "image_url.url"),
    (parts(image("data:image/png;base64,@@@")), 422, "valid base64"),
    (parts(image("data:image/png;base64,")), 422, "at least one byte"),
    (parts(image(f"data:application/pdf;base64,{PNG}")), 422, "image/"),
    (parts({"type": "input_audio", "input_audio": {"data": PNG}}), 400, "'format'"),
    (
        parts({"type": "input_audio", "input_audio": {"data": PNG, "format": "audio/wav"}}),
        422,
        "input_audio.format",
    ),
    (parts({"type": "file", "file": {"file_data": PNG}}), 422, "filename"),
    (parts({"type": "file", "file": {"filename": "a.pdf"}}), 422, "either file_data or file_id"),
    (parts(image("https://example.com/a.png"), role="system"), 422, "messages[0].content[0].type"),
]


@pytest.mark.parametrize(("parameters", "status", "told"), REFUSED)
def test_what_breaks_the_contract_is_refused_and_told_where(ask, parameters, status, told):
    response = ask(**parameters)
    error = response.json()["error"]
    assert response.status_code == status
    assert error["code"] == "invalid_input"
    assert told in error["message"] or any(told in found["message"] for found in error["details"])


ACCEPTED = [
    {"temperature": 0},
    {"temperature": 2, "top_p": 1, "frequency_penalty": -2, "presence_penalty": 2.0},
    {"stop": ["a", "b", "c", "d"]},
    {"n": 128, "seed": -1, "user": "someone"},
    {"seed": 2**70},
    {"logprobs": True, "top_logprobs": 0},
    {"provider": {"only": ["google-vertexai"], "sort": "price", "zdr": True}},
    {"reasoning": {"effort": "low"}, "metadata": {"a": 1}, "top_k": 40, "min_p": 0.1},
    {"x_my_extension": {"any": ["thing"]}},
    {"tools": [tool()]},
    {"tools": [tool(parameters={})]},
    {"tools": [tool(parameters=STRICT, strict=True)], "tool_choice": "none"},
    {"tools": [TOOL], "parallel_tool_calls": False, "response_format": {"type": "text"}},
    named_schema(STRICT, strict=True, description="a shape"),
    named_schema({"type": "array", "items": {"type": "integer"}}),
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "grammar", "grammar": "root ::= 'a'"}},
    {"messages": [USER, CALLING, ANSWER]},
    {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}, ANSWER, USER]},
    {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "", "name": "ann"},
            {
                "role": "assistant",
                "content": "Hi",
                "refusal": None,
                "annotations": [],
                "audio": None,
                "function_call": None,
                "tool_calls": None,
            },
        ]
    },
    {
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
                "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
                "extra_content": {"google": {"thought_signature": "s"}},
            },
        ]
    },
    parts({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
    parts(image("https://example.com/a.png", detail="low"), image(f"data:image/png;base64,{PNG}")),
    parts({"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}}),
    parts({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}),
    parts({"type": "file", "file": {"filename": "a.pdf", "file_data": PNG}}),
    parts({"type": "file", "file": {"file_id": "file-1"}}),
    {
        "messages": [
            USER,
            CALLING,
            {**ANSWER, "content": [image(f"data:image/png;base64,{PNG}")]},
        ]
    },
]


@pytest.mark.parametrize("parameters", ACCEPTED)
def test_what_keeps_the_contract_is_answered(ask, parameters):
    response = ask(**parameters)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_no_known_name_is_taken_for_a_misspelling_of_another(body, name):
    found = request_problems(body(**{name: object()}))
    assert not [problem for problem in found if "did you mean" in problem.rule]


def test_every_parameter_of_the_client_is_known():
    assert PARAMETERS.keys() >= SENT


@pytest.mark.parametrize("name", sorted(SENT))
def test_every_parameter_of_the_client_has_a_rule_in_the_sandbox(name):
    assert PARAMETERS[name].check.schema != {}


def test_unknown_parameters_are_acknowledged_by_name(ask):
    response = ask(x_one=1, x_two={"deep": True})
    assert json.loads(response.headers["x-sandbox-ignored"]) == ["x_one", "x_two"]


def test_all_problems_are_told_at_once(ask):
    error = ask(temperature=9, top_p=9, n=0).json()["error"]
    assert [found["path"] for found in error["details"]] == ["temperature", "top_p", "n"]
    assert "`temperature` must be a number between 0 and 2, got 9. (2 more" in error["message"]


def test_a_missing_model_and_missing_messages_are_told(http):
    error = http.post("/chat/completions", json={}).json()["error"]
    assert [found["rule"] for found in error["details"]] == [
        "an object with the key 'model'",
        "an object with the key 'messages'",
    ]


@pytest.mark.parametrize("model", ["gpt-4o", "", "/x", "a b/c"])
def test_a_model_without_a_vendor_is_not_found(ask, model):
    response = ask(model=model)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "MODEL_NOT_FOUND")


BROKEN_BODIES = [
    b"",
    b"   ",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"\xff\xfe{}",
    b"\xef\xbb\xbf{}",
    b'{"model": NaN}',
    b'{"model": Infinity}',
    b'{"temperature": 1e999}',
    b'{"model": "a/b", "model": "a/c"}',
    b'{"model": "\\ud800"}',
    b"[" * 100_000,
    b"[" * 500 + b"]" * 500,
    b'{"seed": ' + b"9" * 5000 + b"}",
    b"{'model': 'a/b'}",
    b"{} trailing",
]


@pytest.mark.parametrize("content", BROKEN_BODIES, ids=range(len(BROKEN_BODIES)))
def test_a_body_that_is_not_a_json_object_is_a_400(http, content):
    response = http.post(
        "/chat/completions", content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_input"


def test_a_content_type_other_than_json_is_a_415(http):
    response = http.post("/chat/completions", content=b"{}", headers={"content-type": "text/plain"})
    assert response.status_code == 415


def test_a_content_type_may_name_its_charset(http, body):
    headers = {"content-type": "application/json; charset=utf-8"}
    content = json.dumps(body())
    assert http.post("/chat/completions", content=content, headers=headers).status_code == 200


def test_a_body_beyond_the_limit_is_a_413(http, monkeypatch):
    monkeypatch.setattr("sunra_integrations.sandbox.contract.http_rules.MAX_BODY_BYTES", 1000)
    headers = {"content-type": "application/json"}
    response = http.post("/chat/completions", content=b" " * 500_000, headers=headers)
    assert response.status_code == 413
    assert response.json()["error"]["message"] == "The body is larger than 1000 bytes."


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic abc", "sandbox-key"])
def test_a_request_without_a_bearer_key_is_refused(http, body, authorization):
    headers = {} if authorization is None else {"authorization": authorization}
    del http.headers["authorization"]
    response = http.post("/chat/completions", json=body(), headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/chat/completions", 405),
        ("PUT", "/chat/completions", 405),
        ("GET", "/models", 404),
        ("POST", "/chat/completions/", 404),
        ("POST", "/completions", 404),
        ("POST", "/../chat/completions", 404),
    ],
)
def test_only_post_to_the_one_path_is_served(http, method, path, status):
    response = http.request(method, path)
    assert response.status_code == status
    assert response.json()["path"].endswith("completions") or status == 404


def test_an_error_has_the_form_of_sunra(ask):
    response = ask(temperature=3)
    told = response.json()
    assert set(told) == {"error", "timestamp", "request_id", "rate_limit", "path"}
    assert set(told["error"]) == {"type", "code", "message", "details", "retryable"}
    assert told["path"] == "/v1/chat/completions"
    assert told["request_id"] == response.headers["x-request-id"]
    for name in ("limit", "remaining", "reset"):
        assert response.headers[f"x-ratelimit-{name}"] == str(told["rate_limit"][name])


# ── never a 5xx ──────────────────────────────────────────────────────────────

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(max_size=8)
KEYS = st.sampled_from(
    ["type", "text", "role", "content", "function", "name", "id", "url", "properties", "$ref"]
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"]), "content": ANYTHING},
    optional={"tool_calls": ANYTHING, "tool_call_id": ANYTHING, "name": ANYTHING},
)


@settings(
    max_examples=examples(120),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    parameters=st.dictionaries(st.sampled_from(list(PARAMETERS)), ANYTHING, max_size=4),
    messages=st.lists(MESSAGE, max_size=3) | ANYTHING,
)
def test_no_request_brings_the_sandbox_down(http, parameters, messages):
    content = {"model": "a/b", "messages": messages, **parameters}
    response = http.post("/chat/completions", json=content)
    assert response.status_code < 500


# ── strict mode ──────────────────────────────────────────────────────────────


def strictly(**properties):
    return {**STRICT, "properties": properties, "required": list(properties)}


# (a property, the path that the message must name)
NOT_STRICT = [
    ({}, "schema.properties.a"),
    (True, "schema.properties.a"),
    ({"title": "Any"}, "schema.properties.a"),
    ({"enum": ["a"]}, "schema.properties.a"),
    ({"type": "object"}, "schema.properties.a.additionalProperties"),
    ({"type": "object", "additionalProperties": False}, "schema.properties.a.properties"),
    ({**STRICT, "additionalProperties": STRING}, "schema.properties.a.additionalProperties"),
    ({**STRICT, "required": ["q", "r"]}, "without r"),
    ({"type": "array"}, "schema.properties.a.items"),
    ({"type": "array", "items": {}}, "schema.properties.a.items"),
    ({"type": "array", "items": STRING, "uniqueItems": True}, "schema.properties.a.uniqueItems"),
    ({"type": "array", "items": False, "prefixItems": [STRING]}, "properties.a.prefixItems"),
    ({"type": ["object", "null"]}, "schema.properties.a.additionalProperties"),
    ({**STRICT, "patternProperties": {"^a": STRING}}, "schema.properties.a.patternProperties"),
    ({**STRING, "default": "x"}, "schema.properties.a.default"),
    ({**STRING, "format": "uri"}, "schema.properties.a.format"),
    ({**STRING, "pattern": "(?=a)"}, "schema.properties.a.pattern"),
    ({"oneOf": [STRING]}, "schema.properties.a.oneOf"),
    ({"allOf": [STRING]}, "schema.properties.a.allOf"),
    ({"anyOf": [STRING, True]}, "schema.properties.a.anyOf[1]"),
    ({"$ref": "#", "description": "again"}, "schema.properties.a.$ref"),
]


@pytest.mark.parametrize(("inner", "path"), NOT_STRICT)
@pytest.mark.parametrize("place", ["response_format", "tools"])
def test_what_strict_mode_cannot_express_is_refused_with_its_place(inner, path, place):
    schema = strictly(a=inner)
    asked = named_schema(schema, strict=True)
    if place == "tools":
        asked, path = {"tools": [tool(parameters=schema, strict=True)]}, path.replace("schema.", "")
    told = [problem.message for problem in request_problems(request_of(**asked))]
    assert any(path in text and "(strict)" in text for text in told), told


@pytest.mark.parametrize("root", [{"anyOf": [STRICT]}, {"type": "array", "items": STRING}])
def test_a_strict_root_is_an_object(root):
    told = request_problems(request_of(**named_schema({"type": "string", **root}, strict=True)))
    assert "schema.type" in told[0].path


KEPT = [
    {"anyOf": [{"$ref": "#"}, {"type": "null"}], "description": "again"},
    {"$ref": "#/$defs/Node"},
    {"type": ["string", "null"], "enum": ["a", None]},
    {"type": "string", "format": "date", "pattern": "^a+$"},
    {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 1},
]


@pytest.mark.parametrize("inner", KEPT)
def test_what_strict_mode_can_express_is_taken(inner):
    schema = {**strictly(a=inner), "$defs": {"Node": strictly(next={"$ref": "#/$defs/Node"})}}
    assert request_problems(request_of(**named_schema(schema, strict=True))) == []


def request_of(**parameters):
    return {"model": "a/b", "messages": [USER], **parameters}

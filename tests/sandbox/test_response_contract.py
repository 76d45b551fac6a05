"""Invalid requests for responses are refused with the path of each problem."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sunra_integrations.sandbox.contract.response_parameters import (
    RESPONSE_PARAMETERS,
    RESPONSE_REQUEST,
)
from tests.examples import examples
from tests.sandbox.test_contract import ANYTHING, KEPT, NOT_STRICT, STRICT, STRING, strictly

PNG = base64.b64encode(b"\x89PNG").decode()
USER = {"type": "message", "role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "found"}
CUSTOM_CALL = {"type": "custom_tool_call", "call_id": "c2", "name": "run", "input": "1+1"}
CUSTOM_RESULT = {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}
TOOL = {
    "type": "function",
    "name": "look_up",
    "parameters": {"type": "object", "properties": {"q": STRING}, "required": ["q"]},
    "strict": False,
}
CUSTOM = {"type": "custom", "name": "run"}


def tool(**function):
    return {"type": "function", "name": "f", **function}


def items(*found):
    return {"input": list(found)}


def parts(*found, role="user"):
    return items({"role": role, "content": list(found)})


def image(url, **more):
    return {"type": "input_image", "image_url": url, **more}


def named_schema(schema, **more):
    given = {"type": "json_schema", "name": "shape", "schema": schema, **more}
    return {"text": {"format": given}}


def choosing(choice, *tools):
    return {"tools": list(tools or (TOOL, CUSTOM)), "tool_choice": choice}


# (parameters, status, the path that the message must name)
REFUSED = [
    ({"temperature": "1"}, 400, "temperature"),
    ({"tools": None}, 400, "tools"),
    ({"text": None}, 400, "text"),
    ({"temperature": 2.1}, 422, "temperature"),
    ({"top_p": 1.01}, 422, "top_p"),
    ({"stream": "true"}, 400, "stream"),
    ({"max_output_tokens": 0}, 422, "max_output_tokens"),
    ({"max_output_tokens": 1.5}, 400, "max_output_tokens"),
    ({"top_logprobs": 21}, 422, "top_logprobs"),
    ({"instructions": ["Be brief."]}, 400, "instructions"),
    ({"include": ["reasoning"]}, 422, "include[0]"),
    ({"include": "reasoning.encrypted_content"}, 400, "include"),
    ({"truncation": "middle"}, 422, "truncation"),
    ({"store": "no"}, 400, "store"),
    ({"metadata": {"a": 1}}, 400, "metadata.a"),
    ({"metadata": {"a": "x" * 513}}, 422, "metadata.a"),
    ({"metadata": {"k" * 65: "x"}}, 422, "metadata"),
    ({"metadata": {str(n): "x" for n in range(17)}}, 422, "metadata"),
    ({"metadata": []}, 400, "metadata"),
    ({"reasoning": "high"}, 400, "reasoning"),
    ({"reasoning": {"effort": 3}}, 400, "reasoning.effort"),
    ({"reasoning": {"summary": "long"}}, 422, "reasoning.summary"),
    ({"stream_options": {"include_obfuscation": False}}, 422, "stream_options"),
    ({"stream": True, "stream_options": {"include_usage": True}}, 422, "include_usage"),
    ({"background": True}, 422, "the sandbox responds at once"),
    ({"conversation": "conv_1"}, 400, "the sandbox has no conversations"),
    ({"prompt": {"id": "pmpt_1"}}, 400, "the sandbox has no stored prompts"),
    ({"temprature": 1}, 422, "did you mean 'temperature'"),
    ({"max_output_token": 1}, 422, "did you mean 'max_output_tokens'"),
    # parameters of chat completions
    ({"messages": []}, 422, "left out (use `input` instead)"),
    ({"max_tokens": 5}, 422, "left out (use `max_output_tokens` instead)"),
    ({"max_completion_tokens": 5}, 422, "left out (use `max_output_tokens` instead)"),
    ({"response_format": {"type": "text"}}, 422, "left out (use `text.format` instead)"),
    ({"reasoning_effort": "low"}, 422, "left out (use `reasoning.effort` instead)"),
    ({"logprobs": True}, 422, "`include: ['message.output_text.logprobs']`"),
    ({"n": 1}, 422, "`n` must be left out (it is not part of this endpoint), got 1."),
    ({"stop": "x"}, 422, "left out (it is not part of this endpoint)"),
    ({"seed": 1}, 422, "left out (it is not part of this endpoint)"),
    # tools
    ({"tools": {}}, 400, "tools"),
    ({"tools": [TOOL, TOOL]}, 422, "`tools` must be a list of tools with distinct names"),
    ({"tools": [TOOL, {**CUSTOM, "name": "look_up"}]}, 422, "with distinct names"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "keys of the tool itself"),
    ({"tools": [{"type": "magic"}]}, 422, "tools[0].type"),
    ({"tools": [tool(name="no spaces")]}, 422, "tools[0].name"),
    ({"tools": [tool(parameters={"type": "objekt"})]}, 422, "tools[0].parameters"),
    ({"tools": [tool(parameters=TOOL["parameters"], strict=True)]}, 422, "strict"),
    ({"tools": [{"type": "custom"}]}, 400, "'name'"),
    ({"tool_choice": "required"}, 422, "`tool_choice` must be sent together with `tools`"),
    ({"tool_choice": {"type": "function", "name": "look_up"}}, 422, "together with `tools`"),
    (choosing("any"), 422, "tool_choice"),
    (choosing({"type": "function", "function": {"name": "look_up"}}), 400, "tool_choice.function"),
    (choosing({"type": "function", "name": "run"}), 422, "one of the tools"),
    (choosing({"type": "custom", "name": "look_up"}), 422, "one of the tools"),
    (choosing({"type": "web_search"}), 422, "one of the tools"),
    (choosing({"type": "allowed_tools", "mode": "auto", "tools": []}), 422, "tool_choice.tools"),
    (
        choosing({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}),
        422,
        "tool_choice.tools[0]",
    ),
    (choosing({"type": "allowed_tools", "mode": "none", "tools": [TOOL]}), 422, "mode"),
    # text
    ({"text": {"type": "text"}}, 422, "text.type"),
    ({"text": {"format": "json"}}, 400, "text.format"),
    ({"text": {"format": {"type": "xml"}}}, 422, "text.format.type"),
    ({"text": {"verbosity": "max"}}, 422, "text.verbosity"),
    (
        {"text": {"format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}}},
        400,
        "text.format.json_schema",
    ),
    (named_schema({"type": 7}), 422, "text.format.schema"),
    (named_schema({"type": "object", "properties": {}}, strict=True), 422, "additionalProperties"),
    # items
    ({"input": ""}, 422, "input"),
    ({"input": []}, 422, "input"),
    ({"input": {}}, 400, "input"),
    (items("Hello"), 400, "input[0]"),
    (items({"content": "Hello"}), 400, "input[0].type"),
    (items({"type": "text", "text": "Hello"}), 422, "input[0].type"),
    (items({"role": "tool", "content": "x"}), 422, "an item of type function_call_output"),
    (items({"role": "user"}), 400, "'content'"),
    (items({"role": "user", "content": None}), 400, "input[0].content"),
    (items({**USER, "name": "ann"}), 422, "input[0].name"),
    (items({"role": "assistant", "content": "x", "tool_calls": []}), 400, "type function_call"),
    (items({"role": "assistant", "content": "x", "phase": "end"}), 422, "input[0].phase"),
    (items({**CALL, "arguments": {}}, RESULT), 400, "input[0].arguments"),
    (items({**CALL, "call_id": ""}, RESULT), 422, "input[0].call_id"),
    (items(CALL, {**RESULT, "output": None}), 400, "input[1].output"),
    (items({"type": "reasoning", "id": "rs_1"}), 400, "'summary'"),
    (items({**REASONING, "summary": ["x"]}), 400, "input[0].summary[0]"),
    (items({**REASONING, "summary": [{"type": "text", "text": "x"}]}), 422, "summary[0].type"),
    (items({"type": "item_reference"}), 400, "'id'"),
    # parts
    (parts(), 422, "input[0].content"),
    (parts("text"), 400, "input[0].content[0]"),
    (parts({"type": "text", "text": "x"}), 422, "input[0].content[0].type"),
    (parts({"type": "output_text", "text": "x"}), 422, "input[0].content[0].type"),
    (parts({"type": "input_text", "text": "x"}, role="assistant"), 422, "content[0].type"),
    (parts(image({"url": "https://example.com/a.png"})), 400, "content[0].image_url"),
    (parts(image("ftp://example.com/a.png")), 422, "content[0].image_url"),
    (parts(image("data:image/png;base64,@@@")), 422, "valid base64"),
    (parts(image("https://example.com/a.png", detail="medium")), 422, "detail"),
    (parts(image("https://example.com/a.png", file_id="f")), 422, "either image_url or file_id"),
    (parts({"type": "input_file"}), 422, "either file_data, file_url or file_id"),
    (parts({"type": "input_file", "file_data": PNG}), 422, "filename"),
    # order
    (items(USER, CALL), 422, "followed by a function_call_output for each call, got 'c1'"),
    (items(USER, CALL, USER, RESULT), 422, "for each call before input[2]"),
    (items(USER, RESULT), 422, "the id of an open function_call before it, got 'c1'"),
    (items(CALL, RESULT, RESULT), 422, "input[2].call_id"),
    (items(CALL, CALL, RESULT), 422, "input[1].call_id"),
    (items(CALL, {**RESULT, "type": "custom_tool_call_output"}), 422, "an open custom_tool_call"),
    (items(CUSTOM_CALL), 422, "followed by a custom_tool_call_output"),
]


@pytest.mark.parametrize(("parameters", "status", "told"), REFUSED)
def test_what_breaks_the_contract_is_refused_and_told_where(respond, parameters, status, told):
    response = respond(**parameters)
    error = response.json()["error"]
    assert response.status_code == status, error
    assert error["code"] == "invalid_input"
    assert told in error["message"] or any(told in found["message"] for found in error["details"])


# LlamaIndex's OpenAIResponses sends all of these in each request.
NULLS = dict.fromkeys(
    (
        "include", "instructions", "max_output_tokens", "metadata", "previous_response_id", "store",
        "temperature", "top_p", "truncation", "user",
    )
)  # fmt: skip

ACCEPTED = [
    NULLS,
    {"instructions": "Be brief.", "temperature": 0, "top_p": 1, "top_logprobs": 20},
    {"max_output_tokens": 1, "truncation": "auto", "store": False, "user": "someone"},
    {"metadata": {str(n): "x" * 512 for n in range(16)}},
    {"reasoning": {"effort": "low", "summary": "auto"}},
    {"reasoning": {"effort": None, "context": "auto"}},
    {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]},
    {"stream": True, "stream_options": {"include_obfuscation": False}},
    {"background": False, "service_tier": "auto", "safety_identifier": "x", "max_tool_calls": 3},
    {"provider": {"only": ["openai"]}, "prompt_cache_key": "k", "top_k": 4},
    {"x_my_extension": {"any": ["thing"]}},
    {"tools": [], "parallel_tool_calls": True, "tool_choice": "auto"},
    {"tools": [TOOL, CUSTOM, {"type": "web_search"}, {"type": "mcp", "server_label": "x"}]},
    {"tools": [tool(), {**CUSTOM, "format": {"type": "grammar"}, "name": "g"}]},
    {"tools": [tool(parameters=None, strict=None, description=None)]},
    {"tools": [tool(parameters=STRICT, strict=True)], "tool_choice": "none"},
    {"tool_choice": "none"},
    choosing("required"),
    choosing({"type": "function", "name": "look_up"}),
    choosing({"type": "custom", "name": "run"}),
    choosing({"type": "web_search"}, {"type": "web_search"}),
    choosing({"type": "mcp", "server_label": "x"}, {"type": "mcp", "server_label": "x"}),
    choosing(
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "look_up"}],
        }
    ),
    named_schema(STRICT, strict=True, description="a shape"),
    named_schema({"type": "array", "items": {"type": "integer"}}, strict=None),
    {"text": {"format": {"type": "json_object"}, "verbosity": "low"}},
    {"text": {}},
    items(USER),
    items({"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}),
    items({"role": "system", "content": "Be brief."}, {"role": "developer", "content": "x"}),
    items(
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "phase": "final_answer",
            "content": [
                {"type": "output_text", "text": "a", "annotations": [], "logprobs": None},
                {"type": "refusal", "refusal": "no"},
            ],
        }
    ),
    items(USER, REASONING, {**CALL, "id": "fc_1", "status": "completed"}, RESULT),
    items({**REASONING, "encrypted_content": "gAAA", "content": None, "status": None}),
    items(CALL, CUSTOM_CALL, CUSTOM_RESULT, {**RESULT, "output": [image("https://x.y/z")]}),
    items(CALL, {"role": "assistant", "content": "Wait."}, RESULT, USER),
    items({"type": "web_search_call", "id": "ws_1", "status": "completed"}, USER),
    parts(
        {"type": "input_text", "text": "a", "cache_control": {"type": "ephemeral"}},
        image("https://example.com/a.png", detail="original"),
        image(f"data:image/png;base64,{PNG}"),
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": f"data:application/pdf;base64,{PNG}",
        },
    ),
]


@pytest.mark.parametrize("parameters", ACCEPTED)
def test_what_keeps_the_contract_is_answered(respond, parameters):
    response = respond(**parameters)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("name", list(RESPONSE_PARAMETERS))
def test_no_known_name_is_taken_for_another(name):
    found = RESPONSE_REQUEST.problems({"model": "a/b", "input": "x", name: object()})
    assert not [one for one in found if "did you mean" in one.rule or "instead" in one.rule]


def test_unknown_parameters_are_acknowledged_by_name(respond):
    response = respond(x_one=1, x_two={"deep": True})
    assert json.loads(response.headers["x-sandbox-ignored"]) == ["x_one", "x_two"]


def test_a_missing_model_and_a_missing_input_are_told(http):
    error = http.post("/responses", json={}).json()["error"]
    assert [found["rule"] for found in error["details"]] == [
        "an object with the key 'model'",
        "an object with the key 'input'",
    ]


def test_a_model_without_a_vendor_is_not_found(respond):
    response = respond(model="gpt-4o")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "MODEL_NOT_FOUND")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": "\\ud800"}', b"\xff"])
def test_a_body_that_is_not_a_json_object_is_a_400(http, content):
    headers = {"content-type": "application/json"}
    assert http.post("/responses", content=content, headers=headers).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "/responses", 405, "/v1/responses does not accept GET. Use POST."),
        ("GET", "/responses/resp_1", 404, "Use /v1/chat/completions or /v1/responses."),
        ("POST", "/embeddings", 404, "Use /v1/chat/completions or /v1/responses."),
    ],
)
def test_an_unknown_path_or_method_names_the_known_ones(http, method, path, status, told):
    response = http.request(method, path, json={})
    assert response.status_code == status
    assert told in response.json()["error"]["message"]


def test_a_request_without_a_key_is_refused(http):
    del http.headers["authorization"]
    assert http.post("/responses", json={}).status_code == 401


# ── strict mode ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("inner", "path"), NOT_STRICT)
@pytest.mark.parametrize("place", ["text", "tools"])
def test_what_strict_mode_cannot_express_is_refused_with_its_place(inner, path, place):
    schema = strictly(a=inner)
    asked = named_schema(schema, strict=True)
    if place == "tools":
        asked, path = {"tools": [tool(parameters=schema, strict=True)]}, path.replace("schema.", "")
    body = {"model": "a/b", "input": "x", **asked}
    told = [problem.message for problem in RESPONSE_REQUEST.problems(body)]
    assert any(path in text and "(strict)" in text for text in told), told


@pytest.mark.parametrize("inner", KEPT)
def test_what_strict_mode_can_express_is_taken(inner):
    schema = {**strictly(a=inner), "$defs": {"Node": strictly(next={"$ref": "#/$defs/Node"})}}
    body = {"model": "a/b", "input": "x", **named_schema(schema, strict=True)}
    assert RESPONSE_REQUEST.problems(body) == []


# ── never a 5xx ──────────────────────────────────────────────────────────────

KINDS = st.sampled_from(
    ["message", "reasoning", "function_call", "function_call_output", "web_search_call", "odd"]
)
ITEM = st.fixed_dictionaries(
    {},
    optional={
        "type": KINDS,
        "role": st.sampled_from(["user", "assistant", "system"]),
        "content": ANYTHING | st.text(),
        "id": ANYTHING | st.text(min_size=1),
        "call_id": st.sampled_from(["a", "b"]),
        "name": st.just("f"),
        "arguments": st.text(max_size=4),
        "output": st.text(max_size=4),
        "summary": st.just([]) | ANYTHING,
        "encrypted_content": st.text(),
    },
)


@settings(
    max_examples=examples(120),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    parameters=st.dictionaries(st.sampled_from(list(RESPONSE_PARAMETERS)), ANYTHING, max_size=4),
    found=st.lists(ITEM, max_size=4) | ANYTHING,
)
def test_no_request_brings_the_sandbox_down(http, parameters, found):
    content = {**parameters, "model": "a/b", "input": found}
    assert http.post("/responses", json=content).status_code < 500

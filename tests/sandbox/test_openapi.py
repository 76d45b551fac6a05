"""The OpenAPI document and the sandbox agree.

Schemathesis makes valid and invalid requests from the document, and checks each response with it.
The default number of requests takes about ten seconds.
"""

import json
import re

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.checks import positive_data_acceptance

from sunra_integrations.sandbox import Sandbox
from sunra_integrations.sandbox.contract.json_schema import STRICT_RULES
from sunra_integrations.sandbox.contract.openapi import document
from sunra_integrations.sandbox.contract.parameters import COMPLETION_REQUEST, PARAMETERS
from sunra_integrations.sandbox.contract.response_parameters import (
    RESPONSE_PARAMETERS,
    RESPONSE_REQUEST,
)
from tests.examples import examples
from tests.sandbox import test_response_contract as of_responses
from tests.sandbox.test_contract import (
    ACCEPTED,
    ANYTHING,
    CALLING,
    MESSAGE,
    REFUSED,
    STRICT,
    TOOL,
    USER,
    named_schema,
    tool,
)
from tests.waiting import DEADLINE

request_problems = COMPLETION_REQUEST.problems
EXAMPLES = examples(60)
KEY = "fuzz-key"
DOCUMENT = document()
REQUEST = Draft202012Validator(DOCUMENT["components"]["schemas"]["ChatCompletionRequest"])

RESPONSE = Draft202012Validator(DOCUMENT["components"]["schemas"]["ResponseRequest"])

# What JSON Schema cannot state; the document tells it in words.
BEYOND_A_SCHEMA = re.compile(
    r" \(strict\)| must be a list of tools with distinct names,"
    r"| must be the name of one of the tools,| must be followed by a tool message for each call\b"
    r"| must be the id of an unanswered tool call | must be a list of distinct ids,"
    r"| must be a valid JSON Schema \(| must be a reference within this schema,"
    r"| must be a known parameter \(did you mean | must be a schema of at most "
    r"| must be at the root of the schema only,"
    r"| must be left out in a schema with patternProperties,"
    # Requests for responses.
    r"| must be left out \((?:use `.+` instead|it is not part of this endpoint)\),"
    r"| must be one of the tools,| must be the id of a stored response "
    r"| must be followed by a (?:function_call|custom_tool_call)_output for each call\b"
    r"| must be the id of an open | must be an id that no other open call has,"
    # In JSON Schema, 1.0 is an integer. Here it is not.
    r"| must be an integer.*, got -?\d+(?:\.0|(?:\.\d+)?e\+\d+)\.$"
)


def request(**parameters):
    return {"model": "a/b", "messages": [USER], **parameters}


def is_beyond_a_schema(problems):
    return all(BEYOND_A_SCHEMA.search(text) for text in problems)


def problems_of(asked):
    return [problem.message for problem in request_problems(asked)]


def test_the_document_states_the_rules_of_strict_mode():
    text = json.dumps(DOCUMENT)
    for sentence in STRICT_RULES:
        assert json.dumps(sentence)[1:-1] in text


# ── the document and the contract ────────────────────────────────────────────


def test_the_document_names_every_parameter_and_no_other():
    assert set(REQUEST.schema["properties"]) == set(PARAMETERS)


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_of_the_document_is_one(name):
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


@pytest.mark.parametrize("parameters", ACCEPTED)
def test_the_document_allows_what_is_accepted(parameters):
    assert [found.message for found in REQUEST.iter_errors(request(**parameters))] == []


@pytest.mark.parametrize(("parameters", "status", "told"), REFUSED)
def test_the_document_forbids_what_is_refused_where_a_schema_can(parameters, status, told):
    asked = request(**parameters)
    assert REQUEST.is_valid(asked) is is_beyond_a_schema(problems_of(asked))


def around(low, high, step):
    """The bounds of a range, and what is just inside and outside of them."""
    values = [low - step, low, low + step]
    return [*values, high - step, high, high + step] if high is not None else values


BOUNDARIES = [
    *({"temperature": value} for value in around(0, 2, 0.01)),
    *({"top_p": value} for value in around(0, 1, 0.01)),
    *({"frequency_penalty": value} for value in around(-2, 2, 0.01)),
    *({"presence_penalty": value} for value in around(-2, 2, 0.01)),
    *({"min_p": value} for value in around(0, 1, 0.01)),
    *({"repetition_penalty": value} for value in around(0, 2, 0.01)),
    *({"top_k": value} for value in around(-1, None, 1)),
    *({"n": value} for value in around(1, 128, 1)),
    *({"max_tokens": value} for value in around(1, None, 1)),
    *({"max_completion_tokens": value} for value in around(1, None, 1)),
    *({"logprobs": True, "top_logprobs": value} for value in around(0, 20, 1)),
    *({"logprobs": value, "top_logprobs": 1} for value in (True, False, None)),
    *({"stream": value, "stream_options": {}} for value in (True, False, None)),
    *({"stop": ["a"] * count} for count in range(6)),
    *({"stop": value} for value in ("", "a", [""], [1], None)),
    *({"tools": [TOOL] * count} for count in range(2)),
    *({"tools": [tool(name="n" * length)]} for length in (0, 1, 64, 65)),
    *({"messages": [USER] * count} for count in range(2)),
    *({"tools": [TOOL], "tool_choice": value} for value in ("none", "auto", "required", "any", 1)),
    {"tools": None, "tool_choice": "auto"},
    {"response_format": None},
    {"response_format": {}},
    {"response_format": {"type": ["text"]}},
    {"seed": 2**200},
    {"user": ""},
    {"user": None},
]


@pytest.mark.parametrize("parameters", BOUNDARIES, ids=str)
def test_document_and_contract_draw_the_same_boundary(parameters):
    asked = request(**parameters)
    assert REQUEST.is_valid(asked) is not bool(request_problems(asked))


def test_a_model_of_the_wrong_form_is_forbidden_though_it_is_a_404():
    assert not REQUEST.is_valid(request(model="gpt-4o"))
    assert request_problems(request(model="gpt-4o")) == []


def test_the_document_names_the_models_served():
    with Sandbox(models=["b/b", "a/a"]) as sandbox:
        schemas = sandbox.openapi["components"]["schemas"]
    model = schemas["ChatCompletionRequest"]["properties"]["model"]
    assert model == {"type": "string", "enum": ["a/a", "b/b"]}


@settings(max_examples=EXAMPLES)
@given(
    parameters=st.dictionaries(st.sampled_from(list(PARAMETERS)), ANYTHING, max_size=4),
    messages=st.lists(MESSAGE, max_size=3) | st.just([USER]),
)
@example(parameters={}, messages=[CALLING])
@example(parameters={"tools": [tool(parameters=STRICT, strict=True)]}, messages=[USER])
@example(parameters=named_schema({"type": "object"}, strict=True), messages=[USER])
def test_document_and_contract_agree_on_any_request(parameters, messages):
    asked = {"model": "a/b", "messages": messages, **parameters}
    problems = problems_of(asked)
    assert REQUEST.is_valid(asked) is is_beyond_a_schema(problems), problems


# ── the document and requests for responses ──────────────────────────────────


def response_request(**parameters):
    return {"model": "a/b", "input": "Hello", **parameters}


def response_problems(asked):
    return [problem.message for problem in RESPONSE_REQUEST.problems(asked)]


def test_the_document_names_every_parameter_of_responses_and_no_other():
    assert set(RESPONSE.schema["properties"]) == set(RESPONSE_PARAMETERS)


@pytest.mark.parametrize("parameters", of_responses.ACCEPTED)
def test_the_document_allows_the_responses_that_are_accepted(parameters):
    assert [found.message for found in RESPONSE.iter_errors(response_request(**parameters))] == []


@pytest.mark.parametrize(("parameters", "status", "told"), of_responses.REFUSED)
def test_the_document_forbids_the_responses_that_are_refused(parameters, status, told):
    asked = response_request(**parameters)
    assert RESPONSE.is_valid(asked) is is_beyond_a_schema(response_problems(asked))


RESPONSE_BOUNDARIES = [
    *({"temperature": value} for value in around(0, 2, 0.01)),
    *({"top_p": value} for value in around(0, 1, 0.01)),
    *({"top_logprobs": value} for value in around(0, 20, 1)),
    *({"max_output_tokens": value} for value in around(1, None, 1)),
    *({"max_tool_calls": value} for value in around(1, None, 1)),
    *({"stream": value, "stream_options": {}} for value in (True, False, None)),
    *({"background": value} for value in (True, False, None)),
    *({"prompt": value} for value in (None, {}, "x")),
    *({"tools": [of_responses.TOOL] * count} for count in range(2)),
    *({"tools": [of_responses.tool(name="n" * length)]} for length in (0, 1, 64, 65)),
    *({"tool_choice": value} for value in ("none", "auto", "required", "any", 1, None, {})),
    *({"tool_choice": value, "tools": []} for value in ("none", "auto", "required", {})),
    *({"metadata": {"k" * length: "v"}} for length in (0, 64, 65)),
    *({"metadata": {"k": "v" * length}} for length in (0, 512, 513)),
    *({"metadata": {str(n): "v" for n in range(count)}} for count in (0, 16, 17)),
    *({"text": value} for value in ({}, None, {"format": {}}, {"verbosity": None}, {"x": 1})),
    *({"include": value} for value in ([], ["x"], None, ["reasoning.encrypted_content"])),
    *({"input": value} for value in ("", [], {}, None, [{}], [{"role": "user"}])),
]


@pytest.mark.parametrize("parameters", RESPONSE_BOUNDARIES, ids=str)
def test_document_and_contract_of_responses_draw_the_same_boundary(parameters):
    asked = response_request(**parameters)
    assert RESPONSE.is_valid(asked) is not bool(response_problems(asked))


@settings(max_examples=EXAMPLES)
@given(
    parameters=st.dictionaries(st.sampled_from(list(RESPONSE_PARAMETERS)), ANYTHING, max_size=4),
    items=st.lists(of_responses.ITEM, max_size=3) | ANYTHING,
)
@example(parameters={"tool_choice": {"type": "function"}}, items="x")
def test_document_and_contract_agree_on_any_request_for_a_response(parameters, items):
    asked = {**parameters, "model": "a/b", "input": items}
    problems = response_problems(asked)
    assert RESPONSE.is_valid(asked) is is_beyond_a_schema(problems), problems


# ── the document and the server ──────────────────────────────────────────────


def test_the_document_is_served_without_a_key(sandbox):
    response = httpx.get(f"{sandbox.base_url.removesuffix('/v1')}/openapi.json", timeout=DEADLINE)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == sandbox.openapi == DOCUMENT


def test_the_document_can_only_be_got(sandbox):
    url = f"{sandbox.base_url.removesuffix('/v1')}/openapi.json"
    response = httpx.post(url, json={}, timeout=DEADLINE)
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert response.json()["error"]["message"] == "/openapi.json does not accept POST. Use GET."


@schemathesis.deserializer("text/event-stream")
def events(_, response):
    """What each event but ``[DONE]`` carries: Schemathesis holds each to the document's chunk."""
    # Schemathesis stops reading a long stream between two events.
    carried = [event.rpartition("data: ")[2] for event in response.content.decode().split("\n\n")]
    return [json.loads(data) for data in carried if data not in {"", "[DONE]"}]


@pytest.fixture(scope="module")
def locked():
    """A sandbox with one key, so that a wrong one is told from a right one."""
    with Sandbox(keys={KEY}, keep=0) as sandbox:
        yield sandbox.base_url.removesuffix("/v1")


@schemathesis.openapi.from_dict(DOCUMENT).parametrize()
@seed(20_251)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
def test_every_response_is_one_the_document_describes_and_none_is_a_5xx(case, locked):
    case.headers["Authorization"] = f"Bearer {KEY}"
    response = case.call(base_url=locked)
    problems = []
    if response.status_code in {400, 422}:
        problems = [found["message"] for found in response.json()["error"]["details"]]
    excused = [positive_data_acceptance] if problems and is_beyond_a_schema(problems) else []
    case.validate_response(response, excluded_checks=excused)

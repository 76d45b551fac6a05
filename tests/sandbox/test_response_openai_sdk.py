"""The official openai SDK reads responses of the sandbox, sync and async, whole and streamed."""

import json

import openai as sdk
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response
from pydantic import BaseModel

from sunra_integrations.sandbox import TextReply

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
STRICT_CITY = {**CITY, "additionalProperties": False}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather",
    "parameters": STRICT_CITY,
    "strict": True,
}
CUSTOM = {"type": "custom", "name": "run_code", "description": "Run Python code"}
REASONS = {"model": "a/reasoner", "include": ["reasoning.encrypted_content"]}
REQUESTS = [
    {"input": "Hello"},
    {**REASONS, "input": "Hello", "instructions": "Be brief."},
    {**REASONS, "input": "Compare the weather in Paris and Oslo", "tools": [WEATHER]},
    {"input": "Run code to add 2 and 3", "tools": [CUSTOM, {"type": "web_search"}]},
    {"input": "Hello", "top_logprobs": 2, "metadata": {"a": "b"}, "store": False},
    {"input": "Hello you", "max_output_tokens": 2},
]


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@pytest.fixture
def aopenai(sandbox):
    return AsyncOpenAI(base_url=sandbox.base_url, api_key=sandbox.api_key, max_retries=0)


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_a_response_is_valid_by_openai_s_types(respond, request_):
    Response.model_validate(respond(**request_).json())


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
async def test_all_ways_of_the_sdk_bring_the_same_response(openai, aopenai, request_):
    request_ = {"model": "a/b", **request_}
    whole = openai.responses.create(**request_)
    events = list(openai.responses.create(**request_, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == f"response.{whole.status}"
    assert events[-1].response == whole
    async with aopenai:
        assert await aopenai.responses.create(**request_) == whole
        stream = await aopenai.responses.create(**request_, stream=True)
        assert [event async for event in stream] == events


def test_null_is_as_if_it_was_left_out(openai):
    nulls = dict.fromkeys(("include", "instructions", "metadata", "store", "stream", "temperature"))
    given = {"model": "a/b", "input": "Hello"}
    first = openai.responses.create(**given, **nulls)
    assert (first.store, first.metadata) == (True, {})
    assert first.output_text == openai.responses.create(**given).output_text
    more = {"input": "Again", "previous_response_id": first.id}
    assert openai.responses.create(model="a/b", **more).output_text


@pytest.mark.parametrize("request_", REQUESTS[:5], ids=range(5))
async def test_a_stream_is_accumulated_to_the_response(openai, aopenai, request_):
    request_ = {"model": "a/b", **request_}
    whole = openai.responses.create(**request_)
    with openai.responses.stream(**request_) as stream:
        snapshots = [event for event in stream if event.type == "response.output_text.delta"]
        found = stream.get_final_response()
    assert found.output_text == whole.output_text
    assert [item.type for item in found.output] == [item.type for item in whole.output]
    assert not snapshots or snapshots[-1].snapshot == whole.output_text
    async with aopenai, aopenai.responses.stream(**request_) as stream:
        assert (await stream.get_final_response()).to_dict() == found.to_dict()


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(
    "choice", ["auto", "required", {"type": "function", "name": "get_weather"}]
)
def test_a_tool_loop_runs_to_its_answer(openai, choice, stored):
    asked = {"model": "a/reasoner", "tools": [WEATHER], "store": stored}
    question = {"role": "user", "content": "Compare the weather in Paris and Oslo"}
    first = openai.responses.create(
        **asked, input=[question], tool_choice=choice, include=REASONS["include"]
    )
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": call.arguments}
        for call in calls
    ]
    told = 'get_weather: {"city": "Paris"}\nget_weather: {"city": "Oslo"}'
    replayed = [item.model_dump() for item in first.output]
    last = openai.responses.create(**asked, input=[question, *replayed, *results])
    assert last.output_text == told
    if stored:
        last = openai.responses.create(**asked, input=results, previous_response_id=first.id)
        assert last.output_text == told


def test_a_custom_tool_gets_its_input_as_text(openai):
    choice = {"type": "custom", "name": "run_code"}
    asked = {"model": "a/b", "tools": [CUSTOM], "tool_choice": choice, "input": "Run 'print(5)'"}
    call = openai.responses.create(**asked).output[0]
    assert (call.type, call.name, call.input) == ("custom_tool_call", "run_code", "print(5)")


def test_structured_output_is_parsed(openai):
    asked = {"model": "a/b", "input": "John Smith is 42.", "text_format": Person}
    assert openai.responses.parse(**asked).output_parsed == Person(name="John Smith", age=42)
    with openai.responses.stream(**asked) as stream:
        found = stream.get_final_response().output_parsed
    assert found == Person(name="John Smith", age=42)


def test_reasoning_comes_as_a_summary(openai):
    reasoning, message = openai.responses.create(model="a/reasoner", input="Hello").output
    assert reasoning.summary[0].text.startswith("The turn asks: Hello")
    assert reasoning.encrypted_content is None
    assert message.content[0].text == "You said: Hello"


def test_log_probabilities_come_if_they_are_included(openai):
    asked = {"model": "a/b", "input": "Hello"}
    plain = openai.responses.create(**asked)
    scored = openai.responses.create(**asked, include=["message.output_text.logprobs"])
    assert plain.output[0].content[0].logprobs == []
    assert [one.token for one in scored.output[0].content[0].logprobs] == [
        "You", " said", ":", " Hello",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("finish_reason", "reason"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_an_incomplete_response_says_why(sandbox, openai, finish_reason, reason):
    for stream in (False, True):
        sandbox.next(TextReply("Half", finish_reason=finish_reason))
        found = openai.responses.create(model="a/b", input="Hello", stream=stream)
        found = list(found)[-1].response if stream else found
        assert (found.status, found.incomplete_details.reason) == ("incomplete", reason)
        assert (found.output[0].status, found.output_text) == ("incomplete", "Half")


def test_a_token_limit_cuts_reasoning_first(openai):
    found = openai.responses.create(model="a/reasoner", input="Hello", max_output_tokens=3)
    assert (found.status, found.usage.output_tokens) == ("incomplete", 3)
    assert [item.type for item in found.output] == ["reasoning"]


def test_usage_is_that_of_the_chat_completion(openai):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    chat = openai.chat.completions.create(model="a/reasoner", messages=messages).usage
    response = openai.responses.create(
        model="a/reasoner", instructions="Be brief.", input="Hello"
    ).usage
    assert response.input_tokens == chat.prompt_tokens
    assert response.output_tokens == chat.completion_tokens
    assert response.total_tokens == chat.total_tokens
    assert (
        response.output_tokens_details.reasoning_tokens
        == chat.completion_tokens_details.reasoning_tokens
    )
    assert response.cost == chat.cost


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"temperature": 3}, sdk.UnprocessableEntityError),
        ({"model": "none"}, sdk.NotFoundError),
        ({"input": 1}, sdk.BadRequestError),
        ({"extra_body": {"temprature": 1}}, sdk.UnprocessableEntityError),
        ({"previous_response_id": "resp_0"}, sdk.BadRequestError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_the_error_it_should_be(openai, parameters, error, stream):
    with pytest.raises(error) as raised:
        openai.responses.create(**{"model": "a/b", "input": "x", "stream": stream, **parameters})
    assert raised.value.request_id == raised.value.response.json()["request_id"]

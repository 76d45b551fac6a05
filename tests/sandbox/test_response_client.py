"""What the client's codec sends is accepted, over turns that replay reasoning."""

import json

import pytest

from sunra_integrations.protocol.completion import parse_completion
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.protocol.stream import ChunkStream

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
QUESTIONS = ["Weather in Paris?", "Compare the weather in Oslo and Rome", "Weather in Lima?"]


def call(http, request, stream):
    """Sends a request as the client would, and returns the choice that it reads."""
    content = request.encode(stream=stream)
    response = http.post(
        request.path, content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == 200, response.text
    assert "x-sandbox-ignored" not in response.headers
    if not stream:
        return parse_completion(response.content, api="responses").choices[0]
    chunks = ChunkStream(api="responses")
    list(chunks.feed(response.content))
    list(chunks.close())
    return chunks.so_far().choices[0]


def as_message(choice):
    calls = [
        {
            "id": one.id,
            "type": "function",
            "function": {"name": one.name, "arguments": one.arguments},
        }
        for one in choice.tool_calls
    ]
    message = {"role": "assistant", "content": choice.text or None, "tool_calls": calls or None}
    return {**message, "reasoning_details": list(choice.reasoning_details)}


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_is_replayed_over_three_tool_turns(sandbox, http, stream):
    messages = []
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        for _ in range(2):
            request = ChatRequest(
                model="a/reasoner", messages=messages, tools=[WEATHER], api="responses"
            )
            choice = call(http, request, stream)
            messages.append(as_message(choice))
            messages += [
                {"role": "tool", "tool_call_id": one.id, "content": f"Rain: {one.arguments}"}
                for one in choice.tool_calls
            ]
        assert choice.text.count("Rain") == question.count(" and ") + 1
    sent = [item for item in sandbox.requests[-1].json["input"] if item["type"] == "reasoning"]
    assert len(sent) == 5
    assert all(item["encrypted_content"].startswith("sandbox-reasoning.") for item in sent)


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 1, "top_p": 0.5, "max_tokens": 5, "user": "someone"},
        {"logprobs": True, "top_logprobs": 2},
        {"reasoning_effort": "low"},
        {"response_format": {"type": "json_object"}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": {"type": "object", "properties": {}}},
            }
        },
        {"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False},
        {
            "tools": [WEATHER],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        },
        {"stream_options": {"include_usage": True}},
        {"extra_body": {"metadata": {"a": "b"}, "truncation": "auto", "store": True}},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("stream", [False, True])
def test_every_parameter_that_the_client_can_send_is_accepted(http, parameters, stream):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    request = ChatRequest(model="a/b", messages=messages, api="responses", **parameters)
    assert call(http, request, stream).finish_reason


def test_parts_of_messages_are_accepted(http):
    png = "data:image/png;base64,iVBORw=="
    content = [
        {"type": "text", "text": "Hello"},
        {"type": "image_url", "image_url": {"url": png, "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:a/b;base64,iVBORw=="}},
    ]
    messages = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    ]
    request = ChatRequest(model="a/b", messages=messages, api="responses")
    assert call(http, request, stream=False).text

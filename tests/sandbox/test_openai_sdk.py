"""The official openai SDK, an independent client, works with the sandbox."""

import json

import openai as sdk
import pytest
from pydantic import BaseModel

HELLO = [{"role": "user", "content": "Hello"}]


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def test_a_plain_reply_is_read(openai):
    told = openai.chat.completions.create(model="sandbox/echo", messages=HELLO)
    assert told.choices[0].message.content == "You said: Hello"
    assert told.usage.total_tokens == told.usage.prompt_tokens + told.usage.completion_tokens


def test_a_stream_is_read_to_its_end(openai):
    with openai.chat.completions.stream(
        model="a/b", messages=HELLO, stream_options={"include_usage": True}, n=2, logprobs=True
    ) as stream:
        told = stream.get_final_completion()
    assert [choice.message.content for choice in told.choices] == [
        "You said: Hello",
        "You said: Hello (choice 2)",
    ]
    assert told.choices[0].logprobs.content[0].token == "You"
    assert told.usage.completion_tokens > 0


def test_a_streamed_tool_call_is_put_together(openai, function):
    tools = [function("get_weather", "Get the weather", city={"type": "string"})]
    with openai.chat.completions.stream(
        model="a/b", messages=[{"role": "user", "content": "Weather in Oslo?"}], tools=tools
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Oslo"}
    assert message.content is None


@pytest.mark.parametrize(
    "choice", ["auto", "required", {"type": "function", "function": {"name": "get_weather"}}]
)
def test_a_tool_loop_runs_to_its_answer_with_messages_sent_back_as_they_came(
    openai, function, choice
):
    tools = [function("get_weather", "Get the weather", city={"type": "string"})]
    messages = [{"role": "user", "content": "Compare the weather in Paris and Oslo"}]
    first = openai.chat.completions.create(
        model="a/b", messages=messages, tools=tools, tool_choice=choice
    )
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": call.function.arguments}
        for call in message.tool_calls
    ]
    last = openai.chat.completions.create(
        model="a/b", messages=[*messages, message.model_dump(), *results], tools=tools
    )
    assert last.choices[0].message.content == (
        'get_weather: {"city": "Paris"}\nget_weather: {"city": "Oslo"}'
    )


def test_structured_output_is_parsed(openai):
    told = openai.chat.completions.parse(
        model="a/b",
        messages=[{"role": "user", "content": "John Smith is 42."}],
        response_format=Person,
    )
    assert told.choices[0].message.parsed == Person(name="John Smith", age=42)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"temperature": 3}, sdk.UnprocessableEntityError),
        ({"model": "none"}, sdk.NotFoundError),
        ({"messages": "x"}, sdk.BadRequestError),
        ({"extra_body": {"temprature": 1}}, sdk.UnprocessableEntityError),
    ],
)
def test_a_refusal_is_the_error_it_should_be(openai, parameters, error):
    with pytest.raises(error) as raised:
        openai.chat.completions.create(**{"model": "a/b", "messages": HELLO, **parameters})
    assert raised.value.request_id == raised.value.response.json()["request_id"]

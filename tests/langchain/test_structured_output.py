"""Answers of a given schema, by each method."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel
from typing_extensions import TypedDict

from sunra_integrations.errors import InvalidParameter, Refused
from sunra_integrations.langchain import ChatSunra
from tests.recorded_transport import Answer, Recorded, completion, stream


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


class JokeDict(TypedDict):
    """A joke."""

    setup: str
    punchline: str


TOLD = {"setup": "Why?", "punchline": "Because."}
SCHEMA = Joke.model_json_schema()
METHODS = ["json_schema", "function_calling", "json_mode"]


def chat(*answers: Answer) -> tuple[ChatSunra, Recorded]:
    transport = Recorded(*answers)
    model = ChatSunra(
        model="openai/gpt-4o",
        api_key="sk-made-up",
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
    )
    return model, transport


def whole(method: str, told: str) -> Answer:
    message: dict[str, Any] = {"role": "assistant", "content": told}
    if method == "function_calling":
        name = "JokeDict" if "Dict" in told else "Joke"
        call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": told}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return completion({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def refusing() -> Answer:
    message = {"role": "assistant", "content": None, "refusal": "I cannot."}
    return completion({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def pieces(*deltas: dict[str, Any]) -> Answer:
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return stream(*(f"data: {json.dumps(event)}\n\n".encode() for event in events))


@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize("method", METHODS[:2])
@pytest.mark.parametrize("schema", [Joke, SCHEMA], ids=["pydantic", "dict"])
async def test_answers_are_of_the_schema(schema: Any, method: str, strict: bool | None):
    model, transport = chat(whole(method, json.dumps(TOLD)))
    structured = model.with_structured_output(schema, method=method, strict=strict)
    expected = Joke(**TOLD) if schema is Joke else TOLD
    assert structured.invoke("A joke") == expected
    assert await structured.ainvoke("A joke") == expected
    sent = transport.bodies[0]
    asked = (
        sent["response_format"]["json_schema"]
        if method == "json_schema"
        else sent["tools"][0]["function"]
    )
    assert asked.get("strict") == strict
    assert ("tool_choice" in sent) == (method == "function_calling")


@pytest.mark.parametrize("schema", [Joke, JokeDict], ids=["pydantic", "TypedDict"])
def test_json_mode_sends_no_schema(schema: Any):
    model, transport = chat(whole("json_mode", json.dumps(TOLD)))
    structured = model.with_structured_output(schema, method="json_mode")
    assert structured.invoke("A joke") == (Joke(**TOLD) if schema is Joke else TOLD)
    assert transport.bodies[0]["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("method", METHODS)
def test_raw_answers_come_with_what_was_read(method: str):
    model, _ = chat(whole(method, json.dumps(TOLD)))
    got = model.with_structured_output(Joke, method=method, include_raw=True).invoke("A joke")
    assert got["parsed"] == Joke(**TOLD)
    assert got["parsing_error"] is None
    assert got["raw"].response_metadata["model_provider"] == "sunra"


def test_raw_answers_come_with_the_error_where_they_cannot_be_read():
    model, _ = chat(whole("json_schema", '{"setup": 1'))
    got = model.with_structured_output(Joke, include_raw=True).invoke("A joke")
    assert got["parsed"] is None
    assert isinstance(got["parsing_error"], OutputParserException)


def test_dicts_grow_while_they_are_streamed():
    model, _ = chat(pieces({"content": '{"setup": "Wh'}, {"content": 'y?", "punchline": "B."}'}))
    got = list(model.with_structured_output(JokeDict).stream("A joke"))
    assert got == [{"setup": "Wh"}, {"setup": "Why?", "punchline": "B."}]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schema", [Joke, SCHEMA], ids=["pydantic", "dict"])
async def test_a_refusal_raises_the_models_words(schema: Any, method: str):
    model, _ = chat(refusing())
    structured = model.with_structured_output(schema, method=method)
    with pytest.raises(Refused) as refused:
        structured.invoke("A joke")
    with pytest.raises(Refused):
        await structured.ainvoke("A joke")
    assert refused.value.refusal == "I cannot."


async def test_a_streamed_refusal_raises_all_its_words():
    model, _ = chat(pieces({"refusal": "I "}, {"refusal": "cannot."}))
    structured = model.with_structured_output(JokeDict)
    with pytest.raises(Refused) as refused:
        list(structured.stream("A joke"))
    assert refused.value.refusal == "I cannot."
    with pytest.raises(Refused):
        _ = [one async for one in structured.astream("A joke")]


def test_a_refusal_is_told_beside_the_raw_answer():
    model, _ = chat(refusing())
    got = model.with_structured_output(Joke, include_raw=True).invoke("A joke")
    assert isinstance(got["parsing_error"], Refused)
    assert got["raw"].additional_kwargs["refusal"] == "I cannot."


def test_traces_are_told_of_the_format():
    model, _ = chat(refusing())
    structured = model.with_structured_output(Joke, strict=True)
    bound = structured.first.kwargs
    assert bound["ls_structured_output_format"] == {
        "kwargs": {"method": "json_schema", "strict": True},
        "schema": Joke,
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"method": "xml"}, "method"),
        ({"method": "json_mode", "strict": True}, "strict"),
        ({"temprature": 1}, "temperature"),
    ],
)
def test_misuse_is_refused_at_once(given: dict[str, Any], says: str):
    model, _ = chat(refusing())
    with pytest.raises(InvalidParameter, match=says):
        model.with_structured_output(Joke, **given)


def test_parameters_of_the_call_go_along():
    model, transport = chat(whole("json_schema", json.dumps(TOLD)))
    model.with_structured_output(Joke, temperature=0).invoke("A joke")
    assert transport.bodies[0]["temperature"] == 0

"""A parameter that the model does not support, in both adapters: the error, and what was sent."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from sunra_integrations.errors import UnsupportedParameter
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.langchain import errors as langchain_errors
from sunra_integrations.langchain.model_errors import ModelInvalidRequestError
from sunra_integrations.llama_index import Sunra
from tests.recorded_transport import Answer, Recorded, completion, status, stream


class Joke(BaseModel):
    """A joke."""

    setup: str


THINKING = {"message": "Thinking mode does not support this tool_choice", "type": "invalid"}
QUESTION = PromptTemplate("A joke about {topic}")
Ask = Callable[[Recorded], Awaitable[Any]]


def chat(wire: Recorded) -> ChatSunra:
    return ChatSunra(
        model="deepseek/deepseek-v4-pro",
        api_key="sk-made-up",
        http_client=httpx.Client(transport=wire),
        http_async_client=httpx.AsyncClient(transport=wire),
    )


def llm(wire: Recorded) -> Sunra:
    return Sunra(
        model="deepseek/deepseek-v4-pro",
        api_key="sk-made-up",
        pydantic_program_mode=PydanticProgramMode.FUNCTION,
        http_client=httpx.Client(transport=wire),
        async_http_client=httpx.AsyncClient(transport=wire),
    )


async def structured_output(wire: Recorded) -> Any:
    return chat(wire).with_structured_output(Joke, method="function_calling").invoke("Hi")


async def async_structured_output(wire: Recorded) -> Any:
    return await chat(wire).with_structured_output(Joke, method="function_calling").ainvoke("Hi")


async def streamed_structured_output(wire: Recorded) -> Any:
    return list(chat(wire).with_structured_output(Joke, method="function_calling").stream("Hi"))


async def structured_predict(wire: Recorded) -> Any:
    return llm(wire).structured_predict(Joke, QUESTION, topic="Oslo")


async def async_structured_predict(wire: Recorded) -> Any:
    return await llm(wire).astructured_predict(Joke, QUESTION, topic="Oslo")


async def streamed_structured_predict(wire: Recorded) -> Any:
    return list(llm(wire).stream_structured_predict(Joke, QUESTION, topic="Oslo"))


WHOLE: list[Ask] = [
    structured_output,
    async_structured_output,
    structured_predict,
    async_structured_predict,
]
STREAMED: list[Ask] = [streamed_structured_output, streamed_structured_predict]
EVENT = f"data: {json.dumps({'error': THINKING})}\n\n".encode()


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        *((ask, status(400, json.dumps({"error": THINKING}).encode())) for ask in WHOLE + STREAMED),
        *((ask, completion({"error": THINKING})) for ask in WHOLE),
        *((ask, stream(EVENT)) for ask in STREAMED),
    ],
)
async def test_a_tool_that_structured_output_forces(ask: Ask, answer: Answer):
    wire = Recorded(answer)
    with pytest.raises(UnsupportedParameter) as caught:
        await ask(wire)
    assert caught.value.parameter == "tool_choice"
    assert "Structured output by a tool call forces the tool" in caught.value.message
    (sent,) = wire.bodies  # nothing is tried without the parameter
    assert sent["tool_choice"] in ("required", {"type": "function", "function": {"name": "Joke"}})


async def test_langchain_sees_an_invalid_request():
    wire = Recorded(status(400, json.dumps({"error": THINKING}).encode()))
    with pytest.raises(ModelInvalidRequestError) as caught:
        chat(wire).invoke("Hi")
    assert isinstance(caught.value, langchain_errors.UnsupportedParameter)
    assert caught.value.parameter == "tool_choice"
    assert caught.value.is_retryable is False


async def test_no_parameter_is_left_out_or_added_without_being_asked():
    given: dict[str, Any] = {"temperature": 0, "stop": ["x"], "reasoning_effort": "low"}
    wire = Recorded(status(400, json.dumps({"error": THINKING}).encode()))
    with pytest.raises(UnsupportedParameter):
        chat(wire).invoke("Hi", **given)
    with pytest.raises(UnsupportedParameter):
        llm(wire).chat([ChatMessage("Hi")], **given)
    for sent in wire.bodies:
        assert {name: sent[name] for name in given} == given

"""What goes over the wire and comes back, in each of the eight ways to ask."""

from __future__ import annotations

import asyncio
import inspect

import pytest
from llama_index.core.base.llms.types import ChatMessage

from sunra_integrations import errors
from sunra_integrations.llama_index import Sunra
from tests.llama_index.answers import said, streamed, streamed_into
from tests.llama_index.ways import ASKED, STREAMED, WAYS, WHOLE, text_of
from tests.recorded_transport import Body, status, stream
from tests.wire_cases import stream_bytes


def answer(way: str, text: str = "Hello"):
    return streamed(*text) if way in STREAMED else said(text)


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_sent_that_was_not_set(line, way) -> None:
    hello = line(answer(way))
    response = await WAYS[way](hello.llm)
    assert text_of(response) == "Hello"
    streaming = {"stream": True, "stream_options": {"include_usage": True}}
    assert hello.sent == {
        "model": "openai/gpt-4o",
        "messages": [{"role": "user", "content": "Hi"}],
        **(streaming if way in STREAMED else {}),
    }


PARAMETERS = {
    "max_tokens": 7,
    "temperature": 0.5,
    "top_p": 0.9,
    "frequency_penalty": -1,
    "presence_penalty": 1,
    "stop": ["a", "b"],
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "response_format": {"type": "json_object"},
    "seed": 4,
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "user": "u",
    "provider": {"only": ["openai"]},
    "reasoning": {"effort": "low"},
    "reasoning_effort": "low",
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_parameter_of_the_instance_is_sent(line, way) -> None:
    told = line(answer(way), **PARAMETERS, extra_body={"top_k": 5})
    await WAYS[way](told.llm)
    assert {**PARAMETERS, "top_k": 5}.items() <= told.sent.items()


@pytest.mark.parametrize("way", WAYS)
async def test_every_parameter_of_a_call_is_sent(line, way) -> None:
    told = line(answer(way))
    await WAYS[way](told.llm, **PARAMETERS, extra_body={"top_k": 5}, model="a/b")
    assert {**PARAMETERS, "top_k": 5, "model": "a/b"}.items() <= told.sent.items()


CALLS = {
    "a call's value wins": (
        {"temperature": 1},
        {"temperature": 0},
        {"temperature": 0},
        (),
    ),
    "None leaves a parameter out": (
        {"temperature": 1},
        {"temperature": None},
        {},
        ("temperature",),
    ),
    "bodies are merged": (
        {"extra_body": {"a": 1, "b": 1}},
        {"extra_body": {"b": 2}},
        {"a": 1, "b": 2},
        (),
    ),
    "additional_kwargs are parameters too": (
        {"additional_kwargs": {"seed": 1, "user": "u"}, "seed": 2},
        {},
        {"seed": 2, "user": "u"},
        (),
    ),
    "the other name of a limit replaces it": (
        {"max_completion_tokens": 9},
        {"max_tokens": 5},
        {"max_tokens": 5},
        ("max_completion_tokens",),
    ),
    "and the other way round": (
        {"max_tokens": 9},
        {"max_completion_tokens": 5},
        {"max_completion_tokens": 5},
        ("max_tokens",),
    ),
    "turning logprobs off drops what needed them": (
        {"logprobs": True, "top_logprobs": 3},
        {"logprobs": False},
        {"logprobs": False},
        ("top_logprobs",),
    ),
    "no tools is none at all": (
        {},
        {"tools": [], "tool_choice": None},
        {},
        ("tools", "tool_choice"),
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_of_instance_and_call(line, name) -> None:
    fields, call, sent, absent = CALLS[name]
    told = line(**fields)
    told.llm.chat(ASKED, **call)
    assert sent.items() <= told.sent.items()
    assert not set(absent) & told.sent.keys()


MISSPELT = {"temprature": "temperature", "max_token": "max_tokens", "extra_header": "extra_headers"}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_parameter_of_a_call_names_the_closest(line, name) -> None:
    told = line()
    with pytest.raises(errors.InvalidParameter, match=f"`{MISSPELT[name]}`") as wrong:
        told.llm.chat(ASKED, **{name: 1})
    assert wrong.value.parameter == name
    assert told.wire.sent == []


@pytest.mark.parametrize("way", WAYS)
async def test_a_value_out_of_range_is_refused_before_sending(line, way) -> None:
    told = line()
    with pytest.raises(errors.InvalidParameter, match="between 0 and 2"):
        await WAYS[way](told.llm, temperature=3)
    assert told.wire.sent == []


@pytest.mark.parametrize("way", WAYS)
async def test_headers_of_instance_and_call_are_sent_and_the_calls_win(line, way) -> None:
    told = line(answer(way), default_headers={"x-a": "1", "x-b": "1"})
    await WAYS[way](told.llm, extra_headers={"x-b": "2"})
    headers = told.wire.sent[-1].headers
    assert (headers["x-a"], headers["x-b"]) == ("1", "2")
    assert headers["authorization"] == "Bearer sk-very-secret"


def test_headers_that_are_none_are_told_without_their_values(line) -> None:
    with pytest.raises(errors.InvalidParameter) as wrong:
        line().llm.chat(ASKED, extra_headers={"x": ["sk-secret"]})
    assert "sk-secret" not in str(wrong.value)


ERRORS = {
    "a wrong key": (status(401, b'{"error": "no"}'), errors.AuthenticationFailed),
    "no credit": (status(402, b'{"error": "no"}'), errors.InsufficientCredit),
    "too many requests": (status(429, b'{"error": "no"}'), errors.RateLimited),
    "an error in a stream": (stream(stream_bytes("error_first")), errors.ModelNotFound),
    "a broken stream": (
        stream(stream_bytes("ended_without_finish_reason")),
        errors.StreamInterrupted,
    ),
}


@pytest.mark.parametrize("way", STREAMED)
@pytest.mark.parametrize("name", ERRORS)
async def test_errors_are_the_cores_in_streams(line, name, way) -> None:
    reply, error = ERRORS[name]
    with pytest.raises(error):
        await WAYS[way](line(reply).llm)


@pytest.mark.parametrize("way", WHOLE)
async def test_errors_are_the_cores_in_whole_answers(line, way) -> None:
    with pytest.raises(errors.RateLimited):
        await WAYS[way](line(status(429, b'{"error": "no"}')).llm)


@pytest.mark.parametrize("way", WAYS)
async def test_there_is_one_layer_of_retries(line, way) -> None:
    busy = line(status(503, b"{}", retry_after_ms="1"), max_retries=2)
    with pytest.raises(errors.Overloaded):
        await WAYS[way](busy.llm)
    assert len(busy.wire.sent) == 3


def test_a_stream_that_is_left_is_closed_at_once(line) -> None:
    for ask in (lambda llm: llm.stream_chat(ASKED), lambda llm: llm.stream_complete("Hi")):
        bodies: list[Body] = []
        responses = ask(line(streamed_into(bodies, "a", "b", "c")).llm)
        assert inspect.isgenerator(responses)
        next(responses)
        assert not bodies[0].closed
        responses.close()
        assert bodies[0].closed


async def test_an_async_stream_that_is_left_is_closed_at_once(line) -> None:
    for ask in (lambda llm: llm.astream_chat(ASKED), lambda llm: llm.astream_complete("Hi")):
        bodies: list[Body] = []
        responses = await ask(line(streamed_into(bodies, "a", "b", "c")).llm)
        assert inspect.isasyncgen(responses)
        await anext(responses)
        assert not bodies[0].closed
        await responses.aclose()
        assert bodies[0].closed


async def test_a_task_that_is_cancelled_closes_its_stream(line) -> None:
    bodies: list[Body] = []
    llm = line(streamed_into(bodies, "a", "b")).llm
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in await llm.astream_chat(ASKED):
            begun.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bodies[0].closed


def test_streams_are_cumulative_and_the_last_is_complete(line) -> None:
    responses = list(line(streamed("Hel", "lo")).llm.stream_chat(ASKED))
    assert [r.message.content for r in responses][-4:] == ["Hel", "Hello", "Hello", "Hello"]
    assert [r.delta for r in responses][-4:] == ["Hel", "lo", "", ""]
    assert responses[-1].raw["usage"]["total_tokens"] == 5
    assert responses[-1].additional_kwargs["finish_reason"] == "stop"


def test_completion_to_prompt_is_applied_unless_the_prompt_is_formatted(line) -> None:
    shouting = line(completion_to_prompt=str.upper)
    shouting.llm.complete("hi")
    assert shouting.sent["messages"] == [{"role": "user", "content": "HI"}]
    shouting.llm.complete("hi", formatted=True)
    assert shouting.sent["messages"] == [{"role": "user", "content": "hi"}]


def test_one_instance_serves_several_event_loops(line) -> None:
    llm: Sunra = line().llm
    for _ in range(2):
        assert asyncio.run(llm.acomplete("Hi")).text == "Hello"


def test_a_history_is_left_as_it_was(line) -> None:
    history = [ChatMessage("a"), ChatMessage(role="assistant", content="b"), ChatMessage("c")]
    before = [message.model_copy(deep=True) for message in history]
    line().llm.chat(history)
    assert history == before

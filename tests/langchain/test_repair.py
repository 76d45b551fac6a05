"""`with_structured_output(…, repair=1)`: what is sent again, and what is returned."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.load import dumps
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from pydantic import ValidationError

from sunra_integrations.errors import InvalidParameter, Refused, ResponseTruncated
from sunra_integrations.langchain.errors import ChatSunraError
from tests.langchain.test_structured_output import (
    METHODS,
    TOLD,
    Joke,
    JokeDict,
    chat,
    look_up,
    refusing,
)
from tests.recorded_transport import Answer, completion, status, stream

GOOD = json.dumps(TOLD)
INVALID = '{"setup": "Why?", }x'
INCOMPLETE = '{"setup": "Why?"}'
USAGE = {"prompt_tokens": 3, "completion_tokens": 20, "total_tokens": 23, "cost": 0.5}

CASES: dict[str, tuple[Any, str, str]] = {
    "a field is missing": (Joke, INCOMPLETE, "- punchline: Field required"),
    "a value is wrong": (
        Joke,
        '{"setup": "W", "punchline": 1}',
        "- punchline: Input should be a valid string",
    ),
    "invalid JSON, pydantic": (Joke, INVALID, "not valid JSON"),
    "invalid JSON, TypedDict": (JokeDict, INVALID, "not valid JSON"),
    "invalid JSON, JSON schema": (Joke.model_json_schema(), INVALID, "not valid JSON"),
}


def message(method: str, written: str, name: str = "Joke") -> dict[str, Any]:
    if method != "function_calling":
        return {"role": "assistant", "content": written}
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": written}}
    return {"role": "assistant", "content": None, "tool_calls": [{**call, "index": 0}]}


def reply(given: dict[str, Any], finish_reason: str = "stop") -> Answer:
    choice = {"index": 0, "message": given, "finish_reason": finish_reason}
    return completion({"id": "g", "choices": [choice], "usage": USAGE})


def streamed(given: dict[str, Any], finish_reason: str = "stop") -> Answer:
    events: list[dict[str, Any]] = [
        {"id": "g", "choices": [{"index": 0, "delta": given}]},
        {
            "id": "g",
            "choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}],
            "usage": USAGE,
        },
    ]
    return stream(*(f"data: {json.dumps(event)}\n\n".encode() for event in events))


async def outcomes(
    *messages: dict[str, Any], schema: Any, finish_reason: str = "stop", **given: Any
):
    """Of each way to call: the output, or the error, and the bodies that were sent."""
    found = []
    for way in ("invoke", "ainvoke", "batch", "abatch", "stream", "astream"):
        as_answer = streamed if "stream" in way else reply
        model, transport = chat(*(as_answer(one, finish_reason) for one in messages))
        structured = model.with_structured_output(schema, **given)
        try:
            match way:
                case "invoke":
                    got = structured.invoke("A joke")
                case "ainvoke":
                    got = await structured.ainvoke("A joke")
                case "batch":
                    (got,) = structured.batch(["A joke"])
                case "abatch":
                    (got,) = await structured.abatch(["A joke"])
                case "stream":
                    got = list(structured.stream("A joke"))[-1]
                case _:
                    got = [one async for one in structured.astream("A joke")][-1]
        except Exception as error:  # noqa: BLE001 - looked at by the test
            got = error
        found.append((got, transport.bodies))
    return found


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", CASES)
async def test_output_that_does_not_match_is_requested_again_with_its_error(
    case: str, method: str, strict: bool | None, include_raw: bool
):
    schema, written, problem = CASES[case]
    name = "JokeDict" if schema is JokeDict else "Joke"
    given: dict[str, Any] = {"method": method, "include_raw": include_raw, "repair": 1}
    if method != "json_mode":
        given["strict"] = strict
    if method == "function_calling" and "JSON" in case:
        problem = "not a JSON object"
    for got, bodies in await outcomes(
        message(method, written, name), message(method, GOOD, name), schema=schema, **given
    ):
        expected = Joke(**TOLD) if schema is Joke else TOLD
        assert (got["parsed"] if include_raw else got) == expected
        first, second = bodies
        asked, answered, request = second.pop("messages")
        assert [asked] == first.pop("messages")
        assert first == second
        assert answered["role"] == "assistant"
        assert problem in request["content"]
        if method == "function_calling":
            assert request["role"] == "tool"
            assert request["tool_call_id"] == answered["tool_calls"][0]["id"] == "c1"
        else:
            assert request["role"] == "user"
            assert answered["content"] == written
        if include_raw:
            assert got["parsing_error"] is None
            raw = got["raw"]
            assert type(raw) is AIMessage
            (earlier,) = raw.response_metadata["earlier_attempts"]
            assert problem in earlier["error"]
            assert (earlier["cost"], raw.response_metadata["cost"]) == (0.5, 0.5)
            assert earlier["usage_metadata"]["total_tokens"] == 23
            assert raw.usage_metadata["total_tokens"] == 23  # of the last call
            assert "visit" not in json.dumps(earlier)
            dumps(raw)


async def test_without_repair_one_request_is_sent():
    for got, bodies in await outcomes(
        message("json_schema", INCOMPLETE), message("json_schema", GOOD), schema=Joke
    ):
        assert isinstance(got, OutputParserException)
        assert len(bodies) == 1


def test_output_that_matches_is_not_repaired():
    model, transport = chat(reply(message("json_schema", GOOD)))
    structured = model.with_structured_output(Joke, include_raw=True, repair=3)
    assert "earlier_attempts" not in structured.invoke("A joke")["raw"].response_metadata
    assert len(transport.bodies) == 1


@pytest.mark.parametrize("method", METHODS)
async def test_the_error_of_the_last_attempt_is_raised_and_the_earlier_ones_are_its_context(
    method: str,
):
    wrong = ['{"setup": 1}', INCOMPLETE, '{"punchline": "B."}']
    messages = [message(method, one) for one in wrong]
    for got, bodies in await outcomes(*messages, schema=Joke, method=method, repair=2):
        assert isinstance(got, (OutputParserException, ValidationError))
        assert len(bodies) == 3
        assert [one["role"] for one in bodies[2]["messages"]].count("assistant") == 2
        causes, error = [], got
        while error is not None:
            if isinstance(error, ValidationError):
                causes.append([flaw["loc"][0] for flaw in error.errors()])
            error = error.__context__
        assert causes == [["setup"], ["punchline"], ["setup", "punchline"]]


@pytest.mark.parametrize("method", METHODS)
async def test_beside_the_raw_message_the_last_error_is_the_parsing_error(method: str):
    messages = [message(method, one) for one in ('{"setup": 1}', INCOMPLETE)]
    given = {"method": method, "include_raw": True, "repair": 1}
    for got, bodies in await outcomes(*messages, schema=Joke, **given):
        assert len(bodies) == 2
        assert got["parsed"] is None
        assert "punchline" in str(got["parsing_error"])
        (earlier,) = got["raw"].response_metadata["earlier_attempts"]
        assert "- setup: Input should be" in earlier["error"]


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("method", METHODS)
async def test_output_that_was_cut_off_is_never_repaired(method: str, include_raw: bool):
    given = {"method": method, "include_raw": include_raw, "repair": 3}
    for written in (INCOMPLETE, '{"setup": "Wh'):
        cut = message(method, written)
        for got, bodies in await outcomes(cut, schema=Joke, finish_reason="length", **given):
            assert isinstance(got["parsing_error"] if include_raw else got, ResponseTruncated)
            assert len(bodies) == 1


async def test_a_refusal_is_never_repaired():
    model, transport = chat(refusing())
    structured = model.with_structured_output(Joke, repair=3)
    with pytest.raises(Refused):
        structured.invoke("A joke")
    with pytest.raises(Refused):
        await structured.ainvoke("A joke")
    assert len(transport.bodies) == 2


@pytest.mark.parametrize("include_raw", [False, True])
async def test_a_failed_call_is_raised_and_not_repaired(include_raw: bool):
    failed = status(400, b'{"error": {"message": "no"}}')
    model, transport = chat(reply(message("json_schema", INCOMPLETE)), failed)
    structured = model.with_structured_output(Joke, include_raw=include_raw, repair=3)
    with pytest.raises(ChatSunraError):
        structured.invoke("A joke")
    assert len(transport.bodies) == 2
    model, transport = chat(failed)
    structured = model.with_structured_output(Joke, include_raw=include_raw, repair=3)
    with pytest.raises(ChatSunraError):
        list(structured.stream("A joke"))
    with pytest.raises(ChatSunraError):
        [one async for one in structured.astream("A joke")]
    assert len(transport.bodies) == 2


@pytest.mark.parametrize("include_raw", [False, True])
async def test_a_tool_that_must_be_called_and_is_not_is_requested_again(include_raw: bool):
    words = {"role": "assistant", "content": "Why? Because."}
    given = {"method": "function_calling", "include_raw": include_raw, "repair": 1}
    for got, bodies in await outcomes(
        words, message("function_calling", GOOD), schema=Joke, **given
    ):
        assert (got["parsed"] if include_raw else got) == Joke(**TOLD)
        assert bodies[1]["messages"][-1]["role"] == "user"
        assert "does not call the tool 'Joke'" in bodies[1]["messages"][-1]["content"]
    model, transport = chat(reply(words))
    for choice in ("auto", None):  # then words are a reply
        given = {"method": "function_calling", "tool_choice": choice, "repair": 1}
        assert model.with_structured_output(Joke, **given).invoke("A joke") is None
    assert len(transport.bodies) == 2
    assert (
        model.with_structured_output(Joke, method="function_calling", repair=1).invoke("A") is None
    )


@pytest.mark.parametrize("method", METHODS)
async def test_a_call_of_another_tool_is_not_repaired(method: str):
    function = {"name": "look_up", "arguments": '{"word": "joke"}'}
    call = {"index": 0, "id": "c1", "type": "function", "function": function}
    other = {"role": "assistant", "content": None, "tool_calls": [call]}
    given = {"method": method, "tools": [look_up], "include_raw": True, "repair": 2}
    for got, bodies in await outcomes(other, schema=Joke, **given):
        assert (got["parsed"], got["parsing_error"]) == (None, None)
        assert len(bodies) == 1


def test_every_call_of_a_repaired_message_has_a_result():
    calls = [
        ("look_up", '{"word": "joke"}'),
        ("Joke", INCOMPLETE),
        ("Joke", GOOD),
        ("look_up", '{"word": '),
    ]
    made = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(calls)
    ]
    several = {"role": "assistant", "content": None, "tool_calls": made}
    model, transport = chat(reply(several), reply(message("function_calling", GOOD)))
    given = {"method": "function_calling", "tools": [look_up], "repair": 1}
    assert model.with_structured_output(Joke, **given).invoke("A joke") == Joke(**TOLD)
    results = {
        one["tool_call_id"]: one["content"]
        for one in transport.bodies[1]["messages"]
        if one["role"] == "tool"
    }
    assert results.keys() == {"c0", "c1", "c2", "c3"}
    assert "punchline: Field required" in results["c1"]
    assert "not a JSON object" in results["c3"]
    assert (
        results["c0"]
        == results["c2"]
        == ("Not called, because another call of the same reply was invalid.")
    )


def test_streamed_objects_grow_again_after_a_repair():
    first = [{"content": '{"setup": "A",'}, {"content": ' "punchline": B}'}]
    second = [{"content": '{"setup": "C",'}, {"content": ' "punchline": "D"}'}]
    model, _ = chat(*map(in_deltas, (first, second)))
    got = list(model.with_structured_output(JokeDict, repair=1).stream("A joke"))
    assert got == [{"setup": "A"}, {"setup": "C"}, {"setup": "C", "punchline": "D"}]


def in_deltas(deltas: list[dict[str, Any]]) -> Answer:
    events: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return stream(*(f"data: {json.dumps(event)}\n\n".encode() for event in events))


async def test_it_is_a_step_of_a_chain():
    prompt = ChatPromptTemplate.from_messages([("system", "Be funny."), ("human", "{topic}")])

    def chain(as_answer: Any) -> Any:
        model, transport = chat(
            *(as_answer(message("json_schema", one)) for one in (INCOMPLETE, GOOD))
        )
        made = prompt | model.with_structured_output(Joke, repair=1) | (lambda got: got.setup)
        return made.with_retry(stop_after_attempt=1), transport

    for as_answer, run in ((reply, "invoke"), (streamed, "stream")):
        made, transport = chain(as_answer)
        got = getattr(made, run)({"topic": "cats"})
        assert (got if run == "invoke" else list(got)[-1]) == "Why?"
        roles = [one["role"] for one in transport.bodies[1]["messages"]]
        assert roles == ["system", "user", "assistant", "user"]
    made, transport = chain(reply)
    assert await made.ainvoke({"topic": "cats"}) == "Why?"
    made, transport = chain(streamed)
    assert [one async for one in made.astream({"topic": "cats"})][-1] == "Why?"


def test_parameters_of_the_call_are_sent_with_each_attempt():
    model, transport = chat(*(reply(message("json_schema", one)) for one in (INCOMPLETE, GOOD)))
    model.with_structured_output(Joke, repair=1, seed=4).invoke("A joke", temperature=1, stop=["x"])
    for body in transport.bodies:
        assert (body["temperature"], body["seed"], body["stop"]) == (1, 4, ["x"])


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_traces_and_callbacks_have_each_call(way: str, include_raw: bool):
    as_answer = streamed if "stream" in way else reply
    model, _ = chat(*(as_answer(message("json_schema", one)) for one in (INCOMPLETE, GOOD)))
    structured = model.with_structured_output(Joke, include_raw=include_raw, repair=1)
    runs, usage = RunCollectorCallbackHandler(), UsageMetadataCallbackHandler()
    config = {"callbacks": [runs, usage]}
    match way:
        case "invoke":
            structured.invoke("A joke", config)
        case "ainvoke":
            await structured.ainvoke("A joke", config)
        case "stream":
            list(structured.stream("A joke", config))
        case _:
            _ = [one async for one in structured.astream("A joke", config)]
    (root,) = runs.traced_runs
    assert root.name == "RepairedOutput"
    calls = [one for one in root.child_runs if one.run_type == "llm"]
    assert [one.name for one in calls] == ["ChatSunra", "ChatSunra"]
    for call in calls:
        assert call.extra["options"]["ls_structured_output_format"]["kwargs"]["method"]
    (total,) = usage.usage_metadata.values()
    assert total["total_tokens"] == 46


@pytest.mark.parametrize("value", [-1, 11, True, 1.5, "1", None])
def test_an_invalid_number_of_repairs_is_refused_at_once(value: Any):
    model, _ = chat(reply(message("json_schema", GOOD)))
    with pytest.raises(InvalidParameter, match="`repair` must be an int from 0 to 10"):
        model.with_structured_output(Joke, repair=value)


def test_it_describes_itself():
    model, _ = chat(reply(message("json_schema", GOOD)))
    structured = model.with_structured_output(Joke, repair=1)
    assert structured.OutputType is Joke
    assert structured.InputType == model.InputType
    assert (
        model.with_structured_output(Joke, include_raw=True, repair=1).OutputType == dict[str, Any]
    )
    assert "sk-made-up" not in repr(structured)
    assert structured.get_graph().nodes
    assert structured.get_output_jsonschema()["title"] == "Joke"

"""Answers of a given schema, by each method."""

from __future__ import annotations

import asyncio
import json
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain_core.exceptions import OutputParserException
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from sunra_integrations.errors import InvalidParameter, Refused, ResponseTruncated
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.langchain.model_errors import ModelAPIError
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


CUT = '{"setup": "Why?", "punchline": "Beca'
USAGE = {"prompt_tokens": 3, "completion_tokens": 20, "total_tokens": 23}
SCHEMAS = {"pydantic": Joke, "TypedDict": JokeDict, "dict": SCHEMA}


def message_of(method: str, written: str | None, name: str) -> dict[str, Any]:
    if method != "function_calling" or written is None:
        return {"content": written}
    function = {"name": name, "arguments": written}
    return {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}


def ended(method: str, written: str | None, finish_reason: str | None, name: str) -> Answer:
    message = {"role": "assistant", "content": None, **message_of(method, written, name)}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return completion({"id": "gen-1", "model": "a/b", "choices": [choice], "usage": USAGE})


def ended_stream(method: str, written: str | None, finish_reason: str, name: str) -> Answer:
    deltas = [message_of(method, written, name)] if written is None else []
    if written is not None:
        half = len(written) // 2
        deltas = [message_of(method, written[:half], name)]
        rest = {"tool_calls": [{"index": 0, "function": {"arguments": written[half:]}}]}
        deltas.append(rest if method == "function_calling" else {"content": written[half:]})
    events: list[dict[str, Any]] = [
        {"id": "gen-1", "choices": [{"index": 0, "delta": delta}]} for delta in deltas
    ]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})
    events.append({"choices": [], "usage": USAGE})
    return stream(*(f"data: {json.dumps(event)}\n\n".encode() for event in events))


async def collected(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


@pytest.mark.parametrize("finish_reason", ["length", "content_filter", "MAX_TOKENS", "odd"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schema", SCHEMAS)
async def test_an_answer_that_was_cut_off_is_an_error(schema: str, method: str, finish_reason: str):
    kind = SCHEMAS[schema]
    name = "JokeDict" if kind is JokeDict else "Joke"
    ended_so = (method, CUT, finish_reason, name)
    whole, _ = chat(ended(*ended_so))
    flowing, _ = chat(ended_stream(*ended_so))
    one = whole.with_structured_output(kind, method=method)
    many = flowing.with_structured_output(kind, method=method)
    errors = []
    for ask in (
        lambda: one.invoke("A joke"),
        lambda: one.batch(["A joke"]),
        lambda: list(many.stream("A joke")),
    ):
        with pytest.raises(ResponseTruncated) as raised:
            ask()
        errors.append(raised.value)
    for awaited in (one.ainvoke("A joke"), one.abatch(["A joke"]), collected(many.astream("A"))):
        with pytest.raises(ResponseTruncated) as raised:
            await awaited
        errors.append(raised.value)
    for error in errors:
        assert isinstance(error, ModelAPIError)
        assert error.is_retryable is (finish_reason == "odd")
        assert (error.finish_reason, error.text, error.usage) == (finish_reason, CUT, USAGE)
        assert error.partial.choice.finish_reason == finish_reason


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schema", SCHEMAS)
async def test_beside_the_raw_answer_it_is_the_parsing_error(schema: str, method: str):
    kind = SCHEMAS[schema]
    ended_so = (method, CUT, "length", "JokeDict" if kind is JokeDict else "Joke")
    for answer in (ended(*ended_so), ended_stream(*ended_so)):
        model, _ = chat(answer)
        asked = model.with_structured_output(kind, method=method, include_raw=True)
        if answer().headers["content-type"] == "application/json":
            got = [asked.invoke("A"), await asked.ainvoke("A"), *asked.batch(["A"])]
        else:
            (streamed,), (later,) = list(asked.stream("A")), await collected(asked.astream("A"))
            got = [streamed, later]
        for one in got:
            assert one["parsed"] is None
            assert isinstance(one["parsing_error"], ResponseTruncated)
            assert one["raw"].response_metadata["finish_reason"] == "length"
            assert one["raw"].tool_calls == []


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
async def test_an_answer_cut_off_before_it_began_is_an_error(method: str, finish_reason: str):
    reasoned = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 20}}
    message = {"role": "assistant", "content": None, "reasoning": "Hm."}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    model, _ = chat(completion({"choices": [choice], "usage": reasoned}))
    structured = model.with_structured_output(Joke, method=method)
    with pytest.raises(ResponseTruncated, match="nothing but 20 tokens of reasoning"):
        structured.invoke("A joke")
    with pytest.raises(ResponseTruncated, match="nothing but 20 tokens of reasoning"):
        await structured.ainvoke("A joke")
    flowing, _ = chat(ended_stream(method, None, finish_reason, "Joke"))
    with pytest.raises(ResponseTruncated, match="nothing"):
        list(flowing.with_structured_output(Joke, method=method).stream("A joke"))


WHOLE = json.dumps(TOLD)


@pytest.mark.parametrize("finish_reason", ["stop", "tool_calls", "end_turn", "odd", None])
@pytest.mark.parametrize("method", METHODS)
def test_a_whole_answer_with_another_finish_reason_is_an_object(
    method: str, finish_reason: str | None
):
    model, _ = chat(ended(method, WHOLE, finish_reason, "Joke"))
    assert model.with_structured_output(Joke, method=method).invoke("A joke") == Joke(**TOLD)


@pytest.mark.parametrize("method", METHODS)
def test_a_limit_makes_even_whole_json_an_error(method: str):
    model, _ = chat(ended(method, WHOLE, "length", "Joke"))
    with pytest.raises(ResponseTruncated) as raised:
        model.with_structured_output(Joke, method=method).invoke("A joke")
    assert json.loads(raised.value.text) == TOLD


def test_an_answer_in_a_fence_is_whole_with_any_finish_reason():
    model, _ = chat(ended("json_mode", f"```json\n{WHOLE}\n```", "odd", "Joke"))
    assert model.with_structured_output(Joke, method="json_mode").invoke("A") == Joke(**TOLD)


def test_no_json_at_all_is_no_truncation():
    model, _ = chat(ended("json_mode", "La la la.", "odd", "Joke"))
    with pytest.raises(OutputParserException, match="La la la"):
        model.with_structured_output(Joke, method="json_mode").invoke("A joke")


@pytest.mark.parametrize("schema", [Joke, SCHEMA], ids=["pydantic", "dict"])
def test_a_finished_call_with_broken_arguments_is_an_error(schema: Any):
    ended_so = ("function_calling", CUT, "tool_calls", "Joke")
    model, _ = chat(ended(*ended_so))
    with pytest.raises(OutputParserException, match="'Joke'"):
        model.with_structured_output(schema, method="function_calling").invoke("A joke")
    flowing, _ = chat(ended_stream(*ended_so))
    with pytest.raises(OutputParserException, match="'Joke'"):
        list(flowing.with_structured_output(schema, method="function_calling").stream("A joke"))


def test_dicts_grow_until_a_stream_ends_in_the_error():
    model, _ = chat(ended_stream("json_schema", CUT, "length", "Joke"))
    growing = model.with_structured_output(JokeDict).stream("A joke")
    assert next(growing)["setup"].startswith("Wh")
    with pytest.raises(ResponseTruncated):
        list(growing)


async def test_events_of_version_two_end_in_the_error():
    model, _ = chat(ended_stream("json_schema", CUT, "length", "Joke"))
    with pytest.raises(ResponseTruncated):
        await collected(model.with_structured_output(Joke).astream_events("A", version="v2"))


def look_up(word: str) -> str:
    """Looks a word up."""
    return word


class Seen(BaseModel):
    """Something seen."""

    what: str


# (method, arguments) → what is sent of tools and tool_choice
BESIDE: dict[str, tuple[str, dict[str, Any], list[str], Any]] = {
    "tool_choice is auto": ("function_calling", {"tool_choice": "auto"}, ["Joke"], "auto"),
    "tool_choice is None": ("function_calling", {"tool_choice": None}, ["Joke"], None),
    "no more tools": (
        "function_calling",
        {"tools": []},
        ["Joke"],
        {"type": "function", "function": {"name": "Joke"}},
    ),
    "more tools": (
        "function_calling",
        {"tools": [look_up], "tool_choice": "any"},
        ["Joke", "look_up"],
        "required",
    ),
    "the schema among the tools": (
        "function_calling",
        {"tools": [Joke, Seen]},
        ["Joke", "Seen"],
        {"type": "function", "function": {"name": "Joke"}},
    ),
    "tools beside a format": ("json_schema", {"tools": [look_up]}, ["look_up"], None),
    "tools beside JSON": (
        "json_mode",
        {"tools": [look_up], "tool_choice": "look_up"},
        ["look_up"],
        {"type": "function", "function": {"name": "look_up"}},
    ),
}


@pytest.mark.parametrize("case", BESIDE)
def test_tools_and_tool_choice_go_along(case: str):
    method, given, names, choice = BESIDE[case]
    model, transport = chat(ended(method, WHOLE, "stop", "Joke"))
    assert model.with_structured_output(Joke, method=method, **given).invoke("A") == Joke(**TOLD)
    sent = transport.bodies[0]
    assert [one["function"]["name"] for one in sent["tools"]] == names
    assert sent.get("tool_choice") == choice
    assert ("response_format" in sent) == (method != "function_calling")


@pytest.mark.parametrize("method", METHODS[:2])
def test_strict_holds_for_tools_beside_the_schema(method: str):
    model, transport = chat(ended(method, WHOLE, "stop", "Joke"))
    model.with_structured_output(Joke, method=method, tools=[Seen], strict=True).invoke("A joke")
    assert transport.bodies[0]["tools"][-1]["function"]["strict"] is True


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schema", [Joke, SCHEMA], ids=["pydantic", "dict"])
def test_an_answer_that_calls_another_tool_is_none_and_the_call_is_in_the_raw_one(
    schema: Any, method: str
):
    function = {"name": "look_up", "arguments": '{"word": "joke"}'}
    call = {"id": "c1", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    model, _ = chat(completion({"choices": [{"message": message, "finish_reason": "tool_calls"}]}))
    asked = {"method": method, "tools": [look_up]}
    assert model.with_structured_output(schema, **asked).invoke("A joke") is None
    got = model.with_structured_output(schema, include_raw=True, **asked).invoke("A joke")
    assert (got["parsed"], got["parsing_error"]) == (None, None)
    assert got["raw"].tool_calls[0]["args"] == {"word": "joke"}


def test_a_response_format_beside_the_schema_is_explained():
    model, transport = chat(ended("function_calling", WHOLE, "stop", "Joke"))
    given = {"response_format": {"type": "json_object"}}
    for method in ("json_schema", "json_mode"):
        with pytest.raises(InvalidParameter, match="`response_format` cannot be combined"):
            model.with_structured_output(Joke, method=method, **given)
    model.with_structured_output(Joke, method="function_calling", **given).invoke("A joke")
    assert transport.bodies[0]["response_format"] == {"type": "json_object"}


TEXTS = ["json_schema", "json_mode"]


class Titled(BaseModel):
    """With a default that a reader may take for the model's word."""

    title: str
    year: int = 1970


class TitledDict(TypedDict):
    """The same as a dict."""

    title: str
    year: int


async def outcomes(schema: Any, method: str, text: str, finish_reason: str = "stop") -> list[Any]:
    """The object, or the error, of an answer of this text in every way of asking."""
    raw = {"include_raw": True}

    def one(**more: Any) -> Any:
        model, _ = chat(ended(method, text, finish_reason, "Titled"))
        return model.with_structured_output(schema, method=method, **more)

    def many(**more: Any) -> Any:
        model, _ = chat(ended_stream(method, text, finish_reason, "Titled"))
        return model.with_structured_output(schema, method=method, **more)

    async def ended_in(asked: Any) -> Any:
        try:
            got = await asked
        except (OutputParserException, ValidationError) as error:
            return error
        got = got[-1] if isinstance(got, list) else got
        return got["parsing_error"] or got["parsed"] if "raw" in got else got

    return [
        await ended_in(asked)
        for asked in (
            asyncio.to_thread(one().invoke, "A"),
            one().ainvoke("A"),
            asyncio.to_thread(lambda: list(many().stream("A"))),
            collected(many().astream("A")),
            one(**raw).ainvoke("A"),
            collected(many(**raw).astream("A")),
        )
    ]


@pytest.mark.parametrize("finish_reason", ["stop", "end_turn", "stop_sequence"])
@pytest.mark.parametrize("method", TEXTS)
@pytest.mark.parametrize("schema", [Titled, TitledDict, Titled.model_json_schema()])
@pytest.mark.parametrize(
    "text", ['{"title": "Hey Ju', '{"title": "Hey", "year": 19', '```json\n{"title": "Hey"']
)
async def test_json_that_a_stop_sequence_cut_is_not_completed(schema, method, text, finish_reason):
    got = await outcomes(schema, method, text, finish_reason)
    assert {type(one) for one in got} == {OutputParserException}
    assert all("stop sequence" in str(one) and one.llm_output == text for one in got)


@pytest.mark.parametrize("method", TEXTS)
@pytest.mark.parametrize("schema", [Titled, TitledDict])
@pytest.mark.parametrize(
    "text", ['{"title": "Hey", "year": 1} Hope that helps!', 'So:\n```json\n{"title": "Hey"}\n```']
)
async def test_words_around_finished_json_do_no_harm(schema, method, text):
    got = await outcomes(schema, method, text)
    assert [dict(one)["title"] for one in got] == ["Hey"] * 6


@pytest.mark.parametrize("method", TEXTS)
@pytest.mark.parametrize("schema", [Titled, TitledDict])
@pytest.mark.parametrize(
    "text",
    [
        '{"title": "Hey", "year": }',
        '{"title": "Hey"}}',
        "{'title': 'Hey'}",
        "La la la.",
        "",
        "[" * 5000,
        '{"title": ' + "[" * 5000 + "]" * 5000 + "}",
    ],
    ids=["no value", "a bracket too many", "quotes", "words", "empty", "deep and cut", "deep"],
)
async def test_an_answer_that_cannot_be_read_is_an_error_in_streams_too(schema, method, text):
    got = await outcomes(schema, method, text)
    assert {type(one) for one in got} == {OutputParserException}


async def test_an_object_with_a_wrong_value_is_an_error_and_not_the_last_that_fitted():
    got = await outcomes(Titled, "json_schema", '{"title": "Hey", "year": "no"}')
    assert {type(one) for one in got} == {OutputParserException}


async def test_a_call_with_a_wrong_value_is_an_error_and_not_the_last_that_fitted():
    flowing, _ = chat(
        ended_stream("function_calling", '{"title": "Hey", "year": "no"}', "tool_calls", "Titled")
    )
    asked = flowing.with_structured_output(Titled, method="function_calling")
    with pytest.raises(ValidationError, match="year"):
        list(asked.stream("A"))
    with pytest.raises(ValidationError, match="year"):
        await collected(asked.astream("A"))


@pytest.mark.parametrize("method", TEXTS)
@pytest.mark.parametrize("schema", [Titled, TitledDict])
async def test_half_a_character_in_the_json_of_an_answer_is_replaced(schema, method):
    got = await outcomes(schema, method, '{"title": "a\\ud83d", "year": 1}')
    assert [dict(one) for one in got] == [{"title": "a\ufffd", "year": 1}] * 6


def test_half_a_character_in_the_arguments_of_a_streamed_call_is_replaced():
    written = '{"title": "a\\ud83d"}'
    flowing, _ = chat(ended_stream("function_calling", written, "tool_calls", "TitledDict"))
    asked = flowing.with_structured_output(TitledDict, method="function_calling")
    assert list(asked.stream("A"))[-1] == {"title": "a\ufffd"}
    summed = reduce(add, flowing.stream("A"))
    assert summed.tool_calls[0]["args"] == {"title": "a\ufffd"}

"""Chat with tools: what is asked for, and what the calls are read as."""

from __future__ import annotations

import copy
import re

import pytest
from llama_index.core.agent.react import ReActChatFormatter, ReActOutputParser
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from sunra_integrations.errors import InvalidParameter, ResponseTruncated, UnreadableResponse
from tests.llama_index.answers import call, said, streamed
from tests.recorded_transport import stream
from tests.wire_cases import stream_bytes


def add(a: int, b: int = 0) -> int:
    """Adds."""
    return a + b


def sub(a: int) -> int:
    """Subtracts."""
    return -a


class Sum(BaseModel):
    """A sum."""

    a: int


ADD, SUB = FunctionTool.from_defaults(fn=add), FunctionTool.from_defaults(fn=sub)
BOTH = [call("c1", "add", {"a": 1}, index=0), call("c2", "sub", {"a": 2}, index=1)]
ANSWERED = said(None, tool_calls=BOTH)

ASKS = {
    "nothing about parallel calls, by default": ({}, {}),
    "one call at a time": ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    "several calls": ({"allow_parallel_tool_calls": True}, {}),
    "a call is required": ({"tool_required": True}, {"tool_choice": "required"}),
    "a choice by name": (
        {"tool_choice": "add"},
        {"tool_choice": {"type": "function", "function": {"name": "add"}}},
    ),
    "any": ({"tool_choice": "any"}, {"tool_choice": "required"}),
    "none": ({"tool_choice": "none"}, {"tool_choice": "none"}),
    "a choice over what is required": (
        {"tool_choice": "auto", "tool_required": True},
        {"tool_choice": "auto"},
    ),
    "a choice as an object": (
        {"tool_choice": {"type": "function", "function": {"name": "sub"}}},
        {"tool_choice": {"type": "function", "function": {"name": "sub"}}},
    ),
}


@pytest.mark.parametrize("name", ASKS)
def test_asks_for(line, name) -> None:
    given, sent = ASKS[name]
    told = line(ANSWERED)
    told.llm.chat_with_tools([ADD, SUB], "Hi", **given)
    keys = ("tool_choice", "parallel_tool_calls")
    assert {key: told.sent[key] for key in keys if key in told.sent} == sent
    assert [tool["function"]["name"] for tool in told.sent["tools"]] == ["add", "sub"]


def test_a_program_forbids_nothing_that_the_user_did_not(line) -> None:
    class Sum(BaseModel):
        """The sum."""

        a: int

    calls = [call("c1", "Sum", {"a": 1}, index=0), call("c2", "Sum", {"a": 2}, index=1)]
    told = line(said(None, tool_calls=calls), pydantic_program_mode=PydanticProgramMode.FUNCTION)
    assert told.llm.structured_predict(Sum, PromptTemplate("Add.")).a == 1
    program = FunctionCallingProgram.from_defaults(Sum, "Add.", llm=told.llm)
    assert program().a == 1
    assert len(told.wire.bodies) == 2
    for body in told.wire.bodies:
        assert body["tool_choice"] == "required"
        assert "parallel_tool_calls" not in body


def test_what_the_instance_forbids_is_forbidden_in_every_call(line) -> None:
    told = line(ANSWERED, parallel_tool_calls=False)
    told.llm.chat_with_tools([ADD], "Hi")
    assert told.sent["parallel_tool_calls"] is False


def test_several_calls_are_said_where_the_instance_forbids_them(line) -> None:
    told = line(ANSWERED, parallel_tool_calls=False)
    told.llm.chat_with_tools([ADD], "Hi", allow_parallel_tool_calls=True)
    assert told.sent["parallel_tool_calls"] is True


def test_no_tools_means_no_keys_of_tools(line) -> None:
    told = line()
    told.llm.chat_with_tools([], "Hi", tool_required=True, tool_choice="required")
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & told.sent.keys()


def test_what_is_set_about_tools_is_not_said_without_any(line) -> None:
    told = line(parallel_tool_calls=False, tool_choice="auto")
    told.llm.complete("Hi")
    assert not {"tool_choice", "parallel_tool_calls"} & told.sent.keys()


def test_a_choice_that_is_no_tool_is_refused(line) -> None:
    with pytest.raises(InvalidParameter, match="'mul'"):
        line().llm.chat_with_tools([ADD], "Hi", tool_choice="mul")


@pytest.mark.parametrize(
    ("instance", "given", "strict"),
    [(None, None, None), (True, None, True), (True, False, False), (None, True, True)],
)
def test_strict_is_the_calls_else_the_instances(line, instance, given, strict) -> None:
    told = line(ANSWERED, strict=instance)
    told.llm.chat_with_tools([ADD], "Hi", strict=given)
    (tool,) = told.sent["tools"]
    assert tool["function"].get("strict") is strict


def test_the_history_stays_the_callers(line) -> None:
    told = line(ANSWERED)
    history = [ChatMessage("before")]
    told.llm.chat_with_tools([ADD], ChatMessage("now"), history)
    assert [message["content"] for message in told.sent["messages"]] == ["before", "now"]
    assert history == [ChatMessage("before")]


def ids(response: ChatResponse) -> list[str | None]:
    """The ids of the calls; both forms must tell the same."""
    blocks = [b.tool_call_id for b in response.message.blocks if isinstance(b, ToolCallBlock)]
    assert [one.id for one in response.message.additional_kwargs.get("tool_calls", [])] == blocks
    return blocks


async def test_one_call_is_one_call_in_every_way_and_form(line) -> None:
    whole, flowing = line(ANSWERED).llm, line(streamed({"tool_calls": BOTH})).llm
    responses = [
        whole.chat_with_tools([ADD, SUB], "Hi"),
        await whole.achat_with_tools([ADD, SUB], "Hi"),
        *flowing.stream_chat_with_tools([ADD, SUB], "Hi"),
        *[r async for r in await flowing.astream_chat_with_tools([ADD, SUB], "Hi")],
    ]
    assert {tuple(ids(response)) for response in responses} == {("c1",)}


async def test_several_calls_are_kept_where_they_are_allowed(line) -> None:
    whole, flowing = line(ANSWERED).llm, line(streamed({"tool_calls": BOTH})).llm
    several = {"allow_parallel_tool_calls": True}
    responses = [
        whole.chat_with_tools([ADD, SUB], "Hi", **several),
        await whole.achat_with_tools([ADD, SUB], "Hi", **several),
        *flowing.stream_chat_with_tools([ADD, SUB], "Hi", **several),
        *[r async for r in await flowing.astream_chat_with_tools([ADD, SUB], "Hi", **several)],
    ]
    assert {tuple(ids(response)) for response in responses} == {("c1", "c2")}


def test_dropping_the_second_call_does_not_touch_the_response(line) -> None:
    llm = line(ANSWERED).llm
    response = llm.chat([ChatMessage("Hi")])
    before = copy.deepcopy(response)
    kept = llm._validate_chat_with_tools_response(response, [ADD, SUB])
    assert ids(kept) == ["c1"]
    assert response == before
    assert ids(response) == ["c1", "c2"]


def test_arguments_are_read_as_they_come(line) -> None:
    llm = line(
        streamed(
            {"tool_calls": [call("c1", "add", "", index=0)]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 12, "b'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '": 3'}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
            finish_reason="tool_calls",
        )
    ).llm
    read = [
        llm.get_tool_calls_from_response(response)[0]
        for response in llm.stream_chat_with_tools([ADD], "Hi")
    ]
    assert [one.tool_kwargs for one in read][:4] == [
        {},
        {"a": 12},
        {"a": 12, "b": 3},
        {"a": 12, "b": 3},
    ]
    assert {(one.tool_id, one.tool_name) for one in read} == {("c1", "add")}


@pytest.mark.parametrize("written", ["", "null", "false", "{}", " "])
def test_arguments_that_say_nothing_are_none(line, written) -> None:
    llm = line(said(None, tool_calls=[call("c1", "add", written)])).llm
    (read,) = llm.get_tool_calls_from_response(llm.chat_with_tools([ADD], "Hi"))
    assert read.tool_kwargs == {}


def test_a_call_that_was_cut_off_has_a_name_that_no_tool_has(line) -> None:
    llm = line(stream(stream_bytes("arguments_cut_by_length"))).llm
    *_, last = llm.stream_chat_with_tools([ADD], "Hi")
    for error_on_no_tool_call in (False, True):
        (read,) = llm.get_tool_calls_from_response(last, error_on_no_tool_call)
        assert re.match(r"add \(not run: its arguments were cut off by max_tokens", read.tool_name)
        assert read.tool_kwargs.keys() == {"INVALID_JSON"}


def test_whole_calls_beside_a_broken_one_are_read(line) -> None:
    calls = [call("c1", "add", '{"a": '), call("c2", "sub", {"a": 2}), call("c3", "", {"a": 3})]
    llm = line(said(None, tool_calls=calls)).llm
    response = llm.chat_with_tools([ADD, SUB], "Hi", allow_parallel_tool_calls=True)
    first, second, third = llm.get_tool_calls_from_response(response)
    assert first.tool_name.startswith("add (not run: its arguments are not a JSON object: ")
    assert (second.tool_id, second.tool_name, second.tool_kwargs) == ("c2", "sub", {"a": 2})
    assert third.tool_name.startswith("without a name (not run: the call has no name.")
    assert [one.tool_id for one in (first, third)] == ["c1", "c3"]


def test_a_stored_answer_is_finished_even_if_it_does_not_say_so(line) -> None:
    message = ChatMessage(
        role="assistant",
        blocks=[ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs='{"a": 1')],
    )
    (read,) = line().llm.get_tool_calls_from_response(ChatResponse(message=message))
    assert read.tool_name.startswith("add (not run: ")


def test_no_call_is_an_error_only_where_that_is_asked_for(line) -> None:
    llm = line().llm
    response = llm.chat_with_tools([ADD], "Hi")
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []
    with pytest.raises(ValueError, match="called no tool"):
        llm.get_tool_calls_from_response(response)


def test_calls_of_another_adapter_are_read_from_additional_kwargs(line) -> None:
    message = ChatMessage(role="assistant", additional_kwargs={"tool_calls": BOTH})
    read = line().llm.get_tool_calls_from_response(ChatResponse(message=message))
    assert [(one.tool_id, one.tool_name, one.tool_kwargs) for one in read] == [
        ("c1", "add", {"a": 1}),
        ("c2", "sub", {"a": 2}),
    ]


async def test_tools_are_predicted_and_called(line) -> None:
    llm = line(said(None, tool_calls=[call("c1", "add", {"a": 1, "b": 2})])).llm
    assert llm.predict_and_call([ADD, SUB], "Hi").response == "3"
    assert (await llm.apredict_and_call([ADD, SUB], "Hi")).response == "3"


MISSED = {
    "broken arguments": (call("c1", "add", '{"a": '), "not a JSON object"),
    "a list": (call("c1", "add", "[1]"), "not a JSON object"),
    "an unknown tool": (call("c1", "mul", {"a": 1}), "Tool mul not found"),
    "no name": (call("c1", "", {"a": 1}), "the call has no name"),
}


@pytest.mark.parametrize("name", MISSED)
async def test_what_cannot_be_called_is_the_error_of_its_call(line, name) -> None:
    missed, told = MISSED[name]
    llm = line(said(None, tool_calls=[missed, call("c2", "sub", {"a": 2})])).llm
    several = {"allow_parallel_tool_calls": True}
    for called in (
        llm.predict_and_call([ADD, SUB], "Hi", **several),
        await llm.apredict_and_call([ADD, SUB], "Hi", **several),
    ):
        first, second = called.sources
        assert first.is_error
        assert told in first.content
        assert not second.is_error
        assert second.content == "-2"
        assert told in called.response
        assert called.response.endswith("-2")
    for called in (
        llm.predict_and_call([ADD, SUB], "Hi"),
        await llm.apredict_and_call([ADD, SUB], "Hi"),
    ):
        assert told in called.response
        assert [one.is_error for one in called.sources] == [True]
    with pytest.raises(ValueError, match=re.escape(told)):
        llm.predict_and_call([ADD, SUB], "Hi", error_on_tool_error=True)


async def test_a_required_call_that_is_broken_is_an_error(line) -> None:
    llm = line(said(None, tool_calls=[call("c1", "add", '{"a": ')], finish_reason="length")).llm
    with pytest.raises(UnreadableResponse, match=r"'add'.*cut off by max_tokens"):
        llm.predict_and_call([ADD], "Hi", tool_required=True)
    with pytest.raises(UnreadableResponse, match=r"'add'.*cut off by max_tokens"):
        await llm.apredict_and_call([ADD], "Hi", tool_required=True)
    program = FunctionCallingProgram.from_defaults(Sum, prompt_template_str="Add.", llm=llm)
    with pytest.raises(ResponseTruncated, match=r"The Sum is not complete.*max_tokens"):
        program()


async def test_without_a_call_the_text_is_the_answer(line) -> None:
    llm = line(said("No need.")).llm
    called = llm.predict_and_call([ADD], "Hi", error_on_no_tool_call=False)
    again = await llm.apredict_and_call([ADD], "Hi", error_on_no_tool_call=False)
    assert called.response == again.response == "No need."
    assert called.sources == []
    with pytest.raises(ValueError, match="called no tool"):
        llm.predict_and_call([ADD], "Hi")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the framework's own agent
async def test_a_model_without_tools_is_asked_in_text(line) -> None:
    acting = 'Thought: I must.\nAction: add\nAction Input: {"a": 1, "b": 2}\n'
    told = line(streamed(acting), is_function_calling_model=False)
    # The framework hands its agent None for these, which the agent refuses.
    needed = {
        "react_chat_formatter": ReActChatFormatter.from_defaults(),
        "output_parser": ReActOutputParser(),
    }
    called = await told.llm.apredict_and_call([ADD, SUB], "Hi", **needed)
    assert called.response == "3"
    assert "tools" not in told.sent


def test_framework_tools_can_be_given_to_chat(line) -> None:
    told = line(ANSWERED)
    told.llm.chat([ChatMessage("Hi")], tools=[ADD], tool_choice="add")
    assert told.sent["tools"][0]["function"]["name"] == "add"
    assert told.sent["tool_choice"]["function"] == {"name": "add"}

"""Chat with tools: what is asked for, and what the calls are read as."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import FunctionTool

from sunra_integrations.conformance.llama_index import wire
from sunra_integrations.conformance.llama_index.asking import STREAMED_WITH_TOOLS, WITH_TOOLS
from sunra_integrations.conformance.llama_index.suite import LLMSuite, sent
from sunra_integrations.sandbox import CallTools, Sandbox


def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


def sub(a: int) -> int:
    """Negate a number."""
    return -a


TOOLS = [FunctionTool.from_defaults(fn=add), FunctionTool.from_defaults(fn=sub)]
SEVERAL: dict[str, Any] = {"user_msg": "Count.", "allow_parallel_tool_calls": True}
_END = wire.chunk(finish_reason="tool_calls")
_BOTH = [("add", {"a": 1}), ("sub", {"a": 2})]

# Two calls, add(a=1) and sub(a=2), as servers were seen to stream them.
_STREAMS: dict[str, list[wire.Chunk]] = {
    "in pieces, one after the other": [
        wire.calls(wire.call("c1", "add", "", 0)),
        wire.calls(wire.call(None, None, '{"a"', 0)),
        wire.calls(wire.call(None, None, ": 1}", 0)),
        wire.calls(wire.call("c2", "sub", '{"a": ', 1)),
        wire.calls(wire.call(None, None, "2}", 1)),
    ],
    "both whole in one event": [
        wire.calls(wire.call("c1", "add", '{"a": 1}', 0), wire.call("c2", "sub", '{"a": 2}', 1))
    ],
    "their pieces interleaved": [
        wire.calls(wire.call("c1", "add", '{"a"', 0), wire.call("c2", "sub", '{"a"', 1)),
        wire.calls(wire.call(None, None, ": 2}", 1), wire.call(None, None, ": 1}", 0)),
    ],
    "ids and names repeated in every piece": [
        wire.calls(wire.call("c1", "add", '{"a"', 0)),
        wire.calls(wire.call("c1", "add", ": 1}", 0)),
        wire.calls(wire.call("c2", "sub", '{"a"', 1)),
        wire.calls(wire.call("c2", "sub", ": 2}", 1)),
    ],
    "without an index": [
        wire.calls(wire.call("c1", "add", '{"a": 1}')),
        wire.calls(wire.call("c2", "sub", '{"a": 2}')),
    ],
    "both under the index 0": [
        wire.calls(wire.call("c1", "add", '{"a": 1}', 0)),
        wire.calls(wire.call("c2", "sub", '{"a": 2}', 0)),
    ],
    "with null arguments at first": [
        wire.calls(wire.call("c1", "add", None, 0), wire.call("c2", "sub", None, 1)),
        wire.calls(wire.call(None, None, '{"a": 1}', 0), wire.call(None, None, '{"a": 2}', 1)),
    ],
}


class ToolCallTests(LLMSuite):
    """Chat with tools in each of the four ways."""

    @pytest.mark.parametrize("way", WITH_TOOLS)
    def test_calls_are_given_in_both_forms(self, endpoint: Sandbox, way: str) -> None:
        endpoint.next(CallTools(*_BOTH))
        response = WITH_TOOLS[way](self.make_llm(endpoint), TOOLS, **SEVERAL)[-1]
        assert [name for _, name, _ in _calls(self.make_llm(endpoint), response)] == ["add", "sub"]
        blocks = [one for one in response.message.blocks if isinstance(one, ToolCallBlock)]
        entries = response.message.additional_kwargs["tool_calls"]
        assert [(one.tool_call_id, one.tool_name) for one in blocks] == [
            (one.id, one.function.name) for one in entries
        ]

    @pytest.mark.parametrize("shape", _STREAMS)
    @pytest.mark.parametrize("way", STREAMED_WITH_TOOLS)
    def test_streamed_calls_are_all_read(self, endpoint: Sandbox, way: str, shape: str) -> None:
        endpoint.next(wire.streamed(*_STREAMS[shape], _END))
        llm = self.make_llm(endpoint)
        last = WITH_TOOLS[way](llm, TOOLS, **SEVERAL)[-1]
        assert _calls(llm, last) == [("c1", "add", {"a": 1}), ("c2", "sub", {"a": 2})]

    @pytest.mark.parametrize("way", STREAMED_WITH_TOOLS)
    def test_calls_without_ids_get_different_ones(self, endpoint: Sandbox, way: str) -> None:
        pieces = (wire.call(None, "add", '{"a": 1}', 0), wire.call(None, "add", '{"a": 2}', 1))
        endpoint.next(wire.streamed(wire.calls(*pieces), _END))
        llm = self.make_llm(endpoint)
        calls = _calls(llm, WITH_TOOLS[way](llm, TOOLS, **SEVERAL)[-1])
        assert [arguments for *_, arguments in calls] == [{"a": 1}, {"a": 2}]
        ids = {call_id for call_id, *_ in calls}
        assert len(ids) == len(calls)
        assert all(ids)

    @pytest.mark.parametrize("written", ["", "null", "{}"])
    @pytest.mark.parametrize("way", WITH_TOOLS)
    def test_arguments_that_say_nothing_are_none(
        self, endpoint: Sandbox, way: str, written: str
    ) -> None:
        endpoint.next(CallTools(("add", written)))
        llm = self.make_llm(endpoint)
        response = WITH_TOOLS[way](llm, TOOLS, user_msg="Count.")[-1]
        assert [arguments for *_, arguments in _calls(llm, response)] == [{}]

    @pytest.mark.parametrize("way", STREAMED_WITH_TOOLS)
    def test_arguments_can_be_read_while_they_come(self, endpoint: Sandbox, way: str) -> None:
        pieces = ['{"a": 12', ', "b": 3', "}"]
        begun = wire.calls(wire.call("c1", "add", "", 0))
        more = [wire.calls(wire.call(None, None, piece, 0)) for piece in pieces]
        endpoint.next(wire.streamed(begun, *more, _END))
        llm = self.make_llm(endpoint)
        read = [_calls(llm, one) for one in WITH_TOOLS[way](llm, TOOLS, user_msg="Count.")]
        assert read[-1] == [("c1", "add", {"a": 12, "b": 3})]
        assert [("c1", "add", {"a": 12})] in read

    @pytest.mark.parametrize("way", WITH_TOOLS)
    def test_one_call_is_given_where_several_are_not_allowed(
        self, endpoint: Sandbox, way: str
    ) -> None:
        endpoint.next(CallTools(*_BOTH))
        llm = self.make_llm(endpoint)
        response = WITH_TOOLS[way](llm, TOOLS, user_msg="Count.")[-1]
        assert [name for _, name, _ in _calls(llm, response)] == ["add"]
        assert len(response.message.additional_kwargs["tool_calls"]) == 1

    @pytest.mark.parametrize("way", WITH_TOOLS)
    def test_the_callers_history_is_left_alone(self, endpoint: Sandbox, way: str) -> None:
        history = [ChatMessage("Hello."), ChatMessage(role="assistant", content="Hello!")]
        before = [message.model_dump() for message in history]
        llm = self.make_llm(endpoint)
        for _ in range(2):
            endpoint.next("Fine.")
            WITH_TOOLS[way](llm, TOOLS, user_msg="Count.", chat_history=history)
            said = [message["content"] for message in sent(endpoint)["messages"]]
            assert said == ["Hello.", "Hello!", "Count."]
        assert [message.model_dump() for message in history] == before

    @pytest.mark.parametrize("way", WITH_TOOLS)
    def test_without_tools_nothing_is_said_of_tools(self, endpoint: Sandbox, way: str) -> None:
        WITH_TOOLS[way](self.make_llm(endpoint), [], user_msg="Hi", tool_required=True)
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(sent(endpoint))

    @pytest.mark.parametrize("way", WITH_TOOLS)
    def test_a_required_call_is_required(self, endpoint: Sandbox, way: str) -> None:
        WITH_TOOLS[way](self.make_llm(endpoint), TOOLS, user_msg="Hi", tool_required=True)
        assert sent(endpoint)["tool_choice"] == "required"

    @pytest.mark.parametrize("way", WITH_TOOLS)
    def test_a_tool_can_be_chosen_by_name(self, endpoint: Sandbox, way: str) -> None:
        WITH_TOOLS[way](self.make_llm(endpoint), TOOLS, user_msg="Hi", tool_choice="sub")
        assert sent(endpoint)["tool_choice"] == {"type": "function", "function": {"name": "sub"}}

    def test_strict_tools_have_strict_schemas(self, endpoint: Sandbox) -> None:
        self.needs("takes_strict")
        self.make_llm(endpoint).chat_with_tools(TOOLS, user_msg="Hi", strict=True)
        for tool in sent(endpoint)["tools"]:
            assert tool["function"]["strict"] is True
            assert tool["function"]["parameters"]["additionalProperties"] is False

    @pytest.mark.parametrize("way", WITH_TOOLS)
    def test_no_call_is_an_error_only_where_it_is_asked_for(
        self, endpoint: Sandbox, way: str
    ) -> None:
        endpoint.next("No need.")
        llm = self.make_llm(endpoint)
        response = WITH_TOOLS[way](llm, TOOLS, user_msg="Hi")[-1]
        assert _calls(llm, response) == []
        with pytest.raises(ValueError, match=r"."):
            llm.get_tool_calls_from_response(response, error_on_no_tool_call=True)

    @pytest.mark.parametrize("way", WITH_TOOLS)
    def test_calls_and_their_results_go_back(self, endpoint: Sandbox, way: str) -> None:
        endpoint.next(CallTools(*_BOTH), "Done.")
        llm = self.make_llm(endpoint)
        answer = WITH_TOOLS[way](llm, TOOLS, **SEVERAL)[-1]
        results = [_result(call_id, "7") for call_id, *_ in _calls(llm, answer)]
        history = [ChatMessage("Count."), answer.message, *results]
        WITH_TOOLS[way](llm, TOOLS, chat_history=history)
        _, assistant, *answered = sent(endpoint)["messages"]
        assert [one["function"]["name"] for one in assistant["tool_calls"]] == ["add", "sub"]
        ids = [one["id"] for one in assistant["tool_calls"]]
        assert [one["tool_call_id"] for one in answered] == ids

    def test_tools_are_predicted_and_called(self, endpoint: Sandbox) -> None:
        endpoint.next(CallTools(("add", {"a": 1, "b": 2})))
        called = self.make_llm(endpoint).predict_and_call(TOOLS, user_msg="Add 1 and 2.")
        assert called.response == "3"


def _calls(llm: FunctionCallingLLM, response: ChatResponse) -> list[tuple[str, str, Any]]:
    read = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    return [(one.tool_id, one.tool_name, one.tool_kwargs) for one in read]


def _result(call_id: str, content: str) -> ChatMessage:
    extra = {"tool_call_id": call_id}
    return ChatMessage(role=MessageRole.TOOL, content=content, additional_kwargs=extra)

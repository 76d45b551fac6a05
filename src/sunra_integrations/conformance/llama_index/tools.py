"""Tool calls, structured output, and the agents and engines that use them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core import MockEmbedding, SummaryIndex, VectorStoreIndex
from llama_index.core.agent.workflow import (
    AgentOutput,
    AgentStream,
    AgentWorkflow,
    FunctionAgent,
    ReActAgent,
)
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import Document
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from sunra_integrations.conformance.llama_index import bodies
from sunra_integrations.conformance.llama_index.suite import (
    METHODS,
    PREDICT_METHODS,
    STREAMING_TOOL_METHODS,
    TOOL_METHODS,
    LLMSuite,
    as_chat,
    run,
    sent,
    text_of,
)
from sunra_integrations.sandbox import CallTools, Message, Sandbox

# ── tool calls ───────────────────────────────────────────────────────────────


def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


def sub(a: int) -> int:
    """Negate a number."""
    return -a


TOOLS = [FunctionTool.from_defaults(fn=add), FunctionTool.from_defaults(fn=sub)]
_PARALLEL: dict[str, Any] = {"user_msg": "Count.", "allow_parallel_tool_calls": True}
_END = bodies.chunk(finish_reason="tool_calls")
_TWO_CALLS = [("add", {"a": 1}), ("sub", {"a": 2})]

# The ways in which servers stream two calls, add(a=1) and sub(a=2).
_STREAMS: dict[str, list[bodies.Chunk]] = {
    "in several chunks, one after the other": [
        bodies.tool_call_chunk(bodies.tool_call("c1", "add", "", 0)),
        bodies.tool_call_chunk(bodies.tool_call(None, None, '{"a"', 0)),
        bodies.tool_call_chunk(bodies.tool_call(None, None, ": 1}", 0)),
        bodies.tool_call_chunk(bodies.tool_call("c2", "sub", '{"a": ', 1)),
        bodies.tool_call_chunk(bodies.tool_call(None, None, "2}", 1)),
    ],
    "both complete in one chunk": [
        bodies.tool_call_chunk(
            bodies.tool_call("c1", "add", '{"a": 1}', 0),
            bodies.tool_call("c2", "sub", '{"a": 2}', 1),
        )
    ],
    "interleaved": [
        bodies.tool_call_chunk(
            bodies.tool_call("c1", "add", '{"a"', 0), bodies.tool_call("c2", "sub", '{"a"', 1)
        ),
        bodies.tool_call_chunk(
            bodies.tool_call(None, None, ": 2}", 1), bodies.tool_call(None, None, ": 1}", 0)
        ),
    ],
    "ids and names repeated in every chunk": [
        bodies.tool_call_chunk(bodies.tool_call("c1", "add", '{"a"', 0)),
        bodies.tool_call_chunk(bodies.tool_call("c1", "add", ": 1}", 0)),
        bodies.tool_call_chunk(bodies.tool_call("c2", "sub", '{"a"', 1)),
        bodies.tool_call_chunk(bodies.tool_call("c2", "sub", ": 2}", 1)),
    ],
    "without an index": [
        bodies.tool_call_chunk(bodies.tool_call("c1", "add", '{"a": 1}')),
        bodies.tool_call_chunk(bodies.tool_call("c2", "sub", '{"a": 2}')),
    ],
    "both with index 0": [
        bodies.tool_call_chunk(bodies.tool_call("c1", "add", '{"a": 1}', 0)),
        bodies.tool_call_chunk(bodies.tool_call("c2", "sub", '{"a": 2}', 0)),
    ],
    "null arguments in the first chunk": [
        bodies.tool_call_chunk(
            bodies.tool_call("c1", "add", None, 0), bodies.tool_call("c2", "sub", None, 1)
        ),
        bodies.tool_call_chunk(
            bodies.tool_call(None, None, '{"a": 1}', 0), bodies.tool_call(None, None, '{"a": 2}', 1)
        ),
    ],
}
_STREAMS_OF_BOTH = frozenset(
    ("in several chunks, one after the other", "both complete in one chunk", "interleaved")
)
"""Those that `/v1/responses` can have too."""


class ToolCallTests(LLMSuite):
    """Chat with tools, with each of the four methods."""

    @pytest.mark.parametrize("method", TOOL_METHODS)
    def test_tool_calls_are_returned_in_both_forms(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next(CallTools(*_TWO_CALLS))
        response = TOOL_METHODS[method](self.make_llm(endpoint), TOOLS, **_PARALLEL)[-1]
        assert [name for _, name, _ in _calls(self.make_llm(endpoint), response)] == ["add", "sub"]
        blocks = [one for one in response.message.blocks if isinstance(one, ToolCallBlock)]
        entries = response.message.additional_kwargs["tool_calls"]
        assert [(one.tool_call_id, one.tool_name) for one in blocks] == [
            (one.id, one.function.name) for one in entries
        ]

    @pytest.mark.parametrize("shape", _STREAMS)
    @pytest.mark.parametrize("method", STREAMING_TOOL_METHODS)
    def test_all_streamed_tool_calls_are_read(
        self, endpoint: Sandbox, method: str, shape: str
    ) -> None:
        if shape not in _STREAMS_OF_BOTH:
            self.needs_chat_completions()
        endpoint.next(self.stream(*_STREAMS[shape], _END))
        llm = self.make_llm(endpoint)
        last = TOOL_METHODS[method](llm, TOOLS, **_PARALLEL)[-1]
        assert _calls(llm, last) == [("c1", "add", {"a": 1}), ("c2", "sub", {"a": 2})]

    @pytest.mark.parametrize("method", STREAMING_TOOL_METHODS)
    def test_tool_calls_without_ids_get_distinct_ones(self, endpoint: Sandbox, method: str) -> None:
        self.needs_chat_completions()
        calls_without_id = (
            bodies.tool_call(None, "add", '{"a": 1}', 0),
            bodies.tool_call(None, "add", '{"a": 2}', 1),
        )
        endpoint.next(bodies.stream(bodies.tool_call_chunk(*calls_without_id), _END))
        llm = self.make_llm(endpoint)
        calls = _calls(llm, TOOL_METHODS[method](llm, TOOLS, **_PARALLEL)[-1])
        assert [arguments for *_, arguments in calls] == [{"a": 1}, {"a": 2}]
        ids = {call_id for call_id, *_ in calls}
        assert len(ids) == len(calls)
        assert all(ids)

    @pytest.mark.parametrize("arguments", ["", "null", "{}"])
    @pytest.mark.parametrize("method", TOOL_METHODS)
    def test_empty_arguments_are_an_empty_dict(
        self, endpoint: Sandbox, method: str, arguments: str
    ) -> None:
        endpoint.next(CallTools(("add", arguments)))
        llm = self.make_llm(endpoint)
        response = TOOL_METHODS[method](llm, TOOLS, user_msg="Count.")[-1]
        assert [parsed for *_, parsed in _calls(llm, response)] == [{}]

    @pytest.mark.parametrize("method", STREAMING_TOOL_METHODS)
    def test_arguments_can_be_read_while_they_are_streamed(
        self, endpoint: Sandbox, method: str
    ) -> None:
        parts = ['{"a": 12', ', "b": 3', "}"]
        first = bodies.tool_call_chunk(bodies.tool_call("c1", "add", "", 0))
        rest = [bodies.tool_call_chunk(bodies.tool_call(None, None, text, 0)) for text in parts]
        endpoint.next(self.stream(first, *rest, _END))
        llm = self.make_llm(endpoint)
        read = [_calls(llm, one) for one in TOOL_METHODS[method](llm, TOOLS, user_msg="Count.")]
        assert read[-1] == [("c1", "add", {"a": 12, "b": 3})]
        assert [("c1", "add", {"a": 12})] in read

    @pytest.mark.parametrize("method", TOOL_METHODS)
    def test_only_one_tool_call_is_returned_unless_parallel_calls_are_allowed(
        self, endpoint: Sandbox, method: str
    ) -> None:
        endpoint.next(CallTools(*_TWO_CALLS))
        llm = self.make_llm(endpoint)
        response = TOOL_METHODS[method](llm, TOOLS, user_msg="Count.")[-1]
        assert [name for _, name, _ in _calls(llm, response)] == ["add"]
        assert len(response.message.additional_kwargs["tool_calls"]) == 1

    @pytest.mark.parametrize("method", TOOL_METHODS)
    def test_the_callers_history_is_not_changed(self, endpoint: Sandbox, method: str) -> None:
        history = [ChatMessage("Hello."), ChatMessage(role="assistant", content="Hello!")]
        before = [message.model_dump() for message in history]
        llm = self.make_llm(endpoint)
        for _ in range(2):
            endpoint.next("Fine.")
            TOOL_METHODS[method](llm, TOOLS, user_msg="Count.", chat_history=history)
            contents = [message["content"] for message in sent(endpoint)["messages"]]
            assert contents == ["Hello.", "Hello!", "Count."]
        assert [message.model_dump() for message in history] == before

    @pytest.mark.parametrize("method", TOOL_METHODS)
    def test_a_request_without_tools_has_no_tool_parameters(
        self, endpoint: Sandbox, method: str
    ) -> None:
        TOOL_METHODS[method](self.make_llm(endpoint), [], user_msg="Hi", tool_required=True)
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(sent(endpoint))

    @pytest.mark.parametrize("method", TOOL_METHODS)
    def test_tool_required_is_sent(self, endpoint: Sandbox, method: str) -> None:
        TOOL_METHODS[method](self.make_llm(endpoint), TOOLS, user_msg="Hi", tool_required=True)
        assert sent(endpoint)["tool_choice"] == "required"

    @pytest.mark.parametrize("method", TOOL_METHODS)
    def test_a_tool_can_be_chosen_by_name(self, endpoint: Sandbox, method: str) -> None:
        TOOL_METHODS[method](self.make_llm(endpoint), TOOLS, user_msg="Hi", tool_choice="sub")
        assert sent(endpoint)["tool_choice"] == {"type": "function", "function": {"name": "sub"}}

    def test_strict_tools_have_strict_schemas(self, endpoint: Sandbox) -> None:
        self.needs("takes_strict")
        self.make_llm(endpoint).chat_with_tools(TOOLS, user_msg="Hi", strict=True)
        for tool in endpoint.requests[-1].json["tools"]:
            function = tool.get("function", tool)
            assert function["strict"] is True
            assert function["parameters"]["additionalProperties"] is False

    @pytest.mark.parametrize("method", TOOL_METHODS)
    def test_a_missing_tool_call_raises_only_on_request(
        self, endpoint: Sandbox, method: str
    ) -> None:
        endpoint.next("No need.")
        llm = self.make_llm(endpoint)
        response = TOOL_METHODS[method](llm, TOOLS, user_msg="Hi")[-1]
        assert _calls(llm, response) == []
        with pytest.raises(ValueError, match=r"."):
            llm.get_tool_calls_from_response(response, error_on_no_tool_call=True)

    @pytest.mark.parametrize("method", TOOL_METHODS)
    def test_tool_calls_and_their_results_can_be_sent_back(
        self, endpoint: Sandbox, method: str
    ) -> None:
        endpoint.next(CallTools(*_TWO_CALLS), "Done.")
        llm = self.make_llm(endpoint)
        answer = TOOL_METHODS[method](llm, TOOLS, **_PARALLEL)[-1]
        results = [_result(call_id, "7") for call_id, *_ in _calls(llm, answer)]
        history = [ChatMessage("Count."), answer.message, *results]
        TOOL_METHODS[method](llm, TOOLS, chat_history=history)
        _, assistant, *answered = sent(endpoint)["messages"]
        assert [one["function"]["name"] for one in assistant["tool_calls"]] == ["add", "sub"]
        ids = [one["id"] for one in assistant["tool_calls"]]
        assert [one["tool_call_id"] for one in answered] == ids

    def test_predict_and_call_runs_the_tool(self, endpoint: Sandbox) -> None:
        endpoint.next(CallTools(("add", {"a": 1, "b": 2})))
        called = self.make_llm(endpoint).predict_and_call(TOOLS, user_msg="Add 1 and 2.")
        assert called.response == "3"


def _calls(llm: FunctionCallingLLM, response: ChatResponse) -> list[tuple[str, str, Any]]:
    read = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    return [(one.tool_id, one.tool_name, one.tool_kwargs) for one in read]


def _result(call_id: str, content: str) -> ChatMessage:
    extra = {"tool_call_id": call_id}
    return ChatMessage(role=MessageRole.TOOL, content=content, additional_kwargs=extra)


# ── structured output ────────────────────────────────────────────────────────


class Verse(BaseModel):
    """A verse of a song."""

    words: str
    loud: bool = False


class Song(BaseModel):
    """A song."""

    title: str
    verses: list[Verse]


_PROMPT = PromptTemplate("A song, please.")
_SONG_FIELDS = {"title": "Rain", "verses": [{"words": "la la", "loud": True}]}
_SONG = Song.model_validate(_SONG_FIELDS)
_TEXT = json.dumps(_SONG_FIELDS)
_MODES = (PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM)


class StructuredTests(LLMSuite):
    """Structured prediction, in the LLM's default mode unless a test sets one."""

    @pytest.mark.parametrize("method", PREDICT_METHODS)
    @pytest.mark.parametrize("mode", _MODES)
    def test_an_object_is_predicted(
        self, endpoint: Sandbox, method: str, mode: PydanticProgramMode
    ) -> None:
        endpoint.answer_with(_reply_with_song)
        objects = PREDICT_METHODS[method](
            self.make_llm(endpoint, pydantic_program_mode=mode), Song, _PROMPT
        )
        assert objects[-1] == _SONG
        assert isinstance(objects[-1], Song)

    @pytest.mark.parametrize("method", [method for method in PREDICT_METHODS if "stream" in method])
    def test_partial_objects_are_streamed(self, endpoint: Sandbox, method: str) -> None:
        endpoint.answer_with(_reply_with_song)
        objects = PREDICT_METHODS[method](self.make_llm(endpoint), Song, _PROMPT)
        assert len({one.model_dump_json() for one in objects}) > 1

    @pytest.mark.parametrize("method", PREDICT_METHODS)
    @pytest.mark.parametrize("mode", _MODES)
    def test_the_system_prompt_is_sent(
        self, endpoint: Sandbox, method: str, mode: PydanticProgramMode
    ) -> None:
        endpoint.answer_with(_reply_with_song)
        fields: dict[str, Any] = {"system_prompt": "Be brief.", "pydantic_program_mode": mode}
        PREDICT_METHODS[method](self.make_llm(endpoint, **fields), Song, _PROMPT)
        first, *_ = sent(endpoint)["messages"]
        assert first == {"role": "system", "content": "Be brief."}

    @pytest.mark.parametrize("method", PREDICT_METHODS)
    def test_a_function_program_requires_the_tool_call(
        self, endpoint: Sandbox, method: str
    ) -> None:
        endpoint.answer_with(_reply_with_song)
        llm = self.make_llm(endpoint, pydantic_program_mode=PydanticProgramMode.FUNCTION)
        PREDICT_METHODS[method](llm, Song, _PROMPT)
        named = {"type": "function", "function": {"name": "Song"}}
        assert sent(endpoint)["tool_choice"] in ("required", named)

    @pytest.mark.parametrize("method", PREDICT_METHODS)
    @pytest.mark.parametrize(
        "text",
        [f"```json\n{_TEXT}\n```", f"```\n{_TEXT}\n```", f"Here it is:\n{_TEXT}\nEnjoy!"],
        ids=["json fence", "bare fence", "text around"],
    )
    def test_an_object_is_found_in_a_code_fence_and_in_other_text(
        self, endpoint: Sandbox, method: str, text: str
    ) -> None:
        self.needs("predicts_natively")
        endpoint.next(text)
        assert PREDICT_METHODS[method](self.make_llm(endpoint), Song, _PROMPT)[-1] == _SONG

    @pytest.mark.parametrize("method", PREDICT_METHODS)
    def test_a_refusal_raises_an_error_with_its_text(self, endpoint: Sandbox, method: str) -> None:
        refusal = {"role": "assistant", "content": None, "refusal": "I cannot sing."}
        endpoint.next(Message(refusal))
        with pytest.raises(Exception, match="I cannot sing") as failed:
            PREDICT_METHODS[method](self.make_llm(endpoint), Song, _PROMPT)
        assert not isinstance(failed.value, AssertionError)

    @pytest.mark.parametrize("method", PREDICT_METHODS)
    def test_a_reply_without_an_object_raises(self, endpoint: Sandbox, method: str) -> None:
        endpoint.next("La la la.")
        with pytest.raises(Exception, match=r".") as failed:
            PREDICT_METHODS[method](self.make_llm(endpoint), Song, _PROMPT)
        assert not isinstance(failed.value, AssertionError)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_structured_llm_works_with_every_method(self, endpoint: Sandbox, method: str) -> None:
        endpoint.answer_with(_reply_with_song)
        llm: LLM = self.make_llm(endpoint).as_structured_llm(Song)
        last = METHODS[method](llm)[-1]
        assert last.raw == _SONG
        assert Song.model_validate_json(text_of(last)) == _SONG


def _reply_with_song(request: dict[str, Any]) -> CallTools | str:
    """Return the song as a tool call if the request has tools, or as text."""
    if "tools" in request:
        return CallTools((as_chat(request)["tools"][0]["function"]["name"], _TEXT))
    return _TEXT


# ── agents and engines ───────────────────────────────────────────────────────

_DOCUMENTS = [Document(text="Rain falls in spring."), Document(text="Snow falls in winter.")]


class Season(BaseModel):
    """A season."""

    name: str


# llama-index-workflows reads deprecated attributes of its own agents and contexts.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class UseTests(LLMSuite):
    """Agents, query engines and chat engines."""

    @pytest.mark.parametrize("streaming", [True, False])
    def test_an_agent_calls_tools_in_parallel_and_answers(
        self, endpoint: Sandbox, streaming: bool
    ) -> None:
        endpoint.next(CallTools(("add", {"a": 2, "b": 3}), ("sub", {"a": 4})), "5 and -4.")
        agent = FunctionAgent(tools=TOOLS, llm=self.make_llm(endpoint), streaming=streaming)
        output, streamed = run(_run(agent))
        assert str(output) == "5 and -4."
        assert streamed == "5 and -4." or not streaming
        results = sent(endpoint)["messages"][-2:]
        assert {one["content"] for one in results} == {"5", "-4"}

    @pytest.mark.parametrize("streaming", [True, False])
    @pytest.mark.parametrize("arguments", ['{"a": 2, "b": 3', "{'a': 2}", '{"a": 2}}', "[2, 3]"])
    def test_an_agent_survives_invalid_arguments(
        self, endpoint: Sandbox, arguments: str, streaming: bool
    ) -> None:
        ran: list[Any] = []

        def note(a: int = 0, b: int = 0) -> str:
            """Note two numbers."""
            ran.append((a, b))
            return "Noted."

        endpoint.next(CallTools(("note", arguments), ("note", {"a": 1})), "Done.")
        agent = FunctionAgent(tools=[note], llm=self.make_llm(endpoint), streaming=streaming)
        output, _ = run(_run(agent))
        assert str(output) == "Done."
        assert ran == [(1, 0)]
        results = [one for one in sent(endpoint)["messages"] if one["role"] == "tool"]
        errors = [one["content"] for one in results if one["content"] != "Noted."]
        assert len(results) == len(errors) + 1 == len({one["tool_call_id"] for one in results})
        assert arguments in errors[0]

    def test_an_agent_hands_over_to_another(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint)
        names = ("first", "second")
        agents = [FunctionAgent(name=n, description=n, tools=TOOLS, llm=llm) for n in names]
        handoff = CallTools(("handoff", {"to_agent": "second", "reason": "why not"}))
        endpoint.next(handoff, "Done by the second.")
        output, _ = run(_run(AgentWorkflow(agents=list(agents), root_agent="first")))
        assert str(output) == "Done by the second."

    def test_an_agent_continues_after_a_tool_with_return_direct(self, endpoint: Sandbox) -> None:
        tool = FunctionTool.from_defaults(fn=add, return_direct=True)
        agent = FunctionAgent(tools=[tool], llm=self.make_llm(endpoint))
        memory = ChatMemoryBuffer.from_defaults(token_limit=1000, tokenizer_fn=str.split)
        endpoint.next(CallTools(("add", {"a": 2, "b": 3})), "And more.")
        assert [str(one) for one in run(_run_twice(agent, memory))] == ["5", "And more."]

    def test_a_react_agent_calls_tools_by_text(self, endpoint: Sandbox) -> None:
        endpoint.next(
            'Thought: I must add.\nAction: add\nAction Input: {"a": 2, "b": 3}\n',
            "Thought: I can answer without using any more tools.\nAnswer: 5",
        )
        output, _ = run(_run(ReActAgent(tools=TOOLS, llm=self.make_llm(endpoint))))
        assert str(output) == "5"

    def test_a_query_engine_answers_and_streams(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint)
        embedding = MockEmbedding(embed_dim=4)
        index = VectorStoreIndex.from_documents(_DOCUMENTS, embed_model=embedding)
        endpoint.next(*["In spring."] * 3)
        assert str(index.as_query_engine(llm=llm).query("When?")) == "In spring."
        streaming: Any = index.as_query_engine(llm=llm, streaming=True).query("When?")
        assert "".join(streaming.response_gen) == "In spring."
        assert run(_aquery(index.as_query_engine(llm=llm))) == "In spring."

    @pytest.mark.parametrize("mode", ["compact", "refine", "tree_summarize"])
    def test_a_query_engine_returns_an_object(self, endpoint: Sandbox, mode: str) -> None:
        index = SummaryIndex.from_documents([Document(text="The name is Spring.")])
        engine = index.as_query_engine(
            llm=self.make_llm(endpoint), output_cls=Season, response_mode=mode
        )
        answered: Any = engine.query("What is the name?")
        assert isinstance(answered.response, Season)

    def test_a_chat_engine_sends_its_history(self, endpoint: Sandbox) -> None:
        engine = SimpleChatEngine.from_defaults(
            llm=self.make_llm(endpoint),
            memory=ChatMemoryBuffer.from_defaults(token_limit=1000, tokenizer_fn=str.split),
        )
        endpoint.next("One.", "Two.", "Three.")
        assert str(engine.chat("a")) == "One."
        assert "".join(engine.stream_chat("b").response_gen) == "Two."
        engine.chat("c")
        contents = [message["content"] for message in sent(endpoint)["messages"]]
        assert contents == ["a", "One.", "b", "Two.", "c"]


async def _run(agent: Any) -> tuple[AgentOutput, str]:
    """Return an agent's output and the text that it streamed."""
    handler = agent.run(user_msg="Go on.")
    events = [event async for event in handler.stream_events() if isinstance(event, AgentStream)]
    return await handler, "".join(event.delta for event in events)


async def _run_twice(agent: Any, memory: ChatMemoryBuffer) -> list[Any]:
    return [await agent.run(user_msg=words, memory=memory) for words in ("Add.", "And then?")]


async def _aquery(engine: Any) -> str:
    return str(await engine.aquery("When?"))

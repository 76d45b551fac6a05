"""Replies and tool calls that do not match, and are requested again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.tools import QueryEngineTool
from llama_index.core.types import PydanticProgramMode
from llama_index.core.workflow import Context
from pydantic import BaseModel, ValidationError

from sunra_integrations.errors import (
    InvalidParameter,
    Refused,
    ResponseTruncated,
    SunraError,
    UnreadableResponse,
)
from sunra_integrations.llama_index import Sunra
from sunra_integrations.llama_index.repair import check_prompt_arguments
from sunra_integrations.sandbox import CallTools, Message
from tests.llama_index.answers import USAGE, call, said, streamed
from tests.recorded_transport import Answer, status

PROMPT = PromptTemplate("An order of {what}.")
GOOD = '{"item": "tea", "amount": 2}'
INVALID = '{"item": "tea", "amount": 2,,}'
INCOMPLETE = '{"item": "tea"}'
WORDS = "Two teas, please."
PROBLEMS = {INVALID: "Invalid JSON", INCOMPLETE: "- amount: Field required", WORDS: "Invalid JSON"}
MODES = [PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM]
WAYS = ["predict", "apredict", "stream", "astream"]
STRUCTURED = ["chat", "achat", "stream_chat", "astream_chat", "complete", "acomplete"]


class Order(BaseModel):
    """An order."""

    item: str
    amount: int


EXPECTED = Order(item="tea", amount=2)


def answer(way: str, mode: PydanticProgramMode, text: str, finish_reason: str = "stop") -> Answer:
    if mode is not PydanticProgramMode.FUNCTION or text == WORDS:
        make = streamed if "stream" in way else said
        return make(text, finish_reason=finish_reason)
    if "stream" in way:
        calls = {"tool_calls": [call("c1", "Order", text, index=0)]}
        return streamed(calls, finish_reason=finish_reason)
    return said(None, tool_calls=[call("c1", "Order", text)], finish_reason=finish_reason)


async def predict(llm: Sunra, way: str, **llm_kwargs: Any) -> Any:
    given = (Order, PROMPT, llm_kwargs)
    match way:
        case "predict":
            return llm.structured_predict(*given, what="tea")
        case "apredict":
            return await llm.astructured_predict(*given, what="tea")
        case "stream":
            return list(llm.stream_structured_predict(*given, what="tea"))[-1]
        case _:
            objects = await llm.astream_structured_predict(*given, what="tea")
            return [one async for one in objects][-1]


@pytest.mark.parametrize("text", PROBLEMS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
async def test_a_reply_that_does_not_match_is_requested_again_with_its_error(line, way, mode, text):
    told = line(answer(way, mode, text), answer(way, mode, GOOD), pydantic_program_mode=mode)
    llm_kwargs = {"repair": 1, "temperature": 0}
    assert await predict(told.llm, way, **llm_kwargs) == EXPECTED
    assert llm_kwargs == {"repair": 1, "temperature": 0}
    first, second = told.wire.bodies
    asked = first.pop("messages")
    *before, replied, request = second.pop("messages")
    assert (before, first) == (asked, second)
    assert first["temperature"] == 0
    assert PROBLEMS[text] in request["content"]
    if mode is PydanticProgramMode.FUNCTION and text != WORDS:
        assert (request["role"], request["tool_call_id"]) == ("tool", "c1")
        assert replied["tool_calls"][0]["id"] == "c1"
    else:
        assert (request["role"], replied["content"]) == ("user", text)


@pytest.mark.parametrize("way", WAYS)
async def test_without_repair_one_request_is_sent(line, way):
    told = line(answer(way, MODES[0], INCOMPLETE), answer(way, MODES[0], GOOD))
    with pytest.raises(ValidationError):
        await predict(told.llm, way)
    assert len(told.wire.bodies) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_the_error_of_the_last_attempt_is_raised_and_the_earlier_ones_are_its_context(
    line, way
):
    texts = ('{"item": 1, "amount": 1}', INCOMPLETE, '{"amount": 1}')
    told = line(*(answer(way, MODES[0], text) for text in texts))
    with pytest.raises(ValidationError) as got:
        await predict(told.llm, way, repair=2)
    places, error = [], got.value
    while isinstance(error, ValidationError):
        places.append([(flaw["type"], *flaw["loc"]) for flaw in error.errors()])
        error = error.__context__
    assert places == [[("missing", "item")], [("missing", "amount")], [("string_type", "item")]]
    assert len(told.wire.bodies) == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", WAYS)
async def test_a_reply_that_was_cut_off_is_never_repaired(line, way, mode):
    told = line(answer(way, mode, INCOMPLETE, "length"), pydantic_program_mode=mode)
    with pytest.raises(ResponseTruncated):
        await predict(told.llm, way, repair=3)
    assert len(told.wire.bodies) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_a_refusal_or_a_failed_call_is_never_repaired(line, way):
    refused = {"role": "assistant", "refusal": "I cannot."}
    told = line(streamed(refused) if "stream" in way else said(None, refusal="I cannot."))
    with pytest.raises(Refused):
        await predict(told.llm, way, repair=3)
    assert len(told.wire.bodies) == 1
    failed = status(400, b'{"error": {"message": "no"}}')
    told = line(answer(way, MODES[0], INCOMPLETE), failed)
    with pytest.raises(SunraError) as got:
        await predict(told.llm, way, repair=3)
    assert len(told.wire.bodies) == 2
    error = got.value
    while error and not isinstance(error, ValidationError):
        error = error.__cause__ or error.__context__
    assert error is not None


@pytest.mark.parametrize("way", WAYS)
async def test_a_mode_that_cannot_repair_says_so(line, way):
    told = line(said(GOOD), pydantic_program_mode=PydanticProgramMode.OPENAI)
    with pytest.raises(InvalidParameter, match="`repair` needs a `pydantic_program_mode`"):
        await predict(told.llm, way, repair=1)
    assert told.wire.bodies == []


@pytest.mark.parametrize("value", [-1, 11, True, "1"])
async def test_an_invalid_number_of_repairs_is_refused(line, value):
    told = line(said(GOOD))
    for way in WAYS:
        with pytest.raises(InvalidParameter, match="`repair` must be an int from 0 to 10"):
            await predict(told.llm, way, repair=value)
    with pytest.raises(InvalidParameter, match="`repair` must be an int from 0 to 10"):
        told.llm.as_structured_llm(Order, repair=value)
    with pytest.raises(InvalidParameter, match="`repair_tool_calls` must be an int from 0 to 10"):
        line(repair_tool_calls=value)


def test_streamed_objects_grow_again_after_a_repair(line):
    told = line(streamed('{"item": "a"', "}"), streamed('{"item": "b"', ', "amount": 2}'))
    objects = told.llm.stream_structured_predict(Order, PROMPT, {"repair": 1}, what="tea")
    assert [one.model_dump() for one in objects][::2][:2] == [
        {"item": "a", "amount": None},
        {"item": "b", "amount": None},
    ]


@pytest.mark.parametrize("by", ["field", "call"])
@pytest.mark.parametrize("way", STRUCTURED)
async def test_a_structured_llm_lists_the_failed_attempts(line, way, by):
    told = line(answer(way, MODES[0], INCOMPLETE), answer(way, MODES[0], GOOD))
    llm = told.llm.as_structured_llm(Order, **({"repair": 1} if by == "field" else {}))
    given: Any = "An order." if "complete" in way else [ChatMessage("An order.")]
    kwargs = {"repair": 1} if by == "call" else {}
    got = getattr(llm, way)(given, **kwargs)
    got = await got if way.startswith("a") else got
    if way == "stream_chat":
        got = list(got)[-1]
    elif way == "astream_chat":
        got = [one async for one in got][-1]
    assert got.raw == EXPECTED
    (earlier,) = got.additional_kwargs["earlier_attempts"]
    assert earlier == {
        "content": INCOMPLETE,
        "error": "- amount: Field required",
        "id": "gen-1",
        "request_id": "req-1",
        **USAGE,
    }
    json.dumps(earlier)
    assert len(told.wire.bodies) == 2


def test_a_structured_llm_without_repairs_lists_nothing(line):
    told = line(said(GOOD))
    got = told.llm.as_structured_llm(Order, repair=1).chat([ChatMessage("An order.")])
    assert got.additional_kwargs == {}


# ── agents ───────────────────────────────────────────────────────────────────

in_agents = [
    pytest.mark.filterwarnings("ignore:.*attribute.*is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Skipping serialization of known unserializable key"),
]
CALL = {"id": "c1", "type": "function", "function": {"name": "", "arguments": "{}"}}
CALLS = {
    "arguments are not JSON": (CallTools(("add", '{"a": 2,,}')), "not a JSON object"),
    "no name": (Message({"role": "assistant", "content": None, "tool_calls": [CALL]}), "no name"),
    "unknown tool": (CallTools(("plus", {"a": 2})), "Tool plus not found"),
    "arguments do not fit": (CallTools(("add", {"a": 2})), "missing 1 required positional"),
}
ADD = CallTools(("add", {"a": 2, "b": 3}))


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def agent(llm: Sunra, kind: str, streaming: bool) -> Any:
    made = FunctionAgent(tools=[add], llm=llm, streaming=streaming)
    return made if kind == "FunctionAgent" else AgentWorkflow(agents=[made])


each_agent = pytest.mark.parametrize(
    ("kind", "streaming"),
    [("FunctionAgent", True), ("FunctionAgent", False), ("AgentWorkflow", True)],
)


class TestAgents:
    pytestmark = in_agents

    @each_agent
    @pytest.mark.parametrize("case", CALLS)
    async def test_an_invalid_call_is_sent_back_with_its_error(
        self, sandbox, llm, case, kind, streaming
    ):
        reply, problem = CALLS[case]
        sandbox.next(reply, ADD, "5.")
        llm = llm.model_copy(update={"repair_tool_calls": 1})
        assert str(await agent(llm, kind, streaming).run(user_msg="Add 2 and 3.")) == "5."
        *_, result = sandbox.requests[1].json["messages"]
        assert result["role"] == "tool"
        assert problem in str(result["content"])

    @each_agent
    @pytest.mark.parametrize("limit", [0, 2])
    @pytest.mark.parametrize("case", CALLS)
    async def test_after_the_last_attempt_the_run_fails(
        self, *, sandbox, llm, case, limit, kind, streaming
    ):
        reply, _ = CALLS[case]
        sandbox.next(*[reply] * 5)
        llm = llm.model_copy(update={"repair_tool_calls": limit})
        with pytest.raises(UnreadableResponse, match=r"invalid (once|\d times in a row)") as got:
            await agent(llm, kind, streaming).run(user_msg="Add 2 and 3.")
        assert not got.value.retryable
        assert len(sandbox.requests) == limit + 1

    async def test_a_valid_reply_starts_the_count_again(self, sandbox, llm):
        broken, unknown = CALLS["arguments are not JSON"][0], CALLS["unknown tool"][0]
        sandbox.next(broken, unknown, ADD, broken, unknown, ADD, "5.")
        llm = llm.model_copy(update={"repair_tool_calls": 2})
        assert str(await agent(llm, "FunctionAgent", True).run(user_msg="Add 2 and 3.")) == "5."

    @each_agent
    @pytest.mark.parametrize("arguments", ['{"a": 2, "b', ""])
    async def test_a_call_that_was_cut_off_is_an_error(
        self, *, sandbox, llm, kind, streaming, arguments
    ):
        sandbox.next(*[CallTools(("add", arguments), finish_reason="length")] * 3)
        llm = llm.model_copy(update={"repair_tool_calls": 2})
        with pytest.raises(ResponseTruncated) as got:
            await agent(llm, kind, streaming).run(user_msg="Add 2 and 3.")
        assert got.value.finish_reason == "length"
        assert len(sandbox.requests) == 1

    async def test_without_the_setting_an_agent_goes_on(self, sandbox, llm):
        broken = CALLS["arguments are not JSON"][0]
        sandbox.next(*[broken] * 5, ADD, "5.")
        assert str(await agent(llm, "FunctionAgent", True).run(user_msg="Add 2 and 3.")) == "5."

    @each_agent
    async def test_the_next_run_with_the_same_context_goes_on(
        self, *, sandbox, llm, kind, streaming
    ):
        broken = CALLS["arguments are not JSON"][0]
        sandbox.next(*[broken] * 2)
        made = agent(llm.model_copy(update={"repair_tool_calls": 1}), kind, streaming)
        context = Context(made)
        with pytest.raises(UnreadableResponse):
            await made.run(user_msg="Add 2 and 3.", ctx=context)
        sandbox.next("5.")
        assert str(await made.run(user_msg="Again.", ctx=context)) == "5."

    async def test_calls_of_the_agent_before_a_handoff_are_valid(self, sandbox, llm):
        llm = llm.model_copy(update={"repair_tool_calls": 0})
        first = FunctionAgent(name="first", description="Adds.", tools=[add], llm=llm)
        second = FunctionAgent(
            name="second", description="Ends.", tools=[double], llm=llm, can_handoff_to=[]
        )
        handoff = CallTools(("handoff", {"to_agent": "second", "reason": "Enough."}))
        sandbox.next(ADD, ADD, handoff, CallTools(("double", {"a": 5})), "10.")
        workflow = AgentWorkflow(agents=[first, second], root_agent="first")
        assert str(await workflow.run(user_msg="Add 2 and 3, then double.")) == "10."

    async def test_arguments_that_a_tool_accepts_are_valid(self, sandbox, llm):
        llm = llm.model_copy(update={"repair_tool_calls": 0})
        search = QueryEngineTool.from_defaults(Search(), name="search", description="Searches.")
        sandbox.next(CallTools(("search", {"query": "tea"})), "Tea.")
        assert str(await FunctionAgent(tools=[search], llm=llm).run(user_msg="Tea?")) == "Tea."


def double(a: int) -> int:
    """Doubles a number."""
    return 2 * a


class Search(CustomQueryEngine):
    def custom_query(self, query_str: str) -> str:
        return query_str


@pytest.mark.parametrize("variables", [["repair"], []])
def test_repair_among_the_values_for_a_prompt_is_refused_unless_it_is_a_variable(variables):
    given = {"repair": 1}
    if variables:
        check_prompt_arguments(given, variables)
    else:
        with pytest.raises(InvalidParameter, match=r'`llm_kwargs=\{"repair": …\}`'):
            check_prompt_arguments(given, variables)


@pytest.mark.parametrize("mode", [PydanticProgramMode.DEFAULT, PydanticProgramMode.OPENAI])
def test_repair_as_a_value_for_a_prompt_is_refused_in_every_mode(mode):
    llm = Sunra(model="a/b", api_key="k", pydantic_program_mode=mode)
    with pytest.raises(InvalidParameter, match="not a variable of the prompt"):
        llm.structured_predict(Order, PromptTemplate("Who?"), repair=1)

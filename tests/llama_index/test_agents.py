"""LlamaIndex's agents, end to end, held to a strict endpoint."""

import json

import pytest
from llama_index.core.agent.workflow import (
    AgentStream,
    AgentWorkflow,
    CodeActAgent,
    FunctionAgent,
    ReActAgent,
)
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent
from pydantic import BaseModel

from sunra_integrations.sandbox import CallTools, Http, Say, sse

# The framework's own: its workflows look at every attribute of an agent, and ask a running context
# whether it runs.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*attribute.*is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning"),
]


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def shout(words: str) -> str:
    """Says it loudly."""
    return words.upper()


ADD_AND_SHOUT = CallTools(("add", {"a": 2, "b": 3}), ("shout", {"words": "la"}))


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_function_agent_calls_tools_in_parallel_and_answers(sandbox, llm, streaming):
    sandbox.next(ADD_AND_SHOUT, "5 and LA.")
    agent = FunctionAgent(
        tools=[add, shout], llm=llm, system_prompt="Be brief.", streaming=streaming
    )
    answer = await agent.run(user_msg="Add 2 and 3 and shout.")
    assert str(answer) == "5 and LA."
    first, second = (request.json for request in sandbox.requests)
    assert "parallel_tool_calls" not in first
    roles = [message["role"] for message in second["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool"]
    assert {message["content"] for message in second["messages"][3:]} == {"5", "LA"}


async def test_a_function_agent_streams_text_and_thinking(sandbox, llm):
    sandbox.next(Say("One two three.", reasoning="Let me count."))
    handler = FunctionAgent(tools=[add], llm=llm).run(user_msg="Count.")
    events = [event async for event in handler.stream_events() if isinstance(event, AgentStream)]
    await handler
    assert "".join(event.delta for event in events) == "One two three."
    assert "".join(event.thinking_delta or "" for event in events) == "Let me count."
    assert events[-1].raw["usage"]["total_tokens"] > 0


async def test_an_agent_that_returns_directly_can_go_on(sandbox, llm):
    tool = FunctionTool.from_defaults(fn=add, return_direct=True)
    agent = FunctionAgent(tools=[tool], llm=llm)
    sandbox.next(CallTools(("add", {"a": 2, "b": 3})), "And more.")
    history = [ChatMessage("Add 2 and 3.")]
    answer = await agent.run(chat_history=history, user_msg="Now.")
    assert str(answer) == "5"
    direct = ChatMessage(
        role="assistant", content="5", additional_kwargs={"tool_call_id": "call_1"}
    )
    again = await agent.run(chat_history=[*history, direct], user_msg="And then?")
    assert str(again) == "And more."


async def test_agents_hand_over(sandbox, llm):
    singer = FunctionAgent(name="singer", description="Sings.", tools=[shout], llm=llm)
    adder = FunctionAgent(
        name="adder", description="Adds.", tools=[add], llm=llm, can_handoff_to=["singer"]
    )
    sandbox.next(
        CallTools(("handoff", {"to_agent": "singer", "reason": "a song is wanted"})),
        CallTools(("shout", {"words": "la"})),
        "LA!",
    )
    workflow = AgentWorkflow(agents=[adder, singer], root_agent="adder")
    assert str(await workflow.run(user_msg="Sing.")) == "LA!"
    assert len(sandbox.requests) == 3


async def test_a_react_agent_reasons_in_text(sandbox, llm):
    sandbox.next(
        'Thought: I must add.\nAction: add\nAction Input: {"a": 2, "b": 3}\n',
        "Thought: I can answer without using any more tools.\nAnswer: 5",
    )
    assert str(await ReActAgent(tools=[add], llm=llm).run(user_msg="Add 2 and 3.")) == "5"


async def test_a_code_act_agent_runs_code(sandbox, llm):
    sandbox.next("<execute>\nprint(2 + 3)\n</execute>", "It is 5.")
    agent = CodeActAgent(code_execute_fn=lambda code: f"ran {code.strip()}", tools=[], llm=llm)
    assert str(await agent.run(user_msg="Add 2 and 3.")) == "It is 5."
    assert "ran print(2 + 3)" in str(sandbox.requests[-1].json["messages"])


class Sum(BaseModel):
    """A sum."""

    total: int


async def test_an_agent_answers_with_an_object(sandbox, llm):
    sandbox.next(CallTools(("add", {"a": 2, "b": 3})), "5", '{"total": 5}')
    answer = await FunctionAgent(tools=[add], llm=llm, output_cls=Sum).run(user_msg="Add 2 and 3.")
    assert answer.get_pydantic_model(Sum) == Sum(total=5)
    assert sandbox.requests[-1].json["response_format"]["type"] == "json_schema"


async def test_an_agent_streams_the_calls_it_makes(sandbox, llm):
    sandbox.next(ADD_AND_SHOUT, "5 and LA.")
    handler = FunctionAgent(tools=[add, shout], llm=llm).run(user_msg="Add 2 and 3 and shout.")
    called = [
        [call.tool_name for call in event.tool_calls]
        async for event in handler.stream_events()
        if isinstance(event, AgentStream)
    ]
    await handler
    assert ["add"] in called
    assert ["add", "shout"] in called


async def test_an_agent_that_ran_too_long_is_asked_for_a_last_word(sandbox, llm):
    sandbox.next(CallTools(("add", {"a": 2, "b": 3})), "It is 5, I believe.")
    agent = FunctionAgent(
        tools=[add], llm=llm, system_prompt="Be brief.", early_stopping_method="generate"
    )
    answer = await agent.run(user_msg="Add 2 and 3.", max_iterations=1)
    assert str(answer) == "It is 5, I believe."
    roles = [message["role"] for message in sandbox.requests[-1].json["messages"]]
    assert (roles[0], roles[-1]) == ("system", "system")
    assert roles.count("system") == 2


async def test_an_agent_waits_for_a_human(sandbox, llm):
    async def ask_first(ctx: Context, question: str) -> str:
        """Asks the user."""
        answered = await ctx.wait_for_event(
            HumanResponseEvent,
            waiter_id=question,
            waiter_event=InputRequiredEvent(prefix=question),
        )
        return str(answered.response)

    sandbox.next(CallTools(("ask_first", {"question": "Sure?"})), "You said yes.")
    handler = FunctionAgent(tools=[ask_first], llm=llm).run(user_msg="Do it.")
    async for event in handler.stream_events():
        if isinstance(event, InputRequiredEvent):
            handler.ctx.send_event(HumanResponseEvent(response="yes"))
    assert str(await handler) == "You said yes."
    *_, result = sandbox.requests[-1].json["messages"]
    assert (result["role"], result["content"]) == ("tool", "yes")


async def test_a_workflow_of_agents_answers_with_an_object(sandbox, llm):
    singer = FunctionAgent(name="singer", description="Sings.", tools=[shout], llm=llm)
    adder = FunctionAgent(
        name="adder", description="Adds.", tools=[add], llm=llm, can_handoff_to=["singer"]
    )
    sandbox.next(
        CallTools(("add", {"a": 2, "b": 3})),
        CallTools(("handoff", {"to_agent": "singer", "reason": "a song is wanted"})),
        "Five!",
        '{"total": 5}',
    )
    workflow = AgentWorkflow(agents=[adder, singer], root_agent="adder", output_cls=Sum)
    assert (await workflow.run(user_msg="Add and sing.")).get_pydantic_model(Sum) == Sum(total=5)
    roles = [message["role"] for message in sandbox.requests[2].json["messages"]]
    assert roles.count("tool") == 2


async def test_a_reasoning_agent_streams_its_thoughts(sandbox, llm):
    sandbox.next("Thought: I can answer without using any more tools.\nAnswer: It is 5.")
    handler = ReActAgent(tools=[add], llm=llm).run(user_msg="Add 2 and 3.")
    streamed = [e.delta async for e in handler.stream_events() if isinstance(e, AgentStream)]
    assert str(await handler) == "It is 5."
    assert "".join(streamed).endswith("Answer: It is 5.")


GOOD = ("shout", '{"words": "la"}')
CUT = '{"words": "l'

# What the model calls first, and for each call what is told of it: "LA" where its tool ran.
BROKEN: dict[str, tuple[list[tuple[str | None, str]], str, list[str]]] = {
    "arguments that end too early": ([("shout", CUT)], "tool_calls", [repr(CUT)]),
    "arguments that were cut off": ([("shout", CUT)], "length", ["cut off by max_tokens"]),
    "a filter's end": ([("shout", CUT)], "content_filter", ["cut off by the content filter"]),
    "no arguments before the cut": ([("shout", "")], "length", ["cut off by max_tokens before"]),
    "a whole call before the cut": ([GOOD], "length", ["LA"]),
    "calls of which the last was cut off": ([GOOD, ("shout", "")], "length", ["LA", "before its"]),
    "Python in place of JSON": (
        [("shout", "{'words': 'la'}")],
        "tool_calls",
        ["not a JSON object"],
    ),
    "a bracket too many": ([("shout", '{"words": "la"}}')], "tool_calls", ["not a JSON object"]),
    "a list": ([("shout", '["la"]')], "tool_calls", ["not a JSON object"]),
    "a text": ([("shout", '"la"')], "tool_calls", ["not a JSON object"]),
    "a tool that does not exist": ([("sing", "{}")], "tool_calls", ["Tool sing not found"]),
    "no name": ([("", '{"words": "la"}')], "tool_calls", ["the call has no name"]),
    "a name that is null": ([(None, "{}")], "tool_calls", ["the call has no name"]),
    "neither name nor arguments": ([(None, "")], "tool_calls", ["the call has no name"]),
    "one of two, the first": ([("shout", CUT), GOOD], "tool_calls", [repr(CUT), "LA"]),
    "one of two, the last": ([GOOD, ("shout", CUT)], "tool_calls", ["LA", repr(CUT)]),
    "all of two": ([("shout", CUT), ("sing", "{}")], "tool_calls", [repr(CUT), "not found"]),
}


def _calling(calls: list[tuple[str | None, str]], finish_reason: str, streaming: bool) -> Http:
    entries = [
        {"index": i, "id": f"c{i}", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(calls)
    ]
    if not streaming:
        message = {"role": "assistant", "content": None, "tool_calls": entries}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        return Http(200, {"id": "1", "choices": [choice]})
    deltas = [({"tool_calls": [one]}, None) for one in entries] + [({}, finish_reason)]
    return sse(
        *(
            b"data: "
            + json.dumps({"choices": [{"index": 0, "delta": d, "finish_reason": f}]}).encode()
            + b"\n\n"
            for d, f in deltas
        )
    )


@pytest.mark.parametrize("kind", ["agent", "agent without streaming", "workflow"])
@pytest.mark.parametrize("name", BROKEN)
async def test_an_agent_survives_broken_calls(sandbox, llm, name, kind) -> None:
    ran: list[str] = []

    def shout(words: str = "nothing", **more: str) -> str:
        """Says it loudly; would take anything."""
        ran.append(f"{words}{more or ''}")
        return words.upper()

    calls, finish_reason, told = BROKEN[name]
    streaming = kind != "agent without streaming"
    sandbox.next(_calling(calls, finish_reason, streaming), "Done.")
    agent = FunctionAgent(
        name="a", description="Shouts.", tools=[shout], llm=llm, streaming=streaming
    )
    runs = AgentWorkflow(agents=[agent]) if kind == "workflow" else agent
    assert str(await runs.run(user_msg="Shout.")) == "Done."
    assert ran == ["la"] * told.count("LA")
    results = {
        message["tool_call_id"]: message["content"]
        for message in sandbox.requests[-1].json["messages"]
        if message["role"] == "tool"
    }
    assert sorted(results) == [f"c{place}" for place in range(len(calls))]
    for place, words in enumerate(told):
        assert words in results[f"c{place}"]


async def test_an_agent_hands_on_what_the_model_wrote(sandbox, llm) -> None:
    sandbox.next(_calling([("shout", CUT)], "tool_calls", streaming=True), "Done.")
    answer = await FunctionAgent(tools=[shout], llm=llm).run(user_msg="Shout.")
    (result,) = answer.tool_calls
    assert result.tool_output.is_error
    assert result.tool_kwargs == {"INVALID_JSON": CUT}
    assert result.tool_name.startswith("shout (not run: ")


async def test_a_reasoning_agent_survives_a_broken_action(sandbox, llm) -> None:
    sandbox.next(
        "Thought: I must add.\nAction: add\nAction Input: {'a': 2, \n",
        'Thought: I must add.\nAction: subtract\nAction Input: {"a": 2}\n',
        "Thought: I can answer without using any more tools.\nAnswer: 5",
    )
    assert str(await ReActAgent(tools=[add], llm=llm).run(user_msg="Add 2 and 3.")) == "5"

"""LlamaIndex's agents, end to end, held to a strict endpoint."""

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

from sunra_integrations.sandbox import CallTools, Say

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
    answer = await agent.run("Add 2 and 3 and shout.")
    assert str(answer) == "5 and LA."
    first, second = (request.json for request in sandbox.requests)
    assert "parallel_tool_calls" not in first
    roles = [message["role"] for message in second["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool"]
    assert {message["content"] for message in second["messages"][3:]} == {"5", "LA"}


async def test_a_function_agent_streams_text_and_thinking(sandbox, llm):
    sandbox.next(Say("One two three.", reasoning="Let me count."))
    handler = FunctionAgent(tools=[add], llm=llm).run("Count.")
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
    assert str(await workflow.run("Sing.")) == "LA!"
    assert len(sandbox.requests) == 3


async def test_a_react_agent_reasons_in_text(sandbox, llm):
    sandbox.next(
        'Thought: I must add.\nAction: add\nAction Input: {"a": 2, "b": 3}\n',
        "Thought: I can answer without using any more tools.\nAnswer: 5",
    )
    assert str(await ReActAgent(tools=[add], llm=llm).run("Add 2 and 3.")) == "5"


async def test_a_code_act_agent_runs_code(sandbox, llm):
    sandbox.next("<execute>\nprint(2 + 3)\n</execute>", "It is 5.")
    agent = CodeActAgent(code_execute_fn=lambda code: f"ran {code.strip()}", tools=[], llm=llm)
    assert str(await agent.run("Add 2 and 3.")) == "It is 5."
    assert "ran print(2 + 3)" in str(sandbox.requests[-1].json["messages"])


class Sum(BaseModel):
    """A sum."""

    total: int


async def test_an_agent_answers_with_an_object(sandbox, llm):
    sandbox.next(CallTools(("add", {"a": 2, "b": 3})), "5", '{"total": 5}')
    answer = await FunctionAgent(tools=[add], llm=llm, output_cls=Sum).run("Add 2 and 3.")
    assert answer.get_pydantic_model(Sum) == Sum(total=5)
    assert sandbox.requests[-1].json["response_format"]["type"] == "json_schema"


async def test_an_agent_streams_the_calls_it_makes(sandbox, llm):
    sandbox.next(ADD_AND_SHOUT, "5 and LA.")
    handler = FunctionAgent(tools=[add, shout], llm=llm).run("Add 2 and 3 and shout.")
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
    answer = await agent.run("Add 2 and 3.", max_iterations=1)
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
    handler = FunctionAgent(tools=[ask_first], llm=llm).run("Do it.")
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
    assert (await workflow.run("Add and sing.")).get_pydantic_model(Sum) == Sum(total=5)
    roles = [message["role"] for message in sandbox.requests[2].json["messages"]]
    assert roles.count("tool") == 2


async def test_a_reasoning_agent_streams_its_thoughts(sandbox, llm):
    sandbox.next("Thought: I can answer without using any more tools.\nAnswer: It is 5.")
    handler = ReActAgent(tools=[add], llm=llm).run("Add 2 and 3.")
    streamed = [e.delta async for e in handler.stream_events() if isinstance(e, AgentStream)]
    assert str(await handler) == "It is 5."
    assert "".join(streamed).endswith("Answer: It is 5.")

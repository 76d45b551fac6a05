"""`InvalidToolCallRepair`: agents whose model calls tools in an invalid way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    TodoListMiddleware,
    ToolCallLimitMiddleware,
)
from langchain.agents.structured_output import (
    ProviderStrategy,
    StructuredOutputValidationError,
    ToolStrategy,
)
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from pydantic import BaseModel

from sunra_integrations.errors import (
    InvalidParameter,
    Refused,
    ResponseTruncated,
    UnreadableResponse,
)
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.langchain.errors import ChatSunraError
from sunra_integrations.langchain.middleware import InvalidToolCallRepair
from sunra_integrations.sandbox import CallTools, Message, Sandbox, TextReply
from tests.children import python

pytestmark = pytest.mark.network

GIVEN: Any = {"messages": [("human", "Pay Ada 3.")]}
STEPS: Any = {"recursion_limit": 30}
GOOD = CallTools(("pay", {"to": "Ada", "amount": 3}))
DONE = TextReply("Paid.")
BROKEN = CallTools(("pay", '{"to": "Ada", "amount": 3,,}'))
UNKNOWN = CallTools(("transfer", {"to": "Ada"}))
MISFIT = CallTools(("pay", {"to": "Ada"}))
CALL = {"id": "c1", "type": "function", "function": {"name": "", "arguments": '{"to": "Ada"}'}}
NAMELESS = Message({"role": "assistant", "content": None, "tool_calls": [CALL]})


class Receipt(BaseModel):
    """A receipt."""

    to: str
    amount: int


RECEIPT = {"to": "Ada", "amount": 3}


class Payments:
    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    @property
    def tool(self) -> Callable[..., str]:
        def pay(to: str, amount: int) -> str:
            """Pays."""
            self.made.append((to, amount))
            return f"Paid {amount} to {to}."

        return pay


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.clear()
    return running_sandbox


@pytest.fixture
def model(sandbox: Sandbox) -> ChatSunra:
    return ChatSunra(model="openai/gpt-4o", api_key=sandbox.api_key, base_url=sandbox.base_url)


@pytest.fixture
def payments() -> Payments:
    return Payments()


WAYS = ["invoke", "ainvoke", "stream"]
if sys.version_info >= (3, 11):  # LangGraph hands its context to async nodes from there on
    WAYS.append("astream")
each_way = pytest.mark.parametrize("way", WAYS)


async def run(agent: Any, way: str, given: Any = GIVEN, config: Any = STEPS) -> dict[str, Any]:
    """The final state."""
    match way:
        case "invoke":
            return agent.invoke(given, config)
        case "ainvoke":
            return await agent.ainvoke(given, config)
        case "stream":
            modes = ["messages", "values"]
            return [one for mode, one in agent.stream(given, config, stream_mode=modes)][-1]
        case _:
            modes = ["messages", "values"]
            parts = [part async for part in agent.astream(given, config, stream_mode=modes)]
            return [one for mode, one in parts if mode == "values"][-1]


def results(sandbox: Sandbox, request: int) -> dict[str, str]:
    """The tool messages of a request, by the name of the called tool."""
    messages = sandbox.requests[request].json["messages"]
    names = {
        call["id"]: call["function"]["name"]
        for one in messages
        for call in one.get("tool_calls") or ()
    }
    return {names[one["tool_call_id"]]: one["content"] for one in messages if one["role"] == "tool"}


@each_way
@pytest.mark.parametrize(
    ("reply", "name", "problem"),
    [
        (BROKEN, "pay", "The call is invalid:\nThe arguments are not a JSON object.\n"),
        (NAMELESS, "unnamed", "The call is invalid:\nThe call does not name a function.\n"),
        (UNKNOWN, "transfer", "transfer is not a valid tool, try one of [pay]"),
        (MISFIT, "pay", "amount: Field required"),
    ],
    ids=["arguments are not JSON", "no name", "unknown tool", "arguments do not fit"],
)
async def test_an_invalid_call_is_sent_back_with_its_error(
    *,
    model: ChatSunra,
    sandbox: Sandbox,
    payments: Payments,
    way: str,
    reply: Any,
    name,
    problem: str,
):
    sandbox.next(reply, GOOD, DONE)
    agent = create_agent(model, [payments.tool], middleware=[InvalidToolCallRepair()])
    done = await run(agent, way)
    assert done["messages"][-1].text == "Paid."
    assert payments.made == [("Ada", 3)]
    assert len(sandbox.requests) == 3
    assert problem in results(sandbox, 1)[name]
    kinds = [type(one) for one in done["messages"][1:]]
    assert kinds == [AIMessage, ToolMessage, AIMessage, ToolMessage, AIMessage]


async def test_without_it_an_agent_ends_silently(
    model: ChatSunra, sandbox: Sandbox, payments: Payments
):
    sandbox.next(BROKEN, GOOD, DONE)
    done = create_agent(model, [payments.tool]).invoke(GIVEN, STEPS)
    assert done["messages"][-1].invalid_tool_calls
    assert payments.made == []


@each_way
async def test_valid_calls_of_the_same_reply_are_run(
    *, model: ChatSunra, sandbox: Sandbox, payments: Payments, way: str
):
    sandbox.next(CallTools(*GOOD.calls, *NAMELESS_AND_BROKEN.calls), DONE)
    agent = create_agent(model, [payments.tool, look_up], middleware=[InvalidToolCallRepair()])
    done = await run(agent, way)
    assert done["messages"][-1].text == "Paid."
    assert payments.made == [("Ada", 3)]
    assert len(sandbox.requests) == 2
    answered = results(sandbox, 1)
    assert answered["pay"] == "Paid 3 to Ada."
    assert "not a JSON object" in answered["look_up"]


NAMELESS_AND_BROKEN = CallTools(("look_up", "{'word': 1"))


def look_up(word: str) -> str:
    """Looks up a word."""
    return word


@each_way
@pytest.mark.parametrize("attempts", [0, 2])
@pytest.mark.parametrize(
    "reply", [BROKEN, NAMELESS, UNKNOWN, MISFIT], ids=["broken", "nameless", "unknown", "misfit"]
)
async def test_after_the_last_attempt_the_run_fails(
    *, model: ChatSunra, sandbox: Sandbox, payments: Payments, way: str, reply: Any, attempts: int
):
    sandbox.next(*[reply] * 5)
    agent = create_agent(model, [payments.tool], middleware=[InvalidToolCallRepair(attempts)])
    with pytest.raises(UnreadableResponse, match=r"invalid (once|\d times in a row)") as got:
        await run(agent, way)
    assert isinstance(got.value, ChatSunraError)
    assert not got.value.retryable
    assert len(sandbox.requests) == attempts + 1
    assert payments.made == []


def test_a_valid_reply_starts_the_count_again(
    model: ChatSunra, sandbox: Sandbox, payments: Payments
):
    sandbox.next(BROKEN, UNKNOWN, GOOD, MISFIT, BROKEN, GOOD, DONE)
    agent = create_agent(model, [payments.tool], middleware=[InvalidToolCallRepair(2)])
    assert agent.invoke(GIVEN, STEPS)["messages"][-1].text == "Paid."
    assert len(payments.made) == 2


def test_the_count_belongs_to_a_run(model: ChatSunra, sandbox: Sandbox, payments: Payments):
    middleware = [InvalidToolCallRepair(1)]
    agent = create_agent(
        model, [payments.tool], middleware=middleware, checkpointer=InMemorySaver()
    )
    config = {**STEPS, "configurable": {"thread_id": "1"}}
    for _ in range(2):
        sandbox.next(BROKEN, BROKEN)
        with pytest.raises(UnreadableResponse):
            agent.invoke(GIVEN, config)
    sandbox.next(BROKEN, GOOD, DONE)
    assert agent.invoke(GIVEN, config)["messages"][-1].text == "Paid."


@each_way
async def test_a_call_that_was_cut_off_is_an_error_and_not_repaired(
    *, model: ChatSunra, sandbox: Sandbox, payments: Payments, way: str
):
    sandbox.next(CallTools(("pay", '{"to": "Ada", "am'), finish_reason="length"))
    agent = create_agent(model, [payments.tool], middleware=[InvalidToolCallRepair()])
    with pytest.raises(ResponseTruncated) as got:
        await run(agent, way)
    assert got.value.finish_reason == "length"
    assert len(sandbox.requests) == 1
    assert payments.made == []


def test_text_that_was_cut_off_is_a_reply(model: ChatSunra, sandbox: Sandbox, payments: Payments):
    sandbox.next(TextReply("Paid", finish_reason="length"))
    agent = create_agent(model, [payments.tool], middleware=[InvalidToolCallRepair()])
    assert agent.invoke(GIVEN, STEPS)["messages"][-1].text == "Paid"


@each_way
async def test_an_agent_without_tools_answers_a_call_of_an_unknown_one(
    model: ChatSunra, sandbox: Sandbox, way: str
):
    for reply in (UNKNOWN, BROKEN):
        sandbox.next(reply, DONE)
        done = await run(create_agent(model, [], middleware=[InvalidToolCallRepair()]), way)
        assert done["messages"][-1].text == "Paid."
    assert "Unknown tool 'transfer'." in results(sandbox, 1)["transfer"]


# ── structured output ────────────────────────────────────────────────────────


def test_without_it_an_agent_whose_output_is_always_cut_off_never_ends(
    model: ChatSunra, sandbox: Sandbox
):
    sandbox.next(*[TextReply("{", finish_reason="length")] * 40)
    agent = create_agent(model, [], response_format=ToolStrategy(Receipt))
    with pytest.raises(GraphRecursionError):
        agent.invoke(GIVEN, STEPS)
    assert len(sandbox.requests) > 20


CUT_OUTPUT = {
    "a call": CallTools(("Receipt", '{"to": "Ada", "am'), finish_reason="length"),
    "text": TextReply('{"to": "Ada", "am', finish_reason="length"),
    "nothing": TextReply("", finish_reason="length"),
}


@each_way
@pytest.mark.parametrize("with_tools", [False, True])
@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
@pytest.mark.parametrize("case", CUT_OUTPUT)
async def test_output_that_was_cut_off_is_an_error(
    *, model: ChatSunra, sandbox: Sandbox, payments: Payments, way, strategy, with_tools, case: str
):
    sandbox.next(*[CUT_OUTPUT[case]] * 3)
    tools = [payments.tool] if with_tools else []
    middleware = [InvalidToolCallRepair()]
    agent = create_agent(model, tools, response_format=strategy(Receipt), middleware=middleware)
    with pytest.raises(ResponseTruncated):
        await run(agent, way)
    assert len(sandbox.requests) == 1


WRONG_OUTPUT: dict[str, tuple[Any, Any, str]] = {
    "no call": (ToolStrategy, TextReply("Paid."), "It calls no tool"),
    "arguments are not JSON": (ToolStrategy, CallTools(("Receipt", "{,}")), "not a JSON object"),
    "arguments do not fit": (ToolStrategy, CallTools(("Receipt", {"to": "Ada"})), "amount"),
    "text is not JSON": (ProviderStrategy, TextReply("Paid."), "not valid JSON"),
    "text does not fit": (ProviderStrategy, TextReply('{"to": "Ada"}'), "- amount: Field required"),
}


@each_way
@pytest.mark.parametrize("with_tools", [False, True])
@pytest.mark.parametrize("case", WRONG_OUTPUT)
async def test_output_that_does_not_match_is_requested_again(
    *, model: ChatSunra, sandbox: Sandbox, payments: Payments, way, with_tools: bool, case: str
):
    strategy, wrong, problem = WRONG_OUTPUT[case]
    right: Any = CallTools(("Receipt", RECEIPT))
    if strategy is ProviderStrategy:
        right = TextReply(Receipt(**RECEIPT).model_dump_json())
    sandbox.next(wrong, right)
    tools = [payments.tool] if with_tools else []
    middleware = [InvalidToolCallRepair()]
    agent = create_agent(model, tools, response_format=strategy(Receipt), middleware=middleware)
    assert (await run(agent, way))["structured_response"] == Receipt(**RECEIPT)
    assert problem in sandbox.requests[1].json["messages"][-1]["content"]
    assert len(sandbox.requests) == 2


@each_way
async def test_invalid_output_beside_a_call_is_requested_again(
    *, model: ChatSunra, sandbox: Sandbox, payments: Payments, way: str
):
    sandbox.next(
        CallTools(("Receipt", {"to": "Ada"}), *GOOD.calls), CallTools(("Receipt", RECEIPT))
    )
    agent = create_agent(
        model,
        [payments.tool],
        response_format=ToolStrategy(Receipt),
        middleware=[InvalidToolCallRepair()],
    )
    assert (await run(agent, way))["structured_response"] == Receipt(**RECEIPT)
    assert payments.made == [("Ada", 3)]
    assert "amount" in results(sandbox, 1)["Receipt"]


NOTES = {"title": "Notes", "description": "Notes.", "type": "object", "properties": {}}


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_empty_output_that_matches_is_valid(model: ChatSunra, sandbox: Sandbox, strategy: Any):
    sandbox.next(CallTools(("Notes", {})) if strategy is ToolStrategy else TextReply("{}"))
    middleware = [InvalidToolCallRepair()]
    agent = create_agent(model, [], response_format=strategy(NOTES), middleware=middleware)
    assert agent.invoke(GIVEN, STEPS)["structured_response"] == {}
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("with_tools", [False, True])
@pytest.mark.parametrize("case", WRONG_OUTPUT)
def test_output_that_never_matches_is_an_error(
    model: ChatSunra, sandbox: Sandbox, payments: Payments, with_tools: bool, case: str
):
    strategy, wrong, _ = WRONG_OUTPUT[case]
    sandbox.next(*[wrong] * 4)
    tools = [payments.tool] if with_tools else []
    middleware = [InvalidToolCallRepair(1)]
    agent = create_agent(model, tools, response_format=strategy(Receipt), middleware=middleware)
    with pytest.raises(UnreadableResponse, match="2 times in a row"):
        agent.invoke(GIVEN, STEPS)
    assert len(sandbox.requests) == 2


def test_a_tool_strategy_that_raises_still_raises(model: ChatSunra, sandbox: Sandbox):
    sandbox.next(CallTools(("Receipt", {"to": "Ada"})))
    strategy = ToolStrategy(Receipt, handle_errors=False)
    middleware = [InvalidToolCallRepair()]
    agent = create_agent(model, [], response_format=strategy, middleware=middleware)
    with pytest.raises(StructuredOutputValidationError):
        agent.invoke(GIVEN, STEPS)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_a_refusal_in_place_of_output_is_raised(model: ChatSunra, sandbox: Sandbox, strategy: Any):
    sandbox.next(Message({"role": "assistant", "content": None, "refusal": "I cannot."}))
    middleware = [InvalidToolCallRepair()]
    agent = create_agent(model, [], response_format=strategy(Receipt), middleware=middleware)
    with pytest.raises(Refused, match=r"I cannot\."):
        agent.invoke(GIVEN, STEPS)
    assert len(sandbox.requests) == 1


# ── beside other middleware ──────────────────────────────────────────────────

OTHERS: dict[str, Callable[[], Any]] = {
    "limits of calls": lambda: ModelCallLimitMiddleware(run_limit=9),
    "limits of tools": lambda: ToolCallLimitMiddleware(run_limit=9),
    "a to-do list": TodoListMiddleware,
    "approval": lambda: HumanInTheLoopMiddleware(interrupt_on={"look_up": True}),
}


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("reply", [BROKEN, UNKNOWN, MISFIT])
async def test_it_works_beside_other_middleware(
    model: ChatSunra, sandbox: Sandbox, payments: Payments, reply: Any, is_first: bool
):
    sandbox.next(reply, GOOD, DONE)
    others = [make() for make in OTHERS.values()]
    repair = [InvalidToolCallRepair()]
    middleware = [*repair, *others] if is_first else [*others, *repair]
    agent = create_agent(
        model, [payments.tool, look_up], middleware=middleware, checkpointer=InMemorySaver()
    )
    done = await agent.ainvoke(GIVEN, {**STEPS, "configurable": {"thread_id": "1"}})
    assert done["messages"][-1].text == "Paid."
    assert payments.made == [("Ada", 3)]


def test_a_limit_of_calls_after_it_counts_repairs(
    model: ChatSunra, sandbox: Sandbox, payments: Payments
):
    sandbox.next(*[BROKEN] * 5)
    middleware = [InvalidToolCallRepair(5), ModelCallLimitMiddleware(run_limit=2)]
    done = create_agent(model, [payments.tool], middleware=middleware).invoke(GIVEN, STEPS)
    assert "Model call limits exceeded" in done["messages"][-1].text
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("value", [-1, 11, None, True])
def test_an_invalid_number_of_attempts_is_refused(value: Any):
    with pytest.raises(InvalidParameter, match="`max_attempts` must be an int from 0 to 10"):
        InvalidToolCallRepair(value)


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("import sys; sys.modules['langchain'] = None", "No module named"),
        (
            "from sunra_integrations import requirements; requirements.version = lambda _: '1.0.2'",
            "1.0.2 is installed",
        ),
    ],
    ids=["missing", "too old"],
)
def test_without_langchain_the_import_says_what_to_install(before: str, found: str):
    program = f"""
import sunra_integrations.langchain
{before}
from sunra_integrations.errors import RequirementNotMet
try:
    import sunra_integrations.langchain.middleware
except RequirementNotMet as error:
    assert error.name == "langchain", error.name
    print(error)
"""
    done = python("-c", program)
    expected = "Agent middleware needs langchain >= 1.0.3: pip install 'langchain>=1.0.3' ("
    assert done.stdout.startswith(f"{expected}{found}"), done.stderr

"""The claims about LangChain chat models."""

from __future__ import annotations

import json
import os
import pickle
from contextlib import suppress
from functools import partial, reduce
from operator import add
from typing import Any
from unittest.mock import MagicMock, patch

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_core.tracers import LangChainTracer
from langsmith import Client

from scripts.comparison.claims import (
    Claim,
    Contestant,
    Make,
    Person,
    Seen,
    in_loops,
    maker,
    raises,
    raises_when_cut_off,
    response_fixture,
    stream_fixture,
)
from sunra_integrations.budget import Budget
from sunra_integrations.sandbox import Http, Sandbox

_TRAPS = "tests/langchain/test_traps.py"
_NO_CREDIT = Http(
    402,
    {"error": {"type": "billing", "code": "INSUFFICIENT_CREDIT", "message": "Pay first."}},
)


_made = partial(maker, url_field="base_url")

OURS = Contestant(
    "ChatSunra", "sunra-integrations", _made("sunra_integrations.langchain", "ChatSunra")
)
PEERS = (
    Contestant("ChatOpenAI", "langchain-openai", _made("langchain_openai", "ChatOpenAI")),
    Contestant(
        "ChatOpenRouter", "langchain-openrouter", _made("langchain_openrouter", "ChatOpenRouter")
    ),
)


def _streamed(model: Any) -> AIMessage:
    message: AIMessage = reduce(add, model.stream("Hi"))
    return message


def _cut_off(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next(stream_fixture("ended_without_finish_reason"))
    return raises(lambda: _streamed(make()).content)


def _structured_cut_off(make: Make, sandbox: Sandbox) -> Seen:
    return raises_when_cut_off(lambda: make().with_structured_output(Person).invoke("Ada"), sandbox)


def _error_in_200(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next(response_fixture("error_with_status_200"))
    return raises(lambda: make().invoke("Hi").content, saying="The provider went away")


def _one_index(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next(stream_fixture("two_ids_under_one_index"))
    message = _streamed(make())
    calls = [(call["name"], call["args"]) for call in message.tool_calls]
    seen = f"calls {calls}, invalid {len(message.invalid_tool_calls)}"
    return Seen(calls == [("add", {"a": 1}), ("sub", {"b": 2})], seen)


def _cumulative_usage(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next(stream_fixture("usage_cumulative_on_every_chunk"))
    usage = _streamed(make()).usage_metadata
    total = usage and usage["total_tokens"]
    return Seen(total == 5, f"{total} tokens of 5")  # noqa: PLR2004 - as in the fixture


def _usage_unasked(make: Make, _: Sandbox) -> Seen:
    usage = _streamed(make()).usage_metadata
    return Seen(bool(usage), f"usage_metadata {usage and dict(usage)}")


def _reasoning(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next(stream_fixture("reasoning"))
    blocks = _streamed(make()).content_blocks
    thought = "".join(str(b.get("reasoning")) for b in blocks if b["type"] == "reasoning")
    return Seen(thought == "Let me think.", f"reasoning {thought!r}")


def _logprobs_in_events(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next(stream_fixture("logprobs"))
    message = make(logprobs=True).stream_events("Hi", version="v3").output
    known = message.response_metadata.get("logprobs") or {}
    tokens = [one["token"] for one in known.get("content") or ()]
    return Seen(tokens == ["Hel", "lo"], f"log probabilities of {tokens}, of ['Hel', 'lo']")


def _choices(make: Make, _: Sandbox) -> Seen:
    alone = make().invoke("Tell me about Oslo.").text
    text = _streamed_text(make(n=2), "Tell me about Oslo.")
    return Seen(text == alone, f"{text!r}; the first choice is {alone!r}")


def _streamed_text(model: Any, prompt: str) -> str:
    return "".join(chunk.text for chunk in model.stream(prompt))


def _no_tools(make: Make, sandbox: Sandbox) -> Seen:
    sandbox.next("Hello")
    with suppress(Exception):  # only the request matters here
        make().bind_tools([]).invoke("Hi")
    sent = sorted(sandbox.requests[-1].json)
    return Seen("tools" not in sent, f"sent {sent}")


def _range(make: Make, sandbox: Sandbox) -> Seen:
    seen = raises(lambda: make(temperature=3).invoke("Hi").content)
    return Seen(seen.held and not sandbox.requests, f"{len(sandbox.requests)} sent; {seen.what}")


def _no_credit(make: Make, sandbox: Sandbox) -> Seen:
    from langchain_core.exceptions import ModelError  # noqa: PLC0415 - from core 1.7 on

    sandbox.next(_NO_CREDIT)
    try:
        make().invoke("Hi")
    except ModelError as error:
        return Seen(error.is_retryable is False, f"{type(error).__name__}, a ModelError")
    except Exception as error:  # noqa: BLE001 - any exception counts as a result
        return Seen(False, f"{type(error).__name__}, not a ModelError")
    return Seen(False, "no error")


def _pickles(make: Make, _: Sandbox) -> Seen:
    model = make()
    model.invoke("Hi")
    kept = pickle.loads(pickle.dumps(model))  # noqa: S301 - its own
    return Seen(type(kept) is type(model), "pickled")


def _loops(make: Make, sandbox: Sandbox) -> Seen:
    model = make()
    return in_loops(lambda: model.ainvoke("Hi"), sandbox)


def _cost(make: Make, _: Sandbox) -> Seen:
    reported = "cost" in str(make().invoke("Hi").response_metadata)
    return Seen(reported, "cost reported" if reported else "no cost in response_metadata")


def _budget(make: Make, sandbox: Sandbox) -> Seen:
    model = make(budget=Budget(calls=1))
    model.invoke("Hi")
    seen = raises(lambda: model.invoke("Hi").content)
    sent = len(sandbox.requests)
    return Seen(seen.held and sent == 1, f"{sent} sent; {seen.what}")


def _cost_on_runs(make: Make, _: Sandbox) -> Seen:
    session = MagicMock()
    client = Client(
        api_key="made-up", api_url="http://127.0.0.1", session=session, auto_batch_tracing=False
    )
    make().invoke("Hi", {"callbacks": [LangChainTracer(client=client)]})
    client.cleanup()
    sent = [json.loads(call.kwargs["data"]) for call in session.request.call_args_list]
    reported = [run["outputs"] for run in sent if run.get("outputs")]
    reported += [run["extra"]["metadata"] for run in sent if run.get("extra")]
    costs = [one["usage_metadata"].get("total_cost") for one in reported if "usage_metadata" in one]
    costs = [cost for cost in costs if cost is not None]
    return Seen(bool(costs), f"total_cost {costs[0]}" if costs else "no total_cost")


def _marked_tool(make: Make, sandbox: Sandbox) -> Seen:
    @tool(extras={"cache_control": {"type": "ephemeral"}})
    def look_up(word: str) -> str:
        """Look up a word."""
        return word

    make().bind_tools([look_up]).invoke("Hi")
    sent = "cache_control" in str(sandbox.requests[0].json["tools"])
    return Seen(sent, "cache_control was sent" if sent else "cache_control was not sent")


_NAMED = {
    "ChatSunra": ("sunra", "SUNRA_KEY", "SUNRA_BASE_URL"),
    "ChatOpenAI": ("openai", "OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "ChatOpenRouter": ("openrouter", "OPENROUTER_API_KEY", "OPENROUTER_API_BASE"),
}
"""The provider of a class in names of models, and its environment variables."""


def _by_name(make: Make, sandbox: Sandbox) -> Seen:
    from deepagents import create_deep_agent  # noqa: PLC0415 - needs Python 3.11

    provider, key, url = _NAMED[type(make()).__name__]
    with patch.dict(os.environ, {key: sandbox.api_key, url: sandbox.base_url}):
        agent = create_deep_agent(model=f"{provider}:openai/gpt-4o")
        state = agent.invoke({"messages": [("human", "Hi")]}, {"recursion_limit": 30})
    return Seen(bool(state["messages"][-1].text), f"{len(sandbox.requests)} sent")


CLAIMS = (
    Claim(
        "A truncated stream raises an error",
        _cut_off,
        f"{_TRAPS}::test_trap_errors_inside_streams_of_no_type",
    ),
    Claim(
        "Structured output truncated by `max_tokens` raises an error",
        _structured_cut_off,
        "tests/langchain/test_structured_output.py::test_an_answer_that_was_cut_off_is_an_error",
    ),
    Claim(
        "An error with status 200 is raised with its message",
        _error_in_200,
        f"{_TRAPS}::test_trap_errors_inside_a_200_of_no_type",
    ),
    Claim(
        "Insufficient credit (402) is a LangChain `ModelError` that is not retryable",
        _no_credit,
        f"{_TRAPS}::test_trap_a_permanent_error_retried",
    ),
    Claim(
        "Two streamed tool calls with the same index stay separate",
        _one_index,
        f"{_TRAPS}::test_trap_calls_sharing_an_index_merged",
    ),
    Claim(
        "Token usage is reported when streaming, by default",
        _usage_unasked,
        "tests/langchain/test_chat_model.py::test_streams_ask_for_usage_unless_told_otherwise",
    ),
    Claim(
        "Cumulative usage on every chunk is not summed",
        _cumulative_usage,
        f"{_TRAPS}::test_trap_usage_summed",
    ),
    Claim(
        "The cost of a call is reported",
        _cost,
        f"{_TRAPS}::test_trap_scalars_doubled_and_unequal_floats_raising",
    ),
    Claim(
        "The billed cost is on the run that LangSmith receives",
        _cost_on_runs,
        "tests/langchain/test_cost_in_traces.py"
        "::test_a_langsmith_run_has_the_cost_in_the_shape_of_its_schema",
    ),
    Claim(
        "A budget stops calls before they are sent",
        _budget,
        "tests/test_budget.py::test_a_spent_budget_refuses_the_next_call_before_it_is_sent",
    ),
    Claim(
        "`create_deep_agent` finds the class by the model's name, on a gateway",
        _by_name,
        "tests/langchain/test_deep_agents.py::test_an_agent_by_name_calls_its_tool_and_answers",
    ),
    Claim(
        "`cache_control` of a tool is sent",
        _marked_tool,
        "tests/langchain/test_prompt_caching.py::test_marks_of_every_form_of_tool_are_sent",
    ),
    Claim(
        "Streamed reasoning is in `content_blocks`",
        _reasoning,
        f"{_TRAPS}::test_trap_reasoning_lost_beside_a_tool_call",
    ),
    Claim(
        "Stream events (v3) keep the log probability of every token",
        _logprobs_in_events,
        f"{_TRAPS}::test_trap_logprobs_lost",
    ),
    Claim(
        "Streaming with `n=2` does not mix the choices",
        _choices,
        f"{_TRAPS}::test_trap_choices_interleaved_in_a_stream",
    ),
    Claim(
        "An empty `tools` list is not sent",
        _no_tools,
        f"{_TRAPS}::test_trap_an_empty_list_of_tools_sent",
    ),
    Claim(
        "`temperature=3` is rejected before the request is sent",
        _range,
        "tests/protocol/test_request.py::test_a_value_against_its_rule_names_parameter_value_and_rule",
    ),
    Claim(
        "Can be pickled after a call",
        _pickles,
        f"{_TRAPS}::test_trap_no_pickle_or_deepcopy_after_calls",
    ),
    Claim(
        "One model works in several event loops",
        _loops,
        f"{_TRAPS}::test_trap_event_loops_one_after_another",
    ),
)

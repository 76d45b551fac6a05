"""The traps that chat models fall into, each with a test that fails where it is laid again."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
from collections import Counter
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers._streaming import _StreamingCallbackHandler
from pydantic import BaseModel

from sunra_integrations import errors
from sunra_integrations.langchain import ChatSunra, split_invalid_tool_calls
from sunra_integrations.langchain.errors import Refused
from sunra_integrations.langchain.model_errors import (
    ModelAPIError,
    ModelError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelRefusalError,
)
from sunra_integrations.sandbox import CallTools, Http, Message, Sandbox, sse
from tests import platforms
from tests.platforms import open_descriptors
from tests.recorded_transport import Answer, Recorded, completion, stream
from tests.waiting import DEADLINE, until_async
from tests.wire_cases import completion_bytes, stream_bytes

pytestmark = [
    pytest.mark.network,
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
]

Way = Callable[[ChatSunra], AIMessage]


def recorded(*answers: Answer, **given: Any) -> tuple[ChatSunra, Recorded]:
    transport = Recorded(*answers)
    model = ChatSunra(
        model="openai/gpt-4o",
        api_key="sk-made-up",
        max_retries=0,
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
        **given,
    )
    return model, transport


def on(sandbox: Sandbox, **given: Any) -> ChatSunra:
    known = {"model": "openai/gpt-4o", "api_key": sandbox.api_key, "base_url": sandbox.base_url}
    return ChatSunra(**{**known, **given})


def summed(model: ChatSunra) -> AIMessage:
    return split_invalid_tool_calls(reduce(add, model.stream("Hi")))


def summed_async(model: ChatSunra) -> AIMessage:
    async def chunks() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream("Hi")]

    return split_invalid_tool_calls(reduce(add, asyncio.run(chunks())))


def streamed_within_invoke(model: ChatSunra) -> AIMessage:
    return model.invoke("Hi", stream=True)


def by_events(model: ChatSunra) -> AIMessage:
    return model.stream_events("Hi", version="v3").output


def by_async_events(model: ChatSunra) -> AIMessage:
    async def output() -> AIMessage:
        events = await model.astream_events("Hi", version="v3")
        message = await events.output
        # core tells its callbacks of the end just after
        await until_async(lambda: len(asyncio.all_tasks()) == 1)
        return message

    return asyncio.run(output())


WAYS: list[Way] = [summed, summed_async, streamed_within_invoke, by_events, by_async_events]
every_way = pytest.mark.parametrize("way", WAYS)


class Tokens(BaseCallbackHandler, _StreamingCallbackHandler[Any]):
    """A handler for which core streams within `invoke`."""

    def __init__(self) -> None:
        self.result: LLMResult | None = None

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.result = response

    def tap_output_iter(self, run_id: Any, output: Any) -> Any:
        return output

    def tap_output_aiter(self, run_id: Any, output: Any) -> Any:
        return output


# -- sums ------------------------------------------------------------------


GROWING = b"".join(
    b'data: {"id":"gen-1","created":7,"model":"m","system_fingerprint":"fp","provider":"p",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"%s"},"finish_reason":%s,'
    b'"native_finish_reason":"STOP"}],"usage":{"prompt_tokens":3,"completion_tokens":%d,'
    b'"total_tokens":%d,"cost":%s}}\n\n' % (text, reason, tokens, 3 + tokens, cost)
    for text, reason, tokens, cost in (
        (b"Hel", b"null", 1, b"0.25"),
        (b"lo", b'"stop"', 2, b"0.5"),
    )
)
"""Every event says all there is to say, with the counts so far."""


@every_way
def test_trap_usage_summed(way: Way):
    model, _ = recorded(stream(GROWING))
    with get_usage_metadata_callback() as counted:
        usage = way(model).usage_metadata
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (3, 2, 5)
    assert [one["total_tokens"] for one in counted.usage_metadata.values()] == [5]


@every_way
def test_trap_scalars_doubled_and_unequal_floats_raising(way: Way):
    model, _ = recorded(stream(GROWING))
    metadata = way(model).response_metadata
    expected = {
        "model_provider": "sunra",
        "model_name": "m",
        "finish_reason": "stop",
        "native_finish_reason": "STOP",
        "system_fingerprint": "fp",
        "provider": "p",
        "id": "gen-1",
        "created": 7,
        "request_id": "req-1",
        "cost": 0.5,
    }
    assert metadata.items() >= expected.items()


def test_trap_a_first_chunk_whose_content_is_a_list():
    model, _ = recorded(stream(stream_bytes("plain")))
    assert {type(chunk.content) for chunk in model.stream("Hi")} == {str}


# -- tool calls ------------------------------------------------------------


@every_way
def test_trap_calls_sharing_an_index_merged(way: Way):
    model, _ = recorded(stream(stream_bytes("two_ids_under_one_index")))
    message = way(model)
    calls = [(call["id"], call["name"], call["args"]) for call in message.tool_calls]
    assert calls == [("c1", "add", {"a": 1}), ("c2", "sub", {"b": 2})]
    assert message.invalid_tool_calls == []


@every_way
def test_trap_text_and_call_in_one_chunk(way: Way):
    model, _ = recorded(stream(stream_bytes("text_and_call_in_one_chunk")))
    message = way(model)
    assert message.text == "Adding."
    assert [(call["name"], call["args"]) for call in message.tool_calls] == [("add", {"a": 1})]


@every_way
def test_trap_empty_arguments(way: Way):
    model, _ = recorded(stream(stream_bytes("arguments_empty_or_missing")))
    message = way(model)
    assert [call["args"] for call in message.tool_calls] == [{}] * 5
    assert message.invalid_tool_calls == []


@every_way
def test_trap_a_call_cut_off_passing_for_a_whole_one(way: Way):
    model, _ = recorded(stream(stream_bytes("arguments_cut_by_length")))
    message = way(model)
    assert message.tool_calls == []
    assert [call["name"] for call in message.invalid_tool_calls] == ["add"]


WITHOUT_TOOLS: dict[str, Callable[[ChatSunra], Any]] = {
    "none bound": lambda model: model.bind_tools([]).invoke("Hi"),
    "none bound, and a choice": lambda model: model.bind_tools([], tool_choice="auto").invoke("Hi"),
    "none given": lambda model: model.invoke("Hi", tools=[], tool_choice="auto"),
    "an agent without any": lambda model: create_agent(model, []).invoke(
        {"messages": [HumanMessage("Hi")]}
    ),
    "an answer's format alone": lambda model: model.bind_tools(
        [], response_format={"type": "json_object"}, parallel_tool_calls=False
    ).invoke("Hi"),
}


@pytest.mark.parametrize("case", WITHOUT_TOOLS)
def test_trap_an_empty_list_of_tools_sent(case: str):
    model, transport = recorded(completion(completion_bytes("plain")))
    WITHOUT_TOOLS[case](model)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & transport.bodies[0].keys()


# -- several choices -------------------------------------------------------


TWO = completion(completion_bytes("two_choices"))


def test_trap_choices_interleaved_in_a_stream():
    model, transport = recorded(TWO, n=2)
    assert [chunk.text for chunk in model.stream("Hi")] == ["A"]
    assert "stream" not in transport.bodies[0]


def test_trap_choices_interleaved_in_a_stream_that_was_not_asked_for():
    model, _ = recorded(stream(stream_bytes("choices_interleaved")))
    assert summed(model).text == by_events(model).text == "a1a2"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_trap_choices_interleaved_under_a_streaming_handler(asynchronous: bool):
    model, transport = recorded(TWO, n=2, streaming=True)
    handler = Tokens()
    config: Any = {"callbacks": [handler]}
    if asynchronous:
        asyncio.run(model.ainvoke("Hi", config=config))
    else:
        model.invoke("Hi", config=config)
    assert handler.result is not None
    assert [one.text for one in handler.result.generations[0]] == ["A", "B"]
    assert "stream" not in transport.bodies[0]


def test_trap_what_was_said_of_a_message_lost_when_there_are_several():
    model, _ = recorded(TWO, n=2)
    first, second = model.generate([[HumanMessage("Hi")]]).generations[0]
    for one in (first, second):
        assert one.message.response_metadata["id"] == "gen-1"
        assert one.message.response_metadata["model_provider"] == "sunra"


# -- what v3 loses elsewhere -----------------------------------------------


@every_way
def test_trap_logprobs_lost(way: Way):
    model, _ = recorded(stream(stream_bytes("logprobs")))
    logprobs = way(model).response_metadata["logprobs"]
    assert [one["token"] for one in logprobs["content"]] == ["Hel", "lo"]


@every_way
@pytest.mark.parametrize("output_version", ["v0", "v1"])
def test_trap_reasoning_lost_beside_a_tool_call(way: Way, output_version: str):
    model, transport = recorded(
        stream(stream_bytes("reasoning_beside_a_call")),
        completion(completion_bytes("plain")),
        output_version=output_version,
    )
    answer = way(model)
    assert answer.content_blocks[0]["type"] == "reasoning"
    assert answer.content_blocks[0].get("reasoning") == "Let me think."
    assert [call["name"] for call in answer.tool_calls] == ["add"]
    model.invoke([HumanMessage("Hi"), answer, ToolMessage("2", tool_call_id="c1")])
    sent = transport.bodies[-1]["messages"][1]
    words = [sent[name] for name in ("reasoning", "reasoning_content") if name in sent]
    assert words == ["Let me think."]
    assert [call["id"] for call in sent["tool_calls"]] == ["c1"]


# -- the object and its clients --------------------------------------------


TWICE: dict[str, Callable[[ChatSunra], ChatSunra]] = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),  # noqa: S301 - its own
    "deepcopy": copy.deepcopy,
    "model_copy": lambda model: model.model_copy(deep=True),
}


@pytest.mark.parametrize("case", TWICE)
def test_trap_no_pickle_or_deepcopy_after_calls(
    case: str, sunra_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SUNRA_KEY", sunra_sandbox.api_key)  # pickles hold no key
    model = on(sunra_sandbox)
    model.invoke("Hi")
    list(model.stream("Hi"))
    asyncio.run(model.ainvoke("Hi"))
    twice = TWICE[case](model)
    assert twice.invoke("Hi").text == model.invoke("Hi").text
    assert asyncio.run(twice.ainvoke("Hi")).text
    assert len(sunra_sandbox.requests) == 6


async def asked_and_streamed(model: ChatSunra) -> None:
    answers = await asyncio.gather(*(model.ainvoke("Hi") for _ in range(3)))
    assert all(answer.text for answer in answers)
    assert "".join([chunk.text async for chunk in model.astream("Hi")])


def test_trap_event_loops_one_after_another(sunra_sandbox: Sandbox):
    model = on(sunra_sandbox, max_retries=0)
    for _ in range(3):
        asyncio.run(asked_and_streamed(model))
    assert len(sunra_sandbox.requests) == 12  # nothing is sent twice, no loop is closed


def test_trap_event_loops_at_once(sunra_sandbox: Sandbox):
    model = on(sunra_sandbox, max_retries=0)
    together = threading.Barrier(4)
    failed: list[BaseException] = []

    async def at_once() -> None:
        await model.ainvoke("Hi")
        together.wait(DEADLINE)
        await asked_and_streamed(model)

    def run() -> None:
        try:
            asyncio.run(at_once())
        except BaseException as error:  # noqa: BLE001 - told to the test, whatever it is
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(sunra_sandbox.requests) == 4 * 5


def test_trap_async_calls_run_in_threads(sunra_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: Any) -> Any:
        raise AssertionError("a thread was asked for")

    async def calls() -> None:
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)  # its own thread, once
        monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", refused)
        await asked_and_streamed(model)
        events = await model.astream_events("Hi", version="v3")
        assert (await events.output).text

    model = on(sunra_sandbox)
    asyncio.run(model.ainvoke("Hi"))  # imports the HTTP library, once and in a thread
    asyncio.run(calls())


@platforms.descriptors
def test_trap_something_leaks_when_a_thousand_models_come_and_go(sunra_sandbox: Sandbox):
    kinds = {ChatSunra, httpx.Client, httpx.AsyncClient, httpx.Response}  # of no other library

    def living() -> Counter[str]:
        gc.collect()
        return Counter(type(o).__name__ for o in gc.get_objects() if type(o) in kinds)

    async def one_async() -> None:
        await on(sunra_sandbox).ainvoke("Hi")

    def come_and_go(number: int) -> None:
        for _ in range(number):
            on(sunra_sandbox).invoke("Hi")

    come_and_go(5)
    asyncio.run(one_async())
    before, files = living(), open_descriptors()
    come_and_go(1000)
    asyncio.run(one_async())
    assert living() - before == Counter()
    assert open_descriptors() <= files + 2
    assert len(sunra_sandbox.requests) == 1007


ROUTED: dict[str, dict[str, Any]] = {
    "provider": {"provider": {"only": ["azure"]}},
    "reasoning": {"reasoning": {"effort": "high"}},
    "reasoning_effort": {"reasoning_effort": "high"},
    "extra_body": {"extra_body": {"top_k": 1}},
    "model": {"model": "c/d"},
    "seed": {"seed": 1},
}


@pytest.mark.parametrize("per_call", [False, True])
@pytest.mark.parametrize("case", ROUTED)
def test_trap_cache_keys_that_ignore_routing(case: str, per_call: bool):
    given = ROUTED[case]
    answer = completion(completion_bytes("plain"))
    # with a profile of the user's own, so that a copy is made without any other change
    plain, plain_wire = recorded(answer, cache=InMemoryCache(), profile={"tool_calling": True})
    if per_call:
        for _ in range(2):
            plain.invoke("Hi")
            plain.invoke("Hi", **given)
        assert len(plain_wire.sent) == 2
        return
    plain.invoke("Hi")  # core keeps a model's serialised form from its first call on
    routed = plain.model_copy(update=given)
    for _ in range(2):
        plain.invoke("Hi")
        routed.invoke("Hi")
    assert len(plain_wire.sent) == 2


# -- errors ----------------------------------------------------------------


TYPED: dict[str, tuple[Answer, type[Exception], bool]] = {
    "inside a stream": (stream(stream_bytes("error_alone")), ModelAPIError, True),
    "inside a streamed choice": (
        stream(stream_bytes("error_inside_a_choice")),
        ModelRateLimitError,
        True,
    ),
    "as an event": (stream(stream_bytes("error_event")), ModelRateLimitError, True),
    "in place of a stream": (
        stream(stream_bytes("error_instead_of_stream")),
        ModelPermissionDeniedError,
        False,
    ),
    "a stream cut off": (
        stream(stream_bytes("ended_without_finish_reason")),
        ModelAPIError,
        True,
    ),
}


@every_way
@pytest.mark.parametrize("case", TYPED)
def test_trap_errors_inside_streams_of_no_type(case: str, way: Way):
    answer, kind, retryable = TYPED[case]
    model, _ = recorded(answer)
    with pytest.raises(kind) as failed:
        way(model)
    assert isinstance(failed.value, ModelError)
    assert isinstance(failed.value, errors.SunraError)
    assert failed.value.is_retryable is retryable


@pytest.mark.parametrize("name", ["error_with_status_200", "error_as_text", "status_failure"])
def test_trap_errors_inside_a_200_of_no_type(name: str):
    model, _ = recorded(completion(completion_bytes(name)))
    with pytest.raises(ModelAPIError, match="The provider went away"):
        model.invoke("Hi")
    with pytest.raises(ModelAPIError, match="The provider went away"):
        asyncio.run(model.ainvoke("Hi"))


class Answer42(BaseModel):
    """An answer."""

    number: int


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_trap_a_refusal_read_as_broken_json(method: Any, sunra_sandbox: Sandbox):
    refusal = {"role": "assistant", "content": None, "refusal": "I cannot."}
    sunra_sandbox.next(Message(refusal))
    with pytest.raises(Refused, match="I cannot") as refused:
        on(sunra_sandbox).with_structured_output(Answer42, method=method).invoke(
            "Answer in JSON, please."
        )
    assert isinstance(refused.value, ModelRefusalError)
    assert refused.value.is_retryable is False


ASKED: Any = {"messages": [("human", "What is the weather in Paris?")]}

PERMANENT: dict[str, Http] = {
    "no credit": Http(402, {"error": {"message": "Pay first.", "code": "INSUFFICIENT_CREDIT"}}),
    "no such key": Http(401, {"error": {"message": "No such key."}}),
    "no such model": Http(404, {"error": {"message": "None.", "code": "MODEL_NOT_FOUND"}}),
    "a bad request": Http(400, {"error": {"message": "Bad."}}),
    "said not to be retried": Http(500, {"error": {"message": "No.", "retryable": False}}),
    "inside a 200": Http(200, {"error": {"message": "Pay first.", "code": 402}}),
}
PASSING: dict[str, Http] = {
    "too many": Http(429, {"error": {"message": "Slow down."}}),
    "no capacity": Http(503, {"error": {"message": "Later."}}),
    "inside a 200": Http(200, {"error": {"message": "It went away.", "code": 502}}),
}


def retrying(sandbox: Sandbox) -> Any:
    middleware = ModelRetryMiddleware(max_retries=2, initial_delay=0.0, on_failure="error")
    return create_agent(on(sandbox, max_retries=0), [], middleware=[middleware])


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("case", PERMANENT)
def test_trap_a_permanent_error_retried(case: str, asynchronous: bool, sunra_sandbox: Sandbox):
    sunra_sandbox.next(PERMANENT[case])
    agent = retrying(sunra_sandbox)
    with pytest.raises(ModelError) as failed:
        asyncio.run(agent.ainvoke(ASKED)) if asynchronous else agent.invoke(ASKED)
    assert failed.value.is_retryable is False
    assert len(sunra_sandbox.requests) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("case", PASSING)
def test_trap_a_passing_error_not_retried(case: str, asynchronous: bool, sunra_sandbox: Sandbox):
    sunra_sandbox.next(PASSING[case], PASSING[case])
    agent = retrying(sunra_sandbox)
    done = asyncio.run(agent.ainvoke(ASKED)) if asynchronous else agent.invoke(ASKED)
    assert done["messages"][-1].text
    assert len(sunra_sandbox.requests) == 3


def test_trap_an_error_within_a_stream_ends_an_agent_that_could_try_again(sunra_sandbox: Sandbox):
    sunra_sandbox.next(sse(stream_bytes("error_alone")))
    agent = retrying(sunra_sandbox)
    parts = [part for part, _ in agent.stream(ASKED, stream_mode="messages")]
    assert "".join(part.text for part in parts)
    assert len(sunra_sandbox.requests) == 2


def test_trap_an_agent_runs_a_call_that_was_cut_off(sunra_sandbox: Sandbox):
    ran: list[str] = []

    def delete(path: str) -> str:
        """Deletes a path."""
        ran.append(path)
        return "gone"

    sunra_sandbox.next(CallTools(("delete", '{"path": "notes/a'), finish_reason="length"))
    agent = create_agent(on(sunra_sandbox), [delete])
    list(agent.stream(ASKED, {"recursion_limit": 10}, stream_mode="messages"))
    assert ran == []

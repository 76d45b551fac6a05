"""v3 streams: everything a model can say in one answer, by langchain-tests' own rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import Sandbox, sse

pytestmark = [
    pytest.mark.network,
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
]


def event(delta: dict[str, Any], token: str | None = None, **more: Any) -> bytes:
    logprobs = None if token is None else {"content": [{"token": token, "logprob": -0.5}]}
    choice = {"index": 0, "delta": delta, "finish_reason": None, "logprobs": logprobs, **more}
    body = {"id": "gen-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


def piece(index: int, arguments: str, call_id: str | None = None, name: str | None = None) -> Any:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"index": index, "function": function} | ({"id": call_id} if call_id else {})


EVERYTHING = sse(
    event({"role": "assistant", "content": ""}),
    event({"reasoning": "Let me"}),
    event({"reasoning": " think."}),
    event({"content": "Add"}, "Add"),
    # text and two calls in one event, then the calls' arguments in turns
    event(
        {
            "content": "ing.",
            "tool_calls": [piece(0, "", "c1", "add"), piece(1, "", "c2", "sub")],
        },
        "ing.",
    ),
    event({"tool_calls": [piece(0, '{"a"')]}),
    event({"tool_calls": [piece(1, '{"b":')]}),
    event({"tool_calls": [piece(0, ": 1}"), piece(1, " 2}")]}),
    event({"tool_calls": [piece(2, "", "c3", "now")]}),
    event({}, finish_reason="tool_calls"),
    b'data: {"id":"gen-1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n',
    b"data: [DONE]\n\n",
)


def on(sandbox: Sandbox) -> ChatSunra:
    return ChatSunra(model="a/b", api_key=sandbox.api_key, base_url=sandbox.base_url)


async def streamed(sandbox: Sandbox, asynchronous: bool) -> tuple[list[Any], AIMessage]:
    sandbox.next(EVERYTHING)
    if asynchronous:
        stream = await on(sandbox).astream_events("Hi", version="v3")
        events = [one async for one in stream]
        return events, await stream.output
    stream = on(sandbox).stream_events("Hi", version="v3")
    return list(stream), stream.output


both = pytest.mark.parametrize("asynchronous", [False, True])


@both
async def test_a_stream_of_everything_keeps_to_the_lifecycle(
    asynchronous: bool, sunra_sandbox: Sandbox
):
    events, _ = await streamed(sunra_sandbox, asynchronous)
    assert_valid_event_stream(events)
    assert [one["event"] for one in events].count("content-block-start") == 5
    assert events[-1]["event"] == "message-finish"


@both
async def test_nothing_of_it_is_lost(asynchronous: bool, sunra_sandbox: Sandbox):
    _, message = await streamed(sunra_sandbox, asynchronous)
    kinds = [block["type"] for block in message.content_blocks]
    assert kinds == ["reasoning", "text", "tool_call", "tool_call", "tool_call"]
    assert message.text == "Adding."
    assert message.content_blocks[0].get("reasoning") == "Let me think."
    assert [(call["id"], call["name"], call["args"]) for call in message.tool_calls] == [
        ("c1", "add", {"a": 1}),
        ("c2", "sub", {"b": 2}),
        ("c3", "now", {}),
    ]
    assert message.invalid_tool_calls == []
    logprobs = message.response_metadata["logprobs"]["content"]
    assert [one["token"] for one in logprobs] == ["Add", "ing."]
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == 5


@both
async def test_deltas_arrive_piece_by_piece(asynchronous: bool, sunra_sandbox: Sandbox):
    events, _ = await streamed(sunra_sandbox, asynchronous)
    deltas = [one["delta"] for one in events if one["event"] == "content-block-delta"]
    assert [one["text"] for one in deltas if one["type"] == "text-delta"] == ["Add", "ing."]
    assert [one["reasoning"] for one in deltas if one["type"] == "reasoning-delta"] == [
        "Let me",
        " think.",
    ]
    first_text = next(n for n, one in enumerate(deltas) if one["type"] == "text-delta")
    assert first_text == 2


async def test_the_typed_projections_of_a_stream_read_it(sunra_sandbox: Sandbox):
    sunra_sandbox.next(EVERYTHING, EVERYTHING)
    assert "".join(on(sunra_sandbox).stream_events("Hi", version="v3").text) == "Adding."
    stream = await on(sunra_sandbox).astream_events("Hi", version="v3")
    assert "".join([piece async for piece in stream.reasoning]) == "Let me think."

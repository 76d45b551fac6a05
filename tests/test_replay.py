"""What a model said goes back to it in the next turn, through both adapters, read in any way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    ToolMessage,
    message_chunk_to_message,
    messages_from_dict,
    messages_to_dict,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from llama_index.core.base.llms.types import ChatMessage, ThinkingBlock, ToolCallBlock
from llama_index.core.memory import ChatMemoryBuffer

from sunra_integrations.langchain import ChatSunra, split_invalid_tool_calls
from sunra_integrations.llama_index import Sunra
from tests.recorded_transport import Answer, Recorded, completion, stream

pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
]

Json = dict[str, Any]


def whole(message: Json, finish: str = "stop") -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return completion({"id": "gen-1", "model": "a/b", "choices": [choice]})


def streamed(*deltas: Json, finish: str = "stop") -> Answer:
    events = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    events.append({"index": 0, "delta": {}, "finish_reason": finish})
    bodies = [{"id": "gen-1", "model": "a/b", "choices": [event]} for event in events]
    return stream(b"".join(b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies))


OK = whole({"content": "ok"})


def clients(*answers: Answer, **names: str) -> tuple[Recorded, Json]:
    wire = Recorded(*answers)
    sync, asynchronous = httpx.Client(transport=wire), httpx.AsyncClient(transport=wire)
    return wire, {"http_client": sync, names["asynchronous"]: asynchronous, "max_retries": 0}


# ── a turn through each adapter ──────────────────────────────────────────────


def by_langchain(
    answer: Answer, read: Callable[[ChatSunra], AIMessage], results: list[str], **given: Any
) -> list[Json]:
    """The messages of the request that follows an answer."""
    wire, http = clients(answer, OK, asynchronous="http_async_client")
    model = ChatSunra(model="a/b", api_key="k", **http, **given)
    message = read(model)
    ids = results or [call["id"] for call in message.tool_calls]
    answered = [ToolMessage("3", tool_call_id=call_id) for call_id in ids]
    model.invoke([HumanMessage("?"), message, *answered, HumanMessage("And?")])
    return wire.bodies[-1]["messages"]


def by_llama_index(
    answer: Answer, read: Callable[[Sunra], ChatMessage], results: list[str]
) -> list[Json]:
    wire, http = clients(answer, OK, asynchronous="async_http_client")
    llm = Sunra(model="a/b", api_key="k", **http)
    message = read(llm)
    ids = results or [b.tool_call_id for b in message.blocks if isinstance(b, ToolCallBlock)]
    answered = [
        ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": call_id})
        for call_id in ids
    ]
    llm.chat([ChatMessage("?"), message, *answered, ChatMessage("And?")])
    return wire.bodies[-1]["messages"]


def summed(model: ChatSunra) -> AIMessage:
    return split_invalid_tool_calls(reduce(add, model.stream("?")))


def summed_async(model: ChatSunra) -> AIMessage:
    async def chunks() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream("?")]

    return split_invalid_tool_calls(reduce(add, asyncio.run(chunks())))


def stored(message: AIMessage) -> AIMessage:
    """As a checkpointer stores it, and a message history."""
    serializer = JsonPlusSerializer()
    (kept,) = messages_from_dict(messages_to_dict([message]))
    return serializer.loads_typed(serializer.dumps_typed(kept))


def remembered(message: ChatMessage) -> ChatMessage:
    (kept,) = ChatMemoryBuffer.from_defaults(chat_history=[message]).get()
    return ChatMessage.model_validate_json(kept.model_dump_json())


WHOLE: dict[str, Callable[[Answer, list[str]], list[Json]]] = {
    "LangChain": lambda a, r: by_langchain(a, lambda m: m.invoke("?"), r),
    "LangChain, async": lambda a, r: by_langchain(a, lambda m: asyncio.run(m.ainvoke("?")), r),
    "LangChain, in v1 blocks": lambda a, r: by_langchain(
        a, lambda m: m.invoke("?"), r, output_version="v1"
    ),
    "LangChain, stored": lambda a, r: by_langchain(a, lambda m: stored(m.invoke("?")), r),
    "LlamaIndex": lambda a, r: by_llama_index(a, lambda m: m.chat([ChatMessage("?")]).message, r),
    "LlamaIndex, async": lambda a, r: by_llama_index(
        a, lambda m: asyncio.run(m.achat([ChatMessage("?")])).message, r
    ),
    "LlamaIndex, remembered": lambda a, r: by_llama_index(
        a, lambda m: remembered(m.chat([ChatMessage("?")]).message), r
    ),
}
STREAMED: dict[str, Callable[[Answer, list[str]], list[Json]]] = {
    "LangChain": lambda a, r: by_langchain(a, summed, r),
    "LangChain, async": lambda a, r: by_langchain(a, summed_async, r),
    "LangChain, in v1 blocks": lambda a, r: by_langchain(a, summed, r, output_version="v1"),
    "LangChain, chunks added up by hand": lambda a, r: by_langchain(
        a, lambda m: reduce(add, m.stream("?")), r
    ),
    "LangChain, by v3 events": lambda a, r: by_langchain(
        a, lambda m: m.stream_events("?", version="v3").output, r
    ),
    "LangChain, stored": lambda a, r: by_langchain(
        a, lambda m: stored(message_chunk_to_message(summed(m))), r
    ),
    "LangChain, stored as a chunk": lambda a, r: by_langchain(a, lambda m: stored(summed(m)), r),
    "LlamaIndex": lambda a, r: by_llama_index(
        a, lambda m: list(m.stream_chat([ChatMessage("?")]))[-1].message, r
    ),
    "LlamaIndex, remembered": lambda a, r: by_llama_index(
        a, lambda m: remembered(list(m.stream_chat([ChatMessage("?")]))[-1].message), r
    ),
}
every_way = pytest.mark.parametrize(
    ("streams", "way"),
    [(False, way) for way in WHOLE] + [(True, way) for way in STREAMED],
    ids=[f"whole-{way}" for way in WHOLE] + [f"streamed-{way}" for way in STREAMED],
)


def next_turn(
    message: Json, results: list[str], *, streams: bool, way: str, finish: str = "stop"
) -> list[Json]:
    if streams:
        return STREAMED[way](streamed(message, finish=finish), results)
    return WHOLE[way](whole(message, finish), results)


def call(call_id: str | None = "c1", **more: Any) -> Json:
    function = {"name": "f", "arguments": '{"a":1}', **more.pop("function", {})}
    return {"id": call_id, "type": "function", "function": function, **more}


CALL = call()


def text_in(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    return "".join(part.get("text", "") for part in parts)


# ── what comes back in its place ─────────────────────────────────────────────

THINKING_BLOCKS = [{"type": "thinking", "thinking": "hm", "signature": "SIG"}]
RESOURCE = {"type": "file", "file": {"hash": "h", "name": "a.pdf", "content": []}}
SIGNED = {"type": "reasoning.text", "text": "One.", "signature": "s1", "index": 0}

AS_IT_CAME: dict[str, Json] = {
    "LiteLLM's signed thinking": {"content": "Hi", "thinking_blocks": THINKING_BLOCKS},
    "Gemini's signature on the message": {
        "content": "Hi",
        "extra_content": {"google": {"thought_signature": "T"}},
    },
    "a vendor's own field": {"content": "Hi", "mood": {"calm": True}, "score": 0},
    "annotations": {"content": "Hi", "annotations": [RESOURCE]},
    "two encrypted details": {
        "content": "Hi",
        "reasoning_details": [
            {"type": "reasoning.encrypted", "data": "AAAA"},
            {"type": "reasoning.encrypted", "data": "BBBB"},
        ],
    },
    "two signed details of one index": {
        "content": "Hi",
        "reasoning_details": [SIGNED, {**SIGNED, "text": "Two.", "signature": "s2"}],
    },
    "details of several types, formats and ids": {
        "content": "Hi",
        "reasoning_details": [
            {"type": "reasoning.summary", "summary": "a", "id": "1", "format": "x"},
            {"type": "reasoning.summary", "summary": "b", "id": "2", "format": "x"},
            {"type": "reasoning.summary", "summary": "c", "format": "y"},
            {"type": "reasoning.text", "text": "d"},
        ],
    },
}


@every_way
@pytest.mark.parametrize("case", AS_IT_CAME)
def test_a_field_of_a_message_goes_back_as_it_came(case: str, streams: bool, way: str) -> None:
    message = AS_IT_CAME[case]
    sent = next_turn(message, [], streams=streams, way=way)[1]
    assert text_in(sent.pop("content")) == message["content"]
    rest = {name: value for name, value in message.items() if name != "content"}
    assert sent == {"role": "assistant", **rest}


CALLS: dict[str, Json] = {
    "a field beside the function": call(extra_content={"google": {"thought_signature": "T"}}),
    "a field within the function": call(function={"thought_signature": "T"}),
    "fields in both places": call(function={"x": [1]}, y={"z": None}),
    "a type of the vendor's own": call() | {"type": "builtin_function"},
}


@every_way
@pytest.mark.parametrize("case", CALLS)
def test_a_field_of_a_call_goes_back_in_its_place(case: str, streams: bool, way: str) -> None:
    message = {"content": None, "tool_calls": [{**CALLS[case], "index": 0}]}
    sent = next_turn(message, ["c1"], streams=streams, way=way)[1]
    assert sent["tool_calls"] == [CALLS[case]]


@every_way
def test_calls_under_one_id_keep_their_own_fields_and_results(streams: bool, way: str) -> None:
    calls = [{**call(signature=f"s{number}"), "index": number} for number in range(2)]
    sent = next_turn({"tool_calls": calls}, [], streams=streams, way=way)
    assistant, *results = sent[1:4]
    assert [one["signature"] for one in assistant["tool_calls"]] == ["s0", "s1"]
    ids = [one["id"] for one in assistant["tool_calls"]]
    assert ids == [one["tool_call_id"] for one in results]
    assert ids[0] == "c1"
    assert len(set(ids)) == 2


@every_way
def test_a_custom_tools_call_goes_back_as_one(streams: bool, way: str) -> None:
    custom = {"id": "c1", "type": "custom", "custom": {"name": "math", "input": "4+4"}}
    message = {"content": None, "tool_calls": [{**custom, "index": 0}]}
    assert next_turn(message, ["c1"], streams=streams, way=way)[1]["tool_calls"] == [custom]


@every_way
def test_a_sound_goes_back_by_its_id(streams: bool, way: str) -> None:
    audio = {"id": "audio_1", "data": "UklGRg==", "transcript": "Hi", "expires_at": 1}
    sent = next_turn({"content": None, "audio": audio}, [], streams=streams, way=way)[1]
    assert sent == {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}


@every_way
@pytest.mark.parametrize(
    ("arguments", "sent_arguments"),
    [
        ('{"a": "cut', {"INVALID_JSON": '{"a": "cut'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ("a: 1", {"INVALID_JSON": "a: 1"}),
        ('{"a": 1 }', {"a": 1}),
        ("", {}),
    ],
)
def test_arguments_go_back_as_a_json_object(
    arguments: str, sent_arguments: Json, streams: bool, way: str
) -> None:
    written = {"tool_calls": [{**call(function={"arguments": arguments}), "index": 0}]}
    sent = next_turn(written, ["c1"], streams=streams, way=way, finish="tool_calls")[1]
    assert json.loads(sent["tool_calls"][0]["function"]["arguments"]) == sent_arguments


PARTS: dict[str, list[Json]] = {
    "a part of no known kind": [
        {"type": "text", "text": "a"},
        {"type": "hologram", "data": 1},
        {"type": "text", "text": "b"},
    ],
    "a text with a signature": [
        {"type": "text", "text": "a", "signature": "s"},
        {"type": "text", "text": "b"},
    ],
    "a text with what it cites": [
        {"type": "text", "text": "a", "annotations": [{"type": "file_citation", "file_id": "f"}]},
        {"type": "text", "text": "b", "signature": "s"},
    ],
    "a signed thought": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "s"},
        {"type": "text", "text": "ab"},
    ],
    "a thought and a signed one": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "thinking", "thinking": [{"type": "text", "text": "so"}], "signature": "s"},
        {"type": "text", "text": "ab"},
    ],
    "encrypted thinking": [
        {"type": "redacted_thinking", "data": "XXXX"},
        {"type": "text", "text": "ab"},
    ],
    "a reasoning item": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "id": "rs_1"},
        {"type": "text", "text": "ab"},
    ],
}


@every_way
@pytest.mark.parametrize("case", PARTS)
def test_parts_of_the_content_go_back_in_their_order(case: str, streams: bool, way: str) -> None:
    message = {"content": PARTS[case], "tool_calls": [{**CALL, "index": 0}]}
    sent = next_turn(message, ["c1"], streams=streams, way=way)[1]
    assert sent == {"role": "assistant", "content": PARTS[case], "tool_calls": [CALL]}


@every_way
def test_a_citation_in_a_part_goes_back_once(streams: bool, way: str) -> None:
    cited = {"type": "url_citation", "url": "https://a.b", "title": "A", "start_index": 0}
    content = [{"type": "text", "text": "a", "annotations": [cited], "signature": "s"}]
    sent = next_turn({"content": content}, [], streams=streams, way=way)[1]
    assert "annotations" not in sent
    if not way.endswith(("v1 blocks", "v3 events")):  # there it is a standard citation
        assert sent["content"] == content


@every_way
def test_a_vendors_built_in_function_keeps_its_name(streams: bool, way: str) -> None:
    function = {"name": "$web_search", "arguments": '{"query":"a"}'}
    call = {"id": "c1", "type": "builtin_function", "function": function}
    message = {"content": None, "tool_calls": [{**call, "index": 0}]}
    sent = next_turn(message, ["c1"], streams=streams, way=way, finish="tool_calls")[1]
    assert sent["tool_calls"] == [call]


# ── reasoning ────────────────────────────────────────────────────────────────

MISTRALS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "I must add."}], "closed": True},
    {"type": "text", "text": "Adding."},
]


@every_way
def test_thinking_in_a_list_is_text(streams: bool, way: str) -> None:
    message = {"content": MISTRALS, "tool_calls": [{**CALL, "index": 0}]}
    sent = next_turn(message, ["c1"], streams=streams, way=way)[1]
    assert sent["reasoning"] == "I must add."
    assert text_in(sent["content"]) == "Adding."


@pytest.mark.parametrize("answer", [whole({"content": MISTRALS}), streamed({"content": MISTRALS})])
def test_thinking_in_a_list_is_a_block_in_both_frameworks(answer: Answer) -> None:
    _, http = clients(answer, asynchronous="async_http_client")
    llm = Sunra(model="a/b", api_key="k", **http)
    _, http = clients(answer, asynchronous="http_async_client")
    model = ChatSunra(model="a/b", api_key="k", **http)
    if "text/event-stream" in answer().headers["content-type"]:
        message = list(llm.stream_chat([ChatMessage("?")]))[-1].message
        blocks = summed(model).content_blocks
    else:
        message = llm.chat([ChatMessage("?")]).message
        blocks = model.invoke("?").content_blocks
    (thought,) = [block for block in message.blocks if isinstance(block, ThinkingBlock)]
    assert thought.content == "I must add."
    assert message.content == "Adding."
    assert [b["reasoning"] for b in blocks if b["type"] == "reasoning"] == ["I must add."]


@every_way
@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("words", ["Hm.", ""])
def test_reasoning_goes_back_within_a_turn_that_calls_tools_even_if_it_is_empty(
    words: str, field: str, streams: bool, way: str
) -> None:
    message = {"content": None, field: words, "tool_calls": [{**CALL, "index": 0}]}
    sent = next_turn(message, ["c1"], streams=streams, way=way)[1]
    assert sent[field] == words


@every_way
def test_reasoning_of_a_turn_without_calls_stays_at_home(streams: bool, way: str) -> None:
    sent = next_turn({"content": "Hi", "reasoning": "Hm."}, [], streams=streams, way=way)[1]
    assert "reasoning" not in sent


def test_the_reasoning_of_a_turns_last_answer_goes_back_if_the_turn_called_a_tool() -> None:
    answers = [
        whole({"content": None, "reasoning_content": "R1", "tool_calls": [CALL]}),
        whole({"content": "Sunny.", "reasoning_content": "R2"}),
        whole({"content": "Yes.", "reasoning_content": "R3"}),
        OK,
    ]
    expected = [None, "R1", None, "R2", None, None, None]

    wire, http = clients(*answers, asynchronous="http_async_client")
    model = ChatSunra(model="a/b", api_key="k", **http)
    talk: list[Any] = [HumanMessage("?")]
    talk += [model.invoke(talk), ToolMessage("3", tool_call_id="c1")]
    talk += [model.invoke(talk), HumanMessage("?")]
    talk += [model.invoke(talk), HumanMessage("?")]
    model.invoke(talk)
    assert [one.get("reasoning_content") for one in wire.bodies[-1]["messages"]] == expected

    wire, http = clients(*answers, asynchronous="async_http_client")
    llm = Sunra(model="a/b", api_key="k", **http)
    said: list[ChatMessage] = [ChatMessage("?")]
    result = ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "c1"})
    said += [llm.chat(said).message, result]
    said += [llm.chat(said).message, ChatMessage("?")]
    said += [llm.chat(said).message, ChatMessage("?")]
    llm.chat(said)
    assert [one.get("reasoning_content") for one in wire.bodies[-1]["messages"]] == expected


# ── ids made for calls ───────────────────────────────────────────────────────


@pytest.mark.parametrize("answer_id", [None, "gen-1", "g" * 200])
@pytest.mark.parametrize("streams", [False, True])
def test_ids_made_for_calls_are_short_and_differ_between_turns(
    streams: bool, answer_id: str | None
) -> None:
    calls = [{**call(None), "index": number} for number in range(2)]
    choice = {"index": 0, "finish_reason": "tool_calls"}
    choice["delta" if streams else "message"] = {"tool_calls": calls}
    body = {"choices": [choice]} | ({"id": answer_id} if answer_id else {})
    raw = json.dumps(body).encode()

    def nameless() -> httpx.Response:  # without a request id
        kind = "text/event-stream" if streams else "application/json"
        data = b"data: " + raw + b"\n\n" if streams else raw
        return httpx.Response(200, headers={"content-type": kind}, content=data)

    wire, http = clients(nameless, nameless, OK, asynchronous="http_async_client")
    model = ChatSunra(model="a/b", api_key="k", streaming=streams, **http)
    talk: list[Any] = [HumanMessage("?")]
    for _ in range(2):
        answer = model.invoke(talk)
        talk += [answer, *(ToolMessage("3", tool_call_id=c["id"]) for c in answer.tool_calls)]
    model.invoke(talk, stream=False)
    sent = wire.bodies[-1]["messages"]
    ids = [one["id"] for message in sent for one in message.get("tool_calls", [])]
    assert len(set(ids)) == 4
    assert max(map(len, ids)) <= 40
    assert [one["tool_call_id"] for one in sent if one["role"] == "tool"] == ids
    if answer_id is None:  # nothing but the id itself tells these turns apart
        made = [c["id"] for message in talk for c in getattr(message, "tool_calls", [])]
        assert made == ids

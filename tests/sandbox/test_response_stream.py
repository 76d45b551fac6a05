"""Events of responses: their order, what they add up to, and what the client's parser reads."""

import base64
import dataclasses
import json

import pytest

from sunra_integrations.protocol.completion import parse_completion
from sunra_integrations.protocol.stream import ChunkStream
from sunra_integrations.sandbox import CallTools, Message, TextReply

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
SHAPE = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
PARIS = "Weather in Paris and in 東京? 'Ünïcode', 'x\u2028y'"
IMAGE = "data:image/png;base64," + base64.b64encode(b"x").decode()
ENCRYPTED = ["reasoning.encrypted_content"]
REQUESTS = [
    {},
    {"input": PARIS},
    {"input": PARIS, "tools": [WEATHER]},
    {"input": PARIS, "tools": [WEATHER], "model": "a/reasoner", "include": ENCRYPTED},
    {"input": PARIS, "tools": [WEATHER], "max_output_tokens": 9},
    {"model": "a/thinking", "max_output_tokens": 3, "include": ENCRYPTED},
    {"model": "a/thinking", "include": ENCRYPTED, "store": False},
    {"top_logprobs": 2},
    {"text": {"format": {"type": "json_object"}}},
    {"text": {"format": {"type": "json_schema", "name": "s", "schema": SHAPE}}},
    {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": IMAGE}]}]},
    {"reasoning": {"effort": "high"}},
    {"tools": [{"type": "custom", "name": "run"}], "tool_choice": "required"},
]
CITED = {
    "role": "assistant",
    "content": "a b",
    "annotations": [
        {
            "type": "url_citation",
            "url_citation": {"url": "https://x.y", "title": "t", "start_index": 0, "end_index": 1},
        }
    ],
}
SCRIPTED = [
    "a text",
    TextReply("thought", reasoning="hm hm", finish_reason="length"),
    CallTools(("f", {"名": "值"}), ("g", '{"cut'), text="Wait."),
    Message({"role": "assistant", "content": None, "refusal": "I will not."}),
    Message(CITED),
    Message({"role": "assistant", "content": [{"type": "web_search_call", "id": "ws_1"}]}),
]


def events(response):
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = []
    for block in response.text.split("\n\n")[:-1]:
        name, _, data = block.partition("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == len(found)
        found.append(event)
    return found


def accumulate(found):
    """The items that the events of a stream add up to, without those that repeat everything."""
    items, texts = {}, {}
    for event in found:
        place = [event[key] for key in ("output_index",) if key in event]
        inner = [event[key] for key in ("content_index", "summary_index") if key in event]
        if event["type"].endswith(".delta"):
            key = (*place, *inner)
            texts[key] = texts.get(key, "") + event["delta"]
        if event["type"] == "response.output_item.done":
            items[event["output_index"]] = event["item"]
    return list(items.values()), texts


def texts_of(output):
    found = {}
    for index, item in enumerate(output):
        for key in ("arguments", "input"):
            if item.get(key):
                found[index,] = item[key]
        for place, part in enumerate(item.get("content", item.get("summary", ()))):
            text = part.get("text", part.get("refusal"))
            if text:
                found[index, place] = text
    return found


def both(sandbox, respond, request_, scripted=None):
    sandbox.next(scripted, scripted)
    return respond(**request_).json(), respond(**request_, stream=True)


CASES = [(request_, None) for request_ in REQUESTS] + [({}, scripted) for scripted in SCRIPTED]


@pytest.mark.parametrize(("request_", "scripted"), CASES, ids=range(len(CASES)))
def test_a_stream_adds_up_to_the_whole_response(sandbox, respond, request_, scripted):
    whole, streamed = both(sandbox, respond, request_, scripted)
    found = events(streamed)
    assert [event["type"] for event in found[:2]] == ["response.created", "response.in_progress"]
    assert found[0]["response"] == {
        **whole, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None,
    }  # fmt: skip
    assert found[-1]["type"] == f"response.{whole['status']}"
    assert found[-1]["response"] == whole
    items, texts = accumulate(found)
    assert items == whole["output"]
    assert texts == texts_of(whole["output"])


@pytest.mark.parametrize(("request_", "scripted"), CASES, ids=range(len(CASES)))
def test_the_client_reads_both_alike(sandbox, respond, request_, scripted):
    whole, streamed = both(sandbox, respond, request_, scripted)
    stream = ChunkStream(api="responses")
    for start in range(0, len(streamed.content), 7):
        for _ in stream.feed(streamed.content[start : start + 7]):
            pass
    list(stream.close())
    reply = parse_completion(json.dumps(whole).encode(), api="responses")
    assert stream.done
    assert stream.so_far() == dataclasses.replace(reply, raw={})


def test_events_of_an_item_are_between_its_start_and_its_end(respond):
    found = events(respond(model="a/reasoner", stream=True))
    kinds = list(dict.fromkeys(event["type"].removeprefix("response.") for event in found))
    assert kinds == [
        "created", "in_progress", "output_item.added",
        "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
        "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "completed",
    ]  # fmt: skip
    by_item = [event["output_index"] for event in found if "output_index" in event]
    assert by_item == sorted(by_item)


def test_an_item_begins_empty_and_in_progress(respond):
    found = events(respond(input=PARIS, tools=[WEATHER], stream=True))
    begun = [event["item"] for event in found if event["type"] == "response.output_item.added"]
    done = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    assert begun == [{**item, "arguments": "", "status": "in_progress"} for item in done]


def test_there_is_one_log_probability_for_each_delta(respond):
    found = events(respond(top_logprobs=2, stream=True))
    deltas = [event for event in found if event["type"] == "response.output_text.delta"]
    assert [event["logprobs"][0]["token"] for event in deltas] == [e["delta"] for e in deltas]
    assert {len(event["logprobs"][0]["top_logprobs"]) for event in deltas} == {2}


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_request_gets_the_same_bytes(respond, stream):
    request_ = {"input": PARIS, "tools": [WEATHER], "model": "a/reasoner", "stream": stream}
    assert respond(**request_).content == respond(**request_).content


def test_a_reply_says_that_it_is_the_sandbox_s(respond):
    told = respond().json()
    assert (told["provider"], told["system_fingerprint"]) == ("sandbox", "sandbox")

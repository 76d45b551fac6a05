"""Streams add up to the complete reply and end as the API ends them."""

import base64
import json

import pytest

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
SHAPE = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
PARIS = [{"role": "user", "content": "Weather in Paris and in 東京? 'Ünïcode', 'x\u2028y'"}]
IMAGE = {
    "type": "image_url",
    "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"x").decode()},
}

REQUESTS = [
    {},
    {"messages": PARIS},
    {"messages": PARIS, "tools": [WEATHER]},
    {"messages": PARIS, "tools": [WEATHER], "n": 2, "model": "a/reasoner"},
    {"messages": PARIS, "tools": [WEATHER], "max_tokens": 9},
    {"model": "a/thinking", "max_tokens": 3},
    {"logprobs": True, "top_logprobs": 2},
    {"n": 3, "logprobs": True},
    {"stop": "You"},
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SHAPE}}},
    {"messages": [{"role": "user", "content": [IMAGE]}]},
    {"reasoning": {"effort": "high"}, "seed": 4},
]


def chunks(response):
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


def fold(found):
    """The choices that a stream's chunks add up to, put together as a client would."""
    choices = {}
    for chunk in found:
        for choice in chunk["choices"]:
            whole = choices.setdefault(
                choice["index"],
                {"content": None, "reasoning": None, "calls": [], "logprobs": None, "end": None},
            )
            delta = choice["delta"]
            for key in ("content", "reasoning"):
                if delta.get(key) is not None:
                    whole[key] = (whole[key] or "") + delta[key]
            for call in delta.get("tool_calls", ()):
                if "id" in call:
                    assert call["index"] == len(whole["calls"])
                    whole["calls"].append([call["id"], call["function"]["name"], ""])
                whole["calls"][call["index"]][2] += call["function"]["arguments"]
            if choice["logprobs"]:
                whole["logprobs"] = (whole["logprobs"] or []) + choice["logprobs"]["content"]
            whole["end"] = choice["finish_reason"] or whole["end"]
    return choices


def plain(told):
    """The same of a reply that was not streamed."""
    return {
        choice["index"]: {
            "content": choice["message"]["content"],
            "reasoning": choice["message"].get("reasoning"),
            "calls": [
                [call["id"], call["function"]["name"], call["function"]["arguments"]]
                for call in choice["message"].get("tool_calls", ())
            ],
            "logprobs": (choice["logprobs"] or {}).get("content") or None,
            "end": choice["finish_reason"],
        }
        for choice in told["choices"]
    }


@pytest.mark.parametrize("parameters", REQUESTS, ids=range(len(REQUESTS)))
def test_a_stream_adds_up_to_the_plain_reply(ask, parameters):
    told = ask(**parameters).json()
    found = chunks(ask(stream=True, stream_options={"include_usage": True}, **parameters))
    assert fold(found) == plain(told)
    assert found[-1]["usage"] == told["usage"]
    for chunk in found:
        assert chunk["object"] == "chat.completion.chunk"
        same = ("id", "created", "model", "system_fingerprint", "provider")
        assert [chunk[key] for key in same] == [told[key] for key in same]


def test_the_first_chunk_has_the_role_and_the_last_the_reason(ask):
    response = ask(stream=True)
    found = [chunk["choices"][0] for chunk in chunks(response)]
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert found[0]["delta"] == {"role": "assistant", "content": ""}
    assert found[-1] == {"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": None}
    assert [choice["finish_reason"] for choice in found[:-1]] == [None] * (len(found) - 1)


def test_usage_comes_only_when_asked_for(ask):
    assert all("usage" not in chunk for chunk in chunks(ask(stream=True)))
    found = chunks(ask(stream=True, stream_options={"include_usage": True}))
    assert [chunk["usage"] for chunk in found[:-1]] == [None] * (len(found) - 1)
    assert found[-1]["choices"] == []


def test_a_tool_call_opens_with_its_name_and_goes_on_with_its_arguments(ask):
    found = chunks(ask(messages=PARIS, tools=[WEATHER], stream=True))
    deltas = [call for c in found for call in c["choices"][0]["delta"].get("tool_calls", ())]
    opening = [delta for delta in deltas if "id" in delta]
    assert [delta["function"] for delta in opening] == [
        {"name": "get_weather", "arguments": ""}
    ] * len(opening)
    assert all(set(delta) == {"index", "function"} for delta in deltas if "id" not in delta)


def test_choices_take_turns(ask):
    found = chunks(ask(n=2, stream=True))
    assert [chunk["choices"][0]["index"] for chunk in found[:6]] == [0, 1, 0, 1, 0, 1]


def test_reasoning_comes_before_content(ask):
    found = chunks(ask(model="a/reasoner", stream=True))
    kinds = ["reasoning" in chunk["choices"][0]["delta"] for chunk in found[1:-1]]
    assert kinds == sorted(kinds, reverse=True)
    assert kinds[0]

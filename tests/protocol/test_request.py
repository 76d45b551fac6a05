from __future__ import annotations

import json
import math
import pickle

import pytest
from pydantic import BaseModel

from sunra_integrations.errors import BadRequest, InvalidParameter
from sunra_integrations.protocol.request import (
    ChatRequest,
    check_parameters,
)

TURN = [{"role": "user", "content": "Hi"}]


def request(**parameters):
    return ChatRequest(**{"model": "openai/gpt-4o", "messages": TURN, **parameters})


def sent(*, stream=False, **parameters):
    return json.loads(request(**parameters).encode(stream=stream))


def test_what_was_not_set_is_not_sent():
    assert sent() == {"model": "openai/gpt-4o", "messages": TURN}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("max_tokens", 1),
        ("max_completion_tokens", 100),
        ("temperature", 0),
        ("temperature", 2.0),
        ("top_p", 0.0),
        ("top_p", 1),
        ("frequency_penalty", -2.0),
        ("presence_penalty", 2),
        ("stop", "END"),
        ("stop", ["a", "b", "c", "d"]),
        ("n", 3),
        ("logprobs", False),
        ("response_format", {"type": "json_object"}),
        ("seed", -7),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("parallel_tool_calls", False),
        ("user", "u-1"),
        ("provider", {"only": ["google-vertexai"], "a-new-rule": 1}),
        ("reasoning", {"effort": "low", "anything": True}),
        ("reasoning_effort", "minimal"),
    ],
)
def test_a_value_within_its_rule_is_sent_as_given(parameter, value):
    assert sent(**{parameter: value})[parameter] == value


@pytest.mark.parametrize(
    ("parameters", "parameter", "rule"),
    [
        ({"model": ""}, "model", "non-empty"),
        ({"messages": []}, "messages", "non-empty list"),
        ({"messages": [{"content": "Hi"}]}, "messages[0]", "'role'"),
        ({"messages": [*TURN, "Hi"]}, "messages[1]", "each a dict"),
        ({"max_tokens": 0}, "max_tokens", "at least 1"),
        ({"max_tokens": True}, "max_tokens", "an integer"),
        ({"max_tokens": 1.5}, "max_tokens", "an integer"),
        ({"max_completion_tokens": -1}, "max_completion_tokens", "at least 1"),
        ({"temperature": 2.1}, "temperature", "0 and 2"),
        ({"temperature": -0.1}, "temperature", "0 and 2"),
        ({"temperature": "0.5"}, "temperature", "a number"),
        ({"temperature": math.nan}, "temperature", "0 and 2"),
        ({"top_p": 1.01}, "top_p", "0 and 1"),
        ({"frequency_penalty": 2.5}, "frequency_penalty", "-2 and 2"),
        ({"presence_penalty": -2.5}, "presence_penalty", "-2 and 2"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "at most 4"),
        ({"stop": ["a", ""]}, "stop", "non-empty"),
        ({"stop": ""}, "stop", "non-empty"),
        ({"n": 0}, "n", "at least 1"),
        ({"logprobs": 1}, "logprobs", "True or False"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs", "0 and 20"),
        ({"top_logprobs": 5}, "top_logprobs", "logprobs=True"),
        ({"top_logprobs": 5, "logprobs": False}, "top_logprobs", "logprobs=True"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_completion_tokens", "max_tokens"),
        ({"response_format": "json"}, "response_format", "a dict"),
        ({"seed": 1.5}, "seed", "an integer"),
        ({"tools": {}}, "tools", "a list"),
        ({"tool_choice": "any"}, "tool_choice", "'required'"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls", "True or False"),
        ({"user": 7}, "user", "a string"),
        ({"provider": "openai"}, "provider", "a dict"),
    ],
)
def test_a_value_against_its_rule_names_parameter_value_and_rule(parameters, parameter, rule):
    with pytest.raises(InvalidParameter) as caught:
        request(**parameters)
    error = caught.value
    assert isinstance(error, BadRequest)
    assert error.parameter == parameter
    assert rule in error.rule
    assert f"`{parameter}`" in str(error)
    assert error.rule in str(error)
    assert not error.retryable
    assert pickle.loads(pickle.dumps(error)).rule == error.rule  # noqa: S301 - our own bytes


def test_a_required_parameter_that_is_missing_is_named():
    with pytest.raises(InvalidParameter, match="`messages` is required"):
        ChatRequest(model="openai/gpt-4o")


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"temperature": 3}, "messages"),
        ({"temperature": 3, "messages": []}, "messages"),
        ({"temperature": 3, "messages": TURN, "model": ""}, "model"),
        ({"temperature": 3, "messages": TURN, "seed": "x"}, "temperature"),
    ],
)
def test_of_several_errors_those_of_model_and_messages_come_first(parameters, named):
    with pytest.raises(InvalidParameter) as caught:
        ChatRequest(**{"model": "a/b", **parameters})
    assert caught.value.parameter == named


@pytest.mark.parametrize(
    ("name", "closest"), [("temprature", "temperature"), ("max_token", "max_tokens")]
)
def test_a_misspelt_parameter_is_told_the_closest_real_one(name, closest):
    with pytest.raises(InvalidParameter, match=f"Did you mean `{closest}`"):
        request(**{name: 1})


def test_a_parameter_like_no_other_is_sent_to_extra_body():
    with pytest.raises(InvalidParameter, match="extra_body"):
        request(zzz=1)


def test_extra_body_goes_on_the_wire_untouched_and_wins():
    body = sent(temperature=1, extra_body={"top_k": 5, "temperature": 1.5, "x": {"y": None}})
    assert (body["top_k"], body["temperature"], body["x"]) == (5, 1.5, {"y": None})


def test_a_stream_asks_for_usage():
    body = sent(stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_empty_stream_options_ask_for_nothing():
    assert "stream_options" not in sent(stream=True, stream_options={})


def test_a_plain_call_sends_no_stream_options():
    body = sent(stream_options={"include_usage": True})
    assert "stream_options" not in body
    assert "stream" not in body


class Odds(BaseModel):
    """What pydantic can write as JSON and is no plain JSON value."""

    odds: float


@pytest.mark.parametrize("long", [False, True], ids=["in a short body", "in a long body"])
@pytest.mark.parametrize(
    "value",
    [math.nan, [{"x": (-math.inf,)}], object(), "\ud800"],
    ids=["NaN", "infinity deep within", "an object", "half a character"],
)
def test_what_has_no_json_form_is_refused_by_name(value, long):
    fine = "x" * 1_000_000 if long else "x"
    with pytest.raises(InvalidParameter) as caught:
        request(extra_body={"fine": fine, "odd": value}).encode(stream=False)
    assert caught.value.parameter == "odd"


@pytest.mark.parametrize("padding", ["", "x" * 1_000_000])
def test_the_words_nan_and_infinity_are_text_like_any_other(padding):
    assert sent(user="NaN Infinity" + padding)["user"] == "NaN Infinity" + padding


def test_a_model_in_a_long_body_is_written_as_pydantic_writes_it():
    body = sent(extra_body={"fine": "x" * 1_000_000, "odds": Odds(odds=0.5)})
    assert body["odds"] == {"odds": 0.5}


def test_text_of_every_script_goes_out_as_utf_8():
    turn = [{"role": "user", "content": "你好 🦊 \u2028"}]
    assert ChatRequest(model="a/b", messages=turn).encode(stream=False).decode().count("🦊") == 1


def test_parameters_are_checked_without_a_conversation():
    check_parameters({"temperature": 1.0, "stop": None})
    with pytest.raises(InvalidParameter, match="`top_p`"):
        check_parameters({"top_p": 7})


def test_a_long_value_is_shortened_in_the_message_and_kept_in_the_error():
    with pytest.raises(InvalidParameter) as caught:
        request(user=["x" * 5000])
    assert len(str(caught.value)) < 500
    assert caught.value.value == ["x" * 5000]


def test_a_request_is_frozen():
    with pytest.raises(Exception, match="frozen"):
        request().model = "x"


def test_the_messages_of_the_caller_are_left_alone():
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    made = ChatRequest(model="a/b", messages=messages)
    made.encode(stream=True)
    assert messages == [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]

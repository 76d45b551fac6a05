"""`sunra probe`: requests and results."""

from __future__ import annotations

import base64
import json
import struct
import zlib

import pytest

from sunra_integrations.cli.probe import FEATURES, PICTURE
from sunra_integrations.sandbox import CallTools, HangUp, Http, Message, TextReply
from tests.cli.conftest import KEY
from tests.module_stand_in import without_waits

NAMES = [feature.name for feature in FEATURES]


def results(ended, place=0):
    """Return the status of each feature."""
    features = json.loads(ended.out)["models"][place]["features"]
    return {name: result["status"] for name, result in features.items()}


def only(sunra, feature):
    """Test one feature; return exit status, result and words."""
    ended = sunra("probe", "sandbox/echo", "--only", feature, "--json")
    result = json.loads(ended.out)["models"][0]["features"][feature]
    return ended.status, result["status"], result["words"]


def test_every_feature_but_images_works_with_the_sandbox(sunra, sunra_sandbox):
    ended = sunra("probe", "sandbox/echo", "--json")
    assert ended.status == 0
    assert results(ended) == {**dict.fromkeys(NAMES, "ok"), "image": "ignored"}
    value = json.loads(ended.out)
    assert value["calls"] == len(sunra_sandbox.requests) == len(NAMES) + 1
    assert value["prompt_tokens"] > 0
    assert value["cost"] > 0
    message = ended.err.splitlines()
    assert message[0] == "Testing 1 model with up to 23 small requests."
    assert message[1].startswith("16 calls, ")


def test_a_pipe_gets_a_tab_separated_line_for_each_result(sunra):
    ended = sunra("probe", "a/b", "c/d", "a/b", "--only", "n", "--only", "seed")
    assert ended.status == 0
    assert [line.split("\t") for line in ended.out.splitlines()] == [
        ["a/b", "n", "ok", "two choices"],
        ["a/b", "seed", "ok", "two equal replies"],
        ["c/d", "n", "ok", "two choices"],
        ["c/d", "seed", "ok", "two equal replies"],
    ]
    assert ended.err.startswith("Testing 2 models with up to 6 small requests")


def test_a_terminal_gets_a_table_with_details_below(sunra, sunra_sandbox, monkeypatch):
    monkeypatch.setattr("sunra_integrations.cli.terminal.Terminal.is_terminal", True)
    sunra_sandbox.answer_with(
        lambda asked: Http(400, {"error": {"message": "No n \x1b[2J"}}) if "n" in asked else None
    )
    ended = sunra("probe", "sandbox/echo", "--only", "n", "--only", "tools")
    assert "┃ feature ┃ sandbox/echo ┃" in ended.out
    assert "│ tools   │ ok           │" in ended.out
    assert "│ n       │ refused      │" in ended.out
    assert ended.out.splitlines()[-1] == "sandbox/echo n refused: No n [2J (HTTP 400)."


def test_a_refusal_is_reported_with_the_servers_message(sunra, refusing):
    refusing(logprobs=f"Logprobs are not for {KEY}", tools="No tools", seed="No seed")
    ended = sunra("probe", "sandbox/echo", "--json")
    assert ended.status == 0
    refused = {name for name in NAMES if "tool" in name} | {"logprobs", "seed"}
    assert {name for name, status in results(ended).items() if status == "refused"} == refused
    words = json.loads(ended.out)["models"][0]["features"]["logprobs"]["words"]
    assert words == "Logprobs are not for [the key] (HTTP 400, invalid_input)."
    assert results(ended)["json-schema"] == "ok"


TOOLS_WITH_REASONING = "Function tools with reasoning_effort are not supported for gpt-5.6"
WITH_TOOLS = ["tools", "forced-tool", "parallel-tools"]


def restricted(message):
    return Http(400, {"error": {"message": message, "type": "invalid_request_error"}})


def test_a_restriction_is_reported_with_what_helps(sunra, sunra_sandbox):
    def answer(request):
        is_restricted = "messages" in request and request.get("reasoning_effort") != "none"
        return restricted(TOOLS_WITH_REASONING) if "tools" in request and is_restricted else None

    sunra_sandbox.answer_with(answer)
    ended = sunra("probe", "openai/gpt-5.6", "--json")
    assert ended.status == 0
    found = results(ended)
    assert {found[name] for name in (*WITH_TOOLS, "tools-with-reasoning")} == {"restricted"}
    features = json.loads(ended.out)["models"][0]["features"]
    both = 'reasoning_effort="none" or api="responses"'
    assert features["tools"]["words"] == f"one call, but only with {both}"
    words = features["tools-with-reasoning"]["words"]
    assert words == 'one call, but only with api="responses"'
    assert json.loads(ended.out)["calls"] == 23


@pytest.mark.parametrize(
    "message", [TOOLS_WITH_REASONING, "This model is only supported in v1/responses"]
)
def test_a_model_may_have_tools_on_responses_only(sunra, sunra_sandbox, message):
    sunra_sandbox.answer_with(
        lambda request: restricted(message) if "messages" in request else None
    )
    words = 'one call, but only with api="responses"'
    assert only(sunra, "tools") == (0, "restricted", words)
    assert only(sunra, "tools-with-reasoning") == (0, "restricted", words)
    assert only(sunra, "responses")[1:] == ("ok", "a reply of /v1/responses")


def test_a_gateway_without_responses_is_reported(sunra, sunra_sandbox):
    missing = Http(404, {"error": {"message": "No such endpoint"}})
    sunra_sandbox.answer_with(lambda request: missing if "input" in request else None)
    assert only(sunra, "responses")[1:] == (
        "refused",
        'No such endpoint (HTTP 404). This server may not have /v1/responses: use `api="chat"`.',
    )
    assert only(sunra, "tools")[1] == "ok"


def test_a_model_without_that_level_refuses_tools(sunra, sunra_sandbox):
    level = "Unsupported value: 'reasoning_effort' does not support 'none' with this model."
    missing = Http(404, {"error": {"message": "No such endpoint"}})
    sunra_sandbox.next(restricted(TOOLS_WITH_REASONING), restricted(level), missing)
    _, status, words = only(sunra, "tools")
    assert status == "refused"
    assert words.startswith(TOOLS_WITH_REASONING)
    assert f'With reasoning_effort="none": {level[:-1]}' in words
    assert 'With api="responses": No such endpoint' in words


def test_tools_that_are_not_called_without_reasoning_are_ignored(sunra, sunra_sandbox):
    sunra_sandbox.next(restricted(TOOLS_WITH_REASONING), "It is sunny.", "It is sunny.")
    assert only(sunra, "tools") == (0, "ignored", 'no call, with reasoning_effort="none"')


@pytest.mark.parametrize(
    ("feature", "message", "facts", "says"),
    [
        (
            "temperature",
            "`temperature` is deprecated for this model.",
            {"temperature": False},
            "Leave out `temperature`. Model data: `temperature` is not supported.",
        ),
        (
            "forced-tool",
            "Thinking mode does not support this tool_choice",
            {"tool_choice": True},
            "Model data: `tool_choice` is supported.",
        ),
        (
            "tools-with-reasoning",
            TOOLS_WITH_REASONING,
            {"chat_completions_tools": "effort_none", "reasoning_effort_levels": ["none", "low"]},
            'Model data: tools only with `reasoning_effort="none"`; levels none, low.',
        ),
        (
            "tools-with-reasoning",
            TOOLS_WITH_REASONING,
            {"chat_completions_tools": "never"},
            'Model data: tools only with `api="responses"`.',
        ),
        ("reasoning", '"x" does not support thinking', {}, "Leave out `reasoning_effort`"),
        ("n", "No n", {"temperature": False}, "No n (HTTP 400)."),
    ],
)
def test_a_refusal_says_what_the_model_data_says(  # noqa: PLR0917
    sunra, sunra_sandbox, monkeypatch, feature, message, facts, says
):
    monkeypatch.setattr("sunra_integrations.cli.probe.model_facts", lambda name: facts)
    sunra_sandbox.answer_with(lambda request: restricted(message))
    _, status, words = only(sunra, feature)
    assert status == "refused"
    assert says in words


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Http(404, {"error": {"message": "No endpoint can use tools"}}), "refused"),
        (Http(403, {"error": {"message": "Not on your plan"}}), "refused"),
        (Http(200, "no JSON"), "unknown"),
        (Http(500, {"error": {"message": "Broken", "retryable": False}}), "unknown"),
        (Http(429, {"error": {"message": "Slow"}}, {"retry-after": "90"}), "unknown"),
    ],
)
def test_only_a_refusal_shows_that_a_feature_is_missing(sunra, sunra_sandbox, answer, status):
    sunra_sandbox.next(answer)
    ended, found, _ = only(sunra, "tools")
    assert found == status
    assert ended == (1 if status == "unknown" else 0)


@pytest.mark.parametrize(
    ("feature", "answers", "words"),
    [
        ("answer", [""], "the reply is empty"),
        ("stream", ["one"], "the reply came in one chunk"),
        ("tools", ["It is sunny."], "no call"),
        ("tools", [CallTools(("get_weather", "{"))], "a call without the required arguments"),
        ("forced-tool", ["Hello."], "no call"),
        ("forced-tool", [CallTools(("other", {}))], "a call without the required arguments"),
        ("parallel-tools", [CallTools(("get_weather", {"city": "Oslo"}))], "1 of 2 calls"),
        ("json-schema", ["Ada, 36"], "the reply is not valid JSON"),
        ("json-schema", ['{"name": "Ada"}'], "valid JSON that does not match the schema"),
        (
            "json-schema",
            ['{"full_name": "Ada", "years": 36, "more": 1}'],
            "valid JSON that does not match the schema",
        ),
        ("n", ["one"], "1 instead of two"),
        ("seed", ["one", "two"], "two different replies"),
        ("image", ["It shows 1234."], "the number in the image was not read"),
        ("reasoning", ["Yes."], "no reasoning"),
    ],
)
def test_a_request_without_effect_is_ignored(sunra, sunra_sandbox, feature, answers, words):
    sunra_sandbox.next(*answers)
    assert only(sunra, feature) == (0, "ignored", words)


def test_missing_usage_and_logprobs_are_ignored(sunra, sunra_sandbox):
    bare = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    sunra_sandbox.next(Http(200, bare))
    assert only(sunra, "logprobs") == (0, "ignored", "no log probabilities")
    event = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    data = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()
    sunra_sandbox.next(Http(200, data, {"content-type": "text/event-stream"}))
    assert only(sunra, "usage-in-stream") == (0, "ignored", "no token usage reported")


def test_a_read_image_and_counted_reasoning_are_ok(sunra, sunra_sandbox):
    sunra_sandbox.next("7,421")
    assert only(sunra, "image") == (0, "ok", "the number in the image was read")
    counted = {
        "choices": [{"index": 0, "message": {"content": "No."}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}},
    }
    sunra_sandbox.next(Http(200, counted))
    assert only(sunra, "reasoning") == (0, "ok", "7 reasoning tokens, without text")
    sunra_sandbox.next(Message({"role": "assistant", "content": "No.", "reasoning_content": "7"}))
    assert only(sunra, "reasoning") == (0, "ok", "the reply includes reasoning")


def test_streams_are_requested_with_and_without_usage(sunra, sunra_sandbox):
    sunra("probe", "a/b", "--only", "stream", "--only", "usage-in-stream", "--at-once", "1")
    asked = [request.json.get("stream_options") for request in sunra_sandbox.requests]
    assert asked == [None, {"include_usage": True}]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Http(401, {"error": {"message": f"Bad key {KEY}"}}), "Bad key [the key]"),
        (Http(404, {"error": {"code": "MODEL_NOT_FOUND", "message": "None"}}), "vendor/name"),
    ],
)
def test_a_model_that_cannot_be_called_is_not_tested_further(sunra, sunra_sandbox, answer, message):
    sunra_sandbox.answer_with(
        lambda asked: answer if asked["model"] == "a/b" else TextReply("Hello")
    )
    ended = sunra("probe", "a/b", "c/d", "--json")
    assert ended.status == 1
    first, second = json.loads(ended.out)["models"]
    assert message in first["error"]
    assert first["features"] == {}
    assert second["error"] is None
    assert list(second["features"]) == NAMES
    assert f"Error: a/b: {first['error'][:20]}" in ended.err
    assert [r.json["model"] for r in sunra_sandbox.requests].count("a/b") == 1


def test_a_model_that_only_streams_is_tested(sunra, sunra_sandbox):
    refused = Http(400, {"error": {"message": "Only streams here"}})
    sunra_sandbox.answer_with(lambda asked: None if asked.get("stream") else refused)
    found = results(sunra("probe", "a/b", "--json"))
    assert (found["answer"], found["stream"], found["tools"]) == ("refused", "ok", "refused")


def test_a_missing_network_is_one_line(sunra, sunra_sandbox, monkeypatch):
    waited = without_waits(monkeypatch)
    sunra_sandbox.next(HangUp(), HangUp(), HangUp())
    ended = sunra("probe", "a/b")
    assert (ended.status, ended.out) == (1, "")
    assert "Run `sunra doctor`" in ended.err
    assert len(waited) == 2


def test_the_picture_is_a_valid_png():
    png = base64.b64decode(PICTURE.partition(",")[2])
    width, height = struct.unpack(">II", png[16:24])
    data = png[png.index(b"IDAT") + 4 : png.index(b"IEND") - 8]
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(zlib.decompress(data)) == height * (width + 1)

"""The default text replies."""

import base64
import re

import pytest

from sunra_integrations.sandbox.rule_based.replies import default_reply
from sunra_integrations.sandbox.rule_based.text import count_tokens, split_tokens
from tests.waiting import DEADLINE

USER = {"role": "user", "content": "What is the capital of France?"}
RAG = (
    "Context information is below.\n---------------------\n"
    "Sunra was founded in 2021. Its office is in Lisbon.\nIt has 40 employees.\n"
    "---------------------\nGiven the context information and not prior knowledge, answer the "
    "query.\nQuery: Where is the office?\nAnswer: "
)


def replied(body, **parameters):
    return default_reply(body(**parameters)).choices[0].message["content"]


def user(*contents):
    return [{"role": "user", "content": content} for content in contents]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (user("Hello"), "You said: Hello"),
        (user(""), "You said nothing."),
        ([{"role": "system", "content": "Paris is the capital of France."}, USER],
         "Paris is the capital of France."),
        (user(RAG), "Its office is in Lisbon."),
        (
            [*user("My name is Bob."), {"role": "assistant", "content": "Hi."}, *user("My name?")],
            "My name is Bob.",
        ),
        (
            [{"role": "system", "content": "巴黎是法国的首都。柏林是德国的首都。"},
             *user("法国的首都是哪里？")],
            "巴黎是法国的首都。",
        ),
    ],
)  # fmt: skip
def test_a_reply_quotes_the_nearest_sentence_of_the_conversation(body, messages, expected):
    assert replied(body, messages=messages) == expected


def test_without_anything_near_the_turn_is_reflected(body):
    messages = [{"role": "system", "content": "Bananas are yellow."}, USER]
    assert replied(body, messages=messages) == "You said: What is the capital of France?"


def test_attachments_are_acknowledged_by_kind_type_and_size(body):
    data = base64.b64encode(b"x" * 68).decode()
    content = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "file", "file": {"filename": "报告.pdf", "file_data": data}},
        {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}},
    ]
    assert replied(body, messages=user(content)) == (
        "You said: Look\nThere is an image (image/png, 68 bytes), an image at example.com, "
        'an audio clip (wav, 68 bytes), a file named "报告.pdf" (68 bytes), '
        "a video at example.org."
    )


def test_an_attachment_whose_url_cannot_be_read_is_acknowledged_too(body):
    content = [{"type": "image_url", "image_url": {"url": "http://[/a.png"}}]
    answer = replied(body, messages=user(content))
    assert answer.endswith("There is an image at a place that cannot be read.")


def test_the_same_request_gets_the_same_bytes(ask):
    first, second = ask(seed=1), ask(seed=1)
    assert first.content == second.content
    assert first.json()["id"] != ask(seed=2).json()["id"]


def test_a_reply_says_that_no_model_made_it(ask):
    told = ask().json()
    assert (told["provider"], told["system_fingerprint"]) == ("sandbox", "sandbox")
    assert told["object"] == "chat.completion"


def test_several_choices_can_be_told_apart(body):
    reply = default_reply(body(n=3))
    contents = [choice.message["content"] for choice in reply.choices]
    assert contents == [
        "You said: Hello",
        "You said: Hello (choice 2)",
        "You said: Hello (choice 3)",
    ]


@pytest.mark.parametrize(
    ("stop", "expected"),
    [("said", "You "), (["zzz", "Hello"], "You said: "), ("absent", "You said: Hello")],
)
def test_a_stop_sequence_ends_the_content_before_it(body, stop, expected):
    choice = default_reply(body(stop=stop)).choices[0]
    assert (choice.message["content"], choice.finish_reason) == (expected, "stop")


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_on_tokens_cuts_the_content_and_says_so(body, name):
    reply = default_reply(body(**{name: 2}))
    assert reply.choices[0].message["content"] == "You said"
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage["completion_tokens"] == 2


def test_a_limit_cuts_the_arguments_of_tool_calls(body, function):
    tool = function("get_weather", city={"type": "string"})
    request = body(messages=user("Weather in Paris?"), tools=[tool], max_tokens=6)
    choice = default_reply(request).choices[0]
    assert choice.finish_reason == "length"
    assert choice.message["tool_calls"][0]["function"]["arguments"] == '{"city":'


def test_a_limit_is_spent_on_reasoning_first(body):
    choice = default_reply(body(reasoning={"effort": "low"}, max_tokens=4)).choices[0]
    assert choice.message["reasoning"] == "The turn asks:"
    assert choice.message["content"] == ""
    assert choice.finish_reason == "length"


@pytest.mark.parametrize(
    ("parameters", "reasons"),
    [
        ({}, False),
        ({"model": "deepseek/deepseek-reasoner"}, True),
        ({"model": "deepseek/deepseek-r1"}, True),
        ({"model": "qwen/qwen3-thinking"}, True),
        ({"model": "a/r10"}, False),
        ({"reasoning_effort": "high"}, True),
        ({"reasoning_effort": "none", "model": "a/r1"}, False),
        ({"reasoning": {"enabled": False}}, False),
    ],
)
def test_reasoning_comes_when_asked_for_or_promised_by_the_name(body, parameters, reasons):
    reply = default_reply(body(**parameters))
    message = reply.choices[0].message
    assert ("reasoning" in message) is reasons
    assert (reply.usage["completion_tokens_details"]["reasoning_tokens"] > 0) is reasons
    if reasons:
        detail = {"type": "reasoning.text", "text": message["reasoning"], "index": 0}
        assert message["reasoning_details"] == [detail]


def test_excluded_reasoning_is_counted_but_not_shown(body):
    reply = default_reply(body(reasoning={"exclude": True}))
    assert "reasoning" not in reply.choices[0].message
    assert reply.usage["completion_tokens_details"]["reasoning_tokens"] > 0


def test_usage_adds_up_and_counts_what_is_marked_for_the_cache(body):
    marked = [{"type": "text", "text": "one two", "cache_control": {"type": "ephemeral"}}]
    usage = default_reply(body(messages=user(marked, "three"))).usage
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 6
    assert usage["prompt_tokens"] == 11


def test_log_probabilities_have_the_shape_of_openai(ask):
    choice = ask(logprobs=True, top_logprobs=20).json()["choices"][0]
    entries = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == choice["message"]["content"]
    for entry in entries:
        alternatives = entry["top_logprobs"]
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert entry["token"] == alternatives[0]["token"]
        assert len({other["token"] for other in alternatives}) == 20
        assert [other["logprob"] for other in alternatives] == sorted(
            (other["logprob"] for other in alternatives), reverse=True
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Hello, world!", ["Hello", ",", " world", "!"]),
        ("你好 ok", ["你", "好", " ok"]),
        (" \n", [" \n"]),
        ("a" * 20, ["a" * 16, "a" * 4]),
    ],
)
def test_tokens_join_to_their_text(text, expected):
    assert split_tokens(text) == expected
    assert count_tokens(text) == len(expected)


@pytest.mark.parametrize(
    ("messages", "tools"),
    [
        ([*user("Hello"), {"role": "assistant", "content": "A sentence. Another one."}] * 1000, 1),
        (user([{"type": "image_url", "image_url": {
            "url": "data:image/png;base64," + base64.b64encode(bytes(10_000_000)).decode()}}]), 1),
        (user("What is the weather? " * 5), 100),
        (user("word " * 200_000), 3),
    ],
    ids=["2,000 messages", "a 10 MB image", "100 tools", "a turn of a million characters"],
)  # fmt: skip
def test_large_requests_are_answered_in_a_sensible_time(http, body, function, messages, tools):
    described = [
        function(f"tool_{index}", "Weather of a kind", city={"type": "string"})
        for index in range(tools)
    ]
    content = body(messages=[*messages, *user("Why is that?")], tools=described)
    response = http.post("/chat/completions", json=content)
    assert response.status_code == 200
    assert response.elapsed.total_seconds() < DEADLINE


@pytest.mark.parametrize(
    "turn",
    [
        "((((1" * 4000,
        "-1" * 10_000,
        "x@" * 8000,
        "a.b/" * 6000,
        "Ab, " * 6000,
        "的" * 20_000,
        "'a " * 8000,
    ],
    ids=range(7),
)
def test_no_turn_is_slow_to_read(ask, function, turn):
    tool = function("f", title={"type": "string"}, n={"type": "integer"}, to={"type": "string"})
    messages = user(turn)
    for asked in ({"tools": [tool], "tool_choice": "required"}, {"logprobs": True}):
        response = ask(messages=messages, **asked)
        assert response.status_code == 200
        assert response.elapsed.total_seconds() < DEADLINE


def test_created_and_ids_are_made_from_the_request(ask):
    told = ask().json()
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", told["id"])
    assert 1_750_000_000 <= told["created"] < 1_760_000_000

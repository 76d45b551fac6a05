"""Responses of `/v1/responses` become the same replies, streamed or whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sunra_integrations import errors
from sunra_integrations.protocol.completion import parse_completion
from sunra_integrations.protocol.reply import Choice, Reply, ToolCall
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.protocol.responses_request import reasoning_details
from sunra_integrations.protocol.stream import ChunkStream
from tests.responses_events import events, function_call, message, reasoning, response, sse

CITATION = {
    "type": "url_citation", "url": "https://a.b", "title": "A", "start_index": 0, "end_index": 5,
}  # fmt: skip
FILE = {"type": "file_citation", "file_id": "f", "filename": "a.txt", "index": 1}
LOGPROBS = [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}]
SEARCH = {
    "type": "web_search_call", "id": "ws_1", "status": "completed",
    "action": {"type": "search", "query": "x"},
}  # fmt: skip
CUSTOM = {
    "type": "custom_tool_call",
    "id": "ctc_1",
    "call_id": "c1",
    "name": "sql",
    "input": "SELECT",
}


def detail(kind: str, index: int, id: str = "rs_1", **more: Any) -> dict[str, Any]:  # noqa: A002
    known = {"type": f"reasoning.{kind}", "id": id, "format": "openai-responses-v1"}
    return {**known, "index": index, **more}


CASES: dict[str, tuple[list[dict[str, Any]], Choice]] = {
    "text": ([message("Hello there")], Choice(0, "Hello there", finish_reason="stop")),
    "text with citations": (
        [message("Hello there", annotations=[CITATION, FILE])],
        Choice(
            0,
            "Hello there",
            finish_reason="stop",
            annotations=(
                {
                    "type": "url_citation",
                    "url_citation": {k: v for k, v in CITATION.items() if k != "type"},
                },
                FILE,
            ),
        ),
    ),
    "logprobs": (
        [message("Hi", logprobs=LOGPROBS)],
        Choice(0, "Hi", finish_reason="stop", logprobs={"content": LOGPROBS}),
    ),
    "a refusal": (
        [{**message(""), "content": [{"type": "refusal", "refusal": "I cannot."}]}],
        Choice(0, refusal="I cannot.", finish_reason="stop"),
    ),
    "parallel calls": (
        [function_call("c1", "add", '{"a": 1}'), function_call("c2", "now", "{}")],
        Choice(
            0,
            tool_calls=(ToolCall("c1", "add", '{"a": 1}'), ToolCall("c2", "now", "{}")),
            finish_reason="tool_calls",
        ),
    ),
    "a custom call": (
        [CUSTOM],
        Choice(
            0,
            tool_calls=(ToolCall("c1", "sql", "SELECT", {"type": "custom"}),),
            finish_reason="tool_calls",
        ),
    ),
    "reasoning before a call": (
        [reasoning("First.", "Then."), function_call("c1", "add", "{}")],
        Choice(
            0,
            reasoning="First.\n\nThen.",
            reasoning_details=(
                detail("summary", 0, summary="First."),
                detail("summary", 1, summary="Then."),
                detail("encrypted", 2, data="E"),
            ),
            tool_calls=(ToolCall("c1", "add", "{}"),),
            finish_reason="tool_calls",
        ),
    ),
    "reasoning without a summary": (
        [reasoning(), message("Hi")],
        Choice(
            0,
            "Hi",
            reasoning_details=(detail("encrypted", 0, data="E"),),
            finish_reason="stop",
        ),
    ),
    "reasoning between calls": (
        [
            reasoning(id="rs_1"),
            function_call("c1", "add", "{}"),
            reasoning(id="rs_2"),
            function_call("c2", "add", "{}"),
        ],
        Choice(
            0,
            tool_calls=(ToolCall("c1", "add", "{}"), ToolCall("c2", "add", "{}")),
            reasoning_details=(
                detail("encrypted", 0, data="E"),
                detail("encrypted", 1, "rs_2", data="E", before="c2"),
            ),
            finish_reason="tool_calls",
        ),
    ),
    "a built-in tool between messages of two phases": (
        [
            message("Let me look.", phase="commentary"),
            SEARCH,
            reasoning(),
            message("It rains.", id="msg_2", phase="final_answer"),
        ],
        Choice(
            0,
            "Let me look.It rains.",
            parts=(
                {"type": "text", "text": "Let me look."},
                SEARCH,
                {"type": "text", "text": "It rains.", "phase": "final_answer"},
            ),
            message_extra={"phase": "commentary"},
            reasoning_details=(detail("encrypted", 0, data="E", before="message"),),
            finish_reason="stop",
        ),
    ),
}


def whole(given: dict[str, Any], **options: Any) -> Reply:
    return parse_completion(json.dumps(given).encode(), api="responses", **options)


def streamed(body: bytes, size: int = 1 << 20, **options: Any) -> Reply:
    stream = ChunkStream(api="responses", **options)
    for start in range(0, len(body), size):
        list(stream.feed(body[start : start + size]))
    list(stream.close())
    return stream.so_far()


@pytest.mark.parametrize("case", CASES)
def test_a_whole_response_is_one_choice(case):
    output, expected = CASES[case]
    reply = whole(response(*output), request_id="req")
    assert reply.choices == (expected,)
    assert (reply.id, reply.model, reply.created) == ("resp_1", "gpt-5.6", 1_700_000_000)
    assert reply.request_id == "req"
    usage = reply.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 5, 15)
    assert usage.prompt_details == {"cached_tokens": 4}
    assert usage.completion_details == {"reasoning_tokens": 3}


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("case", CASES)
def test_a_stream_adds_up_to_the_whole_response(case, size):
    given = response(*CASES[case][0])
    assert streamed(sse(*events(given)), size) == replace(whole(given), raw={})


@pytest.mark.parametrize("case", CASES)
def test_a_stream_whose_deltas_were_left_out_adds_up_too(case):
    given = response(*CASES[case][0])
    body = sse(*(one for one in events(given) if not one["type"].endswith("delta")))
    assert streamed(body) == replace(whole(given), raw={})
    last = sse(*(one for one in events(given) if "response" in one))
    assert streamed(last) == replace(whole(given), raw={})


@pytest.mark.parametrize("case", CASES)
def test_a_stream_that_ends_before_its_last_event_was_interrupted(case):
    *before, _ = events(response(*CASES[case][0]))
    for count in range(1, len(before) + 1):
        with pytest.raises(errors.StreamInterrupted, match=r"response\.completed") as caught:
            streamed(sse(*before[:count]))
        assert CASES[case][1].text.startswith(caught.value.partial.text)


def test_an_empty_stream_is_unreadable():
    with pytest.raises(errors.UnreadableResponse):
        streamed(b"")


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("steered", "steered")],
)
def test_an_incomplete_response_says_why(reason, finish_reason):
    given = response(message("Hel"), status="incomplete", incomplete_details={"reason": reason})
    for reply in (whole(given), streamed(sse(*events(given)))):
        assert (reply.text, reply.choice.finish_reason) == ("Hel", finish_reason)


FAILURE = {"code": "rate_limit_exceeded", "message": "Too many requests."}


BEGUN = {"type": "function_call", "id": "fc_1", "call_id": "c1"}
ADDED = {"type": "response.output_item.added", "output_index": 0}
ARGUMENTS = {"output_index": 0, "item_id": "fc_1"}
DELTA = {"type": "response.function_call_arguments.delta", **ARGUMENTS, "delta": "{}"}
DONE = {"type": "response.function_call_arguments.done", **ARGUMENTS, "arguments": "{}"}
CALLED = {**BEGUN, "name": "a", "arguments": "{}"}
ITEM_DONE = {**ADDED, "type": "response.output_item.done", "item": CALLED}


@pytest.mark.parametrize(
    "given",
    [
        [{**ADDED, "item": BEGUN}, DELTA, ITEM_DONE],
        [{**ADDED, "item": BEGUN}, DELTA, {**DONE, "name": "a"}],
        [{**ADDED, "item": {**BEGUN, "name": "a"}}, DONE],
        [{**ADDED, "item": {**BEGUN, "name": "a"}}, DELTA, {**DONE, "name": "a"}, ITEM_DONE],
    ],
    ids=["name in the item", "name in the arguments", "arguments in one event", "both repeated"],
)
@pytest.mark.parametrize("output", [[], [CALLED]])
def test_a_call_has_the_name_and_the_arguments_of_its_last_events(given, output):
    end = {"type": "response.completed", "response": response(*output)}
    (made,) = streamed(sse(*given, end)).choice.tool_calls
    assert (made.id, made.name, made.arguments) == ("c1", "a", "{}")


def test_the_content_of_a_message_may_be_its_text():
    assert whole(response({**message("Hi"), "content": "Hi"})).text == "Hi"


def test_a_failed_response_is_an_error():
    given = response(message("Hel"), status="failed", error=FAILURE)
    with pytest.raises(errors.RateLimited, match="Too many requests"):
        whole(given)
    with pytest.raises(errors.RateLimited, match="Too many requests") as caught:
        streamed(sse(*events(given)))
    assert caught.value.partial.text == "Hel"


def test_a_failed_response_without_an_error_is_an_error():
    given = response(status="failed")
    with pytest.raises(errors.ServerFailed):
        whole(given)
    with pytest.raises(errors.ServerFailed):
        streamed(sse(*events(given)))


def test_an_error_event_is_an_error_with_the_text_so_far():
    *before, _ = events(response(message("Hello")))
    body = sse(*before[:5], {"type": "error", **FAILURE, "param": None})
    with pytest.raises(errors.RateLimited, match="Too many requests") as caught:
        streamed(body)
    assert caught.value.partial.text == "Hel"


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled"])
def test_a_response_that_is_not_finished_is_unreadable(status):
    with pytest.raises(errors.UnreadableResponse, match=status):
        whole(response(status=status))


@pytest.mark.parametrize("given", [{}, {"choices": []}, {"object": "list", "data": []}])
def test_a_body_of_another_kind_is_unreadable(given):
    with pytest.raises(errors.UnreadableResponse, match="without output"):
        whole(given)


def test_unknown_events_are_kept_in_raw_and_change_nothing():
    given = response(message("Hello"))
    first, *rest = events(given)
    unknown = {"type": "response.new_thing.delta", "delta": "x", "output_index": 0}
    stream = ChunkStream(api="responses")
    chunks = list(stream.feed(sse(first, unknown, *rest)))
    assert chunks[1].raw["type"] == "response.new_thing.delta"
    assert stream.so_far() == replace(whole(given), raw={})


def test_fields_beyond_the_echo_of_the_request_are_kept():
    given = response(message("Hi"), service_tier="flex", temperature=1, previous_response_id="r0")
    extra = whole(given).extra
    assert extra["service_tier"] == "flex"
    assert extra["previous_response_id"] == "r0"
    assert "temperature" not in extra


def test_adapted_tool_names_become_the_original_ones():
    given = response(function_call("c1", "a_b", "{}"))
    names = {"a_b": "a.b"}
    for reply in (whole(given, tool_names=names), streamed(sse(*events(given)), tool_names=names)):
        assert reply.choice.tool_calls[0].name == "a.b"


@pytest.mark.parametrize(
    "item",
    [
        reasoning(),
        reasoning("A", "B"),
        reasoning("A", encrypted=None),
        reasoning(encrypted=None),
        {**reasoning("A"), "content": [{"type": "reasoning_text", "text": "T"}]},
        {**reasoning("A"), "status": "completed", "new_field": [1]},
    ],
)
def test_reasoning_items_are_sent_back_unchanged(item):
    details = list(reasoning_details(item, 0, None))
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    conversation = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": None, "reasoning_details": details, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    stored = {"store": "encrypted_content" not in item}
    request = ChatRequest(model="m", api="responses", messages=conversation, extra_body=stored)
    _, sent, called, _ = request.body(stream=False)["input"]
    assert sent == item
    assert called["type"] == "function_call"

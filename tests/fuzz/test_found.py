"""What fuzzing found, read as it should be; that nothing worse happens, the corpus shows."""

import json

import pytest

from sunra_integrations.protocol.error_parsing import error_from_response
from sunra_integrations.protocol.json_text import as_int
from sunra_integrations.protocol.reply import parse_usage
from sunra_integrations.protocol.stream import ChunkStream


def replied(*deltas, **choice):
    stream = ChunkStream()
    for delta in deltas:
        event = {"choices": [{"index": 0, "delta": delta, **choice}]}
        list(stream.feed(b"data: " + json.dumps(event).encode() + b"\n\n"))
    return stream.so_far().choice


def named(arguments):
    return {"tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}


@pytest.mark.parametrize(
    ("cost", "read"),
    [
        (0.5, 0.5),
        (2, 2.0),
        (10**400, None),
        (float("inf"), None),
        (float("nan"), None),
        (True, None),
    ],
)
def test_a_cost_that_cannot_be_added_up_is_read_as_absent(cost, read):
    assert parse_usage({"cost": cost}).cost == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (10**18, 10**18),
        (2**63, None),
        (10**4299, None),
        (1e300, None),
        (3.0, 3),
        (float("nan"), None),
    ],
)
def test_a_count_beyond_64_bits_is_read_as_absent(value, read):
    assert as_int(value) == read


def test_a_part_whose_type_is_a_list_holds_no_text_and_is_kept():
    choice = replied({"content": [{"type": [], "text": "a"}]})
    assert (choice.text, choice.parts) == ("", ({"type": [], "text": "a"},))


def test_text_parts_are_joined_where_they_hold_text():
    empty = {"type": "text", "text": None}
    choice = replied({"content": [empty]}, {"content": ["a"]}, {"content": "b"})
    assert choice.parts == (empty, {"type": "text", "text": "ab"})


@pytest.mark.parametrize(
    ("texts", "joined"),
    [((5, "a", "b"), [5, "ab"]), (("a", 5), ["a", 5]), (("a", None), ["a"])],
)
def test_reasoning_text_of_the_wrong_type_stands_alone(texts, joined):
    choice = replied(*({"reasoning_details": [{"text": text}]} for text in texts))
    assert [detail["text"] for detail in choice.reasoning_details] == joined


def test_logprobs_that_become_a_list_are_one():
    stream = ChunkStream()
    for content in (5, [1], [2]):
        event = {"choices": [{"delta": {}, "logprobs": {"content": content}}]}
        list(stream.feed(b"data: " + json.dumps(event).encode() + b"\n\n"))
    assert stream.so_far().choice.logprobs == {"content": [1, 2]}


def test_calls_without_ids_are_told_apart_by_arguments_that_are_complete():
    choice = replied(*map(named, ['{"a": "', '}\\"', '"}', "{}"]))
    assert [call.arguments for call in choice.tool_calls] == ['{"a": "}\\""}', "{}"]


def test_code_and_request_id_are_shown_cleaned_and_cut_and_kept_as_they_came():
    body = {"error": {"message": "no", "code": "a\x1b[31m" + "b" * 9000}}
    error = error_from_response(400, {"x-request-id": "r\n1"}, json.dumps(body).encode(), now=0.0)
    assert error.message.startswith("no (HTTP 400, a [31mbbb")
    assert "request r 1)" in error.message
    assert len(error.message) < 400
    assert (error.code, error.request_id) == (body["error"]["code"], "r\n1")

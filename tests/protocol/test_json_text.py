"""JSON is read as the frameworks read it, into text that can be encoded."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import from_json

from sunra_integrations.protocol.json_text import (
    MAX_DEPTH,
    EventJsonReader,
    parse_partial_object,
    read_json,
    to_strict_json,
    well_formed,
)

HALVES = st.sampled_from(["\ud83e", "\udd8a", "a", "\n", '"', "\\", "é", "🦊"])
BROKEN_TEXT = st.lists(HALVES, max_size=6).map("".join)


def nested(depth: int, innermost: str = "") -> str:
    return "[" * depth + innermost + "]" * depth


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('{"a": "b\nc\td\x00"}', {"a": "b\nc\td\x00"}),
        (b'{"a": "b\nc"}', {"a": "b\nc"}),
        (r'"\ud83e\udd8a"', "🦊"),
        (r'"a\ud83eb"', "a\ufffdb"),
        (r'"\udd8a"', "\ufffd"),
        (r'{"\ud83e": ["\ud83e"]}', {"\ufffd": ["\ufffd"]}),
        ('"\ud83e\udd8a\ud83e"', "🦊\ufffd"),
        (b'"\xed\xa0\xbe\xed\xb6\x8a"', "🦊"),
        (b"\xef\xbb\xbf[1]", [1]),
        ("[1]".encode("utf-16"), [1]),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ("[Infinity, -Infinity]", [float("inf"), float("-inf")]),
        ("1" + "0" * 4299, 10**4299),
    ],
    ids=ascii,
)
def test_read_json(written, value):
    assert read_json(written) == value


@pytest.mark.parametrize(
    "written",
    ["", "{", "{'a': 1}", "[1,]", '"\\x"', "[1] 2", "1" + "0" * 4300, b'"\xff"', "<p>", "NaN NaN"],
    ids=ascii,
)
def test_invalid_json_is_a_value_error(written):
    with pytest.raises(ValueError, match=r"."):
        json.loads(written, strict=False)
    with pytest.raises(ValueError, match=r"."):
        read_json(written)


@given(st.text(), st.booleans())
def test_strings_are_read_as_json_loads_reads_them(text, ascii_only):
    written = json.dumps({"a": text}, ensure_ascii=ascii_only)
    assert read_json(written) == json.loads(written, strict=False)


@pytest.mark.parametrize("innermost", ["", "1"])
@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 990, 100_000])
def test_both_parsers_have_the_same_maximum_depth(depth, innermost):
    plain, lenient = nested(depth, innermost), f'["\n", {nested(depth - 1, innermost)}]'
    try:
        from_json(plain)
    except ValueError:
        for written in (plain, lenient):
            with pytest.raises(ValueError, match="nested more than"):
                read_json(written)
    else:
        assert read_json(plain) == from_json(plain)
        assert read_json(lenient)[0] == "\n"


@given(BROKEN_TEXT)
def test_any_text_can_be_encoded_once_it_is_well_formed(text):
    fixed = well_formed(text)
    assert fixed.encode().decode() == fixed
    assert well_formed(fixed) == fixed
    assert len(fixed.encode("utf-16-le")) == len(text.encode("utf-16-le", "surrogatepass"))


@given(BROKEN_TEXT, st.booleans())
def test_strict_json_has_the_same_value_and_every_parser_reads_it(text, ascii_only):
    written = json.dumps({"a": text, "b": [1, text]}, ensure_ascii=ascii_only)
    written = written.replace("\\n", "\n").replace("\\\n", "\\\\n")
    assert from_json(to_strict_json(written)) == read_json(written)


@pytest.mark.parametrize(
    ("written", "fields"),
    [
        ('{"a": "b\nc", "d": "e', {"a": "b\nc"}),
        ('{"a": "b\nc', {}),
        (r'{"a": "\ud83e x", "b": [1, ', {"a": "\ufffd x", "b": [1]}),
        ("[1, 2", {}),
        ("not JSON", {}),
    ],
)
def test_parse_partial_object(written, fields):
    assert parse_partial_object(written) == fields


def events(field: str, *texts: str, finish: bool = True) -> list[object]:
    choices = [{"index": 0, "delta": {field: text}} for text in texts]
    ended = [{"index": 0, "delta": {}, "finish_reason": "stop"}] if finish else []
    return [{"choices": [choice]} for choice in choices + ended]


def read_all(written: list[object]) -> list[dict]:
    reader = EventJsonReader()
    read = [reader.read(json.dumps(event).encode()) for event in written]
    json.dumps(read, ensure_ascii=False).encode()  # no half is left anywhere
    return [event["choices"][0].get("delta") for event in read]


@given(st.lists(BROKEN_TEXT, min_size=1, max_size=5), st.sampled_from(["content", "reasoning"]))
@example(["a\ud83e", "", "\udd8ab"], "content")
def test_a_text_split_anywhere_is_unchanged(texts, field):
    deltas = read_all(events(field, *texts))
    assert "".join(delta.get(field, "") for delta in deltas) == well_formed("".join(texts))


@given(st.text(max_size=8).map(lambda text: text + "🦊"), st.data())
def test_splitting_a_text_replaces_no_character(text, data):
    units = text.encode("utf-16-le")
    cuts = data.draw(st.lists(st.integers(0, len(units) // 2), max_size=4).map(sorted))
    bounds = [0, *(2 * cut for cut in cuts), len(units)]
    texts = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in itertools.pairwise(bounds)]
    deltas = read_all(events("content", *texts))
    assert "".join(delta.get("content", "") for delta in deltas) == text


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        (
            {"tool_calls": [{"index": 1, "function": {"arguments": '{"a":"\ud83e'}}]},
            {"tool_calls": [{"index": 1, "function": {"arguments": '\udd8a"}'}}]},
            [{"index": 1, "function": {"arguments": '🦊"}'}}],
        ),
        (
            {"reasoning_details": [{"index": 0, "text": "\ud83e"}]},
            {"reasoning_details": [{"index": 0, "text": "\udd8a"}]},
            [{"index": 0, "text": "🦊"}],
        ),
        (
            {"content": [{"type": "text", "text": "\ud83e"}]},
            {"content": [{"type": "text", "text": "\udd8a"}]},
            [{"type": "text", "text": "🦊"}],
        ),
        (
            {"audio": {"transcript": "\ud83e"}},
            {"audio": {"transcript": "\udd8a"}},
            {"transcript": "🦊"},
        ),
        ({"refusal": "\ud83e"}, {"refusal": "\udd8a"}, "🦊"),
        ({"name": "\ud83e"}, {"name": "\udd8a"}, "\ufffd"),
        (
            {"annotations": [{"title": "\ud83e"}]},
            {"annotations": [{"title": "\udd8a"}]},
            [{"title": "\ufffd"}],
        ),
    ],
)
def test_halves_are_joined_only_in_continued_strings(first, second, joined):
    deltas = read_all([{"choices": [{"index": 0, "delta": delta}]} for delta in (first, second)])
    assert next(iter(deltas[1].values())) == joined


def test_halves_of_two_choices_and_of_two_calls_are_not_mixed():
    def event(index: int, call: int, text: str) -> dict:
        calls = [{"index": call, "function": {"arguments": text}}]
        return {"choices": [{"index": index, "delta": {"content": text, "tool_calls": calls}}]}

    order = [(0, 0), (1, 0), (0, 1)]
    deltas = read_all(
        [event(*place, "\ud83e") for place in order] + [event(*place, "\udd8a") for place in order]
    )
    arguments = [delta["tool_calls"][0]["function"]["arguments"] for delta in deltas[3:]]
    assert arguments == ["🦊", "🦊", "🦊"]


@pytest.mark.parametrize("later", [{}, {"id": "c1"}, {"type": "function"}])
def test_a_half_continues_in_a_delta_without_an_index(later):
    def event(call: dict, text: str) -> dict:
        calls = [{**call, "function": {"arguments": text}}]
        return {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}

    read = read_all([event({"id": "c1"}, "\ud83e"), event(later, ""), event(later, "\udd8a")])
    assert [delta["tool_calls"][0]["function"]["arguments"] for delta in read] == ["", "", "🦊"]


def test_a_half_of_one_call_does_not_continue_in_another():
    def event(call: int, text: str) -> dict:
        calls = [{"index": call, "function": {"arguments": text}}]
        return {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}

    read = read_all([event(0, "\ud83e"), event(1, "\udd8a"), event(0, "\udd8a")])
    assert [delta["tool_calls"][0]["function"]["arguments"] for delta in read] == [
        "",
        "\ufffd",
        "🦊",
    ]


def test_halves_in_logprobs_are_not_joined():
    token = {"content": [{"token": "\ud83e"}]}
    event = {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": token}]}
    (read,) = [EventJsonReader().read(json.dumps(event).encode())]
    assert read["choices"][0]["logprobs"] == {"content": [{"token": "\ufffd"}]}


def test_half_a_character_at_the_end_of_a_choice_is_replaced():
    assert read_all(events("content", "a\ud83e"))[-1] == {"content": "\ufffd"}
    last = {"choices": [{"index": 0, "delta": {"content": "b\ud83e"}, "finish_reason": "length"}]}
    assert read_all([*events("content", "a", finish=False), last])[-1] == {"content": "b\ufffd"}

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunra_integrations.protocol.json_text import parse_arguments
from sunra_integrations.protocol.stream import ChunkStream
from sunra_integrations.protocol.tool_call_tracker import ToolCallTracker


def entry(index=None, id=None, name=None, arguments=""):  # noqa: A002 - the wire's name
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("arguments", "parsed"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("  ", {}),
        ("null", {}),
        ("false", {}),
        ('{"a": ', None),
        ("[1]", None),
        ('"text"', None),
    ],
)
def test_parse_arguments(arguments, parsed):
    assert parse_arguments(arguments) == parsed


def test_only_the_first_delta_has_id_and_name():
    order = ToolCallTracker()
    first, *later = [order.process([entry(0, "c1", "add", "{")])[0] for _ in range(3)]
    assert (first.id, first.name) == ("c1", "add")
    assert [(piece.id, piece.name) for piece in later] == [(None, None)] * 2


def test_a_repeated_name_with_blanks_does_not_begin_a_call():
    order = ToolCallTracker()
    pieces = [order.process([entry(0, None, "add", a)])[0] for a in ('{"a":1}', "", " \n")]
    assert {piece.call_index for piece in pieces} == {0}


def test_a_second_call_of_a_function_under_one_index_without_ids():
    order = ToolCallTracker()
    pieces = [order.process([entry(0, None, "add", a)])[0] for a in ('{"a":1}', '{"a":2}')]
    assert [piece.call_index for piece in pieces] == [0, 1]


@pytest.mark.parametrize("entries", [None, {}, "x", 3, [None, 3, "x"]])
def test_anything_but_a_list_has_no_calls(entries):
    assert ToolCallTracker().process(entries) == ()


NAMES = st.sampled_from(["add", "sub", "get_weather"])
ARGUMENTS = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6), max_size=3)


@given(st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1, max_size=4), st.data())
def test_interleaved_deltas_add_up_to_their_calls(calls, data):
    keyed_by_index = data.draw(st.booleans())
    repeated = data.draw(st.booleans())
    queues = []
    for number, (name, arguments) in enumerate(calls):
        text = json.dumps(arguments)
        cut = data.draw(st.integers(0, len(text)))
        pieces = [
            entry(number, f"c{number}", name, text[:cut]),
            entry(number, f"c{number}", name, text[cut:]),
        ]
        if not repeated and keyed_by_index:
            pieces[1] = entry(number, None, None, text[cut:])
        if not keyed_by_index:
            pieces = [{**piece, "index": None} for piece in pieces]
        queues.append(pieces)
    sent = [queue.pop(0) for queue in queues]
    rest = [queue[0] for queue in queues]
    sent += data.draw(st.permutations(rest))
    body = b"".join(
        b"data: "
        + json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [e]}}]}).encode()
        + b"\n\n"
        for e in sent
    )
    body += b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
    stream = ChunkStream()
    list(stream.feed(body))
    list(stream.close())
    found = [(c.id, c.name, c.parsed()) for c in stream.so_far().choice.tool_calls]
    assert found == [(f"c{i}", name, arguments) for i, (name, arguments) in enumerate(calls)]

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunra_integrations.errors import UnreadableResponse
from sunra_integrations.protocol.sse import Event, SSEDecoder


def parse(*pieces: bytes) -> list[Event]:
    stream = SSEDecoder()
    return [event for piece in pieces for event in stream.feed(piece)] + stream.close()


NEWLINES = st.sampled_from([b"\n", b"\r", b"\r\n"])
LINE = st.binary(max_size=12).map(lambda line: line.replace(b"\r", b"?").replace(b"\n", b"?"))


@st.composite
def written_events(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """Events, and the bytes that a server could have written them as."""
    wire, events = b"", []
    for lines in draw(st.lists(st.lists(LINE, min_size=1, max_size=3), max_size=5)):
        name = draw(st.sampled_from(["", "error", "message"]))
        fields = [b"event: " + name.encode()] if name else []
        fields += [b"data: " + line for line in lines]
        fields += draw(st.lists(st.sampled_from([b": ping", b"id: 7", b"retry: 10"]), max_size=2))
        for written in fields:
            wire += written + draw(NEWLINES)
        # A bare CR ends a line only for sure when no LF follows, so the blank line is an LF.
        wire += b"\n" if not wire.endswith(b"\r") else b"\n\n"
        events.append(Event(name, b"\n".join(lines)))
    return wire, events


@given(written_events(), st.data())
def test_events_do_not_depend_on_how_the_bytes_are_split(written, data):
    wire, events = written
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    bounds = [0, *cuts, len(wire)]
    pieces = [wire[a:b] for a, b in itertools.pairwise(bounds)]
    assert parse(*pieces) == events


@given(st.binary(max_size=200), st.data())
def test_any_bytes_give_the_same_events_whole_and_split(wire, data):
    offset = data.draw(st.integers(0, len(wire)))
    assert parse(wire) == parse(wire[:offset], wire[offset:])


@given(st.binary(max_size=300))
def test_only_the_size_limit_raises(wire):
    stream = SSEDecoder(max_event_bytes=100)
    try:
        stream.feed(wire)
        stream.close()
    except UnreadableResponse as error:
        assert "100 bytes" in error.message  # noqa: PT017 - most inputs raise nothing


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: " + b"x" * 200],
        [b"data: " + b"x" * 60] * 4,
        [b"data: " + b"x" * 60 + b"\n"] * 2,
        [b"x" * 99, b"x" * 99],
    ],
    ids=["one long line", "a line that never ends", "many data lines", "no event at all"],
)
def test_an_event_over_the_limit_is_rejected_before_it_is_complete(pieces):
    stream = SSEDecoder(max_event_bytes=100)
    with pytest.raises(UnreadableResponse, match="max_response_bytes"):
        list(map(stream.feed, pieces))


def test_only_data_counts_as_progress():
    stream = SSEDecoder()
    stream.feed(b": ping\n\n\n: ping\n: pi")
    assert stream.data_received == 0
    stream.feed(b"ng\n\ndata: a")
    assert stream.data_received > 0


def test_a_carriage_return_and_line_feed_in_two_blocks_end_one_line():
    assert parse(b"data: a\r", b"\ndata: b\r", b"\n\r\n") == [Event("", b"a\nb")]


def test_stray_lines_are_kept_for_the_error():
    stream = SSEDecoder()
    stream.feed(b"<html>\n<title>502</title>\n")
    assert stream.stray == b"<html>\n<title>502</title>"

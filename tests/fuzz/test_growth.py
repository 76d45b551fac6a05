"""A megabyte of any kind is read in time and room that are of the order of a megabyte.

Most take a fifth of a second, the dearest (a sixth of a million choices) a few; a reader that
copies what came before at each piece takes many times the limit.
"""

import time
import tracemalloc
from contextlib import suppress

import pytest

from fuzz import nasty
from sunra_integrations.errors import SunraError, UnreadableResponse
from sunra_integrations.protocol.completion import parse_completion
from sunra_integrations.protocol.error_parsing import error_from_response
from sunra_integrations.protocol.sse import SSEDecoder
from sunra_integrations.protocol.stream import ChunkStream

SECONDS = 15.0
PIECE = 4096


def read_stream(body):
    stream = ChunkStream()
    for start in range(0, len(body), PIECE):
        for _ in stream.feed(body[start : start + PIECE]):
            pass
        if stream.done:
            break
    for _ in stream.close():
        pass


def read_error(body):
    raise error_from_response(500, {}, body, now=0.0)


CASES = [
    *(pytest.param(read_stream, make, id=f"stream, {n}") for n, make in nasty.STREAMS.items()),
    *(
        pytest.param(parse_completion, make, id=f"completion, {name}")
        for name, make in nasty.COMPLETIONS.items()
    ),
    *(pytest.param(read_error, make, id=f"error, {name}") for name, make in nasty.ERRORS.items()),
]


@pytest.mark.parametrize(("read", "make"), CASES)
def test_a_megabyte_of_any_kind_is_read_in_time(read, make):
    body = make()
    began = time.process_time()
    with suppress(SunraError):
        read(body)
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("line", [b"data\n", b"data:\n", b"data: \n", b"x", b"data: x", b":x"])
def test_an_event_without_end_is_given_up_at_the_limit(line):
    stream = SSEDecoder(max_event_bytes=10_000)
    with pytest.raises(UnreadableResponse, match="10,000 bytes"):
        [stream.feed(line) for _ in range(10_001)]


def test_what_belongs_to_no_event_takes_little_room():
    stream = SSEDecoder()
    tracemalloc.start()
    try:
        for _ in range(40):
            stream.feed((b"a" * 99 + b"\n") * 1_000)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 1_000_000


def test_events_before_one_that_is_too_long_are_not_lost():
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "Hel"}}]}\n\n'
    stream = ChunkStream(request_id="r-1", max_event_bytes=100)
    chunks = stream.feed(event + b"data: " + b"x" * 200)
    assert next(chunks).choices[0].text == "Hel"
    with pytest.raises(UnreadableResponse, match="100 bytes") as caught:
        next(chunks)
    assert caught.value.partial.text == "Hel"
    assert caught.value.request_id == "r-1"


def test_a_partial_reply_does_not_change_when_more_arrives():
    event = b'data: {"choices": [{"delta": {"x": [1], "logprobs": null}}]}\n\n'
    stream = ChunkStream()
    list(stream.feed(event + event))
    before = stream.so_far()
    list(stream.feed(event))
    assert before.choice.message_extra == {"x": [1, 1]}
    assert stream.so_far().choice.message_extra == {"x": [1, 1, 1]}

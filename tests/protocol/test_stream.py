"""Nothing is lost in silence before an answer is whole, and nothing fails it afterwards."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sunra_integrations.errors import ServerFailed, StreamInterrupted, UnreadableResponse
from sunra_integrations.protocol.sse import STRAY, Event, SSEDecoder
from sunra_integrations.protocol.stream import ChunkStream


def event(delta: object = None, finish: str | None = None, index: int = 0) -> bytes:
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "g", "choices": [choice]}).encode() + b"\n\n"


WORDS = [event({"content": word}) for word in ("Do ", "not ", "take it.")]
STOP = event(finish="stop")
DONE = b"data: [DONE]\n\n"


def read(*body: bytes, n: int = 1, limit: int = 1 << 20) -> str:
    stream = ChunkStream(requested_choices=n, max_event_bytes=limit)
    for piece in body:
        list(stream.feed(piece))
    list(stream.close())
    return stream.so_far().text


DAMAGES = {
    "a letter glued to it": lambda line: b"x" + line,
    "bytes glued to it": lambda line: b"\x0b\x85\x80" + line,
    "a blank in front": lambda line: b" " + line,
    "a capital": lambda line: b"D" + line[1:],
    "a letter lost": lambda line: line[1:],
    "its name lost": lambda line: line[4:],
    "its name and its beginning lost": lambda line: line[line.index(b": [") :],
    "the colon lost": lambda line: line.replace(b"data:", b"data", 1),
    "a byte order mark in the middle": lambda line: b"\xef\xbb\xbf" + line,
    "a comment glued to it": lambda line: b": ping" + line,
    "an id glued to it": lambda line: b"id: 7" + line,
    "a name glued to it": lambda line: b"event: message" + line,
    "another event glued to it": lambda line: line.strip() + line,
    "cut": lambda line: line[:20] + b"\n\n",
    "cut by a carriage return": lambda line: line[:20] + b"\r" + line[20:],
    "its size from the transfer coding": lambda line: b"62\r\n" + line + b"\r\n",
    "bytes that are no UTF-8": lambda line: line.replace(b"content", b"cont\xffnt", 1),
}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_line_interrupts_the_stream(damage, place):
    words = [*WORDS[:place], damage(WORDS[place]), *WORDS[place + 1 :]]
    if place == 0 and words[0].startswith(b"\xef\xbb\xbf"):
        assert read(*words, STOP, DONE) == "Do not take it."  # before a stream it is no damage
        return
    with pytest.raises(StreamInterrupted) as failed:
        read(*words, STOP, DONE)
    partial = failed.value.partial
    assert (partial.text if partial else "") == "".join(["Do ", "not "][:place])


TAILS = {
    "[DONE] with a blank behind": b"data: [DONE] \n\n",
    "[DONE] with blanks before": b"data:   [DONE]\n\n",
    "[DONE] without data": b"[DONE]\n\n",
    "empty data": b"data:\n\ndata: \n\ndata\n\n",
    "a word": b"data: keep-alive\n\n",
    "null": b"data: null\n\n",
    "a list": b"data: []\n\n",
    "a cut event": b'data: {"id":"g","choices":[],"usage":{"prompt_to',
    "a cut field": b"dat",
    "no UTF-8": b"data: \xff\xfe\n\n",
    "an event nested too deeply": b"data: " + b"[" * 999 + b"]" * 999 + b"\n\n",
    "a page": b"<html>\n<body>502</body>\n</html>\n",
    "an event that is too long": b"data: " + b"x" * 2000 + b"\n\n",
    "a line that never ends": b"x" * 2000,
    "fields of the format": b": bye\nid: 7\nretry: 10\nevent: end\n\n",
}


@pytest.mark.parametrize("behind", [b"", DONE], ids=["at the end", "before [DONE]"])
@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_a_damaged_end_is_ignored_once_every_choice_has_finished(tail, behind):
    assert read(*WORDS, STOP, tail, behind, limit=1000) == "Do not take it."


@pytest.mark.parametrize("tail", TAILS, ids=TAILS)
def test_a_damaged_end_is_an_error_before_a_choice_has_finished(tail):
    with pytest.raises(UnreadableResponse):
        read(*WORDS, TAILS[tail], DONE, limit=1000)


def test_usage_after_a_damaged_line_is_still_read():
    stream = ChunkStream()
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
    list(stream.feed(b"".join([*WORDS, STOP, b"data: keep-alive\n\n", b"junk\n", usage])))
    assert stream.so_far().usage.total_tokens == 3


def test_a_damaged_line_interrupts_while_a_choice_is_missing():
    with pytest.raises(StreamInterrupted):
        read(*WORDS, STOP, b"x" + event({"content": "B"}, "stop", 1), DONE, n=2)


def test_an_error_after_the_finish_reason_is_raised():
    with pytest.raises(ServerFailed, match="It failed"):
        read(*WORDS, STOP, b'data: {"error": {"message": "It failed"}}\n\n')


KNOWN = (b"data", b"event", b"id", b"retry", b"error", b"")
LINES = st.binary(min_size=1, max_size=12).filter(
    lambda line: (
        line.strip()
        and line.partition(b":")[0].removeprefix(b"\xef\xbb\xbf") not in KNOWN
        and not set(line) & set(b"\r\n")
    )
)


@given(LINES, st.integers(0, 4), st.integers(1, 9))
def test_an_unknown_field_interrupts_the_stream_until_it_has_finished(line, place, size):
    body = b"".join([*(parts := [*WORDS, STOP])[:place], line, b"\n", *parts[place:], DONE])
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    if place == 4:
        assert read(*pieces) == "Do not take it."
        return
    with pytest.raises(StreamInterrupted, match="a line is damaged"):
        read(*pieces)


def test_a_stray_line_is_an_event_in_its_place():
    stream = SSEDecoder()
    assert stream.feed(b"data: a\n\nxdata: b\n\ndata: c\nE\n\n") == [
        Event("", b"a"),
        Event(STRAY, b"xdata: b"),
        Event(STRAY, b"E"),
        Event("", b"c"),
    ]


def test_blank_lines_and_comments_are_not_events():
    assert SSEDecoder().feed(b"  \n\t\n: data: ping\n:\n\n") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'error: {"code":500,"message":"out of context"}\n\n', "out of context"),
        (b'error:{"error":{"message":"out of context"}}\n\n', "out of context"),
        (b'error: {"code":500,"mess\n\n', '"mess'),
    ],
)
def test_an_error_field_raises_the_message_of_the_server(line, words):
    with pytest.raises(ServerFailed, match=words) as failed:
        read(*WORDS, line)
    assert failed.value.partial.text == "Do not take it."


def test_a_body_that_begins_with_error_is_quoted():
    with pytest.raises(UnreadableResponse, match="error: no such page"):
        read(b"error: no such page\n")

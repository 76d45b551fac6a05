"""Every fixture in tests/wire is read correctly, wherever its bytes are split."""

from __future__ import annotations

import re

import pytest

from sunra_integrations.errors import StreamInterrupted, SunraError, UnreadableResponse
from sunra_integrations.protocol.accumulator import accumulate
from sunra_integrations.protocol.completion import parse_completion
from sunra_integrations.protocol.reply import Chunk, Reply
from sunra_integrations.protocol.stream import ChunkStream
from tests.wire_cases import (
    BOTH_COMPLETIONS,
    BOTH_STREAMS,
    HELLO,
    WIRE,
    Fails,
    Seen,
    api_of,
    completion_bytes,
    seen,
    stream_bytes,
)

Ending = Reply | tuple[type[SunraError], str, Reply | None]


def read(pieces: list[bytes], name: str) -> tuple[list[Chunk], Ending]:
    """The chunks, and what they end in: a reply, or an error with its words and partial answer."""
    stream = ChunkStream(api=api_of(name), fallback_id="req-1")
    chunks: list[Chunk] = []
    try:
        for piece in pieces:
            chunks.extend(stream.feed(piece))
        chunks.extend(stream.close())
    except SunraError as error:
        return chunks, (type(error), str(error), error.partial)
    return chunks, stream.so_far()


def expect(result: Ending, expected: Seen | Fails) -> None:
    match expected:
        case Seen():
            assert isinstance(result, Reply), result
            assert seen(result) == expected
        case Fails(error, partial, says):
            assert isinstance(result, tuple), result
            kind, words, arrived = result
            assert kind is error
            assert says in words
            assert (arrived.text if arrived else None) == partial


def test_every_fixture_has_an_expectation():
    assert names("*.sse") == [f"{name}.sse" for name in sorted(BOTH_STREAMS)]
    assert names("*.json") == [f"{name}.json" for name in sorted(BOTH_COMPLETIONS)]


def names(pattern: str) -> list[str]:
    return sorted(path.relative_to(WIRE).as_posix() for path in WIRE.rglob(pattern))


def test_every_fixture_names_its_source_or_says_that_it_is_assumed():
    rows = re.findall(
        r"^\| `([^`]+)` \| ([^|]+) \| (assumed|<https://[^>]+>) \|$",
        (WIRE / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    named = [name for name, note, _ in rows if note.strip()]
    assert named == sorted(names("*.sse") + names("*.json"), key=lambda name: ("/" in name, name))


@pytest.mark.parametrize("name", BOTH_STREAMS)
def test_a_stream_read_whole(name):
    _, ending = read([stream_bytes(name)], name)
    expect(ending, BOTH_STREAMS[name])


@pytest.mark.parametrize("name", BOTH_STREAMS)
def test_a_stream_read_byte_by_byte_gives_the_same(name):
    body = stream_bytes(name)
    assert read([body[i : i + 1] for i in range(len(body))], name) == read([body], name)


@pytest.mark.parametrize("name", BOTH_STREAMS)
def test_a_stream_split_at_every_offset_gives_the_same(name):
    body = stream_bytes(name)
    whole = read([body], name)
    for offset in range(len(body) + 1):
        assert read([body[:offset], body[offset:]], name) == whole, offset


@pytest.mark.parametrize(
    "name", [name for name, case in BOTH_STREAMS.items() if type(case) is Seen]
)
def test_the_chunks_of_a_stream_add_up_to_its_reply(name):
    chunks, reply = read([stream_bytes(name)], name)
    assert accumulate(chunks) == reply


@pytest.mark.parametrize("name", BOTH_COMPLETIONS)
def test_a_whole_answer(name):
    try:
        result: Ending = parse_completion(
            completion_bytes(name), api=api_of(name), fallback_id="req-1"
        )
    except SunraError as error:
        result = type(error), str(error), error.partial
    expect(result, BOTH_COMPLETIONS[name])


@pytest.mark.parametrize("name", [name for name, case in BOTH_STREAMS.items() if case == HELLO])
def test_a_stream_cut_at_any_offset_is_whole_or_interrupted(name):
    body = stream_bytes(name)
    _, whole = read([body], name)
    for offset in range(len(body)):
        _, ending = read([body[:offset]], name)
        if isinstance(ending, Reply):
            assert ending.text == whole.text
            assert ending.choice.finish_reason == whole.choice.finish_reason
        else:
            kind, _, partial = ending
            assert issubclass(kind, StreamInterrupted | UnreadableResponse)
            assert whole.text.startswith(partial.text if partial else "")

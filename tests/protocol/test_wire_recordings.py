"""Every recording in tests/wire is understood rightly, however its bytes are cut."""

from __future__ import annotations

import pytest

from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.answer import read_completion
from sunra_integrations.protocol.chunk_stream import ChunkStream
from sunra_integrations.protocol.reply import Reply, fold
from sunra_integrations.protocol.responses import Chunk
from tests.wire_cases import (
    COMPLETIONS,
    STREAMS,
    WIRE,
    Fails,
    Seen,
    completion_bytes,
    seen,
    stream_bytes,
)


def read(pieces: list[bytes]) -> tuple[list[Chunk], Reply]:
    stream = ChunkStream()
    chunks = [chunk for piece in pieces for chunk in stream.feed(piece)]
    chunks += stream.close()
    return chunks, stream.so_far()


def outcome(pieces: list[bytes]) -> Reply | tuple[type[SunraError], str, Reply | None]:
    try:
        return read(pieces)[1]
    except SunraError as error:
        return type(error), str(error), error.partial


def expect(result: object, expected: Seen | Fails) -> None:
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


def test_every_recording_has_an_expectation():
    assert {path.stem for path in WIRE.glob("*.sse")} == set(STREAMS)
    assert {path.stem for path in WIRE.glob("*.json")} == set(COMPLETIONS)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_read_whole(name):
    expect(outcome([stream_bytes(name)]), STREAMS[name])


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_read_byte_by_byte_gives_the_same(name):
    body = stream_bytes(name)
    assert outcome([body[i : i + 1] for i in range(len(body))]) == outcome([body])


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_split_at_every_offset_gives_the_same(name):
    body = stream_bytes(name)
    whole = outcome([body])
    for offset in range(len(body) + 1):
        assert outcome([body[:offset], body[offset:]]) == whole, offset


@pytest.mark.parametrize("name", [name for name, case in STREAMS.items() if type(case) is Seen])
def test_the_chunks_of_a_stream_add_up_to_its_reply(name):
    chunks, reply = read([stream_bytes(name)])
    assert fold(chunks) == reply


@pytest.mark.parametrize("name", COMPLETIONS)
def test_a_whole_answer(name):
    try:
        result: object = read_completion(completion_bytes(name))
    except SunraError as error:
        result = type(error), str(error), error.partial
    expect(result, COMPLETIONS[name])

"""The web app's stream of events, read without a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest

from cookbook.web_app.app import EventStream
from sunra_integrations.sandbox import HangUp, Http, sse
from tests.waiting import until

PATIENCE = 120
"""Seconds after which a test that waits has failed."""


READS_SOON = httpx.Timeout(PATIENCE, read=0.5)


def streamed(address: str) -> AbstractContextManager[httpx.Response]:
    return httpx.stream("POST", f"{address}/ask", json={"text": "Hello"}, timeout=PATIENCE)


def events(lines: Iterable[str]) -> Iterator[tuple[str, object]]:
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def asked(address: str, text: str = "How are you?") -> list[tuple[str, object]]:
    response = httpx.post(f"{address}/ask", json={"text": text}, timeout=PATIENCE)
    assert response.headers["content-type"].startswith("text/event-stream")
    return list(events(response.text.splitlines()))


def test_an_answer_comes_in_pieces_and_ends_with_its_usage(web_app, sunra_sandbox):
    sunra_sandbox.next("Well, thank you.\n\nAnd you?")
    *pieces, last = asked(web_app)
    assert {name for name, _ in pieces} == {"text"}
    assert len(pieces) > 3
    assert "".join(text for _, text in pieces) == "Well, thank you.\n\nAnd you?"
    assert last[0] == "done"
    assert last[1]["tokens"] > 0


@pytest.mark.parametrize(
    ("answer", "message", "try_again"),
    [
        (Http(429, {}, {"retry-after": "7"}), "Too many questions just now. Try again in 7", True),
        (Http(503), "Too many questions just now.", True),
        (Http(401), "Something went wrong on our side.", False),
        (HangUp(), "The model cannot be reached just now.", True),
    ],
)
def test_an_error_before_the_answer_is_an_event(web_app, sunra_sandbox, answer, message, try_again):
    sunra_sandbox.next(answer)
    [(name, told)] = asked(web_app)
    assert name == "error"
    assert told["message"].startswith(message)
    assert told["try_again"] is try_again


def test_an_answer_that_breaks_off_ends_with_an_error_and_never_with_done(web_app, sunra_sandbox):
    sunra_sandbox.next("word " * 50, cut_after=4_000)
    *pieces, (name, told) = asked(web_app)
    assert pieces
    assert {name for name, _ in pieces} == {"text"}
    assert (name, told["message"]) == ("error", "The answer broke off here.")


def test_an_error_shows_neither_the_key_nor_the_gateways_own_words(web_app, sunra_sandbox):
    sunra_sandbox.next(Http(401, {"error": {"message": "the key sk-123 of account 9 is void"}}))
    response = httpx.post(f"{web_app}/ask", json={"text": "Hello"}, timeout=PATIENCE)
    assert sunra_sandbox.api_key not in response.text
    assert "account 9" not in response.text


@pytest.mark.parametrize("text", ["", "x" * 4_001])
def test_a_question_that_cannot_be_asked_is_refused_before_anything_is_sent(
    web_app, sunra_sandbox, text
):
    refused = httpx.post(f"{web_app}/ask", json={"text": text}, timeout=PATIENCE)
    assert refused.status_code == 422
    assert not sunra_sandbox.requests


def test_a_reader_who_leaves_ends_the_call_to_the_model(web_app, sunra_sandbox):
    sunra_sandbox.next("word " * 5_000, pause=0.02)
    with streamed(web_app) as response:
        pieces = events(response.iter_lines())
        assert next(pieces) == ("text", "word")
    assert sunra_sandbox.requests[-1].disconnected.wait(PATIENCE)


def test_a_reader_who_leaves_while_the_model_is_silent_ends_the_call_too(web_app, sunra_sandbox):
    sunra_sandbox.next("Too late.", wait=600)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{web_app}/ask", json={"text": "Hello"}, timeout=READS_SOON)
    until(lambda: sunra_sandbox.requests)
    assert sunra_sandbox.requests[-1].disconnected.wait(PATIENCE)


def test_a_slow_reader_slows_the_model_down_and_ends_the_call_by_leaving(web_app, sunra_sandbox):
    sunra_sandbox.next(sse(*[piece_of(16_000)] * 4_000))  # more than the buffers of sockets hold
    with streamed(web_app) as response:
        pieces = response.iter_raw()
        next(pieces)  # and no more, though the connection stays open
        assert not sunra_sandbox.requests[-1].disconnected.wait(1)
    assert sunra_sandbox.requests[-1].disconnected.wait(PATIENCE)


async def test_a_stream_closes_its_source_even_if_someone_still_holds_it():
    async def endless():
        try:
            while True:
                yield b"piece"
        finally:
            closed.set()

    async def send(message):
        if message["type"] == "http.response.body":
            begun.set()
            await asyncio.Event().wait()  # a reader who takes nothing more

    async def receive():
        await begun.wait()
        return {"type": "http.disconnect"}

    begun, closed, source = asyncio.Event(), asyncio.Event(), endless()
    await EventStream(source)({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
    assert closed.is_set()


def piece_of(size: int) -> bytes:
    choice = {"index": 0, "delta": {"content": "x" * size}, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"

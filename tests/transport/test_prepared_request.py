"""The headers and bytes of a request."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest

from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport.deadline import Deadline
from sunra_integrations.transport.prepared_request import PreparedRequest
from sunra_integrations.transport.settings import Settings, Timeouts

ASKED = ChatRequest(model="m", messages=[{"role": "user", "content": "Grüße"}])


def forever() -> Deadline:
    return Deadline(Timeouts(), lambda: 0.0)


def request(*, stream: bool = False, **headers: str) -> httpx.Request:
    settings = Settings.resolve("key", "http://127.0.0.1:8000/v1", default_headers=headers)
    return PreparedRequest.from_chat(settings, ASKED, stream=stream, headers=None).build(forever())


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_what_httpx_would_make_of_it(stream):
    settings = Settings.resolve("key", "https://bücher.example:8443/v1")
    prepared = PreparedRequest.from_chat(settings, ASKED, stream=stream, headers={"X-A": "1"})
    made, reference = prepared.build(forever()), prepared.build_with(httpx.Client(), forever())
    assert {*made.headers.raw} == {*reference.headers.raw} - {(b"Connection", b"keep-alive")}
    assert (made.method, made.url, made.content) == (
        reference.method,
        reference.url,
        reference.content,
    )
    assert made.extensions == reference.extensions
    assert b"".join(made.stream) == made.content  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 1_000_000])
async def test_a_body_is_sent_in_parts_as_often_as_it_is_asked_for(size):
    messages = [{"role": "user", "content": "x" * size}]
    asked = ChatRequest(model="m", messages=messages)
    prepared = PreparedRequest.from_chat(Settings.resolve("key"), asked, stream=False, headers=None)
    body = prepared.build(forever()).stream
    assert isinstance(body, httpx.ByteStream)
    for _ in range(2):
        parts, async_parts = list(body), [part async for part in body]
        assert parts == async_parts
        assert b"".join(parts) == prepared.content
        assert max(map(len, parts)) <= 64 * 1024


GIVEN = {
    "user-agent": ("user-agent", "mine"),
    "ACCEPT": ("accept", "mine"),
    "host": ("host", "gateway.example"),
}


@pytest.mark.parametrize(("name", "sent"), GIVEN.items(), ids=GIVEN)
def test_a_header_of_the_user_s_stands_in_for_ours_however_it_is_spelt(name, sent):
    headers = request(**{name: sent[1]}).headers
    assert headers.get_list(sent[0]) == [sent[1]]


def test_what_tells_how_to_read_the_body_is_ours():
    made = request(**{"content-type": "7"})
    assert made.headers.get_list("content-type") == ["application/json"]
    assert made.headers.get_list("content-length") == [str(len(made.content))]


def test_no_header_is_sent_twice():
    names = [name.lower() for name, _ in request(**{"x-a": "1", "X-A": "2"}).headers.raw]
    assert Counter(names).most_common(1)[0][1] == 1

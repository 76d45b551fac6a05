"""Crowds, and answers of uncommon size."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from sunra_integrations.errors import UnreadableResponse
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Settings, SunraClient, Timeouts
from tests import children, platforms
from tests.recorded_transport import SSE, Body, Recorded
from tests.waiting import DEADLINE

ROOT = Path(__file__).parents[2]
ASKED = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
MIB = 1024 * 1024
# So many connections at once take more than the usual 10 s on a busy machine.
CROWDED = Timeouts(connect=DEADLINE, read=DEADLINE, stall=DEADLINE)


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Traces memory, in a failing test too; what it gives is the peak so far, in bytes."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture
def crowd_url():
    command = [sys.executable, "-m", "tests.faults.crowd_server"]
    with children.started(command, cwd=ROOT, stdout=subprocess.PIPE) as server:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"


def crowd(number: int) -> int:
    """So many, or as many as the limit on open files has room for, here and in the server."""
    return int(min(number, platforms.most_open_files() // 2))


@pytest.mark.parametrize("library", ["httpx", "aiohttp"])
async def test_a_thousand_async_streams_on_one_instance_all_complete(crowd_url, library):
    number = crowd(1000)
    chat = ChatSunra(
        model="a/b",
        api_key="k",
        base_url=crowd_url,
        max_retries=0,
        timeout=CROWDED,
        async_transport=library,
    )

    async def read() -> str:
        return "".join([chunk.text async for chunk in chat.astream("Hi")])

    with traced() as peak:
        texts = await asyncio.gather(*(read() for _ in range(number)))
        most = peak()
    assert texts == ["Hello"] * number
    assert most < 400 * MIB  # some 90 MiB of it are LangChain's own


@pytest.mark.parametrize("make", ["langchain", "llama_index"])
def test_256_threads_on_one_instance_all_complete(crowd_url, make):
    number = crowd(256)
    more = {"api_key": "k", "max_retries": 0, "timeout": CROWDED}
    if make == "langchain":
        chat = ChatSunra(model="a/b", base_url=crowd_url, **more)
        call = lambda: chat.invoke("Hi").text  # noqa: E731 - two callables of one kind
    else:
        llm = Sunra(model="a/b", api_base=crowd_url, **more)
        call = lambda: llm.complete("Hi").text  # noqa: E731
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(call())) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["Hello"] * number


def client(body: Body, headers: dict[str, str] | None = None, **settings) -> SunraClient:
    transport = Recorded(lambda: httpx.Response(200, headers=headers or SSE, stream=body))
    resolved = Settings.resolve("k", **settings)
    return SunraClient(resolved, http_client=httpx.Client(transport=transport))


def event(content: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def test_50_000_tiny_events_are_read_without_keeping_them():
    body = Body([event("x") * 1000] * 50 + [event("", "stop")])
    with traced() as peak:
        count = sum(len(chunk.choices[0].text) for chunk in client(body).stream(ASKED))
        most = peak()
    assert count == 50_000
    assert most < 3 * MIB


def test_a_huge_event_in_small_pieces_is_read_in_linear_time():
    large = event("x" * 20 * MIB, "stop")
    pieces = [large[at : at + 16384] for at in range(0, len(large), 16384)]
    (chunk,) = client(Body(pieces)).stream(ASKED)
    assert len(chunk.choices[0].text) == 20 * MIB


def test_an_event_beyond_the_limit_is_refused():
    body = Body([b"data: " + b"x" * MIB] * 4)
    with pytest.raises(UnreadableResponse, match="max_response_bytes"):
        list(client(body, max_response_bytes=2 * MIB).stream(ASKED))


def test_a_decompression_bomb_is_cut_off_at_the_limit():
    bomb = gzip.compress(b" " * 200 * MIB)
    pieces = [bomb[at : at + 4096] for at in range(0, len(bomb), 4096)]
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    with traced() as peak:
        with pytest.raises(UnreadableResponse, match="max_response_bytes"):
            client(Body(pieces), headers, max_response_bytes=16 * MIB).create(ASKED)
        most = peak()
    assert most < 64 * MIB

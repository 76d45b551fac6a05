"""For every fault, in both APIs and adapters, sync and async, streamed and not: its outcome."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from sunra_integrations.errors import StreamInterrupted, SunraError, TimedOut
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.transport import Timeouts
from sunra_integrations.transport.connections import aiohttp_transport  # noqa: F401 - so that no call has to import it within its time
from tests.faults.cases import FAULTS, READ, STALL, UNKNOWN_HOST, Fault
from tests.faults.server import FaultServer
from tests.module_stand_in import without_waits
from tests.waiting import DEADLINE, growing_limits, until

TABLE = Path(__file__).parents[2] / "docs" / "faults.md"
CASES = {name: fault for group in FAULTS.values() for name, fault in group.items()}


def langchain(server):
    return ChatSunra(model="a/b", api_key="k", base_url=server.base_url, **server.limits)


def llama_index(server):
    return Sunra(model="a/b", api_key="k", api_base=server.base_url, **server.limits)


def langchain_plain(server):
    return langchain(server).invoke("Hi").text


def langchain_streamed(server):
    return "".join(chunk.text for chunk in langchain(server).stream("Hi"))


def langchain_async(server):
    async def call():
        return (await langchain(server).ainvoke("Hi")).text

    return asyncio.run(call())


def langchain_async_streamed(server):
    async def call():
        return "".join([chunk.text async for chunk in langchain(server).astream("Hi")])

    return asyncio.run(call())


def llama_index_plain(server):
    return llama_index(server).chat([ChatMessage("Hi")]).message.content


def llama_index_streamed(server):
    return list(llama_index(server).stream_chat([ChatMessage("Hi")]))[-1].message.content


def llama_index_async(server):
    async def call():
        return (await llama_index(server).achat([ChatMessage("Hi")])).message.content

    return asyncio.run(call())


def llama_index_async_streamed(server):
    async def call():
        stream = await llama_index(server).astream_chat([ChatMessage("Hi")])
        return [response async for response in stream][-1].message.content

    return asyncio.run(call())


def own_plain(server):
    with server.library.Client() as client:
        return ChatSunra(http_client=client, **server.given).invoke("Hi").text


def own_streamed(server):
    with server.library.Client() as client:
        model = ChatSunra(http_client=client, **server.given)
        return "".join(chunk.text for chunk in model.stream("Hi"))


def own_async(server):
    async def call():
        async with server.library.AsyncClient() as client:
            return (await ChatSunra(http_async_client=client, **server.given).ainvoke("Hi")).text

    return asyncio.run(call())


def own_async_streamed(server):
    async def call():
        async with server.library.AsyncClient() as client:
            model = ChatSunra(http_async_client=client, **server.given)
            return "".join([chunk.text async for chunk in model.astream("Hi")])

    return asyncio.run(call())


class Words(BaseModel):
    """What the structured answers hold."""

    words: str


PROMPT = PromptTemplate("Hi")


def langchain_structured(server):
    return langchain(server).with_structured_output(Words).invoke("Hi").words


def langchain_structured_stream(server):
    return list(langchain(server).with_structured_output(Words).stream("Hi"))[-1].words


def langchain_async_structured(server):
    async def call():
        return (await langchain(server).with_structured_output(Words).ainvoke("Hi")).words

    return asyncio.run(call())


def llama_index_structured(server):
    return llama_index(server).structured_predict(Words, PROMPT).words


def llama_index_structured_stream(server):
    return list(llama_index(server).stream_structured_predict(Words, PROMPT))[-1].words


def llama_index_async_structured(server):
    async def call():
        return (await llama_index(server).astructured_predict(Words, PROMPT)).words

    return asyncio.run(call())


READERS = {
    "plain": [langchain_plain, langchain_async, llama_index_plain, llama_index_async],
    "streamed": [
        langchain_streamed,
        langchain_async_streamed,
        llama_index_streamed,
        llama_index_async_streamed,
    ],
    "structured": [
        langchain_structured,
        langchain_structured_stream,
        langchain_async_structured,
        llama_index_structured,
        llama_index_structured_stream,
        llama_index_async_structured,
    ],
}
OWN_READERS = {
    "plain": [own_plain, own_async],
    "streamed": [own_streamed, own_async_streamed],
}


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    return without_waits(monkeypatch)


@pytest.fixture(autouse=True)
def _names(monkeypatch):
    """No name is looked up outside, and one is not known."""
    look_up = socket.getaddrinfo

    def known(host, *rest, **more):
        if host in {UNKNOWN_HOST, UNKNOWN_HOST.encode()}:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", known)


READINGS = [
    pytest.param(
        fault,
        kind,
        reader,
        {"async_transport": library, "api": api},
        id=f"{name}-{reader.__name__}-{library}-{api}",
    )
    for api in ("chat", "responses")
    for name, fault in CASES.items()
    for kind, readers in READERS.items()
    if fault.only == kind or (fault.only is None and kind != "structured")
    for reader in readers
    for library in (["httpx", "aiohttp"] if "async" in reader.__name__ else ["httpx"])
]


def limits(fault: Fault, scale: float) -> dict[str, Any]:
    """Only the limit that a fault runs into is short: a slow machine must not run into another."""
    read = READ if "`timeout`" in fault.bound else DEADLINE
    return {
        "timeout": Timeouts(connect=DEADLINE, write=DEADLINE, pool=DEADLINE, read=read),
        "stall_timeout": STALL if "`stall_timeout`" in fault.bound else DEADLINE,
        "total_timeout": fault.total and fault.total * scale,
    }


OWN_READINGS = [
    pytest.param(fault, kind, reader, library, id=f"{name}-{reader.__name__}-{library}")
    for name, fault in CASES.items()
    for kind, readers in OWN_READERS.items()
    if fault.only in {None, kind}
    for reader in readers
    # Of a user's own sync client, only each read of the socket is limited: docs/guides/errors.md.
    if "async" in reader.__name__ or not name.startswith("endless")
    for library in ("httpx2",)  # the tests above run over httpx
]


class RanOut(Exception):
    """The time of the whole call was over before the answer began."""


@pytest.mark.parametrize(("fault", "kind", "reader", "options"), READINGS)
def test_a_fault_has_its_stated_outcome(fault: Fault, kind, reader, options, waits):
    def run(scale):
        waits.clear()
        check({**limits(fault, scale), **options}, fault, kind, reader, waits)

    growing_limits(run, ran_out=RanOut)


@pytest.mark.parametrize(("fault", "kind", "reader", "library"), OWN_READINGS)
def test_and_so_it_has_with_a_user_s_own_client(fault: Fault, kind, reader, library, waits):
    own = pytest.importorskip(library)

    def run(scale):
        waits.clear()
        check(limits(fault, scale), fault, kind, reader, waits, library=own)

    growing_limits(run, ran_out=RanOut)


def check(limits, fault: Fault, kind, reader, waits, *, library=None):
    with FaultServer(*fault.acts) as server:
        server.base_url = fault.base_url or server.base_url
        server.limits, server.library = limits, library
        server.given = {"model": "a/b", "api_key": "k", "base_url": server.base_url, **limits}
        began = time.monotonic()
        try:
            outcome: object = reader(server)
        except SunraError as error:
            outcome = error
        took = time.monotonic() - began
        if isinstance(outcome, TimedOut) and outcome.phase == "total":
            # A stream that began is interrupted.
            if not server.requests or fault.outcome is StreamInterrupted:
                raise RanOut(outcome)
        elif fault.base_url is None:  # the server may read a request after the client left
            until(lambda: len(server.requests) >= fault.attempts)
    if isinstance(fault.outcome, str):
        assert outcome == fault.outcome
    else:
        assert isinstance(outcome, fault.outcome), outcome
        assert fault.says in str(outcome)
        if fault.partial is not None and kind == "streamed":
            assert outcome.partial.text == fault.partial
    is_response = limits.get("api") == "responses"
    assert all((b"/responses HTTP" in one.head) == is_response for one in server.requests)
    if fault.base_url is None:
        assert len(server.requests) == fault.attempts
    else:
        assert (len(server.requests), outcome.attempts) == (0, fault.attempts)
    if fault.waits is not None:
        assert sum(waits) == sum(fault.waits)
    else:
        assert len(waits) == fault.attempts - 1
        assert all(wait <= bound for wait, bound in zip(waits, (0.5, 1.0), strict=False))
    assert took < DEADLINE


HEADING = """\
# Fault table

This page lists the exception raised for each failure. It is generated from tests (`tests/faults/`)
that run on a socket server: with `ChatSunra` and `Sunra`, sync and async, streamed or not, on both
APIs.

*Requests* is the number of requests sent with the default `max_retries=2`. *Time limit* is the
longest time a call takes in addition to the server's own time. To change it, set `timeout`,
`stall_timeout` and `total_timeout`; see [Timeouts, retries, errors](guides/errors.md).
"""


def table() -> str:
    """`docs/faults.md`, generated from the cases."""
    lines = [HEADING]
    for title, group in FAULTS.items():
        lines += [
            f"## {title}",
            "",
            "| Fault | Outcome | Requests | Time limit |",
            "|---|---|---|---|",
        ]
        for name, fault in group.items():
            lines.append(f"| {name} | {outcome(fault)} | {fault.attempts} | {fault.bound} |")
        lines.append("")
    return "\n".join(lines)


def outcome(fault: Fault) -> str:
    if isinstance(fault.outcome, str):
        return "complete response"
    kept = " with `.partial`" if fault.partial is not None else ""
    return f"`{fault.outcome.__name__}`{kept}"


def test_the_table_in_the_docs_is_the_table_of_these_tests(request):
    if request.config.getoption("--write-docs"):
        TABLE.write_text(table(), encoding="utf-8")
    assert TABLE.read_text(encoding="utf-8") == table()

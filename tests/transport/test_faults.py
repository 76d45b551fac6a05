"""What httpx raises never reaches a user, and takes no key along."""

from __future__ import annotations

import asyncio
import inspect
import io
import logging
import pickle
import traceback

import httpx
import pytest

from sunra_integrations import errors
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient
from tests.recorded_transport import Body, Recorded, completion, stream
from tests.wire_cases import completion_bytes, stream_bytes

KEY = "sk-very-secret-key-0123456789"
HUSH = "hush-header-value"
ASKED = ChatRequest(model="openai/gpt-4o", messages=[{"role": "user", "content": "Hi"}])


def settings(**more):
    return Settings.resolve(KEY, default_headers={"X-Secret": HUSH}, max_retries=0, **more)


def subclasses(cls):
    return {cls, *(deeper for sub in cls.__subclasses__() for deeper in subclasses(sub))}


FAULTS = sorted(
    {
        cls
        for cls in subclasses(httpx.RequestError)
        if cls.__module__.startswith("httpx") and not inspect.isabstract(cls)
    },
    key=lambda cls: cls.__name__,
)


def test_the_table_below_covers_every_transport_error_of_httpx():
    assert {cls for cls in subclasses(httpx.TransportError) if "httpx" in cls.__module__} <= set(
        FAULTS
    )
    assert len(FAULTS) > 15


@pytest.mark.parametrize("cls", FAULTS)
def test_every_fault_of_the_http_library_is_a_sunra_error_with_that_cause(cls):
    client = SunraClient(settings(), http_client=httpx.Client(transport=Recorded(cls("boom"))))
    with pytest.raises(errors.SunraError, match="boom") as caught:
        client.create(ASKED)
    assert type(caught.value.__cause__) is cls
    assert isinstance(caught.value, errors.TimedOut) is issubclass(cls, httpx.TimeoutException)


@pytest.mark.parametrize("cls", FAULTS)
def test_a_message_ends_in_one_full_stop_whatever_the_library_s_ends_in(cls):
    client = SunraClient(settings(), http_client=httpx.Client(transport=Recorded(cls("boom."))))
    with pytest.raises(errors.SunraError, match=r"boom[^.]*\.$"):
        client.create(ASKED)


@pytest.mark.parametrize("cls", FAULTS)
def test_every_fault_within_an_answer_interrupts_it(cls):
    transport = Recorded(stream(stream_bytes("plain")[:280], cls("boom")))
    client = SunraClient(settings(), http_client=httpx.Client(transport=transport))
    with pytest.raises(errors.StreamInterrupted, match="boom"):
        list(client.stream(ASKED))


@pytest.mark.parametrize(
    ("cls", "phase"),
    [
        (httpx.ConnectTimeout, "connect"),
        (httpx.ReadTimeout, "read"),
        (httpx.WriteTimeout, "write"),
        (httpx.PoolTimeout, "pool"),
    ],
)
def test_a_timeout_says_which_wait_was_too_long(cls, phase):
    client = SunraClient(settings(), http_client=httpx.Client(transport=Recorded(cls("late"))))
    with pytest.raises(errors.TimedOut) as caught:
        client.create(ASKED)
    assert caught.value.phase == phase


def shown(error: BaseException) -> str:
    """All that a log, a debugger or an error tracker could print of an exception."""
    out = io.StringIO()
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    print(*told.format(), file=out)
    link: BaseException | None = error
    while link is not None:
        print(repr(link), vars(link), file=out)
        request = getattr(link, "_request", None)
        print(request and (request.headers.raw, request.content), file=out)
        link = link.__cause__ or link.__context__
    return out.getvalue()


def no_secret_in(text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode()
    assert KEY.encode() not in raw
    assert HUSH.encode() not in raw


@pytest.mark.parametrize(
    ("words", "retryable"),
    [
        ("Server disconnected without sending a response.", True),
        ("<ConnectionTerminated error_code:0, last_stream_id:1, additional_data:None>", True),
        ("illegal status line: bytearray(b'x')", True),
        ("bad Content-Length", False),
        ("illegal header line: bytearray(b'x')", False),
    ],
)
def test_an_answer_whose_head_cannot_be_read_is_not_asked_for_again(words, retryable):
    transport = Recorded(httpx.RemoteProtocolError(words))
    client = SunraClient(settings(), http_client=httpx.Client(transport=transport))
    with pytest.raises(errors.ConnectionFailed) as caught:
        client.create(ASKED)
    assert caught.value.retryable is retryable


def read_first(response):
    response.read()
    response.raise_for_status()


@pytest.mark.parametrize(
    ("status", "kind", "sent"),
    [
        (400, errors.BadRequest, 1),
        (401, errors.AuthenticationFailed, 1),
        (429, errors.RateLimited, 3),
        (503, errors.Overloaded, 3),
    ],
)
@pytest.mark.parametrize("hook", [httpx.Response.raise_for_status, read_first])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_hook_that_raises_for_the_status_changes_no_error_and_no_retry(
    is_async, hook, status, kind, sent
):
    async def ahook(response):
        if hook is read_first:
            await response.aread()
        response.raise_for_status()

    transport = Recorded(
        lambda: httpx.Response(
            status, headers={"retry-after": "0"}, stream=Body([b'{"error": {"message": "Why"}}'])
        )
    )
    of_client = Settings.resolve(KEY, max_retries=2)

    def ask():
        if is_async:
            own = httpx.AsyncClient(transport=transport, event_hooks={"response": [ahook]})
            return asyncio.run(AsyncSunraClient(of_client, http_client=own).create(ASKED))
        client = httpx.Client(transport=transport, event_hooks={"response": [hook]})
        return SunraClient(of_client, http_client=client).create(ASKED)

    with pytest.raises(errors.SunraError) as caught:
        ask()
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert ("Why" in str(caught.value)) is (hook is read_first)
    assert len(transport.sent) == sent
    no_secret_in(shown(caught.value))
    cause = caught.value.__cause__
    assert isinstance(cause, httpx.HTTPStatusError)
    no_secret_in(repr(cause.response.request.headers.raw))


def refused_port(unused_tcp_port: int) -> str:
    return f"http://127.0.0.1:{unused_tcp_port}"


def test_an_exception_from_a_real_connection_holds_no_secret_in_its_whole_chain(unused_tcp_port):
    client = SunraClient(settings(base_url=refused_port(unused_tcp_port)))
    with pytest.raises(errors.ConnectionFailed) as caught:
        client.create(ASKED)
    no_secret_in(shown(caught.value))
    no_secret_in(pickle.dumps(caught.value))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nno chunk\r\n",
    ],
)
async def test_whatever_breaks_an_async_call_its_exception_holds_no_secret(answer, library):
    async def break_it(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(break_it, "127.0.0.1", 0) as server:
        base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        asked = settings(base_url=base_url, async_transport=library)
        with pytest.raises(errors.SunraError) as caught:
            await AsyncSunraClient(asked).create(ASKED)
    no_secret_in(shown(caught.value))
    no_secret_in(pickle.dumps(caught.value))
    links = [caught.value]
    for link in links:
        assert "aiohttp" not in type(link).__module__
        links += [other for other in (link.__cause__, link.__context__) if other is not None]


async def test_nor_does_one_from_a_connection_that_was_refused(unused_tcp_port, library):
    asked = settings(base_url=refused_port(unused_tcp_port), async_transport=library)
    with pytest.raises(errors.ConnectionFailed) as caught:
        await AsyncSunraClient(asked).create(ASKED)
    no_secret_in(shown(caught.value))
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


async def test_an_exception_from_a_connection_cut_by_the_server_holds_no_secret(library):
    async def cut(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
        writer.write(b"content-length: 999\r\n\r\n" + stream_bytes("plain")[:280])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        base_url = f"http://127.0.0.1:{port}"
        asked = settings(base_url=base_url, async_transport=library)
        with pytest.raises(errors.StreamInterrupted) as caught:
            async for _ in AsyncSunraClient(asked).stream(ASKED):
                pass
        with pytest.raises(errors.StreamInterrupted) as caught_sync:
            await asyncio.to_thread(
                lambda: list(SunraClient(settings(base_url=base_url)).stream(ASKED))
            )
    for error in (caught.value, caught_sync.value):
        assert error.partial.text == "Hel"
        assert isinstance(error.__cause__.__cause__, httpx.RemoteProtocolError)
        no_secret_in(shown(error))
        no_secret_in(pickle.dumps(error))


def test_no_log_record_of_any_level_holds_a_secret(caplog, unused_tcp_port):
    with caplog.at_level(logging.DEBUG):
        good = Recorded(httpx.ConnectError("refused"), completion(completion_bytes("plain")))
        retrying = Settings.resolve(KEY, default_headers={"X-Secret": HUSH}, max_retries=1)
        SunraClient(retrying, http_client=httpx.Client(transport=good)).create(ASKED)
        broken = SunraClient(settings(base_url=refused_port(unused_tcp_port)))
        with pytest.raises(errors.ConnectionFailed):
            broken.create(ASKED)
    assert "(attempt 2)" in caplog.text
    assert "after ConnectionFailed (httpx.ConnectError): The connection to " in caplog.text
    no_secret_in(caplog.text)
    no_secret_in(repr([vars(record) for record in caplog.records if record.name[:5] == "sunra"]))


@pytest.mark.parametrize("cls", [SunraClient, AsyncSunraClient])
def test_no_repr_of_a_client_or_its_parts_holds_a_secret(cls):
    client = cls(settings())
    no_secret_in(repr(client))
    no_secret_in(repr(vars(client)))


def test_the_body_of_an_error_is_read_even_if_its_connection_breaks():
    def cut_error() -> httpx.Response:
        return httpx.Response(500, stream=Body([b'{"error": "ha', httpx.ReadError("reset")]))

    client = SunraClient(settings(), http_client=httpx.Client(transport=Recorded(cut_error)))
    with pytest.raises(errors.ServerFailed, match="ha") as caught:
        client.create(ASKED)
    assert caught.value.status == 500

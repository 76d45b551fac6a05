"""A user's own clients, of httpx and of httpx2: the same behaviour, the same errors, no secrets."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import subprocess
import sys
import traceback
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from sunra_integrations import errors
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient, Timeouts
from sunra_integrations.transport.timeouts import read_timeout
from tests.wire_cases import completion_bytes, stream_bytes

KEY = "sk-look-for-me-0123456789"
REQUEST: dict[str, Any] = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]}
HI = [ChatMessage("Hi")]
RETRIES = {"max_retries": 0}


@pytest.fixture(params=["httpx", "httpx2"])
def library(request):
    return pytest.importorskip(request.param)


async def collected(chunks):
    return [one async for one in chunks]


async def collected_later(chunks):
    return await collected(await chunks)


def text_of(responses):
    return responses[-1].message.content


SYNC = {
    "create": lambda given: SunraClient(**given).create(REQUEST).text,
    "stream": lambda given: "".join(
        delta.text for chunk in SunraClient(**given).stream(REQUEST) for delta in chunk.choices
    ),
    "invoke": lambda given: ChatSunra(model="a/b", **given).invoke("Hi").text,
    "langchain's stream": lambda given: "".join(
        chunk.text for chunk in ChatSunra(model="a/b", **given).stream("Hi")
    ),
    "chat": lambda given: Sunra(model="a/b", **given).chat(HI).message.content,
    "stream_chat": lambda given: text_of(list(Sunra(model="a/b", **given).stream_chat(HI))),
}


async def text_of_chunks(given):
    chunks = await collected(AsyncSunraClient(**given).stream(REQUEST))
    return "".join(delta.text for chunk in chunks for delta in chunk.choices)


async def text_of_create(given):
    return (await AsyncSunraClient(**given).create(REQUEST)).text


async def text_of_invoke(given):
    return (await ChatSunra(model="a/b", **given).ainvoke("Hi")).text


async def text_of_stream(given):
    chunks = await collected(ChatSunra(model="a/b", **given).astream("Hi"))
    return "".join(chunk.text for chunk in chunks)


async def text_of_chat(given):
    return (await Sunra(model="a/b", **given).achat(HI)).message.content


async def text_of_stream_chat(given):
    return text_of(await collected_later(Sunra(model="a/b", **given).astream_chat(HI)))


ASYNC = {
    "async create": ("http_client", text_of_create),
    "async stream": ("http_client", text_of_chunks),
    "ainvoke": ("http_async_client", text_of_invoke),
    "astream": ("http_async_client", text_of_stream),
    "achat": ("async_http_client", text_of_chat),
    "astream_chat": ("async_http_client", text_of_stream_chat),
}
WAYS = [*SYNC, *ASYNC]


def called(way, library, handler=None, client_options=None, **given):
    """Makes one call through a client of the library, over a mock of the network or a server."""
    transport = {} if handler is None else {"transport": library.MockTransport(handler)}
    options = {**transport, **(client_options or {})}
    given = {"api_key": KEY, **given}
    if way in SYNC:
        with library.Client(**options) as client:
            return SYNC[way]({"http_client": client} | given)
    argument, call = ASYNC[way]

    async def run():
        async with library.AsyncClient(**options) as client:
            return await call({argument: client} | given)

    return asyncio.run(run())


def answering(library, **headers):
    def handle(request):
        if b'"stream":true' in request.content.replace(b" ", b""):
            kind = {"content-type": "text/event-stream", **headers}
            return library.Response(200, headers=kind, content=stream_bytes("plain"))
        return library.Response(200, headers=headers, content=completion_bytes("plain"))

    return handle


@pytest.mark.parametrize("way", WAYS)
def test_a_client_of_either_library_carries_a_call(way, library):
    sent = []

    def handle(request):
        sent.append(request)
        return answering(library)(request)

    assert called(way, library, handle, {"headers": {"X-Mine": "yes"}}) == "Hello"
    assert sent[0].headers["authorization"] == f"Bearer {KEY}"
    assert sent[0].headers["x-mine"] == "yes"
    assert isinstance(sent[0], library.Request)


@pytest.mark.parametrize("way", WAYS)
def test_so_it_does_over_sockets(way, library, sunra_sandbox):
    url = {"base_url": sunra_sandbox.base_url}
    if way in {"chat", "stream_chat", "achat", "astream_chat"}:
        url = {"api_base": sunra_sandbox.base_url}
    assert called(way, library, api_key=sunra_sandbox.api_key, **url)


def request_errors(library):
    def subclasses(cls):
        return {cls, *(deeper for sub in cls.__subclasses__() for deeper in subclasses(sub))}

    found = subclasses(library.RequestError)
    own = {cls for cls in found if cls.__module__.partition(".")[0] == library.__name__}
    return sorted(own, key=lambda cls: cls.__name__)


def expected_kind(name: str) -> type[errors.SunraError]:
    """The kind of error of an exception, by its name: both libraries have the same names."""
    if name.endswith("Timeout") or name == "TimeoutException":
        return errors.TimedOut
    if name in {"UnsupportedProtocol", "LocalProtocolError"}:
        return errors.ConfigurationError
    return errors.ConnectionFailed


@pytest.mark.parametrize("way", WAYS)
def test_every_exception_of_a_library_has_the_same_place_in_the_tree(way, library):
    assert len(request_errors(library)) > 15
    for cls in request_errors(library):

        def fail(request, cls=cls):
            raise cls("boom", request=request)

        with pytest.raises(errors.SunraError, match="boom") as caught:
            called(way, library, fail, **RETRIES)
        assert isinstance(caught.value, expected_kind(cls.__name__)), cls
        assert type(caught.value.__cause__) is cls
        assert_hidden(caught.value)


def assert_hidden(error: BaseException | None) -> None:
    while error is not None:
        seen = str(error) + repr(vars(error))
        request = getattr(error, "_request", None)
        seen += repr(request and dict(request.headers))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "sunra_integrations" in frame.f_code.co_filename:
                seen += repr(frame.f_locals)
        assert KEY not in seen
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("way", WAYS)
def test_an_exception_within_a_body_interrupts_it(way, library):
    class Breaking(library.SyncByteStream, library.AsyncByteStream):
        def __iter__(self):
            yield stream_bytes("plain")[:280]
            raise library.ReadError("boom")

        async def __aiter__(self):
            for part in self:
                yield part

    def handle(request):
        return library.Response(200, stream=Breaking())

    with pytest.raises(errors.StreamInterrupted, match="boom"):
        called(way, library, handle)


@pytest.mark.parametrize("way", WAYS)
def test_a_closed_client_is_a_mistake_in_the_configuration(way, library):
    def handle(request):
        raise AssertionError("nothing is sent")

    transport = library.MockTransport(handle)
    client, own = library.Client(transport=transport), library.AsyncClient(transport=transport)
    client.close()
    asyncio.run(own.aclose())
    given = {"http_client": client} if way in SYNC else {ASYNC[way][0]: own}
    with pytest.raises(errors.ConfigurationError, match="cannot be used"):
        called(way, library, **given)


@pytest.mark.parametrize("way", WAYS)
def test_a_status_raised_in_a_hook_is_the_error_of_that_status(way, library):
    def handle(request):
        return library.Response(429, json={"error": {"message": "Too many"}})

    def hook(response):
        response.read()
        response.raise_for_status()

    async def async_hook(response):
        await response.aread()
        response.raise_for_status()

    hooks = {"response": [hook if way in SYNC else async_hook]}
    with pytest.raises(errors.RateLimited, match="Too many") as caught:
        called(way, library, handle, {"event_hooks": hooks}, **RETRIES)
    assert_hidden(caught.value)


@pytest.mark.parametrize("encoding", ["gzip", "br"])
@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_or_unknown_compression_is_an_error(way, library, encoding):
    def handle(request):
        class Damaged(library.SyncByteStream, library.AsyncByteStream):
            def __iter__(self):
                yield b"not compressed"

            async def __aiter__(self):
                yield b"not compressed"

        return library.Response(200, headers={"content-encoding": encoding}, stream=Damaged())

    with pytest.raises(errors.UnreadableResponse):
        called(way, library, handle)


@pytest.mark.parametrize("way", WAYS)
def test_a_failed_attempt_is_retried(way, library):
    keys = []

    def handle(request):
        keys.append(request.headers["authorization"])
        if len(keys) < 3:
            headers = {"retry-after-ms": "0"}
            return library.Response(503, headers=headers, json={"error": "Busy"})
        return answering(library)(request)

    assert called(way, library, handle) == "Hello"
    assert keys == [f"Bearer {KEY}"] * 3


def test_a_timeout_of_either_library_is_read(library):
    given = library.Timeout(5, connect=2)
    assert read_timeout(given) == Timeouts(connect=2, read=5, write=5, pool=5, stall=5)
    settings = Settings.resolve(KEY, timeout=given)
    assert ChatSunra(model="a/b", api_key=KEY, timeout=given).timeout == settings.timeouts


@pytest.mark.parametrize(
    ("make", "argument", "kind", "says"),
    [
        (SunraClient, "http_client", "AsyncClient", "is for async calls; use it with the other"),
        (AsyncSunraClient, "http_client", "Client", "is for sync calls; use it with the other"),
        (ChatSunra, "http_client", "AsyncClient", "pass it as `http_async_client`"),
        (ChatSunra, "http_async_client", "Client", "pass it as `http_client`"),
        (Sunra, "http_client", "AsyncClient", "pass it as `async_http_client`"),
        (Sunra, "async_http_client", "Client", "pass it as `http_client`"),
    ],
)
def test_a_client_of_the_other_kind_is_refused(make, argument, kind, says, library):
    given: dict[str, Any] = {"model": "a/b"} if make in {ChatSunra, Sunra} else {}
    with pytest.raises(errors.InvalidParameter, match=says) as caught:
        make(api_key=KEY, **given, **{argument: getattr(library, kind)()})
    assert f"{library.__name__}.{kind}" in str(caught.value)


def test_a_class_of_a_library_is_refused(library):
    with pytest.raises(errors.InvalidParameter, match="create an instance"):
        SunraClient(api_key=KEY, http_client=library.Client)


def test_both_libraries_have_the_same_exceptions():
    httpx2 = pytest.importorskip("httpx2")
    httpx = importlib.import_module("httpx")
    names = {
        name
        for name, value in vars(httpx).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert names <= vars(httpx2).keys()


PROGRAM = """
import sys
sys.modules["httpx2"] = None  # as if it were not installed
import httpx
from sunra_integrations.errors import ConnectionFailed, InvalidParameter
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra

def fail(request):
    raise httpx.ConnectError("boom")

body = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
good = httpx.MockTransport(lambda request: httpx.Response(200, json=body))
for transport in (good, httpx.MockTransport(fail)):
    client = httpx.Client(transport=transport)
    given = {"api_key": "sk-0123456789", "max_retries": 0, "http_client": client}
    for call in (
        lambda: ChatSunra(model="a/b", **given).invoke("Hi").text,
        lambda: Sunra(model="a/b", **given).complete("Hi").text,
    ):
        try:
            print(call())
        except ConnectionFailed as error:
            print(type(error).__name__)
try:
    ChatSunra(model="a/b", api_key="sk-0123456789", http_client=object())
except InvalidParameter as error:
    print(error)
"""


def run(program: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_works_without_httpx2():
    *lines, refusal = run(PROGRAM).splitlines()
    assert lines == ["Hello", "Hello", "ConnectionFailed", "ConnectionFailed"]
    assert refusal.startswith("`http_client` must be an httpx.Client.")


def test_httpx2_is_never_imported_for_a_user_of_httpx():
    program = """
import sys
import httpx
from sunra_integrations.errors import ConnectionFailed
from sunra_integrations.transport import SunraClient

def fail(request):
    raise httpx.ConnectError("boom")

client = httpx.Client(transport=httpx.MockTransport(fail))
try:
    SunraClient(api_key="sk-0123456789", max_retries=0, http_client=client).create(
        {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]}
    )
except ConnectionFailed:
    print("httpx2" in sys.modules)
"""
    assert run(program) == "False\n"

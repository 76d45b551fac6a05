"""What `make pyodide` runs inside Pyodide; the last line is the number of calls that failed."""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from unittest.mock import MagicMock

import httpx
import js  # of Pyodide
from pyodide.ffi import to_js  # of Pyodide

_MOCKED = ("PIL", "greenlet", "numpy", "regex", "tiktoken")


class Mocks:
    """Stands in for compiled packages that are not installed here."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """The mock of such a package or of a module in it."""
        if name.partition(".")[0] not in _MOCKED:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        """A module whose every name is a mock."""
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__name__ = [], spec, spec.name
        return module

    def exec_module(self, module: Any) -> None:
        """Nothing: it has no code."""


sys.meta_path.append(Mocks())  # type: ignore[arg-type]

from sunra_integrations.errors import ConfigurationError  # noqa: E402
from sunra_integrations.langchain import ChatSunra  # noqa: E402
from sunra_integrations.llama_index import Sunra  # noqa: E402
from sunra_integrations.transport import AsyncSunraClient, SunraClient  # noqa: E402


class FetchedBody(httpx.AsyncByteStream):
    """The body of an answer, as the httpx package of Pyodide has it: its pieces are memoryviews."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not (piece := await self._reader.read()).done:
            yield piece.value.to_py()

    async def aclose(self) -> None:
        """Ends the request."""
        await self._reader.cancel()


class Fetch(httpx.AsyncBaseTransport):
    """Sends through JavaScript's `fetch`."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, its body unread."""
        options = {
            "method": request.method,
            "headers": dict(request.headers),
            "body": request.content.decode(),
        }
        answer = await js.fetch(
            str(request.url), to_js(options, dict_converter=js.Object.fromEntries)
        )
        headers = {**dict(answer.headers), "content-encoding": "identity"}  # `fetch` decodes it
        body = FetchedBody(answer.body.getReader())
        return httpx.Response(answer.status, headers=headers, stream=body)


class CannedBody(httpx.SyncByteStream):
    """A stream in pieces that end anywhere."""

    def __iter__(self) -> Iterator[bytes]:
        event = b'{"choices": [{"delta": {"content": "You said: Hi"}, "finish_reason": "stop"}]}'
        yield from (b"dat", b"a: " + event + b"\n", b"\ndata: [DONE]\n\n")


def canned(request: httpx.Request) -> httpx.Response:
    """An answer without a network, for sync calls: `fetch` is asynchronous."""
    if b'"stream":true' in request.content:
        return httpx.Response(200, stream=CannedBody())
    message = {"role": "assistant", "content": "You said: Hi"}
    choice = {"message": message, "finish_reason": "stop"}
    return httpx.Response(200, json={"choices": [choice]})


REQUEST = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]}
URL = js.process.env.SANDBOX_URL
CLIENT = {"api_key": "k" * 20, "base_url": URL}
CHAT = {"model": "a/b", **CLIENT}
LLM = {"model": "a/b", "api_key": "k" * 20, "api_base": URL}
SYNC = httpx.Client(transport=httpx.MockTransport(canned))
ASYNC = httpx.AsyncClient(transport=Fetch())


async def whole(pieces: AsyncIterator[Any]) -> list[Any]:
    """All pieces of a stream."""
    return [piece async for piece in pieces]


async def streamed(llm: Sunra) -> list[Any]:
    """All pieces of LlamaIndex's stream."""
    return await whole(await llm.astream_complete("Hi"))


Call = Callable[[dict[str, Any]], Any]
SYNC_CALLS: dict[str, tuple[str, Call]] = {
    "SunraClient.create": (
        "http_client",
        lambda given: SunraClient(**CLIENT, **given).create(REQUEST).text,
    ),
    "SunraClient.stream": (
        "http_client",
        lambda given: list(SunraClient(**CLIENT, **given).stream(REQUEST)),
    ),
    "ChatSunra.invoke": ("http_client", lambda given: ChatSunra(**CHAT, **given).invoke("Hi")),
    "ChatSunra.stream": (
        "http_client",
        lambda given: list(ChatSunra(**CHAT, **given).stream("Hi")),
    ),
    "Sunra.complete": ("http_client", lambda given: Sunra(**LLM, **given).complete("Hi")),
    "Sunra.stream_complete": (
        "http_client",
        lambda given: list(Sunra(**LLM, **given).stream_complete("Hi")),
    ),
}
ASYNC_CALLS: dict[str, tuple[str, Call]] = {
    "AsyncSunraClient.create": (
        "http_client",
        lambda given: AsyncSunraClient(**CLIENT, **given).create(REQUEST),
    ),
    "AsyncSunraClient.stream": (
        "http_client",
        lambda given: whole(AsyncSunraClient(**CLIENT, **given).stream(REQUEST)),
    ),
    "ChatSunra.ainvoke": (
        "http_async_client",
        lambda given: ChatSunra(**CHAT, **given).ainvoke("Hi"),
    ),
    "ChatSunra.astream": (
        "http_async_client",
        lambda given: whole(ChatSunra(**CHAT, **given).astream("Hi")),
    ),
    "Sunra.acomplete": ("async_http_client", lambda given: Sunra(**LLM, **given).acomplete("Hi")),
    "Sunra.astream_complete": ("async_http_client", lambda given: streamed(Sunra(**LLM, **given))),
}


async def result_of(call: Call, given: dict[str, Any]) -> Any:
    """What a call returns, or the exception that it raises."""
    try:
        result = call(given)
        return await result if isinstance(result, Awaitable) else result
    except BaseException as error:  # noqa: BLE001 - it is what is looked at
        return error


async def check(name: str, argument: str, call: Call, client: object) -> int:
    """How many of a call's two expectations are not met."""
    refused = await result_of(call, {})
    answered = await result_of(call, {argument: client})
    is_refused = isinstance(refused, ConfigurationError) and f"`{argument}`" in str(refused)
    is_answered = not isinstance(answered, BaseException) and "said" in str(answered)
    print(
        f"{name:<24} alone: {'ok' if is_refused else repr(refused)}, "
        f"with `{argument}`: {'ok' if is_answered else repr(answered)}"
    )
    return (not is_refused) + (not is_answered)


async def main() -> int:
    """Runs all calls; returns how many expectations are not met."""
    print(f"Python {sys.version.split()[0]} on {sys.platform}, httpx {httpx.__version__}")
    failed = 0
    for calls, client in ((SYNC_CALLS, SYNC), (ASYNC_CALLS, ASYNC)):
        for name, (argument, call) in calls.items():
            failed += await check(name, argument, call, client)
    return failed


await main()  # noqa: F704, PLE1142  # type: ignore[top-level-await]

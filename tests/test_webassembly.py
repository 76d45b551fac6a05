"""Python in a browser (Pyodide): no sockets, no threads, no TLS, as far as Linux can imitate it.

`make pyodide` runs the same calls in a real Pyodide.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from sunra_integrations.errors import ConfigurationError
from sunra_integrations.transport import Settings
from sunra_integrations.transport.connections import registry

_MISSING = ("ssl", "_ssl", "certifi", "httpcore", "h11", "anyio", "multiprocessing", "aiohttp")

_BROWSER = f"""
import asyncio, socket, sys, threading
import httpx, httpx._transports.default, langchain_core.language_models.chat_models
import llama_index.core.llms.function_calling
from langchain_core.runnables import RunnableLambda

def missing(*_, **__):
    raise RuntimeError("not in a browser")

threading.Thread.start = missing
socket.getaddrinfo = socket.create_connection = missing
for name in {_MISSING!r}:
    sys.modules[name] = None
sys.platform = "emscripten"

from sunra_integrations.errors import ConfigurationError
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.transport import AsyncSunraClient, SunraClient

REQUEST = {{"model": "a/b", "messages": [{{"role": "user", "content": "Hi"}}]}}
OPTIONS = {{"api_key": "k" * 20, "max_retries": 0}}

async def whole(pieces):
    return [piece async for piece in pieces]

async def stream_of(llm):
    return await whole(await llm.astream_complete("Hi"))
"""

_CALLS = {
    "SunraClient.create": ("SunraClient(**OPTIONS, {0}).create(REQUEST)", "http_client"),
    "SunraClient.stream": ("list(SunraClient(**OPTIONS, {0}).stream(REQUEST))", "http_client"),
    "AsyncSunraClient.create": (
        "asyncio.run(AsyncSunraClient(**OPTIONS, {0}).create(REQUEST))",
        "http_client",
    ),
    "AsyncSunraClient.stream": (
        "asyncio.run(whole(AsyncSunraClient(**OPTIONS, {0}).stream(REQUEST)))",
        "http_client",
    ),
    "ChatSunra.invoke": ("ChatSunra(model='a/b', **OPTIONS, {0}).invoke('Hi')", "http_client"),
    "ChatSunra.stream": (
        "list(ChatSunra(model='a/b', **OPTIONS, {0}).stream('Hi'))",
        "http_client",
    ),
    "ChatSunra.ainvoke": (
        "asyncio.run(ChatSunra(model='a/b', **OPTIONS, {0}).ainvoke('Hi'))",
        "http_async_client",
    ),
    "ChatSunra.astream": (
        "asyncio.run(whole(ChatSunra(model='a/b', **OPTIONS, {0}).astream('Hi')))",
        "http_async_client",
    ),
    "Sunra.complete": ("Sunra(model='a/b', **OPTIONS, {0}).complete('Hi')", "http_client"),
    "Sunra.stream_complete": (
        "list(Sunra(model='a/b', **OPTIONS, {0}).stream_complete('Hi'))",
        "http_client",
    ),
    "Sunra.acomplete": (
        "asyncio.run(Sunra(model='a/b', **OPTIONS, {0}).acomplete('Hi'))",
        "async_http_client",
    ),
    "Sunra.astream_complete": (
        "asyncio.run(stream_of(Sunra(model='a/b', **OPTIONS, {0})))",
        "async_http_client",
    ),
}


def run_in_browser(program: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _BROWSER + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_call_without_an_http_client_says_to_pass_one():
    program = "".join(
        f"""
try:
    {call.format("")}
except Exception as error:
    print({name!r}, type(error).__name__, "`{argument}`" in str(error), error.retryable)
"""
        for name, (call, argument) in _CALLS.items()
    )
    raised = dict(line.split(" ", 1) for line in run_in_browser(program).splitlines())
    assert raised == dict.fromkeys(_CALLS, "ConfigurationError True False")


def test_a_call_with_an_http_client_of_ones_own_works_without_sockets_threads_and_tls():
    program = """
    class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self):
            event = '{"choices": [{"delta": {"content": "Hello"}, "finish_reason": "stop"}]}'
            for piece in (b"da", f"ta: {event}\\n\\n".encode(), b"data: [DONE]\\n\\n"):
                yield memoryview(piece)  # as the httpx package of Pyodide does

        async def __aiter__(self):
            for piece in self:
                await asyncio.sleep(0)
                yield piece

    def answer(request):
        if b'"stream":true' in request.content.replace(b" ", b""):
            return httpx.Response(200, stream=Body())
        message = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
        return httpx.Response(200, json=message)

    class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
        handle_request = staticmethod(answer)

        async def handle_async_request(self, request):
            return answer(request)

    sync_client = httpx.Client(transport=Transport(), trust_env=False)
    async_client = httpx.AsyncClient(transport=Transport(), trust_env=False)
    """
    calls = "".join(f"\nprint({name!r}, 'Hello' in str({_with_client(name)}))" for name in _CALLS)
    answered = dict(
        line.split(" ", 1) for line in run_in_browser(textwrap.dedent(program) + calls).splitlines()
    )
    assert answered == dict.fromkeys(_CALLS, "True")


def _with_client(name: str) -> str:
    call, argument = _CALLS[name]
    kind = "async_client" if "asyncio" in call else "sync_client"
    return call.format(f"{argument}={kind}")


@pytest.mark.parametrize("platform", ["emscripten", "wasi"])
async def test_the_error_is_raised_for_each_platform_without_sockets(monkeypatch, platform):
    monkeypatch.setattr(registry.sys, "platform", platform)
    settings = Settings.resolve("key")
    with pytest.raises(ConfigurationError, match=platform):
        registry.sync_pool(settings)
    with pytest.raises(ConfigurationError, match=platform):
        await registry.async_pool(settings)

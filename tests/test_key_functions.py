"""Functions as `api_key`: in both clients and both adapters, on every path that a key takes."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import pickle
import threading
import traceback
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from langchain_core.load import dumpd, dumps
from langchain_core.runnables import ConfigurableField
from llama_index.core.base.llms.types import ChatMessage
from pydantic import SecretStr

from sunra_integrations.errors import (
    AuthenticationFailed,
    ConfigurationError,
    InvalidParameter,
    TimedOut,
)
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient
from sunra_integrations.transport.api_key import KeyFunction
from tests.transport.counting_server import serving
from tests.wire_cases import completion_bytes, stream_bytes

TOKEN = "token-look-for-me-0123456789"
REQUEST: dict[str, Any] = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]}
HI = [ChatMessage("Hi")]


async def collected(chunks):
    return [one async for one in chunks]


async def collected_later(chunks):
    return await collected(await chunks)


SYNC = {
    "create": lambda given: SunraClient(**given).create(REQUEST),
    "stream": lambda given: list(SunraClient(**given).stream(REQUEST)),
    "invoke": lambda given: ChatSunra(model="a/b", **given).invoke("Hi"),
    "langchain's stream": lambda given: list(ChatSunra(model="a/b", **given).stream("Hi")),
    "chat": lambda given: Sunra(model="a/b", **given).chat(HI),
    "stream_chat": lambda given: list(Sunra(model="a/b", **given).stream_chat(HI)),
}
ASYNC = {
    "async create": lambda given: AsyncSunraClient(**given).create(REQUEST),
    "async stream": lambda given: collected(AsyncSunraClient(**given).stream(REQUEST)),
    "ainvoke": lambda given: ChatSunra(model="a/b", **given).ainvoke("Hi"),
    "astream": lambda given: collected(ChatSunra(model="a/b", **given).astream("Hi")),
    "achat": lambda given: Sunra(model="a/b", **given).achat(HI),
    "astream_chat": lambda given: collected_later(Sunra(model="a/b", **given).astream_chat(HI)),
}
ASYNC_CLIENT = {"ainvoke": "http_async_client", "astream": "http_async_client"}
ASYNC_CLIENT |= {"achat": "async_http_client", "astream_chat": "async_http_client"}


def answering(request: httpx.Request) -> httpx.Response:
    streamed = b'"stream":true' in request.content.replace(b" ", b"")
    if not streamed:
        return httpx.Response(200, content=completion_bytes("plain"))
    event_stream = {"content-type": "text/event-stream"}
    return httpx.Response(200, headers=event_stream, content=stream_bytes("plain"))


def called(name, key, handler=answering, **given):
    """Makes one call, over a mock of the network."""
    transport = httpx.MockTransport(handler)
    if name in SYNC:
        return SYNC[name](
            {"api_key": key, "http_client": httpx.Client(transport=transport)} | given
        )

    async def call():
        async with httpx.AsyncClient(transport=transport) as client:
            argument = ASYNC_CLIENT.get(name, "http_client")
            return await ASYNC[name]({"api_key": key, argument: client} | given)

    return asyncio.run(call())


class Sent:
    """A server that fails as often as it is told to, and keeps the keys that it was sent."""

    def __init__(self, failures: int = 0, status: int = 500):
        self.keys: list[str] = []
        self._failures, self._status = failures, status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers["authorization"].removeprefix("Bearer "))
        if len(self.keys) <= self._failures:
            headers = {"retry-after-ms": "0"}
            return httpx.Response(self._status, headers=headers, json={"error": "It failed"})
        return answering(request)


class Rotating:
    """Returns another token with each call."""

    def __init__(self, kind: type = str):
        self.calls = 0
        self._kind = kind

    def __call__(self):
        self.calls += 1
        return self._kind(f"{TOKEN}-{self.calls}")

    async def later(self):
        await asyncio.sleep(0)
        return self()


def module_level_token() -> str:
    return TOKEN


async def async_module_level_token() -> str:
    return TOKEN


class Tokens:
    @classmethod
    def current(cls) -> str:
        return TOKEN


# ── calls ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [str, SecretStr])
@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_every_attempt_has_a_fresh_token_and_building_objects_needs_none(name, kind):
    sent, source = Sent(failures=2), Rotating(kind)
    called(name, source, sent)
    assert sent.keys == [f"{TOKEN}-1", f"{TOKEN}-2", f"{TOKEN}-3"]
    assert source.calls == 3


def in_a_lambda(source):
    return lambda: source.later()  # noqa: PLW0108 - nothing shows that it is async


def with_async_call(source):
    class Source:
        async def __call__(self):
            return await source.later()

    return Source()


@pytest.mark.parametrize(
    "form",
    [
        lambda source: source.later,
        in_a_lambda,
        lambda source: functools.partial(Rotating.later, source),
        with_async_call,
    ],
    ids=["a function", "a lambda", "a partial", "an object"],
)
@pytest.mark.parametrize("name", ASYNC)
def test_async_calls_await_async_functions(name, form):
    sent = Sent(failures=1)
    called(name, form(Rotating()), sent)
    assert sent.keys == [f"{TOKEN}-1", f"{TOKEN}-2"]


@pytest.mark.parametrize("form", [lambda source: source.later, in_a_lambda])
@pytest.mark.parametrize("name", SYNC)
def test_a_sync_call_with_an_async_function_says_what_to_pass(name, form):
    sent, source = Sent(), Rotating()
    with pytest.raises(ConfigurationError, match="is an async function"):
        called(name, form(source), sent)
    gc.collect()  # warns of a coroutine that was never awaited
    assert sent.keys == []
    assert source.calls == 0


def test_a_sync_function_of_an_async_call_runs_in_a_thread_in_the_context_of_the_call():
    tenant: ContextVar[str] = ContextVar("tenant")
    seen = []

    def key():
        seen.append((tenant.get(), threading.current_thread() is threading.main_thread()))
        return TOKEN

    def call():
        tenant.set("acme")
        called("async create", key)

    copy_context().run(call)
    assert seen == [("acme", False)]


@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_a_401_is_not_retried(name):
    sent = Sent(failures=1, status=401)
    with pytest.raises(AuthenticationFailed) as caught:
        called(name, Rotating(), sent)
    assert caught.value.attempts == 1
    assert sent.keys == [f"{TOKEN}-1"]


class VaultSealed(Exception):
    pass


@pytest.mark.parametrize("error", [VaultSealed, RuntimeError, httpx.ConnectError])
@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_an_error_of_the_function_reaches_the_caller_as_it_is(name, error):
    calls = []

    def key():
        calls.append(None)
        raise error("The vault is sealed")

    sent = Sent()
    with pytest.raises(error, match="The vault is sealed") as caught:
        called(name, key, sent)
    assert type(caught.value) is error
    assert caught.value.__cause__ is None
    assert (sent.keys, len(calls)) == ([], 1)


@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_stop_iteration_is_an_error_as_in_generators(name):
    tokens = iter([])
    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        called(name, lambda: next(tokens))
    assert isinstance(caught.value.__cause__, StopIteration)


async def never():
    await asyncio.Event().wait()


@pytest.mark.parametrize("name", ASYNC)
def test_an_async_function_has_the_total_time_of_the_call(name):
    with pytest.raises(TimedOut, match="total_timeout") as caught:
        called(name, never, total_timeout=0.05)
    assert caught.value.phase == "total"


INVALID = {
    "nothing": (lambda: None, "it returned NoneType"),
    "bytes": (TOKEN.encode, "it returned bytes"),
    "an empty text": (lambda: "", "is an empty string; return a key"),
    "a line break": (lambda: f"{TOKEN}\n", "line break"),
    "a secret line break": (lambda: SecretStr(f"{TOKEN}\n"), "line break"),
}


@pytest.mark.parametrize("invalid", INVALID)
@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_what_is_not_a_key_is_a_typed_error_that_does_not_show_it(name, invalid):
    function, says = INVALID[invalid]
    sent = Sent()
    with pytest.raises(ConfigurationError, match=says) as caught:
        called(name, function, sent)
    assert sent.keys == []
    assert_hidden(caught.value)


def assert_hidden(error: BaseException | None) -> None:
    while error is not None:
        assert TOKEN not in str(error) + repr(vars(error))
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "sunra_integrations" in frame.f_code.co_filename:
                assert TOKEN not in repr(frame.f_locals)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_no_error_quotes_a_token_of_any_attempt(name):
    keys = []

    def quoting(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["authorization"].removeprefix("Bearer "))
        error = {"message": f"Unavailable for {keys[0]} and {keys[-1]}"}
        return httpx.Response(500, headers={"retry-after-ms": "0"}, json={"error": error})

    with pytest.raises(Exception, match=r"Unavailable for \[the key\] and \[the key\]") as caught:
        called(name, Rotating(), quoting, max_retries=1)
    assert len(keys) == 2
    assert_hidden(caught.value)


def test_no_log_line_quotes_a_token(caplog):
    def quoting(request: httpx.Request) -> httpx.Response:
        error = {"message": f"Unavailable for {request.headers['authorization']}"}
        return httpx.Response(500, headers={"retry-after-ms": "0"}, json={"error": error})

    with caplog.at_level("DEBUG"), pytest.raises(Exception, match="Unavailable"):
        called("create", Rotating(), quoting)
    assert "retrying" in caplog.text
    assert TOKEN not in caplog.text


# ── objects ──────────────────────────────────────────────────────────────────

MAKE = {
    "ChatSunra": lambda key: ChatSunra(model="a/b", api_key=key),
    "Sunra": lambda key: Sunra(model="a/b", api_key=key),
    "SunraClient": lambda key: SunraClient(api_key=key),
    "Settings": Settings.resolve,
}
MODELS = ["ChatSunra", "Sunra"]


def key_of(made) -> Any:
    return made.settings.api_key if isinstance(made, SunraClient) else made.api_key


def function_of(made) -> Any:
    key = key_of(made)
    assert isinstance(key, KeyFunction)
    return key.get_secret_value()


@dataclass
class TokenSource:
    """A token source as users write it: it holds a secret, shows it, and has no hash."""

    client_secret: str = TOKEN

    def __call__(self) -> str:
        return self.client_secret


@pytest.mark.parametrize("make", MAKE)
def test_no_repr_or_dump_shows_what_a_function_holds(make):
    made = MAKE[make](TokenSource())
    shown = repr(made) + str(made) + repr(vars(made))
    if make in MODELS:
        shown += repr(made.model_dump()) + made.model_dump_json() + repr(made.to_json())
    if make == "Sunra":
        shown += repr(made.to_dict()) + repr(made.to_payload())
    if make == "ChatSunra":
        shown += dumps(made) + repr(dumpd(made)) + repr(made._identifying_params)
    assert TOKEN not in shown


@pytest.mark.parametrize("function", [module_level_token, async_module_level_token, Tokens.current])
@pytest.mark.parametrize("make", MAKE)
def test_a_pickle_has_the_name_of_a_function_that_can_be_imported(make, function):
    made = MAKE[make](function)
    assert function_of(pickle.loads(pickle.dumps(made))) == function  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "function",
    [
        TokenSource(),
        functools.partial(str, TOKEN),
        TokenSource().__call__,
        lambda: TOKEN,
    ],
    ids=["object", "partial", "method", "lambda"],
)
@pytest.mark.parametrize("make", MAKE)
def test_a_pickle_has_nothing_of_any_other_function(make, function, monkeypatch):
    stored = pickle.dumps(MAKE[make](function))
    assert TOKEN.encode() not in stored
    monkeypatch.setenv("SUNRA_KEY", "sk-of-this-process")
    loaded = pickle.loads(stored)  # noqa: S301 - our own bytes
    if make in MODELS:
        loaded = loaded._settings()
    assert key_of(loaded).get_secret_value() == "sk-of-this-process"


def test_a_pickle_whose_function_is_gone_loads_and_says_what_is_missing_when_called(monkeypatch):
    stored = pickle.dumps(SunraClient(api_key=module_level_token))
    monkeypatch.delattr("tests.test_key_functions.module_level_token")
    client = pickle.loads(stored)  # noqa: S301 - our own bytes
    with pytest.raises(ConfigurationError, match="set SUNRA_KEY"):
        client.create(REQUEST)


@pytest.mark.parametrize("make", MAKE)
def test_copies_share_the_function_and_are_equal(make):
    source = TokenSource()
    made = MAKE[make](source)
    for copied in (copy.copy(made), copy.deepcopy(made)):
        assert function_of(copied) is source
    if make in {"ChatSunra", "Settings"}:  # the others compare by identity, with any key
        assert made == MAKE[make](source)
        assert made != MAKE[make](lambda: TOKEN)


@pytest.mark.parametrize("make", MODELS)
def test_a_function_can_be_set_in_every_way_that_a_key_can(make):
    kind, source = type(MAKE[make]("sk-old")), TokenSource()
    assigned = MAKE[make]("sk-old")
    assigned.api_key = source
    for made in (
        assigned,
        MAKE[make]("sk-old").model_copy(update={"api_key": source}),
        MAKE[make]("sk-old").model_copy(update={"api_key": source}, deep=True),
        kind.model_construct(model="a/b", api_key=source),
        kind(model="a/b", api_key=MAKE[make](source).api_key),
    ):
        assert function_of(made) is source
        assert TOKEN not in repr(made)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("wrong", [5, [module_level_token], {"key": TOKEN}])
def test_other_types_are_refused(make, wrong):
    with pytest.raises(InvalidParameter, match="api_key") as caught:
        MAKE[make](wrong)
    assert TOKEN not in str(caught.value)


def test_the_json_schema_knows_the_key_as_a_password():
    described = Sunra.model_json_schema()["properties"]["api_key"]
    assert described["anyOf"][0] == {"format": "password", "type": "string", "writeOnly": True}
    assert described["anyOf"][1:] == [{"type": "null"}]


def test_langchain_serializes_the_name_of_the_variable():
    stored = dumpd(ChatSunra(model="a/b", api_key=TokenSource()))
    assert stored["kwargs"]["api_key"] == {"lc": 1, "type": "secret", "id": ["SUNRA_KEY"]}


def test_a_configurable_key_can_be_a_function():
    sent = Sent()
    model = ChatSunra(
        model="a/b",
        api_key="sk-default",
        http_client=httpx.Client(transport=httpx.MockTransport(sent)),
    ).configurable_fields(api_key=ConfigurableField("key"))
    model.invoke("Hi", {"configurable": {"key": module_level_token}})
    model.invoke("Hi")
    assert sent.keys == [TOKEN, "sk-default"]
    assert "key" in repr(model.config_schema().model_json_schema())


def test_the_cache_key_of_headers_does_not_call_the_function():
    source = Rotating()
    first, same, other = (
        ChatSunra(model="a/b", api_key=source, default_headers={"X-Team": team})
        for team in ("red", "red", "blue")
    )
    keys = [model._get_llm_string() for model in (first, same, other)]
    assert keys[0] == keys[1] != keys[2]
    assert source.calls == 0


# ── connections ──────────────────────────────────────────────────────────────


def test_all_tokens_of_a_function_share_connections_and_other_functions_have_their_own():
    with serving() as server:
        source = Rotating()
        for _ in range(3):
            SunraClient(api_key=source, base_url=server.base_url).create(REQUEST)
        assert server.connections == 1
        SunraClient(api_key=Rotating(), base_url=server.base_url).create(REQUEST)
        assert server.connections == 2


async def test_and_so_do_those_of_async_calls():
    with serving() as server:
        source = Rotating()
        for key in (source, source.later, source.later):
            await AsyncSunraClient(api_key=key, base_url=server.base_url).create(REQUEST)
        assert server.connections == 2
        assert source.calls == 3

"""The key and secret headers, looked for in all that a user, a log or a tracer could see."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler as LlamaIndexHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from pydantic import BaseModel, Field

from sunra_integrations.errors import SunraError
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import Http
from sunra_integrations.transport import Settings, SunraClient

KEY = "sk-look-for-me-0123456789"
DEFAULT_HEADER = "default-header-look-for-me"
CALL_HEADER = "call-header-look-for-me"
SECRETS = (KEY, DEFAULT_HEADER, CALL_HEADER)
CALL: dict[str, Any] = {"extra_headers": {"X-Call": CALL_HEADER}}
ROOT = Path(__file__).parent


def nothing_secret_in(seen: str | bytes) -> None:
    raw = seen if isinstance(seen, bytes) else seen.encode()
    for secret in SECRETS:
        assert secret.encode() not in raw


def deep(value: Any) -> str:
    """All that can be printed of a value: its repr, its pydantic dump, and those of its items."""
    if isinstance(value, dict):
        return repr(value) + "".join(map(deep, value.values()))
    if isinstance(value, (list, tuple, set)):
        return repr(value) + "".join(map(deep, value))
    if isinstance(value, BaseModel):
        return repr(value) + repr(value.model_dump())
    return repr(value) + str(value)


def chat(sandbox, **more):
    return ChatSunra(
        model="openai/gpt-4o",
        base_url=sandbox.base_url,
        default_headers={"X-Default": DEFAULT_HEADER},
        max_retries=1,
        **{"api_key": KEY, **more},
    )


def llm(sandbox, **more):
    return Sunra(
        model="openai/gpt-4o",
        api_base=sandbox.base_url,
        default_headers={"X-Default": DEFAULT_HEADER},
        max_retries=1,
        **{"api_key": KEY, **more},
    )


def client(sandbox, api_key=KEY):
    headers = {"X-Default": DEFAULT_HEADER}
    return SunraClient(Settings.resolve(api_key, sandbox.base_url, default_headers=headers))


KEYS = {"a string": KEY, "a function": lambda: KEY}
"""The key, in the forms in which it can be passed."""


class Callbacks(BaseCallbackHandler):
    """Keeps all that LangChain's callbacks tell."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda *args, **kwargs: self.told.append((name, args, kwargs))
        return super().__getattribute__(name)


class Events(BaseEventHandler):
    """Keeps all that LlamaIndex's events tell."""

    told: list[Any] = Field(default_factory=list)

    def handle(self, event: Any, **_: Any) -> None:
        self.told.append(event)


class Payloads(LlamaIndexHandler):
    """Keeps the payloads of LlamaIndex's older callbacks."""

    def __init__(self):
        super().__init__([], [])
        self.told: list[Any] = []

    def on_event_start(self, event_type, payload=None, event_id="", parent_id="", **_):
        self.told.append(payload)
        return event_id

    def on_event_end(self, event_type, payload=None, event_id="", **_):
        self.told.append(payload)

    def start_trace(self, trace_id=None):
        pass

    def end_trace(self, trace_id=None, trace_map=None):
        pass


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("make", [chat, llm, client])
def test_no_repr_dump_or_pickle_of_an_instance_holds_a_secret(make, key, sunra_sandbox):
    model = make(sunra_sandbox, api_key=KEYS[key])
    nothing_secret_in(deep(model))
    nothing_secret_in(str(model))
    assert KEY.encode() not in pickle.dumps(model)
    for dump in ("model_dump", "model_dump_json", "to_dict", "to_json"):
        if hasattr(model, dump) and not isinstance(model, SunraClient):
            nothing_secret_in(deep(getattr(model, dump)()))


def test_langchain_s_serialised_form_holds_no_secret(sunra_sandbox):
    model = chat(sunra_sandbox)
    nothing_secret_in(dumps(model))
    nothing_secret_in(deep(dumpd(model)))
    nothing_secret_in(deep(model._identifying_params))
    nothing_secret_in(deep(model._get_ls_params()))
    nothing_secret_in(model._get_llm_string(**CALL))


CALLS_OF_LANGCHAIN = {
    "invoke": lambda model, config: model.invoke("Hi", config, **CALL),
    "stream": lambda model, config: list(model.stream("Hi", config, **CALL)),
    "ainvoke": lambda model, config: asyncio.run(model.ainvoke("Hi", config, **CALL)),
}
CALLS_OF_LLAMA_INDEX = {
    "chat": lambda llm: llm.chat([ChatMessage("Hi")], **CALL),
    "stream_chat": lambda llm: list(llm.stream_chat([ChatMessage("Hi")], **CALL)),
    "complete": lambda llm: llm.complete("Hi", **CALL),
    "achat": lambda llm: asyncio.run(llm.achat([ChatMessage("Hi")], **CALL)),
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("call", CALLS_OF_LANGCHAIN)
def test_langchain_s_callbacks_logs_and_errors_hold_no_secret(
    call, fails, key, sunra_sandbox, caplog
):
    handler = Callbacks()
    model = chat(sunra_sandbox, api_key=KEYS[key])
    if fails:
        sunra_sandbox.answer_with(lambda _: Http(500, {"error": {"message": "It failed"}}))
    with caplog.at_level(logging.DEBUG):
        try:
            CALLS_OF_LANGCHAIN[call](model, {"callbacks": [handler]})
        except SunraError as error:
            assert fails
            nothing_secret_in(pickle.dumps(error))
            nothing_secret_in(deep(vars(error)) + str(error) + repr(error))
    assert handler.told
    nothing_secret_in(deep(handler.told))
    nothing_secret_in(caplog.text)
    assert sunra_sandbox.requests[-1].headers["x-call"] == CALL_HEADER
    assert sunra_sandbox.requests[-1].headers["x-default"] == DEFAULT_HEADER


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("call", CALLS_OF_LLAMA_INDEX)
def test_llama_index_s_events_spans_payloads_logs_and_errors_hold_no_secret(
    call, fails, key, sunra_sandbox, caplog
):
    events, payloads, spans = Events(), Payloads(), SimpleSpanHandler()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(events)
    dispatcher.add_span_handler(spans)
    manager = CallbackManager([payloads])
    model = llm(sunra_sandbox, callback_manager=manager, api_key=KEYS[key])
    if fails:
        sunra_sandbox.answer_with(lambda _: Http(500, {"error": {"message": "It failed"}}))
    try:
        with caplog.at_level(logging.DEBUG):
            CALLS_OF_LLAMA_INDEX[call](model)
    except SunraError as error:
        assert fails
        nothing_secret_in(pickle.dumps(error))
        nothing_secret_in(deep(vars(error)) + str(error) + repr(error))
    finally:
        dispatcher.event_handlers.remove(events)
        dispatcher.span_handlers.remove(spans)
    assert events.told
    nothing_secret_in(deep(events.told) + deep(payloads.told))
    nothing_secret_in(deep([*spans.completed_spans, *spans.dropped_spans]))
    nothing_secret_in(caplog.text)
    assert sunra_sandbox.requests[-1].headers["x-call"] == CALL_HEADER


QUOTING = {"error": {"message": f"Incorrect API key: {KEY}", "metadata": {"raw": KEY}}}


async def collected(chunks):
    return [one async for one in chunks]


async def collected_later(chunks):
    return await collected(await chunks)


QUOTED_TO = {
    "invoke": lambda model, _: model.invoke("Hi"),
    "stream": lambda model, _: list(model.stream("Hi")),
    "ainvoke": lambda model, _: asyncio.run(model.ainvoke("Hi")),
    "astream": lambda model, _: asyncio.run(collected(model.astream("Hi"))),
    "chat": lambda _, llm: llm.complete("Hi"),
    "stream_complete": lambda _, llm: list(llm.stream_complete("Hi")),
    "acomplete": lambda _, llm: asyncio.run(llm.acomplete("Hi")),
    "astream_complete": lambda _, llm: asyncio.run(collected_later(llm.astream_complete("Hi"))),
}
QUOTED_IN = {
    "a refusal": lambda: httpx.Response(401, json=QUOTING),
    "a failure": lambda: httpx.Response(500, json=QUOTING, headers={"x-request-id": KEY}),
    "a success": lambda: httpx.Response(200, json=QUOTING),
    "a stream": lambda: httpx.Response(
        200,
        headers={"content-type": "text/event-stream"},
        content=f"data: {json.dumps(QUOTING)}\n\n",
    ),
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("call", QUOTED_TO)
@pytest.mark.parametrize("quoted", QUOTED_IN)
def test_a_key_that_the_server_quotes_is_in_no_variable_of_a_traceback(call, quoted, key):
    transport = httpx.MockTransport(lambda _: QUOTED_IN[quoted]())
    sync, own = httpx.Client(transport=transport), httpx.AsyncClient(transport=transport)
    given = {"model": "a/b", "api_key": KEYS[key], "max_retries": 0, "http_client": sync}
    model = ChatSunra(**given, http_async_client=own)
    llm = Sunra(**given, async_http_client=own)
    with pytest.raises(SunraError) as caught:
        QUOTED_TO[call](model, llm)
    error: BaseException | None = caught.value
    while error is not None:
        nothing_secret_in(deep(vars(error)) + str(error))
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        for frame in frames:
            if Path(frame.f_code.co_filename).parent != ROOT:
                nothing_secret_in(deep(dict(frame.f_locals)))
        error = error.__cause__ or error.__context__


def test_an_error_that_does_not_quote_the_key_keeps_its_traceback():
    transport = httpx.MockTransport(lambda _: httpx.Response(500, json={"error": "It failed"}))
    model = SunraClient(api_key=KEY, max_retries=0, http_client=httpx.Client(transport=transport))
    with pytest.raises(SunraError) as caught:
        model.create({"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]})
    assert "call_flow" in [entry.name for entry in caught.traceback]


def test_no_cassette_holds_an_authorization_header():
    cassettes = list(ROOT.rglob("cassettes/*.yaml"))
    assert cassettes
    for cassette in cassettes:
        text = cassette.read_text(encoding="utf-8").lower()
        assert "authorization" not in text
        assert "bearer" not in text


UNDER_ANOTHER_NAME = ("openai_api_key", "sunra_api_key", "hf_token")


@pytest.mark.parametrize("name", UNDER_ANOTHER_NAME)
def test_a_secret_given_per_call_is_refused_before_any_callback_sees_it(name, sunra_sandbox):
    handler = Callbacks()
    model = chat(sunra_sandbox)
    before = len(sunra_sandbox.requests)
    for call in (model.invoke, lambda *args, **given: list(model.stream(*args, **given))):
        for given in ({name: CALL_HEADER}, {"extra_body": {name: CALL_HEADER}}):
            with pytest.raises(SunraError, match=name):
                call("Hi", {"callbacks": [handler]}, **given)
    with pytest.raises(SunraError, match=name):
        model.bind(**{name: CALL_HEADER})
    nothing_secret_in(deep(handler.told))
    assert len(sunra_sandbox.requests) == before


@pytest.mark.parametrize("name", UNDER_ANOTHER_NAME)
def test_a_secret_given_per_call_is_refused_before_any_event_or_span_has_it(name, sunra_sandbox):
    events, payloads, spans = Events(), Payloads(), SimpleSpanHandler()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(events)
    dispatcher.add_span_handler(spans)
    model = llm(sunra_sandbox, callback_manager=CallbackManager([payloads]))
    before = len(sunra_sandbox.requests)
    try:
        for given in ({name: CALL_HEADER}, {"extra_body": {name: CALL_HEADER}}):
            with pytest.raises(SunraError, match=name):
                model.chat([ChatMessage("Hi")], **given)
            with pytest.raises(SunraError, match=name):
                list(model.stream_complete("Hi", **given))
    finally:
        dispatcher.event_handlers.remove(events)
        dispatcher.span_handlers.remove(spans)
    nothing_secret_in(deep(events.told) + deep(payloads.told))
    nothing_secret_in(deep([*spans.completed_spans, *spans.dropped_spans]))
    assert len(sunra_sandbox.requests) == before

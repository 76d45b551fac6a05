"""The key and secret headers, looked for in all that a user, a log or a tracer could see."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd, dumps
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler as LlamaIndexHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from pydantic import BaseModel, Field, SecretStr

from sunra_integrations.errors import InvalidParameter, PermissionDenied, SunraError
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import Http
from sunra_integrations.transport import Settings, SunraClient

KEY = "sk-look-for-me-0123456789"
DEFAULT_HEADER = "default-header-look-for-me"
CALL_HEADER = "call-header-look-for-me"
TOOL_TOKEN = "tool-token-look-for-me"
TOOL_HEADER = "tool-header-look-for-me"
SECRETS = (KEY, DEFAULT_HEADER, CALL_HEADER, TOOL_TOKEN, TOOL_HEADER)
CALL: dict[str, Any] = {"extra_headers": {"X-Call": CALL_HEADER}}
SERVER: dict[str, Any] = {"type": "mcp", "server_label": "a", "server_url": "https://a.example/mcp"}
TOOL = {
    **SERVER,
    "authorization": SecretStr(TOOL_TOKEN),
    "headers": {"X-Team": SecretStr(TOOL_HEADER)},
}
SENT_TOOL = {**SERVER, "authorization": TOOL_TOKEN, "headers": {"X-Team": TOOL_HEADER}}
"""The same in the body of the request."""
WITH_TOOL: dict[str, Any] = {"api": "responses", "tools": [TOOL]}
CALLS: dict[str, dict[str, Any]] = {"headers": CALL, "headers and a tool": {**CALL, **WITH_TOOL}}


def was_sent(request: Any, given: str) -> None:
    """The request has the real values."""
    assert request.headers["x-call"] == CALL_HEADER
    assert request.headers["x-default"] == DEFAULT_HEADER
    assert request.json.get("tools") == (None if given == "headers" else [SENT_TOOL])


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


def chat_with_tool(sandbox, **more):
    return chat(sandbox, api="responses", extra_body={"tools": [TOOL]}, **more)


def llm_with_tool(sandbox, **more):
    return llm(sandbox, **WITH_TOOL, **more)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("make", [chat, llm, client, chat_with_tool, llm_with_tool])
def test_no_repr_dump_or_pickle_of_an_instance_holds_a_secret(make, key, sunra_sandbox):
    model = make(sunra_sandbox, api_key=KEYS[key])
    nothing_secret_in(deep(model))
    nothing_secret_in(str(model))
    assert KEY.encode() not in pickle.dumps(model)
    for dump in ("model_dump", "model_dump_json", "to_dict", "to_json"):
        if hasattr(model, dump) and not isinstance(model, SunraClient):
            nothing_secret_in(deep(getattr(model, dump)()))


@pytest.mark.parametrize("make", [chat, chat_with_tool])
def test_langchain_s_serialised_form_holds_no_secret(make, sunra_sandbox):
    model = make(sunra_sandbox)
    nothing_secret_in(dumps(model))
    nothing_secret_in(deep(dumpd(model)))
    nothing_secret_in(deep(model._identifying_params))
    nothing_secret_in(deep(model._get_ls_params()))
    for given in CALLS.values():
        nothing_secret_in(model._get_llm_string(**given))
        nothing_secret_in(dumps(model.bind(**WITH_TOOL)) + deep(model.bind_tools([TOOL])))


async def collected(chunks):
    return [one async for one in chunks]


async def collected_later(chunks):
    return await collected(await chunks)


CALLS_OF_LANGCHAIN = {
    "invoke": lambda model, config, given: model.invoke("Hi", config, **given),
    "stream": lambda model, config, given: list(model.stream("Hi", config, **given)),
    "ainvoke": lambda model, config, given: asyncio.run(model.ainvoke("Hi", config, **given)),
    "astream": lambda model, config, given: asyncio.run(
        collected(model.astream("Hi", config, **given))
    ),
}
CALLS_OF_LLAMA_INDEX = {
    "chat": lambda llm, given: llm.chat([ChatMessage("Hi")], **given),
    "stream_chat": lambda llm, given: list(llm.stream_chat([ChatMessage("Hi")], **given)),
    "complete": lambda llm, given: llm.complete("Hi", **given),
    "achat": lambda llm, given: asyncio.run(llm.achat([ChatMessage("Hi")], **given)),
    "astream_complete": lambda llm, given: asyncio.run(
        collected_later(llm.astream_complete("Hi", **given))
    ),
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("call", CALLS_OF_LANGCHAIN)
@pytest.mark.parametrize("given", CALLS)
def test_langchain_s_callbacks_logs_and_errors_hold_no_secret(
    *, given, call, fails, key, sunra_sandbox, caplog
):
    handler = Callbacks()
    model = (chat if given == "headers" else chat_with_tool)(sunra_sandbox, api_key=KEYS[key])
    if fails:
        sunra_sandbox.answer_with(lambda _: Http(500, {"error": {"message": "It failed"}}))
    with caplog.at_level(logging.DEBUG):
        try:
            CALLS_OF_LANGCHAIN[call](model, {"callbacks": [handler]}, CALLS[given])
        except SunraError as error:
            assert fails
            nothing_secret_in(pickle.dumps(error))
            nothing_secret_in(deep(vars(error)) + str(error) + repr(error))
    assert handler.told
    nothing_secret_in(deep(handler.told))
    nothing_secret_in(caplog.text)
    was_sent(sunra_sandbox.requests[-1], given)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("call", CALLS_OF_LLAMA_INDEX)
@pytest.mark.parametrize("given", CALLS)
def test_llama_index_s_events_spans_payloads_logs_and_errors_hold_no_secret(
    *, given, call, fails, key, sunra_sandbox, caplog
):
    events, payloads, spans = Events(), Payloads(), SimpleSpanHandler()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(events)
    dispatcher.add_span_handler(spans)
    manager = CallbackManager([payloads])
    make = llm if given == "headers" else llm_with_tool
    model = make(sunra_sandbox, callback_manager=manager, api_key=KEYS[key])
    if fails:
        sunra_sandbox.answer_with(lambda _: Http(500, {"error": {"message": "It failed"}}))
    try:
        with caplog.at_level(logging.DEBUG):
            CALLS_OF_LLAMA_INDEX[call](model, CALLS[given])
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
    was_sent(sunra_sandbox.requests[-1], given)


QUOTING = {
    "error": {
        "message": f"Incorrect API key: {KEY}, or token: {TOOL_TOKEN}",
        "metadata": {"raw": KEY},
    }
}


QUOTED_TO = {
    "invoke": lambda model, _: model.invoke("Hi", **WITH_TOOL),
    "stream": lambda model, _: list(model.stream("Hi", **WITH_TOOL)),
    "ainvoke": lambda model, _: asyncio.run(model.ainvoke("Hi", **WITH_TOOL)),
    "astream": lambda model, _: asyncio.run(collected(model.astream("Hi", **WITH_TOOL))),
    "chat": lambda _, llm: llm.complete("Hi", **WITH_TOOL),
    "stream_complete": lambda _, llm: list(llm.stream_complete("Hi", **WITH_TOOL)),
    "acomplete": lambda _, llm: asyncio.run(llm.acomplete("Hi", **WITH_TOOL)),
    "astream_complete": lambda _, llm: asyncio.run(
        collected_later(llm.astream_complete("Hi", **WITH_TOOL))
    ),
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


def test_callbacks_get_a_tool_with_hidden_secrets_as_json(sunra_sandbox):
    handler = Callbacks()
    model = chat(sunra_sandbox, api="responses")
    model.bind_tools([TOOL]).invoke("Hi", {"callbacks": [handler]})
    _, _, told = handler.told[0]
    hidden = "*" * 10
    shown = {**SERVER, "authorization": hidden, "headers": {"X-Team": hidden}}
    assert json.loads(json.dumps(told["invocation_params"]["tools"])) == [shown]
    assert llm_with_tool(sunra_sandbox).to_dict()["tools"] == [shown]


def test_langchain_s_cache_keeps_the_answers_for_two_tokens_apart(sunra_sandbox):
    cache = InMemoryCache()
    model = chat(sunra_sandbox, api="responses", cache=cache)

    def requests_after(tool, **more):
        model.bind_tools([tool]).invoke("Hi", **more)
        return len(sunra_sandbox.requests)

    other = {**TOOL, "authorization": SecretStr("another-token")}
    swapped = {
        **TOOL,
        "authorization": SecretStr(TOOL_HEADER),
        "headers": {"X-Team": SecretStr(TOOL_TOKEN)},
    }
    assert requests_after(TOOL) == requests_after(TOOL)
    assert requests_after(other) == 2
    assert requests_after(swapped) == 3
    assert requests_after(TOOL) == requests_after(other) == requests_after(swapped) == 3
    nothing_secret_in(deep(list(cache._cache)))
    for tool in (TOOL, other):
        body = {"tools": [tool]}
        chat(sunra_sandbox, api="responses", cache=cache, extra_body=body).invoke("Hi")
    assert len(sunra_sandbox.requests) == 5


PLAIN_TOOLS = {
    "authorization": {**SERVER, "authorization": TOOL_TOKEN},
    "headers.X-Team": {**TOOL, "headers": {"X-Team": TOOL_HEADER}},
    "headers.key": {**SERVER, "headers": {"key": TOOL_HEADER}},
    "auth.access_token": {**SERVER, "auth": {"access_token": TOOL_TOKEN}},
    "container.network_policy.domain_secrets.value": {
        "type": "code_interpreter",
        "container": {
            "type": "auto",
            "network_policy": {
                "type": "allowlist",
                "domain_secrets": [{"domain": "a.example", "name": "A", "value": TOOL_TOKEN}],
            },
        },
    },
}
"""Tools with a secret that is plain text, by its place."""
GIVEN_TO: dict[str, Any] = {
    "bind_tools": lambda model, _, tool: model.bind_tools([tool]),
    "bind": lambda model, _, tool: model.bind(tools=[tool]),
    "invoke": lambda model, _, tool: model.invoke("Hi", tools=[tool]),
    "a tool that is not in a list": lambda model, _, tool: model.invoke("Hi", tools=tool),
    "extra_body of a call": lambda model, _, tool: model.invoke("Hi", extra_body={"tools": [tool]}),
    "stream": lambda model, _, tool: list(model.stream("Hi", tools=[tool])),
    "extra_body": lambda _, __, tool: ChatSunra(model="a/b", extra_body={"tools": [tool]}),
    "model_kwargs": lambda _, __, tool: ChatSunra(model="a/b", model_kwargs={"tools": [tool]}),
    "Sunra": lambda _, __, tool: Sunra(model="a/b", api="responses", tools=[tool]),
    "Sunra, not in a list": lambda _, __, tool: Sunra(model="a/b", tools=tool),
    "additional_kwargs": lambda _, __, tool: Sunra(
        model="a/b", additional_kwargs={"tools": [tool], "api": "responses"}
    ),
    "chat": lambda _, llm, tool: llm.chat([ChatMessage("Hi")], tools=[tool]),
    "astream_complete": lambda _, llm, tool: asyncio.run(
        collected_later(llm.astream_complete("Hi", tools=[tool]))
    ),
    "the client": lambda model, _, tool: model._client().create(
        {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}], "tools": [tool, 1]}
    ),
}


@pytest.mark.parametrize("place", PLAIN_TOOLS)
@pytest.mark.parametrize("given_to", GIVEN_TO)
def test_a_secret_of_a_tool_that_is_plain_text_is_refused_before_anyone_sees_it(
    given_to, place, sunra_sandbox
):
    handler, payloads, events = Callbacks(), Payloads(), Events()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(events)
    model = chat(sunra_sandbox, api="responses", callbacks=[handler])
    own = llm(sunra_sandbox, api="responses", callback_manager=CallbackManager([payloads]))
    try:
        with pytest.raises(InvalidParameter, match="SecretStr") as caught:
            GIVEN_TO[given_to](model, own, PLAIN_TOOLS[place])
    finally:
        dispatcher.event_handlers.remove(events)
    assert f"`{place}` in `tools[0]`" in str(caught.value)
    nothing_secret_in(deep(vars(caught.value)) + str(caught.value))
    nothing_secret_in(deep(handler.told) + deep(payloads.told) + deep(events.told))
    assert not sunra_sandbox.requests


NOT_SECRET = {
    "a filter": {"type": "file_search", "filters": {"type": "eq", "key": "a", "value": "b"}},
    "an empty header": {**SERVER, "headers": {"X-Team": ""}},
    "the schema of a function": {
        "type": "namespace",
        "name": "web",
        "tools": [
            {
                "type": "function",
                "name": "fetch",
                "parameters": {"type": "object", "properties": {"headers": {"type": "object"}}},
            }
        ],
    },
}


@pytest.mark.parametrize("tool", NOT_SECRET)
def test_other_text_of_a_tool_is_sent_as_it_is(tool, sunra_sandbox):
    chat(sunra_sandbox, api="responses").bind_tools([NOT_SECRET[tool]]).invoke("Hi")
    assert sunra_sandbox.requests[-1].json["tools"] == [NOT_SECRET[tool]]


def test_the_error_for_a_request_that_is_not_json_has_no_token_in_its_frames(sunra_sandbox):
    model = ChatSunra(model="a/b", api_key=KEY, base_url=sunra_sandbox.base_url)
    with pytest.raises(InvalidParameter, match="`metadata`") as caught:
        model.invoke("Hi", extra_body={"metadata": {"a": float("nan")}}, **WITH_TOOL)
    error: BaseException | None = caught.value
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if Path(frame.f_code.co_filename).parent != ROOT:
                nothing_secret_in(deep(dict(frame.f_locals)))
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_copies_and_pickles_keep_the_token_of_a_tool(copied, sunra_sandbox, monkeypatch):
    monkeypatch.setenv("SUNRA_KEY", KEY)
    for make in (chat_with_tool, llm_with_tool):
        made = copied(make(sunra_sandbox))
        model = pickle.loads(made) if isinstance(made, bytes) else made  # noqa: S301 - our own
        model.invoke("Hi") if isinstance(model, ChatSunra) else model.complete("Hi")
        assert sunra_sandbox.requests[-1].json["tools"] == [SENT_TOOL]


def test_a_stored_llm_is_not_loaded_with_a_hidden_token(sunra_sandbox):
    stored = llm_with_tool(sunra_sandbox).to_json()
    with pytest.raises(InvalidParameter, match="SecretStr"):
        Sunra.from_json(stored, api_key=KEY)
    Sunra.from_json(stored, api_key=KEY, tools=[TOOL]).complete("Hi")
    assert sunra_sandbox.requests[-1].json["tools"] == [SENT_TOOL]


HEADER_TOKEN = "header-token-look-for-me"


@pytest.mark.parametrize("where", ["default_headers", "extra_headers"])
@pytest.mark.parametrize("quoted", [f"Bearer {HEADER_TOKEN}", HEADER_TOKEN])
def test_a_secret_header_that_the_server_quotes_is_not_in_the_error(sunra_sandbox, where, quoted):
    sunra_sandbox.next(Http(403, {"error": {"message": f"Not allowed: {quoted}"}}))
    given = {"X-Auth-Token": f"Bearer {HEADER_TOKEN}"}
    model = chat(sunra_sandbox)
    if where == "default_headers":
        model = model.model_copy(update={where: given})
    with pytest.raises(PermissionDenied, match="Not allowed") as caught:
        model.invoke("Hi", **({where: given} if where == "extra_headers" else {}))
    assert sunra_sandbox.requests[-1].headers["x-auth-token"] == f"Bearer {HEADER_TOKEN}"
    assert HEADER_TOKEN not in deep(vars(caught.value)) + str(caught.value)


def test_a_harmless_header_that_the_server_quotes_stays_in_the_error(sunra_sandbox):
    sunra_sandbox.next(Http(403, {"error": {"message": "Not allowed: harmless title"}}))
    with pytest.raises(PermissionDenied, match="harmless title"):
        chat(sunra_sandbox).invoke("Hi", extra_headers={"X-Title": "harmless title"})


@pytest.mark.parametrize("make", [chat, llm])
def test_the_error_about_a_secret_in_another_place_has_none_in_its_frames(sunra_sandbox, make):
    model, more = make(sunra_sandbox), {"extra_body": {"x": [SecretStr(TOOL_TOKEN)]}, **WITH_TOOL}
    with pytest.raises(InvalidParameter, match="`x` contains a secret") as caught:
        model.invoke("Hi", **more) if make is chat else model.complete("Hi", **more)
    assert sunra_sandbox.requests == []
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if "sunra_integrations" in frame.f_code.co_filename:
            nothing_secret_in(
                deep({k: v for k, v in frame.f_locals.items() if k in {"data", "body"}})
            )


def test_a_message_of_asterisks_is_sent(sunra_sandbox):
    chat(sunra_sandbox).invoke("*" * 10, **WITH_TOOL)
    assert sunra_sandbox.requests[-1].json["tools"] == [SENT_TOOL]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_tokens_of_tools_that_the_server_repeats_are_not_in_the_response(is_streamed):
    response = {
        "id": "r1",
        "object": "response",
        "status": "completed",
        "tools": [SENT_TOOL],
        "output": [
            {
                "type": "message",
                "id": "m1",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello"}],
            }
        ],
    }
    event = {"type": "response.completed", "response": response}
    body = f"data: {json.dumps(event)}\n\n" if is_streamed else json.dumps(response)
    kind = "text/event-stream" if is_streamed else "application/json"

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=body, headers={"content-type": kind})

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        model = Sunra(model="a/b", api_key=KEY, api="responses", http_client=http)
        more = {"tools": [TOOL]}
        replies = (
            [*model.stream_complete("Hi", **more)]
            if is_streamed
            else [model.complete("Hi", **more)]
        )
    assert replies[-1].text == "Hello"
    assert replies[-1].raw["tools"] == [SERVER]
    nothing_secret_in("".join(map(deep, replies)))


def test_the_tokens_of_a_tool_with_a_secret_can_be_counted(sunra_sandbox):
    assert chat(sunra_sandbox).get_num_tokens_from_messages([], tools=[TOOL]) > 0

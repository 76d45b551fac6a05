"""ChatSunra itself: how it is made, what it sends, what LangChain sees of it."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import warnings
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableBinding
from pydantic import SecretStr

from sunra_integrations.errors import ConfigurationError, InvalidParameter
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.protocol.request import parameter_rules
from tests.recorded_transport import Body, Recorded, completion, status, stream
from tests.wire_cases import completion_bytes, stream_bytes

KEY = "sk-made-up-0123456789"
PLAIN = completion(completion_bytes("plain"))
TWO = completion(completion_bytes("two_choices"))
STREAM = stream(stream_bytes("plain"))


def chat(*answers: Any, **given: Any) -> tuple[ChatSunra, Recorded]:
    transport = Recorded(*(answers or (PLAIN,)))
    model = ChatSunra(
        **{
            "model": "openai/gpt-4o",
            "api_key": KEY,
            "http_client": httpx.Client(transport=transport),
            "http_async_client": httpx.AsyncClient(transport=transport),
            **given,
        }
    )
    return model, transport


class TokenHandler(BaseCallbackHandler):
    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.generations: list[Any] = []
        self.params: list[dict[str, Any]] = []

    def on_chat_model_start(self, *_: Any, **known: Any) -> None:
        self.params.append(known)

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens.append(token)

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.generations.append(response.generations)


# -- making one ------------------------------------------------------------


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "out of range": ({"temperature": 3}, "temperature"),
    "of the wrong type": ({"temperature": "warm"}, "temperature"),
    "a boolean for a number": ({"max_tokens": True}, "max_tokens"),
    "two token limits": ({"max_tokens": 1, "max_completion_tokens": 1}, "max_completion_tokens"),
    "five stop sequences": ({"stop": list("abcde")}, "stop"),
    "by the other name": ({"stop_sequences": list("abcde")}, "stop"),
    "top_logprobs alone": ({"top_logprobs": 2}, "top_logprobs"),
    "no model": ({"model": ""}, "model"),
    "a timeout in words": ({"timeout": "soon"}, "timeout"),
    "a client of another kind": ({"http_client": object()}, "http_client"),
    "a field in model_kwargs": ({"model_kwargs": {"temperature": 1}}, "temperature"),
    "tools": ({"tools": []}, "tools"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_misuse_is_told_by_the_parameters_name(case: str):
    given, parameter = BROKEN[case]
    with pytest.raises(InvalidParameter) as broken:
        chat(**given)
    assert broken.value.parameter == parameter
    assert KEY not in str(broken.value)


def test_a_missing_model_is_told():
    with pytest.raises(InvalidParameter, match=r"`model` is required: .* 'openai/gpt-4o'"):
        ChatSunra(api_key=KEY)


def test_a_missing_key_is_told_when_the_model_is_made():
    with pytest.raises(ConfigurationError, match="SUNRA_KEY"):
        ChatSunra(model="a/b")


def test_what_the_environment_says_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SUNRA_KEY", KEY)
    monkeypatch.setenv("SUNRA_BASE_URL", "https://gateway.example")
    model = ChatSunra(model="a/b")
    monkeypatch.delenv("SUNRA_KEY")
    monkeypatch.delenv("SUNRA_BASE_URL")
    assert model.api_key == SecretStr(KEY)
    assert model._settings().endpoint == "https://gateway.example/v1/chat/completions"


def test_what_has_no_field_is_sent_from_model_kwargs():
    model, transport = chat(model_kwargs={"top_k": 3})
    model.invoke("Hi")
    assert transport.bodies[0]["top_k"] == 3


ALL = {
    "max_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.5,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "stop": ["x"],
    "n": 1,
    "logprobs": True,
    "top_logprobs": 2,
    "response_format": {"type": "json_object"},
    "seed": 1,
    "user": "u",
    "provider": {"only": ["openai"]},
    "reasoning": {"effort": "low"},
    "reasoning_effort": "low",
}


def test_every_parameter_that_is_set_is_sent_and_no_other():
    model, transport = chat(**ALL, extra_body={"top_k": 3})
    model.invoke("Hi")
    messages = [{"role": "user", "content": "Hi"}]
    assert transport.bodies == [{"model": "openai/gpt-4o", "messages": messages, **ALL, "top_k": 3}]
    bare, transport = chat()
    bare.invoke("Hi")
    assert transport.bodies == [{"model": "openai/gpt-4o", "messages": messages}]


def test_every_documented_parameter_is_an_argument():
    of_a_call = {"messages", "tools", "tool_choice", "model"}
    assert parameter_rules().keys() - of_a_call <= ChatSunra.model_fields.keys()


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"include_usage": True}),
        ({"stream_usage": False}, None),
        ({"stream_options": {"x": 1}}, {"x": 1}),
    ],
)
def test_streams_ask_for_usage_unless_told_otherwise(given: dict[str, Any], sent: Any):
    model, transport = chat(STREAM, **given)
    list(model.stream("Hi"))
    assert transport.bodies[0].get("stream_options") == sent


@pytest.mark.parametrize(
    ("given", "call", "sent"),
    [
        ({"stream_usage": False}, True, {"include_usage": True}),
        ({"stream_options": {}}, True, {"include_usage": True}),
        ({}, False, None),
        ({"stream_usage": False}, None, None),
    ],
)
def test_a_call_may_ask_for_usage_or_not(given: dict[str, Any], call: Any, sent: Any):
    model, transport = chat(STREAM, **given)
    list(model.stream("Hi", stream_usage=call))
    assert transport.bodies[0].get("stream_options") == sent
    list(model.bind(stream_usage=call).stream("Hi"))
    assert transport.bodies[1].get("stream_options") == sent
    whole, transport = chat(PLAIN, **given)
    whole.invoke("Hi", stream_usage=call)
    assert "stream_options" not in transport.bodies[0]


def test_headers_of_the_model_and_of_a_call_are_sent():
    model, transport = chat(default_headers={"x-a": "1", "x-b": "1"})
    model.invoke("Hi", extra_headers={"x-b": "2"})
    sent = transport.sent[0].headers
    assert (sent["x-a"], sent["x-b"], sent["authorization"]) == ("1", "2", f"Bearer {KEY}")


async def test_retries_are_as_many_as_asked():
    for retries in (0, 1):
        model, transport = chat(status(503, retry_after="0"), max_retries=retries)
        with pytest.raises(Exception, match="503"):
            await model.ainvoke("Hi")
        assert len(transport.sent) == 1 + retries


# -- keeping one -----------------------------------------------------------


def test_the_key_and_headers_show_nowhere():
    model, _ = chat(default_headers={"x-secret": "hidden-value"})
    handler = TokenHandler()
    model.invoke("Hi", config={"callbacks": [handler]}, extra_headers={"x-secret": "hidden-value"})
    shown = [
        repr(model),
        str(model),
        dumps(model),
        str(model._identifying_params),
        str(model._get_ls_params()),
        repr(handler.params),
    ]
    for text in shown:
        assert KEY not in text
        assert "hidden-value" not in text


def test_a_dumped_model_is_loaded_as_it_was(monkeypatch: pytest.MonkeyPatch):
    given = {**ALL, "extra_body": {"top_k": 3}, "base_url": "https://gateway.example/v1"}
    model = ChatSunra(model="openai/gpt-4o", api_key=KEY, **given)
    monkeypatch.setenv("SUNRA_KEY", "sk-another")
    with warnings.catch_warnings():  # langchain-core warns of a beta once in a process
        warnings.simplefilter("ignore")
        loaded = loads(
            dumps(model),
            allowed_objects=[ChatSunra],
            valid_namespaces=["sunra_integrations"],
            secrets_from_env=True,
        )
    assert loaded.api_key == SecretStr("sk-another")
    assert loaded._identifying_params == model._identifying_params


HERE = "http://127.0.0.1:9/v1"
ELSEWHERE = "https://evil.example/v1"
LOADS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "Sunra's address": ("https://api-llm.sunra.ai/v1", {}, True),
    "an address of this machine": (HERE, {}, True),
    "another's address": (ELSEWHERE, {}, False),
    "another's address, with a key for it": (
        ELSEWHERE,
        {"secrets_map": {"SUNRA_KEY": "sk-for-it"}},
        True,
    ),
}


@pytest.mark.filterwarnings("ignore:.*beta")
@pytest.mark.parametrize("case", LOADS)
def test_a_stored_model_gets_no_key_unasked_that_its_address_may_not_have(
    case: str, monkeypatch: pytest.MonkeyPatch
):
    address, options, loads_well = LOADS[case]
    stored = dumps(ChatSunra(model="a/b", api_key="sk-of-the-writer", base_url=address))
    monkeypatch.setenv("SUNRA_KEY", KEY)

    def load() -> Any:
        return loads(
            stored, allowed_objects=[ChatSunra], valid_namespaces=["sunra_integrations"], **options
        )

    if loads_well:
        expected = options.get("secrets_map", {}).get("SUNRA_KEY", KEY)
        assert load().api_key == SecretStr(expected)
        return
    with pytest.raises(ConfigurationError, match="SUNRA_BASE_URL") as caught:
        load()
    assert KEY not in str(caught.value)
    monkeypatch.setenv("SUNRA_BASE_URL", address)
    assert load().api_key == SecretStr(KEY)


def test_a_model_that_is_made_sends_the_key_of_the_process_where_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("SUNRA_KEY", KEY)
    assert ChatSunra(model="a/b", base_url=ELSEWHERE).api_key == SecretStr(KEY)


def test_an_unpickled_model_without_a_key_says_so_when_it_is_called(
    monkeypatch: pytest.MonkeyPatch,
):
    loaded = pickle.loads(pickle.dumps(plain_model()))  # noqa: S301 - our own bytes
    with pytest.raises(ConfigurationError, match="set SUNRA_KEY"):
        loaded.invoke("Hi")
    monkeypatch.setenv("SUNRA_KEY", KEY)
    assert loaded._settings().api_key == SecretStr(KEY)


@pytest.mark.filterwarnings("ignore:.*beta")
@pytest.mark.parametrize("timeout", [5, (1, 5), httpx.Timeout(5, connect=1)])
def test_a_bound_timeout_is_dumped_and_loaded(timeout: Any):
    bound = plain_model().bind(timeout=timeout)
    allowed = [type(bound), RunnableBinding, ChatSunra]
    loaded = loads(
        dumps(bound),
        allowed_objects=allowed,
        valid_namespaces=["sunra_integrations"],
        secrets_map={"SUNRA_KEY": KEY},
    )
    changed = loaded.bound._settings(loaded.kwargs).timeouts
    assert changed == plain_model()._settings({"timeout": timeout}).timeouts


@pytest.mark.parametrize("change", ["copy", "assignment"])
def test_a_timeout_that_is_changed_may_have_any_form(change: str):
    model = plain_model()
    if change == "copy":
        model = model.model_copy(update={"timeout": httpx.Timeout(5, connect=1)})
    else:
        model.timeout = httpx.Timeout(5, connect=1)  # type: ignore[assignment]
    assert model._settings().timeouts.connect == 1
    assert '"connect": 1' in dumps(model)


def test_settings_can_be_chosen_at_run_time():
    model, transport = chat(PLAIN)
    chosen = model.configurable_fields(timeout=ConfigurableField(id="timeout"))
    assert chosen.config_schema().model_json_schema()
    chosen.invoke("Hi", config={"configurable": {"timeout": (1, 5)}})
    assert transport.sent[0].extensions["timeout"]["connect"] == 1


TENANTS = {"a": {"X-Tenant": "a"}, "b": {"X-Tenant": "b"}, "none": {}}


@pytest.mark.parametrize("of_the_call", [False, True])
def test_answers_are_cached_apart_for_every_set_of_headers(of_the_call: bool):
    cache, answers = InMemoryCache(), {}
    for name, headers in TENANTS.items():
        body = {"choices": [{"message": {"content": name}, "finish_reason": "stop"}]}
        given = {} if of_the_call else {"default_headers": headers}
        call = {"extra_headers": headers} if of_the_call else {}
        model, _ = chat(completion(body), cache=cache, **given)
        answers[name] = [model.invoke("Hi", **call).text for _ in range(2)]
    assert answers == {name: [name, name] for name in TENANTS}


def test_headers_are_in_the_keys_of_caches_as_a_digest_that_the_api_key_is_part_of():
    one, _ = chat(default_headers={"X-Tenant": "a"})
    other, _ = chat(default_headers={"X-Tenant": "a"}, api_key="sk-another")
    for keys in ((one._get_llm_string(), one._identifying_params), (other._get_llm_string(),)):
        assert "X-Tenant" not in str(keys)
    assert one._get_llm_string() != other._get_llm_string()
    assert one._identifying_params != other._identifying_params


def test_how_long_an_answer_may_take_does_not_change_its_place_in_a_cache():
    model, transport = chat(cache=InMemoryCache())
    model.invoke("Hi")
    model.invoke("Hi", timeout=5, max_retries=0)
    assert len(transport.sent) == 1


def plain_model() -> ChatSunra:
    return ChatSunra(model="openai/gpt-4o", api_key=KEY, base_url="http://127.0.0.1:9")


@pytest.mark.parametrize(
    "twice",
    [
        copy.copy,
        copy.deepcopy,
        lambda model: model.model_copy(),
        lambda model: model.model_copy(deep=True),
    ],
)
async def test_it_is_copied_after_calls_were_made(twice: Any):
    model = plain_model().model_copy(update={"max_retries": 0})
    for call in (lambda: model.invoke("Hi"), lambda: asyncio.run(model.ainvoke("Hi"))):
        with pytest.raises(Exception, match="connect"):
            await asyncio.to_thread(call)
    assert twice(model)._identifying_params == model._identifying_params
    assert twice(model).api_key == SecretStr(KEY)


def test_a_pickled_model_holds_no_key_and_takes_that_of_the_process_that_loads_it(
    monkeypatch: pytest.MonkeyPatch,
):
    model = plain_model()
    pickled = pickle.dumps(model)
    assert KEY.encode() not in pickled
    loaded = pickle.loads(pickled)  # noqa: S301 - its own
    with pytest.raises(ConfigurationError, match="SUNRA_KEY"):
        loaded.invoke("Hi")
    monkeypatch.setenv("SUNRA_KEY", "sk-another")
    assert loaded._identifying_params == model._identifying_params
    assert loaded._settings().api_key == SecretStr("sk-another")


def test_a_deep_copy_shares_the_http_clients():
    model, transport = chat()
    twice = copy.deepcopy(model)
    assert twice.http_client is model.http_client
    twice.invoke("Hi")
    assert len(transport.sent) == 1


@pytest.mark.parametrize("change", ["copy", "assignment"])
def test_a_changed_model_does_not_answer_from_the_others_cache(change: str):
    model, transport = chat(cache=InMemoryCache())
    model.invoke("Hi")
    model.invoke("Hi")
    assert len(transport.sent) == 1
    if change == "copy":
        model = model.model_copy(update={"temperature": 1.0})
    else:
        model.temperature = 1.0
    model.invoke("Hi")
    assert [body.get("temperature") for body in transport.bodies] == [None, 1.0]


@pytest.mark.parametrize(
    "given",
    [
        {"provider": {"only": ["azure"]}},
        {"reasoning_effort": "high"},
        {"extra_body": {"top_k": 1}},
        {"base_url": "https://gateway.example/v1"},
        {"model": "c/d"},
    ],
)
def test_whatever_changes_the_answer_changes_the_cache_key(given: dict[str, Any]):
    one, other = chat()[0], chat(**given)[0]
    assert one._get_llm_string() != other._get_llm_string()
    assert one._identifying_params != other._identifying_params


def test_many_models_leave_nothing_behind():
    def count() -> int:
        gc.collect()
        return len(gc.get_objects())

    def make(number: int) -> None:
        for _ in range(number):
            chat()[0].invoke("Hi")

    make(20)
    before = count()
    make(100)
    assert count() - before < 200


# -- what LangChain asks ---------------------------------------------------


def test_tracing_parameters():
    model, _ = chat(temperature=0.5, max_completion_tokens=7, stop="x")
    assert model._get_ls_params() == {
        "ls_provider": "sunra",
        "ls_model_name": "openai/gpt-4o",
        "ls_model_type": "chat",
        "ls_temperature": 0.5,
        "ls_max_tokens": 7,
        "ls_stop": ["x"],
    }
    assert model._get_ls_params(model="c/d")["ls_model_name"] == "c/d"


def test_tokens_are_counted_offline_for_any_model_tools_included():
    model, transport = chat(model="vendor/never-heard-of")
    tools = [{"name": "weather", "description": "d" * 400, "input_schema": {"type": "object"}}]
    bare = model.get_num_tokens_from_messages([HumanMessage("word " * 40)])
    assert 40 <= bare <= 80
    assert model.get_num_tokens_from_messages([HumanMessage("word " * 40)], tools) > bare + 90
    assert model.get_num_tokens("word " * 40) == 50
    assert transport.sent == []


# -- several choices -------------------------------------------------------


BASE64 = "QUJD" * 5000
FILES: dict[str, tuple[dict[str, Any], int]] = {
    "an image": ({"type": "image", "base64": BASE64, "mime_type": "image/png"}, 85),
    "OpenAI's image": (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BASE64}"}},
        85,
    ),
    "a sound": ({"type": "audio", "base64": BASE64, "mime_type": "audio/wav"}, 1000),
    "OpenAI's sound": (
        {"type": "input_audio", "input_audio": {"data": BASE64, "format": "wav"}},
        1000,
    ),
    "a video": ({"type": "video", "base64": BASE64, "mime_type": "video/mp4"}, 1000),
    "a document": ({"type": "file", "base64": BASE64, "mime_type": "application/pdf"}, 1000),
    "OpenAI's document": ({"type": "file", "file": {"file_data": BASE64, "filename": "a"}}, 1000),
    "Anthropic's document": (
        {"type": "document", "source": {"type": "base64", "data": BASE64}},
        1000,
    ),
    "a text in a document": (
        {"type": "document", "source": {"type": "text", "data": "word" * 100}},
        100,
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_counts_by_a_rule_and_not_by_its_length(name: str):
    block, tokens = FILES[name]
    model, _ = chat()
    text = {"type": "text", "text": "What is this"}
    bare = model.get_num_tokens_from_messages([HumanMessage([text])])
    assert model.get_num_tokens_from_messages([HumanMessage([text, block])]) == bare + tokens
    within = {"type": "tool_result", "tool_use_id": "c1", "content": [block]}
    assert model.get_num_tokens_from_messages([HumanMessage([within])]) < bare + tokens + 100
    result = ToolMessage([text, block], tool_call_id="")
    more = model.get_num_tokens_from_messages([ToolMessage([text], tool_call_id="")])
    assert model.get_num_tokens_from_messages([result]) == more + tokens


async def test_several_choices_are_several_generations_each_with_its_metadata():
    model, _ = chat(TWO, n=2)
    result = model.generate([[HumanMessage("Hi")]])
    first, second = (one.message for one in result.generations[0])
    assert (first.text, second.text) == ("A", "B")
    assert first.response_metadata["finish_reason"] == "length"
    assert second.response_metadata["model_provider"] == "sunra"
    assert first.usage_metadata is not None
    assert second.usage_metadata is None


@pytest.mark.parametrize("given", [{"n": 2}, {"extra_body": {"n": 2}}])
def test_several_choices_never_run_into_one_message(given: dict[str, Any]):
    model, transport = chat(TWO)
    handler = TokenHandler()
    model = model.model_copy(update={"streaming": True})
    got = list(model.stream("Hi", config={"callbacks": [handler]}, **given))
    assert [one.text for one in got] == ["A"]
    assert "stream" not in transport.bodies[0]
    assert [one.text for one in handler.generations[0][0]] == ["A", "B"]


def test_a_stream_of_several_choices_is_refused_where_it_cannot_be_told_apart():
    model, transport = chat(n=2)
    with pytest.raises(InvalidParameter, match="one message"):
        list(model._stream([HumanMessage("Hi")]))
    assert transport.sent == []


# -- streams ---------------------------------------------------------------


async def test_callbacks_get_each_token_once():
    model, _ = chat(STREAM)
    for run in (model.stream, model.invoke):
        handler = TokenHandler()
        got = run("Hi", config={"callbacks": [handler]}, stream=True)
        if not isinstance(got, AIMessage):
            list(got)
        assert "".join(handler.tokens) == "Hello"


async def test_a_stream_left_early_closes_its_connection_at_once():
    body = Body([stream_bytes("plain")])
    model, _ = chat(stream(body=body))
    chunks = model.stream("Hi")
    next(chunks)
    assert not body.closed
    chunks.close()
    assert body.closed


async def test_an_async_stream_left_early_closes_its_connection():
    body = Body([stream_bytes("plain")])
    model, _ = chat(stream(body=body))
    chunks = model.astream("Hi")
    await anext(chunks)
    await chunks.aclose()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert body.closed


def test_invoke_streams_only_where_streaming_is_on():
    model, transport = chat(PLAIN, STREAM)
    model.invoke("Hi")
    model.model_copy(update={"streaming": True}).invoke("Hi")
    assert [body.get("stream") for body in transport.bodies] == [None, True]


def test_the_first_chunk_and_all_others_hold_text():
    model, _ = chat(STREAM)
    chunks = list(model.stream("Hi"))
    assert all(isinstance(chunk.content, str) for chunk in chunks)
    assert [chunk.chunk_position for chunk in chunks].count("last") == 1
    assert sum(chunk.usage_metadata is not None for chunk in chunks) == 1


# -- with the rest of LangChain --------------------------------------------


async def test_fallbacks_and_retries():
    failing, _ = chat(status(503), max_retries=0)
    working, _ = chat()
    assert failing.with_fallbacks([working]).invoke("Hi").text == "Hello"
    flaky, transport = chat(status(503), PLAIN, max_retries=0)
    retried = flaky.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    assert (await retried.ainvoke("Hi")).text == "Hello"
    assert len(transport.sent) == 2


def test_fields_are_configurable():
    model, transport = chat()
    field = ConfigurableField(id="t")
    configurable = model.configurable_fields(temperature=field)
    configurable.invoke("Hi", config={"configurable": {"t": 1.0}})
    assert transport.bodies[0]["temperature"] == 1.0


def test_batches_and_a_rate_limiter():
    limiter = InMemoryRateLimiter(requests_per_second=1000, check_every_n_seconds=0.001)
    model, transport = chat(rate_limiter=limiter)
    done = dict(model.batch_as_completed(["1", "2", "3"]))
    assert {place: one.text for place, one in done.items()} == dict.fromkeys(range(3), "Hello")
    assert len(transport.sent) == 3


async def test_events_of_version_two_stream_the_text():
    model, _ = chat(STREAM)
    events = [event async for event in model.astream_events("Hi", version="v2")]
    told = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(told) == "Hello"

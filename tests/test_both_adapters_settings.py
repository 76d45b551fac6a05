"""What both adapters may be set to: names, secrets, timeouts, bodies, headers. One table for both.

A row says what is given; each is tried in `ChatSunra` and in `Sunra`, whole and streamed, sync and
async, when a model is made and per call.
"""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import StdOutCallbackHandler
from langchain_core.load import dumps
from langchain_core.rate_limiters import InMemoryRateLimiter
from llama_index.core.prompts import PromptTemplate
from pydantic import model_validator

from sunra_integrations import errors
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.transport import SunraClient, Timeouts
from tests.recorded_transport import Recorded, completion, stream
from tests.wire_cases import completion_bytes, stream_bytes

KEY, SECRET = "sk-own-0123456789", "sk-proj-of-another-vendor"
ADAPTERS = {"langchain": ChatSunra, "llama_index": Sunra}
ASYNC_CLIENT = {"langchain": "http_async_client", "llama_index": "async_http_client"}
ADDRESS = {"langchain": "base_url", "llama_index": "api_base"}


def made(adapter: str, *answers: Any, **given: Any) -> tuple[Any, Recorded]:
    wire = Recorded(*(answers or (completion(completion_bytes("plain")),)))
    clients = {
        "http_client": httpx.Client(transport=wire),
        ASYNC_CLIENT[adapter]: httpx.AsyncClient(transport=wire),
    }
    return ADAPTERS[adapter](**{"model": "a/b", "api_key": KEY, **clients, **given}), wire


async def _collected(chunks: Any) -> list[Any]:
    return [one async for one in chunks]


async def _collected_later(chunks: Any) -> list[Any]:
    return await _collected(await chunks)


CALLS: dict[str, dict[str, Any]] = {
    "langchain": {
        "whole": lambda model, **call: model.invoke("Hi", **call),
        "streamed": lambda model, **call: list(model.stream("Hi", **call)),
        "async": lambda model, **call: asyncio.run(model.ainvoke("Hi", **call)),
        "async, streamed": lambda model, **call: asyncio.run(
            _collected(model.astream("Hi", **call))
        ),
        "bound": lambda model, **call: model.bind(**call).invoke("Hi"),
    },
    "llama_index": {
        "whole": lambda llm, **call: llm.complete("Hi", **call),
        "streamed": lambda llm, **call: list(llm.stream_complete("Hi", **call)),
        "async": lambda llm, **call: asyncio.run(llm.acomplete("Hi", **call)),
        "async, streamed": lambda llm, **call: asyncio.run(
            _collected_later(llm.astream_complete("Hi", **call))
        ),
        "with tools": lambda llm, **call: llm.chat_with_tools([], "Hi", **call),
    },
}
WAYS = [(adapter, way) for adapter, ways in CALLS.items() for way in ways]


def answer_of(way: str) -> Any:
    if "streamed" in way:
        return stream(stream_bytes("plain"))
    return completion(completion_bytes("plain"))


# -- names ---------------------------------------------------------------------

UNKNOWN = {
    "openai_api_key": "`api_key`",
    "sunra_api_key": "`api_key`",
    "secret": "`api_key`",
    "use_responses_api": "api=",
    "verbosity": 'extra_body={"verbosity": …}',
    "temprature": "`temperature`",
    "openai_proxy": "`http_client`",
}


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_argument_is_refused_and_its_value_is_nowhere(adapter: str, name: str) -> None:
    with pytest.raises(errors.InvalidParameter) as caught:
        made(adapter, **{name: SECRET})
    assert UNKNOWN[name] in str(caught.value)
    assert SECRET not in repr(caught.value) + repr(vars(caught.value))
    assert caught.value.__context__ is None
    frames = [one for one in caught.traceback if "sunra_integrations" in str(one.path)]
    ours = [one for one in frames if "tests" not in str(one.path)]
    assert ours
    assert not [one for one in ours if SECRET in repr(one.locals)]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_several_unknown_arguments_are_all_named_at_once(adapter: str) -> None:
    with pytest.raises(errors.InvalidParameter) as caught:
        made(adapter, temprature=1, openai_api_key=SECRET, verbosity="low")
    for part in ("`temperature`", "`api_key`", 'extra_body={"verbosity": …}'):
        assert part in str(caught.value)
    assert caught.value.parameter == "temprature"


@pytest.mark.parametrize(("adapter", "way"), WAYS)
def test_several_unknown_parameters_of_a_call_are_all_named_at_once(adapter: str, way: str) -> None:
    model, wire = made(adapter)
    with pytest.raises(errors.InvalidParameter, match=r"`temprature` .*`top_k` is not") as caught:
        CALLS[adapter][way](model, temprature=1, max_tokens=5, top_k=40)
    assert "max_tokens" not in str(caught.value)
    assert not wire.sent


def test_several_unknown_parameters_of_the_plain_client_are_named_before_missing_ones() -> None:
    client = SunraClient(api_key=KEY)
    with pytest.raises(errors.InvalidParameter, match=r"`modle` .*`model`.*`mesages` .*`messages`"):
        client.create({"modle": "a/b", "mesages": []})
    with pytest.raises(errors.InvalidParameter, match="`headers=…` to `create`"):
        client.create({"model": "a/b", "messages": [], "extra_headers": {}})
    with pytest.raises(errors.InvalidParameter, match="`http_client`"):
        SunraClient(http_async_client=None, api_key=KEY)  # type: ignore[call-arg]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_none_is_the_default_of_every_argument(adapter: str) -> None:
    names = [name for name in ADAPTERS[adapter].model_fields if name not in {"model", "model_name"}]
    model = ADAPTERS[adapter](model="a/b", **{**dict.fromkeys(names), "api_key": KEY})
    usual = ADAPTERS[adapter](model="a/b", api_key=KEY)
    assert model.model_dump() == usual.model_dump()
    assert model._settings() == usual._settings()


@pytest.mark.parametrize("given", [{"allow_http": "no"}, {"retry": 3}], ids=str)
def test_a_setting_of_the_wrong_kind_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigurationError, match=f"`{next(iter(given))}`"):
        SunraClient(api_key=KEY, **given)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_another_name_of_the_base_url_is_told_which_it_is_here(adapter: str) -> None:
    for name in (
        "openai_api_base",
        ADDRESS["llama_index" if adapter == "langchain" else "langchain"],
    ):
        with pytest.raises(errors.InvalidParameter, match=f"`{ADDRESS[adapter]}`"):
            made(adapter, **{name: "https://a.example"})


# -- subclasses ----------------------------------------------------------------


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_validator_of_a_subclass_may_correct_arguments_before_they_are_checked(
    adapter: str,
) -> None:
    class Clamped(ADAPTERS[adapter]):
        @model_validator(mode="before")
        @classmethod
        def clamp(cls, data: Any) -> Any:
            return {**data, "temperature": min(data["temperature"], 2)}

    assert Clamped(model="a/b", api_key=KEY, temperature=5).temperature == 2


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_arguments_of_a_subclass_are_those_of_its_own_constructor(adapter: str) -> None:
    class Named(ADAPTERS[adapter]):
        def __init__(self, vendor: str, **more: Any) -> None:
            super().__init__(model=f"{vendor}/b", api_key=KEY, **more)

    validated = Named.model_validate({"vendor": "a", "seed": 1})
    assert (validated.model, validated.seed) == ("a/b", 1)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("given", [5, "x"])
def test_anything_but_a_dict_of_arguments_is_refused_in_words(adapter: str, given: Any) -> None:
    with pytest.raises(errors.InvalidParameter, match=r"^Input should be a valid dictionary"):
        ADAPTERS[adapter].model_validate(given)


def test_a_copy_does_not_accept_the_key_that_only_stored_models_have() -> None:
    with pytest.raises(errors.InvalidParameter, match="`class_name` is not a parameter"):
        made("llama_index")[0].model_copy(update={"class_name": "x"})


# -- secrets -------------------------------------------------------------------


@pytest.mark.parametrize(("adapter", "way"), WAYS)
@pytest.mark.parametrize(
    "call",
    [
        {"api_key": SECRET},
        {"openai_api_key": SECRET},
        {"my_password": SECRET},
        {"extra_body": {"hf_token": SECRET}},
    ],
    ids=str,
)
def test_a_credential_in_a_call_is_refused_and_not_sent(
    adapter: str, way: str, call: dict[str, Any]
) -> None:
    model, wire = made(adapter)
    with pytest.raises(errors.InvalidParameter) as caught:
        CALLS[adapter][way](model, **call)
    assert SECRET not in str(caught.value)
    assert "use `extra_body" not in str(caught.value)
    assert not wire.sent


@pytest.mark.parametrize(
    ("adapter", "given"),
    [
        ("langchain", {"model_kwargs": {"openai_api_key": SECRET}}),
        ("langchain", {"extra_body": {"openai_api_key": SECRET}}),
        ("llama_index", {"additional_kwargs": {"openai_api_key": SECRET}}),
        ("llama_index", {"additional_kwargs": {"extra_body": {"openai_api_key": SECRET}}}),
        ("llama_index", {"extra_body": {"openai_api_key": SECRET}}),
    ],
)
def test_a_credential_in_what_is_sent_with_every_call_is_refused(adapter, given) -> None:
    with pytest.raises(errors.InvalidParameter, match="openai_api_key") as caught:
        made(adapter, **given)
    assert SECRET not in str(caught.value)


def test_the_variables_of_a_prompt_may_be_called_anything() -> None:
    llm, wire = made("llama_index")
    llm.predict(PromptTemplate("{password} {api_key}"), password="open", api_key="sesame")
    assert wire.bodies[0]["messages"][0]["content"] == "open sesame"


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("how", ["model_copy", "attribute", "model_construct"])
def test_a_key_given_as_text_after_the_fact_is_hidden_and_used(adapter: str, how: str) -> None:
    model, wire = made(adapter)
    if how == "model_copy":
        model = model.model_copy(update={"api_key": SECRET})
    elif how == "attribute":
        model.api_key = SECRET
    else:
        model = type(model).model_construct(**{**dict(model), "api_key": SECRET})
    shown = repr(model) + str(model) + repr(model.model_dump())
    stored = dumps(model) if adapter == "langchain" else model.to_json() + str(model.to_dict())
    assert SECRET not in shown + stored
    if how != "model_construct":
        CALLS[adapter]["whole"](model)
        assert wire.sent[0].headers["authorization"] == f"Bearer {SECRET}"


COPIES = {
    "model_copy": lambda model, update: model.model_copy(update=update),
    "model_copy, deep": lambda model, update: model.model_copy(update=update, deep=True),
    "copy": lambda model, update: model.copy(update=update),
    "copy, deep": lambda model, update: model.copy(update=update, deep=True),
}


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("how", COPIES)
def test_a_changed_copy_hides_its_key_and_shares_the_clients(adapter: str, how: str) -> None:
    model, wire = made(adapter)
    given = {"api_key": SECRET, "request_timeout": httpx.Timeout(4)}
    copied = COPIES[how](model, given)
    stored = dumps(copied) if adapter == "langchain" else copied.to_json() + str(copied.to_dict())
    assert SECRET not in repr(copied) + str(dict(copied)) + str(copied.model_dump()) + stored
    CALLS[adapter]["whole"](copied)
    CALLS[adapter]["whole"](model)
    keys = [request.headers["authorization"] for request in wire.sent]
    assert keys == [f"Bearer {SECRET}", f"Bearer {KEY}"]
    assert [request.extensions["timeout"]["read"] for request in wire.sent] == [4, 300]


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", ["openai_api_key", "temprature"])
def test_a_copy_with_an_unknown_field_is_refused_and_its_value_is_nowhere(
    adapter: str, how: str, name: str
) -> None:
    model, _ = made(adapter)
    with pytest.raises(errors.InvalidParameter, match=f"`{name}`.*Did you mean") as caught:
        COPIES[how](model, {name: SECRET})
    last = list(caught.traceback)[-1]
    assert SECRET not in repr(caught.value) + repr(last.locals)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_timeout_set_on_an_instance_can_be_stored(adapter: str) -> None:
    model, _ = made(adapter)
    model.timeout = httpx.Timeout(4)
    assert '"read":4' in (
        model.model_dump_json() if adapter == "langchain" else model.to_json().replace(" ", "")
    )


def test_copies_of_a_langchain_model_share_what_holds_locks() -> None:
    services: dict[str, Any] = {
        "cache": InMemoryCache(),
        "rate_limiter": InMemoryRateLimiter(),
        "callbacks": [StdOutCallbackHandler()],
    }
    model, _ = made("langchain", **services)
    for copied in (copy.deepcopy(model), model.model_copy(deep=True, update={"temperature": 0})):
        for name in services:
            assert getattr(copied, name) is getattr(model, name)


# -- timeouts ------------------------------------------------------------------

TIMEOUTS: dict[str, tuple[dict[str, Any], Timeouts]] = {
    "seconds": ({"timeout": 2.5}, Timeouts(2.5, 2.5, 2.5, stall=2.5)),
    "another name of them": ({"request_timeout": 2.5}, Timeouts(2.5, 2.5, 2.5, stall=2.5)),
    "a pair": ({"timeout": (1, 5)}, Timeouts(1, 5, stall=5)),
    "httpx's": ({"timeout": httpx.Timeout(5, connect=1)}, Timeouts(1, 5, 5, 5, 5)),
    "Timeouts": ({"timeout": Timeouts(read=7)}, Timeouts(read=7)),
    "another silence": (
        {"timeout": 2.5, "stall_timeout": 9},
        Timeouts(2.5, 2.5, 2.5, stall=9),
    ),
}


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("form", TIMEOUTS)
def test_a_timeout_of_any_form_is_used_and_survives_storing(
    adapter: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, used = TIMEOUTS[form]
    model = ADAPTERS[adapter](model="a/b", api_key=KEY, **given)
    assert model._settings().timeouts == used
    monkeypatch.setenv("SUNRA_KEY", KEY)
    again = [pickle.loads(pickle.dumps(model)), model.model_copy()]  # noqa: S301 - our own bytes
    stored = json.loads(model.model_dump_json())["timeout"]
    again.append(
        ADAPTERS[adapter](model="a/b", **{**given, "timeout": stored, "request_timeout": stored})
    )
    if adapter == "langchain":
        kwargs = json.loads(dumps(model))["kwargs"]
        again.append(ChatSunra(**{**kwargs, "api_key": KEY}))
    else:
        again += [Sunra.from_dict(model.to_dict()), Sunra.from_json(model.to_json())]
    assert [one._settings().timeouts for one in again] == [used] * len(again)


@pytest.mark.parametrize(("adapter", "way"), WAYS)
@pytest.mark.parametrize("form", TIMEOUTS)
def test_a_timeout_can_be_given_per_call(adapter: str, way: str, form: str) -> None:
    given, used = TIMEOUTS[form]
    model, wire = made(adapter, answer_of(way), timeout=100)
    CALLS[adapter][way](model, **given)
    waits = wire.sent[0].extensions["timeout"]
    # `read` has become `stall` by now: the headers are here, the body is awaited.
    assert waits["connect"] == used.connect
    assert waits["read"] == used.stall
    assert set(wire.bodies[0]) <= {"model", "messages", "stream", "stream_options"}
    CALLS[adapter][way](model)
    assert wire.sent[1].extensions["timeout"]["read"] == 100


@pytest.mark.parametrize(("adapter", "way"), WAYS)
def test_retries_can_be_given_per_call(adapter: str, way: str) -> None:
    model, wire = made(adapter, httpx.ConnectError("refused"), max_retries=2)
    with pytest.raises(errors.ConnectionFailed) as caught:
        CALLS[adapter][way](model, max_retries=0)
    assert caught.value.attempts == len(wire.sent) == 1


@pytest.mark.parametrize(("adapter", "way"), WAYS)
def test_a_timeout_of_nothing_is_refused_by_its_name_per_call_too(adapter: str, way: str) -> None:
    model, wire = made(adapter)
    with pytest.raises(errors.ConfigurationError, match="`timeout` must be a positive number"):
        CALLS[adapter][way](model, timeout=0)
    assert not wire.sent


@pytest.mark.parametrize(("adapter", "way"), WAYS)
@pytest.mark.parametrize(
    "name",
    [
        "max_connections",
        "allow_http",
        "async_transport",
        "http_client",
        "default_headers",
        "budget",
    ],
)
def test_other_settings_per_call_say_where_they_belong(adapter: str, way: str, name: str) -> None:
    model, wire = made(adapter)
    with pytest.raises(errors.InvalidParameter) as caught:
        CALLS[adapter][way](model, **{name: 1})
    assert "model_copy" in str(caught.value) or "`extra_headers`" in str(caught.value)
    assert "extra_body" not in str(caught.value)
    assert not wire.sent


# -- bodies and headers --------------------------------------------------------

BODIES: dict[str, tuple[Any, str]] = {
    "a list": ([1], "`extra_body` must be a dict of body parameters, got list"),
    "text": ("top_k", "`extra_body` must be a dict of body parameters, got str"),
    "a number for a name": (
        {1: 2},
        "`extra_body` must be a dict of body parameters, got dict with keys that are not strings",
    ),
    "the prompt": ({"messages": []}, "`extra_body` cannot contain `messages`"),
    "the prompt of a response": ({"input": "Hi"}, "`extra_body` cannot contain `input`"),
    "the endpoint": ({"api": "chat"}, "`extra_body` cannot contain `api`: pass it to the model"),
    "whether to stream": ({"stream": True}, "`extra_body` cannot contain `stream`"),
}


@pytest.mark.parametrize(("adapter", "way"), WAYS)
@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_cannot_be_sent_is_refused(adapter: str, way: str, name: str) -> None:
    body, says = BODIES[name]
    model, wire = made(adapter)
    with pytest.raises(errors.InvalidParameter, match=says):
        CALLS[adapter][way](model, extra_body=body)
    assert not wire.sent


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_cannot_be_sent_is_refused_when_a_model_is_made(
    adapter: str, name: str
) -> None:
    body, says = BODIES[name]
    with pytest.raises(errors.InvalidParameter, match=says):
        made(adapter, extra_body=body)


@pytest.mark.parametrize(
    ("adapter", "name"), [("langchain", "model_kwargs"), ("llama_index", "additional_kwargs")]
)
@pytest.mark.parametrize("given", [[1], "top_k", {"messages": []}, {"stream": True}], ids=str)
def test_further_parameters_that_cannot_be_sent_are_refused(
    adapter: str, name: str, given: Any
) -> None:
    with pytest.raises(errors.InvalidParameter):
        made(adapter, **{name: given})


@pytest.mark.parametrize(("adapter", "way"), WAYS)
@pytest.mark.parametrize("name", ["Transfer-Encoding", "Content-Length", "Connection", "TE"])
def test_headers_of_the_connection_are_refused(adapter: str, way: str, name: str) -> None:
    model, wire = made(adapter)
    with pytest.raises(errors.ConfigurationError, match=name):
        CALLS[adapter][way](model, extra_headers={name: "5"})
    with pytest.raises(errors.ConfigurationError, match=name):
        made(adapter, default_headers={name: "5"})
    assert not wire.sent


@pytest.mark.parametrize(("adapter", "way"), WAYS)
@pytest.mark.parametrize("given", ["X-A: 1", [("X-A", "1")], {"X-A": 1}], ids=str)
def test_headers_that_are_no_texts_by_name_are_refused(adapter: str, way: str, given: Any) -> None:
    model, wire = made(adapter)
    with pytest.raises(errors.SunraError, match=r"must be (a string|a dict)"):
        CALLS[adapter][way](model, extra_headers=given)
    with pytest.raises(errors.SunraError):
        made(adapter, default_headers=given)
    assert not wire.sent


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_http_client_of_the_other_kind_is_told_where_it_belongs(adapter: str) -> None:
    with pytest.raises(errors.InvalidParameter, match=f"pass it as `{ASYNC_CLIENT[adapter]}`"):
        made(adapter, http_client=httpx.AsyncClient())
    with pytest.raises(errors.InvalidParameter, match="pass it as `http_client`"):
        made(adapter, **{ASYNC_CLIENT[adapter]: httpx.Client()})


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_plain_http_can_be_permitted_by_the_environment(
    adapter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = {ADDRESS[adapter]: "http://10.0.0.5"}
    with pytest.raises(errors.ConfigurationError, match="SUNRA_ALLOW_HTTP=1"):
        made(adapter, **address)
    monkeypatch.setenv("SUNRA_ALLOW_HTTP", "1")
    model, wire = made(adapter, **address)
    CALLS[adapter]["whole"](model)
    assert str(wire.sent[0].url) == "http://10.0.0.5/v1/chat/completions"


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_positional_arguments_are_rejected_by_the_name_of_the_class(adapter) -> None:
    with pytest.raises(
        TypeError, match=r"^(ChatSunra|Sunra) takes keyword arguments only"
    ) as caught:
        ADAPTERS[adapter]("openai/gpt-4o", KEY)
    assert all(KEY not in repr(frame.locals) for frame in caught.traceback[1:])


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_number_in_place_of_a_budget_is_rejected_by_its_class(adapter: str) -> None:
    with pytest.raises(errors.InvalidParameter, match="`budget` must be an instance of Budget"):
        made(adapter, budget=5)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_stop_sequence_that_is_a_number_is_rejected_per_call(adapter: str) -> None:
    model, _ = made(adapter)
    with pytest.raises(errors.InvalidParameter, match="`stop` must be"):
        CALLS[adapter]["whole"](model, stop=5)

"""What tracers, callbacks and caches get to see: all that was asked, and no secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumpd
from langchain_core.messages import HumanMessage
from langchain_core.tracers import LangChainTracer
from langsmith import Client
from pydantic import BaseModel

from sunra_integrations import __version__
from sunra_integrations.langchain import ChatSunra
from tests.recorded_transport import Answer, Recorded, completion, status, stream
from tests.wire_cases import completion_bytes, stream_bytes

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

KEY = "sk-made-up-0123456789"
OF_THE_MODEL, OF_THE_CALL = "hidden-in-default-headers", "hidden-in-extra-headers"
SECRETS = (KEY, OF_THE_MODEL, OF_THE_CALL)
HEADERS: Any = {"extra_headers": {"x-secret": OF_THE_CALL}}
SET: dict[str, Any] = {
    "temperature": 0.5,
    "max_tokens": 7,
    "top_p": 0.5,
    "seed": 1,
    "user": "u",
    "logprobs": True,
    "top_logprobs": 2,
    "provider": {"only": ["azure"]},
    "reasoning": {"effort": "low"},
    "reasoning_effort": "low",
    "extra_body": {"top_k": 3},
}
PLAIN = completion(completion_bytes("plain"))
STREAM = stream(stream_bytes("plain"))
TOOL = {"name": "t", "description": "d", "input_schema": {"type": "object", "properties": {}}}


class Report(BaseModel):
    """A report."""

    city: str


class Seen(BaseCallbackHandler):
    """Everything the callbacks of a run are given."""

    def __init__(self) -> None:
        self.starts: list[dict[str, Any]] = []
        self.all: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **known: Any) -> None:
        self.starts.append({"serialized": serialized, "messages": messages, **known})

    def on_llm_end(self, *given: Any, **known: Any) -> None:
        self.all += [given, known]

    def on_llm_error(self, *given: Any, **known: Any) -> None:
        self.all += [given, known]

    def on_llm_new_token(self, *given: Any, **known: Any) -> None:
        self.all += [given, known]


def chat(*answers: Answer, **given: Any) -> ChatSunra:
    transport = Recorded(*(answers or (PLAIN,)))
    return ChatSunra(
        model="openai/gpt-4o",
        api_key=KEY,
        max_retries=0,
        default_headers={"x-secret": OF_THE_MODEL},
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
        **given,
    )


def texts(value: Any, walked: set[int] | None = None) -> Iterator[str]:
    """Every text within a value, whatever holds it, and how each object shows itself."""
    walked = set() if walked is None else walked
    if isinstance(value, (str, bytes)):
        yield str(value)
        return
    if id(value) in walked:
        return
    walked.add(id(value))
    yield repr(value)
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield str(key)
            yield from texts(one, walked)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for one in value:
            yield from texts(one, walked)
    elif isinstance(value, BaseModel):
        yield from texts(value.model_dump(), walked)
    elif hasattr(value, "__dict__") and type(value).__module__.startswith("sunra_integrations"):
        yield from texts(vars(value), walked)


def assert_no_secret(value: Any) -> None:
    shown = list(texts(value))
    for secret in SECRETS:
        assert not [one for one in shown if secret in one]


async def every_way(model: ChatSunra, config: Any) -> None:
    model.invoke("Hi", config, **HEADERS)
    await model.ainvoke("Hi", config, **HEADERS)
    model.invoke("Hi", config, stream=True, **HEADERS)
    list(model.stream("Hi", config, **HEADERS))
    _ = [chunk async for chunk in model.astream("Hi", config, **HEADERS)]
    _ = model.stream_events("Hi", config, version="v3", **HEADERS).output
    model.bind_tools([TOOL]).invoke("Hi", config, **HEADERS)
    model.with_structured_output(Report, include_raw=True).invoke("Hi", config, **HEADERS)


ANSWERS = (PLAIN, PLAIN, STREAM, STREAM, STREAM, STREAM, PLAIN, PLAIN)


async def test_callbacks_see_no_secret_in_any_way_of_asking():
    seen = Seen()
    await every_way(chat(*ANSWERS), {"callbacks": [seen]})
    assert len(seen.starts) == 8
    assert_no_secret(seen.starts)
    assert_no_secret(seen.all)


async def test_callbacks_see_no_secret_in_an_error():
    seen = Seen()
    for failure in (status(401), status(500), httpx.ConnectError("no route")):
        with pytest.raises(Exception, match=r".") as failed:
            chat(failure).invoke("Hi", {"callbacks": [seen]}, **HEADERS)
        assert_no_secret(vars(failed.value))
    assert_no_secret(seen.all)


def test_a_run_tells_every_setting_and_every_parameter_of_the_call():
    seen = Seen()
    bound = chat(**SET).bind_tools([TOOL], tool_choice="any")
    bound.invoke("Hi", {"callbacks": [seen]}, stop=["END"], presence_penalty=0.5)
    [start] = seen.starts
    parameters = start["invocation_params"]
    assert parameters.items() >= SET.items()
    assert parameters["model_name"] == "openai/gpt-4o"
    assert parameters["_type"] == "sunra-chat"
    assert parameters["stop"] == ["END"]
    assert parameters["presence_penalty"] == 0.5
    assert parameters["tools"][0]["function"]["name"] == "t"
    assert start["serialized"]["kwargs"].items() >= {**SET, "model_name": "openai/gpt-4o"}.items()
    assert start["serialized"]["id"] == ["sunra_integrations", "langchain", "ChatSunra"]
    assert (
        start["metadata"].items()
        >= {
            "ls_provider": "sunra",
            "ls_model_name": "openai/gpt-4o",
            "ls_model_type": "chat",
            "ls_temperature": 0.5,
            "ls_max_tokens": 7,
            "ls_stop": ["END"],
        }.items()
    )


def test_a_structured_answers_schema_is_told():
    seen = Seen()
    with_schema = chat().with_structured_output(Report, include_raw=True)
    with_schema.invoke("Hi", {"callbacks": [seen]})
    asked = seen.starts[0]["options"]["ls_structured_output_format"]
    assert asked["kwargs"]["method"] == "json_schema"
    assert asked["schema"]["title"] == "Report"


def test_tracing_names_the_model_of_the_call_and_the_provider_of_its_messages():
    model = chat()
    assert model._get_ls_params(model="c/d")["ls_model_name"] == "c/d"
    answered_by = model.invoke("Hi").response_metadata["model_provider"]
    assert model._get_ls_params()["ls_provider"] == answered_by


async def test_a_tracers_runs_hold_no_secret():
    client = MagicMock(spec=Client)
    tracer = LangChainTracer(client=client, project_name="made-up")
    await every_way(chat(*ANSWERS, **SET), {"callbacks": [tracer]})
    tracer.wait_for_futures()
    posted = [call for call in client.mock_calls if "run" in call[0]]
    assert len(posted) >= 2 * 8
    assert_no_secret([[call.args, call.kwargs] for call in posted])
    shown = "".join(texts([[call.args, call.kwargs] for call in posted]))
    assert "openai/gpt-4o" in shown
    assert "SUNRA_KEY" in shown  # the key's name stands for it


async def test_v2_events_hold_no_secret():
    events = [one async for one in chat(STREAM).astream_events("Hi", version="v2", **HEADERS)]
    assert events[-1]["event"] == "on_chat_model_end"
    assert_no_secret(events)


async def test_v3_events_hold_no_secret():
    events = await chat(STREAM).astream_events("Hi", version="v3", **HEADERS)
    assert_no_secret([one async for one in events])


def test_nothing_that_is_kept_of_a_model_holds_a_secret():
    model = chat(**SET)
    kept = [dumpd(model), repr(model), str(model), model._identifying_params, model.model_dump()]
    assert_no_secret(kept)
    assert_no_secret(model.model_dump_json())


def test_a_key_that_is_assigned_is_hidden_too():
    model = chat()
    model.api_key = "sk-assigned"  # type: ignore[assignment]
    assert "sk-assigned" not in repr(model)
    assert "sk-assigned" not in str(dumpd(model))


def test_a_caches_keys_hold_no_secret_and_tell_headers_apart():
    cache = InMemoryCache()
    model = chat(cache=cache)
    for headers in ({"x-secret": OF_THE_CALL}, {"x-secret": "another"}, {"x-secret": OF_THE_CALL}):
        model.generate([[HumanMessage("Hi")]], extra_headers=headers)
    assert len(cache._cache) == 2
    assert_no_secret(list(cache._cache))


def test_traces_name_the_stop_of_the_model_and_that_of_the_call_over_it():
    for set_, told in (("END", ["END"]), (["A", "B"], ["A", "B"])):
        model = chat(stop=set_)
        assert model._get_invocation_params()["stop"] == set_
        assert model._get_ls_params()["ls_stop"] == told
        seen = Seen()
        model.invoke("Hi", {"callbacks": [seen]})
        assert seen.starts[0]["invocation_params"]["stop"] == set_
        seen = Seen()
        model.invoke("Hi", {"callbacks": [seen]}, stop=["C"])
        assert seen.starts[0]["invocation_params"]["stop"] == ["C"]
    assert chat()._get_invocation_params()["stop"] is None


def test_traces_name_this_packages_version_beside_cores():
    for model in (chat(), chat().model_copy(update={"temperature": 0.5}), chat(metadata={"a": 1})):
        seen = Seen()
        model.invoke("Hi", {"callbacks": [seen]})
        versions = seen.starts[0]["metadata"]["lc_versions"]
        assert versions["sunra-integrations"] == __version__
        assert versions["langchain-core"] == version("langchain-core")
    assert seen.starts[0]["metadata"]["a"] == 1

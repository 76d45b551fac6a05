"""What a Sunra may be set to, and what is shown and stored of it."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest
from llama_index.core.callbacks import CallbackManager
from pydantic import BaseModel

from sunra_integrations import errors
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Timeouts
from tests import children
from tests.llama_index.answers import said
from tests.llama_index.conftest import KEY
from tests.llama_index.ways import WAYS
from tests.recorded_transport import Recorded
from tests.waiting import DEADLINE

SECRETS = (KEY, "header-secret")
FULL = {
    "model": "openai/gpt-4o",
    "api_key": KEY,
    "default_headers": {"x-secret": "header-secret"},
    "temperature": 0.5,
    "stop": ["a"],
    "extra_body": {"top_k": 1},
    "additional_kwargs": {"seed": 1},
    "system_prompt": "Be brief.",
    "timeout": 5,
    "context_window": 1000,
    "user": "u",
}

WRONG = {
    "a misspelt field": ({"temprature": 1}, "`temperature`"),
    "a misspelt name of the key": ({"apikey": "k"}, "`api_key`"),
    "another name of the base URL": ({"base_url": "https://a.b"}, "`api_base`"),
    "a temperature out of range": ({"temperature": 3}, "between 0 and 2"),
    "a temperature of the wrong type": ({"temperature": "hot"}, "between 0 and 2"),
    "five stop sequences": ({"stop": list("abcde")}, "at most 4"),
    "top_logprobs without logprobs": ({"top_logprobs": 1}, "logprobs=True"),
    "both names of a limit": ({"max_tokens": 1, "max_completion_tokens": 1}, "cannot be combined"),
    "a body that is none": ({"extra_body": [1]}, "extra_body"),
    "no model": ({"model": None}, "`model` is required"),
    "a misspelt parameter within additional_kwargs": (
        {"additional_kwargs": {"sead": 1}},
        "`seed`",
    ),
    "headers within additional_kwargs": (
        {"additional_kwargs": {"extra_headers": {}}},
        "default_headers",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_the_cores_error(name) -> None:
    fields, says = WRONG[name]
    with pytest.raises(errors.InvalidParameter, match=says):
        Sunra(**{"model": "a/b", "api_key": KEY, **fields})


def test_every_parameter_of_a_request_is_a_field() -> None:
    assert set(ChatRequest.model_fields) - {"messages"} <= set(Sunra.model_fields)


def test_a_missing_key_is_told_when_the_llm_is_made() -> None:
    with pytest.raises(errors.ConfigurationError, match="SUNRA_KEY"):
        Sunra(model="a/b")


def test_no_other_vendors_key_is_used(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    with pytest.raises(errors.ConfigurationError):
        Sunra(model="a/b")


def test_the_key_comes_from_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("SUNRA_KEY", "sk-env")
    wire = Recorded(said("Hello"))
    Sunra(model="a/b", http_client=httpx.Client(transport=wire)).complete("Hi")
    assert wire.sent[-1].headers["authorization"] == "Bearer sk-env"


def test_a_key_of_the_wrong_type_does_not_appear_in_the_error() -> None:
    with pytest.raises(errors.InvalidParameter, match="api_key") as wrong:
        Sunra(model="a/b", api_key=[KEY])
    assert KEY not in str(wrong.value)


def test_another_value_of_the_wrong_type_is_an_error_whose_frames_do_not_hold_the_key() -> None:
    with pytest.raises(errors.InvalidParameter, match="`max_retries` is invalid") as wrong:
        Sunra(model="a/b", api_key=KEY, max_retries="many")
    ours = [one for one in wrong.traceback if "sunra_integrations" in str(one.path)]
    assert ours
    assert not [one for one in ours[1:] if KEY in repr(one.locals)]


def test_no_secret_is_shown_or_stored(line) -> None:
    llm = line(**FULL).llm
    llm.complete("Hi")
    shown = (repr(llm), str(llm), str(llm.to_dict()), llm.to_json(), str(llm.to_payload()))
    for text in (*shown, llm.model_dump_json()):
        assert not [secret for secret in SECRETS if secret in text]


def test_the_payload_tells_model_and_temperature_and_no_end_user(line) -> None:
    payload = line(**FULL).llm.to_payload()
    told = {"class_name": "Sunra_LLM", "model": "openai/gpt-4o", "temperature": 0.5, "stop": ["a"]}
    assert told.items() <= payload.items()
    assert "user" not in payload
    assert json.dumps(payload)
    assert line().llm.to_payload()["temperature"] is None


def test_an_llm_comes_back_from_its_dict_and_its_json() -> None:
    llm = Sunra(**FULL)
    for again in (
        Sunra.from_dict(llm.to_dict(), api_key=KEY),
        Sunra.from_json(llm.to_json(), api_key=KEY),
    ):
        assert again.to_dict() == llm.to_dict()
        assert again.class_name() == "Sunra_LLM"


def test_all_timeouts_come_back_too() -> None:
    llm = Sunra(model="a/b", api_key=KEY, timeout=Timeouts(read=1, stall=2))
    assert Sunra.from_json(llm.to_json(), api_key=KEY).timeout == llm.timeout


FROM_STORES = {
    "from_dict": lambda llm, **given: Sunra.from_dict(llm.to_dict(), **given),
    "from_json": lambda llm, **given: Sunra.from_json(llm.to_json(), **given),
}


@pytest.mark.parametrize("way", FROM_STORES)
def test_a_stored_llm_gets_no_key_unasked_that_its_address_may_not_have(way, monkeypatch) -> None:
    load, elsewhere = FROM_STORES[way], "https://evil.example/v1"
    stored = Sunra(model="a/b", api_key="sk-of-the-writer", api_base=elsewhere)
    monkeypatch.setenv("SUNRA_KEY", KEY)
    with pytest.raises(errors.ConfigurationError, match="SUNRA_BASE_URL") as caught:
        load(stored)
    assert KEY not in str(caught.value)
    assert load(stored, api_key="sk-for-it")._settings().base_url == elsewhere
    assert load(stored, api_base=elsewhere)._settings().api_key.get_secret_value() == KEY
    monkeypatch.setenv("SUNRA_BASE_URL", elsewhere)
    assert load(stored)._settings().api_key.get_secret_value() == KEY


@pytest.mark.parametrize("way", FROM_STORES)
@pytest.mark.parametrize("address", [None, "http://127.0.0.1:8000"])
def test_a_stored_llm_of_sunra_or_this_machine_takes_the_key_of_its_process(
    way, address, monkeypatch
) -> None:
    monkeypatch.setenv("SUNRA_KEY", KEY)
    stored = Sunra(model="a/b", api_base=address)
    assert FROM_STORES[way](stored)._settings().api_key.get_secret_value() == KEY


COPIES = {
    "pickle": lambda llm: pickle.loads(pickle.dumps(llm)),  # noqa: S301 - our own bytes
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "model_copy": lambda llm: llm.model_copy(),
    "deep model_copy": lambda llm: llm.model_copy(deep=True),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_after_calls_has_the_same_settings(line, name, caplog, monkeypatch) -> None:
    monkeypatch.setenv("SUNRA_KEY", "sk-of-this-process")
    original = line(**FULL)
    original.llm.complete("Hi")
    again = COPIES[name](original.llm)
    assert again.to_dict() == original.llm.to_dict()
    assert again.api_key == (None if name == "pickle" else original.llm.api_key)
    assert again.default_headers == original.llm.default_headers
    assert original.llm.http_client is not None
    assert (again.http_client is None) == (name == "pickle")
    assert caplog.records == []


def test_a_pickle_holds_no_key_and_takes_that_of_its_new_process(line, monkeypatch) -> None:
    stored = pickle.dumps(line().llm)
    assert KEY.encode() not in stored
    again = pickle.loads(stored)  # noqa: S301 - our own bytes
    monkeypatch.setenv("SUNRA_KEY", "sk-of-this-process")
    wire = Recorded(said("Hello"))
    again.http_client = httpx.Client(transport=wire)
    again.complete("Hi")
    assert wire.sent[-1].headers["authorization"] == "Bearer sk-of-this-process"


LOADED: dict[str, Callable[[Sunra], Sunra]] = {
    "pickle": lambda llm: pickle.loads(pickle.dumps(llm)),  # noqa: S301 - our own bytes
    "dict": lambda llm: Sunra.from_dict(llm.to_dict()),
    "JSON": lambda llm: Sunra.from_json(llm.to_json()),
    "pickle of a structured LLM": lambda llm: (
        pickle.loads(pickle.dumps(llm.as_structured_llm(Named))).llm  # noqa: S301
    ),
    "pickle, deeply copied": lambda llm: copy.deepcopy(
        pickle.loads(pickle.dumps(llm))  # noqa: S301
    ),
    "pickle of what was loaded": lambda llm: pickle.loads(  # noqa: S301
        pickle.dumps(pickle.loads(pickle.dumps(llm)))  # noqa: S301
    ),
}


class Named(BaseModel):
    """A name."""

    name: str


@pytest.mark.parametrize("unusable", [None, "", "with a blank"])
@pytest.mark.parametrize("name", LOADED)
async def test_what_is_loaded_without_a_key_says_so_at_its_first_call(
    name, unusable, monkeypatch
) -> None:
    monkeypatch.delenv("SUNRA_KEY", raising=False)
    original = Sunra(**FULL)
    if unusable is not None:
        monkeypatch.setenv("SUNRA_KEY", unusable)
    llm = LOADED[name](original)
    assert llm.to_dict() == original.to_dict()
    assert llm.metadata == original.metadata
    for way in WAYS.values():
        with pytest.raises(errors.ConfigurationError, match="SUNRA_KEY"):
            await way(llm)
    wire = Recorded(said("Hello"))
    llm.http_client = httpx.Client(transport=wire)
    llm.api_key = "sk-given-later"
    assert llm.complete("Hi").text == "Hello"
    assert wire.sent[-1].headers["authorization"] == "Bearer sk-given-later"


def test_what_is_made_without_a_key_says_so_at_once(monkeypatch) -> None:
    monkeypatch.delenv("SUNRA_KEY", raising=False)
    Sunra.from_dict(Sunra(model="a/b", api_key=KEY).to_dict())
    with pytest.raises(errors.ConfigurationError, match="SUNRA_KEY"):
        Sunra(model="a/b")


POOL = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from llama_index.core import Document
from llama_index.core.extractors import TitleExtractor
from llama_index.core.ingestion import IngestionPipeline
from sunra_integrations.errors import ConfigurationError
from sunra_integrations.llama_index import Sunra

def complete(llm):
    return llm.complete("Hi").text

if __name__ == "__main__":
    key, base_url = sys.argv[1:]
    llm = Sunra(model="sandbox/echo", api_key=key, api_base=base_url, max_retries=0)
    titles = TitleExtractor(llm=llm, num_workers=1, show_progress=False)
    pipeline = IngestionPipeline(transformations=[titles], disable_cache=True)
    documents = [Document(text="Rain."), Document(text="Snow.")]
    for known in (False, True):
        if known:
            os.environ["SUNRA_KEY"] = key
        try:
            nodes = pipeline.run(documents=documents, num_workers=2)
            print("pipeline:", len(nodes))
        except ConfigurationError as error:
            print("pipeline:", "SUNRA_KEY" in str(error))
        # Not a fork server, the default of Python 3.14: it keeps the environment it started with.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            try:
                print("executor:", pool.submit(complete, llm).result())
            except ConfigurationError as error:
                print("executor:", "SUNRA_KEY" in str(error))
"""


def test_workers_of_a_pool_report_that_the_key_is_missing(sandbox, tmp_path) -> None:
    program = tmp_path / "pool.py"
    program.write_text(POOL)
    environment = {name: value for name, value in os.environ.items() if name != "SUNRA_KEY"}
    command = [sys.executable, str(program), sandbox.api_key, sandbox.base_url]
    with children.started(  # and its workers
        command, env=environment, stdout=subprocess.PIPE, encoding="utf-8"
    ) as running:
        printed, _ = running.communicate(timeout=DEADLINE)
    told = ["pipeline: True", "executor: True", "pipeline: 2", "executor: You said: Hi"]
    assert printed.splitlines() == told


def test_a_deep_copy_works_on_the_same_clients_and_its_own_settings(line) -> None:
    original = line(extra_body={"a": 1})
    again = copy.deepcopy(original.llm)
    again.extra_body["a"] = 2
    again.complete("Hi")
    assert original.sent["a"] == 2
    assert original.llm.extra_body == {"a": 1}
    assert again.callback_manager is original.llm.callback_manager


def test_a_changed_key_takes_effect_at_once(line) -> None:
    told = line()
    told.llm.complete("Hi")
    told.llm.api_key = "sk-new"
    told.llm.complete("Hi")
    other = told.llm.model_copy(update={"api_key": "sk-other"})
    other.complete("Hi")
    told.llm.complete("Hi")
    keys = [request.headers["authorization"] for request in told.wire.sent]
    assert keys == [f"Bearer {key}" for key in (KEY, "sk-new", "sk-other", "sk-new")]
    assert "sk-new" not in repr(told.llm)


def test_clients_of_ones_own_are_never_closed(line) -> None:
    llm = line().llm
    client = llm.http_client
    llm.complete("Hi")
    del llm
    assert not client.is_closed


METADATA = {
    "a name never seen before": ({"model": "no/such"}, (128_000, 256)),
    "a name in the catalogue": ({"model": "anthropic/claude-haiku-4.5"}, (200_000, 256)),
    "a window that was given": ({"context_window": 5}, (5, 256)),
    "room for the answer as it is limited": ({"model": "no/such", "max_tokens": 7}, (128_000, 7)),
    "by its newer name": ({"model": "no/such", "max_completion_tokens": 8}, (128_000, 8)),
    "room that was given": ({"model": "no/such", "max_tokens": 7, "num_output": 9}, (128_000, 9)),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_of(line, name) -> None:
    fields, sizes = METADATA[name]
    told = line(**fields)
    metadata = told.llm.metadata
    assert (metadata.context_window, metadata.num_output) == sizes
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model
    told.llm.complete("Hi")
    assert "num_output" not in told.sent


def test_a_model_that_takes_no_tools_says_so(line) -> None:
    assert not line(is_function_calling_model=False).llm.metadata.is_function_calling_model


def test_a_callback_manager_can_be_given() -> None:
    manager = CallbackManager()
    assert Sunra(model="a/b", api_key=KEY, callback_manager=manager).callback_manager is manager


def test_the_fields_have_a_json_schema() -> None:
    assert {"model", "temperature"} <= Sunra.model_json_schema()["properties"].keys()

"""`register()` and LangChain's `init_chat_model`."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.chat_models import base, init_chat_model
from langchain_core.language_models import BaseChatModel

from sunra_integrations.errors import ConfigurationError
from sunra_integrations.langchain import ChatSunra, register
from sunra_integrations.sandbox import Sandbox
from tests import children


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has a table of its own, and nothing looked up is remembered."""
    monkeypatch.setattr(base, "_BUILTIN_PROVIDERS", dict(base._BUILTIN_PROVIDERS))
    look_up = base._get_chat_model_creator
    look_up.cache_clear()
    yield
    look_up.cache_clear()


def test_importing_registers_nothing():
    program = (
        "import sunra_integrations.langchain\n"
        "from langchain.chat_models import base\n"
        "assert 'sunra' not in base._BUILTIN_PROVIDERS\n"
    )
    ran = children.python("-c", program)
    assert ran.returncode == 0, ran.stderr
    with pytest.raises(ValueError, match="provider"):
        init_chat_model("sunra:openai/gpt-4o")


def test_it_says_what_it_does():
    assert "_BUILTIN_PROVIDERS" in (register.__doc__ or "")


@pytest.mark.parametrize(
    "given",
    [
        {"model": "sunra:openai/gpt-4o"},
        {"model": "openai/gpt-4o", "model_provider": "sunra"},
    ],
)
def test_models_are_made_by_their_name(given: dict[str, Any]):
    register()
    model = init_chat_model(**given, api_key="sk-made-up", temperature=0.5)
    assert isinstance(model, ChatSunra)
    assert (model.model, model.temperature) == ("openai/gpt-4o", 0.5)


def test_a_variant_after_a_colon_stays_part_of_the_name():
    register()
    model = init_chat_model("sunra:openai/gpt-4o:free", api_key="sk-made-up")
    assert isinstance(model, ChatSunra)
    assert model.model == "openai/gpt-4o:free"


def test_registering_again_does_nothing():
    register()
    table = dict(base._BUILTIN_PROVIDERS)
    register()
    assert table == base._BUILTIN_PROVIDERS


@pytest.mark.network
async def test_a_configurable_model_is_chosen_when_called(sunra_sandbox: Sandbox):
    register()
    model = init_chat_model(
        "sunra:openai/gpt-4o",
        configurable_fields=("model", "temperature"),
        config_prefix="chat",
        api_key=sunra_sandbox.api_key,
        base_url=sunra_sandbox.base_url,
    )
    model.invoke("Hello")
    chosen: Any = {"configurable": {"chat_model": "sunra:c/d", "chat_temperature": 1.0}}
    await model.bind_tools([{"name": "t", "input_schema": {"type": "object"}}]).ainvoke(
        "Hello", config=chosen
    )
    first, second = (one.json for one in sunra_sandbox.requests)
    assert (first["model"], first.get("temperature")) == ("openai/gpt-4o", None)
    assert (second["model"], second["temperature"]) == ("c/d", 1.0)
    assert second["tools"][0]["function"]["name"] == "t"


def with_another_sunra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base._BUILTIN_PROVIDERS, "sunra", ("another", "ChatSunra", dict))


def with_entries_of_another_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_BUILTIN_PROVIDERS", {"openai": "langchain_openai"})


def without_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(base, "_BUILTIN_PROVIDERS")


def with_a_look_up_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(provider: str) -> BaseChatModel:
        raise ValueError(f"Unsupported {provider}")

    monkeypatch.setattr(base, "_get_chat_model_creator", look_up)


def without_langchain(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> Any:
        raise ModuleNotFoundError(name)

    registration = importlib.import_module("sunra_integrations.langchain.registration")
    monkeypatch.setattr(registration, "import_module", import_module)


GUARDS = {
    "another provider of the name": (with_another_sunra, "another provider"),
    "entries of another form": (with_entries_of_another_form, "another form"),
    "no table": (without_the_table, "_BUILTIN_PROVIDERS"),
    "a look-up that ignores the table": (with_a_look_up_of_its_own, "does not find"),
    "no langchain": (without_langchain, "pip install langchain"),
}


@pytest.mark.parametrize("case", GUARDS)
def test_where_it_cannot_be_done_it_says_so_and_changes_nothing(
    case: str, monkeypatch: pytest.MonkeyPatch
):
    prepare, says = GUARDS[case]
    prepare(monkeypatch)
    before = dict(getattr(base, "_BUILTIN_PROVIDERS", {}))
    with pytest.raises(ConfigurationError, match=says) as failed:
        register()
    assert 'Use ChatSunra(model="vendor/model") instead' in str(failed.value)
    assert getattr(base, "_BUILTIN_PROVIDERS", {}) == before

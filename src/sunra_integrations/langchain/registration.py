"""`register`: support for `init_chat_model("sunra:vendor/model")`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from langchain_core.language_models import BaseChatModel

from sunra_integrations.langchain.errors import ConfigurationError
from sunra_integrations.langchain.messages import MODEL_PROVIDER

_MODULE = "langchain.chat_models.base"
_REGISTRY = "_BUILTIN_PROVIDERS"
_LOOK_UP = "_get_chat_model_creator"
_HOME, _CLASS = "sunra_integrations.langchain", "ChatSunra"


def _make(cls: Callable[..., BaseChatModel], **given: Any) -> BaseChatModel:
    return cls(**given)


def register() -> None:
    """Make `init_chat_model("sunra:vendor/model")` return a `ChatSunra`, in this process.

    Call it once, before `init_chat_model`; further calls do nothing. LangChain has no public way to
    add a provider, so this adds the entry `sunra` to the private dict
    `langchain.chat_models.base._BUILTIN_PROVIDERS`. Importing this package does not do so.
    deepagents calls this function by itself, before it creates a Sunra model.

    Raises:
        ConfigurationError: langchain is not installed, has another provider `sunra`, or stores its
            providers in an unknown form. Nothing is changed then, and
            `ChatSunra(model="vendor/model")` still works.
    """
    registry, look_up = _providers()
    entry = (_HOME, _CLASS, _make)
    found = registry.setdefault(MODEL_PROVIDER, entry)
    if found != entry:
        raise _cannot(f"it already has another provider {MODEL_PROVIDER!r}")
    try:
        look_up(MODEL_PROVIDER)
    except Exception as error:
        del registry[MODEL_PROVIDER]
        raise _cannot("it does not find providers added to its registry") from error


def _providers() -> tuple[dict[str, Any], Callable[[str], object]]:
    """LangChain's registry of providers and its look-up function, if they have the known form."""
    try:
        module = import_module(_MODULE)
    except ImportError as error:
        raise _cannot("it is not installed; pip install langchain") from error
    registry, look_up = getattr(module, _REGISTRY, None), getattr(module, _LOOK_UP, None)
    if not callable(look_up) or not isinstance(registry, dict) or not registry:
        raise _cannot(f"`{_MODULE}` has no `{_REGISTRY}` of the known form")
    for entry in registry.values():
        match entry:
            case (str(), str(), make) if callable(make):
                continue
            case _:
                raise _cannot(f"the entries of `{_REGISTRY}` have another form")
    return registry, look_up


def _cannot(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"Cannot register `sunra:` with the installed langchain: {why}. "
        f'Use {_CLASS}(model="vendor/model") instead.'
    )

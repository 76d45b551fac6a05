"""`register`: makes `init_chat_model("sunra:vendor/model")` work."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from langchain_core.language_models import BaseChatModel

from sunra_integrations.langchain.errors import ConfigurationError
from sunra_integrations.langchain.from_sunra import MODEL_PROVIDER

_MODULE = "langchain.chat_models.base"
_REGISTRY = "_BUILTIN_PROVIDERS"
_LOOK_UP = "_get_chat_model_creator"
_HOME, _CLASS = "sunra_integrations.langchain", "ChatSunra"


def _make(cls: Callable[..., BaseChatModel], **given: Any) -> BaseChatModel:
    return cls(**given)


def register() -> None:
    """Makes `init_chat_model("sunra:vendor/model")` return a `ChatSunra`, in this process.

    LangChain has no public way to add a provider. This adds one entry, `sunra`, to the private
    table `langchain.chat_models.base._BUILTIN_PROVIDERS`, and changes nothing else. It is never
    done by importing this package; call it once, before `init_chat_model`. Calling it again does
    nothing.

    Raises:
        ConfigurationError: langchain is not installed, knows another `sunra`, or keeps its
            providers in some other way than the one this function knows; nothing was changed.
            `ChatSunra(model="vendor/model")` works all the same.
    """
    registry, look_up = _providers()
    entry = (_HOME, _CLASS, _make)
    found = registry.setdefault(MODEL_PROVIDER, entry)
    if found != entry:
        raise _cannot(f"it has another provider called {MODEL_PROVIDER!r} already")
    try:
        look_up(MODEL_PROVIDER)
    except Exception as error:
        del registry[MODEL_PROVIDER]
        raise _cannot("it does not find a provider that is added to its table") from error


def _providers() -> tuple[dict[str, Any], Callable[[str], object]]:
    """LangChain's table of providers and its look-up, if they are what we take them for."""
    try:
        module = import_module(_MODULE)
    except ImportError as error:
        raise _cannot("it is not installed; pip install langchain") from error
    registry, look_up = getattr(module, _REGISTRY, None), getattr(module, _LOOK_UP, None)
    if not callable(look_up) or not isinstance(registry, dict) or not registry:
        raise _cannot(f"`{_MODULE}` has no `{_REGISTRY}` in the known form")
    for entry in registry.values():
        match entry:
            case (str(), str(), make) if callable(make):
                continue
            case _:
                raise _cannot(f"the entries of `{_REGISTRY}` have another form")
    return registry, look_up


def _cannot(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"`sunra:` cannot be made known to the installed langchain: {why}. Nothing was changed; "
        f'{_CLASS}(model="vendor/model") works without it.'
    )

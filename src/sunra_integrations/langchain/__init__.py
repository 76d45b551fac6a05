"""Sunra in LangChain: `ChatSunra`, a chat model over every model of the gateway.

`register` makes `init_chat_model("sunra:vendor/model")` work. The errors are in
`sunra_integrations.langchain.errors`.
"""

from importlib import import_module

try:
    # Before anything of ours, because core's own imports take a fifth longer from deep within.
    import_module("langchain_core.runnables.base")
except ModuleNotFoundError as _missing:
    if _missing.name != "langchain_core":
        raise
    raise ImportError(
        "ChatSunra needs langchain-core, which is not installed here: "
        "pip install 'sunra-integrations[langchain]'"
    ) from None

from sunra_integrations.langchain.chat_model import ChatSunra
from sunra_integrations.langchain.content_blocks import register as _register_content_blocks
from sunra_integrations.langchain.from_sunra import with_broken_calls
from sunra_integrations.langchain.registration import register

__all__ = ["ChatSunra", "register", "with_broken_calls"]

_register_content_blocks()

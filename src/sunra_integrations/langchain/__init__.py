"""Sunra in LangChain: `ChatSunra`, a chat model over every model of the gateway.

`register` makes `init_chat_model("sunra:vendor/model")` work. The errors are in
`sunra_integrations.langchain.errors`.
"""

from importlib import import_module

from sunra_integrations.requirements import requiring

with requiring("ChatSunra", "pydantic", "httpx", "langchain-core", extra="langchain"):
    # Before anything of ours, because core's own imports take a fifth longer from deep within.
    import_module("langchain_core.runnables.base")

from sunra_integrations.langchain.chat_models import ChatSunra
from sunra_integrations.langchain.content_blocks import register as _register_content_blocks
from sunra_integrations.langchain.messages import split_invalid_tool_calls
from sunra_integrations.langchain.registration import register
from sunra_integrations.langchain.usage import UsageCallback

__all__ = ["ChatSunra", "UsageCallback", "register", "split_invalid_tool_calls"]

with_broken_calls = split_invalid_tool_calls
"""Former name of `split_invalid_tool_calls`, kept for existing programs."""

_register_content_blocks()

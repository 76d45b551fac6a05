"""The classes that are measured. Each is imported only by its worker, in its own environment."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from benchmarks.contestants.asked import Connect

Framework = Literal["langchain", "llama-index", "none"]
Role = Literal["ours", "peer", "floor"]


@dataclass(frozen=True)
class Contestant:
    """A class that is measured.

    Args:
        name: As shown, and as given to the worker.
        framework: The framework whose objects it returns.
        role: Ours, a peer, or a floor: the least that any class of its kind must cost.
        package: What a user installs with pip. Contestants with the same share an environment.
        maker: `module:function` under `benchmarks.contestants`, a `Connect`.
        needs: The module that must be installed.
        imports: The statement a user begins with.
        aiohttp: Whether its async calls go through aiohttp.
    """

    name: str
    framework: Framework
    role: Role
    package: str
    maker: str
    needs: str
    imports: str
    aiohttp: bool = False

    def connect(self) -> Connect:
        """Imports it."""
        module, function = self.maker.split(":")
        connect: Connect = getattr(import_module(f"benchmarks.contestants.{module}"), function)
        return connect


# The parts of a framework that any chat model with tools and structured output imports.
_LANGCHAIN_CORE = """
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.output_parsers import JsonOutputParser, PydanticToolsParser
from langchain_core.tools import BaseTool
"""
_LLAMA_CORE = "from llama_index.core.llms.function_calling import FunctionCallingLLM"
FRAMEWORK_IMPORTS: dict[Framework, str] = {
    "langchain": _LANGCHAIN_CORE,
    "llama-index": _LLAMA_CORE,
}

ALL = (
    Contestant(
        "ChatSunra",
        "langchain",
        "ours",
        "sunra-integrations[langchain]",
        "langchain:sunra",
        "sunra_integrations",
        "from sunra_integrations.langchain import ChatSunra",
    ),
    Contestant(
        "ChatSunra[aiohttp]",
        "langchain",
        "ours",
        "sunra-integrations[langchain,aiohttp]",
        "langchain:sunra_on_aiohttp",
        "aiohttp",
        "from sunra_integrations.langchain import ChatSunra",
        aiohttp=True,
    ),
    Contestant(
        "ChatOpenAI",
        "langchain",
        "peer",
        "langchain-openai",
        "langchain:openai",
        "langchain_openai",
        "from langchain_openai import ChatOpenAI",
    ),
    Contestant(
        "ChatOpenRouter",
        "langchain",
        "peer",
        "langchain-openrouter",
        "langchain:openrouter",
        "langchain_openrouter",
        "from langchain_openrouter import ChatOpenRouter",
    ),
    Contestant(
        "ChatLiteLLM",
        "langchain",
        "peer",
        "langchain-litellm",
        "langchain:litellm",
        "langchain_litellm",
        "from langchain_litellm import ChatLiteLLM",
    ),
    Contestant(
        "LangChain alone",
        "langchain",
        "floor",
        "sunra-integrations[langchain]",
        "langchain_alone:connect",
        "langchain_core",
        _LANGCHAIN_CORE,
    ),
    Contestant(
        "Sunra",
        "llama-index",
        "ours",
        "sunra-integrations[llama-index]",
        "llama_index:sunra",
        "sunra_integrations",
        "from sunra_integrations.llama_index import Sunra",
    ),
    Contestant(
        "Sunra[aiohttp]",
        "llama-index",
        "ours",
        "sunra-integrations[llama-index,aiohttp]",
        "llama_index:sunra_on_aiohttp",
        "aiohttp",
        "from sunra_integrations.llama_index import Sunra",
        aiohttp=True,
    ),
    Contestant(
        "OpenAI",
        "llama-index",
        "peer",
        "llama-index-llms-openai",
        "llama_index:openai",
        "llama_index.llms.openai",
        "from llama_index.llms.openai import OpenAI",
    ),
    Contestant(
        "OpenAILike",
        "llama-index",
        "peer",
        "llama-index-llms-openai-like",
        "llama_index:openai_like",
        "llama_index.llms.openai_like",
        "from llama_index.llms.openai_like import OpenAILike",
    ),
    Contestant(
        "OpenRouter",
        "llama-index",
        "peer",
        "llama-index-llms-openrouter",
        "llama_index:openrouter",
        "llama_index.llms.openrouter",
        "from llama_index.llms.openrouter import OpenRouter",
    ),
    Contestant(
        "LiteLLM",
        "llama-index",
        "peer",
        "llama-index-llms-litellm",
        "llama_index:litellm",
        "llama_index.llms.litellm",
        "from llama_index.llms.litellm import LiteLLM",
    ),
    Contestant(
        "LlamaIndex alone",
        "llama-index",
        "floor",
        "sunra-integrations[llama-index]",
        "llama_index_alone:connect",
        "llama_index.core",
        _LLAMA_CORE,
    ),
    Contestant("openai SDK", "none", "peer", "openai", "bare:openai", "openai", "import openai"),
    Contestant("httpx", "none", "floor", "httpx", "bare:httpx", "httpx", "import httpx"),
    Contestant("httpx2", "none", "floor", "httpx2", "bare:httpx2", "httpx2", "import httpx2"),
    Contestant(
        "httpx[aiohttp]",
        "none",
        "floor",
        "httpx-aiohttp",
        "bare:httpx_on_aiohttp",
        "httpx_aiohttp",
        "import httpx_aiohttp",
        aiohttp=True,
    ),
)

NAMED = {contestant.name: contestant for contestant in ALL}

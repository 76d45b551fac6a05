"""Who is measured. Each is imported in a process of its own only, by its worker."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Literal

from benchmarks.contestants.asked import Connect

Framework = Literal["langchain", "llama-index", "none"]
Role = Literal["ours", "peer", "floor"]


@dataclass(frozen=True)
class Contestant:
    """One who is measured.

    Args:
        name: As shown, and as given to the worker.
        framework: Whose classes it hands to the user.
        role: Ours, a peer, or a floor that nobody can go below.
        maker: `module:function` under `benchmarks.contestants`, a `Connect`.
        needs: The module that must be installed.
        imports: The statement a user begins with.
        aiohttp: Whether its async calls are carried by aiohttp.
    """

    name: str
    framework: Framework
    role: Role
    maker: str
    needs: str
    imports: str
    aiohttp: bool = False

    @property
    def installed(self) -> bool:
        """Whether it can be measured here."""
        try:
            return find_spec(self.needs) is not None
        except ModuleNotFoundError:  # not even the package around it
            return False

    def connect(self) -> Connect:
        """Imports it."""
        module, function = self.maker.split(":")
        connect: Connect = getattr(import_module(f"benchmarks.contestants.{module}"), function)
        return connect


# What any chat model with tools and structured output stands on.
_LANGCHAIN_CORE = """
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.output_parsers import JsonOutputParser, PydanticToolsParser
from langchain_core.tools import BaseTool
"""
_LLAMA_CORE = "from llama_index.core.llms.function_calling import FunctionCallingLLM"

ALL = (
    Contestant(
        "ChatSunra",
        "langchain",
        "ours",
        "langchain:sunra",
        "langchain_core",
        "from sunra_integrations.langchain import ChatSunra",
    ),
    Contestant(
        "ChatSunra[aiohttp]",
        "langchain",
        "ours",
        "langchain:sunra_on_aiohttp",
        "httpx_aiohttp",
        "from sunra_integrations.langchain import ChatSunra",
        aiohttp=True,
    ),
    Contestant(
        "ChatOpenAI",
        "langchain",
        "peer",
        "langchain:openai",
        "langchain_openai",
        "from langchain_openai import ChatOpenAI",
    ),
    Contestant(
        "ChatOpenRouter",
        "langchain",
        "peer",
        "langchain:openrouter",
        "langchain_openrouter",
        "from langchain_openrouter import ChatOpenRouter",
    ),
    Contestant(
        "LangChain alone",
        "langchain",
        "floor",
        "langchain_alone:connect",
        "langchain_core",
        _LANGCHAIN_CORE,
    ),
    Contestant(
        "Sunra",
        "llama-index",
        "ours",
        "llama_index:sunra",
        "llama_index.core",
        "from sunra_integrations.llama_index import Sunra",
    ),
    Contestant(
        "Sunra[aiohttp]",
        "llama-index",
        "ours",
        "llama_index:sunra_on_aiohttp",
        "httpx_aiohttp",
        "from sunra_integrations.llama_index import Sunra",
        aiohttp=True,
    ),
    Contestant(
        "OpenAI",
        "llama-index",
        "peer",
        "llama_index:openai",
        "llama_index.llms.openai",
        "from llama_index.llms.openai import OpenAI",
    ),
    Contestant(
        "OpenAILike",
        "llama-index",
        "peer",
        "llama_index:openai_like",
        "llama_index.llms.openai_like",
        "from llama_index.llms.openai_like import OpenAILike",
    ),
    Contestant(
        "LlamaIndex alone",
        "llama-index",
        "floor",
        "llama_index_alone:connect",
        "llama_index.core",
        _LLAMA_CORE,
    ),
    Contestant("openai SDK", "none", "peer", "bare:openai", "openai", "import openai"),
    Contestant("httpx", "none", "floor", "bare:httpx_alone", "httpx", "import httpx"),
    Contestant(
        "httpx[aiohttp]",
        "none",
        "floor",
        "bare:httpx_on_aiohttp",
        "httpx_aiohttp",
        "import httpx_aiohttp",
        aiohttp=True,
    ),
)

NAMED = {contestant.name: contestant for contestant in ALL}

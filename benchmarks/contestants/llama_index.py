"""LLMs of LlamaIndex: ours and the peers, each set to do the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.tools import FunctionTool

from benchmarks.contestants.asked import (
    HISTORY_MESSAGES,
    KEY,
    PROMPT,
    Call,
    Input,
    NotOffered,
    Wanted,
    base_url,
    image_text,
)
from benchmarks.contestants.tool_set import functions
from benchmarks.scenarios import MODEL


@dataclass
class LlamaIndexCall:
    """A call of an LLM."""

    llm: Any
    messages: list[ChatMessage]
    tools: list[FunctionTool]

    def invoke(self) -> Any:
        """A `ChatResponse`."""
        if self.tools:
            return self.llm.chat_with_tools(self.tools, chat_history=self.messages)
        return self.llm.chat(self.messages)

    async def ainvoke(self) -> Any:
        """A `ChatResponse`."""
        if self.tools:
            return await self.llm.achat_with_tools(self.tools, chat_history=self.messages)
        return await self.llm.achat(self.messages)

    def stream(self) -> Iterator[Any]:
        """`ChatResponse`s, each with the message so far."""
        stream: Iterator[Any] = self.llm.stream_chat(self.messages)
        return stream

    async def astream(self) -> AsyncIterator[Any]:
        """`ChatResponse`s, each with the message so far."""
        async for response in await self.llm.astream_chat(self.messages):
            yield response

    def events(self) -> Iterator[Any]:
        """LlamaIndex has none."""
        raise NotOffered

    def aevents(self) -> AsyncIterator[Any]:
        """LlamaIndex has none."""
        raise NotOffered

    def text(self, piece: Any) -> str:
        """The text that a response adds."""
        return piece.delta or ""


def made_ready(llm: Any, wanted: Wanted) -> Call:
    """The call that is wanted of an LLM."""
    tools = [FunctionTool.from_defaults(function) for function in functions(wanted.tools)]
    return LlamaIndexCall(llm, _messages(wanted.prompt), tools)


def listeners(wanted: Wanted) -> dict[str, CallbackManager]:
    """Where wanted, an argument with LlamaIndex's token counter, which counts words here."""
    if not wanted.callbacks:
        return {}
    return {"callback_manager": CallbackManager([TokenCountingHandler(tokenizer=str.split)])}


def sunra(server: str, wanted: Wanted) -> Call:
    """Ours, on httpx."""
    return _sunra(server, wanted, "httpx")


def sunra_on_aiohttp(server: str, wanted: Wanted) -> Call:
    """Ours, its async calls on aiohttp."""
    return _sunra(server, wanted, "aiohttp")


def _sunra(server: str, wanted: Wanted, library: Literal["httpx", "aiohttp"]) -> Call:
    from sunra_integrations.llama_index import Sunra

    settings = _settings(server, wanted)
    if wanted.scenario.is_of_responses:
        settings["api"] = "responses"
    return made_ready(Sunra(**settings, async_transport=library), wanted)


def openai(server: str, wanted: Wanted) -> Call:
    """OpenAI, or OpenAIResponses for the other API."""
    from llama_index.llms.openai import OpenAI, OpenAIResponses

    if wanted.scenario.is_of_responses:
        return made_ready(OpenAIResponses(**_settings(server, wanted)), wanted)
    return made_ready(OpenAI(**_settings(server, wanted), **_usage(wanted)), wanted)


def openai_like(server: str, wanted: Wanted) -> Call:
    """OpenAILike."""
    from llama_index.llms.openai_like import OpenAILike

    kind = {"is_chat_model": True, "is_function_calling_model": True}
    return made_ready(OpenAILike(**_settings(server, wanted), **_usage(wanted), **kind), wanted)


def openrouter(server: str, wanted: Wanted) -> Call:
    """OpenRouter."""
    from llama_index.llms.openrouter import OpenRouter

    return made_ready(OpenRouter(**_settings(server, wanted), **_usage(wanted)), wanted)


def litellm(server: str, wanted: Wanted) -> Call:
    """LiteLLM."""
    from llama_index.llms.litellm import LiteLLM

    settings = _settings(server, wanted)
    settings["model"] = f"openai/{MODEL}"
    # It fails on the chunk with the usage, so it does not request the usage.
    more = {name: settings.pop(name) for name in _LOGPROBS if name in settings}
    return made_ready(LiteLLM(**settings, additional_kwargs=more), wanted)


_LOGPROBS = {"logprobs": True, "top_logprobs": 5}


def _usage(wanted: Wanted) -> dict[str, dict[str, Any]]:
    """What makes other classes request the usage of a stream, as ours does."""
    usage = {"stream_options": {"include_usage": True}} if wanted.scenario.events else {}
    return {"additional_kwargs": usage}


def _settings(server: str, wanted: Wanted) -> dict[str, Any]:
    url = base_url(server, wanted.scenario)
    settings = {"model": MODEL, "api_key": KEY, "api_base": url, **listeners(wanted)}
    if wanted.scenario.kind == "logprobs":
        settings.update(_LOGPROBS)
    return settings


@lru_cache
def _messages(prompt: Input) -> list[ChatMessage]:
    last = ChatMessage(PROMPT)
    match prompt:
        case "short":
            return [last]
        case "history":
            roles = (MessageRole.USER, MessageRole.ASSISTANT)
            earlier = (
                ChatMessage(f"{PROMPT} ({n})", role=roles[n % 2])
                for n in range(HISTORY_MESSAGES - 1)
            )
            return [*earlier, last]
        case "image":
            url = "data:image/png;base64," + image_text()
            return [ChatMessage(blocks=[TextBlock(text=PROMPT), ImageBlock(url=url)])]

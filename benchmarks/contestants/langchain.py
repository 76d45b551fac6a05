"""Chat models of LangChain: ours and the peers, each set to do the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from benchmarks.contestants.asked import (
    HISTORY_MESSAGES,
    KEY,
    PROMPT,
    Call,
    Input,
    Wanted,
    base_url,
    image_text,
)
from benchmarks.contestants.tool_set import functions
from benchmarks.scenarios import MODEL


@dataclass
class LangChainCall:
    """A call of a chat model."""

    model: Any
    messages: list[BaseMessage]
    config: RunnableConfig
    async_config: RunnableConfig

    def invoke(self) -> Any:
        """An `AIMessage`."""
        return self.model.invoke(self.messages, self.config)

    async def ainvoke(self) -> Any:
        """An `AIMessage`."""
        return await self.model.ainvoke(self.messages, self.async_config)

    def stream(self) -> Iterator[Any]:
        """`AIMessageChunk`s."""
        stream: Iterator[Any] = self.model.stream(self.messages, self.config)
        return stream

    def astream(self) -> AsyncIterator[Any]:
        """`AIMessageChunk`s."""
        stream: AsyncIterator[Any] = self.model.astream(self.messages, self.async_config)
        return stream

    def events(self) -> Iterator[Any]:
        """Events of the v3 protocol."""
        yield from self.model.stream_events(self.messages, self.config, version="v3")

    async def aevents(self) -> AsyncIterator[Any]:
        """Events of the v3 protocol."""
        config = self.async_config
        async for event in await self.model.astream_events(self.messages, config, version="v3"):
            yield event

    def text(self, piece: Any) -> str:
        """The text of a chunk."""
        text: str = piece.text
        return text


class Listener(BaseCallbackHandler):
    """Counts tokens, as an application's handler would."""

    tokens = 0

    def on_llm_new_token(self, token: Any, **_: Any) -> None:  # noqa: ARG002 - counted unread
        """One more."""
        self.tokens += 1


class AsyncListener(AsyncCallbackHandler):
    """Counts tokens, as an application's handler would."""

    tokens = 0

    async def on_llm_new_token(self, token: Any, **_: Any) -> None:  # noqa: ARG002 - the framework's signature
        """One more."""
        self.tokens += 1


def made_ready(model: BaseChatModel, wanted: Wanted) -> Call:
    """The call that is wanted of a model."""
    bound = model.bind_tools(functions(wanted.tools)) if wanted.tools else model
    config: RunnableConfig = {"callbacks": [Listener()]} if wanted.callbacks else {}
    async_config: RunnableConfig = {"callbacks": [AsyncListener()]} if wanted.callbacks else {}
    return LangChainCall(bound, _messages(wanted.prompt), config, async_config)


def sunra(server: str, wanted: Wanted) -> Call:
    """Ours, on httpx."""
    return _sunra(server, wanted, "httpx")


def sunra_on_aiohttp(server: str, wanted: Wanted) -> Call:
    """Ours, its async calls on aiohttp."""
    return _sunra(server, wanted, "aiohttp")


def _sunra(server: str, wanted: Wanted, library: Literal["httpx", "aiohttp"]) -> Call:
    from sunra_integrations.langchain import ChatSunra

    settings = _settings(server, wanted)
    if wanted.scenario.is_of_responses:
        settings["api"] = "responses"
    return made_ready(ChatSunra(**settings, async_transport=library), wanted)


def openai(server: str, wanted: Wanted) -> Call:
    """ChatOpenAI."""
    from langchain_openai import ChatOpenAI

    settings = _settings(server, wanted)
    if wanted.scenario.is_of_responses:
        settings["use_responses_api"] = True
    return made_ready(ChatOpenAI(**settings), wanted)


def openrouter(server: str, wanted: Wanted) -> Call:
    """ChatOpenRouter."""
    from langchain_openrouter import ChatOpenRouter

    settings = _settings(server, wanted)
    if "logprobs" in settings:
        settings["model_kwargs"] = {
            name: settings.pop(name) for name in ("logprobs", "top_logprobs")
        }
    return made_ready(ChatOpenRouter(**settings), wanted)


def litellm(server: str, wanted: Wanted) -> Call:
    """ChatLiteLLM."""
    from langchain_litellm import ChatLiteLLM

    settings = _settings(server, wanted)
    settings["api_base"] = settings.pop("base_url")
    settings["stream_options"] = {"include_usage": settings.pop("stream_usage")}
    more = {name: settings.pop(name) for name in ("logprobs", "top_logprobs") if name in settings}
    return made_ready(
        ChatLiteLLM(**settings, custom_llm_provider="openai", model_kwargs=more), wanted
    )


def _settings(server: str, wanted: Wanted) -> dict[str, Any]:
    url = base_url(server, wanted.scenario)
    settings = {"model": MODEL, "api_key": KEY, "base_url": url, "stream_usage": True}
    if wanted.scenario.kind == "logprobs":
        settings.update(logprobs=True, top_logprobs=5)
    return settings


@lru_cache
def _messages(prompt: Input) -> list[BaseMessage]:
    last = HumanMessage(PROMPT)
    match prompt:
        case "short":
            return [last]
        case "history":
            kinds = (HumanMessage, AIMessage)
            earlier = (kinds[n % 2](f"{PROMPT} ({n})") for n in range(HISTORY_MESSAGES - 1))
            return [*earlier, last]
        case "image":
            url = "data:image/png;base64," + image_text()
            image = {"type": "image_url", "image_url": {"url": url}}
            return [HumanMessage([{"type": "text", "text": PROMPT}, image])]

"""The floor in LangChain: a chat model that does no I/O.

For each event of the scenario it makes one new `AIMessageChunk` in one new `ChatGenerationChunk`,
as any chat model must, from values made beforehand. The rest is langchain-core.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import lru_cache
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

from benchmarks.contestants.asked import Call, Wanted
from benchmarks.contestants.langchain import made_ready
from benchmarks.scenarios import WORDS, Kind, chunks

_ANSWER = "".join(WORDS)


class AloneChatModel(BaseChatModel):
    """Answers a scenario from memory."""

    pieces: tuple[dict[str, Any], ...]
    answer: str

    @property
    def _llm_type(self) -> str:
        return "alone"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Converts the tools as langchain-core does, and binds them."""
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],  # noqa: ARG002 - the framework's signature
        stop: list[str] | None = None,  # noqa: ARG002 - the framework's signature
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - the framework's signature
        **_: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.answer))])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - the framework's signature
        **_: Any,
    ) -> ChatResult:
        return self._generate(messages, stop)

    def _stream(
        self,
        messages: list[BaseMessage],  # noqa: ARG002 - the framework's signature
        stop: list[str] | None = None,  # noqa: ARG002 - the framework's signature
        run_manager: CallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for piece in self.pieces:
            chunk = ChatGenerationChunk(message=AIMessageChunk(**piece))
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],  # noqa: ARG002 - the framework's signature
        stop: list[str] | None = None,  # noqa: ARG002 - the framework's signature
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for piece in self.pieces:
            chunk = ChatGenerationChunk(message=AIMessageChunk(**piece))
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def connect(server: str, wanted: Wanted) -> Call:  # noqa: ARG001 - it asks no server
    """The floor, answering the scenario."""
    pieces = _pieces(wanted.scenario.kind, wanted.scenario.events)
    return made_ready(AloneChatModel(pieces=pieces, answer=_ANSWER), wanted)


@lru_cache
def _pieces(kind: Kind, events: int) -> tuple[dict[str, Any], ...]:
    return tuple(_piece(chunk) for chunk in chunks(kind, events))


def _piece(chunk: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an `AIMessageChunk`."""
    if not chunk["choices"]:
        usage = chunk["usage"]
        tokens = (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"])
        names = ("input_tokens", "output_tokens", "total_tokens")
        return {"content": "", "usage_metadata": dict(zip(names, tokens, strict=True))}
    choice = chunk["choices"][0]
    delta = choice["delta"]
    piece: dict[str, Any] = {"content": delta.get("content") or ""}
    if "reasoning_content" in delta:
        piece["additional_kwargs"] = {"reasoning_content": delta["reasoning_content"]}
    if "tool_calls" in delta:
        piece["tool_call_chunks"] = [_tool_call_chunk(call) for call in delta["tool_calls"]]
    if choice["logprobs"]:
        piece["response_metadata"] = {"logprobs": choice["logprobs"]}
    return piece


def _tool_call_chunk(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {
        "type": "tool_call_chunk",
        "index": call["index"],
        "id": call.get("id"),
        "name": function.get("name"),
        "args": function["arguments"],
    }

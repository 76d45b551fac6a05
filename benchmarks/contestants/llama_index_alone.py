"""The floor in LlamaIndex: an LLM that does no I/O.

For each event of the scenario it makes one new `ChatResponse` with one new `ChatMessage` that holds
all that came so far, as LlamaIndex's contract has it. Tools are converted by the framework's own
`to_openai_tool`, once per call. The rest is llama-index-core.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools.types import BaseTool

from benchmarks.contestants.asked import Call, NotOffered, Wanted
from benchmarks.contestants.llama_index import listeners, made_ready
from benchmarks.scenarios import WORDS, Kind, chunks

_ANSWER = "".join(WORDS)


class AloneLLM(FunctionCallingLLM):
    """Answers a scenario from memory."""

    kind: str
    deltas: list[str]
    answer: str

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex asks."""
        return "AloneLLM"

    @property
    def metadata(self) -> LLMMetadata:
        """A chat model that calls functions."""
        return LLMMetadata(is_chat_model=True, is_function_calling_model=True)

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **_: Any) -> ChatResponse:  # noqa: ARG002 - the framework's signature
        """The answer."""
        return ChatResponse(message=ChatMessage(self.answer, role=MessageRole.ASSISTANT))

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **_: Any) -> ChatResponse:  # noqa: ARG002 - the framework's signature
        """The answer."""
        return ChatResponse(message=ChatMessage(self.answer, role=MessageRole.ASSISTANT))

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **_: Any) -> ChatResponseGen:  # noqa: ARG002 - the framework's signature
        """The answer so far, again and again."""

        def responses() -> ChatResponseGen:
            so_far = ""
            for delta in self.deltas:
                so_far += delta
                yield _response(self.kind, so_far, delta)

        return responses()

    @llm_chat_callback()
    async def astream_chat(
        self,
        messages: Sequence[ChatMessage],  # noqa: ARG002 - the framework's signature
        **_: Any,
    ) -> ChatResponseAsyncGen:
        """The answer so far, again and again."""

        async def responses() -> ChatResponseAsyncGen:
            so_far = ""
            for delta in self.deltas:
                so_far += delta
                yield _response(self.kind, so_far, delta)

        return responses()

    def _prepare_chat_with_tools(  # noqa: PLR0917 - the framework's signature
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,  # noqa: ARG002 - the framework's signature
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: ARG002 - the framework's signature
        allow_parallel_tool_calls: bool = False,  # noqa: ARG002 - the framework's signature
        tool_required: bool = False,  # noqa: ARG002 - the framework's signature
        **_: Any,
    ) -> dict[str, Any]:
        converted = [tool.metadata.to_openai_tool() for tool in tools]
        return {"messages": chat_history or [], "tools": converted}

    def complete(self, *_: Any, **__: Any) -> CompletionResponse:
        """Not measured."""
        raise NotOffered

    async def acomplete(self, *_: Any, **__: Any) -> CompletionResponse:
        """Not measured."""
        raise NotOffered

    def stream_complete(self, *_: Any, **__: Any) -> CompletionResponseGen:
        """Not measured."""
        raise NotOffered

    async def astream_complete(self, *_: Any, **__: Any) -> CompletionResponseAsyncGen:
        """Not measured."""
        raise NotOffered


def connect(server: str, wanted: Wanted) -> Call:  # noqa: ARG001 - it asks no server
    """The floor, answering the scenario."""
    scenario = wanted.scenario
    deltas = _deltas(scenario.kind, scenario.events)
    settings: dict[str, Any] = {"deltas": deltas, "answer": _ANSWER, **listeners(wanted)}
    llm = AloneLLM(kind=scenario.kind, **settings)
    return made_ready(llm, wanted)


@lru_cache
def _deltas(kind: Kind, events: int) -> list[str]:
    return [_delta(kind, chunk) for chunk in chunks(kind, events)]


def _delta(kind: Kind, chunk: dict[str, Any]) -> str:
    if not chunk["choices"]:
        return ""
    delta = chunk["choices"][0]["delta"]
    if kind == "tools":
        return "".join(c["function"]["arguments"] for c in delta.get("tool_calls", ()))
    return delta.get("reasoning_content") or delta.get("content") or ""


def _response(kind: str, so_far: str, delta: str) -> ChatResponse:
    block: ThinkingBlock | ToolCallBlock | TextBlock
    match kind:
        case "tools":
            name, call = "write_down", "call_benchmark"
            block = ToolCallBlock(tool_call_id=call, tool_name=name, tool_kwargs=so_far)
            delta = ""
        case "reasoning":
            block = ThinkingBlock(content=so_far)
        case _:
            block = TextBlock(text=so_far)
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[block])
    return ChatResponse(message=message, delta=delta)

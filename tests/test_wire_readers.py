"""The fixtures of tests/wire through everything that reads responses, split in several ways.

The readers are the sync client, the async client, `ChatSunra` and `Sunra`. All must see the same.
What they make of a fixture depends on its chunks alone, and `tests/protocol` checks that the chunks
are the same wherever the bytes are split. Here each loop over the parts of a body meets every kind
of split: none, around each line, within each line, and around each byte.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ThinkingBlock, ToolCallBlock

from sunra_integrations.errors import SunraError
from sunra_integrations.langchain import ChatSunra, split_invalid_tool_calls
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.accumulator import accumulate
from sunra_integrations.protocol.json_text import parse_arguments
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient
from tests.recorded_transport import JSON, SSE, Body
from tests.wire_cases import (
    COMPLETIONS,
    STREAMS,
    Fails,
    Seen,
    completion_bytes,
    seen,
    stream_bytes,
)

MODEL = "openai/gpt-4o"
ASKED = ChatRequest(model=MODEL, messages=[{"role": "user", "content": "Hi"}])
Pieces = list[bytes]


class Answers(httpx.MockTransport):
    """Answers every request with the pieces it was last given."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.pieces: Pieces = []
        super().__init__(lambda _: httpx.Response(200, headers=headers, stream=Body(self.pieces)))


def seen_by_langchain(message: AIMessage) -> Seen:
    # Adding up chunks, LangChain mends what it takes for broken arguments; our last chunk tells.
    message = split_invalid_tool_calls(message)
    usage = message.usage_metadata
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    return Seen(
        text=message.text,
        finish_reason=message.response_metadata.get("finish_reason"),
        usage=usage and (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]),
        reasoning="".join(
            block["reasoning"] for block in message.content_blocks if block["type"] == "reasoning"
        ),
        calls=tuple(
            (call["id"], call["name"] or "", call["args"] if type(call["args"]) is dict else None)
            for call in calls
        ),
        refusal=message.additional_kwargs.get("refusal", ""),
    )


def seen_by_llama_index(response: ChatResponse) -> Seen:
    told, blocks = response.additional_kwargs, response.message.blocks
    usage = tuple(told.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    return Seen(
        text=response.message.content or "",
        finish_reason=told.get("finish_reason"),
        usage=None if usage == (None, None, None) else usage,
        reasoning="".join(
            block.content or "" for block in blocks if isinstance(block, ThinkingBlock)
        ),
        calls=tuple(
            (block.tool_call_id, block.tool_name, _arguments(block))
            for block in blocks
            if isinstance(block, ToolCallBlock)
        ),
        refusal=response.message.additional_kwargs.get("refusal", ""),
    )


def _arguments(block: ToolCallBlock) -> dict[str, Any] | None:
    given = block.tool_kwargs
    if not block.tool_name:
        return None  # no tool can be run
    return parse_arguments(given) if isinstance(given, str) else given


def summed(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    total, *rest = chunks
    for chunk in rest:
        total += chunk
    return total


class Readers:
    """Every reader over one transport; each method gives what one of them sees."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.transport = Answers(headers)
        http = httpx.Client(transport=self.transport)
        http_async = httpx.AsyncClient(transport=self.transport)
        self.client = SunraClient(Settings.resolve("k"), http_client=http)
        self.async_client = AsyncSunraClient(Settings.resolve("k"), http_client=http_async)
        self.langchain = ChatSunra(
            model=MODEL, api_key="k", http_client=http, http_async_client=http_async
        )
        self.llama_index = Sunra(
            model=MODEL, api_key="k", http_client=http, async_http_client=http_async
        )

    def client_stream(self) -> Seen:
        return seen(accumulate(self.client.stream(ASKED)))

    async def client_astream(self) -> Seen:
        return seen(accumulate([chunk async for chunk in self.async_client.stream(ASKED)]))

    def langchain_stream(self) -> Seen:
        return seen_by_langchain(summed(list(self.langchain.stream("Hi"))))

    async def langchain_astream(self) -> Seen:
        return seen_by_langchain(summed([chunk async for chunk in self.langchain.astream("Hi")]))

    def llama_index_stream(self) -> Seen:
        return seen_by_llama_index(list(self.llama_index.stream_chat([ChatMessage("Hi")]))[-1])

    async def llama_index_astream(self) -> Seen:
        stream = await self.llama_index.astream_chat([ChatMessage("Hi")])
        return seen_by_llama_index([response async for response in stream][-1])

    def client_create(self) -> Seen:
        return seen(self.client.create(ASKED))

    async def client_acreate(self) -> Seen:
        return seen(await self.async_client.create(ASKED))

    def langchain_create(self) -> Seen:
        return seen_by_langchain(self.langchain.invoke("Hi"))

    async def langchain_acreate(self) -> Seen:
        return seen_by_langchain(await self.langchain.ainvoke("Hi"))

    def llama_index_create(self) -> Seen:
        return seen_by_llama_index(self.llama_index.chat([ChatMessage("Hi")]))

    async def llama_index_acreate(self) -> Seen:
        return seen_by_llama_index(await self.llama_index.achat([ChatMessage("Hi")]))


Outcome = Seen | SunraError


async def outcomes(
    readers: Readers, reader: str, splits: Iterator[Pieces]
) -> AsyncIterator[Outcome]:
    read: Callable[[], Any] = getattr(readers, reader)
    for pieces in splits:
        readers.transport.pieces = pieces
        try:
            result = read()
            yield result if isinstance(result, Seen) else await result
        except SunraError as error:
            yield error


def cut_in_every_way(body: bytes) -> Iterator[Pieces]:
    lines = body.splitlines(keepends=True)
    yield [body]
    yield lines
    yield cut_within_lines(lines)
    yield [body[i : i + 1] for i in range(len(body))]


def cut_within_lines(lines: Pieces) -> Pieces:
    """From the middle of each line to that of the next: between CR and LF where it is blank."""
    begins = [line[: len(line) // 2] for line in lines] + [b""]
    ends = [b""] + [line[len(line) // 2 :] for line in lines]
    return [end + begin for end, begin in zip(ends, begins, strict=True)]


def expect(outcome: Outcome, expected: Seen | Fails) -> None:
    match expected:
        case Seen():
            assert outcome == expected
        case Fails(error, partial, says):
            assert isinstance(outcome, error)
            assert says in str(outcome)
            assert (outcome.partial.text if outcome.partial else None) == partial


@pytest.mark.parametrize(
    "reader",
    [
        "client_stream",
        "client_astream",
        "langchain_stream",
        "langchain_astream",
        "llama_index_stream",
        "llama_index_astream",
    ],
)
@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_cut_in_every_way(name, reader):
    async for outcome in outcomes(Readers(SSE), reader, cut_in_every_way(stream_bytes(name))):
        expect(outcome, STREAMS[name])


@pytest.mark.parametrize(
    "reader",
    [
        "client_create",
        "client_acreate",
        "langchain_create",
        "langchain_acreate",
        "llama_index_create",
        "llama_index_acreate",
    ],
)
@pytest.mark.parametrize("name", COMPLETIONS)
async def test_a_whole_answer(name, reader):
    body = completion_bytes(name)
    async for outcome in outcomes(Readers(JSON), reader, iter([[body]])):
        expect(outcome, COMPLETIONS[name])

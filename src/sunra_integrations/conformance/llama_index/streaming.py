"""Streams: each response whole so far, none changed later, the last one complete."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import pytest
from llama_index.core.llms.function_calling import FunctionCallingLLM

from sunra_integrations.conformance.llama_index import wire
from sunra_integrations.conformance.llama_index.asking import (
    PROMPT,
    STREAMED,
    STREAMED_CHATS,
    asked,
    drained,
    run,
    text_of,
    usage_of,
)
from sunra_integrations.conformance.llama_index.suite import LLMSuite
from sunra_integrations.sandbox import Sandbox, Say

PATIENCE = 5.0
"""Seconds within which the endpoint must notice that a stream was left."""

_LONG = Say("word " * 60)
_EVERYTHING = (
    wire.chunk({"role": "assistant", "reasoning": "Let "}),
    wire.chunk({"reasoning": "me think."}),
    wire.chunk("Hel"),
    wire.chunk("lo."),
    wire.calls(wire.call("c1", "add", '{"a": ', 0)),
    wire.calls(wire.call(None, None, "1}", 0), wire.call("c2", "sub", "{}", 1)),
    wire.chunk(finish_reason="tool_calls"),
    wire.usage_chunk(),
)


class StreamTests(LLMSuite):
    """Streams in each of the four ways."""

    def test_streams_are_generators(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint)
        for stream in (llm.stream_chat(asked()), llm.stream_complete(PROMPT)):
            assert inspect.isgenerator(stream)
            assert list(stream)
        run(self._check_async_generators(llm))

    async def _check_async_generators(self, llm: FunctionCallingLLM) -> None:
        for stream in (await llm.astream_chat(asked()), await llm.astream_complete(PROMPT)):
            assert inspect.isasyncgen(stream)
            assert await drained(stream)

    @pytest.mark.parametrize("way", STREAMED)
    def test_each_response_holds_all_so_far_and_the_delta_what_is_new(
        self, endpoint: Sandbox, way: str
    ) -> None:
        endpoint.next(wire.streamed(*_EVERYTHING[2:4], wire.chunk(finish_reason="stop")))
        responses = STREAMED[way](self.make_llm(endpoint))
        deltas = itertools.accumulate(response.delta or "" for response in responses)
        assert [text_of(response) for response in responses] == list(deltas)
        assert text_of(responses[-1]) == "Hello."

    @pytest.mark.parametrize("way", STREAMED)
    def test_the_last_response_is_complete_though_a_usage_chunk_follows(
        self, endpoint: Sandbox, way: str
    ) -> None:
        endpoint.next(wire.streamed(*_EVERYTHING))
        last = STREAMED[way](self.make_llm(endpoint))[-1]
        assert text_of(last) == "Hello."
        assert usage_of(last)["total_tokens"] == 50
        assert last.additional_kwargs["finish_reason"] == "tool_calls"

    @pytest.mark.parametrize("way", STREAMED)
    def test_usage_on_an_earlier_chunk_is_on_the_last_response(
        self, endpoint: Sandbox, way: str
    ) -> None:
        early = (wire.chunk("Hel", usage=wire.USAGE), wire.chunk("lo."))
        endpoint.next(wire.streamed(*early, wire.chunk(finish_reason="stop")))
        assert usage_of(STREAMED[way](self.make_llm(endpoint))[-1])["total_tokens"] == 50

    @pytest.mark.parametrize("way", STREAMED)
    def test_usage_on_every_chunk_is_not_added_up(self, endpoint: Sandbox, way: str) -> None:
        chunks = (wire.chunk(text, usage=wire.USAGE) for text in ("Hel", "lo."))
        endpoint.next(wire.streamed(*chunks, wire.chunk(finish_reason="stop")))
        last = STREAMED[way](self.make_llm(endpoint))[-1]
        assert last.additional_kwargs["total_tokens"] == 50

    def test_responses_already_given_never_change(self, endpoint: Sandbox) -> None:
        endpoint.next(*[wire.streamed(*_EVERYTHING)] * 4)
        llm = self.make_llm(endpoint)
        for stream in (llm.stream_chat(asked()), llm.stream_complete(PROMPT)):
            _check_unchanged([(given, given.model_dump_json()) for given in stream])
        run(self._check_unchanged_async(llm))

    async def _check_unchanged_async(self, llm: FunctionCallingLLM) -> None:
        for stream in (await llm.astream_chat(asked()), await llm.astream_complete(PROMPT)):
            _check_unchanged([(given, given.model_dump_json()) async for given in stream])

    @pytest.mark.parametrize("way", STREAMED)
    def test_choices_that_take_turns_are_never_mixed(self, endpoint: Sandbox, way: str) -> None:
        turns = [("a1", 0), ("b1", 1), ("a2", 0), ("b2", 1)]
        ends = [wire.chunk(finish_reason="stop", index=index) for index in (0, 1)]
        endpoint.next(wire.streamed(*[wire.chunk(text, index=i) for text, i in turns], *ends))
        responses = STREAMED[way](self.make_llm(endpoint), n=2)
        assert [text_of(response) for response in responses if response.delta] == ["a1", "a1a2"]
        assert text_of(responses[-1]) == "a1a2"

    def test_the_other_choices_are_told(self, endpoint: Sandbox) -> None:
        endpoint.next(wire.whole(wire.said({"content": "a"}), wire.said({"content": "b"}, index=1)))
        response = self.make_llm(endpoint).chat(asked(), n=2)
        assert text_of(response) == "a"
        assert "'b'" in str(response.raw) + str(response.additional_kwargs)

    @pytest.mark.parametrize("way", STREAMED)
    def test_empty_and_null_chunks_do_no_harm(self, endpoint: Sandbox, way: str) -> None:
        odd: list[wire.Chunk] = [
            {**wire.chunk(), "choices": None},
            {**wire.chunk(), "choices": [{"index": 0, "delta": None, "finish_reason": None}]},
            wire.chunk({"content": None}),
            wire.usage_chunk(),
        ]
        endpoint.next(wire.streamed(*odd, wire.chunk("Hello."), wire.chunk(finish_reason="stop")))
        assert text_of(STREAMED[way](self.make_llm(endpoint))[-1]) == "Hello."

    @pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
    @pytest.mark.parametrize("way", STREAMED_CHATS)
    def test_every_delta_of_thinking_is_given_the_first_included(
        self, endpoint: Sandbox, way: str, field: str
    ) -> None:
        self.needs("gives_thinking")
        thoughts = [wire.chunk({field: text}) for text in ("Let ", "me ", "think.")]
        endpoint.next(
            wire.streamed(*thoughts, wire.chunk("Hello."), wire.chunk(finish_reason="stop"))
        )
        responses = STREAMED[way](self.make_llm(endpoint))
        deltas = [response.additional_kwargs.get("thinking_delta") for response in responses]
        assert [delta for delta in deltas if delta] == ["Let ", "me ", "think."]

    def test_a_stream_that_is_left_ends_its_request(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint)
        for ask in (lambda: llm.stream_chat(asked()), lambda: llm.stream_complete(PROMPT)):
            endpoint.next(_LONG, pause=0.02)
            stream: Any = ask()
            next(stream)
            stream.close()
            assert endpoint.requests[-1].disconnected.wait(PATIENCE)

    def test_an_async_stream_that_is_left_ends_its_request(self, endpoint: Sandbox) -> None:
        run(self._check_left(endpoint, self.make_llm(endpoint)))

    async def _check_left(self, endpoint: Sandbox, llm: FunctionCallingLLM) -> None:
        for ask in (lambda: llm.astream_chat(asked()), lambda: llm.astream_complete(PROMPT)):
            endpoint.next(_LONG, pause=0.02)
            stream: Any = await ask()
            await anext(stream)
            await stream.aclose()
            assert endpoint.requests[-1].disconnected.wait(PATIENCE)


def _check_unchanged(given: list[tuple[Any, str]]) -> None:
    """Each response must say at the end what it said when it came."""
    assert given
    assert [response.model_dump_json() for response, _ in given] == [then for _, then in given]

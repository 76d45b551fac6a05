"""OpenTelemetry, by LlamaIndex's own package: model, usage and no secret, each event once."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation import root_dispatcher
from llama_index.core.prompts import PromptTemplate
from llama_index.observability.otel import LlamaIndexOpenTelemetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic import BaseModel

from sunra_integrations.errors import StreamInterrupted
from tests.llama_index.answers import said, streamed
from tests.llama_index.conftest import KEY
from tests.llama_index.ways import ASKED, STREAMED, WAYS
from tests.recorded_transport import stream
from tests.wire_cases import stream_bytes


@pytest.fixture(scope="session")
def registered():
    """LlamaIndex's package and its exporter: OpenTelemetry takes one provider per process."""
    exporter = InMemorySpanExporter()
    LlamaIndexOpenTelemetry(
        span_exporter=exporter, span_processor="simple", tracer_provider=TracerProvider()
    ).start_registering()
    return root_dispatcher.event_handlers.pop(), root_dispatcher.span_handlers.pop(), exporter


@pytest.fixture
def spans(registered):
    events, traces, exporter = registered
    exporter.clear()
    root_dispatcher.event_handlers.append(events)
    root_dispatcher.span_handlers.append(traces)
    yield exporter.get_finished_spans
    root_dispatcher.event_handlers.remove(events)
    root_dispatcher.span_handlers.remove(traces)


def answer(way: str):
    return streamed("Hel", "lo") if way in STREAMED else said("Hello")


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_is_one_span_with_model_usage_and_each_event_once(line, spans, way) -> None:
    await WAYS[way](line(answer(way), temperature=0.5).llm)
    (span,) = spans()
    assert span.name == f"Sunra.{way}"
    kind = "LLMChat" if "chat" in way else "LLMCompletion"
    counts = Counter(event.name for event in span.events)
    assert (counts[f"{kind}StartEvent"], counts[f"{kind}EndEvent"]) == (1, 1)
    assert set(counts) <= {f"{kind}{which}Event" for which in ("Start", "InProgress", "End")}
    start, end = span.events[0].attributes, span.events[-1].attributes
    assert start["model_dict.model"] == "openai/gpt-4o"
    assert start["model_dict.temperature"] == 0.5
    assert end["response.raw.usage.total_tokens"] == 5
    assert end["response.additional_kwargs.prompt_tokens"] == 3
    assert end["response.additional_kwargs.finish_reason"] == "stop"


@pytest.mark.parametrize("way", WAYS)
async def test_no_secret_is_exported(line, spans, way) -> None:
    llm = line(answer(way), default_headers={"x-secret": "header-secret"}).llm
    await WAYS[way](llm, extra_headers={"x-other": "header-secret"})
    exported = "".join(span.to_json() for span in spans())
    assert json.loads(exported)["name"] == f"Sunra.{way}"
    assert KEY not in exported
    assert "header-secret" not in exported


@pytest.mark.parametrize("way", STREAMED)
async def test_a_stream_that_breaks_off_is_a_span_that_failed(line, spans, way) -> None:
    with pytest.raises(StreamInterrupted):
        await WAYS[way](line(stream(stream_bytes("ended_without_finish_reason"))).llm)
    (span,) = spans()
    assert span.status.status_code is StatusCode.ERROR
    assert "finish_reason" in span.status.description
    assert [event.name for event in span.events].count("exception") == 1


def test_a_stream_that_is_left_is_a_span_that_ended(line, spans) -> None:
    responses = line(streamed("Hel", "lo")).llm.stream_chat(ASKED)
    next(responses)
    assert spans() == ()
    responses.close()
    assert [span.name for span in spans()] == ["Sunra.stream_chat"]


async def test_a_stream_that_is_never_read_is_a_span_that_ended(line, spans) -> None:
    llm = line(streamed("Hello")).llm
    unread = llm.stream_chat(ASKED), await llm.astream_chat(ASKED)
    del unread
    assert len(spans()) == 2


def test_what_follows_a_stream_is_no_child_of_it(line, spans) -> None:
    llm = line(streamed("Hello"), said("Hello")).llm
    left_open = llm.stream_chat(ASKED)
    next(left_open)
    llm.chat(ASKED)
    (chat,) = spans()
    assert chat.parent is None
    left_open.close()


class Song(BaseModel):
    """A song."""

    title: str


async def test_streamed_objects_are_told_within_their_span(line, spans) -> None:
    llm = line(streamed('{"tit', 'le": "a"}')).llm
    prompt = PromptTemplate("A song.")
    list(llm.stream_structured_predict(Song, prompt))
    _ = [one async for one in await llm.astream_structured_predict(Song, prompt)]
    named = {span.name: span for span in spans()}
    for a in ("", "a"):
        predicted = named[f"Sunra.{a}stream_structured_predict"]
        counts = Counter(event.name for event in predicted.events)
        assert counts["LLMStructuredPredictStartEvent"] == 1
        assert counts["LLMStructuredPredictEndEvent"] == 1
        assert named[f"Sunra.{a}stream_chat"].parent.span_id == predicted.context.span_id


async def test_a_conversation_with_thinking_and_calls_can_be_exported(sandbox, llm, spans) -> None:
    response = llm.chat([ChatMessage("Hi")], reasoning={"effort": "low"})
    llm.chat([ChatMessage("Hi"), response.message, ChatMessage("And?")])
    assert len(spans()) == 2

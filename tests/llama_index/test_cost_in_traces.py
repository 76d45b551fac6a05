"""The billed cost on OpenTelemetry spans, in every way to call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llama_index.core.instrumentation import root_dispatcher
from llama_index.core.prompts import PromptTemplate
from llama_index.observability.otel.base import (
    OTelCompatibleEventHandler,
    OTelCompatibleSpanHandler,
)
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from tests.costs import COST, USAGE, of_responses, said, streamed
from tests.llama_index.ways import ASKED, STREAMED, WAYS
from tests.recorded_transport import Answer

# Seen in openinference-instrumentation-llama-index 4.6.1.
pytestmark = pytest.mark.filterwarnings("ignore:The `json` method is deprecated:DeprecationWarning")

ON_SPANS = {"llm.cost.total": COST, "gen_ai.usage.cost": COST}


class Song(BaseModel):
    """A song."""

    title: str


def answer(way: str, **given: Any) -> Answer:
    return streamed(**given) if way in STREAMED else said(**given)


@pytest.fixture(scope="module")
def provider() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


@pytest.fixture(params=["llama-index-observability-otel", "openinference"])
def exporter(request, provider) -> Iterator[InMemorySpanExporter]:
    tracer_provider, exporter = provider
    exporter.clear()
    before = list(root_dispatcher.event_handlers), list(root_dispatcher.span_handlers)
    if request.param == "openinference":
        LlamaIndexInstrumentor().instrument(tracer_provider=tracer_provider)
        yield exporter
        LlamaIndexInstrumentor().uninstrument()
    else:
        spans = OTelCompatibleSpanHandler(tracer=tracer_provider.get_tracer("made-up"))
        root_dispatcher.add_span_handler(spans)
        root_dispatcher.add_event_handler(OTelCompatibleEventHandler(span_handler=spans))
        yield exporter
        root_dispatcher.event_handlers, root_dispatcher.span_handlers = before


def attributes_by_name(exporter: InMemorySpanExporter) -> dict[str, dict[str, Any]]:
    return {span.name: dict(span.attributes or {}) for span in exporter.get_finished_spans()}


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("way", WAYS)
async def test_the_span_of_a_call_has_the_cost(line, provider, exporter, way, api) -> None:
    is_responses = api == "responses"
    told = of_responses(is_stream=way in STREAMED) if is_responses else answer(way)
    with provider[0].get_tracer("made-up").start_as_current_span("the user's own"):
        await WAYS[way](line(told, api=api).llm)
    spans = attributes_by_name(exporter)
    assert spans[f"Sunra.{way}"].items() >= ON_SPANS.items()
    assert [name for name in spans if "llm.cost.total" in spans[name]] == [f"Sunra.{way}"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_whose_cost_is_unknown_has_none(line, exporter, way) -> None:
    unpriced = {name: value for name, value in USAGE.items() if name != "cost"}
    await WAYS[way](line(answer(way, usage=unpriced)).llm)
    assert "llm.cost.total" not in attributes_by_name(exporter)[f"Sunra.{way}"]


def test_a_call_within_others_has_the_cost_and_they_have_none(line, exporter) -> None:
    line(said('{"title": "a"}')).llm.structured_predict(Song, PromptTemplate("A song."))
    spans = attributes_by_name(exporter)
    assert {name for name in spans if "llm.cost.total" in spans[name]} == {"Sunra.chat"}
    assert "Sunra.structured_predict" in spans


def test_a_stream_that_is_read_to_its_last_response_has_the_cost(line, exporter) -> None:
    responses = line(streamed("Hel", "lo")).llm.stream_chat(ASKED)
    for response in responses:
        if response.additional_kwargs.get("cost"):
            break
    responses.close()
    assert attributes_by_name(exporter)["Sunra.stream_chat"].items() >= ON_SPANS.items()


@pytest.mark.parametrize("exporter", ["llama-index-observability-otel"], indirect=True)
@pytest.mark.parametrize("way", WAYS)
async def test_events_of_spans_have_the_cost_too(line, exporter, way) -> None:
    await WAYS[way](line(answer(way)).llm)
    [span] = exporter.get_finished_spans()
    [ended] = [event.attributes for event in span.events if event.name.endswith("EndEvent")]
    assert ended["response.raw.usage.cost"] == COST
    assert ended["response.additional_kwargs.cost"] == COST

"""The billed cost, where LangSmith, OpenInference and Langfuse read it, in every way to call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock
from uuid import uuid4

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, HumanMessage, trim_messages
from langchain_core.messages.ai import add_ai_message_chunks, add_usage, subtract_usage
from langchain_core.tracers import LangChainTracer
from langfuse import Langfuse
from langfuse.langchain import CallbackHandler
from langsmith import Client
from langsmith.run_helpers import tracing_context
from langsmith.schemas import UsageMetadata
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sunra_integrations.langchain import ChatSunra
from tests.costs import COST, USAGE, of_responses, said, streamed
from tests.langchain.ways import STREAMED, WAYS, WHOLE
from tests.recorded_transport import Answer, Recorded

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

COUNTS = {"input_tokens": 30, "output_tokens": 20, "total_tokens": 50}
ON_SPANS = {"llm.cost.total": COST, "gen_ai.usage.cost": COST}


def chat(*answers: Answer, **given: Any) -> ChatSunra:
    transport = Recorded(*answers)
    return ChatSunra(
        model="openai/gpt-4o",
        api_key="sk-made-up-0123456789",
        max_retries=0,
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
        **given,
    )


def answer(way: str, **given: Any) -> Answer:
    return streamed(**given) if way in STREAMED else said(**given)


def chat_on(api: str, way: str) -> ChatSunra:
    is_responses = api == "responses"
    told = of_responses(is_stream=way in STREAMED) if is_responses else answer(way)
    return chat(told, api=api)


APIS = pytest.mark.parametrize("api", ["chat", "responses"])


# ── LangSmith ────────────────────────────────────────────────────────────────

Runs = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def langsmith() -> Iterator[tuple[Client, Runs]]:
    """A client that sends nothing, and the model runs it would have sent, as JSON."""
    session = MagicMock()
    client = Client(
        api_key="made-up", api_url="http://127.0.0.1", session=session, auto_batch_tracing=False
    )

    def model_runs() -> list[dict[str, Any]]:
        sent = [call for call in session.request.call_args_list if call.args[0] == "PATCH"]
        bodies = [json.loads(call.kwargs["data"]) for call in sent]
        return [body for body in bodies if "generations" in (body["outputs"] or {})]

    yield client, model_runs
    client.cleanup()


@APIS
@pytest.mark.parametrize("way", WAYS)
async def test_a_langsmith_run_has_the_cost_in_the_shape_of_its_schema(langsmith, way, api) -> None:
    client, model_runs = langsmith
    await WAYS[way](chat_on(api, way), {"callbacks": [LangChainTracer(client=client)]})
    [run] = model_runs()
    usage = run["outputs"]["usage_metadata"]
    assert usage == {
        **COUNTS,
        "input_token_details": {"cache_read": 10},
        "output_token_details": {"reasoning": 5},
        "total_cost": COST,
    }
    assert usage.keys() <= UsageMetadata.__annotations__.keys()
    assert run["extra"]["metadata"]["usage_metadata"].items() >= COUNTS.items()


@pytest.mark.parametrize("way", ["invoke", "stream", "astream", "events"])
async def test_so_it_has_with_the_tracer_of_the_environment(langsmith, way) -> None:
    client, model_runs = langsmith
    with tracing_context(enabled=True, client=client, project_name="made-up"):
        await WAYS[way](chat(answer(way)), None)
    [run] = model_runs()
    assert run["outputs"]["usage_metadata"]["total_cost"] == COST


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_so_it_has_with_a_tracer_of_the_model(langsmith, way) -> None:
    client, model_runs = langsmith
    await WAYS[way](chat(answer(way), callbacks=[LangChainTracer(client=client)]), None)
    [run] = model_runs()
    assert run["outputs"]["usage_metadata"]["total_cost"] == COST


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_tracer_of_the_model_reports_one_run_in_a_context_with_metadata(
    langsmith, way
) -> None:
    client, model_runs = langsmith
    model = chat(answer(way), callbacks=[LangChainTracer(client=client)])
    with tracing_context(metadata={"user": "Ada"}):
        await WAYS[way](model, None)
    [run] = model_runs()
    assert run["outputs"]["usage_metadata"]["total_cost"] == COST
    assert run["extra"]["metadata"]["user"] == "Ada"
    tokens = [event for event in run["events"] if event["name"] == "new_token"]
    assert len(tokens) == 1  # only the first is kept


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_a_run_whose_cost_is_unknown_has_none(langsmith, way) -> None:
    client, model_runs = langsmith
    unpriced = {name: value for name, value in USAGE.items() if name != "cost"}
    model = chat(answer(way, usage=unpriced))
    await WAYS[way](model, {"callbacks": [LangChainTracer(client=client)]})
    [run] = model_runs()
    assert "usage_metadata" not in run["outputs"]
    assert "total_cost" not in run["extra"]["metadata"]["usage_metadata"]


def test_all_choices_of_a_reply_have_one_cost(langsmith) -> None:
    client, model_runs = langsmith
    chat(said(choices=3), n=3).invoke("Hi", {"callbacks": [LangChainTracer(client=client)]})
    [run] = model_runs()
    assert run["outputs"]["usage_metadata"]["total_cost"] == COST
    assert run["extra"]["metadata"]["usage_metadata"].items() >= COUNTS.items()


# ── OpenInference ────────────────────────────────────────────────────────────


@pytest.fixture
def openinference() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    LangChainInstrumentor().instrument(tracer_provider=provider)
    yield exporter
    LangChainInstrumentor().uninstrument()
    provider.shutdown()


def model_spans(exporter: InMemorySpanExporter) -> list[dict[str, Any]]:
    spans = [dict(span.attributes or {}) for span in exporter.get_finished_spans()]
    return [one for one in spans if one.get("openinference.span.kind") == "LLM"]


@APIS
@pytest.mark.parametrize("way", WAYS)
async def test_an_openinference_span_has_the_cost(openinference, way, api) -> None:
    await WAYS[way](chat_on(api, way), None)
    [attributes] = model_spans(openinference)
    assert attributes.items() >= ON_SPANS.items()
    assert attributes["llm.token_count.prompt"] == 30
    others = [span for span in openinference.get_finished_spans() if span.name != "ChatSunra"]
    assert not [span for span in others if "llm.cost.total" in (span.attributes or {})]


# ── Langfuse ─────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def langfuse_project() -> Iterator[tuple[str, InMemorySpanExporter]]:
    """The key of a project and its spans. Langfuse keeps one client per key, even if shut down."""
    key, exporter = f"pk-lf-{uuid4()}", InMemorySpanExporter()
    client = Langfuse(
        public_key=key,
        secret_key="sk-lf-made-up",
        base_url="http://127.0.0.1:9",
        tracer_provider=TracerProvider(),
        span_exporter=exporter,
    )
    yield key, exporter
    client.shutdown()


@pytest.fixture
def langfuse(langfuse_project) -> Iterator[tuple[CallbackHandler, Runs]]:
    key, exporter = langfuse_project
    exporter.clear()
    handler = CallbackHandler(public_key=key)

    def generations() -> list[dict[str, Any]]:
        handler._langfuse_client.flush()
        spans = [dict(span.attributes or {}) for span in exporter.get_finished_spans()]
        return [one for one in spans if one["langfuse.observation.type"] == "generation"]

    return handler, generations


@APIS
@pytest.mark.parametrize("way", WAYS)
async def test_a_langfuse_generation_has_the_cost(langfuse, way, api) -> None:
    handler, generations = langfuse
    await WAYS[way](chat_on(api, way), {"callbacks": [handler]})
    [attributes] = generations()
    assert json.loads(attributes["langfuse.observation.cost_details"]) == {"total": COST}
    assert json.loads(attributes["langfuse.observation.usage_details"])["total"] == 50


# ── cached replies ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", WHOLE)
async def test_a_cached_reply_costs_nothing(langsmith, openinference, langfuse, way) -> None:
    client, model_runs = langsmith
    handler, generations = langfuse
    model = chat(said(), cache=InMemoryCache())
    await WAYS[way](model, None)
    await WAYS[way](model, {"callbacks": [LangChainTracer(client=client), handler]})
    [run] = model_runs()
    assert run["outputs"]["usage_metadata"]["total_cost"] == 0
    billed, cached = model_spans(openinference)
    assert (billed["llm.cost.total"], cached["llm.cost.total"]) == (COST, 0)
    [attributes] = generations()
    assert json.loads(attributes["langfuse.observation.cost_details"]) == {"total": 0}


# ── langchain-core's sums ────────────────────────────────────────────────────


class Ended(BaseCallbackHandler):
    """The messages that callbacks see at the end of a run."""

    def __init__(self) -> None:
        self.messages: list[AIMessage] = []

    def on_llm_end(self, response: Any, **known: Any) -> None:
        self.messages.append(response.generations[0][0].message)


@pytest.mark.parametrize("way", WAYS)
async def test_usage_of_messages_can_be_added_and_subtracted(way) -> None:
    ended, counted = Ended(), UsageMetadataCallbackHandler()
    model = chat(answer(way))
    messages = [await WAYS[way](model, {"callbacks": [ended, counted]}) for _ in range(3)]
    for message in (*messages, *ended.messages):
        assert message.response_metadata["cost"] == COST
        twice = add_usage(message.usage_metadata, messages[0].usage_metadata)
        assert twice["total_tokens"] == 100
        once = subtract_usage(
            twice, load(dumpd(message), allowed_objects="messages").usage_metadata
        )
        assert once["total_tokens"] == 50
    [total] = counted.usage_metadata.values()
    assert total["total_tokens"] == 150
    trimmed = trim_messages([HumanMessage("Hi"), *messages], max_tokens=2, token_counter=len)
    assert trimmed[-1].usage_metadata == messages[-1].usage_metadata


def test_usage_of_chunks_is_added_by_every_way_to_merge_them() -> None:
    chunks = list(chat(streamed()).stream("Hi"))
    merged = add_ai_message_chunks(chunks[0], *chunks[1:])
    assert merged.usage_metadata is not None
    assert merged.response_metadata["cost"] == COST
    total = chunks[0] + chunks[1] + chunks[2]
    assert total.usage_metadata == merged.usage_metadata
    both = add_usage(merged.usage_metadata, total.usage_metadata)
    assert both["total_tokens"] == 100


# ── other tracers ────────────────────────────────────────────────────────────


def test_an_error_of_a_tracer_fails_no_call(caplog) -> None:
    class Broken(BaseCallbackHandler):
        def get_span(self, run_id: Any) -> Any:
            raise RuntimeError("broken")

    model = chat(said(), callbacks=[Broken()])
    assert model.invoke("Hi").content == "Hello"
    assert "Cannot report the cost to Broken" in caplog.text


def test_a_stream_without_tracers_is_not_traced() -> None:
    chunks = list(chat(streamed()).stream("Hi"))
    assert chunks[-1].usage_metadata is not None

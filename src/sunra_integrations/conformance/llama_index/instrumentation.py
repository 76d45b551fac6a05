"""Callbacks, events and spans: each call is reported once, with its usage and without secrets."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from inspect import BoundArguments
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.callbacks.schema import CBEventType
from llama_index.core.prompts import PromptTemplate
from llama_index_instrumentation import root_dispatcher
from llama_index_instrumentation.base.event import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import SimpleSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import BaseModel, Field

from sunra_integrations.conformance.llama_index.suite import (
    HEADER,
    KEY,
    METHODS,
    PREDICT_METHODS,
    LLMSuite,
    messages,
)
from sunra_integrations.sandbox import Http, Sandbox


class Rain(BaseModel):
    """How much it rains."""

    amount: int


class ObservationTests(LLMSuite):
    """Callbacks, events and spans, with each of the eight methods."""

    @pytest.mark.parametrize("method", METHODS)
    def test_each_call_is_reported_once(self, endpoint: Sandbox, method: str) -> None:
        callbacks = Callbacks()
        llm = self.make_llm(endpoint, callback_manager=CallbackManager([callbacks]))
        with recording() as (events, spans):
            METHODS[method](llm)
        kind = "Chat" if "chat" in method else "Completion"
        other = "Completion" if "chat" in method else "Chat"
        assert events.count(f"LLM{kind}StartEvent") == events.count(f"LLM{kind}EndEvent") == 1
        assert events.count(f"LLM{other}StartEvent") == events.count(f"LLM{other}EndEvent") == 0
        assert [when for when, _ in callbacks.seen] == ["start", "end"]
        assert spans.names == [f"{type(llm).__name__}.{method}"]

    @pytest.mark.parametrize("method", METHODS)
    def test_each_span_has_the_llm_and_ends(self, endpoint: Sandbox, method: str) -> None:
        llm = self.make_llm(endpoint)
        with recording() as (_, spans):
            METHODS[method](llm)
        assert spans.instances
        assert all(instance is llm for instance in spans.instances)
        assert set(spans.ended) == {"exit"}
        assert len(spans.ended) == len(spans.seen)

    @pytest.mark.parametrize("method", PREDICT_METHODS)
    def test_a_prediction_is_one_span(self, endpoint: Sandbox, method: str) -> None:
        llm = self.make_llm(endpoint)
        with recording() as (_, spans):
            PREDICT_METHODS[method](llm, Rain, PromptTemplate("Rain of 7 mm."))
        own = [name for name in spans.names if name.endswith(f".{method}")]
        assert own == [f"{type(llm).__name__}.{method}"]
        assert all(
            instance is llm
            for name, instance in zip(spans.names, spans.instances, strict=True)
            if name in own
        )

    @pytest.mark.parametrize("method", METHODS)
    def test_events_contain_model_and_temperature(self, endpoint: Sandbox, method: str) -> None:
        llm = self.make_llm(endpoint, model="sandbox/echo", temperature=0.5)
        with recording() as (events, _):
            METHODS[method](llm)
        (start,) = (one for one in events.seen if "StartEvent" in one.class_name())
        assert start.model_dict["model"] == "sandbox/echo"
        assert start.model_dict["temperature"] == 0.5

    @pytest.mark.parametrize("method", METHODS)
    def test_observers_see_no_secret(self, endpoint: Sandbox, method: str) -> None:
        callbacks = Callbacks()
        fields: dict[str, Any] = {"api_key": KEY, "callback_manager": CallbackManager([callbacks])}
        call: dict[str, Any] = {}
        if self.takes_extra_headers:
            fields["default_headers"] = {"x-one": HEADER}
            call["extra_headers"] = {"x-two": HEADER}
        with recording() as (events, spans):
            METHODS[method](self.make_llm(endpoint, **fields), **call)
        shown = f"{events.seen} {spans.seen} {callbacks.seen}"
        shown += "".join(event.model_dump_json() for event in events.seen)
        assert events.seen
        assert KEY not in shown
        assert HEADER not in shown

    @pytest.mark.parametrize("method", METHODS)
    def test_the_token_counter_reports_the_servers_usage(
        self, endpoint: Sandbox, method: str
    ) -> None:
        counter = TokenCountingHandler(tokenizer=str.split)
        llm = self.make_llm(endpoint, callback_manager=CallbackManager([counter]))
        last = METHODS[method](llm)[-1]
        counted = (counter.prompt_llm_token_count, counter.completion_llm_token_count)
        reported = last.additional_kwargs
        assert counted == (reported["prompt_tokens"], reported["completion_tokens"])

    @pytest.mark.parametrize("method", METHODS)
    def test_an_error_ends_the_span_and_the_callback(self, endpoint: Sandbox, method: str) -> None:
        callbacks = Callbacks()
        endpoint.next(Http(400, {"error": "No."}))
        llm = self.make_llm(endpoint, callback_manager=CallbackManager([callbacks]))
        with recording() as (_, spans), pytest.raises(self.failure):
            METHODS[method](llm)
        assert [when for when, _ in callbacks.seen] == ["start", "end"]
        assert "drop" in spans.ended
        assert len(spans.ended) == len(spans.seen)

    @pytest.mark.parametrize("method", PREDICT_METHODS)
    def test_structured_prediction_is_reported_once(self, endpoint: Sandbox, method: str) -> None:
        llm = self.make_llm(endpoint)
        with recording() as (events, _):
            rain = PREDICT_METHODS[method](llm, Rain, PromptTemplate("Rain of 7 mm."))[-1]
        assert events.count("LLMStructuredPredictStartEvent") == 1
        assert events.count("LLMStructuredPredictEndEvent") == 1
        (end,) = (one for one in events.seen if one.class_name() == "LLMStructuredPredictEndEvent")
        assert end.output == rain

    def test_the_payload_contains_no_secret(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint, api_key=KEY, temperature=0.5)
        llm.chat(messages())
        payload = llm.to_payload()
        assert KEY not in str(payload)
        assert {"model", "temperature"} <= payload.keys()


# ── recorders ────────────────────────────────────────────────────────────────


class Events(BaseEventHandler):
    """Records every event."""

    seen: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        """Return the name of the handler."""
        return "ConformanceEvents"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        """Record an event."""
        self.seen.append(event)

    def count(self, name: str) -> int:
        """Return the number of events of this class."""
        return sum(event.class_name() == name for event in self.seen)


class Spans(BaseSpanHandler[SimpleSpan]):
    """Records the arguments and the instance of every span, and how it ended."""

    seen: list[str] = Field(default_factory=list)
    instances: list[Any] = Field(default_factory=list)
    ended: list[str] = Field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the spans, in the order in which they started."""
        return [shown.partition("-")[0] for shown in self.seen]

    @classmethod
    def class_name(cls) -> str:
        """Return the name of the handler."""
        return "ConformanceSpans"

    def new_span(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: Any | None = None,
        parent_span_id: str | None = None,
        tags: dict[str, Any] | None = None,  # noqa: ARG002 - the framework's signature
        **_: Any,
    ) -> SimpleSpan:
        """Record the name, arguments and instance of a span."""
        self.seen.append(f"{id_} {bound_args} {instance!r}")
        self.instances.append(instance)
        return SimpleSpan(id_=id_, parent_id=parent_span_id)

    def prepare_to_exit_span(
        self,
        id_: str,
        bound_args: BoundArguments,  # noqa: ARG002 - the framework's signature
        instance: Any | None = None,  # noqa: ARG002 - the framework's signature
        result: Any | None = None,  # noqa: ARG002 - the framework's signature
        **_: Any,
    ) -> SimpleSpan | None:
        """Record that a span ended."""
        self.ended.append("exit")
        return self.open_spans.get(id_)

    def prepare_to_drop_span(
        self,
        id_: str,
        bound_args: BoundArguments,  # noqa: ARG002 - the framework's signature
        instance: Any | None = None,  # noqa: ARG002 - the framework's signature
        err: BaseException | None = None,  # noqa: ARG002 - the framework's signature
        **_: Any,
    ) -> SimpleSpan | None:
        """Record that a span failed."""
        self.ended.append("drop")
        return self.open_spans.get(id_)


class Callbacks(BaseCallbackHandler):
    """Records the callbacks of LLM calls."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.seen: list[tuple[str, Any]] = []

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",  # noqa: ARG002 - the framework's signature
        **_: Any,
    ) -> str:
        """Record the start of a call."""
        if event_type is CBEventType.LLM:
            self.seen.append(("start", payload))
        return event_id

    def on_event_end(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",  # noqa: ARG002 - the framework's signature
        **_: Any,
    ) -> None:
        """Record the end of a call."""
        if event_type is CBEventType.LLM:
            self.seen.append(("end", payload))

    def start_trace(self, trace_id: str | None = None) -> None:
        """Ignore traces."""

    def end_trace(
        self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None
    ) -> None:
        """Ignore traces."""


@contextmanager
def recording() -> Generator[tuple[Events, Spans], None, None]:
    """Record the events and spans of the block."""
    events, spans = Events(), Spans()
    root_dispatcher.add_event_handler(events)
    root_dispatcher.add_span_handler(spans)
    try:
        yield events, spans
    finally:
        root_dispatcher.event_handlers.remove(events)
        root_dispatcher.span_handlers.remove(spans)

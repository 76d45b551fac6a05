"""Handlers that keep what LlamaIndex shows to callbacks, events and spans."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from inspect import BoundArguments
from typing import Any

from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.callbacks.schema import CBEventType
from llama_index_instrumentation import root_dispatcher
from llama_index_instrumentation.base.event import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.span import SimpleSpan
from llama_index_instrumentation.span_handlers import BaseSpanHandler
from pydantic import Field


class Events(BaseEventHandler):
    """Keeps every event."""

    seen: list[Any] = Field(default_factory=list)

    @classmethod
    def class_name(cls) -> str:
        """The handler's name."""
        return "ConformanceEvents"

    def handle(self, event: BaseEvent, **_: Any) -> None:
        """Keeps an event."""
        self.seen.append(event)

    def count(self, name: str) -> int:
        """How many events of this class came."""
        return sum(event.class_name() == name for event in self.seen)


class Spans(BaseSpanHandler[SimpleSpan]):
    """Keeps what every span was shown when it began, its object, and how it ended."""

    seen: list[str] = Field(default_factory=list)
    instances: list[Any] = Field(default_factory=list)
    ended: list[str] = Field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of the spans, in the order in which they began."""
        return [shown.partition("-")[0] for shown in self.seen]

    @classmethod
    def class_name(cls) -> str:
        """The handler's name."""
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
        """Keeps a span's name, arguments and object."""
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
        """The span that ends."""
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
        """The span that fails."""
        self.ended.append("drop")
        return self.open_spans.get(id_)


class Callbacks(BaseCallbackHandler):
    """Keeps what callbacks are shown of LLM calls."""

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
        """Keeps the beginning of a call."""
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
        """Keeps the end of a call."""
        if event_type is CBEventType.LLM:
            self.seen.append(("end", payload))

    def start_trace(self, trace_id: str | None = None) -> None:
        """Nothing is kept of traces."""

    def end_trace(
        self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None
    ) -> None:
        """Nothing is kept of traces."""


@contextmanager
def watching() -> Generator[tuple[Events, Spans], None, None]:
    """All events and spans of what happens meanwhile."""
    events, spans = Events(), Spans()
    root_dispatcher.add_event_handler(events)
    root_dispatcher.add_span_handler(spans)
    try:
        yield events, spans
    finally:
        root_dispatcher.event_handlers.remove(events)
        root_dispatcher.span_handlers.remove(spans)

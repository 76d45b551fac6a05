"""An event handler that collects tokens and costs by model."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
    LLMCompletionStartEvent,
)
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.base import BaseEvent
from llama_index_instrumentation.event_handlers import BaseEventHandler
from llama_index_instrumentation.events.span import SpanDropEvent
from pydantic import BaseModel, PrivateAttr
from typing_extensions import Self

from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.json_text import EMPTY
from sunra_integrations.protocol.reply import Usage, parse_usage
from sunra_integrations.usage import ModelUsage, UsageTable

__all__ = ["UsageHandler"]

_Response = ChatResponse | CompletionResponse
_STRUCTURED = "structured_llm"
"""The class name of LlamaIndex's wrapper, whose calls are those of another LLM."""


class UsageHandler(BaseEventHandler):
    """Collects the calls, tokens and cost of each LLM, of any vendor.

    ::

        with UsageHandler() as usage:
            index.as_query_engine(llm=llm).query("What is the capital of Norway?")
        print(usage.table)

    In `with`, it counts the calls that are made in the block, including those of engines and
    agents. To count all calls of the process, add it to the root dispatcher:
    `llama_index_instrumentation.get_dispatcher().add_event_handler(usage)`. It is safe in several
    threads.

    A call counts when it ends, under the model that was requested. All choices of one reply (`n`)
    are one call. A stream that is closed early or breaks off counts with what was reported until
    then, usually nothing: its cost is unknown. Other failed calls do not count.

    The cost is the one that the server reports. Calls of models that report none are in
    `calls_without_cost` of the table's rows.
    """

    _lock: Any = PrivateAttr(default_factory=threading.Lock)
    _running: dict[str | None, _Call] = PrivateAttr(default_factory=dict)
    _usages: dict[str, ModelUsage] = PrivateAttr(default_factory=dict)
    _open_blocks: int = PrivateAttr(default=0)

    @classmethod
    def class_name(cls) -> str:
        """The name of the class, as LlamaIndex wants it."""
        return "SunraUsageHandler"

    @property
    def table(self) -> UsageTable:
        """The usage so far, by model."""
        with self._lock:
            return UsageTable(self._usages.items())

    def __enter__(self) -> Self:
        with self._lock:
            self._open_blocks += 1
            if self._open_blocks == 1:
                get_dispatcher().add_event_handler(self)
        _in_blocks.set((*_in_blocks.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        handlers = list(_in_blocks.get())
        _in_blocks.set(tuple(_without_last(handlers, self)))
        with self._lock:
            self._open_blocks -= 1
            if not self._open_blocks:
                root = get_dispatcher()
                root.event_handlers = _without_last(root.event_handlers, self)

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:  # noqa: ARG002 - LlamaIndex's signature
        """Handle one of LlamaIndex's events."""
        match event:
            case LLMChatStartEvent() | LLMCompletionStartEvent():
                self._start(event)
            case LLMChatInProgressEvent() | LLMCompletionInProgressEvent():
                self._receive(event.span_id, event.response)
            case LLMChatEndEvent() | LLMCompletionEndEvent():
                self._receive(event.span_id, event.response)
                self._end(event.span_id, event.response)
            case ExceptionEvent():
                self._fail(event.span_id, event.exception)
            case SpanDropEvent():
                self._end(event.span_id)
            case _:
                pass

    def _start(self, event: LLMChatStartEvent | LLMCompletionStartEvent) -> None:
        if self._open_blocks and not any(one is self for one in _in_blocks.get()):
            return
        if event.model_dict.get("class_name") == _STRUCTURED:
            return
        names = (
            event.additional_kwargs.get("model"),  # of the call
            *map(event.model_dict.get, ("model", "model_name", "class_name")),
        )
        model = next((name for name in names if isinstance(name, str) and name), "unknown")
        span_id, outer_id = _current.get()
        if span_id != event.span_id:  # equal if another handler was first
            outer_id = span_id
            _current.set((event.span_id, outer_id))
        with self._lock:
            self._running[event.span_id] = _Call(model, self._running.get(outer_id))

    def _receive(self, span_id: str | None, response: _Response | None) -> None:
        call = self._running.get(span_id)
        if call is not None and response is not None:
            call.has_begun = True
            call.usage = _usage(response) or call.usage

    def _fail(self, span_id: str | None, error: BaseException) -> None:
        call = self._running.get(span_id)
        if call is not None and isinstance(error, SunraError) and error.partial is not None:
            call.has_begun = True
            call.usage = error.partial.usage or call.usage
        self._end(span_id)

    def _end(self, span_id: str | None, response: _Response | None = None) -> None:
        with self._lock:
            call = self._running.pop(span_id, None)
            if call is not None and call.has_begun and not call.is_counted(response):
                known = self._usages.get(call.model, ModelUsage())
                self._usages[call.model] = known + ModelUsage.of_call(call.usage)


class _Call:
    """A call that has not ended, and the one that it may be a part of."""

    def __init__(self, model: str, outer: _Call | None) -> None:
        self.model = model
        self.has_begun = False
        self.usage: Usage | None = None
        self.outer = outer
        self.inner_raw: object = None

    def is_counted(self, response: _Response | None) -> bool:
        """Whether an inner call has the same response: `complete` of some LLMs calls `chat`."""
        if response is None or response.raw is None:
            return False
        if self.outer is not None:
            self.outer.inner_raw = response.raw
        return self.inner_raw is response.raw


def _usage(response: _Response) -> Usage | None:
    """The usage object of the server's response, in the form of the chat completions API."""
    raw = response.raw
    usage = raw.get("usage") if isinstance(raw, Mapping) else getattr(raw, "usage", None)
    if isinstance(usage, BaseModel):
        usage = usage.model_dump()
    return parse_usage(usage) or parse_usage(dict(response.additional_kwargs or EMPTY))


def _without_last(handlers: list[Any], handler: UsageHandler) -> list[Any]:
    """The handlers without the last that is this one."""
    for position in range(len(handlers) - 1, -1, -1):
        if handlers[position] is handler:
            return handlers[:position] + handlers[position + 1 :]
    return handlers


_current: ContextVar[tuple[str | None, str | None]] = ContextVar(
    "sunra_current_call", default=(None, None)
)
"""The spans of the latest call that began in a context, and of the one before."""
_in_blocks: ContextVar[tuple[UsageHandler, ...]] = ContextVar("sunra_usage_handlers", default=())

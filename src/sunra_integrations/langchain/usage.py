"""A callback that collects tokens and costs by model."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers.context import register_configure_hook
from typing_extensions import Self

from sunra_integrations.errors import SunraError
from sunra_integrations.langchain.tracing import first_message, message_cost
from sunra_integrations.protocol.json_text import EMPTY
from sunra_integrations.protocol.reply import Usage
from sunra_integrations.usage import ModelUsage, UsageTable

__all__ = ["UsageCallback"]


class UsageCallback(BaseCallbackHandler):
    """Collects the calls, tokens and cost of each chat model, of any vendor.

    ::

        with UsageCallback() as usage:
            agent.invoke({"messages": "What is the weather in Oslo?"})
        print(usage.table)

    In `with`, it counts the calls that are made in the block, including those of agents and graphs.
    Alternatively, pass it as a callback, such as `invoke(…, {"callbacks": [usage]})` or
    `ChatSunra(…, callbacks=[usage])`. Both forms can be used at the same time and in several
    threads: a call counts once for each object.

    A call counts when it ends, under the model that was requested. All choices of one reply (`n`)
    are one call. A stream that is closed early or breaks off counts with what was reported until
    then, usually nothing: its cost is unknown. Other failed calls do not count. A reply from
    LangChain's cache counts with the tokens of the original call and a cost of 0.

    The cost is the one that the server reports. Calls of models that report none are in
    `calls_without_cost` of the table's rows.
    """

    run_inline = True
    """Called before an async call returns, in the same thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[UUID, str] = {}
        self._usages: dict[str, ModelUsage] = {}

    @property
    def table(self) -> UsageTable:
        """The usage so far, by model."""
        with self._lock:
            return UsageTable(self._usages.items())

    def __enter__(self) -> Self:
        _in_block.set(_Block((*_current_block(), self)))
        return self

    def __exit__(self, *_: object) -> None:
        callbacks = list(_current_block())
        if self in callbacks:
            callbacks.remove(self)
        _in_block.set(_Block(tuple(callbacks)) if callbacks else None)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {dict(self.table)!r}>"

    # ── LangChain's events ───────────────────────────────────────────────────

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - LangChain's signature
        messages: list[list[BaseMessage]],  # noqa: ARG002 - LangChain's signature
        *,
        run_id: UUID,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Note the model of a call."""
        parameters = kwargs.get("invocation_params") or EMPTY
        names = ((metadata or EMPTY).get("ls_model_name"), parameters.get("model"))
        with self._lock:
            self._running[run_id] = next(filter(None, names), "")

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002
        """Count a call."""
        self._count(run_id, first_message(response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Count a stream that ended early."""
        received = first_message(kwargs.get("response"))
        partial = error.partial if isinstance(error, SunraError) else None
        if isinstance(received, AIMessageChunk) or partial is not None:
            usage = None if partial is None else partial.usage
            self._count(run_id, received, usage)
        else:
            with self._lock:
                self._running.pop(run_id, None)

    def _count(
        self, run_id: UUID, message: BaseMessage | None, reported: Usage | None = None
    ) -> None:
        usage = ModelUsage.of_call(reported or _usage(message))
        with self._lock:
            requested = self._running.pop(run_id, None)
            if requested is not None:  # None: counted already, or it began outside of the block
                model = requested or _model_name(message)
                self._usages[model] = self._usages.get(model, ModelUsage()) + usage


def _model_name(message: BaseMessage | None) -> str:
    name = None if message is None else message.response_metadata.get("model_name")
    return name if isinstance(name, str) and name else "unknown"


def _usage(message: BaseMessage | None) -> Usage | None:
    if not isinstance(message, AIMessage):
        return None
    counts = message.usage_metadata or EMPTY
    return Usage(
        prompt_tokens=counts.get("input_tokens"),
        completion_tokens=counts.get("output_tokens"),
        prompt_details={
            "cached_tokens": (counts.get("input_token_details") or EMPTY).get("cache_read")
        },
        completion_details={
            "reasoning_tokens": (counts.get("output_token_details") or EMPTY).get("reasoning")
        },
        cost=message_cost(message),
    )


# ── blocks ───────────────────────────────────────────────────────────────────


class _Block(BaseCallbackHandler):
    """The callbacks of all `with` blocks around a call, as one handler.

    LangChain takes a handler from a context variable. A nested block would replace the outer one.
    """

    run_inline = True

    def __init__(self, callbacks: tuple[UsageCallback, ...]) -> None:
        self.callbacks = callbacks

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            callback.on_chat_model_start(*args, **kwargs)

    def on_llm_end(self, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            callback.on_llm_end(*args, **kwargs)

    def on_llm_error(self, *args: Any, **kwargs: Any) -> None:
        for callback in self.callbacks:
            callback.on_llm_error(*args, **kwargs)


_in_block: ContextVar[_Block | None] = ContextVar("sunra_usage_callbacks", default=None)
register_configure_hook(_in_block, inheritable=True)


def _current_block() -> tuple[UsageCallback, ...]:
    block = _in_block.get()
    return () if block is None else block.callbacks

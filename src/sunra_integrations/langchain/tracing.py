"""The billed cost of a call, on the runs and spans of tracers that only read token counts.

LangSmith reads `usage_metadata["total_cost"]`. A message cannot have it there: langchain-core adds
up usage, and raises for floats (langchain-ai/langchain#36015, still so in 1.8.3). So the cost goes
to the run instead, which no one adds up. OpenInference 0.1.80 and Langfuse 5.0 read no cost; see
docs/upstream.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    BaseCallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables.config import ensure_config
from langsmith.utils import tracing_is_enabled

from sunra_integrations.langchain import response
from sunra_integrations.protocol.json_text import EMPTY
from sunra_integrations.protocol.reply import as_amount
from sunra_integrations.usage import COST_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.callbacks import AsyncCallbackManager, CallbackManager, Callbacks
    from langchain_core.outputs import ChatResult
    from langchain_core.runnables import RunnableConfig

    from sunra_integrations.protocol.reply import Usage

_RunManager = CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun
_LANGSMITH = ("langchain_core.tracers.langchain", "LangChainTracer")
_logger = logging.getLogger(__name__)


def report_result(run_manager: _RunManager | None, result: ChatResult) -> None:
    """Report the cost of a whole reply, which is 0 if it came from a cache."""
    if run_manager is None or not run_manager.handlers or not result.generations:
        return
    message = result.generations[0].message
    if isinstance(message, AIMessage):
        _report(run_manager.handlers, run_manager.run_id, message)


def report_events(run_manager: _RunManager | None, usage: Usage | None) -> None:
    """Report the cost of a reply that is streamed as events, before its last event."""
    if run_manager is not None and usage is not None:
        cost = {} if usage.cost is None else {"cost": usage.cost}
        message = AIMessage("", usage_metadata=response.usage(usage), response_metadata=cost)
        _report(run_manager.handlers, run_manager.run_id, message)


def traced_config(
    config: RunnableConfig | None,
    callbacks: Callbacks,
    manager: type[CallbackManager | AsyncCallbackManager],
) -> RunnableConfig:
    """The config of a stream, with a handler that reports the cost before the run ends.

    langchain-core does not tell `_stream` which run it belongs to, so a handler has to. It comes
    first, because the others end the run.

    Args:
        config: The user's config.
        callbacks: The model's callbacks.
        manager: The class that finds all handlers of the run by these.
    """
    config = ensure_config(config)
    # OpenInference adds its handler in the constructor of every manager.
    may_be_traced = config.get("callbacks") or callbacks or tracing_is_enabled()
    if not may_be_traced and not manager(handlers=[]).handlers:
        return config
    configured = manager.configure(config.get("callbacks"), callbacks)
    own = (callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks) or ()
    handlers = [_original(handler, own) for handler in configured.handlers]
    configured.handlers = [_CostReporter(tuple(handlers)), *handlers]
    return {**config, "callbacks": configured}


def _original(handler: Any, own: Sequence[Any]) -> Any:
    """The model's own tracer, if this is a copy of it; otherwise, the handler.

    Where a `tracing_context` has metadata, langchain-core 1.8.3 replaces each tracer by a copy,
    which has the same runs. It would add the original again beside the copy.
    """
    if not _is_instance(handler, *_LANGSMITH):
        return handler
    copied = (
        one for one in own if _is_instance(one, *_LANGSMITH) and one.run_map is handler.run_map
    )
    return next(copied, handler)


class _CostReporter(BaseCallbackHandler):
    """Reports the cost of a stream to the other handlers of its run."""

    run_inline = True

    def __init__(self, handlers: tuple[BaseCallbackHandler, ...]) -> None:
        self._handlers = handlers

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the method of the base class raises."""

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002
        """Report the cost of the whole stream."""
        message = first_message(response)
        if isinstance(message, AIMessage):
            _report(self._handlers, run_id, message)


def first_message(result: LLMResult | None) -> BaseMessage | None:
    """The message that has the usage of all choices."""
    if result is None or not result.generations or not result.generations[0]:
        return None
    generation = result.generations[0][0]
    return generation.message if isinstance(generation, ChatGeneration) else None


def message_cost(message: AIMessage) -> float | None:
    """The cost that a chat model of any vendor put on its message; None if it is unknown."""
    metadata = message.response_metadata
    token_usage = metadata.get("token_usage")
    places = (
        (message.usage_metadata or EMPTY).get("total_cost"),  # langchain-core's 0, if it was cached
        metadata.get("cost"),
        token_usage.get("cost") if isinstance(token_usage, dict) else None,
    )
    return next((cost for cost in map(as_amount, places) if cost is not None), None)


def _report(handlers: Iterable[BaseCallbackHandler], run_id: UUID, message: AIMessage) -> None:
    cost = message_cost(message)
    if cost is not None:
        for handler in handlers:
            _report_to(handler, run_id, message.usage_metadata or EMPTY, cost)


def _report_to(handler: Any, run_id: UUID, usage: Mapping[str, Any], cost: float) -> None:
    try:
        if _is_instance(handler, *_LANGSMITH):
            run = handler.run_map.get(str(run_id))
            if run is not None:
                usage = {**usage, "total_cost": cost}
                run.outputs = {**(run.outputs or {}), "usage_metadata": usage}
        elif _is_instance(handler, "langfuse.langchain", "CallbackHandler"):
            generations: dict[UUID, Any] = getattr(handler, "_runs", {})
            if run_id in generations:
                generations[run_id].update(cost_details={"total": cost})
        elif hasattr(handler, "get_span"):  # OpenInference's
            span = handler.get_span(run_id)
            if span is not None:
                span.set_attributes(dict.fromkeys(COST_ATTRIBUTES, cost))
    except Exception as error:  # noqa: BLE001 - a tracer's error must not fail the call
        _logger.warning("Cannot report the cost to %s: %r", type(handler).__name__, error)


def _is_instance(handler: Any, module: str, name: str) -> bool:
    """Whether the handler is of a class in a module, which is not imported for that."""
    cls = getattr(sys.modules.get(module), name, None)
    return isinstance(cls, type) and isinstance(handler, cls)

"""The tokens of a call, from the wire's counts to LangChain's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from typing_extensions import TypeIs

from sunra_integrations.protocol.json_text import Json, as_int
from sunra_integrations.protocol.reply import Usage

_PROMPT_DETAILS = {
    "cached_tokens": "cache_read",
    "cache_read_tokens": "cache_read",
    "cache_write_tokens": "cache_creation",
    "cache_creation_tokens": "cache_creation",
    "audio_tokens": "audio",
}
_COSTS = frozenset(("cost", "cost_details"))
_COMPLETION_DETAILS = {"reasoning_tokens": "reasoning", "audio_tokens": "audio"}


def usage(counted: Usage | None) -> UsageMetadata | None:
    """The tokens of a call as LangChain counts them: integers only, cost left out.

    Where the server counted something at all, what it did not count is 0. Details under names
    LangChain does not know are kept under their own.
    """
    if counted is None or {counted.prompt_tokens, counted.completion_tokens} == {None}:
        return None
    read, written = counted.prompt_tokens or 0, counted.completion_tokens or 0
    total = read + written if counted.total_tokens is None else counted.total_tokens
    made = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=total)
    prompt = _details(counted.prompt_details, _PROMPT_DETAILS)
    completion = _details(counted.completion_details, _COMPLETION_DETAILS)
    # Servers name more details than the typed dicts do, and all of them are kept.
    if prompt:
        made["input_token_details"] = InputTokenDetails(**prompt)  # type: ignore[typeddict-item]
    if completion:
        made["output_token_details"] = OutputTokenDetails(**completion)  # type: ignore[typeddict-item]
    return made


def added(usages: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The API's counts of several calls, summed by name; the last one of other values is kept."""
    total: dict[str, Any] = {}
    for one in usages:
        for name, value in one.items():
            known = total.get(name)
            if isinstance(value, Mapping):
                total[name] = added([known, value] if isinstance(known, Mapping) else [value])
            elif _is_number(value) and _is_number(known):
                total[name] = known + value
            elif value is not None:
                total[name] = value
    return total


def without_cost(answer: AIMessage) -> AIMessage:
    """A message from a cache: the token counts are the original call's, the cost is 0."""
    metadata = answer.response_metadata
    free: dict[str, Any] = {"cached": True}
    if "cost" in metadata:
        free["cost"] = 0
    for field in ("token_usage", "extra"):
        counted = metadata.get(field)
        if isinstance(counted, Mapping) and _COSTS & counted.keys():
            rest = {name: value for name, value in counted.items() if name not in _COSTS}
            free[field] = {**rest, "cost": 0}
    return answer.model_copy(update={"response_metadata": {**metadata, **free}})


def _is_number(value: object) -> TypeIs[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _details(given: Json, names: Mapping[str, str]) -> dict[str, int]:
    """Token details under LangChain's names; what is no whole number is no count."""
    made: dict[str, int] = {}
    for name, value in given.items():
        number = as_int(value)
        if number is not None:
            made[names.get(name, name)] = number
    return made

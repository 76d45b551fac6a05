"""Keeps the values of per-call headers out of callbacks, events and spans.

LlamaIndex hands the keyword arguments of a call, as they are, to every callback, event and span
handler. Headers may carry secrets, so they travel as `HiddenHeaders`, which shows their names only.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from pydantic import RootModel, SecretStr, ValidationError

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.arguments import check_call

EXTRA_HEADERS = "extra_headers"

_Method = TypeVar("_Method", bound=Callable[..., Any])


class HiddenHeaders(RootModel[dict[str, SecretStr]]):
    """Headers of one call; their values appear in no repr and no serialised event."""

    def shown(self) -> dict[str, str]:
        """The headers as they are to be sent."""
        return {name: value.get_secret_value() for name, value in self.root.items()}


def hides_headers(method: _Method) -> _Method:
    """Wraps a public method so that all that observes it sees `HiddenHeaders`.

    It stands outside the framework's own decorators, which record what a method was called with,
    and calls them as a method: only then does a span get the instance and its class's name.
    """
    _, *names = inspect.signature(method).parameters
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def hiding_async(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
            args, kwargs = _hidden(names, args, kwargs)
            return await method.__get__(llm)(*args, **kwargs)

        return cast("_Method", hiding_async)

    @functools.wraps(method)
    def hiding(llm: Any, /, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = _hidden(names, args, kwargs)
        return method.__get__(llm)(*args, **kwargs)

    return cast("_Method", hiding)


def hidden(headers: Any) -> HiddenHeaders:
    """The headers, hidden; those that are already are given back as they are.

    Raises:
        InvalidParameter: They are no mapping of names to texts.
    """
    if isinstance(headers, HiddenHeaders):
        return headers
    try:
        return HiddenHeaders.model_validate(headers or {})
    except ValidationError:
        raise InvalidParameter(
            "`extra_headers` must be a dict of header names to texts. Nothing was sent.",
            parameter=EXTRA_HEADERS,
            rule="a dict of header names to texts",
        ) from None


def _hidden(
    names: list[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    safe = dict(kwargs)
    if EXTRA_HEADERS in safe:
        safe[EXTRA_HEADERS] = hidden(safe[EXTRA_HEADERS])
    if "prompt_args" not in names:  # whose names are those of a prompt's variables
        check_call(safe)
    if "llm_kwargs" not in names:
        return args, safe
    position = names.index("llm_kwargs")
    if len(args) > position:
        args = (*args[:position], _hidden_within(args[position]), *args[position + 1 :])
    elif "llm_kwargs" in safe:
        safe["llm_kwargs"] = _hidden_within(safe["llm_kwargs"])
    return args, safe


def _hidden_within(llm_kwargs: Any) -> Any:
    if not llm_kwargs:
        return llm_kwargs
    check_call(llm_kwargs)
    if EXTRA_HEADERS not in llm_kwargs:
        return llm_kwargs
    return {**llm_kwargs, EXTRA_HEADERS: hidden(llm_kwargs[EXTRA_HEADERS])}

"""API keys: a string, or a function that returns one for each attempt, such as a rotating token."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from pydantic import Secret, SecretStr

from sunra_integrations.errors import ConfigurationError

KEY_VARIABLE = "SUNRA_KEY"

_KEY = re.compile(r"[\x21-\x7e]+")
_WHERE_TO_CREATE_KEYS = "Create keys at https://sunra.ai/dashboard/api-tokens."
_WITHOUT_THREADS = ("emscripten", "wasi")

KeyCallable = Callable[[], str | SecretStr | Awaitable[str | SecretStr]]
"""A function that returns a key, or an async one. It is called once for each attempt of a call."""


class KeyFunction(Secret[Callable[[], Any]]):
    """The function that `api_key` was set to. Its repr and dumps hide it: it can hold secrets.

    Two are equal if their functions are. Copies share the function. A pickle contains at most the
    function's name, never what the function holds, and loads as None if it has no importable name.
    """

    def __hash__(self) -> int:
        function = self.get_secret_value()
        try:
            return hash(function)
        except TypeError:  # a dataclass with `__call__`
            return hash(type(function))

    def __copy__(self) -> KeyFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> KeyFunction:
        return self  # a copied token source would fetch its own tokens

    def __reduce__(self) -> tuple[Any, ...]:
        function: Any = self.get_secret_value()
        name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
        loaded = _import_function(*name)
        return _import_function, (name if self == loaded else (None, None))

    @property
    def is_async(self) -> bool:
        """Whether it certainly is an async function."""
        function: Any = self.get_secret_value()
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - of an object, not whether there is one
        )


ApiKey = str | SecretStr | KeyFunction | KeyCallable
"""The accepted forms of `api_key`."""

StoredKey = SecretStr | KeyFunction
"""An `api_key` as it is stored: neither shows its content."""


def stored_key(given: object) -> Any:
    """The key in the form in which it is stored. Values that cannot be a key are unchanged."""
    if isinstance(given, str):
        return SecretStr(given)
    if callable(given):
        return KeyFunction(given)
    return given


def checked_key(given: object, *, source: str) -> StoredKey:
    """The key in the form in which it is stored. A function is not called.

    Args:
        given: The key.
        source: Where it comes from, for errors.

    Raises:
        ConfigurationError: The key is missing or invalid.
    """
    given = stored_key(given)
    if given is None:
        raise ConfigurationError(
            f"No Sunra key: set {KEY_VARIABLE} or pass `api_key`. {_WHERE_TO_CREATE_KEYS} "
            "To try without a key, call `sunra_integrations.sandbox.stand_in()`."
        )
    if isinstance(given, KeyFunction):
        return given
    if not isinstance(given, SecretStr):
        raise ConfigurationError(
            "`api_key` must be a string or a SecretStr, or a function that returns one, got "
            f"{type_name(given)}."
        )
    _check(given, source)
    return given


class CallKeys:
    """The keys of one call: the key of the settings, or what the function returns for each attempt.

    They are forgotten with the call.

    Args:
        given: The key of the settings.
    """

    def __init__(self, given: StoredKey) -> None:
        self._function = given if isinstance(given, KeyFunction) else None
        self.used: list[SecretStr] = [] if isinstance(given, KeyFunction) else [given]
        """The secrets of tools and the keys so far, the latest last. Errors may quote each."""

    def for_attempt(self) -> SecretStr:
        """The key for the next attempt of a sync call.

        Raises:
            ConfigurationError: The function is async, or does not return a key.
            Exception: The function raised it.
        """
        if self._function is not None:
            if self._function.is_async:
                raise _needs_async()
            self.used.append(_returned_key(_call(self._function.get_secret_value())))
        return self.used[-1]

    async def for_async_attempt(self) -> SecretStr:
        """The key for the next attempt of an async call.

        A function that is not async runs in a thread, because it may wait for a token server.

        Raises:
            ConfigurationError: The function does not return a key.
            Exception: The function raised it.
        """
        if self._function is not None:
            function = self._function.get_secret_value()
            call = function() if self._function.is_async else _call_in_thread(function)
            self.used.append(_returned_key(await call))
        return self.used[-1]


def _call(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except StopIteration as error:  # it would end a generator, and a future would never end
        raise RuntimeError("The function in `api_key` raised StopIteration.") from error


async def _call_in_thread(function: Callable[[], Any]) -> Any:
    in_loop = sys.platform in _WITHOUT_THREADS
    returned = _call(function) if in_loop else await asyncio.to_thread(_call, function)
    return await returned if inspect.isawaitable(returned) else returned  # of a lambda, say


# The result of the function is passed on without a name, so that no frame holds it as text.
def _returned_key(returned: object) -> SecretStr:
    if isinstance(returned, str):
        returned = SecretStr(returned)
    if inspect.isawaitable(returned):
        if inspect.iscoroutine(returned):
            returned.close()  # otherwise Python warns that it was never awaited
        raise _needs_async()
    if not isinstance(returned, SecretStr):
        problem = f"it returned {type_name(returned)}"
        del returned
        raise ConfigurationError(
            f"The function in `api_key` must return a string or a SecretStr; {problem}."
        )
    _check(returned, "what the function in `api_key` returns")
    return returned


def _needs_async() -> ConfigurationError:
    return ConfigurationError(
        "`api_key` is an async function, and this is a sync call, which cannot await it. Pass a "
        "function that returns the key itself (async calls accept it too), or use async calls."
    )


def _check(secret: SecretStr, source: str) -> None:
    # Only what HTTP itself forbids: Sunra documents no format of its keys.
    if not secret.get_secret_value():
        fix = {
            KEY_VARIABLE: "set it to your key",
            "`api_key`": f"pass your key, or leave it out to use {KEY_VARIABLE}",
        }.get(source, "return a key")
        raise ConfigurationError(
            f"The Sunra key is empty: {source} is an empty string; {fix}. {_WHERE_TO_CREATE_KEYS}"
        )
    if not _KEY.fullmatch(secret.get_secret_value()):
        raise ConfigurationError(
            "The Sunra key contains a space, a line break or another invalid character. "
            f"Check {source} for a trailing newline from copy and paste."
        )


def _import_function(module: str | None, name: str | None) -> KeyFunction | None:
    """The function of this name, if it can be found: for pickles, whose loading must not fail."""
    found: Any = sys.modules.get(module) if module else None
    try:
        if found is None and module:
            found = import_module(module)
        for part in (name or "").split("."):
            found = getattr(found, part, None)
    except ImportError:
        return None
    return KeyFunction(found) if callable(found) else None


def type_name(given: object) -> str:
    """The type of a value, for an error that must not contain the value."""
    kind = type(given)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"

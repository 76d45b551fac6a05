"""Prints every public name with its signature: the content of `docs/public_api.txt`.

Only what this package defines is listed, so that the listing is the same on every supported Python
and with every version of the frameworks: parameters by name and kind, without annotations and
defaults, and neither inherited fields nor inherited methods of other packages.

    make api
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel

PACKAGE = "sunra_integrations"
MODULES = (
    PACKAGE,
    f"{PACKAGE}.budget",
    f"{PACKAGE}.conformance.llama_index",
    f"{PACKAGE}.data",
    f"{PACKAGE}.errors",
    f"{PACKAGE}.langchain",
    f"{PACKAGE}.langchain.errors",
    f"{PACKAGE}.langchain.middleware",
    f"{PACKAGE}.llama_index",
    f"{PACKAGE}.protocol.accumulator",
    f"{PACKAGE}.protocol.content",
    f"{PACKAGE}.protocol.parameters",
    f"{PACKAGE}.protocol.reply",
    f"{PACKAGE}.protocol.request",
    f"{PACKAGE}.protocol.tools",
    f"{PACKAGE}.sandbox",
    f"{PACKAGE}.sandbox.pytest_plugin",
    f"{PACKAGE}.transport",
    f"{PACKAGE}.usage",
)
"""The public modules. `docs/policy.md` says what that means."""

_HIDDEN = frozenset(("model_config", "pytestmark"))


def listing() -> Iterator[str]:
    """The lines of the listing."""
    modules = [import_module(name) for name in MODULES]
    public = {
        value: module.__name__
        for module in reversed(modules)
        for value in (getattr(module, name) for name in module.__all__)
        if isinstance(value, type)
    }
    for module in modules:
        yield f"# {module.__name__}"
        for name in sorted(module.__all__):
            yield from _described(name, getattr(module, name), public)
        yield ""


def _described(name: str, value: Any, public: Mapping[type, str]) -> Iterator[str]:
    if isinstance(value, type):
        yield f"class {name}({', '.join(_bases(value, public))})"
        yield from (f"    {line}" for line in sorted(_members(value, public)))
    elif inspect.isroutine(value):
        yield f"def {name}{_parameters(value)}"
    else:
        yield name


def _bases(cls: type, public: Mapping[type, str]) -> Iterator[str]:
    """The nearest public bases, and builtin ones. Those of other packages vary by version."""
    for base in cls.__bases__:
        if base in public:
            here = public[base] == public.get(cls)
            yield base.__name__ if here else f"{public[base]}.{base.__name__}"
        elif base.__module__ == "builtins" and base is not object:
            yield base.__name__
        elif _is_ours(base):
            yield from _bases(base, public)


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == PACKAGE


def _members(cls: type, public: Mapping[type, str]) -> Iterator[str]:
    """The members that are not those of a public base."""
    seen: set[str] = set()
    for owner in cls.__mro__:
        if not _is_ours(owner) or (owner is not cls and owner in public):
            continue
        for name, value in _own(owner, is_model=issubclass(cls, BaseModel)):
            if name not in seen:
                seen.add(name)
                yield from _member(name, value)


def _own(owner: type, *, is_model: bool) -> Iterator[tuple[str, Any]]:
    has_own_init = not is_model and not issubclass(owner, (tuple, enum.Enum))
    fields = dict.fromkeys(inspect.get_annotations(owner))
    for name, value in {**fields, **vars(owner)}.items():
        is_public = not name.startswith(("_", "test_")) and name not in _HIDDEN
        if is_public or (name == "__init__" and has_own_init):
            yield name, value


def _member(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, property):
        yield f"{name}: property"
    elif isinstance(value, (classmethod, staticmethod)):
        yield f"{name}{_parameters(value.__func__)}: {type(value).__name__}"
    elif inspect.isfunction(value):
        yield f"{name}{_parameters(value)}"
    else:
        yield name


def _parameters(function: Callable[..., Any]) -> str:
    """Such as `(self, name, *, strict=, **kwargs)`. A default is shown as `=`."""
    shown, kinds = [], inspect.Parameter
    parameters = list(inspect.signature(function).parameters.values())
    for index, parameter in enumerate(parameters):
        before = parameters[index - 1].kind if index else None
        if before is kinds.POSITIONAL_ONLY and parameter.kind is not kinds.POSITIONAL_ONLY:
            shown.append("/")
        if parameter.kind is kinds.KEYWORD_ONLY and before not in {
            kinds.KEYWORD_ONLY,
            kinds.VAR_POSITIONAL,
        }:
            shown.append("*")
        stars = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is kinds.empty else "="
        shown.append(f"{stars}{parameter.name}{default}")
    if parameters and parameters[-1].kind is kinds.POSITIONAL_ONLY:
        shown.append("/")
    return f"({', '.join(shown)})"


if __name__ == "__main__":
    print("\n".join(listing()).strip())

"""Finds every use that the package makes of a private part of a library.

Private parts are attributes with an underscore that the package reads, sets or overrides on objects
and classes of a library, and modules and names that a library keeps private.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import sunra_integrations

SOURCE = Path(sunra_integrations.__file__).parent
LIBRARIES = {
    "aiohttp",
    "h11",
    "httpcore",
    "httpx",
    "langchain_core",
    "llama_index",
    "pydantic",
    "pydantic_core",
}
_IGNORED = {"_asdict", "_fields", "_make", "_replace", "_abc_impl"}
_PYDANTIC = re.compile(r"__(?:pydantic|private)_\w+__")


def private_parts() -> dict[str, set[str]]:
    """The private names in use, and the files that use each, below `src/sunra_integrations`."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for name in _in_file(path):
            found.setdefault(name, set()).add(path.relative_to(SOURCE).as_posix())
    for cls in _classes():
        for name in _in_class(cls):
            path = Path(inspect.getfile(cls))
            found.setdefault(name, set()).add(path.relative_to(SOURCE).as_posix())
    return found


def _in_file(path: Path) -> Iterator[str]:
    """Private attributes of anything but `self`, private imports, and parts of pydantic models."""
    text = path.read_text(encoding="utf-8")
    yield from _PYDANTIC.findall(text)
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                pass
            case ast.Attribute(attr=name) if _is_private(name):
                yield name
            case ast.ImportFrom(module=str(module), names=names, level=0):
                library = module.partition(".")[0]
                if library in LIBRARIES:
                    parts = [*module.split("."), *(one.name for one in names)]
                    yield from filter(_is_private, parts)


def _classes() -> set[type]:
    found: set[type] = set()
    for module in pkgutil.walk_packages(sunra_integrations.__path__, "sunra_integrations."):
        if "pyinstaller" in module.name or module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(value):
                found.update(cls for cls in value.__mro__ if _is_own(cls))
    return found


def _in_class(cls: type) -> Iterator[str]:
    """What a class of ours overrides, or reads of itself, that a library's class defines."""
    libraries = {
        base
        for heir in (cls, *_heirs(cls))
        for base in heir.__mro__
        if base.__module__.partition(".")[0] in LIBRARIES
    }
    if not libraries:
        return
    tree = ast.parse(_source(cls))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for name in filter(_is_private, {*vars(cls), *used}):
        if any(name in vars(base) or _sets(base, name) for base in libraries):
            yield name


def _heirs(cls: type) -> Iterator[type]:
    """Classes of ours that inherit from it, such as a mixin's."""
    for heir in type.__subclasses__(cls):
        if _is_own(heir):
            yield heir
            yield from _heirs(heir)


def _sets(base: type, name: str) -> bool:
    """Whether a class has instance attributes of that name."""
    return re.search(rf"\bself\.{name}\b", _source(base)) is not None


@cache
def _source(cls: type) -> str:
    """The source of its methods: of the class itself, Python finds none if it was re-exported."""
    found = []
    for method in list(vars(cls).values()):
        function = inspect.unwrap(_function(method))
        if inspect.isfunction(function):
            with suppress(OSError):  # it was generated
                found.append(textwrap.dedent(inspect.getsource(function)))
    return "\n".join(found)


def _function(method: Any) -> Any:
    """The function in a property, class method or static method."""
    return getattr(method, "fget", None) or getattr(method, "__func__", method)


def _is_own(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "sunra_integrations"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in _IGNORED

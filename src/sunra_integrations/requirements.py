"""The oldest versions that work of the packages used here, and an error that names the fix.

An installer reads the same bounds in pyproject.toml, but other packages can undo what it did, with
`pip install --no-deps` or a later downgrade. Below these versions imports fail, or calls do; under
langchain-core 1.5.4 a stream shows `extra_headers` to every tracer.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from sunra_integrations.errors import RequirementNotMet

__all__ = ["LOWEST", "check", "release", "requiring", "version"]

LOWEST = {
    "httpx": "0.27.1",
    "httpcore": "1.0.3",
    "pydantic": "2.9.2",
    "langchain-core": "1.5.4",
    "llama-index-core": "0.14.23",
    "aiohttp": "3.10",
    "uvicorn": "0.34",
    "jsonschema": "4.23",
    "referencing": "0.31",
    "click": "8.2",
    "rich": "13.9",
    "pytest": "8.3",
}
"""By distribution; a test holds it to pyproject.toml."""

_met: set[str] = set()  # others are looked up again: in a notebook, users install them and go on


@contextmanager
def requiring(what: str, *names: str, extra: str = "") -> Generator[None, None, None]:
    """Checks packages before the imports in its block; see `check`."""
    check(what, *names, extra=extra)
    yield


def check(what: str, *names: str, extra: str = "") -> None:
    """Checks that packages are installed, in versions that work.

    Args:
        what: What needs the packages, to begin a sentence with.
        *names: The distributions, from `LOWEST`.
        extra: The extra that installs them.

    Raises:
        RequirementNotMet: One is not installed, or older than in `LOWEST`.
    """
    for name in names:
        if name in _met:
            continue
        found = version(name)
        if found is None:
            raise _not_met(what, name, "which is not installed", extra)
        numbers = release(found)
        if numbers and numbers < release(LOWEST[name]):
            raise _not_met(what, name, f"but {found} is installed", extra)
        _met.add(name)


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version, trailing zeros aside: 1.4.0rc1 counts as 1.4, "unknown" as ()."""
    numbers = re.match(r"v?(\d+(?:\.\d+)*)", version)
    parts = [int(part) for part in numbers[1].split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def version(name: str) -> str | None:
    """The installed version; None if it is not installed, "" if its version is not recorded."""
    module = _module(name)
    try:
        spec = find_spec(module)
    except ImportError:  # not even the package that it is in
        return None
    except ValueError:  # a module that a program put in its place
        return ""
    if spec is None or spec.origin is None:  # any folder on the path passes for a package
        return None
    if not spec.has_location:  # built into the program
        return _recorded(name)
    # Installers name a folder for the version. importlib.metadata is slow to import, and takes the
    # first on the path, whichever module it belongs to. A broken update leaves several.
    packages = Path(spec.origin).parents[module.count(".") + 1]
    folders = packages.glob(f"{name.replace('-', '_')}-*.dist-info")
    versions = [folder.name.split("-")[1].removesuffix(".dist") for folder in folders]
    return max(versions, key=release) if versions else _recorded(name)


def _module(name: str) -> str:
    return "llama_index.core" if name == "llama-index-core" else name.replace("-", "_")


def _recorded(name: str) -> str:
    """The version from elsewhere: of an editable installation, or one of Debian's packages."""
    from importlib import metadata  # noqa: PLC0415 - slow, and seldom needed

    try:
        return metadata.version(name) or ""  # type: ignore[redundant-expr,unused-ignore]
    except Exception:  # noqa: BLE001 - frozen programs have none, damaged ones fail in many ways
        return ""


def _not_met(what: str, name: str, found: str, extra: str) -> RequirementNotMet:
    package = f"sunra-integrations[{extra}]" if extra else "sunra-integrations"
    return RequirementNotMet(
        f"{what} needs {name} >= {LOWEST[name]}, {found}: pip install '{package}'",
        name=_module(name),
    )

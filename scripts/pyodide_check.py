"""Runs the client and both adapters in a real Pyodide, on Node.js, against a local sandbox.

`make pyodide` starts it. It needs Node.js 20 with npm, and PyPI. Packages have the versions of this
environment. Compiled ones that PyPI has no WebAssembly wheel of are stood in for by mocks there
(`scripts/pyodide_calls.py`): Pyodide itself has them, but from an address of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sunra_integrations.sandbox import Sandbox

_HERE = Path(__file__).resolve().parent
_MOCKED = frozenset(
    ("greenlet", "numpy", "orjson", "pillow", "regex", "tiktoken", "websockets", "zstandard")
)
_COPIED = {"pyyaml": "yaml", "markupsafe": "markupsafe"}
"""Packages that also work without their compiled part, by the name of their module."""


def main(folder: Path) -> int:
    """Installs into a folder what is needed, and runs the calls; returns the exit status."""
    node, npm = (shutil.which(name) for name in ("node", "npm"))
    if node is None or npm is None:
        sys.exit("Install Node.js 20 or newer, with npm.")
    _run(npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), "pyodide")
    _install(folder)
    with Sandbox() as sandbox:
        done = subprocess.run(  # noqa: S603 - our own program
            [node, str(_HERE / "pyodide_check.mjs"), str(folder)],
            env={**os.environ, "SANDBOX_URL": sandbox.base_url},
            check=False,
            timeout=300,
        )
        print(f"{len(sandbox.requests)} requests were received from WebAssembly")
    return done.returncode


def _install(folder: Path) -> None:
    """Installs the packages that WebAssembly wheels, or wheels for any platform, exist of."""
    packages = folder / "packages"
    shutil.rmtree(packages, ignore_errors=True)
    lock = folder / "node_modules" / "pyodide" / "pyodide-lock.json"
    info = json.loads(lock.read_text(encoding="utf-8"))["info"]
    python = ".".join(info["python"].split(".")[:2])
    needed = _needed("sunra-integrations", {"", "langchain", "llama-index"})
    _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"),
        *(str(packages), "--only-binary", ":all:", "--python-version", python),
        *("--implementation", "cp", "--abi", f"cp{python.replace('.', '')}", "--abi", "abi3"),
        *("--abi", "none", "--platform", f"pyemscripten_{info['abi_version']}_wasm32"),
        *sorted(
            f"{name}=={metadata.version(name)}"
            for name in needed - _MOCKED - _COPIED.keys() - {"sunra-integrations"}
        ),
    )
    for module in _COPIED.values():
        spec = find_spec(module)
        if spec is not None and spec.origin is not None:
            source = Path(spec.origin).parent
            shutil.copytree(source, packages / module, ignore=shutil.ignore_patterns("*.so"))


def _needed(package: str, extras: set[str], known: frozenset[str] = frozenset()) -> set[str]:
    """A package and all that it needs, by name."""
    found = {package} | known
    for text in metadata.requires(package) or []:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        marker = requirement.marker
        applies = marker is None or any(marker.evaluate({"extra": extra}) for extra in extras)
        if applies and name not in found and name not in _MOCKED:
            found |= _needed(name, {"", *requirement.extras}, frozenset(found))
    return found


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - our own commands


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))

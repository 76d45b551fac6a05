"""The type checkers that users have, run on a project as users have it: none of our settings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = os.environ.get("TYPE_CHECKERS")
"""Where the checkers are; `make types` sets it."""

# What these judge is the style of a caller: results that are not used, `Any`, marks of overriding.
_STYLE = (
    "reportAny",
    "reportExplicitAny",
    "reportImplicitOverride",
    "reportUnannotatedClassAttribute",
    "reportUnusedCallResult",
)


@dataclass(frozen=True)
class Diagnostic:
    """What a checker says of a line."""

    file: str
    line: int
    text: str
    is_error: bool = True


def mypy(project: Path) -> Iterator[Diagnostic]:
    """`mypy --strict`, without the pydantic plugin, which users may not have."""
    files = [str(one.relative_to(project)) for one in sorted(project.rglob("*.py"))]
    cache = ROOT / ".mypy_cache" / "users"
    lines = run(
        project,
        *("mypy", "--strict", "--config-file=", "--output=json", f"--cache-dir={cache}"),
        # A page may use a library without types, and take up a name anew.
        *("--disable-error-code=import-untyped", "--disable-error-code=no-redef"),
        *("--allow-redefinition", f"--python-executable={sys.executable}", *files),
    )
    for line in lines.splitlines():
        said = json.loads(line)
        if said["severity"] == "error":
            yield Diagnostic(said["file"], said["line"], said["message"])


def pyright(project: Path) -> Iterator[Diagnostic]:
    """Strict for users' code, the standard mode for documents."""
    return _pyright("pyright", project, typeCheckingMode="standard", strict=["users"])


def basedpyright(project: Path) -> Iterator[Diagnostic]:
    """In its recommended mode, whose warnings count too."""
    off = dict.fromkeys(_STYLE, False)
    return _pyright("basedpyright", project, typeCheckingMode="recommended", **off)


def _pyright(name: str, project: Path, **settings: Any) -> Iterator[Diagnostic]:
    # A page may take up a name anew, and go on with the last value of a loop.
    own = {"reportRedeclaration": False, "reportPossiblyUnboundVariable": False, **settings}
    (project / "pyrightconfig.json").write_text(json.dumps(own), encoding="utf-8")
    found = run(project, name, "--outputjson", f"--pythonpath={sys.executable}")
    for said in json.loads(found)["generalDiagnostics"]:
        yield Diagnostic(
            str(Path(said["file"]).relative_to(project)),
            said["range"]["start"]["line"] + 1,
            f"{said['message']} ({said.get('rule')})",
            said["severity"] == "error",
        )


def ty(project: Path) -> Iterator[Diagnostic]:
    """As it comes."""
    found = run(project, "ty", "check", "--output-format=gitlab", f"--python={sys.executable}")
    for said in json.loads(found):
        place = said["location"]
        yield Diagnostic(
            place["path"],
            place["positions"]["begin"]["line"],
            said["description"],
            said["severity"] not in {"info", "minor"},
        )


def pyrefly(project: Path) -> Iterator[Diagnostic]:
    """In its default mode, which a project with a configuration has."""
    (project / "pyrefly.toml").write_text('project-includes = ["**/*.py"]\n', encoding="utf-8")
    interpreter = f"--python-interpreter-path={sys.executable}"
    found = run(project, "pyrefly", "check", "--output-format=json", interpreter)
    for said in json.loads(found)["errors"]:
        path = (project / said["path"]).resolve().relative_to(project.resolve())
        yield Diagnostic(str(path), said["line"], said["description"], said["severity"] == "error")


CHECKERS: dict[str, Callable[[Path], Iterator[Diagnostic]]] = {
    "mypy": mypy,
    "pyright": pyright,
    "basedpyright": basedpyright,
    "ty": ty,
    "pyrefly": pyrefly,
}


def path_of(name: str) -> str | None:
    """Where a checker is, if it is."""
    return shutil.which(name, path=FOLDER) if FOLDER else None


def run(folder: Path, name: str, *arguments: str) -> str:
    """What a checker prints."""
    path = path_of(name)
    assert path is not None
    # pyright asks the first `python` on the path where packages are.
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    ran = subprocess.run(  # noqa: S603 - a checker, on our own files
        [str(Path(path).absolute()), *arguments],
        cwd=folder,
        env={**os.environ, "PATH": search},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=600,
    )
    assert ran.stdout, ran.stderr
    return ran.stdout

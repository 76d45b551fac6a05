"""An environment for each package, with its newest version and what that version requires.

Packages limit each other's versions, so classes that share an environment are not measured at their
newest. Our own package is installed from a wheel of this repository, as users install it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contestants import Contestant

Interpreter = Callable[[Contestant], str]
"""Returns the path of the Python that runs a contestant."""

_ROOT = Path(__file__).parent.parent
_OURS = "sunra-integrations"
_SHOWN = (
    _OURS,
    "langchain-openai",
    "langchain-openrouter",
    "langchain-litellm",
    "langchain-core",
    "llama-index-llms-openrouter",
    "llama-index-llms-litellm",
    "llama-index-llms-openai-like",
    "llama-index-llms-openai",
    "llama-index-core",
    "openai",
    "openrouter",
    "litellm",
    "httpx",
    "httpx2",
    "httpx-aiohttp",
    "aiohttp",
    "pydantic",
)
"""The packages whose versions matter, in the order in which they are shown."""


class IncompleteEnvironment(Exception):
    """An environment does not exist, or lacks the module of a contestant."""


@dataclass(frozen=True)
class Environments:
    """The environments in a folder, one for each package.

    Args:
        folder: The folder that contains them.
    """

    folder: Path

    def interpreter(self, contestant: Contestant) -> str:
        """The Python of a contestant's environment."""
        return str(self.folder_of(contestant) / "bin" / "python")

    def folder_of(self, contestant: Contestant) -> Path:
        """The environment of a contestant."""
        return self.folder / re.sub(r"[^a-z0-9]+", "-", contestant.package).strip("-")

    def install(self, contestants: Iterable[Contestant], say: Callable[[str], None]) -> None:
        """Installs the newest versions, and this repository's state of our package.

        Raises:
            subprocess.CalledProcessError: uv failed. Its own message says why.
        """
        with TemporaryDirectory() as folder:
            _uv("build", "--wheel", "--out-dir", folder, str(_ROOT))
            (wheel,) = Path(folder).glob("*.whl")
            for package, contestant in {one.package: one for one in contestants}.items():
                say(f"installing {package}")
                self._install(contestant, wheel)

    def _install(self, contestant: Contestant, wheel: Path) -> None:
        folder, package = self.folder_of(contestant), contestant.package
        if not folder.exists():
            _uv("venv", "--python", sys.executable, str(folder))
        requirement = f"{package} @ {wheel.as_uri()}" if package.startswith(_OURS) else package
        _uv(
            *("pip", "install", "--python", self.interpreter(contestant), "--upgrade"),
            # Without bytecode, the first import of a module would also compile it.
            *("--compile-bytecode", "--reinstall-package", _OURS, requirement),
        )

    def versions(self, contestant: Contestant) -> dict[str, str]:
        """The versions of the packages that matter.

        Raises:
            IncompleteEnvironment: The contestant cannot run.
        """
        interpreter = self.interpreter(contestant)
        advice = "Run `make bench`, which installs it, or omit `--no-install`."
        if not Path(interpreter).exists():
            raise IncompleteEnvironment(
                f"{contestant.name}: {interpreter} does not exist. {advice}"
            )
        ran = subprocess.run(  # noqa: S603 - ourselves
            [interpreter, "-m", "benchmarks.installed", contestant.needs],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise IncompleteEnvironment(f"{contestant.name}: {ran.stderr.strip()}")
        found = json.loads(ran.stdout)
        if not found["has_module"]:
            raise IncompleteEnvironment(
                f"{contestant.name}: {self.folder_of(contestant)} lacks the module "
                f"`{contestant.needs}`. {advice}"
            )
        return {name: found["versions"][name] for name in _SHOWN if name in found["versions"]}


def _uv(*arguments: str) -> None:
    try:
        from uv import find_uv_bin
    except ImportError:
        raise IncompleteEnvironment("uv is not installed here. Run `make bench`.") from None
    subprocess.run((find_uv_bin(), *arguments, "--quiet"), check=True)  # noqa: S603 - from PyPI

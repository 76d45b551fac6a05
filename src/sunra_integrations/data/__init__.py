"""Facts about known models: limits, modalities and abilities.

Models that are not listed here work just as well. The facts come from
[models.dev](https://models.dev) and LangChain's packages (MIT, see the `LICENSE` beside this file)
and are read on first use; `profile_augmentations.toml` adds some, each with its source. `make
profiles` refreshes them, and `sunra doctor` shows how old they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Any

__all__ = ["last_updated", "model_facts", "model_names"]


def model_facts(model: str) -> dict[str, Any] | None:
    """Return the facts about a model, or None if it is not known.

    Args:
        model: `vendor/name`, in any case, with dots or dashes in numbers. A variant or version of a
            known model counts as that model: `…:free`, `…@20250929`, `…-latest`, `…-v1:0`, and a
            date or a number of three or four digits at the end. So does a preview, except of
            OpenAI's. A version that has its own entry is looked up by it.

    Returns:
        A new dict with `name`, `release_date`, `last_updated`, `max_input_tokens`,
        `max_output_tokens`, and True or False for abilities such as `tool_calling` or
        `image_inputs`. If known, also `status`, `reasoning_effort_levels` and
        `reasoning_effort_default`. The fields are those of LangChain's `ModelProfile`, and
        `chat_completions_tools`: if the maker's chat completions accept function tools only with
        some values of `reasoning_effort`, it is `"effort_unset_or_none"`, `"effort_none"` or
        `"never"`. OpenAI accepts them with `api="responses"`. Facts that are not known are
        left out.
    """
    profiles, by_dashes = _registry(), _names_by_dashes()
    for name in _candidate_names(model.lower()):
        known = name if name in profiles else by_dashes.get(name.replace(".", "-"))
        if known is not None:
            facts = profiles[known].items()
            return {field: [*it] if isinstance(it, list) else it for field, it in facts}
    return None


def model_names() -> list[str]:
    """Return the known models, as `vendor/name`, in alphabetical order."""
    return sorted(_registry())


def last_updated() -> date:
    """Return the date of the newest entry: the data is at least as recent as this."""
    return date.fromisoformat(max(profile["last_updated"] for profile in _registry().values()))


_VARIANT = re.compile(r"[:@].*")
_BEDROCK = re.compile(r"-v\d+(?=:\d)")
_VERSION = re.compile(
    r"-(?:latest|\d{4}-\d\d-\d\d|\d{8}|\d{6}|\d\d-\d{4}|\d\d-\d\d|\d{4}|\d{3}|v1)$"
)
_PREVIEW = re.compile(r"-(?:preview|exp|beta)$")


def _candidate_names(model: str) -> Iterator[str]:
    """Yield the names that a model may be listed under, the most exact one first."""
    yield _VARIANT.sub("", model)  # with amazon/nova-pro-v1:0, `v1` is part of the name
    name, shorter = "", _VARIANT.sub("", _BEDROCK.sub("", model))
    while shorter != name:
        name = shorter
        yield name
        shorter = _VERSION.sub("", name)
        if not name.startswith("openai/"):  # o1-preview and gpt-4-1106-preview are other models
            shorter = _PREVIEW.sub("", shorter) if shorter == name else shorter


@cache
def _names_by_dashes() -> dict[str, str]:
    """The names without dots: claude-sonnet-4-5, as Anthropic spells it, is claude-sonnet-4.5."""
    return {name.replace(".", "-"): name for name in _registry()}


def _registry() -> dict[str, dict[str, Any]]:
    # 8,000 lines: 20 ms to compile, which every import would pay if bytecode is not written.
    from sunra_integrations.data._profiles import (  # noqa: PLC0415
        _PROFILES,  # pyright: ignore[reportPrivateUsage]
    )

    return _PROFILES

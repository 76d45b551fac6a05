"""Facts about known models: limits, modalities and abilities.

Models that are not listed here work just as well. The facts come from
[models.dev](https://models.dev) (MIT, see the `LICENSE` beside this file) and are read on first
use. `make profiles` refreshes them, and `sunra doctor` shows how old they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

__all__ = ["last_updated", "model_facts", "model_names"]


def model_facts(model: str) -> dict[str, Any] | None:
    """Return the facts about a model, or None if it is not known.

    Args:
        model: `vendor/name`, in any case. A variant or version of a known model counts as that
            model: `…:free`, `…@20250929`, `…-latest`, and a date or a number of three or four
            digits at the end. A version that has its own entry is looked up by it.

    Returns:
        A new dict with `name`, `release_date`, `last_updated`, `max_input_tokens`,
        `max_output_tokens`, and True or False for abilities such as `tool_calling` or
        `image_inputs`. The fields are those of LangChain's `ModelProfile`.
    """
    profiles = _registry()
    known = next((name for name in _candidate_names(model.lower()) if name in profiles), None)
    return None if known is None else dict(profiles[known])


def model_names() -> list[str]:
    """Return the known models, as `vendor/name`, in alphabetical order."""
    return sorted(_registry())


def last_updated() -> date:
    """Return the date of the newest entry: the data is at least as recent as this."""
    return date.fromisoformat(max(profile["last_updated"] for profile in _registry().values()))


_VARIANT = re.compile(r"[:@].*")
_VERSION = re.compile(
    r"-(?:latest|\d{4}-\d\d-\d\d|\d{8}|\d{6}|\d\d-\d{4}|\d\d-\d\d|\d{4}|\d{3}|v\d+)$"
)
_NUMBER_WITH_DASH = re.compile(r"(?<=-\d)-(?=\d(?:-|$))")


def _candidate_names(model: str) -> Iterator[str]:
    """Yield the names that a model may be listed under, the most exact one first."""
    name = _VARIANT.sub("", model)
    while True:
        yield name
        yield _NUMBER_WITH_DASH.sub(".", name)  # claude-sonnet-4-5, as Anthropic spells it
        shorter = _VERSION.sub("", name)
        if shorter == name:
            return
        name = shorter


def _registry() -> dict[str, dict[str, Any]]:
    # 7,000 lines: 20 ms to compile, which every import would pay if bytecode is not written.
    from sunra_integrations.data._profiles import (  # noqa: PLC0415
        _PROFILES,  # pyright: ignore[reportPrivateUsage]
    )

    return _PROFILES

"""Facts about known models: limits, modalities, abilities. Read when first asked for.

A convenience, never a gate: a model that is not here works all the same, and in a program whose
data files are missing the catalogue is empty. `models.json` names its source, `LICENSE` is its
licence; `scripts/make_catalogue.py` makes it anew.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any

__all__ = ["model_facts", "model_names"]

_log = logging.getLogger("sunra_integrations")


def model_facts(model: str) -> dict[str, Any] | None:
    """What is known of a model; None for one that is not in the catalogue.

    Args:
        model: `vendor/name`, in any case. A variant or version of a known model counts as that
            model: `…:free`, `…@20250929`, `…-latest`, and a date or a number of three or four
            digits at the end. A version with an entry of its own is looked up by it.

    Returns:
        A dict of its own: `name`, `release_date`, `max_input_tokens`, `max_output_tokens`, and
        True or False for each ability, such as `tool_calling` or `image_inputs`.
    """
    models = _models()
    entry = next((models[name] for name in _names(model.lower()) if name in models), None)
    if entry is None:
        return None
    known = {name: value for name, value in entry.items() if name not in {"has", "lacks"}}
    return {
        **known,
        **dict.fromkeys(entry["has"], True),
        **dict.fromkeys(entry["lacks"], False),
    }


def model_names() -> list[str]:
    """The models in the catalogue, as `vendor/name`, in alphabetical order."""
    return sorted(_models())


_VARIANT = re.compile(r"[:@].*")
_VERSION = re.compile(
    r"-(?:latest|\d{4}-\d\d-\d\d|\d{8}|\d{6}|\d\d-\d{4}|\d\d-\d\d|\d{4}|\d{3}|v\d+)$"
)
_NUMBER_WITH_DASH = re.compile(r"(?<=-\d)-(?=\d(?:-|$))")


def _names(model: str) -> Iterator[str]:
    """The names that a model may be known by, the most exact one first."""
    name = _VARIANT.sub("", model)
    while True:
        yield name
        yield _NUMBER_WITH_DASH.sub(".", name)  # claude-sonnet-4-5, as Anthropic spells it
        shorter = _VERSION.sub("", name)
        if shorter == name:
            return
        name = shorter


@lru_cache(maxsize=1)
def _models() -> dict[str, dict[str, Any]]:
    try:
        text = files(__name__).joinpath("models.json").read_text(encoding="utf-8")
    except OSError as missing:  # programs that freezers make leave data files out unless told
        _log.info("The model catalogue is not in this program, so no facts are known: %s", missing)
        return {}
    models: dict[str, dict[str, Any]] = json.loads(text)["models"]
    return models

"""Facts about known models: limits, modalities, abilities. Read when first asked for.

A convenience, never a gate: a model that is not here works all the same. `models.json` names its
source and licence; `scripts/make_catalogue.py` makes it anew.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

__all__ = ["model_facts", "model_names"]


def model_facts(model: str) -> dict[str, Any] | None:
    """What is known of a model; None for one that is not in the catalogue.

    Args:
        model: `vendor/name`, in any case; a variant after a colon (`…:free`) counts as the model.

    Returns:
        A dict of its own: `name`, `release_date`, `max_input_tokens`, `max_output_tokens`, and
        True or False for each ability, such as `tool_calling` or `image_inputs`.
    """
    entry = _models().get(model.lower().partition(":")[0])
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


@lru_cache(maxsize=1)
def _models() -> dict[str, dict[str, Any]]:
    text = files(__name__).joinpath("models.json").read_text(encoding="utf-8")
    models: dict[str, dict[str, Any]] = json.loads(text)["models"]
    return models

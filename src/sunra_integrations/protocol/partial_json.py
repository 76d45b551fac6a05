"""The fields of a JSON object that is still being written."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json


def finished_fields(text: str) -> dict[str, Any]:
    """The fields so far; strings that have no end yet are left out, at any depth.

    Args:
        text: The JSON as far as it was received. What is not an object has no fields.
    """
    try:
        fields = from_json(text, allow_partial=True)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}

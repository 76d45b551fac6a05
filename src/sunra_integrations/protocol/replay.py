"""How a model's reasoning goes back to it in a later turn.

Details are made to be replayed (they carry the vendors' signatures) and always go back unchanged.
Plain reasoning text goes back beside tool calls, where some vendors demand it, and only there,
because others refuse a finished turn that still carries it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sunra_integrations.protocol.json_values import Json

DEFAULT_FIELD = "reasoning"


def reasoning_fields(
    text: str, field: str | None, details: Sequence[Json], *, beside_calls: bool
) -> dict[str, Any]:
    """The fields of an assistant message that replay its reasoning; empty where none should.

    Args:
        text: The reasoning in words.
        field: The name it came under (`reasoning` or `reasoning_content`); None where it is not
            known.
        details: Its `reasoning_details`, as they came.
        beside_calls: Whether the message calls tools.
    """
    fields: dict[str, Any] = {}
    if text and beside_calls and (field is not None or not details):
        fields[field or DEFAULT_FIELD] = text
    if details:
        fields["reasoning_details"] = list(details)
    return fields

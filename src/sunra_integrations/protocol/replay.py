"""How an assistant's message goes back in a later turn: its reasoning, calls and vendors' fields.

Signed data (reasoning details, signatures) is made to be replayed and goes back unchanged. Plain
reasoning text goes back within a turn that calls tools, where some vendors demand it, and only
there, because others refuse a finished turn that still carries it; see `history`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from sunra_integrations.protocol.json_text import strict_json, well_formed
from sunra_integrations.protocol.json_values import Json, others
from sunra_integrations.protocol.responses import IN_CONTENT
from sunra_integrations.protocol.tool_call_order import parse_arguments

DEFAULT_FIELD = "reasoning"
VENDOR_FIELDS = "vendor_fields"
"""The key under which a framework's message lists its vendor fields to send back."""

_CALL_FIELDS = frozenset(("id", "type", "function", "custom"))
_ANY_ROLE = ("prefix", "partial", "cache_control")
_BY_THE_ASSISTANT = ("thinking_blocks", "extra_content")
_OWN_WAY = frozenset(("audio", "function_call"))
"""Fields that go back in another form than they came in."""
NOT_JSON = "INVALID_JSON"
_UNNAMED = "unnamed"
"""The name sent for a call without a name, because servers refuse an empty one."""


def reasoning_fields(
    text: str, field: str | None, details: Sequence[Json], *, beside_calls: bool
) -> dict[str, Any]:
    """The fields of an assistant message that replay its reasoning; empty where none should.

    Args:
        text: The reasoning's text.
        field: The name it came under (`reasoning` or `reasoning_content`); None where it is not
            known. DeepSeek wants an empty one back, too.
        details: Its `reasoning_details`, as they came.
        beside_calls: Whether its turn calls tools.
    """
    fields: dict[str, Any] = {}
    if field == IN_CONTENT:
        beside_calls = False  # it is replayed with the content
    if beside_calls and (field is not None or (text and not details)):
        fields[field or DEFAULT_FIELD] = text
    if details:
        fields["reasoning_details"] = list(details)
    return fields


def signed_detail(text: str, signed: Mapping[str, Any]) -> dict[str, Any] | None:
    """Another vendor's signed or encrypted reasoning as a detail; None if it is neither.

    Args:
        text: The reasoning's text.
        signed: Its other fields: `signature`, or `data`, `encrypted_content` or
            `redacted_content`, and perhaps `id` and `format`.
    """
    known = {name: signed[name] for name in ("id", "format") if isinstance(signed.get(name), str)}
    for name in ("data", "encrypted_content", "redacted_content", "redactedContent"):
        data = signed.get(name)
        if isinstance(data, bytes):  # Bedrock's
            data = base64.b64encode(data).decode()
        if isinstance(data, str) and data:
            return {"type": "reasoning.encrypted", "data": data, **known}
    if isinstance(signed.get("signature"), str) and signed["signature"]:
        signature = {"signature": signed["signature"]}
        return {"type": "reasoning.text", "text": text, **signature, **known}
    return None


def vendor_fields(known: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The fields of a message beyond the wire's common ones that go onto it.

    Args:
        known: What the framework's message keeps beside its content.
        role: The message's role on the wire.
    """
    named = known.get(VENDOR_FIELDS)
    names: Iterable[Any] = _ANY_ROLE
    if role == "assistant":
        names = (*_ANY_ROLE, *_BY_THE_ASSISTANT, *(named if isinstance(named, list) else ()))
    return {name: known[name] for name in names if known.get(name) is not None}


def replayed_names(extra: Json) -> list[str]:
    """The names of a message's unknown fields that go back as they came."""
    return [name for name, value in extra.items() if value is not None and name not in _OWN_WAY]


def wire_call(
    call_id: str | None, name: str, arguments: str, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """A tool call in the API's form, with its vendor's fields in their places.

    Args:
        call_id: None where there is none; `history` makes one.
        name: The tool's name.
        arguments: As the model wrote them.
        extra: Unknown fields of the call; those within its function stand under `function`, and a
            `type` of its own stands under `type`.
    """
    kind = extra.get("type") or "function"
    name = name or _UNNAMED
    if kind == "custom":
        body = {**_mapping(extra.get("custom")), "name": name, "input": arguments}
    else:
        written = sendable_arguments(arguments)
        body = {**_mapping(extra.get("function")), "name": name, "arguments": written}
    place = "custom" if kind == "custom" else "function"
    return {**others(extra, _CALL_FIELDS), "id": call_id, "type": kind, place: body}


def is_broken(call: Mapping[str, Any]) -> bool:
    """Whether a call's arguments are a wrapper around some that were not a JSON object."""
    arguments = _mapping(call.get("function")).get("arguments")
    return isinstance(arguments, str) and arguments.startswith(f'{{"{NOT_JSON}":')


def sendable_arguments(arguments: str) -> str:
    """Arguments as servers take them: a JSON object, unchanged where they are one.

    Servers parse the arguments of earlier calls and refuse the whole conversation if one is
    broken, so broken ones are wrapped. The model sees what it wrote.
    """
    parsed = parse_arguments(arguments)
    if parsed == {}:
        return "{}"  # the many spellings of no arguments; servers take only this one
    if parsed is not None:
        for written in (arguments, strict_json(arguments)):
            if _is_strict(written):
                return written
    return to_json({NOT_JSON: well_formed(arguments)}).decode()


def _is_strict(arguments: str) -> bool:
    try:
        from_json(arguments, allow_inf_nan=False)
    except (ValueError, TypeError):  # TypeError: half a surrogate pair
        return False
    return True


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

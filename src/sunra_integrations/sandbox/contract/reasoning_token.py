"""The encrypted content of the sandbox's reasoning items, which encrypts nothing.

It is a hash of the item and the name of the item after it. A request that sends the item back
changed, or in another place, is refused, as a vendor would refuse it.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from sunra_integrations.sandbox.contract.checks import Problem, wrong_type

_START = "sandbox-reasoning."
_MESSAGE, _END = "message", "end"


def make_token(item: dict[str, Any], following: dict[str, Any] | None) -> str:
    """The encrypted content of a reasoning item.

    Args:
        item: The reasoning item.
        following: The output item after it, if there is one.
    """
    return f"{_START}{_digest(item)}.{_END if following is None else _name(following)}"


def replay_problems(items: list[dict[str, Any]]) -> Iterator[Problem]:
    """Reasoning items of the sandbox that were changed, or moved away from the item after them.

    Encrypted content of other servers is accepted unread.
    """
    following_names = _following_names(items)
    for index, item in enumerate(items):
        token = item.get("encrypted_content")
        if item.get("type") != "reasoning" or not isinstance(token, str):
            continue
        if not token.startswith(_START):
            continue
        where = f"input[{index}]"
        digest, _, following = token.removeprefix(_START).partition(".")
        if digest != _digest(item):
            rule = "unchanged (the encrypted content belongs to other reasoning)"
            yield wrong_type(where, item, rule)
        elif following not in {_END, following_names[index]}:
            rule = f"followed by the item that it preceded in the response: {following}"
            yield wrong_type(where, item, rule)


def _following_names(items: list[dict[str, Any]]) -> list[str]:
    """For each item, the name of the next one that is not reasoning."""
    names: list[str] = []
    following = _END
    for item in reversed(items):
        names.append(following)
        if item.get("type") != "reasoning":
            following = _name(item)
    return names[::-1]


def _name(item: dict[str, Any]) -> str:
    """The call id of a call; ``message`` for a message of the assistant."""
    if item.get("role") == "assistant":
        return _MESSAGE
    return str(item.get("call_id") or item.get("id"))


def _digest(item: dict[str, Any]) -> str:
    texts = [part["text"] for part in (*item["summary"], *(item.get("content") or ()))]
    hashed = [item["id"], texts]
    return hashlib.sha256(json.dumps(hashed).encode()).hexdigest()[:32]

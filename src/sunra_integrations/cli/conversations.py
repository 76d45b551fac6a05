"""Conversations on disk: one file for each, which only its user can read.

A file has the messages in the form of chat completions, whichever API they were sent to. The key is
never written, even if a message quotes it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from sunra_integrations.protocol.request import Message

_VERSION = 1
_UNNAMED = "unnamed"
# Windows opens a device for names such as `con` and `com1.json`.
_NAME = re.compile(
    r"(?!(?:con|prn|aux|nul|(?:com|lpt)\d)(?:\.|$))[a-z0-9][a-z0-9._-]{0,63}",
    re.IGNORECASE | re.ASCII,
)


@dataclass
class Conversation:
    """A conversation, and the file that it is stored in.

    Args:
        path: The file.
        model: The model of the last reply; empty before the first.
        messages: The messages, with the system prompt first.
    """

    path: Path
    model: str = ""
    messages: list[Message] = field(default_factory=list)

    def set_system(self, text: str) -> None:
        """Set the system prompt, instead of the one before."""
        self.messages[:] = [{"role": "system", "content": text}, *self.without_system()]

    def without_system(self) -> list[Message]:
        """Return the messages without the system prompt."""
        return [message for message in self.messages if message["role"] != "system"]

    def clear(self) -> None:
        """Forget the messages except the system prompt."""
        self.messages[:] = [message for message in self.messages if message["role"] == "system"]

    def save(self, without_key: Callable[[str], str]) -> None:
        """Write the file, in one step.

        Args:
            without_key: Removes the key from a text.

        Raises:
            OSError: The file cannot be written.
        """
        stored = {"version": _VERSION, "model": self.model, "messages": self.messages}
        text = json.dumps(_map_strings(stored, without_key), ensure_ascii=False, indent=1)
        if not self.path.is_absolute():
            raise OSError("the user has no home folder")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A temporary file of this module has the mode 0600.
        handle, name = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
        written = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            written.replace(self.path)
        except BaseException:
            with suppress(OSError):
                written.unlink()
            raise


def open_conversation(name: str | None, *, is_continued: bool) -> Conversation:
    """Return the conversation to add to.

    Args:
        name: Its name. Without one, it is a new conversation or the last one.
        is_continued: Whether it must exist.

    Raises:
        click.UsageError: The name is invalid, there is no conversation to continue, or its file is
            not one.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise click.UsageError(
            f"Invalid name of a conversation: {name!r}. Use up to 64 letters, digits, `.`, `_` "
            "and `-`, with a letter or a digit first, and not a device of Windows such as `con`."
        )
    if name is not None:
        path = folder() / f"{name}.json"
        if is_continued and not path.exists():
            raise click.UsageError(f"There is no conversation {name} to continue.")
        return _load(path) if path.exists() else Conversation(path)
    if not is_continued:
        return Conversation(folder() / f"{_UNNAMED}.json")
    last = max(folder().glob("*.json"), key=_modified, default=None)
    if last is None:
        raise click.UsageError("There is no conversation to continue.")
    return _load(last)


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # deleted meanwhile, or a link that leads nowhere
        return 0


def conversation_names() -> list[str]:
    """Return the names of the stored conversations, in alphabetical order."""
    return sorted(path.stem for path in folder().glob("*.json"))


def folder() -> Path:
    """Return the folder of the conversations."""
    return Path(click.get_app_dir("sunra")) / "conversations"


def _load(path: Path) -> Conversation:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError):
        stored = None
    match stored:
        case {"version": version, "model": str(model), "messages": [*messages]} if (
            version == _VERSION and all(map(_is_message, messages))
        ):
            return Conversation(path, model, messages)
        case _:
            raise click.UsageError(
                f"{path} is not a conversation of this version. Delete it to begin again."
            )


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str)


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {name: _map_strings(one, change) for name, one in value.items()}
        case list() | tuple():
            return [_map_strings(one, change) for one in value]
        case _:
            return value

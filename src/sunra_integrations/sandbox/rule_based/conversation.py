"""The messages of a request: texts, attachments, and the last turn of the user."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)[^,]*,")
_MAX_USER_MESSAGES = 8


@dataclass(frozen=True)
class Attachment:
    """A content part that is not text.

    Args:
        kind: ``image``, ``audio``, ``video`` or ``file``.
        description: The part in words, e.g. ``an image (image/png, 68 bytes)``.
        size: Its size in bytes if it was sent inline, otherwise 0.
    """

    kind: str
    description: str
    size: int


@dataclass(frozen=True)
class ToolResult:
    """The result of a tool call: the tool's name, the text, the attachments."""

    name: str
    text: str
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True)
class Conversation:
    """A conversation, split at the last turn of the user.

    Args:
        earlier: The texts of the messages before that turn.
        turn: The text of the turn: the last user message and the ones directly before it.
        attachments: The attachments of the turn.
        called: The names of the tools called since then, in order.
        results: The results of these calls.
    """

    earlier: tuple[str, ...]
    turn: str
    attachments: tuple[Attachment, ...]
    called: tuple[str, ...]
    results: tuple[ToolResult, ...]


def read_conversation(messages: list[dict[str, Any]]) -> Conversation:
    """Reads the messages of a request."""
    users = [index for index, message in enumerate(messages) if message["role"] == "user"]
    last = users[-1] if users else len(messages) - 1
    first = last
    while first - 1 in users[-_MAX_USER_MESSAGES:]:
        first -= 1
    turn, since = messages[first : last + 1], messages[last + 1 :]
    calls = [call for message in since for call in message.get("tool_calls") or ()]
    names = {call["id"]: call["function"]["name"] for call in calls}
    return Conversation(
        earlier=tuple(message_text(message) for message in messages[:first]),
        turn="\n".join(message_text(message) for message in turn),
        attachments=tuple(found for message in turn for found in attachments(message)),
        called=tuple(names.values()),
        results=tuple(
            ToolResult(
                names[message["tool_call_id"]], message_text(message), tuple(attachments(message))
            )
            for message in since
            if message["role"] == "tool" and message["tool_call_id"] in names
        ),
    )


def message_text(message: dict[str, Any]) -> str:
    """All text in a message's content."""
    match message.get("content"):
        case str(content):
            return content
        case list(parts):
            texts = (part.get("text") or part.get("refusal") for part in parts)
            return "\n".join(text for text in texts if text)
        case _:
            return ""


def is_cached(message: dict[str, Any]) -> bool:
    """Whether a message or one of its parts has ``cache_control``."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return any("cache_control" in holder for holder in (message, *parts))


def attachments(message: dict[str, Any]) -> Iterator[Attachment]:
    """The parts of a message that are not text."""
    content = message.get("content")
    if not isinstance(content, list):
        return
    for part in content:
        match part["type"]:
            case "image_url":
                yield _linked("image", part["image_url"]["url"])
            case "video_url":
                yield _linked("video", part["video_url"]["url"])
            case "input_audio":
                size = _decoded_size(part["input_audio"]["data"])
                description = f"an audio clip ({part['input_audio']['format']}, {_bytes(size)})"
                yield Attachment("audio", description, size)
            case "file":
                yield _file(part["file"])
            case _:
                continue


def _linked(kind: str, url: str) -> Attachment:
    article = "an" if kind == "image" else "a"
    head = _DATA_URL.match(url)
    if head is None:
        return Attachment(kind, f"{article} {kind} at {_host(url)}", 0)
    size = _decoded_size(url, head.end())
    return Attachment(kind, f"{article} {kind} ({head[1]}, {_bytes(size)})", size)


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:  # for example an unclosed bracket
        return "a place that cannot be read"


def _file(file: dict[str, Any]) -> Attachment:
    if "file_url" in file:
        return _linked("file", file["file_url"])
    name = json.dumps(file.get("filename", ""), ensure_ascii=False)
    if "file_id" in file:
        named = f" named {name}" if "filename" in file else ""
        return Attachment("file", f"a file{named} with the id {file['file_id']}", 0)
    head = _DATA_URL.match(file["file_data"])
    size = _decoded_size(file["file_data"], head.end() if head else 0)
    kind = f"{head[1]}, " if head else ""
    return Attachment("file", f"a file named {name} ({kind}{_bytes(size)})", size)


def _decoded_size(base64: str, start: int = 0) -> int:
    padding = base64[-2:].count("=")
    return (len(base64) - start) * 3 // 4 - padding


def _bytes(size: int) -> str:
    return "1 byte" if size == 1 else f"{size} bytes"

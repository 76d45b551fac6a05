"""Content parts for messages, from URLs, bytes and base64. Nothing is ever downloaded."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from sunra_integrations.errors import UnsupportedContent
from sunra_integrations.protocol.json_text import Json, as_str, dicts_in

__all__ = [
    "audio_part",
    "data_url",
    "file_part",
    "image_part",
    "text_part",
    "video_part",
]

Part = dict[str, Any]

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
_BY_BRAND: tuple[tuple[bytes, bytes, str], ...] = (
    (b"RIFF", b"WEBP", "image/webp"),
    (b"RIFF", b"WAVE", "audio/wav"),
)
_LOCAL_FILE = re.compile(r"file:|[a-z]:[\\/]", re.IGNORECASE)
_AUDIO_FORMATS = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/x-m4a": "m4a",
    "audio/mp4": "m4a",
}


def text_part(text: str) -> Part:
    """`{"type": "text", …}`."""
    return {"type": "text", "text": text}


def image_part(url: str, *, detail: str | None = None) -> Part:
    """An image, by https URL or by `data:` URL; see `data_url`."""
    image: Part = {"url": url}
    if detail is not None:
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def audio_part(data: str, *, format: str) -> Part:  # noqa: A002 - the name in the API
    """Audio as base64, with its format, such as `wav` or `mp3`."""
    return {"type": "input_audio", "input_audio": {"data": data, "format": format}}


def video_part(url: str) -> Part:
    """A video, by https URL or by `data:` URL; see `data_url`."""
    return {"type": "video_url", "video_url": {"url": url}}


def file_part(
    *, data: str | None = None, file_id: str | None = None, filename: str | None = None
) -> Part:
    """A file, by `data:` URL or by the id of an upload."""
    file: Part = {}
    if filename is not None:
        file["filename"] = filename
    if data is not None:
        file["file_data"] = data
    if file_id is not None:
        file["file_id"] = file_id
    return {"type": "file", "file": file}


def resource_text(
    uri: str, *, name: str | None = None, mime_type: str | None = None, text: str | None = None
) -> str:
    """A description of a resource in a tool's result, for a model that cannot open it."""
    title = f"Resource {name}" if name else "Resource"
    kind = f" ({mime_type})" if mime_type else ""
    return f"{title}{kind}: {uri}" + (f"\n{text}" if text else "")


def data_url(data: bytes | str, mime_type: str) -> str:
    """A `data:` URL of bytes, or of text that is already base64."""
    return f"data:{mime_type};base64,{as_base64(data)}"


def as_base64(data: bytes | str) -> str:
    """Bytes as base64 text. A str must be base64 or a `data:` URL, and is not copied."""
    if isinstance(data, str):
        return data.partition(",")[2] if data.startswith("data:") else data
    return base64.b64encode(data).decode("ascii")


def is_local_file(url: str) -> bool:
    """Whether a URL refers to a file of this machine, including by a Windows drive letter."""
    return _LOCAL_FILE.match(url) is not None


def audio_format(mime_type: str) -> str:
    """The API's name of an audio format: `audio/mpeg` is `mp3`, `audio/x-wav` is `wav`."""
    return _AUDIO_FORMATS.get(mime_type, mime_type.partition("/")[2] or mime_type)


def sniff_mime_type(data: bytes | str, *, position: str) -> str:
    """The MIME type of content without one, from its first bytes.

    Args:
        data: Bytes, or base64 text.
        position: Position of the content, for the error.

    Raises:
        UnsupportedContent: The type cannot be determined.
    """
    head = data[:64]
    if isinstance(head, str):
        try:
            head = base64.b64decode(head[:60], validate=True)
        except (binascii.Error, ValueError):
            head = b""
    for start, brand, mime_type in _BY_BRAND:
        if head.startswith(start) and head[8:12] == brand:
            return mime_type
    if head[4:8] == b"ftyp":
        return "audio/mp4" if head[8:11] == b"M4A" else "video/mp4"
    for start, mime_type in _SIGNATURES:
        if head.startswith(start):
            return mime_type
    raise UnsupportedContent(
        f"{position} has no MIME type, and its first bytes do not identify one. Set its MIME type.",
        kind="unknown",
        position=position,
    )


# ── parts of a message ───────────────────────────────────────────────────────

_PLAIN_THINKING = frozenset(("type", "thinking", "closed"))
"""`closed` marks a thought as complete. Mistral sends it with every thought."""


def text_of_part(part: Json) -> str:
    """The text of a text part; empty for other parts."""
    value = part.get("text")
    return value if isinstance(value, str) and part.get("type") == "text" else ""


def thinking_text(part: Json) -> str:
    """The text of a `thinking` part. Mistral sends it as a list of text parts, others as text."""
    if part.get("type") != "thinking":
        return ""
    thinking = part.get("thinking")
    if isinstance(thinking, str):
        return thinking
    return "".join(as_str(one.get("text")) or "" for one in dicts_in(thinking))


def is_plain_thinking(part: Json) -> bool:
    """Whether a `thinking` part has nothing but text, so that plain text represents it fully."""
    thinking = part.get("thinking")
    return (
        part.get("type") == "thinking"
        and _PLAIN_THINKING.issuperset(part)
        and (
            isinstance(thinking, str)
            or (
                isinstance(thinking, list)
                and all(isinstance(one, dict) and set(one) == {"type", "text"} for one in thinking)
            )
        )
    )

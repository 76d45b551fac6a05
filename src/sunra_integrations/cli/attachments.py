"""Files for a prompt: text, images, PDFs, audio and video, as content parts."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sunra_integrations.errors import UnsupportedContent
from sunra_integrations.protocol.content import (
    as_base64,
    audio_format,
    audio_part,
    data_url,
    file_part,
    image_part,
    sniff_mime_type,
    text_part,
    video_part,
)

Part = dict[str, Any]

_PDF = "application/pdf"


def file_parts(paths: Sequence[Path]) -> list[Part]:
    """Return a content part for each file.

    Raises:
        click.UsageError: A file cannot be read, is empty, or is of a type that cannot be sent.
    """
    return [*map(_part_of, paths)]


def _part_of(path: Path) -> Part:
    data = _read(path)
    text, mime_type = _as_text(data), _sniffed(data)
    if text is not None and mime_type != _PDF:  # a text may begin with `BM`, as a bitmap does
        return text_part(f'<file name="{path.name}">\n{text}\n</file>')
    match (mime_type or "").partition("/")[0]:
        case "image":
            return image_part(data_url(data, mime_type))
        case "audio":
            return audio_part(as_base64(data), format=audio_format(mime_type))
        case "video":
            return video_part(data_url(data, mime_type))
        case "application":
            return file_part(data=data_url(data, mime_type), filename=path.name)
        case _:
            raise click.UsageError(
                f"{path} cannot be attached: it is not UTF-8 text, an image, a PDF, audio or video."
            )


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not data:
        raise click.UsageError(f"{path} is empty.")
    return data


def _as_text(data: bytes) -> str | None:
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _sniffed(data: bytes) -> str:
    """Return the MIME type, from the first bytes; empty if they do not identify one."""
    try:
        return sniff_mime_type(data, position="The file")
    except UnsupportedContent:
        return ""

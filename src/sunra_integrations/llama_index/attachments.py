"""Image, audio, video and document blocks as content parts.

The framework's own `resolve_*` methods are not used: they download URLs, and give raw bytes for
base64 where the block holds an open file.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import string
from functools import lru_cache
from io import IOBase
from pathlib import Path

from llama_index.core.base.llms.types import AudioBlock, DocumentBlock, ImageBlock, VideoBlock

from sunra_integrations.errors import UnsupportedContent
from sunra_integrations.protocol.content import (
    Part,
    as_base64,
    audio_format,
    audio_part,
    data_url,
    file_part,
    image_part,
    is_local_file,
    sniff_mime_type,
    video_part,
)

_BASE64 = f"{string.ascii_letters}{string.digits}+/".encode()
UNTITLED = "input_document"  # what DocumentBlock puts where no title was given


def image(block: ImageBlock, position: str) -> Part:
    """The image by its URL, or as a `data:` URL of its bytes."""
    data = _base64_of(block.image, block.path, position)
    if data is not None:
        mime_type = block.image_mimetype or sniff_mime_type(data, position=position)
        return image_part(data_url(data, mime_type), detail=block.detail)
    return image_part(_url(block.url, block.block_type, position), detail=block.detail)


def audio(block: AudioBlock, position: str) -> Part:
    """The sound as base64 with its format; the wire takes no URL of a sound."""
    data = _base64_of(block.audio, block.path, position)
    if data is not None:
        mime_type = (
            f"audio/{block.format}" if block.format else sniff_mime_type(data, position=position)
        )
        return audio_part(data, format=audio_format(mime_type))
    url = _inline(_url(block.url, block.block_type, position), block.block_type, position)
    mime_type = f"audio/{block.format}" if block.format else _type_of_data_url(url)
    return audio_part(as_base64(url), format=audio_format(mime_type))


def video(block: VideoBlock, position: str) -> Part:
    """The video by its URL, or as a `data:` URL of its bytes."""
    for name in ("detail", "fps"):
        if getattr(block, name) is not None:
            raise UnsupportedContent(
                f"{position} sets `{name}`, for which a video on Sunra's wire has no place. "
                "Leave it unset.",
                kind=block.block_type,
                position=position,
            )
    data = _base64_of(block.video, block.path, position)
    if data is not None:
        mime_type = block.video_mimetype or sniff_mime_type(data, position=position)
        return video_part(data_url(data, mime_type))
    return video_part(_url(block.url, block.block_type, position))


def document(block: DocumentBlock, position: str) -> Part:
    """The document as a `data:` URL with its name; the wire takes no other URL of a file."""
    title = None if block.title == UNTITLED else block.title
    data = _base64_of(block.data, block.path, position)
    if data is None:
        url = _inline(_url(block.url, block.block_type, position), block.block_type, position)
        return file_part(data=url, filename=title or block.title)
    name = Path(str(block.path)).name if block.path else None
    mime_type = (
        block.document_mimetype
        or _type_of_name(name or title or "")
        or sniff_mime_type(data, position=position)
    )
    return file_part(data=data_url(data, mime_type), filename=title or name or block.title)


def _type_of_name(name: str) -> str | None:
    """The MIME type of a file's name: Python's own, then the system's.

    On Windows programs register other types for `.csv`, `.js` and the like.
    """
    return _python_types().guess_type(name)[0] or mimetypes.guess_type(name)[0]


@lru_cache(maxsize=1)
def _python_types() -> mimetypes.MimeTypes:
    return mimetypes.MimeTypes()


def _base64_of(
    content: bytes | IOBase | None, path: Path | str | None, position: str
) -> str | None:
    """What the block holds, or the file it points at, as base64; None where there is neither."""
    match content:
        case None if path is not None:
            data = Path(path).read_bytes()
            encoded = as_base64(data)
        case None:
            return None
        case bytes():
            encoded = _as_text(content)
        case IOBase():
            place = content.tell()
            content.seek(0)
            encoded = as_base64(content.read())
            content.seek(place)
    if not encoded:
        raise UnsupportedContent(f"{position} holds zero bytes.", kind="empty", position=position)
    return encoded


def _as_text(content: bytes) -> str:
    """Blocks hold base64 once validated; bytes assigned later are encoded here.

    What the framework reads as base64 is read so here, and goes out well-formed: `b64decode`
    tolerates more padding than a server need accept.
    """
    if _is_base64(content):
        return content.decode("ascii")
    try:
        return as_base64(base64.b64decode(content, validate=True))
    except binascii.Error:
        return as_base64(content)


def _is_base64(content: bytes) -> bool:
    """Whether it is well-formed base64 (RFC 4648), in a quarter of the time of decoding it."""
    rest = content.translate(None, _BASE64)
    return len(content) % 4 == 0 and rest in {b"", b"=", b"=="} and content.endswith(rest)


def _url(url: object, kind: str, position: str) -> str:
    text = "" if url is None else str(url)
    if not text or is_local_file(text):
        what = "points at a file of this machine by URL" if text else "holds nothing to send"
        raise UnsupportedContent(
            f"{position} ({kind}) {what}. Give its bytes, its path or a URL that Sunra can reach.",
            kind=kind,
            position=position,
        )
    return text


def _inline(url: str, kind: str, position: str) -> str:
    if not url.startswith("data:") or ";base64," not in url:
        raise UnsupportedContent(
            f"{position} ({kind}) is given by URL, which Sunra's wire takes for images and videos "
            "only; nothing is downloaded here. Give its bytes or its path.",
            kind=kind,
            position=position,
        )
    return url


def _type_of_data_url(url: str) -> str:
    return url[len("data:") :].partition(";")[0]

"""Text, image, audio, video and document blocks as content parts.

The data of a block comes from its bytes, its file or its `data:` URL. Nothing is downloaded.
LlamaIndex's own `resolve_*` methods are not used. They download URLs, and for an open file they
return raw bytes instead of base64: https://github.com/run-llama/llama_index/pull/23159
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import string
from functools import lru_cache
from io import IOBase
from pathlib import Path

from llama_index.core.base.llms.types import (
    AudioBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    VideoBlock,
)

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
    resource_text,
    sniff_mime_type,
    text_part,
    video_part,
)

MediaBlock = AudioBlock | DocumentBlock | ImageBlock | VideoBlock

_UNTITLED = "input_document"  # DocumentBlock's default title


def content_part(block: TextBlock | MediaBlock, position: str = "block") -> Part:
    """A text, image, audio, video or document block as a content part."""
    match block:
        case TextBlock():
            return text_part(block.text)
        case ImageBlock():
            return _image(block, position)
        case AudioBlock():
            return _audio(block, position)
        case VideoBlock():
            return _video(block, position)
        case DocumentBlock():
            return _document(block, position)


_HELD_IN = ("image", "audio", "video", "data")
_MIME_TYPES = ("document_mimetype", "image_mimetype", "video_mimetype")


def linked_resource(block: MediaBlock) -> str | None:
    """Text for a resource that a tool only links to (MCP); None if the block can be sent."""
    url = "" if block.url is None else str(block.url)
    has_data = block.path or any(getattr(block, name, None) for name in _HELD_IN)
    if not url or has_data or url.startswith("data:"):
        return None
    if isinstance(block, ImageBlock | VideoBlock) and url.lower().startswith(("http:", "https:")):
        return None
    title = block.title if isinstance(block, DocumentBlock) else None
    name = None if title == _UNTITLED else title
    mime_type = next((getattr(block, n) for n in _MIME_TYPES if getattr(block, n, None)), None)
    return resource_text(url, name=name, mime_type=mime_type)


def _image(block: ImageBlock, position: str) -> Part:
    data = _base64_data(block.image, block.path, position)
    if data is None:
        return image_part(_url(block, position), detail=block.detail)
    mime_type = block.image_mimetype or sniff_mime_type(data, position=position)
    return image_part(data_url(data, mime_type), detail=block.detail)


def _audio(block: AudioBlock, position: str) -> Part:
    mime_type = f"audio/{block.format}" if block.format else None
    data = _base64_data(block.audio, block.path, position)
    if data is None:
        url = _data_url(block, position)
        url_type = url[len("data:") :].partition(";")[0]
        return audio_part(as_base64(url), format=audio_format(mime_type or url_type))
    mime_type = mime_type or sniff_mime_type(data, position=position)
    return audio_part(data, format=audio_format(mime_type))


def _video(block: VideoBlock, position: str) -> Part:
    for name in ("detail", "fps"):
        if getattr(block, name) is not None:
            raise UnsupportedContent(
                f"{position} sets `{name}`, which Sunra's API does not have for videos. "
                "Leave it unset.",
                kind=block.block_type,
                position=position,
            )
    data = _base64_data(block.video, block.path, position)
    if data is None:
        return video_part(_url(block, position))
    mime_type = block.video_mimetype or sniff_mime_type(data, position=position)
    return video_part(data_url(data, mime_type))


def _document(block: DocumentBlock, position: str) -> Part:
    title = None if block.title == _UNTITLED else block.title
    data = _base64_data(block.data, block.path, position)
    if data is None:
        return file_part(data=_data_url(block, position), filename=title or block.title)
    name = Path(str(block.path)).name if block.path else None
    mime_type = (
        block.document_mimetype
        or _type_of_name(name or title or "")
        or sniff_mime_type(data, position=position)
    )
    return file_part(data=data_url(data, mime_type), filename=title or name or block.title)


def _type_of_name(name: str) -> str | None:
    """The MIME type by file name: Python's table first, then the system's.

    On Windows, installed programs register other types for `.csv`, `.js` and the like.
    """
    return _python_types().guess_type(name)[0] or mimetypes.guess_type(name)[0]


@lru_cache(maxsize=1)
def _python_types() -> mimetypes.MimeTypes:
    return mimetypes.MimeTypes()


def _base64_data(data: bytes | IOBase | None, path: Path | str | None, position: str) -> str | None:
    """The block's content, or its file's, as base64; None if it has neither."""
    match data:
        case None if path is not None:
            encoded = as_base64(Path(path).read_bytes())
        case None:
            return None
        case bytes():
            encoded = _as_base64_text(data)
        case IOBase():
            offset = data.tell()
            data.seek(0)
            encoded = as_base64(data.read())
            data.seek(offset)
    if not encoded:
        raise UnsupportedContent(f"{position} is empty.", kind="empty", position=position)
    return encoded


_BASE64 = f"{string.ascii_letters}{string.digits}+/".encode()


def _as_base64_text(data: bytes) -> str:
    """Bytes of a block as base64.

    Validated blocks hold base64; bytes assigned later may be anything. Both are sent as
    well-formed base64, because `b64decode` accepts padding that servers may refuse.
    """
    if _is_base64(data):
        return data.decode("ascii")
    try:
        return as_base64(base64.b64decode(data, validate=True))
    except binascii.Error:
        return as_base64(data)


def _is_base64(data: bytes) -> bool:
    """Whether it is well-formed base64 (RFC 4648), in a quarter of the time of decoding it."""
    rest = data.translate(None, _BASE64)
    return len(data) % 4 == 0 and rest in {b"", b"=", b"=="} and data.endswith(rest)


def _url(block: MediaBlock, position: str) -> str:
    url = "" if block.url is None else str(block.url)
    if not url or is_local_file(url):
        problem = "has the URL of a local file" if url else "is empty"
        raise UnsupportedContent(
            f"{position} ({block.block_type}) {problem}. Set its bytes, its path or a URL that "
            "Sunra can reach.",
            kind=block.block_type,
            position=position,
        )
    return url


def _data_url(block: AudioBlock | DocumentBlock, position: str) -> str:
    url = _url(block, position)
    if not url.startswith("data:") or ";base64," not in url:
        raise UnsupportedContent(
            f"{position} ({block.block_type}) has a URL, which Sunra only accepts for images and "
            "videos. Set its bytes or its path.",
            kind=block.block_type,
            position=position,
        )
    return url

"""Convert a LangChain content block to a content part of the API.

Supported are OpenAI's parts (`image_url`, `input_audio`, …), LangChain's standard blocks (`image`,
`audio`, `video`, `file`, `text-plain`, `non_standard`), older blocks with a `source_type`,
Anthropic's `image` and `document` with a `source`, Google's `media`, and the parts of OpenAI's
Responses API (`input_text`, …). Any other block raises `UnsupportedContent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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

Block = Mapping[str, Any]

_API_TYPES = frozenset(("image_url", "input_audio", "video_url", "file"))
_FOREIGN_TYPES = frozenset(
    ("input_image", "input_file", "media", "image_generation_call", "resource")
)
_ENDINGS = {"text/plain": "txt", "text/markdown": "md", "application/msword": "doc"}
_RIFF = "UklGR"
"""Base64 of `RIFF`, with which a WAV file begins."""
LANGCHAIN_KEYS = frozenset(("id", "index", "annotations", "extras"))
"""Keys that LangChain adds to a block; the API has no such fields."""


def content_part(block: object, position: str) -> Part:
    """The content part for one block; a `cache_control` of the block is kept.

    Args:
        block: A string, or a block of a supported form.
        position: Its position, such as `messages[2].content[0]`, for errors.

    Raises:
        UnsupportedContent: The API has no part for it.
    """
    if isinstance(block, str):
        return text_part(block)
    if not isinstance(block, Mapping):
        raise not_content(block, position, "a block must be a string or a dict")
    return {**_converted(block, position), **cache_mark(block)}


def cache_mark(block: Block) -> dict[str, Any]:
    """The `cache_control` of a block or of its `extras`, as a field; empty if it has none."""
    mark = block.get("cache_control") or _extras(block).get("cache_control")
    return {"cache_control": mark} if mark else {}


def tool_result_part(block: object, position: str) -> Part:
    """Like `content_part`, for a block of a tool result.

    A link that the API cannot carry becomes text that names the resource. MCP servers return such
    links, and an error would end the agent's run.
    """
    if isinstance(block, Mapping) and (link := _linked_resource(block)) is not None:
        return {**text_part(link), **cache_mark(block)}
    match block:
        case {"type": "custom_tool_call_output", "output": str() as output}:  # langchain-openai
            return text_part(output)
        case _:
            return content_part(block, position)


def unsupported(block: Block, position: str, why: str) -> UnsupportedContent:
    """The error for a block that cannot be sent."""
    kind = str(block.get("type", "untyped"))
    return UnsupportedContent(
        f"{position} is a block of type {kind!r}, {why}. To send the rest, leave it out of the "
        "message's `content`.",
        kind=kind,
        position=position,
    )


def not_content(given: object, position: str, rule: str) -> UnsupportedContent:
    """The error for a value that is not content."""
    kind = type(given).__name__
    return UnsupportedContent(
        f"{position} is a Python {kind!r}; {rule}.", kind=kind, position=position
    )


def _converted(block: Block, position: str) -> Part:
    kind = block.get("type")
    match kind:
        case "text" | "output_text" | "input_text":
            return _text(block, position)
        case str() if kind in _FOREIGN_TYPES:
            return _converted(_standard(block, position), position)
        case str() if kind in _API_TYPES and isinstance(block.get(kind), (str, Mapping)):
            return _unchanged(block, kind, position)
        case "image":
            url = _url(block, position, "give its `url` or `base64`")
            return image_part(url, detail=block.get("detail") or _extras(block).get("detail"))
        case "audio":
            return _audio(block, position)
        case "video":
            return video_part(_url(block, position, "give its `url` or `base64`"))
        case "file" | "document":
            return _file(block, position)
        case "text-plain":
            return _plain_text(block, position)
        case "non_standard" if isinstance(block.get("value"), Mapping):
            return dict(block["value"])
        case _:
            raise unsupported(block, position, "which the Sunra API does not support")


def _linked_resource(block: Block) -> str | None:
    match block:
        case {"type": "resource_link", "uri": uri}:
            return resource_text(
                str(uri), name=_filename(block) or block.get("name"), mime_type=_mime_type(block)
            )
        case {"type": "resource", "resource": {"uri": uri, "text": str() as text} as resource}:
            return resource_text(str(uri), mime_type=_mime_type(resource), text=text)
        case {"type": "file" | "audio" | "document" | "image" | "video" as kind} if not (
            block.get("base64") or block.get("data") or _file_id(block)
        ):
            url = _linked_url(block)
            if url is None or url.startswith("data:"):
                return None
            if kind in {"image", "video"} and url.lower().startswith(("http:", "https:")):
                return None
            return resource_text(url, name=_filename(block), mime_type=_mime_type(block))
        case _:
            return None


def _linked_url(block: Block) -> str | None:
    source = block.get("source")
    url = source.get("url") if isinstance(source, Mapping) else block.get("url")
    return url if isinstance(url, str) and url else None


def _mime_type(block: Block) -> str | None:
    mime_type = block.get("mime_type") or block.get("mimeType")
    return mime_type if isinstance(mime_type, str) else None


def _text(block: Block, position: str) -> Part:
    text = block.get("text")
    if not isinstance(text, str):
        raise unsupported(block, position, "whose `text` is not a string")
    return text_part(text)


def _unchanged(block: Block, kind: str, position: str) -> Part:
    """A part that is in the API's form already; a bare URL is wrapped in its object."""
    made = {name: value for name, value in block.items() if name not in LANGCHAIN_KEYS}
    if isinstance(block[kind], str):
        made = {"type": kind, kind: _wrapped(kind, block, position)}
    return made


def _wrapped(kind: str, block: Block, position: str) -> Any:
    """A part's value, made from a bare string."""
    bare = block[kind]
    if kind not in {"input_audio", "file"}:
        return {"url": bare}
    named = {name: value for name, value in block.items() if name != kind}
    named |= {"url": bare} if "://" in bare else {"base64": bare}
    if kind == "file":
        return _converted({**named, "type": "file"}, position)["file"]
    if isinstance(block.get("format"), str):
        named["mime_type"] = f"audio/{block['format']}"
    elif bare.startswith(_RIFF):
        named["mime_type"] = "audio/wav"
    return _converted({**named, "type": "audio"}, position)["input_audio"]


def _standard(block: Block, position: str) -> Block:
    """Google's `media`, MCP's `resource` and Responses API parts as standard blocks."""
    match block:
        case {"type": "input_image", "image_url": str() as url}:
            return {"type": "image", "url": url, "detail": block.get("detail")}
        case {"type": "image_generation_call", "result": str() as data}:
            return {"type": "image", "base64": data}
        case {"type": "input_file", **rest}:
            return {**rest, "type": "file", "base64": rest.get("file_data")}
        case {"type": "resource", "resource": {"blob": str() as data} as resource}:
            held = {"type": "media", "mime_type": _mime_type(resource), "data": data}
            return _standard(held, position)
        case {"type": "media", "mime_type": str() as mime_type}:
            family = mime_type.partition("/")[0]
            kind = family if family in {"image", "audio", "video"} else "file"
            return {**block, "type": kind, "url": block.get("file_uri")}
        case _:
            raise unsupported(block, position, "which the Sunra API does not support")


def _audio(block: Block, position: str) -> Part:
    url = _url(block, position, "give its `base64`")
    if not url.startswith("data:"):
        raise unsupported(
            block, position, "given by URL, which is not downloaded; Sunra accepts audio only as "
            "`base64`"
        )  # fmt: skip
    mime_type = url.removeprefix("data:").partition(";")[0]
    return audio_part(as_base64(url), format=audio_format(mime_type))


def _file(block: Block, position: str) -> Part:
    name = _filename(block)
    file_id = _file_id(block)
    if file_id is not None:
        return file_part(file_id=file_id, filename=name)
    source = block.get("source")
    if isinstance(source, Mapping) and source.get("type") == "text":
        text = str(source.get("data", ""))
        return _named_file(data_url(text.encode(), "text/plain"), name)
    url = _url(block, position, "give its `base64` or `file_id`")
    if not url.startswith("data:"):
        raise unsupported(
            block, position, "given by URL, which is not downloaded; Sunra accepts files only as "
            "`base64` or `file_id`"
        )  # fmt: skip
    return _named_file(url, name)


def _plain_text(block: Block, position: str) -> Part:
    if isinstance(block.get("text"), str):
        return text_part(block["text"])
    return _file(block, position)


def _url(block: Block, position: str, what_to_give: str) -> str:
    """The content's URL, or a `data:` URL of its bytes."""
    source = block.get("source")
    if isinstance(source, Mapping):  # Anthropic
        data, url, mime_type = source.get("data"), source.get("url"), source.get("media_type")
    else:
        data, url = block.get("base64", block.get("data")), block.get("url")
        mime_type = _mime_type(block)
    if isinstance(data, (str, bytes)) and data:
        if isinstance(data, str) and data.startswith("data:"):
            return data
        return data_url(data, mime_type or sniff_mime_type(data, position=position))
    if isinstance(url, str) and is_local_file(url):
        raise unsupported(block, position, "whose URL is a local file; give its `base64`")
    if isinstance(url, str) and url:
        return url
    raise unsupported(block, position, f"without content that Sunra accepts; {what_to_give}")


def _file_id(block: Block) -> str | None:
    source = block.get("source")
    if isinstance(source, Mapping):
        return source.get("file_id")
    if block.get("source_type") == "id":
        return block.get("id")
    return block.get("file_id")


def _named_file(url: str, name: str | None) -> Part:
    """A file part with a `data:` URL. The API requires a name, which defaults to one by type."""
    mime_type = url.removeprefix("data:").partition(";")[0]
    ending = _ENDINGS.get(mime_type, mime_type.partition("/")[2])
    return file_part(data=url, filename=name or f"file.{ending}")


def _filename(block: Block) -> str | None:
    """The file's name, from any of the keys that hold it."""
    extras = _extras(block)
    metadata = block.get("metadata")
    named = metadata if isinstance(metadata, Mapping) else {}
    return (
        block.get("filename")
        or block.get("title")
        or extras.get("filename")
        or extras.get("file_filename")  # langchain-core moves an OpenAI part's own name here
        or named.get("filename")
    )


def _extras(block: Block) -> Block:
    extras = block.get("extras")
    return extras if isinstance(extras, Mapping) else {}

"""Sounds, images and citations of an answer as LlamaIndex's blocks."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from llama_index.core.base.llms.types import AudioBlock, CitationBlock, ImageBlock, TextBlock

from sunra_integrations.protocol.choices import Choice, ChoiceFold
from sunra_integrations.protocol.json_values import Json, count
from sunra_integrations.protocol.responses import IN_CONTENT, is_plain_thinking


def sound(extra: Json) -> AudioBlock | None:
    """The sound of an answer; None while its base64 is not whole, as in the middle of a stream."""
    match extra.get("audio"):
        case {"data": str() as data} if data:
            try:
                base64.b64decode(data, validate=True)
            except binascii.Error:
                return None
            return AudioBlock(audio=data.encode())
        case _:
            return None


def images_and_others(choice: Choice | ChoiceFold) -> tuple[list[ImageBlock], list[Json]]:
    """Images from either place where servers put them, and all other parts of the content.

    The parts are empty where blocks stand for all of them; else they are to be replayed.
    """
    images: list[ImageBlock] = []
    parts: list[Json] = []
    for part in (*choice.parts, *choice.images):
        match part:
            case {"image_url": {"url": str() as url}}:
                images.append(_image(url))
            case _:
                parts.append(part)
    if all(map(_has_block, parts)):
        return images, []
    if choice.reasoning_field != IN_CONTENT:
        parts = [part for part in parts if not is_plain_thinking(part)]
    return images, parts


def _has_block(part: Json) -> bool:
    """Whether a text or a thought is its words and nothing else."""
    is_text = part.get("type") in {"text", "output_text"} and len(part) == len(("type", "text"))
    return is_text or is_plain_thinking(part)


def _image(url: str) -> ImageBlock:
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime_type = head[len("data:") : -len(";base64")]
        return ImageBlock(image=data.encode(), image_mimetype=mime_type or None)
    return ImageBlock(url=url)


def citations(choice: Choice | ChoiceFold) -> Iterable[CitationBlock]:
    """The citations of URLs, each with the words it is said of where they are told."""
    for annotation in choice.annotations:
        match annotation:
            case {"type": "url_citation", "url_citation": {"url": str()} as citation}:
                yield _citation(citation, choice.text)
            case {"type": "url_citation", "url": str()}:
                yield _citation(annotation, choice.text)
            case _:  # kept in additional_kwargs["annotations"], as all of them are
                continue


def _citation(citation: Json, text: str) -> CitationBlock:
    place = {
        name: number
        for name in ("start_index", "end_index")
        if (number := count(citation.get(name))) is not None
    }
    cited = citation.get("content")
    if not isinstance(cited, str):
        cited = text[place.get("start_index", 0) : place.get("end_index", 0)]
    return CitationBlock(
        cited_content=TextBlock(text=cited),
        source=citation["url"],
        title=str(citation.get("title") or ""),
        additional_location_info=place,
    )

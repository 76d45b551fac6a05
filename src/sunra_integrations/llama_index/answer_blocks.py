"""Sounds, images and citations of an answer as LlamaIndex's blocks."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from llama_index.core.base.llms.types import AudioBlock, CitationBlock, ImageBlock, TextBlock

from sunra_integrations.protocol.choices import Choice, ChoiceFold
from sunra_integrations.protocol.json_values import Json, count, objects


def sound(extra: Json) -> AudioBlock | None:
    """The sound of an answer; None while its base64 is not whole, as in the middle of a stream."""
    match extra.get("audio"):
        case {"data": str() as data} if data:
            try:
                base64.b64decode(data, validate=True)
                return AudioBlock(audio=data.encode())
            except (
                ValueError
            ):  # no base64, or the framework's class refuses it: it stays as it came
                return None
        case _:
            return None


def images_and_others(choice: Choice | ChoiceFold) -> tuple[list[ImageBlock], list[Json]]:
    """Images from either place where servers put them, and the parts that have no block."""
    images: list[ImageBlock] = []
    others: list[Json] = []
    for part in (*choice.parts, *choice.images):
        match part:
            case {"type": "text" | "output_text", "text": str(), **more} if not more:
                continue
            case {"image_url": {"url": str() as url}} if (image := _image(url)) is not None:
                images.append(image)
            case _:
                others.append(part)
    return images, others


def _image(url: str) -> ImageBlock | None:
    """The image; None where the framework's class refuses the URL."""
    head, comma, data = url.partition(",")
    try:
        if comma and head.startswith("data:") and head.endswith(";base64"):
            mime_type = head[len("data:") : -len(";base64")]
            return ImageBlock(image=data.encode(), image_mimetype=mime_type or None)
        return ImageBlock(url=url)
    except ValueError:
        return None


def citations(choice: Choice | ChoiceFold) -> Iterable[CitationBlock]:
    """The citations of URLs, each with the words it is said of where they are told."""
    of_parts = [one for part in choice.parts for one in objects(part.get("annotations"))]
    for annotation in (*choice.annotations, *of_parts):
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

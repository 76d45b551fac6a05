"""Sounds, images and citations of an answer as LlamaIndex's blocks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import NamedTuple

from llama_index.core.base.llms.types import AudioBlock, CitationBlock, ImageBlock, TextBlock

from sunra_integrations.llama_index.shared_blocks import SharedBlocks
from sunra_integrations.protocol.accumulator import ChoiceAccumulator
from sunra_integrations.protocol.content import is_plain_thinking, text_of_part
from sunra_integrations.protocol.json_text import Json, as_int, dicts_in
from sunra_integrations.protocol.reply import IN_CONTENT, Choice


class MediaBlocks:
    """The sound, images, citations and other parts of an answer that may still be growing.

    Each is converted once, however often it is read: an answer is read after every event of
    its stream.
    """

    def __init__(self) -> None:
        self._in_parts = _Images()
        self._in_images = _Images()
        self._citations = _Citations()
        self._citations_in_text = _Citations()
        self._in_text: list[Json] = []
        self._parts_seen = 0
        self._decodable = 0

    def sound(self, extra: Json) -> AudioBlock | None:
        """The sound; None while its base64 is not whole, as in the middle of a stream."""
        match extra.get("audio"):
            case {"data": str() as data} if data:
                new = data[self._decodable :]
                try:
                    base64.b64decode(new, validate=True)
                    if not new.endswith("="):  # nothing may follow padding, so it is read again
                        self._decodable = len(data)
                    return AudioBlock(audio=data.encode())
                except ValueError:  # not base64, or the framework's class refuses it
                    return None
            case _:
                return None

    def images_and_others(
        self, choice: Choice | ChoiceAccumulator
    ) -> tuple[list[ImageBlock], list[Json], list[int]]:
        """Images from either place where servers put them, and the parts that have no block.

        The latter are to be replayed; the third list holds how much of the text is before each.
        """
        parts, images = self._in_parts, self._in_images
        parts.add(choice.parts)
        images.add(choice.images)
        kept = parts.with_thoughts if choice.reasoning_field == IN_CONTENT else parts.others
        others = kept.parts + images.others.parts
        places = kept.places + [len(choice.text)] * len(images.others.parts)
        return parts.blocks.given() + images.blocks.given(), others, places

    def citations(self, choice: Choice | ChoiceAccumulator) -> list[CitationBlock]:
        """The URL citations, each with the cited text if its place is known."""
        for part in choice.parts[self._parts_seen :]:
            self._in_text += dicts_in(part.get("annotations"))
        self._parts_seen = len(choice.parts)
        beside = self._citations.of(choice.annotations, choice.text)
        return beside + self._citations_in_text.of(self._in_text, choice.text)


class _Images:
    def __init__(self) -> None:
        self.blocks: SharedBlocks[ImageBlock] = SharedBlocks()
        self.others = _Others([], [])
        """The parts without a block."""
        self.with_thoughts = _Others([], [])
        """The same, and plain thinking text, which has a block."""
        self._seen = 0
        self._counted = 0
        self._text_before = 0

    def add(self, parts: Sequence[Json]) -> None:
        """Adds the parts behind those already added; only text changes when it grows."""
        for place, part in enumerate(parts[self._seen :], self._seen):
            match part:
                case {"type": "text" | "output_text", "text": str(), **more} if not more:
                    continue
                case {"image_url": {"url": str() as url}} if (image := _image(url)) is not None:
                    self.blocks.put(place, image)
                case _:
                    self._keep(place, part, parts)
        self._seen = len(parts)

    def _keep(self, place: int, part: Json, parts: Sequence[Json]) -> None:
        self._text_before += sum(len(text_of_part(one)) for one in parts[self._counted : place])
        self._counted = place
        self.with_thoughts.parts.append(part)
        self.with_thoughts.places.append(self._text_before)
        if not is_plain_thinking(part):
            self.others.parts.append(part)
            self.others.places.append(self._text_before)


class _Others(NamedTuple):
    parts: list[Json]
    places: list[int]
    """How much of the text comes before each."""


class _Growing(NamedTuple):
    citation: Json
    words: slice
    cited: str


class _Citations:
    def __init__(self) -> None:
        self._blocks: SharedBlocks[CitationBlock] = SharedBlocks()
        self._seen = 0
        self._growing: dict[int, _Growing] = {}
        """The citations whose text may be incomplete, by their places."""

    def of(self, annotations: Sequence[Json], text: str) -> list[CitationBlock]:
        for place, annotation in enumerate(annotations[self._seen :], self._seen):
            match annotation:
                case {"type": "url_citation", "url_citation": {"url": str()} as citation}:
                    self._add(place, citation, text)
                case {"type": "url_citation", "url": str()}:
                    self._add(place, annotation, text)
                case _:  # kept in additional_kwargs["annotations"], as all of them are
                    continue
        self._seen = len(annotations)
        grown = [
            place for place, (_, words, cited) in self._growing.items() if text[words] != cited
        ]
        for place in grown:
            self._add(place, self._growing.pop(place).citation, text)
        return self._blocks.given()

    def _add(self, place: int, citation: Json, text: str) -> None:
        numbers = {
            name: number
            for name in ("start_index", "end_index")
            if (number := as_int(citation.get(name))) is not None
        }
        cited = citation.get("content")
        if not isinstance(cited, str):
            words = slice(numbers.get("start_index", 0), numbers.get("end_index", 0))
            cited = text[words]
            if words.stop > len(text):
                self._growing[place] = _Growing(citation, words, cited)
        block = CitationBlock(
            cited_content=TextBlock(text=cited),
            source=citation["url"],
            title=str(citation.get("title") or ""),
            additional_location_info=numbers,
        )
        self._blocks.put(place, block)


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

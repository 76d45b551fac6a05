"""Audio, images and citations of a reply as LlamaIndex content blocks.

Every response of a stream contains the whole reply so far. Converting all of it for each response
would take time quadratic in its length. So each part is converted once, and responses share its
block.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

from llama_index.core.base.llms.types import AudioBlock, CitationBlock, ImageBlock, TextBlock
from pydantic import BaseModel

from sunra_integrations.protocol.accumulator import ChoiceAccumulator
from sunra_integrations.protocol.content import is_plain_thinking, text_of_part
from sunra_integrations.protocol.json_text import Json, as_int, dicts_in
from sunra_integrations.protocol.reply import IN_CONTENT, Choice

_B = TypeVar("_B", bound=BaseModel)


class MediaBlocks:
    """The audio, images, citations and other parts of a choice that may still grow."""

    def __init__(self) -> None:
        self._content_images = _Images()
        self._images = _Images()
        self._citations = _Citations()
        self._citations_in_parts = _Citations()
        self._annotations_in_parts: list[Json] = []
        self._parts_read = 0
        self._decoded = 0

    def audio(self, message_extra: Json) -> AudioBlock | None:
        """The audio; None if its base64 is incomplete, as in the middle of a stream."""
        match message_extra.get("audio"):
            case {"data": str() as data} if data:
                new = data[self._decoded :]
                try:
                    base64.b64decode(new, validate=True)
                    if not new.endswith("="):  # data after padding is invalid: check it together
                        self._decoded = len(data)
                    return AudioBlock(audio=data.encode())
                except ValueError:  # not base64, or refused by AudioBlock
                    return None
            case _:
                return None

    def images_and_other_parts(
        self, choice: Choice | ChoiceAccumulator
    ) -> tuple[list[ImageBlock], list[Json], list[int]]:
        """The images, and the parts that no block can hold, to be replayed.

        Servers send images among the content's parts or beside the content. The third list has
        the length of the text before each of the other parts.
        """
        in_content, beside = self._content_images, self._images
        in_content.add(choice.parts)
        beside.add(choice.images)
        replays_thinking = choice.reasoning_field == IN_CONTENT
        kept = in_content.others_and_thinking if replays_thinking else in_content.others
        parts = kept.parts + beside.others.parts
        places = kept.places + [len(choice.text)] * len(beside.others.parts)
        return in_content.blocks.all() + beside.blocks.all(), parts, places

    def citations(self, choice: Choice | ChoiceAccumulator) -> list[CitationBlock]:
        """The URL citations, each with the cited text if its position is known."""
        for part in choice.parts[self._parts_read :]:
            self._annotations_in_parts += dicts_in(part.get("annotations"))
        self._parts_read = len(choice.parts)
        beside = self._citations.blocks(choice.annotations, choice.text)
        return beside + self._citations_in_parts.blocks(self._annotations_in_parts, choice.text)


class SharedBlocks(Generic[_B]):
    """Blocks in the order of their keys. If a reader changes one, later readers get another copy.

    Only the fields of a block are compared: the objects that its fields refer to stay shared.
    """

    def __init__(self) -> None:
        self._originals: dict[int, _B] = {}
        self._shared: dict[int, _B] = {}

    def put(self, key: int, block: _B) -> None:
        """Adds a block, or replaces the one with this key."""
        in_order = (
            key in self._originals or not self._originals or key > next(reversed(self._originals))
        )
        self._originals[key] = block
        self._shared[key] = block.model_copy()
        if not in_order:
            self._originals = dict(sorted(self._originals.items()))
            self._shared = dict(sorted(self._shared.items()))

    def all(self) -> list[_B]:
        """A list of all blocks."""
        if not self._originals:
            return []
        if list(map(_fields, self._shared.values())) != list(
            map(_fields, self._originals.values())
        ):
            for key, original in self._originals.items():
                if _fields(self._shared[key]) != _fields(original):
                    self._shared[key] = original.model_copy()
        return list(self._shared.values())


_fields = attrgetter("__dict__")


class _OtherParts(NamedTuple):
    parts: list[Json]
    places: list[int]
    """The length of the text before each part."""


class _Images:
    """The images in a growing list of parts, and the parts that are neither image nor text."""

    def __init__(self) -> None:
        self.blocks: SharedBlocks[ImageBlock] = SharedBlocks()
        self.others = _OtherParts([], [])
        self.others_and_thinking = _OtherParts([], [])
        self._read = 0
        self._counted = 0
        self._text_length = 0

    def add(self, parts: Sequence[Json]) -> None:
        """Reads the parts after those already read; earlier parts only change if they are text."""
        for place, part in enumerate(parts[self._read :], self._read):
            match part:
                case {"type": "text" | "output_text", "text": str(), **more} if not more:
                    continue
                case {"image_url": {"url": str() as url}} if (image := _image(url)) is not None:
                    self.blocks.put(place, image)
                case _:
                    self._keep(place, part, parts)
        self._read = len(parts)

    def _keep(self, place: int, part: Json, parts: Sequence[Json]) -> None:
        self._text_length += sum(len(text_of_part(one)) for one in parts[self._counted : place])
        self._counted = place
        self.others_and_thinking.parts.append(part)
        self.others_and_thinking.places.append(self._text_length)
        if not is_plain_thinking(part):
            self.others.parts.append(part)
            self.others.places.append(self._text_length)


def _image(url: str) -> ImageBlock | None:
    """The image; None if ImageBlock refuses the URL."""
    head, comma, data = url.partition(",")
    try:
        if comma and head.startswith("data:") and head.endswith(";base64"):
            mime_type = head[len("data:") : -len(";base64")]
            return ImageBlock(image=data.encode(), image_mimetype=mime_type or None)
        return ImageBlock(url=url)
    except ValueError:
        return None


class _IncompleteCitation(NamedTuple):
    citation: Json
    words: slice
    cited: str


class _Citations:
    """The citations in a growing list of annotations."""

    def __init__(self) -> None:
        self._blocks: SharedBlocks[CitationBlock] = SharedBlocks()
        self._read = 0
        self._incomplete: dict[int, _IncompleteCitation] = {}
        """Citations of text that is not received yet, by their places in the list."""

    def blocks(self, annotations: Sequence[Json], text: str) -> list[CitationBlock]:
        for place, annotation in enumerate(annotations[self._read :], self._read):
            match annotation:
                case {"type": "url_citation", "url_citation": {"url": str()} as citation}:
                    self._add(place, citation, text)
                case {"type": "url_citation", "url": str()}:
                    self._add(place, annotation, text)
                case _:  # `additional_kwargs["annotations"]` has every annotation
                    continue
        self._read = len(annotations)
        grown = [
            place for place, (_, words, cited) in self._incomplete.items() if text[words] != cited
        ]
        for place in grown:
            self._add(place, self._incomplete.pop(place).citation, text)
        return self._blocks.all()

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
                self._incomplete[place] = _IncompleteCitation(citation, words, cited)
        block = CitationBlock(
            cited_content=TextBlock(text=cited),
            source=citation["url"],
            title=str(citation.get("title") or ""),
            additional_location_info=numbers,
        )
        self._blocks.put(place, block)

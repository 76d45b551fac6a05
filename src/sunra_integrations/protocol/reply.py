"""Chunks, or one completion, to a finished Reply.

`Fold` is the only place that knows how pieces add up; what a stream interrupted had brought, what
`create` returns and what a stream adds up to are all its work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sunra_integrations.protocol.accumulation import (
    accumulated,
    join_details,
    text_part,
    with_joined_text,
)
from sunra_integrations.protocol.responses import (
    NOTHING,
    ChoiceDelta,
    Chunk,
    Json,
    ToolCallDelta,
    Usage,
)
from sunra_integrations.protocol.tool_call_order import parse_arguments


def _nothing() -> Json:
    return NOTHING


@dataclass(frozen=True)
class ToolCall:
    """One finished call of a tool."""

    id: str
    name: str
    arguments: str
    """The arguments exactly as the model wrote them; see `parsed`."""
    extra: Json = field(default_factory=_nothing)

    def parsed(self) -> dict[str, Any] | None:
        """The arguments as a dict (`{}` where there were none); None where they are broken."""
        return parse_arguments(self.arguments)


@dataclass(frozen=True)
class Choice:
    """One answer; a reply to a request with `n` above 1 has several."""

    index: int
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    logprobs: Json | None = None
    refusal: str = ""
    parts: tuple[Json, ...] = ()
    """Content in its parts, where it came as parts; empty where it came as plain text."""
    reasoning_details: tuple[Json, ...] = ()
    annotations: tuple[Json, ...] = ()
    images: tuple[Json, ...] = ()
    extra: Json = field(default_factory=_nothing)
    message_extra: Json = field(default_factory=_nothing)
    reasoning_field: str | None = None
    """The name `reasoning` came under; see `replay`."""


@dataclass(frozen=True)
class Reply:
    """A whole answer, streamed or not."""

    choices: tuple[Choice, ...]
    id: str | None = None
    model: str | None = None
    created: int | None = None
    system_fingerprint: str | None = None
    usage: Usage | None = None
    request_id: str | None = None
    extra: Json = field(default_factory=_nothing)
    raw: Json = field(default_factory=_nothing, repr=False)
    """The completion as it came; empty for a reply that came as a stream."""

    @property
    def choice(self) -> Choice:
        """The first choice; an empty one where there is none."""
        return self.choices[0] if self.choices else Choice(0)

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choice.text


def fold(chunks: Iterable[Chunk]) -> Reply:
    """The Reply that these chunks add up to."""
    total = Fold()
    for chunk in chunks:
        total.add(chunk)
    return total.reply()


class Fold:
    """Adds up chunks as they come; `reply()` may be asked at any time."""

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceFold] = {}
        self._request_id: str | None = None
        self._id: str | None = None
        self._model: str | None = None
        self._created: int | None = None
        self._fingerprint: str | None = None
        self._usage: Usage | None = None
        self._extra: dict[str, Any] = {}

    @property
    def unfinished(self) -> list[int]:
        """The choices that began and have no finish_reason yet."""
        return [i for i, choice in self._choices.items() if choice.finish_reason is None]

    @property
    def begun(self) -> int:
        """How many choices have begun."""
        return len(self._choices)

    def add(self, chunk: Chunk) -> None:
        """Takes in one chunk."""
        for delta in chunk.choices:
            choice = self._choices.get(delta.choice_index)
            if choice is None:
                choice = self._choices[delta.choice_index] = _ChoiceFold()
            choice.add(delta)
        _, said_id, model, created, fingerprint, usage, self._request_id, extra, _ = chunk
        if self._id is None:
            self._id = said_id
        if self._created is None:
            self._created = created
        if model is not None:
            self._model = model
        if fingerprint is not None:
            self._fingerprint = fingerprint
        if usage is not None:
            self._usage = usage  # cumulative where repeated: the last one counts
        if extra:
            self._extra.update(_said(extra))

    def reply(self, raw: Json = NOTHING) -> Reply:
        """What has come so far, as a Reply; `raw` is the completion it was read from."""
        return Reply(
            tuple(self._choices[index].choice(index) for index in sorted(self._choices)),
            self._id,
            self._model,
            self._created,
            self._fingerprint,
            self._usage,
            self._request_id,
            dict(self._extra) if self._extra else NOTHING,
            raw,
        )


class _ToolCallFold:
    __slots__ = ("arguments", "extra", "id", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.extra: dict[str, Any] = {}

    def add(self, delta: ToolCallDelta) -> None:
        _, said_id, name, arguments, extra = delta
        if said_id is not None and not self.id:
            self.id = said_id
        if name is not None:
            self.name += name
        self.arguments.append(arguments)
        if extra:
            self.extra.update(_said(extra))

    def call(self) -> ToolCall:
        return ToolCall(self.id, self.name, "".join(self.arguments), self.extra or NOTHING)


class _ChoiceFold:
    __slots__ = (
        "annotations",
        "extra",
        "finish_reason",
        "images",
        "logprobs",
        "message_extra",
        "parts",
        "reasoning",
        "reasoning_details",
        "reasoning_field",
        "refusal",
        "text",
        "tool_calls",
    )

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.reasoning_field: str | None = None
        self.refusal: list[str] = []
        self.finish_reason: str | None = None
        self.tool_calls: dict[int, _ToolCallFold] = {}
        self.logprobs: dict[str, Any] | None = None
        self.parts: list[Json] | None = None
        self.reasoning_details: list[Json] = []
        self.annotations: list[Json] = []
        self.images: list[Json] = []
        self.extra: dict[str, Any] = {}
        self.message_extra: list[Json] = []

    def add(self, delta: ChoiceDelta) -> None:
        if delta.parts or self.parts is not None:
            self._add_parts(delta)
        if delta.text:
            self.text.append(delta.text)
        if delta.adds_text_only:
            return
        for call in delta.tool_calls:
            known = self.tool_calls.get(call.call_index)
            if known is None:
                known = self.tool_calls[call.call_index] = _ToolCallFold()
            known.add(call)
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason
        if delta.logprobs is not None:
            self._add_logprobs(delta.logprobs)
        if delta.reasoning:
            self.reasoning.append(delta.reasoning)
            self.reasoning_field = self.reasoning_field or delta.reasoning_field
        if delta.adds_rarities:
            self._add_rarities(delta)

    def _add_rarities(self, delta: ChoiceDelta) -> None:
        if delta.refusal:
            self.refusal.append(delta.refusal)
        if delta.reasoning_details:
            self.reasoning_details += delta.reasoning_details
        self.annotations += delta.annotations
        self.images += delta.images
        if delta.extra:
            self.extra.update(_said(delta.extra))
        if delta.message_extra:
            self.message_extra.append(delta.message_extra)

    def _add_logprobs(self, logprobs: Json) -> None:
        if self.logprobs is None:
            self.logprobs = {}
        for name, value in logprobs.items():
            before = self.logprobs.get(name)
            if isinstance(value, list):
                if isinstance(before, list):
                    before.extend(value)
                else:
                    self.logprobs[name] = list(value)
            elif value is not None or before is None:
                self.logprobs[name] = value

    def choice(self, index: int) -> Choice:
        details: list[Json] = []
        join_details(details, self.reasoning_details)
        return Choice(
            index,
            "".join(self.text),
            "".join(self.reasoning),
            tuple(self.tool_calls[i].call() for i in sorted(self.tool_calls)),
            self.finish_reason,
            None if self.logprobs is None else _with_own_lists(self.logprobs),
            "".join(self.refusal),
            with_joined_text(self.parts or ()),
            tuple(details),
            tuple(self.annotations),
            tuple(self.images),
            dict(self.extra) if self.extra else NOTHING,
            accumulated(self.message_extra) or NOTHING,
            self.reasoning_field,
        )

    def _add_parts(self, delta: ChoiceDelta) -> None:
        """Keeps content in its order once it has parts; its text so far becomes its first part."""
        if self.parts is None:
            said = "".join(self.text)
            self.parts = [text_part(said)] if said else []
        self.parts += delta.parts or ((text_part(delta.text),) if delta.text else ())


def _with_own_lists(fields: Json) -> Json:
    """The fields with lists that do not grow; what is in them is the wire's and stays as it is."""
    return {n: list(value) if isinstance(value, list) else value for n, value in fields.items()}


def _said(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}

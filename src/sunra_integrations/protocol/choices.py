"""One choice of an answer, and how its pieces add up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sunra_integrations.protocol.accumulation import (
    accumulated,
    joined_details,
    merge,
    text_part,
    with_joined_text,
)
from sunra_integrations.protocol.finish_reasons import is_cut_before
from sunra_integrations.protocol.json_values import NOTHING, Json
from sunra_integrations.protocol.responses import ChoiceDelta, ToolCallDelta
from sunra_integrations.protocol.tool_call_order import parse_arguments


def nothing() -> Json:
    """The default of a field for what is unknown."""
    return NOTHING


@dataclass(frozen=True)
class ToolCall:
    """One finished call of a tool."""

    id: str
    name: str
    arguments: str
    """The arguments exactly as the model wrote them; see `parsed`."""
    extra: Json = field(default_factory=nothing)
    cut_off: bool = False
    """The answer was cut off before the arguments began."""

    def parsed(self) -> dict[str, Any] | None:
        """The arguments as a dict (`{}` where there were none); None where `flaw` says why."""
        is_readable = self.name and not self.cut_off and self.extra.get("type") != "custom"
        return parse_arguments(self.arguments) if is_readable else None

    @property
    def flaw(self) -> str | None:
        """Why no tool can be run for this call; None if one can."""
        if not self.name:
            return "The call does not name a function."
        if self.extra.get("type") == "custom":
            return "A custom tool takes text in place of a JSON object."
        if self.cut_off:
            return "The answer was cut off before the arguments."
        return None if self.parsed() is not None else "The arguments are not a JSON object."


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
    extra: Json = field(default_factory=nothing)
    message_extra: Json = field(default_factory=nothing)
    reasoning_field: str | None = None
    """The name `reasoning` came under; see `replay`."""


class ToolCallFold:
    """Adds up one tool call."""

    __slots__ = ("_arguments", "_pieces", "extra", "id", "name")

    def __init__(self) -> None:
        self.id: str = ""
        self.name: str = ""
        self.extra: dict[str, Any] = {}
        self._arguments = ""
        self._pieces: list[str] = []

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        if self._pieces:
            self._arguments += "".join(self._pieces)
            self._pieces.clear()
        return self._arguments

    def add(self, delta: ToolCallDelta) -> None:
        """Takes in a piece of the call."""
        _, said_id, name, arguments, extra = delta
        if said_id is not None and not self.id:
            self.id = said_id
        if name is not None:
            self.name += name
        self._pieces.append(arguments)
        if extra:
            merge(self.extra, extra)

    def call(self, *, cut_off: bool = False) -> ToolCall:
        """The call so far."""
        extra = dict(self.extra) if self.extra else NOTHING
        return ToolCall(self.id, self.name, self.arguments, extra, cut_off)


class ChoiceFold:
    """Adds up one choice: once `settled`, its sums stand under the names they have in a `Choice`.

    Pieces are gathered until they are asked for, and then joined to what was joined before. So a
    reader who asks once pays for one join, and one who asks after every chunk for no list of them.
    """

    __slots__ = (
        "_details",
        "_has_parts",
        "_message_extras",
        "_parts",
        "_reasonings",
        "_refusals",
        "_texts",
        "_unsettled",
        "_whole",
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

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self.text: str = ""
        self.reasoning: str = ""
        self.reasoning_field: str | None = None
        self.refusal: str = ""
        self.finish_reason: str | None = None
        self.tool_calls: dict[int, ToolCallFold] = {}
        self.logprobs: dict[str, Any] | None = None
        self.parts: tuple[Json, ...] = ()
        self.reasoning_details: list[Json] = []
        self.annotations: list[Json] = []
        self.images: list[Json] = []
        self.extra: dict[str, Any] = {}
        self.message_extra: dict[str, Any] = {}
        self._unsettled = False
        self._has_parts = False
        self._texts: list[str] = []
        self._reasonings: list[str] = []
        self._refusals: list[str] = []
        self._parts: list[Json] = []
        self._details: list[Json] = []
        self._message_extras: list[Json] = []

    def add(self, delta: ChoiceDelta) -> None:
        """Takes in what one chunk adds to the choice."""
        if delta.parts or self._has_parts:
            self._add_parts(delta)
        if delta.text:
            self._texts.append(delta.text)
        if delta.adds_text_only:
            return
        for call in delta.tool_calls:
            known = self.tool_calls.get(call.call_index)
            if known is None:
                known = self.tool_calls[call.call_index] = ToolCallFold()
            known.add(call)
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason
        if delta.logprobs is not None:
            self._add_logprobs(delta.logprobs)
        if delta.reasoning:
            self._add_reasoning(delta)
        if delta.adds_rarities:
            self._add_rarities(delta)

    def settled(self) -> ChoiceFold:
        """Itself, with all that has come joined."""
        if self._texts:
            self.text += "".join(self._texts)
            self._texts.clear()
        if self._unsettled:
            self._settle_others()
        return self

    def choice(self, index: int) -> Choice:
        """The choice so far."""
        self.settled()
        return Choice(
            index,
            self.text,
            self.reasoning,
            self._calls() if self.tool_calls else (),
            self.finish_reason,
            None if self.logprobs is None else _with_own_lists(self.logprobs),
            self.refusal,
            self.parts,
            tuple(self.reasoning_details),
            tuple(self.annotations),
            tuple(self.images),
            dict(self.extra) if self.extra else NOTHING,
            self.message_extra or NOTHING,
            self.reasoning_field,
        )

    def _add_reasoning(self, delta: ChoiceDelta) -> None:
        if not self.reasoning and not self._reasonings:  # until here it was empty, if anything
            self.reasoning_field = delta.reasoning_field
        self._reasonings.append(delta.reasoning)
        self._unsettled = True

    def _calls(self) -> tuple[ToolCall, ...]:
        *before, last = (self.tool_calls[index] for index in sorted(self.tool_calls))
        cut_off = is_cut_before(last.arguments, self.finish_reason)
        return (*(one.call() for one in before), last.call(cut_off=cut_off))

    def _add_rarities(self, delta: ChoiceDelta) -> None:
        self._unsettled = True
        if delta.refusal:
            self._refusals.append(delta.refusal)
        if delta.reasoning_details:
            self._details += delta.reasoning_details
        self.annotations += delta.annotations
        self.images += delta.images
        if delta.extra:
            merge(self.extra, delta.extra)
        if delta.message_extra:
            self._message_extras.append(delta.message_extra)
        if self.reasoning_field is None:
            self.reasoning_field = delta.reasoning_field

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
            elif before is None or (value is not None and not isinstance(before, list)):
                self.logprobs[name] = value

    def _add_parts(self, delta: ChoiceDelta) -> None:
        """Keeps content in its order once it has parts; its text so far becomes its first part."""
        if not self._has_parts:
            self._has_parts = True
            said = self.settled().text
            self._parts = [text_part(said)] if said else []
        self._parts += delta.parts or ((text_part(delta.text),) if delta.text else ())
        self._unsettled = True

    def _settle_others(self) -> None:
        """Joins the pieces of all but the text, as `settled` does."""
        self._unsettled = False
        self.reasoning += "".join(self._reasonings)
        self.refusal += "".join(self._refusals)
        if self._details:
            details = [*self.reasoning_details[-1:], *self._details]
            self.reasoning_details[-1:] = details if self._whole else joined_details(details)
        if self._parts:
            *before, last = self.parts or (None,)
            joined = with_joined_text(self._parts if last is None else (last, *self._parts))
            self.parts = (*before, *joined)
        if self._message_extras:
            self.message_extra = accumulated((self.message_extra, *self._message_extras))
        for pieces in (
            self._reasonings,
            self._refusals,
            self._details,
            self._parts,
            self._message_extras,
        ):
            pieces.clear()


def _with_own_lists(fields: Json) -> Json:
    """The fields with lists that do not grow; what is in them is the wire's and stays as it is."""
    return {n: list(value) if isinstance(value, list) else value for n, value in fields.items()}

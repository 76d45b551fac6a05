"""Stream chunks, or one completion, to a `Reply`: the only place that knows how they add up."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any

from sunra_integrations.protocol.content import text_part
from sunra_integrations.protocol.json_text import EMPTY, Json
from sunra_integrations.protocol.reply import (
    Choice,
    ChoiceDelta,
    Chunk,
    Reply,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from sunra_integrations.protocol.truncation import is_cut_before_arguments


def accumulate(chunks: Iterable[Chunk]) -> Reply:
    """The Reply that these chunks add up to."""
    total = ReplyAccumulator()
    for chunk in chunks:
        total.add(chunk)
    return total.reply()


class ReplyAccumulator:
    """Adds up chunks as they come; what they add up to may be asked at any time.

    Args:
        whole: The one chunk is a whole completion, in which nothing is left to join.

    Attributes:
        usage: The latest usage.
        requested_model: The request's model, used if the answer names none, because tools
            that count usage count it by the model's name.
        requested_choices: The request's `n`.
        request_id: The answer's.
        extra: Unknown top-level fields.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self.usage: Usage | None = None
        self.requested_model: str | None = None
        self.requested_choices = 1
        self.request_id: str | None = None
        self.extra: dict[str, Any] = {}
        self._choices: dict[int, ChoiceAccumulator] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._created: int | None = None
        self._fingerprint: str | None = None

    @property
    def unfinished(self) -> list[int]:
        """The choices that began and have no finish_reason yet."""
        return [i for i, choice in self._choices.items() if choice.finish_reason is None]

    @property
    def started_choices(self) -> Collection[int]:
        """The indices of the choices received so far."""
        return self._choices.keys()

    @property
    def message_index(self) -> int:
        """The choice that becomes the message: 0, or the lowest of a server that counts from 1."""
        return 0 if 0 in self._choices else min(self._choices, default=0)

    def add(self, chunk: Chunk) -> None:
        """Takes in one chunk."""
        for delta in chunk.choices:
            choice = self._choices.get(delta.choice_index)
            if choice is None:
                choice = self._choices[delta.choice_index] = ChoiceAccumulator(whole=self._whole)
            choice.add(delta)
        _, reply_id, model, created, fingerprint, usage, self.request_id, extra, _ = chunk
        if self._id is None:
            self._id = reply_id
        if self._created is None:
            self._created = created
        if model is not None:
            self._model = model
        if fingerprint is not None:
            self._fingerprint = fingerprint
        if usage is not None:
            self.usage = usage  # cumulative where repeated: the last one counts
        if extra:
            merge(self.extra, extra)

    def reply(self, raw: Json = EMPTY) -> Reply:
        """What has come so far, as a Reply; `raw` is the completion it was read from."""
        return Reply(
            tuple(self._choices[index].choice(index) for index in sorted(self._choices)),
            self._id,
            self._model or self.requested_model,
            self._created,
            self._fingerprint,
            self.usage,
            self.request_id,
            dict(self.extra) if self.extra else EMPTY,
            raw,
        )


class ToolCallAccumulator:
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
        _, reply_id, name, arguments, extra = delta
        if reply_id is not None and not self.id:
            self.id = reply_id
        if name is not None:
            self.name += name
        self._pieces.append(arguments)
        if extra:
            merge(self.extra, extra)

    def call(self, *, cut_off: bool = False) -> ToolCall:
        """The call so far."""
        extra = dict(self.extra) if self.extra else EMPTY
        return ToolCall(self.id, self.name, self.arguments, extra, cut_off)


class ChoiceAccumulator:
    """Adds up one choice: once `joined`, its sums stand under the names they have in a `Choice`.

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
        "_unjoined",
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
        self.tool_calls: dict[int, ToolCallAccumulator] = {}
        self.logprobs: dict[str, Any] | None = None
        self.parts: tuple[Json, ...] = ()
        self.reasoning_details: list[Json] = []
        self.annotations: list[Json] = []
        self.images: list[Json] = []
        self.extra: dict[str, Any] = {}
        self.message_extra: dict[str, Any] = {}
        self._unjoined = False
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
        if delta.has_text_only:
            return
        for call in delta.tool_calls:
            known = self.tool_calls.get(call.call_index)
            if known is None:
                known = self.tool_calls[call.call_index] = ToolCallAccumulator()
            known.add(call)
        if delta.finish_reason is not None:
            self.finish_reason = delta.finish_reason
        if delta.logprobs is not None:
            self._add_logprobs(delta.logprobs)
        if delta.reasoning:
            self._add_reasoning(delta)
        if delta.has_rare_fields:
            self._add_rarities(delta)

    def joined(self) -> ChoiceAccumulator:
        """Itself, with all that has come joined."""
        if self._texts:
            self.text += "".join(self._texts)
            self._texts.clear()
        if self._unjoined:
            self._join_others()
        return self

    def choice(self, index: int) -> Choice:
        """The choice so far."""
        self.joined()
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
            dict(self.extra) if self.extra else EMPTY,
            self.message_extra or EMPTY,
            self.reasoning_field,
        )

    def _add_reasoning(self, delta: ChoiceDelta) -> None:
        if not self.reasoning and not self._reasonings:  # until here it was empty, if anything
            self.reasoning_field = delta.reasoning_field
        self._reasonings.append(delta.reasoning)
        self._unjoined = True

    def _calls(self) -> tuple[ToolCall, ...]:
        *before, last = (self.tool_calls[index] for index in sorted(self.tool_calls))
        cut_off = is_cut_before_arguments(last.arguments, self.finish_reason)
        return (*(one.call() for one in before), last.call(cut_off=cut_off))

    def _add_rarities(self, delta: ChoiceDelta) -> None:
        self._unjoined = True
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
            said = self.joined().text
            self._parts = [text_part(said)] if said else []
        self._parts += delta.parts or ((text_part(delta.text),) if delta.text else ())
        self._unjoined = True

    def _join_others(self) -> None:
        """Joins the pieces of all but the text, as `joined` does."""
        self._unjoined = False
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


_SAID_ONCE = frozenset(("id", "type", "format", "role", "name", "index"))
"""Strings of these names are repeated by servers, not continued."""
_SIGNED = frozenset(("signature", "data", "encrypted_content"))
"""What a vendor signed or encrypted in a reasoning detail: it is valid only as it came."""
_WRITTEN_ON = frozenset(("text", "summary", "thinking"))
"""Strings of these names in a reasoning detail are continued; all others are its own."""
_LISTS_OF_DETAILS = frozenset(("thinking_blocks",))
"""Unknown lists that hold reasoning details: LiteLLM streams Claude's thinking in these."""


def accumulated(pieces: Iterable[Json]) -> dict[str, Any]:
    """Unknown delta fields added up as deltas are: text continued, lists and objects joined."""
    runs: dict[str, list[Any]] = {}
    for piece in pieces:
        for name, value in piece.items():
            if value is None:
                continue
            run = runs.get(name)
            if run is not None and _goes_on(name, run[-1], value):
                run.append(value)
            else:
                runs[name] = [value]
    total: dict[str, Any] = {}
    for name, run in runs.items():
        match run:
            case [alone]:
                total[name] = alone
            case [str(), *_]:
                total[name] = "".join(run)
            case [list(), *_]:
                if name not in _LISTS_OF_DETAILS:
                    total[name] = list(chain.from_iterable(run))
                    continue
                first, *more = run
                # What is before the last detail is finished: joined again at each piece of a
                # stream, it would take time in the square of the number of details.
                total[name] = [
                    *first[:-1],
                    *joined_details(chain(first[-1:], chain.from_iterable(more))),
                ]
            case _:
                total[name] = accumulated(run)
    return total


def merge(total: dict[str, Any], fields: Json) -> None:
    """Puts unknown fields of an event, a choice or a call over those of the ones before.

    Objects are merged; of anything else the last value counts, and null is not a value. The fields
    themselves stay as they are.
    """
    for name, value in fields.items():
        if value is None:
            continue
        before = total.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            total[name] = merged = dict(before)
            merge(merged, value)
        else:
            total[name] = value


def _goes_on(name: str, last: object, value: object) -> bool:
    match last, value:
        case (str(), str()):
            return name not in _SAID_ONCE and not name.endswith("signature")
        case (list(), list()) | (dict(), dict()):
            return True
        case _:
            return False


def joined_details(pieces: Iterable[Any]) -> list[Any]:
    """Reasoning details of a stream put together, ready to be replayed.

    Text and summaries are continued. A detail that is signed or encrypted is finished, because
    its vendor checks the signature against exactly what was signed.
    """
    # Gathered first and joined once: joining at each piece would copy all that came before it.
    details: list[tuple[Any, list[Any]]] = []
    for piece in pieces:
        if details and _continues(details[-1][0], piece):
            known, run = details[-1]
            known.update(
                {name: value for name, value in piece.items() if value or not known.get(name)}
            )
            run.append(piece)
        else:
            details.append((dict(piece) if isinstance(piece, dict) else piece, [piece]))
    return [run[0] if len(run) == 1 else _continued(known, run) for known, run in details]


def _continues(known: Any, piece: Any) -> bool:
    """Whether a piece continues a detail, without a field that differs."""
    if not isinstance(known, dict) or not isinstance(piece, dict):
        return False
    # Some servers repeat the signature with each piece of the text that it signs.
    same_signature = known.get("signature") and known["signature"] == piece.get("signature")
    is_finished = any(known.get(name) for name in _SIGNED) or piece.get("data")
    if is_finished and not same_signature:
        return False
    if piece.get("id") and known.get("id") != piece["id"]:
        return False
    return all(known.get(name) == piece.get(name) for name in ("type", "index")) and all(
        not value
        or not known.get(name)
        or known[name] == value
        or (name in _WRITTEN_ON and isinstance(value, str) and isinstance(known[name], str))
        for name, value in piece.items()
    )


def _continued(known: dict[str, Any], run: list[Json]) -> Json:
    """The pieces of one detail as one."""
    written = {
        name: "".join(piece[name] for piece in run if isinstance(piece.get(name), str))
        for name in _WRITTEN_ON
        if isinstance(known.get(name), str)
    }
    return {**known, **written}


def with_joined_text(parts: Iterable[Json]) -> tuple[Json, ...]:
    """The parts in their order, runs of plain text made one part."""
    joined: list[Json] = []
    texts: list[str] = []
    for part in parts:
        if _is_plain_text(part):
            texts.append(part["text"])
            continue
        if texts:
            joined.append(text_part("".join(texts)))
            texts = []
        joined.append(part)
    return (*joined, text_part("".join(texts))) if texts else tuple(joined)


def _is_plain_text(part: Json) -> bool:
    return (
        len(part) == len(("type", "text"))
        and part.get("type") == "text"
        and isinstance(part.get("text"), str)
    )

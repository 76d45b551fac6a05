"""Chunks to a `Reply`: the only place that knows how they add up.

Parts are collected, and joined only when the result is read. Joining at every chunk would copy
everything before it each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, groupby
from typing import Any

from sunra_integrations.protocol.content import text_part
from sunra_integrations.protocol.json_text import EMPTY, Json, without_keys
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

__all__ = [
    "ReplyAccumulator",
    "accumulate",
]


def accumulate(chunks: Iterable[Chunk]) -> Reply:
    """The reply that these chunks add up to."""
    accumulator = ReplyAccumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.reply()


class ReplyAccumulator:
    """Adds up the chunks of a response. The reply so far is available at any time.

    Args:
        whole: The only chunk is a whole completion, in which nothing has to be joined.

    Attributes:
        usage: The latest usage.
        requested_model: The request's model, for a response that does not name one. Tools that
            count usage count it by model.
        requested_choices: The request's `n`.
        request_id: The response's `x-request-id`.
        headers: Headers of the response; see `Reply`.
        extra: Unknown top-level fields.
        choices: The choices that have begun, by index.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self.usage: Usage | None = None
        self.requested_model: str | None = None
        self.requested_choices = 1
        self.request_id: str | None = None
        self.headers: Mapping[str, str] = EMPTY
        self.extra: dict[str, Any] = {}
        self.choices: dict[int, ChoiceAccumulator] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._created: int | None = None
        self._fingerprint: str | None = None

    @property
    def model(self) -> str | None:
        """The model that the response names, or the request's."""
        return self._model or self.requested_model

    @property
    def unfinished(self) -> list[int]:
        """The indices of the choices that have begun and have no finish_reason yet."""
        return [i for i, choice in self.choices.items() if choice.finish_reason is None]

    @property
    def all_finished(self) -> bool:
        """Whether all requested choices have begun and have a finish_reason."""
        return len(self.choices) >= self.requested_choices and not self.unfinished

    @property
    def message_index(self) -> int:
        """The choice that becomes the message: 0, or the lowest of a server that counts from 1."""
        return 0 if 0 in self.choices else min(self.choices, default=0)

    def add(self, chunk: Chunk) -> None:
        """Adds one chunk."""
        for delta in chunk.choices:
            choice = self.choices.get(delta.choice_index)
            if choice is None:
                choice = self.choices[delta.choice_index] = ChoiceAccumulator(whole=self._whole)
            choice.add(delta)
        _, reply_id, model, created, system, usage, self.request_id, self.headers, extra, _ = chunk
        if self._id is None:
            self._id = reply_id
        if self._created is None:
            self._created = created
        if model is not None:
            self._model = model
        if system is not None:
            self._fingerprint = system
        if usage is not None:
            self.usage = usage  # servers that report it repeatedly report the sum so far
        if extra:
            _merge(self.extra, extra)

    def reply(self, raw: Json = EMPTY) -> Reply:
        """The reply so far.

        Args:
            raw: The completion that the reply was parsed from.
        """
        return Reply(
            tuple(self.choices[index].choice(index) for index in sorted(self.choices)),
            self._id,
            self.model,
            self._created,
            self._fingerprint,
            self.usage,
            self.request_id,
            dict(self.extra) if self.extra else EMPTY,
            raw,
            self.headers,
        )


class ToolCallAccumulator:
    """Adds up the deltas of one tool call."""

    __slots__ = ("_joined_arguments", "_new_arguments", "extra", "id", "name")

    def __init__(self) -> None:
        self.id: str = ""
        self.name: str = ""
        self.extra: dict[str, Any] = {}
        self._joined_arguments = ""
        self._new_arguments: list[str] = []

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        if self._new_arguments:
            self._joined_arguments += "".join(self._new_arguments)
            self._new_arguments.clear()
        return self._joined_arguments

    def add(self, delta: ToolCallDelta) -> None:
        """Adds one delta."""
        _, call_id, name, arguments, extra = delta
        if call_id is not None and not self.id:
            self.id = call_id
        if name is not None:
            self.name += name
        self._new_arguments.append(arguments)
        if extra:
            _merge(self.extra, extra)

    def call(self, *, cut_off: bool = False) -> ToolCall:
        """The call so far."""
        extra = dict(self.extra) if self.extra else EMPTY
        return ToolCall(self.id, self.name, self.arguments, extra, cut_off)


class ChoiceAccumulator:
    """Adds up the deltas of one choice.

    After `joined`, its attributes are those of a `Choice`. Every join adds only what is new. So
    reading the choice after every chunk is as cheap as reading it once.
    """

    __slots__ = (
        "_has_parts",
        "_has_unjoined",
        "_new_details",
        "_new_message_extras",
        "_new_parts",
        "_new_reasoning",
        "_new_refusal",
        "_new_text",
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
        self._has_parts = False
        self._has_unjoined = False  # anything but text
        self._new_text: list[str] = []
        self._new_reasoning: list[str] = []
        self._new_refusal: list[str] = []
        self._new_parts: list[Json] = []
        self._new_details: list[Json] = []
        self._new_message_extras: list[Json] = []

    def add(self, delta: ChoiceDelta) -> None:
        """Adds one delta."""
        if delta.parts or self._has_parts:
            self._add_parts(delta)
        if delta.text:
            self._new_text.append(delta.text)
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
            self._add_rare_fields(delta)

    def joined(self) -> ChoiceAccumulator:
        """Itself, with everything received so far joined."""
        if self._new_text:
            self.text += "".join(self._new_text)
            self._new_text.clear()
        if self._has_unjoined:
            self._join_rest()
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
            None if self.logprobs is None else _copy_lists(self.logprobs),
            self.refusal,
            self.parts,
            tuple(self.reasoning_details),
            tuple(self.annotations),
            tuple(self.images),
            dict(self.extra) if self.extra else EMPTY,
            self.message_extra or EMPTY,
            self.reasoning_field,
        )

    def _calls(self) -> tuple[ToolCall, ...]:
        *before, last = (self.tool_calls[index] for index in sorted(self.tool_calls))
        cut_off = is_cut_before_arguments(last.arguments, self.finish_reason)
        return (*(one.call() for one in before), last.call(cut_off=cut_off))

    def _add_parts(self, delta: ChoiceDelta) -> None:
        """Keeps content in its order once it has parts. The text so far becomes the first part."""
        if not self._has_parts:
            self._has_parts = True
            text = self.joined().text
            self._new_parts = [text_part(text)] if text else []
        self._new_parts += delta.parts or ((text_part(delta.text),) if delta.text else ())
        self._has_unjoined = True

    def _add_reasoning(self, delta: ChoiceDelta) -> None:
        if not self.reasoning and not self._new_reasoning:  # only empty reasoning so far
            self.reasoning_field = delta.reasoning_field
        self._new_reasoning.append(delta.reasoning)
        self._has_unjoined = True

    def _add_rare_fields(self, delta: ChoiceDelta) -> None:
        self._has_unjoined = True
        if delta.refusal:
            self._new_refusal.append(delta.refusal)
        if delta.reasoning_details:
            self._new_details += delta.reasoning_details
        self.annotations += delta.annotations
        self.images += delta.images
        if delta.extra:
            _merge(self.extra, delta.extra)
        if delta.message_extra:
            self._new_message_extras.append(delta.message_extra)
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

    def _join_rest(self) -> None:
        """Joins everything but the text."""
        self._has_unjoined = False
        self.reasoning += "".join(self._new_reasoning)
        self.refusal += "".join(self._new_refusal)
        if self._new_details:
            details = [*self.reasoning_details[-1:], *self._new_details]
            self.reasoning_details[-1:] = details if self._whole else _join_details(details)
        if self._new_parts:
            *before, last = self.parts or (None,)
            new = self._new_parts if last is None else (last, *self._new_parts)
            self.parts = (*before, *_join_text_parts(new))
        if self._new_message_extras:
            self.message_extra = _accumulate_fields((self.message_extra, *self._new_message_extras))
        for new_parts in (
            self._new_reasoning,
            self._new_refusal,
            self._new_details,
            self._new_parts,
            self._new_message_extras,
        ):
            new_parts.clear()


def _copy_lists(fields: Json) -> Json:
    """The fields with copies of the lists, which the accumulator goes on extending."""
    return {n: list(value) if isinstance(value, list) else value for n, value in fields.items()}


# ── unknown fields ───────────────────────────────────────────────────────────

_NEVER_CONTINUED = frozenset(("id", "type", "format", "role", "name", "index"))
"""Strings of these names are repeated by servers, not continued."""
_DETAIL_LISTS = frozenset(("thinking_blocks",))
"""Unknown lists of reasoning details: https://github.com/BerriAI/litellm/issues/29428."""


def _merge(total: dict[str, Any], fields: Json) -> None:
    """Merges the unknown fields of an event, choice or call into those received before.

    Dicts are merged. Of other values the last one counts, and null is not a value.
    """
    for name, value in fields.items():
        if value is None:
            continue
        before = total.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            total[name] = merged = dict(before)
            _merge(merged, value)
        else:
            total[name] = value


def _accumulate_fields(parts: Iterable[Json]) -> dict[str, Any]:
    """Unknown fields of deltas, added up: strings are continued, lists and dicts joined."""
    runs: dict[str, list[Any]] = {}
    for part in parts:
        for name, value in part.items():
            if value is None:
                continue
            run = runs.get(name)
            if run is not None and _is_continued(name, run[-1], value):
                run.append(value)
            else:
                runs[name] = [value]
    return {name: _join_run(name, run) for name, run in runs.items()}


def _is_continued(name: str, last: object, value: object) -> bool:
    match last, value:
        case (str(), str()):
            return name not in _NEVER_CONTINUED and not name.endswith("signature")
        case (list(), list()) | (dict(), dict()):
            return True
        case _:
            return False


def _join_run(name: str, run: list[Any]) -> Any:
    match run:
        case [only]:
            return only
        case [str(), *_]:
            return "".join(run)
        case [list(first), *more] if name in _DETAIL_LISTS:
            # All but the last detail are finished. Joining them again with every chunk would take
            # time in the square of their number.
            return [*first[:-1], *_join_details(chain(first[-1:], chain.from_iterable(more)))]
        case [list(), *_]:
            return list(chain.from_iterable(run))
        case _:
            return _accumulate_fields(run)


# ── reasoning details ────────────────────────────────────────────────────────

_SIGNED = frozenset(("signature", "data", "encrypted_content"))
"""Fields that a vendor signed or encrypted. They are valid only unchanged."""
_CONTINUED_IN_DETAILS = frozenset(("text", "summary", "thinking"))


def _join_details(parts: Iterable[Any]) -> list[Any]:
    """The reasoning details of a stream, joined so that they can be sent back.

    Text and summaries are continued. A signed or encrypted detail is finished, because its vendor
    verifies the signature against exactly the text that it signed.
    """
    details: list[tuple[Any, list[Any]]] = []
    for part in parts:
        if details and _continues_detail(details[-1][0], part):
            known, run = details[-1]
            known.update(
                {name: value for name, value in part.items() if value or not known.get(name)}
            )
            run.append(part)
        else:
            details.append((dict(part) if isinstance(part, dict) else part, [part]))
    return [run[0] if len(run) == 1 else _join_detail(known, run) for known, run in details]


def _continues_detail(known: Any, part: Any) -> bool:
    """Whether a part continues a detail: nothing that identifies the detail differs."""
    if not isinstance(known, dict) or not isinstance(part, dict):
        return False
    # Some servers repeat the signature with every part of the text that it signs.
    has_same_signature = known.get("signature") and known["signature"] == part.get("signature")
    is_finished = any(known.get(name) for name in _SIGNED) or part.get("data")
    if is_finished and not has_same_signature:
        return False
    if part.get("id") and known.get("id") != part["id"]:
        return False
    return all(known.get(name) == part.get(name) for name in ("type", "index")) and all(
        not value
        or not known.get(name)
        or known[name] == value
        or (
            name in _CONTINUED_IN_DETAILS
            and isinstance(value, str)
            and isinstance(known[name], str)
        )
        for name, value in part.items()
    )


def _join_detail(known: dict[str, Any], run: list[Json]) -> Json:
    texts = {
        name: "".join(part[name] for part in run if isinstance(part.get(name), str))
        for name in _CONTINUED_IN_DETAILS
        if isinstance(known.get(name), str)
    }
    return {**known, **texts}


# ── content parts ────────────────────────────────────────────────────────────


def _join_text_parts(parts: Iterable[Json]) -> tuple[Json, ...]:
    """The parts in their order. Consecutive plain text of one phase becomes one part."""
    joined: list[Json] = []
    for fields, run in groupby(parts, key=_plain_text_fields):
        if fields is None:
            joined += run
        else:
            joined.append({**fields, "text": "".join(part["text"] for part in run)})
    return tuple(joined)


def _plain_text_fields(part: Json) -> Json | None:
    """The other fields of a part that is nothing but text, or None."""
    fields = without_keys(part, _TEXT)
    is_plain = fields.get("type") == "text" and isinstance(part.get("text"), str)
    return fields if is_plain and _TEXT_FIELDS.issuperset(fields) else None


_TEXT = frozenset(("text",))
_TEXT_FIELDS = frozenset(("type", "phase"))

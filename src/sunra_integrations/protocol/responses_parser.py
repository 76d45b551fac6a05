"""Responses of `POST /v1/responses` to chunks and replies, streamed or whole.

A response is a list of output items: messages, function calls, reasoning, calls of built-in tools.
They become one choice of the same form as that of a chat completion:

- text, refusals, annotations and logprobs of messages;
- function calls and custom calls as tool calls;
- reasoning as its text, and as details from which the next request restores the items;
- every other item unchanged, as a content part.

A response is whole once `response.completed` or `response.incomplete` has arrived.

Servers differ in how an event says which item it is about:

- no `output_index`: https://github.com/lemonade-sdk/lemonade/issues/3607
- one `output_index` for all items: https://github.com/teabranch/open-responses-server/pull/63
- a new `item_id` in every event: https://github.com/vercel/ai/pull/18548
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sunra_integrations.errors import StreamInterrupted, SunraError, UnreadableResponse
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.error_body import has_error
from sunra_integrations.protocol.error_parsing import error_from_body
from sunra_integrations.protocol.json_text import (
    EMPTY,
    Json,
    as_int,
    as_str,
    dicts_in,
    parse_arguments,
    without_keys,
)
from sunra_integrations.protocol.reply import ChoiceDelta, Chunk, ToolCallDelta, parse_usage
from sunra_integrations.protocol.responses_request import MESSAGE, reasoning_details
from sunra_integrations.protocol.tool_call_tracker import arguments_text, short_id
from sunra_integrations.protocol.tools import may_have_secrets

_ECHOED = frozenset(
    (
        "id", "object", "model", "created_at", "output", "output_text", "usage", "error",
        "background", "include", "input", "instructions", "max_output_tokens", "max_tool_calls",
        "parallel_tool_calls", "prompt", "prompt_cache_key", "reasoning", "safety_identifier",
        "store", "stream", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p",
        "truncation", "user", "type", "sequence_number",
    )
)  # fmt: skip
"""Fields of a response that have a place of their own, or repeat the request."""
_TOOL_SECRETS = frozenset(("authorization", "headers"))
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""The types of tool calls, and the field with what the model wrote."""
_CONTENT = {"message": "content", **_CALLS}
_CALL_FIELDS = frozenset(("type", "id", "call_id", "name", "arguments", "input", "status"))
_FINISH_REASONS = {"max_output_tokens": "length"}
"""Reasons of incomplete responses by the names that chat completions have for them."""
_DONE_PARTS = frozenset(
    (
        "response.output_text.done", "response.refusal.done",
        "response.function_call_arguments.done", "response.custom_tool_call_input.done",
    )
)  # fmt: skip
_STARTS = frozenset(("response.created", "response.queued", "response.in_progress"))
_ENDS = frozenset(("response.completed", "response.incomplete", "response.failed"))


class ResponsesParser:
    """Parses the events of one stream in order, or one whole response, and accumulates them.

    Args:
        request_id: The response's `x-request-id`, set on every chunk.
        headers: The `headers` of every chunk.
        requested_model: The request's model, for a response that does not name one.
        accumulator: Accumulates the chunks. Defaults to a new one.
        fallback_id: Part of the ids made for tool calls without one, if there is no request id.
        tool_names: The original tool names; see `ChatRequest.own_tool_names`.
    """

    def __init__(
        self,
        *,
        request_id: str | None = None,
        headers: Mapping[str, str] = EMPTY,
        requested_model: str | None = None,
        accumulator: ReplyAccumulator | None = None,
        fallback_id: str = "sunra",
        tool_names: Mapping[str, str] = EMPTY,
    ) -> None:
        self.request_id = request_id
        self._headers = headers
        self._fallback_id = request_id or fallback_id
        self._tool_names = tool_names
        self._items: list[_Item] = []
        self._by_id: dict[str, _Item] = {}
        self._by_index: dict[int, _Item] = {}
        self._next_index = 0
        self._phase: object = None
        self._has_message = False
        self._details = 0
        self._held_reasoning: list[Json] = []
        self._follows_output = False
        self.accumulator: ReplyAccumulator = accumulator or ReplyAccumulator()
        self.accumulator.requested_model = requested_model

    # ── events and responses ─────────────────────────────────────────────────

    def parse(self, event: Json) -> Chunk:
        """One event of a stream as a chunk; one without choices if it has nothing new.

        Raises:
            SunraError: The event is an error, or says that the response failed.
        """
        kind = as_str(event.get("type")) or ""
        if kind == "error" or (("error" in event or not kind) and has_error(event)):
            raise self.error(event, top_level=True)
        if not kind and isinstance(event.get("output"), list):
            return self.parse_whole(event)  # the only event of a server that does not stream
        response: Any = event.get("response") if kind in _STARTS or kind in _ENDS else EMPTY
        if response is None and event.get("object") == "response":
            # https://github.com/pjq/sap-ai-core-llm-proxy/pull/35
            response = event
        response = response if isinstance(response, dict) else EMPTY
        return self._add(self._deltas(kind, event, response), response, response or event)

    def parse_whole(self, response: Json) -> Chunk:
        """A whole response as one chunk.

        Raises:
            SunraError: The response failed.
            UnreadableResponse: The response is not finished, or not a response.
        """
        return self._add(self._end("", response), response, response)

    def error(self, body: object, *, top_level: bool = False) -> SunraError:
        """The error in an event or response, with what was received before it."""
        return error_from_body(
            body,
            request_id=self.request_id,
            partial=self.accumulator.reply() if self.accumulator.choices else None,
            top_level=top_level,
        )

    def _add(self, deltas: Iterable[ChoiceDelta], response: Json, raw: Json) -> Chunk:
        chunk = Chunk(
            tuple(deltas),
            as_str(response.get("id")),
            as_str(response.get("model")),
            as_int(response.get("created_at")),
            None,
            parse_usage(response["usage"]) if response.get("usage") else None,
            self.request_id,
            self._headers,
            without_keys(response, _ECHOED) if response else EMPTY,
            _without_tool_secrets(raw),
        )
        self.accumulator.add(chunk)
        return chunk

    def _deltas(self, kind: str, event: Json, response: Json) -> Iterable[ChoiceDelta]:
        match kind:
            case "response.output_text.delta":
                return self._text(event)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                return self._arguments(event)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return self._reasoning(event)
            case "response.refusal.delta":
                return self._refusal(event)
            case _ if kind in _DONE_PARTS:
                return self._done_part(event)
            case "response.output_text.annotation.added":
                return self._annotation(event)
            case "response.output_item.added" | "response.output_item.done":
                return self._item_event(event, is_done=kind.endswith("done"))
            case _ if kind in _ENDS:
                return self._end(kind, response)
            case _ if kind in _STARTS and not self.accumulator.choices:
                return (ChoiceDelta(0),)  # the reply has begun: an end now is an interruption
            case _:  # repeats others, or reports the progress of a built-in tool
                return ()

    def _end(self, kind: str, response: Json) -> Iterator[ChoiceDelta]:
        """The finish reason, after everything that no event has brought.

        Raises:
            SunraError: The response failed.
            UnreadableResponse: The response is not finished.
        """
        ended = kind.removeprefix("response.")
        status = as_str(response.get("status")) or ended or "completed"
        if "failed" in {status, ended} or response.get("error"):
            raise self.error(response if response.get("error") else {"error": dict(response)})
        if status not in {"completed", "incomplete"} and (not ended or status == "cancelled"):
            raise self._unfinished(status, response)
        for item, given in self._matched(dicts_in(response.get("output"))):
            yield from self._finish(item, given)
        yield from self._release_reasoning(None)
        details = response.get("incomplete_details")
        reason = as_str(details.get("reason")) if isinstance(details, dict) else None
        if "incomplete" in {status, ended} or reason is not None:
            reason = reason or "incomplete"
            finish_reason = _FINISH_REASONS.get(reason, reason)
        else:
            has_calls = any(item.kind in _CALLS for item in self._items)
            finish_reason = "tool_calls" if has_calls else "stop"
        yield ChoiceDelta(0, finish_reason=finish_reason)

    def _unfinished(self, status: str, response: Json) -> UnreadableResponse:
        return UnreadableResponse(
            f"The response is not finished: its status is {status!r}. Responses in the "
            "background are not supported.",
            request_id=self.request_id,
            details=response,
            retryable=False,
            partial=self.accumulator.reply() if self.accumulator.choices else None,
        )

    # ── items ────────────────────────────────────────────────────────────────

    def _item(self, event: Json) -> _Item:
        """The item that an event is about a part of."""
        item_id = as_str(event.get("item_id"))
        return self._find(event, item_id) or self._new_item(event, item_id)

    def _item_event(self, event: Json, *, is_done: bool) -> Iterator[ChoiceDelta]:
        given = event.get("item")
        if not isinstance(given, dict):
            return
        item_id = as_str(given.get("id")) or as_str(given.get("call_id"))
        item = self._find(event, item_id)
        is_named = item_id is not None or as_int(event.get("output_index")) is not None
        is_same = item is not None and item.id == item_id and is_named
        if item is None or (item.kind and not is_done and not is_same):
            item = self._new_item(event, item_id)
        yield from self._finish(item, given) if is_done else self._start(item, given)

    def _find(self, event: Json, item_id: str | None) -> _Item | None:
        """The item with this place and id, or this id, or this place; None for a new one."""
        index = as_int(event.get("output_index"))
        if index is None:
            item = self._items[-1] if self._items else None
        else:
            item = self._by_index.get(index)
        if item is not None and (item_id == item.id or (item_id is None and index is not None)):
            return None if item_id is None and index is None and item.is_done else item
        if item_id is not None and item_id in self._by_id:
            return self._by_id[item_id]
        return None if item is None or item.is_done else item

    def _new_item(self, event: Json, item_id: str | None) -> _Item:
        index = as_int(event.get("output_index"))
        is_free = index is not None and index not in self._by_index
        free = index if index is not None and is_free else self._next_index
        item = _Item(free, item_id)
        self._next_index = max(self._next_index, free + 1)
        self._items.append(item)
        self._by_index[free if index is None else index] = self._by_index[free] = item
        if item_id is not None:
            self._by_id[item_id] = item
        return item

    def _matched(self, output: Sequence[Json]) -> Iterator[tuple[_Item, Json]]:
        """The items of a whole response, each with what the events have brought of it.

        Items whose ids the events did not have are matched in their order, by their types.
        """
        unclaimed = set(self._items)
        found: list[_Item | None] = []
        for given in output:
            ids = (as_str(given.get("id")), as_str(given.get("call_id")))
            known = next((self._by_id[one] for one in ids if one in self._by_id), None)
            found.append(known if known in unclaimed else None)
            unclaimed.discard(known)
        others: dict[str, deque[_Item]] = {}
        for item in sorted(unclaimed, key=lambda one: one.index):
            others.setdefault(item.kind, deque()).append(item)
        for given, known in zip(output, found, strict=True):
            queue = others.get(as_str(given.get("type")) or "") or others.get("")
            yield known or (queue.popleft() if queue else self._new_item(EMPTY, None)), given

    def _start(self, item: _Item, given: Json) -> Iterator[ChoiceDelta]:
        if item.kind:
            return
        item.kind = as_str(given.get("type")) or "unknown"
        if item.kind == "reasoning":
            return
        key = as_str(given.get("call_id")) or as_str(given.get("id"))
        yield from self._release_reasoning(MESSAGE if item.kind == MESSAGE else key)
        self._follows_output = True
        if item.kind == MESSAGE:
            yield from self._start_message(item, given)
        elif item.kind in _CALLS:
            yield self._start_call(item, given)

    def _start_message(self, item: _Item, given: Json) -> Iterator[ChoiceDelta]:
        phase = given.get("phase")
        is_first, self._has_message = not self._has_message, True
        if is_first and phase is not None:
            self._phase = phase
            yield ChoiceDelta(0, message_extra={"phase": phase})
        elif phase != self._phase:
            item.phase = phase

    def _start_call(self, item: _Item, given: Json) -> ChoiceDelta:
        name = as_str(given.get("name")) or ""
        item.is_named = bool(name)
        extra = without_keys(given, _CALL_FIELDS)
        if item.kind == "custom_tool_call":
            extra = {**extra, "type": "custom"}
        call_id = as_str(given.get("call_id")) or as_str(given.get("id"))
        call_id = call_id or f"call_{short_id(self._fallback_id)}_{item.index}"
        call = ToolCallDelta(item.index, call_id, self._tool_names.get(name, name), "", extra)
        return ChoiceDelta(0, tool_calls=(call,))

    def _finish(self, item: _Item, given: Json) -> Iterator[ChoiceDelta]:
        """The content of a finished item that no event has brought."""
        if item.is_done:
            return
        yield from self._start(item, given)
        item.is_done = item.kind not in _CONTENT or bool(given.get(_CONTENT[item.kind]))
        match item.kind:
            case "message":
                for place, part in enumerate(_parts(given.get("content"))):
                    yield from self._finished_part(item, place, part)
            case "reasoning":
                yield from self._finished_reasoning(item, given)
            case "function_call" | "custom_tool_call":
                yield from self._finished_call(item, given)
            case _:
                yield ChoiceDelta(0, parts=(given,))

    # ── messages ─────────────────────────────────────────────────────────────

    def _text(self, event: Json) -> Iterator[ChoiceDelta]:
        item, text = self._item(event), as_str(event.get("delta")) or ""
        if not item.is_done:
            place = as_int(event.get("content_index")) or 0
            item.received(place, text)
            logprobs = event.get("logprobs")
            if logprobs:
                logprobs = dicts_in(logprobs)
                item.count("logprobs", place, len(logprobs))
            yield self._text_delta(item, text, logprobs)

    def _text_delta(self, item: _Item, text: str, logprobs: Any) -> ChoiceDelta:
        parts = ({"type": "text", "text": text, "phase": item.phase},) if item.phase else ()
        found = {"content": list(logprobs)} if logprobs else None
        return ChoiceDelta(0, text, parts=parts, logprobs=found)

    def _refusal(self, event: Json) -> Iterator[ChoiceDelta]:
        item, refusal = self._item(event), as_str(event.get("delta")) or ""
        if not item.is_done:
            item.received(as_int(event.get("content_index")) or 0, refusal)
            yield ChoiceDelta(0, refusal=refusal)

    def _done_part(self, event: Json) -> Iterator[ChoiceDelta]:
        """The end of a part, for a server that sends no deltas and no items."""
        item = self._item(event)
        if item.kind in _CALLS and not item.is_done:
            yield from self._finished_call(item, event)
        for name, kind in (("text", "output_text"), ("refusal", "refusal")):
            if not item.is_done and as_str(event.get(name)):
                part = {"type": kind, name: event[name], "logprobs": event.get("logprobs")}
                place = as_int(event.get("content_index")) or 0
                yield from self._finished_part(item, place, part)

    def _annotation(self, event: Json) -> Iterator[ChoiceDelta]:
        annotation = event.get("annotation")
        if isinstance(annotation, dict):
            self._item(event).count("annotations", as_int(event.get("content_index")) or 0, 1)
            yield ChoiceDelta(0, annotations=(_as_in_chat(annotation),))

    def _finished_part(self, item: _Item, place: int, part: Json) -> Iterator[ChoiceDelta]:
        match part:
            case {"type": "output_text", "text": str() as text}:
                rest = self._rest(item, place, text)
                logprobs = item.new("logprobs", place, part)
                if rest or logprobs:
                    yield self._text_delta(item, rest, logprobs)
                annotations = item.new("annotations", place, part)
                if annotations:
                    yield ChoiceDelta(0, annotations=tuple(map(_as_in_chat, annotations)))
            case {"type": "refusal", "refusal": str() as refusal}:
                if rest := self._rest(item, place, refusal):
                    yield ChoiceDelta(0, refusal=rest)
            case _:
                yield ChoiceDelta(0, parts=(part,))

    def _rest(self, item: _Item, place: object, whole: str) -> str:
        """The end of a text that no event has brought.

        Raises:
            StreamInterrupted: The events brought something else. Differences in white space, or in
                how complete arguments are written, are ignored.
        """
        received = item.text(place)
        if whole.startswith(received):
            item.received(place, whole[len(received) :])
            return whole[len(received) :]
        is_call = item.kind in _CALLS and parse_arguments(received) is not None
        if is_call or "".join(whole.split()) in "".join(received.split()):
            return ""
        raise StreamInterrupted(
            "The stream is damaged: an event with a part of the reply is missing. "
            "The partial reply is available as `error.partial`.",
            request_id=self.request_id,
            partial=self.accumulator.reply(),
        )

    # ── tool calls ───────────────────────────────────────────────────────────

    def _arguments(self, event: Json) -> Iterator[ChoiceDelta]:
        item, arguments = self._item(event), as_str(event.get("delta")) or ""
        if not item.is_done:
            item.received(None, arguments)
            yield _more_arguments(item, arguments)

    def _finished_call(self, item: _Item, given: Json) -> Iterator[ChoiceDelta]:
        """The name and the arguments of a call, if no event has brought them."""
        name = as_str(given.get("name"))
        if name and not item.is_named:
            item.is_named = True
            call = ToolCallDelta(item.index, None, self._tool_names.get(name, name), "")
            yield ChoiceDelta(0, tool_calls=(call,))
        if rest := self._rest(item, None, arguments_text(given.get(_CALLS[item.kind]))):
            yield _more_arguments(item, rest)

    # ── reasoning ────────────────────────────────────────────────────────────

    def _reasoning(self, event: Json) -> Iterator[ChoiceDelta]:
        item, text = self._item(event), as_str(event.get("delta")) or ""
        name = "summary_index" if "summary_index" in event else "content_index"
        place = (name, as_int(event.get(name)) or 0)
        if not item.is_done:
            yield ChoiceDelta(0, reasoning=item.separator(place) + text)
            item.received(place, text)

    def _finished_reasoning(self, item: _Item, given: Json) -> Iterator[ChoiceDelta]:
        if not item.has_received:
            texts = (*dicts_in(given.get("summary")), *dicts_in(given.get("content")))
            text = _PARAGRAPH.join(as_str(one.get("text")) or "" for one in texts)
            if text:
                yield ChoiceDelta(0, reasoning=text)
        self._held_reasoning.append(given)

    def _release_reasoning(self, before: str | None) -> Iterator[ChoiceDelta]:
        """The details of finished reasoning, now that the item after it is known."""
        for given in self._held_reasoning:
            key = before if self._follows_output else None
            details = tuple(reasoning_details(given, self._details, key))
            self._details += len(details)
            yield ChoiceDelta(0, reasoning_details=details)
        self._held_reasoning.clear()


_PARAGRAPH = "\n\n"
"""Between the parts of a summary, each of which is a paragraph with a title."""


class _Item:
    """The state of one output item."""

    __slots__ = ("_counts", "_texts", "id", "index", "is_done", "is_named", "kind", "phase")

    def __init__(self, index: int, item_id: str | None) -> None:
        self.index = index
        self.id = item_id
        self.kind = ""
        self.is_done = False
        self.is_named = False
        self.phase: object = None
        self._counts: dict[tuple[str, int], int] = {}
        self._texts: dict[object, list[str]] = {}

    @property
    def has_received(self) -> bool:
        return bool(self._texts)

    def received(self, place: object, text: str) -> None:
        """Adds text of a part of the item."""
        known = self._texts.get(place)
        if known is None:
            self._texts[place] = [text]
        else:
            known.append(text)

    def text(self, place: object) -> str:
        """The text of a part so far."""
        return "".join(self._texts.get(place, ()))

    def count(self, name: str, place: int, number: int) -> None:
        """Counts what was received of a list of a part."""
        self._counts[name, place] = self._counts.get((name, place), 0) + number

    def new(self, name: str, place: int, part: Json) -> tuple[Json, ...]:
        """The end of a list of a part that no event has brought."""
        rest = dicts_in(part.get(name))[self._counts.get((name, place), 0) :]
        if rest:
            self.count(name, place, len(rest))
        return rest

    def separator(self, place: object) -> str:
        """The separator before a new part of the reasoning."""
        return _PARAGRAPH if self._texts and place not in self._texts else ""


def _more_arguments(item: _Item, arguments: str) -> ChoiceDelta:
    return ChoiceDelta(0, tool_calls=(ToolCallDelta(item.index, None, None, arguments),))


def _parts(content: Any) -> Iterable[Json]:
    """The parts of a message, which may be its text, as in a request."""
    return [{"type": "output_text", "text": content}] if as_str(content) else dicts_in(content)


def _as_in_chat(annotation: Json) -> dict[str, Any]:
    """An annotation in the form that chat completions have for it."""
    match annotation:
        case {"type": "url_citation", "url": str(), **rest}:
            return {"type": "url_citation", "url_citation": {"url": annotation["url"], **rest}}
        case _:
            return dict(annotation)


def _without_tool_secrets(response: Json) -> Json:
    """The response without the tokens of its tools, which traces would show.

    OpenAI leaves them out. A gateway may repeat `tools` as they were sent.
    """
    tools = response.get("tools")
    if not may_have_secrets(tools):
        return response
    kept = [without_keys(tool, _TOOL_SECRETS) if isinstance(tool, dict) else tool for tool in tools]
    return {**response, "tools": kept}

"""The body of `POST /v1/responses`, made from the body of a chat completion.

Everything above this file describes a call in the form of chat completions. docs/decisions/
responses.md says which fields Sunra documents, and which are those of OpenAI's types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sunra_integrations.errors import InvalidParameter, UnsupportedContent
from sunra_integrations.protocol.content import text_part
from sunra_integrations.protocol.json_text import Json, without_keys
from sunra_integrations.protocol.parameters import RequestParameters

DETAIL_FORMAT = "openai-responses-v1"
"""The `format` of reasoning details that were items of a response. OpenRouter's name for it."""
BEFORE = "before"
"""The key of the item that a reasoning item preceded: a call id, an item id, or `message`."""
MESSAGE = "message"

_UNCHANGED = ("model", "temperature", "top_p", "top_logprobs", "parallel_tool_calls", "user",
              "provider", "stream")  # fmt: skip
_NOT_IN_RESPONSES = ("frequency_penalty", "presence_penalty", "stop", "seed")
_ENCRYPTED_REASONING = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"
_CHAT_PARTS = frozenset(("text", "refusal", "image_url", "input_audio", "video_url", "file"))


def responses_body(chat: Json, extra_body: Json) -> dict[str, Any]:
    """The body of a responses request.

    The response is not stored by default, and reasoning is requested in encrypted form: so a
    conversation does not depend on what the server keeps.

    Args:
        chat: The body of the chat completion, without `extra_body`.
        extra_body: More keys of the body, sent unchanged. `include`, `text` and `reasoning` are
            added to.

    Raises:
        InvalidParameter: `reasoning_effort` and `reasoning` differ.
        UnsupportedContent: A part of a message has no counterpart.
    """
    body = {name: chat[name] for name in _UNCHANGED if name in chat}
    is_stored = extra_body.get("store", False)
    items = _input_items(chat["messages"])
    body["input"] = [item for item in items if is_stored or not _is_reference(item)]
    limit = chat.get("max_completion_tokens", chat.get("max_tokens"))
    optional = {
        "max_output_tokens": limit,
        "reasoning": _reasoning(chat),
        "text": _text(chat.get("response_format")),
        "tools": [_flat(tool) for tool in chat["tools"]] if chat.get("tools") else None,
        "tool_choice": _tool_choice(chat.get("tool_choice")),
        "stream_options": without_keys(chat.get("stream_options") or {}, _OF_CHAT_STREAMS) or None,
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    body["store"] = False
    shared = [name for name in _OBJECTS if isinstance(extra_body.get(name), Mapping)]
    body.update(extra_body, **{name: {**body.get(name, {}), **extra_body[name]} for name in shared})
    include: list[Any] = list(extra_body.get("include") or ())
    if not body["store"]:
        include.append(_ENCRYPTED_REASONING)
    if chat.get("logprobs"):
        include.append(_LOGPROBS)
    if include:
        body["include"] = list(dict.fromkeys(include))
    return body


_OBJECTS = ("text", "reasoning")
"""Objects of which a part comes from other parameters, such as `response_format`."""
_OF_CHAT_STREAMS = frozenset(("include_usage",))
"""Options that this API does not need: every response reports its usage."""


def check_for_responses(parameters: RequestParameters) -> None:
    """Rejects parameters that this API does not have.

    Raises:
        InvalidParameter: A parameter has no counterpart in this API.
    """
    names = [name for name in _NOT_IN_RESPONSES if getattr(parameters, name) is not None]
    if parameters.n not in {None, 1}:
        names.append("n")
    for name in names:
        raise InvalidParameter(
            f"`{name}` cannot be sent with api='responses', which has no such parameter. Leave it "
            "out, or use api='chat'.",
            parameter=name,
            value=getattr(parameters, name),
            rule="not with api='responses'",
        )


def _reasoning(chat: Json) -> dict[str, Any] | None:
    reasoning, effort = chat.get("reasoning"), chat.get("reasoning_effort")
    if effort is None:
        return reasoning
    if reasoning and reasoning.get("effort", effort) != effort:
        raise InvalidParameter(
            f"`reasoning_effort` is {effort!r}, but `reasoning` says {reasoning['effort']!r}. With "
            "api='responses' they are one parameter; set one of them.",
            parameter="reasoning_effort",
            value=effort,
            rule="the same as `reasoning['effort']`",
        )
    return {**(reasoning or {}), "effort": effort}


def _text(response_format: Json | None) -> dict[str, Any] | None:
    if response_format is None:
        return None
    named = response_format.get("json_schema")
    if not isinstance(named, Mapping):
        return {"format": dict(response_format)}
    return {"format": {**without_keys(response_format, _JSON_SCHEMA), **named}}


_JSON_SCHEMA = frozenset(("json_schema",))


# ── tools ────────────────────────────────────────────────────────────────────


def _flat(tool: Json) -> dict[str, Any]:
    """A tool in this API's form. Tools of other kinds, such as `web_search`, are unchanged."""
    match tool:
        case {"type": "function", "function": Mapping() as function, **rest}:
            # This API treats a missing `strict` as true, chat completions as false.
            # https://platform.openai.com/docs/guides/function-calling#strict-mode
            parameters = {"parameters": None, "strict": False}
            return {**rest, "type": "function", **parameters, **function}
        case {"type": "custom", "custom": Mapping() as custom, **rest}:
            return {**rest, "type": "custom", **custom, **_flat_format(custom)}
        case _:
            return dict(tool)


def _flat_format(custom: Json) -> dict[str, Any]:
    match custom.get("format"):
        case {"type": "grammar", "grammar": Mapping() as grammar, **rest}:
            return {"format": {**rest, "type": "grammar", **grammar}}
        case _:
            return {}


def _tool_choice(choice: Any) -> Any:
    match choice:
        case {"type": "function", "function": {"name": name}}:
            return {"type": "function", "name": name}
        case {"type": "custom", "custom": {"name": name}}:
            return {"type": "custom", "name": name}
        case {"type": "allowed_tools", "allowed_tools": Mapping() as allowed}:
            named = [_tool_choice(tool) for tool in allowed.get("tools", ())]
            return {"type": "allowed_tools", **allowed, "tools": named}
        case _:
            return choice


# ── messages ─────────────────────────────────────────────────────────────────


def _input_items(messages: Sequence[Json]) -> Iterator[dict[str, Any]]:
    custom_calls: set[str] = set()
    for index, message in enumerate(messages):
        yield from _checked_items(message, index, custom_calls)


def _checked_items(message: Json, index: int, custom_calls: set[str]) -> list[dict[str, Any]]:
    try:
        return list(_items(message, index, custom_calls))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidParameter(
            f"`messages[{index}]` is not a message of chat completions, so api='responses' cannot "
            f"send it. {type(error).__name__}: {error}",
            parameter=f"messages[{index}]",
            rule="a message in the form of chat completions",
        ) from error


def _items(message: Json, index: int, custom_calls: set[str]) -> Iterator[dict[str, Any]]:
    """The items of a message. Adds the ids of its custom calls to `custom_calls`."""
    position = f"messages[{index}]"
    match message["role"]:
        case "assistant":
            for item in _assistant_items(message, index):
                if item["type"] == "custom_tool_call":
                    custom_calls.add(item["call_id"])
                yield item
        case "tool":
            yield _tool_output(message, position, custom_calls)
        case role:
            content = _content(message.get("content"), position, "input_text")
            yield {"type": "message", "role": role, "content": content}


def _tool_output(message: Json, position: str, custom_calls: set[str]) -> dict[str, Any]:
    call_id = message["tool_call_id"]
    kind = "custom_tool_call_output" if call_id in custom_calls else "function_call_output"
    output = _content(message.get("content"), position, "input_text")
    return {"type": kind, "call_id": call_id, "output": output}


def _content(content: Any, position: str, text_type: str) -> Any:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return [
        _part(part, f"{position}.content[{index}]", text_type) for index, part in enumerate(content)
    ]


def _part(part: Json, position: str, text_type: str) -> dict[str, Any]:
    match part:
        case {"type": "text", **rest}:
            return {"type": text_type, **rest}
        case {"type": "image_url" | "file" as kind} if text_type == "output_text":
            raise _not_of_the_assistant(kind, position)
        case {"type": "image_url", "image_url": Mapping() as image, **rest}:
            return {**rest, "type": "input_image", **_renamed(image, "url", "image_url")}
        case {"type": "file", "file": Mapping() as file, **rest}:
            return {**rest, "type": "input_file", **file}
        case {"type": "video_url" | "input_audio" as kind}:
            name = "a video" if kind == "video_url" else "audio"
            raise UnsupportedContent(
                f"{position} is {name}, which api='responses' does not accept. Use api='chat'.",
                kind=kind,
                position=position,
            )
        case _:
            return dict(part)


def _not_of_the_assistant(kind: str, position: str) -> UnsupportedContent:
    return UnsupportedContent(
        f"{position} is a {kind!r} in a message of the assistant, which api='responses' does not "
        "accept. Remove it, or use api='chat'.",
        kind=kind,
        position=position,
    )


def _renamed(fields: Json, old: str, new: str) -> dict[str, Any]:
    return {new if name == old else name: value for name, value in fields.items()}


# ── messages of the assistant ────────────────────────────────────────────────


def _assistant_items(message: Json, index: int) -> Iterator[dict[str, Any]]:
    """Reasoning, text, built-in calls and function calls, in the order they were received in."""
    for name, kind in _NOT_AN_ITEM.items():
        if message.get(name):
            raise _not_of_the_assistant(kind, f"messages[{index}].{name}")
    items = [
        *_message_items(message, f"messages[{index}]"),
        *map(_call_item, message.get("tool_calls") or ()),
    ]
    for number, (reasoning, before) in enumerate(
        _reasoning_items(message.get("reasoning_details") or ())
    ):
        if not reasoning.get("id"):  # of another vendor; the API requires one
            reasoning["id"] = f"rs_{index}_{number}"
        place = next((n for n, item in enumerate(items) if before and _key(item) == before), None)
        if place is None:
            place = next((n for n, item in enumerate(items) if item["type"] != "reasoning"), None)
        items.insert(len(items) if place is None else place, reasoning)
    yield from items


_NOT_AN_ITEM = {"images": "image_url", "audio": "audio", "function_call": "function_call"}
"""Fields with what the model made, each with the type of its content."""


def _key(item: Json) -> str | None:
    """The key by which a reasoning item refers to the item after it."""
    if item["type"] == "reasoning":
        return None
    return MESSAGE if item["type"] == "message" else item.get("call_id") or item.get("id")


def _message_items(message: Json, position: str) -> Iterator[dict[str, Any]]:
    """The content as messages, split where a built-in call stands between them."""
    phase = message.get("phase")
    content = message.get("content") or []
    parts: list[Json] = [text_part(content)] if isinstance(content, str) else list(content)
    if message.get("refusal"):
        parts.append({"type": "refusal", "refusal": message["refusal"]})
    pending: list[Json] = []
    for index, part in enumerate(parts):
        if part.get("type") in _THINKING:
            continue  # of another vendor, beside the text; the API has no such item
        is_item = part.get("type") not in _CHAT_PARTS
        new_phase = phase if is_item else part.get("phase", phase)
        if pending and (is_item or new_phase != phase):
            yield _assistant_message(pending, phase)
            pending = []
        if is_item:
            yield dict(part)
            continue
        phase = new_phase
        made = _part(part, f"{position}.content[{index}]", "output_text")
        pending.append(without_keys(made, _PHASE))
    if pending:
        yield _assistant_message(pending, phase)


_THINKING = frozenset(("thinking", "redacted_thinking"))
_PHASE = frozenset(("phase",))
_PLAIN_TEXT = frozenset(("type", "text"))


def _assistant_message(parts: list[Json], phase: object) -> dict[str, Any]:
    # OpenAI's types allow parts only in messages that have the id of a stored response.
    is_plain = all(_PLAIN_TEXT.issuperset(part) for part in parts)
    content: Any = "".join(part["text"] for part in parts) if is_plain else parts
    message = {"type": "message", "role": "assistant", "content": content}
    return message if phase is None else {**message, "phase": phase}


def _call_item(call: Json) -> dict[str, Any]:
    match call:
        case {"type": "custom", "custom": Mapping() as custom, **rest}:
            return {**_call_fields(rest), "type": "custom_tool_call", **custom}
        case _:
            return {**_call_fields(call), "type": "function_call", **call["function"]}


def _call_fields(call: Json) -> dict[str, Any]:
    """The vendor fields of a call, and its id, which this API calls `call_id`."""
    return {**without_keys(call, _CALL_KEYS), "call_id": call["id"]}


_CALL_KEYS = frozenset(("id", "type", "function"))

# ── reasoning ────────────────────────────────────────────────────────────────


def _is_reference(item: Json) -> bool:
    """Whether it is reasoning that only a server that stored it can read.

    OpenAI refuses it otherwise: https://github.com/vercel/ai/issues/7543
    """
    is_readable = item.get("encrypted_content") or item.get("content")
    return item["type"] == "reasoning" and not is_readable


_DETAIL_KEYS = frozenset(("type", "index", "data", "summary", "text", "format", BEFORE))


def _reasoning_items(details: Sequence[Json]) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Reasoning items, each with the key of the item to insert it before; see `reasoning_details`.

    Details with the same id are one item.
    """
    item: dict[str, Any] | None = None
    before: str | None = None
    for detail in details:
        if item is None or not detail.get("id") or detail["id"] != item.get("id"):
            if item is not None:
                yield item, before
            item, before = {"type": "reasoning", "summary": []}, None
        before = detail.get(BEFORE, before)
        item.update(without_keys(detail, _DETAIL_KEYS))
        if detail.get("format", DETAIL_FORMAT) != DETAIL_FORMAT:
            item["format"] = detail["format"]
        _add_detail(item, detail)
    if item is not None:
        yield item, before


def _add_detail(item: dict[str, Any], detail: Json) -> None:
    match detail:
        case {"type": "reasoning.encrypted", "data": data}:
            item["encrypted_content"] = data
        case {"type": "reasoning.text", "text": text}:
            content = item.setdefault("content", [])
            content.append({"type": "reasoning_text", "text": text})
        case {"type": "reasoning.summary", "summary": str() as summary} if summary:
            item["summary"].append({"type": "summary_text", "text": summary})
        case _:
            pass


def reasoning_details(item: Json, first_index: int, before: str | None) -> Iterator[dict[str, Any]]:
    """A reasoning item as reasoning details, from which `_reasoning_items` makes the same item.

    Args:
        item: The reasoning item of a response.
        first_index: The number of details before it in the message.
        before: The key of the item after it; None if everything before it is reasoning too.
    """
    details: list[dict[str, Any]] = [
        {"type": "reasoning.summary", "summary": part.get("text")}
        for part in item.get("summary") or ()
    ]
    details += [
        {"type": "reasoning.text", "text": part.get("text")} for part in item.get("content") or ()
    ]
    if item.get("encrypted_content"):
        details.append({"type": "reasoning.encrypted", "data": item["encrypted_content"]})
    details = details or [{"type": "reasoning.summary", "summary": ""}]
    details[0].update(without_keys(item, _ITEM_KEYS))
    for index, detail in enumerate(details, first_index):
        place = {} if before is None else {BEFORE: before}
        known = {"id": item.get("id"), "format": DETAIL_FORMAT, "index": index, **place}
        yield {**detail, **{name: value for name, value in known.items() if value is not None}}


_ITEM_KEYS = frozenset(("type", "summary", "content", "encrypted_content"))

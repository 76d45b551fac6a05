"""Requests for responses in the form of chat completions, from which replies are made."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from sunra_integrations.sandbox.contract.response_input import CALLS, OUTPUTS
from sunra_integrations.sandbox.contract.response_parameters import LOGPROBS

Item: TypeAlias = dict[str, Any]
Message: TypeAlias = dict[str, Any]

_RENAMED = {"max_output_tokens": "max_completion_tokens"}
_UNCHANGED = ("model", "parallel_tool_calls", "reasoning")
_INPUT = "input"
"""The only argument of a custom tool in its form as a function."""
_TEXT_INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {_INPUT: {"type": "string"}},
    "required": [_INPUT],
}


def input_items(body: Mapping[str, Any]) -> list[Item]:
    """The items of a request. A text is a message of the user."""
    given = body["input"]
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return list(given)


def chat_request(body: Mapping[str, Any], items: Iterable[Item]) -> dict[str, Any]:
    """The chat request for a body that keeps the rules.

    Args:
        body: The body.
        items: The items of the conversation, those of stored responses included.
    """
    instructions = body.get("instructions")
    first = [] if instructions is None else [{"role": "system", "content": instructions}]
    chat: dict[str, Any] = {
        **{name: body[name] for name in _UNCHANGED if name in body},
        **{new: body[old] for old, new in _RENAMED.items() if old in body},
        "messages": [*first, *_messages(items)],
    }
    tools, choice = _tools_and_choice(body)
    if tools:
        chat |= {"tools": tools, "tool_choice": choice}
    if "format" in body.get("text", {}):
        chat["response_format"] = _response_format(body["text"]["format"])
    if "top_logprobs" in body or LOGPROBS in body.get("include", ()):
        chat |= {"logprobs": True, "top_logprobs": body.get("top_logprobs", 0)}
    return chat


def _response_format(given: Mapping[str, Any]) -> dict[str, Any]:
    if given["type"] != "json_schema":
        return dict(given)
    return {"type": "json_schema", "json_schema": {"schema": given["schema"]}}


# ── tools ────────────────────────────────────────────────────────────────────


def _tools_and_choice(body: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Any]:
    """The functions among the tools, and which of them to call."""
    tools = [tool for tool in body.get("tools", ()) if tool["type"] in {"function", "custom"}]
    match body.get("tool_choice", "auto"):
        case {"type": "allowed_tools", "tools": allowed, "mode": choice}:
            names = {tool.get("name") for tool in allowed}
            tools = [tool for tool in tools if tool["name"] in names]
        case {"type": "function" | "custom", "name": name}:
            choice = {"type": "function", "function": {"name": name}}
        case {}:
            choice = "none"  # a tool that the vendor runs
        case choice:
            pass
    return [_function(tool) for tool in tools], choice


def _function(tool: Mapping[str, Any]) -> dict[str, Any]:
    is_custom = tool["type"] == "custom"
    function = {
        "name": tool["name"],
        "description": tool.get("description") or "",
        "parameters": _TEXT_INPUT if is_custom else tool.get("parameters") or {},
    }
    return {"type": "function", "function": function}


def custom_input(arguments: str) -> str:
    """The input of a custom tool in arguments of its function, which a token limit may cut."""
    for end in ("", '"}'):
        try:
            value = json.loads(arguments + end)
        except ValueError:
            continue
        match value:
            case {"input": str(text)} if len(value) == 1:
                return text
            case _:
                return arguments
    return arguments


# ── messages ─────────────────────────────────────────────────────────────────


def _messages(items: Iterable[Item]) -> list[Message]:
    """The messages. Reasoning, a text and the calls after it are one message."""
    messages: list[Message] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "message" and item["role"] != "assistant":
            messages.append({"role": item["role"], "content": _content(item["content"])})
        elif kind in OUTPUTS:
            content = _content(item["output"])
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": content})
        elif kind == "message" or kind in CALLS or kind == "reasoning":
            _add_to_assistant(messages, item, kind)
    return messages


def _add_to_assistant(messages: list[Message], item: Item, kind: str) -> None:
    last: Message = messages[-1] if messages else {}
    is_open = last.get("role") == "assistant" and kind != "reasoning"
    if kind == "message":
        is_open = is_open and last["content"] is None and "tool_calls" not in last
    if not is_open:
        last = _new_message()
        messages.append(last)
    if kind in CALLS:
        function = {"name": item["name"], "arguments": item[CALLS[kind]]}
        call = {"id": item["call_id"], "type": "function", "function": function}
        last.setdefault("tool_calls", []).append(call)
    elif kind == "reasoning":
        texts = (part["text"] for part in (*item["summary"], *(item.get("content") or ())))
        last["reasoning"] = "\n\n".join(texts)
    else:
        last["content"] = _content(item["content"])


def _new_message() -> Message:
    return {"role": "assistant", "content": None}


def _content(content: str | list[dict[str, Any]]) -> Any:
    return content if isinstance(content, str) else list(_parts(content))


def _parts(parts: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for part in parts:
        cached = {"cache_control": part["cache_control"]} if "cache_control" in part else {}
        yield {**_chat_part(part), **cached}


def _chat_part(part: Mapping[str, Any]) -> dict[str, Any]:
    match part:
        case {"type": "input_text" | "output_text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": url}:
            return {"type": "image_url", "image_url": {"url": url}}
        case {"type": "input_image" | "input_file"}:
            return {"type": "file", "file": part}
        case _:
            return dict(part)

"""A reply as the object that `/v1/responses` returns."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from sunra_integrations.sandbox.contract.reasoning_token import make_token
from sunra_integrations.sandbox.contract.response_parameters import ENCRYPTED_REASONING
from sunra_integrations.sandbox.rule_based.replies import Choice, Reply, fingerprint
from sunra_integrations.sandbox.server.chat_form import custom_input

Item: TypeAlias = dict[str, Any]

_FINISHED = frozenset(("stop", "tool_calls", "function_call"))
_FAILED = "error"
"""The finish reason of a reply that a test scripts as a failure."""
_INCOMPLETE_REASONS = {"length": "max_output_tokens"}

# A response repeats the request, with the defaults of OpenAI's reference.
_REPEATED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": None,
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def response_object(body: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    """The response to a request.

    Args:
        body: The request.
        reply: The reply, of which the first choice is used.
    """
    hashed = fingerprint(dict(body))
    choice = reply.choices[0]
    status, reason = _status(choice.finish_reason)
    return {
        "id": f"resp_{hashed[:32]}",
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "error": _error() if status == "failed" else None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": reply.model,
        "output": _output(body, choice, hashed, status),
        "usage": _usage(reply.usage),
        **{name: _repeated(body, name) for name in _REPEATED},
        # Not fields of this API. They say that the sandbox replied, not a model.
        "provider": "sandbox",
        "system_fingerprint": "sandbox",
    }


def _status(finish_reason: str) -> tuple[str, str]:
    """The status, and the reason if the response is incomplete."""
    if finish_reason in _FINISHED:
        return "completed", ""
    if finish_reason == _FAILED:
        return "failed", ""
    return "incomplete", _INCOMPLETE_REASONS.get(finish_reason, finish_reason)


def _error() -> dict[str, str]:
    return {"code": "server_error", "message": "A test scripted this failure."}


def _repeated(body: Mapping[str, Any], name: str) -> Any:
    default = _REPEATED[name]
    if name == "tools":
        return [_repeated_tool(tool) for tool in body.get("tools", ())]
    if isinstance(default, dict):
        return {**default, **body.get(name, {})}
    return body.get(name, default)


def _repeated_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool["type"] == "function":
        return {"description": None, "parameters": None, "strict": None, **tool}
    # https://platform.openai.com/docs/guides/tools-connectors-mcp#authentication
    return {name: value for name, value in tool.items() if name not in _SECRETS}


_SECRETS = frozenset(("authorization", "headers", "server_url"))
"""Keys of an MCP tool that a response does not repeat. OpenAI repeats the host of the URL."""


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Token usage by the names of this API."""
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": usage["total_tokens"],
        "cost": usage["cost"],
    }


# ── output ───────────────────────────────────────────────────────────────────


def _output(body: Mapping[str, Any], choice: Choice, hashed: str, status: str) -> list[Item]:
    """The items: reasoning, then the content, then calls. Each has an id and its status."""
    custom = {tool["name"] for tool in body.get("tools", ()) if tool["type"] == "custom"}
    made = [
        *_reasoning(choice.message),
        *_content_items(choice),
        *(_call(call, custom) for call in choice.message.get("tool_calls") or ()),
    ]
    items = [_with_id(item, f"{hashed}/{index}") for index, item in enumerate(made)]
    if items and status == "incomplete" and "status" in items[-1]:
        items[-1]["status"] = "incomplete"
    if ENCRYPTED_REASONING in body.get("include", ()):
        for index, item in enumerate(items):
            if item["type"] == "reasoning" and "encrypted_content" not in item:
                following = items[index + 1] if index + 1 < len(items) else None
                item["encrypted_content"] = make_token(item, following)
    return items


_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
}


def _with_id(item: Item, place: str) -> Item:
    hashed = hashlib.sha256(place.encode()).hexdigest()[:24]
    prefix = _PREFIXES.get(item["type"], "item")
    return {"id": f"{prefix}_{hashed}", **item}


def _reasoning(message: Mapping[str, Any]) -> Iterator[Item]:
    """One item for the reasoning, with the id and the encrypted content that a test scripts."""
    details: list[dict[str, Any]] = message.get("reasoning_details") or []
    text = message.get("reasoning") or message.get("reasoning_content")
    texts = [text] if text else [one.get("text") or one.get("summary") for one in details]
    if not (details or text):
        return
    item: Item = {"type": "reasoning"}
    for detail in details:
        item |= {"id": detail["id"]} if detail.get("id") else {}
        item |= {"encrypted_content": detail["data"]} if "data" in detail else {}
    yield {**item, "summary": [{"type": "summary_text", "text": text} for text in texts if text]}


def _call(call: Mapping[str, Any], custom: set[str]) -> Item:
    function: Mapping[str, Any] = call["function"]
    name, arguments = function["name"], function["arguments"]
    made = {"call_id": call["id"], "name": name}
    if name in custom:
        return {"type": "custom_tool_call", **made, "input": custom_input(arguments)}
    return {"type": "function_call", **made, "arguments": arguments, "status": "completed"}


def _content_items(choice: Choice) -> Iterator[Item]:
    """Messages, and other items that a scripted content has between its parts."""
    pending: list[dict[str, Any]] = []
    for part in _parts(choice):
        if part["type"] in {"output_text", "refusal"}:
            pending.append(part)
            continue
        if pending:
            yield _message(choice, pending)
            pending = []
        yield part
    if pending:
        yield _message(choice, pending)


# Keys of a chat message that are elsewhere in a response.
_MESSAGE_KEYS = frozenset(
    (
        "role", "content", "refusal", "tool_calls", "annotations",
        "reasoning", "reasoning_content", "reasoning_details",
    )
)  # fmt: skip


def _message(choice: Choice, parts: list[dict[str, Any]]) -> Item:
    more = {name: value for name, value in choice.message.items() if name not in _MESSAGE_KEYS}
    known = {"type": "message", "role": "assistant", "status": "completed", "content": parts}
    return {**more, **known}


def _parts(choice: Choice) -> Iterator[dict[str, Any]]:
    message = choice.message
    content = message.get("content")
    has_other = message.get("refusal") or message.get("tool_calls") or message.get("reasoning")
    if isinstance(content, str) and (content or not has_other):
        annotations = [_flat(annotation) for annotation in message.get("annotations") or ()]
        yield _output_text(content, annotations, choice.logprobs or [])
    elif isinstance(content, list):
        for part in content:
            is_text = part["type"] in {"text", "output_text"}
            yield _output_text(part["text"], part.get("annotations") or []) if is_text else part
    if message.get("refusal"):
        yield {"type": "refusal", "refusal": message["refusal"]}


def _output_text(
    text: str, annotations: list[dict[str, Any]], logprobs: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    return {
        "type": "output_text",
        "text": text,
        "annotations": annotations,
        "logprobs": logprobs or [],
    }


def _flat(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """An annotation without the nesting that chat completions have."""
    kind = annotation.get("type")
    nested = annotation.get(kind) if isinstance(kind, str) else None
    return {"type": kind, **nested} if isinstance(nested, dict) else dict(annotation)

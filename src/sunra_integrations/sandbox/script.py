"""The deterministic script: request in, reply out, the same for the same request, byte for byte.

Nothing is generated. Replies are sentences of the conversation, tool arguments and JSON values
are words of the turn, reasoning says what was matched. Identifiers and ``created`` come from a
hash of the request (``stream`` and ``stream_options`` aside), so a streamed reply is the
unstreamed one in pieces. Temperature and its kin change nothing; ``seed`` changes identifiers.

What a limit on tokens cuts is what comes last: reasoning is spent first, then content, then the
arguments of tool calls, as they would be streamed. Stop sequences end content, not reasoning or
arguments.
"""

import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import Any

from sunra_integrations.sandbox import answers, conversation, structured, tokens, tool_use
from sunra_integrations.sandbox.conversation import Conversation
from sunra_integrations.sandbox.reply import Choice, Message, Reply

_REASONER = re.compile(r"(?:^|[^a-z0-9])(?:reasoner|reasoning|thinking|r1)(?:$|[^a-z0-9])")
_EPOCH = 1_750_000_000
_SPREAD = 10_000_000
_PER_MESSAGE = 4
_BYTES_PER_TOKEN = 750
_PRICE_IN, _PRICE_OUT = 1e-6, 2e-6


@dataclass(frozen=True)
class _Draft:
    """A message before it is cut to length: reasoning, content, then calls."""

    reasoning: str = ""
    content: str | None = None
    calls: tuple[tuple[str, str], ...] = ()
    finish_reason: str = "stop"
    is_json: bool = False

    @property
    def size(self) -> int:
        """Its tokens."""
        texts = [
            self.reasoning,
            self.content or "",
            *(part for call in self.calls for part in call),
        ]
        return sum(map(tokens.count, texts))


def reply(request: dict[str, Any]) -> Reply:
    """The reply to a request that keeps the contract."""
    talk = conversation.read(request["messages"])
    wanted = tool_use.calls(request, talk)
    whole = _draft(request, talk, wanted)
    drafts = [_limited(request, _variant(whole, index)) for index in range(request.get("n", 1))]
    fingerprint = request_id(request)
    choices = tuple(
        _choice(request, draft, f"{fingerprint}{index}") for index, draft in enumerate(drafts)
    )
    return Reply(
        id=f"chatcmpl-{fingerprint[:24]}",
        created=created(fingerprint),
        model=request["model"],
        choices=choices,
        usage=_usage(request, drafts),
    )


def around(request: dict[str, Any], message: Message, finish_reason: str) -> Reply:
    """A reply around a message that was given; only its identifiers and usage are added."""
    fingerprint = request_id(request)
    reasoning, content = message.get("reasoning"), message.get("content")
    calls = [call.get("function", {}) for call in message.get("tool_calls") or ()]
    draft = _Draft(
        reasoning=reasoning if isinstance(reasoning, str) else "",
        content=content if isinstance(content, str) else None,
        calls=tuple((str(call.get("name")), str(call.get("arguments"))) for call in calls),
    )
    logprobs = _logprobs(request, draft)
    return Reply(
        id=f"chatcmpl-{fingerprint[:24]}",
        created=created(fingerprint),
        model=request["model"],
        choices=(Choice(message, finish_reason, logprobs),),
        usage=_usage(request, [draft]),
    )


def request_id(request: dict[str, Any]) -> str:
    """A hash of everything in a request but how it is to be delivered."""
    asked = {key: request[key] for key in request if key not in {"stream", "stream_options"}}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def created(fingerprint: str) -> int:
    """A time made from a request's hash; it says nothing about the clock."""
    return _EPOCH + int(fingerprint[:8], 16) % _SPREAD


def call_id(fingerprint: str, index: int) -> str:
    """The id of a reply's tool call."""
    return "call_" + hashlib.sha256(f"{fingerprint}/{index}".encode()).hexdigest()[:24]


# ── what is said ─────────────────────────────────────────────────────────────


def _draft(request: dict[str, Any], talk: Conversation, wanted: list[tool_use.Call]) -> _Draft:
    """The message before any limit: calls where there are any to make, else content."""
    names = [call.name for call in wanted]
    draft = _Draft(reasoning=answers.reasoning(talk, names) if _reasons(request) else "")
    if wanted:
        spoken = tuple((call.name, _json(call.arguments)) for call in wanted)
        return replace(draft, calls=spoken, finish_reason="tool_calls")
    if structured.is_asked_for(request):
        return replace(draft, content=_json(structured.value(request, talk)), is_json=True)
    return replace(draft, content=answers.answer(talk))


def _variant(draft: _Draft, index: int) -> _Draft:
    """The draft of one choice; the second and later ones can be told from the first.

    Text says which choice it is; JSON, which must stay valid, is laid out differently.
    """
    if index == 0 or draft.content is None:
        return draft
    if draft.is_json:
        return replace(draft, content=_json(json.loads(draft.content), indent=index))
    return replace(draft, content=f"{draft.content} (choice {index + 1})")


def _limited(request: dict[str, Any], draft: _Draft) -> _Draft:
    """The draft within the request's stop sequences and limit on tokens."""
    draft = _stopped(draft, request.get("stop", ()))
    limit = request.get("max_completion_tokens", request.get("max_tokens"))
    return draft if limit is None or draft.size <= limit else _cut(draft, limit)


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _reasons(request: dict[str, Any]) -> bool:
    """Whether reasoning was asked for, or the model's name promises it."""
    reasoning, effort = request.get("reasoning"), request.get("reasoning_effort")
    if effort == "none" or (
        reasoning and (reasoning.get("enabled") is False or reasoning.get("effort") == "none")
    ):
        return False
    named = _REASONER.search(request["model"].lower()) is not None
    return named or reasoning is not None or effort is not None


def _stopped(draft: _Draft, stop: str | list[str]) -> _Draft:
    """The draft with its content ended before the first stop sequence."""
    content = draft.content
    if content is None:
        return draft
    sequences = [stop] if isinstance(stop, str) else stop
    places = [place for sequence in sequences if (place := content.find(sequence)) >= 0]
    return replace(draft, content=content[: min(places)]) if places else draft


def _cut(draft: _Draft, limit: int) -> _Draft:
    """The draft's first tokens, in the order they would be streamed."""
    reasoning, left = _first(draft.reasoning, limit)
    content: str | None = draft.content
    if content is not None:
        content, left = _first(content, left)
    calls: list[tuple[str, str]] = []
    for name, arguments in draft.calls:
        left -= tokens.count(name)
        if left < 0:
            break
        kept, left = _first(arguments, left)
        calls.append((name, kept))
    if draft.calls and not calls:
        content = ""
    return _Draft(reasoning, content, tuple(calls), "length")


def _first(text: str, limit: int) -> tuple[str, int]:
    split = tokens.split(text)[:limit]
    return "".join(split), limit - len(split)


# ── how it is put ────────────────────────────────────────────────────────────


def _choice(request: dict[str, Any], draft: _Draft, fingerprint: str) -> Choice:
    message: Message = {"role": "assistant", "content": draft.content, "refusal": None}
    shown = not (request.get("reasoning") or {}).get("exclude")
    if draft.reasoning and shown:
        detail = {"type": "reasoning.text", "text": draft.reasoning, "index": 0}
        message |= {"reasoning": draft.reasoning, "reasoning_details": [detail]}
    if draft.calls:
        message["tool_calls"] = [
            {
                "id": call_id(fingerprint, index),
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }
            for index, (name, arguments) in enumerate(draft.calls)
        ]
    return Choice(message, draft.finish_reason, _logprobs(request, draft))


def _logprobs(request: dict[str, Any], draft: _Draft) -> list[dict[str, Any]] | None:
    if not request.get("logprobs"):
        return None
    return tokens.log_probabilities(draft.content or "", request.get("top_logprobs", 0))


def _usage(request: dict[str, Any], drafts: list[_Draft]) -> dict[str, Any]:
    """Tokens as `tokens` counts them; media by their bytes; a made-up price.

    Cached are the messages up to the last one marked with ``cache_control``.
    """
    messages = request["messages"]
    sizes = [_message_tokens(message) for message in messages]
    marked = [i for i, message in enumerate(messages) if conversation.is_marked_for_cache(message)]
    cached = sum(sizes[: marked[-1] + 1]) if marked else 0
    tools = tokens.count(json.dumps(request["tools"])) if "tools" in request else 0
    prompt = sum(sizes) + tools
    spent = sum(draft.size for draft in drafts)
    heard = sum(
        _media_tokens(attachment)
        for message in messages
        for attachment in conversation.attachments(message)
        if attachment.kind == "audio"
    )
    return {
        "prompt_tokens": prompt,
        "completion_tokens": spent,
        "total_tokens": prompt + spent,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": heard},
        "completion_tokens_details": {
            "reasoning_tokens": sum(tokens.count(draft.reasoning) for draft in drafts),
            "audio_tokens": 0,
        },
        "cost": round(prompt * _PRICE_IN + spent * _PRICE_OUT, 8),
    }


def _message_tokens(message: dict[str, Any]) -> int:
    said = [
        conversation.text(message),
        message.get("reasoning") or "",
        *(call["function"]["arguments"] for call in message.get("tool_calls") or ()),
    ]
    media = sum(map(_media_tokens, conversation.attachments(message)))
    return _PER_MESSAGE + sum(map(tokens.count, said)) + media


def _media_tokens(attachment: conversation.Attachment) -> int:
    return 1 + attachment.size // _BYTES_PER_TOKEN

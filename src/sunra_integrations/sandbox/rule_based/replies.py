# ruff: noqa: RUF001 - punctuation of other scripts
"""The default reply to a request. It is the same for the same request, byte for byte.

Nothing is generated: content is quoted from the conversation, and tool arguments and JSON values
are words of the last turn. Ids and ``created`` come from a hash of the request without ``stream``
and ``stream_options``, so a streamed reply equals the complete one. ``temperature`` and similar
parameters have no effect; ``seed`` changes the ids.

A token limit cuts reasoning first, then content, then the arguments of tool calls. Stop sequences
end content only.
"""

import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sunra_integrations.sandbox.contract.json_schema import schema_problems
from sunra_integrations.sandbox.rule_based.conversation import (
    Attachment,
    Conversation,
    ToolResult,
    attachments,
    is_cached,
    message_text,
    read_conversation,
)
from sunra_integrations.sandbox.rule_based.schema_values import make_value
from sunra_integrations.sandbox.rule_based.text import (
    MAX_TEXT,
    count_tokens,
    is_question,
    log_probabilities,
    question,
    sentences,
    split_tokens,
    stems,
    without_label,
)
from sunra_integrations.sandbox.rule_based.tool_calls import ToolCall, plan_calls
from sunra_integrations.sandbox.rule_based.value_candidates import ValueCandidates

Message: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """One choice: the assistant message, the finish reason, the log probabilities."""

    message: Message
    finish_reason: str
    logprobs: list[dict[str, Any]] | None = None


@dataclass(frozen=True)
class Reply:
    """The content of a completion, before it is encoded."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: dict[str, Any]


@dataclass(frozen=True)
class _Draft:
    """A message before it is cut to the token limit."""

    reasoning: str = ""
    content: str | None = None
    calls: tuple[tuple[str, str], ...] = ()
    finish_reason: str = "stop"
    is_json: bool = False

    @property
    def size(self) -> int:
        """Its tokens."""
        calls = (text for call in self.calls for text in call)
        return sum(map(count_tokens, (self.reasoning, self.content or "", *calls)))


def default_reply(request: dict[str, Any]) -> Reply:
    """The reply to a valid request."""
    conversation = read_conversation(request["messages"])
    draft = _draft(request, conversation, plan_calls(request, conversation))
    drafts = [_limited(request, _variant(draft, index)) for index in range(request.get("n", 1))]
    hashed = fingerprint(request)
    choices = [_choice(request, one, f"{hashed}{index}") for index, one in enumerate(drafts)]
    return _assemble(request, choices, drafts)


def scripted_reply(request: dict[str, Any], message: Message, finish_reason: str) -> Reply:
    """A reply with a given message. Ids and usage are added."""
    reasoning, content = message.get("reasoning"), message.get("content")
    calls = [call.get("function", {}) for call in message.get("tool_calls") or ()]
    draft = _Draft(
        reasoning=reasoning if isinstance(reasoning, str) else "",
        content=content if isinstance(content, str) else None,
        calls=tuple((str(call.get("name")), str(call.get("arguments"))) for call in calls),
    )
    choice = Choice(message, finish_reason, _logprobs(request, draft))
    return _assemble(request, [choice], [draft])


def fingerprint(request: dict[str, Any]) -> str:
    """A hash of a request without the parameters that only change its delivery."""
    hashed = {key: request[key] for key in request if key not in {"stream", "stream_options"}}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def call_id(fingerprint: str, index: int) -> str:
    """The id of a tool call."""
    return "call_" + hashlib.sha256(f"{fingerprint}/{index}".encode()).hexdigest()[:24]


_EPOCH = 1_750_000_000
_EPOCH_SPREAD = 10_000_000


def _assemble(request: dict[str, Any], choices: list[Choice], drafts: list[_Draft]) -> Reply:
    hashed = fingerprint(request)
    return Reply(
        id=f"chatcmpl-{hashed[:24]}",
        created=_EPOCH + int(hashed[:8], 16) % _EPOCH_SPREAD,
        model=request["model"],
        choices=tuple(choices),
        usage=_usage(request, drafts),
    )


# ── drafts ───────────────────────────────────────────────────────────────────

_REASONING_MODEL = re.compile(r"(?:^|[^a-z0-9])(?:reasoner|reasoning|thinking|r1)(?:$|[^a-z0-9])")


def _draft(request: dict[str, Any], conversation: Conversation, calls: list[ToolCall]) -> _Draft:
    """The message before any limit: tool calls if the turn asks for some, otherwise content."""
    names = [call.name for call in calls]
    draft = _Draft(reasoning=_explain(conversation, names) if _reasons(request) else "")
    if calls:
        encoded = tuple((call.name, _dumps(call.arguments)) for call in calls)
        return replace(draft, calls=encoded, finish_reason="tool_calls")
    if request.get("response_format", {}).get("type") in {"json_schema", "json_object"}:
        return replace(draft, content=_dumps(_json_value(request, conversation)), is_json=True)
    return replace(draft, content=_quote(conversation))


def _reasons(request: dict[str, Any]) -> bool:
    """Whether the request enables reasoning, or the model's name suggests it."""
    reasoning, effort = request.get("reasoning"), request.get("reasoning_effort")
    if effort == "none" or (
        reasoning and (reasoning.get("enabled") is False or reasoning.get("effort") == "none")
    ):
        return False
    by_name = _REASONING_MODEL.search(request["model"].lower()) is not None
    return by_name or reasoning is not None or effort is not None


def _variant(draft: _Draft, index: int) -> _Draft:
    """The draft of one choice. Text gets the number of the choice, JSON another indentation."""
    if index == 0 or draft.content is None:
        return draft
    if draft.is_json:
        return replace(draft, content=_dumps(json.loads(draft.content), indent=index))
    return replace(draft, content=f"{draft.content} (choice {index + 1})")


def _dumps(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _limited(request: dict[str, Any], draft: _Draft) -> _Draft:
    """The draft within the request's stop sequences and token limit."""
    draft = _stopped(draft, request.get("stop", ()))
    limit = request.get("max_completion_tokens", request.get("max_tokens"))
    return draft if limit is None or draft.size <= limit else _truncated(draft, limit)


def _stopped(draft: _Draft, stop: str | list[str]) -> _Draft:
    content = draft.content
    if content is None:
        return draft
    sequences = [stop] if isinstance(stop, str) else stop
    found = [index for sequence in sequences if (index := content.find(sequence)) >= 0]
    return replace(draft, content=content[: min(found)]) if found else draft


def _truncated(draft: _Draft, limit: int) -> _Draft:
    """The first tokens of a draft, in the order in which they are streamed."""
    reasoning, left = _first_tokens(draft.reasoning, limit)
    content: str | None = draft.content
    if content is not None:
        content, left = _first_tokens(content, left)
    calls: list[tuple[str, str]] = []
    for name, arguments in draft.calls:
        left -= count_tokens(name)
        if left < 0:
            break
        kept, left = _first_tokens(arguments, left)
        calls.append((name, kept))
    if draft.calls and not calls:
        content = ""
    return _Draft(reasoning, content, tuple(calls), "length")


def _first_tokens(text: str, limit: int) -> tuple[str, int]:
    tokens = split_tokens(text)[:limit]
    return "".join(tokens), limit - len(tokens)


def _choice(request: dict[str, Any], draft: _Draft, fingerprint: str) -> Choice:
    message: Message = {"role": "assistant", "content": draft.content, "refusal": None}
    excluded = (request.get("reasoning") or {}).get("exclude")
    if draft.reasoning and not excluded:
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
    return log_probabilities(draft.content or "", request.get("top_logprobs", 0))


# ── usage ────────────────────────────────────────────────────────────────────

_TOKENS_PER_MESSAGE = 4
_BYTES_PER_TOKEN = 750
_INPUT_PRICE, _OUTPUT_PRICE = 1e-6, 2e-6


def _usage(request: dict[str, Any], drafts: list[_Draft]) -> dict[str, Any]:
    """Token usage at a made-up price.

    Messages up to the last one with ``cache_control`` count as cached. Media count by their size.
    """
    messages = request["messages"]
    sizes = [_message_tokens(message) for message in messages]
    marked = [index for index, message in enumerate(messages) if is_cached(message)]
    cached = sum(sizes[: marked[-1] + 1]) if marked else 0
    tools = count_tokens(json.dumps(request["tools"])) if "tools" in request else 0
    prompt = sum(sizes) + tools
    completion = sum(draft.size for draft in drafts)
    audio = sum(
        _media_tokens(attachment)
        for message in messages
        for attachment in attachments(message)
        if attachment.kind == "audio"
    )
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": audio},
        "completion_tokens_details": {
            "reasoning_tokens": sum(count_tokens(draft.reasoning) for draft in drafts),
            "audio_tokens": 0,
        },
        "cost": round(prompt * _INPUT_PRICE + completion * _OUTPUT_PRICE, 8),
    }


def _message_tokens(message: dict[str, Any]) -> int:
    texts = [
        message_text(message),
        message.get("reasoning") or "",
        *(call["function"]["arguments"] for call in message.get("tool_calls") or ()),
    ]
    media = sum(map(_media_tokens, attachments(message)))
    return _TOKENS_PER_MESSAGE + sum(map(count_tokens, texts)) + media


def _media_tokens(attachment: Attachment) -> int:
    return 1 + attachment.size // _BYTES_PER_TOKEN


# ── text ─────────────────────────────────────────────────────────────────────

_MAX_QUOTE = 600
_SECOND_BEST = 0.7
_MIN_SHARE = 0.2
_INSTRUCTIONS = re.compile(r"(?i)^(?:context|context information is below|answer)\W*$")


def _quote(conversation: Conversation) -> str:
    """Tool results if there are any, otherwise the closest sentences, otherwise the turn."""
    if conversation.results:
        text = _quote_results(conversation.results, question(conversation.turn))
    else:
        text = " ".join(_closest_sentences(conversation)) or _echo(conversation.turn)
    media = _describe(conversation.attachments)
    return "\n".join(part for part in (text, media) if part) or "You said nothing."


def _echo(turn: str) -> str:
    text = turn.strip()[:_MAX_QUOTE]
    return f"You said: {text}" if text else ""


def _describe(found: Sequence[Attachment]) -> str:
    listed = ", ".join(attachment.description for attachment in found)
    return f"There is {listed}." if listed else ""


def _quote_results(results: Sequence[ToolResult], query: str) -> str:
    """Short results as they are, long ones by their closest sentences."""
    if len(results) == 1:
        return _quote_result(results[0], query)
    return "\n".join(f"{result.name}: {_quote_result(result, query)}" for result in results)


def _quote_result(result: ToolResult, query: str) -> str:
    text = result.text.strip()
    if len(text) > _MAX_QUOTE:
        text = " ".join(_most_similar(query, sentences(text[-MAX_TEXT:]))) or text[:_MAX_QUOTE]
    return "\n".join(part for part in (text, _describe(result.attachments)) if part)


def _closest_sentences(conversation: Conversation) -> list[str]:
    """The one or two sentences of the conversation that are closest to the question."""
    query = question(conversation.turn)
    text = "\n".join([*conversation.earlier, conversation.turn])[-MAX_TEXT:]
    candidates = [
        sentence
        for sentence in dict.fromkeys(sentences(text))
        if sentence != query
        and not is_question(sentence)
        and not sentence.endswith((":", "："))
        and not _INSTRUCTIONS.match(sentence)
    ]
    return _most_similar(query, candidates)


def _most_similar(query: str, candidates: Sequence[str]) -> list[str]:
    """The one or two candidates that share the rarest words with a query, or none."""
    wanted = set(stems(without_label(query)))
    by_candidate = [set(stems(candidate)) for candidate in candidates]
    frequency = Counter(word for words in by_candidate for word in words & wanted)
    weight = {word: math.log(1 + len(by_candidate) / frequency[word]) for word in frequency}
    scores = [sum(weight[word] for word in words & wanted) for words in by_candidate]
    order = sorted(range(len(candidates)), key=lambda index: -scores[index])
    if not order or not wanted:
        return []
    best = scores[order[0]]
    shared = len(by_candidate[order[0]] & wanted) / len(wanted)
    if best <= 0 or shared < _MIN_SHARE:
        return []
    second = [index for index in order[1:2] if scores[index] >= _SECOND_BEST * best]
    new = [index for index in second if by_candidate[index] - by_candidate[order[0]]]
    return [candidates[index] for index in sorted([order[0], *new])]


def _explain(conversation: Conversation, called: Sequence[str]) -> str:
    """The reasoning: what was matched."""
    query = without_label(question(conversation.turn))
    words = ", ".join(dict.fromkeys(stems(query)[:8])) or "no word of weight"
    if called:
        found = f"They point at {', '.join(dict.fromkeys(called))}."
    elif conversation.results:
        found = f"{len(conversation.results)} tool result(s) to quote."
    else:
        found = f"Sentences sharing them: {len(_closest_sentences(conversation))}."
    return f"The turn asks: {query} Stems: {words}. {found}"


# ── JSON ─────────────────────────────────────────────────────────────────────

_KEY = re.compile(r"[\"'`“‘]([A-Za-z_]\w{0,39})[\"'`”’]")
_ABOUT_KEYS = re.compile(r"\b(?:keys?|fields?|propert(?:y|ies)|attributes?|json)\b", re.IGNORECASE)
_MAX_PROMPT = 50_000
_MAX_BRACES = 100
_MAX_KEYS = 32


def _json_value(request: dict[str, Any], conversation: Conversation) -> Any:
    """The value that ``response_format`` requires."""
    match request["response_format"]:
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return make_value(schema, _candidates(conversation))
        case _:
            return _json_object(conversation)


def _json_object(conversation: Conversation) -> Any:
    """An object for a schema in the prompt, or for the keys it names, or with an answer."""
    prompt = "\n".join([*conversation.earlier, conversation.turn])[-_MAX_PROMPT:]
    subject = _without_instructions(conversation)
    for schema in _schemas_in(prompt):
        return make_value(schema, _candidates(subject))
    keys = _keys_in(prompt)
    if not keys:
        return {"answer": _quote(subject)}
    properties = {key: {"type": "string"} for key in keys}
    schema = {"type": "object", "properties": properties, "required": keys}
    return make_value(schema, _candidates(subject))


def _without_instructions(conversation: Conversation) -> Conversation:
    """The conversation without the turn's sentences about the format of the JSON."""
    kept = [line for line in sentences(conversation.turn) if not _ABOUT_KEYS.search(line)]
    return replace(conversation, turn="\n".join(kept)) if kept else conversation


def _candidates(conversation: Conversation) -> ValueCandidates:
    """Values from the turn and the tool results, with the closest sentences as prose."""
    results = [result.text for result in conversation.results]
    query = without_label(question(conversation.turn))
    prose = [*results, *_closest_sentences(conversation)] or [query, _quote(conversation)]
    text = "\n".join([*results, conversation.turn])
    return ValueCandidates(text, prose=[sentence for sentence in prose if sentence])


def _schemas_in(prompt: str) -> Iterator[dict[str, Any]]:
    """JSON Schemas in a prompt, as output parsers write them."""
    decoder = json.JSONDecoder()
    for opening in itertools.islice(re.finditer(r"\{", prompt), _MAX_BRACES):
        try:
            value, _ = decoder.raw_decode(prompt, opening.start())
        except (ValueError, RecursionError):
            continue
        is_schema = isinstance(value.get("properties"), dict) and (
            value.get("type") == "object" or "required" in value
        )
        if is_schema and not any(schema_problems("", value)):
            yield value


def _keys_in(prompt: str) -> list[str]:
    """Quoted names in sentences about keys, fields or JSON."""
    lines = [sentence for sentence in sentences(prompt) if _ABOUT_KEYS.search(sentence)]
    return list(dict.fromkeys(key for line in lines for key in _KEY.findall(line)))[:_MAX_KEYS]

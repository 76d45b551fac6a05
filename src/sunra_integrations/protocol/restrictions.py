"""Restrictions of models: which parameter of a request a model does not support, and the remedy.

Servers report a restriction as an invalid request, mostly without a code, so it is recognized by
phrases. Each has the servers that send it. Nothing is left out of a request because of them: the
caller decides.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sunra_integrations.protocol.error_body import MODEL_OUTPUT, ErrorFields

__all__ = ["Restriction", "find_restriction"]


class Restriction(NamedTuple):
    """A parameter that a model does not support, at least not in this request."""

    parameter: str
    """Its name in the request body; empty if the server does not name it."""
    remedy: str


def find_restriction(fields: ErrorFields) -> Restriction | None:
    """The restriction that an error reports; None if it reports something else."""
    upstream = (fields.upstream or "").partition(MODEL_OUTPUT)[0]
    texts = (text[:_MAX_READ] for text in (fields.message or "", upstream))
    message = " ".join(_INPUT.split(text, maxsplit=1)[0] for text in texts)[:_MAX_READ]
    for words, parameter, remedy in _KNOWN:
        if words.search(message):
            return _restriction(parameter, remedy)
    named = _NAMED.search(message)
    if named is not None:
        return _restriction(_in_body(named[named.lastindex or 0]))
    if fields.param and not _CODES.isdisjoint((fields.code, fields.upstream_code)):
        is_effort = fields.param.endswith(".effort")  # of the Responses API
        parameter = "reasoning_effort" if is_effort else _in_body(fields.param)
        return _restriction(parameter) if _NAME.fullmatch(parameter) else None
    return None


def _restriction(parameter: str, remedy: str | None = None) -> Restriction | None:
    if parameter in _REQUIRED:
        return None
    return Restriction(parameter, remedy or _REMEDIES.get(parameter) or f"Leave out `{parameter}`.")


def _in_body(name: str) -> str:
    """A parameter's name as requests have it; xAI writes `presencePenalty`."""
    return _CAPITAL.sub(r"_\1", name).lower()


_MAX_READ = 4000
"""Longest part of a message that is searched."""

_INPUT = re.compile(r"'input': |\binput_value=")
"""Before the caller's own text, which vLLM and others quote in validation errors."""

_CAPITAL = re.compile("(?<=[a-z])([A-Z])")
_NAME = re.compile(r"\w+")
_REQUIRED = frozenset(("model", "messages"))
_CODES = frozenset(("unsupported_parameter", "unsupported_value", "unknown_parameter"))

# ── remedies ─────────────────────────────────────────────────────────────────

_FOR_TOOLS = (
    '`reasoning_effort="none"`, if the model has that level',
    '`api="responses"`',
    "a request without tools",
    "another model",
)
_REMEDIES = {
    "reasoning_effort": "Leave out `reasoning_effort`, or use a level that the model has.",
    "tool_choice": 'Use `tool_choice="auto"`, or turn off the model\'s reasoning. Structured '
    "output by a tool call forces the tool: use its JSON schema or JSON mode instead.",
    "tools": "Leave out the tools, or use a model that supports them.",
    "response_format": "Leave out `response_format`. For structured output, use a tool call "
    "instead, or JSON mode if the model has that.",
    "max_tokens": "Use `max_completion_tokens` instead of `max_tokens`.",
    "max_completion_tokens": "Use `max_tokens` instead of `max_completion_tokens`.",
    "enable_thinking": 'Stream the response, or set `extra_body={"enable_thinking": False}`.',
    "stream": "Call the model without streaming.",
}

# ── phrases ──────────────────────────────────────────────────────────────────

_PHRASES: dict[str, tuple[str, ...]] = {
    "tool_choice": (
        r"(?:does not support this|support the provided) '?tool_choice",  # DeepSeek, OpenRouter
        r"tool_choice parameter does not support",  # DashScope
        r"tool_choice '?\w+'? is incompatible with",  # Moonshot
        r"tool_choice forces tool use",  # Anthropic
        r"""tool_choice: type ["'\w ]+ (?:is|are) not supported for""",  # Anthropic
    ),
    "response_format": (
        r"'response_format' of type '\w+' is not supported with",  # OpenAI, Azure
        r"response_format(?:\.type `\w+`| type) is unavailable",  # DeepSeek
        r"does not support (?:response format|json output)",  # Groq, DeepSeek
        r"json mode (?:response )?is not (?:supported|enabled)",  # DashScope, Gemini
        r"json(?:_object|_schema)?[ `]*(?:mode )?cannot be combined with tool",  # Groq
        r"with a response mime type: '[\w/]+' is unsupported",  # Gemini
    ),
    "tools": (
        r"no endpoints found that support tool use",  # OpenRouter
        r"does not support (?:tools\b|function calling)",  # Ollama, DeepSeek
        r"tool calling`? is not supported with this model",  # Groq
    ),
    "logprobs": (r"\blogprobs is not (?:enabled|supported) for",),  # Gemini
    "reasoning_effort": (
        r"thinking level is not supported for",  # Gemini
        r"this model only works in thinking mode",  # Gemini
        r"thinking can't be disabled for this model",  # Vertex AI
        r"does not support (?:thinking\b|setting thinking_budget)",  # Ollama, Vertex AI
    ),
    "enable_thinking": (
        r"\benable_thinking must be set to false for non-streaming",  # DashScope
        r"enable thinking can not be support when `stream",  # ModelScope
    ),
}
_WITH_REMEDY = (
    (
        # OpenAI and Azure from gpt-5.4 on. gpt-6-astra rejects the level "none" too
        # (genkit-ai/genkit#6303).
        r"function tools with reasoning_effort are not supported",
        "reasoning_effort",
        f"For function tools, use one of: {'; '.join(_FOR_TOOLS)}.",
    ),
    (
        r"(?:is only supported in|please use) /?v1/responses",  # OpenAI, sub2api
        "",
        'Use `api="responses"`.',
    ),
    (
        (
            "not a chat model and thus not supported in the v1/chat/completions"  # OpenAI
            "|is not accessible via the /chat/completions endpoint"  # GitHub Copilot
            "|the chatcompletion operation does not work with the specified model"  # Azure
        ),
        "",
        'Use `api="responses"`, or a chat model.',
    ),
    (
        r"\bpenalty is not enabled for",  # Gemini, which does not say which
        "",
        "Leave out `frequency_penalty` and `presence_penalty`.",
    ),
    (
        r"no endpoints found that can handle the requested parameters",  # OpenRouter
        "",
        "Leave out the parameters that the model does not support, or use another model.",
    ),
)
_WITH_NAME = (
    r"(?:unsupported|unknown) parameter: '(\w+)'",  # OpenAI, Azure
    r"unsupported value: '(\w+)' does not support",  # OpenAI, Moonshot
    r"unrecognized request arguments? supplied: (\w+)",  # Azure
    r"does not support (?:the )?parameter `?(\w+)",  # xAI, DeepSeek
    r"argument not supported(?: on this model)?: (\w+)",  # xAI
    # Groq, OpenAI
    r"(?<!tool )(?<!type )(?<!role )[`'](\w+)[`'] is not supported (?:with|for) this model",
    r"`(\w+)` is deprecated for this model",  # Anthropic
    r"`(\w+)` may only be set to \S+ when thinking",  # Anthropic
    r"`\w+` and `(\w+)` cannot both be specified for this model",  # Anthropic on Bedrock
    r"invalid (\w+): only \S+ is allowed for this model",  # Moonshot
    r"does not support parameters: [\[{]'(\w+)'",  # LiteLLM
    r"\bbody\.(\w+): extra inputs are not permitted",  # Mistral
    r"'loc': \('body', '(\w+)'\), 'msg': 'extra inputs are not permitted",  # vLLM
)

_KNOWN: tuple[tuple[re.Pattern[str], str, str | None], ...] = (
    *((re.compile(words, re.IGNORECASE), name, remedy) for words, name, remedy in _WITH_REMEDY),
    *((re.compile("|".join(words), re.IGNORECASE), name, None) for name, words in _PHRASES.items()),
)
_NAMED = re.compile("|".join(_WITH_NAME), re.IGNORECASE)

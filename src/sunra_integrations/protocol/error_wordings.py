"""Which failure an error message describes, in the wordings of the servers behind a gateway.

Status and code are often no more than "400, invalid_request_error", so some kinds of failure are
known by their wording only: a conversation that is too long, an input that a filter declined, and a
model that does not exist. Each line below names who writes so.
"""

from __future__ import annotations

import re

_LONGEST_READ = 4000
"""Characters of a message that are looked at, so that a huge one costs nothing."""

# "exceeds the context window", "exceed context limit", "exceeded max context length"
_EXCEEDS = (
    r"exceed(?:s|ed|ing)?(?: the| model)?(?: max(?:imum)?| available| model'?s?| configured)*"
)
_OVERFLOW = (
    r"maximum (?:context|prompt|model) length",  # OpenAI, OpenRouter, vLLM, Mistral, DeepSeek, xAI
    r"(?:context|prompt)[ _](?:length|window|size)(?: is| was)?[ _]exceed",  # LocalAI and proxies
    rf"{_EXCEEDS} context",  # OpenAI, Ollama, llama.cpp, Anthropic
    r"context[ _](?:window|length)[ _]exceeds",  # MiniMax
    r"context overflow|overflows? the context|context the overflows",  # LM Studio
    r"(?:longer|greater|larger) than the (?:model'?s )?(?:maximum )?(?:context|model) length",
    r"too (?:large|long) for (?:the )?(?:model'?s )?context",
    r"configured context size is \d",  # DS4
    r"context length is only \d",  # vLLM
    r"model'?s maximum context limit",  # Together AI
    r"(?:prompt|input|conversation|request) (?:is |was )?too long",  # Anthropic, Bedrock, Ollama
    r"length of (?:all |the )?messages is too long",  # Perplexity
    r"(?:prompt|input) (?:tokens? )?(?:count )?exceeds? \d+ tokens",  # Perplexity
    r"prompt exceeds max",  # Z.ai
    r"too many (?:input |prompt )?tokens",  # Cohere, Bedrock
    r"reduce the length of (?:the |your )?(?:messages|prompt|input)",  # Groq, Cerebras, OpenAI
    r"(?:prompt|input) token count[^.]{0,80}(?:exceeds|only supports)",  # Gemini, Copilot
    r"exceeds? (?:the )?maximum (?:allowed )?(?:input length|number of (?:input )?tokens)",
    r"input tokens exceed the configured limit",  # OpenAI
    r"exceeded (?:the )?model(?:'s)? token limit",  # Moonshot
    r"exceed max message tokens",  # Volcengine
    r"token limit exceeded",  # Writer and proxies
    r"range of input length should be",  # DashScope
    r"`inputs` tokens \+ `max_new_tokens` must be|`inputs` must have less than",  # TGI
    r"request body too large for \S+ model",  # GitHub Models
    r"string too long\. expected a string with maximum length",  # OpenAI
    r"超过[^。]{0,20}上下文|prompt 超长",  # Zhipu
)
# The limit on tokens per minute is reached with the same words, and waiting helps there.
_RATE = r"rate[ _-]?limit|too many requests|throttl|per[ _-](?:minute|hour|day)|\bTPM\b|please wait"

_NAME = r"""[ :=]*(?:named |id |code )?[`'"]?[\w./:@+-]*[`'"]?"""
_IS_NOT_THERE = (
    r"(?:is |was |could |does |do |has )?(?:not (?:be )?(?:found|exist)|doesn'?t exist"
    r"|been (?:decommissioned|deprecated|retired)"
    r"|not (?:a valid|supported by any|available for your))"
)
_UNKNOWN_MODEL = (
    rf"\bmodels?\b{_NAME},? {_IS_NOT_THERE}",  # OpenAI, vLLM, Ollama, Mistral, Groq, Gemini
    r"is not a valid model",  # OpenRouter
    r"\b(?:unknown|invalid|unrecogni[sz]ed|no such) model\b(?! (?:output|response|parameter))",
    r"supported (?:api )?model names are",  # DeepSeek
    r"not found the model",  # Moonshot
    r"model (?:identifier|id|name) (?:is |was )?(?:invalid|unknown|not found|not valid)",  # Bedrock
    r"unable to access model",  # Together AI
    r"no endpoints found for \S",  # OpenRouter
    r"模型不存在",  # Zhipu
)

_REJECTION = (
    r"content management policy|content_?policy_?violation",  # Azure, LiteLLM
    r"flagged (?:as|for|by|due)|(?:input|prompt|content) (?:is |was |has been )?flagged",  # OpenAI
    r"content exists risk",  # DeepSeek
    r"considered high risk",  # Moonshot
    r"may contain inappropriate content",  # DashScope
    r"not allowed by our safety system",  # OpenAI's images
    r"blocked by (?:the |our )?(?:content|safety) (?:filter|policy|system)",  # proxies
    r"不安全或敏感内容",  # Zhipu
)

_OVERFLOW_WORDS = re.compile("|".join(_OVERFLOW), re.IGNORECASE)
_RATE_WORDS = re.compile(_RATE, re.IGNORECASE)
_REJECTION_WORDS = re.compile("|".join(_REJECTION), re.IGNORECASE)
_UNKNOWN_MODEL_WORDS = re.compile("|".join(_UNKNOWN_MODEL), re.IGNORECASE)


def tells_overflow(message: str) -> bool:
    """Whether the message is about a conversation longer than the model's context."""
    read = message[:_LONGEST_READ]
    return bool(_OVERFLOW_WORDS.search(read)) and not _RATE_WORDS.search(read)


def tells_rate_limit(message: str) -> bool:
    """Whether the message says that there were too many requests."""
    return bool(_RATE_WORDS.search(message[:_LONGEST_READ]))


def tells_rejection(message: str) -> bool:
    """Whether the message says that a filter declined the input."""
    return bool(_REJECTION_WORDS.search(message[:_LONGEST_READ]))


def tells_unknown_model(message: str) -> bool:
    """Whether the message is about an unknown model."""
    return bool(_UNKNOWN_MODEL_WORDS.search(message[:_LONGEST_READ]))

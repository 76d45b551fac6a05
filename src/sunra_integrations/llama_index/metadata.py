"""What LlamaIndex asks of a model before it packs a prompt."""

from __future__ import annotations

from llama_index.core.base.llms.types import LLMMetadata
from llama_index.core.constants import DEFAULT_NUM_OUTPUTS

from sunra_integrations.data import model_facts

DEFAULT_CONTEXT_WINDOW = 128_000
"""Tokens assumed where nothing else is known.

Any model name works on Sunra, so a name never seen before is no error.
"""


def metadata(
    model: str,
    *,
    context_window: int | None,
    num_output: int | None,
    max_tokens: int | None,
    is_function_calling_model: bool,
) -> LLMMetadata:
    """The metadata of a model, known or not.

    Args:
        model: Its name, as in `openai/gpt-4o`.
        context_window: Tokens it takes, prompt and answer; else as the catalogue has it, else
            `DEFAULT_CONTEXT_WINDOW`.
        num_output: Tokens to keep free for the answer; else `max_tokens`, else the framework's
            own default (256).
        max_tokens: The request's limit, where it has one.
        is_function_calling_model: Whether it takes tools.
    """
    return LLMMetadata(
        context_window=context_window or _known_window(model) or DEFAULT_CONTEXT_WINDOW,
        num_output=num_output or max_tokens or DEFAULT_NUM_OUTPUTS,
        is_chat_model=True,
        is_function_calling_model=is_function_calling_model,
        model_name=model,
    )


def _known_window(model: str) -> int | None:
    facts = model_facts(model) or {}
    window: int | None = facts.get("max_input_tokens")
    return window

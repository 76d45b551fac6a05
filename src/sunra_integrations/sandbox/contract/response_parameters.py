"""The parameters of a response, in one table. To add a parameter, add a row.

Sunra's page documents the first ones. The others are those of the openai package,
`openai/types/responses/response_create_params.py`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sunra_integrations.sandbox.contract.checks import (
    ANY_OBJECT,
    ANYTHING,
    BOOLEAN,
    NON_EMPTY,
    TEXT,
    Problem,
    broken_rule,
    integer,
    left_out,
    list_of,
    nullable,
    number,
    object_of,
    one_of,
    scalar,
    with_schema,
    wrong_type,
)
from sunra_integrations.sandbox.contract.parameter_table import (
    MODEL,
    PROVIDER,
    Parameter,
    ParameterTable,
)
from sunra_integrations.sandbox.contract.response_input import INPUT
from sunra_integrations.sandbox.contract.response_tools import (
    CHOICE_RULES,
    RESPONSE_TOOL_CHOICE,
    RESPONSE_TOOLS,
    TEXT_CONFIG,
)

ENCRYPTED_REASONING = "reasoning.encrypted_content"
"""The value of ``include`` for the encrypted content of reasoning items."""
LOGPROBS = "message.output_text.logprobs"
"""The value of ``include`` for log probabilities."""

_INCLUDE = list_of(
    one_of(
        ENCRYPTED_REASONING,
        LOGPROBS,
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "file_search_call.results",
        "message.input_image.image_url",
        "web_search_call.action.sources",
        "web_search_call.results",
    )
)
_REASONING = object_of(
    optional={
        "effort": nullable(NON_EMPTY),
        "summary": nullable(one_of("auto", "concise", "detailed")),
        "generate_summary": nullable(one_of("auto", "concise", "detailed")),
    }
)
_MAX_PAIRS, _MAX_KEY, _MAX_VALUE = 16, 64, 512


@with_schema(
    {
        "type": "object",
        "maxProperties": _MAX_PAIRS,
        "propertyNames": {"maxLength": _MAX_KEY},
        "additionalProperties": {"type": "string", "maxLength": _MAX_VALUE},
    }
)
def _metadata(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield wrong_type(path, value, "an object")
        return
    if len(value) > _MAX_PAIRS:
        yield broken_rule(path, value, f"an object of at most {_MAX_PAIRS} keys")
    for name, text in value.items():
        if len(name) > _MAX_KEY:
            yield broken_rule(path, name, f"an object whose keys have at most {_MAX_KEY} letters")
        if not isinstance(text, str):
            yield wrong_type(f"{path}.{name[:_MAX_KEY]}", text, "a string")
        elif len(text) > _MAX_VALUE:
            rule = f"a string of at most {_MAX_VALUE} letters"
            yield broken_rule(f"{path}.{name[:_MAX_KEY]}", text, rule)


RESPONSE_PARAMETERS: dict[str, Parameter] = {
    # Sunra's page documents these.
    "model": MODEL,
    "input": Parameter(INPUT, required=True),
    "instructions": Parameter(TEXT),
    "stream": Parameter(BOOLEAN),
    "max_output_tokens": Parameter(integer(1)),
    "temperature": Parameter(number(0, 2)),
    "top_p": Parameter(number(0, 1)),
    "top_logprobs": Parameter(integer(0, 20)),
    "tools": Parameter(RESPONSE_TOOLS),
    "tool_choice": Parameter(RESPONSE_TOOL_CHOICE),
    "parallel_tool_calls": Parameter(BOOLEAN),
    "reasoning": Parameter(_REASONING),
    "text": Parameter(TEXT_CONFIG),
    "store": Parameter(BOOLEAN),
    "truncation": Parameter(one_of("auto", "disabled")),
    "metadata": Parameter(_metadata),
    # OpenAI's types have these.
    "include": Parameter(_INCLUDE),
    "previous_response_id": Parameter(NON_EMPTY),
    "stream_options": Parameter(
        object_of(optional={"include_obfuscation": BOOLEAN}, closed=True), needs_true="stream"
    ),
    "max_tool_calls": Parameter(integer(1)),
    "user": Parameter(TEXT),
    "safety_identifier": Parameter(TEXT),
    "prompt_cache_key": Parameter(TEXT),
    "prompt_cache_options": Parameter(ANY_OBJECT),
    "prompt_cache_retention": Parameter(NON_EMPTY),
    "service_tier": Parameter(NON_EMPTY),
    "context_management": Parameter(ANYTHING),
    "moderation": Parameter(ANYTHING),
    "image": Parameter(ANYTHING),
    "access_programs": Parameter(ANYTHING),
    "background_options": Parameter(ANYTHING),
    "background": Parameter(
        scalar(
            bool,
            {"type": "boolean", "const": False},
            "false (the sandbox responds at once, and serves no responses later)",
            lambda value: not value,
        )
    ),
    "conversation": Parameter(left_out("the sandbox has no conversations to refer to")),
    "prompt": Parameter(left_out("the sandbox has no stored prompts")),
    # Other gateways with the same API document these.
    "provider": Parameter(PROVIDER),
    "models": Parameter(ANYTHING),
    "route": Parameter(ANYTHING),
    "plugins": Parameter(ANYTHING),
    "top_k": Parameter(integer(-1)),
}

# OpenAI accepts null for these. LlamaIndex's OpenAIResponses always sends it for most of them.
for _name in (
    "background", "context_management", "include", "instructions", "max_output_tokens",
    "max_tool_calls", "metadata", "moderation", "parallel_tool_calls", "previous_response_id",
    "prompt_cache_key", "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier",
    "store", "stream", "temperature", "top_logprobs", "top_p", "truncation", "user",
):  # fmt: skip
    _parameter = RESPONSE_PARAMETERS[_name]
    RESPONSE_PARAMETERS[_name] = replace(_parameter, check=nullable(_parameter.check))

_OF_CHAT_COMPLETIONS = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "functions": "tools",
    "function_call": "tool_choice",
    "web_search_options": "tools",
    "logprobs": f"include: ['{LOGPROBS}']",
    "n": "",
    "stop": "",
    "seed": "",
    "frequency_penalty": "",
    "presence_penalty": "",
    "logit_bias": "",
    "modalities": "",
    "audio": "",
    "prediction": "",
}
"""Parameters of chat completions, each with its name here, or "" if there is none."""

RESPONSE_REQUEST = ParameterTable(RESPONSE_PARAMETERS, CHOICE_RULES, _OF_CHAT_COMPLETIONS)
"""The rules of a request to ``/v1/responses``."""

NAMES_OF_CHAT = (
    f"Parameters of chat completions only are refused: {', '.join(_OF_CHAT_COMPLETIONS)}."
)
"""The rule for them, for the OpenAPI document."""

"""The parameters of a chat completion, in one table. To add a parameter, add a row.

The checks and the request schema of the OpenAPI document are both built from the table.
"""

from sunra_integrations.sandbox.contract.checks import (
    ANY_OBJECT,
    ANYTHING,
    BOOLEAN,
    NON_EMPTY,
    TEXT,
    KeyRule,
    by_json_type,
    integer,
    list_of,
    number,
    object_of,
)
from sunra_integrations.sandbox.contract.messages import MESSAGES
from sunra_integrations.sandbox.contract.parameter_table import (
    MODEL,
    PROVIDER,
    STRINGS,
    Parameter,
    ParameterTable,
)
from sunra_integrations.sandbox.contract.tools import (
    RESPONSE_FORMAT,
    TOOL_CHOICE,
    TOOLS,
    choice_problems,
)

_STOP = by_json_type(
    "a string or a list of at most 4 strings", NON_EMPTY, list_of(NON_EMPTY, max_items=4)
)
PARAMETERS: dict[str, Parameter] = {
    # Sunra's reference documents these.
    "model": MODEL,
    "messages": Parameter(MESSAGES, required=True),
    "stream": Parameter(BOOLEAN),
    "max_tokens": Parameter(integer(1)),
    "max_completion_tokens": Parameter(integer(1), excludes="max_tokens"),
    "temperature": Parameter(number(0, 2)),
    "top_p": Parameter(number(0, 1)),
    "frequency_penalty": Parameter(number(-2, 2)),
    "presence_penalty": Parameter(number(-2, 2)),
    "stop": Parameter(_STOP),
    # Sunra states no limit. Each choice takes memory here.
    "n": Parameter(integer(1, 128, "a limit of the sandbox, not of Sunra")),
    "logprobs": Parameter(BOOLEAN),
    "top_logprobs": Parameter(integer(0, 20), needs_true="logprobs"),
    "response_format": Parameter(RESPONSE_FORMAT),
    "seed": Parameter(integer()),
    "tools": Parameter(TOOLS),
    "tool_choice": Parameter(TOOL_CHOICE, needs="tools"),
    "parallel_tool_calls": Parameter(BOOLEAN, needs="tools"),
    "user": Parameter(TEXT),
    # Other gateways with the same API document these.
    "provider": Parameter(PROVIDER),
    "reasoning": Parameter(ANY_OBJECT),
    "reasoning_effort": Parameter(NON_EMPTY),
    "stream_options": Parameter(
        object_of(optional={"include_usage": BOOLEAN}), needs_true="stream"
    ),
    "metadata": Parameter(ANY_OBJECT),
    "logit_bias": Parameter(ANY_OBJECT),
    "modalities": Parameter(STRINGS),
    "top_k": Parameter(integer(-1)),
    "min_p": Parameter(number(0, 1)),
    "top_a": Parameter(number(0, 1)),
    "repetition_penalty": Parameter(number(0, 2)),
    "models": Parameter(ANYTHING),
    "route": Parameter(ANYTHING),
    "transforms": Parameter(ANYTHING),
    "plugins": Parameter(ANYTHING),
    "usage": Parameter(ANYTHING),
    "store": Parameter(ANYTHING),
    "prediction": Parameter(ANYTHING),
    "audio": Parameter(ANYTHING),
    "verbosity": Parameter(ANYTHING),
    "service_tier": Parameter(ANYTHING),
    "safety_identifier": Parameter(ANYTHING),
    "prompt_cache_key": Parameter(ANYTHING),
    "web_search_options": Parameter(ANYTHING),
    "thinking": Parameter(ANYTHING),
    "enable_thinking": Parameter(ANYTHING),
    "include_reasoning": Parameter(ANYTHING),
    "min_tokens": Parameter(ANYTHING),
    "min_completion_tokens": Parameter(ANYTHING),
    "structured_outputs": Parameter(ANYTHING),
    "cache_control": Parameter(ANYTHING),
    "best_of": Parameter(ANYTHING),
}

COMPLETION_REQUEST = ParameterTable(PARAMETERS, [KeyRule(choice_problems, {})])
"""The rules of a request to ``/v1/chat/completions``."""

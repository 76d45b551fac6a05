"""Errors that say which parameter a model does not support, as servers really send them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sunra_integrations import errors
from sunra_integrations.protocol.error_parsing import error_from_body, error_from_response

INVALID = "invalid_request_error"


def openai(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An error body of OpenAI, Azure and most servers that follow them."""
    return {"error": {"message": message, "type": INVALID, "param": param, "code": code}}


def gemini(message: str) -> list[dict[str, Any]]:
    """An error body of Gemini's endpoint for OpenAI's clients."""
    return [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}]


def openrouter(raw: Any, provider: str) -> dict[str, Any]:
    """The error of a provider, as OpenRouter passes it on."""
    metadata = {"raw": json.dumps(raw), "provider_name": provider}
    return {"error": {"message": "Provider returned error", "code": 400, "metadata": metadata}}


TOOLS = (
    "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions. "
    "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
)
TEMPERATURE = (
    "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) "
    "value is supported."
)
QWEN = (
    "<400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support being "
    "set to required or object in thinking mode"
)
FORBIDDEN = "Extra inputs are not permitted"

RESTRICTIONS: dict[str, tuple[Any, str, str]] = {
    # github.com/BerriAI/litellm/pull/34569
    "OpenAI's tools with reasoning": (
        openai(TOOLS, "reasoning_effort"),
        "reasoning_effort",
        'use one of: `reasoning_effort="none"`, if the model has that level; `api="responses"`',
    ),
    # github.com/pipecat-ai/pipecat/issues/4043
    "OpenAI's tools with reasoning, first words": (
        openai(
            "Function tools with reasoning_effort are not supported for gpt-5.4 in "
            "/v1/chat/completions. Please use /v1/responses instead.",
            "reasoning_effort",
        ),
        "reasoning_effort",
        "a request without tools",
    ),
    "OpenAI's models without chat completions": (
        openai(
            "This model is only supported in v1/responses and not in v1/chat/completions.", "model"
        ),
        "",
        'Use `api="responses"`.',
    ),
    # github.com/Wei-Shaw/sub2api/issues/885
    "sub2api without chat completions": (
        openai(
            "Unsupported legacy protocol: /v1/chat/completions is not supported. Please use "
            "/v1/responses."
        ),
        "",
        'Use `api="responses"`.',
    ),
    # github.com/tingly-dev/tingly-box/issues/233
    "OpenAI's Codex models": (
        openai(
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
            "Did you mean to use v1/completions?",
            "model",
        ),
        "",
        'Use `api="responses"`, or a chat model.',
    ),
    # github.com/caozhiyuan/copilot-api/issues/102
    "GitHub Copilot's Codex models": (
        openai(
            "model gpt-5.3-codex is not accessible via the /chat/completions endpoint",
            code="unsupported_api_for_model",
        ),
        "",
        'Use `api="responses"`',
    ),
    # github.com/langchain-ai/langchain-azure/issues/228
    "Azure's Codex models": (
        openai(
            "The chatCompletion operation does not work with the specified model, gpt-5.1-codex. "
            "Please choose different model and try again.",
            code="OperationNotSupported",
        ),
        "",
        'Use `api="responses"`',
    ),
    # github.com/evalstate/fast-agent/issues/279
    "OpenAI's parallel tool calls": (
        openai(
            "Unsupported parameter: 'parallel_tool_calls' is not supported with this model.",
            "parallel_tool_calls",
            "unsupported_parameter",
        ),
        "parallel_tool_calls",
        "Leave out `parallel_tool_calls`.",
    ),
    # github.com/johny-b/llmcomp/issues/69
    "OpenAI's temperature": (
        openai(TEMPERATURE, "temperature", "unsupported_value"),
        "temperature",
        "Leave out `temperature`.",
    ),
    # github.com/huggingface/smolagents/issues/1671
    "OpenAI's stop": (
        openai(
            "Unsupported parameter: 'stop' is not supported with this model.",
            "stop",
            "unsupported_parameter",
        ),
        "stop",
        "Leave out `stop`.",
    ),
    # github.com/bmen25124/SillyTavern-WorldInfo-Recommender/issues/16
    "OpenAI's max_tokens": (
        openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        ),
        "max_tokens",
        "Use `max_completion_tokens` instead",
    ),
    # github.com/anomalyco/opencode/issues/4451
    "OpenAI's level of reasoning": (
        openai(
            "Unsupported value: 'minimal' is not supported with the 'gpt-5.1' model. Supported "
            "values are: 'none', 'low', 'medium', and 'high'.",
            "***.effort",
            "unsupported_value",
        ),
        "reasoning_effort",
        "a level that the model has",
    ),
    # github.com/Kilo-Org/cloud/pull/3807
    "Moonshot's level of reasoning": (
        {
            "error": {
                "message": "Unsupported value: 'reasoning_effort' does not support 'none' with "
                "this model. Supported values are: 'minimal', 'low', 'medium', and 'high'.",
                "type": INVALID,
            }
        },
        "reasoning_effort",
        "a level that the model has",
    ),
    # github.com/RooCodeInc/Roo-Code/issues/6868
    "OpenAI's stream": (
        openai(
            "Your organization must be verified to stream this model.",
            "stream",
            "unsupported_value",
        ),
        "stream",
        "Call the model without streaming.",
    ),
    # github.com/langchain-ai/langchain/issues/31490
    "OpenAI's json_schema": (
        openai(
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this "
            "model. Learn more about supported models at the Structured Outputs guide: https://x"
        ),
        "response_format",
        "use a tool call",
    ),
    # github.com/openai/openai-python/issues/1492
    "Azure's unknown parameter": (
        openai(
            "Unknown parameter: 'parallel_tool_calls'.",
            "parallel_tool_calls",
            "unknown_parameter",
        ),
        "parallel_tool_calls",
        "Leave out",
    ),
    # github.com/Azure/azure-rest-api-specs/issues/29545
    "Azure's unrecognized argument": (
        openai(
            "Unrecognized request argument supplied: parallel_tool_calls. Please contact us "
            "through an Azure support request at: https://go.microsoft.com/fwlink/?linkid=2213926"
        ),
        "parallel_tool_calls",
        "Leave out",
    ),
    # github.com/deepseek-ai/DeepSeek-V3/issues/1376
    "DeepSeek's forced tool": (
        openai("Thinking mode does not support this tool_choice", code=INVALID),
        "tool_choice",
        'Use `tool_choice="auto"`',
    ),
    # github.com/i-am-bee/beeai-framework/issues/1441
    "DeepSeek's forced tool, first words": (
        openai("deepseek-reasoner does not support this tool_choice", code=INVALID),
        "tool_choice",
        "use its JSON schema or JSON mode",
    ),
    # github.com/cloudwego/eino/issues/994
    "DashScope's forced tool": (
        openai(QWEN, code="invalid_parameter_error"),
        "tool_choice",
        'Use `tool_choice="auto"`',
    ),
    # github.com/can1357/oh-my-pi/issues/1077
    "Moonshot's forced tool": (
        openai("tool_choice 'specified' is incompatible with thinking enabled"),
        "tool_choice",
        'Use `tool_choice="auto"`',
    ),
    # github.com/can1357/oh-my-pi/issues/341
    "Anthropic's forced tool, through OpenRouter": (
        openrouter(
            {
                "type": "error",
                "error": {
                    "type": INVALID,
                    "message": "Thinking may not be enabled when tool_choice forces tool use.",
                },
            },
            "Anthropic",
        ),
        "tool_choice",
        'Use `tool_choice="auto"`',
    ),
    # github.com/BerriAI/litellm/pull/39151
    "Anthropic's forced tool": (
        openai('tool_choice: type "tool" and "any" are not supported for this model.'),
        "tool_choice",
        'Use `tool_choice="auto"`',
    ),
    # github.com/UKGovernmentBEIS/inspect_ai/issues/3721
    "Anthropic's temperature": (
        {
            "type": "error",
            "error": {"type": INVALID, "message": "`temperature` is deprecated for this model."},
        },
        "temperature",
        "Leave out `temperature`.",
    ),
    # github.com/MartialBE/one-hub/issues/529
    "Anthropic's temperature with thinking": (
        openai("`temperature` may only be set to 1 when thinking is enabled. Please consult our"),
        "temperature",
        "Leave out `temperature`.",
    ),
    # github.com/aws-samples/bedrock-access-gateway/issues/191
    "Bedrock's two ways to sample": (
        openai(
            "An error occurred (ValidationException) when calling the ConverseStream operation: "
            "The model returned the following errors: `temperature` and `top_p` cannot both be "
            "specified for this model. Please use only one."
        ),
        "top_p",
        "Leave out `top_p`.",
    ),
    # github.com/BerriAI/litellm/pull/29687
    "Moonshot's temperature": (
        openai("invalid temperature: only 1 is allowed for this model"),
        "temperature",
        "Leave out `temperature`.",
    ),
    # github.com/lollipopkit/flutter_gpt_box/issues/213
    "DeepSeek's penalty": (
        openai("deepseek-reasoner does not support the parameter `presence_penalty`", code=INVALID),
        "presence_penalty",
        "Leave out `presence_penalty`.",
    ),
    # github.com/vercel/ai/issues/4727
    "DeepSeek's tools": (
        openai("deepseek-reasoner does not support Function Calling", code=INVALID),
        "tools",
        "Leave out the tools",
    ),
    # github.com/gomate-community/TrustRAG/issues/140
    "DeepSeek's JSON": (
        openai("deepseek-reasoner does not support Json Output.", code=INVALID),
        "response_format",
        "Leave out `response_format`.",
    ),
    # github.com/llm-exe/llm-exe/issues/662
    "DeepSeek's json_schema": (
        openai("This response_format type is unavailable now", code=INVALID),
        "response_format",
        "or JSON mode",
    ),
    # github.com/BerriAI/litellm/issues/7580
    "DeepSeek's json_schema, first words": (
        openai(
            "Failed to deserialize the JSON body into the target type: response_format: "
            "response_format.type `json_schema` is unavailable now at line 1 column 1193"
        ),
        "response_format",
        "or JSON mode",
    ),
    # github.com/chenyme/grok2api/issues/814
    "xAI's reasoning": (
        {
            "code": "invalid-argument",
            "error": "Model grok-4.20-0309-reasoning does not support parameter reasoningEffort.",
        },
        "reasoning_effort",
        "Leave out `reasoning_effort`",
    ),
    # github.com/yym68686/uni-api/issues/105
    "xAI's penalty": (
        {
            "code": "Client specified an invalid argument",
            "error": "Argument not supported on this model: presencePenalty",
        },
        "presence_penalty",
        "Leave out `presence_penalty`.",
    ),
    # github.com/iamsrikanthnani/pluely/issues/242
    "Groq's reasoning": (
        openai("`reasoning_effort` is not supported with this model"),
        "reasoning_effort",
        "Leave out `reasoning_effort`",
    ),
    # github.com/langflow-ai/langflow/issues/11120
    "Groq's tools": (
        openai("tool calling is not supported with this model", "tool calling"),
        "tools",
        "Leave out the tools",
    ),
    # github.com/vercel/ai/pull/16540
    "Groq's JSON with tools": (
        openai("json mode cannot be combined with tool/function calling"),
        "response_format",
        "Leave out `response_format`.",
    ),
    # github.com/agno-agi/agno/issues/1065
    "Groq's JSON with tools, first words": (
        openai("response_format` json_object cannot be combined with tool/function calling"),
        "response_format",
        "Leave out `response_format`.",
    ),
    # github.com/Simpleyyt/ai-manus/issues/101
    "Gemini's JSON with tools": (
        gemini("Function calling with a response mime type: 'application/json' is unsupported"),
        "response_format",
        "Leave out `response_format`.",
    ),
    # github.com/mscraftsman/generative-ai/issues/135
    "Gemini's logprobs": (
        gemini("Logprobs is not enabled for models/gemini-2.5-pro"),
        "logprobs",
        "Leave out `logprobs`.",
    ),
    # github.com/GoogleCloudPlatform/generative-ai/issues/2947
    "Vertex AI's logprobs": (
        gemini("Unable to submit request because Logprobs is not supported for this model."),
        "logprobs",
        "Leave out `logprobs`.",
    ),
    # github.com/PublicAffairs/openai-gemini/issues/63
    "Gemini's penalties": (
        gemini("Penalty is not enabled for models/gemini-2.5-flash-preview-05-20"),
        "",
        "Leave out `frequency_penalty` and `presence_penalty`.",
    ),
    # github.com/RooCodeInc/Roo-Code/issues/10700
    "Gemini's reasoning": (
        gemini("Thinking level is not supported for this model."),
        "reasoning_effort",
        "Leave out `reasoning_effort`",
    ),
    # github.com/docker/docker-agent/issues/2051
    "Gemini without reasoning": (
        gemini("Budget 0 is invalid. This model only works in thinking mode."),
        "reasoning_effort",
        "a level that the model has",
    ),
    # github.com/pydantic/pydantic-ai/issues/1967
    "Vertex AI without reasoning": (
        gemini("Unable to submit request because Thinking can't be disabled for this model."),
        "reasoning_effort",
        "a level that the model has",
    ),
    # github.com/louisho5/picobot/issues/6
    "Ollama's tools": (
        {
            "error": {
                "message": "registry.ollama.ai/library/gemma3:4b does not support tools",
                "type": "api_error",
                "param": None,
                "code": None,
            }
        },
        "tools",
        "a model that supports them",
    ),
    # github.com/Gitlawb/openclaude/issues/1371
    "Ollama's reasoning": (
        openai('"llama3.1:8b" does not support thinking'),
        "reasoning_effort",
        "Leave out `reasoning_effort`",
    ),
    # github.com/tencentmusic/supersonic/issues/2355
    "DashScope's reasoning without a stream": (
        openai(
            "parameter.enable_thinking must be set to false for non-streaming calls",
            code="invalid_parameter_error",
        ),
        "enable_thinking",
        'set `extra_body={"enable_thinking": False}`',
    ),
    # github.com/presenton/presenton/issues/184
    "DashScope's JSON with reasoning": (
        openai("Json mode response is not supported when enable_thinking is true"),
        "response_format",
        "Leave out `response_format`.",
    ),
    # github.com/editor-code-assistant/eca/issues/231
    "Mistral's max_completion_tokens": (
        {
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "max_completion_tokens"],
                        "msg": FORBIDDEN,
                        "input": 32000,
                    }
                ]
            },
            "type": INVALID,
            "param": None,
            "code": None,
        },
        "max_completion_tokens",
        "Use `max_tokens` instead",
    ),
    # github.com/vllm-project/vllm/issues/3657
    "vLLM's unknown parameter": (
        {
            "object": "error",
            "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'prompt_logprobs'), 'msg': "
            "'Extra inputs are not permitted', 'input': True}]",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        "prompt_logprobs",
        "Leave out `prompt_logprobs`.",
    ),
    # github.com/BerriAI/litellm/issues/14163
    "LiteLLM's parameters": (
        openai(
            "litellm.UnsupportedParamsError: groq does not support parameters: "
            "['reasoning_effort'], for model=openai/gpt-oss-120b. To drop these, set "
            "`litellm.drop_params=True`"
        ),
        "reasoning_effort",
        "Leave out `reasoning_effort`",
    ),
    # github.com/BerriAI/litellm/pull/34569
    "LiteLLM's tools with reasoning": (
        openai(f"litellm.BadRequestError: OpenAIException - {TOOLS}", code="400"),
        "reasoning_effort",
        "a request without tools",
    ),
    "a code in OpenRouter's error": (
        openrouter(openai("No.", "seed", "unsupported_parameter"), "Azure"),
        "seed",
        "Leave out `seed`.",
    ),
}
ROUTES: dict[str, tuple[Any, str, str]] = {
    # github.com/evalstate/fast-agent/issues/122
    "OpenRouter's tools": (
        {
            "error": {
                "message": "No endpoints found that support tool use. To learn more about provider "
                "routing, visit: https://openrouter.ai/docs/provider-routing",
                "code": 404,
            }
        },
        "tools",
        "a model that supports them",
    ),
    # github.com/zed-industries/zed/issues/36094
    "OpenRouter's forced tool": (
        {
            "error": {
                "message": "No endpoints found that support the provided 'tool_choice' value.",
                "code": 404,
            }
        },
        "tool_choice",
        'Use `tool_choice="auto"`',
    ),
    # github.com/block/buzz/issues/3018
    "OpenRouter's require_parameters": (
        {
            "error": {
                "message": "No endpoints found that can handle the requested parameters.",
                "code": 404,
            }
        },
        "",
        "Leave out the parameters that the model does not support",
    ),
}


def response(status: int, body: Any) -> errors.SunraError:
    return error_from_response(status, {}, json.dumps(body).encode(), now=0.0)


@pytest.mark.parametrize("case", RESTRICTIONS | ROUTES)
def test_a_restriction_names_the_parameter_and_the_remedy(case: str):
    body, parameter, remedy = (RESTRICTIONS | ROUTES)[case]
    statuses = [404] if case in ROUTES else [400, 403, 422]
    for error in (
        *(response(status, body) for status in statuses),
        error_from_body(body[0] if isinstance(body, list) else body, top_level=True),
    ):
        assert type(error) is errors.UnsupportedParameter
        assert error.parameter == parameter
        assert remedy in error.message
        assert error.retryable is False


@pytest.mark.parametrize("status", [400, 422, None])
def test_a_restriction_may_come_as_an_error_of_the_provider(status: int | None):
    error = {"code": "service_provider_error", "message": TOOLS}
    body = {"error": error}
    raised = error_from_body(body) if status is None else response(status, body)
    assert type(raised) is errors.UnsupportedParameter
    assert raised.retryable is False


def test_the_servers_own_retryable_counts():
    body = {"error": {"message": TOOLS, "retryable": True}}
    assert response(400, body).retryable is True


OTHERS = [
    f"[{{'loc': ('body', 'messages', 1), 'msg': 'Not a string', 'input': \"{TEMPERATURE}\"}}]",
    "The provided tool_choice names a function that is not in tools.",
    "Tool 'file_search' is not supported with this model.",
    "Content type 'input_audio' is not supported with this model.",
    "The role 'system' is not supported for this model.",
    "`temperature` must be at most 2",
    "Invalid value: 'xhigh'. Supported values are: 'low', 'medium', and 'high'.",
    "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
    "max_tokens is too large: 100000. This model supports at most 4096 completion tokens",
    "This model does not support assistant message prefill.",
    "deepseek-reasoner does not support successive user or assistant messages",
    "The model canopylabs/orpheus does not support chat completions",
    "This model does not support image input",
    "The word 'json' is needed to use 'response_format' of type 'json_object'",
    "Invalid schema for response_format 'x': 'additionalProperties' is required to be supplied",
    "When using `tool_choice`, `tools` must be set.",
    "Invalid value for 'tool_choice': no function named 'x'",
    "Tool choice is none, but model called a tool",
    "Unsupported image URL: 'https://x' is not supported",
    "Missing required parameter: 'messages'.",
    "Unsupported parameter: 'messages' is not supported with this model.",
    "Unknown parameter: 'messages[0].foo'.",
    "User location is not supported for the API use.",
    "Provider returned error",
]


@pytest.mark.parametrize("message", OTHERS)
def test_another_invalid_request_is_no_restriction(message: str):
    assert type(response(400, openai(message))) is errors.BadRequest


@pytest.mark.parametrize("param", ["messages[0].role", "model", "input", None])
def test_a_code_alone_is_a_restriction_only_if_a_parameter_can_be_left_out(param: str | None):
    body = openai("o1-mini does not support 'system'", param, "unsupported_value")
    kind = errors.UnsupportedParameter if param == "input" else errors.BadRequest
    assert type(response(400, body)) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, errors.AuthenticationFailed),
        (402, errors.InsufficientCredit),
        (429, errors.RateLimited),
        (500, errors.ServerFailed),
    ],
)
def test_a_status_of_another_kind_decides(status: int, kind: type[errors.SunraError]):
    assert type(response(status, openai(TEMPERATURE))) is kind


def test_what_the_model_wrote_is_not_read():
    error = {
        "message": "Failed to call a function.",
        "type": INVALID,
        "code": "tool_use_failed",
        "failed_generation": f"<function=x>{TEMPERATURE}",
    }
    assert type(response(400, {"error": error})) is errors.BadRequest


@pytest.mark.parametrize(
    "words", ["json" * 90_000, "`" * 300_000, "unsupported parameter: '" * 9000]
)
def test_only_the_beginning_of_a_huge_message_is_searched(words: str):
    assert type(response(400, openai(words))) is errors.BadRequest

"""Every request parameter, once: its name, type, rule and description.

`ChatRequest` and both adapters inherit `RequestParameters`. CONTRIBUTING.md says how to add a
parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

__all__ = ["Api", "RequestArguments", "RequestParameters", "merge_parameters"]


@dataclass(frozen=True)
class Rule:
    """The constraint of a value, as the end of the sentence "`name` must be …"."""

    text: str


Api = Literal["chat", "responses"]
"""The endpoints that a call can use: `/v1/chat/completions` and `/v1/responses`."""

_INTEGER = Rule("an integer of at least 1")
_PENALTY = Rule("a number between -2 and 2")
_FLAG = Rule("True or False")
_STRING = Rule("a string")
_MAX_STOPS = 4

Stop = str | Annotated[list[str], Field(max_length=_MAX_STOPS)]


class RequestParameters(BaseModel):
    """The request parameters that a model object and a call can both set.

    A parameter that is None is not sent, so the server's default applies. The rules are those of
    Sunra's API reference. The reference does not specify the contents of `provider`, `reasoning`
    and `reasoning_effort`, so they are passed to the API unchanged.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=True)  # keeps the import fast

    max_tokens: Annotated[int | None, _INTEGER] = Field(
        default=None,
        ge=1,
        description="Maximum number of tokens to generate. OpenAI's reasoning models require "
        "`max_completion_tokens` instead. Example: `max_tokens=500`.",
    )
    max_completion_tokens: Annotated[int | None, _INTEGER] = Field(
        default=None,
        ge=1,
        description="Newer name of `max_tokens`. The two cannot be "
        "combined. Example: `max_completion_tokens=2000`.",
    )
    temperature: Annotated[float | None, Rule("a number between 0 and 2")] = Field(
        default=None,
        ge=0,
        le=2,
        description="Sampling temperature, 0 to 2. Low values make replies more predictable. "
        "Example: `temperature=0.2`.",
    )
    top_p: Annotated[float | None, Rule("a number between 0 and 1")] = Field(
        default=None,
        ge=0,
        le=1,
        description="Nucleus sampling probability mass, 0 to 1. Example: `top_p=0.9`.",
    )
    frequency_penalty: Annotated[float | None, _PENALTY] = Field(
        default=None,
        ge=-2,
        le=2,
        description="Penalty for tokens by how often they occur already, -2 to 2. Example: "
        "`frequency_penalty=0.5`.",
    )
    presence_penalty: Annotated[float | None, _PENALTY] = Field(
        default=None,
        ge=-2,
        le=2,
        description="Penalty for tokens that occur already, -2 to 2. Example: "
        "`presence_penalty=0.5`.",
    )
    stop: Annotated[Stop | None, Rule("a non-empty string or a list of at most 4 of them")] = Field(
        default=None,
        description='Up to 4 sequences at which the model stops. Example: `stop=["END"]`.',
    )
    n: Annotated[int | None, _INTEGER] = Field(
        default=None,
        ge=1,
        description="Number of choices to generate. Example: `n=3`.",
    )
    logprobs: Annotated[bool | None, _FLAG] = Field(
        default=None,
        description="Return the log probability of each token. Example: `logprobs=True`.",
    )
    top_logprobs: Annotated[int | None, Rule("an integer between 0 and 20")] = Field(
        default=None,
        ge=0,
        le=20,
        description="Alternatives to return per token, 0 to 20. Requires `logprobs=True`. Example: "
        "`logprobs=True, top_logprobs=5`.",
    )
    response_format: Annotated[
        dict[str, Any] | None, Rule("a dict with a 'type', such as {'type': 'json_object'}")
    ] = Field(
        default=None,
        description="Format of the reply: text, JSON, or a JSON schema. Structured output of the "
        'frameworks sets it. Example: `response_format={"type": "json_object"}`.',
    )
    seed: Annotated[int | None, Rule("an integer")] = Field(
        default=None, description="Seed for best-effort deterministic sampling. Example: `seed=42`."
    )
    parallel_tool_calls: Annotated[bool | None, _FLAG] = Field(
        default=None,
        description="Allow several tool calls in one reply. Example: `parallel_tool_calls=False`.",
    )
    user: Annotated[str | None, _STRING] = Field(
        default=None,
        description='Id of your end user, for abuse monitoring. Example: `user="customer-17"`.',
    )
    provider: Annotated[
        dict[str, Any] | None, Rule("a dict of routing rules, such as {'only': ['openai']}")
    ] = Field(
        default=None,
        description="Routing rules of the gateway. Sent unchanged. Example: "
        '`provider={"only": ["openai"]}`.',
    )
    reasoning: Annotated[dict[str, Any] | None, Rule("a dict")] = Field(
        default=None,
        description='Reasoning options. Sent unchanged. Example: `reasoning={"effort": "low"}`.',
    )
    reasoning_effort: Annotated[str | None, Rule("a string such as 'low'")] = Field(
        default=None,
        description="Reasoning effort; the levels depend on the model. Sent unchanged. Example: "
        '`reasoning_effort="low"`.',
    )
    api: Annotated[Api | None, Rule("'chat' or 'responses'")] = Field(
        default=None,
        description="Endpoint: `chat` for chat completions, or `responses`, which some models "
        'require. Defaults to `chat`. Example: `api="responses"`.',
    )
    stream_options: Annotated[dict[str, Any] | None, Rule("a dict")] = Field(
        default=None,
        description="Options of streams. Token usage is requested by default; an empty dict "
        "disables that. Example: `stream_options={}`.",
    )
    extra_body: Annotated[dict[str, Any], Rule("a dict of body parameters")] = Field(
        default_factory=dict,
        description="More keys for the request body, sent unchanged. Messages, `stream` and "
        'credentials are not allowed. Example: `extra_body={"top_k": 40}`.',
    )


class RequestArguments(TypedDict, total=False):
    """The fields of `RequestParameters` as keyword arguments, for type checkers."""

    max_tokens: int | None
    max_completion_tokens: int | None
    temperature: float | None
    top_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    stop: str | list[str] | None
    n: int | None
    logprobs: bool | None
    top_logprobs: int | None
    response_format: dict[str, Any] | None
    seed: int | None
    parallel_tool_calls: bool | None
    user: str | None
    provider: dict[str, Any] | None
    reasoning: dict[str, Any] | None
    reasoning_effort: str | None
    api: Api | None
    stream_options: dict[str, Any] | None
    extra_body: dict[str, Any]


_EXCLUSIVE = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


def merge_parameters(defaults: Mapping[str, Any], call: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one call: the call's values override the defaults of the model object.

    None in a call removes a default. A call's `max_tokens` replaces a default
    `max_completion_tokens` and vice versa, because the API accepts only one of them. A call that
    turns `logprobs` off removes `top_logprobs`, which requires it. `extra_body` is merged by key.

    Args:
        defaults: Parameters of the model object, by their names in the API, and `extra_body`.
        call: Parameters of the call.
    """
    merged = {**defaults, **call}
    for given, other in _EXCLUSIVE.items():
        if call.get(given) is not None and other not in call:
            merged[other] = None
    if "logprobs" in call and not call["logprobs"] and "top_logprobs" not in call:
        merged["top_logprobs"] = None
    merged["extra_body"] = _merge_extra_body(defaults.get("extra_body"), call.get("extra_body"))
    return merged


def _merge_extra_body(defaults: Any, call: Any) -> Any:
    """Both bodies in one. A value that is not a dict is returned for `ChatRequest` to reject."""
    for body in (call, defaults):
        if body is not None and not isinstance(body, Mapping):
            return body
    return {**(defaults or {}), **(call or {})}

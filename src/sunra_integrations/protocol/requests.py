"""The request, with every documented parameter and its range.

A wrong value raises `InvalidParameter` here, before anything is sent. A parameter left at None is
not sent: the server's defaults are the server's. Ranges and names are those of Sunra's reference;
`video_url`, `reasoning` and the like are passed on as given, because Sunra does not show their
spelling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretBytes,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, from_json

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.protocol.arguments import check_no_credentials, unknown_arguments
from sunra_integrations.protocol.json_bytes import holds_long, json_bytes, plain_json_bytes
from sunra_integrations.protocol.tools import own_tool_names, with_fitted_names

Message = dict[str, Any]
"""A message as the wire has it: `{"role": …, "content": …}`."""

_REQUIRED = ("model", "messages")
_SHOWN_VALUE = 200
_DEPTH_OF_FILE = 2
"""Objects from a part of a message down to its file: `part["image_url"]["url"]`."""


class ChatRequest(BaseModel):
    """One call of `POST /v1/chat/completions`, checked and frozen.

    The description of each field is the rule that an error about it quotes.

    Raises:
        InvalidParameter: A value breaks its rule, or a parameter is unknown.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True
    )

    model: str = Field(min_length=1, description="a non-empty string such as 'openai/gpt-4o'")
    messages: list[Message] = Field(
        min_length=1, description="a non-empty list of messages, each a dict with a 'role'"
    )
    max_tokens: int | None = Field(default=None, ge=1, description="a whole number from 1")
    max_completion_tokens: int | None = Field(
        default=None, ge=1, description="a whole number from 1, in place of max_tokens"
    )
    temperature: float | None = Field(default=None, ge=0, le=2, description="a number from 0 to 2")
    top_p: float | None = Field(default=None, ge=0, le=1, description="a number from 0 to 1")
    frequency_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="a number from -2 to 2"
    )
    presence_penalty: float | None = Field(
        default=None, ge=-2, le=2, description="a number from -2 to 2"
    )
    stop: str | Annotated[list[str], Field(max_length=4)] | None = Field(
        default=None, description="a string or a list of at most 4 strings"
    )
    n: int | None = Field(default=None, ge=1, description="a whole number from 1")
    logprobs: bool | None = Field(default=None, description="True or False")
    top_logprobs: int | None = Field(
        default=None, ge=0, le=20, description="a whole number from 0 to 20, with logprobs=True"
    )
    response_format: dict[str, Any] | None = Field(
        default=None, description="an object with a 'type', such as {'type': 'json_object'}"
    )
    seed: int | None = Field(default=None, description="a whole number")
    tools: list[dict[str, Any]] | None = Field(default=None, description="a list of function tools")
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = Field(
        default=None,
        description="'none', 'auto', 'required', or {'type': 'function', 'function': {'name': …}}",
    )
    parallel_tool_calls: bool | None = Field(default=None, description="True or False")
    user: str | None = Field(default=None, description="a string")
    provider: dict[str, Any] | None = Field(
        default=None, description="an object of routing rules, such as {'only': ['openai']}"
    )
    reasoning: dict[str, Any] | None = Field(default=None, description="an object")
    reasoning_effort: str | None = Field(default=None, description="a string such as 'low'")
    stream_options: dict[str, Any] | None = Field(
        default=None,
        description="an object; streams ask for usage unless it is given, and {} asks for nothing",
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict, description="an object; its keys go into the body untouched"
    )

    @model_validator(mode="wrap")
    @classmethod
    def _typed_errors(cls, data: Any, handler: Any) -> ChatRequest:
        try:
            request: ChatRequest = handler(data)
        except ValidationError as error:
            given = data if isinstance(data, Mapping) else {}
            raise _invalid(error.errors(include_url=False), given) from None
        _check_cross_rules(request)
        return request

    def body(self, *, stream: bool) -> dict[str, Any]:
        """The JSON object to send: what was set, and nothing else.

        A stream asks for usage (`stream_options`) unless `stream_options` was given, since
        otherwise the tokens of a streamed call could not be counted. Names that servers refuse
        are made to fit; see `fitted_name`.
        """
        body: dict[str, Any] = {"model": self.model, "messages": self.messages}
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value is not None:
                body[name] = value
        if stream:
            body["stream"] = True
            body.setdefault("stream_options", {"include_usage": True})
        if not stream or not body["stream_options"]:
            body.pop("stream_options", None)
        body = with_fitted_names(body)
        body.update(self.extra_body)
        return body

    @property
    def own_tool_names(self) -> Mapping[str, str]:
        """The names of the tools by those they are sent under; empty where none had to change."""
        return own_tool_names(self.tools or ())

    def encode(self, *, stream: bool) -> bytes:
        """The body as UTF-8 JSON.

        Raises:
            InvalidParameter: Something in it has no JSON form (NaN, a lone surrogate, an object
                of the caller's own).
        """
        body = self.body(stream=stream)
        try:
            return _encoded(body, with_files=any(map(_carries_file, self.messages)))
        except ValueError as error:
            name = next((name for name in body if not _encodes(body[name])), "extra_body")
            raise InvalidParameter(
                f"`{name}` cannot be written as JSON: {error}. Nothing was sent.",
                parameter=name,
                rule="JSON values only: text, finite numbers, booleans, None, lists and dicts",
            ) from error


def parameter_rules() -> Mapping[str, str]:
    """Every parameter's name with its rule, as errors quote it."""
    return {name: field.description or "" for name, field in ChatRequest.model_fields.items()}


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Holds parameters against their rules without a conversation, as a constructor wants to.

    Raises:
        InvalidParameter: As `ChatRequest` would.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    ChatRequest.model_validate({"model": "-", "messages": [{"role": "user"}], **given})


def as_request(given: object) -> ChatRequest:
    """The request; a dict is checked like one.

    Raises:
        InvalidParameter: A value breaks its rule, or a parameter is unknown.
    """
    if isinstance(given, ChatRequest):
        return given
    if isinstance(given, Mapping):
        return ChatRequest.model_validate(dict(given))
    raise InvalidParameter(
        f"A request is a ChatRequest or a dict of its parameters, not a {type(given).__name__}.",
        parameter="request",
        rule="a ChatRequest, or a dict of its parameters",
    )


def invalid_argument(error: ValidationError) -> InvalidParameter:
    """The first finding of a failed construction, without the value, which may be a secret."""
    finding = error.errors(include_url=False, include_input=False)[0]
    name = str(finding["loc"][0]) if finding["loc"] else ""
    if finding["type"] == "missing":
        return _required(name, _rule(name, finding))
    return InvalidParameter(
        f"`{name}` cannot be used: {finding['msg']}.", parameter=name, rule=finding["msg"]
    )


_OPTIONAL = tuple(
    name for name in ChatRequest.model_fields if name not in {*_REQUIRED, "extra_body"}
)


def _check_cross_rules(request: ChatRequest) -> None:
    if request.top_logprobs is not None and not request.logprobs:
        raise _broken("top_logprobs", request.top_logprobs, "needs logprobs=True")
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise _broken(
            "max_completion_tokens", request.max_completion_tokens, "never together with max_tokens"
        )
    if request.stop == "" or (request.stop is not None and not all(request.stop)):
        raise _broken("stop", request.stop, "no empty strings")
    if request.extra_body:
        check_extra_body(request.extra_body)
    for position, message in enumerate(request.messages):
        if not isinstance(message.get("role"), str):
            raise _broken(f"messages[{position}]", message, "a dict with a 'role'")


_NOT_IN_EXTRA_BODY: Mapping[str, str] = {
    "messages": "the conversation is given with the call",
    "stream": "call the method that streams, or the one that does not",
}


def check_extra_body(body: Mapping[str, Any], name: str = "extra_body") -> None:
    """Refuses keys that replace the prompt, change how the answer is read, or leak a secret.

    Args:
        body: Keys of the request's body, as the user gave them.
        name: The argument that contains them.

    Raises:
        InvalidParameter: A key cannot stand there; its value is not shown.
    """
    for key, instead in _NOT_IN_EXTRA_BODY.items():
        if key in body:
            raise InvalidParameter(
                f"`{name}` cannot contain `{key}`: {instead}.",
                parameter=name,
                rule=f"no `{key}`",
            )
    check_no_credentials(body, where=f"`{name}`")
    for key, value in body.items():
        if isinstance(value, (SecretStr, SecretBytes)):
            raise InvalidParameter(
                f"`{key}` in `{name}` is a {type(value).__name__}, which does not belong in a "
                "request body.",
                parameter=name,
                rule="no secrets",
            )


def not_a_dict(name: str, given: object) -> InvalidParameter:
    """The error for parameters that are not a dict; the value is not shown, as it may be secret."""
    found = type(given).__name__ + " whose keys are not all text" * isinstance(given, Mapping)
    return InvalidParameter(
        f"`{name}` must be a dict of body parameters, got {found}.",
        parameter=name,
        rule="a dict of body parameters",
    )


def _invalid(findings: list[ErrorDetails], given: Mapping[str, Any]) -> InvalidParameter:
    """The error for the unknown names, which may be why others are missing; else the first."""
    names = [str(one["loc"][0]) for one in findings if one["type"] == "extra_forbidden"]
    unknown = unknown_arguments(names, tuple(ChatRequest.model_fields), of="Sunra", sendable=True)
    if unknown is not None:
        return unknown
    error = findings[0]
    name = str(error["loc"][0]) if error["loc"] else "request"
    rule = _rule(name, error)
    if error["type"] == "missing":
        return _required(name, rule)
    if name == "extra_body":
        return not_a_dict(name, given.get(name))
    place = "".join(f"[{step}]" for step in error["loc"][1:] if isinstance(step, int))
    value = error.get("input") if place else given.get(name)
    return _broken(f"{name}{place}", value, rule)


def _rule(name: str, error: ErrorDetails) -> str:
    field: FieldInfo | None = ChatRequest.model_fields.get(name)
    return field.description if field is not None and field.description else error["msg"]


def _required(name: str, rule: str) -> InvalidParameter:
    return InvalidParameter(f"`{name}` is required: {rule}.", parameter=name, rule=rule)


def _broken(parameter: str, value: Any, rule: str) -> InvalidParameter:
    shown = _shown(value)
    if len(shown) > _SHOWN_VALUE:
        shown = f"{shown[:_SHOWN_VALUE]}…"
    return InvalidParameter(
        f"`{parameter}` was {shown}; the rule is: {rule}. Nothing was sent.",
        parameter=parameter,
        value=value,
        rule=rule,
    )


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply"


def _carries_file(message: Message) -> bool:
    content = message.get("content")
    return type(content) is list and any(map(_is_file, content))


def _is_file(part: Any) -> bool:
    """Whether a part holds a long string in the place of an image, a sound or a document."""
    return type(part) is dict and part.get("type") != "text" and holds_long(part, _DEPTH_OF_FILE)


def _encoded(value: Any, *, with_files: bool) -> bytes:
    """UTF-8 JSON; a ValueError where a part has no JSON form."""
    data = json_bytes(value) if with_files else plain_json_bytes(value)
    if with_files and _is_plainly_finite(value):  # quicker than to look through all the text
        return data
    if b"NaN" in data or b"Infinity" in data:  # as numbers, or only as words in some text
        from_json(data, allow_inf_nan=False)
    return data


def _is_plainly_finite(value: Any) -> bool:
    """Whether all within is plain JSON, and no number NaN or infinite."""
    match value:
        case str() | int() | None:
            return True
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_is_plainly_finite, value.values()))
        case list() | tuple():
            return all(map(_is_plainly_finite, value))
        case _:
            return False


def _encodes(value: Any) -> bool:
    try:
        _encoded(value, with_files=False)
    except ValueError:
        return False
    return True

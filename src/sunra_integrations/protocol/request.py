"""The request: every documented parameter, validated and encoded.

A wrong value raises `InvalidParameter` here, before anything is sent. A parameter that is None is
not sent, so the server's default applies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeGuard

from pydantic import ConfigDict, Field, SecretBytes, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails, from_json

from sunra_integrations.errors import InvalidParameter, UnsupportedContent
from sunra_integrations.protocol.arguments import (
    CALL_SETTINGS,
    EXTRA_HEADERS,
    check_no_credentials,
    check_tool_secrets,
    unknown_arguments,
)
from sunra_integrations.protocol.fast_path import encode_json, encode_plain_json, has_long_string
from sunra_integrations.protocol.parameters import RequestParameters, Rule
from sunra_integrations.protocol.responses_request import check_for_responses, responses_body
from sunra_integrations.protocol.tools import (
    check_chat_tools,
    own_tool_names,
    with_secrets,
    with_valid_names,
)

__all__ = ["ChatRequest", "check_parameters", "parameter_rules"]

CHAT_PATH = "/chat/completions"
RESPONSES_PATH = "/responses"

Message = dict[str, Any]
"""A message as the API expects it: `{"role": …, "content": …}`."""

_SHOWN_VALUE = 200
_DEPTH_OF_FILE = 2
"""Objects from a content part down to its file: `part["image_url"]["url"]`."""


class ChatRequest(RequestParameters):
    """One call of `POST /v1/chat/completions` or `/v1/responses`, validated and frozen.

    Raises:
        InvalidParameter: A value breaks its rule, or a parameter is unknown.
        UnsupportedContent: A message has a call of a built-in tool, which chat completions lack.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, defer_build=True
    )

    model: Annotated[str, Rule("a non-empty string such as 'openai/gpt-4o'")] = Field(
        min_length=1, description="Model to call, as `vendor/name`."
    )
    messages: Annotated[
        list[Message], Rule("a non-empty list of messages, each a dict with a 'role'")
    ] = Field(min_length=1, description="The conversation.")
    tools: Annotated[list[dict[str, Any]] | None, Rule("a list of tools")] = Field(
        default=None, description="Tools that the model may call."
    )
    tool_choice: Annotated[
        Literal["none", "auto", "required"] | dict[str, Any] | None,
        Rule("'none', 'auto', 'required', or {'type': 'function', 'function': {'name': …}}"),
    ] = Field(default=None, description="Whether the model calls tools, and which one.")

    @model_validator(mode="wrap")
    @classmethod
    def _raise_typed_errors(cls, data: Any, handler: Any) -> ChatRequest:
        try:
            request: ChatRequest = handler(data)
        except ValidationError as error:
            given = data if isinstance(data, Mapping) else {}
            check_tool_secrets(given.get("tools"))  # the error would show them
            raise _invalid(error.errors(include_url=False), given) from None
        _check_combinations(request)
        return request

    def body(self, *, stream: bool) -> dict[str, Any]:
        """The JSON object to send. It contains only what was set.

        A stream requests token usage (`stream_options`) unless `stream_options` was given, because
        servers do not report it otherwise. Names that servers reject are adapted; see
        `fitted_name`.
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
        body = with_valid_names(body)
        if self.api == "responses":
            return responses_body(body, self.extra_body)
        body.update(self.extra_body)
        return body

    @property
    def path(self) -> str:
        """The path of the endpoint, below the base URL."""
        return RESPONSES_PATH if self.api == "responses" else CHAT_PATH

    @property
    def own_tool_names(self) -> Mapping[str, str]:
        """The original tool names by the names they are sent under. Empty if none was adapted."""
        return own_tool_names(self.tools or ())

    def encode(self, *, stream: bool) -> bytes:
        """The body as UTF-8 JSON.

        Raises:
            InvalidParameter: A value has no JSON form (NaN, a lone surrogate, an arbitrary object,
                endless nesting).
        """
        body = self.body(stream=stream)
        try:
            data = _encode(_revealed(body), with_files=any(map(_carries_file, self.messages)))
        except (ValueError, RecursionError) as error:
            error.with_traceback(None)  # its frames have the secrets of tools as text
            if hidden := _with_secret(body):  # pydantic 2.9.2 cannot write it
                raise _secret_in(hidden) from error
            name = next((name for name in body if not _is_encodable(body[name])), "extra_body")
            raise InvalidParameter(
                f"`{name}` cannot be written as JSON: {error}.",
                parameter=name,
                rule="JSON values only: text, finite numbers, booleans, None, lists and dicts",
            ) from error
        # A search for one byte first: 20 times faster in base64, which has no asterisk.
        if b"*" in data and _HIDDEN in data and (hidden := _with_secret(body)):
            del data  # as above
            raise _secret_in(hidden)
        return data


PARAMETERS = tuple(name for name in ChatRequest.model_fields if name != "messages")
"""The names of all request parameters."""

CALL_ARGUMENTS = (*PARAMETERS, EXTRA_HEADERS, *sorted(CALL_SETTINGS))
"""The names of all arguments of a call."""


def parameter_rules() -> Mapping[str, str]:
    """The name of every request parameter with its rule: what the value must be."""
    return {
        name: one.text
        for name, field in ChatRequest.model_fields.items()
        for one in field.metadata
        if isinstance(one, Rule)
    }


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Validates parameters without a conversation, as a constructor does.

    Raises:
        InvalidParameter: As `ChatRequest` does.
    """
    given = {name: value for name, value in parameters.items() if value is not None}
    ChatRequest.model_validate({"model": "-", "messages": [{"role": "user"}], **given})


def as_request(given: object) -> ChatRequest:
    """A `ChatRequest` from itself or from a dict of its parameters.

    Raises:
        InvalidParameter: A value breaks its rule, or a parameter is unknown.
    """
    if isinstance(given, ChatRequest):
        return given
    if isinstance(given, Mapping):
        return ChatRequest.model_validate(dict(given))
    raise InvalidParameter(
        f"A request must be a ChatRequest or a dict of its parameters, got {type(given).__name__}.",
        parameter="request",
        rule="a ChatRequest, or a dict of its parameters",
    )


def invalid_argument(error: ValidationError) -> InvalidParameter:
    """The first finding of a failed construction, without the value, which may be a secret."""
    finding = error.errors(include_url=False, include_input=False)[0]
    if not finding["loc"]:
        return InvalidParameter(f"{finding['msg']}.", parameter="", rule=finding["msg"])
    name = str(finding["loc"][0])
    if finding["type"] == "missing":
        return _missing(name, parameter_rules().get(name, finding["msg"]))
    if finding["type"] == "is_instance_of" and "ctx" in finding:
        rule = f"an instance of {finding['ctx']['class']}"
        return InvalidParameter(f"`{name}` must be {rule}.", parameter=name, rule=rule)
    return InvalidParameter(
        f"`{name}` is invalid: {finding['msg']}.", parameter=name, rule=finding["msg"]
    )


_OPTIONAL = tuple(
    name
    for name in ChatRequest.model_fields
    if name not in {"model", "messages", "extra_body", "api"}
)


def _check_combinations(request: ChatRequest) -> None:
    if request.top_logprobs is not None and not request.logprobs:
        raise InvalidParameter(
            f"`top_logprobs` requires logprobs=True, got logprobs={request.logprobs}.",
            parameter="top_logprobs",
            value=request.top_logprobs,
            rule="requires logprobs=True",
        )
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise InvalidParameter(
            "`max_completion_tokens` cannot be combined with `max_tokens`; set one of them.",
            parameter="max_completion_tokens",
            value=request.max_completion_tokens,
            rule="cannot be combined with `max_tokens`",
        )
    if request.stop == "" or (request.stop is not None and not all(request.stop)):
        raise _invalid_value("stop", request.stop, parameter_rules()["stop"])
    if request.api == "responses":
        check_for_responses(request)
    elif request.tools:
        check_chat_tools(request.tools)
    check_tool_secrets(request.tools)
    if request.extra_body:
        check_extra_body(request.extra_body)
    for position, message in enumerate(request.messages):
        if not isinstance(message.get("role"), str):
            raise _invalid_value(f"messages[{position}]", message, "a dict with a 'role'")
        if type(message.get("content")) is list and request.api != "responses":
            _check_chat_parts(message, f"messages[{position}]")


def _check_chat_parts(message: Message, position: str) -> None:
    """Rejects calls of built-in tools, which only the responses API has."""
    if message["role"] != "assistant":
        return
    for index, part in enumerate(message["content"]):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if is_built_in_item(kind):
            where = f"{position}.content[{index}]"
            raise UnsupportedContent(
                f"{where} is a {kind!r}, which api='chat' does not accept. Remove it, or use "
                "api='responses'.",
                kind=kind,
                position=where,
            )


def is_built_in_item(kind: object) -> TypeGuard[str]:
    """Whether a content part of this type is a call of a built-in tool, or a result of one."""
    return isinstance(kind, str) and (kind.endswith(_CALLS) or kind in _OTHER_ITEMS)


_CALLS = ("_call", "_call_output")
_OTHER_ITEMS = frozenset(("mcp_list_tools", "mcp_approval_request", "tool_search_output"))


_NOT_IN_EXTRA_BODY: Mapping[str, str] = {
    "messages": "pass the conversation to the call",
    "input": "pass the conversation to the call",
    "api": "pass it to the model or the call",
    "stream": "call the streaming method, or the one that returns the whole reply",
}


def check_extra_body(body: Mapping[str, Any], name: str = "extra_body") -> None:
    """Rejects keys that replace the prompt, change how the response is read, or leak a secret.

    Args:
        body: Keys of the request body, from the user.
        name: The argument that contains them.

    Raises:
        InvalidParameter: A key is not allowed. The error does not contain its value.
    """
    for key, instead in _NOT_IN_EXTRA_BODY.items():
        if key in body:
            raise InvalidParameter(
                f"`{name}` cannot contain `{key}`: {instead}.",
                parameter=name,
                rule=f"no `{key}`",
            )
    check_no_credentials(body, where=f"`{name}`")
    check_tool_secrets(body.get("tools"))
    for key, value in body.items():
        if isinstance(value, (SecretStr, SecretBytes)):
            raise InvalidParameter(
                f"`{key}` in `{name}` is a {type(value).__name__}. Secrets do not belong in a "
                "request body.",
                parameter=name,
                rule="no secrets",
            )


def not_a_dict(name: str, given: object) -> InvalidParameter:
    """The error for body parameters that are not a dict, without the value: it may be a secret."""
    found = type(given).__name__ + " with keys that are not strings" * isinstance(given, Mapping)
    return InvalidParameter(
        f"`{name}` must be a dict of body parameters, got {found}.",
        parameter=name,
        rule="a dict of body parameters",
    )


def _invalid(findings: list[ErrorDetails], given: Mapping[str, Any]) -> InvalidParameter:
    """The error for one failed validation.

    Unknown names come first, because a misspelled name can be why another one is missing.
    """
    names = [str(one["loc"][0]) for one in findings if one["type"] == "extra_forbidden"]
    unknown = unknown_arguments(names, tuple(ChatRequest.model_fields), of="Sunra", sendable=True)
    if unknown is not None:
        return unknown
    error = min(findings, key=lambda one: one["loc"][:1] not in {("model",), ("messages",)})
    name = str(error["loc"][0]) if error["loc"] else "request"
    rule = parameter_rules().get(name, error["msg"])
    if error["type"] == "missing":
        return _missing(name, rule)
    if name == "extra_body":
        return not_a_dict(name, given.get(name))
    index = "".join(f"[{step}]" for step in error["loc"][1:] if isinstance(step, int))
    value = error.get("input") if index else given.get(name)
    return _invalid_value(f"{name}{index}", value, rule)


def _missing(name: str, rule: str) -> InvalidParameter:
    return InvalidParameter(f"`{name}` is required: {rule}.", parameter=name, rule=rule)


def _invalid_value(parameter: str, value: Any, rule: str) -> InvalidParameter:
    shown = _shown(value)
    if len(shown) > _SHOWN_VALUE:
        shown = f"{shown[:_SHOWN_VALUE]}…"
    return InvalidParameter(
        f"`{parameter}` must be {rule}, got {shown}.", parameter=parameter, value=value, rule=rule
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
    """Whether a content part contains a long string as its image, audio or document."""
    return (
        type(part) is dict and part.get("type") != "text" and has_long_string(part, _DEPTH_OF_FILE)
    )


_HIDDEN = b"**********"
"""Pydantic writes this in place of a secret. A model would read it as the value."""


def _with_secret(body: Mapping[str, Any]) -> str | None:
    """The name of the parameter that contains a secret outside of built-in tools, if any."""
    try:
        others = {**body, "tools": with_secrets(body.get("tools"), str)}
        return next((name for name, value in others.items() if _has_secret(value)), None)
    except RecursionError:
        return None


def _secret_in(name: str) -> InvalidParameter:
    return InvalidParameter(
        f"`{name}` contains a secret, which cannot be sent. Only tools that the server runs can "
        "contain a SecretStr.",
        parameter=name,
        rule="no secrets",
    )


def _has_secret(value: Any) -> bool:
    match value:
        case SecretStr() | SecretBytes():
            return True
        case Mapping():
            return any(map(_has_secret, value.values()))
        case list() | tuple():
            return any(map(_has_secret, value))
        case _:
            return False


def _revealed(body: dict[str, Any]) -> dict[str, Any]:
    """The body with the secrets of its tools as text, as they are sent."""
    tools = body.get("tools")
    return {**body, "tools": with_secrets(tools, SecretStr.get_secret_value)} if tools else body


def _encode(value: Any, *, with_files: bool) -> bytes:
    """UTF-8 JSON.

    Raises:
        ValueError: A value has no JSON form.
    """
    data = encode_json(value) if with_files else encode_plain_json(value)
    if with_files and _is_finite_json(value):  # faster than searching all the text of the files
        return data
    if b"NaN" in data or b"Infinity" in data:  # either as numbers or as words in a text
        from_json(data, allow_inf_nan=False)
    return data


def _is_finite_json(value: Any) -> bool:
    """Whether a value is plain JSON without NaN and infinite numbers."""
    match value:
        case str() | int() | None:
            return True
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_is_finite_json, value.values()))
        case list() | tuple():
            return all(map(_is_finite_json, value))
        case _:
            return False


def _is_encodable(value: Any) -> bool:
    try:
        _encode(value, with_files=False)
    except ValueError:
        return False
    return True

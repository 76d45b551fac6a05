"""What users write without a framework; read by type checkers, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from datetime import date
from typing import Any

import httpx
from pydantic import SecretStr
from typing_extensions import assert_type

from sunra_integrations import __version__, errors
from sunra_integrations.data import last_updated, model_facts, model_names
from sunra_integrations.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigurationError,
    ConnectionFailed,
    ContentRejected,
    ContextOverflow,
    ErrorResponse,
    InsufficientCredit,
    InvalidParameter,
    ModelNotFound,
    NotFound,
    Overloaded,
    PermissionDenied,
    RateLimited,
    Refused,
    ResponseTruncated,
    ServerFailed,
    StreamInterrupted,
    SunraError,
    TimedOut,
    UnreadableResponse,
    UnsupportedContent,
    UnsupportedParameter,
)
from sunra_integrations.protocol.accumulator import ReplyAccumulator
from sunra_integrations.protocol.content import (
    audio_part,
    data_url,
    file_part,
    image_part,
    text_part,
    video_part,
)
from sunra_integrations.protocol.reply import (
    Choice,
    ChoiceDelta,
    Chunk,
    Reply,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from sunra_integrations.protocol.request import ChatRequest, check_parameters, parameter_rules
from sunra_integrations.protocol.tools import function_tool, json_schema_format, tool_choice
from sunra_integrations.transport import (
    AsyncSunraClient,
    RetryPolicy,
    Settings,
    SunraClient,
    Timeouts,
)
from sunra_integrations.transport.api_key import KeyFunction

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}


def token() -> str:
    return "made-up"


async def async_token() -> SecretStr:
    return SecretStr("made-up")


def makes_clients() -> None:
    SunraClient()
    SunraClient(api_key="made-up", base_url="https://example.com/v1", timeout=5, max_retries=0)
    SunraClient(api_key=token)
    SunraClient(api_key=lambda: SecretStr("made-up"))
    AsyncSunraClient(api_key=async_token)
    Settings.resolve(async_token)
    SunraClient(api_key=SecretStr("made-up"), timeout=Timeouts(read=5), stall_timeout=2)
    SunraClient(timeout=httpx.Timeout(5), total_timeout=10, http_client=httpx.Client())
    SunraClient(timeout=(5, None), retry=RetryPolicy(max_retries=1, first_wait=0.1))
    AsyncSunraClient(allow_http=True, max_connections=5, max_response_bytes=1000)
    AsyncSunraClient(async_transport="aiohttp", default_headers={"x-team": "a"})
    AsyncSunraClient(http_client=httpx.AsyncClient())
    settings = Settings.resolve("made-up", timeout=5)
    assert_type(settings, Settings)
    assert_type(settings.api_key, SecretStr | KeyFunction)
    assert_type(settings.timeouts.read, float | None)
    assert_type(settings.retry.max_retries, int)
    assert_type(settings.endpoint, str)
    assert_type(SunraClient(settings).settings, Settings)


def makes_requests() -> ChatRequest:
    parts = [
        text_part("What is this?"),
        image_part("https://example.com/cat.png", detail="low"),
        image_part(data_url(b"...", "image/png")),
        audio_part("...", format="wav"),
        video_part("https://example.com/cat.mp4"),
        file_part(file_id="file-1"),
    ]
    tool = function_tool("get_weather", description="The weather.", parameters=SCHEMA)
    check_parameters({"temperature": 0})
    assert_type(parameter_rules(), Mapping[str, str])
    return ChatRequest(
        model="openai/gpt-4o",
        messages=[{"role": "user", "content": parts}],
        temperature=0,
        tools=[tool],
        tool_choice=tool_choice("any", [tool]),
        response_format=json_schema_format("place", SCHEMA, strict=True),
    )


def asks(client: SunraClient, request: ChatRequest) -> None:
    reply = client.create(request, headers={"x-team": "a"})
    assert_type(reply, Reply)
    assert_type(reply.text, str)
    assert_type(reply.choices, tuple[Choice, ...])
    assert_type(reply.choice, Choice)
    assert_type(reply.choice.finish_reason, str | None)
    assert_type(reply.choice.tool_calls, tuple[ToolCall, ...])
    assert_type(reply.choice.tool_calls[0].parsed(), dict[str, Any] | None)
    assert_type(reply.usage, Usage | None)
    client.create({"model": "a/b", "messages": [{"role": "user", "content": "Hello"}]})


def streams(client: SunraClient, request: ChatRequest) -> Reply:
    so_far = ReplyAccumulator()
    chunks = client.stream(request, so_far=so_far)
    assert_type(chunks, Generator[Chunk, None, None])
    for chunk in chunks:
        assert_type(chunk.choices, tuple[ChoiceDelta, ...])
        for delta in chunk.choices:
            assert_type(delta.text, str)
            assert_type(delta.tool_calls, tuple[ToolCallDelta, ...])
    return so_far.reply()


async def asks_and_streams_async(client: AsyncSunraClient, request: ChatRequest) -> None:
    assert_type(await client.create(request), Reply)
    assert_type(client.stream(request), AsyncGenerator[Chunk, None])
    async for chunk in client.stream(request):
        assert_type(chunk.usage, Usage | None)


def catches(client: SunraClient, request: ChatRequest) -> None:
    try:
        client.create(request)
    except RateLimited as limited:
        assert_type(limited.retry_after, float | None)
    except TimedOut as late:
        assert_type(late.phase, str)
    except InvalidParameter as invalid:
        assert_type(invalid.parameter, str)
        assert_type(invalid.rule, str)
    except UnsupportedContent as unsupported:
        assert_type(unsupported.kind, str)
        assert_type(unsupported.position, str)
    except UnsupportedParameter as restricted:
        assert_type(restricted.parameter, str)
    except ResponseTruncated as truncated:
        assert_type(truncated.text, str)
        assert_type(truncated.finish_reason, str | None)
        assert_type(truncated.usage, Mapping[str, Any] | None)
    except Refused as refused:
        assert_type(refused.refusal, str)
    except SunraError as error:
        assert_type(error.message, str)
        assert_type(error.retryable, bool)
        assert_type(error.code, str | None)
        assert_type(error.request_id, str | None)
        assert_type(error.attempts, int | None)
        assert_type(error.response, ErrorResponse | None)
        if error.response is not None:
            assert_type(error.response.status_code, int)
            assert_type(error.response.text, str)


def tells_apart(error: SunraError) -> str:
    match error:
        case ContextOverflow() | ContentRejected() | BadRequest():
            return "the request"
        case AuthenticationFailed() | PermissionDenied() | ConfigurationError():
            return "the key"
        case InsufficientCredit():
            return "the account"
        case ModelNotFound() | NotFound():
            return "the model"
        case Overloaded() | ServerFailed() | ConnectionFailed():
            return "the server"
        case StreamInterrupted() | UnreadableResponse():
            return "the answer"
        case _:
            return error.message


def lacks_a_package() -> str:
    try:
        import sunra_integrations.sandbox
    except errors.RequirementNotMet as missing:
        assert_type(missing.name, str | None)
        return missing.message
    return sunra_integrations.sandbox.__name__


def raises() -> Sequence[SunraError]:
    return [RateLimited("slow down", retry_after=1.5), errors.TimedOut("late", phase="read")]


def looks_up() -> None:
    assert_type(model_facts("openai/gpt-4o"), dict[str, Any] | None)
    assert_type(model_names(), list[str])
    assert_type(last_updated(), date)
    version: str = __version__
    print(version)

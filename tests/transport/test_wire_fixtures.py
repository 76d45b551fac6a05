"""Every wire fixture through both clients, byte by byte.

`tests/protocol` splits the fixtures at every offset. The adapters read them whole, in
`test_wire_fixtures.py` of each.
"""

from __future__ import annotations

import httpx
import pytest

from sunra_integrations.errors import SunraError
from sunra_integrations.protocol.accumulator import accumulate
from sunra_integrations.protocol.reply import Reply
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient
from tests.recorded_transport import JSON, SSE, Body
from tests.wire_cases import (
    BOTH_COMPLETIONS,
    BOTH_STREAMS,
    Fails,
    Seen,
    api_of,
    completion_bytes,
    seen,
    stream_bytes,
)

REQUESTS = {
    api: ChatRequest(model="openai/gpt-4o", messages=[{"role": "user", "content": "Hi"}], api=api)
    for api in ("chat", "responses")
}
SETTINGS = Settings.resolve("k")


def byte_by_byte(body: bytes, headers: dict[str, str]) -> httpx.MockTransport:
    parts = [body[i : i + 1] for i in range(len(body))]
    return httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=Body(parts)))


async def stream(transport: httpx.MockTransport, request: ChatRequest) -> Reply:
    with httpx.Client(transport=transport) as http:
        return accumulate(SunraClient(SETTINGS, http_client=http).stream(request))


async def astream(transport: httpx.MockTransport, request: ChatRequest) -> Reply:
    async with httpx.AsyncClient(transport=transport) as http:
        client = AsyncSunraClient(SETTINGS, http_client=http)
        return accumulate([chunk async for chunk in client.stream(request)])


async def create(transport: httpx.MockTransport, request: ChatRequest) -> Reply:
    with httpx.Client(transport=transport) as http:
        return SunraClient(SETTINGS, http_client=http).create(request)


async def acreate(transport: httpx.MockTransport, request: ChatRequest) -> Reply:
    async with httpx.AsyncClient(transport=transport) as http:
        return await AsyncSunraClient(SETTINGS, http_client=http).create(request)


async def check(name: str, read, transport: httpx.MockTransport, expected: Seen | Fails) -> None:
    request = REQUESTS[api_of(name)]
    match expected:
        case Seen():
            assert seen(await read(transport, request)) == expected
        case Fails(error, partial, says):
            with pytest.raises(SunraError) as failed:
                await read(transport, request)
            assert isinstance(failed.value, error)
            assert says in str(failed.value)
            received = failed.value.partial
            assert (received.text if received else None) == partial


@pytest.mark.parametrize("read", [stream, astream])
@pytest.mark.parametrize("name", BOTH_STREAMS)
async def test_a_stream(name, read):
    await check(name, read, byte_by_byte(stream_bytes(name), SSE), BOTH_STREAMS[name])


@pytest.mark.parametrize("read", [create, acreate])
@pytest.mark.parametrize("name", BOTH_COMPLETIONS)
async def test_a_completion(name, read):
    await check(name, read, byte_by_byte(completion_bytes(name), JSON), BOTH_COMPLETIONS[name])

from __future__ import annotations

import httpx
import pytest

from sunra_integrations.transport import end_of_body


class Network:
    """A connection that must not be read."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        raise AssertionError((max_bytes, timeout))


def never():
    raise AssertionError("the body was read on")
    yield b""


async def anever():
    raise AssertionError("the body was read on")
    yield b""


def response(version: bytes, **extensions):
    return httpx.Response(200, extensions={"http_version": version, **extensions})


@pytest.mark.parametrize("extensions", [{}, {"network_stream": Network()}])
async def test_a_connection_that_others_share_is_left_alone(extensions):
    shared = response(b"HTTP/2", **extensions)
    end_of_body.take(shared, never())
    await end_of_body.take_async(shared, anever())


def test_without_the_connection_s_own_interface_nothing_is_read():
    end_of_body.take(response(b"HTTP/1.1"), never())


def test_the_connection_s_own_way_of_reading_comes_back():
    network = Network()
    end_of_body.take(response(b"HTTP/1.1", network_stream=network), iter([]))
    assert vars(network) == {}

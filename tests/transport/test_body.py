from __future__ import annotations

import httpx
import pytest

from sunra_integrations.transport import body


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
    body.drain(shared, never())
    await body.drain_async(shared, anever())


def test_without_the_connection_s_own_interface_nothing_is_read():
    body.drain(response(b"HTTP/1.1"), never())


def test_the_connection_s_own_way_of_reading_comes_back():
    network = Network()
    body.drain(response(b"HTTP/1.1", network_stream=network), iter([]))
    assert vars(network) == {}


class Fixed:
    """A connection on which nothing can be set."""

    __slots__ = ()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return b""


class Failing(Network):
    """A connection that fails in words of its own."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        raise RuntimeError("of the user's own transport")


def failing():
    raise RuntimeError("of the user's own transport")
    yield b""


async def afailing():
    raise RuntimeError("of the user's own transport")
    yield b""


@pytest.mark.parametrize("network", [Fixed(), Failing(), object()])
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"\xff", None])
async def test_nothing_that_goes_wrong_behind_a_whole_answer_is_raised(network, version):
    ended = response(version, network_stream=network)
    body.drain(ended, failing())
    await body.drain_async(ended, afailing())

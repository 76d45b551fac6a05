"""What goes wrong before a byte of HTTP: names, TLS, proxies; and what must never be done."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import threading
import traceback
from contextlib import suppress

import certifi
import httpx
import pytest
import trustme
from langchain_core.messages import HumanMessage
from typing_extensions import Self

from sunra_integrations.errors import ConfigurationError, ConnectionFailed
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient
from sunra_integrations.transport.connections import proxies, registry
from sunra_integrations.transport.connections.certificates import tls_context
from tests import children
from tests.faults.cases import GOOD
from tests.faults.server import FaultServer
from tests.listening import stop_listening
from tests.recorded_transport import Recorded, completion
from tests.wire_cases import completion_bytes

ASKED = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])


@pytest.fixture(autouse=True)
def _fresh_pools(monkeypatch):
    shared = registry._Shared()
    monkeypatch.setattr(registry, "_shared", shared)
    yield
    for client in shared.sync.values():
        client.close()


def call(base_url, **more):
    return SunraClient(Settings.resolve("k", base_url, max_retries=0, **more)).create(ASKED)


@pytest.fixture
def _unknown_names(monkeypatch):
    look_up = socket.getaddrinfo

    def fail(host, *rest, **more):
        if host in {"nowhere.invalid", b"nowhere.invalid"}:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.mark.usefixtures("_unknown_names")
@pytest.mark.parametrize("way", ["sync", "httpx", "aiohttp"])
@pytest.mark.parametrize("proxy", [None, "http://nowhere.invalid:8080"])
def test_a_name_that_does_not_resolve_is_named_with_its_setting(monkeypatch, way, proxy):
    if proxy:
        monkeypatch.setenv("https_proxy", proxy)
    host, setting = ("api.example", "https_proxy") if proxy else ("nowhere.invalid", "the base URL")
    settings = Settings.resolve(
        "k",
        f"https://{host}",
        max_retries=0,
        async_transport="httpx" if way == "sync" else way,
    )

    def call() -> None:
        if way == "sync":
            SunraClient(settings).create(ASKED)
        else:
            asyncio.run(AsyncSunraClient(settings).create(ASKED))

    with pytest.raises(ConnectionFailed, match="Name or service not known") as caught:
        call()
    assert caught.value.retryable
    assert "The host name 'nowhere.invalid' cannot be resolved" in caught.value.message
    assert f"the host in {setting} is correct." in caught.value.message


class TlsServer:
    """Answers one request over TLS with a certificate that no public authority signed."""

    def __init__(self, authority: trustme.CA) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"https://localhost:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        stop_listening(self._listener)
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):  # of the TLS handshake, or because no client came
            raw, _ = self._listener.accept()
            with raw, self._context.wrap_socket(raw, server_side=True) as secured:
                request = b""
                while not request.endswith(b"}") and (more := secured.recv(65536)):
                    request += more
                body = completion_bytes("plain")
                head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
                secured.sendall(head + body)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def test_a_certificate_that_nobody_vouches_for_is_refused(authority):
    with TlsServer(authority) as server, pytest.raises(ConnectionFailed, match="certificate"):
        call(server.base_url)


def test_a_client_of_one_s_own_may_trust_it(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with TlsServer(authority) as server, httpx.Client(verify=context) as http:
        settings = Settings.resolve("k", server.base_url, max_retries=0)
        assert SunraClient(settings, http_client=http).create(ASKED).text == "Hello"


def test_plain_http_behind_an_https_address_is_a_failed_connection():
    listener = socket.create_server(("127.0.0.1", 0))

    def answer_in_the_clear() -> None:
        with suppress(OSError):  # no client came
            raw, _ = listener.accept()
            with raw:
                raw.recv(65536)
                raw.sendall(b"HTTP/1.1 400 This is no TLS\r\n\r\n")

    thread = threading.Thread(target=answer_in_the_clear, daemon=True)
    thread.start()
    try:
        with pytest.raises(ConnectionFailed, match="SSL"):
            call(f"https://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        stop_listening(listener)
        thread.join()


def test_proxies_of_the_environment_are_used(monkeypatch):
    with FaultServer(GOOD) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        assert call("http://sunra.example", allow_http=True).text == "Hello"
    assert b"POST http://sunra.example/v1/chat/completions" in proxy.requests[0].head


def test_and_hosts_in_no_proxy_go_past_them(monkeypatch):
    with FaultServer(GOOD) as proxy, FaultServer(GOOD) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert call(server.base_url).text == "Hello"
        assert (len(proxy.requests), len(server.requests)) == (0, 1)


@pytest.mark.parametrize("model", ["a/b\r\nX-Injected: 1", "a/b\x00", "a/\u2028b"])
def test_a_strange_model_name_stays_within_the_body(model):
    transport = Recorded(completion(completion_bytes("plain")))
    chat = ChatSunra(model=model, api_key="k", http_client=httpx.Client(transport=transport))
    chat.invoke("Hi")
    assert transport.bodies[0]["model"] == model
    assert "x-injected" not in transport.sent[0].headers


def test_no_url_of_a_message_is_ever_fetched():
    transport = Recorded(completion(completion_bytes("plain")))
    chat = ChatSunra(model="a/b", api_key="k", http_client=httpx.Client(transport=transport))
    image = {"type": "image", "url": "http://169.254.169.254/latest/meta-data"}
    chat.invoke([HumanMessage([{"type": "text", "text": "What is this?"}, image])])
    assert [str(request.url) for request in transport.sent] == [
        "https://api-llm.sunra.ai/v1/chat/completions"
    ]


@pytest.fixture
def _no_context_yet(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


def acall(base_url, library):
    asked = Settings.resolve("k", base_url, max_retries=0, async_transport=library)
    return asyncio.run(AsyncSunraClient(asked).create(ASKED))


WAYS = {
    "sync": call,
    "async, httpx": lambda base_url: acall(base_url, "httpx"),
    "async, aiohttp": lambda base_url: acall(base_url, "aiohttp"),
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@EVERY_WAY
@pytest.mark.usefixtures("_no_context_yet")
@pytest.mark.parametrize(
    ("variable", "path"),
    [
        ("SSL_CERT_FILE", "nowhere.pem"),
        ("SSL_CERT_FILE", "text.pem"),
        ("SSL_CERT_FILE", "."),
        ("SSL_CERT_DIR", "nowhere"),
    ],
)
def test_certificates_that_cannot_be_read_are_named(way, variable, path, tmp_path, monkeypatch):
    (tmp_path / "text.pem").write_text("no certificate", encoding="utf-8")
    monkeypatch.setenv(variable, str(tmp_path / path))
    with pytest.raises(ConfigurationError, match=f"{variable} is '.*which cannot be used"):
        way("https://localhost:9")


@EVERY_WAY
@pytest.mark.usefixtures("_no_context_yet")
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "two folders"])
def test_certificates_of_the_environment_are_trusted(
    way, variable, authority, tmp_path, monkeypatch
):
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    if variable == "SSL_CERT_FILE":
        monkeypatch.setenv(variable, str(file))
    else:
        if shutil.which("openssl") is None:
            pytest.skip("the name of a file in such a folder is made by openssl")
        command = ["openssl", "x509", "-hash", "-noout", "-in", str(file)]
        digest = children.run(command, check=True).stdout.strip()
        file.rename(tmp_path / f"{digest}.0")
        folders = [tmp_path] if variable == "SSL_CERT_DIR" else [tmp_path / "nowhere", tmp_path]
        monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join(map(str, folders)))
    with TlsServer(authority) as server:
        assert way(server.base_url).text == "Hello"


@EVERY_WAY
@pytest.mark.usefixtures("_no_context_yet")
def test_roots_of_the_system_s_store_are_trusted_as_well_as_certifi_s(way, authority, monkeypatch):
    def load(context, *_):
        authority.configure_trust(context)

    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", load)
    with TlsServer(authority) as server:
        assert way(server.base_url).text == "Hello"
    certifis = ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)
    assert set(certifis) < set(tls_context().get_ca_certs(binary_form=True))


@EVERY_WAY
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("socks5://user:hush@proxy.example:1080", r"socks5://proxy.example:1080 \(HTTP_PROXY\)"),
        ("ftp://user:hush@proxy.example", r"ftp://proxy.example \(HTTP_PROXY\).*scheme"),
        ("http://user:hush@proxy.example:port", "HTTP_PROXY is not a URL"),
        ("http://[::1", "HTTP_PROXY is not a URL"),
        ("http://", "HTTP_PROXY is not a URL"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(way, url, says, monkeypatch):
    monkeypatch.setattr(proxies, "find_spec", lambda _: None)
    monkeypatch.setenv("HTTP_PROXY", url)
    with pytest.raises(ConfigurationError, match=says) as caught:
        way("http://127.0.0.1:9")
    assert "hush" not in str(caught.value)


@EVERY_WAY
def test_a_proxy_that_refuses_is_named_without_its_password(way, monkeypatch, unused_tcp_port):
    monkeypatch.setenv("HTTP_PROXY", f"http://user:hush@127.0.0.1:{unused_tcp_port}")
    named = rf"proxy http://127.0.0.1:{unused_tcp_port} \(HTTP_PROXY\).* Add 127.0.0.1 to NO_PROXY"
    with pytest.raises(ConnectionFailed, match=named) as caught:
        way("http://127.0.0.1:9")
    assert "hush" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("no_proxy", "host", "is_used"),
    [
        ("", "api.example", True),
        ("api.example", "api.example", False),
        (".example", "api.example", False),
        ("*", "api.example", False),
        ("localhost,127.0.0.1,::1,[::1]", "api.example", True),
        ("fd07:b51a:cc66:f0::/64", "api.example", True),
        ("fd07:b51a:cc66:f0::/64", "[fd07:b51a:cc66:f0::2]", False),
        ("::1", "[::1]", False),
        ("[::1]", "[::1]", False),
        ("10.0.0.0/8, api.example", "10.1.2.3", False),
        ("10.0.0.0/8", "11.1.2.3", True),
        ("not a/network, :::", "api.example", True),
    ],
)
def test_what_no_proxy_names_goes_past_the_proxy_whatever_else_it_holds(
    no_proxy, host, is_used, monkeypatch
):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    found = proxies.proxy_for(f"https://{host}/v1")
    assert str(found) == ("http://proxy.example:3128 (HTTPS_PROXY)" if is_used else "None")


def test_tls_is_verified_by_default():
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_plain_http_to_another_machine_is_refused():
    with pytest.raises(ConfigurationError, match="plain http"):
        Settings.resolve("k", "http://sunra.example")

"""`sunra doctor`: the connection checks."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading

import pytest
import trustme

from sunra_integrations.cli import doctor
from sunra_integrations.transport.connections.certificates import tls_context
from tests.cli.conftest import found, statuses
from tests.listening import stop_listening

NOW = 1_800_000_000.0
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


@pytest.fixture(autouse=True)
def _clear_certificate_cache():
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


@pytest.fixture
def https(tmp_path):
    """A server with a certificate of its own authority; yields its URL and the authority's root."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    root = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(str(root))

    class Quiet(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(401)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        server.handle_error = lambda *_: None
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"https://localhost:{server.server_port}", root
        finally:
            server.shutdown()
            thread.join()


def test_a_trusted_certificate_is_shown_with_its_issuer(sunra, environment, https):
    url, root = https
    environment.setenv("SSL_CERT_FILE", str(root))
    ended = sunra("doctor", "--base-url", url, "--json")
    assert ended.status == 0
    assert "certificate issued by trustme" in found(ended)["TLS"]["found"]
    assert statuses(ended)["clock"] == "ok"
    assert found(ended)["HTTP"]["found"].startswith("reachable (")


def test_an_untrusted_certificate_fails_and_the_fix_is_its_root(sunra, https):
    ended = sunra("doctor", "--base-url", https[0], "--json")
    assert ended.status == 1
    assert list(statuses(ended).items())[-1] == ("TLS", "fail")
    assert "SSL_CERT_FILE" in found(ended)["TLS"]["fix"]


def test_an_invalid_certificate_file_is_found_even_if_the_gateway_is_unreachable(
    sunra, environment
):
    environment.setenv("SSL_CERT_FILE", "/gone/ca.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    ended = sunra("doctor", "--base-url", f"https://127.0.0.1:{port}", "--json")
    assert list(statuses(ended).items())[-2:] == [("TCP", "fail"), ("TLS", "fail")]
    assert "/gone/ca.pem" in found(ended)["TLS"]["found"]


def test_a_certificate_for_another_host_fails(sunra, environment, https):
    url, root = https
    environment.setenv("SSL_CERT_FILE", str(root))
    ended = sunra("doctor", "--base-url", url.replace("localhost", "127.0.0.1"), "--json")
    assert found(ended)["TLS"]["fix"].startswith("Check the host of the base URL")


def test_a_port_without_tls_fails(sunra, sunra_sandbox):
    url = sunra_sandbox.base_url.replace("http:", "https:")
    ended = sunra("doctor", "--base-url", url, "--json")
    assert found(ended)["TLS"]["fix"] == "Check that the port of the base URL uses https."


def test_a_response_that_is_not_http_fails(sunra):
    def answer(listening):
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                if connection.recv(4096):
                    connection.sendall(b"SSH-2.0-OpenSSH\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            ended = sunra("doctor", "--base-url", url, "--json")
        finally:
            stop_listening(listening)
            thread.join()
    assert ended.status == 1
    assert list(statuses(ended).items())[-1] == ("HTTP", "fail")


def test_other_proxy_types_skip_the_remaining_checks(sunra, environment, sunra_sandbox):
    proxy = sunra_sandbox.base_url.removesuffix("/v1").replace("http:", "https:")
    environment.setenv("HTTPS_PROXY", proxy)
    ended = sunra("doctor", "--base-url", "https://example.com", "--json")
    assert ended.status == 0
    assert list(statuses(ended).items())[-1] == ("TLS", "warn")


def test_a_wrong_clock_fails_with_the_difference(sunra, environment):
    environment.setattr("sunra_integrations.cli.doctor._now", lambda: 0.0)
    ended = sunra("doctor", "--json")
    assert ended.status == 1
    assert "s behind the server's" in found(ended)["clock"]["found"]
    assert "timedatectl" in found(ended)["clock"]["fix"]


@pytest.mark.parametrize(
    ("date", "ahead", "status", "message"),
    [
        (DATE, 0, "ok", "agrees"),
        (DATE, 29, "ok", "agrees"),
        (DATE, 60, "warn", "60 s ahead of"),
        (DATE, -3600, "fail", "3,600 s behind"),
        (None, 0, "warn", "sent no valid date"),
        ("noon", 0, "warn", "sent no valid date"),
    ],
)
def test_a_clock_is_judged_by_its_difference(date, ahead, status, message):
    finding = doctor.judge_clock(date, NOW + ahead)
    assert finding.status == status
    assert message in finding.found


@pytest.mark.parametrize(("days", "status"), [(90, "ok"), (7, "ok"), (6, "warn"), (1, "warn")])
def test_a_certificate_about_to_expire_is_a_warning(days, status):
    certificate = {"notAfter": "Jan 15 08:00:00 2027 GMT"}
    finding = doctor.judge_certificate(certificate, "TLSv1.3", NOW - days * 86_400)
    assert finding.status == status
    assert f"valid for {days} more day{'' if days == 1 else 's'}" in finding.found


@pytest.mark.parametrize(("status", "judged"), [(401, "ok"), (301, "warn"), (503, "warn")])
def test_a_response_is_judged_by_its_status(status, judged):
    assert doctor.judge_status(status, "1 ms").status == judged


NOT_CERTIFICATES = {
    "a file that is not there": lambda folder: folder / "none.pem",
    "a file without certificates": lambda folder: folder / "empty.pem",
    "a folder": lambda folder: folder,
}


@pytest.mark.parametrize("case", NOT_CERTIFICATES)
def test_a_setting_without_certificates_fails(sunra, environment, https, tmp_path, case):
    (tmp_path / "empty.pem").write_text("not a certificate")
    path = NOT_CERTIFICATES[case](tmp_path)
    environment.setenv("SSL_CERT_FILE", str(path))
    ended = sunra("doctor", "--base-url", https[0], "--json")
    assert ended.status == 1
    assert statuses(ended)["TLS"] == "fail"
    assert str(path) in found(ended)["TLS"]["found"]
    assert "SSL_CERT_FILE" in found(ended)["TLS"]["fix"]

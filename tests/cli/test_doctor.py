"""`sunra doctor`: findings and suggested fixes."""

from __future__ import annotations

import json
import os
import re
import socket
from datetime import date, datetime, timedelta, timezone

import pytest

from sunra_integrations import requirements
from sunra_integrations.cli import doctor
from sunra_integrations.sandbox import Http
from tests import platforms
from tests.cli.conftest import KEY, found, statuses
from tests.waiting import DEADLINE


def test_every_check_passes_with_the_sandbox_and_the_key_is_not_sent(
    sunra, sunra_sandbox, environment
):
    environment.setenv("SUNRA_MODEL", "sandbox/echo")  # used by chat only
    environment.setattr("sunra_integrations.cli.doctor.last_updated", lambda: date.max)
    ended = sunra("doctor", "--json")
    assert ended.status == 0
    assert json.loads(ended.out)["ok"] is True
    assert set(statuses(ended).values()) == {"ok"}
    assert list(statuses(ended))[-8:] == [
        "key",
        "base URL",
        "proxy",
        "DNS",
        "TCP",
        "TLS",
        "HTTP",
        "clock",
    ]
    for finding in found(ended).values():
        assert finding["fix"] is None or finding["found"] == "not installed, and optional"
    assert [request.method for request in sunra_sandbox.requests] == ["HEAD"]
    assert "authorization" not in sunra_sandbox.requests[0].headers


@pytest.mark.parametrize(("days", "status"), [(-3, "ok"), (0, "ok"), (183, "ok"), (184, "warn")])
def test_old_model_data_is_a_warning(monkeypatch, days, status):
    today = date(2026, 11, 29)
    monkeypatch.setattr(doctor, "last_updated", lambda: today - timedelta(days=days))
    now = datetime(2026, 11, 29, 12, tzinfo=timezone.utc).timestamp()
    finding = doctor.check_model_data(now)
    assert finding.status == status
    assert finding.found.endswith(f"({max(days, 0)} days old)")
    assert finding.fix == (None if status == "ok" else "pip install --upgrade sunra-integrations")


def test_a_model_is_sent_a_short_prompt(sunra, sunra_sandbox):
    sunra_sandbox.next("Hello")
    ended = sunra("doctor", "-m", "sandbox/echo")
    assert ended.status == 0
    assert ended.out.splitlines()[-1].startswith("ok   call               sandbox/echo replied")
    assert "replied 'Hello' in" in ended.out
    assert ended.err == "Nothing failed.\nNext: run `sunra chat -m sandbox/echo`.\n"


def test_a_model_of_the_other_endpoint_is_sent_the_prompt_there(sunra, sunra_sandbox):
    ended = sunra("doctor", "-m", "sandbox/echo", "--api", "responses")
    assert ended.status == 0
    assert sunra_sandbox.requests[-1].path == "/v1/responses"


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        (Http(401, {"error": {"message": f"No such key: {KEY}"}}), "Set SUNRA_KEY to a key from"),
        (Http(404, {"error": {"code": "MODEL_NOT_FOUND"}}), "https://sunra.ai/models"),
        (Http(402, {"error": {"message": "Empty"}}), "Add credit"),
        (Http(400, {"error": {"message": "No"}}), "Change what the message names."),
    ],
)
def test_a_failed_call_comes_with_a_fix(sunra, sunra_sandbox, answer, fix):
    sunra_sandbox.next(answer)
    ended = sunra("doctor", "-m", "sandbox/echo", "--json")
    assert ended.status == 1
    assert json.loads(ended.out)["ok"] is False
    assert found(ended)["call"]["status"] == "fail"
    assert fix in found(ended)["call"]["fix"]


NOT_ASCII = os.fsdecode("schlüssel".encode())  # as it arrives, whatever the locale


@pytest.mark.parametrize("key", [None, "", "two words", "line\nbreak", NOT_ASCII])
def test_an_invalid_key_fails_and_the_other_checks_still_run(sunra, environment, key):
    environment.delenv("SUNRA_KEY")
    if key is not None:
        environment.setenv("SUNRA_KEY", key)
    ended = sunra("doctor", "-m", "sandbox/echo", "--json")
    assert ended.status == 1
    assert found(ended)["key"]["fix"].startswith("export SUNRA_KEY=")
    assert not key or key not in found(ended)["key"]["found"]
    assert statuses(ended)["clock"] == "ok"
    assert found(ended)["call"]["fix"] == "Fix those first."


def test_a_key_in_quotation_marks_is_a_warning(sunra, environment):
    environment.setenv("SUNRA_KEY", f'"{KEY}"')
    ended = sunra("doctor", "--json")
    assert ended.status == 0
    assert found(ended)["key"]["fix"] == "Set SUNRA_KEY without the quotation marks."


@pytest.mark.parametrize("url", ["ftp://x", "http://example.com", "https://u:secret@example.com"])
def test_an_invalid_base_url_fails(sunra, url):
    ended = sunra("doctor", "--base-url", url, "--json")
    assert ended.status == 1
    assert list(statuses(ended).items())[-1] == ("base URL", "fail")
    assert "secret" not in ended.out


@pytest.mark.parametrize(
    ("url", "check"), [("https://localhost:1", "TCP"), ("https://nowhere.invalid", "DNS")]
)
def test_the_connection_checks_stop_at_the_first_failure(sunra, monkeypatch, url, check):
    def no_address(host, *rest, **more):
        if host != "nowhere.invalid":
            return look_up(host, *rest, **more)
        raise OSError(-2, f"{host}: name not known")

    look_up = socket.getaddrinfo
    if check == "DNS":
        monkeypatch.setattr("socket.getaddrinfo", no_address)
    ended = sunra("doctor", "--base-url", url)
    assert ended.status == 1
    last = ended.out.splitlines()[-2:]
    assert last[0].startswith(f"fail {check} ")
    assert last[1].lstrip().startswith("→ Check ")


def test_a_proxy_is_shown_without_its_password(sunra, environment, sunra_sandbox):
    port = sunra_sandbox.base_url.rpartition(":")[2].partition("/")[0]
    environment.setenv("HTTPS_PROXY", f"http://me:hush-hush@127.0.0.1:{port}")
    ended = sunra("doctor", "--base-url", "https://example.com", "--json")
    assert found(ended)["proxy"]["found"] == f"requests go through http://127.0.0.1:{port}"
    assert statuses(ended)["TCP"] == "ok"
    assert found(ended)["TLS"]["fix"] == "Check the proxy's user name and password."
    assert "hush-hush" not in ended.out
    environment.setenv("NO_PROXY", "example.com,127.0.0.1")
    assert found(sunra("doctor", "--json"))["proxy"]["found"] == "none for this address"


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("http://127.0.0.1:hush-hush", "HTTPS_PROXY is not a URL"),
        ("socks5://me:hush@127.0.0.1:1", "without the package socksio"),
        ("ftp://me:hush@127.0.0.1:1", "its scheme must be one of"),
    ],
)
def test_an_invalid_proxy_fails(sunra, environment, proxy, message):
    environment.setattr(
        "sunra_integrations.transport.connections.proxies.find_spec", lambda _: None
    )
    environment.setenv("HTTPS_PROXY", proxy)
    ended = sunra("doctor", "--base-url", "https://example.com", "--json")
    assert found(ended)["proxy"]["status"] == "fail"
    assert message in found(ended)["proxy"]["found"]
    assert "hush" not in ended.out


def test_a_network_in_no_proxy_is_respected(sunra, environment):
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    environment.setenv("NO_PROXY", "127.0.0.0/8")
    assert found(sunra("doctor", "--json"))["proxy"]["found"] == "none for this address"


def test_a_proxy_to_a_local_gateway_is_a_warning(sunra, environment, sunra_sandbox):
    environment.setenv("HTTP_PROXY", sunra_sandbox.base_url.removesuffix("/v1"))
    ended = sunra("doctor", "--json")
    assert ended.status == 0
    assert found(ended)["proxy"]["fix"] == "export NO_PROXY=127.0.0.1"
    assert statuses(ended)["HTTP"] == "ok"


# ── layout and next steps ────────────────────────────────────────────────────

ESCAPES = re.compile(r"\x1b\[[\d;]*m")


def test_every_result_that_is_not_ok_has_a_next_step_and_so_has_the_report(sunra, environment):
    environment.setenv("SUNRA_KEY", f"'{KEY}'")
    report = json.loads(sunra("doctor", "--base-url", "https://localhost:1", "--json").out)
    problems = [one for one in report["findings"] if one["status"] != "ok"]
    assert {one["check"] for one in problems} >= {"key", "TCP"}
    assert all(one["fix"].strip() for one in problems)
    assert report["next"] == "fix the first failure, and run `sunra doctor` again."


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        ([], "Next: run `sunra doctor -m VENDOR/NAME` to test a call."),
        (["-m", "sandbox/echo"], "Next: run `sunra chat -m sandbox/echo`."),
        (
            ["-m", "sandbox/echo", "--api", "responses"],
            "Next: run `sunra chat -m sandbox/echo --api responses`.",
        ),
        (["--base-url", "ftp://x"], "Next: fix the first failure, and run `sunra doctor` again."),
    ],
)
def test_a_report_ends_with_the_next_step(sunra, arguments, step):
    assert sunra("doctor", *arguments).err.splitlines()[-1] == step


def test_a_piped_report_has_a_line_for_each_text_whatever_the_width(sunra, environment):
    environment.setenv("COLUMNS", "40")
    ended = sunra("doctor", "--base-url", "https://localhost:1")
    lines = ended.out.splitlines()
    [failed] = [line for line in lines if line.startswith("fail")]
    assert failed.endswith("cannot connect to localhost:1: Connection refused")
    assert lines[-1].strip() == "→ Check the port, and whether a firewall or a VPN blocks it."
    assert "\x1b" not in ended.out


@platforms.terminals
@pytest.mark.parametrize("columns", [40, 80])
def test_a_report_is_wrapped_at_the_width_of_the_terminal(start, terminal, columns):
    env = {"TERM": "xterm", "COLUMNS": str(columns)}
    process = start("doctor", "--base-url", "https://localhost:1", env=env, **terminal.streams())
    terminal.see("again")
    assert process.wait(DEADLINE) == 1
    lines = ESCAPES.sub("", terminal.seen).splitlines()
    assert max(map(len, lines)) <= columns
    words = " ".join(" ".join(lines).split())
    assert "→ Check the port, and whether a firewall or a VPN blocks it." in words
    [at] = [number for number, line in enumerate(lines) if line.startswith("fail TCP")]
    if columns == 40:  # the text is below the check
        assert lines[at].rstrip() == "fail TCP"
        assert lines[at + 1].startswith("     cannot connect to")
    else:
        assert lines[at].startswith("fail TCP                cannot connect to localhost:1")
        assert lines[at + 1].startswith(f"{'':24}→ Check the port")
        assert lines[at + 2].startswith(f"{'':24}it.")


@platforms.terminals
def test_a_report_has_no_colours_with_no_color(start, terminal):
    env = {"TERM": "xterm", "NO_COLOR": "1"}
    process = start("doctor", "--base-url", "ftp://x", env=env, **terminal.streams())
    terminal.see("again")
    assert process.wait(DEADLINE) == 1
    assert not re.search(r"\x1b\[[\d;]*(?<![\d])(3|9)\d[\d;]*m", terminal.seen)
    assert "fail " in terminal.seen


# ── versions ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("version", "bounds", "within"),
    [
        ("1.4", ">=1.4,<2", True),
        ("1.4.0rc1", ">=1.4,<2", True),
        ("1.3.99", ">=1.4,<2", False),
        ("2.0.0", ">=1.4,<2", False),
        ("0.14.25", "<0.15,>=0.14", True),
        ("7", "", True),
        ("unknown", ">=1.4,<2", True),
    ],
)
def test_a_version_is_compared_with_the_bounds(version, bounds, within):
    assert doctor.is_within(version, bounds) is within


def test_an_old_framework_fails_and_a_missing_one_does_not(sunra, monkeypatch):
    versions = {"langchain-core": "0.3.1", "aiohttp": None, "llama-index-core": None}
    frozen = dict.fromkeys(("httpx", "uvicorn"), "")
    known = versions | frozen
    real = requirements.version
    monkeypatch.setattr(
        requirements, "version", lambda name: known[name] if name in known else real(name)
    )
    ended = sunra("doctor", "--json")
    assert ended.status == 1
    old = found(ended)["langchain-core"]
    assert old["status"] == "fail"
    assert old["fix"] == "pip install --upgrade 'sunra-integrations[langchain]'"
    for name, extra in (("aiohttp", "aiohttp"), ("llama-index-core", "llama-index")):
        missing = found(ended)[name]
        assert (missing["status"], missing["found"]) == ("ok", "not installed, and optional")
        assert missing["fix"].startswith(f"pip install 'sunra-integrations[{extra}]'")
    for name in frozen:
        assert found(ended)[name]["found"] == "installed, version unknown"

"""What all commands share: help, exit status, errors, completion."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

from sunra_integrations import __version__, cli, errors, requirements
from sunra_integrations.cli import application
from sunra_integrations.cli.hints import hint
from sunra_integrations.sandbox import Http
from sunra_integrations.sandbox.__main__ import _parser
from sunra_integrations.sandbox.__main__ import main as serve_by_module
from tests import children, platforms
from tests.cli.conftest import KEY, found
from tests.waiting import DEADLINE, until

MODEL = ("-m", "sandbox/echo")


def test_version_and_help_are_printed(sunra):
    assert sunra("--version") == (0, f"sunra, version {__version__}\n", "")
    for arguments in (["--help"], *([name, "-h"] for name in application.application.commands)):
        ended = sunra(*arguments)
        assert ended.status == 0
        assert ended.out.startswith("Usage: sunra ")
        assert ended.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Usage: sunra"),
        (["chatt"], "chatt"),
        (["chat", "--modell", "x"], "--modell"),
        (["chat", "Hi"], "No model specified. Use --model or set SUNRA_MODEL."),
        (["chat", *MODEL], "No prompt. Pass PROMPT or pipe text to stdin."),
        (["chat", *MODEL, "--temperature", "3", "Hi"], "a number between 0 and 2"),
        (["chat", *MODEL, "--temperature", "hot", "Hi"], "--temperature"),
        (["chat", *MODEL, "--max-tokens", "0", "Hi"], "an integer of at least 1"),
        (["chat", *MODEL, "--timeout", "0", "Hi"], "--timeout"),
        (["probe"], "MODELS"),
        (["probe", "a/b", "--only", "magic"], "magic"),
        (["completion", "tcsh"], "tcsh"),
        (["sandbox", "--port", "many"], "--port"),
        (["sandbox", "--port", "70000"], "--port"),
        (["models", "--can", "fly"], "--can"),
        (["models", "-m", "a/b", "text"], "--model shows one model"),
        (["chat", *MODEL, "--file", "gone.png", "Hi"], "gone.png"),
        (["chat", *MODEL, "--schema", "gone.json", "Hi"], "There is no file gone.json"),
        (["chat", *MODEL, "--conversation", "../x", "Hi"], "Invalid name of a conversation"),
        (["chat", *MODEL, "--continue", "Hi"], "There is no conversation to continue."),
        (["chat", *MODEL, "-c", "--conversation", "x", "Hi"], "There is no conversation x"),
    ],
)
def test_a_usage_error_exits_with_2_and_says_why(sunra, sunra_sandbox, arguments, message):
    ended = sunra(*arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert message in ended.err
    assert sunra_sandbox.requests == []


def test_without_the_extra_one_line_says_what_to_install(sunra, monkeypatch):
    monkeypatch.setattr(requirements, "_met", set())
    monkeypatch.setattr(requirements, "version", lambda name: "8.1.8" if name == "click" else "99")
    message = (
        "sunra needs click >= 8.2, but 8.1.8 is installed: pip install 'sunra-integrations[cli]'"
    )
    assert sunra("chat", "Hi") == (1, "", f"{message}\n")


def test_an_unexpected_error_is_one_line_or_with_debug_a_traceback(environment, capfd, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(application.Session, "settings", broken)
    environment.setattr("sys.stdin", None)
    assert cli.main(["chat", *MODEL, "Hi"]) == 1
    message = "Error: ZeroDivisionError('division by zero'). Use --debug to see the traceback.\n"
    assert capfd.readouterr().err == message
    for arguments in (["--debug", "chat", *MODEL, "Hi"], ["chat", *MODEL, "Hi", "--debug"]):
        assert cli.main(arguments) == 1
        assert "Traceback (most recent call last)" in capfd.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completion_script_is_printed(sunra, shell):
    ended = sunra("completion", shell)
    assert ended.status == 0
    assert "_SUNRA_COMPLETE" in ended.out


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("sunra do", "doctor"),
        ("sunra chat --mod", "--model"),
        ("sunra chat --model openai/gpt-4o-m", "openai/gpt-4o-mini"),
        ("sunra probe openai/gpt-4o-m", "openai/gpt-4o-mini"),
        ("sunra probe a/b --only lo", "logprobs"),
        ("sunra models -m openai/gpt-4o-m", "openai/gpt-4o-mini"),
        ("sunra models --vendor moon", "moonshotai"),
        ("sunra models --can struct", "structured-output"),
        ("sunra sandbox --model openai/gpt-4o-m", "openai/gpt-4o-mini"),
    ],
)
def test_commands_options_and_models_are_completed(sunra, monkeypatch, words, offered):
    monkeypatch.setenv("_SUNRA_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    ended = sunra()
    assert f"plain,{offered}\n" in ended.out


def test_a_closed_pipe_prints_no_error(start, sunra_sandbox):
    sunra_sandbox.next("A long answer. " * 2000, pause=0.01)
    process = start("chat", *MODEL, "-q", "Hi")
    process.stdout.read(1)
    process.stdout.close()
    assert process.wait(DEADLINE) == 1
    assert process.stderr.read() == b""


@platforms.signals
def test_ctrl_c_during_a_probe_exits_with_130(start, sunra_sandbox):
    sunra_sandbox.next("Hello", wait=600)
    process = start("probe", "a/b")
    assert process.stderr.readline().startswith(b"Testing 1 model")
    until(lambda: sunra_sandbox.requests)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out, err) == (130, b"", b"\n")


def test_a_traceback_does_not_contain_the_key(environment, capfd, sunra_sandbox):
    sunra_sandbox.next(Http(400, {"error": {"message": f"Bad {KEY}"}}))
    environment.setattr("sys.stdin", None)
    assert cli.main(["--debug", "chat", *MODEL, "Hi"]) == 1
    message = capfd.readouterr().err
    assert "Traceback (most recent call last)" in message
    assert "Bad [the key]" in message
    assert KEY not in message


@platforms.signals
def test_the_sandbox_runs_until_ctrl_c(start):
    process = start("sandbox", "--port", "0", stdin=None)
    assert process.stdout.readline().startswith(b"http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) == 0


def test_the_sandbox_has_the_options_of_its_module():
    """They are written twice, because the module's extra does not include click."""
    click_options = {
        max(option.opts, key=len): (option.help, option.default)
        for option in application.sandbox.params
    }
    module_options = {
        max(action.option_strings, key=len): (action.help, action.default)
        for action in _parser()._actions
    }
    for name in ("--port", "--host", "--model", "--key"):
        assert click_options[name][0] == module_options[name][0]
    for name in ("--port", "--host"):
        assert click_options[name][1] == module_options[name][1]
    assert module_options.keys() == click_options.keys() - {"--debug"} | {"--help"}


@pytest.mark.parametrize(
    ("port", "message"), [("70000", "is not a port"), ("-1", "is not a port"), ("x", "invalid")]
)
def test_the_module_of_the_sandbox_rejects_what_is_not_a_port(capsys, port, message):
    with pytest.raises(SystemExit) as exited:
        serve_by_module([f"--port={port}"])
    assert exited.value.code == 2
    assert message in capsys.readouterr().err


def test_the_sandbox_reports_a_port_in_use(sunra, sunra_sandbox):
    port = sunra_sandbox.base_url.rpartition(":")[2].partition("/")[0]
    ended = sunra("sandbox", "--port", port)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith(f"Error: Cannot listen on 127.0.0.1:{port}: ")


def test_the_sandbox_gets_every_option(sunra, monkeypatch):
    served = []
    monkeypatch.setattr(
        "sunra_integrations.sandbox.__main__.serve", lambda **given: served.append(given) or 0
    )
    assert sunra("sandbox").status == 0
    sunra("sandbox", "--port", "0", "--host", "::1", "-m", "a/b", "--model", "c/d", "--key", "k")
    assert served == [
        {"port": 8111, "host": "127.0.0.1", "models": (), "keys": ()},
        {"port": 0, "host": "::1", "models": ("a/b", "c/d"), "keys": ("k",)},
    ]


def test_the_sandbox_names_its_missing_extra(sunra, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("sunra_integrations.sandbox.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(requirements, "_met", set())
    monkeypatch.setattr(requirements, "version", lambda name: None if name == "uvicorn" else "99")
    message = (
        "Error: The sandbox needs uvicorn >= 0.34, which is not installed: "
        "pip install 'sunra-integrations[sandbox]'\n"
    )
    assert sunra("sandbox") == (1, "", message)


def test_the_installed_command_is_this_one():
    installed = shutil.which("sunra", path=Path(sys.executable).parent)
    shown = children.run([installed, "-V"])
    assert shown.stdout == f"sunra, version {__version__}\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.RateLimited("", retry_after=7.4), "Try again in 7 s."),
        (errors.RateLimited(""), "Try again later."),
        (errors.Overloaded(""), "Try again later."),
        (errors.ServerFailed(""), "Try again, or use another model."),
        (errors.ConnectionFailed(""), "Run `sunra doctor` to diagnose the connection."),
        (errors.TimedOut(""), "Try again, increase --timeout, or run `sunra doctor`."),
        (errors.StreamInterrupted(""), "Try again to get the complete reply."),
        (
            errors.UnsupportedParameter('Use `api="responses"`.', parameter=""),
            "On the command line, use --api responses.",
        ),
        (errors.BadRequest(""), ""),
    ],
)
def test_an_error_has_a_hint(error, message):
    assert hint(error) == message


@pytest.fixture
def elsewhere(environment, sunra_sandbox):
    """The sandbox, addressed as another machine."""
    port = int(sunra_sandbox.base_url.split(":")[2].split("/")[0])
    resolve = socket.getaddrinfo

    def to_here(host, *more, **named):
        here = "127.0.0.1" if host in {"gateway.test", b"gateway.test"} else host
        return resolve(here, *more, **named)

    environment.setattr("socket.getaddrinfo", to_here)
    environment.setenv("SUNRA_BASE_URL", f"http://gateway.test:{port}")


@pytest.mark.parametrize(
    "command", [("chat", "-q", "-m", "a/b", "Hi"), ("probe", "a/b"), ("doctor",)]
)
@pytest.mark.parametrize("permitted_by", ["--allow-http", "SUNRA_ALLOW_HTTP"])
@pytest.mark.usefixtures("elsewhere")
def test_plain_http_to_another_machine_must_be_allowed(
    sunra, sunra_sandbox, environment, command, permitted_by
):
    refused = sunra(*command)
    assert refused.status == 1
    assert "--allow-http" in refused.err + refused.out
    assert sunra_sandbox.requests == []
    if permitted_by == "--allow-http":
        command = (*command, permitted_by)
    else:
        environment.setenv(permitted_by, "1")
    permitted = sunra(*command)
    assert "--allow-http" not in permitted.err + permitted.out
    assert {request.headers["host"][:12] for request in sunra_sandbox.requests} == {"gateway.test"}


@pytest.mark.usefixtures("elsewhere")
def test_doctor_warns_of_plain_http_to_another_machine(sunra):
    ended = sunra("doctor", "--allow-http", "--json")
    assert found(ended)["base URL"]["status"] == "warn"
    assert "others on the network can read the key" in found(ended)["base URL"]["found"]
    assert found(ended)["TLS"]["found"] == "not used: plain http to another machine"

"""Windows, as far as Linux can imitate it: no test here has run on Windows itself."""

from __future__ import annotations

import ast
import asyncio
import errno
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import types
from contextlib import suppress
from pathlib import Path

import aiohttp
import httpcore
import httpx
import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.llms import ChatMessage, ImageBlock

import sunra_integrations
from sunra_integrations import cli
from sunra_integrations.cli import application, chat, hints, terminal
from sunra_integrations.errors import ConnectionFailed, TimedOut, UnsupportedContent
from sunra_integrations.langchain import request as langchain_request
from sunra_integrations.llama_index import request as llama_index_request
from sunra_integrations.sandbox import Sandbox, __main__, stand_in
from sunra_integrations.sandbox.server import sandbox as server
from sunra_integrations.transport import AsyncSunraClient, SunraClient, Timeouts
from sunra_integrations.transport.connections import certificates, httpx_transport, interrupts
from sunra_integrations.transport.deadline import AsyncTimeout, Deadline
from tests import children, platforms
from tests.waiting import DEADLINE, until

SOURCES = sorted(Path(sunra_integrations.__file__).parent.rglob("*.py"))
REQUEST = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}]}
POSIX_ONLY = ("fcntl", "grp", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")


# ── what the source may not contain ──────────────────────────────────────────


def nodes(kind):
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        awaited = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Await)}
        for node in ast.walk(tree):
            if isinstance(node, kind) and id(node) not in awaited:
                yield f"{path.name}:{node.lineno}", node


def test_nothing_waits_for_a_lock_or_a_thread_without_a_limit():
    """On Windows Ctrl-C would not interrupt it."""
    found = [
        place
        for place, call in nodes(ast.Call)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in {"wait", "join", "acquire", "result"}
        and not call.args
        and not call.keywords
        and ast.unparse(call.func) != "place.result"  # of a future that is done
    ]
    assert found == []


def test_no_file_is_opened_in_the_encoding_of_the_locale():
    found = [
        place
        for place, call in nodes(ast.Call)
        if re.fullmatch(r"open|.*\.(open|read_text|write_text)", ast.unparse(call.func))
        and not ast.unparse(call.func).startswith(("os.", "self."))
        and not any(keyword.arg == "encoding" for keyword in call.keywords)
    ]
    assert found == []


def test_every_module_imports_without_what_only_posix_has():
    program = f"""
import importlib, os, pkgutil, signal, socket, sys
import aiohttp, click, httpcore, httpx, jsonschema, langchain_core.language_models.chat_models
import llama_index.core.llms.function_calling, pytest, rich.console, rich.live, uvicorn

for name in {POSIX_ONLY!r}:
    sys.modules[name] = None
for module, names in {{
    os: ("fork", "register_at_fork", "getuid", "geteuid", "chown", "mkfifo", "killpg", "setsid"),
    signal: ("SIGHUP", "SIGALRM", "SIGKILL", "SIGUSR1", "pause", "alarm", "sigwait"),
    socket: ("AF_UNIX", "SO_REUSEPORT", "socketpair"),
}}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.platform = "win32"

import sunra_integrations
for found in pkgutil.walk_packages(sunra_integrations.__path__, "sunra_integrations."):
    importlib.import_module(found.name)
    print(found.name)
"""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    modules = [path for path in SOURCES if path.parent.name != "sunra_integrations"]
    assert len(done.stdout.splitlines()) >= len(modules)


# ── Ctrl-C ───────────────────────────────────────────────────────────────────


@pytest.fixture
def in_steps(monkeypatch):
    """Waits in steps, as on Windows, by a clock that only waiting moves on."""
    now = [0.0]
    monkeypatch.setattr(interrupts, "STEP", 0.2)
    monkeypatch.setattr(interrupts, "time", types.SimpleNamespace(monotonic=lambda: now[0]))

    def wait(seconds):
        now[0] += seconds

    return wait


@pytest.mark.parametrize(
    ("timeout", "waits"),
    [(0.1, [0.1]), (0.2, [0.2]), (0.5, [0.2, 0.2, 0.1]), (0, [0]), (-1, [-1])],
)
def test_a_wait_is_cut_into_steps_that_add_up_to_its_timeout(in_steps, timeout, waits):
    found = []
    for step in interrupts.steps(timeout):
        in_steps(step)
        found.append(round(step, 6))
    assert found == waits


def test_a_wait_without_a_limit_goes_on_in_steps_for_ever(in_steps):
    waits = interrupts.steps(None)
    assert [next(waits) for _ in range(100)] == [0.2] * 100


@pytest.mark.parametrize("timeout", [None, 600.0])
def test_elsewhere_a_wait_is_one_step(monkeypatch, timeout):
    monkeypatch.setattr(interrupts, "STEP", None)
    assert list(interrupts.steps(timeout)) == [timeout]


class SlowStream(httpcore.NetworkStream):
    """A connection on which bytes come at last."""

    def __init__(self, wait, silent_for):
        self.waits = []
        self._wait = wait
        self._silent_for = silent_for

    def read(self, max_bytes, timeout=None):
        self.waits.append(round(timeout, 6))
        self._wait(timeout)
        if sum(self.waits) < self._silent_for:
            raise httpcore.ReadTimeout("timed out")
        return b"bytes"


def test_a_read_from_a_socket_is_in_steps_and_loses_nothing(in_steps):
    slow = SlowStream(in_steps, silent_for=0.5)
    assert httpx_transport._Stream(slow).read(10, 600.0) == b"bytes"
    assert slow.waits == [0.2, 0.2, 0.2]


def test_a_read_from_a_socket_in_steps_keeps_to_its_timeout(in_steps):
    slow = SlowStream(in_steps, silent_for=600.0)
    with pytest.raises(httpcore.ReadTimeout):
        httpx_transport._Stream(slow).read(10, 0.5)
    assert slow.waits == [0.2, 0.2, 0.1]


def test_calls_and_streams_are_the_same_when_they_are_read_in_steps(monkeypatch, sunra_sandbox):
    monkeypatch.setattr(interrupts, "STEP", 0.02)
    client = SunraClient(api_key="k" * 20, base_url=sunra_sandbox.base_url, max_retries=0)
    sunra_sandbox.next("Hello", wait=0.1)
    assert client.create(REQUEST).text == "Hello"
    sunra_sandbox.next("Hello you", pause=0.05)
    chunks = list(client.stream(REQUEST))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "Hello you"
    sunra_sandbox.next("Hello", wait=30)
    impatient = SunraClient(
        api_key="k" * 20, base_url=sunra_sandbox.base_url, max_retries=0, timeout=0.1
    )
    with pytest.raises(TimedOut):
        impatient.create(REQUEST)


def test_a_wait_for_a_free_connection_is_in_steps(monkeypatch, sunra_sandbox):
    waits = []
    usual = interrupts.steps

    def seen(timeout):
        for step in usual(timeout):
            waits.append(step)
            yield step

    monkeypatch.setattr(interrupts, "STEP", 0.01)
    monkeypatch.setattr("sunra_integrations.transport.connections.pool.steps", seen)
    client = SunraClient(api_key="k" * 20, base_url=sunra_sandbox.base_url, max_connections=1)
    sunra_sandbox.next("One", "Two", pause=0.1)
    first = client.stream(REQUEST)
    next(first)
    second = threading.Thread(target=client.create, args=(REQUEST,), daemon=True)
    second.start()
    until(lambda: len(waits) >= 3 or not second.is_alive())
    assert set(waits) == {0.01}
    first.close()
    second.join(DEADLINE)
    assert not second.is_alive()


async def test_a_clock_that_ticks_every_16_ms_ends_a_wait_in_time():
    """`time.monotonic` of Windows before Python 3.13."""
    deadline = Deadline(Timeouts(read=0.05), lambda: time.monotonic() // 0.0156 * 0.0156)
    deadline.request_sent()
    with pytest.raises(TimedOut), AsyncTimeout(deadline):
        await asyncio.sleep(600)


@pytest.mark.skipif(os.name != "posix", reason="SIGBREAK is imitated by a POSIX signal")
def test_ctrl_break_ends_the_sandbox_as_ctrl_c_does(monkeypatch):
    before = signal.getsignal(signal.SIGUSR1)
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    try:
        __main__._exit_as_on_ctrl_c("SIGBREAK", "SIGNOTHERE")
        assert signal.getsignal(signal.SIGUSR1) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGUSR1, before)


# ── the sandbox ──────────────────────────────────────────────────────────────


def test_the_sandbox_says_how_to_set_variables_in_powershell(monkeypatch):
    monkeypatch.setattr(__main__.sys, "platform", "win32")
    told = __main__._export(SUNRA_BASE_URL="http://127.0.0.1:8111/v1", SUNRA_KEY="k")
    assert told == "$env:SUNRA_BASE_URL = 'http://127.0.0.1:8111/v1'; $env:SUNRA_KEY = 'k'"


def test_without_a_console_nothing_is_printed_and_nothing_fails(monkeypatch):
    """`pythonw.exe` has no standard output."""
    monkeypatch.setattr(__main__.sys, "stdout", None)
    monkeypatch.setenv("SUNRA_KEY", "k")
    __main__._print("A line")
    assert stand_in() is None


@platforms.signals
def test_the_sandbox_goes_on_if_nobody_reads_its_output(free_port):
    command = [sys.executable, "-m", "sunra_integrations.sandbox", "--port", str(free_port)]
    with children.started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        until(lambda: is_served(free_port) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        assert (process.wait(DEADLINE), process.stderr.read()) == (0, b"")


def is_served(port):
    with suppress(httpx.ConnectError):
        url = f"http://127.0.0.1:{port}/openapi.json"
        return httpx.get(url, timeout=DEADLINE).status_code == 200
    return False


@pytest.fixture
def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_sandbox_whose_thread_cannot_start_leaves_no_socket_open(monkeypatch, free_port):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    sandbox = Sandbox(free_port)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            sandbox.start()
    with sandbox:
        assert sandbox.base_url.endswith(f":{free_port}/v1")


def test_a_port_is_not_shared_with_other_programs(monkeypatch):
    # An option that Linux has stands for the one of Windows.
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    with monkeypatch.context() as patched:
        patched.setattr(server.os, "name", "nt")
        listening = server._listen(("127.0.0.1", 0))
    with listening:
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (ConnectionResetError(10054, "An existing connection was forcibly closed"), 0),
        (ConnectionAbortedError(10053, "The connection was aborted"), 0),
        (ZeroDivisionError(), 1),
        (None, 1),
    ],
)
def test_a_client_that_hangs_up_is_not_logged_as_an_error_of_the_event_loop(error, logged):
    contexts = []
    loop = types.SimpleNamespace(default_exception_handler=contexts.append)
    server._ignore_lost_connections(loop, {"message": "in a callback", "exception": error})
    assert len(contexts) == logged


# ── connections ──────────────────────────────────────────────────────────────

WINSOCK = [
    (ConnectionRefusedError(10061, "the target machine actively refused it"), ConnectionFailed),
    (ConnectionResetError(10054, "forcibly closed by the remote host"), ConnectionFailed),
    (ConnectionAbortedError(10053, "aborted by the software in your host"), ConnectionFailed),
    (
        OSError(10051, "A socket operation was attempted to an unreachable network"),
        ConnectionFailed,
    ),
    (OSError(10013, "forbidden by its access permissions"), ConnectionFailed),
    (OSError(121, "The semaphore timeout period has expired"), ConnectionFailed),
    (socket.gaierror(11001, "getaddrinfo failed"), ConnectionFailed),
    (TimeoutError(10060, "the connected party did not properly respond"), TimedOut),
]


@pytest.mark.parametrize(("error", "kind"), WINSOCK)
def test_an_error_of_winsock_is_a_typed_one_in_sync_calls(monkeypatch, error, kind):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(socket, "create_connection", refuse)
    client = SunraClient(api_key="k" * 20, base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(kind):
        client.create(REQUEST)


@pytest.mark.parametrize("library", ["httpx", "aiohttp"])
@pytest.mark.parametrize(("error", "kind"), WINSOCK[:-1])
async def test_an_error_of_winsock_is_a_typed_one_in_async_calls(monkeypatch, library, error, kind):
    async def refuse(*_, **__):
        raise error

    loop = asyncio.get_running_loop()
    for name in ("sock_connect", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(loop, name, refuse)
    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", refuse)
    client = AsyncSunraClient(
        api_key="k" * 20,
        base_url="http://localhost:9/v1",
        max_retries=0,
        async_transport=library,
    )
    with pytest.raises(kind):
        await client.create(REQUEST)


def test_a_malformed_certificate_in_the_system_s_store_leaves_certifi_s(monkeypatch, caplog):
    usual = ssl.create_default_context

    def create(*, cafile=None, capath=None):
        if cafile is None and capath is None:
            raise ssl.SSLError(1, "[ASN1: NOT_ENOUGH_DATA] not enough data")
        return usual(cafile=cafile, capath=capath)

    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setattr(ssl, "create_default_context", create)
    context = certificates.tls_context.__wrapped__()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.cert_store_stats()["x509_ca"] > 50
    assert "the system's root certificates cannot be read" in caplog.text


# ── the command line ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("platform", "error", "is_closed_pipe"),
    [
        ("linux", BrokenPipeError(errno.EPIPE, "Broken pipe"), True),
        ("win32", BrokenPipeError(errno.EPIPE, "Broken pipe"), True),
        ("win32", OSError(errno.EINVAL, "Invalid argument"), True),
        ("linux", OSError(errno.EINVAL, "Invalid argument"), False),
        ("win32", OSError(errno.EINVAL, "Invalid argument", "file?name"), False),
        ("win32", OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_a_pipe_that_nobody_reads_is_known_on_each_platform(
    monkeypatch, platform, error, is_closed_pipe
):
    monkeypatch.setattr(application.sys, "platform", platform)
    assert application._is_closed_pipe(error) is is_closed_pipe


class ClosedPipe:
    """Standard output whose reader has left, as Windows has it."""

    encoding = "utf-8"

    def __init__(self, path):
        self._file = path.open("w", encoding="utf-8")

    def fileno(self):
        return self._file.fileno()

    def isatty(self):
        return False

    def write(self, text):
        raise OSError(errno.EINVAL, "Invalid argument")

    def flush(self):
        raise OSError(errno.EINVAL, "Invalid argument")

    def close(self):
        self._file.close()


@pytest.mark.parametrize("arguments", [["chat", "-m", "a/b", "Hi"], ["doctor"], ["--version"]])
def test_a_closed_pipe_ends_a_command_without_a_word(
    monkeypatch, sunra_sandbox, capfd, tmp_path, arguments
):
    monkeypatch.setenv("SUNRA_KEY", "k" * 20)
    monkeypatch.setenv("SUNRA_BASE_URL", sunra_sandbox.base_url)
    closed = ClosedPipe(tmp_path / "out")
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stdout", closed)
    monkeypatch.setattr(application.sys, "platform", "win32")
    assert cli.main(arguments) == 1
    closed.close()
    assert "Error" not in capfd.readouterr().err


def test_a_prompt_is_not_expanded_as_a_pattern(monkeypatch):
    """click expands `*`, `~` and `$NAME` on Windows unless it is given a list."""
    given = []
    monkeypatch.setattr(application.application, "main", lambda args, **_: given.append(args))
    monkeypatch.setattr(sys, "argv", ["sunra", "chat", "What is *.py in $HOME?"])
    assert application.run() == 0
    assert given == [["chat", "What is *.py in $HOME?"]]


@pytest.mark.parametrize("is_waiting", [True, False])
def test_lines_of_a_paste_are_noticed_by_the_keys_that_wait(monkeypatch, is_waiting):
    console = types.SimpleNamespace(kbhit=lambda: int(is_waiting))
    monkeypatch.setitem(sys.modules, "msvcrt", console)
    monkeypatch.setattr(terminal.sys, "platform", "win32")
    assert terminal._has_more_input() is is_waiting


def test_a_conversation_names_the_key_that_ends_input(monkeypatch):
    assert f"/exit or {chat._END_OF_INPUT} quits" in chat._HELP


@pytest.mark.parametrize(
    ("platform", "command"),
    [("win32", "$env:SUNRA_KEY = '…'"), ("linux", "export SUNRA_KEY=…")],
)
def test_doctor_says_how_to_set_a_variable_on_this_platform(monkeypatch, capfd, platform, command):
    monkeypatch.setattr(hints.sys, "platform", platform)
    cli.main(["doctor", "--base-url", "http://127.0.0.1:9/v1"])
    assert f"→ {command}   # from https://sunra.ai/dashboard" in capfd.readouterr().out


# ── files ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url", ["file:///C:/a.png", "FILE:///C:/a.png", r"C:\pictures\a.png", "c:/pictures/a.png"]
)
def test_a_path_in_place_of_a_url_is_refused(url):
    for translate, message in (
        (langchain_request.messages, HumanMessage([{"type": "image", "url": url}])),
        (llama_index_request.messages, ChatMessage(blocks=[ImageBlock(url=url)])),
    ):
        with pytest.raises(UnsupportedContent, match=r"local file|file of this machine"):
            translate([message])

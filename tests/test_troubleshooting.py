"""`docs/troubleshooting.md`, generated: each message comes from the code that raises it.

Causes and fixes are those of the error classes and of `sunra doctor`, unless a case has its own.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain.chat_models import base, init_chat_model
from langchain_core.messages import HumanMessage
from pydantic import BaseModel

from sunra_integrations import errors, requirements
from sunra_integrations.budget import Budget
from sunra_integrations.cli import doctor
from sunra_integrations.cli.options import Session
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.sandbox import Http, Message, TextReply
from sunra_integrations.transport import Settings, SunraClient, Timeouts
from sunra_integrations.transport.connections.proxies import Proxy, proxy_for
from sunra_integrations.transport.deadline import Deadline
from sunra_integrations.transport.faults import typed_fault
from sunra_integrations.transport.settings import DEFAULT_BASE_URL

PAGE = Path(__file__).parent.parent / "docs" / "troubleshooting.md"
URL = f"{DEFAULT_BASE_URL}/chat/completions"
PROXY = Proxy("http://proxy.example:3128", "HTTPS_PROXY")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its commands are PowerShell's")


@dataclass(frozen=True)
class Case:
    """A problem: what raises its message, and a cause and fix of its own.

    A message of another program, which these tests do not run, is given as text.
    """

    title: str
    raises: Callable[..., object] | str
    cause: str = ""
    fix: str = ""


def calling(*script, body=None, cut_after=None, **arguments):
    """A call that the sandbox answers with a script."""

    def call(sandbox):
        sandbox.next(*script, cut_after=cut_after)
        key, url = sandbox.api_key, sandbox.base_url
        model = ChatSunra(
            model="openai/gpt-4o", api_key=key, base_url=url, max_retries=0, **arguments
        )
        (body or (lambda model: "".join(chunk.text for chunk in model.stream("Hello"))))(model)

    return call


def rejected(status, message, headers=None, **fields):
    """A response with this status."""
    return Http(status, {"error": {"message": message, **fields}}, headers or {})


def broken(error, proxy=None, **timeouts):
    """An exception of the HTTP library."""

    def fail(_):
        raise typed_fault(error, URL, Deadline(Timeouts(**timeouts), lambda: 0.0, URL), proxy)

    return fail


def unknown_name() -> Exception:
    error = httpx.ConnectError("[Errno -2] Name or service not known")
    error.__cause__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return error


def timed_out(phase):
    def fail(_):
        raise Deadline(Timeouts(), lambda: 0.0, URL).timed_out(phase)

    return fail


def without(package, extra):
    def fail(_):
        requirements._met.discard(package)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(requirements, "version", lambda _name: None)
            what = {"langchain": "ChatSunra", "aiohttp": "`async_transport`"}[extra]
            requirements.check(what, package, extra=extra)

    return fail


def import_from_the_top(_):
    from sunra_integrations import ChatSunra  # noqa: F401, PLC0415


def init_without_register(_):
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(base._BUILTIN_PROVIDERS, "sunra", raising=False)
        try:
            init_chat_model("sunra:openai/gpt-4o")
        except ValueError as error:  # older versions put a comma after the model
            error.args = (re.split(r"[.,;] ", str(error))[0],)
            raise


def nested_loops(_):
    async def cell():
        coroutine = asyncio.sleep(0)
        try:
            asyncio.run(coroutine)
        finally:
            coroutine.close()

    asyncio.run(cell())


async def fetch_key():
    return "k"


def invalid_proxy(_):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("https_proxy", "http://proxy.example:port")
        try:
            proxy_for(URL)
        except errors.ConfigurationError as error:
            error.args = (error.message.replace("https_proxy", "HTTPS_PROXY"),)
            raise


class Person(BaseModel):
    """A person."""

    name: str


def send_unknown_part(model):
    return model.invoke([HumanMessage([{"type": "sculpture", "data": "…"}])])


def objects(model):
    return model.with_structured_output(Person).invoke("Who is it?")


CERTIFICATE = (
    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer "
    "certificate"
)
NO_TOOLS_WITH_REASONING = (
    "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions."
)
REFUSAL = Message({"role": "assistant", "content": None, "refusal": "I cannot help with that."})
TOO_LONG = "This model's maximum context length is 128000 tokens."

GROUPS = {
    "Installation": [
        Case(
            "No matching distribution",
            "ERROR: No matching distribution found for sunra-integrations",
            "The package is not on PyPI yet.",
            "Install it [from a checkout](quickstart.md#install). Once it is installed, `pip "
            "install 'sunra-integrations[cli]'` adds an extra to the same environment.",
        ),
        Case(
            "Python is too old",
            "ERROR: Package 'sunra-integrations' requires a different Python: 3.9.0 not in "
            "'>=3.10'",
            "The environment has an older Python than 3.10.",
            "Create an environment with a newer one, such as `python3.12 -m venv .venv`.",
        ),
        Case("A framework is not installed", without("langchain-core", "langchain")),
        Case(
            "aiohttp is not installed",
            without("aiohttp", "aiohttp"),
            fix="Install the extra, or leave `async_transport` at `auto`.",
        ),
        Case(
            "Cannot import ChatSunra or Sunra",
            import_from_the_top,
            "The classes are in the module of their framework.",
            "Write `from sunra_integrations.langchain import ChatSunra`, or `from "
            "sunra_integrations.llama_index import Sunra`.",
        ),
    ],
    "Configuration": [
        Case(
            "No API key",
            lambda _: Settings.resolve(),
            "`SUNRA_KEY` is not set in this process.",
            "Run `export SUNRA_KEY='…'` in the shell that starts the program, or pass `api_key`. "
            "Worker processes need the variable too: pickles and stored objects contain no key.",
        ),
        Case(
            "A line break in the API key",
            lambda _: Settings.resolve("sk-123\n"),
            "The key was copied with a space or a line break.",
            "Copy the key again, or call `.strip()` on the text that you read from a file.",
        ),
        Case(
            "Plain http is refused",
            lambda _: Settings.resolve("k", "http://gateway.example.com"),
            "The base URL begins with http:// and names another machine.",
            "Use https. Within a network that you trust, pass `allow_http=True`.",
        ),
        Case(
            "Invalid base URL",
            lambda _: Settings.resolve("k", "gateway.example.com"),
            "The base URL is not a complete URL.",
        ),
        Case(
            "Misspelled parameter",
            lambda _: ChatSunra(model="openai/gpt-4o", api_key="k", temprature=0),
        ),
        Case(
            "Value out of range",
            lambda _: ChatSunra(model="openai/gpt-4o", api_key="k", temperature=3),
        ),
        Case(
            "init_chat_model does not know Sunra",
            init_without_register,
            "LangChain has no public way to add a provider.",
            "Call [`register()`](guides/models_by_name.md#init_chat_model-and-create_agent) once "
            "before. This also helps against `Unsupported provider='sunra'`.",
        ),
        Case(
            "LlamaIndex: chat with a text",
            lambda _: Sunra(model="openai/gpt-4o", api_key="k").chat("Hello"),
            "`chat` takes a list of messages.",
            'Write `llm.complete("Hello")`, or `llm.chat([ChatMessage("Hello")])`.',
        ),
        Case(
            "Async key function in a sync call",
            lambda sandbox: SunraClient(api_key=fetch_key, base_url=sandbox.base_url).create(
                ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hello"}])
            ),
            "`api_key` is an async function, and a sync call cannot await it.",
            "Use async calls, or pass a sync function.",
        ),
        Case(
            "A budget is spent",
            calling(budget=Budget(calls=0)),
        ),
    ],
    "Connection": [
        Case(
            "Name or service not known",
            broken(unknown_name()),
            "The host of the base URL is wrong, or this machine has no network or DNS.",
            doctor._OFFLINE,
        ),
        Case(
            "Connection refused",
            broken(httpx.ConnectError("[Errno 111] Connection refused")),
            "Nothing listens on this port, or a firewall rejects the connection.",
            doctor._BLOCKED,
        ),
        Case(
            "Certificate verify failed",
            broken(httpx.ConnectError(CERTIFICATE)),
            "The certificate of the server, or of a proxy in between, is not trusted.",
            doctor._fix_for_certificate(20),
        ),
        Case(
            "The proxy rejects the connection",
            broken(httpx.ProxyError("407 Proxy Authentication Required"), PROXY),
            "The proxy requires a user name and password.",
            "Write them into the variable: `http://user:password@proxy.example:3128`.",
        ),
        Case(
            "Invalid proxy",
            invalid_proxy,
            "The value of the variable is not a URL.",
        ),
        Case("Connecting takes too long", timed_out("connect")),
        Case(
            "No response in time",
            timed_out("read"),
            "The model took longer to begin its reply, for example because it reasons.",
            "Raise `timeout`, or stream the reply.",
        ),
        Case(
            "Redirects",
            calling(Http(307, headers={"location": "https://gateway.example.com/"})),
            "The base URL redirects to another address.",
            "Set the base URL to the address that it redirects to.",
        ),
    ],
    "Responses": [
        Case("401: wrong key", calling(rejected(401, "Invalid API key"))),
        Case("402: no credit", calling(rejected(402, "Payment required"))),
        Case("403: no permission", calling(rejected(403, "This key may not use the model"))),
        Case(
            "404: wrong model",
            calling(rejected(404, "The model does not exist", code="MODEL_NOT_FOUND")),
        ),
        Case(
            "404: model without a vendor",
            calling(body=lambda model: model.invoke("Hello", model="gpt-4o")),
            "The name has no vendor. The message is the sandbox's.",
        ),
        Case("404: wrong URL", calling(rejected(404, "Not found"))),
        Case(
            "429: too many requests",
            calling(rejected(429, "Rate limit exceeded", {"retry-after": "90"})),
        ),
        Case("500: server error", calling(rejected(500, "Internal error"))),
        Case("503: overloaded", calling(rejected(503, "No capacity"))),
        Case("Invalid request", calling(rejected(400, "messages: too few"))),
        Case(
            "Parameter not supported by the model",
            calling(rejected(400, NO_TOOLS_WITH_REASONING, param="reasoning_effort")),
        ),
        Case("Message part not supported", calling(body=send_unknown_part)),
        Case("Conversation too long", calling(rejected(400, TOO_LONG))),
        Case(
            "Input rejected by a filter",
            calling(rejected(400, "The prompt was flagged", code="CONTENT_FILTER")),
        ),
        Case(
            "Stream interrupted",
            calling("The tower was finished in 1889, in time for the fair.", cut_after=2000),
            "The connection or the model failed in the middle of the reply.",
        ),
        Case(
            "Not a response of the API",
            calling(Http(200, "<html><title>Welcome</title></html>")),
            "The address is a web page, or a proxy answers in place of the gateway.",
            "Check the base URL.",
        ),
        Case(
            "Structured output is cut off",
            calling(TextReply('{"name": "Ad', finish_reason="length"), body=objects),
        ),
        Case(
            "Output does not match the class",
            calling('{"age": 36}', body=objects),
            "The model returned JSON that the class does not accept. In LlamaIndex, and with "
            "`function_calling`, the error is a `pydantic.ValidationError`.",
            "Use [`strict` or `repair`](features/structured_output.md#strict-schemas-and-repairs), "
            "or describe the fields in the class.",
        ),
        Case("The model refuses", calling(REFUSAL, body=objects)),
    ],
    "Event loops": [
        Case(
            "Event loop is closed",
            broken(RuntimeError("Event loop is closed")),
            "Your own async HTTP client was used in a second event loop, such as by a second "
            "`asyncio.run`.",
            "Create the client in the loop that uses it, or leave it out: the clients of this "
            "package [work in every loop](guides/async.md).",
        ),
        Case(
            "A call without await",
            "`AttributeError`: 'coroutine' object has no attribute 'text'",
            "An async method returns a coroutine.",
            "Write `message = await model.ainvoke(…)`.",
        ),
        Case(
            "asyncio.run in a running event loop",
            nested_loops,
            "Notebooks and web servers already run an event loop.",
            "Write `await model.ainvoke(…)` or `await llm.acomplete(…)` in place of "
            "`asyncio.run(…)`.",
        ),
    ],
}


CHECKS: list[Callable[[Session], doctor.Finding]] = [
    lambda _: doctor._check_version("httpx", ">=0.27.1"),
    lambda _: doctor.check_model_data(EXPIRES),
    doctor.check_key,
    lambda session: doctor.check_base_url(session, "gateway.example.com")[0],
    lambda session: doctor.check_base_url(session, "http://gateway.example.com")[0],
    lambda _: doctor.check_proxy(
        doctor.Route(doctor.Host("http", "127.0.0.1", 8000), "", doctor.Host("http", "proxy", 3128))
    ),
    lambda _: doctor._check_dns(doctor.Host("https", "api.example.invalid", 443), 1.0),
    lambda _: doctor._check_tcp(doctor.Host("https", "api.example.invalid", 443), 1.0),
    lambda _: doctor.judge_certificate(CERTIFICATE_INFO, "TLSv1.3", EXPIRES - 86_400),
    lambda _: doctor.judge_status(302, "12 ms"),
    lambda _: doctor.judge_status(502, "12 ms"),
    lambda _: doctor.judge_clock("Fri, 15 Jan 2027 08:00:00 GMT", EXPIRES + 600),
]
EXPIRES = ssl.cert_time_to_seconds("Jan 15 08:00:00 2027 GMT")
CERTIFICATE_INFO = {
    "issuer": ((("organizationName", "Example CA"),),),
    "notAfter": "Jan 15 08:00:00 2027 GMT",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("SUNRA_KEY", "SUNRA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def message_of(case: Case, sandbox: Any) -> tuple[str, str, BaseException]:
    """The name of the error, its message without its fix, and the error."""
    if isinstance(case.raises, str):
        return "", case.raises, Exception()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - compared as a whole
        case.raises(sandbox)
    error = caught.value
    message = str(error).replace(sandbox.base_url, DEFAULT_BASE_URL)
    message = message.replace("<", "&lt;")
    message = re.sub(r", request [\w-]+|\(request [\w-]+\)", "", message)
    if not isinstance(error, errors.SunraError):  # the first line, without a path
        message = message.partition("\n")[0].partition(" (/")[0]
    fix = getattr(error, "fix", "")
    return type(error).__name__, message.removesuffix(fix).rstrip(), error


def section(case: Case, sandbox: Any) -> Iterator[str]:
    name, message, error = message_of(case, sandbox)
    kind = getattr(errors, name, None)
    link = (
        f"[`{name}`](reference/errors.md#sunra_integrations.errors.{name})" if kind else f"`{name}`"
    )
    cause = case.cause or inspect.getdoc(kind).partition("\n")[0]
    yield f"### {case.title}"
    yield f"> {link}: {message}" if name else f"> {message}"
    yield f"- **Cause**: {cause}\n- **Fix**: {case.fix or error.fix}"


def unknown(*_: Any, **_more: Any) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def refuse(*_: Any) -> None:
    raise ConnectionRefusedError(111, "Connection refused")


def page(sandbox) -> str:
    parts = [HEADING]
    for title, cases in GROUPS.items():
        parts.append(f"## {title}")
        for case in cases:
            parts += section(case, sandbox)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", unknown)
        patch.setattr(socket, "create_connection", refuse)
        patch.setattr(requirements, "version", lambda _: "0.20")
        patch.setattr(doctor, "last_updated", lambda: date(2026, 1, 2))
        findings = [check(Session()) for check in CHECKS]
    rows = "\n".join(
        f"| {one.check} | {one.found.partition('. ')[0]} | {one.fix} |" for one in findings
    )
    parts.append(f"{CHECKS_HEADING}\n{rows}")
    return "\n\n".join(parts) + "\n"


HEADING = """\
# Troubleshooting

<!-- Generated: pytest tests/test_troubleshooting.py --write-docs -->

Run `sunra doctor` first. It checks the installation, the key, the base URL, the proxy and the
connection without sending the key, and suggests a fix for each problem. With `-m VENDOR/NAME` it
also sends a short prompt to a model.

Search this page for a part of your message. The wording of servers and libraries varies. If
one fix fits every error of a class, the message ends with it; here, it stands below the message."""

CHECKS_HEADING = """\
## Results of sunra doctor

| Check | Result | Fix |
|---|---|---|"""


def test_the_page_is_current(sunra_sandbox, request):
    now = page(sunra_sandbox)
    if request.config.getoption("--write-docs"):
        PAGE.write_text(now, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == now


def test_every_error_is_on_the_page(sunra_sandbox):
    shown = {message_of(case, sunra_sandbox)[0] for cases in GROUPS.values() for case in cases}
    concrete = {name for name in errors.__all__ if name not in {"SunraError", "ErrorResponse"}}
    assert concrete <= shown

"""Claims of the comparison: the statement, how to check it, and our test for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sunra_integrations.sandbox import Http, Message, Sandbox, sse

Make = Callable[..., Any]
"""Creates a model on the sandbox. Keyword arguments override fields."""

_FIXTURES = Path(__file__).parents[2] / "tests" / "wire"
_LOOPS = 3
_MODEL = "openai/gpt-4o"


@dataclass(frozen=True)
class Seen:
    """The result of a check: whether the claim holds, and what was observed."""

    held: bool
    what: str


@dataclass(frozen=True)
class Claim:
    """A row of the table.

    Args:
        what: The statement, true or false for each class.
        ask: Checks it, given a factory for the class and an unused sandbox.
        held_by: The test of this project for the claim.
    """

    what: str
    ask: Callable[[Make, Sandbox], Seen]
    held_by: str


@dataclass(frozen=True)
class Contestant:
    """A model class of a framework.

    Args:
        name: Name of the class.
        package: Its distribution.
        make: Creates an instance on a sandbox.
    """

    name: str
    package: str
    make: Callable[..., Any]


def maker(module: str, name: str, *, url_field: str, **known: Any) -> Callable[..., Any]:
    """A factory for instances on a sandbox. It imports the module late, as it may not be installed.

    Args:
        module: Module of the class.
        name: Name of the class.
        url_field: Its argument for the base URL.
        **known: Other required arguments.
    """

    def make(sandbox: Sandbox, **fields: Any) -> Any:
        kind = getattr(import_module(module), name)
        given = {"model": _MODEL, "api_key": sandbox.api_key, url_field: sandbox.base_url}
        return kind(**{**given, **known, "max_retries": 0, **fields})

    return make


def outcome(claim: Claim, contestant: Contestant) -> Seen:
    """The result of a claim for a class. An unexpected exception counts as "no"."""
    with Sandbox() as sandbox:
        try:
            return claim.ask(lambda **fields: contestant.make(sandbox, **fields), sandbox)
        except Exception as error:  # noqa: BLE001 - any exception counts as a result
            return Seen(False, _summary(error))


def raises(call: Callable[[], object], *, saying: str = "") -> Seen:
    """Holds if the call raises an error whose message contains `saying`."""
    try:
        passed_for = call()
    except Exception as error:  # noqa: BLE001 - any exception counts as a result
        return Seen(saying in str(error), _summary(error))
    return Seen(False, f"no error; it gave {passed_for!r}")


def in_loops(ask: Callable[[], Coroutine[Any, Any, object]], sandbox: Sandbox) -> Seen:
    """Holds if one call succeeds in each of three consecutive event loops."""
    failed: list[str] = []
    for _ in range(_LOOPS):
        try:
            asyncio.run(ask())
        except Exception as error:  # noqa: BLE001, PERF203 - any exception counts as a result
            failed.append(type(error).__name__)
    sent = len(sandbox.requests)
    errors = f"failed: {', '.join(failed)}" if failed else "none failed"
    return Seen(not failed and sent == _LOOPS, f"{sent} sent in {_LOOPS} loops; {errors}")


class Person(BaseModel):
    """A person."""

    name: str
    roles: list[str]


def cut_off(request: Mapping[str, Any]) -> Message:
    """A `Person` truncated by `max_tokens`, as a tool call if the request has tools."""
    written = '{"name": "Ada", "roles": ["author", "engin'
    if not request.get("tools"):
        return Message({"role": "assistant", "content": written}, "length")
    function = {"name": request["tools"][0]["function"]["name"], "arguments": written}
    call = {"id": "c1", "type": "function", "function": function}
    return Message({"role": "assistant", "content": None, "tool_calls": [call]}, "length")


def raises_when_cut_off(ask: Callable[[], object], sandbox: Sandbox) -> Seen:
    """Holds if a response truncated by `max_tokens` raises. A rejected request does not count."""
    sandbox.answer_with(cut_off)
    seen = raises(ask)
    return Seen(seen.held and sandbox.requests[-1].status == 200, seen.what)  # noqa: PLR2004


def stream_fixture(name: str) -> Http:
    """A wire fixture of the test suite, as a stream with the usual fields added."""
    lines = (_FIXTURES / f"{name}.sse").read_text(encoding="utf-8").splitlines()
    return sse("".join(f"{_whole(line)}\n" for line in lines).encode())


def response_fixture(name: str) -> Http:
    """A wire fixture of the test suite, as a JSON response."""
    body = (_FIXTURES / f"{name}.json").read_bytes()
    return Http(200, body, {"content-type": "application/json"})


def _whole(line: str) -> str:
    """The event with the usual fields that fixtures leave out."""
    if not line.startswith("data: {"):
        return line
    known = {"object": "chat.completion.chunk", "created": 7, "model": "openai/gpt-4o"}
    event = {**known, **json.loads(line.removeprefix("data: "))}
    event["choices"] = [{"finish_reason": None, **choice} for choice in event["choices"]]
    return f"data: {json.dumps(event)}"


def _summary(error: Exception) -> str:
    text = " ".join(str(error).split())
    longest = 90
    return f"{type(error).__name__}: {text[:longest]}{'…' * (len(text) > longest)}"

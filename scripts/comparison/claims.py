"""A claim of the comparison: what is asked, how it is found out, and which test holds it here."""

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
"""Makes a model; takes fields of its own over those that point it at the sandbox."""

_FIXTURES = Path(__file__).parents[2] / "tests" / "wire"
_LOOPS = 3
_MODEL = "openai/gpt-4o"


@dataclass(frozen=True)
class Seen:
    """What came of asking: whether the claim held, and what was seen."""

    held: bool
    what: str


@dataclass(frozen=True)
class Claim:
    """A row of the table.

    Args:
        what: The claim, true or not of each contestant.
        ask: Finds out, with a contestant and a sandbox that nothing was asked yet.
        held_by: The test of this project that holds the claim.
    """

    what: str
    ask: Callable[[Make, Sandbox], Seen]
    held_by: str


@dataclass(frozen=True)
class Contestant:
    """A class of one of the frameworks.

    Args:
        name: Its class.
        package: The distribution it comes in.
        make: Makes one against a sandbox.
    """

    name: str
    package: str
    make: Callable[..., Any]


def maker(module: str, name: str, *, url_field: str, **known: Any) -> Callable[..., Any]:
    """Makes a class against a sandbox; its module is imported only then, for peers may be missing.

    Args:
        module: Where the class is.
        name: The class.
        url_field: Its argument for the base URL.
        **known: What a user has to tell it besides.
    """

    def make(sandbox: Sandbox, **fields: Any) -> Any:
        kind = getattr(import_module(module), name)
        given = {"model": _MODEL, "api_key": sandbox.api_key, url_field: sandbox.base_url}
        return kind(**{**given, **known, "max_retries": 0, **fields})

    return make


def outcome(claim: Claim, contestant: Contestant) -> Seen:
    """What came of a claim for a contestant; an exception it did not foresee is a No."""
    with Sandbox() as sandbox:
        try:
            return claim.ask(lambda **fields: contestant.make(sandbox, **fields), sandbox)
        except Exception as error:  # noqa: BLE001 - whatever a contestant raises is its answer
            return Seen(False, _told(error))


def raises(call: Callable[[], object], *, saying: str = "") -> Seen:
    """Held where the call raises, with these words in the error if any are asked for."""
    try:
        passed_for = call()
    except Exception as error:  # noqa: BLE001 - whatever a contestant raises is its answer
        return Seen(saying in str(error), _told(error))
    return Seen(False, f"no error; it gave {passed_for!r}")


def in_loops(ask: Callable[[], Coroutine[Any, Any, object]], sandbox: Sandbox) -> Seen:
    """Held where each of three event loops, one after another, gets its answer at once."""
    failed: list[str] = []
    for _ in range(_LOOPS):
        try:
            asyncio.run(ask())
        except Exception as error:  # noqa: BLE001, PERF203 - whatever a contestant raises counts
            failed.append(type(error).__name__)
    sent = len(sandbox.requests)
    told = f"failed: {', '.join(failed)}" if failed else "none failed"
    return Seen(not failed and sent == _LOOPS, f"{sent} sent in {_LOOPS} loops; {told}")


class Person(BaseModel):
    """A person."""

    name: str
    roles: list[str]


def cut_off(request: Mapping[str, Any]) -> Message:
    """A `Person` that `max_tokens` cut off, as a tool call where the request asks for one."""
    written = '{"name": "Ada", "roles": ["author", "engin'
    if not request.get("tools"):
        return Message({"role": "assistant", "content": written}, "length")
    function = {"name": request["tools"][0]["function"]["name"], "arguments": written}
    call = {"id": "c1", "type": "function", "function": function}
    return Message({"role": "assistant", "content": None, "tool_calls": [call]}, "length")


def raises_when_cut_off(ask: Callable[[], object], sandbox: Sandbox) -> Seen:
    """Held where an answer that `max_tokens` cut off raises; a refused request shows nothing."""
    sandbox.answer_with(cut_off)
    seen = raises(ask)
    return Seen(seen.held and sandbox.requests[-1].status == 200, seen.what)  # noqa: PLR2004


def fixture_stream(name: str) -> Http:
    """A wire fixture, as a stream. Fields that it leaves out are as in the reference."""
    lines = (_FIXTURES / f"{name}.sse").read_text(encoding="utf-8").splitlines()
    return sse("".join(f"{_whole(line)}\n" for line in lines).encode())


def fixture_completion(name: str) -> Http:
    """A wire fixture, as a plain response."""
    body = (_FIXTURES / f"{name}.json").read_bytes()
    return Http(200, body, {"content-type": "application/json"})


def _whole(line: str) -> str:
    """An event with the fields that fixtures leave out."""
    if not line.startswith("data: {"):
        return line
    known = {"object": "chat.completion.chunk", "created": 7, "model": "openai/gpt-4o"}
    event = {**known, **json.loads(line.removeprefix("data: "))}
    event["choices"] = [{"finish_reason": None, **choice} for choice in event["choices"]]
    return f"data: {json.dumps(event)}"


def _told(error: Exception) -> str:
    told = " ".join(str(error).split())
    longest = 90
    return f"{type(error).__name__}: {told[:longest]}{'…' * (len(told) > longest)}"

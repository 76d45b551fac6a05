"""`sunra chat` without a prompt: the interactive chat."""

from __future__ import annotations

import re
import signal

import pytest

try:
    import readline
except ImportError:
    readline = None

from sunra_integrations.sandbox import Http, TextReply
from tests import platforms
from tests.cli.conftest import KEY, Typed
from tests.waiting import DEADLINE

CHAT = ("chat", "-m", "sandbox/echo")


def said(request):
    return [(message["role"], message["content"]) for message in request.json["messages"]]


def test_the_conversation_is_sent_until_it_is_reset(sunra, sunra_sandbox):
    sunra_sandbox.next("First.", "Second.", "Third.")
    ended = sunra(*CHAT, "-q", "-s", "Be brief.", stdin=Typed("one\n\ntwo\n/reset\nthree\n/exit\n"))
    assert (ended.status, ended.out) == (0, "First.\nSecond.\nThird.\n")
    system = ("system", "Be brief.")
    assert [said(request) for request in sunra_sandbox.requests] == [
        [system, ("user", "one")],
        [system, ("user", "one"), ("assistant", "First."), ("user", "two")],
        [system, ("user", "three")],
    ]


def test_the_chat_ends_with_its_input(sunra):
    ended = sunra(*CHAT, stdin=Typed(""))
    assert (ended.status, ended.out) == (0, "")
    assert "Chatting with sandbox/echo." in ended.err


def test_a_failed_message_is_reported_and_dropped(sunra, sunra_sandbox):
    sunra_sandbox.next(Http(400, {"error": {"message": f"Bad {KEY}"}}), "Fine.")
    ended = sunra(*CHAT, "-q", stdin=Typed("one\ntwo\n"))
    assert (ended.status, ended.out) == (0, "Fine.\n")
    assert "Error: Bad [the key] (HTTP 400)." in ended.err
    assert said(sunra_sandbox.requests[1]) == [("user", "two")]


def test_help_lists_the_commands_and_an_unknown_command_is_not_sent(sunra, sunra_sandbox):
    ended = sunra(*CHAT, "-q", stdin=Typed("/help\n/rest\n//exit\n/etc/hosts\n"))
    assert ended.err.count("/reset clears the conversation") == 3
    assert "Unknown command: /rest" in ended.err
    assert [said(request)[-1][1] for request in sunra_sandbox.requests] == ["/exit", "/etc/hosts"]


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("/reset now", "/reset"),
        ("/re-set", "/re-set"),
        ("/system Be brief.", "/system"),
        ("/?", "/?"),
        ("/", "/"),
        ("/HELP", "/HELP"),
    ],
)
def test_a_command_is_never_sent(sunra, sunra_sandbox, typed, named):
    ended = sunra(*CHAT, "-q", stdin=Typed(f"{typed}\n"))
    assert f"Unknown command: {named}" in ended.err
    assert sunra_sandbox.requests == []


@pytest.mark.parametrize("typed", ["/etc/hosts is empty", "/usr/bin", "a /reset", "// a comment"])
def test_a_path_is_not_a_command(sunra, sunra_sandbox, typed):
    sunra(*CHAT, "-q", stdin=Typed(f"{typed}\n"))
    sent = typed.removeprefix("/") if typed.startswith("//") else typed
    assert [said(request)[-1][1] for request in sunra_sandbox.requests] == [sent]


def test_reasoning_details_are_sent_back_unchanged(sunra, sunra_sandbox):
    sunra_sandbox.next(TextReply("Yes.", reasoning="Hm."))
    sunra(*CHAT, stdin=Typed("one\ntwo\n"))
    answer = sunra_sandbox.requests[1].json["messages"][1]
    assert answer == {
        "role": "assistant",
        "content": "Yes.",
        "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}],
    }


def test_reasoning_is_sent_back_to_responses(sunra, sunra_sandbox):
    sunra_sandbox.next(TextReply("Yes.", reasoning="Hm."))
    assert sunra(*CHAT, "--api", "responses", stdin=Typed("one\ntwo\n")).status == 0
    _, reasoning, answer, _ = sunra_sandbox.requests[1].json["input"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert reasoning["encrypted_content"]
    assert answer["content"] == "Yes."


def test_json_requires_a_prompt(sunra, sunra_sandbox):
    ended = sunra(*CHAT, "--json", stdin=Typed("one\n"))
    assert ended.status == 2
    assert "--json requires PROMPT" in ended.err
    assert sunra_sandbox.requests == []


@platforms.terminals
def test_a_terminal_shows_markdown_and_ctrl_c_stops_only_the_reply(start, sunra_sandbox, terminal):
    sunra_sandbox.next(TextReply("A **bold** \x1b]0;title\x07word.", reasoning="Let me think."))
    sunra_sandbox.next("one two three" + " more" * 2000 + " last", pause=0.1)
    sunra_sandbox.next("Third.")
    process = start(*CHAT, env={"TERM": "xterm"}, **terminal.streams())
    terminal.type_after("> ", "one\n")
    terminal.see("cost 0.0")
    terminal.type_after("> ", "two\n")
    terminal.see("two three")
    process.send_signal(signal.SIGINT)
    terminal.see("Stopped.")
    terminal.type_after("> ", "three\n")
    terminal.see("Third.")
    terminal.type_after("> ", "\x04")
    assert process.wait(DEADLINE) == 0
    seen = terminal.seen
    assert "Let me think." in re.sub(r"\x1b\[[\d;]*m", "", seen)
    assert "\x1b[1mbold\x1b[0m ]0;titleword." in seen
    assert "\x1b]0;" not in seen
    assert "last" not in seen
    assert KEY not in seen
    asked = said(sunra_sandbox.requests[2])
    assert asked[-2][0] == "assistant"
    assert asked[-2][1].startswith("one two three")


PASTED = "def f():\n    return 1\n\n/** done"
PASTES = {
    "on a plain terminal": ({"TERM": "dumb"}, {}, PASTED),
    "on a terminal that does not mark it": ({"TERM": "xterm"}, {}, PASTED),
    "with the answers going elsewhere": ({"TERM": "xterm"}, {"stdout": -1}, PASTED),
    "on a terminal that marks it": (
        {"TERM": "xterm"},
        {},
        "\x1b[200~" + PASTED.replace("\n", "\r") + "\x1b[201~",
    ),
}
if "GNU" not in (getattr(readline, "__doc__", None) or ""):
    del PASTES["on a terminal that marks it"]  # only GNU readline supports it


@platforms.terminals
@pytest.mark.parametrize("way", PASTES)
def test_pasted_lines_are_one_message(start, sunra_sandbox, terminal, way):
    environment, streams, keys = PASTES[way]
    process = start(*CHAT, "-q", env=environment, **{**terminal.streams(), **streams})
    terminal.type_after("> ", keys)
    terminal.see("done")  # the last line has no line end until the user presses return
    terminal.type("\n")
    terminal.type_after("> ", "/exit\n")
    assert process.wait(DEADLINE) == 0
    assert [said(request) for request in sunra_sandbox.requests] == [[("user", PASTED)]]


@platforms.terminals
def test_a_command_typed_ahead_is_still_a_command(start, sunra_sandbox, terminal):
    process = start(*CHAT, "-q", env={"TERM": "dumb"}, **terminal.streams())
    terminal.type_after("> ", "one\n/exit\n")
    assert process.wait(DEADLINE) == 0
    assert [said(request) for request in sunra_sandbox.requests] == [[("user", "one")]]

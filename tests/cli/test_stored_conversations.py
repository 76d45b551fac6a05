"""`sunra chat --continue` and `--conversation`: conversations on disk."""

from __future__ import annotations

import json
import os
import stat

import pytest

from sunra_integrations.cli import conversations, main
from sunra_integrations.sandbox import Http, TextReply, sse
from tests import platforms
from tests.cli.conftest import KEY, Typed

CHAT = ("chat", "-q", "-m", "sandbox/echo")


def said(request):
    return [(message["role"], message["content"]) for message in request.json["messages"]]


def stored(name="unnamed"):
    return json.loads((conversations.folder() / f"{name}.json").read_text(encoding="utf-8"))


def make_last(name):
    """Give a conversation the newest time, whatever the resolution of the file system."""
    for path in conversations.folder().glob("*.json"):
        os.utime(path, (1, 2 if path.stem == name else 1))


def test_the_last_conversation_is_continued(sunra, sunra_sandbox):
    sunra_sandbox.next("First.", "Second.", "Third.")
    sunra(*CHAT, "-s", "Be brief.", "one")
    sunra("chat", "-q", "--continue", "two")
    sunra("chat", "-q", "-c", "three")
    assert said(sunra_sandbox.requests[2]) == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", "First."),
        ("user", "two"),
        ("assistant", "Second."),
        ("user", "three"),
    ]
    assert [request.json["model"] for request in sunra_sandbox.requests] == ["sandbox/echo"] * 3


def test_a_conversation_begins_again_without_the_option(sunra, sunra_sandbox):
    sunra(*CHAT, "one")
    sunra(*CHAT, "two")
    assert said(sunra_sandbox.requests[1]) == [("user", "two")]
    assert [message["content"] for message in stored()["messages"]] == ["two", "You said: two"]


def test_a_named_conversation_is_begun_continued_and_kept(sunra, sunra_sandbox):
    sunra_sandbox.next("First.", "Other.", "Second.")
    sunra(*CHAT, "--conversation", "trip.2", "one")
    sunra(*CHAT, "other")
    sunra("chat", "-q", "--conversation", "trip.2", "two")
    assert said(sunra_sandbox.requests[2])[:2] == [("user", "one"), ("assistant", "First.")]
    assert conversations.conversation_names() == ["trip.2", "unnamed"]


def test_the_last_conversation_may_have_a_name(sunra, sunra_sandbox):
    sunra(*CHAT, "--conversation", "trip", "one")
    sunra(*CHAT, "other")
    make_last("trip")
    sunra("chat", "-q", "--continue", "two")
    assert said(sunra_sandbox.requests[2])[0] == ("user", "one")
    assert len(stored("trip")["messages"]) == 4


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_conversation_continues_on_the_other_api_with_its_reasoning(sunra, sunra_sandbox, api):
    other = {"chat": "responses", "responses": "chat"}[api]
    sunra_sandbox.next(TextReply("Yes.", reasoning="Hm."))
    sunra(*CHAT, "--api", api, "one")
    assert sunra("chat", "-q", "-c", "--api", api, "two").status == 0
    assert sunra("chat", "-q", "-c", "--api", other, "three").status == 0
    assert [one["role"] for one in stored()["messages"]] == ["user", "assistant"] * 3
    assert [request.path for request in sunra_sandbox.requests][1:] == [
        {"chat": "/v1/chat/completions", "responses": "/v1/responses"}[one] for one in (api, other)
    ]


def test_an_interactive_chat_is_stored_and_continued(sunra, sunra_sandbox):
    sunra(*CHAT, stdin=Typed("one\n/exit\n"))
    ended = sunra("chat", "-c", stdin=Typed("two\n/reset\nthree\n"))
    assert "Continuing a conversation of 2 messages." in ended.err
    assert [len(said(request)) for request in sunra_sandbox.requests] == [1, 3, 1]
    assert [one["content"] for one in stored()["messages"]] == ["three", "You said: three"]


def test_a_reset_is_a_reset_on_disk(sunra):
    sunra(*CHAT, "-s", "Be brief.", stdin=Typed("one\n/reset\n"))
    assert stored()["messages"] == [{"role": "system", "content": "Be brief."}]


def test_a_system_prompt_replaces_the_one_before(sunra, sunra_sandbox):
    sunra(*CHAT, "-s", "Be brief.", "one")
    sunra("chat", "-q", "-c", "-s", "Be long.", "two")
    assert [text for role, text in said(sunra_sandbox.requests[1]) if role == "system"] == [
        "Be long."
    ]


@pytest.mark.parametrize(
    ("arguments", "model"), [([], "sandbox/echo"), (["-m", "given/model"], "given/model")]
)
def test_a_conversation_keeps_its_model_unless_the_option_names_another(
    sunra, sunra_sandbox, environment, arguments, model
):
    sunra(*CHAT, "one")
    environment.setenv("SUNRA_MODEL", "env/model")
    sunra("chat", "-q", "-c", *arguments, "two")
    assert sunra_sandbox.requests[1].json["model"] == model
    assert stored()["model"] == model


def test_attachments_and_structured_replies_are_continued(sunra, sunra_sandbox, tmp_path):
    (tmp_path / "a.txt").write_text("Oslo")
    (tmp_path / "s.json").write_text('{"type": "object", "properties": {"a": {"type": "string"}}}')
    sunra(*CHAT, "-f", str(tmp_path / "a.txt"), "--schema", str(tmp_path / "s.json"), "one")
    assert sunra("chat", "-q", "--json", "-c", "two").status == 0
    question, answer, _ = sunra_sandbox.requests[1].json["messages"]
    assert [part["type"] for part in question["content"]] == ["text", "text"]
    assert json.loads(answer["content"]).keys() == {"a"}
    assert len(stored()["messages"]) == 4


@pytest.mark.parametrize(
    "answer",
    [
        Http(400, {"error": {"message": "No"}}),
        sse(b'data: {"choices": [{"index": 0, "delta": {"content": "Half"}}]}\n\n'),
        "",
    ],
)
def test_a_failed_exchange_changes_nothing(sunra, sunra_sandbox, answer):
    sunra(*CHAT, "one")
    before = stored()
    sunra_sandbox.next(answer)
    sunra("chat", "-q", "-c", "two")
    assert stored() == before


# ── the file ─────────────────────────────────────────────────────────────────


@platforms.modes
def test_only_the_user_can_read_a_conversation(sunra):
    before = os.umask(0)
    try:
        sunra(*CHAT, "one")
        sunra(*CHAT, "-c", "two")
    finally:
        os.umask(before)
    path = conversations.folder() / "unnamed.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["unnamed.json"]


def test_the_key_is_not_written_even_if_both_quote_it(environment, sunra_sandbox, capfd):
    environment.setattr("sys.stdin", None)
    sunra_sandbox.next(f"It is {KEY}.")
    assert main([*CHAT, "-s", f"My key is {KEY}.", f"Is it {KEY}?"]) == 0
    assert capfd.readouterr().out == f"It is {KEY}.\n"  # replies are shown unchanged
    assert [one["content"] for one in stored()["messages"]] == [
        "My key is [the key].",
        "Is it [the key]?",
        "It is [the key].",
    ]
    assert KEY not in (conversations.folder() / "unnamed.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("by", ["--no-save", "SUNRA_NO_SAVE"])
def test_nothing_is_stored_on_request(sunra, sunra_sandbox, environment, by):
    sunra(*CHAT, "one")
    before = stored()
    option = [by] if by.startswith("--") else []
    if not option:
        environment.setenv(by, "1")
    assert sunra("chat", "-q", "-c", *option, stdin=Typed("two\n/reset\n")).status == 0
    assert len(said(sunra_sandbox.requests[1])) == 3
    assert stored() == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"version": 2, "model": "a/b", "messages": []}',
        '{"version": 1}',
        '{"version": 1, "model": "a/b", "messages": [{"content": "no role"}]}',
    ],
)
def test_a_file_that_is_not_a_conversation_is_a_usage_error(sunra, sunra_sandbox, content):
    sunra(*CHAT, "one")
    (conversations.folder() / "unnamed.json").write_text(content)
    ended = sunra(*CHAT, "-c", "two")
    assert (ended.status, ended.out) == (2, "")
    assert "is not a conversation of this version. Delete it to begin again." in ended.err
    assert len(sunra_sandbox.requests) == 1


def test_a_reply_is_shown_even_if_the_conversation_cannot_be_stored(sunra, sunra_sandbox):
    folder = conversations.folder()
    folder.parent.mkdir(parents=True)
    folder.write_text("a file instead of the folder")
    sunra_sandbox.next("Hello")
    ended = sunra(*CHAT, "Hi")
    assert (ended.status, ended.out) == (0, "Hello\n")
    assert ended.err.startswith("The conversation was not stored: ")


def test_nothing_is_stored_without_a_home_folder(sunra, environment, tmp_path):
    environment.setattr("click.get_app_dir", lambda name: f"~/.config/{name}")
    environment.chdir(tmp_path)
    ended = sunra(*CHAT, "Hi")
    assert (ended.status, ended.out) == (0, "You said: Hi\n")
    assert ended.err == "The conversation was not stored: the user has no home folder.\n"
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "name", ["", ".", "../up", "a/b", "a b", "-x", "x" * 65, "é", "con", "COM1.x"]
)
def test_an_invalid_name_is_a_usage_error(sunra, sunra_sandbox, name):
    ended = sunra(*CHAT, f"--conversation={name}", "Hi")
    assert ended.status == 2
    assert "Invalid name of a conversation" in ended.err
    assert sunra_sandbox.requests == []


def test_a_link_that_leads_nowhere_is_not_the_last_conversation(sunra, sunra_sandbox):
    sunra(*CHAT, "--conversation", "trip", "one")
    try:
        (conversations.folder() / "gone.json").symlink_to("nowhere")
    except OSError:
        pytest.skip("links are not allowed here")
    assert sunra("chat", "-q", "-c", "two").status == 0
    assert len(sunra_sandbox.requests[-1].json["messages"]) == 3


def test_names_that_only_begin_like_a_device_are_valid(sunra):
    for name in ("control", "com", "lpt10x", "auxiliary"):
        assert sunra(*CHAT, "--conversation", name, "Hi").status == 0


def test_names_are_completed(sunra, environment):
    sunra(*CHAT, "--conversation", "trip", "one")
    environment.setenv("_SUNRA_COMPLETE", "bash_complete")
    environment.setenv("COMP_WORDS", "sunra chat --conversation tr")
    environment.setenv("COMP_CWORD", "3")
    assert "plain,trip\n" in sunra().out

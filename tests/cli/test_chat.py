"""`sunra chat` with a prompt."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess

import pytest

from sunra_integrations.sandbox import CallTools, HangUp, Http, Message, TextReply, sse
from tests import children, platforms
from tests.cli.conftest import KEY, PROGRAM
from tests.module_stand_in import without_waits
from tests.waiting import DEADLINE

ASK = ("chat", "-m", "sandbox/echo")


def test_a_piped_reply_has_no_control_characters_and_ends_with_a_line_feed(sunra, sunra_sandbox):
    sunra_sandbox.next("Tab\there, \x1b[31mred\x1b[0m, \x00none,\r\n\x9b2Jand “\u202eall” 好")
    ended = sunra(*ASK, "-q", "Hi")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "Tab\there, [31mred[0m, none,\n2Jand “all” 好\n"


def test_token_usage_and_cost_go_to_standard_error(sunra, sunra_sandbox):
    sunra_sandbox.next("Hello\n")
    ended = sunra(*ASK, "Hi")
    assert ended.out == "Hello\n"
    assert ended.err == "sandbox/echo · 5 tokens in, 2 tokens out, cost 0.000009\n"


def test_reasoning_goes_to_standard_error_unless_quiet(sunra, sunra_sandbox):
    sunra_sandbox.next(
        TextReply("Yes.", reasoning="Let me think."), TextReply("Yes.", reasoning="Hm.")
    )
    ended = sunra(*ASK, "Hi")
    assert ended.out == "Yes.\n"
    assert ended.err.startswith("Let me think.\nsandbox/echo · ")
    assert sunra(*ASK, "-q", "Hi") == (0, "Yes.\n", "")


def test_reasoning_within_a_reply_does_not_split_its_text(sunra, sunra_sandbox):
    deltas = [{"content": "One "}, {"reasoning": "Hm."}, {"content": "word"}]
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    sunra_sandbox.next(sse(*(f"data: {json.dumps(event)}\n\n".encode() for event in events)))
    ended = sunra(*ASK, "Hi")
    assert ended == (0, "One word\n", "Hm.\nsandbox/echo · no token usage reported\n")


def test_only_the_given_options_are_sent(sunra, sunra_sandbox):
    sunra(*ASK, "-s", "Be brief.", "--temperature", "0.5", "--max-tokens", "9", "Hi")
    sunra(*ASK, "--reasoning-effort", "low", "Hi")
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    user = {"role": "user", "content": "Hi"}
    assert [request.json for request in sunra_sandbox.requests] == [
        {
            "model": "sandbox/echo",
            "messages": [{"role": "system", "content": "Be brief."}, user],
            "temperature": 0.5,
            "max_tokens": 9,
            **streamed,
        },
        {
            "model": "sandbox/echo",
            "messages": [user],
            "reasoning_effort": "low",
            **streamed,
        },
    ]
    assert sunra_sandbox.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_the_api_can_be_chosen(sunra, sunra_sandbox):
    given = ("--api", "responses", "--max-tokens", "9")
    assert sunra(*ASK, *given, "Hi").out == "You said: Hi\n"
    sunra(*ASK, "--json", "--api", "chat", "Hi")
    assert [one.path for one in sunra_sandbox.requests] == ["/v1/responses", "/v1/chat/completions"]
    assert sunra_sandbox.requests[0].json["max_output_tokens"] == 9
    assert sunra(*ASK, "--api", "completions", "Hi").status == 2


@pytest.mark.parametrize(
    ("prompt", "piped", "asked"),
    [
        (["Sum it up"], "A text.\n", "Sum it up\n\nA text.\n"),
        ([], "A text.\n", "A text.\n"),
        (["Hello"], " \n", "Hello"),
        ([], "\ufeffA text.", "A text."),
    ],
)
def test_piped_input_is_appended_to_the_prompt_or_replaces_it(
    sunra, sunra_sandbox, prompt, piped, asked
):
    assert sunra(*ASK, *prompt, stdin=piped).status == 0
    assert sunra_sandbox.requests[0].json["messages"][-1]["content"] == asked


def test_input_that_is_not_text_is_not_sent(start, sunra_sandbox):
    process = start(*ASK, stdin=subprocess.PIPE, env={"LC_ALL": "C"})
    out, err = process.communicate(b"\xff\xf0", timeout=DEADLINE)
    assert (process.returncode, out) == (2, b"")
    assert b"Input is not valid" in err
    assert sunra_sandbox.requests == []


@platforms.shells
@pytest.mark.parametrize(("closed", "out"), [(">&- <&-", b""), ("2>&- <&-", b"Hello\n")])
def test_closed_standard_streams_are_not_an_error(environment, sunra_sandbox, closed, out):
    sunra_sandbox.next("Hello")
    command = f"{shlex.join(PROGRAM)} {shlex.join(ASK)} Hi {closed}"
    ended = children.run(["sh", "-c", command], encoding=None)
    assert (ended.returncode, ended.stdout) == (0, out)
    assert b"Error" not in ended.stderr


@platforms.linux  # /dev/full behaves like a full disk
@pytest.mark.parametrize(
    ("full", "message"),
    [
        (">/dev/full", b"Error: No space left on device. Use --debug to see the traceback."),
        ("2>/dev/full", b""),
        (">/dev/full 2>&1", b""),
    ],
)
def test_an_output_error_is_reported_and_fails(environment, sunra_sandbox, full, message):
    sunra_sandbox.next("Hello")
    command = f"{shlex.join(PROGRAM)} chat -m sandbox/echo Hi {full}"
    ended = children.run(["sh", "-c", command], encoding=None)
    assert ended.returncode == 1
    assert ended.stderr.startswith(message)
    assert len(ended.stderr.splitlines()) == bool(message)


@platforms.shells
def test_a_closed_standard_error_does_not_hang_the_command(start):
    nobody_reads, written = os.pipe()
    os.close(nobody_reads)
    process = start("chat", "--unknown", stderr=written, env={"PYTHONUNBUFFERED": ""})
    os.close(written)
    assert process.wait(DEADLINE) == 1


def test_the_model_can_be_set_by_an_environment_variable(sunra, sunra_sandbox, environment):
    environment.setenv("SUNRA_MODEL", "vendor/from-environment")
    assert sunra("chat", "Hi").status == 0
    assert sunra_sandbox.requests[0].json["model"] == "vendor/from-environment"


def test_json_is_the_complete_response_with_escaped_control_characters(sunra, sunra_sandbox):
    sunra_sandbox.next(TextReply("\x1b[2J\x9b\u202e好"))
    ended = sunra(*ASK, "--json", "Hi")
    reply = json.loads(ended.out)
    assert ended.status == 0
    assert reply["choices"][0]["message"]["content"] == "\x1b[2J\x9b\u202e好"
    assert reply["provider"] == "sandbox"
    assert not {"\x1b", "\x9b", "\u202e"} & set(ended.out)
    assert "好" in ended.out
    assert "stream" not in sunra_sandbox.requests[0].json


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            Http(401, {"error": {"message": f"Incorrect key: {KEY}", "code": "UNAUTHORIZED"}}),
            "Incorrect key: [the key] (HTTP 401, UNAUTHORIZED). Check the key in SUNRA_KEY",
        ),
        (Http(404, {"error": {"code": "MODEL_NOT_FOUND", "message": "No model"}}), "vendor/name"),
        (Http(403, {"error": {"message": "Not yours"}}), "Check what the key's account may use"),
        (Http(402, {"error": {"message": "No credit"}}), "Add credit"),
        (Http(429, {"error": {"message": "Slow"}}, {"retry-after": "90"}), "Try again in 90 s."),
        (Http(400, {"error": {"message": "\x1b[2J\nBad"}}), "Error: [2J Bad (HTTP 400)."),
        (Http(200, "<html><title>Sign in"), "Error: "),
    ],
)
def test_an_error_is_one_line_with_a_hint(sunra, sunra_sandbox, answer, message):
    sunra_sandbox.next(answer)
    for more in ([], ["--json"]):
        sunra_sandbox.next(answer)
        ended = sunra(*ASK, *more, "Hi")
        assert (ended.status, ended.out) == (1, "")
        assert message in ended.err
        assert ended.err.startswith("Error: ")
        assert ended.err.count("\n") == 1
        sunra_sandbox.clear()


def test_an_invalid_model_name_is_an_error(sunra):
    ended = sunra("chat", "-m", "gpt-4o", "Hi")
    assert ended.status == 1
    assert "vendor/name" in ended.err


def test_the_error_for_a_missing_key_says_where_to_create_one(sunra, environment):
    environment.delenv("SUNRA_KEY")
    ended = sunra(*ASK, "Hi")
    assert ended.status == 1
    assert "https://sunra.ai/dashboard/api-tokens" in ended.err
    assert ended.err == (
        "Error: No Sunra key. Run `export SUNRA_KEY=…` with a key from "
        "https://sunra.ai/dashboard/api-tokens, or try `sunra sandbox`.\n"
    )


def test_a_refused_connection_recommends_doctor(sunra, monkeypatch):
    without_waits(monkeypatch)
    ended = sunra(*ASK, "--base-url", "http://127.0.0.1:1", "Hi")
    assert ended.status == 1
    assert "Run `sunra doctor`" in ended.err


def test_an_interrupted_reply_stays_and_is_an_error(sunra, sunra_sandbox):
    sunra_sandbox.next(
        sse(b'data: {"choices": [{"index": 0, "delta": {"content": "Half an"}}]}\n\n')
    )
    ended = sunra(*ASK, "Hi")
    assert (ended.status, ended.out) == (1, "Half an\n")
    assert "Try again to get the complete reply." in ended.err
    assert "error.partial" not in ended.err


def test_a_truncated_reply_gets_a_note(sunra, sunra_sandbox):
    sunra_sandbox.next(TextReply("Half", finish_reason="length"))
    ended = sunra(*ASK, "-q", "Hi")
    assert ended == (0, "Half\n", "The reply was truncated at the token limit.\n")


def test_a_refusal_is_an_error_with_its_text(sunra, sunra_sandbox):
    sunra_sandbox.next(Message({"role": "assistant", "content": None, "refusal": "I will not."}))
    ended = sunra(*ASK, "-q", "Hi")
    assert ended == (1, "", "Error: The model declined to answer: I will not.\n")


def test_a_reply_without_text_prints_nothing(sunra, sunra_sandbox):
    sunra_sandbox.next(CallTools(("f", {})))
    assert sunra(*ASK, "-q", "Hi") == (0, "", "")


@platforms.signals
def test_ctrl_c_keeps_the_text_received_so_far_and_exits_with_130(start, sunra_sandbox):
    sunra_sandbox.next("one two" + " more" * 2000 + " last", pause=0.1)
    process = start(*ASK, "Hi")
    begun = process.stdout.read(len("one two"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert begun == b"one two"
    assert out.endswith(b"\n")
    assert b"last" not in out
    assert err == b"\n"  # after the ^C that a terminal shows
    assert sunra_sandbox.requests[0].disconnected.wait(DEADLINE)


def test_a_closed_connection_is_retried(sunra, sunra_sandbox, monkeypatch):
    without_waits(monkeypatch)
    sunra_sandbox.next(HangUp(), "Hello")
    assert sunra(*ASK, "-q", "Hi") == (0, "Hello\n", "")

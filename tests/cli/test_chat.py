"""`sunra chat` with something to ask."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess

import pytest

from sunra_integrations.sandbox import CallTools, HangUp, Http, Message, Say, sse
from tests import children, platforms
from tests.cli.conftest import KEY, PROGRAM
from tests.module_stand_in import without_waits
from tests.waiting import DEADLINE

ASK = ("chat", "-m", "sandbox/echo")


def test_a_piped_answer_is_what_came_without_what_a_terminal_obeys_and_a_line_end(
    sunra, sunra_sandbox
):
    sunra_sandbox.next("Tab\there, \x1b[31mred\x1b[0m, \x00none,\r\n\x9b2Jand “\u202eall” 好")
    ended = sunra(*ASK, "-q", "Hi")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "Tab\there, [31mred[0m, none,\n2Jand “all” 好\n"


def test_tokens_and_cost_are_told_beside_the_answer(sunra, sunra_sandbox):
    sunra_sandbox.next("Hello\n")
    ended = sunra(*ASK, "Hi")
    assert ended.out == "Hello\n"
    assert ended.err == "sandbox/echo · 5 tokens in, 2 tokens out, cost 0.000009\n"


def test_reasoning_is_told_beside_the_answer_and_left_out_with_quiet(sunra, sunra_sandbox):
    sunra_sandbox.next(Say("Yes.", reasoning="Let me think."), Say("Yes.", reasoning="Hm."))
    ended = sunra(*ASK, "Hi")
    assert ended.out == "Yes.\n"
    assert ended.err.startswith("Let me think.\nsandbox/echo · ")
    assert sunra(*ASK, "-q", "Hi") == (0, "Yes.\n", "")


def test_reasoning_in_the_midst_of_an_answer_does_not_come_between_its_words(sunra, sunra_sandbox):
    deltas = [{"content": "One "}, {"reasoning": "Hm."}, {"content": "word"}]
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    sunra_sandbox.next(sse(*(f"data: {json.dumps(event)}\n\n".encode() for event in events)))
    ended = sunra(*ASK, "Hi")
    assert ended == (0, "One word\n", "Hm.\nsandbox/echo · no token usage reported\n")


def test_what_is_given_is_what_is_sent_and_nothing_else(sunra, sunra_sandbox):
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


@pytest.mark.parametrize(
    ("prompt", "piped", "asked"),
    [
        (["Sum it up"], "A text.\n", "Sum it up\n\nA text.\n"),
        ([], "A text.\n", "A text.\n"),
        (["Hello"], " \n", "Hello"),
        ([], "\ufeffA text.", "A text."),
    ],
)
def test_what_is_piped_in_is_asked_behind_the_prompt_or_in_its_place(
    sunra, sunra_sandbox, prompt, piped, asked
):
    assert sunra(*ASK, *prompt, stdin=piped).status == 0
    assert sunra_sandbox.requests[0].json["messages"][-1]["content"] == asked


def test_what_is_no_text_is_not_sent(start, sunra_sandbox):
    process = start(*ASK, stdin=subprocess.PIPE, env={"LC_ALL": "C"})
    out, err = process.communicate(b"\xff\xf0", timeout=DEADLINE)
    assert (process.returncode, out) == (2, b"")
    assert b"Input is not valid" in err
    assert sunra_sandbox.requests == []


@platforms.shells
@pytest.mark.parametrize(("closed", "out"), [(">&- <&-", b""), ("2>&- <&-", b"Hello\n")])
def test_closed_streams_are_borne(environment, sunra_sandbox, closed, out):
    sunra_sandbox.next("Hello")
    command = f"{shlex.join(PROGRAM)} {shlex.join(ASK)} Hi {closed}"
    ended = children.run(["sh", "-c", command], encoding=None)
    assert (ended.returncode, ended.stdout) == (0, out)
    assert b"Error" not in ended.stderr


@platforms.linux  # which imitates a full disk by /dev/full
@pytest.mark.parametrize(
    ("full", "told"),
    [
        (">/dev/full", b"Error: No space left on device. Use --debug to see the traceback."),
        ("2>/dev/full", b""),
        (">/dev/full 2>&1", b""),
    ],
)
def test_output_that_cannot_be_written_is_told_and_fails(environment, sunra_sandbox, full, told):
    sunra_sandbox.next("Hello")
    command = f"{shlex.join(PROGRAM)} chat -m sandbox/echo Hi {full}"
    ended = children.run(["sh", "-c", command], encoding=None)
    assert ended.returncode == 1
    assert ended.stderr.startswith(told)
    assert len(ended.stderr.splitlines()) == bool(told)


@platforms.shells
def test_an_error_that_nobody_reads_ends_the_command_like_any(start):
    nobody_reads, written = os.pipe()
    os.close(nobody_reads)
    process = start("chat", "--unknown", stderr=written, env={"PYTHONUNBUFFERED": ""})
    os.close(written)
    assert process.wait(DEADLINE) == 1


def test_the_model_may_be_named_by_the_environment(sunra, sunra_sandbox, environment):
    environment.setenv("SUNRA_MODEL", "vendor/from-environment")
    assert sunra("chat", "Hi").status == 0
    assert sunra_sandbox.requests[0].json["model"] == "vendor/from-environment"


def test_json_is_the_reply_as_it_came_with_nothing_that_a_terminal_obeys(sunra, sunra_sandbox):
    sunra_sandbox.next(Say("\x1b[2J\x9b\u202e好"))
    ended = sunra(*ASK, "--json", "Hi")
    reply = json.loads(ended.out)
    assert ended.status == 0
    assert reply["choices"][0]["message"]["content"] == "\x1b[2J\x9b\u202e好"
    assert reply["provider"] == "sandbox"
    assert not {"\x1b", "\x9b", "\u202e"} & set(ended.out)
    assert "好" in ended.out
    assert "stream" not in sunra_sandbox.requests[0].json


@pytest.mark.parametrize(
    ("answer", "told"),
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
def test_what_goes_wrong_is_one_line_that_says_what_to_do(sunra, sunra_sandbox, answer, told):
    sunra_sandbox.next(answer)
    for more in ([], ["--json"]):
        sunra_sandbox.next(answer)
        ended = sunra(*ASK, *more, "Hi")
        assert (ended.status, ended.out) == (1, "")
        assert told in ended.err
        assert ended.err.startswith("Error: ")
        assert ended.err.count("\n") == 1
        sunra_sandbox.clear()


def test_a_model_that_is_not_there_or_misnamed_is_told(sunra):
    ended = sunra("chat", "-m", "gpt-4o", "Hi")
    assert ended.status == 1
    assert "vendor/name" in ended.err


def test_a_missing_key_is_told_and_where_keys_are_made(sunra, environment):
    environment.delenv("SUNRA_KEY")
    ended = sunra(*ASK, "Hi")
    assert ended.status == 1
    assert "https://sunra.ai/dashboard/api-tokens" in ended.err
    assert "Run `export SUNRA_KEY=…`, or `sunra sandbox` to try without a key." in ended.err


def test_where_nobody_listens_doctor_is_recommended(sunra, monkeypatch):
    without_waits(monkeypatch)
    ended = sunra(*ASK, "--base-url", "http://127.0.0.1:1", "Hi")
    assert ended.status == 1
    assert "Run `sunra doctor`" in ended.err


def test_an_answer_that_breaks_off_stays_and_is_told_as_broken(sunra, sunra_sandbox):
    sunra_sandbox.next(
        sse(b'data: {"choices": [{"index": 0, "delta": {"content": "Half an"}}]}\n\n')
    )
    ended = sunra(*ASK, "Hi")
    assert (ended.status, ended.out) == (1, "Half an\n")
    assert "Try again to get the complete reply." in ended.err


def test_an_answer_that_was_cut_off_is_told_as_such(sunra, sunra_sandbox):
    sunra_sandbox.next(Say("Half", finish_reason="length"))
    ended = sunra(*ASK, "-q", "Hi")
    assert ended == (0, "Half\n", "The reply was truncated at the token limit.\n")


def test_a_model_that_declines_is_a_failure_with_its_words(sunra, sunra_sandbox):
    sunra_sandbox.next(Message({"role": "assistant", "content": None, "refusal": "I will not."}))
    ended = sunra(*ASK, "-q", "Hi")
    assert ended == (1, "", "Error: The model declined to answer: I will not.\n")


def test_an_answer_without_text_is_shown_as_none(sunra, sunra_sandbox):
    sunra_sandbox.next(CallTools(("f", {})))
    assert sunra(*ASK, "-q", "Hi") == (0, "", "")


@platforms.signals
def test_ctrl_c_in_the_midst_of_an_answer_keeps_what_had_arrived_and_ends_with_130(
    start, sunra_sandbox
):
    sunra_sandbox.next("one two" + " more" * 2000 + " last", pause=0.1)
    process = start(*ASK, "Hi")
    begun = process.stdout.read(len("one two"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 130
    assert begun == b"one two"
    assert out.endswith(b"\n")
    assert b"last" not in out
    assert err == b"\n"  # behind the ^C that a terminal shows
    assert sunra_sandbox.requests[0].disconnected.wait(DEADLINE)


def test_a_server_that_hangs_up_is_asked_again_before_it_is_told(sunra, sunra_sandbox, monkeypatch):
    without_waits(monkeypatch)
    sunra_sandbox.next(HangUp(), "Hello")
    assert sunra(*ASK, "-q", "Hi") == (0, "Hello\n", "")

"""Tests can queue replies, down to the bytes, and see the requests."""

import json
import threading
import time

import httpx
import pytest
from openai import InternalServerError, OpenAI

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.langchain.errors import ServerFailed
from sunra_integrations.sandbox import (
    CallTools,
    HangUp,
    Http,
    Message,
    Say,
    Scripted,
    TextReply,
    completion,
    sse,
)
from tests.waiting import DEADLINE, until


def choice(response):
    return response.json()["choices"][0]


def test_a_text_is_said_once_and_then_the_script_goes_on(sandbox, ask):
    sandbox.next("scripted", TextReply("thought", reasoning="hm", finish_reason="length"))
    first, second, third = (choice(ask()) for _ in range(3))
    assert first["message"]["content"] == "scripted"
    assert (second["message"]["reasoning"], second["finish_reason"]) == ("hm", "length")
    assert third["message"]["content"] == "You said: Hello"


def test_tool_calls_are_made_with_the_arguments_given(sandbox, ask):
    sandbox.next(CallTools(("f", {"名": "值"}), ("g", '{"cut'), text="Wait."))
    told = choice(ask())
    made = [call["function"] for call in told["message"]["tool_calls"]]
    assert made == [
        {"name": "f", "arguments": '{"名": "值"}'},
        {"name": "g", "arguments": '{"cut'},
    ]
    assert (told["message"]["content"], told["finish_reason"]) == ("Wait.", "tool_calls")


def test_a_message_is_sent_key_for_key(sandbox, ask):
    message = {"role": "assistant", "content": [{"type": "text", "text": "a"}], "odd": {"x": 1}}
    sandbox.next(Message(message, finish_reason="content_filter"))
    told = choice(ask())
    assert (told["message"], told["finish_reason"]) == (message, "content_filter")


def test_a_scripted_reply_is_streamed_where_a_stream_is_asked_for(sandbox, openai):
    sandbox.next(Message({"role": "assistant", "content": "a b", "annotations": [{"n": 1}]}))
    messages = [{"role": "user", "content": "Hello"}]
    stream = openai.chat.completions.create(model="a/b", messages=messages, stream=True)
    deltas = [chunk.choices[0].delta for chunk in stream]
    assert [delta.content for delta in deltas] == ["", "a", " b", None, None]
    assert deltas[3].annotations == [{"n": 1}]


def test_a_whole_completion_is_sent_as_it_is_even_to_a_stream(sandbox, ask):
    body = {"id": None, "choices": [], "extra": "ünï"}
    sandbox.next(completion(body))
    response = ask(stream=True)
    assert response.json() == body
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            Http(429, {"error": "slow"}, {"Retry-After": "7"}),
            (429, b'{"error": "slow"}', {"retry-after": "7", "content-type": "application/json"}),
        ),
        (
            Http(503, "<html>", {"content-type": "text/html"}),
            (503, b"<html>", {"content-type": "text/html"}),
        ),
        (Http(500), (500, b"", {"content-length": "0"})),
        (Http(204), (204, b"", {})),
        (Http(200, [b"a", b"b"]), (200, b"ab", {"transfer-encoding": "chunked"})),
        (Http(529, []), (529, b"[]", {"content-type": "application/json"})),
    ],
)
def test_a_response_is_sent_as_it_is(sandbox, ask, answer, expected):
    status, content, headers = expected
    sandbox.next(answer)
    response = ask()
    assert (response.status_code, response.content) == (status, content)
    assert {name: response.headers.get(name) for name in headers} == headers


def test_pieces_of_a_stream_are_flushed_one_by_one(sandbox, http, body):
    pieces = [b"\xef\xbb\xbfdata: {", b'"a": "\xe4\xbd', b'\xa0"}\r\n\r\n', b": ping\n\n"]
    for piece in pieces:
        sandbox.next(sse(piece, b"late"), pause=10 * DEADLINE)
        with http.stream("POST", "/chat/completions", json=body(stream=True)) as response:
            assert next(response.iter_raw()) == piece
        assert response.headers["content-type"].startswith("text/event-stream")


def test_a_wait_comes_before_the_headers(sandbox, http, body):
    sandbox.next("late", wait=0.15)
    began = time.monotonic()
    with http.stream("POST", "/chat/completions", json=body()):
        assert time.monotonic() - began >= 0.15


@pytest.mark.parametrize("cut", ["close", "reset"])
def test_a_hang_up_leaves_the_client_without_an_answer(sandbox, ask, cut):
    sandbox.next(HangUp(), cut=cut)
    with pytest.raises(httpx.RemoteProtocolError if cut == "close" else httpx.ReadError):
        ask()
    assert ask().status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_body_is_cut_after_so_many_bytes(sandbox, http, body, stream):
    sandbox.next(None, cut_after=50)
    arrived = bytearray()
    with (
        http.stream("POST", "/chat/completions", json=body(stream=stream)) as response,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        collect(response, arrived)
    assert len(arrived) == 50


def collect(response, arrived):
    for piece in response.iter_raw():
        arrived += piece


def test_a_body_can_be_reset(sandbox, ask):
    sandbox.next("x" * 1000, cut_after=50, cut="reset")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        ask(stream=True)


@pytest.mark.parametrize("stream", [False, True])
def test_a_body_can_be_cut_short_and_ended_politely(sandbox, ask, stream):
    sandbox.next("x" * 1000, cut_after=50, cut="complete")
    assert len(ask(stream=stream).content) == 50


def test_a_handler_is_asked_for_each_answer_once_the_queue_is_empty(sandbox, ask):
    def handler(request):
        match request["messages"][0]["content"]:
            case "Hello":
                return "from the handler"
            case "fail":
                return Scripted(Http(500, "no"), wait=0.01)
            case _:
                return None

    sandbox.answer_with(handler)
    sandbox.next("from the queue")
    asked = ["Hello", "Hello", "fail", "else"]
    told = [ask(messages=[{"role": "user", "content": content}]) for content in asked]
    assert choice(told[0])["message"]["content"] == "from the queue"
    assert choice(told[1])["message"]["content"] == "from the handler"
    assert told[2].status_code == 500
    assert choice(told[3])["message"]["content"] == "You said: else"


def test_a_refused_request_takes_nothing_from_the_queue(sandbox, ask):
    sandbox.next("kept")
    assert ask(temperature=9).status_code == 422
    assert choice(ask())["message"]["content"] == "kept"


def test_requests_are_seen_as_they_were_sent_the_refused_ones_too(sandbox, http, ask, body):
    ask(seed=1)
    http.post("/chat/completions", content=b"\xff", headers={"X-Own": "Value"})
    http.get("/models")
    first, second, third = sandbox.requests
    assert (first.method, first.path, first.status) == ("POST", "/v1/chat/completions", 200)
    assert first.json == body(seed=1)
    assert json.loads(first.body) == first.json
    assert first.headers["authorization"] == f"Bearer {sandbox.api_key}"
    assert (second.body, second.headers["x-own"], second.status) == (b"\xff", "Value", 415)
    assert (third.method, third.path, third.status) == ("GET", "/v1/models", 404)


def test_clear_forgets_everything(sandbox, ask):
    sandbox.next("queued")
    sandbox.answer_with(lambda _: "handled")
    ask()
    sandbox.next("queued")
    sandbox.clear()
    assert sandbox.requests == []
    assert choice(ask())["message"]["content"] == "You said: Hello"


def test_a_client_that_leaves_a_stream_is_noticed(sandbox, http, body):
    sandbox.next("word " * 10_000, pause=0.01)
    with http.stream("POST", "/chat/completions", json=body(stream=True)) as response:
        next(response.iter_raw())
    assert sandbox.requests[0].disconnected.wait(DEADLINE)


def test_a_client_that_leaves_before_the_headers_is_noticed(sandbox, http, body):
    sandbox.next("late", wait=10 * DEADLINE)
    with pytest.raises(httpx.ReadTimeout):
        http.post("/chat/completions", json=body(), timeout=httpx.Timeout(DEADLINE, read=0.1))
    until(lambda: sandbox.requests)
    received = sandbox.requests[0]
    assert received.disconnected.wait(DEADLINE)
    assert received.status is None


def test_a_client_that_stays_is_not_said_to_have_left(sandbox, ask):
    sandbox.next(HangUp())
    with pytest.raises(httpx.RemoteProtocolError):
        ask()
    ask(stream=True)
    time.sleep(0.05)
    assert [received.disconnected.is_set() for received in sandbox.requests] == [False, False]


def test_answers_may_be_queued_and_taken_from_many_threads(sandbox, http, body):
    said = [str(number) for number in range(40)]
    sandbox.next(*said)
    heard = []

    def one():
        response = http.post("/chat/completions", json=body())
        heard.append(choice(response)["message"]["content"])

    threads = [threading.Thread(target=one) for _ in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(heard) == sorted(said)
    assert len(sandbox.requests) == 40


def test_the_former_name_of_a_text_reply_still_works():
    assert Say is TextReply


# ── answers for one model ────────────────────────────────────────────────────


def said(response):
    return choice(response)["message"]["content"]


def test_answers_are_kept_for_their_model(sandbox, ask):
    sandbox.next("a1", "a2", model="v/a")
    sandbox.next("b1", model="v/b")
    asked = ["v/b", "v/a", "v/b", "v/a", "v/a"]
    told = [said(ask(model=model)) for model in asked]
    assert told == ["b1", "a1", "You said: Hello", "a2", "You said: Hello"]


def test_answers_for_any_model_keep_their_turn_among_those_for_one(sandbox, ask):
    sandbox.next("any1")
    sandbox.next("a1", model="v/a")
    sandbox.next("any2", Scripted("a2", model="v/a"))
    asked = ["v/a", "v/a", "v/b", "v/a"]
    assert [said(ask(model=model)) for model in asked] == ["any1", "a1", "any2", "a2"]


def test_an_answer_for_another_model_does_not_keep_the_handler_from_being_asked(sandbox, ask):
    sandbox.next("a1", model="v/a")
    sandbox.answer_with(lambda request: f"handled {request['model']}")
    assert [said(ask(model=model)) for model in ("v/b", "v/a")] == ["handled v/b", "a1"]


# ── mistakes in the test itself ──────────────────────────────────────────────


def raising(request):
    return request["messages"][0]["txt"]


def failing(request):
    pytest.fail("not like this")


async def asynchronous(request):
    return "never awaited"


class Unshown:
    def __repr__(self) -> str:
        raise RuntimeError("cannot be shown")


BROKEN_HANDLERS = {
    "raises": (raising, ["raised KeyError: 'txt'", "test_scripting.py:", "in raising"]),
    "fails the test": (failing, ["not like this", "test_scripting.py:", "in failing"]),
    "returns a number": (lambda request: 7, ["returned: 7 is not a reply", "lambda"]),
    "is asynchronous": (asynchronous, ["asynchronous returned: <coroutine", "not an async one"]),
    "wants other arguments": (lambda: "x", ["raised TypeError", "takes 0 positional arguments"]),
    "answers with no JSON": (lambda request: Message({"content": {1}}), ["cannot be sent"]),
    "returns what cannot be shown": (lambda request: Unshown(), ["returned: a Unshown is not"]),
    "gives a status that is not a number": (lambda request: Http("x"), ["`status` must be"]),  # type: ignore[arg-type]
    "gives a status that HTTP has not": (lambda request: Http(99999), ["got 99999"]),
    "gives two headers in one": (
        lambda request: Http(200, "x", {"a": "b\r\nc: d"}),
        ["Invalid header"],
    ),
    "gives a header that HTTP cannot carry": (
        lambda request: Http(200, "", {"a": "€"}),
        ["Invalid header"],
    ),
    "gives text among pieces": (lambda request: Http(200, [b"a", "b"]), ["list of bytes only"]),
    "waits for a word": (lambda request: Scripted("x", wait="y"), ["`wait` must be"]),  # type: ignore[arg-type]
    "pauses for a word": (lambda request: Scripted("x", pause="y"), ["`pause` must be"]),  # type: ignore[arg-type]
    "cuts as nobody knows": (lambda request: Scripted("x", cut="y"), ["`cut` must be"]),  # type: ignore[arg-type]
    "cuts a number off": (lambda request: Http(200, {1: {2}}), ["cannot be sent", "TypeError"]),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", BROKEN_HANDLERS)
def test_a_mistake_in_a_handler_is_reported_once_with_its_place(sandbox, name, stream):
    handler, told = BROKEN_HANDLERS[name]
    sandbox.answer_with(handler)
    model = ChatSunra(model="a/b", api_key=sandbox.api_key, base_url=sandbox.base_url)
    with pytest.raises(ServerFailed) as failed:
        _ = list(model.stream("Hi")) if stream else model.invoke("Hi")
    assert all(part in str(failed.value) for part in told), str(failed.value)
    assert len(sandbox.requests) == 1
    assert failed.value.retryable is False


def test_a_handler_that_changes_the_request_does_not_change_the_answer(sandbox, ask):
    sandbox.answer_with(lambda request: request.clear())
    assert ask().json()["choices"][0]["message"]["content"] == "You said: Hello"


def test_a_mistake_in_a_handler_is_reported_once_to_other_clients(sandbox):
    sandbox.answer_with(raising)
    messages = [{"role": "user", "content": "Hello"}]
    with (
        OpenAI(base_url=sandbox.base_url, api_key=sandbox.api_key) as client,
        pytest.raises(InternalServerError, match="KeyError: 'txt'"),
    ):
        client.chat.completions.create(model="a/b", messages=messages)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("answer", [7, {"role": "assistant"}, b"bytes", ["a", "b"]])
def test_what_is_not_an_answer_is_refused_when_it_is_queued(sandbox, answer):
    with pytest.raises(TypeError, match="is not a reply"):
        sandbox.next(answer)
    with pytest.raises(TypeError, match="is not a reply"):
        Scripted(answer)


def test_a_model_that_is_not_a_name_is_refused_when_it_is_queued(sandbox):
    with pytest.raises(TypeError, match="must be the name of a model, got 5"):
        sandbox.next("x", model=5)


def test_a_handler_that_cannot_be_called_is_refused_at_once(sandbox):
    with pytest.raises(TypeError, match="must be a function, got 'x'"):
        sandbox.answer_with("x")

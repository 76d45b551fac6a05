"""Scripts, stored responses and replayed reasoning of `/v1/responses`."""

import copy
import json

import httpx
import pytest

from sunra_integrations.sandbox import (
    CallTools,
    HangUp,
    Http,
    Message,
    Scripted,
    TextReply,
    sse,
)
from sunra_integrations.sandbox.server import stored_responses
from sunra_integrations.sandbox.server.stored_responses import StoredResponses

TOOL = {"type": "function", "name": "f", "strict": False}
CUSTOM = {"type": "custom", "name": "run"}
ENCRYPTED = {"include": ["reasoning.encrypted_content"], "model": "a/reasoner"}
QUESTION = {"role": "user", "content": "Hello"}


def output(response):
    assert response.status_code == 200, response.text
    return response.json()["output"]


def types(response):
    return [item["type"] for item in output(response)]


def text(response):
    return output(response)[-1]["content"][0]["text"]


# ── scripts ──────────────────────────────────────────────────────────────────


def test_a_text_is_sent_once_and_then_the_script_goes_on(sandbox, respond):
    sandbox.next("scripted", TextReply("thought", reasoning="hm", finish_reason="length"))
    first, second, third = respond(), respond(), respond()
    assert text(first) == "scripted"
    assert types(second) == ["reasoning", "message"]
    assert output(second)[0]["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert second.json()["status"] == "incomplete"
    assert text(third) == "You said: Hello"


def test_tool_calls_are_made_with_the_arguments_given(sandbox, respond):
    sandbox.next(CallTools(("f", {"名": "值"}), ("run", "1 + 1"), ("g", '{"cut'), text="Wait."))
    message, first, custom, last = output(respond(tools=[TOOL, CUSTOM]))
    assert message["content"][0]["text"] == "Wait."
    assert (first["name"], first["arguments"]) == ("f", '{"名": "值"}')
    assert (custom["type"], custom["name"], custom["input"]) == ("custom_tool_call", "run", "1 + 1")
    assert last["arguments"] == '{"cut'
    assert len({item["id"] for item in (message, first, custom, last)}) == 4


def test_other_keys_of_a_message_are_kept(sandbox, respond):
    sandbox.next(Message({"role": "assistant", "content": "a", "odd": {"x": 1}}))
    assert output(respond())[0]["odd"] == {"x": 1}


def test_content_that_is_an_item_is_one_of_the_output(sandbox, respond):
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    parts = [{"type": "text", "text": "a"}, search, {"type": "text", "text": "b"}]
    sandbox.next(Message({"role": "assistant", "content": parts}))
    found = output(respond())
    assert [item["type"] for item in found] == ["message", "web_search_call", "message"]
    assert found[1] == search


def test_a_failure_can_be_scripted(sandbox, respond):
    failing = TextReply("Half", finish_reason="error")
    sandbox.next(failing, failing)
    told = respond().json()
    assert (told["status"], told["error"]["code"]) == ("failed", "server_error")
    assert "event: response.failed\n" in respond(stream=True).text


def test_a_response_is_sent_as_it_is(sandbox, respond):
    sandbox.next(Http(429, {"error": "slow"}, {"Retry-After": "7"}), sse(b"data: {}\n\n"))
    first, second = respond(), respond(stream=True)
    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert second.content == b"data: {}\n\n"


def test_a_hang_up_leaves_the_client_without_a_response(sandbox, respond):
    sandbox.next(HangUp())
    with pytest.raises(httpx.RemoteProtocolError):
        respond()


def test_a_stream_is_cut_after_so_many_bytes(sandbox, respond):
    sandbox.next(None, cut_after=50)
    with pytest.raises(httpx.RemoteProtocolError):
        respond(stream=True)
    sandbox.next(None, cut_after=50, cut="complete")
    assert len(respond(stream=True).content) == 50


def test_a_message_that_cannot_be_sent_is_a_500(sandbox, respond):
    sandbox.next(Message({"role": "assistant", "content": [{"no": "type"}]}))
    response = respond()
    assert (response.status_code, response.json()["error"]["code"]) == (500, "SCRIPT_FAILED")


def test_the_handler_gets_the_body_as_it_was_sent(sandbox, respond):
    bodies = []
    sandbox.answer_with(lambda body: bodies.append(body) or "handled")
    assert text(respond(instructions="Be brief.", x_own=1)) == "handled"
    sent = {"model": "a/b", "input": "Hello", "instructions": "Be brief.", "x_own": 1}
    assert bodies == [sandbox.requests[-1].json] == [sent]
    assert sandbox.requests[-1].path == "/v1/responses"


def test_a_refused_request_takes_no_reply_from_the_queue(sandbox, respond):
    sandbox.next(Scripted("queued"))
    assert respond(previous_response_id="resp_0").status_code == 400
    assert text(respond()) == "queued"


def test_reasoning_of_another_server_can_be_scripted(sandbox, respond):
    details = [
        {"type": "reasoning.summary", "summary": "First.", "id": "rs_1", "index": 0},
        {"type": "reasoning.summary", "summary": "Then.", "id": "rs_1", "index": 1},
        {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "index": 2},
    ]
    sandbox.next(Message({"role": "assistant", "content": "a", "reasoning_details": details}))
    summary = [{"type": "summary_text", "text": text} for text in ("First.", "Then.")]
    assert output(respond())[0] == {
        "type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAAA",
    }  # fmt: skip


# ── stored responses ─────────────────────────────────────────────────────────


def test_a_conversation_goes_on_from_the_previous_response(sandbox, respond):
    sandbox.next(CallTools(("f", {})))
    first = respond(tools=[TOOL]).json()
    call = first["output"][0]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "It rains."}
    second = respond(input=[result], tools=[TOOL], previous_response_id=first["id"])
    assert text(second) == "It rains."
    assert second.json()["previous_response_id"] == first["id"]
    third = respond(input="Does it rain?", previous_response_id=second.json()["id"])
    assert text(third) == "It rains."


def test_a_stored_call_needs_its_result(sandbox, respond):
    sandbox.next(CallTools(("f", {})))
    first = respond(tools=[TOOL]).json()
    error = respond(previous_response_id=first["id"])
    assert error.status_code == 422
    assert "`the stored response` must be followed by" in error.json()["error"]["message"]


def test_a_streamed_response_is_stored_too(respond):
    data = respond(stream=True).text.rpartition("data: ")[2]
    response_id = json.loads(data)["response"]["id"]
    assert respond(previous_response_id=response_id).status_code == 200


@pytest.mark.parametrize("forget", ["store", "clear"])
def test_a_response_that_is_not_stored_is_not_found(sandbox, respond, forget):
    first = respond(store=forget != "store").json()
    if forget == "clear":
        sandbox.clear()
    response = respond(previous_response_id=first["id"])
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "previous_response_not_found")
    assert error["details"][0]["path"] == "previous_response_id"


def test_a_reference_is_replaced_with_the_stored_item(sandbox, respond):
    sandbox.next(CallTools(("f", {})))
    call = output(respond(tools=[TOOL]))[0]
    reference = {"type": "item_reference", "id": call["id"]}
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "It rains."}
    assert text(respond(input=[QUESTION, reference, result])) == "It rains."
    sandbox.clear()
    response = respond(input=[QUESTION, reference, result])
    assert (response.status_code, response.json()["error"]["code"]) == (404, "item_not_found")


def test_only_the_latest_responses_are_kept(monkeypatch):
    monkeypatch.setattr(stored_responses, "MAX_RESPONSES", 2)
    monkeypatch.setattr(stored_responses, "MAX_CHARACTERS", 110)
    stored = StoredResponses()
    for name in ("a", "b", "c"):
        stored.add(name, None, [{"id": name}])
    assert [stored.conversation(name) is not None for name in "abc"] == [False, True, True]
    stored.add("d", "c", [{"id": "x" * 80}])
    assert stored.conversation("d") == [{"id": "c"}, {"id": "x" * 80}]
    stored.add("e", None, [{"id": "y" * 80}])
    assert [stored.conversation(name) is not None for name in "cde"] == [False, False, True]
    stored.add("f", None, [{"id": "z" * 200}])
    assert stored.conversation("f") is None


# ── replayed reasoning ───────────────────────────────────────────────────────


@pytest.fixture
def turn(sandbox, respond):
    """The items of a turn: reasoning, a text, and two calls with their results."""
    sandbox.next(
        Message(
            {
                "role": "assistant",
                "reasoning": "Look it up.",
                "content": None,
                "tool_calls": [
                    {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}
                    for name in ("c1", "c2")
                ],
            }
        )
    )
    reasoning, *calls = output(respond(tools=[TOOL], **ENCRYPTED))
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "x"}
        for call in calls
    ]
    return [QUESTION, reasoning, *calls, *results]


def code(response):
    return 200 if response.status_code == 200 else response.json()["error"]["code"]


def test_encrypted_content_says_that_it_is_the_sandbox_s(turn):
    assert turn[1]["encrypted_content"].startswith("sandbox-reasoning.")


def test_reasoning_may_be_sent_back_unchanged_or_left_out(respond, turn):
    assert code(respond(input=turn)) == 200
    assert code(respond(input=[*turn[:1], *turn[2:]])) == 200


def changed(turn, **fields):
    other = copy.deepcopy(turn)
    other[1].update(fields)
    return other


@pytest.mark.parametrize(
    "fields",
    [
        {"summary": []},
        {"summary": [{"type": "summary_text", "text": "Look it up!"}]},
        {"content": [{"type": "reasoning_text", "text": "more"}]},
        {"id": "rs_other"},
    ],
)
def test_changed_reasoning_is_refused(respond, turn, fields):
    response = respond(input=changed(turn, **fields))
    assert response.status_code == 400
    assert code(response) == "invalid_encrypted_content"
    assert "`input[1]` must be unchanged" in response.json()["error"]["message"]


@pytest.mark.parametrize("order", [(0, 2, 1, 3, 4, 5), (1, 0, 2, 3, 4, 5), (0, 2, 3, 4, 5, 1)])
def test_reasoning_in_another_place_is_refused(respond, turn, order):
    response = respond(input=[turn[index] for index in order])
    assert code(response) == "invalid_encrypted_content"
    assert "must be followed by the item that it preceded" in response.json()["error"]["message"]


def test_encrypted_content_of_others_is_taken_unread(respond, turn):
    assert code(respond(input=changed(turn, encrypted_content="gAAA", summary=[]))) == 200
    assert code(respond(input=changed(turn, encrypted_content=None, summary=[]))) == 200


def test_reasoning_before_a_message_and_reasoning_at_the_end_can_be_replayed(respond):
    whole = output(respond(**ENCRYPTED))
    assert code(respond(input=[QUESTION, *whole, QUESTION])) == 200
    assert code(respond(input=[QUESTION, whole[0], QUESTION])) == "invalid_encrypted_content"
    cut = output(respond(max_output_tokens=2, **ENCRYPTED))
    assert code(respond(input=[QUESTION, *cut, QUESTION])) == 200

"""The server's bytes are what our own clients, which know nothing of it, read whole."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.request

import pytest

from benchmarks.rounds import server
from benchmarks.scenarios import CLOCK_DIGITS, MANY, WORDS, Scenario, word, writes
from benchmarks.server import read_head
from sunra_integrations.protocol.accumulator import accumulate
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient

REQUEST = ChatRequest(model="m", messages=[{"role": "user", "content": "Hello"}])
RESPONSES_REQUEST = ChatRequest(model="m", messages=REQUEST.messages, api="responses")
EVENTS = 130
TEXT = "".join(map(word, range(EVENTS)))

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def address():
    with server() as address:
        yield address


def settings(address, scenario) -> Settings:
    return Settings.resolve("sk-test", f"{address}/{scenario}/v1")


@pytest.fixture(params=[1, MANY])
def streamed(request, address):
    """What a stream of a kind comes to, however many events are in a write."""

    def ask(kind):
        scenario = Scenario(kind, EVENTS, request.param)
        return accumulate(SunraClient(settings(address, scenario)).stream(REQUEST))

    return ask


def test_a_text_stream_is_read_as_its_words_and_its_usage(streamed):
    reply = streamed("text")
    assert reply.text == TEXT
    assert reply.choice.finish_reason == "stop"
    assert reply.usage.completion_tokens == EVENTS


def test_a_tool_call_arrives_in_pieces_of_json(streamed):
    (call,) = streamed("tools").choice.tool_calls
    assert (call.id, call.name) == ("call_benchmark", "write_down")
    assert call.parsed() == {"text": TEXT}


def test_log_probabilities_come_with_five_alternatives(streamed):
    reply = streamed("logprobs")
    tokens = reply.choice.logprobs["content"]
    assert "".join(token["token"] for token in tokens) == reply.text == TEXT
    assert {len(token["top_logprobs"]) for token in tokens} == {5}


def test_reasoning_comes_apart_from_the_text(streamed):
    choice = streamed("reasoning").choice
    assert (choice.reasoning, choice.text) == (TEXT, "")


@pytest.mark.parametrize("per_write", [1, MANY])
def test_a_stream_of_the_responses_api_is_read_as_its_words_and_its_usage(address, per_write):
    scenario = Scenario("responses_text", EVENTS, per_write)
    client = SunraClient(settings(address, scenario))
    reply = accumulate(client.stream(RESPONSES_REQUEST))
    assert (reply.text, reply.choice.finish_reason) == (TEXT, "stop")
    assert reply.usage.completion_tokens == EVENTS


def test_a_tool_call_of_the_responses_api_arrives_in_pieces_of_json(address):
    client = SunraClient(settings(address, Scenario("responses_tools", EVENTS, MANY)))
    (call,) = accumulate(client.stream(RESPONSES_REQUEST)).choice.tool_calls
    assert (call.id, call.name) == ("call_benchmark", "write_down")
    assert call.parsed() == {"text": TEXT}


@pytest.mark.parametrize("scenario", [Scenario("completion"), Scenario("late", 5)], ids=str)
def test_a_small_answer_is_read_again_and_again_on_one_connection(address, scenario):
    client = SunraClient(settings(address, scenario))
    assert {client.create(REQUEST).text for _ in range(3)} == {"".join(WORDS)}


def test_async_clients_are_served_at_once(address):
    async def crowd():
        client = AsyncSunraClient(settings(address, Scenario("late", 20)))
        replies = await asyncio.gather(*(client.create(REQUEST) for _ in range(40)))
        return {reply.text for reply in replies}

    assert asyncio.run(crowd()) == {"".join(WORDS)}


def test_the_texts_of_a_paced_stream_are_clock_readings_that_rise(address):
    client = SunraClient(settings(address, Scenario("paced", 4)))
    texts = [c.text for chunk in client.stream(REQUEST) for c in chunk.choices if c.text]
    assert all(re.fullmatch(rf"\d{{{CLOCK_DIGITS}}}", text) for text in texts)
    assert len(texts) == 4
    assert texts == sorted(texts)


def test_a_request_of_many_pieces_is_answered_when_it_is_whole(address):
    long = ChatRequest(model="m", messages=[{"role": "user", "content": "a" * 3_000_000}])
    assert SunraClient(settings(address, Scenario("completion"))).create(long).text


def test_an_unknown_scenario_is_not_found(address):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{address}/nothing/v1/chat/completions", b"{}")  # noqa: S310
    caught.value.close()
    assert caught.value.code == 404


def test_a_scenario_is_its_name():
    scenario = Scenario("tools", 500, 64, 3)
    assert Scenario.parse(str(scenario)) == scenario
    head = f"POST /{scenario}/v1/chat/completions HTTP/1.1\r\nContent-Length: 12\r\n\r\n"
    assert read_head(head.encode()) == (scenario, 12)


def test_writes_hold_as_many_events_as_they_should():
    # The role, 7 words, the finish reason, the usage, [DONE]; and the end of the body.
    assert [piece.count(b"data: ") for piece in writes(Scenario("text", 7, 4))] == [4, 4, 3, 0]

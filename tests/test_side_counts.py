"""What servers count or tell beside the usual fields is neither lost nor counted twice."""

from __future__ import annotations

import json
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.outputs import LLMResult
from llama_index.core.base.llms.types import ChatMessage

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from tests.recorded_transport import Answer, Recorded, completion, stream

COUNTED = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}


def chat(*answers: Answer, **given: Any) -> tuple[ChatSunra, Recorded]:
    wire = Recorded(*answers)
    model = ChatSunra(
        model="a/b",
        api_key="sk-made-up",
        http_client=httpx.Client(transport=wire),
        http_async_client=httpx.AsyncClient(transport=wire),
        **given,
    )
    return model, wire


def llm(*answers: Answer) -> Sunra:
    return Sunra(
        model="a/b", api_key="sk-made-up", http_client=httpx.Client(transport=Recorded(*answers))
    )


def whole(**more: Any) -> Answer:
    message = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return completion({"id": "x", "model": "m", "choices": [choice], **more})


def pieces(**last: Any) -> Answer:
    events = [
        {"id": "x", "choices": [{"index": 0, "delta": {"content": "Hi"}}]},
        {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **last},
    ]
    return stream(*(f"data: {json.dumps(event)}\n\n".encode() for event in events))


USAGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "DeepSeek's cache": (
        {**COUNTED, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5},
        {"input_token_details": {"cache_read": 4}},
    ),
    "Moonshot's cache": (
        {**COUNTED, "cached_tokens": 4},
        {"input_token_details": {"cache_read": 4}},
    ),
    "Anthropic's cache": (
        {**COUNTED, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2},
        {"input_token_details": {"cache_read": 4, "cache_creation": 2}},
    ),
    "OpenAI's cache": (
        {**COUNTED, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2}},
        {"input_token_details": {"cache_read": 4, "cache_creation": 2}},
    ),
    "DashScope's cache": (  # github.com/langchain4j/langchain4j-community/issues/788
        {
            **COUNTED,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_creation_input_tokens": 2,
                "cache_type": "ephemeral",
            },
        },
        {"input_token_details": {"cache_read": 0, "cache_creation": 2}},
    ),
    "LiteLLM's cache": (
        {**COUNTED, "prompt_tokens_details": {"cached_tokens": 4, "cache_creation_tokens": 2}},
        {"input_token_details": {"cache_read": 4, "cache_creation": 2}},
    ),
    "Mistral's cache": (  # github.com/vercel/ai/issues/14382
        {**COUNTED, "num_cached_tokens": 4},
        {"input_token_details": {"cache_read": 4}},
    ),
    "details that are null": (
        {**COUNTED, "prompt_tokens_details": {"cached_tokens": None}, "cached_tokens": 4},
        {"input_token_details": {"cache_read": 4}},
    ),
    "Perplexity's reasoning": (
        {**COUNTED, "reasoning_tokens": 3},
        {"output_token_details": {"reasoning": 3}},
    ),
    "the details themselves": (
        {**COUNTED, "prompt_cache_hit_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}},
        {"input_token_details": {"cache_read": 3}},
    ),
    "what is not a count": ({**COUNTED, "cached_tokens": "four"}, {}),
}


@pytest.mark.parametrize("case", USAGES)
async def test_tokens_counted_beside_the_details_are_details(case: str):
    given, details = USAGES[case]
    expected = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14, **details}
    streamed = reduce(add, chat(pieces(usage=given))[0].stream("Hi"))
    for message in (chat(whole(usage=given))[0].invoke("Hi"), streamed):
        assert message.usage_metadata == expected
        assert message.response_metadata["token_usage"] == given
    read, written = map(
        details.get("input_token_details", {}).get, ("cache_read", "cache_creation")
    )
    for response in (
        llm(whole(usage=given)).chat([ChatMessage("Hi")]),
        list(llm(pieces(usage=given)).stream_chat([ChatMessage("Hi")]))[-1],
    ):
        assert response.additional_kwargs["prompt_tokens"] == 9
        raw = response.raw["usage"]
        assert raw.items() >= {k: v for k, v in given.items() if k[:6] != "prompt"}.items()
        counted = response.additional_kwargs.get("prompt_tokens_details", {})
        assert raw.get("prompt_tokens_details", {}) == counted
        assert counted.get("cached_tokens") == read
        assert counted.get("cache_write_tokens") == written


async def test_groqs_usage_within_a_field_of_its_own_is_counted():
    of_groq = {"x_groq": {"id": "r", "usage": {**COUNTED, "queue_time": 0.1}}}
    model, _ = chat(pieces(**of_groq))
    for message in (
        reduce(add, model.stream("Hi")),
        reduce(add, [one async for one in model.astream("Hi")]),
    ):
        assert message.usage_metadata["total_tokens"] == 14
        assert message.response_metadata["x_groq"] == of_groq["x_groq"]
    last = list(llm(pieces(**of_groq)).stream_chat([ChatMessage("Hi")]))[-1]
    assert last.additional_kwargs["total_tokens"] == 14
    assert last.raw["usage"]["total_tokens"] == 14


def test_the_usage_itself_counts_where_groq_tells_both():
    both = {"usage": COUNTED, "x_groq": {"usage": {**COUNTED, "total_tokens": 99}}}
    message = reduce(add, chat(pieces(**both))[0].stream("Hi"))
    assert message.usage_metadata["total_tokens"] == 14


@pytest.mark.parametrize("answer", [whole, pieces])
def test_fields_of_the_body_named_as_ours_are_kept(answer: Any):
    body = {"cost": {"usd": 0.1}, "usage": COUNTED, "model_name": "theirs", "finish_reason": "x"}
    model, _ = chat(answer(**body, model="m"))
    message = reduce(add, model.stream("Hi")) if answer is pieces else model.invoke("Hi")
    assert message.response_metadata["cost"] == {"usd": 0.1}
    assert message.response_metadata["request_id"] == "req-1"
    assert message.response_metadata["model_name"] == "m"
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["extra"] == {"model_name": "theirs", "finish_reason": "x"}


@pytest.mark.parametrize("answer", [whole, pieces])
def test_a_request_id_of_the_body_is_kept(answer: Any):
    def without_header() -> httpx.Response:
        response = answer(request_id="body-1")()
        del response.headers["x-request-id"]
        return response

    model, _ = chat(without_header)
    message = reduce(add, model.stream("Hi")) if answer is pieces else model.invoke("Hi")
    assert message.response_metadata["request_id"] == "body-1"
    beside, _ = chat(answer(request_id="body-1"))
    message = reduce(add, beside.stream("Hi")) if answer is pieces else beside.invoke("Hi")
    assert message.response_metadata["request_id"] == "req-1"
    assert message.response_metadata["extra"] == {"request_id": "body-1"}


class Ends(BaseCallbackHandler):
    """Keeps the results that callbacks are given."""

    def __init__(self) -> None:
        self.results: list[LLMResult] = []

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.results.append(response)


async def test_llm_output_tells_who_answered_and_the_tokens_of_all_calls():
    usage = {**COUNTED, "cost": 0.5, "prompt_tokens_details": {"cached_tokens": 1}}
    model, _ = chat(whole(usage=usage))
    ends = Ends()
    asked: Any = [[HumanMessage("Hi")], [HumanMessage("Ho")]]
    for result in (
        model.generate(asked, callbacks=[ends]),
        await model.agenerate(asked, callbacks=[ends]),
    ):
        assert result.llm_output == {
            "model_provider": "sunra",
            "model_name": "a/b",
            "token_usage": {
                "prompt_tokens": 18,
                "completion_tokens": 10,
                "total_tokens": 28,
                "cost": 1.0,
                "prompt_tokens_details": {"cached_tokens": 2},
            },
        }
    assert len(ends.results) == 4
    for result in ends.results:
        assert result.llm_output is not None
        assert result.llm_output["token_usage"] == usage
        assert result.llm_output["model_name"] == "m"


async def test_an_answer_from_the_cache_costs_nothing_and_says_so():
    usage = {**COUNTED, "cost": 0.5, "cost_details": {"upstream_inference_cost": 0.4}}
    model, wire = chat(whole(usage=usage, cost={"usd": 0.5}), cache=InMemoryCache())
    paid = model.invoke("Hi")
    for _ in range(2):
        for answer in (model.invoke("Hi"), await model.ainvoke("Hi")):
            metadata = answer.response_metadata
            assert answer.text == "Hi"
            assert metadata["cost"] == 0
            assert metadata["extra"] == {"cost": 0}
            assert metadata["cached"] is True
            assert metadata["token_usage"] == {**COUNTED, "cost": 0}
            assert answer.usage_metadata["total_tokens"] == 14
    assert len(wire.sent) == 1
    assert paid.response_metadata["cost"] == 0.5
    assert paid.response_metadata["token_usage"] == usage
    assert paid.response_metadata["extra"] == {"cost": {"usd": 0.5}}
    assert "cached" not in paid.response_metadata
    assert model.generate([[HumanMessage("Hi")]]).llm_output == {}

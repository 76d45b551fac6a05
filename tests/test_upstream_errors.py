"""What the server behind a gateway said reaches the user, however it came, in both adapters."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from llama_index.core.base.llms.types import ChatMessage

from sunra_integrations import errors
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from tests.recorded_transport import Answer, Recorded, completion, status, stream

KEY = "sk-look/for.me-0123456789"

Ask = Callable[[Recorded, int], Awaitable[Any]]


def chat(wire: Recorded, retries: int) -> ChatSunra:
    return ChatSunra(
        model="a/b",
        api_key=KEY,
        max_retries=retries,
        http_client=httpx.Client(transport=wire),
        http_async_client=httpx.AsyncClient(transport=wire),
    )


def llm(wire: Recorded, retries: int) -> Sunra:
    return Sunra(
        model="a/b",
        api_key=KEY,
        max_retries=retries,
        http_client=httpx.Client(transport=wire),
        async_http_client=httpx.AsyncClient(transport=wire),
    )


async def invoke(wire: Recorded, retries: int = 0) -> Any:
    return chat(wire, retries).invoke("Hi")


async def ainvoke(wire: Recorded, retries: int = 0) -> Any:
    return await chat(wire, retries).ainvoke("Hi")


async def llama_chat(wire: Recorded, retries: int = 0) -> Any:
    return llm(wire, retries).chat([ChatMessage("Hi")])


async def llama_achat(wire: Recorded, retries: int = 0) -> Any:
    return await llm(wire, retries).achat([ChatMessage("Hi")])


async def lc_stream(wire: Recorded, retries: int = 0) -> Any:
    return list(chat(wire, retries).stream("Hi"))


async def lc_astream(wire: Recorded, retries: int = 0) -> Any:
    return [one async for one in chat(wire, retries).astream("Hi")]


async def llama_stream(wire: Recorded, retries: int = 0) -> Any:
    return list(llm(wire, retries).stream_chat([ChatMessage("Hi")]))


async def llama_astream(wire: Recorded, retries: int = 0) -> Any:
    return [one async for one in await llm(wire, retries).astream_chat([ChatMessage("Hi")])]


WHOLE: list[Ask] = [invoke, ainvoke, llama_chat, llama_achat]
STREAMED: list[Ask] = [lc_stream, lc_astream, llama_stream, llama_astream]


def event(value: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n".encode()


BEGUN = event({"choices": [{"index": 0, "delta": {"content": "Ha"}}]})

ERRORS: dict[str, tuple[dict[str, Any], type[errors.SunraError], str, Any]] = {
    "OpenRouter's, as JSON": (
        {
            "message": "Provider returned error",
            "code": 400,
            "metadata": {
                "raw": '{"error":{"message":"At most 1 image."}}',
                "provider_name": "Crucible",
            },
        },
        errors.BadRequest,
        "Provider returned error|Crucible: At most 1 image.",
        {
            "metadata": {
                "raw": '{"error":{"message":"At most 1 image."}}',
                "provider_name": "Crucible",
            }
        },
    ),
    "OpenRouter's, as text": (
        {"message": "Provider returned error", "code": 429, "metadata": {"raw": "busy upstream"}},
        errors.RateLimited,
        "Provider returned error|Upstream: busy upstream.",
        {"metadata": {"raw": "busy upstream"}},
    ),
    "OpenRouter's, as an object": (
        {"message": "No", "code": 400, "metadata": {"raw": {"detail": [{"msg": "too small"}]}}},
        errors.BadRequest,
        "No|Upstream: too small.",
        {"metadata": {"raw": {"detail": [{"msg": "too small"}]}}},
    ),
    "an upstream's context overflow": (
        {
            "message": "Provider returned error",
            "code": 400,
            "metadata": {"raw": '{"error": {"message": "m", "code": "context_length_exceeded"}}'},
        },
        errors.ContextOverflow,
        "Provider returned error|Upstream: m. Send fewer or shorter messages",
        {"metadata": {"raw": '{"error": {"message": "m", "code": "context_length_exceeded"}}'}},
    ),
    "an upstream's own key is not ours": (
        {
            "message": "Provider returned error",
            "code": 502,
            "metadata": {"raw": '{"error": {"message": "m", "code": "invalid_api_key"}}'},
        },
        errors.ServerFailed,
        "Provider returned error|Upstream: m.",
        {"metadata": {"raw": '{"error": {"message": "m", "code": "invalid_api_key"}}'}},
    ),
    "Groq's": (
        {
            "message": "Tool call validation failed",
            "type": "invalid_request_error",
            "code": "tool_use_failed",
            "failed_generation": "<function=x>",
        },
        errors.BadRequest,
        "The model wrote: <function=x>.",
        {"failed_generation": "<function=x>"},
    ),
    "a parameter that the model does not support": (
        {
            "message": "Function tools with reasoning_effort are not supported for gpt-5.6 in "
            "/v1/chat/completions.",
            "type": "invalid_request_error",
            "param": "reasoning_effort",
            "code": None,
        },
        errors.UnsupportedParameter,
        'gpt-5.6|`reasoning_effort="none"`|a request without tools',
        {"param": "reasoning_effort"},
    ),
    "with details and more": (
        {"message": "No", "code": 400, "details": {"a": 1}, "param": "n"},
        errors.BadRequest,
        "No",
        {"a": 1, "param": "n"},
    ),
}


async def failed(ask: Ask, answer: Answer) -> errors.SunraError:
    with pytest.raises(errors.SunraError) as caught:
        await ask(Recorded(answer))
    return caught.value


@pytest.mark.parametrize("case", ERRORS)
async def test_an_upstreams_words_are_in_the_message_and_its_fields_in_the_details(case: str):
    error, kind, says, details = ERRORS[case]
    code = error["code"] if isinstance(error["code"], int) else 400
    body = {"error": error}
    choice = {"index": 0, "delta": {}, "message": {}, "finish_reason": "error", "error": error}
    ways: list[tuple[list[Ask], Answer]] = [
        ([*WHOLE, *STREAMED], status(code, json.dumps(body).encode())),
        ([*WHOLE, *STREAMED], status(code, json.dumps([body]).encode())),
        (WHOLE, completion(body)),
        (WHOLE, completion(json.dumps([body]).encode())),
        (WHOLE, completion({"choices": [choice]})),
        (STREAMED, stream(BEGUN, event(body))),
        (STREAMED, stream(BEGUN, event([body]))),
        (STREAMED, stream(BEGUN, event({"choices": [choice]}))),
        (STREAMED, stream(BEGUN, event(error, "error"))),
        (STREAMED, stream(json.dumps(body).encode())),
    ]
    for asks, answer in ways:
        for ask in asks:
            raised = await failed(ask, answer)
            assert isinstance(raised, kind), ask
            for words in says.split("|"):
                assert words in str(raised)
            assert raised.details == details


TEXTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a text": ({"error": "It broke."}, {}),
    "a text in a choice": ({"choices": [{"index": 0, "error": "It broke."}]}, {}),
    "a text and its kind": (
        {"error": "It broke.", "error_type": "generation", "hint": "h"},
        {"type": "generation", "details": {"hint": "h"}},
    ),
    "a message and nothing else": (
        {"message": "It broke.", "request_id": "r"},
        {"request_id": "r"},
    ),
    "a detail and nothing else": ({"detail": "It broke."}, {}),
    "AWS's": ({"Message": "It broke.", "__type": "a#BrokeException"}, {"type": "BrokeException"}),
    "Baidu's": (
        {"error_code": 17, "error_msg": "It broke."},
        {"details": {"error_code": 17, "error_msg": "It broke."}},
    ),
    "a name and a sentence": ({"error": "Broken", "message": "It broke."}, {}),
    "a list of texts": ({"error": ["It broke."]}, {}),
    "Groq's own field": ({"choices": [], "x_groq": {"id": "r", "error": "It broke."}}, {}),
    "a list": ({"error": [{"message": "It broke."}]}, {}),
    "a list by another name": ({"errors": [{"code": 7, "message": "It broke."}]}, {"code": "7"}),
}


@pytest.mark.parametrize("case", TEXTS)
async def test_an_error_need_not_be_an_object(case: str):
    body, known = TEXTS[case]
    for ask in WHOLE:
        raised = await failed(ask, completion(body))
        assert "It broke" in str(raised)
        assert {name: getattr(raised, name) for name in known} == known
    for ask in STREAMED:
        raised = await failed(ask, stream(BEGUN, event(body)))
        assert "It broke" in str(raised)
        assert raised.partial.text == "Ha"


async def test_an_object_that_is_no_error_does_not_fail_an_answer():
    ended = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    for ask in STREAMED:
        await ask(Recorded(stream(BEGUN, event({"message": "thinking"}), ended)))
        await ask(Recorded(stream(BEGUN, ended, event({"message": "bye"}))))


async def test_all_errors_of_a_list_are_told():
    several = [{"error": {"message": "One."}}, {"error": {"message": "Two.", "code": 400}}]
    for ask in STREAMED:
        raised = await failed(ask, stream(event(several)))
        assert "One.; Two" in str(raised)
        assert raised.details == several


async def test_a_strangers_words_are_shortened_and_cannot_forge_a_line():
    raw = "\x1b[2J\nERROR forged" + "x" * 100_000
    error = {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}
    for ask in (*WHOLE, *STREAMED):
        raised = await failed(ask, status(400, json.dumps({"error": error}).encode()))
        assert len(str(raised)) < 2_000
        assert not {"\x1b", "\n"} & set(str(raised))
        assert raised.details["metadata"]["raw"] == raw


@pytest.mark.parametrize("levels", [3, 8])
async def test_errors_within_errors_are_read_to_a_bounded_depth(levels: int):
    body: Any = {"error": {"message": "the innermost"}}
    for _ in range(levels):
        raw = json.dumps(body)
        body = {"error": {"message": "outer", "code": 400, "metadata": {"raw": raw}}}
    raised = await failed(invoke, completion(body))
    assert "outer" in str(raised)
    assert isinstance(raised, errors.BadRequest)


QUOTED: dict[str, Any] = {
    "in the message": {"error": {"message": f"Incorrect API key provided: {KEY}.", "code": KEY}},
    "by the upstream": {"error": {"message": "No", "metadata": {"raw": f"key {KEY}", KEY: [KEY]}}},
    "in findings": {"detail": [{"loc": ["header", "key"], "msg": KEY, "input": KEY}]},
    "elsewhere": {"error": {"message": "No", "type": KEY, "reason": KEY}, "request_id": KEY},
}


@pytest.mark.parametrize("case", QUOTED)
async def test_a_key_that_is_quoted_is_in_no_error(case: str):
    body = json.dumps(QUOTED[case]).encode()
    ways: list[tuple[list[Ask], Answer]] = [
        ([*WHOLE, *STREAMED], status(401, body, x_request_id=KEY)),
        ([*WHOLE, *STREAMED], status(401, body.replace(b"/", b"\\/"))),
        (WHOLE, completion(body)),
        (STREAMED, stream(BEGUN, b"event: error\ndata: " + body + b"\n\n")),
    ]
    for asks, answer in ways:
        for ask in asks:
            raised = await failed(ask, answer)
            shown = [repr(raised), repr(vars(raised)), *traceback.format_exception(raised)]
            assert KEY not in "".join(shown)
            assert KEY.encode() not in pickle.dumps(raised)
            assert raised.response is None or KEY not in str(raised.response.json())
    assert "[the key]" in str(raised) + str(raised.details) + str(raised.type)


async def test_a_key_that_is_quoted_is_in_no_excerpt():
    for ask in WHOLE:
        raised = await failed(ask, completion(f"<p>{KEY} is not a key".encode()))
        assert "[the key] is not a key" in str(raised)
        assert KEY not in repr(vars(raised))


@pytest.mark.parametrize("ask", [*WHOLE, *STREAMED])
async def test_a_retry_is_logged_with_its_cause_its_model_and_the_request_and_no_key(
    ask: Ask, caplog: pytest.LogCaptureFixture
):
    busy = json.dumps({"error": {"message": f"Slow down,\n{KEY}."}, "request_id": "req-7"})
    refused = status(400, b"{}")
    with caplog.at_level(logging.INFO, "sunra_integrations"), pytest.raises(errors.BadRequest):
        await ask(Recorded(status(429, busy.encode(), retry_after="0"), refused), 1)
    [line] = [one.getMessage() for one in caplog.records if one.levelno == logging.INFO]
    assert line == (
        "Sunra: retrying in 0.00 s (attempt 2), model a/b, after RateLimited (Retry-After: 0 s): "
        "Slow down, [the key] (HTTP 429, request req-7)."
    )

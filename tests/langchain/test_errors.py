"""Every error of the core as LangChain knows it."""

from __future__ import annotations

import copy
import pickle
import traceback

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core import exceptions

from sunra_integrations import errors
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.langchain import errors as langchain_errors
from sunra_integrations.langchain import model_errors as core
from tests.recorded_transport import Answer, Recorded, completion, status, stream
from tests.wire_cases import completion_bytes, stream_bytes

LANGCHAIN: dict[str, type[Exception]] = {
    "SunraError": core.ModelError,
    "ConfigurationError": core.ModelError,
    "RequirementNotMet": core.ModelError,
    "BudgetExceeded": core.ModelError,
    "BadRequest": core.ModelInvalidRequestError,
    "InvalidParameter": core.ModelInvalidRequestError,
    "UnsupportedContent": core.ModelInvalidRequestError,
    "UnsupportedParameter": core.ModelInvalidRequestError,
    "ContextOverflow": core.ContextOverflowError,
    "ContentRejected": core.ModelInvalidRequestError,
    "AuthenticationFailed": core.ModelAuthenticationError,
    "PermissionDenied": core.ModelPermissionDeniedError,
    "InsufficientCredit": core.ModelPermissionDeniedError,
    "NotFound": core.ModelNotFoundError,
    "ModelNotFound": core.ModelNotFoundError,
    "RateLimited": core.ModelRateLimitError,
    "ServerFailed": core.ModelAPIError,
    "Overloaded": core.ModelAPIError,
    "ConnectionFailed": core.ModelConnectionError,
    "TimedOut": core.ModelTimeoutError,
    "UnreadableResponse": core.ModelAPIError,
    "StreamInterrupted": core.ModelAPIError,
    "ResponseTruncated": core.ModelAPIError,
    "Refused": core.ModelRefusalError,
}
CORE = sorted(set(errors.__all__) - {"ErrorResponse"})


@pytest.mark.parametrize("name", CORE)
def test_each_core_error_is_also_langchains(name: str):
    kind: type[errors.SunraError] = getattr(errors, name)
    twin = langchain_errors.as_model_error(kind("It broke."))
    assert isinstance(twin, kind)
    assert isinstance(twin, LANGCHAIN[name])
    assert isinstance(twin, langchain_errors.ChatSunraError)
    for ancestor in kind.__mro__:
        if ancestor in vars(errors).values() and ancestor is not errors.SunraError:
            assert isinstance(twin, getattr(langchain_errors, ancestor.__name__))


@pytest.mark.parametrize("name", CORE)
@pytest.mark.parametrize("retryable", [None, True, False])
def test_is_retryable_says_what_retryable_says(name: str, retryable: bool | None):
    kind: type[errors.SunraError] = getattr(errors, name)
    twin = langchain_errors.as_model_error(kind("It broke.", retryable=retryable))
    assert twin.is_retryable is twin.retryable
    assert twin.retryable is (kind.default_retryable if retryable is None else retryable)


def test_a_twin_keeps_everything_the_error_knew():
    known = {
        "status": 429,
        "code": "rate_limit",
        "type": "x",
        "reason": "y",
        "details": {"a": 1},
        "request_id": "req-1",
        "retryable": True,
        "retry_after": 2.0,
        "attempts": 3,
        "response": errors.ErrorResponse(429, {}, b"{}"),
        "partial": object(),
    }
    error = errors.RateLimited("Slow down.", **known)
    error.__cause__ = OSError("reset")
    twin = langchain_errors.as_model_error(error)
    assert {name: getattr(twin, name) for name in known} == known
    assert str(twin) == "Slow down."
    assert twin.__cause__ is error.__cause__


def test_a_twin_is_raised_with_the_traceback_and_without_the_error_it_stands_for():
    def breaks() -> None:
        raise errors.ServerFailed("It broke.")

    with (
        pytest.raises(langchain_errors.ServerFailed) as failed,
        langchain_errors.raised_as_model_errors(),
    ):
        breaks()
    text = "".join(traceback.format_exception(failed.value))
    assert "in breaks" in text
    assert "During handling" not in text


def test_a_twin_has_no_twin_of_its_own():
    twin = langchain_errors.InvalidParameter("No.", parameter="n", value=0, rule="from 1")
    assert langchain_errors.as_model_error(twin) is twin


@pytest.mark.parametrize("name", CORE)
def test_a_twin_survives_pickling_and_copying(name: str):
    twin = langchain_errors.as_model_error(getattr(errors, name)("It broke.", request_id="req-1"))
    pickled = pickle.loads(pickle.dumps(twin))  # noqa: S301 - our own
    for twice in (pickled, copy.deepcopy(twin)):
        assert type(twice) is type(twin)
        assert vars(twice) == vars(twin)


@pytest.mark.parametrize("name", core.__all__)
def test_langchain_cores_own_class_is_taken_where_it_has_one(name: str):
    assert getattr(exceptions, name, None) in {None, getattr(core, name)}
    assert issubclass(getattr(core, name), exceptions.LangChainException)


def test_the_list_of_names_is_complete():
    assert set(langchain_errors.__all__) >= set(CORE) - {"SunraError"}


CALLS: dict[str, tuple[Answer, type[Exception], bool]] = {
    "no credit": (status(402, b'{"error": "pay"}'), core.ModelPermissionDeniedError, False),
    "rate limit": (status(429), core.ModelRateLimitError, True),
    "no such model": (
        status(404, b'{"error": {"code": "MODEL_NOT_FOUND", "message": "none"}}'),
        core.ModelNotFoundError,
        False,
    ),
    "context": (
        status(400, b'{"error": {"code": "context_length_exceeded", "message": "long"}}'),
        core.ContextOverflowError,
        False,
    ),
    "said not to be retried": (
        status(500, b'{"error": {"message": "no", "retryable": false}}'),
        core.ModelAPIError,
        False,
    ),
    "error in a 200": (completion({"error": {"message": "broke"}}), core.ModelAPIError, True),
    "connection": (httpx.ConnectError("no route"), core.ModelConnectionError, True),
    "time": (httpx.ReadTimeout("slow"), core.ModelTimeoutError, True),
}


@pytest.mark.parametrize("case", CALLS)
async def test_a_failed_call_raises_langchains_error(case: str):
    answer, kind, retryable = CALLS[case]
    transport = Recorded(answer)
    model = ChatSunra(
        model="openai/gpt-4o",
        api_key="sk-made-up",
        max_retries=0,
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
    )
    with pytest.raises(kind) as failed:
        model.invoke("Hello")
    with pytest.raises(kind) as failed_async:
        await model.ainvoke("Hello")
    for error in (failed.value, failed_async.value):
        assert error.is_retryable is retryable
        assert "sk-made-up" not in "".join(traceback.format_exception(error))


def test_an_error_within_a_stream_is_langchains_and_holds_what_came():
    transport = Recorded(stream(stream_bytes("error_inside_a_choice")))
    model = ChatSunra(
        model="a/b", api_key="sk-made-up", http_client=httpx.Client(transport=transport)
    )
    with pytest.raises(core.ModelRateLimitError) as failed:
        list(model.stream("Hello"))
    assert failed.value.partial.text == "Hello"


def test_what_is_found_before_sending_is_langchains_too():
    model = ChatSunra(model="a/b", api_key="sk-made-up")
    with pytest.raises(core.ModelInvalidRequestError, match=r"messages\[0\]"):
        model.invoke([{"role": "user", "content": [{"type": "hologram"}]}])
    with pytest.raises(core.ModelInvalidRequestError, match="temperature"):
        model.invoke("Hello", temperature=3)


CUT = b'data: {"choices": [{"index": 0, "delta": {"content": "Half"}}]}\n\n'
BROKEN_OFF: dict[str, Answer] = {
    "a stream": stream(CUT),
    "a whole answer": stream(b'{"choices": [', httpx.ReadError("reset")),
}


@pytest.mark.parametrize("case", BROKEN_OFF)
async def test_an_interrupted_answer_is_retryable_and_only_who_asks_for_it_asks_again(case: str):
    def model(transport: Recorded) -> ChatSunra:
        return ChatSunra(
            model="a/b",
            api_key="sk-made-up",
            max_retries=2,
            streaming=case == "a stream",
            http_client=httpx.Client(transport=transport),
            http_async_client=httpx.AsyncClient(transport=transport),
        )

    whole = (
        stream(stream_bytes("plain"))
        if case == "a stream"
        else completion(completion_bytes("plain"))
    )
    alone = Recorded(BROKEN_OFF[case])
    with pytest.raises(errors.StreamInterrupted) as broken:
        model(alone).invoke("Hi")
    with pytest.raises(errors.StreamInterrupted):
        await model(alone).ainvoke("Hi")
    assert len(alone.sent) == 2  # one request for each call
    assert isinstance(broken.value, langchain_errors.StreamInterrupted)
    assert broken.value.retryable is broken.value.is_retryable is True
    assert errors.StreamInterrupted.default_retryable is True

    asked_again = Recorded(BROKEN_OFF[case], whole)
    patient = ModelRetryMiddleware(max_retries=1, initial_delay=0.0, on_failure="error")
    agent = create_agent(model(asked_again), [], middleware=[patient])
    assert agent.invoke({"messages": [("human", "Hi")]})["messages"][-1].text == "Hello"
    with_retry = Recorded(BROKEN_OFF[case], whole)
    twice = model(with_retry).with_retry(
        retry_if_exception_type=(core.ModelAPIError,), wait_exponential_jitter=False
    )
    assert twice.invoke("Hi").text == "Hello"
    assert len(asked_again.sent) == len(with_retry.sent) == 2

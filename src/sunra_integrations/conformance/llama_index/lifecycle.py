"""The LLM as an object: stored, copied, and used from several event loops."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from llama_index.core.llms.function_calling import FunctionCallingLLM

from sunra_integrations.conformance.llama_index.suite import (
    HEADER,
    KEY,
    METHODS,
    PROMPT,
    LLMSuite,
    as_chat,
    messages,
    run,
    sent,
)
from sunra_integrations.sandbox import Sandbox

_COPIES: Mapping[str, Callable[[FunctionCallingLLM], Any]] = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "model_copy": lambda llm: llm.model_copy(),
    "a deep model_copy": lambda llm: llm.model_copy(deep=True),
    "pickle": lambda llm: pickle.loads(pickle.dumps(llm)),
}
_CONCURRENT_CALLS = 5


class LifecycleTests(LLMSuite):
    """Storing, copying and sharing an LLM."""

    def test_no_secret_is_printed_or_stored(self, endpoint: Sandbox) -> None:
        secrets: dict[str, Any] = {"api_key": KEY}
        if self.takes_extra_headers:
            secrets["default_headers"] = {"x-one": HEADER}
        llm = self.make_llm(endpoint, **secrets)
        METHODS["chat"](llm)
        shown = {
            "repr": repr(llm),
            "str": str(llm),
            "to_dict": str(llm.to_dict()),
            "to_json": llm.to_json(),
            "to_payload": str(llm.to_payload()),
            "model_dump": str(llm.model_dump()),
            "model_dump_json": llm.model_dump_json(),
        }
        for method, text in shown.items():
            assert KEY not in text, method
            assert HEADER not in text, method

    def test_an_llm_can_be_restored_from_its_dict(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint, temperature=0.5, context_window=4321)
        again = type(llm).from_dict(llm.to_dict(), api_key=endpoint.api_key)
        assert again.to_dict() == llm.to_dict()
        again.complete(PROMPT)
        assert sent(endpoint)["temperature"] == 0.5

    @pytest.mark.parametrize("how", _COPIES)
    def test_a_copy_made_after_calls_works(
        self, endpoint: Sandbox, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        if self.key_variable is not None:
            monkeypatch.setenv(self.key_variable, endpoint.api_key)
        llm = self.make_llm(endpoint, temperature=0.5)
        for method in METHODS:
            METHODS[method](llm)
        again = _COPIES[how](llm)
        assert again.to_dict() == llm.to_dict()
        for method in METHODS:
            METHODS[method](again)
        assert sent(endpoint)["temperature"] == 0.5

    def test_a_pickle_loads_without_a_key(
        self, endpoint: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.needs("key_variable")
        llm = self.make_llm(endpoint)
        monkeypatch.delenv(str(self.key_variable), raising=False)
        again = _COPIES["pickle"](llm)  # an error here would hang a process pool that loads it
        with pytest.raises(self.failure, match=self.key_variable):
            again.complete(PROMPT)

    @pytest.mark.parametrize("method", METHODS)
    def test_a_changed_key_takes_effect(self, endpoint: Sandbox, method: str) -> None:
        llm = self.make_llm(endpoint, api_key="first-key")
        METHODS[method](llm)
        other = llm.model_copy(update={"api_key": "second-key"})
        METHODS[method](other)
        METHODS[method](llm)
        used = [request.headers["authorization"] for request in endpoint.requests]
        assert used == [f"Bearer {name}-key" for name in ("first", "second", "first")]

    def test_one_llm_serves_several_event_loops(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint)
        for _ in range(3):
            METHODS["achat"](llm)
            METHODS["astream_chat"](llm)
            METHODS["chat"](llm)

    def test_concurrent_calls_do_not_mix(self, endpoint: Sandbox) -> None:
        endpoint.answer_with(lambda request: as_chat(request)["messages"][-1]["content"])
        llm = self.make_llm(endpoint)
        prompts = [f"Number {number}." for number in range(_CONCURRENT_CALLS)]
        assert run(_complete_all(llm, prompts)) == prompts

    def test_the_users_http_clients_are_used_and_not_closed(self, endpoint: Sandbox) -> None:
        self.needs("takes_http_clients")
        with httpx.Client(headers={"x-mine": "yes"}) as mine:
            llm = self.make_llm(endpoint, http_client=mine)
            llm.chat(messages())
            del llm
            assert not mine.is_closed
        assert endpoint.requests[-1].headers["x-mine"] == "yes"
        run(self._check_async_client(endpoint))

    async def _check_async_client(self, endpoint: Sandbox) -> None:
        async with httpx.AsyncClient(headers={"x-mine": "async"}) as mine:
            llm = self.make_llm(endpoint, async_http_client=mine)
            await llm.achat(messages())
            del llm
            assert not mine.is_closed
        assert endpoint.requests[-1].headers["x-mine"] == "async"


async def _complete_all(llm: FunctionCallingLLM, prompts: list[str]) -> list[str]:
    responses = await asyncio.gather(*(llm.acomplete(prompt) for prompt in prompts))
    return [response.text for response in responses]

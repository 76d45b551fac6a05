"""An LLM as an object: stored, copied, used from several event loops, and its clients."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from llama_index.core.llms.function_calling import FunctionCallingLLM

from sunra_integrations.conformance.llama_index.asking import PROMPT, WAYS, asked, run
from sunra_integrations.conformance.llama_index.suite import HEADER, KEY, LLMSuite, sent
from sunra_integrations.sandbox import Sandbox

_COPIES: Mapping[str, Callable[[FunctionCallingLLM], Any]] = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "model_copy": lambda llm: llm.model_copy(),
    "a deep model_copy": lambda llm: llm.model_copy(deep=True),
    "pickle": lambda llm: pickle.loads(pickle.dumps(llm)),
}
_AT_ONCE = 5


class LifecycleTests(LLMSuite):
    """Storing, copying and sharing an LLM."""

    def test_no_secret_is_shown_or_stored(self, endpoint: Sandbox) -> None:
        secrets: dict[str, Any] = {"api_key": KEY}
        if self.takes_extra_headers:
            secrets["default_headers"] = {"x-one": HEADER}
        llm = self.make_llm(endpoint, **secrets)
        WAYS["chat"](llm)
        shown = {
            "repr": repr(llm),
            "str": str(llm),
            "to_dict": str(llm.to_dict()),
            "to_json": llm.to_json(),
            "to_payload": str(llm.to_payload()),
            "model_dump": str(llm.model_dump()),
            "model_dump_json": llm.model_dump_json(),
        }
        for way, text in shown.items():
            assert KEY not in text, way
            assert HEADER not in text, way

    def test_an_llm_comes_back_from_its_dict(self, endpoint: Sandbox) -> None:
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
        for way in WAYS:
            WAYS[way](llm)
        again = _COPIES[how](llm)
        assert again.to_dict() == llm.to_dict()
        for way in WAYS:
            WAYS[way](again)
        assert sent(endpoint)["temperature"] == 0.5

    def test_a_pickle_loads_where_there_is_no_key(
        self, endpoint: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.needs("key_variable")
        llm = self.make_llm(endpoint)
        monkeypatch.delenv(str(self.key_variable), raising=False)
        again = _COPIES["pickle"](llm)  # else a pool whose workers load it never ends
        with pytest.raises(self.failure, match=self.key_variable):
            again.complete(PROMPT)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_changed_key_takes_effect(self, endpoint: Sandbox, way: str) -> None:
        llm = self.make_llm(endpoint, api_key="first-key")
        WAYS[way](llm)
        other = llm.model_copy(update={"api_key": "second-key"})
        WAYS[way](other)
        WAYS[way](llm)
        used = [request.headers["authorization"] for request in endpoint.requests]
        assert used == [f"Bearer {name}-key" for name in ("first", "second", "first")]

    def test_one_llm_serves_several_event_loops(self, endpoint: Sandbox) -> None:
        llm = self.make_llm(endpoint)
        for _ in range(3):
            WAYS["achat"](llm)
            WAYS["astream_chat"](llm)
            WAYS["chat"](llm)

    def test_several_calls_at_once_do_not_mix(self, endpoint: Sandbox) -> None:
        endpoint.answer_with(lambda request: request["messages"][-1]["content"])
        llm = self.make_llm(endpoint)
        prompts = [f"Number {number}." for number in range(_AT_ONCE)]
        assert run(_together(llm, prompts)) == prompts

    def test_clients_of_the_users_own_are_used_and_not_closed(self, endpoint: Sandbox) -> None:
        self.needs("takes_http_clients")
        with httpx.Client(headers={"x-mine": "yes"}) as mine:
            llm = self.make_llm(endpoint, http_client=mine)
            llm.chat(asked())
            del llm
            assert not mine.is_closed
        assert endpoint.requests[-1].headers["x-mine"] == "yes"
        run(self._check_async_client(endpoint))

    async def _check_async_client(self, endpoint: Sandbox) -> None:
        async with httpx.AsyncClient(headers={"x-mine": "async"}) as mine:
            llm = self.make_llm(endpoint, async_http_client=mine)
            await llm.achat(asked())
            del llm
            assert not mine.is_closed
        assert endpoint.requests[-1].headers["x-mine"] == "async"


async def _together(llm: FunctionCallingLLM, prompts: list[str]) -> list[str]:
    responses = await asyncio.gather(*(llm.acomplete(prompt) for prompt in prompts))
    return [response.text for response in responses]

"""Objects of a class out of answers, in every way to ask for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.llms.llm import LLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from sunra_integrations.conformance.llama_index.asking import PREDICTIONS, WAYS, text_of
from sunra_integrations.conformance.llama_index.suite import LLMSuite, sent
from sunra_integrations.sandbox import CallTools, Message, Sandbox


class Verse(BaseModel):
    """A verse of a song."""

    words: str
    loud: bool = False


class Song(BaseModel):
    """A song."""

    title: str
    verses: list[Verse]


_PROMPT = PromptTemplate("A song, please.")
_WRITTEN = {"title": "Rain", "verses": [{"words": "la la", "loud": True}]}
_SONG = Song.model_validate(_WRITTEN)
_TEXT = json.dumps(_WRITTEN)
_MODES = (PydanticProgramMode.DEFAULT, PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM)


class StructuredTests(LLMSuite):
    """Structured prediction, as the LLM does it unless a mode is given."""

    @pytest.mark.parametrize("way", PREDICTIONS)
    @pytest.mark.parametrize("mode", _MODES)
    def test_an_object_is_predicted(
        self, endpoint: Sandbox, way: str, mode: PydanticProgramMode
    ) -> None:
        endpoint.answer_with(_sing)
        objects = PREDICTIONS[way](
            self.make_llm(endpoint, pydantic_program_mode=mode), Song, _PROMPT
        )
        assert objects[-1] == _SONG
        assert isinstance(objects[-1], Song)

    @pytest.mark.parametrize("way", [way for way in PREDICTIONS if "stream" in way])
    def test_an_object_can_be_seen_growing(self, endpoint: Sandbox, way: str) -> None:
        endpoint.answer_with(_sing)
        objects = PREDICTIONS[way](self.make_llm(endpoint), Song, _PROMPT)
        assert len({one.model_dump_json() for one in objects}) > 1

    @pytest.mark.parametrize("way", PREDICTIONS)
    @pytest.mark.parametrize("mode", _MODES)
    def test_the_system_prompt_is_kept(
        self, endpoint: Sandbox, way: str, mode: PydanticProgramMode
    ) -> None:
        endpoint.answer_with(_sing)
        fields: dict[str, Any] = {"system_prompt": "Be brief.", "pydantic_program_mode": mode}
        PREDICTIONS[way](self.make_llm(endpoint, **fields), Song, _PROMPT)
        first, *_ = sent(endpoint)["messages"]
        assert first == {"role": "system", "content": "Be brief."}

    @pytest.mark.parametrize("way", PREDICTIONS)
    def test_a_function_program_requires_the_call(self, endpoint: Sandbox, way: str) -> None:
        endpoint.answer_with(_sing)
        llm = self.make_llm(endpoint, pydantic_program_mode=PydanticProgramMode.FUNCTION)
        PREDICTIONS[way](llm, Song, _PROMPT)
        named = {"type": "function", "function": {"name": "Song"}}
        assert sent(endpoint)["tool_choice"] in ("required", named)

    @pytest.mark.parametrize("way", PREDICTIONS)
    @pytest.mark.parametrize(
        "text",
        [f"```json\n{_TEXT}\n```", f"```\n{_TEXT}\n```", f"Here it is:\n{_TEXT}\nEnjoy!"],
        ids=["json fence", "bare fence", "words around"],
    )
    def test_an_object_is_found_in_a_fence_and_among_words(
        self, endpoint: Sandbox, way: str, text: str
    ) -> None:
        self.needs("predicts_natively")
        endpoint.next(text)
        assert PREDICTIONS[way](self.make_llm(endpoint), Song, _PROMPT)[-1] == _SONG

    @pytest.mark.parametrize("way", PREDICTIONS)
    def test_a_refusal_is_an_error_that_tells_it(self, endpoint: Sandbox, way: str) -> None:
        refusal = {"role": "assistant", "content": None, "refusal": "I cannot sing."}
        endpoint.next(Message(refusal))
        with pytest.raises(Exception, match="I cannot sing") as failed:
            PREDICTIONS[way](self.make_llm(endpoint), Song, _PROMPT)
        assert not isinstance(failed.value, AssertionError)

    @pytest.mark.parametrize("way", PREDICTIONS)
    def test_what_is_no_object_is_an_error(self, endpoint: Sandbox, way: str) -> None:
        endpoint.next("La la la.")
        with pytest.raises(Exception, match=r".") as failed:
            PREDICTIONS[way](self.make_llm(endpoint), Song, _PROMPT)
        assert not isinstance(failed.value, AssertionError)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_structured_llm_answers_in_every_way(self, endpoint: Sandbox, way: str) -> None:
        endpoint.answer_with(_sing)
        llm: LLM = self.make_llm(endpoint).as_structured_llm(Song)
        last = WAYS[way](llm)[-1]
        assert last.raw == _SONG
        assert Song.model_validate_json(text_of(last)) == _SONG


def _sing(request: dict[str, Any]) -> CallTools | str:
    """The song, in the form it was asked for."""
    if "tools" in request:
        return CallTools((request["tools"][0]["function"]["name"], _TEXT))
    return _TEXT

"""The framework's programs over `Sunra`: their objects are what the model wrote, or an error."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.program import FunctionCallingProgram
from pydantic import BaseModel, Field, ValidationError

from sunra_integrations.errors import Refused, ResponseTruncated, UnreadableResponse
from tests.llama_index.answers import call, said, streamed
from tests.recorded_transport import Answer


class Song(BaseModel):
    """A song."""

    title: str
    artist: str
    year: int = 1970
    label: str = "Apple"


class Named(BaseModel):
    """With a name for the wire."""

    title: str = Field(alias="theTitle")
    year: int = 1970


def flowing(*pieces: str, name: str = "Song", finish_reason: str = "tool_calls") -> Answer:
    begin = {"tool_calls": [call("c1", name, "", index=0)]}
    rest = [{"tool_calls": [{"index": 0, "function": {"arguments": one}}]} for one in pieces]
    return streamed(begin, *rest, finish_reason=finish_reason)


def program(line: Any, answer: Answer, kind: type[BaseModel] = Song, **fields: Any) -> Any:
    return FunctionCallingProgram.from_defaults(
        kind, prompt_template_str="A song.", llm=line(answer).llm, **fields
    )


async def objects(asked: Any) -> list[list[Any]]:
    return [list(asked.stream_call()), [one async for one in await asked.astream_call()]]


PIECES = {
    "a string in pieces": ('{"title": "Hey', ' Jude", "artist": "', "The Bea", 'tles"}'),
    "one default given": ('{"title": "Hey Jude", "artist": "The Beatles"', ', "ye', 'ar": 1968}'),
    "a number in pieces": ('{"artist": "The Beatles", "title": "Hey Jude", "year": 19', "68}"),
    "all at once": ('{"title": "Hey Jude", "artist": "The Beatles", "year": 1968}',),
}


@pytest.mark.parametrize("name", PIECES)
async def test_the_last_object_of_a_stream_is_what_the_model_wrote(line, name) -> None:
    written = "".join(PIECES[name])
    for each in await objects(program(line, flowing(*PIECES[name]))):
        assert each[-1] == Song.model_validate_json(written)


async def test_objects_on_the_way_leave_unfinished_strings_out(line) -> None:
    for each in await objects(program(line, flowing(*PIECES["a string in pieces"]))):
        assert [one.artist for one in each][:4] == [None, None, None, None]
        assert [one.title for one in each][:3] == [None, None, "Hey Jude"]


async def test_parallel_calls_are_objects_each(line) -> None:
    both = streamed(
        {"tool_calls": [call("c1", "Song", '{"title": "a", "artist": "b"', index=0)]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ', "year": 1968}'}}]},
        {"tool_calls": [call("c2", "Song", '{"title": "c", "artist": "d"}', index=1)]},
        finish_reason="tool_calls",
    )
    expected = [Song(title="a", artist="b", year=1968), Song(title="c", artist="d")]
    for each in await objects(program(line, both, allow_parallel_tool_calls=True)):
        assert each[-1] == expected


async def test_a_class_with_an_alias_is_left_as_the_model_wrote_it(line) -> None:
    pieces = ('{"theTitle": "Hey Jude", ', '"year": 1968}')
    for each in await objects(program(line, flowing(*pieces, name="Named"), Named)):
        assert isinstance(each[-1], Named)


CUT = ('{"title": "Hey Jude", "artist": "The', " Beat")


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_a_stream_that_was_cut_off_ends_in_the_error(line, reason, caplog) -> None:
    caplog.set_level(logging.CRITICAL)  # the program logs what it cannot read
    asked = program(line, flowing(*CUT, finish_reason=reason))
    with pytest.raises(ResponseTruncated) as raised:
        list(asked.stream_call())
    assert raised.value.text == "".join(CUT)
    assert raised.value.usage["completion_tokens"] == 2
    later = await asked.astream_call()
    with pytest.raises(ResponseTruncated):
        _ = [one async for one in later]


async def test_a_stream_with_broken_arguments_ends_in_an_error(line) -> None:
    asked = program(line, flowing(*CUT))
    with pytest.raises(UnreadableResponse, match="'Song'"):
        list(asked.stream_call())


ENDED = {
    "within the arguments": (call("c1", "Song", "".join(CUT)),),
    "before the call": (),
    "before the arguments": (call("c1", "Song", ""),),
    "before the second call": (call("c1", "Song", '{"title": "a", "artist": "b"}'),),
}


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("name", ENDED)
async def test_an_answer_that_was_cut_off_is_an_error(line, name, parallel) -> None:
    message = {"tool_calls": list(ENDED[name])} if ENDED[name] else {}
    asked = program(
        line,
        said(None, finish_reason="length", **message),
        allow_parallel_tool_calls=parallel,
    )
    with pytest.raises(ResponseTruncated, match="Song"):
        asked()
    with pytest.raises(ResponseTruncated, match="Song"):
        await asked.acall()


def test_a_required_call_that_was_cut_off_before_it_began_is_an_error(line) -> None:
    response = line(said(None, finish_reason="length")).llm.chat([ChatMessage("Hi")])
    with pytest.raises(ResponseTruncated, match="tool call"):
        line().llm.get_tool_calls_from_response(response)


@pytest.mark.parametrize("written", ["", "{}", '{"artist": "x"}', '{"title": "Hey", "year": "no"}'])
async def test_a_stream_whose_whole_call_does_not_fit_the_class_ends_in_an_error(line, written):
    asked = program(line, flowing(written))
    with pytest.raises(ValidationError):
        list(asked.stream_call())
    with pytest.raises(ValidationError):
        [one async for one in await asked.astream_call()]


async def test_a_stream_without_a_call_ends_in_an_error(line):
    asked = program(line, streamed({"content": "I can"}, {"content": "not."}))
    with pytest.raises(ValueError, match=r"called no tool. It replied: I cannot\."):
        list(asked.stream_call())
    with pytest.raises(ValueError, match=r"called no tool. It replied: I cannot\."):
        [one async for one in await asked.astream_call()]


async def test_a_refusal_is_one_in_programs_too(line):
    asked = program(line, streamed({"refusal": "I will not."}))
    with pytest.raises(Refused, match="I will not"):
        list(asked.stream_call())
    with pytest.raises(Refused, match="I will not"):
        [one async for one in await asked.astream_call()]
    with pytest.raises(Refused, match="I will not"):
        program(line, said(None, refusal="I will not."))()

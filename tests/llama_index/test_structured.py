"""Objects of a class out of answers: natively, by a required tool call, by JSON mode."""

from __future__ import annotations

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.program import FunctionCallingProgram, LLMTextCompletionProgram
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, ValidationError

from sunra_integrations.errors import (
    InvalidParameter,
    Refused,
    ResponseTruncated,
    UnreadableResponse,
)
from tests.llama_index.answers import USAGE, call, said, streamed, streamed_into
from tests.recorded_transport import Answer, Body


class Verse(BaseModel):
    """A verse of a song."""

    words: str
    loud: bool = False


class Song(BaseModel):
    """A song."""

    title: str
    verses: list[Verse]


class Open(BaseModel):
    """Anything at all."""

    values: dict[str, int]


SONG = '{"title": "a", "verses": [{"words": "la", "loud": true}]}'
EXPECTED = Song(title="a", verses=[Verse(words="la", loud=True)])
PROMPT = PromptTemplate("A song about {topic}.")
CALLED = said(None, tool_calls=[call("c1", "Song", SONG)])

MODES = {
    PydanticProgramMode.DEFAULT: said(SONG),
    PydanticProgramMode.LLM: said(SONG),
    PydanticProgramMode.FUNCTION: CALLED,
}
FLOWING = {
    PydanticProgramMode.DEFAULT: streamed(*[SONG[i : i + 5] for i in range(0, len(SONG), 5)]),
    PydanticProgramMode.LLM: streamed("```json\n", SONG[:20], SONG[20:], "\n```"),
    PydanticProgramMode.FUNCTION: streamed(
        {"tool_calls": [call("c1", "Song", SONG[:20], index=0)]},
        {"tool_calls": [{"index": 0, "function": {"arguments": SONG[20:]}}]},
        finish_reason="tool_calls",
    ),
}


@pytest.mark.parametrize("mode", MODES)
async def test_an_object_is_predicted_and_the_system_prompt_kept(line, mode) -> None:
    told = line(MODES[mode], pydantic_program_mode=mode, system_prompt="Be {brief}.")
    given = {"temperature": 0}
    assert told.llm.structured_predict(Song, PROMPT, given, topic="rain") == EXPECTED
    assert await told.llm.astructured_predict(Song, PROMPT, given, topic="rain") == EXPECTED
    for sent in told.wire.bodies:
        system, user = sent["messages"]
        assert system == {"role": "system", "content": "Be {brief}."}
        assert "A song about rain." in str(user["content"])
        assert sent["temperature"] == 0
    assert given == {"temperature": 0}


@pytest.mark.parametrize("mode", FLOWING)
async def test_an_object_is_streamed_and_the_last_is_whole(line, mode) -> None:
    told = line(FLOWING[mode], pydantic_program_mode=mode, system_prompt="Be brief.")
    objects = list(told.llm.stream_structured_predict(Song, PROMPT, topic="rain"))
    later = [o async for o in await told.llm.astream_structured_predict(Song, PROMPT, topic="rain")]
    assert objects[-1] == later[-1] == EXPECTED
    assert [o.model_dump() for o in objects] == [o.model_dump() for o in later]
    assert len({str(o.verses) for o in objects}) > 1
    for sent in told.wire.bodies:
        assert [message["role"] for message in sent["messages"]] == ["system", "user"]


def test_the_native_way_asks_with_a_strict_schema(line) -> None:
    told = line(said(SONG))
    told.llm.structured_predict(Song, PROMPT, topic="rain")
    asked = told.sent["response_format"]
    assert (asked["type"], asked["json_schema"]["name"]) == ("json_schema", "Song")
    assert asked["json_schema"]["strict"] is True
    verse = asked["json_schema"]["schema"]["$defs"]["Verse"]
    assert (verse["required"], verse["additionalProperties"]) == (["words", "loud"], False)
    assert "tools" not in told.sent


def test_a_schema_that_cannot_be_strict_is_sent_as_it_is(line) -> None:
    told = line(said('{"values": {"a": 1}}'))
    assert told.llm.structured_predict(Open, PROMPT, topic="rain").values == {"a": 1}
    assert "strict" not in told.sent["response_format"]["json_schema"]
    with pytest.raises(InvalidParameter, match="free-form"):
        line(strict=True).llm.structured_predict(Open, PROMPT, topic="rain")


def test_a_required_tool_call_is_asked_for(line) -> None:
    told = line(CALLED, pydantic_program_mode=PydanticProgramMode.FUNCTION)
    told.llm.structured_predict(Song, PROMPT, topic="rain")
    flowing = line(
        FLOWING[PydanticProgramMode.FUNCTION], pydantic_program_mode=PydanticProgramMode.FUNCTION
    )
    list(flowing.llm.stream_structured_predict(Song, PROMPT, topic="rain"))
    for sent in (told.sent, flowing.sent):
        assert sent["tool_choice"] == "required"
        assert sent["tools"][0]["function"]["name"] == "Song"
        assert "response_format" not in sent


def test_json_mode_tells_the_schema_in_words(line) -> None:
    told = line(said(SONG), pydantic_program_mode=PydanticProgramMode.LLM)
    told.llm.structured_predict(Song, PROMPT, topic="rain")
    assert told.sent["response_format"] == {"type": "json_object"}
    (user,) = told.sent["messages"]
    assert '"title"' in user["content"][1]["text"]


def test_what_a_program_would_take_does_no_harm(line) -> None:
    told = line(said(SONG))
    told.llm.structured_predict(
        Song, PROMPT, {"tool_choice": "required", "tool_required": True}, topic="rain"
    )
    assert "tool_choice" not in told.sent


READ = {
    "in a fence": f"```json\n{SONG}\n```",
    "in words": f"Here you are: {SONG} I hope you like it.",
    "with space around": f"\n {SONG}\n",
}


@pytest.mark.parametrize("name", READ)
async def test_an_object_is_found(line, name) -> None:
    whole = line(said(READ[name])).llm
    assert whole.structured_predict(Song, PROMPT, topic="rain") == EXPECTED
    *_, last = line(streamed(*READ[name])).llm.stream_structured_predict(Song, PROMPT, topic="r")
    assert last == EXPECTED


FAILED = {
    "a refusal": (said(None, refusal="I cannot."), Refused),
    "an answer cut off": (said(SONG[:20], finish_reason="length"), UnreadableResponse),
    "another object": (said('{"name": "a"}'), ValidationError),
    "no object": (said("La la la."), ValidationError),
    "nothing": (said(""), ValidationError),
}


@pytest.mark.parametrize("name", FAILED)
async def test_what_is_no_object_is_an_error(line, name) -> None:
    answer, error = FAILED[name]
    llm = line(answer).llm
    with pytest.raises(error):
        llm.structured_predict(Song, PROMPT, topic="rain")
    with pytest.raises(error):
        await llm.astructured_predict(Song, PROMPT, topic="rain")


FAILED_STREAMS = {
    "a refusal": (streamed({"refusal": "I cannot."}), Refused),
    "an answer cut off": (streamed(SONG[:20], finish_reason="length"), UnreadableResponse),
    "another object": (streamed('{"name": "a"}'), ValidationError),
}


@pytest.mark.parametrize("name", FAILED_STREAMS)
async def test_a_streamed_answer_that_is_no_object_in_the_end_is_an_error(line, name) -> None:
    answer, error = FAILED_STREAMS[name]
    llm = line(answer).llm
    with pytest.raises(error):
        list(llm.stream_structured_predict(Song, PROMPT, topic="rain"))
    objects = await llm.astream_structured_predict(Song, PROMPT, topic="rain")
    with pytest.raises(error):
        _ = [one async for one in objects]


async def test_a_stream_of_objects_that_is_left_is_closed_at_once(line) -> None:
    bodies: list[Body] = []
    objects = line(streamed_into(bodies, *SONG)).llm.stream_structured_predict(
        Song, PROMPT, topic="rain"
    )
    next(objects)
    objects.close()
    llm = line(streamed_into(bodies, *SONG)).llm
    later = await llm.astream_structured_predict(Song, PROMPT, topic="rain")
    await anext(later)
    await later.aclose()
    assert [body.closed for body in bodies] == [True, True]


ASKED = [ChatMessage("A song with {braces}.")]


async def test_a_structured_llm_answers_in_every_way(line) -> None:
    told = line(said(SONG))
    llm = told.llm.as_structured_llm(Song)
    assert llm.chat(ASKED).raw == EXPECTED
    assert (await llm.achat(ASKED)).raw == EXPECTED
    assert Song.model_validate_json(llm.complete("A song.").text) == EXPECTED
    assert Song.model_validate_json((await llm.acomplete("A song.")).text) == EXPECTED
    assert told.wire.bodies[0]["messages"][0]["content"] == "A song with {braces}."


async def test_a_structured_llm_streams_in_every_way(line) -> None:
    llm = line(FLOWING[PydanticProgramMode.DEFAULT]).llm.as_structured_llm(Song)
    *_, chat = llm.stream_chat(ASKED)
    *_, completion = llm.stream_complete("A song.")
    *_, achat = [r async for r in await llm.astream_chat(ASKED)]
    *_, acompletion = [r async for r in await llm.astream_complete("A song.")]
    assert [r.raw for r in (chat, completion, achat, acompletion)] == [EXPECTED] * 4
    assert Song.model_validate_json(completion.text) == EXPECTED
    assert Song.model_validate_json(achat.message.content) == EXPECTED


async def test_the_frameworks_programs_work(line) -> None:
    functions = FunctionCallingProgram.from_defaults(
        Song, prompt_template_str="A song about {topic}.", llm=line(CALLED).llm
    )
    assert functions(topic="rain") == await functions.acall(topic="rain") == EXPECTED
    texts = LLMTextCompletionProgram.from_defaults(
        output_cls=Song, prompt_template_str="A song about {topic}.", llm=line(said(SONG)).llm
    )
    assert texts(topic="rain") == await texts.acall(topic="rain") == EXPECTED


def test_a_chat_prompt_can_be_given(line) -> None:
    told = line(said(SONG))
    prompt = ChatPromptTemplate.from_messages([("system", "Be {how}."), ("user", "A song.")])
    assert told.llm.structured_predict(Song, prompt, how="brief") == EXPECTED
    assert told.sent["messages"][0] == {"role": "system", "content": "Be brief."}


class Loose(BaseModel):
    """Anything with a title, or nothing."""

    title: str = ""


# text: what of it is valid JSON of the class
CUTS = {
    "within a string": '{"title": "a", "verses": [{"words": "la',
    "behind a nested object": '{"title": "a", "verses": [{"words": "la"}',
    "within the second nested object": '{"title": "a", "verses": [{"words": "la"}, {"words": "l',
    "behind words": 'Here: {"title": "a", "verses": [{"words": "la"}], ',
    "within a fence": '```json\n{"title": "a", "verses": [{"words": "la"}',
    "before it began": "",
    "at a whole object": SONG,
}


def cut(mode: PydanticProgramMode, text: str, reason: str) -> list[Answer]:
    """A whole answer and a streamed one, both cut off."""
    if mode is not PydanticProgramMode.FUNCTION or not text:
        parts = [text[:9], text[9:]] if text else [{"reasoning": "Hm."}]
        return [said(text or None, finish_reason=reason), streamed(*parts, finish_reason=reason)]
    pieces = [
        {"tool_calls": [call("c1", "Song", text[:9], index=0)]},
        {"tool_calls": [{"index": 0, "function": {"arguments": text[9:]}}]},
    ]
    whole = said(None, tool_calls=[call("c1", "Song", text)], finish_reason=reason)
    return [whole, streamed(*pieces, finish_reason=reason)]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("kind", [Song, Loose])
async def test_an_answer_that_was_cut_off_is_an_error(line, kind, name, mode, reason) -> None:
    whole, flowing = cut(mode, CUTS[name], reason)
    one = line(whole, pydantic_program_mode=mode).llm
    many = line(flowing, pydantic_program_mode=mode).llm
    errors = []
    for ask in (
        lambda: one.structured_predict(kind, PROMPT, topic="rain"),
        lambda: one.as_structured_llm(kind).chat(ASKED),
        lambda: one.as_structured_llm(kind).complete("A song."),
        lambda: list(many.stream_structured_predict(kind, PROMPT, topic="rain")),
        lambda: list(many.as_structured_llm(kind).stream_chat(ASKED)),
        lambda: list(many.as_structured_llm(kind).stream_complete("A song.")),
    ):
        with pytest.raises(ResponseTruncated) as raised:
            ask()
        errors.append(raised.value)
    structured = many.as_structured_llm(kind)
    for awaited in (
        one.astructured_predict(kind, PROMPT, topic="rain"),
        one.as_structured_llm(kind).achat(ASKED),
        one.as_structured_llm(kind).acomplete("A song."),
        _collected(many.astream_structured_predict(kind, PROMPT, topic="rain")),
        _collected(structured.astream_chat(ASKED)),
        _collected(structured.astream_complete("A song.")),
    ):
        with pytest.raises(ResponseTruncated) as raised:
            await awaited
        errors.append(raised.value)
    for error in errors:
        assert (error.finish_reason, error.text) == (reason, CUTS[name])
        assert {**USAGE, **error.usage} == error.usage
        assert error.partial.choice.finish_reason == reason


async def _collected(opening):
    return [one async for one in await opening]


LISTS = {
    "cut off": '[{"title": "a"}, {"title": "b',
    "cut off behind an object": '[{"title": "a"}, {"title": "b"}',
    "cut off behind words": 'Here are two: [{"title": "a"}, {"title": "b',
    "two objects, one cut off": '{"title": "a"}\n{"title": "b',
}


@pytest.mark.parametrize("reason", ["length", "stop", "odd"])
@pytest.mark.parametrize("name", LISTS)
def test_the_first_of_several_objects_is_not_the_answer(line, name, reason) -> None:
    expected = {"length": ResponseTruncated, "stop": ValidationError, "odd": ResponseTruncated}
    llm = line(said(LISTS[name], finish_reason=reason)).llm
    with pytest.raises(expected[reason]):
        llm.structured_predict(Loose, PROMPT, topic="rain")


@pytest.mark.parametrize("reason", ["end_turn", "tool_use", "odd"])
@pytest.mark.parametrize("mode", MODES)
async def test_a_whole_answer_with_another_finish_reason_is_an_object(line, mode, reason) -> None:
    whole, flowing = cut(mode, SONG, reason)
    llm = line(whole, pydantic_program_mode=mode).llm
    assert llm.structured_predict(Song, PROMPT, topic="rain") == EXPECTED
    streaming = line(flowing, pydantic_program_mode=mode).llm
    *_, last = streaming.stream_structured_predict(Song, PROMPT, topic="rain")
    assert last == EXPECTED


def test_no_json_at_all_is_no_truncation(line) -> None:
    with pytest.raises(ValidationError):
        line(said("La la la.", finish_reason="odd")).llm.structured_predict(Song, PROMPT, topic="r")


@pytest.mark.parametrize(
    "text",
    [
        f"As agreed [1]: {SONG} (see [2])",
        f"As agreed: {SONG} (see {{above}})",
        f"For {{x}}: {SONG}",
        f'<think>maybe {{"title": "no", "verses": []}}</think>\n{SONG}',
        f"<think>a {{ or a [</think>```json\n{SONG}\n```",
    ],
)
def test_brackets_in_the_words_around_an_object_do_no_harm(line, text) -> None:
    llm = line(said(text), said(text, finish_reason="odd")).llm
    assert llm.structured_predict(Song, PROMPT, topic="rain") == EXPECTED
    assert llm.structured_predict(Song, PROMPT, topic="rain") == EXPECTED


@pytest.mark.parametrize("text", [f"{SONG} or {SONG}", f"<think>{SONG}</think>", "{" * 200_000])
def test_of_several_objects_or_none_outside_the_reasoning_no_one_is_the_answer(line, text) -> None:
    with pytest.raises(ValidationError):
        line(said(text)).llm.structured_predict(Song, PROMPT, topic="rain")


def test_partial_objects_leave_unfinished_strings_out(line) -> None:
    pieces = ['{"title": "a so', 'ng", "verses": [{"words": "l', 'a"}, {"words": "', 'la"}]}']
    llm = line(streamed(*pieces)).llm
    seen = [
        (one.title, [dict(verse).get("words") for verse in one.verses or ()])
        for one in llm.stream_structured_predict(Song, PROMPT, topic="rain")
    ]
    assert seen[:4] == [
        (None, []),
        ("a song", [None]),
        ("a song", ["la", None]),
        ("a song", ["la", "la"]),
    ]


async def test_json_mode_without_messages_asks_for_the_object_alone(line) -> None:
    told = line(said('{"words": "la"}'), pydantic_program_mode=PydanticProgramMode.LLM)
    llm = told.llm.as_structured_llm(Verse)
    assert llm.chat([]).raw == (await llm.achat([])).raw == Verse(words="la")
    for sent in told.wire.bodies:
        (message,) = sent["messages"]
        assert message["role"] == "user"
        assert "JSON schema" in str(message["content"])


@pytest.mark.parametrize("forbidden", [None, False, True])
def test_function_mode_says_of_parallel_calls_what_the_user_said(line, forbidden) -> None:
    parallel = None if forbidden is None else not forbidden
    told = line(
        CALLED, pydantic_program_mode=PydanticProgramMode.FUNCTION, parallel_tool_calls=parallel
    )
    assert told.llm.structured_predict(Song, PROMPT, topic="rain") == EXPECTED
    assert told.sent.get("parallel_tool_calls") is parallel

"""A finished answer is given in every way, however odd what stands beside its text is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import reduce
from operator import add
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CitationBlock,
    ImageBlock,
    ToolCallBlock,
)
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from sunra_integrations.errors import InvalidParameter, SunraError
from sunra_integrations.langchain import ChatSunra, split_invalid_tool_calls
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Settings, SunraClient
from tests.recorded_transport import Recorded, completion, stream

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

Body = dict[str, Any]
HALF = "\ud83e"
ODD = [None, "", "a", HALF, 5, -1.5, True, 10**400, ["a"], [1], {"a": 1}, "data:image/png;base64,!"]


def whole(message: Body, **choice: Any) -> Recorded:
    made = {"index": 0, "message": message, "finish_reason": "stop", **choice}
    return Recorded(completion({"id": "g", "choices": [made]}))


def streamed(delta: Body, **choice: Any) -> Recorded:
    made = {"index": 0, "delta": delta, **choice}
    ended = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events = [{"id": "g", "choices": [one]} for one in (made, ended)]
    return Recorded(stream(*(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)))


def chat(wire: Recorded, **fields: Any) -> ChatSunra:
    http = httpx.Client(transport=wire)
    return ChatSunra(model="a/b", api_key="k", max_retries=0, http_client=http, **fields)


def llm(wire: Recorded) -> Sunra:
    return Sunra(model="a/b", api_key="k", max_retries=0, http_client=httpx.Client(transport=wire))


def by_invoke(message: Body, **choice: Any) -> AIMessage:
    return chat(whole(message, **choice)).invoke("Hi")


def by_stream(message: Body, **choice: Any) -> AIMessage:
    return split_invalid_tool_calls(reduce(add, chat(streamed(message, **choice)).stream("Hi")))


def by_stream_in_blocks(message: Body, **choice: Any) -> AIMessage:
    model = chat(streamed(message, **choice), output_version="v1")
    return split_invalid_tool_calls(reduce(add, model.stream("Hi")))


def by_events(message: Body, **choice: Any) -> AIMessage:
    return chat(streamed(message, **choice)).stream_events("Hi", version="v3").output


def by_chat(message: Body, **choice: Any) -> ChatResponse:
    return llm(whole(message, **choice)).chat([ChatMessage("Hi")])


def by_stream_chat(message: Body, **choice: Any) -> ChatResponse:
    return list(llm(streamed(message, **choice)).stream_chat([ChatMessage("Hi")]))[-1]


LANGCHAIN = [by_invoke, by_stream, by_stream_in_blocks, by_events]
LLAMA_INDEX = [by_chat, by_stream_chat]
WAYS = [*LANGCHAIN, *LLAMA_INDEX]
ways = pytest.mark.parametrize("way", WAYS)


def text_of(answer: AIMessage | ChatResponse) -> str:
    """The text, once all that users and tools ask of an answer has been asked."""
    answer.model_dump_json().encode()
    if isinstance(answer, ChatResponse):
        return answer.message.content or ""
    assert answer.content_blocks is not None
    assert all(call["name"] for call in answer.tool_calls)
    return answer.text


def odd_parts() -> Iterator[list[Body]]:
    """The parts of an answer's content: those of one kind and field stand in one answer."""
    kinds = ["text", "output_text", "reasoning", "thinking", "image_url", "image", "file", "audio"]
    calls = ["tool_call", "tool_call_chunk", "server_tool_call_chunk", "invalid_tool_call"]
    for kind in [*kinds, *calls, "non_standard", "refusal", "tool_use", None, ["text"]]:
        yield [{"type": kind}]
        for field in ("text", "reasoning", "thinking", "image_url", "value", "args", "name", "url"):
            # text in a part of another type would be text in some ways and not in others
            yield [{"type": kind, field: odd} for odd in ODD if not is_text(kind, field, odd)]
    # Beside other fields core takes a text without a type for a string.
    yield [{"type": None, "text": odd, "index": 0} for odd in ODD if not isinstance(odd, str)]
    for odd in ODD:
        yield [{"type": "text", "text": "", "annotations": odd}]
        yield [{"type": "text", "text": "", "annotations": [odd]}]
        yield [{"type": "image_url", "image_url": {"url": odd}}]


def is_text(kind: object, field: str, value: object) -> bool:
    return field == "text" and isinstance(value, str) and kind in ("text", "output_text", None)


@ways
def test_odd_parts_of_content_do_not_fail_an_answer(way):
    for parts in odd_parts():
        assert text_of(way({"content": [*parts, {"type": "text", "text": "Hi"}]})) == "Hi", parts


def beside_the_text() -> Iterator[tuple[str, object]]:
    for odd in ODD:
        for name in ("images", "annotations", "audio", "reasoning_details", "tool_calls", "more"):
            yield name, odd
            yield name, [odd]
            yield name, {"data": odd, "transcript": odd, "id": odd}
        yield "images", [{"image_url": {"url": odd}}]
        yield "images", [{"image_url": {"url": f"http://[{odd}"}}]
        cited = {"url": "http://a.example", "title": odd, "start_index": odd, "content": odd}
        yield "annotations", [{"type": "url_citation", "url_citation": cited}]
        yield "reasoning_details", [{"type": odd, "text": odd, "index": 0, "signature": odd}]
        yield "tool_calls", [{"id": "c", "function": {"name": "f", "arguments": odd}, "self": odd}]
        yield "tool_calls", [{"id": odd, "function": {"name": odd, "arguments": "{}"}}]


@ways
def test_odd_fields_of_a_message_do_not_fail_an_answer(way):
    for name, odd in beside_the_text():
        assert text_of(way({"content": "Hi", name: odd})) == "Hi", (name, odd)


@ways
def test_odd_log_probabilities_do_not_fail_an_answer(way):
    for odd in ODD:
        token = {"token": odd, "logprob": odd, "bytes": odd, "top_logprobs": [odd, {"token": odd}]}
        for logprobs in ({"content": [token]}, {"content": odd}, odd):
            assert text_of(way({"content": "Hi"}, logprobs=logprobs)) == "Hi", logprobs


@pytest.mark.parametrize("way", LLAMA_INDEX)
def test_what_a_class_of_llama_index_refuses_is_left_out_and_kept_raw(way):
    token = {"token": "Hi", "logprob": -0.5, "bytes": ["no", "numbers"]}
    image = {"type": "image_url", "image_url": {"url": "http://[not-a-url"}}
    answer = way(
        {"content": [{"type": "text", "text": "Hi"}, image]}, logprobs={"content": [token]}
    )
    ((logprob,),) = answer.logprobs
    assert (logprob.token, logprob.logprob, logprob.bytes) == ("Hi", -0.5, [])
    assert not any(isinstance(block, ImageBlock) for block in answer.message.blocks)
    assert answer.message.additional_kwargs["content_parts"] == [image]


CITED = {
    "type": "text",
    "text": "Hi",
    "annotations": [{"type": "url_citation", "url": "https://a.example"}],
}
PICTURE = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}


@pytest.mark.parametrize("way", LANGCHAIN)
def test_langchain_gives_the_citations_of_a_content_part(way):
    answer = way({"content": [CITED, PICTURE]})
    (text,) = [block for block in answer.content_blocks if block["type"] == "text"]
    assert text["annotations"] == [{"type": "citation", "url": "https://a.example"}]


@pytest.mark.parametrize("way", LLAMA_INDEX)
def test_llama_index_gives_the_citations_of_a_content_part(way):
    blocks = way({"content": [CITED, PICTURE]}).message.blocks
    (cited,) = [block for block in blocks if isinstance(block, CitationBlock)]
    assert cited.source == "https://a.example"


@pytest.mark.parametrize("way", LANGCHAIN)
def test_a_call_in_a_content_part_is_not_a_call(way):
    part = {"type": "tool_call", "name": "delete", "args": {}, "id": "c"}
    assert way({"content": [part, PICTURE]}).tool_calls == []


NAMELESS = {"index": 0, "id": "c1", "function": {"arguments": '{"a": 1}'}}


@pytest.mark.parametrize("way", LANGCHAIN)
def test_langchain_holds_a_call_without_a_name_for_invalid(way):
    answer = way({"content": None, "tool_calls": [NAMELESS]})
    assert answer.tool_calls == []
    (invalid,) = answer.invalid_tool_calls
    assert (invalid["id"], invalid["args"]) == ("c1", '{"a": 1}')
    assert invalid["error"] == "The call does not name a function."


@pytest.mark.parametrize("way", LLAMA_INDEX)
def test_llama_index_runs_no_tool_for_a_call_without_a_name(way):
    answer = way({"content": None, "tool_calls": [NAMELESS]})
    (call,) = llm(whole({})).get_tool_calls_from_response(answer)
    assert call.tool_name.startswith("without a name (not run: the call has no name.")
    assert call.tool_id == "c1"


ARGUMENTS = '{"text": "line one\nline two\t\\ud83e"}'
WRITTEN = {"index": 0, "id": "c1", "function": {"name": "note", "arguments": ARGUMENTS}}
READ = {"text": "line one\nline two\t\ufffd"}


@pytest.mark.parametrize("way", LANGCHAIN)
def test_langchain_reads_arguments_with_control_characters_and_half_characters(way):
    answer = way({"content": None, "tool_calls": [WRITTEN]})
    assert [call["args"] for call in answer.tool_calls] == [READ]
    assert answer.invalid_tool_calls == []
    answer.model_dump_json().encode()


@pytest.mark.parametrize("way", LLAMA_INDEX)
def test_llama_index_reads_arguments_with_control_characters_and_half_characters(way):
    wire = whole({"content": "Done."})
    given = llm(wire)
    answer = way({"content": None, "tool_calls": [WRITTEN]})
    assert [call.tool_kwargs for call in given.get_tool_calls_from_response(answer)] == [READ]
    given.chat([answer.message])
    (sent,) = wire.bodies[-1]["messages"][0]["tool_calls"]
    assert json.loads(sent["function"]["arguments"]) == READ  # as strict parsers read it, too


@ways
def test_a_choice_that_is_counted_from_one_is_the_answer(way):
    call = {"index": 0, "id": "c1", "function": {"name": "now", "arguments": "{}"}}
    if way in {by_invoke, by_chat}:
        answer = way({"content": "Hi", "tool_calls": [call]}, index=1)
    else:
        answer = shifted(way, {"content": "Hi", "tool_calls": [call]})
    assert text_of(answer) == "Hi"
    if isinstance(answer, ChatResponse):
        blocks = [block for block in answer.message.blocks if isinstance(block, ToolCallBlock)]
        assert [block.tool_name for block in blocks] == ["now"]
        assert answer.delta is None or answer.delta == "Hi"
    else:
        assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("now", {})]


def shifted(way: Callable[..., Any], delta: Body) -> Any:
    """A streamed answer whose only choice is choice 1, in both of its events."""
    choices = [{"delta": delta}, {"delta": {}, "finish_reason": "stop"}]
    lines = [{"id": "g", "choices": [{"index": 1, **choice}]} for choice in choices]
    wire = Recorded(stream(*(b"data: " + json.dumps(e).encode() + b"\n\n" for e in lines)))
    if way is by_stream_chat:
        return list(llm(wire).stream_chat([ChatMessage("Hi")]))[-1]
    if way is by_events:
        return chat(wire).stream_events("Hi", version="v3").output
    version = "v1" if way is by_stream_in_blocks else None
    return split_invalid_tool_calls(reduce(add, chat(wire, output_version=version).stream("Hi")))


@pytest.mark.parametrize("way", LANGCHAIN[:2])
def test_usage_is_counted_by_the_model_asked_for_where_the_answer_names_none(way):
    used = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    counter = UsageMetadataCallbackHandler()
    if way is by_invoke:
        body = {"choices": [{"message": {"content": "Hi"}}], "usage": used}
        chat(Recorded(completion(body))).invoke("Hi", config={"callbacks": [counter]})
    else:
        # as Moonshot's streams have it
        ended = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop", "usage": used}
        line = b"data: " + json.dumps({"choices": [ended]}).encode() + b"\n\n"
        list(chat(Recorded(stream(line))).stream("Hi", config={"callbacks": [counter]}))
    assert counter.usage_metadata["a/b"]["total_tokens"] == 5


def test_a_readers_change_to_one_answer_does_not_show_in_another():
    fields = {"provider": {"name": "x"}, "filter": {"hate": "safe"}}
    choices = [{"index": i, "message": {"content": "Hi"}, "filter": {"a": 1}} for i in (0, 1)]
    model = chat(Recorded(completion({"choices": choices, **fields})), n=2)
    first, second = model.generate([[HumanMessage("Hi")]]).generations[0]
    first.message.response_metadata["provider"]["name"] = "changed"
    assert second.message.response_metadata["provider"] == {"name": "x"}
    events = [{"choices": [{"index": 0, "delta": {"content": c}}], **fields} for c in "abc"]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    wire = Recorded(stream(*(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)))
    for response in llm(wire).stream_chat([ChatMessage("Hi")]):
        assert response.additional_kwargs["provider"] == {"name": "x"}
        response.additional_kwargs["provider"]["name"] = "changed"


def nested(levels: int) -> Body:
    made: Body = {}
    for _ in range(levels):
        made = {"a": made}
    return made


DEEP = nested(3000)
ROUND: Body = {}
ROUND["a"] = ROUND


@pytest.mark.parametrize("value", [DEEP, ROUND], ids=["deep", "round"])
@pytest.mark.parametrize(
    "fields",
    [
        lambda value: {"messages": [{"role": "user", "content": [value]}]},
        lambda value: {"messages": [value]},
        lambda value: {"temperature": value},
        lambda value: {"extra_body": {"x": value}},
        lambda value: {"response_format": value},
        lambda value: {"tools": [value]},
        lambda value: {"tools": [{"type": "web_search", "x": value}], "api": "responses"},
        lambda value: {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "A" * 300_000}, "x": value}
                    ],
                }
            ]
        },
    ],
)
def test_a_request_that_cannot_be_written_is_an_invalid_parameter(fields, value):
    client = SunraClient(Settings.resolve("k"), http_client=httpx.Client(transport=whole({})))
    given = {"model": "a/b", "messages": [{"role": "user", "content": "Hi"}], **fields(value)}
    with pytest.raises(InvalidParameter):
        client.create(ChatRequest(**given))


@pytest.mark.parametrize("value", [DEEP, ROUND, {"a": HALF}], ids=["deep", "round", "half"])
def test_arguments_in_a_history_that_cannot_be_written_are_refused_by_place(value):
    called = AIMessage("", tool_calls=[{"name": "f", "args": {"x": value}, "id": "c"}])
    block = ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs={"x": value})
    with pytest.raises(SunraError, match="cannot be written as JSON"):
        chat(whole({})).invoke([called])
    with pytest.raises(SunraError, match="cannot be written as JSON"):
        llm(whole({})).chat([ChatMessage(role="assistant", blocks=[block])])


class Note(BaseModel):
    """A note."""

    text: str


NOTE = '{"text": "line one\nline two \\ud83e"}'
NOTED = Note(text="line one\nline two \ufffd")
PARTS = [{"content": NOTE[:18]}, {"content": NOTE[18:]}]


def in_pieces() -> Recorded:
    choices = [*({"delta": part} for part in PARTS), {"delta": {}, "finish_reason": "stop"}]
    events = [{"id": "g", "choices": [{"index": 0, **choice}]} for choice in choices]
    return Recorded(stream(*(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)))


def test_structured_answers_may_hold_raw_line_breaks():
    prompt = PromptTemplate("A note.")
    assert llm(whole({"content": NOTE})).structured_predict(Note, prompt) == NOTED
    *parts, last = llm(in_pieces()).stream_structured_predict(Note, prompt)
    assert last == NOTED
    assert isinstance(parts[0].text, str | None)
    read = chat(whole({"content": NOTE})).with_structured_output(Note).invoke("A note.")
    assert read.text.startswith("line one\nline two")


def in_events(*choices: Body) -> Recorded:
    ended = {"delta": {}, "finish_reason": "stop"}
    events = [{"id": "g", "choices": [{"index": 0, **one}]} for one in (*choices, ended)]
    return Recorded(stream(*(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)))


def streams_of(*choices: Body) -> list[AIMessage | ChatResponse]:
    """The answer that these events are, in each way of streaming."""
    blocks = chat(in_events(*choices), output_version="v1")
    return [
        reduce(add, chat(in_events(*choices)).stream("Hi")),
        reduce(add, blocks.stream("Hi")),
        chat(in_events(*choices)).stream_events("Hi", version="v3").output,
        list(llm(in_events(*choices)).stream_chat([ChatMessage("Hi")]))[-1],
    ]


def test_log_probabilities_that_change_their_type_do_not_fail_a_stream():
    token = {"token": "H", "logprob": -0.5, "bytes": [72]}
    for odd in ODD:
        for order in (([token], odd), (odd, [token])):
            choices = [
                {"delta": {"content": text}, "logprobs": {"content": given}}
                for text, given in zip("Hi", order, strict=True)
            ]
            assert [text_of(answer) for answer in streams_of(*choices)] == ["Hi"] * 4, order


def test_the_log_probabilities_before_a_malformed_one_are_kept():
    token = {"token": "H", "logprob": -0.5, "bytes": [72]}
    choices = [
        {"delta": {"content": text}, "logprobs": {"content": given}}
        for text, given in (("H", [token]), ("i", "none"))
    ]
    langchain, *_ = streams_of(*choices)
    assert langchain.response_metadata["logprobs"]["content"] == [token]


def test_arguments_nested_too_deeply_are_a_broken_call_however_they_are_cut_up():
    def piece(arguments: str, **call: Any) -> Body:
        function = {"arguments": arguments, **call.pop("function", {})}
        return {"delta": {"tool_calls": [{"index": 0, **call, "function": function}]}}

    first = piece('{"a":' * 200, id="c1", function={"name": "note"})
    answers = streams_of(first, *[piece('{"a":' * 200)] * 4, piece("1" + "}" * 1000))
    *of_langchain, of_llama_index = answers
    for answer in of_langchain:
        assert [call["name"] for call in answer.invalid_tool_calls] == ["note"]
        assert answer.tool_calls == []
    (call,) = llm(whole({})).get_tool_calls_from_response(of_llama_index)
    assert call.tool_name.startswith("note (not run: its arguments are not a JSON object")


def test_a_whole_message_in_an_event_is_read():
    message = {"role": "assistant", "content": "Hi"}
    answers = streams_of({"message": message, "finish_reason": "stop"})
    assert [text_of(answer) for answer in answers] == ["Hi"] * 4


def test_a_whole_message_behind_its_pieces_is_not_read_twice():
    choices = [{"delta": {"content": "Hi"}}, {"message": {"content": "Hi"}}]
    assert [text_of(answer) for answer in streams_of(*choices)] == ["Hi"] * 4
    choices = [{"delta": {"content": text}, "message": {"content": "Hi"}} for text in "Hi"]
    assert [text_of(answer) for answer in streams_of(*choices)] == ["Hi"] * 4


def test_a_delta_in_a_whole_answer_is_read():
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    body = {"id": "g", "choices": [choice]}
    assert chat(Recorded(completion(body))).invoke("Hi").text == "Hi"
    assert llm(Recorded(completion(body))).chat([ChatMessage("Hi")]).message.content == "Hi"


@ways
def test_an_only_call_need_not_be_in_a_list(way):
    call = {"index": 0, "id": "c1", "function": {"name": "note", "arguments": '{"a": 1}'}}
    answer = way({"content": None, "tool_calls": call})
    if isinstance(answer, ChatResponse):
        (called,) = llm(whole({})).get_tool_calls_from_response(answer)
        assert (called.tool_name, called.tool_kwargs) == ("note", {"a": 1})
    else:
        (read,) = answer.tool_calls
        assert (read["name"], read["args"]) == ("note", {"a": 1})

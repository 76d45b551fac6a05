"""LangChain's messages in the API's form."""

from __future__ import annotations

import copy
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from sunra_integrations.errors import InvalidParameter, UnsupportedContent
from sunra_integrations.langchain import request
from sunra_integrations.protocol.parameters import merge_parameters

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
CALL = {"name": "add", "args": {"a": 1, "b": "ñ"}, "id": "c1", "type": "tool_call"}
WIRE_CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"a":1,"b":"ñ"}'},
}

MESSAGES: dict[str, tuple[BaseMessage, dict[str, Any]]] = {
    "system": (SystemMessage("Be kind."), {"role": "system", "content": "Be kind."}),
    "developer": (
        SystemMessage("Be kind.", additional_kwargs={"__openai_role__": "developer"}),
        {"role": "developer", "content": "Be kind."},
    ),
    "human": (HumanMessage("Hi"), {"role": "user", "content": "Hi"}),
    "human with a name": (
        HumanMessage("Hi", name="ann"),
        {"role": "user", "content": "Hi", "name": "ann"},
    ),
    "chat message of a known role": (
        ChatMessage("Hi", role="developer"),
        {"role": "developer", "content": "Hi"},
    ),
    "chat message by LangChain's role": (
        ChatMessage("Hi", role="Human"),
        {"role": "user", "content": "Hi"},
    ),
    "strings in a list": (
        HumanMessage(["One", "", "two"]),
        {
            "role": "user",
            "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}],
        },
    ),
    "empty list": (HumanMessage([]), {"role": "user", "content": ""}),
    "ai": (AIMessage("Hello"), {"role": "assistant", "content": "Hello"}),
    "ai with a call and no text": (
        AIMessage("", tool_calls=[CALL]),
        {"role": "assistant", "content": None, "tool_calls": [WIRE_CALL]},
    ),
    "ai with a broken call": (
        AIMessage(
            "",
            invalid_tool_calls=[{"name": "add", "args": '{"a": 1', "id": "c1", "error": "cut off"}],
        ),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {
                        "name": "add",
                        "arguments": '{"INVALID_JSON":"{\\"a\\": 1"}',
                    },
                }
            ],
        },
    ),
    "ai in Anthropic's blocks": (
        AIMessage(
            [
                {"type": "text", "text": "Adding."},
                {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1, "b": "ñ"}},
            ],
            tool_calls=[CALL],
        ),
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Adding."}],
            "tool_calls": [WIRE_CALL],
        },
    ),
    "a call that stands in the blocks only": (
        AIMessage([{"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1, "b": "ñ"}}]),
        {"role": "assistant", "content": None, "tool_calls": [WIRE_CALL]},
    ),
    "ai in standard blocks": (
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "Let me think."},
                {"type": "text", "text": "Adding.", "index": "lc_text", "annotations": []},
                CALL,
            ],
            tool_calls=[CALL],
            response_metadata={"output_version": "v1"},
        ),
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Adding."}],
            "tool_calls": [WIRE_CALL],
            "reasoning": "Let me think.",
        },
    ),
    "signed thinking": (
        AIMessage(
            [
                {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                {"type": "text", "text": "Hello"},
            ]
        ),
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Hello"}],
            "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "sig"}],
        },
    ),
    "plain reasoning of a finished turn stays at home": (
        AIMessage("Hello", additional_kwargs={"reasoning_content": "Hm."}),
        {"role": "assistant", "content": "Hello"},
    ),
    "reasoning goes back beside its calls, unchanged": (
        AIMessage(
            "",
            tool_calls=[CALL],
            additional_kwargs={
                "reasoning_content": "Hm.",
                "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}],
                "tool_call_extras": {"c1": {"extra_content": {"google": {"sig": "x"}}}},
            },
        ),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{**WIRE_CALL, "extra_content": {"google": {"sig": "x"}}}],
            "reasoning_content": "Hm.",
            "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}],
        },
    ),
    "refusal": (
        AIMessage("", additional_kwargs={"refusal": "I cannot."}),
        {"role": "assistant", "content": "", "refusal": "I cannot."},
    ),
    "tool": (
        ToolMessage("3", tool_call_id="c1", name="add", artifact=object(), status="error"),
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
    ),
    "tool with an image": (
        ToolMessage(
            [{"type": "image", "base64": PNG, "mime_type": "image/png"}], tool_call_id="c1"
        ),
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
            ],
        },
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_a_message_is_sent_as(case: str):
    given, expected = MESSAGES[case]
    before = copy.deepcopy(given) if case != "tool" else given
    assert request.messages([given]) == [expected]
    assert given == before


URL = "https://example.com/a"
IMAGE = {"type": "image_url", "image_url": {"url": URL}}
INLINE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
PDF_PART = {
    "type": "file",
    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
}

BLOCKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": ({"type": "text", "text": "Hi"}, {"type": "text", "text": "Hi"}),
    "text with cache control": (
        {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
    ),
    "text with cache control among extras": (
        {"type": "text", "text": "Hi", "extras": {"cache_control": {"type": "ephemeral"}}},
        {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
    ),
    "OpenAI image": (IMAGE, IMAGE),
    "OpenAI image with detail": (
        {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
    ),
    "bare image URL": ({"type": "image_url", "image_url": URL}, IMAGE),
    "standard image by URL": ({"type": "image", "url": URL}, IMAGE),
    "standard image with detail": (
        {"type": "image", "url": URL, "extras": {"detail": "low"}},
        {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
    ),
    "standard image by base64": (
        {"type": "image", "base64": PNG, "mime_type": "image/png", "id": "lc_1"},
        INLINE,
    ),
    "standard image without a type, told by its bytes": ({"type": "image", "base64": PNG}, INLINE),
    "older image": (
        {"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"},
        INLINE,
    ),
    "older image by URL": ({"type": "image", "source_type": "url", "url": URL}, IMAGE),
    "Anthropic image": (
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PNG},
        },
        INLINE,
    ),
    "Anthropic image by URL": ({"type": "image", "source": {"type": "url", "url": URL}}, IMAGE),
    "standard audio": (
        {"type": "audio", "base64": "AAAA", "mime_type": "audio/mpeg"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
    ),
    "OpenAI audio": (
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ),
    "standard video": (
        {"type": "video", "url": URL},
        {"type": "video_url", "video_url": {"url": URL}},
    ),
    "OpenAI file": (PDF_PART, PDF_PART),
    "standard file": (
        {
            "type": "file",
            "base64": "JVBERi0=",
            "mime_type": "application/pdf",
            "filename": "a.pdf",
        },
        PDF_PART,
    ),
    "standard file without a name": (
        {"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf"},
        {"type": "file", "file": {**PDF_PART["file"], "filename": "file.pdf"}},
    ),
    "standard file by id": (
        {"type": "file", "file_id": "f1"},
        {"type": "file", "file": {"file_id": "f1"}},
    ),
    "Anthropic document": (
        {
            "type": "document",
            "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        },
        PDF_PART,
    ),
    "Anthropic document of text": (
        {"type": "document", "source": {"type": "text", "data": "Hi"}},
        {
            "type": "file",
            "file": {"filename": "file.txt", "file_data": "data:text/plain;base64,SGk="},
        },
    ),
    "plain text": ({"type": "text-plain", "text": "Hi"}, {"type": "text", "text": "Hi"}),
    "non-standard": (
        {"type": "non_standard", "value": {"type": "something", "x": 1}},
        {"type": "something", "x": 1},
    ),
}


@pytest.mark.parametrize("case", BLOCKS)
def test_a_block_is_sent_as(case: str):
    given, expected = BLOCKS[case]
    before = copy.deepcopy(given)
    assert request.content([given], "messages[0]") == [expected]
    assert given == before


REFUSED: dict[str, tuple[BaseMessage, str, str]] = {
    "audio by URL": (
        HumanMessage(["Listen:", {"type": "audio", "url": URL}]),
        "audio",
        "messages[1].content[1]",
    ),
    "file by URL": (HumanMessage([{"type": "file", "url": URL}]), "file", "messages[1].content[0]"),
    "image by id": (
        HumanMessage([{"type": "image", "file_id": "f1"}]),
        "image",
        "messages[1].content[0]",
    ),
    "tool result that is no content": (
        HumanMessage([{"type": "tool_result", "tool_use_id": "c1", "content": 7}]),
        "int",
        "messages[1].content[0]",
    ),
    "tool result of a number": (
        HumanMessage([{"type": "tool_result", "tool_use_id": "c1", "content": [7]}]),
        "int",
        "messages[1].content[0].content[0]",
    ),
    "tool result that answers nothing": (
        HumanMessage([{"type": "tool_result", "content": "3"}]),
        "tool_result",
        "messages[1].content[0]",
    ),
    "tool call with a list for an id": (
        AIMessage([{"type": "tool_use", "id": ["c1"], "name": "add", "input": {}}]),
        "tool_call",
        "messages[1].content[0]",
    ),
    "unknown block": (HumanMessage([{"type": "hologram"}]), "hologram", "messages[1].content[0]"),
    "block without a type": (HumanMessage([{"x": 1}]), "untyped", "messages[1].content[0]"),
    "bytes of no known kind": (
        HumanMessage([{"type": "image", "base64": "AAAA"}]),
        "unknown",
        "messages[1].content[0]",
    ),
    "block within a tool result": (
        HumanMessage(
            [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "hologram"}]}]
        ),
        "hologram",
        "messages[1].content[0].content[0]",
    ),
    "server tool": (
        AIMessage([{"type": "server_tool_call", "id": "s1", "name": "search", "args": {}}]),
        "server_tool_call",
        "messages[1].content[0]",
    ),
    "function message": (FunctionMessage("3", name="add"), "function", "messages[1]"),
    "remove message": (RemoveMessage(id="1"), "remove", "messages[1]"),
    "unknown role": (ChatMessage("Hi", role="narrator"), "narrator", "messages[1]"),
    "call without an id": (
        AIMessage("", tool_calls=[{**CALL, "id": None}]),
        "tool_call",
        "messages[1].tool_calls[0]",
    ),
    "arguments that are no JSON": (
        AIMessage("", tool_calls=[{**CALL, "args": {"a": object()}}]),
        "tool_call",
        "messages[1].tool_calls[0]",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_wire_cannot_carry_is_refused_with_its_kind_and_place(case: str):
    given, kind, position = REFUSED[case]
    with pytest.raises(UnsupportedContent) as refused:
        request.messages([HumanMessage("Hi"), given])
    assert (refused.value.kind, refused.value.position) == (kind, position)
    assert position in str(refused.value)


def test_tool_results_in_a_human_message_become_tool_messages_before_the_rest():
    given = HumanMessage(
        [
            {"type": "tool_result", "tool_use_id": "c1", "content": "3"},
            {
                "type": "tool_result",
                "tool_use_id": "c2",
                "content": [{"type": "text", "text": "4"}],
            },
            {"type": "text", "text": "And now?"},
        ]
    )
    assert request.messages([given]) == [
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "4"}]},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
    ]


def test_generated_images_go_back_once():
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}, "index": 0}
    given = AIMessage(
        [
            {"type": "text", "text": "See"},
            {"type": "image", "base64": PNG, "mime_type": "image/png"},
        ],
        additional_kwargs={"images": [image]},
    )
    assert request.messages([given]) == [
        {"role": "assistant", "content": [{"type": "text", "text": "See"}], "images": [image]}
    ]


def body(call: dict[str, Any] | None = None, **defaults: Any) -> dict[str, Any]:
    parameters = merge_parameters({"model": "a/b", **defaults}, request.call_parameters(call or {}))
    made = request.build([HumanMessage("Hi")], parameters).body(stream=False)
    del made["messages"]
    return made


PARAMETERS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "nothing unset is sent": ({"temperature": None, "stop": []}, {}, {}),
    "a call goes before the default": ({"temperature": 1}, {"temperature": 0}, {"temperature": 0}),
    "a call takes a default back": ({"temperature": 1}, {"temperature": None}, {}),
    "another model": ({}, {"model": "c/d"}, {"model": "c/d"}),
    "another model by LangChain's name": ({}, {"model_name": "c/d"}, {"model": "c/d"}),
    "extra bodies are joined": (
        {"extra_body": {"a": 1, "b": 1}},
        {"extra_body": {"b": 2}},
        {"a": 1, "b": 2},
    ),
    "one token limit gives way to the other": (
        {"max_tokens": 5},
        {"max_completion_tokens": 7},
        {"max_completion_tokens": 7},
    ),
    "no tools, nothing to choose": ({}, {"tools": [], "tool_choice": "any"}, {}),
    "what core passes down is left out": (
        {},
        {"stream": True, "ls_structured_output_format": {"schema": {}}},
        {},
    ),
    "stop sequences by the other name": ({}, {"stop_sequences": ["x"]}, {"stop": ["x"]}),
    "a tuple of stop sequences": ({}, {"stop": ("x", "y")}, {"stop": ["x", "y"]}),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters(case: str):
    defaults, call, expected = PARAMETERS[case]
    assert body(call, **defaults) == {"model": "a/b", **expected}


def test_an_unknown_parameter_is_refused_with_the_closest_name():
    with pytest.raises(InvalidParameter, match="Did you mean `temperature`"):
        body({"temperture": 1})


@pytest.mark.parametrize(("wanted", "sent"), [(True, {"include_usage": True}), (False, None)])
def test_a_call_decides_on_usage_while_streaming(wanted: bool, sent: dict[str, Any] | None):
    parameters = {"model": "a/b", **request.call_parameters({"stream_usage": wanted})}
    built = request.build([HumanMessage("Hi")], parameters)
    assert built.body(stream=True).get("stream_options") == sent


KINDS = st.sampled_from([SystemMessage, HumanMessage, AIMessage, AIMessageChunk, ToolMessage])
SAID = st.fixed_dictionaries(
    {"content": st.sampled_from(["", "Hi", " ", ["Hi"], [], [{"type": "text", "text": "Hi"}]])},
    optional={
        "name": st.sampled_from([None, "", "ann"]),
        "additional_kwargs": st.sampled_from(
            [{}, {"__openai_role__": "developer"}, {"reasoning_content": "hm"}, {"refusal": "no"}]
        ),
        "response_metadata": st.sampled_from([{}, {"model_provider": "sunra"}]),
    },
)
CALLED = st.fixed_dictionaries(
    {},
    optional={
        "tool_calls": st.sampled_from([[], [CALL]]),
        "invalid_tool_calls": st.sampled_from(
            [[], [{"name": "f", "args": "{", "id": "c2", "error": None}]]
        ),
    },
)


@given(KINDS, SAID, CALLED)
def test_a_text_is_sent_in_few_steps_as_it_is_the_long_way(kind, said, called):
    fields = {**said, **(called if issubclass(kind, AIMessage) else {})}
    one = kind(**fields, tool_call_id="c1") if kind is ToolMessage else kind(**fields)
    sent = request.messages([one])
    with patch.object(request, "_text_message", return_value=None):
        assert sent == request.messages([one])


def test_a_long_history_of_texts_is_sent_in_few_steps():
    with patch.object(request, "_message", side_effect=AssertionError):
        request.messages([SystemMessage("a"), HumanMessage("b"), AIMessage("c")])

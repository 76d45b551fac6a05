"""Conversations that other classes of both frameworks have stored go on with Sunra.

The messages are in the forms that these classes keep: see `additional_kwargs` and the content
blocks in langchain-anthropic, -openai, -aws, -google-genai and -ollama, and in LlamaIndex's
llms-anthropic, -openai, -bedrock-converse, -google-genai and -ollama.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.messages import ChatMessage as GenericMessage
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from sunra_integrations.errors import BadRequest, InvalidParameter, UnsupportedContent
from sunra_integrations.langchain import request as langchain
from sunra_integrations.llama_index import request as llama_index
from sunra_integrations.protocol.request import ChatRequest

Json = dict[str, Any]

ADD: Json = {"name": "add", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
SENT_CALL: Json = {
    "id": "c1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"a":1}'},
}
RESULT = ToolMessage("2", tool_call_id="c1")
SENT_RESULT: Json = {"role": "tool", "tool_call_id": "c1", "content": "2"}


def signed(signature: str, words: str = "hm") -> Json:
    return {"type": "reasoning.text", "text": words, "signature": signature}


def encrypted(data: str, **more: Any) -> Json:
    return {"type": "reasoning.encrypted", "data": data, **more}


def summary(text: str, **more: Any) -> Json:
    return {"type": "reasoning.summary", "summary": text, **more}


# ── LangChain ────────────────────────────────────────────────────────────────

OF_LANGCHAIN: dict[str, tuple[AIMessage, Json]] = {
    "ChatAnthropic": (
        AIMessage(
            [
                {"type": "thinking", "thinking": "hm", "signature": "SIG"},
                {"type": "redacted_thinking", "data": "XXXX"},
                {"type": "text", "text": "Adding.", "citations": []},
                {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}, "caller": {}},
            ],
            tool_calls=[ADD],
            response_metadata={"model_provider": "anthropic"},
        ),
        {"reasoning_details": [signed("SIG"), encrypted("XXXX")]},
    ),
    "ChatAnthropic, streamed": (
        AIMessage(
            [
                {"type": "thinking", "thinking": "hm", "signature": "SIG", "index": 0},
                {"type": "text", "text": "Adding.", "index": 1},
                {
                    "type": "tool_use",
                    "id": "c1",
                    "name": "add",
                    "input": {},
                    "partial_json": '{"a": 1}',
                    "index": 2,
                },
            ],
            tool_calls=[ADD],
            response_metadata={"model_provider": "anthropic"},
        ),
        {"reasoning_details": [signed("SIG")]},
    ),
    "ChatOpenAI, Responses v0": (
        AIMessage(
            [{"type": "text", "text": "Adding.", "annotations": []}],
            tool_calls=[ADD],
            additional_kwargs={
                "reasoning": {
                    "id": "rs_1",
                    "type": "reasoning",
                    "summary": [{"type": "summary_text", "text": "hm"}],
                },
                "__openai_function_call_ids__": {"c1": "fc_1"},
                "parsed": None,
            },
            id="msg_1",
            response_metadata={"model_provider": "openai", "id": "resp_1"},
        ),
        {"reasoning": "hm"},
    ),
    "ChatOpenAI, responses/v1": (
        AIMessage(
            [
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [{"type": "summary_text", "text": "hm", "index": 0}],
                    "encrypted_content": "EEEE",
                    "index": 0,
                },
                {"type": "text", "text": "Adding.", "annotations": [], "id": "msg_1"},
                {
                    "type": "function_call",
                    "id": "fc_1",
                    "call_id": "c1",
                    "name": "add",
                    "arguments": '{"a": 1}',
                    "status": "completed",
                },
            ],
            tool_calls=[ADD],
            response_metadata={"model_provider": "openai"},
        ),
        {"reasoning_details": [summary("hm", id="rs_1"), encrypted("EEEE", id="rs_1")]},
    ),
    "ChatOpenAI, v1, two summaries": (
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "hm", "id": "rs_1", "encrypted_content": "EEEE"},
                {"type": "reasoning", "reasoning": "ha", "id": "rs_1", "index": "lc_rs_1"},
                {"type": "text", "text": "Adding."},
            ],
            tool_calls=[ADD],
        ),
        {
            "reasoning_details": [
                summary("hm", id="rs_1"),
                encrypted("EEEE", id="rs_1"),
                summary("ha", id="rs_1"),
            ]
        },
    ),
    "ChatOpenAI, v1, no summary": (
        AIMessage(
            [
                {"type": "reasoning", "id": "rs_1", "extras": {"encrypted_content": "EEEE"}},
                {"type": "text", "text": "Adding."},
            ],
            tool_calls=[ADD],
        ),
        {"reasoning_details": [encrypted("EEEE", id="rs_1")]},
    ),
    "ChatOpenAI, responses/v1, not signed": (
        AIMessage(
            [
                {"type": "reasoning", "id": "rs_1", "summary": [{"type": "x", "text": "hm"}]},
                {"type": "text", "text": "Adding."},
            ],
            tool_calls=[ADD],
        ),
        {"reasoning": "hm"},
    ),
    "ChatOpenAI, v1": (
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "hm", "id": "rs_1", "index": "lc_rs_0"},
                {"type": "text", "text": "Adding.", "id": "msg_1", "annotations": []},
                {**ADD, "extras": {"item_id": "fc_1"}},
            ],
            tool_calls=[ADD],
            response_metadata={"model_provider": "openai", "output_version": "v1"},
        ),
        {"reasoning": "hm"},
    ),
    "ChatOpenAI, a custom tool": (
        AIMessage(
            [
                {"type": "text", "text": "Adding."},
                {
                    "type": "custom_tool_call",
                    "id": "ctc_1",
                    "call_id": "c1",
                    "name": "add",
                    "input": "1",
                },
            ],
            tool_calls=[ADD],
        ),
        {},
    ),
    "ChatBedrockConverse": (
        AIMessage(
            [
                {
                    "type": "reasoning_content",
                    "reasoning_content": {"text": "hm", "signature": "SIG"},
                },
                {"type": "text", "text": "Adding."},
                {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}},
            ],
            tool_calls=[ADD],
            response_metadata={"model_provider": "bedrock_converse"},
        ),
        {"reasoning_details": [signed("SIG")]},
    ),
    "ChatBedrockConverse, redacted, in bytes": (
        AIMessage(
            [
                {
                    "type": "reasoning_content",
                    "reasoning_content": {"redacted_content": b"\x01\x02"},
                },
                {"type": "text", "text": "Adding."},
            ],
            tool_calls=[ADD],
        ),
        {"reasoning_details": [encrypted("AQI=")]},
    ),
    "ChatAnthropic, streamed as v1, whose blocks core added up to one": (
        AIMessage(
            [
                {"type": "text", "text": "", "reasoning": "hm", "extras": {"signature": "SIG"}},
                {"type": "text", "text": "Adding.", "name": "add", "id": "c1", "args": "{}"},
            ],
            tool_calls=[ADD],
            response_metadata={"model_provider": "anthropic", "output_version": "v1"},
        ),
        {"reasoning_details": [signed("SIG")]},
    ),
    "ChatBedrockConverse, redacted": (
        AIMessage(
            [
                {
                    "type": "reasoning_content",
                    "reasoning_content": {"redacted_content": "XXXX"},
                },
                {"type": "text", "text": "Adding."},
            ],
            tool_calls=[ADD],
        ),
        {"reasoning_details": [encrypted("XXXX")]},
    ),
    "ChatGoogleGenerativeAI": (
        AIMessage(
            [
                {"type": "thinking", "thinking": "hm", "signature": "SIG"},
                {"type": "text", "text": "Adding.", "extras": {"signature": "S2"}},
            ],
            tool_calls=[ADD],
            additional_kwargs={
                "function_call": {"name": "add", "arguments": '{"a": 1}'},
                "__gemini_function_call_thought_signatures__": {"c1": "SIG"},
            },
            response_metadata={"model_provider": "google_genai"},
        ),
        {"reasoning_details": [signed("SIG")]},
    ),
    "ChatOllama": (
        AIMessage(
            "Adding.",
            tool_calls=[ADD],
            additional_kwargs={"reasoning_content": "hm"},
            response_metadata={"model_provider": "ollama", "done": True},
        ),
        {"reasoning_content": "hm"},
    ),
    "ChatMistralAI": (
        AIMessage(
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "Adding."},
            ],
            tool_calls=[ADD],
        ),
        {"reasoning": "hm"},
    ),
    "ChatDeepSeek, which reasoned in no words": (
        AIMessage("Adding.", tool_calls=[ADD], additional_kwargs={"reasoning_content": ""}),
        {"reasoning_content": ""},
    ),
    "ChatOpenAI": (
        AIMessage(
            "Adding.",
            additional_kwargs={
                "tool_calls": [{**SENT_CALL, "index": 0}],
                "refusal": None,
                "parsed": {"a": 1},
            },
            tool_calls=[ADD],
        ),
        {},
    ),
    "ChatLiteLLM": (
        AIMessage(
            "Adding.",
            tool_calls=[ADD],
            additional_kwargs={"thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
        ),
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm"}]},
    ),
}


def plain(message: Json) -> Json:
    """The message with content that is one text as that text."""
    match message["content"]:
        case [{"type": "text", "text": text, **rest}] if not rest:
            return {**message, "content": text}
        case _:
            return message


@pytest.mark.parametrize("case", OF_LANGCHAIN)
def test_a_call_of_another_chat_model_is_sent_once_with_its_reasoning(case: str) -> None:
    given, reasoning = OF_LANGCHAIN[case]
    before = copy.deepcopy(given)
    _, sent, result = langchain.messages([HumanMessage("?"), given, RESULT])
    expected = {"role": "assistant", "content": "Adding.", "tool_calls": [SENT_CALL], **reasoning}
    assert plain(sent) == expected
    assert result == SENT_RESULT
    assert given == before


def test_a_signature_in_a_call_as_it_came_goes_back_with_the_call() -> None:
    extra = {"extra_content": {"google": {"thought_signature": "SIG"}}}
    given = AIMessage("", additional_kwargs={"tool_calls": [{**SENT_CALL, **extra}]})
    _, sent, _ = langchain.messages([HumanMessage("?"), given, RESULT])
    assert sent["tool_calls"] == [{**SENT_CALL, **extra}]


IMAGE: Json = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
GENERATED: Json = {"type": "image_generation_call", "id": "ig_1", "result": "iVBORw0KGgo="}


@pytest.mark.parametrize(
    "given",
    [
        AIMessage([GENERATED]),
        AIMessage([], additional_kwargs={"tool_outputs": [{"type": "x"}, GENERATED]}),
    ],
)
def test_an_image_that_the_responses_api_made_is_an_image(given: AIMessage) -> None:
    assert langchain.messages([given]) == [{"role": "assistant", "content": [IMAGE]}]


@pytest.mark.parametrize("role", ["assistant", "ai", "model"])
def test_a_chat_message_of_the_assistants_keeps_its_calls_and_reasoning(role: str) -> None:
    known = {"tool_calls": [SENT_CALL], "reasoning_content": "hm"}
    given = GenericMessage("Adding.", role=role, additional_kwargs=known)
    answer = GenericMessage("2", role="tool", additional_kwargs={"tool_call_id": "c1"})
    calling: Json = {"role": "assistant", "content": "Adding.", "tool_calls": [SENT_CALL]}
    sent = langchain.messages([HumanMessage("?"), given, answer])
    assert sent[1:] == [{**calling, "reasoning_content": "hm"}, SENT_RESULT]


PDF = "data:application/pdf;base64,JVBERi0="

MEDIA: dict[str, tuple[Json, Json]] = {
    "Google's media": (
        {"type": "media", "mime_type": "image/png", "data": "iVBORw0KGgo="},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ),
    "Google's media by address": (
        {"type": "media", "mime_type": "video/mp4", "file_uri": "https://a.b/c.mp4"},
        {"type": "video_url", "video_url": {"url": "https://a.b/c.mp4"}},
    ),
    "a text for the Responses API": (
        {"type": "input_text", "text": "Hi"},
        {"type": "text", "text": "Hi"},
    ),
    "an image for the Responses API": (
        {"type": "input_image", "image_url": "https://a.b/c.png", "detail": "low"},
        {"type": "image_url", "image_url": {"url": "https://a.b/c.png", "detail": "low"}},
    ),
    "a file for the Responses API": (
        {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
    ),
    "a sound of MCP's": (
        {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ),
    "a file that MCP embeds": (
        {"type": "resource", "resource": {"blob": "JVBERi0=", "mimeType": "application/pdf"}},
        {"type": "file", "file": {"filename": "file.pdf", "file_data": PDF}},
    ),
    "an image that MCP embeds": (
        {"type": "resource", "resource": {"blob": "iVBORw0KGgo=", "mimeType": "image/png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ),
    "a sound as a bare string": (
        {"type": "input_audio", "input_audio": "UklGRg=="},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ),
    "a sound as a bare string with its format": (
        {"type": "input_audio", "input_audio": "AAAA", "format": "mp3"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
    ),
    "a file as a bare string": (
        {"type": "file", "file": "JVBERi0="},
        {"type": "file", "file": {"filename": "file.pdf", "file_data": PDF}},
    ),
    "a file as a bare data URL": (
        {"type": "file", "file": "data:text/plain;base64,SGk=", "filename": "a.txt"},
        {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,SGk="}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MEDIA)
def test_a_users_block_of_another_spelling_is_sent_as(case: str) -> None:
    given, expected = MEDIA[case]
    (sent,) = langchain.messages([HumanMessage([given])])
    assert sent["content"] == [expected]


# ── LlamaIndex ───────────────────────────────────────────────────────────────

ENTRIES: dict[str, Json] = {
    "llms-anthropic": {"id": "c1", "name": "add", "input": {"a": 1}, "type": "tool_use"},
    "OpenAIResponses": {
        "id": "fc_1",
        "call_id": "c1",
        "name": "add",
        "arguments": '{"a":1}',
        "type": "function_call",
        "status": "completed",
    },
    "llms-bedrock-converse": {"toolUseId": "c1", "name": "add", "input": {"a": 1}},
    "llms-bedrock-converse, wrapped": {
        "toolUse": {"toolUseId": "c1", "name": "add", "input": {"a": 1}}
    },
    "llms-google-genai": {"id": None, "name": "add", "args": {"a": 1}},
    "llms-ollama": {"function": {"name": "add", "arguments": {"a": 1}}},
    "llms-openai": {**SENT_CALL, "index": 0},
    "llms-cohere": {"id": "c1", "name": "add", "parameters": {"a": 1}},
}


def tool_result(call_id: str | None = "c1", content: str = "2", **more: Any) -> ChatMessage:
    known = {"tool_call_id": call_id} if call_id else {}
    return ChatMessage(role="tool", content=content, additional_kwargs={**known, **more})


@pytest.mark.parametrize("case", ENTRIES)
def test_an_entry_of_another_llm_is_sent_as_a_call(case: str) -> None:
    given = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [ENTRIES[case]]})
    before = given.model_dump()
    _, sent, result = llama_index.messages([ChatMessage("?"), given, tool_result()])
    assert sent == {"role": "assistant", "content": None, "tool_calls": [SENT_CALL]}
    assert result == SENT_RESULT
    assert given.model_dump() == before


OF_LLAMA_INDEX: dict[str, tuple[ChatMessage, Json]] = {
    "llms-anthropic": (
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(
                    content="hm",
                    additional_information={"type": "thinking", "signature": "SIG"},
                ),
                ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1}),
            ],
        ),
        {"reasoning_details": [signed("SIG")]},
    ),
    "OpenAIResponses": (
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(
                    content="hm",
                    additional_information={
                        "id": "rs_1",
                        "type": "reasoning",
                        "encrypted_content": "EEEE",
                        "status": None,
                    },
                ),
                ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs='{"a":1}'),
            ],
            additional_kwargs={"built_in_tool_calls": []},
        ),
        {"reasoning_details": [summary("hm", id="rs_1"), encrypted("EEEE", id="rs_1")]},
    ),
    "llms-bedrock-converse": (
        ChatMessage(
            role="assistant",
            blocks=[
                ThinkingBlock(content="hm", additional_information={"signature": None}),
                ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1}),
            ],
            additional_kwargs={"tool_call_id": [], "status": []},
        ),
        {"reasoning": "hm"},
    ),
    "llms-google-genai": (
        ChatMessage(
            role="model",
            blocks=[
                ThinkingBlock(content="hm", additional_information={"thought": True}),
                ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1}),
            ],
            additional_kwargs={"thought_signatures": [b"x"], "total_tokens": 3},
        ),
        {"reasoning": "hm"},
    ),
    "llms-ollama": (
        ChatMessage(
            role="assistant",
            blocks=[TextBlock(text=""), ToolCallBlock(tool_name="add", tool_kwargs={"a": 1})],
        ),
        {},
    ),
    "llms-anthropic, before there were blocks": (
        ChatMessage(
            role="assistant",
            additional_kwargs={
                "tool_calls": [ENTRIES["llms-anthropic"]],
                "thinking": {"type": "thinking", "thinking": "hm", "signature": "SIG"},
            },
        ),
        {"reasoning_details": [signed("SIG")]},
    ),
    "llms-deepseek, before there were blocks": (
        ChatMessage(
            role="assistant",
            additional_kwargs={"tool_calls": [SENT_CALL], "reasoning_content": "hm"},
        ),
        {"reasoning_content": "hm"},
    ),
    "llms-openai": (
        ChatMessage(
            role="assistant",
            blocks=[ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs='{"a":1}')],
            additional_kwargs={"tool_calls": [SENT_CALL]},
        ),
        {},
    ),
}


@pytest.mark.parametrize("case", OF_LLAMA_INDEX)
def test_a_call_of_another_llm_is_sent_once_with_its_reasoning(case: str) -> None:
    given, reasoning = OF_LLAMA_INDEX[case]
    _, sent, result = llama_index.messages([ChatMessage("?"), given, tool_result()])
    expected = {"role": "assistant", "content": None, "tool_calls": [SENT_CALL], **reasoning}
    assert {**sent, "content": sent["content"] or None} == expected
    assert result == SENT_RESULT


def test_a_sound_that_llms_openai_kept_goes_back_by_its_id() -> None:
    given = ChatMessage(
        role="assistant",
        blocks=[AudioBlock(audio=b"RIFF", format="wav")],
        additional_kwargs={"reference_audio_id": "audio_1"},
    )
    expected = {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}
    assert llama_index.messages([given]) == [expected]


@pytest.mark.parametrize(
    ("blocks", "content"),
    [
        ([TextBlock(text="Hi")], [{"type": "hologram"}, {"type": "text", "text": "Hi", "x": 1}]),
        ([TextBlock(text="Ho")], [{"type": "hologram"}, {"type": "text", "text": "Ho"}]),
        (
            [TextBlock(text="Hi"), CachePoint(cache_control=CacheControl(type="ephemeral"))],
            [
                {"type": "hologram"},
                {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
            ],
        ),
    ],
)
def test_parts_that_were_kept_go_with_the_text_as_it_is_now(
    blocks: list[Any], content: list[Json]
) -> None:
    kept = [{"type": "hologram"}, {"type": "text", "text": "Hi", "x": 1}]
    known = {"content_parts": kept, "content_places": [0, 0]}
    given = ChatMessage(role="assistant", blocks=blocks, additional_kwargs=known)
    assert llama_index.messages([given]) == [{"role": "assistant", "content": content}]


# ── calls and results find each other ────────────────────────────────────────

PAIRED: dict[str, tuple[list[tuple[str | None, str]], list[str | None], list[int]]] = {
    "no id anywhere": ([(None, "add"), (None, "sub")], [None, None], [0, 1]),
    "ids on the results only": ([(None, "add"), (None, "sub")], ["r1", "r2"], [0, 1]),
    "ids on the calls only": ([("c1", "add"), ("c2", "sub")], [None, None], [0, 1]),
    "results that name the tool": ([(None, "add"), (None, "sub")], ["sub", "add"], [1, 0]),
    "ids that are the tool's name": ([("add", "add"), ("add", "add")], ["add", "add"], [0, 1]),
    "one id for two calls": ([("c1", "add"), ("c1", "sub")], ["c1", "c1"], [0, 1]),
    "an id on one of two": ([(None, "add"), ("c2", "sub")], ["c2", None], [1, 0]),
}


def paired(sent: list[Json]) -> list[int]:
    """The places of the calls that the results answer, by ids that must be distinct."""
    ids = [call["id"] for call in sent[1]["tool_calls"]]
    assert all(isinstance(one, str) and one for one in ids)
    assert len(set(ids)) == len(ids)
    return [ids.index(one["tool_call_id"]) for one in sent[2:]]


@pytest.mark.parametrize("case", PAIRED)
def test_calls_and_results_without_ids_of_their_own_are_paired_in_llama_index(case: str) -> None:
    calls, answered, expected = PAIRED[case]
    blocks = [ToolCallBlock(tool_call_id=i, tool_name=name, tool_kwargs={}) for i, name in calls]
    talk = [ChatMessage("?"), ChatMessage(role="assistant", blocks=blocks)]
    assert paired(llama_index.messages(talk + [tool_result(one) for one in answered])) == expected


@pytest.mark.parametrize("case", PAIRED)
def test_calls_and_results_without_ids_of_their_own_are_paired_in_langchain(case: str) -> None:
    calls, answered, expected = PAIRED[case]
    made = [{"name": name, "args": {}, "id": i, "type": "tool_call"} for i, name in calls]
    talk: list[BaseMessage] = [HumanMessage("?"), AIMessage("", tool_calls=made)]
    results = [ToolMessage("2", tool_call_id=one or "") for one in answered]
    assert paired(langchain.messages(talk + results)) == expected


@pytest.mark.parametrize("ids", [(None, None), ("c1", "c2")])
def test_results_without_ids_are_paired_by_the_name_of_their_tool(ids: tuple[Any, Any]) -> None:
    calls = list(zip(ids, ("add", "sub"), strict=True))
    blocks = [ToolCallBlock(tool_call_id=i, tool_name=name, tool_kwargs={}) for i, name in calls]
    talk = [ChatMessage("?"), ChatMessage(role="assistant", blocks=blocks)]
    answers = [tool_result(None, name="sub"), tool_result(None, name="add")]
    assert paired(llama_index.messages(talk + answers)) == [1, 0]
    made = [{"name": name, "args": {}, "id": i, "type": "tool_call"} for i, name in calls]
    results = [ToolMessage("2", tool_call_id="", name=name) for name in ("sub", "add")]
    sent = langchain.messages([HumanMessage("?"), AIMessage("", tool_calls=made), *results])
    assert paired(sent) == [1, 0]


def test_ids_that_repeat_in_a_later_turn_are_made_distinct() -> None:
    turn = [AIMessage("", tool_calls=[ADD]), RESULT, HumanMessage("?")]
    sent = langchain.messages([HumanMessage("?"), *turn, *turn])
    blocks = [ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1})]
    same = [ChatMessage(role="assistant", blocks=blocks), tool_result(), ChatMessage("?")]
    assert llama_index.messages([ChatMessage("?"), *same, *same]) == sent
    ids = [call["id"] for one in sent for call in one.get("tool_calls", [])]
    assert ids[0] == "c1"
    assert len(set(ids)) == 2
    assert [one["tool_call_id"] for one in sent if one["role"] == "tool"] == ids


def test_a_conversation_that_grows_keeps_its_made_ids() -> None:
    """So that a prompt cache still finds the beginning."""
    blocks = [ToolCallBlock(tool_name="add", tool_kwargs={"a": 1})]
    talk = [ChatMessage("?"), ChatMessage(role="assistant", blocks=blocks), tool_result(None)]
    first = llama_index.messages(talk)
    assert llama_index.messages([*talk, ChatMessage("And?"), *talk])[: len(first)] == first


def test_a_function_and_its_result_become_a_tool_call() -> None:
    function = {"name": "add", "arguments": '{"a":1}'}
    known = {"function_call": function}
    sent = langchain.messages(
        [AIMessage("", additional_kwargs=known), FunctionMessage("2", name="add")]
    )
    call = {"id": sent[0]["tool_calls"][0]["id"], "type": "function", "function": function}
    assert sent == [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "2"},
    ]
    talk = [
        ChatMessage(role="assistant", additional_kwargs=known),
        ChatMessage(role="function", content="2"),
    ]
    assert llama_index.messages(talk) == sent


def test_a_function_without_a_result_goes_as_it_is() -> None:
    function = {"name": "add", "arguments": "{}"}
    expected = {"role": "assistant", "content": None, "function_call": function}
    known = {"function_call": function}
    assert langchain.messages([AIMessage("", additional_kwargs=known)]) == [expected]
    given = ChatMessage(role="assistant", additional_kwargs=known)
    assert llama_index.messages([given]) == [expected]


def test_a_broken_call_does_not_block_a_conversation_that_went_on() -> None:
    """As when a LangChain agent ends with a call that was cut off, and the user writes again."""
    broken = {"name": "add", "args": '{"a": 1', "id": "c2", "error": "cut off"}
    called = AIMessage("", tool_calls=[ADD], invalid_tool_calls=[broken])
    sent = langchain.messages([HumanMessage("?"), called, RESULT, HumanMessage("Go on.")])
    blocks = [
        ToolCallBlock(tool_call_id="c1", tool_name="add", tool_kwargs={"a": 1}),
        ToolCallBlock(tool_call_id="c2", tool_name="add", tool_kwargs='{"a": 1'),
    ]
    same = ChatMessage(role="assistant", blocks=blocks)
    talk = [ChatMessage("?"), same, tool_result(), ChatMessage("Go on.")]
    assert llama_index.messages(talk) == sent
    told = "The arguments are not a JSON object, so the tool was not called."
    assert sent[2:] == [
        {"role": "tool", "tool_call_id": "c2", "content": told},
        SENT_RESULT,
        {"role": "user", "content": "Go on."},
    ]
    answered = [*talk[:3], tool_result("c2", "No."), talk[3]]
    assert [one["content"] for one in llama_index.messages(answered)[2:4]] == ["2", "No."]


# ── fields of a message ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "fields", [{"prefix": True}, {"partial": True}, {"cache_control": {"type": "ephemeral"}}]
)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_field_of_a_message_that_the_wire_has_goes_onto_it(role: str, fields: Json) -> None:
    expected = [{"role": role, "content": "{", **fields}]
    known = {**fields, "seen_at": 3}
    assert llama_index.messages([ChatMessage(role=role, content="{", additional_kwargs=known)]) == (
        expected
    )
    kind = {"system": "system", "user": "human", "assistant": "ai"}[role]
    (given,) = [
        cls("{", additional_kwargs=known)
        for cls in (HumanMessage, AIMessage, langchain.SystemMessage)
        if cls("{").type == kind
    ]
    assert langchain.messages([given]) == expected


# ── links in tool results ────────────────────────────────────────────────────

LINKS: dict[str, tuple[Json, str]] = {
    "a file": (
        {"type": "file", "url": "https://a.b/c.pdf", "mime_type": "application/pdf"},
        "Resource (application/pdf): https://a.b/c.pdf",
    ),
    "a file of another scheme": (
        {"type": "file", "url": "db://table/1", "filename": "one"},
        "Resource one: db://table/1",
    ),
    "an image on the server's disk": (
        {"type": "image", "url": "file:///c.png", "mime_type": "image/png"},
        "Resource (image/png): file:///c.png",
    ),
    "a sound": ({"type": "audio", "url": "https://a.b/c.mp3"}, "Resource: https://a.b/c.mp3"),
    "a raw link": (
        {"type": "resource_link", "uri": "db://1", "name": "One", "mimeType": "text/csv"},
        "Resource One (text/csv): db://1",
    ),
    "a raw resource": (
        {"type": "resource", "resource": {"uri": "db://1", "text": "a,b"}},
        "Resource: db://1\na,b",
    ),
}


@pytest.mark.parametrize("case", LINKS)
def test_a_link_in_a_tools_result_becomes_text_that_names_the_resource(case: str) -> None:
    block, text = LINKS[case]
    call = AIMessage("", tool_calls=[ADD])
    expected = [{"type": "text", "text": "See:"}, {"type": "text", "text": text}]
    result = ToolMessage([{"type": "text", "text": "See:"}, block], tool_call_id="c1")
    assert langchain.messages([call, result])[1]["content"] == expected
    anthropics = {"type": "tool_result", "tool_use_id": "c1", "content": result.content}
    assert langchain.messages([call, HumanMessage([anthropics])])[1]["content"] == expected


def test_the_text_of_a_custom_tool_s_result_is_sent() -> None:
    block = {"type": "custom_tool_call_output", "output": "3"}  # langchain-openai's custom_tool
    result = ToolMessage([block], tool_call_id="c1")
    sent = langchain.messages([AIMessage("", tool_calls=[ADD]), result])[1]["content"]
    assert sent == [{"type": "text", "text": "3"}]


def test_an_image_that_a_tool_links_to_is_still_an_image() -> None:
    result = ToolMessage([{"type": "image", "url": "https://a.b/c.png"}], tool_call_id="c1")
    sent = langchain.messages([AIMessage("", tool_calls=[ADD]), result])[1]["content"]
    assert sent == [{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}]


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (
            DocumentBlock(url="https://a.b/c.pdf", document_mimetype="application/pdf"),
            "Resource (application/pdf): https://a.b/c.pdf",
        ),
        (DocumentBlock(url="https://a.b/c", title="One"), "Resource One: https://a.b/c"),
        (AudioBlock(url="https://a.b/c.mp3"), "Resource: https://a.b/c.mp3"),
        (ImageBlock(url="file:///c.png"), "Resource (image/png): file:///c.png"),
    ],
)
def test_a_link_in_a_tools_result_becomes_text_in_llama_index_too(block: Any, text: str) -> None:
    call = ChatMessage(
        role="assistant", blocks=[ToolCallBlock(tool_call_id="c1", tool_name="f", tool_kwargs={})]
    )
    result = ChatMessage(role="tool", blocks=[block], additional_kwargs={"tool_call_id": "c1"})
    assert llama_index.messages([call, result])[1]["content"] == text


# ── what cannot be carried ───────────────────────────────────────────────────

REFUSED: dict[str, tuple[BaseMessage, str, str]] = {
    f"{kind} of another provider": (
        AIMessage([{"type": "text", "text": "a"}, {"type": kind, "id": "s1"}]),
        kind,
        "messages[1].content[1]",
    )
    for kind in (
        "server_tool_use",
        "web_search_tool_result",
        "executable_code",
        "guard_content",
    )
}
REFUSED["a link outside of a tool's result"] = (
    HumanMessage([{"type": "resource_link", "uri": "db://1"}]),
    "resource_link",
    "messages[1].content[0]",
)
REFUSED["a sound that Gemini made"] = (
    AIMessage("", additional_kwargs={"audio": b"RIFF"}),
    "audio",
    "messages[1].additional_kwargs['audio']",
)
REFUSED["a bare file by address"] = (
    HumanMessage([{"type": "file", "file": "https://a.b/c.pdf"}]),
    "file",
    "messages[1].content[0]",
)


@pytest.mark.parametrize("kind", ["web_search_call", "code_interpreter_call", "mcp_call"])
def test_a_call_of_a_built_in_tool_is_sent_on_responses_only(kind: str) -> None:
    item = {"type": kind, "id": "s1"}
    given = AIMessage([{"type": "text", "text": "a"}, {**item, "index": 1}])
    messages = langchain.messages([HumanMessage("?"), given])
    request = ChatRequest(model="a/b", api="responses", messages=messages)
    assert request.body(stream=False)["input"][2] == item
    with pytest.raises(UnsupportedContent, match="Remove it, or use api='responses'") as refused:
        ChatRequest(model="a/b", messages=messages)
    assert (refused.value.kind, refused.value.position) == (kind, "messages[1].content[1]")


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_carried_is_refused_with_how_to_drop_it(case: str) -> None:
    given, kind, position = REFUSED[case]
    with pytest.raises(UnsupportedContent, match="leave it out") as refused:
        langchain.messages([HumanMessage("?"), given])
    assert (refused.value.kind, refused.value.position) == (kind, position)


@pytest.mark.parametrize("entry", [{"id": "c1"}, {"type": "mcp_call", "server": "x"}, "c1", None])
def test_an_entry_that_is_no_call_is_refused_in_llama_index(entry: Any) -> None:
    given = ChatMessage(role="assistant", additional_kwargs={"tool_calls": [entry]})
    with pytest.raises(UnsupportedContent, match=r"[Ll]eave it out") as refused:
        llama_index.messages([ChatMessage("?"), given])
    assert refused.value.position == "messages[1].additional_kwargs['tool_calls'][0]"


ALONE: dict[str, tuple[list[ChatMessage], str]] = {
    "a result": ([tool_result(None)], "messages[0]"),
    "a call in a block": (
        [ChatMessage(role="assistant", blocks=[TextBlock(text="a"), ToolCallBlock(tool_name="f")])],
        "messages[0].blocks[1]",
    ),
    "a call in an entry": (
        [ChatMessage(role="assistant", additional_kwargs={"tool_calls": [{"name": "f"}]})],
        "messages[0].additional_kwargs['tool_calls'][0]",
    ),
    "one call of two": (
        [
            ChatMessage(
                role="assistant",
                blocks=[ToolCallBlock(tool_name="f"), ToolCallBlock(tool_name="g")],
            ),
            tool_result(None),
        ],
        "messages[0].blocks[1]",
    ),
}


@pytest.mark.parametrize("case", ALONE)
def test_a_call_or_result_without_id_and_counterpart_is_refused(case: str) -> None:
    talk, position = ALONE[case]
    with pytest.raises(BadRequest, match=r"leave (it|the message) out") as refused:
        llama_index.messages(talk)
    assert isinstance(refused.value, InvalidParameter)
    assert refused.value.parameter == position

"""A chat request becomes the body of `/v1/responses` that OpenAI's own types accept."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import openai.types.responses
import openai.types.shared_params
import pytest
from openai.types.responses import response_create_params
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from sunra_integrations.errors import InvalidParameter, UnsupportedContent
from sunra_integrations.protocol.request import ChatRequest

ASK = [{"role": "user", "content": "Hi"}]
ADD = {"name": "add", "description": "Add.", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": ADD}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
CUSTOM_CALL = {"id": "c2", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
ENCRYPTED = {"store": False, "include": ["reasoning.encrypted_content"]}


def body(messages: Any = None, *, stream: bool = False, **parameters: Any) -> dict[str, Any]:
    request = ChatRequest(
        model="openai/gpt-5.6", api="responses", messages=messages or ASK, **parameters
    )
    return json.loads(request.encode(stream=stream))


def test_a_plain_request_is_not_stored_and_asks_for_encrypted_reasoning():
    assert body() == {
        "model": "openai/gpt-5.6",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        **ENCRYPTED,
    }
    assert body(stream=True)["stream"] is True


@pytest.mark.parametrize("given", [None, "chat"])
def test_other_requests_are_chat_completions(given):
    request = ChatRequest(model="a/b", api=given, messages=ASK)
    assert request.path == "/chat/completions"
    assert json.loads(request.encode(stream=False)) == {"model": "a/b", "messages": ASK}
    assert ChatRequest(model="a/b", api="responses", messages=ASK).path == "/responses"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"max_tokens": 5}, {"max_output_tokens": 5}),
        ({"max_completion_tokens": 5}, {"max_output_tokens": 5}),
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
        ({"user": "u", "parallel_tool_calls": False}, {"user": "u", "parallel_tool_calls": False}),
        ({"provider": {"only": ["openai"]}}, {"provider": {"only": ["openai"]}}),
        ({"n": 1}, {}),
        ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        (
            {"reasoning_effort": "low", "reasoning": {"summary": "auto"}},
            {"reasoning": {"summary": "auto", "effort": "low"}},
        ),
        (
            {"logprobs": True, "top_logprobs": 2},
            {
                "top_logprobs": 2,
                "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
            },
        ),
        ({"logprobs": False}, {}),
        ({"response_format": {"type": "text"}}, {"text": {"format": {"type": "text"}}}),
        (
            {"response_format": {"type": "json_object"}},
            {"text": {"format": {"type": "json_object"}}},
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "A", "schema": SCHEMA, "strict": True},
                }
            },
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "A",
                        "schema": SCHEMA,
                        "strict": True,
                    }
                }
            },
        ),
        (
            {"tools": [TOOL, {"type": "web_search"}], "tool_choice": "auto"},
            {
                "tools": [{"type": "function", **ADD, "strict": False}, {"type": "web_search"}],
                "tool_choice": "auto",
            },
        ),
        (
            {"tools": [{"type": "function", "function": {**ADD, "strict": True}}]},
            {"tools": [{"type": "function", **ADD, "strict": True}]},
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "add"}}},
            {
                "tools": [{"type": "function", **ADD, "strict": False}],
                "tool_choice": {"type": "function", "name": "add"},
            },
        ),
        (
            {
                "tools": [{"type": "custom", "custom": {"name": "sql"}}],
                "tool_choice": {"type": "custom", "custom": {"name": "sql"}},
            },
            {
                "tools": [{"type": "custom", "name": "sql"}],
                "tool_choice": {"type": "custom", "name": "sql"},
            },
        ),
        (
            {
                "tools": [TOOL],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": "add"}}],
                    },
                },
            },
            {
                "tools": [{"type": "function", **ADD, "strict": False}],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "add"}],
                },
            },
        ),
        (
            {
                "tools": [
                    {
                        "type": "custom",
                        "custom": {
                            "name": "sql",
                            "format": {
                                "type": "grammar",
                                "grammar": {"syntax": "regex", "definition": "A+"},
                            },
                        },
                    }
                ]
            },
            {
                "tools": [
                    {
                        "type": "custom",
                        "name": "sql",
                        "format": {"type": "grammar", "syntax": "regex", "definition": "A+"},
                    }
                ]
            },
        ),
        (
            {
                "response_format": {"type": "json_object"},
                "reasoning_effort": "low",
                "extra_body": {"text": {"verbosity": "low"}, "reasoning": {"summary": "auto"}},
            },
            {
                "text": {"format": {"type": "json_object"}, "verbosity": "low"},
                "reasoning": {"effort": "low", "summary": "auto"},
            },
        ),
        ({"extra_body": {"text": {"verbosity": "low"}}}, {"text": {"verbosity": "low"}}),
        ({"extra_body": {"store": True}}, {"store": True, "include": None}),
        (
            {"extra_body": {"include": ["web_search_call.action.sources"], "truncation": "auto"}},
            {
                "include": ["web_search_call.action.sources", "reasoning.encrypted_content"],
                "truncation": "auto",
            },
        ),
        (
            {
                "extra_body": {"text": {"verbosity": "low"}},
                "response_format": {"type": "json_object"},
            },
            {"text": {"format": {"type": "json_object"}, "verbosity": "low"}},
        ),
        (
            {"extra_body": {"previous_response_id": "resp_1", "instructions": "Be brief."}},
            {"previous_response_id": "resp_1", "instructions": "Be brief."},
        ),
    ],
)
def test_parameters_have_the_names_of_this_api(given, sent, judge):
    made = body(**given)
    expected = {"model": "openai/gpt-5.6", "input": made["input"], **ENCRYPTED, **sent}
    assert made == {name: value for name, value in expected.items() if value is not None}
    if "provider" not in given:  # Sunra's own
        assert judge(made) == made


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"stop": "END"}, "stop"),
        ({"seed": 7}, "seed"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"n": 2}, "n"),
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "reasoning_effort"),
    ],
)
def test_parameters_without_a_counterpart_are_refused_by_name(given, name):
    with pytest.raises(InvalidParameter, match="api='responses'") as caught:
        body(**given)
    assert caught.value.parameter == name


def test_stream_options_of_chat_completions_are_not_sent():
    assert "stream_options" not in body(stream=True)
    assert "stream_options" not in body(stream=True, stream_options={})
    kept = body(stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
    assert kept["stream_options"] == {"include_obfuscation": False}


def answered(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls") or ()
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "3"} for call in calls]
    return [*ASK, {"role": "assistant", "content": None, **message}, *results]


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,A"}}
SEARCH = {
    "type": "web_search_call", "id": "ws_1", "status": "completed",
    "action": {"type": "search", "query": "x"},
}  # fmt: skip


def message(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **more}


def call(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "add", "arguments": "{}"}


def result(call_id: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": "3"}


def thought(number: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "reasoning.encrypted", "data": f"E{number}", "id": f"rs_{number}",
        "format": "openai-responses-v1", "index": number, **more,
    }  # fmt: skip


def reasoning(number: int) -> dict[str, Any]:
    return {
        "type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": f"E{number}",
    }  # fmt: skip


CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "system and developer messages": (
        [{"role": "system", "content": "A"}, {"role": "developer", "content": "B"}, *ASK],
        [message("system", "A"), message("developer", "B"), message("user", "Hi")],
    ),
    "text, image and file": (
        [{"role": "user", "content": [{"type": "text", "text": "See"}, IMAGE, FILE]}],
        [
            message(
                "user",
                [
                    {"type": "input_text", "text": "See"},
                    {
                        "type": "input_image",
                        "image_url": "data:image/png;base64,AA==",
                        "detail": "low",
                    },
                    {"type": "input_file", **FILE["file"]},
                ],
            )
        ],
    ),
    "an answer": (
        [*ASK, {"role": "assistant", "content": "Hello"}, *ASK],
        [message("user", "Hi"), message("assistant", "Hello"), message("user", "Hi")],
    ),
    "an answer with its phase": (
        [*ASK, {"role": "assistant", "content": "Hello", "phase": "commentary"}, *ASK],
        [
            message("user", "Hi"),
            message("assistant", "Hello", phase="commentary"),
            message("user", "Hi"),
        ],
    ),
    "calls and results": (
        answered({"content": "Wait.", "tool_calls": [CALL, {**CALL, "id": "c3"}]}),
        [
            message("user", "Hi"),
            message("assistant", "Wait."),
            call("c1"),
            call("c3"),
            result("c1"),
            result("c3"),
        ],
    ),
    "a custom call": (
        answered({"tool_calls": [CUSTOM_CALL]}),
        [
            message("user", "Hi"),
            {"type": "custom_tool_call", "call_id": "c2", "name": "sql", "input": "SELECT"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "3"},
        ],
    ),
    "a result with an image": (
        [
            *answered({"tool_calls": [CALL]})[:2],
            {"role": "tool", "tool_call_id": "c1", "content": [IMAGE]},
        ],
        [
            message("user", "Hi"),
            call("c1"),
            {
                "type": "function_call_output",
                "call_id": "c1",
                "output": [
                    {
                        "type": "input_image",
                        "image_url": "data:image/png;base64,AA==",
                        "detail": "low",
                    }
                ],
            },
        ],
    ),
    "reasoning before a call": (
        answered({"tool_calls": [CALL], "reasoning_details": [thought(0)]}),
        [message("user", "Hi"), reasoning(0), call("c1"), result("c1")],
    ),
    "several pieces of reasoning in their order": (
        answered(
            {
                "tool_calls": [CALL],
                "reasoning_details": [thought(0), thought(1), thought(2)],
            }
        ),
        [message("user", "Hi"), *map(reasoning, range(3)), call("c1"), result("c1")],
    ),
    "reasoning between calls": (
        answered(
            {
                "tool_calls": [CALL, {**CALL, "id": "c3"}],
                "reasoning_details": [thought(0), thought(1, before="c3")],
            }
        ),
        [
            message("user", "Hi"),
            reasoning(0),
            call("c1"),
            reasoning(1),
            call("c3"),
            result("c1"),
            result("c3"),
        ],
    ),
    "signed reasoning of another vendor": (
        answered(
            {
                "tool_calls": [CALL],
                "reasoning_details": [{"type": "reasoning.text", "text": "T", "signature": "S"}],
            }
        ),
        [
            message("user", "Hi"),
            {
                "type": "reasoning",
                "id": "rs_1_0",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "T"}],
                "signature": "S",
            },
            call("c1"),
            result("c1"),
        ],
    ),
    "thinking of another vendor among the text": (
        answered(
            {
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "S"},
                    {"type": "text", "text": "Wait."},
                ]
            }
        ),
        [message("user", "Hi"), message("assistant", "Wait.")],
    ),
    "reasoning whose call was removed": (
        answered({"tool_calls": [CALL], "reasoning_details": [thought(1, before="c9")]}),
        [message("user", "Hi"), reasoning(1), call("c1"), result("c1")],
    ),
    "a built-in call between texts": (
        [
            *ASK,
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Let me look."},
                    SEARCH,
                    {"type": "text", "text": "Rain.", "phase": "final_answer"},
                ],
                "phase": "commentary",
                "reasoning_details": [thought(0), thought(1, before="ws_1")],
            },
            *ASK,
        ],
        [
            message("user", "Hi"),
            reasoning(0),
            message("assistant", "Let me look.", phase="commentary"),
            reasoning(1),
            SEARCH,
            message("assistant", "Rain.", phase="final_answer"),
            message("user", "Hi"),
        ],
    ),
}


@pytest.mark.parametrize("case", CONVERSATIONS)
def test_messages_become_items(case, judge):
    messages, items = CONVERSATIONS[case]
    made = body(messages)
    assert made["input"] == items
    if "vendor" not in case:  # OpenAI's types have no signatures
        assert judge(made) == made


def test_a_refusal_is_sent_back_as_a_part():
    messages = [*ASK, {"role": "assistant", "content": "", "refusal": "No."}, *ASK]
    assert body(messages)["input"][1] == message(
        "assistant", [{"type": "refusal", "refusal": "No."}]
    )


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": "https://a.b/c.mp4"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ],
    ids=["video", "audio"],
)
def test_a_part_of_chat_completions_alone_is_refused_with_its_position(part):
    with pytest.raises(UnsupportedContent, match=r"messages\[0\]\.content\[1\]") as caught:
        body([{"role": "user", "content": [{"type": "text", "text": "See"}, part]}])
    assert caught.value.kind == part["type"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "user", "content": ["Hi"]},
        {"role": "user", "content": 5},
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": [{"type": "text"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function"}]},
        {"role": "assistant", "content": "Hi", "reasoning_details": ["hm"]},
    ],
)
def test_a_message_of_another_form_is_refused_with_its_position(wrong):
    with pytest.raises(InvalidParameter, match=r"`messages\[1\]` is not a message of") as caught:
        body([*ASK, wrong])
    assert caught.value.parameter == "messages[1]"


@pytest.mark.parametrize(
    ("fields", "kind", "place"),
    [
        ({"content": "See", "images": [IMAGE]}, "image_url", "images"),
        ({"content": None, "audio": {"id": "audio_1"}}, "audio", "audio"),
        ({"content": None, "function_call": CALL["function"]}, "function_call", "function_call"),
        ({"content": [{"type": "text", "text": "See"}, IMAGE]}, "image_url", "content[1]"),
        ({"content": [FILE]}, "file", "content[0]"),
    ],
)
def test_what_no_item_of_the_assistant_has_is_refused_with_its_position(fields, kind, place):
    with pytest.raises(UnsupportedContent, match="Remove it, or use api='chat'") as caught:
        body([*ASK, {"role": "assistant", **fields}, *ASK])
    assert (caught.value.kind, caught.value.position) == (kind, f"messages[1].{place}")


def test_names_that_servers_reject_are_adapted():
    tool = {"type": "function", "function": {**ADD, "name": "a.b"}}
    made = body(tools=[tool], tool_choice={"type": "function", "function": {"name": "a.b"}})
    assert made["tools"][0]["name"] == made["tool_choice"]["name"] != "a.b"


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": "warm"}, {"input": [{"role": "user"}]}, {"tools": [{"type": "function"}]}],
)
def test_the_judge_refuses_what_is_wrong(wrong, judge):
    with pytest.raises(ValidationError):
        judge({**body(), **wrong})


@pytest.fixture(scope="module")
def judge():
    """Validates a body by the SDK's own types, which refuse unknown keys here, at any depth."""
    modules = (openai.types.responses, openai.types.shared_params, response_create_params)
    known = [one for module in modules for one in vars(module).values() if is_typeddict(one)]
    for one in known:
        one.__pydantic_config__ = ConfigDict(extra="forbid")
    checker = TypeAdapter(response_create_params.ResponseCreateParamsNonStreaming)
    yield lambda given: walked(checker.validate_python(given))
    for one in known:
        if "__pydantic_config__" in vars(one):
            del one.__pydantic_config__


def walked(value: Any) -> Any:
    """The value with its lazily checked iterables walked to their ends."""
    if isinstance(value, dict):
        return {name: walked(one) for name, one in value.items()}
    is_lazy = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    return [walked(one) for one in value] if is_lazy else value


@pytest.mark.parametrize("store", [False, True])
def test_reasoning_that_only_a_server_can_read_is_sent_if_it_is_stored(store):
    """https://github.com/vercel/ai/issues/7543."""
    details = [
        {"type": "reasoning.summary", "summary": "A", "id": "rs_1", "format": "openai-responses-v1"}
    ]
    answer = {"role": "assistant", "content": "Yes.", "reasoning_details": details}
    made = body(messages=[*ASK, answer, *ASK], extra_body={"store": store})
    kinds = [item["type"] for item in made["input"]]
    assert kinds == ["message", *["reasoning"] * store, "message", "message"]

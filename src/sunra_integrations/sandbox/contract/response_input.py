"""The rules of ``input``: a text, or items such as messages, calls, results and reasoning."""

from collections.abc import Iterable, Iterator
from typing import Any

from sunra_integrations.sandbox.contract.checks import (
    ANY_OBJECT,
    ANYTHING,
    FUNCTION_NAME,
    NON_EMPTY,
    TEXT,
    Check,
    Problem,
    Schema,
    broken_rule,
    by_json_type,
    exactly_one,
    left_out,
    list_of,
    nullable,
    object_of,
    one_of,
    requires,
    tagged_union,
    with_schema,
)
from sunra_integrations.sandbox.contract.media import BASE64, WEB_URL, data_url_or

# ── content ──────────────────────────────────────────────────────────────────

_INPUT_PARTS: dict[str, Check] = {
    "input_text": object_of({"text": TEXT}),
    "input_image": object_of(
        optional={
            "image_url": data_url_or(WEB_URL, "image"),
            "file_id": NON_EMPTY,
            "detail": one_of("auto", "low", "high", "original"),
        },
        rules=[exactly_one("image_url", "file_id")],
    ),
    "input_file": object_of(
        optional={
            "filename": NON_EMPTY,
            "file_data": data_url_or(BASE64),
            "file_url": WEB_URL,
            "file_id": NON_EMPTY,
            "detail": one_of("auto", "low", "high"),
        },
        rules=[
            exactly_one("file_data", "file_url", "file_id"),
            requires("file_data", "filename"),
        ],
    ),
}
_OUTPUT_PARTS: dict[str, Check] = {
    "output_text": object_of(
        {"text": TEXT},
        {
            "annotations": nullable(list_of(ANY_OBJECT)),
            "logprobs": nullable(list_of(ANY_OBJECT)),
        },
    ),
    "refusal": object_of({"refusal": TEXT}),
}


def _content(parts: dict[str, Check]) -> Check:
    """Accepts a string, or a non-empty list of these parts."""
    allowed = tagged_union("type", parts, "one of the part types allowed here:")
    return by_json_type("a string or a list of parts", TEXT, list_of(allowed, min_items=1))


# ── items ────────────────────────────────────────────────────────────────────

_STATUS = nullable(one_of("in_progress", "completed", "incomplete"))
_ITEM_KEYS: dict[str, Check] = {"id": nullable(NON_EMPTY), "status": _STATUS}

_INPUT_MESSAGE = object_of(
    {"role": ANYTHING, "content": _content(_INPUT_PARTS)},
    {"type": ANYTHING, "phase": ANYTHING, **_ITEM_KEYS},
    closed=True,
)
# Open, because a message of a response may be sent back with fields of its vendor.
_OUTPUT_MESSAGE = object_of(
    {"role": ANYTHING, "content": _content(_OUTPUT_PARTS)},
    {
        **_ITEM_KEYS,
        "phase": nullable(one_of("commentary", "final_answer")),
        "tool_calls": left_out("a call is an item of type function_call"),
    },
)
_MESSAGE = tagged_union(
    "role",
    {
        "user": _INPUT_MESSAGE,
        "system": _INPUT_MESSAGE,
        "developer": _INPUT_MESSAGE,
        "assistant": _OUTPUT_MESSAGE,
    },
    "one of the roles here (a tool's result is an item of type function_call_output):",
)
# Not checked for JSON: models do write invalid arguments, and clients send them back.
_FUNCTION_CALL = object_of(
    {"call_id": NON_EMPTY, "name": FUNCTION_NAME, "arguments": TEXT}, _ITEM_KEYS
)
_CUSTOM_CALL = object_of({"call_id": NON_EMPTY, "name": FUNCTION_NAME, "input": TEXT}, _ITEM_KEYS)
_OUTPUT = object_of({"call_id": NON_EMPTY, "output": _content(_INPUT_PARTS)}, _ITEM_KEYS)
_SUMMARY = object_of({"type": one_of("summary_text"), "text": TEXT})
_REASONING_TEXT = object_of({"type": one_of("reasoning_text"), "text": TEXT})
_REASONING = object_of(
    {"id": NON_EMPTY, "summary": list_of(_SUMMARY)},
    {
        "content": nullable(list_of(_REASONING_TEXT)),
        "encrypted_content": nullable(TEXT),
        "status": _STATUS,
    },
)

# `ResponseInputItemParam` in the openai package, `openai/types/responses/response_input_param.py`.
_OTHER_ITEMS = (
    "additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call",
    "compaction", "compaction_trigger", "computer_call", "computer_call_output",
    "configuration_update", "file_search_call", "image_generation_call", "local_shell_call",
    "local_shell_call_output", "mcp_approval_request", "mcp_approval_response", "mcp_call",
    "mcp_list_tools", "program", "program_output", "shell_call", "shell_call_output",
    "tool_search_call", "tool_search_output", "web_search_call",
)  # fmt: skip

CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""The types of calls, and the key with the text that the model wrote."""
OUTPUTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}
"""The types of results, and the type of call that each is a result of."""

_TYPED_ITEM = tagged_union(
    "type",
    {
        "message": _MESSAGE,
        "function_call": _FUNCTION_CALL,
        "custom_tool_call": _CUSTOM_CALL,
        **dict.fromkeys(OUTPUTS, _OUTPUT),
        "reasoning": _REASONING,
        "item_reference": object_of({"type": ANYTHING, "id": NON_EMPTY}, closed=True),
        **dict.fromkeys(_OTHER_ITEMS, ANY_OBJECT),
    },
)
_UNTYPED: Schema = {"not": {"required": ["type"]}}


@with_schema({"anyOf": [_TYPED_ITEM.schema, {"allOf": [_MESSAGE.schema, _UNTYPED]}]})
def _item(path: str, value: Any) -> Iterator[Problem]:
    """The type of a message may be left out."""
    is_untyped_message = isinstance(value, dict) and "type" not in value and "role" in value
    yield from (_MESSAGE if is_untyped_message else _TYPED_ITEM)(path, value)


INPUT = by_json_type(
    "a string or a list of items",
    NON_EMPTY,
    list_of(_item, min_items=1),
    description="A text of the user, or the items of the conversation. Each call has its result "
    "before the next message of the user.",
)
"""The rules of ``input``. `conversation_problems` checks the order of items."""


# ── the conversation ─────────────────────────────────────────────────────────


def conversation_problems(
    items: list[dict[str, Any]], earlier: Iterable[dict[str, Any]] = ()
) -> Iterator[Problem]:
    """Calls without a result, and results without a call.

    Args:
        items: The items of a request.
        earlier: The items of the stored responses before it.
    """
    pending: dict[str, tuple[str, str]] = {}
    for item in earlier:
        if item.get("type") in CALLS:
            pending[item["call_id"]] = (item["type"], "the stored response")
        elif item.get("type") in OUTPUTS:
            pending.pop(item["call_id"], None)
    for index, item in enumerate(items):
        where = f"input[{index}]"
        kind = item.get("type")
        if kind in CALLS:
            yield from _repeated_id(where, item["call_id"], pending)
            pending[item["call_id"]] = (item["type"], where)
        elif kind in OUTPUTS:
            yield from _output_problems(where, item, pending)
        elif item.get("role") == "user":
            yield from _pending_problems(pending, f" before {where}")
            pending = {}
    yield from _pending_problems(pending, "")


def _repeated_id(
    where: str, call_id: str, pending: dict[str, tuple[str, str]]
) -> Iterator[Problem]:
    if call_id in pending:
        yield broken_rule(f"{where}.call_id", call_id, "an id that no other open call has")


def _output_problems(
    where: str, item: dict[str, Any], pending: dict[str, tuple[str, str]]
) -> Iterator[Problem]:
    kind, _ = pending.pop(item["call_id"], ("", ""))
    if kind != OUTPUTS[item["type"]]:
        rule = f"the id of an open {OUTPUTS[item['type']]} before it"
        yield broken_rule(f"{where}.call_id", item["call_id"], rule)


def _pending_problems(pending: dict[str, tuple[str, str]], when: str) -> Iterator[Problem]:
    for call_id, (kind, where) in pending.items():
        yield broken_rule(where, call_id, f"followed by a {kind}_output for each call{when}")

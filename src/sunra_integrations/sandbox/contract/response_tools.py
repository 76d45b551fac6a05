"""The rules of ``tools``, ``tool_choice`` and ``text`` in requests for responses.

Tools are flat here, and a tool may be one that the vendor runs. The sandbox runs none.
"""

from collections.abc import Iterator
from typing import Any

from sunra_integrations.sandbox.contract.checks import (
    ANY_OBJECT,
    ANYTHING,
    BOOLEAN,
    FUNCTION_NAME,
    NON_EMPTY,
    TEXT,
    Check,
    KeyRule,
    Problem,
    at,
    broken_rule,
    by_json_type,
    left_out,
    list_of,
    nullable,
    object_of,
    one_of,
    tagged_union,
    then,
)
from sunra_integrations.sandbox.contract.tools import (
    duplicate_names,
    function_parameters,
    output_schema,
    strict_output_schema,
    strict_parameters,
)

# ── tools ────────────────────────────────────────────────────────────────────

# `Tool` in the openai package, `openai/types/responses/tool_param.py`.
_BUILT_IN_TOOLS = (
    "apply_patch", "code_interpreter", "computer", "computer_use_preview", "file_search",
    "image_generation", "local_shell", "mcp", "namespace", "programmatic_tool_calling", "shell",
    "tool_search", "web_search", "web_search_2025_08_26", "web_search_preview",
    "web_search_preview_2025_03_11",
)  # fmt: skip

_FUNCTION = then(
    object_of(
        {"name": FUNCTION_NAME},
        {
            "description": nullable(TEXT),
            "parameters": nullable(function_parameters),
            "strict": nullable(BOOLEAN),
            "function": left_out("the name and the parameters are keys of the tool itself"),
        },
    ),
    strict_parameters,
)
_CUSTOM = object_of({"name": FUNCTION_NAME}, {"description": TEXT, "format": ANY_OBJECT})


def _named_tools(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [tool for tool in tools if tool["type"] in {"function", "custom"}]


def _duplicates(path: str, tools: list[dict[str, Any]]) -> Iterator[Problem]:
    yield from duplicate_names(path, (tool["name"] for tool in _named_tools(tools)))


RESPONSE_TOOLS = then(
    list_of(
        tagged_union(
            "type",
            {
                "function": _FUNCTION,
                "custom": _CUSTOM,
                **dict.fromkeys(_BUILT_IN_TOOLS, ANY_OBJECT),
            },
        )
    ),
    _duplicates,
    "Functions and custom tools with distinct names, and tools that the vendor runs.",
)
"""The rules of ``tools``."""

# ── tool_choice ──────────────────────────────────────────────────────────────

_CHOSEN_BY_NAME: dict[str, Check] = dict.fromkeys(
    ("function", "custom"), object_of({"type": ANYTHING, "name": NON_EMPTY}, closed=True)
)
_CHOSEN_BY_TYPE: dict[str, Check] = {
    **dict.fromkeys(_BUILT_IN_TOOLS, object_of({"type": ANYTHING}, closed=True)),
    "mcp": object_of({"server_label": NON_EMPTY}, {"name": nullable(NON_EMPTY)}),
}
_ALLOWED = object_of(
    {
        "type": ANYTHING,
        "mode": one_of("auto", "required"),
        "tools": list_of(
            tagged_union(
                "type",
                {
                    **_CHOSEN_BY_NAME,
                    **dict.fromkeys(_BUILT_IN_TOOLS, ANY_OBJECT),
                },
            ),
            min_items=1,
        ),
    },
    closed=True,
)
RESPONSE_TOOL_CHOICE = by_json_type(
    "a string or an object that names a tool",
    one_of("none", "auto", "required"),
    tagged_union("type", {**_CHOSEN_BY_NAME, "allowed_tools": _ALLOWED, **_CHOSEN_BY_TYPE}),
    description="A named tool must be one of `tools`.",
)
"""The rules of ``tool_choice``. `CHOICE_RULES` checks that the tool is there."""


def _choice_without_tools(path: str, request: dict[str, Any]) -> Iterator[Problem]:
    choice = request.get("tool_choice", "auto")
    if choice not in ("auto", "none") and "tools" not in request:
        yield broken_rule(at(path, "tool_choice"), choice, "sent together with `tools`")


def _missing_tools(path: str, request: dict[str, Any]) -> Iterator[Problem]:
    tools = request.get("tools")
    if not isinstance(tools, list):
        return
    present = {_identity(tool) for tool in tools}
    where = at(path, "tool_choice")
    match request.get("tool_choice"):
        case {"type": "allowed_tools", "tools": list(chosen)}:
            for index, tool in enumerate(chosen):
                if _identity(tool) not in present:
                    yield broken_rule(f"{where}.tools[{index}]", tool, "one of the tools")
        case {"type": str()} as chosen if _identity(chosen) not in present:
            yield broken_rule(where, chosen, "one of the tools")
        case _:
            return


def _identity(tool: Any) -> tuple[str, str]:
    """The type of a tool, and the name of one that the request defines."""
    match tool:
        case {"type": ("function" | "custom") as kind, "name": str(name)}:
            return kind, name
        case {"type": str(kind)}:
            return kind, ""
        case _:
            return "", ""


CHOICE_RULES = (
    KeyRule(
        _choice_without_tools,
        {
            "anyOf": [
                {"properties": {"tool_choice": {"enum": ["auto", "none"]}}},
                {"required": ["tools"]},
            ]
        },
    ),
    KeyRule(_missing_tools, {}),
)
"""The rules about ``tool_choice`` and ``tools``."""

# ── text ─────────────────────────────────────────────────────────────────────

_JSON_SCHEMA = then(
    object_of(
        {"type": ANYTHING, "name": FUNCTION_NAME, "schema": output_schema},
        {"description": nullable(TEXT), "strict": nullable(BOOLEAN)},
        closed=True,
    ),
    strict_output_schema,
)
TEXT_CONFIG = object_of(
    optional={
        "format": tagged_union(
            "type", {"text": ANY_OBJECT, "json_object": ANY_OBJECT, "json_schema": _JSON_SCHEMA}
        ),
        "verbosity": nullable(one_of("low", "medium", "high")),
    },
    closed=True,
)
"""The rules of ``text``."""

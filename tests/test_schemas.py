"""Schemas and names as both adapters send them, and what comes back under the tools' own names."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

import httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langchain_core.tools import tool as make_tool
from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock
from llama_index.core.program import FunctionCallingProgram
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, Field
from typing_extensions import NotRequired, Required, TypedDict

from sunra_integrations.errors import InvalidParameter
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import CallTools, Sandbox
from tests.llama_index.answers import call, said, streamed
from tests.recorded_transport import Answer, Recorded, stream

PROMPT = PromptTemplate("x")
FITTING = re.compile(r"[A-Za-z0-9_-]{1,64}")
T = TypeVar("T")


class Node(BaseModel):
    """A node of a tree."""

    name: str
    children: list[Node] = []


class Endless(BaseModel):
    """Names another of its kind, or nothing."""

    name: str
    next: Endless = Field(default=None, description="The next one.")  # type: ignore[assignment]


class Branch(BaseModel):
    """A branch."""

    leaf: Leaf | None = Field(default=None, description="Its leaf.")


class Leaf(BaseModel):
    """A leaf."""

    branches: list[Branch]


class Open(BaseModel):
    """Anything at all."""

    values: dict[str, int]


class Page(BaseModel, Generic[T]):
    """A page."""

    value: T


class TreeDict(TypedDict):
    """A tree as a dict."""

    name: Annotated[str, ..., "What it is called."]
    children: list[TreeDict]


def walk(node: Node, depth: int = 1) -> str:
    """Walks a tree."""
    return f"{node.name} to {depth}"


class Walk(BaseModel):
    """The arguments of `walk`."""

    node: Node
    depth: int = 1


OPEN_SCHEMA = {
    "type": "object",
    "properties": {"summary": {"type": "object"}},
    "required": ["summary"],
}


def chat(*answers: Answer, **fields: Any) -> tuple[ChatSunra, Recorded]:
    wire = Recorded(*(answers or (said("{}"),)))
    model = ChatSunra(
        model="a/b",
        api_key="sk-made-up",
        http_client=httpx.Client(transport=wire),
        http_async_client=httpx.AsyncClient(transport=wire),
        **fields,
    )
    return model, wire


def llm(*answers: Answer, **fields: Any) -> tuple[Sunra, Recorded]:
    wire = Recorded(*(answers or (said("{}"),)))
    made = Sunra(
        model="a/b",
        api_key="sk-made-up",
        http_client=httpx.Client(transport=wire),
        async_http_client=httpx.AsyncClient(transport=wire),
        **fields,
    )
    return made, wire


def langchain_tool(given: Any, **bound: Any) -> dict[str, Any]:
    model, wire = chat()
    model.bind_tools([given], **bound).invoke("x")
    return wire.bodies[-1]["tools"][0]["function"]


def langchain_format(given: Any, **more: Any) -> dict[str, Any]:
    model, wire = chat()
    model.with_structured_output(given, include_raw=True, **more).invoke("x")
    return wire.bodies[-1]["response_format"]["json_schema"]


def llama_tool(given: Any, **called: Any) -> dict[str, Any]:
    made, wire = llm()
    made.chat_with_tools([given], "x", **called)
    return wire.bodies[-1]["tools"][0]["function"]


def llama_format(cls: type[BaseModel], text: str, **fields: Any) -> dict[str, Any]:
    made, wire = llm(said(text), **fields)
    made.structured_predict(cls, PROMPT)
    return wire.bodies[-1]["response_format"]["json_schema"]


def llama_class_tool(cls: type[BaseModel], arguments: str, **fields: Any) -> dict[str, Any]:
    answer = said(None, tool_calls=[call("c1", "x", arguments)])
    made, wire = llm(answer, pydantic_program_mode=PydanticProgramMode.FUNCTION, **fields)
    made.structured_predict(cls, PROMPT)
    return wire.bodies[-1]["tools"][0]["function"]


# ── recursive classes ────────────────────────────────────────────────────────

NODE, BRANCH = '{"name": "a", "children": []}', '{"leaf": null}'
WAYS: dict[str, Callable[[type[BaseModel], str], tuple[dict[str, Any], str]]] = {
    f"{name}, strict={strict}": lambda cls, text, make=make, key=key, strict=strict: (
        make(cls, text, strict),
        key,
    )
    for strict in (None, False, True)
    for name, key, make in (
        ("LangChain tool", "parameters", lambda c, _, s: langchain_tool(c, strict=s)),
        ("LangChain format", "schema", lambda c, _, s: langchain_format(c, strict=s)),
        ("LlamaIndex format", "schema", lambda c, t, s: llama_format(c, t, strict=s)),
        ("LlamaIndex tool", "parameters", lambda c, t, s: llama_class_tool(c, t, strict=s)),
    )
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("cls", "text"), [(Node, NODE), (Branch, BRANCH), (Endless, NODE)])
def test_a_recursive_class_is_sent_as_an_object_with_its_own_name_words_and_recursion(
    way: str, cls: type[BaseModel], text: str
) -> None:
    sent, key = WAYS[way](cls, text)
    assert (sent["name"], sent["description"]) == (cls.__name__, cls.__doc__)
    assert sent[key]["type"] == "object"
    assert list(sent[key]["properties"]) == list(cls.model_fields)
    assert f"#/$defs/{cls.__name__}" in json.dumps(sent[key]["$defs"])


@pytest.mark.parametrize(
    "given",
    [walk, make_tool(walk), StructuredTool.from_function(walk)],
    ids=["function", "tool", "StructuredTool"],
)
@pytest.mark.parametrize("strict", [None, True])
def test_recursion_in_the_arguments_of_a_function_is_kept_in_langchain(given, strict):
    sent = langchain_tool(given, strict=strict)
    assert (sent["name"], sent["description"]) == ("walk", "Walks a tree.")
    node = sent["parameters"]["$defs"]["Node"]
    assert node["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert list(sent["parameters"]["properties"]) == ["node", "depth"]


@pytest.mark.parametrize("strict", [None, True])
def test_recursion_in_the_arguments_of_a_function_is_kept_in_llama_index(strict):
    sent = llama_tool(FunctionTool.from_defaults(walk, fn_schema=Walk), strict=strict)
    node = sent["parameters"]["$defs"]["Node"]
    assert node["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}


@pytest.mark.parametrize("given", [Node.model_json_schema(), {"$defs": {"N": {}}, **OPEN_SCHEMA}])
def test_a_json_schema_is_a_tool_or_a_format_whatever_its_root(given):
    title = {} if "$ref" in given else {"title": "ask"}
    assert langchain_tool({**given, **title})["parameters"]["type"] == "object"
    assert langchain_format({**given, **title})["schema"]["type"] == "object"


def test_a_recursive_json_schema_goes_by_the_name_and_words_of_its_class():
    sent = langchain_tool(Node.model_json_schema())
    assert (sent["name"], sent["description"]) == ("Node", "A node of a tree.")


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_recursive_typed_dict_is_a_schema_with_its_descriptions(method):
    model, wire = chat()
    model.with_structured_output(TreeDict, method=method, include_raw=True).invoke("x")
    body = wire.bodies[-1]
    sent = body.get("response_format", {}).get("json_schema") or body["tools"][0]["function"]
    schema = sent.get("schema") or sent["parameters"]
    assert (sent["name"], sent["description"]) == ("TreeDict", "A tree as a dict.")
    assert schema["properties"]["name"]["description"] == "What it is called."
    assert schema["$defs"]["TreeDict"]["properties"]["children"]["items"] == {
        "$ref": "#/$defs/TreeDict"
    }


class Stop(TypedDict, total=False):
    """A stop."""

    place: Required[Annotated[str, ..., "Where it is."]]
    minutes: Annotated[int, 5, "How long it lasts."]


class Trip(TypedDict):
    """A trip."""

    stops: NotRequired[Annotated[list[Stop], ..., "Where it stops."]]
    start: str


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_keys_that_a_typed_dict_may_lack_are_not_required(method):
    model, wire = chat(said('{"start": "a"}'))
    model.with_structured_output(Trip, method=method, include_raw=True).invoke("x")
    if method == "json_mode":
        return
    body = wire.bodies[-1]
    sent = body.get("response_format", {}).get("json_schema") or body["tools"][0]["function"]
    schema = sent.get("schema") or sent["parameters"]
    assert (sent["name"], sent["description"]) == ("Trip", "A trip.")
    assert schema["required"] == ["start"]
    assert schema["properties"]["stops"]["description"] == "Where it stops."
    stop = schema["$defs"]["Stop"]
    assert stop["required"] == ["place"]
    assert stop["properties"]["place"]["description"] == "Where it is."
    minutes = stop["properties"]["minutes"]
    assert (minutes["description"], minutes["default"]) == ("How long it lasts.", 5)


def test_a_function_in_the_form_of_the_responses_api_is_a_tool():
    parameters = {"type": "object", "properties": {"a": {"type": "string"}}}
    given = {"type": "function", "name": "f", "description": "d", "parameters": parameters}
    assert langchain_tool(given) == {"name": "f", "description": "d", "parameters": parameters}
    assert langchain_tool({**given, "strict": True})["strict"] is True


def test_a_function_without_a_name_is_refused_as_a_tool():
    with pytest.raises(InvalidParameter, match="cannot be converted to a function"):
        langchain_tool(functools.partial(walk))


# ── strict ───────────────────────────────────────────────────────────────────


def test_llama_index_claims_strict_only_for_what_strict_mode_can_express():
    assert llama_format(Node, NODE)["strict"] is True
    assert "strict" not in llama_format(Open, '{"values": {}}')
    assert "strict" not in llama_format(Endless, NODE)
    assert llama_format(Endless, NODE, strict=True)["strict"] is True
    with pytest.raises(InvalidParameter, match=r"`schema\.values` is a free-form object"):
        llama_format(Open, "{}", strict=True)


@pytest.mark.parametrize("schema", [OPEN_SCHEMA, {"type": "object"}], ids=["within", "root"])
def test_an_open_object_is_never_closed(schema):
    given = StructuredTool(name="ask", description="Asks.", args_schema=schema, func=str)
    assert langchain_tool(given)["parameters"]["properties"] == schema.get("properties", {})
    for make in (
        lambda: langchain_tool(given, strict=True),
        lambda: langchain_tool({"title": "ask", **schema}, strict=True),
        lambda: langchain_format({"title": "ask", **schema}, strict=True),
        lambda: langchain_tool(
            {"type": "function", "function": {"name": "ask", "parameters": schema}}, strict=True
        ),
    ):
        with pytest.raises(InvalidParameter, match="free-form object"):
            make()


def test_the_error_about_a_schema_says_whose_it_is():
    with pytest.raises(
        InvalidParameter, match=r"In 'Open', `schema\.values` is a free-form"
    ) as one:
        chat()[0].bind_tools([walk, Open], strict=True)
    assert one.value.parameter == "schema.values"
    with pytest.raises(InvalidParameter, match=r"In 'Open', `schema\.values` is a free-form"):
        llama_format(Open, "{}", strict=True)


NO_PROPERTIES: dict[str, Any] = {
    "a LangChain tool": StructuredTool(
        name="now", description="", args_schema={"type": "object"}, func=str
    ),
    "a JSON schema": {"title": "now", "type": "object"},
    "Anthropic's form": {"name": "now", "input_schema": {"type": "object"}},
    "OpenAI's form": {
        "type": "function",
        "function": {"name": "now", "parameters": {"type": "object"}},
    },
}


@pytest.mark.parametrize("form", NO_PROPERTIES)
def test_an_object_without_properties_is_sent_with_none(form):
    assert langchain_tool(NO_PROPERTIES[form])["parameters"] == {"type": "object", "properties": {}}


def test_an_object_without_properties_is_sent_with_none_by_llama_index():
    given = NO_PROPERTIES["OpenAI's form"]
    made, wire = llm()
    made.chat([ChatMessage("x")], tools=[given])
    sent = wire.bodies[-1]["tools"][0]["function"]["parameters"]
    assert sent == {"type": "object", "properties": {}}
    assert given["function"]["parameters"] == {"type": "object"}


def test_fields_of_a_function_stay_beside_a_schema_made_strict():
    function = {"name": "f", "parameters": {"type": "object", "properties": {}}, "vendor": 1}
    assert langchain_tool({"type": "function", "function": function}, strict=True)["vendor"] == 1


COMPLETE = {
    "type": "json_schema",
    "json_schema": {
        "name": "n",
        "strict": True,
        "description": "d",
        "schema": {
            "type": "object",
            "properties": {"b": {"type": "string", "default": "x"}, "a": {"type": "number"}},
            "required": ["a"],
            "additionalProperties": False,
        },
    },
}


@pytest.mark.parametrize("form", [COMPLETE, COMPLETE["json_schema"]])
def test_a_complete_response_format_is_sent_as_given(form):
    model, wire = chat()
    model.invoke("x", response_format=form)
    model.bind_tools([walk], response_format=form, strict=None).invoke("x")
    model.with_structured_output(form).invoke("x")
    assert [body["response_format"] for body in wire.bodies] == [COMPLETE] * 3
    made, wire = llm()
    made.chat([ChatMessage("x")], response_format=COMPLETE)
    assert wire.bodies[-1]["response_format"] == COMPLETE


def test_a_format_that_langchain_only_marks_strict_is_made_strict():
    model, wire = chat(said('{"name": "a", "children": []}'))
    create_agent(model, [], response_format=ProviderStrategy(Node, strict=True)).invoke(
        {"messages": [("human", "x")]}
    )
    sent = wire.bodies[-1]["response_format"]["json_schema"]
    assert sent["strict"] is True
    assert sent["schema"]["additionalProperties"] is False


@pytest.mark.parametrize("response_format", [ProviderStrategy(Node), Node])
def test_a_format_of_a_recursive_class_that_langchain_completed_has_an_object_at_its_root(
    response_format,
):
    model, wire = chat(said('{"name": "a", "children": []}'))
    model = model.model_copy(update={"profile": {"structured_output": True}})
    made = create_agent(model, [], response_format=response_format)
    answer = made.invoke({"messages": [("human", "x")]})
    sent = wire.bodies[-1]["response_format"]["json_schema"]
    assert sent["schema"]["type"] == "object"
    assert sent["schema"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert answer["structured_response"] == Node(name="a")


@pytest.mark.parametrize("strict", [True, False])
def test_a_complete_format_of_a_recursive_class_has_an_object_at_its_root(strict):
    named = {"name": "n", "strict": strict, "schema": Branch.model_json_schema()}
    given = {"type": "json_schema", "json_schema": named}
    made, wire = llm()
    made.chat([ChatMessage("x")], response_format=given)
    sent = wire.bodies[-1]["response_format"]["json_schema"]
    assert (sent["strict"], sent["schema"]["type"]) == (strict, "object")
    assert sent["schema"]["title"] == "Branch"
    assert "$ref" in named["schema"]


def test_a_schema_written_into_the_prompt_has_an_object_at_its_root():
    made, wire = llm(said(NODE), pydantic_program_mode=PydanticProgramMode.LLM)
    made.structured_predict(Node, PROMPT)
    text = wire.bodies[-1]["messages"][-1]["content"][-1]["text"]
    schema = json.loads(text[text.index("{") :])
    assert (schema["type"], schema["title"]) == ("object", "Node")


# ── names ────────────────────────────────────────────────────────────────────

MY_ANSWER = {"title": "My answer", "type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "own", "arguments"),
    [(Page[int], "Page[int]", '{"value": 5}'), (MY_ANSWER, "My answer", '{"a": "b"}')],
)
def test_schemas_with_names_that_do_not_fit_are_asked_for_and_read_in_langchain(
    schema, own, arguments
):
    model, wire = chat(said(arguments))
    model.with_structured_output(schema).invoke("x")
    name = wire.bodies[-1]["response_format"]["json_schema"]["name"]
    assert FITTING.fullmatch(name)
    model, wire = chat(said(None, tool_calls=[call("c1", name, arguments)]))
    answer = model.with_structured_output(schema, method="function_calling").invoke("x")
    sent = wire.bodies[-1]
    assert sent["tools"][0]["function"]["name"] == name
    assert sent["tool_choice"]["function"]["name"] == name
    assert json.loads(arguments) == (answer.model_dump() if schema is not MY_ANSWER else answer)
    assert own != name


def test_schemas_with_names_that_do_not_fit_are_asked_for_and_read_in_llama_index():
    named = llama_format(Page[int], '{"value": 5}')["name"]
    assert FITTING.fullmatch(named)
    assert llama_class_tool(Page[int], '{"value": 5}')["name"] == named
    made, _ = llm(said(None, tool_calls=[call("c1", named, '{"value": 5}')]))
    program = FunctionCallingProgram.from_defaults(
        output_cls=Page[int], prompt_template_str="x", llm=made
    )
    assert program() == Page[int](value=5)


def searched(query: str) -> str:
    """Searches."""
    return f"found {query}"


ALIKE = ["web search", "web.search", "web_search"]


def sent_names(wire: Recorded) -> list[str]:
    return [tool["function"]["name"] for tool in wire.bodies[-1]["tools"]]


def test_tools_with_like_names_stay_distinct_and_are_called_by_their_own_in_langchain():
    tools = [StructuredTool.from_function(searched, name=name) for name in ALIKE]
    for own in ALIKE:
        model, wire = chat()
        model.bind_tools(tools, tool_choice=own).invoke("x")
        names = sent_names(wire)
        assert len(set(names)) == len(ALIKE)
        assert all(map(FITTING.fullmatch, names))
        chosen = wire.bodies[-1]["tool_choice"]["function"]["name"]
        calls = [call("c1", chosen, {"query": "a"})]
        model, wire = chat(said(None, tool_calls=calls), said("Done."))
        state = create_agent(model, tools).invoke({"messages": [("human", "x")]})
        assert [one.content for one in state["messages"]][2:] == ["found a", "Done."]
        assert state["messages"][1].tool_calls[0]["name"] == own
        assert wire.bodies[-1]["messages"][1]["tool_calls"][0]["function"]["name"] == chosen


def test_tools_with_like_names_stay_distinct_and_are_called_by_their_own_in_llama_index():
    tools = [FunctionTool.from_defaults(searched, name=name) for name in ALIKE]
    for place, own in enumerate(ALIKE):
        made, wire = llm()
        made.chat_with_tools(tools, "x")
        names = sent_names(wire)
        assert len(set(names)) == len(ALIKE)
        assert all(map(FITTING.fullmatch, names))
        made, wire = llm(said(None, tool_calls=[call("c1", names[place], {"query": "a"})]))
        response = made.chat_with_tools(tools, "x", tool_choice=own)
        assert wire.bodies[-1]["tool_choice"]["function"]["name"] == names[place]
        assert [one.tool_name for one in made.get_tool_calls_from_response(response)] == [own]
        assert str(made.predict_and_call(tools, "x").response) == "found a"


ARGUMENTS = '{"query": "a"}'


def deltas(name: str, pieces: int) -> list[dict[str, Any]]:
    """A call, its name in so many pieces."""
    step = -(-len(name) // pieces)
    parts = [name[at : at + step] for at in range(0, len(name), step)]
    first, *rest = [{"index": 0, "function": {"name": part}} for part in parts]
    opening = {**first, "id": "c1", "type": "function"}
    arguments = {"index": 0, "function": {"arguments": ARGUMENTS}}
    return [{"tool_calls": [one]} for one in (opening, *rest, arguments)]


@pytest.mark.parametrize("pieces", [1, 2, 7])
@pytest.mark.parametrize("own", ["web search", "web_search", "web"])
async def test_streamed_calls_go_by_the_tools_own_names(own: str, pieces: int):
    tools = [StructuredTool.from_function(searched, name=name) for name in (*ALIKE, "web")]
    model, wire = chat()
    model.bind_tools(tools, tool_choice=own).invoke("x")
    sent = wire.bodies[-1]["tool_choice"]["function"]["name"]
    model, _ = chat(streamed(*deltas(sent, pieces), finish_reason="tool_calls"))
    bound = model.bind_tools(tools)
    whole = list(bound.stream("x"))
    message = whole[0]
    for chunk in whole[1:]:
        message += chunk
    assert [(one["name"], one["args"]) for one in message.tool_calls] == [(own, {"query": "a"})]
    made, _ = llm(streamed(*deltas(sent, pieces), finish_reason="tool_calls"))
    given = [FunctionTool.from_defaults(searched, name=name) for name in (*ALIKE, "web")]
    responses = await made.astream_chat_with_tools(given, "x")
    *_, last = [response async for response in responses]
    selected = made.get_tool_calls_from_response(last)
    assert [(one.tool_name, one.tool_kwargs) for one in selected] == [(own, {"query": "a"})]


@pytest.mark.parametrize("arguments", ["", ARGUMENTS])
@pytest.mark.parametrize("name", ["web", "web_search", "web_search_", "another"])
def test_a_name_that_is_no_tool_s_is_given_out_as_it_came(name: str, arguments: str):
    tools = [StructuredTool.from_function(searched, name="web search")]
    *named, rest = deltas(name, 2)
    answer = [*named, rest] if arguments else named
    model, _ = chat(streamed(*answer, finish_reason="tool_calls"))
    chunks = list(model.bind_tools(tools).stream("x"))
    parts = [part for chunk in chunks for part in chunk.tool_call_chunks]
    assert "".join(part["name"] or "" for part in parts) == name
    assert "".join(part["args"] or "" for part in parts) == arguments


def test_a_name_that_could_go_on_is_given_out_though_its_call_ends_in_the_same_event():
    choice = {"index": 0, "delta": deltas("web", 1)[0], "finish_reason": "tool_calls"}
    answer = stream(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
    model, _ = chat(answer)
    bound = model.bind_tools([StructuredTool.from_function(searched, name="web search")])
    parts = [part for chunk in bound.stream("x") for part in chunk.tool_call_chunks]
    assert [part["name"] for part in parts if part["name"]] == ["web"]


def test_names_in_a_history_are_made_to_fit_as_those_of_the_tools():
    own, speaker = "web search", "Research Assistant"
    tool = StructuredTool.from_function(searched, name=own)
    model, wire = chat()
    made = {"name": own, "args": {"query": "a"}, "id": "c1", "type": "tool_call"}
    history = [
        HumanMessage("x", name="Ann Lee"),
        AIMessage("", tool_calls=[made], name=speaker),
        ToolMessage("found", tool_call_id="c1", name=own),
    ]
    model.bind_tools([tool]).invoke(history)
    langchain = wire.bodies[-1]
    index, wire = llm()
    block = ToolCallBlock(tool_call_id="c1", tool_name=own, tool_kwargs={"query": "a"})
    blocks = [
        ChatMessage("x", additional_kwargs={"name": "Ann Lee"}),
        ChatMessage(
            role=MessageRole.ASSISTANT, blocks=[block], additional_kwargs={"name": speaker}
        ),
        ChatMessage(
            role=MessageRole.TOOL,
            content="found",
            additional_kwargs={"tool_call_id": "c1", "name": own},
        ),
    ]
    index.chat_with_tools([FunctionTool.from_defaults(searched, name=own)], chat_history=blocks)
    for body in (langchain, wire.bodies[-1]):
        called = body["messages"][1]["tool_calls"][0]["function"]["name"]
        assert called == body["tools"][0]["function"]["name"]
        names = [message["name"] for message in body["messages"] if "name" in message]
        assert len(names) >= 2
        assert all(map(FITTING.fullmatch, [called, *names]))
    assert history[1].tool_calls[0]["name"] == own


def test_names_that_fit_are_sent_and_given_out_as_they_are():
    model, wire = chat(said(None, tool_calls=[call("c1", "walk", {})]))
    message = model.bind_tools([walk]).invoke([HumanMessage("x", name="ann")])
    assert sent_names(wire) == ["walk"]
    assert wire.bodies[-1]["messages"][0]["name"] == "ann"
    assert message.tool_calls[0]["name"] == "walk"


def test_an_agent_with_a_name_and_tools_of_any_name_runs_on_the_sandbox(sunra_sandbox: Sandbox):
    sunra_sandbox.next(CallTools(("web search", {"query": "a"})), "Done.")
    model = ChatSunra(
        model="a/b", api_key=sunra_sandbox.api_key, base_url=sunra_sandbox.base_url, max_retries=0
    )
    tool = StructuredTool.from_function(searched, name="web search")
    agent = create_agent(model, [tool], name="Research Assistant")
    state = agent.invoke({"messages": [("human", "hi")]})
    assert [one.content for one in state["messages"]][2:] == ["found a", "Done."]

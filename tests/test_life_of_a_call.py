"""`docs/life-of-a-call.md` names files and functions that exist, and all that a call runs."""

from __future__ import annotations

import ast
import asyncio
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.tools import FunctionTool

import sunra_integrations
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import CallTools

pytestmark = pytest.mark.network

ROOT = Path(__file__).parent.parent
PACKAGE = Path(sunra_integrations.__file__).parent
PAGE = (ROOT / "docs" / "life-of-a-call.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
STEP = re.compile(r"^\| \d+ \| `([^`]+)` \| (.+?) \| .+ \|$", re.MULTILINE)
HELPERS = set(re.findall(r"^\| `([^`]+)` \| .+ \|$", SECTIONS["Helpers"], re.MULTILINE))
ASYNC_ONLY = {"transport/connections/aiohttp_transport.py"}
CALL = CallTools(("get_weather", {"city": "Oslo"}))


def get_weather(city: str) -> str:
    """Get the weather in a city."""
    return f"It is sunny in {city}."


def path(adapter: str) -> dict[str, set[str]]:
    """The functions of the page's steps, by file."""
    functions: dict[str, set[str]] = defaultdict(set)
    for file, names in STEP.findall(SECTIONS[adapter]):
        functions[file] |= set(re.findall(r"`([^`]+)`", names))
    return functions


def defined(file: str) -> set[str]:
    """The functions of a module, and the methods of its classes as `Class.method`."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = set()
    for node in ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body:
        if isinstance(node, functions):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, functions)}
    return names


@contextmanager
def traced() -> Iterator[dict[str, set[str]]]:
    """Collects the functions of the package that run in this thread, by file."""
    called: dict[str, set[str]] = defaultdict(set)

    def profile(frame, event, _):
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(PACKAGE):
            name = file.relative_to(PACKAGE).as_posix()
            if not name.startswith("sandbox/"):
                called[name].add(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield called
    finally:
        sys.setprofile(before)


def langchain_calls(sandbox):
    model = ChatSunra(model="openai/gpt-4o", api_key=sandbox.api_key, base_url=sandbox.base_url)
    with_tools = model.bind_tools([get_weather])

    def sync():
        assert "".join(chunk.text for chunk in model.stream("Hello")) == "You said: Hello"
        sandbox.next(CALL)
        *_, last = with_tools.stream("Weather in Oslo?")
        assert last.chunk_position == "last"

    async def asynchronous():
        assert [chunk async for chunk in model.astream("Hello")]

    return sync, asynchronous


def llama_index_calls(sandbox):
    llm = Sunra(model="openai/gpt-4o", api_key=sandbox.api_key, api_base=sandbox.base_url)
    tools = [FunctionTool.from_defaults(get_weather)]
    messages = [ChatMessage("Hello")]

    def sync():
        *_, last = llm.stream_chat(messages)
        assert last.message.content == "You said: Hello"
        sandbox.next(CALL)
        *_, last = llm.stream_chat_with_tools(tools, "Weather in Oslo?")
        [call] = llm.get_tool_calls_from_response(last)
        assert call.tool_kwargs == {"city": "Oslo"}

    async def asynchronous():
        assert [response async for response in await llm.astream_chat(messages)]

    return sync, asynchronous


CALLS = {"ChatSunra": langchain_calls, "Sunra": llama_index_calls}


@pytest.mark.parametrize("adapter", CALLS)
def test_at_most_ten_files_are_on_the_path(adapter):
    assert 0 < len(path(adapter)) <= 10
    assert path(adapter).keys() & HELPERS == set()


@pytest.mark.parametrize("adapter", CALLS)
def test_every_function_is_in_its_file(adapter):
    missing = {
        f"{file}: {name}" for file, names in path(adapter).items() for name in names - defined(file)
    }
    assert missing == set()


@pytest.mark.parametrize("adapter", CALLS)
def test_a_call_runs_the_files_and_functions_of_the_page_and_no_others(adapter, sunra_sandbox):
    sync, asynchronous = CALLS[adapter](sunra_sandbox)
    sync()  # imports run once
    asyncio.run(asynchronous())
    with traced() as called:
        sync()
        steps = {file: set(names) for file, names in called.items()}
        asyncio.run(asynchronous())
    assert called.keys() - path(adapter).keys() - HELPERS == set()
    for file, names in path(adapter).items():
        assert {name.rpartition(".")[2] for name in names} <= steps[file], file


def test_every_helper_runs(sunra_sandbox):
    with traced() as called:
        for calls in CALLS.values():
            sync, asynchronous = calls(sunra_sandbox)
            sync()
            asyncio.run(asynchronous())
    assert HELPERS - called.keys() - ASYNC_ONLY == set()

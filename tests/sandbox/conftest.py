"""The sandbox under test, and a plain HTTP client."""

import httpx
import pytest
from openai import OpenAI

from tests.waiting import DEADLINE


@pytest.fixture
def sandbox(sunra_sandbox):
    return sunra_sandbox


@pytest.fixture
def http(sandbox):
    headers = {"authorization": f"Bearer {sandbox.api_key}"}
    with httpx.Client(base_url=sandbox.base_url, headers=headers, timeout=DEADLINE) as client:
        yield client


@pytest.fixture
def ask(http):
    """Posts a request of these parameters; messages and model are filled in."""

    def ask(**parameters):
        return http.post("/chat/completions", json=request_body(**parameters))

    return ask


@pytest.fixture
def respond(http):
    """Posts a request for a response of these parameters; input and model are filled in."""

    def respond(**parameters):
        return http.post("/responses", json={"model": "a/b", "input": "Hello", **parameters})

    return respond


@pytest.fixture
def openai(sandbox):
    with OpenAI(base_url=sandbox.base_url, api_key=sandbox.api_key, max_retries=0) as client:
        yield client


@pytest.fixture
def body():
    return request_body


@pytest.fixture
def function():
    return function_tool


def request_body(**parameters):
    messages = [{"role": "user", "content": "Hello"}]
    return {"model": "sandbox/echo", "messages": messages, **parameters}


def function_tool(name, description="", required=None, **properties):
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
    }
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }

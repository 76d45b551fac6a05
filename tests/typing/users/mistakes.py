"""What type checkers must not let pass: one mistake in each line that is marked so."""

from __future__ import annotations

import httpx
from llama_index.core.llms import ChatMessage
from pydantic import BaseModel

from sunra_integrations.errors import SunraError
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.sandbox import CallTools, Http, Sandbox
from sunra_integrations.transport import AsyncSunraClient, Settings, SunraClient, Timeouts


class Joke(BaseModel):
    """A joke."""

    setup: str


def imports() -> None:
    from sunra_integrations.errors import RateLimit  # mistake
    from sunra_integrations.langchain import ChatSonra  # mistake
    from sunra_integrations.llama_index import Sonra  # mistake
    from sunra_integrations.sandbox import Sandpit  # mistake
    from sunra_integrations.transport import SunraClints  # mistake


def langchain(model: ChatSunra) -> None:
    ChatSunra()  # mistake
    ChatSunra("openai/gpt-4o")  # mistake
    ChatSunra(model=4)  # mistake
    ChatSunra(model="a/b", temperature="hot")  # mistake
    ChatSunra(model="a/b", api="completions")  # mistake
    ChatSunra(model="a/b", temprature=1)  # mistake, not seen by ty
    ChatSunra(model="a/b", api_key=b"made-up")  # mistake
    ChatSunra(model="a/b", timeout="soon")  # mistake
    ChatSunra(model="a/b", async_transport="requests")  # mistake
    ChatSunra(model="a/b", http_client=object())  # mistake
    model.bind_tools(4)  # mistake
    model.bind_tools([Joke], strict="yes")  # mistake
    model.with_structured_output(4)  # mistake
    model.with_structured_output(Joke, method="yaml")  # mistake
    model.with_structured_output(Joke).invoke("Hello").punchline  # mistake
    model.with_structured_output(Joke, include_raw=True).invoke("Hello")["joke"]  # mistake
    model.invoke(4)  # mistake
    model.invoke("Hello").texts  # mistake
    model.temprature  # mistake


def llama_index(llm: Sunra) -> None:
    Sunra()  # mistake
    Sunra(model="a/b", temperature="hot")  # mistake
    Sunra(model="a/b", api="completions")  # mistake
    Sunra(model="a/b", temprature=1)  # mistake, not seen by ty
    Sunra(model="a/b", api_key=4)  # mistake
    Sunra(model="a/b", api_key=lambda: 4)  # mistake
    Sunra(model="a/b", http_async_client=None)  # mistake, not seen by ty
    llm.chat("Hello")  # mistake
    llm.complete([ChatMessage("Hello")])  # mistake
    llm.complete("Hello").texts  # mistake
    for chunk in llm.stream_chat([ChatMessage("Hello")]):
        chunk.text  # mistake


def client(sync: SunraClient, concurrent: AsyncSunraClient, request: ChatRequest) -> None:
    SunraClient("made-up")  # mistake
    SunraClient(http_client=httpx.AsyncClient())  # mistake
    AsyncSunraClient(http_client=httpx.Client())  # mistake
    SunraClient(apikey="made-up")  # mistake, not seen by ty: it takes any name for `**Unpack`
    SunraClient(timeout="soon")  # mistake
    Settings.resolve(max_retries="two")  # mistake
    Timeouts(read="soon")  # mistake
    ChatRequest(messages=[])  # mistake
    sync.create("Hello")  # mistake
    sync.create(request).texts  # mistake
    concurrent.create(request).text  # mistake
    list(concurrent.stream(request))  # mistake


def errors(error: SunraError) -> None:
    error.retry_in  # mistake
    SunraError("late", phase="read")  # mistake


def sandbox(server: Sandbox) -> None:
    server.next(4)  # mistake
    server.next("Hello", wait="long")  # mistake
    server.next("Hello", cut="off")  # mistake
    server.answer_with("Hello")  # mistake
    CallTools("get_weather")  # mistake
    Http("429")  # mistake
    Sandbox(models=4)  # mistake
    server.requests[-1].headers.text  # mistake

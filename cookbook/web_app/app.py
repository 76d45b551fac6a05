"""The web app: one page, and one endpoint that streams answers into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, Field, StringConstraints
from starlette.types import Receive, Scope, Send

from .answering import events

_PAGE = Path(__file__).with_name("page")
_UNBUFFERED = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""Prevents caches and nginx from buffering events."""


class EventStream(StreamingResponse):
    """Server-sent events. The generator is closed as soon as the reader leaves.

    Starlette only stops reading the generator. Without `aclosing`, it stays open until it is
    garbage-collected, and the model call continues and is billed.
    """

    media_type = "text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, and always close the generator."""
        async with aclosing(self.body_iterator):
            await super().__call__(scope, receive, send)


class Turn(BaseModel):
    """An earlier question and its answer."""

    question: str = Field(min_length=1, max_length=4_000)
    answer: str = Field(min_length=1, max_length=100_000)


class Question(BaseModel):
    """The request of the page, which keeps the conversation. The server stores nothing.

    Turns, not messages with roles: a visitor cannot send a system message.
    """

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000)]
    history: list[Turn] = Field(default=[], max_length=50)

    def messages(self) -> Iterator[BaseMessage]:
        """The conversation for the model."""
        for turn in self.history:
            yield HumanMessage(turn.question)
            yield AIMessage(turn.answer)
        yield HumanMessage(self.text)


def create_app(model: BaseChatModel) -> FastAPI:
    """Create the app. Tests pass a model that uses the sandbox."""
    app = FastAPI(title="Ask")

    @app.post("/ask")
    async def ask(question: Question) -> EventStream:
        return EventStream(events(model, list(question.messages())), headers=_UNBUFFERED)

    app.mount("/", StaticFiles(directory=_PAGE, html=True))
    return app

"""The web app: one page, and one endpoint that streams answers into it."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, StreamingResponse
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send

from .answering import events

_PAGE = Path(__file__).with_name("index.html")
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


class Question(BaseModel):
    """The request of the page."""

    text: str = Field(min_length=1, max_length=4_000)


def create_app(model: BaseChatModel) -> FastAPI:
    """Create the app. Tests pass a model that uses the sandbox."""
    app = FastAPI(title="Ask")

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(_PAGE)

    @app.post("/ask")
    async def ask(question: Question) -> EventStream:
        return EventStream(events(model, question.text), headers=_UNBUFFERED)

    return app

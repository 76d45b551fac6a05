"""`python -m cookbook.web_app`: the app on http://127.0.0.1:8000, until Ctrl-C."""

import os

import uvicorn

from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import Scripted, stand_in

from .app import create_app

_READING_PACE = 0.03
"""Seconds between chunks of the sandbox, which otherwise sends them immediately."""

if __name__ == "__main__":
    sandbox = stand_in()
    if sandbox:
        sandbox.answer_with(lambda _: Scripted(pause=_READING_PACE))
    model = ChatSunra(model=os.environ.get("SUNRA_MODEL", "openai/gpt-4o-mini"))
    uvicorn.run(create_app(model), host="127.0.0.1", port=8000)

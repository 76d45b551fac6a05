"""Run the demo on Sunra, or on the local sandbox if SUNRA_KEY is not set."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from cookbook.demo import langchain_part, llama_index_part
from cookbook.demo.passages import passages
from cookbook.demo.terminal import console
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import Sandbox

QUESTIONS = {
    "a": "How old must a Senator be, and for how many years a citizen?",
    "b": 'Search the Constitution for "unreasonable searches and seizures", and count the years '
    "between 1787 and 1992.",
    "c": "Who has the sole power of impeachment?",
    "d": 'Search the Constitution for "intoxicating liquors", and count the years between 1919 '
    "and 1933.",
}


class Endpoint(NamedTuple):
    """A key and a base URL. None means the environment variable."""

    api_key: str | None = None
    base_url: str | None = None


@contextmanager
def endpoint(model: str) -> Iterator[Endpoint]:
    """Sunra, or the local sandbox if there is no key. Prints which one."""
    if os.environ.get("SUNRA_KEY"):
        console.print(f"Using [bold]Sunra[/], model {model}.\n")
        yield Endpoint()
        return
    with Sandbox() as sandbox:
        console.print(
            f"No SUNRA_KEY found: using the [bold]local sandbox[/] at {sandbox.base_url}."
        )
        console.print("Replies are rule-based, not from a model. Set SUNRA_KEY to use Sunra.\n")
        yield Endpoint(sandbox.api_key, sandbox.base_url)


def main() -> None:
    """Run the four parts, or the selected ones."""
    parser = argparse.ArgumentParser(
        prog="python -m cookbook.demo",
        description="Ask questions about the US Constitution through LangChain and LlamaIndex.",
        epilog="Uses Sunra if SUNRA_KEY is set, otherwise the local sandbox.",
    )
    parser.add_argument("--model", default="openai/gpt-4o", help="the model (%(default)s)")
    parser.add_argument("--parts", default="abcd", help="parts to run (%(default)s)")
    options = parser.parse_args()

    text = passages()
    with endpoint(options.model) as where:
        chat = ChatSunra(model=options.model, api_key=where.api_key, base_url=where.base_url)
        llm = Sunra(model=options.model, api_key=where.api_key, api_base=where.base_url)
        if "a" in options.parts:
            langchain_part.chain(chat, text, QUESTIONS["a"])
        if "b" in options.parts:
            langchain_part.agent(chat, text, QUESTIONS["b"])
        if "c" in options.parts:
            llama_index_part.query_engine(llm, text, QUESTIONS["c"])
        if "d" in options.parts:
            asyncio.run(llama_index_part.agent(llm, text, QUESTIONS["d"]))


if __name__ == "__main__":
    main()

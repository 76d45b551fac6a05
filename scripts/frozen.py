"""Freezes a small program with PyInstaller and runs it: both adapters, the sandbox, the command.

`make frozen` runs it, in an environment with the built package and no source tree beside it. What
PyInstaller must know of the package it learns from the package's own hook.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_PROGRAM = """\
import asyncio
import sys

from sunra_integrations.data import model_names
from sunra_integrations.cli import main
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.llama_index import Sunra
from sunra_integrations.sandbox import Http, Sandbox
from sunra_integrations.transport import SunraClient


def calls():
    with Sandbox() as sandbox:
        chat = ChatSunra(
            model="openai/gpt-4o", api_key=sandbox.api_key, base_url=sandbox.base_url
        )
        llm = Sunra(model="openai/gpt-4o", api_key=sandbox.api_key, api_base=sandbox.base_url)
        sandbox.next(Http(503), "Second time lucky.")
        print("invoke:", chat.invoke("Hello").text)
        print("stream:", "".join(chunk.text for chunk in chat.stream("Hello")))
        print("ainvoke:", asyncio.run(chat.ainvoke("Hello")).text)
        print("complete:", llm.complete("Hello"))
        print("acomplete:", asyncio.run(llm.acomplete("Hello")))
        print("client:", SunraClient.__name__)
    print("chat model's profile:", (chat.profile or {}).get("max_input_tokens"))
    print("models:", bool(model_names()))


sys.exit(main(sys.argv[1:]) if sys.argv[1:] else calls())
"""
_CALLS = """\
invoke: Second time lucky.
stream: You said: Hello
ainvoke: You said: Hello
complete: You said: Hello
acomplete: You said: Hello
client: SunraClient
"""
_FACTS = "chat model's profile: 128000\nmodels: True\n"
_WITHIN = 300
"""Seconds for a step of the frozen program, on a machine that is busy with other work."""


def main() -> None:
    """Freezes the program, checks what it prints, and says how long each part took."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "program.py").write_text(_PROGRAM, encoding="utf-8")
        command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR"]
        _timed("freeze", _run, [*command, "program.py"], here)
        program = here / "dist" / "program" / "program"
        _timed("calls through both adapters", _expect, _CALLS + _FACTS, [str(program)], here)
        _timed("sunra --version", _expect, "sunra, version ", [str(program), "--version"], here)
        _timed("sunra sandbox, asked by sunra doctor and sunra chat", _sandbox, program, here)


def _sandbox(program: Path, here: Path) -> None:
    serving = subprocess.Popen(  # noqa: S603 - our own program
        [program, "sandbox", "--port", "0"], cwd=here, stdout=subprocess.PIPE, text=True
    )
    try:
        assert serving.stdout is not None  # noqa: S101 - it is a pipe
        url = serving.stdout.readline().strip()
        environment = {"SUNRA_BASE_URL": url, "SUNRA_KEY": "sandbox-key"}
        checked = _run([str(program), "doctor", "-m", "openai/gpt-4o"], here, **environment)
        if "not installed" in checked:
            _fail("`sunra doctor` takes something to be missing that is in the program", checked)
        _expect(
            "You said: Hello", [str(program), "chat", "-m", "openai/gpt-4o", "Hello"], here,
            **environment,
        )  # fmt: skip
        serving.terminate()  # SIGINT is ignored in what a shell starts in the background
        if serving.wait(_WITHIN) != 0:
            _fail(f"`sunra sandbox` ended with {serving.returncode}", "")
    finally:
        serving.kill()


def _expect(text: str, command: list[str], here: Path, **environment: str) -> None:
    printed = _run(command, here, **environment)
    if not printed.startswith(text):
        _fail(f"{' '.join(command)} should print\n{text}", printed)


def _run(command: list[str], here: Path, **environment: str) -> str:
    known = {name: value for name, value in os.environ.items() if not name.startswith("SUNRA_")}
    done = subprocess.run(  # noqa: S603 - our own commands
        command,
        cwd=here,
        env={**known, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * _WITHIN,
    )
    if done.returncode != 0:
        _fail(f"{' '.join(command)} ended with {done.returncode}", done.stdout + done.stderr)
    return done.stdout


def _timed(what: str, step: Callable[..., object], *arguments: object) -> None:
    began = time.monotonic()
    step(*arguments)
    print(f"   {time.monotonic() - began:6.1f} s  {what}", flush=True)


def _fail(what: str, seen: str) -> None:
    raise SystemExit(f"{what}\nIt printed:\n{seen}")


if __name__ == "__main__":
    main()

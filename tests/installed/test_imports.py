"""What imports where only some of the extras are installed; runs in each kind of environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FRAMEWORKS = {"langchain": "langchain_core", "llama_index": "llama_index.core"}


def run(program: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, *options, "-c", program],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def installed(framework: str) -> bool:
    return find_spec(framework.partition(".")[0]) is not None


def modules_after(program: str) -> set[str]:
    done = run(f"import sys, json\n{program}\nprint(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_the_package_itself_loads_no_framework_and_no_http_library():
    loaded = modules_after("import sunra_integrations, sunra_integrations.errors")
    assert not loaded & {"langchain_core", "llama_index", "httpx", "pydantic", "starlette"}


def test_the_client_works_with_no_framework_at_all():
    loaded = modules_after(
        """
import httpx
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Settings, SunraClient
answer = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=answer)))
client = SunraClient(Settings.resolve("k"), http_client=http)
asked = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
assert client.create(asked).text == "Hello"
"""
    )
    assert not loaded & {"langchain_core", "llama_index", "starlette"}


@pytest.mark.parametrize(
    ("adapter", "name", "extra"),
    [("langchain", "ChatSunra", "langchain"), ("llama_index", "Sunra", "llama-index")],
)
def test_an_adapter_imports_with_its_framework_alone_and_else_names_the_extra(adapter, name, extra):
    program = f"from sunra_integrations.{adapter} import {name}"
    if installed(FRAMEWORKS[adapter]):
        other = "llama_index" if adapter == "langchain" else "langchain_core"
        assert other not in modules_after(program)
    else:
        done = run(program)
        assert done.returncode != 0
        assert f"pip install 'sunra-integrations[{extra}]'" in done.stderr
        assert "RequirementNotMet" in done.stderr.splitlines()[-1]


def test_the_sandbox_starts_or_names_its_extra():
    program = (
        "from sunra_integrations.sandbox import Sandbox\nwith Sandbox() as s: print(s.base_url)"
    )
    done = run(program)
    if installed("uvicorn") and installed("jsonschema"):
        assert done.stdout.startswith("http://127.0.0.1:")
    else:
        assert "pip install 'sunra-integrations[sandbox]'" in done.stderr


def test_the_command_line_runs_or_names_its_extra():
    done = run("import sys\nfrom sunra_integrations.cli import main\nsys.exit(main(['--version']))")
    if installed("click") and installed("rich"):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("sunra, version ")
    else:
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("sunra needs ")
        assert done.stderr.endswith(": pip install 'sunra-integrations[cli]'\n")


def test_the_pytest_plugin_loads_nothing_of_the_sandbox():
    loaded = modules_after("import sunra_integrations.sandbox.pytest_plugin")
    assert not loaded & {"starlette", "uvicorn", "jsonschema", "pydantic", "httpx"}


CALLS = """
import httpx, sys
import sunra_integrations
from sunra_integrations.data import model_facts
from sunra_integrations.protocol.request import ChatRequest
from sunra_integrations.transport import Settings, SunraClient

with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=
    {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
))) as http:
    client = SunraClient(Settings.resolve("k"), http_client=http)
    asked = ChatRequest(model="a/b", messages=[{"role": "user", "content": "Hi"}])
    if client.create(asked).text != "Hello":
        sys.exit("another answer")
if not model_facts("openai/gpt-4o")["tool_calling"]:
    sys.exit("no facts")
print(sunra_integrations.__file__)
"""
ADAPTERS = {
    "langchain": """
from sunra_integrations.langchain import ChatSunra
print(ChatSunra(model="openai/gpt-4o").invoke("Hi").text)
""",
    "llama_index": """
from sunra_integrations.llama_index import Sunra
print(Sunra(model="openai/gpt-4o").complete("Hi"))
""",
}
COMMAND = """
from sunra_integrations.cli import main
sys.exit(main(["chat", "-m", "openai/gpt-4o", "Hi"]))
"""
SERVED = """
from sunra_integrations.sandbox import stand_in
stand_in()
"""


def calls() -> tuple[str, int]:
    """Calls through whatever this environment has, and how many of them the sandbox answers."""
    if not installed("uvicorn"):
        return CALLS, 0
    parts = [text for name, text in ADAPTERS.items() if installed(FRAMEWORKS[name])]
    parts += [COMMAND] if installed("rich") else []
    return CALLS + SERVED + "".join(parts), len(parts)


def test_the_package_works_from_a_zip_file(tmp_path):
    """As in a zipapp: nothing in it is a file, so data files are read through the loader."""
    package = Path(find_spec("sunra_integrations").origin).parent
    shutil.make_archive(str(tmp_path / "app"), "zip", package.parent, package.name)
    program, answers = calls()
    done = run(program, PYTHONPATH=str(tmp_path / "app.zip"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "app.zip"))
    assert done.stdout.splitlines().count("You said: Hi") == answers


def test_the_package_works_without_asserts_and_docstrings():
    program, answers = calls()
    done = run(program, "-OO")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("You said: Hi") == answers

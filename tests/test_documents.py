"""The documents: their Python runs against the sandbox, their links lead somewhere."""

from __future__ import annotations

import ast
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import children
from tests.documents import BLOCK, DOCS, PAGES, ROOT, documents, python_of

COOKBOOK = ROOT / "cookbook"
BARE = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
"""What a program needs to start at all: on Windows this, elsewhere nothing."""
FENCED = re.compile(r"^( *)```.*?^\1```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<(https?://[^>\s]+)>")

# Runs a file as a notebook would: `await` may stand outside of functions.
RUNNER = """
import ast, asyncio, inspect, sys
text = open(sys.argv[1], encoding="utf-8").read()
code = compile(text, sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
done = eval(code, {"__name__": "document"})
if inspect.iscoroutine(done):
    async def run():
        await done
    asyncio.run(run())
"""

SHOW_DEPRECATIONS = "-Wdefault::DeprecationWarning"
OF_AN_EXAMPLE = re.compile(
    r"^(?:document\.py|\S*[/\\]cookbook[/\\]\S+):\d+: .*Deprecat.*", re.MULTILINE
)
"""A deprecation that Python puts down to a line of an example, not to one of a library."""

SAID = {
    "README.md": [
        "It is sunny in Oslo.",
        "name='Ada' age=36",
        "`temperature` must be a number between 0 and 2, got 3.",
        "of $0.50, ",
        "Model          Calls",
        "Second time lucky.\n2\n",
    ],
    "docs/index.md": ["You said: When was the Eiffel Tower finished?"],
    "docs/guides/budgets.md": [
        "2 of 2 calls\n",
        "<Budget: $0.",
        " of $0.50, ",
        " tokens, 2 calls>\n2\n",
    ],
    "docs/guides/errors.md": [
        "Third time lucky. 3\n",
        "The tower was finished in [interrupted]\n",
        "InsufficientCredit 1\n",
        "google/gemini-2.5-flash\n",
    ],
    "docs/guides/cost-in-traces.md": [
        "LangSmith: $0.0000",
        'Langfuse: {"total":',
        "ChatSunra: $0.0000",
        "Sunra.acomplete: $0.0000",
        "Sunra.chat: $0.0000",
        "openai/gpt-4o-mini      1",
    ],
    "docs/guides/async.md": ["20\n", 'data: " Oslo"', "event: done"],
    "docs/guides/histories.md": ["It is sunny.\n"],
    "docs/guides/models_by_name.md": ["It is sunny in Oslo.", "272000 ['minimal', "],
    "docs/guides/keys.md": [
        "You said: Hello\nYou said: Hello\nYou said: Hello\n",
        "{'x-ratelimit-limit': ",
        "application/json\n",
    ],
    "docs/guides/network.md": ["You said: Hello"],
    "docs/guides/migrating.md": ["9\n9 stop\n"],
    "docs/guides/prompt-caching.md": [
        "{'cache_read': 2105, 'audio': 0}\n{'type': 'ephemeral'}\n2105\n",
        "anthropic/claude-sonnet-4.5\n{'cache_read': 2105, 'audio': 0}\n",
    ],
    "docs/guides/repair.md": [
        "name='Ada' age=36",
        "- age: Field required True\n",
        "The arguments are not a JSON object.",
        "name='Oslo' country='Norway' 1\n",
        "invalid 2 times in a row",
    ],
    "docs/guides/responses.md": [
        "It is sunny in Oslo.\n['message', 'reasoning', 'function_call', 'function_call_output']\n",
        "/v1/chat/completions\n['/v1/chat/completions', '/v1/responses']\n",
        "It is sunny in Paris.\n/v1/chat/completions\nYou said: Hello\n",
        "['web_search', 'function']\n['function', 'web_search']\n[{'type': 'web_search'}]\n",
        "[{'type': 'web_search'}]\n['function', 'web_search']\n",
        "['/v1/responses', '/v1/chat/completions']\n1\n",
    ],
    "docs/guides/schemas.md": ["schema.by_name\n"],
    "docs/guides/testing.md": ["You said: Hello"],
    "docs/guides/typing.md": ["37\n"],
    "docs/providers/langchain_chat.mdx": ["It is sunny in Oslo.", "name='Ada' age=36", "sandbox\n"],
    "docs/providers/langchain_provider.mdx": ["You said: Hello"],
    "docs/providers/llama_index.ipynb": ["It is sunny in Oslo.", "name='Ada' age=36"],
}
"""What each document with Python in it prints, in part."""


def test_the_readme_names_the_packages_that_its_snippets_import():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    modules = set(
        re.findall(
            r"^from ([\w.]+) import|^import ([\w.]+)", "".join(BLOCK.findall(text)), re.MULTILINE
        )
    )
    [installed] = re.findall(r"snippets on this page need\n`pip install '([^']+)' (.+)`:", text)
    for module in (one or other for one, other in modules):
        package = module.partition(".")[0]
        if package == "sunra_integrations":
            extra = module.split(".")[1].replace("_", "-")
            assert extra in installed[0] or extra in {"budget", "errors", "protocol", "transport"}
        elif package == "llama_index":
            assert "llama-index" in installed[0]
        elif package not in {*sys.stdlib_module_names, "pydantic"}:
            assert package in installed[1].split()


def run_by(arguments, sandbox, folder, **variables):
    known = {"SUNRA_KEY": sandbox.api_key, "SUNRA_BASE_URL": sandbox.base_url}
    environment = {**BARE, **known, **variables}
    return children.python(SHOW_DEPRECATIONS, *arguments, cwd=folder, env=environment)


@pytest.mark.parametrize("name", SAID)
def test_the_python_of_a_document_runs(name, sunra_sandbox, tmp_path):
    if "deepagents" in python_of(ROOT / name):
        pytest.importorskip("deepagents", reason="needs Python 3.11")
    (tmp_path / "document.py").write_text(python_of(ROOT / name), encoding="utf-8")
    ran = run_by(["-c", RUNNER, "document.py"], sunra_sandbox, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert not OF_AN_EXAMPLE.findall(ran.stderr)
    for words in SAID[name]:
        assert words in ran.stdout


def test_every_document_with_python_in_it_is_run():
    assert documents().keys() == SAID.keys()


def test_the_tests_in_the_guide_to_testing_pass(sunra_sandbox, tmp_path):
    program = python_of(DOCS / "guides" / "testing.md")
    (tmp_path / "test_document.py").write_text(program, encoding="utf-8")
    plugin = "sunra_integrations.sandbox.pytest_plugin"
    ran = run_by(
        ["-m", "pytest", "-q", "-p", plugin, "test_document.py"],
        sunra_sandbox,
        tmp_path,
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    assert f"{program.count('def test_')} passed" in ran.stdout, ran.stdout
    cassette = (tmp_path / "cassettes" / "greeting.yaml").read_text(encoding="utf-8")
    assert sunra_sandbox.api_key not in cassette


def agent_runs_by_position(program: str) -> list[str]:
    """Calls of an agent's `run` that pass the question by position.

    llama-index-core deprecates that form for type checkers alone: nothing warns at run time.
    """
    if "llama_index.core.agent" not in program:
        return []
    tree = compile(program, "example", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return [
        ast.unparse(call)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and call.args
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "run"
        and ast.unparse(call.func.value) not in {"asyncio", "subprocess"}
    ]


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ('agent.run("Hi")', ["agent.run('Hi')"]),
        ("await Agent(llm).run(question)", ["Agent(llm).run(question)"]),
        ('agent.run(user_msg="Hi")', []),
        ("asyncio.run(main())", []),
    ],
)
def test_a_question_that_is_passed_to_an_agent_by_position_is_found(call, found):
    program = f"from llama_index.core.agent.workflow import FunctionAgent\n{call}"
    assert agent_runs_by_position(program) == found


EXAMPLES = [
    *(ROOT / name for name in SAID),
    *COOKBOOK.rglob("*.py"),
    *COOKBOOK.glob("*.ipynb"),
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "tests").rglob("*.py"),
]


def test_examples_pass_the_question_to_an_agent_by_name():
    by_position = {
        str(path.relative_to(ROOT)): agent_runs_by_position(
            path.read_text(encoding="utf-8") if path.suffix == ".py" else python_of(path)
        )
        for path in EXAMPLES
    }
    assert {path: runs for path, runs in by_position.items() if runs} == {}


def links_of(page: Path) -> list[str]:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return [found[0] or found[1] for found in LINK.findall(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_file_or_look_like_an_address(page: Path):
    for link in links_of(page):
        address = urlsplit(link)
        if address.scheme:
            assert (address.scheme, bool(address.netloc)) == ("https", True), link
        elif address.path:
            assert (page.parent / address.path).exists(), link


def test_the_cookbook_page_names_every_notebook():
    named = {Path(link).name for link in links_of(DOCS / "cookbook.md")}
    assert {notebook.name for notebook in COOKBOOK.glob("*.ipynb")} <= named


def test_the_demo_answers_through_all_four_parts_and_says_where_from():
    environment = {**BARE, "COLUMNS": "120"}
    ran = children.python(SHOW_DEPRECATIONS, "-m", "cookbook.demo", cwd=ROOT, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert not OF_AN_EXAMPLE.findall(ran.stderr)
    assert ran.stdout.splitlines()[0].startswith("No SUNRA_KEY found: using the local sandbox")
    assert "attained to the Age of thirty Years" in ran.stdout
    assert "search_constitution: [Amendment IV]" in ran.stdout
    assert "years_between: 205" in ran.stdout
    assert "sole Power of Impeachment" in ran.stdout
    assert "source [Article I, Section 2]" in ran.stdout
    assert "years_between: 14" in ran.stdout
    assert len(re.findall(r"model calls? · [\d,]+ tokens in, [\d,]+ out", ran.stdout)) == 4

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
from tests.documents import (
    DOCS,
    PAGES,
    ROOT,
    as_program,
    blocks_of,
    documents,
    python_of,
    tabs_of,
)

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
    "README.md": ["You said: Tell me about Oslo.\nIt is sunny in Oslo.\n" * 2],
    "docs/guides/budgets.md": ["2\n['", "']\n['Your budget is spent.']\n"],
    "docs/guides/clients.md": [
        "You said: When was the Eiffel Tower finished?\n",
        "You said: When was the Eiffel Tower finished?" * 2,
    ],
    "docs/guides/settings.md": [
        "`temperature` must be a number between 0 and 2, got 3.\nYou said: Hello\n"
    ],
    "docs/guides/errors.md": [
        "Third time lucky. 3\n",
        "The tower was finished in [interrupted]\n",
        "InsufficientCredit 1\n",
    ],
    "docs/guides/cost-in-traces.md": [
        "LangSmith: $0.0000",
        'Langfuse: {"total":',
        "ChatSunra: $0.0000",
        "Sunra.acomplete: $0.0000",
        "Sunra.chat: $0.0000",
    ],
    "docs/guides/async.md": ["20\n", 'data: " Oslo"', "event: done"],
    "docs/guides/histories.md": ["It is sunny.\n"],
    "docs/guides/logging.md": [
        "(attempt 2), model openai/gpt-4o, after RateLimited (Retry-After: 0 s): Slow down (HTTP",
        "(Retry-After: 0 s): Crashed (HTTP 500).\nThird time lucky.\n",
    ],
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
"""What a document prints, in part, unless it shows its output itself."""

NOTICE = re.compile(r"No SUNRA_KEY found: .*\n.*\n")
PRINT_MARK = r'print("\x1e")'
SHOWING = {
    f"{name}:{tab}" if tab else name: [one for one in blocks_of(page) if one.tab in {"", tab}]
    for name, page in documents().items()
    if page.suffix != ".ipynb" and any(block.shown for block in blocks_of(page))
    for tab in tabs_of(page)
}
"""The blocks of each page that shows its output, by its path; of each tab if it has tabs."""


def test_the_readme_names_the_packages_that_its_snippets_import():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    modules = set(
        re.findall(
            r"^from ([\w.]+) import|^import ([\w.]+)", python_of(ROOT / "README.md"), re.MULTILINE
        )
    )
    [installed] = re.findall(r"^pip install '([^']+)' (.+)$", text, re.MULTILINE)
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


def lines_of(output: str) -> list[str]:
    return [line.rstrip() for line in output.strip().splitlines()]


@pytest.mark.parametrize("name", SHOWING)
def test_a_page_prints_what_it_shows_without_a_key(name, tmp_path):
    program = as_program(SHOWING[name], heading=PRINT_MARK)
    (tmp_path / "document.py").write_text(program, encoding="utf-8")
    arguments = (SHOW_DEPRECATIONS, "-c", RUNNER, "document.py")
    ran = children.python(*arguments, cwd=tmp_path, env=BARE)
    assert ran.returncode == 0, ran.stderr
    assert not OF_AN_EXAMPLE.findall(ran.stderr)
    _, *printed = NOTICE.sub("", ran.stdout).split("\x1e")
    assert [lines_of(one) for one in printed] == [lines_of(one.shown) for one in SHOWING[name]]


def test_every_document_with_python_in_it_is_run():
    showing = {name.partition(":")[0] for name in SHOWING}
    assert documents().keys() == SAID.keys() | showing


def test_python_in_a_tab_is_read_where_it_is_on_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\na = 1\n```\n"
        '=== "One"\n\n    ```python\n    if a:\n        b = 1\n    ```\n'
        "    !!! note\n        ```python\n        c = 1\n        ```\n"
        '=== "Two"\n\n    ```python\n    print(2)\n    ```\n\n'
        '    ```text title="Output"\n    2\n    ```\n'
        "- item\n\n    ```python\n    d = 1\n    ```\n",
        encoding="utf-8",
    )
    assert tabs_of(page) == ["One", "Two"]
    in_one = dict(enumerate(python_of(page, "One").splitlines(), 1))
    assert {line: code for line, code in in_one.items() if code} == {
        2: "a = 1",
        7: "if a:",
        8: "    b = 1",
        12: "c = 1",
        26: "d = 1",
    }
    assert [(one.tab, one.shown) for one in blocks_of(page) if one.shown] == [("Two", "2\n")]


@pytest.mark.parametrize(
    ("page", "tab"),
    [
        ("features/testing.md", "LangChain"),
        ("features/testing.md", "LlamaIndex"),
        ("guides/testing.md", None),
    ],
)
def test_the_tests_on_the_pages_about_testing_pass(page, tab, sunra_sandbox, tmp_path):
    program = python_of(DOCS / page, tab)
    (tmp_path / "test_document.py").write_text(program, encoding="utf-8")
    plugin = "sunra_integrations.sandbox.pytest_plugin"
    ran = run_by(
        ["-m", "pytest", "-q", "-p", plugin, "test_document.py"],
        sunra_sandbox,
        tmp_path,
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    assert f"{program.count('def test_')} passed" in ran.stdout, ran.stdout
    cassettes = [one.read_text(encoding="utf-8") for one in tmp_path.glob("cassettes/*")]
    assert len(cassettes) == program.count(".use_cassette(")
    assert not any(sunra_sandbox.api_key in cassette for cassette in cassettes)


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
    *documents().values(),
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

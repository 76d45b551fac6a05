"""Links of the long description and the site, and the hook of PyInstaller."""

from __future__ import annotations

import ast
import runpy
from importlib.metadata import entry_points, requires
from pathlib import Path

import pytest

import sunra_integrations
from scripts.check_package import wrong_links
from scripts.check_release import problems
from scripts.repository_links import outward, pages_of, place_in_site

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
REPOSITORY = "https://code.example/sunra/integrations"


def test_the_readme_read_elsewhere_links_to_files_of_the_repository():
    turned = outward(README, repository=REPOSITORY)
    assert turned.count(f"]({REPOSITORY}/blob/main/") > 25
    assert turned.count(f"]({REPOSITORY}/raw/main/docs/") == 2
    assert list(wrong_links(turned, repository=REPOSITORY, root=ROOT)) == []


def test_the_readme_read_elsewhere_has_no_dead_link_where_no_repository_is_known():
    turned = outward(README, repository=None)
    assert "[Sunra](https://sunra.ai)" in turned
    assert list(wrong_links(turned, repository=None, root=ROOT)) == []
    assert len(list(wrong_links(README, repository=None, root=ROOT))) > 25


@pytest.mark.parametrize(
    ("markdown", "known", "unknown"),
    [
        ("[a](b.md)", "[a](R/blob/main/docs/b.md)", "a (`docs/b.md`)"),
        ("[b](../x/b.md#y)", "[b](R/blob/main/x/b.md#y)", "b (`x/b.md`)"),
        ("[docs/b.md](b.md)", "[docs/b.md](R/blob/main/docs/b.md)", "docs/b.md"),
        ("[`b`](b.md)", "[`b`](R/blob/main/docs/b.md)", "`b` (`docs/b.md`)"),
        ("![a](b.svg)", "![a](R/raw/main/docs/b.svg)", "a (`docs/b.svg`)"),
        ("[above](#here)", "[above](R/blob/main/docs/page.md#here)", "above"),
        ("[a](https://b.c/d)", "[a](https://b.c/d)", "[a](https://b.c/d)"),
        ("[a](mailto:b@c.d)", "[a](mailto:b@c.d)", "[a](mailto:b@c.d)"),
        ("`[a](b.md)`", "`[a](b.md)`", "`[a](b.md)`"),
        ("```\n[a](b.md)\n```", "```\n[a](b.md)\n```", "```\n[a](b.md)\n```"),
        (
            "  ```\n  ` [a](b.md)\n  ```",
            "  ```\n  ` [a](b.md)\n  ```",
            "  ```\n  ` [a](b.md)\n  ```",
        ),
        ("[a](kept.md)", "[a](kept.md)", "[a](kept.md)"),
    ],
)
def test_a_link_is_turned_outward(markdown, known, unknown):
    for repository, expected in {"R": known, "R/": known, None: unknown}.items():
        turned = outward(
            markdown,
            repository=repository,
            page="docs/page.md",
            place=lambda path: path if path == "docs/kept.md" else None,
        )
        assert turned == expected


@pytest.mark.parametrize(
    ("markdown", "page", "shown_on", "expected"),
    [
        ("[a](b.ipynb)", "cookbook/c.ipynb", "docs/cookbook/c.md", "[a](b.md)"),
        ("[a](app/b.py)", "cookbook/c.ipynb", "docs/cookbook/c.md", "[a](app/b.py.md)"),
        ("![a](app/b.png)", "cookbook/c.ipynb", "docs/cookbook/c.md", "![a](app/b.png)"),
        ("[a](../docs/x/b.md#c)", "cookbook/c.ipynb", "docs/cookbook/c.md", "[a](../x/b.md#c)"),
        ("[a](#b)", "cookbook/c.ipynb", "docs/cookbook/c.md", "[a](#b)"),
        ("[a](../B.md)", "cookbook/c.ipynb", "docs/cookbook/c.md", "[a](R/blob/main/B.md)"),
        ("[a](../b.ipynb)", "cookbook/x/README.md", "docs/cookbook/x/README.md", "[a](../b.md)"),
        ("[a](../cookbook/c.ipynb)", "docs/index.md", "docs/index.md", "[a](cookbook/c.md)"),
        ("[a](docs/cli.md)", "CONTRIBUTING.md", "docs/guides/contributing.md", "[a](../cli.md)"),
        ("[a](b.mdx)", "docs/x/c.md", "docs/x/c.md", "[a](R/blob/main/docs/x/b.mdx)"),
    ],
)
def test_a_link_to_a_file_that_the_site_shows_leads_to_its_page(markdown, page, shown_on, expected):
    turned = outward(markdown, repository="R", page=page, shown_on=shown_on, place=place_in_site)
    assert turned == expected


@pytest.mark.parametrize(
    ("markdown", "wrong"),
    [
        ("[a](README.md)", "README.md, which is not absolute"),
        ("[a][b]\n\n[b]: docs/cli.md", "docs/cli.md, which is not absolute"),
        ('<img src="docs/a.svg">', "docs/a.svg, which is not absolute"),
        ("[a](http://b.c)", "http://b.c, which is not absolute"),
        (f"[a]({REPOSITORY}/blob/main/none.md)", "but there is no"),
        (f"[a]({REPOSITORY}/blob/main/README.md#none)", "has no such heading"),
        (f"[a]({REPOSITORY}/blob/main/README.md#status)", None),
        ("[a](https://sunra.ai)", None),
    ],
)
def test_a_link_that_leads_nowhere_is_found(markdown, wrong):
    found = list(wrong_links(markdown, repository=REPOSITORY, root=ROOT))
    assert len(found) == (wrong is not None)
    assert all(wrong in one for one in found)


def test_pyinstaller_finds_the_hook_and_the_hook_names_files_that_are_there():
    [entry] = [
        entry
        for entry in entry_points(group="pyinstaller40", name="hook-dirs")
        if entry.module.startswith("sunra_integrations.")
    ]
    [folder] = entry.load()()
    hook = runpy.run_path(f"{folder}/hook-sunra_integrations.py")
    assert {Path(source).name for source, _ in hook["datas"]} == {"LICENSE"}
    assert all(Path(source).is_file() for source, _ in hook["datas"])


def imported_by(path: Path) -> set[str]:
    """What a module imports with statements, wherever they stand, but for type checkers alone."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        match waiting.pop():
            case ast.If(test=ast.Name("TYPE_CHECKING"), orelse=orelse):
                waiting += orelse
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(module), names=names):
                found |= {module, *(f"{module}.{name.name}" for name in names)}
            case node:
                waiting += ast.iter_child_nodes(node)
    return found


def test_freezers_see_every_module_behind_a_public_one():
    package = Path(sunra_integrations.__file__).parent
    modules = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in package.rglob("*.py")
    }
    public = [
        "langchain",
        "llama_index",
        "transport",
        "sandbox",
        "cli",
        "conformance.llama_index",
        "usage",
        "budget",
        "langchain.middleware",
    ]
    waiting, seen = [f"sunra_integrations.{name}" for name in public], set()
    while waiting:
        name = waiting.pop()
        if name in modules and name not in seen:
            seen.add(name)
            waiting += [name.rpartition(".")[0], *imported_by(modules[name])]
    assert {name.removeprefix("sunra_integrations.") for name in modules.keys() - seen} == {
        "_deepagents",  # an entry point; frozen programs call register()
        "_pyinstaller",
        "_pyinstaller.hook-sunra_integrations",
        "cli.__main__",  # for `python -m`
        "sandbox.pytest_plugin",
    }


def brought_by(extra: str) -> set[str]:
    return {
        requirement.partition(";")[0].strip()
        for requirement in requires("sunra-integrations")
        if requirement.endswith((f"extra == '{extra}'", f'extra == "{extra}"'))
    }


@pytest.mark.parametrize(
    ("extra", "others"),
    [
        ("cli", ["sandbox"]),  # for `sunra sandbox`
        ("all", ["langchain", "llama-index", "aiohttp", "sandbox", "cli"]),
        ("conformance", ["llama-index", "sandbox"]),
    ],
)
def test_an_extra_brings_what_others_bring(extra, others):
    for other in others:
        assert brought_by(other)
        assert brought_by(other) <= brought_by(extra)


@pytest.mark.parametrize(
    ("tag", "changelog", "found"),
    [
        ("v1.2.0", "## [Unreleased]\n\n## [1.2.0] - 2026-01-31\n\n- It works.\n", []),
        ("1.2.0", "## [1.2.0] - 2026-01-31\n", ["The tag is 1.2.0"]),
        ("v1.3.0", "## [1.2.0] - 2026-01-31\n", ["The tag is v1.3.0"]),
        ("v1.2.0", "## [1.2.0]\n", ["no section"]),
        ("v1.2.0", "## [Unreleased]\n\n- More.\n\n## [1.2.0] - 2026-01-31\n", ["still has"]),
    ],
)
def test_a_release_tag_is_compared_with_the_version_and_the_changelog(tag, changelog, found):
    messages = list(problems(tag, version="1.2.0", changelog=changelog))
    assert len(messages) == len(found)
    assert all(part in message for part, message in zip(found, messages, strict=True))


@pytest.mark.parametrize(
    ("repository", "site"),
    [
        ("https://github.com/Sunra/integrations", "https://sunra.github.io/integrations/"),
        ("https://github.com/sunra/integrations/", "https://sunra.github.io/integrations/"),
        ("https://code.example/sunra/integrations", None),
    ],
)
def test_the_address_of_the_site_comes_from_the_repository(repository, site):
    assert pages_of(repository) == site

"""`docs/environment.md` is the list of environment variables, and it is complete."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "environment.md"
TREES = {
    path.name: ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "src").rglob("*.py"))
}
BY_THE_STANDARD_LIBRARY = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}  # `getproxies`
BY_LANGCHAIN = {"LC_OUTPUT_VERSION"}
BY_CLICK = {"_SUNRA_COMPLETE"}  # the script of `sunra completion` sets it


def constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            names = target.elts if isinstance(target, ast.Tuple) else [target]
            values = value.elts if isinstance(value, ast.Tuple) else [value]
            for name, one in zip(names, values, strict=False):
                if isinstance(name, ast.Name) and isinstance(one, ast.Constant):
                    yield name.id, one.value


KNOWN = {name: value for tree in TREES.values() for name, value in constants(tree)}


def names_read(tree: ast.Module) -> Iterator[ast.expr]:
    """The expressions that name a variable which is read or set."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="environ")), args=[name, *_]):
                yield name
            case ast.Call(func=ast.Attribute(attr="getenv"), args=[name, *_]):
                yield name
            case ast.Subscript(value=ast.Attribute(attr="environ"), slice=name):
                yield name
            case ast.keyword(arg="envvar" | "variable" | "complete_var", value=name):
                yield name


def variables(tree: ast.Module) -> set[str | None]:
    """The names; None for one that is computed."""
    return {
        name.value if isinstance(name, ast.Constant) else KNOWN.get(getattr(name, "id", ""))
        for name in names_read(tree)
    }


def test_the_page_lists_every_variable_that_is_read():
    read = {file: variables(tree) for file, tree in TREES.items()}
    computed = {file for file, names in read.items() if None in names}
    assert computed == {"proxies.py", "options.py"}  # http_proxy and others; an argument
    found = {name.upper() for names in read.values() for name in names if name}
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == (found - BY_CLICK) | BY_THE_STANDARD_LIBRARY | BY_LANGCHAIN


def test_only_these_files_use_the_environment():
    using = {
        file
        for file, tree in TREES.items()
        if any(
            isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
            for node in ast.walk(tree)
        )
    }
    assert using == {"settings.py", "proxies.py", "certificates.py", "without_key.py"}

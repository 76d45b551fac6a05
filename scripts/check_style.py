"""Find discouraged names and phrases: ``python scripts/check_style.py [PATH …]``.

The tables in `docs/style-guide.md` say what to avoid and how to match it:

- `word`: a word or phrase in prose, upper or lower case.
- `regex`: a regular expression on prose. Line breaks count as a space.
- `name`: any name that Python code defines, including arguments, attributes and modules.
- `class`, `function`, `method`, `module`: only definitions of that kind. A `function` is at the top
  level of a module.

Prose is the text of Markdown pages and notebooks, and the comments and strings of Python code.
Code in backticks does not count.
"""

from __future__ import annotations

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "style-guide.md"
CHECKED = ("src", "docs", "README.md", "CONTRIBUTING.md", "SECURITY.md", "cookbook/*.ipynb")
_KINDS = {"word", "regex", "name", "class", "function", "method", "module"}
_PAGES = {".md", ".mdx"}
_SPACE = re.compile(r"\s+")
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\([^)\s]*\)|<!--.*?-->|https?://\S+", re.DOTALL)
_FENCE = re.compile(r"^([ \t]*)```(\w*)[^\n]*\n(.*?)^\1```[ \t]*$", re.DOTALL | re.MULTILINE)
_BLOCKS = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:[-*|#>]|\d+\.)[ \t])|(?<=\|)[ \t](?=\S)|\n(?=\|)")


@dataclass(frozen=True)
class Rule:
    """An entry of the style guide.

    Args:
        avoid: The discouraged name, phrase or pattern.
        kinds: How it is matched.
        use: The replacement.
    """

    avoid: str
    kinds: frozenset[str]
    use: str


@dataclass(frozen=True)
class Prose:
    """A piece of text and the line that it starts on."""

    text: str
    line: int


@dataclass(frozen=True)
class Definition:
    """A name that Python code defines."""

    name: str
    kind: str
    line: int


@dataclass(frozen=True)
class Hit:
    """A discouraged name or phrase in a file."""

    path: Path
    line: int
    found: str
    rule: Rule

    def __str__(self) -> str:
        """The hit as a compiler would print it."""
        return f"{self.path}:{self.line}: avoid {self.found!r}; use {self.rule.use}"


class Guide:
    """The rules of a style guide."""

    def __init__(self, page: str) -> None:
        """Read the tables of a page.

        Raises:
            ValueError: A rule has an unknown kind.
        """
        self.rules = [rule for row in _rows(page, "Avoid", "Match", "Use") for rule in _rules(*row)]
        self.exceptions = {
            (file.strip("`"), avoid)
            for file, entries, _ in _rows(page, "File", "Avoid", "Reason")
            for avoid in _entries(entries)
        }
        self._patterns = [
            (rule, _pattern(rule)) for rule in self.rules if rule.kinds & {"word", "regex"}
        ]

    def hits(self, path: Path, name: str) -> Iterator[Hit]:
        """Matches in a file, in the order of the rules. `name` is its path in the exceptions."""
        definitions, prose = _read(path)
        for rule, pattern in self._patterns:
            for part in prose:
                for match in pattern.finditer(part.text):
                    line = part.line + part.text.count("\n", 0, match.start())
                    yield from self._unless_excepted(
                        Hit(Path(name), line, _SPACE.sub(" ", match[0]).strip(), rule)
                    )
        for definition in definitions:
            for rule in self.rules:
                if definition.name == rule.avoid and rule.kinds & {"name", definition.kind}:
                    yield from self._unless_excepted(
                        Hit(Path(name), definition.line, definition.name, rule)
                    )

    def _unless_excepted(self, hit: Hit) -> Iterator[Hit]:
        if (hit.path.as_posix(), hit.rule.avoid) not in self.exceptions:
            yield hit


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """Python files, pages and notebooks in folders; files themselves. Not the style guide."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in {".py", ".ipynb", *_PAGES} and file != GUIDE:
                yield file


def main(arguments: list[str]) -> int:
    """Print all hits; the exit status is 1 if there are any."""
    guide = Guide(GUIDE.read_text(encoding="utf-8"))
    paths = [Path(argument).resolve() for argument in arguments] or [
        path for pattern in CHECKED for path in sorted(ROOT.glob(pattern))
    ]
    found = [
        hit for file in files(paths) for hit in guide.hits(file, file.relative_to(ROOT).as_posix())
    ]
    for hit in sorted(found, key=lambda hit: (hit.path, hit.line)):
        print(hit)
    if found:
        print(f"\n{len(found)} discouraged names and phrases; see docs/style-guide.md.")
    return bool(found)


def _rows(page: str, *columns: str) -> Iterator[list[str]]:
    """Cells of the tables that have these columns."""
    inside = False
    for line in page.splitlines():
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells == list(columns):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not set(line) <= set("|-: "):
            yield cells


def _entries(cell: str) -> list[str]:
    """Code spans of a cell, or the phrases between its commas."""
    return re.findall(r"`([^`]+)`", cell) or [one.strip() for one in cell.split(",")]


def _rules(avoid: str, match: str, use: str) -> Iterator[Rule]:
    kinds = frozenset(one.strip() for one in match.split(","))
    if unknown := kinds - _KINDS:
        raise ValueError(f"{avoid}: unknown kind of match {', '.join(sorted(unknown))}")
    for entry in _entries(avoid):
        yield Rule(entry, kinds, use)


def _pattern(rule: Rule) -> re.Pattern[str]:
    """The pattern of a rule; a space in it also matches a line break."""
    if "word" in rule.kinds:
        return re.compile(rf"\b{re.escape(rule.avoid)}\b".replace(r"\ ", r"\s+"), re.IGNORECASE)
    return re.compile(rule.avoid.replace(" ", r"\s"))


def _read(path: Path) -> tuple[list[Definition], list[Prose]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        module = path.parent.name if path.stem == "__init__" else path.stem
        definitions, prose = _python(text)
        return [Definition(module, "module", 1), *definitions], prose
    if path.suffix == ".ipynb":
        return _notebook(text)
    return _page(text)


def _page(text: str, first: int = 1) -> tuple[list[Definition], list[Prose]]:
    """Prose of a Markdown page, and the names and comments of its Python code."""
    definitions: list[Definition] = []
    prose: list[Prose] = []
    for fence in _FENCE.finditer(text):
        if fence[2] in {"python", "py"}:
            names, words = _snippet(dedent(fence[3]), first + text.count("\n", 0, fence.start(3)))
            definitions += names
            prose += words
    return definitions, [*prose, *_split(_blank(_FENCE, text), first)]


def _notebook(text: str) -> tuple[list[Definition], list[Prose]]:
    """Like a page per cell. Each source line of a notebook is a line of its JSON."""
    definitions: list[Definition] = []
    prose: list[Prose] = []
    at = 1
    lines = text.splitlines()
    for cell in json.loads(text)["cells"]:
        source = cell["source"] if isinstance(cell["source"], list) else [cell["source"]]
        if not source:
            continue
        wanted = json.dumps(source[0])
        at = next(n for n in range(at, len(lines) + 1) if wanted in _ascii(lines[n - 1]))
        joined = "".join(source)
        if cell["cell_type"] == "code":
            joined = re.sub(r"^[%!].*", "", joined, flags=re.MULTILINE)
        names, words = (_page if cell["cell_type"] == "markdown" else _snippet)(joined, at)
        definitions += names
        prose += words
    return definitions, prose


def _ascii(line: str) -> str:
    """A line of JSON with non-ASCII characters escaped, as `json.dumps` writes them."""
    return "".join(one if ord(one) < 128 else json.dumps(one)[1:-1] for one in line)  # noqa: PLR2004


def _split(text: str, first: int) -> Iterator[Prose]:
    """Paragraphs, list items and cells, without code and link targets."""
    text = _blank(_LINK, _blank(_CODE, text))
    start = 0
    for end in [*(match.start() for match in _BLOCKS.finditer(text)), len(text)]:
        block = text[start:end]
        lead = len(block) - len(block.lstrip(" \t\n|#>*-"))
        if block.strip():
            yield Prose(block[lead:], first + text.count("\n", 0, start + lead))
        start = end


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Replace matches with a placeholder of the same number of lines."""
    return pattern.sub(lambda match: "…" + "\n" * match[0].count("\n"), text)


def _snippet(code: str, first: int) -> tuple[list[Definition], list[Prose]]:
    """Like `_python`; nothing if the code is in another language."""
    try:
        return _python(code, first)
    except SyntaxError:
        return [], []


def _python(code: str, first: int = 1) -> tuple[list[Definition], list[Prose]]:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(code, "<code>", "exec", flags, dont_inherit=True)
    definitions = [
        Definition(one.name, one.kind, one.line + first - 1) for one in _definitions(tree)
    ]
    prose = [
        part
        for one in (*_comments(code), *_strings(tree))
        for part in _split(one.text, one.line + first - 1)
    ]
    return definitions, prose


def _definitions(tree: ast.AST) -> Iterator[Definition]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    top = {id(node) for node in getattr(tree, "body", ())}
    for node in ast.walk(tree):
        if isinstance(node, functions):
            yield Definition(node.name, "function" if id(node) in top else "method", node.lineno)
        elif isinstance(node, ast.ClassDef):
            yield Definition(node.name, "class", node.lineno)
        elif isinstance(node, ast.arg):
            yield Definition(node.arg, "name", node.lineno)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield Definition(node.id, "name", node.lineno)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield Definition(node.attr, "name", node.lineno)


def _comments(code: str) -> Iterator[Prose]:
    """Comments; those on consecutive lines are one text."""
    lines: list[str] = []
    last = -1
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type != tokenize.COMMENT:
            continue
        text = token.string.removeprefix("#").partition("noqa:")[0].strip()
        if lines and token.start[0] == last + 1 and not token.line[: token.start[1]].strip():
            lines.append(text)
        else:
            if lines:
                yield Prose("\n".join(lines), last - len(lines) + 1)
            lines = [text]
        last = token.start[0]
    if lines:
        yield Prose("\n".join(lines), last - len(lines) + 1)


def _strings(tree: ast.AST) -> Iterator[Prose]:
    """String literals with a space in them: docstrings and messages."""
    formatted: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            formatted.update(id(part) for part in node.values)
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )
            if " " in text:
                yield Prose(text, node.lineno)
        elif isinstance(node, ast.Constant) and id(node) not in formatted:
            text = node.value if isinstance(node.value, str) else ""
            if " " in text:
                yield Prose(text, node.lineno)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

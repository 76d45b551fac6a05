"""Type checkers let users' code pass and find its mistakes; `make types` runs this.

`users/` is what users write. In `users/mistakes.py`, each line marked `# mistake` must be an error
to every checker, except for those that the mark names. The Python of the documents is checked too,
as programs: the blocks of a page, or on a page with tabs those that a reader of one tab sees.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

import pytest

from tests.documents import programs
from tests.typing.checkers import CHECKERS, FOLDER, Diagnostic, path_of, run

USERS = Path(__file__).parent / "users"
MISTAKES = USERS / "mistakes.py"
WRAPPER = "async def document() -> None:\n"

pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="`make types` installs the type checkers and runs this"
)


def as_module(code: str) -> str:
    """The Python of a document, inside of a function where it awaits as a notebook does."""
    try:
        compile(code, "document", "exec")
    except SyntaxError:
        return WRAPPER + indent(code, "    ")
    return code


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder).resolve()
        shutil.copytree(USERS, made / "users", ignore=shutil.ignore_patterns("__pycache__"))
        (made / "documents").mkdir()
        for name, code in programs().items():
            file = made / "documents" / (name.translate(str.maketrans("/.-:", "____")) + ".py")
            file.write_text(as_module(code), encoding="utf-8")
        yield made


@pytest.fixture(scope="module", params=CHECKERS)
def found(request: pytest.FixtureRequest, project: Path) -> tuple[str, list[Diagnostic]]:
    name: str = request.param
    if path_of(name) is None:
        pytest.skip(f"{name} is not in {FOLDER}")
    return name, list(CHECKERS[name](project))


def listed(found: list[Diagnostic], project: Path) -> str:
    lines = []
    for one in found:
        code = (project / one.file).read_text(encoding="utf-8").splitlines()[one.line - 1].strip()
        lines.append(f"{one.file}:{one.line}: {code}\n    {one.text}")
    return "\n".join(lines)


def test_users_code_passes(found: tuple[str, list[Diagnostic]], project: Path) -> None:
    name, diagnostics = found
    unwanted = [
        one
        for one in diagnostics
        if Path(one.file).parent.name == "users"
        and Path(one.file).name != MISTAKES.name
        and (one.is_error or name == "basedpyright")
    ]
    assert not unwanted, listed(unwanted, project)


def test_the_python_of_the_documents_passes(
    found: tuple[str, list[Diagnostic]], project: Path
) -> None:
    _, diagnostics = found
    unwanted = [
        one
        for one in diagnostics
        if Path(one.file).parent.name == "documents"
        and one.is_error
        # Examples of invalid values. Only pyrefly reads pydantic's constraints.
        and "violates Pydantic" not in one.text
    ]
    assert not unwanted, listed(unwanted, project)


def test_mistakes_are_found_and_nothing_else(found: tuple[str, list[Diagnostic]]) -> None:
    name, diagnostics = found
    lines = MISTAKES.read_text(encoding="utf-8").splitlines()
    mistakes = {number: line for number, line in enumerate(lines, 1) if "# mistake" in line}
    seen = {one.line for one in diagnostics if Path(one.file).name == MISTAKES.name}
    excepted = {number for number, line in mistakes.items() if f"not seen by {name}" in line}
    assert seen == mistakes.keys() - excepted


def test_every_public_type_is_declared(tmp_path: Path) -> None:
    """What a type checker would have to infer, it may infer in another way than we do."""
    if path_of("pyright") is None:
        pytest.skip(f"pyright is not in {FOLDER}")
    arguments = ("--verifytypes", "sunra_integrations", "--ignoreexternal", "--outputjson")
    verified = json.loads(run(tmp_path, "pyright", *arguments))["typeCompleteness"]
    assert [one["name"] for one in verified["symbols"] if not one["isTypeKnown"]] == []
    assert verified["completenessScore"] == 1

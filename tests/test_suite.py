"""What keeps the suite itself dependable: on a slow machine, in any order, beside other tests."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [
    path
    for pattern in ("tests/**/*.py", "cookbook/tests/*.py", "cookbook/*/tests/*.py")
    for path in sorted(ROOT.glob(pattern))
]
WAITS = {"wait", "join", "communicate"}
SHORT = 20
"""A limit that only a failure reaches has as many seconds at least."""


def called(node: ast.AST) -> tuple[str, str]:
    """What is called, as in `subprocess.run`, or `.run` of something else."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(owner), attr=name)):
            return owner, name
        case ast.Call(func=ast.Attribute(attr=name)):
            return "", name
    return "", ""


def starts_a_program_by_itself(node: ast.AST) -> bool:
    owner, name = called(node)
    given = {keyword.arg for keyword in getattr(node, "keywords", [])}
    if name == "runpytest_subprocess" or (owner, name) == ("subprocess", "run"):
        return "timeout" not in given
    return owner == "subprocess" and name in {"Popen", "call", "check_call", "check_output"}


def waits_a_short_time_for_what_must_happen(node: ast.AST) -> bool:
    if not isinstance(node, ast.Assert):
        return False
    for inner in ast.walk(node):
        if called(inner)[1] in WAITS:
            if len(inner.args) > 1:  # another method of that name
                continue
            values = [*inner.args, *(keyword.value for keyword in inner.keywords)]
            if any(isinstance(value, ast.Constant) and value.value < SHORT for value in values):
                return not isinstance(node.test, ast.UnaryOp)  # `not` asserts that it does not
    return False


def asserts_how_fast_it_was(node: ast.AST) -> bool:
    match node:
        case ast.Compare(
            left=ast.BinOp() | ast.Call() as took,
            ops=[ast.Lt() | ast.LtE()],
            comparators=[ast.Constant()],
        ):
            clocks = {"monotonic", "perf_counter", "time", "total_seconds"}
            return any(called(inner)[1] in clocks for inner in ast.walk(took))
    return False


def replaces_a_clock_for_the_whole_process(node: ast.AST) -> bool:
    if called(node)[1] != "setattr" or not node.args:
        return False
    match node.args[0]:
        case ast.Name(name) | ast.Constant(str(name)):
            return name.partition(".")[0] in {"time", "asyncio", "threading", "random", "warnings"}
    return False


FAULTS: dict[str, Callable[[ast.AST], bool]] = {
    "starts a program that has no deadline: use tests/children.py": starts_a_program_by_itself,
    "waits too short a time: use DEADLINE": waits_a_short_time_for_what_must_happen,
    "says how fast a machine must be: use DEADLINE, or growing_limits": asserts_how_fast_it_was,
    "changes time for servers in this process too: use tests/module_stand_in.py": (
        replaces_a_clock_for_the_whole_process
    ),
}


def found(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        for words, is_at_fault in FAULTS.items():
            if is_at_fault(node):
                yield f"line {node.lineno} {words}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_depends_on_the_speed_of_the_machine_or_leaves_a_program_running(path: Path):
    if path.name != "children.py":
        assert list(found(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("subprocess.run(command, check=True)", 1),
        ("subprocess.run(command, timeout=DEADLINE)", 0),
        ("with subprocess.Popen(command) as child: child.wait()", 1),
        ("pytester.runpytest_subprocess('-q')", 1),
        ("assert event.wait(2)", 1),
        ("assert process.wait(timeout=5) == 0", 1),
        ("assert event.wait(DEADLINE)", 0),
        ("assert not event.wait(1)", 0),
        ("assert time.monotonic() - began < 1.5", 1),
        ("assert response.elapsed.total_seconds() < 5", 1),
        ("assert time.monotonic() - began < DEADLINE", 0),
        ("assert time.monotonic() - began >= 0.15", 0),
        ("monkeypatch.setattr(time, 'sleep', waited.append)", 1),
        ("monkeypatch.setattr('asyncio.sleep', note)", 1),
        ("monkeypatch.setattr(client, 'time', ModuleStandIn(client.time))", 0),
    ],
)
def test_such_a_fault_is_found(line: str, faults: int):
    assert len(list(found(line))) == faults

"""Measures the contestants in turn, round by round, each in its own process and environment."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.contestants import Contestant
from benchmarks.environments import Interpreter
from benchmarks.measures import Measure, Question
from benchmarks.run import Results

if TYPE_CHECKING:
    from typing_extensions import Self

Figures = dict[str, Any]
_LONGEST_ANSWER = 300.0
"""Seconds until a contestant counts as stuck."""


@contextmanager
def server() -> Iterator[str]:
    """The server's address while it runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        if process.stdout is None:
            raise RuntimeError("the server has no output")
        port = int(process.stdout.readline())
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


class Worker:
    """A contestant's process."""

    def __init__(self, contestant: Contestant, interpreter: str, address: str) -> None:
        self.name = contestant.name
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [interpreter, "-m", "benchmarks.worker", contestant.name, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
        )

    def end(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()

    def ask(self, task: dict[str, Any]) -> Figures:
        """Its answer, or what went wrong."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None or self._process.poll() is not None:
            return {"failed": f"ended with status {self._process.poll()}"}
        stdin.write(json.dumps(task).encode() + b"\n")
        stdin.flush()
        if not select.select([stdout], [], [], _LONGEST_ANSWER)[0]:
            self._process.kill()
            return {"failed": "took too long"}
        line = stdout.readline()
        if not line:
            return {"failed": f"ended with status {self._process.wait()}"}
        answer: Figures = json.loads(line)
        return answer


class Crew:
    """The contestants' processes. Each starts with its first question.

    Args:
        address: The server's address.
        interpreter: Returns the Python of a contestant.
    """

    def __init__(self, address: str, interpreter: Interpreter) -> None:
        self.address = address
        self.interpreter = interpreter
        self._workers: dict[str, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.end()

    def ask(self, contestant: Contestant, task: dict[str, Any]) -> Figures:
        """The contestant's answer."""
        if contestant.name not in self._workers:
            interpreter = self.interpreter(contestant)
            self._workers[contestant.name] = Worker(contestant, interpreter, self.address)
        return self._workers[contestant.name].ask(task)


def measured(
    measure: Measure,
    contestants: Sequence[Contestant],
    crew: Crew,
    say: Callable[[str], None],
    fail: Callable[[str], None],
) -> Results:
    """The figures of a measure. `say` receives the progress, `fail` what could not be measured."""
    results: Results = {}
    for number in range(measure.rounds):
        for question in measure.questions:
            for one in _in_turn(contestants, number):
                if question.suits(one):
                    answer = _answer(measure, question, one, crew)
                    if "failed" in answer:
                        fail(f"{measure.name}, {question.case}, {one.name}: {answer['failed']}")
                    elif "not_offered" not in answer:
                        _note(results, question.case, one.name, answer, number)
        say(f"{measure.name}: round {number + 1} of {measure.rounds}")
    return results


def _answer(measure: Measure, question: Question, contestant: Contestant, crew: Crew) -> Figures:
    if question.task["task"] == "import":
        return _import(contestant, crew.interpreter(contestant))
    if measure.fresh:
        with Crew(crew.address, crew.interpreter) as fresh:
            return fresh.ask(contestant, question.task)
    return crew.ask(contestant, question.task)


def _in_turn(contestants: Sequence[Contestant], number: int) -> list[Contestant]:
    """Another one begins each round, so that no place in the order is anyone's."""
    first = number % len(contestants)
    return [*contestants[first:], *contestants[:first]]


def _note(results: Results, case: str, name: str, answer: Figures, number: int) -> None:
    figures = results.setdefault(case, {}).setdefault(name, {})
    for figure, value in answer.items():
        rounds = figures.setdefault(figure, [])
        rounds += [None] * (number - len(rounds)) + [value]


def _import(contestant: Contestant, interpreter: str) -> Figures:
    """The import of a class, and that of its framework alone in the same environment."""
    figures: Figures = {}
    for of in ("class", "framework"):
        ran = subprocess.run(  # noqa: S603 - ourselves
            [interpreter, "-m", "benchmarks.importing", contestant.name, of],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_ANSWER,
        )
        if ran.returncode:
            return {"failed": ran.stderr.strip().rpartition("\n")[2]}
        prefix = "" if of == "class" else "framework_"
        figures.update({f"{prefix}{name}": one for name, one in json.loads(ran.stdout).items()})
    return figures


def _environment() -> dict[str, str]:
    """The developer's environment, without variables that change the server or add tracing."""
    spoilers = (
        "SUNRA_",
        "OPENAI_",
        "OPENROUTER_",
        "LANGCHAIN_",
        "LANGSMITH_",
        "HTTP",
        "http",
        "ALL_",
        "all_",
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(spoilers)}
    # litellm would download its prices.
    return {**kept, "LANGSMITH_TRACING": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

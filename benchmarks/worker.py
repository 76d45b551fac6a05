"""``python -m benchmarks.worker CONTESTANT SERVER``: one contestant, in a process of its own.

Reads questions as JSON lines and answers each with a JSON line of figures, or with what went wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contestants import NAMED
from benchmarks.contestants.asked import Call, Connect, NotOffered, Wanted
from benchmarks.scenarios import Scenario
from benchmarks.tasks import calls, crowd, instances, latency, memory

Figures = dict[str, float]


@dataclass
class Worker:
    """Keeps a contestant's calls, each made ready and warm at its first question."""

    connect: Connect
    server: str
    loop: asyncio.AbstractEventLoop
    ready: dict[tuple[Wanted, str], Call] = field(default_factory=dict)

    def answer(self, question: dict[str, Any]) -> Figures:
        """The figures of one question."""
        task, times = question["task"], question.get("times", 1)
        if task in _INSTANCES:
            return _INSTANCES[task](self.connect, self.server, times)
        wanted = Wanted(Scenario.parse(question["scenario"]), **question.get("wanted", {}))
        if task in _MEMORY:
            self._warm_another(task)
            return _MEMORY[task](self.connect(self.server, wanted), wanted.scenario.events)
        call = self._call(wanted, task)
        if task in _CROWDS:
            return _CROWDS[task](call, question["at_once"], times, self.loop)
        return self._ask(call, task, times, wanted.scenario.events)

    def _ask(self, call: Call, task: str, times: int, events: int) -> Figures:
        match task:
            case "invoke":
                return calls.invoke(call, times)
            case "ainvoke":
                return calls.ainvoke(call, times, self.loop)
            case "stream":
                return calls.stream(call.stream, times, events)
            case "astream":
                return calls.astream(call.astream, times, events, self.loop)
            case "events":
                return calls.stream(call.events, times, events)
            case "aevents":
                return calls.astream(call.aevents, times, events, self.loop)
            case "latency":
                return latency.stream(call, times)
            case "alatency":
                return latency.astream(call, times, self.loop)
        raise ValueError(f"no such task: {task!r}")

    def _call(self, wanted: Wanted, task: str) -> Call:
        """The call, warm: no measure is to hold what happens once in a process."""
        if (wanted, task) not in self.ready:
            self.ready[wanted, task] = call = self.connect(self.server, wanted)
            self._ask(call, _WARMED_BY.get(task, task), 1, 1)
        return self.ready[wanted, task]

    def _warm_another(self, task: str) -> None:
        """The same on a small scale, by another client, so that none of its memory is kept."""
        scenario = Scenario("text", 10, 1) if task == "stream_memory" else Scenario("completion")
        small = self.connect(self.server, Wanted(scenario))
        self._ask(small, task.removesuffix("_memory"), 3, 1)


_INSTANCES: dict[str, Callable[[Connect, str, int], Figures]] = {
    "equal": instances.equal,
    "distinct": instances.distinct,
}
_MEMORY: dict[str, Callable[[Call, int], Figures]] = {
    "stream_memory": memory.stream,
    "invoke_memory": memory.invoke,
}
_CROWDS: dict[str, Callable[[Call, int, int, asyncio.AbstractEventLoop], Figures]] = {
    "tasks": crowd.tasks,
    "threads": crowd.threads,
}
_WARMED_BY = {"tasks": "ainvoke", "threads": "invoke"}


def main() -> None:
    """Answers until the input ends."""
    name, server = sys.argv[1:]
    # What a library prints must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = Worker(NAMED[name].connect(), server, loop)
    warnings.simplefilter("ignore")  # after the imports, which set filters of their own
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = worker.answer(json.loads(line))
        except NotOffered:
            answer = {"not_offered": True}
        except Exception as error:  # noqa: BLE001 - told to the parent, who goes on with the others
            answer = {"failed": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
    # Clients that nobody closed would only warn about it.
    sys.stderr.flush()
    os._exit(0)

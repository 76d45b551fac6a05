"""``python -m benchmarks.worker CONTESTANT SERVER``: one contestant, in a process of its own.

Reads questions as JSON lines and answers each with a JSON line of figures, or with what went wrong.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from dataclasses import dataclass, field
from typing import Any

from benchmarks.contestants import NAMED, Contestant
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
        if task in {"equal", "distinct"}:
            return getattr(instances, task)(self.connect, self.server, times)  # type: ignore[no-any-return]
        wanted = _wanted(question)
        events = wanted.scenario.events
        call = self._call(wanted, task)
        loop = self.loop
        match task:
            case "invoke":
                return calls.invoke(call, times)
            case "ainvoke":
                return calls.ainvoke(call, times, loop)
            case "stream":
                return calls.stream(call.stream, times, events)
            case "astream":
                return calls.astream(call.astream, times, events, loop)
            case "events":
                return calls.stream(call.events, times, events)
            case "aevents":
                return calls.astream(call.aevents, times, events, loop)
            case "tasks":
                return crowd.tasks(call, question["at_once"], times, loop)
            case "threads":
                return crowd.threads(call, question["at_once"], times)
            case "latency":
                return latency.stream(call, times)
            case "alatency":
                return latency.astream(call, times, loop)
            case "stream_memory":
                return memory.stream(call, events)
            case "invoke_memory":
                return memory.invoke(call)
        raise ValueError(f"no such task: {task!r}")

    def _call(self, wanted: Wanted, task: str) -> Call:
        if (wanted, task) not in self.ready:
            self.ready[wanted, task] = call = self.connect(self.server, wanted)
            self._warm(call, task)
        return self.ready[wanted, task]

    def _warm(self, call: Call, task: str) -> None:
        """One call, so that no measure holds what happens once in a process."""
        match task:
            case "ainvoke" | "tasks":
                calls.ainvoke(call, 1, self.loop)
            case "stream" | "latency":
                calls.stream(call.stream, 1, 1)
            case "astream" | "alatency":
                calls.astream(call.astream, 1, 1, self.loop)
            case "events":
                calls.stream(call.events, 1, 1)
            case "aevents":
                calls.astream(call.aevents, 1, 1, self.loop)
            case "invoke" | "threads" | "invoke_memory":
                call.invoke()
            case _:
                pass


def _wanted(question: dict[str, Any]) -> Wanted:
    scenario = Scenario.parse(question["scenario"])
    return Wanted(scenario, **question.get("wanted", {}))


def prepare(contestant: Contestant) -> None:
    """Nothing but the call itself is to be measured, and no key of the developer's is to be used."""
    os.environ.update(LANGSMITH_TRACING="false", LANGCHAIN_TRACING_V2="false")
    if not contestant.aiohttp:
        # As where it is not installed: a package that would choose it by itself does not find it.
        sys.modules["httpx_aiohttp"] = None  # type: ignore[assignment]
    warnings.simplefilter("ignore")


def main() -> None:
    """Answers until the input ends."""
    name, server = sys.argv[1:]
    contestant = NAMED[name]
    prepare(contestant)
    # What a library prints must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = Worker(contestant.connect(), server, loop)
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

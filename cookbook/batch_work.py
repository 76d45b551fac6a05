"""A batch that can be killed at any time and goes on where it was: `python batch_work.py JOURNAL`.

The journal is an SQLite database that keeps each result under a hash of the question. A result is
on disk before the next question is asked by the same worker; what is there is not asked again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from langchain_core.messages import AIMessage

from sunra_integrations import errors
from sunra_integrations.langchain import ChatSunra

HOPELESS = (
    errors.ConfigurationError,
    errors.AuthenticationFailed,
    errors.PermissionDenied,
    errors.InsufficientCredit,
    errors.ModelNotFound,
)
"""Errors that every further question would meet, too: they end the batch."""

_TABLE = """
    CREATE TABLE IF NOT EXISTS results (
        key TEXT PRIMARY KEY, question TEXT NOT NULL, answer TEXT, tokens INTEGER, cost REAL,
        error TEXT, try_again INTEGER NOT NULL DEFAULT 0
    )
"""
_ROW = "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)"


class Journal:
    """What is done, on disk.

    Args:
        path: The file; made if there is none.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)  # each row is committed
        self._database.execute(_TABLE)

    def settled(self) -> set[str]:
        """The keys that need not be asked again: answered, or failed for good."""
        rows = self._database.execute("SELECT key FROM results WHERE NOT try_again")
        return {key for (key,) in rows}

    def answered(self, key: str, question: str, answer: AIMessage) -> None:
        """Keeps an answer, in place of an earlier error."""
        tokens = answer.usage_metadata and answer.usage_metadata["total_tokens"]
        cost = answer.response_metadata.get("cost")
        self._database.execute(_ROW, (key, question, answer.text, tokens, cost, None, False))

    def failed(self, key: str, question: str, error: errors.SunraError) -> None:
        """Keeps an error, and whether another run may do better."""
        words = f"{type(error).__name__}: {error}"
        self._database.execute(_ROW, (key, question, None, None, None, words, error.retryable))

    def counts(self) -> dict[str, int]:
        """How many were answered, failed for now, and failed for good."""
        [row] = self._database.execute(
            "SELECT COUNT(*) FILTER (WHERE error IS NULL), COUNT(*) FILTER (WHERE try_again),"
            " COUNT(*) FILTER (WHERE error IS NOT NULL AND NOT try_again) FROM results"
        )
        return dict(zip(("answered", "to try again", "failed for good"), row, strict=True))

    def close(self) -> None:
        """Closes the file."""
        self._database.close()


def key_of(model: ChatSunra, question: str) -> str:
    """A hash of all that an answer depends on: another model or setting is another question."""
    asked = {"model": model._identifying_params, "question": question}  # noqa: SLF001 - core's name of what identifies a model
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


async def run(
    model: ChatSunra,
    questions: Iterable[str],
    journal: Journal,
    *,
    at_once: int = 8,
    progress: Callable[[], object] = lambda: None,
) -> None:
    """Asks what the journal does not hold yet, several at once.

    Args:
        model: Who answers.
        questions: All of them; the same one is asked once.
        journal: What is done, and where results go.
        at_once: Calls under way at the same time.
        progress: Called after each result.

    Raises:
        SunraError: One of `HOPELESS`; the rest was not asked.
    """
    keyed = {key_of(model, question): question for question in questions}
    settled = journal.settled()
    todo = iter([(key, question) for key, question in keyed.items() if key not in settled])
    workers = [asyncio.create_task(work(model, todo, journal, progress)) for _ in range(at_once)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()


async def work(
    model: ChatSunra,
    todo: Iterator[tuple[str, str]],
    journal: Journal,
    progress: Callable[[], object],
) -> None:
    """One worker: takes question after question of those left over for all."""
    for key, question in todo:
        try:
            answer = await model.ainvoke(question)
        except HOPELESS:
            raise
        except errors.SunraError as error:
            journal.failed(key, question, error)
        else:
            journal.answered(key, question, answer)
        progress()


if __name__ == "__main__":
    # Questions come as lines of JSON, so that this process can be killed from outside.
    asyncio.run(
        run(
            ChatSunra(model=sys.argv[2]),
            [json.loads(line) for line in sys.stdin],
            Journal(Path(sys.argv[1])),
        )
    )

"""A batch that can be killed at any time and resumed: `python batch_work.py JOURNAL`.

The journal is an SQLite database that stores each result under a hash of its question. A worker
stores a result before it sends the next question. Stored questions are not sent again.
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
"""Errors that affect every question. They stop the batch."""

_TABLE = """
    CREATE TABLE IF NOT EXISTS results (
        key TEXT PRIMARY KEY, question TEXT NOT NULL, answer TEXT, tokens INTEGER, cost REAL,
        error TEXT, try_again INTEGER NOT NULL DEFAULT 0
    )
"""
_ROW = "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)"


class Journal:
    """Stored results.

    Args:
        path: The file. Created if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)  # each row is committed
        self._database.execute(_TABLE)

    def settled(self) -> set[str]:
        """The keys of completed questions: answered, or failed permanently."""
        rows = self._database.execute("SELECT key FROM results WHERE NOT try_again")
        return {key for (key,) in rows}

    def answered(self, key: str, question: str, answer: AIMessage) -> None:
        """Store an answer. It replaces an earlier error."""
        tokens = answer.usage_metadata and answer.usage_metadata["total_tokens"]
        cost = answer.response_metadata.get("cost")
        self._database.execute(_ROW, (key, question, answer.text, tokens, cost, None, False))

    def failed(self, key: str, question: str, error: errors.SunraError) -> None:
        """Store an error, and whether the next run retries it."""
        words = f"{type(error).__name__}: {error}"
        self._database.execute(_ROW, (key, question, None, None, None, words, error.retryable))

    def counts(self) -> dict[str, int]:
        """The numbers of answered questions, temporary failures and permanent failures."""
        [row] = self._database.execute(
            "SELECT COUNT(*) FILTER (WHERE error IS NULL), COUNT(*) FILTER (WHERE try_again),"
            " COUNT(*) FILTER (WHERE error IS NOT NULL AND NOT try_again) FROM results"
        )
        return dict(zip(("answered", "to try again", "failed for good"), row, strict=True))

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def key_of(model: ChatSunra, question: str) -> str:
    """A hash of model, settings and question."""
    asked = {"model": model._identifying_params, "question": question}  # noqa: SLF001 - LangChain's cache key
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


async def run(
    model: ChatSunra,
    questions: Iterable[str],
    journal: Journal,
    *,
    at_once: int = 8,
    progress: Callable[[], object] = lambda: None,
) -> None:
    """Send the questions that are not in the journal, concurrently.

    Args:
        model: The model.
        questions: All questions. Duplicates are sent once.
        journal: Stores the results.
        at_once: Maximum number of concurrent calls.
        progress: Called after each result.

    Raises:
        SunraError: One of `HOPELESS`. The remaining questions were not sent.
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
    """One worker. All workers share the iterator of remaining questions."""
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
    # Reads questions as lines of JSON, so that another process can start and kill this one.
    asyncio.run(
        run(
            ChatSunra(model=sys.argv[2]),
            [json.loads(line) for line in sys.stdin],
            Journal(Path(sys.argv[1])),
        )
    )

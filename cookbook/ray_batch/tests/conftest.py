"""A Ray of several workers on this machine for all tests, and a batch for each."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from cookbook.ray_batch import batch
from cookbook.ray_batch.batch import Outcome, Plan
from cookbook.ray_batch.cluster import cluster
from cookbook.ray_batch.worker import Summary
from sunra_integrations.langchain import ChatSunra
from sunra_integrations.sandbox import Sandbox


def pytest_configure(config: pytest.Config) -> None:
    # Ray warns of settings that it sets itself.
    config.addinivalue_line("filterwarnings", r"ignore::DeprecationWarning:ray\.")


KEY = "sk-of-the-sandbox"
CHUNK = 10
ROOT = Path(__file__).parents[3]
LONGEST = 240.0
"""Seconds for a run of the batch, Ray's own start included."""


@pytest.fixture(scope="session")
def ray() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("RAY_ADDRESS", raising=False)
        environment.setenv("SUNRA_KEY", KEY)  # workers take the key from their environment
        with cluster(workers=2):
            yield


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with Sandbox(keys=[KEY]) as running:
        monkeypatch.setenv("SUNRA_KEY", KEY)
        monkeypatch.setenv("SUNRA_BASE_URL", running.base_url)
        yield running


@dataclass
class Batch:
    """Prompts in a file, a folder for the answers, and what can be asked about both."""

    folder: Path
    sandbox: Sandbox
    prompts: list[str | None] = field(default_factory=list)

    @property
    def source(self) -> Path:
        return self.folder / "prompts.parquet"

    @property
    def answers(self) -> Path:
        return self.folder / "answers"

    def parts(self) -> int:
        """How many files of answers are there so far."""
        return len(list(self.answers.glob("part-*")))

    def of(self, *prompts: str | None) -> Batch:
        self.prompts = list(prompts)
        parquet.write_table(pa.table({"prompt": pa.array(prompts, pa.string())}), self.source)
        return self

    def run(
        self, plan: Plan | None = None, heard: Callable[[Summary], None] = lambda _: None
    ) -> Outcome:
        model = ChatSunra(model="sandbox/echo", base_url=self.sandbox.base_url)
        return batch.run(
            model,
            self.source,
            self.answers,
            plan or Plan(workers=2, calls_in_flight=4),
            chunk_size=CHUNK,
            heard=heard,
        )

    def rows(self) -> list[dict[str, object]]:
        rows = parquet.read_table(self.answers).to_pylist()
        return sorted(rows, key=lambda row: row["position"])

    def asked(self) -> Counter[str]:
        """How often the sandbox was asked each prompt."""
        bodies = [request.json for request in self.sandbox.requests]
        return Counter(body["messages"][-1]["content"] for body in bodies)

    def assert_all_answered_once(self) -> None:
        rows = self.rows()
        assert [row["position"] for row in rows] == list(range(len(self.prompts)))
        assert [row["prompt"] for row in rows] == self.prompts
        for row in rows:
            assert row["error_type"] is None
            assert row["answer"] == f"You said: {row['prompt']}"


def command(prompts: Batch) -> list[str]:
    """The command line of a batch."""
    options = ["--model", "sandbox/echo", "--calls-in-flight", "4", "--chunk-size", str(CHUNK)]
    files = [str(prompts.source), str(prompts.answers)]
    return [sys.executable, "-m", "cookbook.ray_batch", *files, *options]


@pytest.fixture
def prompts(tmp_path: Path, sandbox: Sandbox) -> Batch:
    return Batch(tmp_path, sandbox)

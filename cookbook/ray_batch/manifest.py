"""What an answers folder was begun with, so that it is not finished with something else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cookbook.ray_batch import parts
from cookbook.ray_batch.prompts import Chunk
from sunra_integrations.langchain import ChatSunra

_NAME = "_batch.json"
"""Names that begin with an underscore are no data to those who read the folder as a dataset."""


class OtherBatch(ValueError):
    """The folder holds the answers of another batch; nothing was asked and nothing written."""


@dataclass(frozen=True)
class Manifest:
    """All that the answers depend on.

    Args:
        rows: How many prompts there are.
        chunk_size: Rows in each part.
        prompts: A hash of all rows, in order.
        model: The model and its parameters; no secret.
        answered_by: The host that answers; the sandbox's port is not part of it.
    """

    rows: int
    chunk_size: int
    prompts: str
    model: dict[str, Any]
    answered_by: str

    @property
    def name(self) -> str:
        """A short name, the same for the same batch."""
        return hashlib.sha256(self._json().encode()).hexdigest()[:12]

    def claim(self, folder: Path) -> None:
        """Makes a folder this batch's own, or finds that it is already.

        Raises:
            OtherBatch: It is another's; the message says in what they differ.
        """
        folder.mkdir(parents=True, exist_ok=True)
        written = folder / _NAME
        if written.exists():
            self._compare(folder, json.loads(written.read_text("utf-8")))
        elif any(folder.glob("part-*.parquet")):
            raise OtherBatch(f"{folder} has parts but no {_NAME}: take an empty folder.")
        else:
            with parts.replacing(written) as unfinished:
                unfinished.write_text(self._json(), "utf-8")

    def _compare(self, folder: Path, theirs: dict[str, Any]) -> None:
        ours = json.loads(self._json())
        differing = [name for name in ours if ours[name] != theirs.get(name)]
        if differing:
            told = "; ".join(f"{n} was {theirs.get(n)!r}, is {ours[n]!r}" for n in differing)
            raise OtherBatch(f"{folder} was begun with something else: {told}. Take a new folder.")

    def _json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True, default=str)


def of(model: ChatSunra, chunks: Iterable[Chunk], chunk_size: int) -> Manifest:
    """The manifest of a batch."""
    digest, rows = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk.digest())
        rows += len(chunk.row_ids)
    parameters = model.asdict()
    host = urlsplit(str(parameters.pop("base_url"))).hostname or ""
    return Manifest(rows, chunk_size, digest.hexdigest(), parameters, host)

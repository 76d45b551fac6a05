"""The Ray that a batch runs on: a cluster that is there, or one on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

# Read when Ray is imported: no usage report leaves this machine.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray.data import DataContext

_OBJECT_STORE = 200 * 1024 * 1024
"""Bytes; only prompts on their way and summaries on their way back are in it."""


@contextmanager
def cluster(workers: int, address: str | None = None) -> Iterator[None]:
    """Connects to Ray, and leaves it at the end; one that is connected already is left as it is.

    Args:
        workers: How many workers a Ray on this machine must have room for.
        address: Of a cluster; None for `RAY_ADDRESS` if it is set, else for one on this machine.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    ours = not ray.is_initialized()
    if ours and address:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    elif ours:
        ray.init(
            address="local",
            num_cpus=workers + 1,  # places, not cores: a worker mostly waits
            object_store_memory=_OBJECT_STORE,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    _be_quiet()
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


def _be_quiet() -> None:
    """The batch has a progress line of its own."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ray.cluster_utils import Cluster

from cookbook.ray_batch.__main__ import COMPLETE
from cookbook.ray_batch.tests.conftest import LONGEST, ROOT, Batch, command
from sunra_integrations.sandbox import Scripted
from tests import children
from tests.waiting import until

pytestmark = pytest.mark.network


@pytest.fixture
def machines(prompts: Batch) -> Iterator[Cluster]:
    """Two machines, as far as Ray knows."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    cluster.add_node(num_cpus=2)
    yield cluster
    cluster.shutdown()


def test_a_lost_machine_loses_no_answer_and_doubles_none(prompts: Batch, machines: Cluster) -> None:
    prompts.of(*[f"Say {number}" for number in range(300)])
    prompts.sandbox.answer_with(lambda _: Scripted(None, wait=0.1))
    options = ["--ray-address", machines.address, "--workers", "4"]
    asked = [*command(prompts), *options]
    with children.started(asked, cwd=ROOT, deadline=LONGEST) as driver:
        until(lambda: prompts.parts() >= 5 or driver.poll() is not None)
        assert driver.poll() is None
        [lost] = machines.worker_nodes
        machines.remove_node(lost, allow_graceful=False)
        driver.wait(LONGEST)

    assert driver.returncode == COMPLETE
    prompts.assert_all_answered_once()

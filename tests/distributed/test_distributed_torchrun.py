"""Under the agent of torchrun: the same numbers, and an end when a worker is killed."""

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from tests.distributed import spawn, work


@pytest.fixture
def launch(monkeypatch):
    """What torchrun --standalone --nproc-per-node 2 does; its workers come from the server that has torch already."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert spawn.CONTEXT.get_start_method() == "forkserver"
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="forkserver",
        monitor_interval=0.1,
        max_restarts=0,
        run_id="laws",
    )
    return lambda function, *arguments: elastic_launch(config, function)(*arguments)


def test_the_numbers_of_one_process(launch):
    found = launch(work.gradient_gaps)
    assert set(found) == {0, 1} and all(max(gaps.values()) <= 1 for gaps in found.values())


def test_a_killed_worker_ends_the_run(launch):
    with pytest.raises(ChildFailedError, match=r"Signal 9|exitcode.*-9"):
        launch(work.lost_contact, "killed", 20.0)

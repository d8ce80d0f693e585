"""Before the processes are connected, and when they do not come."""

import pytest
import torch

from nlmodel.distributed import DistributedOperator, processes
from nlmodel.errors import DomainError, ProcessError
from nlmodel.kernels import Gaussian
from tests.distributed.spawn import free_port


def test_an_operator_needs_connected_processes():
    with pytest.raises(DomainError, match="must be connected first"):
        DistributedOperator.from_points(torch.eye(3), Gaussian())


def test_half_an_environment_is_refused(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(DomainError, match="must hold all of RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, or none"):
        processes().__enter__()


def test_processes_that_do_not_come_are_not_awaited_for_ever(monkeypatch):
    told = {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ProcessError, match="the processes lost contact"):
        processes(timeout=0.5).__enter__()

"""The processes that torchrun has started, connected: who they are, and which positions are whose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from nlmodel._arrays import check_choice, check_count, check_number
from nlmodel.distributed.contact import contact
from nlmodel.errors import DomainError


BACKENDS = ("auto", "gloo", "nccl")
TOLD = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun tells a process


@dataclass(frozen=True)
class Processes:
    """This process among its `count`.

    Attributes
    ----------
    rank : 0, ..., count - 1.
    device : where its arrays should live: a GPU of its own with NCCL, else the CPU.
    """

    rank: int
    count: int
    device: torch.device

    def part(self, size: int) -> slice:
        """The positions of this process when `size` are shared out evenly, in order."""
        if check_count(size, "size") < self.count:
            raise DomainError("every process needs a position", got=f"{size} for {self.count} processes")
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)


@contextmanager
def processes(*, backend: str = "auto", timeout: float = 300.0) -> Iterator[Processes]:
    """Connect to the other processes that torchrun has started, and part from them at the end.

        with processes() as mine:
            X = points[mine.part(len(points))].to(mine.device)

    Without torchrun the program is its own only process, so that it can be tried as it is.

    Parameters
    ----------
    backend : "gloo" (CPU), "nccl" (one GPU a process), or "auto": NCCL where torch sees a GPU.
    timeout : seconds that a process waits for another one before it gives up, > 0.

    Raises   ProcessError: the others did not come in time, or were lost.
    """
    check_choice(backend, "backend", BACKENDS)
    limit = timedelta(seconds=check_number(timeout, "timeout", above=0.0))
    if dist.is_initialized():
        raise DomainError(
            "the processes must not be connected already",
            got="a process group of torch.distributed",
            fix="use DistributedOperator within that group, or leave connecting to processes()",
        )
    if backend == "auto":
        backend = "nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    device = torch.device("cpu")
    if backend == "nccl":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    told = [name for name in TOLD if name in os.environ]
    if told and len(told) < len(TOLD):
        raise DomainError(
            f"the environment must hold all of {', '.join(TOLD)}, or none",
            got=", ".join(told),
            fix="start the program with torchrun, or without any launcher",
        )
    with contact():
        if told:
            dist.init_process_group(backend, timeout=limit)
        else:
            alone = dist.HashStore()  # pyright: ignore[reportPrivateImportUsage]
            dist.init_process_group(backend, timeout=limit, store=alone, rank=0, world_size=1)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()

"""The processes that train one network together, as `torchrun` starts them."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from nlmodel.errors import DomainError


TIMEOUT = timedelta(minutes=10)  # longer than any evaluation or save that the others wait for


@dataclass(frozen=True)
class Group:
    """Data parallelism by hand: each process takes every size-th image of a batch, gradients are summed.

    The gradient is that of the whole batch up to rounding.  Batch normalisation sees the process's own images only, as
    in He et al. 2016, who trained on two GPUs; its running averages are averaged over the processes after each epoch.
    A process that dies ends the others with an error: at once with gloo, after `TIMEOUT` at the latest.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, x: Tensor) -> Tensor:
        """The part of a batch that is this process's."""
        return x if self.size == 1 else x[self.rank :: self.size]

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one dtype by their sums over all processes, in one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        for t, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            t.copy_(part.view_as(t))

    def mean(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over all processes."""
        self.sum(tensors)
        if self.size > 1:
            for t in tensors:
                t.div_(self.size)

    def leader_says(self, flag: bool, device: torch.device) -> bool:
        """The `flag` of the leading process."""
        if self.size == 1:
            return flag
        told = torch.tensor([float(flag)], device=device)
        dist.broadcast(told, 0)
        return bool(told.item())

    def check_batches(self, images: int, batch_size: int) -> None:
        """Raise unless every batch has an image for each process."""
        smallest = min(batch_size, images % batch_size or batch_size)
        if smallest < self.size:
            raise DomainError(
                "every batch needs an image for each process",
                got=f"a batch of {smallest} for {self.size} processes",
                fix="choose another batch_size, or fewer processes",
            )


ALONE = Group()


def join(device: torch.device) -> Group:
    """The group that `torchrun` started this process in, `ALONE` when it did not; left when the process ends."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
        atexit.register(dist.destroy_process_group)
    return Group(dist.get_rank(), size)


def local_device(device: torch.device) -> torch.device:
    """The GPU of this process on its machine, where torchrun numbers them."""
    local = os.environ.get("LOCAL_RANK")
    return torch.device("cuda", int(local)) if device.type == "cuda" and device.index is None and local else device

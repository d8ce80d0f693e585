"""Linear maps whose positions are shared out among processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nlmodel._arrays import check_array
from nlmodel.distributed.ring import Ring
from nlmodel.errors import DtypeError, ShapeError


class Sharded(ABC):
    """A linear map of fields on M positions, of which each process holds a contiguous part of m.

    Fields are (m, C) tensors, one row a position of this process; an (m,) tensor is one channel.  Every product is a
    collective call.
    """

    @property
    @abstractmethod
    def ring(self) -> Ring:
        """The processes."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """float64 or float32."""

    @abstractmethod
    def apply(self, Z: Tensor) -> Tensor:
        """The part of A Z of this process, for an (m, C) part of Z; unchecked."""

    @abstractmethod
    def apply_transposed(self, Z: Tensor) -> Tensor:
        """The part of A^T Z of this process, for an (m, C) part of Z; unchecked."""

    @property
    def shape(self) -> tuple[int, int]:
        """(M, M), the positions of all processes."""
        M = sum(self.ring.counts)
        return M, M

    @property
    def part(self) -> slice:
        """The positions of this process among all."""
        return self.ring.part

    @property
    def T(self) -> Sharded:
        """The plain transpose."""
        return Transposed(self)

    def __matmul__(self, Z: Tensor) -> Tensor:
        return self.checked(self.apply, Z)

    def checked(self, action: Callable[[Tensor], Tensor], Z: Tensor) -> Tensor:
        """`action` on a field after checking it; an (m,) field is one channel and comes back as one."""
        result = action(self.field(Z))
        return result[:, 0] if Z.ndim == 1 else result

    def field(self, Z: Tensor, name: str = "Z") -> Tensor:
        """`Z` as the (m, C) part of a field; what is wrong with it in one process is an error in all."""
        with self.ring.together() as facts:
            check_tensor(Z, name, self.ring.device)
            if Z.dtype != self.dtype:
                raise DtypeError(
                    f"{name} and the operator must share their precision",
                    got=f"{name} {Z.dtype}, operator {self.dtype}",
                    why="nothing is cast silently",
                    fix=f"convert {name}, or build the operator from points in the precision of {name}",
                )
            own = self.ring.counts[self.ring.rank]
            if Z.ndim > 2 or len(Z) != own:
                raise ShapeError(
                    f"{name} must have shape ({own}, channels) or ({own},)",
                    got=f"shape {tuple(Z.shape)}",
                    why="each process holds the rows of its own positions",
                    fix=f"pass {name}[op.part] of the whole field",
                )
            channels = Z.shape[1] if Z.ndim == 2 else 1
            facts.update(dimensions=Z.ndim, channels=channels, requires_grad=records(Z))
        return Z[:, None] if Z.ndim == 1 else Z

    def gather(self, Z: Tensor) -> Tensor:
        """The whole field, (M, C) or (M,), in every process: for looking at, it has no gradient and all M rows."""
        whole = self.ring.parts(self.field(Z).detach().contiguous())
        return whole[:, 0] if Z.ndim == 1 else whole


@dataclass(frozen=True, eq=False)
class Transposed(Sharded):
    """A^T."""

    first: Sharded

    @property
    def ring(self) -> Ring:
        return self.first.ring

    @property
    def dtype(self) -> torch.dtype:
        return self.first.dtype

    @property
    def T(self) -> Sharded:
        return self.first

    def apply(self, Z: Tensor) -> Tensor:
        return self.first.apply_transposed(Z)

    def apply_transposed(self, Z: Tensor) -> Tensor:
        return self.first.apply(Z)


def check_tensor(x: Any, name: str, device: torch.device, *, ndim: int | None = None) -> Tensor:
    """Return `x` when it is a finite tensor on the device where the processes exchange messages."""
    if not isinstance(x, Tensor):
        raise DtypeError(f"{name} must be a torch tensor", got=type(x).__name__, fix=f"torch.as_tensor({name})")
    if x.device != device:
        raise DtypeError(
            f"{name} must be on the device where the processes exchange messages, {device}",
            got=str(x.device),
            why="gloo sends from the CPU, NCCL from the GPU of its process; nothing is moved silently",
            fix=f"{name}.to({str(device)!r}), or the other backend",
        )
    return check_array(x, name, ndim=ndim, min_ndim=1)


def records(x: Any) -> bool:
    """Whether gradients with respect to `x` are being recorded."""
    return isinstance(x, Tensor) and x.requires_grad and torch.is_grad_enabled()

"""A distributed operator as the operator in one process that it should equal: whole NumPy fields in and out."""

from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from nlmodel.distributed import DistributedOperator
from nlmodel.distributed.sharded import Sharded


class GatheredMap:
    """A sharded map on whole fields."""

    def __init__(self, op: Sharded):
        self.op, self.shape, self.size = op, op.shape, op.shape[0]
        self.dtype = np.dtype(str(op.dtype).removeprefix("torch."))

    @property
    def T(self) -> "GatheredMap":
        return GatheredMap(self.op.T)

    def own(self, Z: np.ndarray) -> torch.Tensor:
        return torch.tensor(Z[self.op.part])

    def whole(self, part: torch.Tensor) -> np.ndarray:
        counts = self.op.ring.counts
        padded = part.new_zeros(max(counts), *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([x[:n] for x, n in zip(parts, counts, strict=True)]).numpy()

    def __matmul__(self, Z: np.ndarray) -> np.ndarray:
        return self.whole(self.op @ self.own(Z))

    def to_dense(self) -> np.ndarray:
        return self @ np.eye(self.size, dtype=self.dtype)


class Gathered(GatheredMap):
    """A distributed operator on whole fields."""

    op: DistributedOperator

    def __init__(self, op: DistributedOperator):
        super().__init__(op)
        self.keeps = op.keeps
        self.measure, self.exit_rate, self.degree = map(self.whole, (op.measure, op.exit_rate, op.degree))

    def diagonal(self) -> np.ndarray:
        return self.whole(self.op.diagonal())

    def average(self, Z: np.ndarray) -> np.ndarray:
        return self.whole(self.op.average(self.own(Z)))

    def mean(self, Z: np.ndarray) -> np.ndarray:
        return self.op.mean(self.own(Z)).numpy()

    def inner(self, Y: np.ndarray, Z: np.ndarray) -> np.ndarray:
        return self.op.inner(self.own(Y), self.own(Z)).numpy()

    def energy(self, Z: np.ndarray) -> np.ndarray:
        return self.op.energy(self.own(Z)).numpy()

    def symmetrized(self) -> GatheredMap:
        return GatheredMap(self.op.symmetrized())

    def adjoint(self, measure: np.ndarray | None = None) -> Any:
        return self if measure is None else Adjoint(self, measure[:, None])


class Adjoint:
    """diag(1/m) L^T diag(m)."""

    def __init__(self, op: Gathered, m: np.ndarray):
        self.op, self.m = op, m

    def __matmul__(self, Z: np.ndarray) -> np.ndarray:
        return self.op.T @ (self.m * Z) / self.m

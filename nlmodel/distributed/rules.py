"""What one tile of the affinity adds to a sum over all positions: to a product, or to the logarithm of a row sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nlmodel.kernels import Kernel
from nlmodel.normalization import exponential


class Rule(Protocol):
    """A sum over positions that is put together from tiles."""

    def tile(self, *columns: Tensor) -> Tensor:
        """What the senders of the tile add at its receivers, (rows, C), from the columns of both."""
        ...

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        """Two such parts of the sum as one."""
        ...

    def cotangent(self, gradient: Tensor, tile: Tensor, total: Tensor) -> Tensor:
        """The gradient with respect to what a tile adds, from that with respect to the total."""
        ...


@dataclass(frozen=True)
class WeightedSum:
    """sum_j exp(left_i) omega(x_i, y_j) exp(right_j) Z_j; with omega(y_j, x_i) when `mirrored`."""

    kernel: Kernel
    mirrored: bool = False

    def tile(self, *columns: Tensor) -> Tensor:
        *scaled, Z = columns
        return self.entries(*scaled) @ Z

    def entries(self, X: Tensor, left: Tensor, Y: Tensor, right: Tensor) -> Tensor:
        """The tile itself; of an exponential kernel the exponents are added first."""
        if self.kernel.exponential:
            return exponential(log_entries(self.kernel, X, left, Y, right, mirrored=self.mirrored))
        omega = self.kernel.evaluate(Y, X).mT if self.mirrored else self.kernel.evaluate(X, Y)
        return left.exp() * omega * right.exp().mT

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        return first + second

    def cotangent(self, gradient: Tensor, tile: Tensor, total: Tensor) -> Tensor:
        return gradient


@dataclass(frozen=True)
class LogSum:
    """log sum_j exp(left_i + log omega(x_i, y_j) + right_j) of an exponential kernel: nothing overflows."""

    kernel: Kernel

    def tile(self, *columns: Tensor) -> Tensor:
        return torch.logsumexp(log_entries(self.kernel, *columns), 1, keepdim=True)

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.logaddexp(first, second)

    def cotangent(self, gradient: Tensor, tile: Tensor, total: Tensor) -> Tensor:
        return gradient * torch.exp(tile - total)


def log_entries(kernel: Kernel, X: Tensor, left: Tensor, Y: Tensor, right: Tensor, *, mirrored: bool = False) -> Tensor:
    """left_i + log omega(x_i, y_j) + right_j; log omega(y_j, x_i) when `mirrored`."""
    logits = kernel.log_evaluate(Y, X).mT if mirrored else kernel.log_evaluate(X, Y)
    return logits + left + right.mT

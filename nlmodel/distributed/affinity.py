"""omega of points that are shared out among processes, never stored."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nlmodel.distributed.ring import Ring
from nlmodel.distributed.rules import LogSum, WeightedSum
from nlmodel.distributed.sharded import Sharded
from nlmodel.distributed.turn import sum_over_all, tiles
from nlmodel.kernels import Kernel
from nlmodel.normalization import is_mirrored, is_nonnegative, row_tops
from nlmodel.normalization.row_sums import check_positive


@dataclass(frozen=True, eq=False, repr=False)
class DistributedAffinity(Sharded):
    """exp(left_i) omega(x_i, x_j) exp(right_j) of M points, of which this process holds m.

    Exact: the kernel's own definition, tile by tile, while the parts of the points go round the ring.

    Attributes
    ----------
    around : the processes, `ring` too.
    points : (m, D) tensor.
    left, right : (m,) logarithms of the scalings.

    Accuracy as one process; the order in which terms are added depends on the parts.
    Cost     of a product: O(m M (D + C)) time and P - 1 messages of m (D + C + 1) numbers a process; O(m (D + C))
             memory and a tile, with autograd too.
    """

    around: Ring
    points: Tensor
    kernel: Kernel
    left: Tensor
    right: Tensor
    symmetric: bool
    nonnegative: bool

    @classmethod
    def of(cls, ring: Ring, points: Tensor, kernel: Kernel) -> DistributedAffinity:
        """omega itself; symmetry and sign are measured, tile by tile, where the kernel does not declare them."""
        zero = points.detach().new_zeros(len(points))
        raw = cls(ring, points, kernel, zero, zero, True, True)
        symmetric = bool(kernel.symmetric) or raw._is_symmetric()
        nonnegative = bool(kernel.nonnegative) or kernel.exponential or raw._is_nonnegative()
        return replace(raw, symmetric=symmetric, nonnegative=nonnegative)

    @property
    def ring(self) -> Ring:
        return self.around

    @property
    def dtype(self) -> torch.dtype:
        return self.points.dtype

    def apply(self, Z: Tensor) -> Tensor:
        return self._product(WeightedSum(self.kernel), self.left, self.right, Z)

    def apply_transposed(self, Z: Tensor) -> Tensor:
        return self._product(WeightedSum(self.kernel, mirrored=True), self.right, self.left, Z)

    def rescaled(self, left: Tensor, right: Tensor) -> DistributedAffinity:
        """exp(left_i) omega_ij exp(right_j)."""
        return replace(self, left=self.left + left, right=self.right + right)

    def diagonal(self) -> Tensor:
        """omega_ii of the positions of this process, (m,)."""
        entries, X = WeightedSum(self.kernel).entries, self.points
        left, right = self.left[:, None], self.right[:, None]
        return torch.cat([entries(X[r], left[r], X[r], right[r]).diagonal() for r in tiles(X)])

    def row_sums(self, weights: Tensor) -> Tensor:
        """sum_j omega_ij w_j, (m,)."""
        return self.apply(weights[:, None])[:, 0]

    def log_row_sums(self, log_weights: Tensor) -> Tensor:
        """log sum_j omega_ij exp(b_j), (m,); of an exponential kernel from the logarithms, so that nothing overflows.

        Raises   NormalizationError: a sum is not positive; its row is counted within the part of this process.
        """
        if self.kernel.exponential:
            shift, right = 0.0, self.right + log_weights
            here, there = (self.points, self.left[:, None]), (self.points, right[:, None])
            logs = sum_over_all(self.ring, LogSum(self.kernel), here, there)[:, 0]
            sums = (logs > -math.inf).to(logs.dtype)
        else:
            shift = self.ring.largest(float(log_weights.detach().max()))
            sums = self.row_sums(torch.exp(log_weights - shift))
            logs = torch.log(sums)
        with self.ring.together():
            check_positive(sums, sums > 0)
        return logs + shift

    def _product(self, rule: WeightedSum, left: Tensor, right: Tensor, Z: Tensor) -> Tensor:
        return sum_over_all(self.ring, rule, (self.points, left[:, None]), (self.points, right[:, None], Z))

    # ------------------------------------------------------------------ laws that the kernel does not declare

    def _raw(self, X: Tensor, Y: Tensor) -> Tensor:
        """omega, or log omega of an exponential kernel, checked."""
        return self.kernel.log(X, Y) if self.kernel.exponential else self.kernel(X, Y)

    def _is_nonnegative(self) -> bool:
        X, found = self.points.detach(), []

        def work(part: Tensor) -> None:
            found.append(all(is_nonnegative(self._raw(X[r], part[c])) for r in tiles(X) for c in tiles(part)))

        self.ring.turn(X.contiguous(), work)
        return self.ring.all(all(found))

    def _is_symmetric(self) -> bool:
        """`nlmodel.normalization.is_symmetric`: one turn for the largest entry of each row, one for the comparison."""
        log, X, D = self.kernel.exponential, self.points.detach(), self.points.shape[1]
        tops, found = torch.full_like(X[:, 0], -math.inf), []

        def look(part: Tensor) -> None:
            for r in tiles(X):
                for c in tiles(part):
                    tops[r] = torch.maximum(tops[r], row_tops(self._raw(X[r], part[c]), log=log))

        def compare(part: Tensor) -> None:
            for r in tiles(X):
                for c in tiles(part):
                    Y, there = part[c, :D], part[c, D]
                    tile, mirrored = self._raw(X[r], Y), self._raw(Y, X[r]).mT
                    found.append(is_mirrored(tile, mirrored, tops[r], there, log=log))

        self.ring.turn(X.contiguous(), look)
        self.ring.turn(torch.cat([X, tops[:, None]], 1), compare)
        return self.ring.all(all(found))

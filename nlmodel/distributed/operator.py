"""The nonlocal operator L = K - diag(exit rate) on points that are shared out among processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from nlmodel._arrays import check_choice, check_number
from nlmodel.distributed.affinity import DistributedAffinity
from nlmodel.distributed.ring import Ring
from nlmodel.distributed.sharded import Sharded, check_tensor, records
from nlmodel.errors import DomainError, NotReversibleError, ShapeError
from nlmodel.kernels import Kernel, as_kernel
from nlmodel.normalization import Potentials, log_weights_of, potentials
from nlmodel.operators.described import Described


HOW = ("none", "row", "symmetric", "alpha")


@dataclass(frozen=True, eq=False, repr=False)
class DistributedOperator(Described, Sharded):
    """L = K - diag(exit rate): the generator of nonlocal diffusion on M positions, m of them in this process.

        (L Z)_i = sum_j K_ij Z_j - r_i Z_i          Tao et al. 2018, eqs (8), (14), (24)

    The same numbers to rounding as `NonlocalOperator.from_points` in one process.  What is an array here is the part
    of this process.  Gradients reach Z, the points and the weights; they are those of the sum of all that the
    processes call backward on, so that a number which all of them hold (an energy) counts once for each: divide it by
    `op.ring.size` first.

    Make one with `from_points`.

    Attributes
    ----------
    averaging : K.
    potentials : the normalisation, with `degree`, `exit_rate`, `measure`, `keeps`.
    """

    averaging: DistributedAffinity
    potentials: Potentials

    @classmethod
    def from_points(
        cls,
        X: Tensor,
        kernel: Kernel | Callable[[Any, Any], Any],
        normalize: str = "row",
        *,
        weights: float | Tensor | None = None,
        alpha: float = 1.0,
        group: dist.ProcessGroup | None = None,
    ) -> DistributedOperator:
        """From this process's points or features and a kernel, the same in all processes.

        Parameters
        ----------
        X : (m, D) tensor, float64 or float32, m >= 1 of its own in each process; on the GPU of the process with NCCL.
        normalize : "none", "row", "symmetric" or "alpha"; Sinkhorn needs all points in one process.
        weights : quadrature weights, a positive number or an (m,) tensor; default 1.
        alpha : exponent of "alpha".
        group : the processes; default all.

        Raises   ProcessError: another process failed, ended, or does not answer.
        Cost     one turn of the ring, two for "alpha", up to three more for what the kernel does not declare.
        """
        ring = Ring.of(group)
        with ring.together() as facts:
            check_choice(normalize, "normalize", HOW)
            check_number(alpha, "alpha")
            kernel = as_kernel(kernel)
            check_tensor(X, "X", ring.device, ndim=2)
            _check_kernel(kernel, X)
            log_weights = log_weights_of(weights, X[:, 0])
            facts.update(
                normalize=HOW.index(normalize),
                alpha=alpha,
                precision=torch.finfo(X.dtype).bits,
                features=X.shape[1],
                requires_grad=2 * records(X) + records(weights),
            )
        affinity = DistributedAffinity.of(ring.sharing(len(X)), X, kernel)
        found = potentials(
            affinity,
            normalize,
            log_weights,
            symmetric=affinity.symmetric,
            nonnegative=affinity.nonnegative,
            alpha=alpha,
        )
        if found.measure is not None:
            found = replace(found, measure=_measure(ring, found.right - found.left))
        return cls(affinity.rescaled(found.left, found.right), found)

    # ------------------------------------------------------------------ what it is

    @property
    def ring(self) -> Ring:
        return self.averaging.ring

    def __repr__(self) -> str:
        return (
            f"DistributedOperator(shape={self.shape}, process {self.ring.rank} of {self.ring.size}, "
            f"normalize={self.normalize!r}, dtype={self.dtype}, reversible={self.reversible})"
        )

    # ------------------------------------------------------------------ what it does

    def apply(self, Z: Tensor) -> Tensor:
        return self.averaging.apply(Z) - self.exit_rate[:, None] * Z

    def apply_transposed(self, Z: Tensor) -> Tensor:
        return self.averaging.apply_transposed(Z) - self.exit_rate[:, None] * Z

    def average(self, Z: Tensor) -> Tensor:
        """K Z."""
        return self.checked(self.averaging.apply, Z)

    def diagonal(self) -> Tensor:
        """K_ii, (m,)."""
        return self.averaging.diagonal()

    def inner(self, Y: Tensor, Z: Tensor) -> Tensor:
        """<Y, Z>_m = sum_i m_i Y_i . Z_i over the positions of all processes and the channels."""
        Y, Z = self.field(Y, "Y"), self.field(Z)
        if Y.shape != Z.shape:
            raise ShapeError("Y and Z must have the same channels", got=f"shapes {tuple(Y.shape)} and {tuple(Z.shape)}")
        return self._inner(Y, Z)

    def mean(self, Z: Tensor) -> Tensor:
        """The mean in the measure, sum_i m_i Z_i / sum_i m_i over all positions, (C,)."""
        field, m = self.field(Z), self._measure("mean")[:, None]
        sums = self.ring.total(torch.cat([m * field, m], 1).sum(0))
        return sums[0] / sums[1] if Z.ndim == 1 else sums[:-1] / sums[-1]

    def energy(self, Z: Tensor) -> Tensor:
        """-<Z, L Z>_m; where constants are steady this is (1/2) sum_ij m_i K_ij |Z_i - Z_j|^2, >= 0 when K >= 0."""
        Z = self.field(Z)
        return -self._inner(Z, self.apply(Z))

    def symmetrized(self) -> DistributedAffinity:
        """M^{1/2} K M^{-1/2} with M = diag(m): symmetric, with the eigenvalues of K."""
        self._measure("symmetrized")
        half = (self.potentials.right - self.potentials.left) / 2
        return self.averaging.rescaled(half, -half)

    def _inner(self, Y: Tensor, Z: Tensor) -> Tensor:
        return self.ring.total((self._measure("inner")[:, None] * Y * Z).sum())

    def _measure(self, wanted: str) -> Tensor:
        if self.measure is None:
            raise NotReversibleError(
                f"{wanted} needs a measure in which the operator is self-adjoint",
                got="an affinity that is not symmetric",
                why="energy, weighted mean and real spectrum hold in that measure",
                fix="use a symmetric kernel",
            )
        return self.measure


def _check_kernel(kernel: Kernel, X: Tensor) -> None:
    """Raise unless the kernel is defined on points such as X, and has no gradient of its own."""
    if any(records(x) for x in kernel.arrays.values()):
        raise DomainError(
            "the arrays of the kernel must not require a gradient",
            got=repr(kernel),
            why="the processes would each find a part of it",
            fix="embed the points before the call: X @ theta.T in place of Embedded(kernel, theta)",
        )
    first = X[:1].detach()
    _ = kernel.log(first) if kernel.exponential else kernel(first)


def _measure(ring: Ring, log_measure: Tensor) -> Tensor:
    """exp(log_measure); where its sum could leave the range of the dtype, divided by its largest value first."""
    top = ring.largest(float(log_measure.detach().max()))
    limit = math.log(torch.finfo(log_measure.dtype).max) / 2
    return torch.exp(log_measure - (top if abs(top) > limit else 0.0))

"""Double attention: positions gather into a few slots, then fetch from them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nlmodel.filters import block_coefficients
from nlmodel.nn.increment import Increment, Rows, initialize, width
from nlmodel.nn.precision import average, outer, widen


class DoubleAttention(nn.Module):
    """Double attention (A2): an affinity through n slots.

        G = B^T a,   Y = V G,   Z = X + norm(Y W_Z^T)                       Chen et al. 2018, section 3
        B = softmax over positions of (X W_B^T),   V = softmax over slots of (X W_V^T),   a = X W_A^T

    so that A = V B^T: positive, row-stochastic for every input, of rank at most n. Its eigenvalues are those of the
    n x n matrix B^T V, itself row-stochastic (a Markov chain among the slots), and M - n zeros.

    Parameters
    ----------
    channels : C.
    slots : number n of slots; None is C // 4, at least 1.
    inner : channels of a; None is C // 2, at least 1.
    norm : None or "batch", acting on the increment.
    w_init : "zero" (the block is the identity at the start), "he", or the standard deviation of a normal law.
    dimension : 1 (sequences), 2 (images) or 3 (clips).
    generator : of the initial weights; None is torch's global one.

    Shape    (..., C, *positions) -> the same.
    Raises   ShapeError / DtypeError / DomainError / ChoiceError.
    Accuracy both softmaxes in at least float32, under autocast too.
    Cost     O(M C (n + inner)): A is never formed; `affinity` forms it, O(M^2 n).
    """

    def __init__(
        self,
        channels: int,
        inner: int | None = None,
        *,
        slots: int | None = None,
        norm: str | None = None,
        w_init: str | float = "zero",
        dimension: int = 2,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.rows = Rows(channels, dimension)
        slots = width(slots, "slots", channels, 4)
        inner = width(inner, "inner", channels, 2)
        self.gather = nn.Linear(channels, slots, bias=False)
        self.distribute = nn.Linear(channels, slots, bias=False)
        self.g = nn.Linear(channels, inner, bias=False)
        self.increment = Increment(inner, channels, norm)
        initialize(self, self.increment.w_z, self.increment.norm, w_init, generator)

    def forward(self, x: Tensor) -> Tensor:
        Z = self.rows(x, self.gather.weight)
        B, V = self._factors(Z)
        return x + self.increment(average(V, average(B.mT, self.g(Z))), x)

    def affinity(self, x: Tensor) -> Tensor:
        """A = V B^T as (..., M, M), row-stochastic."""
        B, V = self._factors(self.rows(x, self.gather.weight))
        return self.rows.batched(outer(V, B), x)

    def slot_chain(self, x: Tensor) -> Tensor:
        """B^T V as (..., n, n), row-stochastic: slot to positions to slot. A has its eigenvalues, and zeros."""
        B, V = self._factors(self.rows(x, self.gather.weight))
        return self.rows.batched(outer(B.mT, V.mT), x)

    def chebyshev(self) -> list[Tensor]:
        """Theta_0 = 0, Theta_1 as (C, C): the increment before the norm is T_1(-A) Z Theta_1."""
        return block_coefficients("nonlocal", self.g.weight.mT @ self.increment.w_z.weight.mT)

    def _factors(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """B (columns sum to 1 over positions) and V (rows sum to 1 over slots), both (B, M, n)."""
        return widen(self.gather(Z)).softmax(-2), widen(self.distribute(Z)).softmax(-1)

"""The spectral nonlocal block: a symmetric affinity, and one free weight for each term of the filter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nlmodel.filters import block_coefficients
from nlmodel.nn.increment import Increment, Rows, initialize, width
from nlmodel.nn.precision import average, outer, outside_autocast, widen


class SpectralNonlocalBlock(nn.Module):
    """Spectral nonlocal block (SNL), and its generalised form with a third weight (gSNL).

        M = relu(t) relu(p)^T,   M^ = (M + M^T) / 2,   d_i = sum_j M^_ij,   A = D^{-1/2} M^ D^{-1/2}
        Y = X + norm(g W_1 + A g W_2)                                            Zhu et al. 2021, eq. (13)
        Y = X + norm(g W_1 + A g W_2 + (2A - I) g W_3)                           generalised

    with t, p, g linear in X. Where d_i = 0, a dead position, d_i^{-1/2} stands for 0: row and column i of A vanish.
    A is symmetric with spectrum in [-1, 1] and A sqrt(d) = sqrt(d); it keeps constants only where d is constant.
    The third weight adds no function: the generalised block is SNL with W_1 - W_3 and W_2 + 2 W_3.

    Parameters
    ----------
    channels : C.
    inner : channels of t, p and g; None is C // 2, at least 1.
    generalized : whether to add the third weight.
    norm : None or "batch", acting on the increment.
    w_init : "zero" (the block is the identity at the start), "he", or the standard deviation of a normal law.
    dimension : 1 (sequences), 2 (images) or 3 (clips).
    generator : of the initial weights; None is torch's global one.

    Shape    (..., C, *positions) -> the same.
    Raises   ShapeError / DtypeError / DomainError / ChoiceError.
    Accuracy degrees and A in at least float32, under autocast too.
    Cost     O(M C inner): A is applied by its factors and never formed; `affinity` forms it, O(M^2 inner).
    """

    def __init__(
        self,
        channels: int,
        inner: int | None = None,
        *,
        generalized: bool = False,
        norm: str | None = None,
        w_init: str | float = "zero",
        dimension: int = 2,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.rows = Rows(channels, dimension)
        inner = width(inner, "inner", channels, 2)
        self.generalized = bool(generalized)
        self.theta = nn.Linear(channels, inner, bias=False)
        self.phi = nn.Linear(channels, inner, bias=False)
        self.g = nn.Linear(channels, inner, bias=False)
        self.increment = Increment((3 if generalized else 2) * inner, channels, norm)
        initialize(self, self.increment.w_z, self.increment.norm, w_init, generator)

    def forward(self, x: Tensor) -> Tensor:
        Z = self.rows(x, self.theta.weight)
        T, P, _ = self._factors(Z)
        g = self.g(Z)
        wide = widen(g)
        Ag = (average(T, average(P.mT, wide)) + average(P, average(T.mT, wide))) / 2
        terms = [g, Ag.to(g.dtype)]
        if self.generalized:
            terms.append(2 * terms[1] - g)
        return x + self.increment(torch.cat(terms, -1), x)

    def affinity(self, x: Tensor) -> Tensor:
        """A as (..., M, M), symmetric to the last bit."""
        T, P, _ = self._factors(self.rows(x, self.theta.weight))
        M = outer(T, P)
        return self.rows.batched((M + M.mT) / 2, x)

    def degree(self, x: Tensor) -> Tensor:
        """d as (..., M), before the normalisation; 0 at dead positions."""
        return self.rows.batched(self._factors(self.rows(x, self.theta.weight))[2], x)

    def chebyshev(self) -> list[Tensor]:
        """Theta_0, Theta_1 as (C, C): the increment before the norm is T_0(-A) Z Theta_0 + T_1(-A) Z Theta_1."""
        terms = 3 if self.generalized else 2
        weights = [self.g.weight.mT @ W.mT for W in self.increment.w_z.weight.chunk(terms, -1)]
        return block_coefficients("generalized_spectral" if self.generalized else "spectral", *weights)

    def _factors(self, Z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """T, P and d with A = (T P^T + P T^T) / 2: relu(t) and relu(p), with row i divided by sqrt(d_i)."""
        t, p = self.theta(Z), self.phi(Z)
        with outside_autocast(t):
            T, P = widen(t).relu(), widen(p).relu()
            d = (T @ P.sum(-2, keepdim=True).mT + P @ T.sum(-2, keepdim=True).mT) / 2
            dead = d == 0
            root = torch.where(dead, 0.0, torch.where(dead, 1.0, d).rsqrt())
        return root * T, root * P, d.squeeze(-1)

"""Criss-cross attention: each position looks along the lines through it; on an image, twice shows it everything."""

from __future__ import annotations

import math

import torch
from numpy.polynomial import chebyshev
from torch import Tensor, nn

from nlmodel._arrays import check_count, check_number
from nlmodel.errors import DomainError
from nlmodel.nn.increment import Rows, initialize, width
from nlmodel.nn.precision import average, outer


class CrissCross(nn.Module):
    """Criss-cross attention (CC), repeated with shared weights.

        A_ij = exp(theta_i . phi_j) / sum_k exp(theta_i . phi_k),   j, k on the row or the column of i
        X <- X + gamma A X W_g^T,   recurrence times                              Huang et al. 2019, eqs. (1)-(2)

    The position itself counts once, so that a row of A has H + W - 1 entries; with d axes of lengths n_a it has
    sum_a n_a - (d - 1). A is row-stochastic, and A^d has no zero: d passes connect any two positions. Huang et al.
    compute A anew from each pass's features, so that their block is a product of filters of different A; with
    `recompute` false the first A serves all passes, and the block is sum_k binom(R, k) A^k X (gamma W_g^T)^k.

    Parameters
    ----------
    channels : C.
    inner : channels of theta and phi; None is C // 8, at least 1.
    recurrence : number of passes.
    recompute : whether each pass has its own A.
    gamma : its value at the start; with 0 the block is the identity there.
    dimension : 1 (sequences), 2 (images) or 3 (clips).
    generator : of the initial weights; None is torch's global one.

    Shape    (..., C, *positions) -> the same.
    Raises   ShapeError / DtypeError / DomainError.
    Accuracy logits and softmax in at least float32, under autocast too.
    Cost     O(M (sum_a n_a) C) a pass instead of O(M^2 C); `affinity` forms A, O(M^2).
    """

    def __init__(
        self,
        channels: int,
        inner: int | None = None,
        *,
        recurrence: int = 2,
        recompute: bool = True,
        gamma: float = 0.0,
        dimension: int = 2,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.rows = Rows(channels, dimension)
        inner = width(inner, "inner", channels, 8)
        self.recurrence = check_count(recurrence, "recurrence", at_least=1)
        self.recompute = bool(recompute)
        self.theta = nn.Linear(channels, inner, bias=False)
        self.phi = nn.Linear(channels, inner, bias=False)
        self.g = nn.Linear(channels, channels, bias=False)
        self.gamma = nn.Parameter(torch.tensor([check_number(gamma, "gamma")]))
        initialize(self, self.g, None, "he", generator)

    def forward(self, x: Tensor) -> Tensor:
        Z = self._grid(x)
        lines = self._lines(Z)
        for n in range(self.recurrence):
            if n and self.recompute:
                lines = self._lines(Z)
            Z = Z + (self.gamma * self._average(lines, self.g(Z))).to(x.dtype)
        return Z.movedim(-1, 1).reshape(x.shape)

    def affinity(self, x: Tensor) -> Tensor:
        """A of the first pass as (..., M, M), row-stochastic, zero off the lines."""
        lines = self._lines(self._grid(x))
        B, *space, _ = lines[0].shape
        M = math.prod(space)
        i = torch.arange(M, device=x.device)
        A = lines[0].new_zeros(B, M, M)
        for axis, n in enumerate(space):
            stride = math.prod(space[axis + 1 :])
            steps = torch.arange(n, device=x.device) - (i // stride % n)[:, None]
            j = i[:, None] + stride * steps
            A = A.scatter_add(-1, j.expand(B, M, n), lines[axis].reshape(B, M, n))
        return self.rows.batched(A, x)

    def chebyshev(self) -> list[Tensor]:
        """Theta_0, ..., Theta_recurrence as (C, C): the increment of all passes is sum_k T_k(-A) Z Theta_k.

        Raises   DomainError when passes have their own A, so that no single A has this filter.
        """
        if self.recompute and self.recurrence > 1:
            raise DomainError(
                "passes that compute their own affinity are no filter of one affinity",
                got=f"recompute=True, recurrence={self.recurrence}",
                fix="CrissCross(..., recompute=False), or recurrence=1",
            )
        W = self.gamma * self.g.weight.mT
        powers = [torch.eye(len(W), dtype=W.dtype, device=W.device)]
        for _ in range(self.recurrence):
            powers.append(powers[-1] @ W)
        terms = [torch.zeros_like(W) for _ in powers]
        for k in range(1, self.recurrence + 1):
            monomial = [0.0] * k + [math.comb(self.recurrence, k) * (-1.0) ** k]  # A^k = (-1)^k (-A)^k
            for n, share in enumerate(chebyshev.poly2cheb(monomial)):
                terms[n] = terms[n] + float(share) * powers[k]
        return terms

    def extra_repr(self) -> str:
        """What a reader wants to see of the block."""
        return f"recurrence={self.recurrence}, recompute={self.recompute}"

    def _grid(self, x: Tensor) -> Tensor:
        """(..., C, *positions) -> (B, *positions, C)."""
        return self.rows(x, self.theta.weight).unflatten(1, x.shape[-self.rows.dimension :])

    def _lines(self, Z: Tensor) -> list[Tensor]:
        """A along each axis, (B, *positions, n_axis); a position sees itself along the first only."""
        theta, phi, axes = self.theta(Z), self.phi(Z), range(1, Z.ndim - 1)
        parts = []
        for axis in axes:
            part = outer(theta.movedim(axis, -2), phi.movedim(axis, -2))
            if axis > 1:
                itself = torch.eye(part.shape[-1], dtype=torch.bool, device=part.device)
                part = part.masked_fill(itself, -math.inf)
            parts.append(part.movedim(-2, axis))
        return list(torch.cat(parts, -1).softmax(-1).split(Z.shape[1:-1], -1))

    def _average(self, lines: list[Tensor], Y: Tensor) -> Tensor:
        """A Y on the grid, line by line."""
        parts = [
            average(part.movedim(axis, -2), Y.movedim(axis, -2)).movedim(-2, axis)
            for axis, part in enumerate(lines, start=1)
        ]
        return torch.stack(parts).sum(0)

"""Multi-head self-attention, seen as a sum of nonlocal blocks that share one residual."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nlmodel._arrays import check_choice, check_count
from nlmodel.errors import DomainError
from nlmodel.filters import block_coefficients
from nlmodel.nn.averages import Fused
from nlmodel.nn.increment import Increment, Rows, initialize, width
from nlmodel.nn.layers import Affine, rows_of
from nlmodel.nn.precision import average, outer, outside_autocast


ALGORITHMS = ("fused", "dense")


class MultiheadNonlocalBlock(nn.Module):
    """Multi-head self-attention as a nonlocal block; with one head, the embedded Gaussian block.

        K_h = softmax_j(theta_h(x_i) . phi_h(x_j) / sqrt(d_h))                             Vaswani et al. 2017, eq. (1)
        Z = X + norm(concat_h(K_h g_h) W_Z^T) = X + norm(sum_h K_h X (W^h)^T)

    with W^h = W_Z[:, h] W_g[h, :]. Each K_h is row-stochastic, but different K_h do not commute: there is no common
    eigenbasis, and only norms bound the sum.

    Parameters
    ----------
    channels : C.
    heads : number of heads; divides `inner`.
    inner : channels of all heads together; None is C // 2, at least 1.
    scale : whether to divide logits by sqrt(inner / heads).
    algorithm : "fused", or "dense", the definition, which stores the K_h.
    norm : None or "batch", acting on the increment.
    w_init : "zero" (the block is the identity at the start), "he", or the standard deviation of a normal law.
    dimension : 1 (sequences), 2 (images) or 3 (clips).
    generator : of the initial weights; None is torch's global one.

    Shape    (..., C, *positions) -> the same.
    Raises   ShapeError / DtypeError / DomainError / ChoiceError.
    Accuracy logits and row sums in at least float32, under autocast too.
    Cost     O(M^2 inner); memory O(M inner) by "fused", O(heads M^2) by "dense".
    """

    def __init__(
        self,
        channels: int,
        inner: int | None = None,
        *,
        heads: int,
        scale: bool = True,
        algorithm: str = "fused",
        norm: str | None = None,
        w_init: str | float = "zero",
        dimension: int = 2,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.rows = Rows(channels, dimension)
        inner = width(inner, "inner", channels, 2)
        self.heads = check_count(heads, "heads", at_least=1)
        if inner % heads:
            raise DomainError(
                "heads must divide inner",
                got=f"heads={heads}, inner={inner}",
                why="every head gets the same number of channels",
            )
        self.algorithm = check_choice(algorithm, "algorithm", ALGORITHMS)
        self.scale = 1 / math.sqrt(inner // heads) if scale else 1.0
        self.theta = nn.Linear(channels, inner, bias=False)
        self.phi = nn.Linear(channels, inner, bias=False)
        self.g = nn.Linear(channels, inner, bias=False)
        self.increment = Increment(inner, channels, norm)
        initialize(self, self.increment.w_z, self.increment.norm, w_init, generator)

    def forward(self, x: Tensor) -> Tensor:
        Z = self.rows(x, self.theta.weight)
        left, right, g = self._features(Z, self.theta, self.phi, self.g)
        left = self.scale * left
        if self.algorithm == "dense":
            Y = average(outer(left, right).softmax(-1), g)
        else:
            with outside_autocast(g):
                Y = Fused(left, right)(g)
        return x + self.increment(Y.transpose(1, 2).flatten(2), x)

    def affinity(self, x: Tensor) -> Tensor:
        """K_1, ..., K_heads as (..., heads, M, M), each row-stochastic."""
        left, right = self._features(self.rows(x, self.theta.weight), self.theta, self.phi)
        return self.rows.batched(outer(self.scale * left, right).softmax(-1), x)

    def chebyshev(self) -> list[list[Tensor]]:
        """Theta_0 = 0 and Theta_1 as (C, C) for each head: before the norm the increment is their filters' sum."""
        gs, Ws = self.g.weight.chunk(self.heads, 0), self.increment.w_z.weight.chunk(self.heads, 1)
        return [block_coefficients("nonlocal", g.mT @ W.mT) for g, W in zip(gs, Ws, strict=True)]

    def extra_repr(self) -> str:
        """What a reader wants to see of the block."""
        return f"heads={self.heads}, algorithm={self.algorithm!r}"

    def _features(self, Z: Tensor, *layers: nn.Linear) -> list[Tensor]:
        """The features of every layer by heads, (B, heads, M, inner / heads)."""
        found = rows_of(Z, [Affine.of(layer) for layer in layers])
        return [Y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for Y in found]

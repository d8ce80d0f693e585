"""Compact generalised nonlocal block: positions and channels interact through an affinity of low rank."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nlmodel._arrays import check_choice, check_count, check_number
from nlmodel.errors import DomainError
from nlmodel.nn.increment import Rows, initialize, width
from nlmodel.nn.positions import from_rows
from nlmodel.nn.precision import average, outer, widen


KERNELS = ("dot", "rbf")
PREFACTORS = ("unit", "exact")


class CompactGeneralizedNonlocal(nn.Module):
    """Compact generalised nonlocal block: CGNL ("dot"), and CGNLx ("rbf", by Taylor expansion).

        Z = X + GroupNorm(W_Z y),   y = A g on the vertices of each group                Yue et al. 2018, section 3
        A = t p^T                                                                                 "dot", rank 1
        A = sum_{q <= P} beta (2 gamma)^q / q! t^q (p^q)^T ~ exp(-gamma |t - p|^2)              "rbf", rank P + 1

    A vertex is a pair of position and channel: each of the G groups has N = M inner / G of them, with numbers t, p
    and g linear in X. beta = exp(-2 gamma), that of vectors of length 1 ("unit", as published), or
    exp(-gamma (t_i^2 + p_j^2)) ("exact"), for which A converges to the radial kernel as P grows.
    A is not normalised: it keeps no constants, and its norm ||A|| = |t| |p| grows with the features.

    Parameters
    ----------
    channels : C.
    inner : channels of t, p and g; None is C // 2, at least 1.
    groups : number G of groups; divides `channels` and `inner`.
    kernel : "dot" or "rbf".
    order : Taylor order P of "rbf".
    gamma : float > 0, inverse squared width of "rbf".
    prefactor : "unit" or "exact", beta of "rbf".
    scale : whether to divide A by sqrt(N).
    norm : None or "group", acting on the increment.
    w_init : "zero" (the block is the identity at the start), "he", or the standard deviation of a normal law.
    dimension : 1 (sequences), 2 (images) or 3 (clips).
    generator : of the initial weights; None is torch's global one.

    Shape    (..., C, *positions) -> the same.
    Raises   ShapeError / DtypeError / DomainError / ChoiceError.
    Accuracy A in at least float32, under autocast too; |A - exp(-gamma |t - p|^2)| <= |u|^(P+1) / (P+1)! for "exact",
             u = 2 gamma t p.
    Cost     O(M inner (C + P)): A is never formed; `affinity` forms it, O(G N^2 P).
    """

    def __init__(
        self,
        channels: int,
        inner: int | None = None,
        *,
        groups: int = 1,
        kernel: str = "dot",
        order: int = 3,
        gamma: float = 1e-4,
        prefactor: str = "unit",
        scale: bool = False,
        norm: str | None = "group",
        w_init: str | float = "zero",
        dimension: int = 2,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.rows = Rows(channels, dimension)
        inner = width(inner, "inner", channels, 2)
        self.groups = check_count(groups, "groups", at_least=1)
        if channels % groups or inner % groups:
            raise DomainError(
                "groups must divide channels and inner", got=f"groups={groups}, channels={channels}, inner={inner}"
            )
        self.kernel = check_choice(kernel, "kernel", KERNELS)
        self.order = check_count(order, "order")
        self.gamma = check_number(gamma, "gamma", above=0.0)
        self.prefactor = check_choice(prefactor, "prefactor", PREFACTORS)
        self.scale = bool(scale)
        self.theta = nn.Linear(channels, inner, bias=False)
        self.phi = nn.Linear(channels, inner, bias=False)
        self.g = nn.Linear(channels, inner, bias=False)
        self.w_z = nn.Conv1d(inner, channels, 1, groups=groups, bias=False)
        self.norm = (
            nn.GroupNorm(groups, channels) if norm is not None and check_choice(norm, "norm", ("group",)) else None
        )
        initialize(self, self.w_z, self.norm, w_init, generator)

    def forward(self, x: Tensor) -> Tensor:
        Z = self.rows(x, self.theta.weight)
        (T, P), g = self._factors(Z), self._vertices(self.g(Z))
        y = average(T, average(P.mT, widen(g))).to(g.dtype)
        return x + self.increment(y, x)

    def increment(self, y: Tensor, x: Tensor) -> Tensor:
        """From vertices (..., G, N, 1) to norm(W_Z y), in the shape and dtype of x."""
        F = self.w_z(y.reshape(-1, self.w_z.in_channels, math.prod(x.shape[-self.rows.dimension :])))
        return from_rows((F if self.norm is None else self.norm(F)).mT, x.shape).to(x.dtype)

    def affinity(self, x: Tensor) -> Tensor:
        """A of each group as (..., G, N, N), vertices ordered by channel, then position."""
        T, P = self._factors(self.rows(x, self.theta.weight))
        return self.rows.batched(outer(T, P), x)

    def vertices(self, x: Tensor) -> Tensor:
        """g on the vertices, as (..., G, N, 1)."""
        return self.rows.batched(self._vertices(self.g(self.rows(x, self.theta.weight))), x)

    def chebyshev(self) -> list[float]:
        """Theta_0 = 0, Theta_1 = -1: y = T_1(-A) g Theta_1 on the vertices, before `increment`."""
        return [0.0, -1.0]

    def extra_repr(self) -> str:
        """What a reader wants to see of the block."""
        return (
            f"groups={self.groups}, kernel={self.kernel!r}, order={self.order}, gamma={self.gamma:g}, "
            f"prefactor={self.prefactor!r}, scale={self.scale}"
        )

    def _vertices(self, Y: Tensor) -> Tensor:
        """(B, M, inner) -> (B, G, N, 1)."""
        return Y.mT.reshape(Y.shape[0], self.groups, -1, 1)

    def _factors(self, Z: Tensor) -> tuple[Tensor, Tensor]:
        """(B, G, N, rank) factors of A = T P^T."""
        t, p = (widen(self._vertices(layer(Z))) for layer in (self.theta, self.phi))
        if self.kernel == "rbf":
            t, p = self._taylor(t), self._taylor(p)
        return (t / math.sqrt(t.shape[-2]) if self.scale else t), p

    def _taylor(self, t: Tensor) -> Tensor:
        """sqrt(beta (2 gamma)^q / q!) t^q for q = 0, ..., P, each from the one before."""
        exponent = -self.gamma * (t * t if self.prefactor == "exact" else torch.ones_like(t))
        terms = [exponent.exp()]
        for q in range(1, self.order + 1):
            terms.append(terms[-1] * t * math.sqrt(2 * self.gamma / q))
        return torch.cat(terms, -1)

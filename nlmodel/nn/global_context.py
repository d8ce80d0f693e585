"""Global context: every position receives the same weighted mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nlmodel._arrays import check_choice
from nlmodel.errors import DomainError
from nlmodel.filters import block_coefficients
from nlmodel.nn.increment import Rows, initialize, width
from nlmodel.nn.positions import from_rows
from nlmodel.nn.precision import average, widen


TRANSFORMS = ("bottleneck", "linear")


class GlobalContext(nn.Module):
    """Global context block (GC), and the simplified nonlocal block it comes from.

        alpha_j = softmax_j(w_k . x_j),   c = sum_j alpha_j x_j
        z_i = x_i + W_v2 relu(LN(W_v1 c))                                       Cao et al. 2019, eq. (5), "bottleneck"
        z_i = x_i + W_v c                                                       Cao et al. 2019, eq. (3), "linear"

    The affinity A = 1 alpha^T has rank one, keeps constants, and A^2 = A: averaging twice changes nothing.

    Parameters
    ----------
    channels : C.
    transform : "bottleneck" or "linear", what is done to the mean.
    inner : width of the bottleneck; None is C // 16, at least 1. Of no use for "linear".
    w_init : "zero" (the block is the identity at the start), "he", or the standard deviation of a normal law.
    dimension : 1 (sequences), 2 (images) or 3 (clips).
    generator : of the initial weights; None is torch's global one.

    Shape    (..., C, *positions) -> the same.
    Raises   ShapeError / DtypeError / DomainError / ChoiceError.
    Accuracy softmax in at least float32, under autocast too.
    Cost     O(M C); `affinity` forms A, O(M^2).
    """

    def __init__(
        self,
        channels: int,
        *,
        transform: str = "bottleneck",
        inner: int | None = None,
        w_init: str | float = "zero",
        dimension: int = 2,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.rows = Rows(channels, dimension)
        inner = width(inner, "inner", channels, 16)
        self.key = nn.Linear(channels, 1, bias=False)
        if check_choice(transform, "transform", TRANSFORMS) == "linear":
            last = nn.Linear(channels, channels, bias=False)
            self.transform = nn.Sequential(last)
        else:
            last = nn.Linear(inner, channels)
            self.transform = nn.Sequential(nn.Linear(channels, inner), nn.LayerNorm(inner), nn.ReLU(), last)
        initialize(self, last, None, w_init, generator)

    def forward(self, x: Tensor) -> Tensor:
        Z = self.rows(x, self.key.weight)
        context = average(self._weights(Z).mT, Z)
        everywhere = torch.Size([*x.shape[: -self.rows.dimension], *[1] * self.rows.dimension])
        return x + from_rows(self.transform(context), everywhere).to(x.dtype)

    def weights(self, x: Tensor) -> Tensor:
        """alpha as (..., M), nonnegative with sum 1."""
        return self.rows.batched(self._weights(self.rows(x, self.key.weight)).squeeze(-1), x)

    def affinity(self, x: Tensor) -> Tensor:
        """A = 1 alpha^T as (..., M, M): all rows alike."""
        alpha = self.weights(x)
        return alpha.unsqueeze(-2).expand(*alpha.shape, alpha.shape[-1])

    def chebyshev(self) -> list[Tensor]:
        """Theta_0 = 0, Theta_1 as (C, C) of the "linear" block: its increment is T_1(-A) Z Theta_1.

        Raises   DomainError for "bottleneck", which is no filter: there `transform` acts on T_1(-A) Z (-I).
        """
        last = self.transform[-1]
        if len(self.transform) > 1 or not isinstance(last, nn.Linear):
            raise DomainError(
                "only the linear transform is a graph filter",
                got="transform='bottleneck'",
                why="a layer norm and a ReLU act on the mean",
                fix="GlobalContext(channels, transform='linear')",
            )
        return block_coefficients("nonlocal", last.weight.mT)

    def _weights(self, Z: Tensor) -> Tensor:
        return widen(self.key(Z)).softmax(-2)

"""theta, phi and w: the two sides of an affinity as layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nlmodel._arrays import check_choice, check_number
from nlmodel.errors import DomainError
from nlmodel.nn.choices import AFFINITIES
from nlmodel.nn.layers import Affine, rows_of


class Embedding(nn.Module):
    """The features between which the kernel is taken.

        gaussian             omega(x, y) = exp(s x.y)
        embedded_gaussian    omega(x, y) = exp(s theta x . phi y)
        dot_product          omega(x, y) = s theta x . phi y
        concatenation        omega(x, y) = ReLU(w . [theta x, phi y])

    Wang et al. 2018, eqs (2)-(5).

    Parameters
    ----------
    affinity : one of these names.
    channels, inner : lengths of x and of theta x.
    symmetric : phi = theta, and both halves of w equal: Tao et al. 2018, eq. (13).
    scale : s; False is 1, True one over the square root of the length of the compared vectors.
    bias : whether theta and phi are affine.
    """

    def __init__(
        self,
        affinity: str,
        channels: int,
        inner: int,
        *,
        symmetric: bool = False,
        scale: bool | float = False,
        bias: bool = False,
    ):
        super().__init__()
        self.affinity = check_choice(affinity, "affinity", AFFINITIES)
        self.symmetric = symmetric
        self.width = channels if affinity == "gaussian" else inner
        self.scale = _scale(scale, affinity, self.width)
        self.theta = None if affinity == "gaussian" else nn.Linear(channels, inner, bias=bias)
        self.phi = None if affinity == "gaussian" or symmetric else nn.Linear(channels, inner, bias=bias)
        rows = 1 if symmetric else 2
        self.w = nn.Parameter(torch.empty(rows, inner)) if affinity == "concatenation" else None

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """He's normal law for theta, phi and w; no bias."""
        for layer in (self.theta, self.phi):
            if layer is not None:
                he_(layer, generator)
        if self.w is not None:
            nn.init.normal_(self.w, 0.0, self.width**-0.5, generator)

    @property
    def senders_layer(self) -> nn.Linear | None:
        """phi: theta itself when they are tied, None when there is none."""
        return self.theta if self.phi is None else self.phi

    def layers(self) -> tuple[Affine | None, Affine | None]:
        """theta and phi, each read once: the same object when they are tied, None when there are none."""
        theta = None if self.theta is None else Affine.of(self.theta)
        return theta, theta if self.phi is None else Affine.of(self.phi)

    def sides(self, receivers: Tensor, senders: Tensor, w: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the kernel compares: s theta x and phi y; for the concatenation w_1.theta x and w_2.phi y.

        One and the same set of features on both sides stays so: each then carries the root of s.
        """
        if w is not None:
            return receivers @ w[0][:, None], senders @ w[-1][:, None]
        if receivers is senders:
            both = receivers if self.scale == 1.0 else math.sqrt(self.scale) * receivers
            return both, both
        return (receivers if self.scale == 1.0 else self.scale * receivers), senders

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both sides of one set of features, rows (B, M, C)."""
        return self.of(x, *self.layers(), self.w)

    def of(self, x: Tensor, theta: Affine | None, phi: Affine | None, w: Tensor | None) -> tuple[Tensor, Tensor]:
        """Both sides of one set of features, by weights read before."""
        if theta is None or phi is None:
            return self.sides(x, x, w)
        found = rows_of(x, [theta] if phi is theta else [theta, phi])
        return self.sides(found[0], found[-1], w)


def he_(layer: nn.Linear, generator: torch.Generator | None) -> None:
    """He's normal law, std sqrt(2 / inputs), and no bias, in place."""
    nn.init.kaiming_normal_(layer.weight, generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _scale(scale: bool | float, affinity: str, width: int) -> float:
    if affinity == "concatenation" and scale is not False:
        raise DomainError(
            "scale must be False for the concatenation",
            got=scale,
            why="it multiplies a scalar product, and w already carries a factor",
        )
    if isinstance(scale, bool):
        return width**-0.5 if scale else 1.0
    return check_number(scale, "scale", above=0.0)

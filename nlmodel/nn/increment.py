"""What the blocks beside the nonlocal block share: their rows, and what they add to their input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nlmodel._arrays import check_choice, check_count
from nlmodel.nn.block import check_dimension, check_w_init
from nlmodel.nn.layers import Affine, channels_of
from nlmodel.nn.positions import check_input, to_rows


class Rows(nn.Module):
    """The checked way from a feature map to its rows, and back for affinities; no parameters of its own.

    Parameters
    ----------
    channels : C.
    dimension : 1 (sequences), 2 (images) or 3 (clips).
    """

    def __init__(self, channels: int, dimension: int):
        super().__init__()
        self.channels = check_count(channels, "channels", at_least=1)
        self.dimension = check_dimension(dimension)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """(..., C, *positions) -> (B, M, C). Values are not looked at, which would make a GPU wait: NaN stays NaN."""
        check_input(x, self.channels, self.dimension, weight)
        return to_rows(x, self.dimension)

    def batched(self, K: Tensor, x: Tensor) -> Tensor:
        """(B, ...) with the leading axes of x (..., C, *positions) in the place of B."""
        return K.reshape(*x.shape[: -self.dimension - 1], *K.shape[1:])

    def extra_repr(self) -> str:
        """What a reader wants to see."""
        return f"channels={self.channels}, dimension={self.dimension}"


class Increment(nn.Module):
    """What a block adds to its input: a weight at every position, then a norm if wanted.

        F = norm(Y W_Z^T)                                                    Wang et al. 2018, eq. (6)

    Parameters
    ----------
    inner, channels : channels of Y and of the block's input.
    norm : None, or "batch" for batch normalisation over samples and positions.
    """

    def __init__(self, inner: int, channels: int, norm: str | None):
        super().__init__()
        self.w_z = nn.Linear(inner, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels) if norm is not None and check_choice(norm, "norm", ("batch",)) else None

    def forward(self, Y: Tensor, x: Tensor) -> Tensor:
        """(B, M, inner) -> the shape and dtype of x."""
        F = channels_of(Y, Affine.of(self.w_z))
        return (F if self.norm is None else self.norm(F)).reshape(x.shape).to(x.dtype)


def width(inner: int | None, name: str, channels: int, share: int) -> int:
    """`inner` after its check; None is channels // share, at least 1."""
    return check_count(max(1, channels // share) if inner is None else inner, name, at_least=1)


def initialize(
    block: nn.Module,
    last: nn.Linear | nn.Conv1d,
    norm: nn.Module | None,
    w_init: str | float,
    generator: torch.Generator | None,
) -> None:
    """He's normal law and no bias for every layer; the `last` one by `w_init`: "zero", "he", or a standard deviation.

    With "zero" the block is the identity at the start: by the scale of the norm where there is one, else by `last`.
    """
    check_w_init(w_init)
    for layer in block.modules():
        if isinstance(layer, (nn.Linear, nn.Conv1d)):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    if w_init == "zero":
        for parameter in (last if norm is None else norm).parameters():
            nn.init.zeros_(parameter)
    elif not isinstance(w_init, str):
        nn.init.normal_(last.weight, 0.0, w_init, generator)

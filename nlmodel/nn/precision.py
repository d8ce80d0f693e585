"""Affinities in at least float32: sixteen bits carry the features, never the logits and row sums."""

from __future__ import annotations

import torch
from torch import Tensor

from nlmodel.nn.positions import wide


def widen(x: Tensor) -> Tensor:
    """`x` in float32 when it has fewer bits, else `x` itself."""
    return x.to(wide(x.dtype))


def outside_autocast(x: Tensor) -> torch.autocast:
    """A context in which matrix products keep the dtype they are given."""
    return torch.autocast(x.device.type, enabled=False)


def outer(left: Tensor, right: Tensor) -> Tensor:
    """left right^T, all left_i . right_j, (..., M, N), in at least float32, under autocast too."""
    with outside_autocast(left):
        return widen(left) @ widen(right).mT


def average(K: Tensor, Y: Tensor) -> Tensor:
    """K Y, summed in at least float32, rounded once to the dtype of Y."""
    with outside_autocast(Y):
        return (K @ widen(Y)).to(Y.dtype)

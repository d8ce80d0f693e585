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


def logits(theta: Tensor, phi: Tensor) -> Tensor:
    """All theta_i . phi_j, (..., M, N), in at least float32, under autocast too."""
    with outside_autocast(theta):
        return widen(theta) @ widen(phi).mT


def average(K: Tensor, Y: Tensor) -> Tensor:
    """K Y in the dtype of Y, which is that of the surrounding autocast when there is one."""
    return K.to(Y.dtype) @ Y

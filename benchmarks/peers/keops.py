"""KeOps: the product as a symbolic matrix, compiled for its formula at the first call."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.installed import require


def gaussian(X: np.ndarray, scale: float, v: np.ndarray) -> np.ndarray:
    """sum_j exp(-|x_i - x_j|^2 / (2 scale^2)) v_j."""
    numpy: Any = require("pykeops.numpy")
    square = ((numpy.LazyTensor(X[:, None, :]) - numpy.LazyTensor(X[None, :, :])) ** 2).sum(-1)
    return (-square / (2 * scale**2)).exp() @ v

"""KeOps: the product as a symbolic matrix, compiled for its formula at the first call."""

from __future__ import annotations

import os
import sysconfig
from typing import Any

import numpy as np

from benchmarks.peers.installed import FOLDER, require


HEADERS = sysconfig.get_path("include"), str(FOLDER / "pybind11" / "include")  # KeOps asks an interpreter without peers


def gaussian(X: np.ndarray, scale: float, v: np.ndarray) -> np.ndarray:
    """sum_j exp(-|x_i - x_j|^2 / (2 scale^2)) v_j."""
    os.environ["CPLUS_INCLUDE_PATH"] = os.pathsep.join(HEADERS)
    numpy: Any = require("pykeops.numpy")
    square = ((numpy.LazyTensor(X[:, None, :]) - numpy.LazyTensor(X[None, :, :])) ** 2).sum(-1)
    return (-square / (2 * scale**2)).exp() @ v

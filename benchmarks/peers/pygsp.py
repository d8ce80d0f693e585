"""PyGSP: its Chebyshev filter of a graph signal."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.peers import require


def chebyshev(laplacian: Any, theta: list[float]) -> Callable[[np.ndarray], np.ndarray]:
    """Its recurrence on a Laplacian with spectrum in [0, 2], with given coefficients."""
    graph = SimpleNamespace(L=laplacian, N=laplacian.shape[0], lmax=2.0)
    halved = np.array([2 * theta[0], *theta[1:]])  # it takes half of the first one
    cheby_op = require("pygsp.filters.approximations").cheby_op
    return lambda signal: cheby_op(graph, halved, signal)

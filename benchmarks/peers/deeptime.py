"""deeptime: stationary law and slowest eigenvalues of a sparse reversible Markov chain."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers import require


def stationary(P: Any) -> np.ndarray:
    """Its stationary distribution."""
    return require("deeptime.markov.tools.analysis").stationary_distribution(P)


def gap(P: Any) -> np.ndarray:
    """1 - lambda_2 by its reversible eigenvalues."""
    values = require("deeptime.markov.tools.analysis").eigenvalues(P, k=2, reversible=True)
    return np.array([1 - float(np.min(np.real(values)))])

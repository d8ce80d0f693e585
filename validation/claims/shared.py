"""What several claims use: measures of matrices, small random matrices to hunt in, meshes, the local Laplacian."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from nlmodel.testing import observed_order


def asymmetry(K: np.ndarray) -> float:
    """max |K_ij - K_ji|."""
    return float(np.max(np.abs(K - K.T)))


def smallest_eigenvalue(A: np.ndarray) -> float:
    """Of a symmetric matrix."""
    return float(np.linalg.eigvalsh(A)[0])


def hollow(omega: np.ndarray) -> np.ndarray:
    """The matrix without its diagonal."""
    return omega - np.diag(np.diag(omega))


def matrices(rows: int, columns: int, low: int = -3, high: int = 3) -> st.SearchStrategy[Any]:
    """Matrices with the entries low/3, (low + 1)/3, ..., high/3: few values, so that counterexamples are readable."""
    entries = st.lists(st.integers(low, high), min_size=rows * columns, max_size=rows * columns)
    return entries.map(lambda values: np.reshape(values, (rows, columns)) / 3.0)


def symmetric_affinities(size: int = 4, low: int = 1) -> st.SearchStrategy[Any]:
    """Symmetric matrices with entries between low/3 and 2."""
    return matrices(size, size, low, 6).map(lambda A: (A + A.T) / 2)


def midpoints(cells: int) -> np.ndarray:
    """Cell midpoints of (0, 1), as points of shape (cells, 1)."""
    return ((np.arange(cells) + 0.5) / cells)[:, None]


def exponent(cells: Any, values: Any) -> float:
    """p in values ~ h^p with h = 1/cells; below zero means growth under refinement."""
    return observed_order(1.0 / np.asarray(cells, dtype=float), values).order


def local_laplacian(cells: int) -> np.ndarray:
    """(z_{i-1} - 2 z_i + z_{i+1}) / h^2 on the periodic unit interval."""
    shift = np.roll(np.eye(cells), 1, axis=0)
    return (shift - 2 * np.eye(cells) + shift.T) * cells**2

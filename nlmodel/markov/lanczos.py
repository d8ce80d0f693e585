"""Lanczos iteration for one end of the spectrum of a symmetric map."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh_tridiagonal


FEWEST_STEPS = 8


class Ritz(NamedTuple):
    """The smallest Ritz value, an upper bound of the smallest eigenvalue.

    Some eigenvalue lies within `residual`, and within `error` = residual^2 / distance of the next Ritz value when the
    Ritz value belongs to the end of the spectrum.
    """

    value: float
    residual: float
    error: float


def smallest_ritz(action: Callable[[np.ndarray], np.ndarray], size: int, *, steps: int, relative: float = 0.0) -> Ritz:
    """The smallest Ritz value of a symmetric map after at most `steps` steps from a fixed start.

    Stops earlier when `error` <= relative |value|.  Keeps and orthogonalises all basis vectors: steps x size numbers.
    """
    q = first_vector(size)
    q = q / np.linalg.norm(q)
    basis = np.empty((min(steps, size), size))
    diagonal: list[float] = []
    beside: list[float] = []
    found = Ritz(np.inf, np.inf, np.inf)
    for step in range(1, min(steps, size) + 1):
        basis[step - 1] = q
        r = action(q)
        diagonal.append(float(q @ r))
        for _ in range(2):
            r = r - (basis[:step] @ r) @ basis[:step]
        beside.append(float(np.linalg.norm(r)))
        exhausted = beside[-1] <= np.finfo(np.float64).eps * max(map(abs, diagonal))
        if exhausted or step == min(steps, size) or (relative and step >= FEWEST_STEPS):
            found = _ritz(diagonal, beside)
            if exhausted or found.error <= relative * abs(found.value):
                break
        q = r / beside[-1]
    return found


def first_vector(size: int) -> np.ndarray:
    """A fixed vector without symmetries, so that no mode of a symmetric chain is orthogonal to it."""
    return np.random.default_rng(0).standard_normal(size)


def _ritz(diagonal: list[float], beside: list[float]) -> Ritz:
    values, vectors = eigh_tridiagonal(diagonal, beside[:-1])
    residual = beside[-1] * abs(float(vectors[-1, 0]))
    apart = float(values[1] - values[0]) if len(values) > 1 else 0.0
    return Ritz(float(values[0]), residual, min(residual, residual**2 / apart) if apart > 0 else residual)

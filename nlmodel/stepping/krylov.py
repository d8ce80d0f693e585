"""exp(A) v by the Arnoldi process, with the step inside chosen by its own error estimate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nlmodel.errors import ConvergenceError


DIMENSION = 40
CHECK_EVERY = 5
LARGEST_NUMBER_OF_PIECES = 10_000


def krylov_exponential(apply: Callable[[np.ndarray], np.ndarray], v: np.ndarray, tolerance: float) -> np.ndarray:
    """exp(A) v for a linear `apply` v -> A v on NumPy arrays of any shape.

        exp(t A) v ~ |v| V exp(t H) e_1,    A V = V H + h v_{m+1} e_m^T          Saad 1992, corrected scheme

    Parameters
    ----------
    apply : the linear map; keeps shape and dtype.
    v : NumPy array, float64 or float32.
    tolerance : wanted error, relative to |v|, for the whole interval t in [0, 1].

    Raises    ConvergenceError: 10,000 pieces did not reach the end.
    Accuracy  Saad's estimate is below `tolerance` a unit of t in every piece; the errors add up while |exp(tA)| <= 1.
    Cost      about sqrt(|A|) products for a self-adjoint A up to |A| for a skew one; 40 vectors of memory.
    """
    done = 0.0
    for _ in range(LARGEST_NUMBER_OF_PIECES):
        if done >= 1.0:
            return v
        v, piece = _advance(apply, v, 1.0 - done, tolerance)
        done += piece
    raise ConvergenceError(
        "the Krylov exponential did not reach the end of the step",
        got=f"fraction {done:.3g} after {LARGEST_NUMBER_OF_PIECES} pieces",
        why="step * |W| * |L| is very large",
        fix='take smaller steps, or method="implicit_euler"',
    )


def _advance(apply, v: np.ndarray, remaining: float, tolerance: float) -> tuple[np.ndarray, float]:
    """exp(t A) v for the largest t = remaining / 2^k that a Krylov space of DIMENSION vectors allows."""
    from scipy.linalg import expm

    size = float(np.linalg.norm(v))
    if size == 0.0:
        return v, remaining
    shape, m = v.shape, min(DIMENSION, v.size)
    V = np.zeros((m + 1, v.size), dtype=v.dtype)
    H = np.zeros((m + 1, m + 1))
    V[0] = v.reshape(-1) / size
    for j in range(m):
        w = apply(V[j].reshape(shape)).reshape(-1)
        before = float(np.linalg.norm(w))
        for _ in range(2):  # orthogonal to rounding only after a second pass
            along = V[: j + 1] @ w
            H[: j + 1, j] += along
            w = w - along @ V[: j + 1]
        H[j + 1, j] = np.linalg.norm(w)
        if H[j + 1, j] <= np.finfo(v.dtype).eps * before or j + 1 == v.size:
            weights = expm(remaining * H[: j + 1, : j + 1])[:, 0]
            return _combine(V[: j + 1], weights, size, shape), remaining
        V[j + 1] = w / H[j + 1, j]
        if (j + 1) % CHECK_EVERY == 0 or j + 1 == m:
            weights = expm(remaining * H[: j + 2, : j + 2])[:, 0]
            if abs(weights[-1]) <= tolerance * remaining:
                return _combine(V[: j + 2], weights, size, shape), remaining
    piece = remaining / 2
    while abs((weights := expm(piece * H)[:, 0])[-1]) > tolerance * piece:
        piece /= 2
    return _combine(V, weights, size, shape), piece


def _combine(V: np.ndarray, weights: np.ndarray, size: float, shape: tuple[int, ...]) -> np.ndarray:
    return ((size * weights).astype(V.dtype) @ V).reshape(shape)

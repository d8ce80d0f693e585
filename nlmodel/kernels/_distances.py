"""Distances from differences, never from the expanded square, which cancels for near points."""

from __future__ import annotations

import numpy as np

from nlmodel._arrays import Array, dtype_eps, namespace


def squared_distances(X: Array, Y: Array) -> Array:
    """|X_i - Y_j|^2 = sum_c (X_ic - Y_jc)^2, one feature at a time; of double precision in NumPy all in one pass.

    Parameters
    ----------
    X : (..., M, D) array.
    Y : (..., N, D) array.

    Returns  (..., M, N) array, exactly 0 at coincident points, exactly symmetric when X = Y.
    Accuracy relative error <= (D + 2) eps.
    Cost     O(M N D) time, O(M N) memory; autograd keeps the D differences.
    """
    if all(isinstance(x, np.ndarray) and x.ndim == 2 and x.dtype == np.float64 for x in (X, Y)):
        from scipy.spatial.distance import cdist  # slow to import

        return cdist(X, Y, "sqeuclidean")  # pyright: ignore[reportArgumentType]
    total = _outer_difference(X[..., 0], Y[..., 0]) ** 2
    for c in range(1, X.shape[-1]):
        total = total + _outer_difference(X[..., c], Y[..., c]) ** 2
    return total


def gaussian_factor(scale: float, eps: float) -> float | None:
    """-1 / (2 scale^2), or None where it is no normal number in the precision of that eps."""
    scale, (smallest, largest) = float(scale), _normal_numbers(eps)
    factor = -0.5 / scale / scale if scale > 1e-150 else -np.inf
    return factor if smallest <= -factor <= largest else None


def gaussian_exponent(square: Array, scale: float) -> Array:
    """-square / (2 scale^2): by one product where its factor is a normal number, else by two quotients.

    A scale that is no normal number counts as the nearest one: omega is 1 at coincident points and 0 at others, or 1.
    """
    eps = dtype_eps(square.dtype)
    factor = gaussian_factor(scale, eps)
    with np.errstate(over="ignore"):  # exp(-inf) is the answer there
        if factor is not None:
            return square * factor
        smallest, largest = _normal_numbers(eps)
        scale = min(max(float(scale), smallest), largest / 4)
        return -square / scale / (2.0 * scale)


def safe_sqrt(square: Array) -> Array:
    """sqrt with the derivative 0 at 0, in place of infinity: the distance of coincident points stays put."""
    xp = namespace(square)
    positive = square > 0
    root = xp.sqrt(xp.where(positive, square, xp.ones_like(square)))
    return xp.where(positive, root, xp.zeros_like(square))


def _normal_numbers(eps: float) -> tuple[float, float]:
    limits = np.finfo(np.float64 if eps < 1e-10 else np.float32)
    return float(limits.tiny), float(limits.max)


def _outer_difference(x: Array, y: Array) -> Array:
    return x[..., :, None] - y[..., None, :]

"""Integrals of 1 - Lambda_d against a radial density, by Gauss-Legendre panels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nlmodel.kernels._lambda import SERIES_BELOW, lambda_series, one_minus_lambda


PHASE = 12.0
"""Phase k r that one panel spans: 24 nodes integrate it, times a smooth density, to rounding."""

ABSCISSAE, WEIGHTS = np.polynomial.legendre.leggauss(24)

CHUNK = 1 << 18
"""Integrand values held at a time."""


def smooth_integral(
    density: Callable[[np.ndarray], np.ndarray], k: np.ndarray, *, dim: int, end: float, length: float
) -> np.ndarray:
    """int_0^end density(r) (1 - Lambda_d(k r)) dr for every wave number; all terms are >= 0, none cancel.

    Parameters
    ----------
    density : r -> array >= 0, analytic on [0, end], varying over the distance `length`.
    k : (n,) array, float64, >= 0.

    Cost     O(end (k + 1/length)) evaluations per wave number, bounded memory.
    """
    result = np.zeros_like(k)
    count = np.maximum(np.ceil(end / (4.0 * length)), np.ceil(k * end / PHASE))
    exponent = np.ceil(np.log2(np.maximum(count, 1.0)))
    for level in np.unique(exponent):
        r, w = _nodes(np.linspace(0.0, end, 1 + 2 ** int(level)))
        weight = w * density(r)
        members = np.flatnonzero(exponent == level)
        for at in np.array_split(members, np.ceil(members.size * r.size / CHUNK)):
            result[at] = np.sum(weight * one_minus_lambda(k[at, None] * r, dim), axis=-1)
    return result


def power_integral(z: np.ndarray, *, dim: int, exponent: float) -> np.ndarray:
    """int_0^1 t^(d-1-p) (1 - Lambda_d(z t)) dt for every z, p < d + 2: the power kernel's symbol, unscaled.

    Up to z = 2 its own series; beyond, t -> t/z makes the integrand one function of t for all z, which is
    accumulated over common panels and one last panel per z.

    Parameters
    ----------
    z : (n,) array, float64, >= 0.

    Cost     O(n + max z) evaluations.
    """
    a = dim - exponent

    def series(s: np.ndarray) -> np.ndarray:
        return lambda_series(s, dim, lambda n: 1.0 / (a + 2 * n))

    def integrand(t: np.ndarray) -> np.ndarray:
        return t ** (a - 1.0) * one_minus_lambda(t, dim)

    small = z <= SERIES_BELOW
    result = series(np.where(small, z, 0.0))
    if np.all(small):
        return result
    t = z[~small]
    top = np.max(t)
    doubling = SERIES_BELOW * 2.0 ** np.arange(4)
    edges = np.concatenate([doubling[:-1], np.arange(doubling[-1], top + PHASE, PHASE)])
    nodes, w = _nodes(edges)
    panels = np.sum((w * integrand(nodes)).reshape(-1, WEIGHTS.size), axis=-1)
    start = SERIES_BELOW**a * series(np.asarray([SERIES_BELOW]))
    total = np.concatenate([start, start + np.cumsum(panels)])
    last = np.searchsorted(edges, t, side="right") - 1
    half = 0.5 * (t - edges[last])
    rest = integrand(edges[last][:, None] + half[:, None] * (1.0 + ABSCISSAE)) @ WEIGHTS
    result[~small] = (total[last] + half * rest) / t**a
    return result


def _nodes(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    half = 0.5 * np.diff(edges)[:, None]
    return (edges[:-1, None] + half * (1.0 + ABSCISSAE)).ravel(), (half * WEIGHTS).ravel()

"""Weights and weighted sums of some rows of an image, one offset after the other, with NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nlmodel.images.decay import schraudolph
from nlmodel.images.plan import Plan


def strip(padded: np.ndarray, first: int, last: int, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """sum_j omega_ij v_j and sum_j omega_ij over the pairs whose earlier pixel is in rows first to last.

    Parameters
    ----------
    padded : (channels, rows + 2 radius, columns + 2 radius) image.

    Returns
    -------
    (channels, n, columns) and (n, columns) arrays for the rows from `first` on, n up to last - first + reach.
    """
    r = len(plan.taps) // 2
    rows, columns = padded.shape[1] - 2 * r, padded.shape[2] - 2 * r
    v = padded[:, r : r + rows, r : r + columns][:, first : min(rows, last + plan.reach)]
    total, weight = np.zeros_like(v), np.zeros_like(v[0])
    total[:, : last - first] = plan.own * v[:, : last - first]
    weight[: last - first] = plan.own
    for (down, right), omega in weights(padded, first, last, plan):
        n, m = omega.shape
        left = max(0, -right)
        here = slice(0, n), slice(left, left + m)
        there = slice(down, down + n), slice(left + right, left + right + m)
        weight[here] += omega
        weight[there] += omega
        for c in range(len(v)):
            total[c][here] += omega * v[c][there]
            total[c][there] += omega * v[c][here]
    return total, weight


def weights(padded: np.ndarray, first: int, last: int, plan: Plan) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Of each offset omega_ij for all earlier pixels i in rows first to last that have a later one j there."""
    r = len(plan.taps) // 2
    rows, columns = padded.shape[1] - 2 * r, padded.shape[2] - 2 * r
    for down, right in plan.shifts.tolist():
        left, n, m = max(0, -right), min(last, rows - down) - first, columns - abs(right)
        if n <= 0 or m <= 0:
            continue
        here = padded[:, first : first + n + 2 * r, left : left + m + 2 * r]
        there = padded[:, first + down :, left + right :][:, : n + 2 * r, : m + 2 * r]
        square = np.sum((here - there) ** 2, axis=0) - plan.noise
        yield (down, right), omega(across(square, plan.taps), plan)


def across(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """sum_k taps[k] x[..., q + k]."""
    n = x.shape[-1] - len(taps) + 1
    found = taps[0] * x[..., :n]
    for k in range(1, len(taps)):
        found += taps[k] * x[..., k : k + n]
    return found


def omega(sums: np.ndarray, plan: Plan) -> np.ndarray:
    """The weights from the sums along the rows of patches, (rows + 2 radius, columns)."""
    n = len(sums) - len(plan.taps) + 1
    d, most = np.zeros_like(sums[:n]), np.zeros_like(sums[:n])
    for k, t in enumerate(plan.taps):
        np.maximum(most, d, out=most)
        d += t * sums[k : k + n]
    d = np.maximum(plan.scale * d, 0)
    if plan.approximate:
        return np.where(plan.scale * most <= plan.cutoff, schraudolph(d), 0)
    return np.where(d < plan.farthest, np.exp(-d), 0)

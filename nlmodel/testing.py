"""Public helpers for checking operators, one's own too: gaps, observed orders, tolerances with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmodel._arrays import Array, check_choice, dtype_eps, namespace, to_numpy
from nlmodel.errors import DomainError


TOLERANCE_KINDS = ("exact", "elementwise", "reduction", "solve")


def tolerance(kind: str, dtype: Any = np.float64, *, n: int = 1, scale: float = 1.0, cond: float = 1.0) -> float:
    """Absolute tolerance that the arithmetic justifies, and nothing wider.

        exact 0,   elementwise 4 eps scale,   reduction 4 n eps scale,   solve 64 n eps cond scale

    `n` is the length of the longest sum, `scale` the size of its terms, `cond` the condition number.
    """
    check_choice(kind, "kind", TOLERANCE_KINDS)
    factor = {"exact": 0.0, "elementwise": 4.0, "reduction": 4.0 * n, "solve": 64.0 * n * cond}[kind]
    return factor * dtype_eps(dtype) * scale


def assert_close(
    actual: Array,
    expected: Array,
    kind: str = "elementwise",
    *,
    n: int = 1,
    scale: float | None = None,
    cond: float = 1.0,
) -> None:
    """Raise `AssertionError` unless library, shape, dtype and values agree to `tolerance(kind, ...)`.

    `scale` defaults to the largest magnitude in `expected`.
    """
    if namespace(actual) is not namespace(expected):
        raise AssertionError(f"libraries differ: {namespace(actual)} and {namespace(expected)}")
    if tuple(actual.shape) != tuple(expected.shape):
        raise AssertionError(f"shapes differ: {tuple(actual.shape)} and {tuple(expected.shape)}")
    if actual.dtype != expected.dtype:
        raise AssertionError(f"dtypes differ: {actual.dtype} and {expected.dtype}")
    left, right = to_numpy(actual), to_numpy(expected)
    size = float(np.max(np.abs(right), initial=0.0)) if scale is None else scale
    bound = tolerance(kind, np.finfo(right.dtype).dtype, n=n, scale=size, cond=cond)
    gap = np.abs(left - right)
    if not np.all(gap <= bound):
        at = np.unravel_index(int(np.argmax(gap)), gap.shape) if gap.ndim else ()
        raise AssertionError(
            f"largest difference {np.max(gap):.3e} exceeds {bound:.3e} ({kind}, n={n}, scale={size:.3e}, "
            f"cond={cond:.3e}) at {tuple(map(int, at))}: {left[at]!r} and {right[at]!r}"
        )


def adjoint_gap(op: Any, *, rng: np.random.Generator, columns: int = 3) -> float:
    """|<v, A u> - <A^T v, u>| / (|u| |v|) for random u and v: rounding of |A| for a true transpose."""
    rows, cols = op.shape[-2:]
    u = rng.standard_normal((cols, columns)).astype(op.dtype)
    v = rng.standard_normal((rows, columns)).astype(op.dtype)
    gap = abs(np.sum(v * (op @ u)) - np.sum((op.T @ v) * u))
    return float(gap / (np.linalg.norm(u) * np.linalg.norm(v)))


def conservation_gap(op: Any, Z: np.ndarray) -> float:
    """|sum_i m_i (L Z)_i| over sum_i m_i |(L Z)_i|, m the measure: 0 to rounding where the weighted mean is kept."""
    change = to_numpy(op @ Z)
    m = to_numpy(op.measure)[:, None]
    size = float(np.sum(m * np.abs(change)))
    return float(np.max(np.abs(np.sum(m * change, axis=0)))) / size if size else 0.0


@dataclass(frozen=True)
class ObservedOrder:
    """Slope of log(error) against log(step) by least squares, and the slope between neighbours."""

    order: float
    local: tuple[float, ...]


def observed_order(steps: Any, errors: Any) -> ObservedOrder:
    """Fit error ~ step^order.

    Parameters
    ----------
    steps, errors : sequences of equal length, at least two entries, all > 0.
    """
    h, e = np.asarray(steps, dtype=float), np.asarray(errors, dtype=float)
    if h.shape != e.shape or h.ndim != 1 or h.size < 2 or not (np.all(h > 0) and np.all(e > 0)):
        raise DomainError(
            "steps and errors must be positive and of one length >= 2", got=f"shapes {h.shape} and {e.shape}"
        )
    x, y = np.log(h), np.log(e)
    slope = float(np.polyfit(x, y, 1)[0])
    return ObservedOrder(slope, tuple(float(s) for s in np.diff(y) / np.diff(x)))

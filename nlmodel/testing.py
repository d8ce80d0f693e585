"""Public helpers for checking operators, one's own too: gaps, observed orders, tolerances with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmodel._arrays import Array, check_choice, check_number, dtype_eps, like, namespace, to_numpy
from nlmodel.errors import DomainError, DtypeError, NotReversibleError


TOLERANCE_KINDS = ("exact", "elementwise", "reduction", "solve")


def tolerance(kind: str, dtype: Any = np.float64, *, n: int = 1, scale: float = 1.0, cond: float = 1.0) -> float:
    """Absolute tolerance that the arithmetic justifies, and nothing wider.

        exact 0,   elementwise 4 eps scale,   reduction 4 n eps scale,   solve 64 n eps cond scale

    `n` is the length of the longest sum, `scale` the size of its terms, `cond` the condition number.
    """
    check_choice(kind, "kind", TOLERANCE_KINDS)
    for name, value in {"n": n, "scale": scale, "cond": cond}.items():
        check_number(value, name, at_least=0)
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

    `scale` defaults to the largest magnitude in `expected`, which must be finite.
    """
    if namespace(actual) is not namespace(expected):
        raise AssertionError(f"libraries differ: {namespace(actual)} and {namespace(expected)}")
    if tuple(actual.shape) != tuple(expected.shape):
        raise AssertionError(f"shapes differ: {tuple(actual.shape)} and {tuple(expected.shape)}")
    if actual.dtype != expected.dtype:
        raise AssertionError(f"dtypes differ: {actual.dtype} and {expected.dtype}")
    left, right = to_numpy(actual), to_numpy(expected)
    if not np.all(np.isfinite(right)):
        raise AssertionError("the expected values hold NaN or infinity, which no difference exceeds")
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
    """|<v, A u> - <A^T v, u>| / (|u| |v|) for random u and v: rounding of |A| for a true transpose.

    `op` needs `shape`, `dtype`, `T` and `@`; of a batch the largest gap counts.
    """
    beside = op.identity(1) if hasattr(op, "identity") else np.eye(1, dtype=op.dtype)
    u, v = (like(rng.standard_normal((n, columns)), beside) for n in (op.shape[-1], op.shape[-2]))
    forward, backward = to_numpy(op @ u), to_numpy(op.T @ v)
    u, v = to_numpy(u), to_numpy(v)
    gap = np.abs(np.sum(v * forward, axis=(-2, -1)) - np.sum(backward * u, axis=(-2, -1)))
    return float(np.max(gap) / (np.linalg.norm(u) * np.linalg.norm(v)))


def conservation_gap(op: Any, Z: Array) -> float:
    """|sum_i m_i (L Z)_i| over sum_i m_i |(L Z)_i|, m the measure: 0 to rounding where the weighted mean is kept.

    The largest over channels and batches; `op` needs `measure` and `@`.
    """
    if op.measure is None:
        raise NotReversibleError("conservation_gap needs the measure of the operator", got="an operator without one")
    change = to_numpy(op @ (Z[:, None] if Z.ndim == 1 else Z))
    m = to_numpy(op.measure)[..., None]
    size = np.sum(m * np.abs(change), axis=(-2, -1))[..., None]
    gap = np.abs(np.sum(m * change, axis=-2))
    return float(np.max(np.divide(gap, size, out=np.zeros_like(gap), where=size > 0)))


@dataclass(frozen=True)
class ObservedOrder:
    """Slope of log(error) against log(step) by least squares, and the slope between neighbours."""

    order: float
    local: tuple[float, ...]


def observed_order(steps: Any, errors: Any) -> ObservedOrder:
    """Fit error ~ step^order.

    Parameters
    ----------
    steps, errors : sequences of equal length, at least two entries, all > 0; neighbouring steps differ.
    """
    try:
        h, e = np.asarray(steps, dtype=float), np.asarray(errors, dtype=float)
    except (TypeError, ValueError) as error:
        raise DtypeError("steps and errors must be sequences of real numbers", got=f"{steps!r}, {errors!r}") from error
    if h.shape != e.shape or h.ndim != 1 or h.size < 2:
        raise DomainError("steps and errors must be of one length >= 2", got=f"shapes {h.shape} and {e.shape}")
    if not all(np.all((v > 0) & np.isfinite(v)) for v in (h, e)) or np.any(h[1:] == h[:-1]):
        raise DomainError(
            "steps and errors must be positive and finite, and no step equal to the next",
            got=f"{h}, {e}",
            why="the order is the slope of log(error) against log(step)",
        )
    x, y = np.log(h), np.log(e)
    slope = float(np.polyfit(x, y, 1)[0])
    return ObservedOrder(slope, tuple(float(s) for s in np.diff(y) / np.diff(x)))

"""Checks that are more than one comparison: observed order, symbolic identity, statistic."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from nlmodel._arrays import to_numpy
from nlmodel.errors import ConvergenceError, DomainError, ShapeError
from nlmodel.testing import observed_order
from validation.outcome import Outcome, show


REFINEMENTS = 4
SLOPE, LOCAL_SLOPE = 0.1, 0.15
SUBSTITUTIONS, DIGITS = 20, 50


def order(steps: Any, errors: Any, expected: float) -> Outcome:
    """error ~ step^expected over at least four refinements.

    The fitted slope must lie within 0.1 of `expected` and each slope between neighbours within 0.15. Measured is the
    fitted slope, or the worst local slope when the fit hides it.
    """
    if len(steps) < REFINEMENTS + 1:
        raise DomainError(
            f"an observed order needs {REFINEMENTS} refinements, that is {REFINEMENTS + 1} steps", got=len(steps)
        )
    fit = observed_order(steps, errors)
    worst = max(fit.local, key=lambda slope: abs(slope - expected))
    detail = "local slopes " + ", ".join(f"{slope:.2f}" for slope in fit.local).replace("-", "−")
    if abs(fit.order - expected) <= SLOPE and not abs(worst - expected) <= LOCAL_SLOPE:
        return Outcome(worst, expected - LOCAL_SLOPE, expected + LOCAL_SLOPE, "order", detail)
    return Outcome(fit.order, expected - SLOPE, expected + SLOPE, "order", detail)


def identity(
    lhs: Any,
    rhs: Any,
    *,
    domain: Mapping[Any, tuple[float, float]] | None = None,
    simplify: Callable[[Any], Any] | None = None,
    seed: int = 0,
) -> Outcome:
    """lhs = rhs as expressions of SymPy: simplified to zero, and at random points to 50 digits.

    Measured is the largest residual over the substitutions, relative to the size of the sides. `ConvergenceError` when
    the numbers agree but the simplification does not reach zero: then nothing has been shown.
    """
    import mpmath
    import sympy

    sides = [sympy.Matrix(side if np.iterable(side) else [side]) for side in (lhs, rhs)]
    if sides[0].shape != sides[1].shape:
        raise ShapeError("both sides must have one shape", got=f"{sides[0].shape} and {sides[1].shape}")
    left, right = (side.flat() for side in sides)
    symbols = sorted(set().union(*(side.free_symbols for side in (*left, *right))), key=str)
    evaluate = sympy.lambdify(symbols, [*left, *right], "mpmath")
    draw = random.Random(seed)
    gaps = []
    with mpmath.workdps(DIGITS):
        for _ in range(SUBSTITUTIONS):
            at = [_draw(symbol, (domain or {}).get(symbol), draw) for symbol in symbols]
            values = evaluate(*at)
            numbers = list(zip(values[: len(left)], values[len(left) :], strict=True))
            size = max(1.0, *(float(abs(b)) for _, b in numbers))
            gaps += [float(abs(a - b)) / size for a, b in numbers]
    residual = float(np.max(gaps))
    detail = f"{SUBSTITUTIONS} substitutions, {DIGITS} digits"
    outcome = Outcome(residual, high=10.0 ** (10 - DIGITS), kind="identity", detail=detail)
    if not outcome.passed:
        return outcome
    reduced = [(a - b).expand() for a, b in zip(left, right, strict=True)]
    reduced = [(simplify or sympy.simplify)(d) if d != 0 else d for d in reduced]
    if any(d != 0 for d in reduced):
        raise ConvergenceError(
            "the difference of the two sides does not simplify to zero",
            got=str(reduced),
            fix="pass simplify=, for example sympy.trigsimp, or rewrite the sides",
        )
    return Outcome(residual, high=outcome.high, kind="identity", detail=f"simplifies to zero; {detail}")


def _draw(symbol: Any, interval: tuple[float, float] | None, draw: random.Random) -> Any:
    """A number of mpmath that the assumptions of `symbol` allow."""
    import mpmath

    sign = (0.1, 3.0) if symbol.is_nonnegative else (-3.0, -0.1) if symbol.is_nonpositive else (-3.0, 3.0)
    low, high = interval or sign
    if symbol.is_integer:
        return mpmath.mpf(draw.randint(math.ceil(low), math.floor(high)))
    return mpmath.mpf(low) + (mpmath.mpf(high) - mpmath.mpf(low)) * mpmath.mpf(draw.randrange(1, 10**6)) / 10**6


def statistic(sample: Any, expected: Any, confidence: float) -> Outcome:
    """The mean of `sample` over its first axis agrees with `expected` at the given confidence.

    One number: measured is the mean, the range expected +- z s/sqrt(n). Several numbers: measured is the largest
    |z-score|, the range that of k simultaneous comparisons (Bonferroni).
    """
    draws, target = to_numpy(sample).astype(float), np.asarray(expected, dtype=float)
    if draws.ndim == 0 or draws.shape[0] < 30 or draws.shape[1:] != target.shape:
        raise ShapeError(
            "a sample needs at least 30 draws along axis 0, each of the shape of expected",
            got=f"shapes {draws.shape} and {target.shape}",
        )
    n, k = draws.shape[0], target.size
    z = float(stats.norm.ppf(1 - (1 - confidence) / (2 * k)))
    mean, error = draws.mean(axis=0), draws.std(axis=0, ddof=1) / np.sqrt(n)
    if not np.all(error > 0):
        raise DomainError("a sample without spread has no confidence interval", got="standard deviation 0")
    if k == 1:
        m, e, t = float(mean.squeeze()), float(error.squeeze()), float(target.squeeze())
        interval = f"[{show(m - z * e)}, {show(m + z * e)}]"
        return Outcome(m, t - z * e, t + z * e, "statistic", f"{confidence:.3%} interval {interval}, n = {n}")
    scores = np.abs(mean - target) / error
    return Outcome(float(scores.max()), high=z, kind="statistic", detail=f"largest of {k} z-scores, n = {n}")

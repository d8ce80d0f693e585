"""What a handful of runs says: intervals for a mean and for a difference, and how many runs a difference needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from nlmodel._arrays import check_array, check_number, check_rng
from nlmodel.errors import DomainError


LEVEL = 0.95
RESAMPLES = 9999
POWER = 0.80


@dataclass(frozen=True)
class Summary:
    """Median, mean and its interval, of the runs of one row; the interval is nan for a single run."""

    runs: int
    median: float
    mean: float
    std: float
    low: float
    high: float


def summarize(errors: np.ndarray, *, level: float = LEVEL) -> Summary:
    """Median and mean of `errors`, and Student's interval for the mean.

        mean -+ t_{n-1} std / sqrt(n)

    Parameters
    ----------
    errors : (n,) float64 array, n >= 1, finite.
    level : in (0, 1).
    """
    check_array(errors, "errors", ndim=1)
    _check_level(level)
    n, mean = len(errors), float(np.mean(errors))
    std = float(np.std(errors, ddof=1)) if n > 1 else math.nan
    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * std / math.sqrt(n) if n > 1 else math.nan
    return Summary(n, float(np.median(errors)), mean, std, mean - half, mean + half)


@dataclass(frozen=True)
class Difference:
    """Mean of A - B with its bootstrap interval; `std` is that of one difference."""

    runs: int
    paired: bool
    mean: float
    std: float
    low: float
    high: float


def paired_difference(a: np.ndarray, b: np.ndarray, *, rng: np.random.Generator, level: float = LEVEL) -> Difference:
    """Bootstrap interval for the mean of a_i - b_i, runs of one seed.

    The percentile interval, expanded so that it is as wide as Student's where the differences are normal (Hesterberg
    2015, "What teachers should know about the bootstrap", sec. 4): with five runs the plain one would hold the truth
    in four cases of five only.

    Parameters
    ----------
    a, b : (n,) float64 arrays, n >= 2.
    """
    check_array(a, "a", ndim=1)
    check_array(b, "b", ndim=1)
    if len(a) != len(b) or len(a) < 2:
        raise DomainError("pairs need two samples of one length >= 2", got=f"{len(a)} and {len(b)} runs")
    d = a - b
    low, high = _interval((d,), len(d), len(d) - 1, rng, level)
    return Difference(len(d), True, float(np.mean(d)), float(np.std(d, ddof=1)), low, high)


def unpaired_difference(a: np.ndarray, b: np.ndarray, *, rng: np.random.Generator, level: float = LEVEL) -> Difference:
    """Bootstrap interval for mean(a) - mean(b), runs of different seeds; expanded as for pairs, with Welch's freedom.

    Parameters
    ----------
    a, b : (n,) and (m,) float64 arrays, n, m >= 2.
    """
    check_array(a, "a", ndim=1)
    check_array(b, "b", ndim=1)
    if min(len(a), len(b)) < 2:
        raise DomainError("a difference needs at least two runs on each side", got=f"{len(a)} and {len(b)}")
    va, vb = float(np.var(a, ddof=1)), float(np.var(b, ddof=1))
    sa, sb, few = va / len(a), vb / len(b), min(len(a), len(b))
    freedom = (sa + sb) ** 2 / (sa**2 / (len(a) - 1) + sb**2 / (len(b) - 1)) if sa + sb > 0 else few - 1
    low, high = _interval((a, b), few, freedom, rng, level)
    return Difference(few, False, float(np.mean(a) - np.mean(b)), math.sqrt(va + vb), low, high)


def runs_needed(effect: float, std: float, *, power: float = POWER, level: float = LEVEL) -> int | None:
    """Pairs with which a two-sided t test finds a mean difference `effect` with probability `power`.

        smallest n with P(|T| > t_{n-1}) >= power, T noncentral t with parameter effect sqrt(n) / std

    Parameters
    ----------
    effect : the difference; None is returned for 0, which no number of runs can find.
    std : standard deviation of one difference, > 0.
    """
    check_number(effect, "effect")
    check_number(std, "std", above=0.0)
    check_number(power, "power", above=0.0, below=1.0)
    _check_level(level)
    if effect == 0:
        return None
    low, high = 1, 2
    while _power(high, abs(effect) / std, level) < power:
        low, high = high, 2 * high
        if high > 10**6:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(middle, abs(effect) / std, level) >= power else (middle, high)
    return high


def _power(n: int, ratio: float, level: float) -> float:
    """P(|T| > t) by the law of T^2, noncentral F, whose series converges where that of T does not."""
    threshold = float(stats.t.ppf((1 + level) / 2, n - 1))
    return 1.0 - float(special.ncfdtr(1, n - 1, n * ratio**2, threshold**2))


def _interval(
    samples: Sequence[np.ndarray], runs: int, freedom: float, rng: np.random.Generator, level: float
) -> tuple[float, float]:
    """Percentile bootstrap of the difference of means, at the level that makes it as wide as Student's interval."""
    _check_level(level)
    reach = math.sqrt(runs / (runs - 1)) * float(stats.t.ppf((1 + level) / 2, freedom))
    tail = float(stats.norm.sf(reach))
    drawn = [check_rng(rng).choice(sample, (RESAMPLES, len(sample))).mean(axis=1) for sample in samples]
    low, high = np.quantile(drawn[0] - drawn[1] if len(drawn) == 2 else drawn[0], [tail, 1 - tail])
    return float(low), float(high)


def _check_level(level: float) -> None:
    check_number(level, "level", above=0.0, below=1.0)

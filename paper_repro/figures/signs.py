"""What the signs of the eigenvalues of a trained weight say, measured against weights that have learned nothing."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

import numpy as np

from nlmodel._arrays import check_array, check_count
from nlmodel.spectrum import NullModel, null_model


DRAWS = 300
SEED = 20180601
CLEAR = 5.0  # standard deviations of the null from which a pattern is called one
DAMPING, OPPOSITE, NONE = "damping", "opposite", "none"


@dataclass(frozen=True, eq=False)
class Null:
    """Random bottlenecks W_Z W_g with normal entries, of one size.

    `signs` counts negatives among the k largest; `sizes` is the mean of their magnitudes in order, for |W~|_F = 1;
    `balance` is the standard deviation of sum(lambda) / sum|lambda|, whose mean is 0 by symmetry.
    """

    signs: NullModel
    balance: float
    sizes: np.ndarray = field(repr=False)


@functools.cache
def null_of(channels: int, inner: int) -> Null:
    """The null of W = W_Z W_g with W_Z (channels, inner), for the k = min(channels // 2, inner) largest eigenvalues.

    Tao et al. 2018, Figs 1 to 4, show 32 of 64.  W~ has exactly `inner` eigenvalues of each sign whatever was learned,
    so only which of them are large carries information.  Seeded: one null for one size.
    """
    check_count(channels, "channels", at_least=2)
    check_count(inner, "inner", at_least=1)
    k = min(channels // 2, inner)
    signs = null_model(channels, inner, k, draws=DRAWS, rng=np.random.default_rng(SEED))
    rng = np.random.default_rng(SEED)
    sizes, balance = np.empty((DRAWS, k)), np.empty(DRAWS)
    for draw in range(DRAWS):
        W = rng.standard_normal((channels, inner)) @ rng.standard_normal((inner, channels))
        values = by_magnitude(np.linalg.eigvalsh((W + W.T) / 2))
        sizes[draw] = np.abs(values[:k]) / np.linalg.norm(values)
        balance[draw] = np.sum(values) / np.sum(np.abs(values))
    return Null(signs, float(np.sqrt(np.mean(balance**2))), np.mean(sizes, axis=0))


@dataclass(frozen=True)
class SignPattern:
    """Signs of one weight against the null; z is nan for a weight that is zero, or where the null has no spread.

    `z` is positive when negative eigenvalues lead in number, `balance_z` when they do in size.
    """

    negatives: int
    of: int
    z: float
    balance: float
    balance_z: float


def sign_pattern(eigenvalues: np.ndarray, null: Null) -> SignPattern:
    """Count and size of the negative eigenvalues of W~.

        z = (negatives among the k largest |lambda| - null mean) / null std,   balance = sum(lambda) / sum|lambda|

    Parameters
    ----------
    eigenvalues : (C,) float64 array, all of W~, in any order.
    null : `null_of` the same C.
    """
    check_array(eigenvalues, "eigenvalues", ndim=1)
    k, signs = null.signs.k, null.signs
    values = by_magnitude(eigenvalues)
    total = float(np.sum(np.abs(values)))
    negatives = int(np.sum(values[:k] < 0))
    if total == 0:
        return SignPattern(0, k, math.nan, 0.0, math.nan)
    z = (negatives - signs.mean) / signs.std if signs.std > 0 else math.nan
    balance = float(np.sum(values)) / total
    return SignPattern(negatives, k, z, balance, -balance / null.balance)


def pattern_of(form: str, z: float) -> str:
    """Whether a sign count is that of damping, its opposite, or none.

    The original block damps where W is negative (Tao et al. 2018, Sec. 3.1), the proposed one where it is positive
    (Sec. 4.4); a count within five standard deviations of chance is none.
    """
    if math.isnan(z) or abs(z) < CLEAR:
        return NONE
    return DAMPING if (z > 0) == (form == "original") else OPPOSITE


def by_magnitude(values: np.ndarray) -> np.ndarray:
    """`values`, the largest in magnitude first."""
    return values[np.argsort(-np.abs(values), kind="stable")]

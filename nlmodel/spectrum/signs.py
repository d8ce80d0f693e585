"""What the signs of the largest eigenvalues of W~ can say, against what a random weight says."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nlmodel._arrays import Array, check_count, check_rng
from nlmodel.errors import DomainError
from nlmodel.spectrum._guards import check_at_most, matrix
from nlmodel.spectrum.symmetric import symmetric_part


def _top(symmetric: np.ndarray, k: int) -> np.ndarray:
    values = np.linalg.eigvalsh(symmetric)
    order = np.argsort(-np.abs(values), axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(values, order, axis=-1)


def top_by_magnitude(W: Array, k: int) -> np.ndarray:
    """The `k` eigenvalues of W~ that are largest in magnitude, in that order, as the paper plots them.

    Tao et al. 2018, Fig. 4 (k = 32 of 64). Read the signs against `null_model`: a bottleneck of r channels
    has exactly r positive and r negative eigenvalues whatever it has learned (`low_rank_inertia`).

    Parameters
    ----------
    W : (C, C) real or complex floating array.
    k : 1 <= k <= C.

    Returns  (k,) real array, |value| not increasing.
    Raises   ShapeError / DtypeError / NonFiniteError / DomainError.
    Accuracy absolute error O(C eps ||W~||).
    Cost     O(C^3).
    """
    W = matrix(W, "W")
    check_at_most(check_count(k, "k", at_least=1), len(W), "k", "W has no more eigenvalues")
    return _top(symmetric_part(W), k)


@dataclass(frozen=True)
class SignedMass:
    """Sums of the positive and of the negative eigenvalues of W~, and their total, the trace of W."""

    positive: float
    negative: float
    trace: float


def signed_mass(W: Array) -> SignedMass:
    """How much of W~ is positive and how much negative, by size and not by count.

        trace W = trace W~ = sum_{lambda > 0} lambda + sum_{lambda < 0} lambda

    Parameters
    ----------
    W : (C, C) real or complex floating array.

    Returns  SignedMass; `trace` is summed from the diagonal, not from the eigenvalues.
    Raises   ShapeError / DtypeError / NonFiniteError.
    Accuracy absolute error O(C^2 eps ||W~||).
    Cost     O(C^3).
    """
    symmetric = symmetric_part(matrix(W, "W"))
    values = np.linalg.eigvalsh(symmetric)
    trace = float(np.sum(np.real(np.diagonal(symmetric))))
    return SignedMass(float(np.sum(values[values > 0])), float(np.sum(values[values < 0])), trace)


@dataclass(frozen=True, eq=False)
class NullModel:
    """Negatives among the `k` largest |eigenvalues| of sym(W_Z W_g), over random Gaussian factors."""

    channels: int
    inner: int
    k: int
    mean: float
    std: float
    low: int
    high: int
    counts: np.ndarray = field(repr=False)


def null_model(channels: int, inner: int, k: int, *, draws: int = 300, rng: np.random.Generator) -> NullModel:
    """How many of the `k` largest |eigenvalues| of W~ are negative when W has learned nothing.

    W = W_Z W_g with independent standard normal entries; their scale cancels. W and -W have one law, so the
    expected count is k/2 exactly; the spread is far below that of k coin tosses, and none at all for k = 2 inner
    (`low_rank_inertia`).

    Neither factor is drawn whole. With [W_Z, W_g^T] = Q R, Q with orthonormal columns, R = [R_Z, R_g],

        W~ = Q (R_Z R_g^T + R_g R_Z^T) Q^T / 2

    has the eigenvalues of the small matrix and zeros, and R is drawn by its own law: normal above the diagonal, on it
    the roots of chi^2 with C, C - 1, ... degrees of freedom, all independent                           Bartlett 1933

    Parameters
    ----------
    channels, inner : W_Z is (channels, inner), W_g is (inner, channels).
    k : 1 <= k <= min(channels, 2 inner); beyond that the eigenvalues are zero and have no sign.
    draws : number of random weights, at least 2.
    rng : numpy.random.Generator.

    Returns  NullModel: sample mean, standard deviation, smallest and largest count, and the (draws,) counts.
    Raises   DtypeError / DomainError.
    Accuracy the mean has standard error std / sqrt(draws).
    Cost     draws symmetric eigenvalue problems of size min(channels, 2 inner).
    """
    channels, inner = check_count(channels, "channels", at_least=1), check_count(inner, "inner", at_least=1)
    limit = min(channels, 2 * inner)
    check_at_most(check_count(k, "k", at_least=1), limit, "k", "the other eigenvalues of W~ are zero")
    draws, rng = check_count(draws, "draws", at_least=2), check_rng(rng)
    counts = np.empty(draws, dtype=np.int64)
    for draw in range(draws):
        R = _triangular(channels, 2 * inner, rng)
        counts[draw] = np.sum(_top(symmetric_part(R[:, :inner] @ R[:, inner:].T), k) < 0)
    mean, std = float(np.mean(counts)), float(np.std(counts, ddof=1))
    return NullModel(channels, inner, k, mean, std, int(counts.min()), int(counts.max()), counts)


def _triangular(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """R of the QR decomposition of a (rows, columns) matrix of independent standard normal entries, diagonal >= 0."""
    n = min(rows, columns)
    R = np.triu(rng.standard_normal((n, columns)), 1)
    np.fill_diagonal(R, np.sqrt(rng.chisquare(rows - np.arange(n))))
    return R


def sign_z_score(W: Array, k: int, null: NullModel) -> float:
    """How many standard deviations the sign count of `W` lies above that of a random weight.

        z = (negatives among the k largest |eigenvalues| of W~  -  null.mean) / null.std

    Parameters
    ----------
    W : (C, C) real or complex floating array, C = null.channels.
    k : null.k.
    null : NullModel.

    Returns  float, positive when negative eigenvalues lead.
    Raises   DomainError: `k` or C differ from those of `null`, or null.std = 0 (k = 2 inner).
    Cost     O(C^3).
    """
    top = top_by_magnitude(W, k)
    if null.k != k or null.channels != W.shape[-1]:
        raise DomainError(
            "null must be made for the same k and the same number of channels",
            got=f"k={k}, C={W.shape[-1]} against k={null.k}, C={null.channels}",
            fix="null_model(C, inner, k, rng=rng)",
        )
    if null.std == 0:
        raise DomainError(
            "null.std must not vanish",
            got=f"the same count {null.low} in every draw",
            why="for k = 2 inner the inertia theorem fixes the count, for any weight",
            fix="choose k < 2 inner",
        )
    return (int(np.sum(top < 0)) - null.mean) / null.std

"""Random features: a Gaussian as the mean of products of functions of one point each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import (
    Array,
    check_array,
    check_choice,
    check_count,
    check_number,
    check_rng,
    like,
    namespace,
    scalar,
    transpose,
)
from nlmodel.errors import DomainError
from nlmodel.kernels import ExpDot, Gaussian, Kernel


KINDS = ("trigonometric", "positive")


@dataclass(frozen=True, eq=False, repr=False)
class Features:
    """g(x - y) ~ phi(x).phi(y) for the Gaussian g(z) = exp(-|z|^2/2) and n draws w ~ N(0, I).

        trigonometric  phi = n^{-1/2} [cos(w.x), sin(w.x)]           Rahimi and Recht 2007
        positive       phi = n^{-1/2} exp(w.x - |x|^2)               Choromanski et al. 2021, Lemma 1

    Both are unbiased: E cos(w.(x - y)) = g, and E exp(w.(x + y)) = exp(|x + y|^2/2).  With confidence 1 - delta one
    entry is off by at most

        trigonometric  sqrt(2 log(2/delta) / n)                      Hoeffding, |cos| <= 1
        positive       sqrt((exp(4 x.y) - g^2) / (n delta))          Chebyshev with the exact variance

    Attributes
    ----------
    factor : (..., M, 2 n) or (..., M, n) phi.
    half_log_diagonal : (..., M) what turns g into the kernel, |x|^2 / (2 t) for ExpDot.
    error_bound : the larger bound of all pairs: of any one of them, with the confidence asked for.
    """

    factor: Array
    half_log_diagonal: Array
    error_bound: float

    def __repr__(self) -> str:
        return f"Features(shape={tuple(self.factor.shape)}, error_bound={self.error_bound:.2g})"


def random_features(
    X: Array, kernel: Kernel, count: int, *, rng: np.random.Generator, kind: str, confidence: float
) -> Features:
    """`count` features, two columns each when trigonometric, of points (..., M, D) that are centred first.

    exp(x.y / t) is the Gaussian of scale sqrt(t) times exp(|x|^2 / (2 t)) and exp(|y|^2 / (2 t)), and the Gaussian
    does not see a common shift.
    """
    check_choice(kind, "kind", KINDS)
    check_array(X, "X", min_ndim=2)
    n, miss = check_count(count, "count", at_least=1), 1 - check_number(confidence, "confidence", above=0, below=1)
    check_rng(rng)
    xp = namespace(X)
    if isinstance(kernel, Gaussian):
        scale, half = kernel.scale, xp.zeros_like(X[..., 0])
    elif isinstance(kernel, ExpDot):
        scale, half = math.sqrt(kernel.temperature), xp.sum(X**2, axis=-1) / (2 * kernel.temperature)
    else:
        raise DomainError(
            "random features are known of Gaussian and ExpDot",
            got=repr(kernel),
            fix="use landmarks: LowRankAffinity.build",
        )
    x = (X - xp.mean(X, axis=-2, keepdims=True)) / scale
    phases = xp.matmul(x, transpose(like(rng.standard_normal((n, X.shape[-1])), X)))
    if kind == "trigonometric":
        phi, bound = xp.concat([xp.cos(phases), xp.sin(phases)], axis=-1), math.sqrt(2 * math.log(2 / miss) / n)
    else:
        squares = xp.sum(x**2, axis=-1)
        phi = xp.exp(phases - squares[..., None])
        spread = 4 * scalar(xp.max(squares))  # 4 x.y <= 4 max |x|^2
        bound = math.exp(min(spread, 1400.0) / 2) / math.sqrt(n * miss)
    return Features(phi / math.sqrt(n), half, bound)

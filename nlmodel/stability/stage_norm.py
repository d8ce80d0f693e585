"""The operator norm of a stage and of its first n sub-blocks: exact where that can be had, else a bracket."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import to_numpy
from nlmodel.operators import NonlocalOperator
from nlmodel.stability.bound import ROUNDING
from nlmodel.stability.lanczos import spectrum_ends
from nlmodel.stability.modes import Amplification
from nlmodel.stability.nonlocal_spectrum import RESIDUAL
from nlmodel.stability.weight import Weight


LARGEST_DENSE = 1024  # M C: the stage as one matrix of 8 MB
SAMPLES = 64  # Chebyshev intervals per sub-block when there are too many modes to look at each


@dataclass(frozen=True)
class StageNorm:
    """lower <= ||T|| <= upper, and an upper bound of max_n ||T_n||, all the norms themselves when `exact`."""

    lower: float
    upper: float
    transient: float
    exact: bool


def energy_norm(modes: Amplification, *, sampled: bool) -> StageNorm:
    """The norm in the measure of a reversible operator, the largest over the modes.

    Between m + 1 Chebyshev points a polynomial of degree N exceeds its largest value there at most by
    the factor 1/cos(pi N/(2 m)) (Ehlich and Zeller 1964); so does ||P(s)||, the largest |u^H P(s) v| over unit u, v.
    It is also at most the product of the largest ||I - s W^n||, which are convex in s and so largest at the ends.
    """
    lower, transient = float(np.max(modes.norms)), float(np.max(modes.transients))
    if not sampled:
        return StageNorm(lower, lower, transient, True)
    excess = 1 / math.cos(math.pi / (2 * SAMPLES))
    products = np.cumprod(np.max(modes.factor_norms, axis=1))
    upper = max(lower, min(lower * excess, float(products[-1])))
    return StageNorm(
        lower, upper, max(transient, min(transient * excess, float(np.max(products)))), upper <= lower * (1 + ROUNDING)
    )


def chebyshev_modes(high: float, low: float, blocks: int) -> np.ndarray:
    """64 N + 1 Chebyshev points of [low, high], ends included, ascending."""
    m = SAMPLES * blocks
    x = np.cos(math.pi * np.arange(m, -1, -1) / m)
    return (low * (1 - x) + high * (1 + x)) / 2


def euclidean_norm(op: NonlocalOperator, modes: Amplification) -> StageNorm:
    """The 2-norms of prod_n (I + L (x) W^n): of the matrix when it is small, else by Lanczos on T^H T.

    In eigenvectors of L that are not orthogonal the modes give only a lower bound, max_s ||P(s)||.
    """
    L = to_numpy(op.to_dense()).astype(np.float64)
    M, C = len(L), modes.weights[0].channels
    if M * C > LARGEST_DENSE:
        brackets = [_lanczos_norm(L, modes.weights[: n + 1]) for n in range(len(modes.weights))]
        lower = max(brackets[-1][0], float(np.max(modes.norms)))
        return StageNorm(lower, max(lower, brackets[-1][1]), max(1.0, *(upper for _, upper in brackets)), False)
    T, norms = np.eye(M * C), []
    for weight in modes.weights:
        T = T + np.kron(L, weight.matrix) @ T
        norms.append(float(np.linalg.norm(T, 2)))
    return StageNorm(norms[-1], norms[-1], max(1.0, *norms), True)


def _lanczos_norm(L: np.ndarray, weights: Sequence[Weight]) -> tuple[float, float]:
    """||prod_n (I + L (x) W^n)||_2 from below and, as far as Lanczos sees, from above."""
    C = weights[0].channels

    def gram(x: np.ndarray) -> np.ndarray:
        Z = x.reshape(len(L), C)
        for weight in weights:
            Z = Z + L @ Z @ weight.matrix.T
        for weight in reversed(weights):
            Z = Z + L.T @ Z @ weight.matrix.conj()
        return Z.ravel()

    upper = spectrum_ends(gram, len(L) * C, tolerance=RESIDUAL, both=False)[1]
    return math.sqrt(upper / (1 + 4 * RESIDUAL)), math.sqrt(upper)

"""The three meanings of a chain run "in reverse": anti-diffusion, the exact inverse, Bayes' time reversal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmodel.markov.checks import check_transition_matrix
from nlmodel.markov.matrix import Matrix, add_diagonal, as_dense
from nlmodel.markov.reversibility import time_reversal


@dataclass(frozen=True)
class ReverseMeanings:
    """What each meaning of "reverse" does to a chain.

    Attributes
    ----------
    backward_growth : spectral radius of 2I - P, one anti-diffusion step: at most 3, and at most 2 when P is reversible
        without negative eigenvalues.
    inverse_condition : ||P^{-1}||_2, the exact inverse: without bound, infinite for a singular P.
    reversal_gap : max_ij |P*_ij - P_ij|, the distance of Bayes' time reversal from P: 0 to rounding when
        reversible.
    """

    backward_growth: float
    inverse_condition: float
    reversal_gap: float


def backward_step_matrix(P: Any) -> Matrix:
    """One Euler step of diffusion backwards in time, what a negative weight in the network does.

        2I - P = I - (P - I)

    Rows sum to 1, but entries are negative: constants and mass are kept, positivity is not.  Its eigenvalues are
    2 - lambda: a growth of at most 3 a step whatever the mesh, of at most 2 when P is reversible and all lambda >= 0.
    It is not the inverse of P: (2I - P) P = I - (I - P)^2.

    Parameters
    ----------
    P : (M, M) transition matrix, P_ij = probability of i -> j; an operator stands for its averaging matrix K.

    Returns  (M, M) matrix in the storage and dtype of P.
    """
    A = check_transition_matrix(P)
    return add_diagonal(-A, np.full(A.shape[0], 2.0))


def inverse_condition(P: Any) -> float:
    """How much the exact inverse of one step can amplify an error.

        ||P^{-1}||_2 = 1 / (smallest singular value of P)

    A smooth kernel gives a nearly singular P, so undoing a step is ill-posed: the number grows without bound
    under refinement.

    Parameters
    ----------
    P : (M, M) transition matrix, dense, or sparse of at most 512 states.

    Returns  float >= 1 / ||P||_2; infinite when P is singular.  Values above 1 / (M eps) only say "singular
             to rounding".
    Cost     O(M^3).
    """
    smallest = float(np.linalg.svd(as_dense(check_transition_matrix(P), "inverse_condition"), compute_uv=False)[-1])
    return 1 / smallest if smallest > 0 else math.inf


def reverse_meanings(P: Any) -> ReverseMeanings:
    """Measure on one chain what `backward_step_matrix`, `inverse_condition` and `time_reversal` do.

    Parameters
    ----------
    P : (M, M) transition matrix, dense, or sparse of at most 512 states, with a positive stationary law.

    Returns  `ReverseMeanings`.
    Cost     O(M^3).
    """
    A = check_transition_matrix(P)
    dense = as_dense(A, "reverse_meanings")
    growth = float(np.max(np.abs(2 - np.linalg.eigvals(dense))))
    gap = float(np.max(np.abs(as_dense(time_reversal(A), "reverse_meanings") - dense)))
    return ReverseMeanings(growth, inverse_condition(A), gap)

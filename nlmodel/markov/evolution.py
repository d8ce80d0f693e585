"""The two actions of a transition matrix: on densities by its transpose, on observables by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlmodel.markov.checks import check_field, check_transition_matrix


def evolve_density(P: Any, z: Any) -> np.ndarray:
    """One step of the forward equation: where the mass goes.

        z_j' = sum_i z_i P_ij,     z' = P^T z          Tao et al. 2018, eq. (22), for row sums 1

    Conserves sum_i z_i.  Dual to `evolve_observable`: <P^T z, f> = <z, P f>.

    Parameters
    ----------
    P : (M, M) transition matrix, P_ij = probability of i -> j; an operator stands for its averaging matrix K.
    z : (M,) or (M, C) densities, in the dtype of P.

    Returns  array of the shape of `z`.
    Raises   DomainError: rows that do not sum to 1; says so when the columns do.
    Cost     one product with P^T.
    """
    A = check_transition_matrix(P)
    return A.T @ check_field(z, A, "z")


def evolve_observable(P: Any, f: Any) -> np.ndarray:
    """One step of the backward equation: the expectation of f after a move.

        (P f)_i = sum_j P_ij f_j                       Tao et al. 2018, eq. (23), for K with row sums 1

    Keeps constants, and min f <= P f <= max f.  Parameters, raises and cost as in `evolve_density`.
    """
    A = check_transition_matrix(P)
    return A @ check_field(f, A, "f")

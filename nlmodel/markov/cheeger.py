"""The Cheeger constant: the narrowest bottleneck of a small chain."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlmodel.errors import DomainError
from nlmodel.markov.checks import check_transition_matrix
from nlmodel.markov.matrix import as_dense
from nlmodel.markov.stationary import stationary


MOST_STATES = 16


def cheeger_constant(P: Any) -> float:
    """The smallest escape probability of a set that holds at most half of the mass.

        h = min over sets S with 0 < pi(S) <= 1/2 of  F(S, S^c) / pi(S),     F_ij = pi_i P_ij

    For a reversible chain it brackets the gap (Cheeger, Jerrum-Sinclair): h^2 / 2 <= 1 - lambda_2 <= 2 h.
    Found over all 2^(M-1) splittings; since F(S, S^c) = F(S^c, S) in equilibrium the smaller side is the
    denominator.

    Parameters
    ----------
    P : (M, M) transition matrix with 2 <= M <= 16 and a unique stationary law, P_ij = probability of i -> j.

    Returns  float >= 0; infinite when one state carries all the mass, so that there is no such set.
    Raises   DomainError: fewer than 2 or more than 16 states, or several recurrent classes.
    Cost     O(2^M M).
    """
    A = check_transition_matrix(P)
    M = A.shape[0]
    if not 2 <= M <= MOST_STATES:
        raise DomainError(
            f"cheeger_constant tries all sets of 2 to {MOST_STATES} states",
            got=f"{M} states",
            fix="the gap bounds it: gap / 2 <= h <= sqrt(2 gap), see spectral_gap",
        )
    law = stationary(A).astype(np.float64)
    flow = law[:, None] * as_dense(A, "cheeger_constant")
    inside = (np.arange(1, 2 ** (M - 1))[:, None] >> np.arange(M)) & 1 == 1
    escape = np.sum((inside @ flow) * ~inside, axis=1)
    mass = np.minimum(inside @ law, ~inside @ law)
    return float(np.min(escape[mass > 0] / mass[mass > 0], initial=np.inf))

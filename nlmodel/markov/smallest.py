"""The smallest eigenvalue of a sparse symmetric matrix, certified by the signs of the pivots."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import diags_array

from nlmodel.errors import ConvergenceError
from nlmodel.markov.lanczos import smallest_ritz
from nlmodel.markov.matrix import Sparse, symmetric_lu


CERTAINTY = 1e-12  # the pivots of a factorisation are good to about 1e-14
MOST_ROUNDS = 30


def smallest_eigenvalue(S: Sparse) -> float:
    """The smallest eigenvalue of the symmetric matrix S, within 1e-12.

    Lanczos alone can settle on a neighbour of the end of the spectrum without any sign of it.  Here a Ritz value is
    an upper bound, and a shift below it at which all pivots of S - shift I are positive is a lower bound (Sylvester);
    the two are brought together by Lanczos for the inverse at that shift.

    Parameters
    ----------
    S : (M, M) symmetric `csr_array`, float64, of norm about 1.

    Raises   ConvergenceError: the bounds did not meet.
    Cost     40 products and a few factorisations of the pattern of S in a symmetric ordering.
    """
    upper, doubt = smallest_ritz(lambda x: S @ x, S.shape[0], steps=40)
    shift = upper - 1.0
    for _ in range(MOST_ROUNDS):
        shift = upper - max(2 * doubt, CERTAINTY / 2)
        factors = _positive_factors(S, shift)
        if factors is None:
            doubt = 10 * max(doubt, CERTAINTY)
            continue
        if upper - shift <= CERTAINTY:
            return upper
        inverse = smallest_ritz(lambda x, solve=factors.solve: -solve(x), S.shape[0], steps=20)
        upper, doubt = min(upper, shift - 1 / inverse.value), inverse.residual / inverse.value**2
    raise ConvergenceError(
        "the bounds on the smallest eigenvalue did not meet",
        got=f"{shift!r} to {upper!r} after {MOST_ROUNDS} rounds",
        fix="pass absolute=False if only the gap at the top is needed, or P.toarray()",
    )


def _positive_factors(S: Sparse, shift: float) -> Any:
    """The factorisation of S - shift I when it is positive definite, else None."""
    try:
        lu = symmetric_lu(S - diags_array(np.full(S.shape[0], shift)))
    except RuntimeError:
        return None
    return lu if np.array_equal(lu.perm_r, lu.perm_c) and np.min(lu.U.diagonal()) > 0 else None

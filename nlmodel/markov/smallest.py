"""The smallest eigenvalue of a sparse symmetric matrix, certified by the signs of the pivots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.sparse import diags_array
from scipy.sparse.linalg import splu

from nlmodel.errors import ConvergenceError
from nlmodel.markov.matrix import Sparse


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
    Cost     60 products and a few factorisations of the pattern of S in a symmetric ordering.
    """
    upper, doubt = _smallest_ritz(lambda x: S @ x, S.shape[0], 60)
    shift = upper - 1.0
    for _ in range(MOST_ROUNDS):
        shift = upper - max(2 * doubt, CERTAINTY / 2)
        factors = _positive_factors(S, shift)
        if factors is None:
            doubt = 10 * max(doubt, CERTAINTY)
            continue
        if upper - shift <= CERTAINTY:
            return upper
        ritz, residual = _smallest_ritz(lambda x, solve=factors.solve: -solve(x), S.shape[0], 20)
        upper, doubt = min(upper, shift - 1 / ritz), residual / ritz**2
    raise ConvergenceError(
        "the bounds on the smallest eigenvalue did not meet",
        got=f"{shift!r} to {upper!r} after {MOST_ROUNDS} rounds",
        fix="pass absolute=False if only the gap at the top is needed, or P.toarray()",
    )


def _smallest_ritz(action: Callable[[np.ndarray], np.ndarray], size: int, steps: int) -> tuple[float, float]:
    """The smallest Ritz value after some Lanczos steps from a fixed start, and the norm of its residual."""
    q = np.random.default_rng(0).standard_normal(size)
    q /= np.linalg.norm(q)
    previous, basis, diagonal, beside = np.zeros(size), [], [], [0.0]
    for _ in range(min(steps, size)):
        basis.append(q)
        r = action(q) - beside[-1] * previous
        diagonal.append(float(q @ r))
        r -= diagonal[-1] * q
        for b in basis:
            r -= (b @ r) * b
        beside.append(float(np.linalg.norm(r)))
        if beside[-1] <= np.finfo(np.float64).eps * abs(diagonal[0]):
            break
        previous, q = q, r / beside[-1]
    values, vectors = eigh_tridiagonal(diagonal, beside[1:-1], select="i", select_range=(0, 0))
    return float(values[0]), float(beside[-1] * abs(vectors[-1, 0]))


def _positive_factors(S: Sparse, shift: float) -> Any:
    """The factorisation of S - shift I when it is positive definite, else None."""
    shifted = (S - diags_array(np.full(S.shape[0], shift))).tocsc()
    try:
        lu = splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    except RuntimeError:
        return None
    return lu if np.array_equal(lu.perm_r, lu.perm_c) and np.min(lu.U.diagonal()) > 0 else None

"""The rate of the slowest mode of a large sparse reversible chain."""

from __future__ import annotations

import numpy as np

from nlmodel.errors import ConvergenceError
from nlmodel.markov.davidson import Map, smallest_beside
from nlmodel.markov.lumping import two_level_inverse
from nlmodel.markov.matrix import Sparse, transposed
from nlmodel.markov.symmetric import SymmetricForm, laplacian, pseudo_inverse
from nlmodel.testing import tolerance


RELATIVE = 1e-14  # of an estimate that overstates the error of most chains
STEPS = 200


def slowest_rate(P: Sparse, form: SymmetricForm) -> float:
    """The smallest value 1 - lambda > 0 of a connected chain P.

    By Davidson's method, beginning with lumps of neighbouring states; where it does not converge, by a factorisation.
    """
    mode = None
    if np.min(form.root) ** 2 > np.finfo(np.float64).tiny:
        mode = slowest_mode(form, two_level_inverse(form))
    if mode is None:
        mode = slowest_mode(form, pseudo_inverse(form))
    if mode is None:
        raise ConvergenceError(
            "Davidson's method stopped before its tolerance",
            got=f"{STEPS} steps",
            why="many modes decay nearly as slowly as the slowest one",
            fix="pass P.toarray()",
        )
    return decay_rate(P, mode)


def slowest_mode(form: SymmetricForm, inverse: Map) -> np.ndarray | None:
    """The unit eigenvector of the smallest value 1 - lambda > 0, by Davidson's method with that inverse of I - S."""
    L, rounding = laplacian(form), tolerance("elementwise", scale=2.0)
    return smallest_beside(lambda x: L @ x, inverse, form.root, steps=STEPS, relative=RELATIVE, rounding=rounding)


def decay_rate(P: Sparse, u: np.ndarray) -> float:
    """u^T (I - S) u / u^T u as a sum without cancellation: of (sqrt(P_ij) u_i - sqrt(P_ji) u_j)^2 over all edges."""
    half = P.astype(np.float64).sqrt()
    flow = half.data * u.repeat(np.diff(P.indptr)) - transposed(half).data * u[P.indices]
    return float(flow @ flow) / 2 / float(u @ u)

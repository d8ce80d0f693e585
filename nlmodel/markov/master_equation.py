"""The master equation of a jump process and its Euler step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nlmodel._arrays import check_number
from nlmodel.errors import UnstableStepError
from nlmodel.markov.checks import check_field, check_generator
from nlmodel.markov.matrix import Matrix, off_diagonal, row_sums, scale


def master_equation_rhs(Q: Any, z: Any) -> np.ndarray:
    """The rate of change of a density: what arrives minus what leaves.

        dz_j/dt = sum_{i != j} (Q_ij z_i - Q_ji z_j) = (Q^T z)_j          Tao et al. 2018, eq. (20)

    Parameters
    ----------
    Q : (M, M) generator, Q_ij = rate of i -> j; an operator stands for L = K - diag(exit rate).
    z : (M,) or (M, C) densities, in the dtype of Q.

    Returns  array of the shape of `z`; its sum over states is 0 to rounding.
    Cost     one product with Q^T.
    """
    A = check_generator(Q)
    return A.T @ check_field(z, A, "z")


def euler_limit(Q: Any) -> float:
    """The largest dt for which I + dt Q is a transition matrix: 1 / max_i |Q_ii|; infinite if nothing moves."""
    rate = largest_rate(check_generator(Q))
    return 1 / rate if rate > 0 else math.inf


def euler_step(Q: Any, z: Any, dt: float) -> np.ndarray:
    """One step of forward Euler for the master equation.

        z(t + dt) = z + dt Q^T z                                          Tao et al. 2018, eq. (21)

    Parameters
    ----------
    Q : (M, M) generator, Q_ij = rate of i -> j.
    z : (M,) or (M, C) densities, in the dtype of Q.
    dt : >= 0 and at most `euler_limit(Q)`: then and only then I + dt Q has no negative entry.

    Returns  array of the shape of `z`.
    Raises   UnstableStepError: dt beyond the limit.
    Accuracy error O(dt) at a fixed time; mass is kept to rounding, positivity exactly.
    Cost     one product with Q^T.
    """
    A = check_generator(Q)
    field = check_field(z, A, "z")
    dt = check_number(dt, "dt", at_least=0)
    rate = largest_rate(A)
    if rate > 0 and dt > 1 / rate:
        raise UnstableStepError(
            f"dt must be at most 1 / max_i |Q_ii| = {1 / rate:.6g}",
            got=dt,
            why="I + dt Q has a negative entry, so that positive densities turn negative",
            fix="shorten dt, or use propagate(Q, z, t), which has no limit",
        )
    moves = scale(off_diagonal(A), rows=np.full(A.shape[0], dt))
    stays = np.maximum(1 - row_sums(moves), 0.0).astype(A.dtype)
    return moves.T @ field + (stays if field.ndim == 1 else stays[:, None]) * field


def largest_rate(A: Matrix) -> float:
    """max_i |Q_ii|."""
    return float(np.max(np.abs(A.diagonal())))

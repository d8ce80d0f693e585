"""Mixing: how far a chain is from equilibrium after t steps from its worst start, and when that is small."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse

from nlmodel._arrays import check_count, check_number
from nlmodel.errors import ConvergenceError, DomainError, DtypeError, ShapeError
from nlmodel.markov.checks import check_transition_matrix
from nlmodel.markov.classes import class_period
from nlmodel.markov.matrix import DENSE_STATES, Matrix, as_csr, as_dense, transposed
from nlmodel.markov.mixing_modes import mixing_time_by_modes
from nlmodel.markov.stationary import log_stationary


STARTS_AT_ONCE = 64
MOST_DOUBLINGS = 60


def worst_distance(P: Any, t: int, *, starts: Any = None) -> float:
    """The distance from equilibrium after t steps, from the worst start.

        d(t) = max_i TV(P^t(i, .), pi)

    Parameters
    ----------
    P : (M, M) transition matrix with a unique stationary law, P_ij = probability of i -> j.
    t : number of steps >= 0.
    starts : integer array of states over which the maximum runs; default all.

    Returns  float in [0, 1], not increasing in t.
    Cost     dense: O(M^3 log t).  Sparse, or with `starts`: t sparse products for each block of 64 starts, M
             x 64 numbers at a time, never a dense P.
    """
    A = check_transition_matrix(P)
    t = check_count(t, "t")
    law = np.exp(log_stationary(A))
    if starts is None and not issparse(A):
        return _distance(_stochastic_power(as_dense(A, "worst_distance"), t), law)
    worst = 0.0
    for rows in _evolving(A, _check_starts(starts, A.shape[0])):
        for _ in range(t):
            rows.step()
        worst = max(worst, rows.distance(law))
    return worst


def mixing_time(P: Any, eps: float = 0.25, *, starts: Any = None, max_steps: int = 100_000) -> int:
    """The first time at which the chain is within eps of equilibrium from every start.

        t_mix(eps) = min { t : max_i TV(P^t(i, .), pi) <= eps }

    The worst start decides: from the uniform law a doubly stochastic chain is in equilibrium at once, and
    says nothing.

    - Dense chains, and sparse ones of at most 512 states: P^(2^k) by squaring, then bisection.
    - Larger sparse reversible chains: the slowest modes give every TV(P^t(i, .), pi) with a bound for the
      rest, doubled in number until only one t is possible, or so few that sparse products from every state
      decide between them; never a dense P.
    - With `starts`: sparse products step by step, the maximum running over these states only; a lower bound.

    Parameters
    ----------
    P : (M, M) aperiodic transition matrix with a unique stationary law; an operator stands for its averaging
        matrix K.
    eps : in (0, 1).
    starts : integer array of states.
    max_steps : where a run with `starts` gives up.

    Returns  int >= 0.
    Raises   DomainError: a periodic chain (never mixes), several recurrent classes, or a large sparse chain
             that is not reversible and no `starts`.  ConvergenceError: max_steps reached, or modes that leave
             too many t possible.
    Accuracy exact unless d(t) lies within rounding, t M eps, of eps.
    Cost     O(M^3 log t_mix) dense; M^2 multiplications a mode and a round by modes; t_mix products with
             `starts`.
    """
    A = check_transition_matrix(P)
    eps = check_number(eps, "eps", above=0, below=1)
    if (cycle := class_period(as_csr(A))) > 1:
        raise DomainError(
            "the chain must be aperiodic to mix",
            got=f"period {cycle}",
            why="it returns to a state only at multiples of its period",
            fix="use lazy(P, 1/2), the same chain at half speed",
        )
    if starts is not None:
        return _by_steps(A, eps, _check_starts(starts, A.shape[0]), check_count(max_steps, "max_steps", at_least=1))
    if issparse(A) and A.shape[0] > DENSE_STATES:
        upper, exact = mixing_time_by_modes(A, eps)
        return upper if exact else _by_steps(A, eps, np.arange(A.shape[0]), upper)
    return _by_squaring(as_dense(A, "mixing_time"), eps, np.exp(log_stationary(A)))


def _by_squaring(P: np.ndarray, eps: float, law: np.ndarray) -> int:
    if _distance(np.eye(len(P)), law) <= eps:
        return 0
    powers = [P]
    while _distance(powers[-1], law) > eps:
        if len(powers) > MOST_DOUBLINGS:
            raise ConvergenceError(
                "the chain must mix",
                got=f"distance {_distance(powers[-1], law):.3g} after 2^{MOST_DOUBLINGS} steps",
                why="to rounding it falls apart into several classes",
            )
        powers.append(_normalized(powers[-1] @ powers[-1]))
    if len(powers) == 1:
        return 1
    last, t = powers[-2], 2 ** (len(powers) - 2)
    for k in range(len(powers) - 3, -1, -1):
        candidate = _normalized(last @ powers[k])
        if _distance(candidate, law) > eps:
            last, t = candidate, t + 2**k
    return t + 1


def _by_steps(A: Matrix, eps: float, starts: np.ndarray, max_steps: int) -> int:
    law, slowest = np.exp(log_stationary(A)), 0
    for rows in _evolving(A, starts):
        for _ in range(slowest):
            rows.step()
        while (distance := rows.distance(law)) > eps:
            if slowest == max_steps:
                raise ConvergenceError(
                    f"not mixed after max_steps = {max_steps}",
                    got=f"distance {distance:.3g} > eps = {eps}",
                    fix="raise max_steps, or look at mixing_time_bounds(P)",
                )
            rows.step()
            slowest += 1
    return slowest


class _Rows:
    """Some rows of P^t, as columns, for growing t."""

    def __init__(self, step: Matrix, starts: np.ndarray):
        self.transition = step
        self.columns = np.zeros((step.shape[0], len(starts)))
        self.columns[starts, np.arange(len(starts))] = 1.0

    def step(self) -> None:
        self.columns = self.transition @ self.columns

    def distance(self, law: np.ndarray) -> float:
        return 0.5 * float(np.max(np.sum(np.abs(self.columns - law[:, None]), axis=0)))


def _evolving(A: Matrix, starts: np.ndarray):
    """The rows of all `starts`, in blocks."""
    step = transposed(A.astype(np.float64))
    for first in range(0, len(starts), STARTS_AT_ONCE):
        yield _Rows(step, starts[first : first + STARTS_AT_ONCE])


def _check_starts(starts: Any, size: int) -> np.ndarray:
    if starts is None:
        return np.arange(size)
    found = np.asarray(starts)
    if found.dtype.kind not in "iu":
        raise DtypeError("starts must be an array of state numbers", got=f"dtype {found.dtype}")
    if found.ndim != 1 or found.size == 0:
        raise ShapeError("starts must be a non-empty vector", got=f"shape {found.shape}")
    if np.min(found) < 0 or np.max(found) >= size:
        raise DomainError(f"starts must be states 0 to {size - 1}", got=f"{np.min(found)} to {np.max(found)}")
    return found


def _distance(P: np.ndarray, law: np.ndarray) -> float:
    return 0.5 * float(np.max(np.sum(np.abs(P - law), axis=1)))


def _normalized(P: np.ndarray) -> np.ndarray:
    """Rows divided by their sums, so that rounding does not drift with the power."""
    return P / np.sum(P, axis=1, keepdims=True)


def _stochastic_power(P: np.ndarray, t: int) -> np.ndarray:
    result = np.eye(len(P))
    for bit in bin(t)[2:]:
        result = _normalized(result @ result)
        result = _normalized(result @ P) if bit == "1" else result
    return result

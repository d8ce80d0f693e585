"""Detailed balance, the Kolmogorov cycle test and the time reversal of a chain."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse

from nlmodel._arrays import check_number
from nlmodel.errors import DomainError
from nlmodel.markov.balance import balance
from nlmodel.markov.checks import check_chain, check_law
from nlmodel.markov.matrix import (
    SHORTEST_SUM,
    Matrix,
    add_diagonal,
    as_csr,
    longest_row,
    off_diagonal,
    restricted,
    row_sums,
    scale,
    transposed,
)
from nlmodel.markov.stationary import log_stationary
from nlmodel.testing import tolerance


def is_reversible(P: Any, pi: Any = None, *, tol: float | None = None) -> bool:
    """Whether the chain in equilibrium looks the same backwards in time.

        pi_i P_ij = pi_j P_ji     for all i, j

    Without `pi`: whether this holds for some positive measure, decided by `kolmogorov_cycle_gap`, with no
    need for a unique stationary law.  With `pi`: whether it holds for that law, decided by
    `detailed_balance_gap`.

    Parameters
    ----------
    P : (M, M) transition matrix or generator, row i = from; an operator stands for its generator.
    pi : (M,) probability law in the dtype of P.
    tol : for the gap, >= 0; default what rounding of the entries can do in the dtype of P.

    Cost     O(nnz); sparse stays sparse.
    """
    A, _ = check_chain(P)
    if pi is None:
        found = balance(A)
        return found.gap <= (found.rounding if tol is None else check_number(tol, "tol", at_least=0))
    gap = _flow_gap(A, check_law(pi, "pi", A.shape[0]))
    return gap <= (balance(A).rounding if tol is None else check_number(tol, "tol", at_least=0))


def detailed_balance_gap(P: Any, pi: Any = None) -> float:
    """The largest relative difference between the flow along an edge and the flow back.

        max_ij |F_ij - F_ji| / max(F_ij, F_ji),     F_ij = pi_i P_ij

    Between 0 and 1, and 1 for a one-way edge.  Relative edge by edge, so that an edge in a rarely visited
    corner counts as much as any other.

    Parameters
    ----------
    P : (M, M) transition matrix or generator, row i = from.
    pi : (M,) probability law in the dtype of P; default the stationary law of P.

    Raises   DomainError: pi not given and not unique.
    """
    A, _ = check_chain(P)
    return _flow_gap(A, None if pi is None else check_law(pi, "pi", A.shape[0]))


def kolmogorov_cycle_gap(P: Any) -> float:
    """How far cycles prefer one direction; 0 to rounding exactly for reversible chains, infinite for a
    one-way edge.

        max over fundamental cycles |log (P_ij P_jk ... P_mi) - log (P_im ... P_kj P_ji)|

    Fundamental cycles, one for each edge outside a spanning forest, are enough.  Proof: a_ij = log P_ij - log
    P_ji changes sign with the direction of the edge, so its sum over a closed path depends only on how often,
    with sign, each edge is passed, and linearly.  Those counts form the cycle space, of which the fundamental
    cycles are a basis: the count of a cycle equals the sum of the fundamental cycles of its edges outside the
    forest, since their difference is a closed flow on a forest, hence 0.  So all sums vanish when those of
    the basis do; then log m_j = log m_i + a_ij along paths defines a measure in detailed balance, and
    conversely detailed balance makes each sum telescope to 0 (Kolmogorov's criterion).

    Parameters
    ----------
    P : (M, M) transition matrix or generator, row i = from; an operator stands for its generator.

    Returns  float; the value depends on the forest (breadth first from state 0), whether it is 0 does not.
    Cost     O(nnz + M log depth); sparse stays sparse.
    """
    A, _ = check_chain(P)
    return balance(A).gap


def time_reversal(P: Any, pi: Any = None) -> Matrix:
    """The chain seen backwards in time: Bayes' rule in equilibrium.

        P*_ij = pi_j P_ji / pi_i

    A transition matrix (or generator) with the same stationary law, equal to P exactly when P is reversible,
    and the adjoint of P in <f, g> = sum_i pi_i f_i g_i.

    Parameters
    ----------
    P : (M, M) transition matrix or generator, row i = from.
    pi : (M,) stationary law of P in its dtype; default `stationary(P)`.

    Returns  (M, M) matrix in the storage and dtype of P; rows scaled to sum to 1 (or 0) to rounding.
    Raises   DomainError: pi not stationary, or states that it does not charge.
    Cost     O(nnz) beyond the stationary law.
    """
    A, rates = check_chain(P)
    if pi is None:
        logs = log_stationary(A)
    else:
        law = check_law(pi, "pi", A.shape[0])
        _check_stationary(A, law)
        with np.errstate(divide="ignore"):
            logs = np.log(law.astype(np.float64))
    if np.isneginf(np.min(logs)):
        raise DomainError(
            "every state must have positive probability",
            got=f"pi[{int(np.argmin(logs))}] = 0",
            why="a state that is never visited in equilibrium has no past",
            fix="restrict P to its recurrent class: see recurrent_classes(P)",
        )
    moves = transposed(off_diagonal(A)).astype(np.float64)
    with np.errstate(divide="ignore"):
        if issparse(A):
            moves.data = np.exp(np.log(moves.data) + logs[moves.indices] - np.repeat(logs, np.diff(moves.indptr)))
        else:
            moves = np.exp(np.log(moves) + logs - logs[:, None])
    if rates:
        return add_diagonal(moves, -row_sums(moves)).astype(A.dtype)
    backward = add_diagonal(moves, A.diagonal().astype(np.float64))
    return scale(backward, rows=1 / row_sums(backward)).astype(A.dtype)


def _check_stationary(A: Matrix, law: np.ndarray) -> None:
    """Raise unless what leaves each state under `law` also arrives, to rounding of the whole flow."""
    moves = off_diagonal(as_csr(A))
    exits, law = row_sums(moves), law.astype(np.float64)
    residual = float(np.sum(np.abs(moves.T @ law - exits * law)))
    if residual > tolerance("solve", A.dtype, n=max(longest_row(A), SHORTEST_SUM), scale=float(exits @ law)):
        raise DomainError(
            "pi must be the stationary law of P",
            got=f"|pi P - pi|_1 = {residual:.2e}",
            why="Bayes' rule then gives rows that do not sum to 1",
            fix="leave pi out",
        )


def edge_flows(A: Matrix, law: np.ndarray | None) -> tuple[np.ndarray, np.ndarray] | None:
    """log of pi_i |P_ij| and of pi_j |P_ji| over all edges; None when an edge with flow has no way back."""
    with np.errstate(divide="ignore"):
        logs = log_stationary(A) if law is None else np.log(law.astype(np.float64))
    if not issparse(A) and np.all(A) and np.all(np.isfinite(logs)):
        flows = np.log(np.abs(A.astype(np.float64))) + logs[:, None]
        return flows, flows.T
    moves = off_diagonal(as_csr(A))
    states = np.flatnonzero(np.isfinite(logs))
    if len(states) < len(logs):
        leaving, moves, logs = moves[states].nnz, restricted(moves, states), logs[states]
        if leaving > moves.nnz:
            return None
    back = moves.T.tocsr()
    if not (np.array_equal(moves.indptr, back.indptr) and np.array_equal(moves.indices, back.indices)):
        return None
    source = np.repeat(logs, np.diff(moves.indptr))
    return np.log(moves.data) + source, np.log(back.data) + logs[moves.indices]


def _flow_gap(A: Matrix, law: np.ndarray | None) -> float:
    flows = edge_flows(A, law)
    if flows is None:
        return 1.0
    forth, back = flows
    return float(np.max(-np.expm1(-np.abs(forth - back)), initial=0.0))

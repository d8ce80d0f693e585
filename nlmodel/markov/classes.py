"""Communicating classes of a chain: which states can return for ever, and with what period."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.csgraph import breadth_first_order, connected_components

from nlmodel.errors import DomainError
from nlmodel.markov.checks import check_chain, check_transition_matrix
from nlmodel.markov.matrix import Sparse, as_csr, restricted, row_indices


def recurrent_classes(P: Any) -> list[np.ndarray]:
    """The closed communicating classes: sets of states that reach each other and nothing else.

    Every other state is transient.  The stationary law is unique if and only if there is one class.

    Parameters
    ----------
    P : (M, M) transition matrix or generator, row i = from.

    Returns  a list of increasing index arrays.
    Cost     O(nnz), strongly connected components.
    """
    return closed_classes(as_csr(check_chain(P)[0]))


def period(P: Any) -> int:
    """The greatest common divisor of the lengths of all cycles of the chain's one recurrent class.

    Breadth-first levels l give it: the gcd of l_i + 1 - l_j over all moves i -> j of the class.

    Parameters
    ----------
    P : (M, M) transition matrix, P_ij = probability of i -> j; an operator stands for its averaging matrix K.

    Returns  int, 1 for an aperiodic chain.
    Raises   DomainError: several recurrent classes, or P not a transition matrix.
    Cost     O(nnz).
    """
    return class_period(as_csr(check_transition_matrix(P)))


def class_period(csr: Sparse) -> int:
    """`period` of a checked chain."""
    states = the_recurrent_class(csr)
    inner = restricted(csr, states)
    order, parents = breadth_first_order(inner, 0, return_predecessors=True)
    level = np.zeros(len(states), dtype=np.int64)
    for i in order[1:]:
        level[i] = level[parents[i]] + 1
    return int(np.gcd.reduce(level[row_indices(inner)] + 1 - level[inner.indices]))


def the_recurrent_class(csr: Sparse) -> np.ndarray:
    """The only recurrent class; `DomainError` naming their number when there are several."""
    classes = closed_classes(csr)
    if len(classes) > 1:
        raise several_classes(len(classes))
    return classes[0]


def closed_classes(csr: Sparse) -> list[np.ndarray]:
    """`recurrent_classes` of a checked chain."""
    count, label = connected_components(csr, connection="strong")
    rows = label[row_indices(csr)]
    closed = np.ones(count, dtype=bool)
    closed[rows[rows != label[csr.indices]]] = False
    order = np.argsort(label, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(label, minlength=count))[:-1])
    return [group for group, is_closed in zip(groups, closed, strict=True) if is_closed]


def several_classes(count: int) -> DomainError:
    """The error for a chain whose stationary law is not unique."""
    return DomainError(
        "the stationary law must be unique",
        got=f"a chain with {count} recurrent classes",
        why="each class carries a stationary law of its own, and any mixture of them is stationary too",
        fix="pass one class: P[states][:, states] for states in recurrent_classes(P)",
    )

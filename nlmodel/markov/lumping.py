"""A chain whose neighbouring states are lumped together, and the inverse on two levels that it makes possible."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from nlmodel.markov.matrix import Sparse, exit_sums, row_indices, transposed
from nlmodel.markov.symmetric import SymmetricForm, laplacian, pseudo_inverse


STRONG = 0.25  # of the largest entry: across weaker ones a slow mode may jump
DAMPING = 2 / 3  # of a Jacobi step, which is positive definite below 1: the moves have eigenvalues of at most 2 exits


def two_level_inverse(form: SymmetricForm) -> Callable[[np.ndarray], np.ndarray]:
    """x -> about (I - S)^+ x of a sparse connected form, symmetric: a Jacobi step, the lumped chain, a Jacobi step."""
    Q = indicators(form.root, lumps(form.matrix))
    back, solve = transposed(Q), pseudo_inverse(lumped(form, Q))
    L, damped = laplacian(form), DAMPING / form.exits

    def apply(x: np.ndarray) -> np.ndarray:
        y = damped * x
        y += Q @ solve(back @ (x - L @ y))
        return y + damped * (x - L @ y)

    return apply


def lumped(form: SymmetricForm, Q: Sparse) -> SymmetricForm:
    """The chain between lumps in equilibrium, P_ab = sum_{i in a, j in b} pi_i P_ij / pi_a, in symmetric form."""
    matrix, root = (transposed(Q) @ (form.matrix @ Q)).tocsr(), transposed(Q) @ form.root
    matrix.sort_indices()
    moves = csr_array((matrix.data * root[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)
    return SymmetricForm(matrix, exit_sums(moves) / root, root, 1)


def indicators(root: np.ndarray, label: np.ndarray) -> Sparse:
    """(M, lumps) root of each state in the column of its lump, columns of norm 1."""
    share = root / np.sqrt(np.bincount(label, root**2))[label]
    return csr_array((share, label, np.arange(len(label) + 1, dtype=label.dtype)))


def lumps(S: Sparse) -> np.ndarray:
    """The lump of each state: some states of which no two are neighbours, each with states around it.

    S is symmetric and connected, of 2 states at least.  Neighbours are joined by an entry that is not far below the
    largest in one of their rows.  The states are found by random priorities in a few rounds (Luby 1986): who comes
    before all neighbours that are still free is taken, and they are free no more.
    """
    source = row_indices(S)
    moves = np.where(source == S.indices, 0, S.data)
    largest = np.maximum.reduceat(moves, S.indptr[:-1])
    beside = moves > STRONG * np.minimum(largest[source], largest[S.indices])

    def largest_beside(x: np.ndarray) -> np.ndarray:
        return np.maximum.reduceat(beside * x[S.indices], S.indptr[:-1])

    free = np.random.default_rng(0).permutation(S.shape[0]).astype(S.indices.dtype) + 1
    taken = np.zeros_like(free)
    while np.any(free):
        taken[(free > 0) & (free > largest_beside(free))] = 1
        free[(taken | largest_beside(taken)) > 0] = 0
    number = np.cumsum(taken, dtype=taken.dtype) * taken
    return np.where(taken, number, largest_beside(number)) - 1

"""The symmetric form of a reversible chain, and its slowest modes when it is large and sparse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from nlmodel.errors import ConvergenceError, DomainError, NotReversibleError
from nlmodel.markov.balance import balance
from nlmodel.markov.matrix import Matrix, Sparse, exit_sums, transposed, with_diagonal
from nlmodel.markov.stationary import factorize
from nlmodel.spectrum.lanczos import first_vector


@dataclass(frozen=True, eq=False)
class SymmetricForm:
    """S = D^{1/2} P D^{-1/2} with D = diag(pi) of a reversible chain: symmetric, with the eigenvalues of P.

    Detailed balance gives S_ij = sqrt(P_ij P_ji), so that neither pi nor a quotient of small numbers is needed.

    Attributes
    ----------
    matrix : S, float64, in the storage of P.
    exits : (M,) 1 - P_ii, as the sum of the other entries of the row.
    root : (M,) sqrt(pi), the eigenvector of 1, of norm 1; of one tree if there are several components.
    components : the multiplicity of the eigenvalue 1.
    """

    matrix: Matrix
    exits: np.ndarray
    root: np.ndarray
    components: int


def symmetric_form(A: Matrix) -> SymmetricForm:
    """The symmetric form of a checked transition matrix; `NotReversibleError` when it has none."""
    if A.shape[0] < 2:
        raise DomainError("a spectral gap needs at least 2 states", got=f"{A.shape[0]} state")
    found = balance(A)
    if not found.holds or found.log_measure is None:
        raise NotReversibleError(
            "the chain must be reversible",
            got=f"Kolmogorov cycle gap {found.gap:.2e}",
            why="otherwise its eigenvalues may be complex and do not bound its mixing",
            fix="use second_eigenvalue_modulus(P), or spectral_gap((P + time_reversal(P)) / 2), "
            "the gap of its additive reversibilisation",
        )
    root = np.exp((found.log_measure - np.max(found.log_measure)) / 2)
    half = A.astype(np.float64).sqrt() if issparse(A) else np.sqrt(A.astype(np.float64))
    matrix = _times_transposed(half) if issparse(A) else half * half.T
    return SymmetricForm(matrix, exit_sums(A), root / np.linalg.norm(root), found.components)


def _times_transposed(A: Sparse) -> Sparse:
    """A_ij A_ji of a matrix whose entries all have an opposite."""
    return csr_array((A.data * transposed(A).data, A.indices, A.indptr), shape=A.shape)


def laplacian(form: SymmetricForm) -> Sparse:
    """I - S of a sparse form."""
    return with_diagonal(-form.matrix, form.exits)


def pseudo_inverse(form: SymmetricForm) -> Callable[[np.ndarray], np.ndarray]:
    """x -> (I - S)^+ x of a sparse connected form.

    I - S + c e_k e_k^T is positive definite, and for b orthogonal to sqrt(pi) its solution solves (I - S) x = b too
    (multiply by sqrt(pi)^T: x_k = 0).  So there is one factorisation and no shift to choose; 0 for a single state.
    """
    root = form.root
    if len(root) == 1:
        return np.zeros_like
    lu = factorize(form.matrix, form.exits, int(np.argmax(root)))

    def apply(x: np.ndarray) -> np.ndarray:
        y = lu.solve(x - root * (root @ x))
        return y - root * (root @ y)

    return apply


def slowest_modes(form: SymmetricForm, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The smallest values 1 - lambda > 0, increasing, with eigenvectors, by ARPACK for the pseudo-inverse of I - S."""
    values, vectors = _lanczos(_Map(len(form.root), pseudo_inverse(form)), count)
    order = np.argsort(-values)
    return 1 / values[order], vectors[:, order]


class _Map(LinearOperator):
    """A function of vectors, for ARPACK."""

    def __init__(self, size: int, function: Callable[[np.ndarray], np.ndarray]):
        super().__init__(np.dtype(np.float64), (size, size))
        self.function = function

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self.function(x.ravel())


def _lanczos(operator: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest eigenvalues by ARPACK, to machine precision, from a fixed start."""
    try:
        found: Any = eigsh(operator, k=count, which="LA", v0=first_vector(operator.shape[0]), ncv=max(8, 2 * count + 4))
    except ArpackNoConvergence as error:
        raise ConvergenceError("Lanczos stopped before its tolerance", got=str(error)) from error
    return found

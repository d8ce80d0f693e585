"""Eigenvalues of matrices and nonlocal operators, and the two numbers that asymptotic stability asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.sparse.linalg import aslinearoperator

from nlmodel._arrays import Array, check_array, check_choice, check_count, check_number, to_numpy
from nlmodel.errors import ChoiceError, ShapeError
from nlmodel.spectrum._guards import check_at_most, matrix
from nlmodel.spectrum.krylov import krylov_eigenvalues


DENSE_SIZE = 1500
KEYS: dict[str, Callable] = {
    "largest": lambda values: values.real,
    "smallest": lambda values: -values.real,
    "magnitude": np.abs,
}


@dataclass(frozen=True)
class _Problem:
    """A square matrix as both solvers want it: all entries at once, or products with real vectors."""

    size: int
    dtype: np.dtype
    hermitian: bool
    dense: Callable[[], np.ndarray]
    apply: Callable[[np.ndarray], np.ndarray]


def _is_hermitian(A: np.ndarray) -> bool:
    return bool(np.max(np.abs(A - A.conj().T)) <= 4 * np.finfo(A.dtype).eps * np.max(np.abs(A)))


def _from_operator(op: Any, of: str) -> _Problem:
    if len(op.shape) != 2:
        raise ShapeError("the operator must not be a batch", got=f"shape {tuple(op.shape)}", fix="take one of it")
    base = op.symmetrized() if op.reversible else op
    linear = aslinearoperator(base.to_scipy())
    exit_rate = np.broadcast_to(to_numpy(op.exit_rate), (op.size,)).astype(linear.dtype)
    sign = {(True, "K"): 0, (True, "L"): -1, (False, "K"): 1, (False, "L"): 0}[bool(op.reversible), of]
    return _Problem(
        size=op.size,
        dtype=np.dtype(linear.dtype),
        hermitian=bool(op.reversible),
        dense=lambda: to_numpy(base.to_dense()) + sign * np.diag(exit_rate),
        apply=lambda x: linear.matvec(x) + sign * exit_rate * x,
    )


def _from_matrix(A: Array) -> _Problem:
    if issparse(A):
        entries: Any = csr_array(A)
        check_array(entries.data if entries.nnz else np.zeros(1, entries.dtype), "A", complex_ok=True)
        if A.ndim != 2 or A.shape[0] != A.shape[1]:
            raise ShapeError("A must be square", got=f"shape {A.shape}")
        if A.shape[0] == 0:
            raise ShapeError("A must not be empty", got=f"shape {A.shape}")
        scale = abs(entries).max()
        hermitian = bool(abs(entries - entries.conj().T).max() <= 4 * np.finfo(entries.dtype).eps * scale)
        return _Problem(A.shape[0], entries.dtype, hermitian, entries.toarray, lambda x: entries @ x)
    dense = matrix(A, "A")
    return _Problem(len(dense), dense.dtype, _is_hermitian(dense), lambda: dense, lambda x: dense @ x)


def _dense_eigenvalues(problem: _Problem) -> np.ndarray:
    A = problem.dense()
    return np.linalg.eigvalsh(0.5 * (A + A.conj().T)) if problem.hermitian else np.linalg.eigvals(A)


def eigenvalues(
    A: Any,
    k: int | None = None,
    which: str = "largest",
    *,
    of: str = "K",
    method: str = "auto",
    tolerance: float | None = None,
    max_products: int = 3000,
) -> np.ndarray:
    """Eigenvalues of a matrix, or of the averaging part K or the generator L of a nonlocal operator.

    A reversible operator is first made symmetric, S = M^{1/2} K M^{-1/2} with M its measure, so that its
    eigenvalues come out real; with exit rates e, L = K - diag(e) becomes S - diag(e).

    Parameters
    ----------
    A : (N, N) floating array, scipy.sparse matrix, or NonlocalOperator.
    k : how many; None for all.
    which : "largest" real part (falling), "smallest" real part (rising), or "magnitude" (falling).
    of : "K" (default) or "L"; a matrix has only itself, "K".
    method : "dense", "krylov" (real `A`, k < N - 1), or "auto": krylov for N > 1500 where it can.
    tolerance : of krylov: residual relative to the norm; default eps^(2/3).
    max_products : of krylov: products with `A` before it gives up.

    Returns  (k,) array: real when `A` is reversible or Hermitian to rounding, complex otherwise.
    Raises   ShapeError / DtypeError / NonFiniteError / DomainError / ChoiceError; ConvergenceError from krylov.
    Accuracy dense: backward stable. krylov: backward error `tolerance` ||A||; for real spectra the error itself.
    Cost     dense O(N^3); krylov up to `max_products` products and 300 vectors of memory.
    """
    check_choice(which, "which", KEYS)
    check_choice(of, "of", ("K", "L"))
    check_choice(method, "method", ("auto", "dense", "krylov"))
    is_operator = hasattr(A, "reversible")
    if of == "L" and not is_operator:
        raise ChoiceError("of='L' needs a nonlocal operator", got=type(A).__name__, fix="pass the matrix that you mean")
    problem = _from_operator(A, of) if is_operator else _from_matrix(A)
    size, real = problem.size, problem.dtype.kind == "f"
    k = size if k is None else check_count(k, "k", at_least=1)
    check_at_most(k, size, "k", "there are no more eigenvalues")
    default = float(np.finfo(problem.dtype).eps) ** (2 / 3)
    residual = check_number(default if tolerance is None else tolerance, "tolerance", above=0.0)
    check_count(max_products, "max_products", at_least=1)
    if method == "krylov":
        check_at_most(k, size - 2, "k", "a Krylov space cannot confirm more eigenvalues than that")
        if not real:
            raise ChoiceError("method='krylov' is for real A", got=f"dtype {problem.dtype}", fix="method='dense'")
    key = KEYS[which]
    if method == "krylov" or (method == "auto" and size > DENSE_SIZE and real and k < size // 4):
        values = krylov_eigenvalues(
            problem.apply,
            size,
            k,
            key,
            dtype=problem.dtype,
            hermitian=problem.hermitian,
            tolerance=residual,
            max_products=max_products,
        )
    else:
        values = _dense_eigenvalues(problem)
    if not problem.hermitian:
        values = values.astype(np.result_type(values.dtype, np.complex64))
    order = np.lexsort((-np.imag(values), -np.real(values), -key(values)))
    return values[order[:k]]


def spectral_abscissa(A: Any, *, of: str = "K") -> float:
    """Largest real part of the eigenvalues: the growth rate of exp(t A) for t -> infinity.

    Parameters, Raises, Accuracy and Cost as for `eigenvalues` with k = 1.
    """
    return float(eigenvalues(A, 1, "largest", of=of)[0].real)


def spectral_radius(A: Any, *, of: str = "K") -> float:
    """Largest magnitude of the eigenvalues: the growth factor of A^n for n -> infinity.

    Parameters, Raises, Accuracy and Cost as for `eigenvalues` with k = 1.
    """
    return float(np.abs(eigenvalues(A, 1, "magnitude", of=of)[0]))

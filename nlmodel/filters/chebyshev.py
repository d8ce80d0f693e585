"""A Chebyshev graph filter, by the three-term recurrence in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from nlmodel._arrays import Array, check_alike, check_array, check_number, check_square
from nlmodel.errors import DtypeError, ShapeError
from nlmodel.operators.csr_recurrence import chebyshev_sum
from nlmodel.operators.sparse import SparseAffinity


def _averaging(A: Any, Z: Array) -> Callable[[Array], Array]:
    """Z -> A Z, A being an array or an operator; a nonlocal operator acts by its averaging part K."""
    if not any(hasattr(A, mark) for mark in ("average", "to_scipy", "matvec", "tocsr")):
        check_array(A, "A", min_ndim=2)
        check_alike(Z=Z, A=A)
    elif not hasattr(A, "average") and getattr(A, "dtype", None) is not None and Z.dtype != A.dtype:
        raise DtypeError(
            "Z must be a NumPy array in the precision of A",
            got=f"Z {Z.dtype}, A {A.dtype}",
            why="nothing is cast silently",
        )
    check_square(A, "A")
    if A.shape[-1] != Z.shape[-2]:
        raise ShapeError(
            "A and Z must have the same number of positions",
            got=f"shapes {tuple(A.shape)} and {tuple(Z.shape)}",
            why="row i of Z is position i",
        )
    return A.average if hasattr(A, "average") else lambda Y: A @ Y


def _terms(coefficients: Array | Sequence[Array], Z: Array) -> list[Array]:
    """The Theta_k one by one: all numbers, or all (C, C') matrices that fit Z."""
    if isinstance(coefficients, Sequence):
        terms = list(coefficients)
    else:
        check_array(coefficients, "coefficients", min_ndim=1)
        terms = [coefficients[k, ...] for k in range(coefficients.shape[0])]
    if not terms:
        raise ShapeError("coefficients must not be empty", got="no Theta_0", fix="pass at least [1.0]")
    numbers = [isinstance(term, (int, float, np.floating)) for term in terms]
    if all(numbers):
        return [check_number(term, "coefficients") for term in terms]
    if any(numbers):
        raise ShapeError("coefficients must be all numbers, or all matrices", got="a mixture")
    for term in terms:
        check_array(term, "coefficients")
        check_alike(Z=Z, coefficients=term)
        shape = tuple(term.shape)
        if shape != tuple(terms[0].shape) or (shape and (len(shape) != 2 or shape[0] != Z.shape[-1])):
            raise ShapeError(
                "coefficients must be all numbers, or all matrices (C, C') with C the channels of Z",
                got=f"shape {shape} for Z of shape {tuple(Z.shape)}",
            )
    return terms


def chebyshev_filter(A: Any, Z: Array, coefficients: Array | Sequence[Array]) -> Array:
    """Apply a Chebyshev graph filter by the three-term recurrence.

        F = sum_{k=0}^{n} T_k(-A) Z Theta_k                                                     Zhu et al. 2021

    Parameters
    ----------
    A : (..., M, M) real floating array, or an operator with `@` and `shape`. A NonlocalOperator acts by its
        averaging part K, not by its generator.
    Z : (..., M, C) array, features; alike with `A`.
    coefficients : Theta_0, ..., Theta_n: numbers, or (C, C') matrices acting on features from the right, as a
        sequence or as one array of shape (n+1,) or (n+1, C, C').

    Returns  (..., M, C) array, or (..., M, C') with matrices; library, dtype and device of Z; differentiable.
    Raises   ShapeError / DtypeError / NonFiniteError.
    Accuracy absolute error O(n^2 M eps) sum_k |Theta_k| max |Z| for ||A|| <= 1.
    Cost     n products with A, four arrays of the size of Z, whatever n.  A large sparse A on NumPy features: one pass
             over its entries and three over the arrays a step, where numba is there.
    """
    check_array(Z, "Z", min_ndim=2)
    average, terms = _averaging(A, Z), _terms(coefficients, Z)
    if not isinstance(Z, np.ndarray):
        return _recurrence(average, Z, terms)
    found = None if hasattr(terms[0], "ndim") else _sparse_sum(A, Z, terms)
    return _recurrence_in_place(average, Z, terms) if found is None else found


def _weighted(Y: Array, term: Array) -> Array:
    return Y @ term if getattr(term, "ndim", 0) == 2 else Y * term


def _recurrence(average: Callable[[Array], Array], Z: Array, terms: list[Array]) -> Array:
    older, Y = None, Z
    total = _weighted(Y, terms[0])
    for term in terms[1:]:
        older, Y = Y, -average(Y) if older is None else -2 * average(Y) - older
        total = total + _weighted(Y, term)
    return total


def _recurrence_in_place(average: Callable[[Array], Array], Z: np.ndarray, terms: list[Array]) -> np.ndarray:
    """The same where arrays may be written into: T_k Z takes the place of the product, its term that of T_{k-2} Z."""
    older, Y = None, Z
    total = _weighted(Y, terms[0])
    for term in terms[1:]:
        new = average(Y)
        if np.may_share_memory(new, Y):
            new = new.copy()
        new *= -1 if older is None else -2
        if older is not None:
            new -= older
        if older is None or older is Z or older.shape != new.shape or getattr(term, "ndim", 0) == 2:
            total = total + _weighted(new, term)
        else:
            total += np.multiply(new, term, out=older)
        older, Y = Y, new
    return total


def _sparse_sum(A: Any, Z: np.ndarray, terms: list[float]) -> np.ndarray | None:
    """With all its steps in one place, where A is sparse and large."""
    K = getattr(A, "averaging", A)
    if isinstance(K, csr_array) and K.has_canonical_format:
        K = SparseAffinity(K, None, False)
    return chebyshev_sum(K, Z, terms) if isinstance(K, SparseAffinity) else None

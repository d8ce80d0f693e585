"""The Chebyshev recurrence with a sparse matrix in one pass a step, on all cores, in three arrays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from scipy.sparse import csr_array

from nlmodel._jit import compiled
from nlmodel.operators.csr_product import COMPILED_FROM, even_ranges, parts_of, ranges_of_entries
from nlmodel.operators.sparse import SparseAffinity
from nlmodel.operators.threads import cores, every


ENDED = 2**62  # turns taken and done, more than there are
BREATH = 1e-5  # seconds that a thread sleeps which has waited for long, as another may need its core


def chebyshev_sum(K: SparseAffinity, Z: np.ndarray, theta: Sequence[float]) -> np.ndarray | None:
    """sum_k theta_k T_k(-K) Z, or None where products one by one do as well: few entries, or no numba.

    For K = diag(l) P^T A P diag(r), P the stored order, the U_k = P diag(r) T_k(-K) Z satisfy

        U_1 = -G A U_0,     U_{k+1} = -2 G A U_k - U_{k-1},     G = P diag(l r) P^T

    which takes the fields into the stored order and back once, not at each product, and puts U_{k+1} in the place of
    U_{k-1} row by row.

    Parameters
    ----------
    Z : (M, C) array in the precision of K.
    theta : n + 1 numbers.
    """
    A, dtype = K.stored, K.dtype
    plain = Z.ndim == 2 and Z.dtype == dtype and dtype.isnative and len(theta) > 1
    loops = compiled("operators.csr_compiled") if plain and A.nnz * Z.shape[1] >= COMPILED_FROM else None
    if loops is None:
        return None
    Z, none = np.ascontiguousarray(Z), np.empty(0, dtype)
    order, place = (np.empty(0, np.int32) if v is None else v for v in (K.order, K.place))
    left, right = (np.ones(len(Z), dtype) if v is None else v for v in (K.left, K.right))
    G, U, rows = left * right, np.empty_like(Z), even_ranges(len(Z))
    every(lambda part: loops.sort(Z, order, right, U, *part), rows)
    total = _steps(loops, A, -(G if K.order is None else G[K.order]), U, np.array(theta, dtype))
    result, back = U, 1 / right
    every(lambda part: loops.restore(total, place, back, none, Z, result, *part), rows)
    return result


def _steps(loops: ModuleType, A: csr_array, factors: np.ndarray, U: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """sum_k theta_k U_k; U is used as scratch.

    The threads share the steps themselves: to wake one at each of them may take longer than the step.
    """
    total, older = theta[0] * U, np.zeros_like(U)
    fields = [v if U.shape[1] > 1 else v[:, 0] for v in (U, older, total)]
    counters, bounds = np.zeros(2, np.int64), np.array([0, *(last for _, last in ranges_of_entries(A.indptr))])
    entries = parts_of(A)

    def work(_: int) -> None:
        turn = -1
        try:
            while (turn := loops.recur(*entries, factors, *fields, theta[1:], bounds, counters, turn)) >= 0:
                time.sleep(BREATH)
        except BaseException:  # Control-C: others shall not wait for the turn that is lost
            counters[:] = ENDED
            raise

    every(work, range(cores()))
    return total

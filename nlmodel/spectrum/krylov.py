"""Eigenvalues at one end of a spectrum from products alone: Krylov-Schur, with multiplicities confirmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import get_lapack_funcs, schur

from nlmodel.errors import ConvergenceError


DIMENSION = 300
STRIDE = 10


class Decomposition:
    """A Q_m = Q_{m+1} H with Q^T Q = I and H of size (m+1) x m, grown by one product at a time."""

    def __init__(self, size: int, limit: int, dtype: np.dtype):
        self.size, self.limit, self.m = size, limit, 0
        self.Q = np.zeros((size, limit + 1), dtype=dtype)
        self.H = np.zeros((limit + 1, limit), dtype=dtype)
        self.norm = 0.0
        self._rng = np.random.default_rng(0)
        self._start_afresh()

    def _remainder(self, w: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of `w` in the first columns of Q, and what is left; orthogonal to rounding by doing it twice."""
        Q = self.Q[:, :columns]
        h = Q.T @ w
        w = w - Q @ h
        again = Q.T @ w
        return h + again, w - Q @ again

    def _start_afresh(self) -> None:
        """A random next column, orthogonal to the others and coupled to none."""
        w = self._remainder(self._rng.standard_normal(self.size).astype(self.Q.dtype), self.m)[1]
        self.Q[:, self.m] = w / np.linalg.norm(w)
        self.H[self.m, : self.m] = 0

    def extend(self, apply: Callable[[np.ndarray], np.ndarray]) -> None:
        """One more column."""
        w = apply(self.Q[:, self.m])
        self.norm = max(self.norm, float(np.linalg.norm(w)))
        self.H[: self.m + 1, self.m], w = self._remainder(w, self.m + 1)
        left = float(np.linalg.norm(w))
        self.m += 1
        if self.m == self.size:
            return
        if left > 10 * np.finfo(self.Q.dtype).eps * self.norm:
            self.Q[:, self.m], self.H[self.m, self.m - 1] = w / left, left
        else:
            self._start_afresh()

    def restrict(self, T: np.ndarray, U: np.ndarray, *, lock: bool) -> None:
        """Keep the invariant subspace H U = U T, with its coupling to the next column, or, locked, without."""
        coupling, following, p = self.H[self.m, : self.m] @ U, self.Q[:, self.m].copy(), len(T)
        self.Q[:, :p] = self.Q[:, : self.m] @ U
        self.H[:] = 0
        self.H[:p, :p], self.m = T, p
        if lock:
            self._start_afresh()
        else:
            self.H[p, :p], self.Q[:, p] = coupling, following


def _eigenpairs(H: np.ndarray, hermitian: bool) -> tuple[np.ndarray, np.ndarray]:
    return np.linalg.eigh(0.5 * (H + H.T)) if hermitian else np.linalg.eig(H)


def _leading_schur(H: np.ndarray, key: Callable, keep: int, hermitian: bool) -> tuple[np.ndarray, np.ndarray]:
    """(T, U): H U = U T, U orthonormal, with the `keep` eigenvalues of largest key; a conjugate pair stays whole."""
    if hermitian:
        values, vectors = _eigenpairs(H, hermitian)
        chosen = np.argsort(-key(values), kind="stable")[:keep]
        return np.diag(values[chosen]), vectors[:, chosen]
    factors: Any = schur(H, output="real")
    reorder: Any = get_lapack_funcs("trsen", factors)
    select = np.zeros(len(H), dtype=np.intc)
    _, _, real, imaginary, *_ = reorder(select, *factors, job="N")
    select[np.argsort(-key(real + 1j * imaginary), kind="stable")[:keep]] = 1
    T, U, _, _, p, *_ = reorder(select, *factors, job="N")
    return T[:p, :p], U[:, :p]


def krylov_eigenvalues(
    apply: Callable[[np.ndarray], np.ndarray],
    size: int,
    k: int,
    key: Callable,
    *,
    dtype: np.dtype,
    hermitian: bool,
    tolerance: float,
    max_products: int,
) -> np.ndarray:
    """The `k` eigenvalues with the largest `key` of a real matrix known by its products.

    Lanczos (hermitian) or Arnoldi with full orthogonalisation and the Krylov-Schur restart (Stewart 2001). One
    starting vector cannot see a multiple eigenvalue, and so would report one component of a disconnected graph.
    Hence the second half of the work: with the k found eigenvectors locked, a fresh random vector starts again in
    their orthogonal complement, and the answer stands only when nothing better appears there.

    Raises   ConvergenceError after `max_products` products.
    """
    space = Decomposition(size, min(size, max(DIMENSION, 3 * k + 2 * STRIDE)), dtype)
    check, confirmed, worst = k + 2 * STRIDE, None, np.inf
    for _ in range(max_products):
        space.extend(apply)
        m = space.m
        if m < min(check, space.limit):
            continue
        check = m + max(STRIDE, m // 4)
        H, coupling = space.H[:m, :m], space.H[m, :m]
        values, vectors = _eigenpairs(H, hermitian)
        order = np.argsort(-key(values), kind="stable")
        if m == size:
            return values[order[:k]]
        rank, residual = key(values)[order], np.abs(coupling @ vectors)[order]
        close, worst = tolerance * space.norm, float(np.max(residual[:k]))
        if worst <= close:
            if confirmed is not None and np.max(np.abs(rank[:k] - confirmed)) <= 2 * close:
                if residual[k] <= max(close, 1e-3 * (rank[k - 1] - rank[k])):
                    return values[order[:k]]
            else:
                T, U = _leading_schur(H, key, k, hermitian)
                if np.linalg.norm(coupling @ U) <= 2 * len(T) * close:
                    space.restrict(T, U, lock=True)
                    confirmed, check = rank[:k], k + 2 * STRIDE
                    continue
        if m == space.limit:
            space.restrict(*_leading_schur(H, key, k + (m - k) // 2, hermitian), lock=False)
    raise ConvergenceError(
        f"the {k} wanted eigenvalues did not converge",
        got=f"residual {worst / space.norm:.1e} of the norm after {max_products} products; tolerance {tolerance:.1e}",
        why="the end of the spectrum is too dense for a Krylov space of this size",
        fix="raise tolerance or max_products, or pass method='dense'",
    )

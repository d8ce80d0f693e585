"""Eigenvalues at one end of a spectrum from products alone: Krylov-Schur, with multiplicities confirmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import schur

from nlmodel.errors import ConvergenceError


DIMENSION = 300
STRIDE = 10


def _eigenpairs(H: np.ndarray, hermitian: bool) -> tuple[np.ndarray, np.ndarray]:
    return np.linalg.eigh(0.5 * (H + H.T)) if hermitian else np.linalg.eig(H)


def _leading_schur(H: np.ndarray, key: Callable, keep: int, hermitian: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """(T, U, p): H U = U T, the largest-key eigenvalues leading; p is `keep` up to a conjugate pair kept whole."""
    values, vectors = _eigenpairs(H, hermitian)
    order = np.argsort(-key(values), kind="stable")
    if hermitian:
        return np.diag(values[order[:keep]]), vectors[:, order[:keep]], keep
    ranked = key(values)[order]
    cutoff = 0.5 * (ranked[keep - 1] + ranked[keep]) if keep < len(ranked) else -np.inf
    ordered: Any = schur(H, output="real", sort=lambda re, im: bool(key(np.asarray(complex(re, im))) >= cutoff))
    T, U, p = ordered
    p = min(p, keep + 1)
    if 0 < p < len(T) and T[p, p - 1] != 0:
        p -= 1
    return T[:p, :p], U[:, :p], p


def _remainder(Q: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients of `w` in the columns of Q, what is left of it, and the size of that; orthogonal to rounding."""
    h = Q.T @ w
    w = w - Q @ h
    again = Q.T @ w
    w = w - Q @ again
    return h + again, w, float(np.linalg.norm(w))


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

        A Q_m = Q_{m+1} H,   Q^T Q = I,   H of size (m+1) x m

    Lanczos (hermitian) or Arnoldi with full orthogonalisation and the Krylov-Schur restart (Stewart 2001). One
    starting vector cannot see a multiple eigenvalue, and so would report one component of a disconnected graph.
    Hence the second half of the work: with the k found eigenvectors locked, a fresh random vector starts again in
    their orthogonal complement, and the answer stands only when nothing better appears there.

    Raises   ConvergenceError after `max_products` products.
    """
    rng = np.random.default_rng(0)
    limit = min(size, max(DIMENSION, 3 * k + 2 * STRIDE))
    Q, H = np.zeros((size, limit + 1), dtype=dtype), np.zeros((limit + 1, limit), dtype=dtype)
    tiny, scale, worst = float(np.finfo(dtype).eps), 0.0, np.inf

    def fresh(m: int) -> np.ndarray:
        _, w, norm = _remainder(Q[:, :m], rng.standard_normal(size).astype(dtype))
        return w / norm

    m, check, confirmed = 0, k + 2 * STRIDE, None
    Q[:, 0] = fresh(0)
    for _ in range(max_products):
        w = apply(Q[:, m])
        scale = max(scale, float(np.linalg.norm(w)))
        H[: m + 1, m], w, norm = _remainder(Q[:, : m + 1], w)
        m += 1
        if m < size:
            H[m, m - 1] = norm if norm > 10 * tiny * scale else 0.0
            Q[:, m] = w / norm if H[m, m - 1] else fresh(m)
        if m < min(check, limit):
            continue
        check = m + max(STRIDE, m // 4)
        values, vectors = _eigenpairs(H[:m, :m], hermitian)
        order = np.argsort(-key(values), kind="stable")
        if m == size:
            return values[order[:k]]
        rank, residual = key(values)[order], np.abs(H[m, :m] @ vectors)[order]
        close = tolerance * scale
        worst = float(np.max(residual[:k]))
        if worst <= close:
            found = rank[:k]
            same = confirmed is not None and np.max(np.abs(found - confirmed)) <= 2 * close
            if same and residual[k] <= max(close, 1e-3 * (rank[k - 1] - rank[k])):
                return values[order[:k]]
            if not same:
                confirmed = found
                T, U, p = _leading_schur(H[:m, :m], key, k, hermitian)
                Q[:, :p] = Q[:, :m] @ U
                H[:] = 0
                H[:p, :p], m = T, p
                Q[:, m], check = fresh(m), k + 2 * STRIDE
                continue
        if m == limit:
            T, U, p = _leading_schur(H[:m, :m], key, k + (limit - k) // 2, hermitian)
            Q[:, :p], Q[:, p], coupling = Q[:, :m] @ U, Q[:, m], H[m, :m] @ U
            H[:] = 0
            H[:p, :p], H[p, :p], m = T, coupling, p
    raise ConvergenceError(
        f"the {k} wanted eigenvalues did not converge",
        got=f"residual {worst / scale:.1e} of the norm after {max_products} products; tolerance {tolerance:.1e}",
        why="the end of the spectrum is too dense for a Krylov space of this size",
        fix="raise tolerance or max_products, or pass method='dense'",
    )

"""The Lanczos process: a Hermitian map as a tridiagonal matrix that grows by one row a product."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np


def first_vector(size: int) -> np.ndarray:
    """A fixed random unit vector: no symmetry of the map keeps an eigenvector orthogonal to it."""
    q = np.random.default_rng(0).standard_normal(size)
    return q / np.linalg.norm(q)


def lanczos(
    apply: Callable[[np.ndarray], np.ndarray], size: int, *, steps: int, orthogonal: bool
) -> Iterator[tuple[list[float], list[float]]]:
    """The diagonal alpha and the off-diagonal beta after each of `steps` products.

        A q_k = beta_{k-1} q_{k-1} + alpha_k q_k + beta_k q_{k+1}

    The q_k lose their orthogonality to rounding as Ritz values converge.  `orthogonal` keeps all of them and
    orthogonalises twice, for `steps` x size numbers of memory; else three vectors are enough, and converged Ritz values
    may come in copies (Paige 1976).  Stop at beta_k = 0: the q_k span an invariant subspace.
    """
    q, previous = first_vector(size), np.zeros(size)
    basis = np.empty((steps if orthogonal else 0, size))
    alpha: list[float] = []
    beta: list[float] = []
    for k in range(steps):
        v = apply(q) - (beta[-1] * previous if beta else 0.0)
        alpha.append(float(np.vdot(q, v).real))
        v = v - alpha[-1] * q
        if orthogonal:
            basis[k] = q
            for _ in range(2):
                v = v - (basis[: k + 1] @ v) @ basis[: k + 1]
        beta.append(float(np.linalg.norm(v)))
        yield alpha, beta
        previous, q = q, v / beta[-1]


def ritz_values(alpha: list[float], beta: list[float], first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """The Ritz values of index `first` to `last`, ascending, and their residuals beta_k |y_k|.

    Some eigenvalue of the map lies within its residual of a Ritz value, y its unit eigenvector in the q_k.
    """
    from scipy.linalg import eigh_tridiagonal

    theta, y = eigh_tridiagonal(alpha, beta[:-1], select="i", select_range=(first, last))
    return theta, beta[-1] * np.abs(y[-1])

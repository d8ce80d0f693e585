"""What the claims on stability are measured against: one sub-block as a full matrix, built by hand."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from nlmodel import NonlocalOperator
from validation.claims.shared import hollow


FLIP = np.array([[0.0, 1.0], [1.0, 0.0]])


def row(omega: np.ndarray) -> NonlocalOperator:
    return NonlocalOperator.from_affinity(omega, "row")


def update(omega: np.ndarray, W: np.ndarray | complex, tau: float) -> np.ndarray:
    """I + tau (K - I) (x) W, which acts on the rows of Z one after the other, built by hand."""
    K = omega / omega.sum(axis=1, keepdims=True)
    return np.eye(K.shape[0] * np.shape(np.atleast_2d(W))[0]) + tau * np.kron(K - np.eye(len(K)), np.atleast_2d(W))


def radius(omega: np.ndarray, W: np.ndarray | complex, tau: float) -> float:
    """Spectral radius of the hand-built update."""
    return float(np.max(np.abs(scipy.linalg.eigvals(update(omega, W, tau)))))


def largest_s(omega: np.ndarray) -> float:
    """s_max of a symmetric affinity, by a symmetric eigenproblem."""
    root = np.sqrt(omega.sum(axis=1))
    return float(1 - scipy.linalg.eigvalsh(omega / np.outer(root, root))[0])


def affinities(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """In turn: Gaussian, softmax, Gaussian without its diagonal, and one that is not symmetric."""
    found = []
    for k in range(count):
        X = rng.standard_normal((6 + k % 4, 2))
        gaussian = np.exp(-0.5 * np.sum((X[:, None] - X[None]) ** 2, axis=-1))
        found.append((gaussian, np.exp(X @ X.T / 2), hollow(gaussian), rng.random((len(X), len(X))))[k % 4])
    return found

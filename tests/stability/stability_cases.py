"""Random operators and weights with their dense matrices, made without the library."""

from dataclasses import dataclass

import numpy as np

from nlmodel import NonlocalOperator


REVERSIBLE = ("gaussian", "zero diagonal", "sinkhorn", "symmetric", "alpha", "unnormalised", "weighted")
IRREVERSIBLE = ("markov", "directed", "cycle")
WEIGHTS = ("number", "complex number", "matrix", "complex matrix", "tied", "bottleneck")


@dataclass(frozen=True)
class Kernel:
    """An operator, its L as a plain array, and the measure in which it is self-adjoint (None when there is none)."""

    op: NonlocalOperator
    L: np.ndarray
    measure: np.ndarray | None

    @property
    def size(self) -> int:
        return len(self.L)


def random_kernel(seed: int, family: str, *, size: int | None = None) -> Kernel:
    """One of REVERSIBLE or IRREVERSIBLE with 2 to 9 positions."""
    rng = np.random.default_rng(seed)
    M = int(rng.integers(2, 10)) if size is None else size
    M = max(M, 3) if family == "cycle" else M  # of two points it is reversible
    X = rng.uniform(-1, 1, (M, 2))  # near enough that no exit rate 1 - K_ii is lost to cancellation
    omega = np.exp(-np.sum((X[:, None] - X[None]) ** 2, axis=-1) / 2)
    how, weights = "row", None
    if family == "zero diagonal":
        np.fill_diagonal(omega, 0.0)
    elif family == "weighted":
        weights = rng.uniform(0.5, 2.0, M)
    elif family in ("sinkhorn", "symmetric", "alpha"):
        how = family
    elif family == "unnormalised":
        how, omega = "none", omega * 3.0
    elif family == "markov":
        omega = rng.uniform(0.01, 1.0, (M, M))
    elif family == "directed":
        how, omega = "none", np.triu(rng.uniform(0.1, 1.0, (M, M))) + np.diag(np.ones(M - 1), -1)
    elif family == "cycle":
        omega = np.roll(np.eye(M), 1, axis=1) + 0.5 * np.eye(M)
    op = NonlocalOperator.from_affinity(omega, how, weights=weights)
    w = np.ones(M) if weights is None else weights
    L, m = by_definition(omega, w, how)
    return Kernel(op, L, m if family in REVERSIBLE else None)


def by_definition(omega: np.ndarray, w: np.ndarray, how: str) -> tuple[np.ndarray, np.ndarray]:
    """L = K - diag(r) and the measure, from the definition of each normalisation."""
    degree, M = omega @ w, len(omega)
    if how == "none":
        return omega * w - np.diag(degree), w
    if how == "row":
        return omega * w / degree[:, None] - np.eye(M), w * degree
    if how == "symmetric":
        return omega * w / np.sqrt(np.outer(degree, degree)) - np.eye(M), w
    if how == "alpha":
        omega = omega / np.outer(degree, degree)
        return omega * w / (omega @ w)[:, None] - np.eye(M), w * (omega @ w)
    d = np.ones(M)
    while np.max(np.abs(d * (omega @ d) - 1)) > 8 * M * np.finfo(float).eps:
        d = np.sqrt(d / (omega @ d))
    return d[:, None] * omega * d - np.eye(M), w


def random_weight(seed: int, kind: str):
    """A weight whose eigenvalues have positive or zero real part, mostly; every fourth number has not."""
    rng = np.random.default_rng([seed, WEIGHTS.index(kind)])
    C = int(rng.integers(2, 5))
    noise = rng.standard_normal((C, C))
    if kind == "number":
        return float(rng.uniform(-0.5, 1.5))
    if kind == "complex number":
        return complex(rng.uniform(-0.3, 1.0), rng.uniform(-1.0, 1.0))
    if kind == "matrix":
        return rng.uniform(0.5, 1.5) * np.eye(C) + 0.3 * noise
    if kind == "complex matrix":
        return rng.uniform(0.5, 1.5) * np.eye(C) + 0.2 * (noise + 1j * rng.standard_normal((C, C)))
    B = noise[:, : C - 1]
    return B @ B.T if kind == "tied" else B @ (B.T + 0.2 * rng.standard_normal((C - 1, C)))


def as_matrix(weight) -> np.ndarray:
    return np.atleast_2d(np.asarray(weight))


def update(kernel: Kernel, weight, step: float) -> np.ndarray:
    """I + step L (x) W, the matrix of Z -> Z + step L Z W^T on the rows of Z laid end to end."""
    A = np.kron(kernel.L, as_matrix(weight))
    return np.eye(len(A)) + step * A


def spectral_radius(A: np.ndarray) -> float:
    return float(np.max(np.abs(np.linalg.eigvals(A))))


def energy_norm(A: np.ndarray, measure: np.ndarray, channels: int) -> float:
    """||diag(m)^{1/2} A diag(m)^{-1/2}||_2 with one entry of m for each row of Z."""
    half = np.sqrt(np.repeat(measure, channels))
    return float(np.linalg.norm(half[:, None] * A / half, 2))

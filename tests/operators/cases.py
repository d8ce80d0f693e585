"""Random operators of every representation, each with the dense float64 matrices it must equal."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nlmodel import NonlocalOperator
from nlmodel.kernels import ExpDot, FunctionKernel, Gaussian, InverseDistance, TopHat, TruncatedGaussian


HOWS = ("none", "row", "sinkhorn", "alpha") * 2 + ("symmetric",)  # rarer: half of the laws say nothing about it
STORAGES = ("dense", "logarithm", "matrix", "sparse", "streamed", "periodic", "free")


@dataclass(frozen=True)
class Case:
    """An operator, and what the definitions say it is."""

    op: NonlocalOperator
    omega: np.ndarray
    weights: np.ndarray
    how: str

    @cached_property
    def K(self) -> np.ndarray:
        return averaging(self.omega, self.weights, self.how)

    @cached_property
    def exit_rate(self) -> np.ndarray:
        return (self.omega * self.weights).sum(1) if self.how == "none" else np.ones(len(self.omega))

    @cached_property
    def L(self) -> np.ndarray:
        return self.K - np.diag(self.exit_rate)

    @cached_property
    def measure(self) -> np.ndarray:
        mass = self.weights * (self.omega * self.weights).sum(1)
        if self.how == "row":
            return mass
        if self.how == "alpha":
            C = (self.omega * self.weights).sum(1)
            inner = self.omega / np.outer(C, C)
            return self.weights * (inner * self.weights).sum(1)
        return self.weights

    def __repr__(self) -> str:
        return f"Case({self.op!r})"


def averaging(omega: np.ndarray, weights: np.ndarray, how: str) -> np.ndarray:
    """K by the textbook formula, in the linear domain, on small well-scaled matrices."""
    C = (omega * weights).sum(1)
    if how == "none":
        return omega * weights
    if how == "row":
        return omega * weights / C[:, None]
    if how == "symmetric":
        return omega * weights / np.sqrt(np.outer(C, C))
    if how == "alpha":
        inner = omega / np.outer(C, C) * weights
        return inner / inner.sum(1, keepdims=True)
    row, column = np.ones(len(omega)), np.ones(len(omega))
    for _ in range(20_000):  # the two-sided iteration of Sinkhorn and Knopp, on the matrix with measure w on both sides
        row = 1 / (omega @ (weights * column))
        new = 1 / (omega.T @ (weights * row))
        if np.max(np.abs(new / column - 1)) < 1e-15:
            break
        column = new
    return row[:, None] * omega * column * weights


def cauchy(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """A user's own function, of which nothing is declared."""
    return 1 / (1 + ((X[:, None] - Y[None]) ** 2).sum(-1))


def dense_affinity(rng: np.random.Generator, M: int, dtype) -> np.ndarray:
    raw = rng.uniform(0.1, 1.0, (M, M))
    return ((raw + raw.T) / 2).astype(dtype)


@st.composite
def cases(draw, storage: str):
    """A random case of one representation."""
    how = draw(st.sampled_from(HOWS))
    dtype = draw(st.sampled_from((np.float64, np.float32)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    M = draw(st.integers(1, 9))
    if storage in ("periodic", "free"):
        return grid_case(draw, storage, how, dtype)
    weights = rng.uniform(0.5, 2.0, M).astype(dtype)
    if storage == "sparse":
        dim = draw(st.integers(1, 3))
        kernel = draw(st.sampled_from([TopHat(0.5, dim), TruncatedGaussian(0.6, 0.3, dim)]))
        X = rng.uniform(0, 1, (M, dim)).astype(dtype)
        op = NonlocalOperator.from_points(X, kernel, how, storage="sparse", weights=weights)
        omega = kernel(X.astype(np.float64))
    elif storage in ("logarithm", "streamed"):
        X = rng.standard_normal((M, 2)).astype(dtype)
        kernels = [Gaussian(1.5)] if storage == "logarithm" else [Gaussian(1.5), ExpDot(4.0), FunctionKernel(cauchy)]
        kernel = draw(st.sampled_from(kernels))
        kind = "dense" if storage == "logarithm" else "streamed"
        op = NonlocalOperator.from_points(X, kernel, how, storage=kind, weights=weights)
        omega = kernel(X.astype(np.float64))
    else:
        raw = dense_affinity(rng, M, dtype)
        op = NonlocalOperator.from_affinity(csr_array(raw) if storage == "matrix" else raw, how, weights=weights)
        omega = raw.astype(np.float64)
    return Case(op, omega, weights.astype(np.float64), how)


def grid_case(draw, boundary: str, how: str, dtype) -> Case:
    dim = draw(st.integers(1, 3))
    grid = tuple(draw(st.integers(3, {1: 12, 2: 5, 3: 4}[dim])) for _ in range(dim))
    spacing = draw(st.sampled_from([0.1, 0.25]))
    reach = draw(st.sampled_from([1.0, 1.5, 2.0]))
    horizon = reach * spacing
    kernels = [TopHat(horizon, dim), TruncatedGaussian(horizon, horizon / 2, dim)]
    if how != "sinkhorn":  # without self-affinity a doubly stochastic scaling need not exist
        kernels.append(InverseDistance(horizon, dim))
    kernel = draw(st.sampled_from(kernels))
    op = NonlocalOperator.on_grid(grid, kernel, spacing, boundary=boundary, normalize=how, dtype=dtype)
    index = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), -1).reshape(-1, dim)
    omega = np.zeros((len(index), len(index)))
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * dim, indexing="ij"), -1).reshape(-1, dim)
    for image in images if boundary == "periodic" else np.zeros((1, dim), int):
        steps = index[:, None] - index[None] + image * np.array(grid)
        omega += kernel.profile(spacing * np.sqrt((steps**2).sum(-1).astype(float)))
    return Case(op, omega, np.full(len(index), spacing**dim), how)

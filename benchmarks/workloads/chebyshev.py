"""W6: a Chebyshev filter of order 30 on 10^5 scattered points, 12 neighbours each."""

from __future__ import annotations

import math
import warnings
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array, csr_matrix, eye_array

from benchmarks.case import Built, Case, Contestant, Setting
from benchmarks.figures import timed
from benchmarks.numpy_calls import built, normal, sized
from benchmarks.peers import pygsp
from benchmarks.workload import Workload
from nlmodel import NonlocalOperator
from nlmodel.filters import chebyshev_filter, response_coefficients
from nlmodel.kernels import TruncatedGaussian


POINTS, SMALL, NEIGHBOURS, ORDER = 100_000, 300, 12.4, 30


def heat(lam: np.ndarray) -> np.ndarray:
    """The response of three units of time of diffusion."""
    return np.exp(-3 * lam)


THETA = response_coefficients(heat, ORDER)


@cache
def operator(M: int) -> NonlocalOperator:
    """Symmetric averages over the neighbours of points in random order."""
    horizon = math.sqrt(NEIGHBOURS / math.pi / M)
    X = np.random.default_rng(1).random((M, 2))
    return NonlocalOperator.from_points(X, TruncatedGaussian(horizon, horizon, 2), "symmetric", storage="sparse")


@cache
def matrix(M: int) -> csr_array:
    """The same as a matrix, in the order of the points."""
    K: Any = operator(M).averaging
    return K.to_csr()


def signals(setting: Setting, count: int) -> tuple[int, np.ndarray]:
    """How many points, and the signals on them."""
    M = sized(setting, POINTS, SMALL)
    return M, normal(setting, M, count)


def ours(setting: Setting, count: int) -> Built:
    """On the operator."""
    M, Z = signals(setting, count)
    op = operator(M)
    return built({"filter": lambda: chebyshev_filter(op, Z, THETA)})


def ours_of_matrix(setting: Setting, count: int) -> Built:
    """On the matrix, whose order is the user's."""
    M, Z = signals(setting, count)
    A = matrix(M)
    return built({"filter": lambda: chebyshev_filter(A, Z, THETA)})


def pygsps(setting: Setting, count: int) -> Built:
    """PyGSP's."""
    M, Z = signals(setting, count)
    L: Any = csr_matrix(eye_array(M) - matrix(M))
    L.sum_duplicates()
    apply, signal = pygsp.chebyshev(L, THETA), Z[:, 0] if count == 1 else Z
    return built({"filter": lambda: apply(signal).reshape(M, count)})


def looped(setting: Setting, count: int, library: str) -> Built:
    """The recurrence written down with a CSR matrix of torch, int32 indices, or of SciPy."""
    M, Z = signals(setting, count)
    A: Any = matrix(M)
    if library == "torch":
        parts = (torch.from_numpy(x) for x in (A.indptr, A.indices, A.data))
        with warnings.catch_warnings(action="ignore"):  # that such matrices are in beta state
            A, Z = torch.sparse_csr_tensor(*parts, size=(M, M), check_invariants=False), torch.from_numpy(Z)

    def run() -> np.ndarray:
        older, Y = Z, -(A @ Z)
        total = THETA[0] * Z + THETA[1] * Y
        for theta in THETA[2:]:
            older, Y = Y, -2 * (A @ Y) - older
            total += theta * Y
        return np.asarray(total)

    return built({"filter": run})


def case(count: int) -> Case:
    """So many signals at once."""
    return Case(
        f"W6 {count} signal{'s' if count > 1 else ''}",
        f"{POINTS} points in random order, about {NEIGHBOURS} neighbours, order {ORDER}, float64",
        (
            Contestant("ours", partial(ours, count=count), same_as="SciPy loop"),
            Contestant("ours, of a matrix", partial(ours_of_matrix, count=count), same_as="SciPy loop"),
            Contestant("PyGSP", partial(pygsps, count=count), same_as="SciPy loop"),
            Contestant("torch loop", partial(looped, count=count, library="torch"), same_as="SciPy loop"),
            Contestant("SciPy loop", partial(looped, count=count, library="scipy")),
        ),
        measures=("filter",),
        precision="float64",
    )


ONE, MANY = case(1), case(16)
CASES = (ONE, MANY)

WORKLOAD = Workload("W6", "a Chebyshev filter", __name__, CASES, (
    timed(ONE.name, "filter", "ours", "PyGSP", 0.40, 0.20),
    timed(ONE.name, "filter", "ours", "torch loop", 1.0),
    timed(MANY.name, "filter", "ours", "PyGSP", 0.20, 0.10),
    timed(MANY.name, "filter", "ours", "torch loop", 1.0),
))  # fmt: skip

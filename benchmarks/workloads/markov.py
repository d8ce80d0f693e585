"""W9: a reversible Markov chain on 20,000 scattered points: stationary law and spectral gap."""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any

import numpy as np
from scipy.sparse import csc_array, csr_array, csr_matrix, diags_array, eye_array
from scipy.sparse.linalg import eigsh

from benchmarks.case import Built, Case, Contestant, Setting
from benchmarks.figures import timed
from benchmarks.numpy_calls import built, sized
from benchmarks.peers import deeptime
from benchmarks.workload import Workload
from nlmodel import NonlocalOperator
from nlmodel.kernels import TruncatedGaussian
from nlmodel.markov import mixing_time, spectral_gap, stationary


STATES, SMALL, NEIGHBOURS = (2_000, 20_000), 300, 14.0
BELOW = 1e-6  # of 0: where the spectrum of I - S is inverted
AGREE = 1e-10


@cache
def chain(M: int) -> csr_array:
    """P, row-normalised Gaussian weights of neighbours on a jittered grid, which is connected."""
    side = math.ceil(math.sqrt(M))
    rng = np.random.default_rng(1)
    X = np.stack(np.divmod(np.arange(M), side), 1) + 0.6 * (rng.random((M, 2)) - 0.5)
    horizon = math.sqrt(NEIGHBOURS / math.pi)
    op = NonlocalOperator.from_points(X, TruncatedGaussian(horizon, horizon, 2), storage="sparse")
    K: Any = op.averaging
    return K.to_csr()


def sized_chain(setting: Setting, M: int) -> csr_array:
    """The chain as large as the setting wants."""
    return chain(sized(setting, M, SMALL))


def ours(setting: Setting, M: int) -> Built:
    """Ours."""
    P = sized_chain(setting, M)
    return built(
        {
            "stationary law": lambda: stationary(P),
            "gap": lambda: np.array([spectral_gap(P, absolute=False).gap]),
        },
        compared=lambda: {"output": stationary(P), "gap": np.array([spectral_gap(P, absolute=False).gap])},
    )


def deeptimes(setting: Setting, M: int) -> Built:
    """deeptime's."""
    P: Any = csr_matrix(sized_chain(setting, M))
    return built(
        {"stationary law": lambda: deeptime.stationary(P), "gap": lambda: deeptime.gap(P)},
        compared=lambda: {"output": deeptime.stationary(P), "gap": deeptime.gap(P)},
    )


def shift_invert(setting: Setting, M: int) -> Built:
    """SciPy: the law from its formula; the gap of the symmetric form by shift-invert in the default ordering."""
    P: Any = sized_chain(setting, M)
    pi = breadth_first_law(P)
    root = np.sqrt(pi)
    S: Any = diags_array(root) @ P @ diags_array(1 / root)

    def gap() -> np.ndarray:
        L = csc_array(eye_array(P.shape[0]) - (S + S.T) / 2)
        values: Any = eigsh(L, k=2, sigma=-BELOW, which="LM", return_eigenvectors=False)
        return np.array([np.max(values)])

    return built(
        {"stationary law": lambda: breadth_first_law(P), "gap": gap}, compared=lambda: {"output": pi, "gap": gap()}
    )


def breadth_first_law(P: Any) -> np.ndarray:
    """Breadth first from state 0, edge by edge."""
    back, order, law = P.T.tocsr(), [0], np.zeros(P.shape[0])
    law[0] = 1.0
    for i in order:
        for p in range(P.indptr[i], P.indptr[i + 1]):
            j = P.indices[p]
            if law[j] == 0:
                law[j] = law[i] * P.data[p] / back.data[p]
                order.append(j)
    return law / law.sum()


def case(M: int) -> Case:
    """So many states."""
    return Case(
        f"W9 {M} states",
        f"a jittered grid, about {NEIGHBOURS:.0f} neighbours, float64",
        (
            Contestant("ours", partial(ours, M=M), same_as="scipy shift-invert", within=AGREE),
            Contestant("deeptime", partial(deeptimes, M=M), same_as="scipy shift-invert", within=1e-6),
            Contestant("scipy shift-invert", partial(shift_invert, M=M)),
        ),
        measures=("stationary law", "gap"),
        precision="float64",
    )


def mixing(M: int) -> Case:
    """The worst-case mixing time without a dense matrix; nobody else has it."""
    return Case(f"W9 mixing time, {M} states", "worst start, total variation 1/4", (
        Contestant("ours", partial(_mixing, M=M)),
    ), measures=("mixing time",), precision="float64")  # fmt: skip


def _mixing(setting: Setting, M: int) -> Built:
    P = sized_chain(setting, M)
    return built({"mixing time": lambda: np.array([float(mixing_time(P))])})


CASES = (case(STATES[0]), case(STATES[1]), mixing(STATES[1]))
LARGE = CASES[1].name

WORKLOAD = Workload("W9", "a reversible Markov chain", __name__, CASES, (
    timed(LARGE, "stationary law", "ours", "deeptime", 0.02),
    timed(LARGE, "gap", "ours", "scipy shift-invert", 0.5),
    timed(LARGE, "gap", "ours", "deeptime", 0.2),
))  # fmt: skip

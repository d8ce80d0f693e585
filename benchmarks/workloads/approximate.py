"""W1 with a tolerance: a Gaussian of points in R^3 by nonuniform Fourier transforms, beside finufft itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import FORWARD, Built, Case, Contestant, Setting
from benchmarks.figures import Figure, Time, accurate, timed
from benchmarks.numpy_calls import built, error_on_rows, normal, sized, uniform
from benchmarks.peers.installed import require
from benchmarks.workload import Workload
from nlmodel.kernels import Gaussian
from nlmodel.operators.nufft import NufftAffinity


SCALE = 0.2  # of points in the unit cube
TOLERANCES = {"float32": 1e-4, "float64": 1e-10}
SIZES = (10_000, 100_000, 1_000_000)
ROWS = 64  # on which the error is taken
SMALL = 200


def ours(setting: Setting, size: int, channels: int = 1) -> Built:
    """omega Z, the points sorted and the modes chosen before."""
    X, Z = data(setting, size, channels)
    affinity = NufftAffinity.build(X, Gaussian(SCALE), TOLERANCES[setting.precision])
    return built({FORWARD: lambda: affinity.apply(Z)}, error=error(X, Z))


def bare(setting: Setting, size: int, channels: int = 1) -> Built:
    """The two transforms of finufft with the same modes and to the same accuracy, their plans made before."""
    finufft = require("finufft")
    X, Z = data(setting, size, channels)
    affinity = NufftAffinity.build(X, Gaussian(SCALE), TOLERANCES[setting.precision])
    F, a = affinity.transform, affinity.multiplier
    first, second = (
        finufft.Plan(kind, F.modes, channels, eps=F.eps, isign=sign, dtype=str(F.precision))
        for kind, sign in ((1, -1), (2, 1))
    )
    first.setpts(*F.angles)
    second.setpts(*F.angles)
    charges = np.ascontiguousarray(Z.T).astype(F.precision).squeeze()

    def call() -> np.ndarray:
        return second.execute(a * first.execute(charges))

    def output() -> np.ndarray:
        return np.real(call()).reshape(channels, size_of(X)).T

    return built({FORWARD: call}, lambda: {"output": output()})


def data(setting: Setting, size: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and a field."""
    size = sized(setting, size, SMALL)
    return uniform(setting, size, 3), normal(setting, size, channels)


def size_of(X: np.ndarray) -> int:
    """Number of points."""
    return X.shape[0]


def error(X: np.ndarray, Z: np.ndarray) -> Any:
    """Of some rows, over the sum of |Z|: what the tolerance bounds."""
    rows = np.linspace(0, size_of(X) - 1, ROWS).astype(int)
    true = Gaussian(SCALE)(X[rows].astype(float), X.astype(float)) @ Z.astype(float)
    return error_on_rows(rows, true, np.sum(np.abs(Z.astype(float)), axis=0))


def name(precision: str, size: int, channels: int = 1) -> str:
    """Of a case."""
    return f"W1 tolerance {precision}, M = {size:,}" + (f", {channels} fields" if channels > 1 else "")


def case(precision: str, size: int, channels: int = 1) -> Case:
    """Ours beside finufft."""
    tol = TOLERANCES[precision]
    return Case(
        name(precision, size, channels),
        f"{size:,} points in the unit cube, Gaussian of scale {SCALE}, tol {tol:g}, {channels} at once",
        (
            Contestant("ours", partial(ours, size=size, channels=channels), same_as="finufft", within=2 * tol),
            Contestant("finufft", partial(bare, size=size, channels=channels)),
        ),
        measures=(FORWARD,),
        idle=lambda device: "" if device == "cpu" else "finufft computes on the processor",
        precision=precision,
    )


MANY = 100_000, 16
CASES = tuple(case(precision, *sizes) for precision in TOLERANCES for sizes in (*((size,) for size in SIZES), MANY))


def figures(precision: str) -> list[Figure]:
    """Ours is bare finufft, within its tolerance, at a cost that grows like M^1.1 at most."""
    found = []
    for sizes in (*((size,) for size in SIZES), MANY):
        of = name(precision, *sizes)
        found += [timed(of, FORWARD, "ours", "finufft", 1.1), accurate(of, FORWARD, "ours", TOLERANCES[precision])]
    small, large = (Time(name(precision, size), "ours", FORWARD) for size in (SIZES[0], SIZES[-1]))
    growth = (SIZES[-1] / SIZES[0]) ** 1.1
    return [*found, Figure(f"W1 tolerance {precision}, growth from M = 10^4 to 10^6 below M^1.1", large, small, growth)]


WORKLOAD = Workload(
    "W1 tolerance",
    "a Gaussian of scattered points, to a tolerance",
    __name__,
    CASES,
    tuple(figure for precision in TOLERANCES for figure in figures(precision)),
)

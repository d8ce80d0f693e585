"""`python -m benchmarks.million`: a million scattered points, from the plan to the slowest modes, as announced.

Points are uniform in the unit square, the kernel is a ball with about 28 neighbours, K is row-normalised.  The smallest
eigenvalues of I - K are those of nonlocal diffusion with a free boundary, close to (delta^2 / 8) pi^2 (m^2 + n^2).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from benchmarks.memory import resident
from nlmodel import NonlocalOperator
from nlmodel.kernels import TopHat


NEIGHBOURS, MODES, BASIS, DEGREE = 28, 20, 56, 80
SCRATCH = 12  # vectors: of the recurrence, of ARPACK, the scalings of the symmetric form
MORE = 1.2  # what may be needed of what was announced


def filtered(op: NonlocalOperator, cut: float, least: float) -> tuple[Any, LinearOperator]:
    """S = M^{1/2} K M^{-1/2} and T_n of it with [least, 1 - cut] on [-1, 1]: large on the slowest modes alone."""
    S: Any = op.symmetrized()
    centre, half = (1 - cut + least) / 2, (1 - cut - least) / 2
    rate = np.full(op.size, centre)

    def act(x: np.ndarray) -> np.ndarray:
        older = x.reshape(-1, 1)
        newer = S.apply_less(older, rate) / half
        for _ in range(DEGREE - 1):
            following = S.apply_less(newer, rate)
            following *= 2 / half
            following -= older
            older, newer = newer, following
        return newer[:, 0]

    return S, LinearOperator(op.shape, matvec=act, dtype=np.dtype(float))  # pyright: ignore[reportCallIssue]


def slowest(op: NonlocalOperator, reach: float) -> tuple[np.ndarray, float]:
    """The smallest eigenvalues of I - K, and the largest residual |S v - theta v|."""
    cut = math.pi**2 * reach**2 / 8 * 24  # beyond the twentieth value of m^2 + n^2, which is 16 or 17
    S, T = filtered(op, cut, -0.5)  # a disc's transform, 2 J_1(x)/x, stays above -0.14
    v0 = np.random.default_rng(1).standard_normal(op.size)
    _, V = eigsh(T, MODES, which="LA", ncv=BASIS, tol=1e-8, v0=v0)  # pyright: ignore[reportArgumentType]
    theta, residual = np.empty(MODES), 0.0
    for k in range(MODES):
        v = V[:, k : k + 1]
        image = S.apply(v)
        theta[k] = float(np.vdot(v, image))
        image -= theta[k] * v
        residual = max(residual, float(np.linalg.norm(image)))
    return np.sort(1 - theta), residual


class Meter:
    """Time and the growth of the resident set to its high-water mark, since the points stand."""

    def __init__(self) -> None:
        self.start = resident("VmRSS")

    def of(self, name: str, announced: int, call: Callable[[], Any]) -> tuple[Any, bool]:
        """Call, print, and tell whether the announcement held."""
        Path("/proc/self/clear_refs").write_text("5")
        begun = time.perf_counter()
        result = call()
        seconds, peak = time.perf_counter() - begun, resident("VmHWM") - self.start
        holds = peak <= MORE * announced
        print(
            f"{name:12s} {seconds:8.3f} s   {peak / 1e6:8.1f} MB, announced {announced / 1e6:8.1f} MB: "
            f"{peak / announced:.2f}, {'met' if holds else 'missed'}",
            flush=True,
        )
        return result, holds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 when every announcement held."""
    line = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    line.add_argument("--points", type=int, default=10**6)
    points = line.parse_args(arguments).points
    reach = math.sqrt(NEIGHBOURS / (math.pi * points))
    small = np.random.default_rng(0).random((10_000, 2))
    warm = NonlocalOperator.from_points(small, TopHat(10 * reach if points > 10**5 else reach, 2), storage="sparse")
    _ = warm @ small[:, 0]  # compiles
    X, kernel = np.random.default_rng(0).random((points, 2)), TopHat(reach, 2)
    plan = NonlocalOperator.plan_points(X, kernel, "row", storage="sparse")
    print(plan)
    meter = Meter()
    op, assembled = meter.of("assembly", plan.assembly or 0, lambda: NonlocalOperator.from_points(X, kernel, "row"))
    Z = np.ones(points)
    steady, product = meter.of("product", plan.held + plan.product + plan.vector, lambda: op @ Z)
    (values, residual), modes = meter.of("eigenpairs", plan.peak(BASIS + MODES + SCRATCH), lambda: slowest(op, reach))
    print(f"constants are steady to {np.max(np.abs(steady)):.1e}; largest residual of the modes {residual:.1e}")
    print("(1 - theta) 8 / (pi delta)^2:", np.array2string(values * 8 / (math.pi * reach) ** 2, precision=3))
    return int(not (assembled and product and modes))


if __name__ == "__main__":
    raise SystemExit(main())

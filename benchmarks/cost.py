"""`python -m benchmarks.cost`: the cost of a product against the number of points, for every representation.

Draws the seconds of K Z over M on logarithmic axes, with the exponent that a line through the larger sizes has, and
writes the numbers beside the picture.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure

from nlmodel.images import PatchWeights, nonlocal_means, picture
from nlmodel.kernels import Gaussian, TruncatedGaussian
from nlmodel.operators import NonlocalOperator
from nlmodel.testing import observed_order


ROUNDS, LONGEST = 5, 3.0  # products of a size; seconds of a product after which larger sizes are left out
FITTED = 4  # the largest sizes, where what is fixed no longer shows
NEIGHBOURS = 28

Product = Callable[[], object]


def points(M: int) -> np.ndarray:
    """Uniform in the unit square."""
    return np.random.default_rng(0).random((M, 2))


def product(op: NonlocalOperator) -> Product:
    """L Z of one column."""
    Z = np.random.default_rng(1).standard_normal((op.size, 1))
    return lambda: op @ Z


def dense(M: int) -> Product:
    """All pairs, stored."""
    return product(NonlocalOperator.from_points(points(M), Gaussian(0.1), storage="dense"))


def streamed(M: int) -> Product:
    """All pairs, never stored."""
    return product(NonlocalOperator.from_points(points(M), Gaussian(0.1), storage="streamed"))


def sparse(M: int) -> Product:
    """Pairs within a horizon that holds the same number of neighbours at every size."""
    horizon = math.sqrt(NEIGHBOURS / (math.pi * M))
    kernel = TruncatedGaussian(horizon, horizon / 3, 2)
    return product(NonlocalOperator.from_points(points(M), kernel, storage="sparse"))


def grid(M: int) -> Product:
    """The pairs within a fixed horizon on a periodic grid, by FFT."""
    side, kernel = math.isqrt(M), TruncatedGaussian(0.3, 0.1, 2)
    return product(NonlocalOperator.on_grid((side, side), kernel, 1 / side, normalize="row"))


def means(M: int) -> Product:
    """Non-local means of a picture of M pixels, patches of 7, search window of 23."""
    image = picture(math.isqrt(M))
    return lambda: nonlocal_means(image, PatchWeights(0.08, sigma=0.1, taper="uniform"))


REPRESENTATIONS: Mapping[str, tuple[Callable[[int], Product], int]] = {
    "dense": (dense, 2**13),
    "streamed": (streamed, 2**17),
    "sparse": (sparse, 2**20),
    "grid": (grid, 2**20),
    "non-local means": (means, 2**20),
}
"""How each is built, and the largest size that is tried."""


def seconds(call: Product) -> float:
    """Median over some calls, after one that does not count."""
    call()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return median(taken)


def measure(build: Callable[[int], Product], largest: int, smallest: int = 2**10) -> dict[int, float]:
    """Seconds by size, sizes doubling until a product takes too long."""
    found: dict[int, float] = {}
    size = smallest
    while size <= largest and max(found.values(), default=0.0) < LONGEST:
        found[size] = seconds(build(size))
        size *= 2
    return found


def exponent(found: Mapping[int, float]) -> float:
    """p of the line log seconds = p log M + c through the largest sizes."""
    sizes = sorted(found)[-FITTED:]
    return observed_order(sizes, [found[size] for size in sizes]).order


def draw(costs: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Save the picture."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axis = figure.subplots()
    for name, found in costs.items():
        axis.loglog(list(found), list(found.values()), "o-", label=f"{name}, M$^{{{exponent(found):.2f}}}$")
    axis.set_xlabel("points M")
    axis.set_ylabel("seconds of a product")
    axis.grid(visible=True, which="major", alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure, draw, and print the exponents."""
    line = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    line.add_argument("--out", type=Path, default=Path("out/benchmarks"), metavar="DIR", help="default out/benchmarks")
    line.add_argument("--largest", type=int, default=2**20, metavar="M", help="no size above this one")
    options = line.parse_args()
    costs = {}
    for name, (build, largest) in REPRESENTATIONS.items():
        costs[name] = measure(build, min(largest, options.largest))
        last = max(costs[name])
        print(f"{name}: M^{exponent(costs[name]):.2f}, {costs[name][last]:.3g} s at M = {last}", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = {name: {"seconds": found, "exponent": exponent(found)} for name, found in costs.items()}
    (options.out / "cost.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    draw(costs, options.out / "cost.png")
    print(options.out / "cost.png")


if __name__ == "__main__":
    main()

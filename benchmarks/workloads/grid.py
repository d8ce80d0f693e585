"""W4: the operator on periodic grids, beside the transforms one after the other.

Ours sums a short stencil directly, and takes the transforms in place for a long one.
"""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any

import numpy as np
import scipy.fft
import torch

from benchmarks.case import Built, Case, Contestant, Setting, Work
from benchmarks.figures import timed, weighed
from benchmarks.numpy_calls import built, normal
from benchmarks.workload import Workload
from nlmodel import NonlocalOperator
from nlmodel.kernels import TruncatedGaussian
from nlmodel.operators.threads import cores


SMALL = {2: (12, 10), 3: (6, 4, 5)}
NEAR, FAR = 4, 16  # cells to the horizon
NUMBER = {"float32": 4, "float64": 8}


def operator(shape: tuple[int, ...], reach: int, precision: str = "float64") -> NonlocalOperator:
    """Of nonlocal diffusion on a torus."""
    return NonlocalOperator.on_grid(shape, TruncatedGaussian(reach, reach / 2, len(shape)), 1.0, dtype=precision)


def grid(setting: Setting, shape: tuple[int, ...], reach: int) -> tuple[NonlocalOperator, np.ndarray]:
    """The operator and a field."""
    shape = SMALL[len(shape)] if setting.quick or setting.images is not None else shape
    return operator(shape, reach, setting.precision), normal(setting, *shape)


def symbol_of(op: NonlocalOperator) -> np.ndarray:
    """The transform of L's stencil."""
    K: Any = op.averaging
    return K.symbol - op.exit_rate[0]


def ours(setting: Setting, shape: tuple[int, ...], reach: int) -> Built:
    """L Z, checked as every call is; prepared like the symbols of the others."""
    op, Z = grid(setting, shape, reach)
    v = Z.reshape(-1)

    def product() -> np.ndarray:
        return (op @ v).reshape(Z.shape)

    product()
    return built({"product": product})


def scipys(setting: Setting, shape: tuple[int, ...], reach: int) -> Built:
    """rfftn, times the symbol of L, irfftn, with as many workers as there are cores."""
    op, Z = grid(setting, shape, reach)
    symbol = symbol_of(op)

    def product() -> np.ndarray:
        spectrum: Any = scipy.fft.rfftn(Z, workers=cores())
        spectrum *= symbol
        return np.asarray(scipy.fft.irfftn(spectrum, s=Z.shape, workers=cores()))

    return built({"product": product})


def torchs(setting: Setting, shape: tuple[int, ...], reach: int) -> Built:
    """The same by torch."""
    op, Z = grid(setting, shape, reach)
    symbol, field = torch.from_numpy(symbol_of(op)), torch.from_numpy(Z)
    return built({"product": lambda: torch.fft.irfftn(torch.fft.rfftn(field).mul_(symbol), s=field.shape).numpy()})


def numpys(setting: Setting, shape: tuple[int, ...], reach: int) -> Built:
    """The same by NumPy, on one core."""
    op, Z = grid(setting, shape, reach)
    symbol, axes = symbol_of(op), tuple(range(Z.ndim))
    return built({"product": lambda: np.fft.irfftn(np.fft.rfftn(Z) * symbol, s=Z.shape, axes=axes)})


@cache
def summed(dim: int, reach: int) -> int | None:
    """Sums and products a position of the stencil, None where transforms are taken."""
    K: Any = operator((3 * reach,) * dim, reach).averaging
    return None if K.stencil is None else K.stencil.operations


def case(shape: tuple[int, ...], precision: str, reach: int = NEAR) -> Case:
    """One grid."""
    M, words, few = math.prod(shape), NUMBER[precision], summed(len(shape), reach)
    by_transforms = Work(5 * M * math.log2(M), 6 * M * words, precision=precision)  # three passes; real ones twice
    work = by_transforms if few is None else Work(2 * few * M, 2 * M * words, precision=precision)
    far = "" if reach == NEAR else f", horizon {reach}"

    def contestant(name: str, build: Any) -> Contestant:
        same_as = None if name == "scipy.fft" else "scipy.fft"
        return Contestant(name, partial(build, shape=shape, reach=reach), same_as=same_as)

    return Case(
        f"W4 {' x '.join(map(str, shape))}, {precision}{far}",
        f"horizon {reach} cells, periodic, one channel",
        (
            contestant("ours", ours),
            contestant("scipy.fft", scipys),
            contestant("torch.fft", torchs),
            contestant("numpy.fft", numpys),
        ),
        measures=("product",),
        precision=precision,
        work={"product": work},
    )


CASES = (
    case((1024, 1024), "float64"),
    case((2048, 2048), "float64"),
    case((2048, 2048), "float32"),
    case((4096, 4096), "float64"),
    case((256, 256, 256), "float64"),
    case((4096, 4096), "float64", FAR),
)
MUST = (0.85, 0.75, 0.75, 0.75, 0.75, 0.75)
GOAL = (0.75, 0.65, 0.65, 0.65, 0.65, 0.65)
LEAST_MEMORY = 0.67

WORKLOAD = Workload("W4", "an operator on a grid", __name__, CASES, (
    *(timed(c.name, "product", "ours", "scipy.fft", *most) for c, *most in zip(CASES, MUST, GOAL, strict=True)),
    *(weighed(c.name, "product", "ours", "scipy.fft", LEAST_MEMORY) for c in CASES),
))  # fmt: skip

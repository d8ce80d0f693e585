"""W4: the operator on periodic grids by FFT, beside the transforms one after the other."""

from __future__ import annotations

import math
from functools import partial
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
REACH = 4  # cells to the horizon
NUMBER = {"float32": 4, "float64": 8}


def grid(setting: Setting, shape: tuple[int, ...]) -> tuple[NonlocalOperator, np.ndarray]:
    """The operator of nonlocal diffusion on a torus, and a field."""
    shape = SMALL[len(shape)] if setting.quick or setting.images is not None else shape
    kernel = TruncatedGaussian(REACH, REACH / 2, len(shape))
    op = NonlocalOperator.on_grid(shape, kernel, 1.0, dtype=setting.precision)
    return op, normal(setting, *shape)


def symbol_of(op: NonlocalOperator) -> np.ndarray:
    """The transform of L's stencil."""
    K: Any = op.averaging
    return K.symbol - op.exit_rate[0]


def ours(setting: Setting, shape: tuple[int, ...]) -> Built:
    """L Z, checked as every call is."""
    op, Z = grid(setting, shape)
    v = Z.reshape(-1)
    return built({"product": lambda: (op @ v).reshape(Z.shape)})


def scipys(setting: Setting, shape: tuple[int, ...]) -> Built:
    """rfftn, times the symbol of L, irfftn, with as many workers as there are cores."""
    op, Z = grid(setting, shape)
    symbol = symbol_of(op)

    def product() -> np.ndarray:
        spectrum: Any = scipy.fft.rfftn(Z, workers=cores())
        spectrum *= symbol
        return np.asarray(scipy.fft.irfftn(spectrum, s=Z.shape, workers=cores()))

    return built({"product": product})


def torchs(setting: Setting, shape: tuple[int, ...]) -> Built:
    """The same by torch."""
    op, Z = grid(setting, shape)
    symbol, field = torch.from_numpy(symbol_of(op)), torch.from_numpy(Z)
    return built({"product": lambda: torch.fft.irfftn(torch.fft.rfftn(field).mul_(symbol), s=field.shape).numpy()})


def numpys(setting: Setting, shape: tuple[int, ...]) -> Built:
    """The same by NumPy, on one core."""
    op, Z = grid(setting, shape)
    symbol, axes = symbol_of(op), tuple(range(Z.ndim))
    return built({"product": lambda: np.fft.irfftn(np.fft.rfftn(Z) * symbol, s=Z.shape, axes=axes)})


def case(shape: tuple[int, ...], precision: str) -> Case:
    """One grid."""
    M, words = math.prod(shape), NUMBER[precision]
    work = Work(5 * M * math.log2(M), 6 * M * words, precision=precision)  # three passes; a real transform twice
    return Case(
        f"W4 {' x '.join(map(str, shape))}, {precision}",
        f"horizon {REACH} cells, periodic, one channel",
        (
            Contestant("ours", partial(ours, shape=shape), same_as="scipy.fft"),
            Contestant("scipy.fft", partial(scipys, shape=shape)),
            Contestant("torch.fft", partial(torchs, shape=shape), same_as="scipy.fft"),
            Contestant("numpy.fft", partial(numpys, shape=shape), same_as="scipy.fft"),
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
)
MUST = (0.85, 0.75, 0.75, 0.75, 0.75)
GOAL = (0.75, 0.65, 0.65, 0.65, 0.65)
LEAST_MEMORY = 0.67

WORKLOAD = Workload("W4", "an operator on a grid by FFT", __name__, CASES, (
    *(timed(c.name, "product", "ours", "scipy.fft", *most) for c, *most in zip(CASES, MUST, GOAL, strict=True)),
    *(weighed(c.name, "product", "ours", "scipy.fft", LEAST_MEMORY) for c in CASES),
))  # fmt: skip

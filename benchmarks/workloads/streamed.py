"""W1: the exact product with the Gaussian affinity of scattered points in three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from unittest import mock

import numpy as np
import torch

from benchmarks.case import Built, Case, Contestant, Setting, Work
from benchmarks.figures import Bytes, Limit, accurate, cold, timed, weighed
from benchmarks.numpy_calls import built, normal, sized
from benchmarks.peers import chunked, keops
from benchmarks.workload import Workload
from nlmodel import NonlocalOperator, row_averages
from nlmodel.kernels import Gaussian
from nlmodel.operators import compiled


PRODUCT = "product"
SCALE = 1.0
SAMPLED = 64  # rows on which the error is found


def drawn(setting: Setting, M: int, columns: int, features: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Points, of the same length on average whatever their number of features, and fields."""
    size = sized(setting, M, 1500)
    return normal(setting, size, features) * float(np.sqrt(3 / features)), normal(setting, size, columns, seed=3)


def error(X: np.ndarray, V: np.ndarray, row: bool) -> Callable[[np.ndarray], float]:
    """The largest error over the sum of absolute terms on sampled rows, against the same data in extended precision."""
    rows = np.random.default_rng(4).choice(len(X), min(SAMPLED, len(X)), replace=False)
    X, V = X.astype(np.longdouble), V.astype(np.longdouble)
    K = np.exp(-np.sum((X[rows, None] - X[None]) ** 2, -1) / (2 * SCALE**2))
    K /= np.sum(K, 1, keepdims=True) if row else 1
    true, scale = K @ V, K @ np.abs(V)
    return lambda found: float(np.max(np.abs(np.asarray(found)[rows] - true) / scale))


def product(
    setting: Setting, call: Callable[..., object], M: int, columns: int = 1, row: bool = False, features: int = 3
) -> Built:
    """A contestant: a function of points, scale and fields in NumPy."""
    X, V = drawn(setting, M, columns, features)
    return built({PRODUCT: lambda: call(X, SCALE, V)}, error=error(X, V, row))


def ours(setting: Setting, M: int, columns: int = 1, how: str = "none", portable: bool = False) -> Built:
    """Our streamed operator, which stands; its averages are what is measured."""
    X, V = drawn(setting, M, columns)
    hide = mock.patch.object(compiled, "compiled", (lambda name: None) if portable else compiled.compiled)
    with hide:
        op = NonlocalOperator.from_points(X, Gaussian(SCALE), how, storage="streamed")

    def call() -> np.ndarray:
        with hide:
            return op.average(V)

    return built({PRODUCT: call}, error=error(X, V, how == "row"))


def at_once(X: np.ndarray, scale: float, V: np.ndarray) -> np.ndarray:
    """Our averages from the points themselves: row sums and product in one pass."""
    return row_averages(X, Gaussian(scale), V)


def in_torch(function: Callable[..., torch.Tensor], X: np.ndarray, scale: float, V: np.ndarray) -> np.ndarray:
    """A function of tensors on arrays."""
    with torch.no_grad():
        return function(torch.from_numpy(X), scale, torch.from_numpy(V)).numpy()


def in_compiled_torch(X: np.ndarray, scale: float, V: np.ndarray) -> np.ndarray:
    """torch's compiler."""
    return in_torch(chunked.compiled(), X, scale, V)


def case(name: str, M: int, precision: str) -> Case:
    """All contestants on one right-hand side."""
    beside = partial(Contestant, same_as="NumPy, chunked", within=1e-4 if precision == "float32" else 1e-9)
    return Case(name, f"{M} normal points in three dimensions, one right-hand side", (
        beside("KeOps", partial(product, call=keops.gaussian, M=M), compiles=True),
        beside("ours", partial(ours, M=M), compiles=True),
        beside("ours, portable", partial(ours, M=M, portable=True)),
        beside("torch.compile", partial(product, call=in_compiled_torch, M=M), compiles=True),
        beside("torch, chunked", partial(product, call=partial(in_torch, chunked.in_torch), M=M)),
        Contestant("NumPy, chunked", partial(product, call=chunked.in_numpy, M=M)),
    ), measures=(PRODUCT,), precision=precision, cold=(PRODUCT,),
       work={PRODUCT: Work(0.0, 0.0, exponentials=M * M, precision=precision)})  # fmt: skip


def row_case(name: str, M: int, precision: str) -> Case:
    """Rows that sum to one, beside fused attention and our own product without them."""
    near = 1e-4 if precision == "float32" else 1e-9
    return Case(name, f"{M} points, rows that sum to one", (
        Contestant("torch SDPA", partial(product, call=partial(in_torch, chunked.attention), M=M, row=True)),
        Contestant("ours", partial(ours, M=M, how="row"), same_as="torch SDPA", within=near),
        Contestant("ours, row sums too", partial(product, call=at_once, M=M, row=True), same_as="ours", within=near),
        Contestant("ours, not normalised", partial(ours, M=M)),
    ), measures=(PRODUCT,), precision=precision)  # fmt: skip


def both(M: int, columns: int) -> Work:
    """A matrix product and the exponentials of its entries."""
    return Work(2.0 * M * M * columns, 0.0, exponentials=M * M)


def wide_case(name: str, M: int, columns: int) -> Case:
    """So many right-hand sides that matrix products decide."""
    return Case(name, f"{M} points, {columns} right-hand sides", (
        Contestant("torch, chunked", partial(product, call=partial(in_torch, chunked.in_torch), M=M, columns=columns)),
        Contestant("ours", partial(ours, M=M, columns=columns), same_as="torch, chunked", within=1e-4),
    ), measures=(PRODUCT,), work={PRODUCT: both(M, columns)})  # fmt: skip


def long_case(name: str, M: int, features: int, columns: int) -> Case:
    """Features so long that a matrix product finds the distances."""
    call = partial(product, M=M, features=features, columns=columns, row=True)
    return Case(name, f"{M} points of {features} features, {columns} right-hand sides, rows that sum to one", (
        Contestant("torch SDPA", partial(call, call=partial(in_torch, chunked.attention))),
        Contestant("ours, row sums too", partial(call, call=at_once), same_as="torch SDPA", within=1e-4),
    ), measures=(PRODUCT,))  # fmt: skip


SINGLE, DOUBLE = "W1 Gaussian, 20000, float32", "W1 Gaussian, 20000, float64"
ROW_SINGLE, ROW_DOUBLE = "W1 row-normalised, 20000, float32", "W1 row-normalised, 20000, float64"
LONG = "W1 512 features, 4096, float32"
MANY = "W1 64 right-hand sides, 20000, float32"
TEN_MIB = Bytes("10 MiB", 10 * 2.0**20)

CASES = (
    case(SINGLE, 20_000, "float32"),
    case(DOUBLE, 20_000, "float64"),
    row_case(ROW_SINGLE, 20_000, "float32"),
    row_case(ROW_DOUBLE, 20_000, "float64"),
    wide_case(MANY, 20_000, 64),
    long_case(LONG, 4096, 512, 64),
)

WORKLOAD = Workload("W1", "exact Gaussian product", __name__, CASES, (
    timed(SINGLE, PRODUCT, "ours", "KeOps", 0.06, 0.03),
    timed(SINGLE, PRODUCT, "ours", "torch.compile", 0.65, 0.32),
    timed(DOUBLE, PRODUCT, "ours", "KeOps", 0.17, 0.10),
    timed(DOUBLE, PRODUCT, "ours", "torch.compile", 0.70, 0.40),
    timed(SINGLE, PRODUCT, "ours, portable", "KeOps", 0.33),
    timed(DOUBLE, PRODUCT, "ours, portable", "KeOps", 0.60),
    timed(ROW_SINGLE, PRODUCT, "ours", "ours, not normalised", 1.25),
    timed(ROW_DOUBLE, PRODUCT, "ours", "ours, not normalised", 1.25),
    timed(ROW_SINGLE, PRODUCT, "ours, row sums too", "ours, not normalised", 1.25),
    timed(ROW_DOUBLE, PRODUCT, "ours, row sums too", "ours, not normalised", 1.25),
    timed(LONG, PRODUCT, "ours, row sums too", "torch SDPA", 1.0),
    timed(MANY, PRODUCT, "ours", Limit("the matrix product and the exponentials", both(20_000, 64)), 1 / 0.6),
    accurate(SINGLE, PRODUCT, "ours", 3e-8),
    accurate(DOUBLE, PRODUCT, "ours", 1e-16),
    weighed(SINGLE, PRODUCT, "ours", TEN_MIB, 1.0),
    weighed(DOUBLE, PRODUCT, "ours", TEN_MIB, 1.0),
    cold(SINGLE, PRODUCT, "ours", 10),
    cold(DOUBLE, PRODUCT, "ours", 10),
))  # fmt: skip

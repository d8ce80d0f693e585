"""W5: a finite horizon of three cells on jittered grids in the plane, about 28 neighbours; and scattered in space."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from unittest import mock

import numpy as np
import torch
from scipy.sparse import csr_array

from benchmarks.case import Built, Case, Contestant, Setting, Work
from benchmarks.figures import Bytes, cold, timed, weighed
from benchmarks.numpy_calls import built, normal, sized, uniform
from benchmarks.peers import neighbours
from benchmarks.workload import Workload
from nlmodel.kernels import TruncatedGaussian
from nlmodel.operators import SparseAffinity, neighbour_matrix


ASSEMBLY, PRODUCT, COLUMNS = "assembly", "product", "16 columns"
NEIGHBOURS, ENTRY = 27.6, 12  # entries a row; bytes of an entry in float64
MANY = 16
HORIZON = 3  # cells


def jittered(setting: Setting, side: int) -> tuple[np.ndarray, float]:
    """Points of a grid, each moved by a fifth of a cell at most, and the size of the cell."""
    n = sized(setting, side, 24)
    index = np.stack(np.meshgrid(*[np.arange(n)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    return (index + 0.5 + 0.4 * (uniform(setting, n * n, 2) - 0.5)) / n, 1 / n


def scattered(setting: Setting, points: int) -> tuple[np.ndarray, float]:
    """Points anywhere in a cube, and the side of the cube that belongs to one."""
    X = uniform(setting, sized(setting, points, 600), 3)
    return X, len(X) ** (-1 / 3) / 1.5  # 33 neighbours


def kernel(X: np.ndarray, cell: float) -> TruncatedGaussian:
    """Of a standard deviation of one cell."""
    return TruncatedGaussian(HORIZON * cell, cell, X.shape[1], scaled=False)


def matrix_of(parts: csr_array) -> Mapping[str, np.ndarray]:
    """What must agree of two matrices."""
    parts.sort_indices()
    return {"rows": parts.indptr.astype(float), "columns": parts.indices.astype(float), "output": parts.data}


def assembled(points: Callable[[Setting], tuple[np.ndarray, float]], peer: str, setting: Setting) -> Built:
    """The assembly of a function of `peers.neighbours`."""
    X, cell = points(setting)
    call = partial(getattr(neighbours, peer), X, HORIZON * cell, cell)
    return built({ASSEMBLY: call}, compared=lambda: matrix_of(call()))


def ours_assembled(
    points: Callable[[Setting], tuple[np.ndarray, float]], setting: Setting, portable: bool = False
) -> Built:
    """Ours."""
    X, cell = points(setting)

    def call() -> SparseAffinity:
        if not portable:
            return SparseAffinity.from_points(X, kernel(X, cell))
        with mock.patch.object(neighbour_matrix, "loops", lambda name, points: None):
            return SparseAffinity.from_points(X, kernel(X, cell))

    return built({ASSEMBLY: call}, compared=lambda: matrix_of(call().to_csr()))


def products(act: Callable[[np.ndarray], object], size: int, setting: Setting) -> Built:
    """One column and many."""
    z, Z = normal(setting, size), normal(setting, size, MANY)
    return built({PRODUCT: lambda: act(z), COLUMNS: lambda: act(Z)})


def shuffled(setting: Setting, side: int) -> tuple[np.ndarray, float]:
    """The jittered grid in random order."""
    X, cell = jittered(setting, side)
    return np.random.default_rng(3).permutation(X), cell


def ours(points: Callable[[Setting], tuple[np.ndarray, float]], setting: Setting) -> Built:
    """K Z."""
    X, cell = points(setting)
    K = SparseAffinity.from_points(X, kernel(X, cell))
    return products(lambda Z: K.apply(Z.reshape(len(X), -1)).reshape(Z.shape), len(X), setting)


def scipys(points: Callable[[Setting], tuple[np.ndarray, float]], setting: Setting) -> Built:
    """The same matrix in SciPy."""
    X, cell = points(setting)
    matrix = SparseAffinity.from_points(X, kernel(X, cell)).to_csr()
    return products(lambda Z: matrix @ Z, len(X), setting)


def torchs(points: Callable[[Setting], tuple[np.ndarray, float]], setting: Setting) -> Built:
    """The same matrix in torch, with indices of 32 bits."""
    X, cell = points(setting)
    csr = SparseAffinity.from_points(X, kernel(X, cell)).to_csr()
    parts = (torch.from_numpy(part) for part in (csr.indptr, csr.indices, csr.data))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        matrix = torch.sparse_csr_tensor(*parts, size=csr.shape, check_invariants=False)
    return products(lambda Z: (matrix @ torch.from_numpy(Z)).numpy(), len(X), setting)


def reading(size: int, setting: Setting) -> Built:
    """As many bytes as matrix, field and result have, read and added up by all threads."""
    there = torch.ones(sized(setting, int(work(size, 1).bytes) // 8, 600), dtype=torch.float64)
    return built({PRODUCT: lambda: there.sum().numpy()})


def assembly_case(name: str, about: str, points: Callable, peers: tuple[Contestant, ...]) -> Case:
    """Ours, compiled and portable, beside the trees."""
    return Case(name, about, (
        Contestant("ours", partial(ours_assembled, points), same_as="query_pairs", compiles=True),
        Contestant("ours, portable", partial(ours_assembled, points, portable=True), same_as="query_pairs"),
        Contestant("query_pairs", partial(assembled, points, "query_pairs")), *peers,
    ), measures=(ASSEMBLY,), precision="float64", cold=(ASSEMBLY,))  # fmt: skip


def tree(points: Callable) -> Contestant:
    """SciPy's other way."""
    return Contestant("distance_matrix", partial(assembled, points, "distance_matrix"), same_as="query_pairs")


def graph(points: Callable) -> Contestant:
    """scikit-learn's."""
    return Contestant("scikit-learn", partial(assembled, points, "radius_graph"), same_as="query_pairs")


def product_case(name: str, about: str, points: Callable, size: int) -> Case:
    """Ours beside SciPy and torch."""
    return Case(name, about, (
        Contestant("ours", partial(ours, points), same_as="scipy"),
        Contestant("scipy", partial(scipys, points)),
        Contestant("torch", partial(torchs, points), same_as="scipy"),
    ), measures=(PRODUCT, COLUMNS), precision="float64",
        work={PRODUCT: work(size, 1), COLUMNS: work(size, MANY)})  # fmt: skip


def limit_case(name: str, about: str, points: Callable, size: int) -> Case:
    """Ours beside the bytes that it must read, in the same rounds."""
    return Case(name, about, (
        Contestant("ours", partial(ours, points)),
        Contestant("reading", partial(reading, size)),
    ), measures=(PRODUCT,), precision="float64")  # fmt: skip


def work(size: int, columns: int) -> Work:
    """Every entry read once, the field too, and the result written."""
    entries = NEIGHBOURS * size
    return Work(2 * entries * columns, ENTRY * entries + 16 * size * columns, precision="float64", stream="read")


SMALL, LARGE, SPACE = "W5 assembly, 1e5", "W5 assembly, 1e6", "W5 assembly in space"
ROWS, MIXED, ALONE = "W5 product", "W5 product, shuffled", "W5 bytes of a product"
SMALL_POINTS, LARGE_POINTS = partial(jittered, side=316), partial(jittered, side=1000)
SPACE_POINTS = partial(scattered, points=200_000)

CASES = (
    assembly_case(SMALL, "99,856 points, horizon 3 h", SMALL_POINTS, (tree(SMALL_POINTS), graph(SMALL_POINTS))),
    assembly_case(LARGE, "1,000,000 points, horizon 3 h", LARGE_POINTS, (tree(LARGE_POINTS),)),
    assembly_case(SPACE, "200,000 points anywhere in a cube", SPACE_POINTS, (tree(SPACE_POINTS),)),
    product_case(ROWS, "1,000,000 points, row after row", LARGE_POINTS, 10**6),
    product_case(MIXED, "the same in random order", partial(shuffled, side=1000), 10**6),
    limit_case(ALONE, "1,000,000 points, row after row, and the bytes of matrix and fields alone", LARGE_POINTS, 10**6),
)


def finished(points: int) -> Bytes:
    """The matrix alone."""
    return Bytes("the finished matrix", points * (ENTRY * NEIGHBOURS + 4))


PEERS = ("query_pairs", "distance_matrix")

WORKLOAD = Workload("W5", "a finite horizon", __name__, CASES, (
    timed(SMALL, ASSEMBLY, "ours", (*PEERS, "scikit-learn"), 0.20, 0.10),
    timed(LARGE, ASSEMBLY, "ours", PEERS, 0.20, 0.10),
    timed(SPACE, ASSEMBLY, "ours", PEERS, 0.20, 0.10),
    timed(SMALL, ASSEMBLY, "ours, portable", (*PEERS, "scikit-learn"), 0.80),
    timed(LARGE, ASSEMBLY, "ours, portable", PEERS, 0.80),
    weighed(SMALL, ASSEMBLY, "ours", finished(316**2), 1.15),
    weighed(LARGE, ASSEMBLY, "ours", finished(10**6), 1.15),
    cold(SMALL, ASSEMBLY, "ours", 10),
    timed(ROWS, PRODUCT, "ours", "torch", 1.05, 0.70),
    timed(ALONE, PRODUCT, "ours", "reading", 1 / 0.85),
    timed(ROWS, COLUMNS, "ours", "torch", 0.50, 0.25),
    timed(MIXED, PRODUCT, "ours", "torch", 1.05, 0.70),
    timed(MIXED, COLUMNS, "ours", "torch", 0.50, 0.25),
))  # fmt: skip

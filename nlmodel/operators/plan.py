"""What an operator costs: bytes it holds, bytes at the peak of its assembly and of a product, operations."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import singledispatch
from typing import Any

import numpy as np
from scipy.sparse import issparse

from nlmodel._arrays import Array, check_array, check_choice, check_count, dtype_eps
from nlmodel.kernels import Kernel, as_kernel
from nlmodel.normalization import HOW
from nlmodel.operators import neighbour_matrix as neighbours
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.cells_portable import CHUNKS, PAIRS_PER_CHUNK
from nlmodel.operators.dense import DenseAffinity
from nlmodel.operators.grid import GridAffinity
from nlmodel.operators.grid_stencil import BOX_BYTES
from nlmodel.operators.linear_map import LinearMap
from nlmodel.operators.lowrank import LowRankAffinity
from nlmodel.operators.nufft import NufftAffinity
from nlmodel.operators.of_points import EXACT, chosen_storage
from nlmodel.operators.sparse import SparseAffinity, check_local
from nlmodel.operators.streamed import StreamedAffinity, tile_size
from nlmodel.operators.threads import cores


TWO_SIDED = ("symmetric", "sinkhorn", "alpha")  # normalisations that scale the field too, not the sums alone
VECTORS = 7  # left, right, degree, exit rate, measure of a normalisation, and the two scalings of K
SAMPLED_ROWS = 4096  # whose neighbours are counted, evenly spread over space


@dataclass(frozen=True)
class OperatorPlan:
    """Memory in bytes and work of an operator, announced.

    Attributes
    ----------
    storage : the representation.
    held : what the operator keeps, the points aside.
    assembly : the most that exists while it is made, what it then holds included; None of one that is there already.
    product : the most that a product needs beside the operator and its field, the result included.
    operations : additions and multiplications of a product.
    vector : one field of one column.
    reason : what the numbers rest on.
    """

    storage: str
    held: int
    assembly: int | None
    product: int
    operations: int
    vector: int
    reason: str

    def peak(self, vectors: int = 0) -> int:
        """The most that exists at any time while products are taken beside so many vectors, those of a Krylov space."""
        check_count(vectors, "vectors")
        return max(self.assembly or 0, self.held + self.product + vectors * self.vector)

    def __repr__(self) -> str:
        made = "" if self.assembly is None else f", assembly={_megabytes(self.assembly)}"
        return (
            f"OperatorPlan({self.storage!r}, held={_megabytes(self.held)}{made}, product={_megabytes(self.product)}, "
            f"operations={self.operations:.2e}: {self.reason})"
        )


def plan_of(op: LinearMap, columns: int = 1) -> OperatorPlan:
    """The plan of a `NonlocalOperator` that is there.

    Parameters
    ----------
    columns : of the field that it acts on.

    Accuracy of the bytes: within a fifth for 10,000 positions and more, NumPy fields, L and not its transpose.
    """
    check_count(columns, "columns", at_least=1)
    K: Any = op.averaging  # pyright: ignore[reportAttributeAccessIssue]
    product, operations, reason = _work(K, columns)
    held = bytes_of(K) + bytes_of(op.potentials)  # pyright: ignore[reportAttributeAccessIssue]
    return OperatorPlan(K.storage, held, None, product, operations, _field(K, 1), reason)


def plan_points(
    X: np.ndarray,
    kernel: Kernel | Any,
    normalize: str = "row",
    *,
    storage: str = "auto",
    columns: int = 1,
) -> OperatorPlan:
    """The plan of `NonlocalOperator.from_points` before anything is made.

    Neighbours are counted at 4096 points evenly spread over space, so that the entries of a sparse matrix are known to
    a few per cent; other representations are known by their sizes.  Weights are taken for one number.

    Parameters
    ----------
    X, kernel, normalize : as of `from_points`.
    storage : one that is exact; how much an approximation holds is known once it is made.
    columns : of the field that it will act on.

    Raises   as `from_points`.
    Cost     O(M log M) for sparse storage, else O(1).
    """
    check_count(columns, "columns", at_least=1)
    check_choice(normalize, "normalize", HOW)
    check_choice(storage, "storage", ("auto", *EXACT))
    kernel = as_kernel(kernel)
    check_array(X, "X", min_ndim=2)
    storage = chosen_storage(X, kernel, storage).storage
    number, M = _number(X.dtype), int(np.prod(X.shape[:-1]))
    field, vectors = M * columns * number, VECTORS * M * number
    if storage == "sparse":
        return _sparse_plan(*check_local(X, kernel), normalize, columns)
    if storage == "dense":
        entries = M * X.shape[-2] * number
        made = 4 * entries if kernel.exponential else 21 * entries // 4  # with the temporaries of the kernel
        return OperatorPlan(
            storage, entries + vectors, made + vectors, 3 * field, 2 * M * X.shape[-2] * columns, M * number,
            f"{M} x {X.shape[-2]} entries",
        )  # fmt: skip
    product, operations, reason = _tiles(X, columns, number)
    return OperatorPlan(storage, vectors, vectors + product + 4 * M * number, product, operations, M * number, reason)


def bytes_of(value: Any) -> int:
    """Bytes of the arrays among the fields of a dataclass, an array that occurs twice counted once."""
    arrays = {}
    for field in fields(value):
        part = getattr(value, field.name)
        for array in (part.data, part.indices, part.indptr) if issparse(part) else (part,):
            if hasattr(array, "nbytes") and field.name != "points":
                arrays[id(array)] = array.nbytes
    return sum(arrays.values())


def _sparse_plan(X: np.ndarray, kernel: Any, normalize: str, columns: int) -> OperatorPlan:
    cells = neighbours.cells_of(X, kernel)
    M, number = len(X), X.dtype.itemsize
    sampled = np.arange(0, M, max(1, M // SAMPLED_ROWS), dtype=cells.order.dtype)
    count = np.diff(neighbours.neighbours(cells, sampled, kernel, named=False)[0])
    stored = int(np.mean(count) * M)
    spread = float(np.std(count) / np.sqrt(len(count)) / max(np.mean(count), 1))
    width = np.dtype(cells.index(stored)).itemsize
    matrix = stored * (number + width) + (M + 1) * width
    ordered = neighbours.user_order(cells) is not None
    order = 2 * M * width * ordered  # and its inverse
    field, vectors = M * columns * number, VECTORS * M * number
    making = bytes_of(cells) + cells.points.nbytes + M * width
    if neighbours.loops("cells_compiled", M) is None:
        making += matrix // 32 + (3 * cores() + 1) * 3 * number * max(PAIRS_PER_CHUNK, cells.total // CHUNKS)
    product = field * (1 + (2 if ordered else normalize in TWO_SIDED))
    normalizing = vectors + order + (4 + 1 + 2 * ordered) * M * number
    return OperatorPlan(
        "sparse", matrix + vectors + order, matrix + max(making, normalizing), product,
        2 * stored * columns, M * number,
        f"{stored} entries expected, to {spread:.1%}, in the order of "
        f"{'cells' if ordered else 'the user'}; normalize={normalize!r}",
    )  # fmt: skip


@singledispatch
def _work(K: Affinity, columns: int) -> tuple[int, int, str]:
    """Bytes of a product beside the field, operations, and why."""
    return 3 * _field(K, columns), 2 * K.shape[-1] * columns, "no model of this representation: the fields alone"


@_work.register
def _(K: DenseAffinity, columns: int) -> tuple[int, int, str]:
    return 3 * _field(K, columns), 2 * int(np.prod(K.shape)) * columns, f"{K.shape} entries"


@_work.register
def _(K: SparseAffinity, columns: int) -> tuple[int, int, str]:
    sorted_ = 2 if K.order is not None else int(K.right is not None)
    reason = f"{K.stored.nnz} entries, in the order of {'the user' if K.order is None else 'cells'}"
    return _field(K, columns) * (1 + sorted_), 2 * K.stored.nnz * columns, reason


@_work.register
def _(K: StreamedAffinity, columns: int) -> tuple[int, int, str]:
    return _tiles(K.points, columns, _number(K.dtype))


@_work.register
def _(K: GridAffinity, columns: int) -> tuple[int, int, str]:
    if (stencil := K.direct(columns)) is not None:
        operations = stencil.operations
        reason = f"{operations} sums and products a position"
        return 2 * _field(K, columns) + BOX_BYTES * cores(), 2 * operations * K.shape[-1] * columns, reason
    padded, number = int(np.prod(K.padded)), _number(K.dtype)
    transforms = int(5 * padded * np.log2(max(padded, 2))) * columns
    return 2 * (_field(K, columns) + padded * number * columns), transforms, f"transforms of {K.padded}"


@_work.register
def _(K: LowRankAffinity, columns: int) -> tuple[int, int, str]:
    rank = K.factor.shape[-1]
    return 3 * _field(K, columns), 4 * int(np.prod(K.shape[:-1])) * rank * columns, f"rank {rank}"


@_work.register
def _(K: NufftAffinity, columns: int) -> tuple[int, int, str]:
    modes, points, pairs = int(np.prod(K.transform.modes)), K.shape[0], (columns + 1) // 2
    width = max(2.0, -np.log10(K.transform.eps) + 1)
    spread = 2 * points * int(width ** len(K.transform.modes))
    fine = 2 ** len(K.transform.modes) * modes
    operations = pairs * 4 * (spread + int(5 * fine * np.log2(max(fine, 2))))
    grids = 2 * _number(K.dtype) * (points + fine + modes) * min(pairs, K.transform.together)
    return 3 * _field(K, columns) + grids, operations, f"{modes} modes"


def _tiles(X: Array, columns: int, number: int) -> tuple[int, int, str]:
    *batch, M, dim = X.shape
    rows, size = int(np.prod(batch)) * M, tile_size(X)
    at_once = int(np.prod(batch)) * (cores() if isinstance(X, np.ndarray) else 1)
    tiles = 4 * size * min(size, M) * number * at_once
    return 3 * rows * columns * number + tiles, rows * M * (3 * dim + 2 * columns), f"tiles of {size} x {size}"


def _field(K: Affinity, columns: int) -> int:
    return int(np.prod(K.shape[:-1])) * columns * _number(K.dtype)


def _number(dtype: Any) -> int:
    """Bytes of a number of double or single precision, of any library."""
    return 8 if dtype_eps(dtype) < 1e-10 else 4


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"

"""Which representation holds omega of given points, and the affinity in it."""

from __future__ import annotations

import numpy as np

from nlmodel._arrays import Array, check_choice, namespace
from nlmodel.kernels import Kernel, RadialKernel
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.dense import DenseAffinity
from nlmodel.operators.sparse import SparseAffinity
from nlmodel.operators.streamed import StreamedAffinity


STORAGES = ("auto", "dense", "sparse", "streamed")
SPARSE_FROM = 1000  # positions; below, a dense matrix is smaller than 8 MB and faster
DENSE_BYTES = 2**29  # what a dense matrix may take unasked: 8192 positions in double precision


def chosen_storage(X: Array, kernel: Kernel, asked: str) -> str:
    """ "sparse" for many NumPy points and a finite horizon, "dense" where the matrix is small, else "streamed"."""
    if check_choice(asked, "storage", STORAGES) != "auto":
        return asked
    local = isinstance(kernel, RadialKernel) and np.isfinite(kernel.horizon)
    if local and isinstance(X, np.ndarray) and X.ndim == 2 and len(X) >= SPARSE_FROM:
        return "sparse"
    batch = int(np.prod(X.shape[:-2]))
    size = batch * X.shape[-2] ** 2 * namespace(X).finfo(X.dtype).bits // 8
    return "dense" if size <= DENSE_BYTES else "streamed"


def affinity_of(X: Array, kernel: Kernel, storage: str) -> Affinity:
    """omega_ij = kernel(X_i, X_j) in the representation asked for; all are exact."""
    storage = chosen_storage(X, kernel, storage)
    if storage == "sparse":
        return SparseAffinity.from_points(X, kernel)
    if storage == "streamed":
        return StreamedAffinity.of(X, kernel)
    values = kernel.log(X) if kernel.exponential else kernel(X)
    return DenseAffinity.from_array(  # a law that fails on some points may hold on these
        values,
        log=kernel.exponential,
        symmetric=kernel.symmetric or None,
        nonnegative=kernel.nonnegative or None,
    )

"""Which representation holds omega of given points, and the affinity in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from nlmodel._arrays import Array, check_choice, namespace
from nlmodel.errors import ChoiceError, NlmodelError
from nlmodel.kernels import Kernel, RadialKernel
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.approximation import check_tolerance
from nlmodel.operators.dense import DenseAffinity
from nlmodel.operators.lowrank import LowRankAffinity
from nlmodel.operators.nufft import NufftAffinity
from nlmodel.operators.sparse import SparseAffinity
from nlmodel.operators.streamed import StreamedAffinity


EXACT = ("dense", "sparse", "streamed")
APPROXIMATE = {"nufft": NufftAffinity, "lowrank": LowRankAffinity}
STORAGES = ("auto", *EXACT, *APPROXIMATE)
DEFAULT_TOL = 1e-6
SPARSE_FROM = 1000  # positions; below, a dense matrix is smaller than 8 MB and faster
DENSE_BYTES = 2**29  # what a dense matrix may take unasked: 8192 positions in double precision
ASKED = "asked for"
T = TypeVar("T")


class Choice(NamedTuple):
    """An exact representation, and why it was chosen."""

    storage: str
    reason: str


def check_storage(storage: str, tol: float | None) -> None:
    """Raise unless the name is one of `STORAGES` and a tolerance is given to those alone that have one."""
    check_choice(storage, "storage", STORAGES)
    if tol is None:
        return
    check_tolerance(tol)
    if storage in EXACT:
        raise ChoiceError(
            "tol belongs to a storage that approximates",
            got=f"tol={tol:g} with storage {storage!r}, which is exact",
            fix='leave tol out, or pass storage="auto", "nufft" or "lowrank"',
        )


def chosen_storage(X: Array, kernel: Kernel, asked: str) -> Choice:
    """ "sparse" for many NumPy points and a finite horizon, "dense" where the matrix is small, else "streamed"."""
    if asked != "auto":
        return Choice(asked, ASKED)
    local = isinstance(kernel, RadialKernel) and np.isfinite(kernel.horizon)
    if local and isinstance(X, np.ndarray) and X.ndim == 2 and len(X) >= SPARSE_FROM:
        return Choice("sparse", f"a finite horizon and {len(X)} >= {SPARSE_FROM} positions")
    batch = int(np.prod(X.shape[:-2]))
    size = batch * X.shape[-2] ** 2 * namespace(X).finfo(X.dtype).bits // 8
    if size <= DENSE_BYTES:
        return Choice("dense", f"a matrix of {size / 2**20:.3g} MiB, at most {DENSE_BYTES >> 20} MiB")
    return Choice("streamed", f"a matrix of {size / 2**20:.3g} MiB, more than {DENSE_BYTES >> 20} MiB")


def represented(
    X: Array, kernel: Kernel, storage: str, tol: float | None, normalized: Callable[[Affinity], T]
) -> tuple[T, str]:
    """`normalized` of omega_ij = kernel(X_i, X_j) in the representation asked for, and why it is that.

    Of "auto" with a tolerance it is the first that approximates and can be normalised (approximate row sums can be too
    inaccurate to divide by), else one that is exact.
    """
    if storage in APPROXIMATE:
        return normalized(APPROXIMATE[storage].build(X, kernel, DEFAULT_TOL if tol is None else tol)), ASKED
    (name, reason), refused = chosen_storage(X, kernel, storage), ""
    if storage == "auto" and tol is not None and name != "sparse" and X.shape[-2] >= SPARSE_FROM:
        for other, kind in APPROXIMATE.items():
            try:
                return normalized(kind.build(X, kernel, tol)), f"tol={tol:g} allows to approximate{refused}"
            except NlmodelError as error:
                refused += f"; not {other}: {str(error).splitlines()[0]}"
    return normalized(exact_affinity(X, kernel, name)), reason + refused


def exact_affinity(X: Array, kernel: Kernel, storage: str) -> Affinity:
    """omega without any error but rounding."""
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

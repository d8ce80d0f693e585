"""What every operator can do: act on arrays, be transposed, added, scaled, composed, and go to SciPy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from nlmodel._arrays import Array, check_array, device, dtype_eps, eps, namespace, to_numpy
from nlmodel.errors import DtypeError, ShapeError


if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


class LinearMap(ABC):
    """A linear map on fields Z of shape (..., M, C), one row a position; an (M,) array is one channel.

    Subclasses give `shape`, `dtype`, `apply` and `apply_transposed`; the rest follows.  `op @ Z` checks its
    argument, `op.apply(Z)` is the bare definition.
    """

    __array_ufunc__ = None  # NumPy must not spread an operator over its elements

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(..., M, N); leading dimensions are a batch of operators."""

    @property
    @abstractmethod
    def dtype(self) -> Any:
        """Element type, of the library in which the operator was made."""

    @abstractmethod
    def apply(self, Z: Array) -> Array:
        """A Z for Z of shape (..., N, C), without checks."""

    @abstractmethod
    def apply_transposed(self, Z: Array) -> Array:
        """A^T Z for Z of shape (..., M, C), without checks."""

    @property
    def size(self) -> int:
        """Number of positions M."""
        return self.shape[-2]

    @property
    def T(self) -> LinearMap:
        """The plain transpose (for the adjoint in a measure see `NonlocalOperator.adjoint`)."""
        from nlmodel.operators.algebra import Transposed

        return Transposed(self)

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, LinearMap):
            from nlmodel.operators.algebra import Product

            return Product(self, other)
        return self.checked(self.apply, other, self.shape[-1])

    def __add__(self, other: LinearMap) -> LinearMap:
        from nlmodel.operators.algebra import Sum

        return Sum(self, other) if isinstance(other, LinearMap) else NotImplemented

    def __sub__(self, other: LinearMap) -> LinearMap:
        return self + (-1.0) * other if isinstance(other, LinearMap) else NotImplemented

    def __mul__(self, factor: float) -> LinearMap:
        from nlmodel.operators.algebra import Scaled

        return Scaled(float(factor), self) if isinstance(factor, (int, float, np.number)) else NotImplemented

    __rmul__ = __mul__

    def __neg__(self) -> LinearMap:
        return (-1.0) * self

    def checked(self, action: Any, Z: Array, rows: int) -> Array:
        """`action` on a field after checking it; an (M,) field is one channel and comes back as one."""
        check_array(Z, "Z", min_ndim=1)
        if eps(Z) != self.eps:
            raise DtypeError(
                "Z and the operator must share their precision",
                got=f"Z {Z.dtype}, operator {self.dtype}",
                why="nothing is cast silently",
                fix="convert Z, or build the operator from data in the precision of Z",
            )
        vector = Z.ndim == 1
        if Z.shape[0 if vector else -2] != rows:
            raise ShapeError(
                f"Z must have {rows} positions in its {'only' if vector else 'second last'} dimension",
                got=f"shape {tuple(Z.shape)}",
                why="rows are positions, columns channels",
                fix="transpose or reshape Z to (..., positions, channels)",
            )
        result = action(Z[:, None] if vector else Z)
        return result[..., 0] if vector else result

    @property
    def eps(self) -> float:
        """Machine epsilon of the operator's precision."""
        return dtype_eps(self.dtype)

    def to_dense(self) -> Array:
        """The matrix, (..., M, N), found column by column; O(M N) memory."""
        return self.apply(self.identity(self.shape[-1]))

    def identity(self, size: int) -> Array:
        """The identity matrix in this operator's library, dtype and device; NumPy unless a subclass says otherwise."""
        return np.eye(size, dtype=self.dtype)

    def to_scipy(self) -> LinearOperator:
        """A `scipy.sparse.linalg.LinearOperator` with matvec, matmat, rmatvec and rmatmat, for eigsh, cg, gmres, ..."""
        from nlmodel.operators.scipy_bridge import ScipyOperator

        return ScipyOperator(self)


def match(vector: Array, Z: Array) -> Array:
    """`vector` in the library, dtype and device of `Z`; returned as it is when it is there already."""
    xp = namespace(Z)
    if namespace(vector) is xp and vector.dtype == Z.dtype and device(vector) == device(Z):
        return vector
    return xp.asarray(to_numpy(vector), dtype=Z.dtype, device=device(Z))

"""What every operator can do: act on arrays, be transposed, added, scaled, composed, and go to SciPy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from nlmodel._arrays import (
    Array,
    check_array,
    check_number,
    device,
    dtype_eps,
    eps,
    like,
    namespace,
    numpy_namespace,
    to_numpy,
)
from nlmodel.errors import DtypeError, ShapeError


if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


class LinearMap(ABC):
    """A linear map on fields Z of shape (..., M, C), one row a position; an (M,) array is one channel.

    A map that is stored in NumPy acts on fields of every library, in the library and on the device of the field;
    one that is stored elsewhere acts on fields beside it.

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

        if not isinstance(factor, int | float | np.integer | np.floating):
            return NotImplemented
        return Scaled(check_number(factor, "the factor"), self)

    __rmul__ = __mul__

    def __neg__(self) -> LinearMap:
        return (-1.0) * self

    def checked(self, action: Any, Z: Array, rows: int) -> Array:
        """`action` on a field after checking it; an (M,) field is one channel and comes back as one."""
        result = action(self.field(Z, rows))
        return result[..., 0] if Z.ndim == 1 else result

    def field(self, Z: Array, rows: int, name: str = "Z") -> Array:
        """`Z` as a field (..., rows, C) that this map can act on; an (M,) array becomes one channel."""
        check_array(Z, name, min_ndim=1)
        if eps(Z) != self.eps:
            raise DtypeError(
                f"{name} and the operator must share their precision",
                got=f"{name} {Z.dtype}, operator {self.dtype}",
                why="nothing is cast silently",
                fix=f"convert {name}, or build the operator from data in the precision of {name}",
            )
        self._check_beside(Z, name)
        vector = Z.ndim == 1
        if Z.shape[0 if vector else -2] != rows:
            raise ShapeError(
                f"{name} must have {rows} positions in its {'only' if vector else 'second last'} dimension",
                got=f"shape {tuple(Z.shape)}",
                why="rows are positions, columns channels",
                fix=f"transpose or reshape {name} to (..., positions, channels)",
            )
        if not broadcastable(self.shape[:-2], Z.shape[:-2]):
            raise ShapeError(
                f"the batch dimensions of {name} and the operator must broadcast",
                got=f"{name} {tuple(Z.shape)}, operator {self.shape}",
            )
        return Z[:, None] if vector else Z

    def _check_beside(self, Z: Array, name: str) -> None:
        own = self.identity(1)
        library = namespace(own)
        if library is numpy_namespace or (library is namespace(Z) and device(own) == device(Z)):
            return
        raise DtypeError(
            f"{name} must be in the library and on the device of the operator",
            got=f"{name} {type(Z).__module__} on {device(Z)}, operator {type(own).__module__} on {device(own)}",
            why="nothing is moved silently; only an operator that is stored in NumPy follows the field",
            fix=f"convert {name}",
        )

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
        """A `scipy.sparse.linalg.LinearOperator` with matvec, matmat, rmatvec and rmatmat, for eigs, gmres, ...

        `eigsh` and `cg` presume a symmetric matrix: give them one, such as `NonlocalOperator.symmetrized()`.
        """
        from nlmodel.operators.scipy_bridge import ScipyOperator

        return ScipyOperator(self)


def broadcastable(*shapes: tuple[int, ...]) -> bool:
    """Whether arrays of these shapes combine entry by entry."""
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


def match(vector: Array, Z: Array) -> Array:
    """`vector` in the library, dtype and device of `Z`; returned as it is when it is there already."""
    xp = namespace(Z)
    if namespace(vector) is xp and vector.dtype == Z.dtype and device(vector) == device(Z):
        return vector
    return like(to_numpy(vector), Z)

"""The user's own function as a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nlmodel._arrays import Array, check_alike, check_array
from nlmodel.errors import DtypeError, ShapeError
from nlmodel.kernels.base import Kernel
from nlmodel.kernels.declared import Declared


class FunctionKernel(Kernel):
    """A function of two sets of points as a kernel; its laws are what the user declares.

        omega_ij = function(X, Y)[..., i, j]

    Parameters
    ----------
    function : (X (..., M, D), Y (..., N, D)) -> (..., M, N) array in the library, dtype and device of X.
    symmetric, nonnegative, positive_definite, strictly_positive_definite : True, False or None (unknown).
        Declarations are trusted; `nlmodel.check_assumptions` measures them on data.

    Raises   DtypeError / ShapeError: not callable; on evaluation, a result of another kind or shape.
    """

    def __init__(
        self,
        function: Callable[[Any, Any], Any],
        *,
        symmetric: bool | None = None,
        nonnegative: bool | None = None,
        positive_definite: bool | None = None,
        strictly_positive_definite: bool | None = None,
    ):
        if not callable(function):
            raise DtypeError("function must be callable as function(X, Y)", got=repr(function))
        self.function = function
        self._declared = Declared(symmetric, nonnegative, positive_definite, strictly_positive_definite)

    def __repr__(self) -> str:
        known = {name: value for name, value in vars(self._declared).items() if value is not None}
        laws = "".join(f", {name}={value}" for name, value in known.items())
        return f"FunctionKernel({getattr(self.function, '__name__', repr(self.function))}{laws})"

    @property
    def declared(self) -> Declared:
        """The laws that the user declared."""
        return self._declared

    def evaluate(self, X: Array, Y: Array) -> Array:
        """function(X, Y), its shape, dtype, library and device checked."""
        omega = self.function(X, Y)
        shape = (*np.broadcast_shapes(X.shape[:-2], Y.shape[:-2]), X.shape[-2], Y.shape[-2])
        check_array(omega, "the result of function(X, Y)", finite=False)
        check_alike(X=X, result=omega)
        if tuple(omega.shape) != shape:
            raise ShapeError(
                f"function(X, Y) must return shape {shape}",
                got=f"shape {tuple(omega.shape)}",
                why="entry (i, j) is the affinity of X_i and Y_j",
                fix="compare X[..., :, None, :] with Y[..., None, :, :] and reduce over the last axis",
            )
        return omega


def as_kernel(kernel: Kernel | Callable[[Any, Any], Any]) -> Kernel:
    """`kernel` itself when it is one, a bare function wrapped in `FunctionKernel`.

    Raises   DtypeError: neither a kernel nor a function; a class where an instance is needed.
    """
    if isinstance(kernel, Kernel):
        return kernel
    if isinstance(kernel, type) or not callable(kernel):
        raise DtypeError(
            "kernel must be a Kernel or a function of (X, Y)",
            got=repr(kernel),
            fix="construct it, for example nlmodel.kernels.Gaussian(1.0)",
        )
    return FunctionKernel(kernel)

"""The kernel: a definition in array-API code, the guards around it, and the laws it declares."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from nlmodel._arrays import Array, check_alike, check_array, namespace, scalar
from nlmodel.errors import DomainError, NonFiniteError, ShapeError
from nlmodel.kernels.declared import Declared


class Kernel(ABC):
    """An affinity omega(x, y) of two feature vectors or positions.

        omega_ij = omega(X_i, Y_j)                                        Tao et al. 2018, eq. (1)

    `kernel(X, Y)` checks its input and its result; `kernel.evaluate(X, Y)` is the bare definition, without
    any branching on values, as a network traces it.
    """

    @abstractmethod
    def evaluate(self, X: Array, Y: Array) -> Array:
        """omega(X_i, Y_j), shape (..., M, N): the definition alone, nothing is checked."""

    def log_evaluate(self, X: Array, Y: Array) -> Array:
        """log omega(X_i, Y_j), shape (..., M, N): the definition alone, for exponential kernels."""
        raise DomainError(
            f"{self!r} has no log-affinity",
            why="only kernels of the form exp(f(x, y)) are known by their logarithm without loss",
            fix="use kernel(X, Y), or an exponential kernel: Gaussian, ExpDot, or Embedded of these",
        )

    @property
    def declared(self) -> Declared:
        """The laws that this kernel claims; None = unknown."""
        return Declared()

    @property
    def symmetric(self) -> bool | None:
        """omega(x, y) = omega(y, x)."""
        return self.declared.symmetric

    @property
    def nonnegative(self) -> bool | None:
        """omega(x, y) >= 0."""
        return self.declared.nonnegative

    @property
    def positive_definite(self) -> bool | None:
        """Every Gram matrix is symmetric positive semidefinite."""
        return self.declared.positive_definite

    @property
    def strictly_positive_definite(self) -> bool | None:
        """Every Gram matrix of distinct points is symmetric positive definite."""
        return self.declared.strictly_positive_definite

    @property
    def exponential(self) -> bool:
        """True when omega = exp(log_evaluate)."""
        return False

    @property
    def features(self) -> int | None:
        """Length of the vectors that the kernel compares; None when any length will do."""
        return None

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays that the kernel holds, by name."""
        return {}

    def __call__(self, X: Array, Y: Array | None = None) -> Array:
        """Affinity matrix of two sets of points.

        Parameters
        ----------
        X : (..., M, D) array, float64 or float32.
        Y : (..., N, D) array, same dtype, library and device; `X` when omitted.

        Returns  (..., M, N) array.
        Raises   ShapeError / DtypeError / NonFiniteError: bad input, or a result that is not finite.
                 DomainError: exp would overflow the dtype (exponential kernels).
        Cost     O(M N D) time; O(M N) memory, with autograd O(M N D) for kernels of differences.
        """
        X, Y = self._admit(X, Y)
        with np.errstate(over="ignore", invalid="ignore"):  # the result is checked instead
            if not self.exponential:
                return _check_result(self.evaluate(X, Y), self)
            logits = self.log_evaluate(X, Y)
            _check_exponent(logits)
            return _check_result(namespace(logits).exp(logits), self)

    def log(self, X: Array, Y: Array | None = None) -> Array:
        """log of the affinity matrix, without overflow; exponential kernels only.

        Parameters
        ----------
        X, Y : as in a call of the kernel.

        Returns  (..., M, N) array; -inf where the affinity is zero in every precision.
        Raises   as a call of the kernel; DomainError when the kernel is not exponential.
        """
        X, Y = self._admit(X, Y)
        with np.errstate(over="ignore", invalid="ignore"):  # the result is checked instead
            logits = self.log_evaluate(X, Y)
        if not bool(namespace(logits).all(logits < math.inf)):
            raise _not_finite(self, "the logarithm of the affinity")
        return logits

    def _admit(self, X: Array, Y: Array | None) -> tuple[Array, Array]:
        points = {"X": X} if Y is None or Y is X else {"X": X, "Y": Y}
        for name, x in points.items():
            check_array(x, name, min_ndim=2)
            if self.features is not None and x.shape[-1] != self.features:
                raise ShapeError(
                    f"{name} must hold vectors of length {self.features} in its last dimension",
                    got=f"shape {tuple(x.shape)}",
                    why=f"{self!r} is defined on vectors of that length",
                )
        for name, x in self.arrays.items():
            check_array(x, name)
        check_alike(**points, **self.arrays)
        Y = X if Y is None else Y
        _check_matching(X, Y)
        return X, Y


class ExponentialKernel(Kernel):
    """A kernel that is known by its logarithm: omega = exp(log omega)."""

    @abstractmethod
    def log_evaluate(self, X: Array, Y: Array) -> Array:
        """log omega(X_i, Y_j), shape (..., M, N): the definition alone, nothing is checked."""

    def evaluate(self, X: Array, Y: Array) -> Array:
        """omega(X_i, Y_j) = exp(log omega(X_i, Y_j)), shape (..., M, N)."""
        logits = self.log_evaluate(X, Y)
        return namespace(logits).exp(logits)

    @property
    def exponential(self) -> bool:
        """True when omega = exp(log_evaluate)."""
        return True


def _check_matching(X: Array, Y: Array) -> None:
    try:
        np.broadcast_shapes(X.shape[:-2], Y.shape[:-2])
        matching = X.shape[-1] == Y.shape[-1]
    except ValueError:
        matching = False
    if not matching:
        raise ShapeError(
            "X and Y must agree in their last dimension and broadcast in their batch dimensions",
            got=f"X {tuple(X.shape)}, Y {tuple(Y.shape)}",
            why="omega_ij compares the vector X_i with the vector Y_j of the same batch",
        )


def _check_exponent(logits: Array) -> None:
    xp = namespace(logits)
    limit = math.log(float(xp.finfo(logits.dtype).max))
    largest = scalar(xp.max(logits))
    if not largest <= limit:
        raise DomainError(
            f"exp of the logits must not overflow {logits.dtype}, so they must not exceed {limit:.6g}",
            got=f"largest logit {largest:.6g}",
            why="one infinite affinity makes its whole row NaN after normalisation",
            fix="use kernel.log(X, Y) and normalise in the log domain (log=True), as the operators do",
        )


def _check_result(omega: Array, kernel: Kernel) -> Array:
    if not bool(namespace(omega).all(namespace(omega).isfinite(omega))):
        raise _not_finite(kernel, "the affinity")
    return omega


def _not_finite(kernel: Kernel, what: str) -> NonFiniteError:
    return NonFiniteError(
        f"{what} must be finite",
        got=f"NaN or infinity from {kernel!r}",
        why="the points are finite, so the kernel overflowed or is undefined on some pair",
        fix="rescale the points, or mend the kernel where it is your own",
    )

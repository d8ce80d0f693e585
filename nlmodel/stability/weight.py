"""The weight W of a step as a matrix, and those of its eigenvalues that are not zero."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from numbers import Number
from typing import Any

import numpy as np

from nlmodel._arrays import check_array, check_number, check_square, eps, to_numpy
from nlmodel.errors import DtypeError, NonFiniteError, ShapeError


COARSEST = float(np.finfo(np.float32).eps)
SMALLEST = float(np.finfo(float).tiny / np.finfo(float).eps)  # entries below it have no digits to spare: 0


@dataclass(frozen=True, eq=False, repr=False)
class Weight:
    """W, (C, C) in float64 or complex128, with the rounding unit of the precision that it came in."""

    matrix: np.ndarray
    unit: float

    @property
    def channels(self) -> int:
        return self.matrix.shape[0]

    @cached_property
    def size(self) -> float:
        """||W||_2."""
        return float(np.linalg.norm(self.matrix, 2))

    @property
    def tolerance(self) -> float:
        """8 C eps ||W||: what the eigenvalues of W are known to, when they are well conditioned."""
        return 8 * self.channels * self.unit * self.size

    @property
    def hermitian(self) -> bool:
        """Whether W = W^H within the tolerance."""
        W = self.matrix
        return bool(np.max(np.abs(W - W.conj().T)) <= self.tolerance)


def as_weight(weight: Any, name: str = "weight") -> Weight:
    """None (= 1), a real or complex number, or a () or (C, C) floating array of any library, as a `Weight`."""
    if weight is None:
        weight = 1.0
    if isinstance(weight, (Number, np.number)) and not isinstance(weight, bool):
        value = weight if isinstance(weight, (complex, np.complexfloating)) else check_number(weight, name)  # pyright: ignore
        if not np.isfinite(value):
            raise NonFiniteError(f"{name} must be finite", got=value)
        return _weight(np.array([[value if value.imag else value.real]]), float(np.finfo(float).eps))
    if isinstance(weight, (bool, str)) or not hasattr(weight, "shape"):
        raise DtypeError(
            f"{name} must be None, a real or complex number, or a (C, C) array",
            got=f"{type(weight).__name__} {weight!r}"[:80],
        )
    if len(weight.shape) == 0:
        check_array(weight, name, complex_ok=True)
    else:
        check_square(check_array(weight, name, ndim=2, complex_ok=True), name)
    if eps(weight) > COARSEST:
        raise DtypeError(f"{name} must be in double or single precision", got=f"dtype {weight.dtype}")
    matrix = np.atleast_2d(to_numpy(weight))
    wide = np.complex128 if np.iscomplexobj(matrix) else np.float64
    return _weight(matrix.astype(wide), float(np.finfo(matrix.dtype).eps))


def _weight(matrix: np.ndarray, unit: float) -> Weight:
    return Weight(np.where(np.abs(matrix) < SMALLEST, 0, matrix), unit)


@dataclass(frozen=True, eq=False, repr=False)
class NonzeroEigenvalues:
    """The eigenvalues of W that are not zero, with 1/|y^H x| of each (x, y its unit right and left eigenvectors).

    `index` is the size of the largest Jordan block of the eigenvalue zero: 0 when W is invertible, 1 when zero
    is semisimple.
    """

    values: np.ndarray
    condition: np.ndarray
    index: int


def nonzero_eigenvalues(weight: Weight) -> NonzeroEigenvalues:
    """Split off the eigenvalue zero, Jordan blocks and all, before any eigenvalue is computed.

    With the compact singular value decomposition W = U S V^H, the nonzero eigenvalues of W are those of the
    smaller matrix S V^H U (AB and BA share them).  Repeat until that matrix is invertible; the number of rounds is
    the index of zero.  So a rank-deficient bottleneck W = W_Z W_g has exactly its zeros removed, while a plain
    eigensolve would return them as rounding noise of either sign, up to eps^(1/index) large.

    Accuracy: 8 C eps ||W|| times the condition of the eigenvalue.  Cost: O(C^3).
    """
    from scipy.linalg import eig

    scale = weight.size or 1.0  # LAPACK's eigenvalues of entries beyond 1e138 come out wrong
    core, index, zero = weight.matrix / scale, 0, weight.tolerance / scale
    while core.size:
        U, S, Vh = np.linalg.svd(core)
        rank = int(np.sum(zero < S))
        if rank == core.shape[0]:
            break
        core, index = S[:rank, None] * (Vh[:rank] @ U[:, :rank]), index + 1
    if not core.size:
        return NonzeroEigenvalues(np.zeros(0, complex), np.zeros(0), index)
    eigen: Any = eig(core, left=True, right=True)
    values, left, right = eigen
    overlap = np.abs(np.sum(left.conj() * right, axis=0))
    return NonzeroEigenvalues(scale * values, 1 / np.maximum(overlap, np.finfo(float).tiny), index)


def as_weights(weights: Any, name: str = "weights") -> tuple[Weight, ...]:
    """A non-empty sequence of numbers and (C, C) arrays as matrices of one size; a number mu stands for mu I."""
    if isinstance(weights, str) or _is_number(weights) or not hasattr(weights, "__iter__"):
        raise DtypeError(f"{name} must be a sequence, one weight a sub-block", got=repr(weights)[:80], fix="pass [W]")
    weights = list(weights)
    given = [as_weight(w, f"{name}[{n}]") for n, w in enumerate(weights)]
    if not given:
        raise ShapeError(f"{name} must not be empty", got="no sub-block")
    numbers = [w is None or _is_number(w) for w in weights]
    sizes = {w.channels for w, scalar in zip(given, numbers, strict=True) if not scalar} or {1}
    if len(sizes) > 1:
        raise ShapeError(f"{name} must act on one number of channels", got=f"C = {sorted(sizes)}")
    C = sizes.pop()
    return tuple(
        Weight(w.matrix[0, 0] * np.eye(C), w.unit) if scalar else w for w, scalar in zip(given, numbers, strict=True)
    )


def _is_number(weight: Any) -> bool:
    """Whether `weight` is a number, or an array without dimensions."""
    return isinstance(weight, (Number, np.number)) or getattr(weight, "shape", None) == ()

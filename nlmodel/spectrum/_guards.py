"""Entry guards of this room: arrays of any library in, checked NumPy matrices out."""

from __future__ import annotations

import numpy as np

from nlmodel._arrays import Array, check_array, check_square, to_numpy
from nlmodel.errors import DomainError


def matrix(A: Array, name: str, *, square: bool = True) -> np.ndarray:
    """`A` as a finite real or complex NumPy matrix."""
    check_array(A, name, ndim=2, complex_ok=True)
    return to_numpy(check_square(A, name) if square else A)


def complex_points(z: Array, name: str) -> np.ndarray:
    """`z` as a complex NumPy array of any shape."""
    z = to_numpy(check_array(z, name, complex_ok=True))
    return z.astype(np.result_type(z.dtype, np.complex64))


def check_at_most(value: int, limit: int, name: str, reason: str) -> int:
    """`value` when it does not exceed `limit`."""
    if value > limit:
        raise DomainError(f"{name} must be at most {limit}", got=value, why=reason)
    return value

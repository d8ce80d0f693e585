"""Sums, multiples, products, transposes of linear maps, and diagonal maps, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmodel._arrays import Array, check_array, device, namespace, numpy_namespace, transpose
from nlmodel.errors import DtypeError, ShapeError
from nlmodel.operators.linear_map import LinearMap, broadcastable, match


class Derived(LinearMap):
    """A map made from another, in its precision and library."""

    first: LinearMap

    @property
    def shape(self) -> tuple[int, ...]:
        return self.first.shape

    @property
    def dtype(self) -> Any:
        return self.first.dtype

    def identity(self, size: int) -> Array:
        return self.first.identity(size)


class Pair(Derived):
    """A map made from two; one that is stored in NumPy follows the other."""

    second: LinearMap

    @property
    def batch(self) -> tuple[int, ...]:
        return np.broadcast_shapes(self.first.shape[:-2], self.second.shape[:-2])

    def identity(self, size: int) -> Array:
        leader = self.second if library(self.first) is numpy_namespace else self.first
        return leader.identity(size)


@dataclass(frozen=True, eq=False)
class Sum(Pair):
    """A + B."""

    first: LinearMap
    second: LinearMap

    def __post_init__(self) -> None:
        check_pair(self.first, self.second, self.first.shape[-2:] == self.second.shape[-2:])

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.batch, *self.first.shape[-2:])

    def apply(self, Z: Array) -> Array:
        return self.first.apply(Z) + self.second.apply(Z)

    def apply_transposed(self, Z: Array) -> Array:
        return self.first.apply_transposed(Z) + self.second.apply_transposed(Z)


@dataclass(frozen=True, eq=False)
class Product(Pair):
    """A B, the second applied first."""

    first: LinearMap
    second: LinearMap

    def __post_init__(self) -> None:
        check_pair(self.first, self.second, self.first.shape[-1] == self.second.shape[-2])

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.batch, self.first.shape[-2], self.second.shape[-1])

    def apply(self, Z: Array) -> Array:
        return self.first.apply(self.second.apply(Z))

    def apply_transposed(self, Z: Array) -> Array:
        return self.second.apply_transposed(self.first.apply_transposed(Z))


@dataclass(frozen=True, eq=False)
class Scaled(Derived):
    """c A."""

    factor: float
    first: LinearMap

    def apply(self, Z: Array) -> Array:
        return self.factor * self.first.apply(Z)

    def apply_transposed(self, Z: Array) -> Array:
        return self.factor * self.first.apply_transposed(Z)


@dataclass(frozen=True, eq=False)
class Transposed(Derived):
    """A^T."""

    first: LinearMap

    @property
    def shape(self) -> tuple[int, ...]:
        *batch, rows, columns = self.first.shape
        return (*batch, columns, rows)

    @property
    def T(self) -> LinearMap:
        return self.first

    def apply(self, Z: Array) -> Array:
        return self.first.apply_transposed(Z)

    def apply_transposed(self, Z: Array) -> Array:
        return self.first.apply(Z)

    def to_dense(self) -> Array:
        return transpose(self.first.to_dense())


@dataclass(frozen=True, eq=False)
class Diagonal(LinearMap):
    """diag(entries), entries of shape (..., M)."""

    entries: Array

    def __post_init__(self) -> None:
        check_array(self.entries, "entries", min_ndim=1)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.entries.shape, self.entries.shape[-1])

    @property
    def dtype(self) -> Any:
        return self.entries.dtype

    def apply(self, Z: Array) -> Array:
        return match(self.entries, Z)[..., None] * Z

    apply_transposed = apply

    def identity(self, size: int) -> Array:
        return identity_like(self.entries, size)


def identity_like(x: Array, size: int) -> Array:
    """The identity matrix in the library, dtype and device of `x`."""
    return namespace(x).eye(size, dtype=x.dtype, device=device(x))


def library(op: LinearMap) -> Any:
    """The namespace of what `op` stores."""
    return namespace(op.identity(1))


def check_pair(first: LinearMap, second: LinearMap, fits: bool) -> None:
    """Raise unless the shapes fit and the precisions and libraries agree."""
    if not fits or not broadcastable(first.shape[:-2], second.shape[:-2]):
        raise ShapeError("the operators do not fit together", got=f"shapes {first.shape} and {second.shape}")
    if first.eps != second.eps:
        raise DtypeError(
            "the operators must share their precision",
            got=f"{first.dtype} and {second.dtype}",
            why="nothing is cast silently",
        )
    if len({library(first), library(second)} - {numpy_namespace}) > 1:
        raise DtypeError(
            "the operators must share their library",
            got=f"{type(first.identity(1)).__module__} and {type(second.identity(1)).__module__}",
            why="only an operator that is stored in NumPy follows the other one",
        )

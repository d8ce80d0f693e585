"""The named tensors of one network, of which only those that are audited are read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nlmodel.audit.readers import Entry
from nlmodel.audit.roles import LARGEST_MATRIX
from nlmodel.errors import DtypeError, ShapeError


FLOATS = ("float64", "float32", "float16", "bfloat16")


class Tensors:
    """Names, shapes and numbers; `where` is the place of the set in its file."""

    def __init__(self, where: str, entries: Mapping[str, Entry]):
        self.where, self.entries = where, dict(entries)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def prefixes(self, ending: str) -> list[str]:
        """What stands before `ending` in the names that end in it, with the dot."""
        found = [name.removesuffix(ending) for name in self.entries if name.endswith(ending)]
        return [prefix for prefix in found if prefix == "" or prefix.endswith(".")]

    def first(self, prefix: str, endings: tuple[str, ...]) -> str | None:
        """The first of these names that is there."""
        return next((prefix + ending for ending in endings if prefix + ending in self), None)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape, without the trailing ones of a 1 x 1 convolution."""
        shape = self.entries[name].shape
        while len(shape) > 2 and shape[-1] == 1:
            shape = shape[:-1]
        return shape

    def dtype(self, name: str) -> str:
        """The element type, as torch calls it."""
        return self.entries[name].dtype

    def values(self, name: str, ndim: int) -> np.ndarray:
        """The tensor in float64, once it is known to have this rank and to be of a size that can be analysed."""
        entry, shape = self.entries[name], self.shape(name)
        if entry.dtype not in FLOATS:
            raise DtypeError(
                f"{entry.name} must be real floating-point numbers",
                got=f"dtype {entry.dtype}",
                why="what is quantised, complex or not stored is not cast silently",
                fix="save it as float32",
            )
        if len(shape) != ndim or 0 in shape:
            raise ShapeError(f"{entry.name} must have {ndim} dimensions and not be empty", got=f"shape {entry.shape}")
        if max(shape[-2:]) > 4 * LARGEST_MATRIX:
            raise ShapeError(f"{entry.name} is too large for a dense eigensolve", got=f"shape {entry.shape}")
        return entry.load().reshape(shape)

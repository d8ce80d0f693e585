"""Columns of a spectrum copied out and back: by compiled loops where numba is there, else by NumPy."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from nlmodel._jit import compiled


class Copies(Protocol):
    """`given` is (B, C, n, J, K), `columns` contiguous (B, C, J, K, p) with p >= n, of which n are touched."""

    def gather(self, given: np.ndarray, columns: np.ndarray) -> None:
        """Columns out of `given`."""

    def scatter(self, columns: np.ndarray, given: np.ndarray) -> None:
        """Columns into `given`."""

    def multiply(self, columns: np.ndarray, symbol: np.ndarray) -> None:
        """Each column times its real symbol, (K, J, p)."""


class Portable:
    """By NumPy."""

    def gather(self, given: np.ndarray, columns: np.ndarray) -> None:
        columns[..., : given.shape[2]] = np.moveaxis(given, 2, -1)

    def scatter(self, columns: np.ndarray, given: np.ndarray) -> None:
        given[...] = np.moveaxis(columns[..., : given.shape[2]], -1, 2)

    def multiply(self, columns: np.ndarray, symbol: np.ndarray) -> None:
        columns *= np.swapaxes(symbol, 0, 1)


def copies(*, large: bool) -> Copies:
    """The compiled ones where numba is there, three times as fast; for a small field those of NumPy."""
    return (compiled("operators.grid_columns_compiled") if large else None) or Portable()  # pyright: ignore[reportReturnType]

"""Columns of a spectrum copied out and back and multiplied, as compiled loops; imported only where numba is there.

Eight entries of a column at a time are a cache line or two, which are whole before the next is touched.
"""

from __future__ import annotations

from numba import njit


ENTRIES = 8


@njit(nogil=True, cache=True)
def gather(given, columns):
    """columns[b, c, j, k, i] = given[b, c, i, j, k]."""
    batch, channels, n, rows, waves = given.shape
    for b in range(batch):
        for c in range(channels):
            for j in range(rows):
                for first in range(0, n, ENTRIES):
                    for k in range(waves):
                        for i in range(first, min(first + ENTRIES, n)):
                            columns[b, c, j, k, i] = given[b, c, i, j, k]


@njit(nogil=True, cache=True)
def scatter(columns, given):
    """given[b, c, i, j, k] = columns[b, c, j, k, i]."""
    batch, channels, n, rows, waves = given.shape
    for b in range(batch):
        for c in range(channels):
            for j in range(rows):
                for first in range(0, n, ENTRIES):
                    for i in range(first, min(first + ENTRIES, n)):
                        for k in range(waves):
                            given[b, c, i, j, k] = columns[b, c, j, k, i]


@njit(nogil=True, cache=True)
def multiply(columns, symbol):
    """columns[b, c, j, k, i] *= symbol[k, j, i]."""
    batch, channels, rows, waves, n = columns.shape
    for b in range(batch):
        for c in range(channels):
            for j in range(rows):
                for k in range(waves):
                    for i in range(n):
                        columns[b, c, j, k, i] *= symbol[k, j, i]

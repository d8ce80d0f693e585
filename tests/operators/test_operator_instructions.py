"""Sums of gathered entries, four at a time, and counters of several threads."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from nlmodel.operators import csr_compiled, grid_stencil_compiled, instructions
from nlmodel.testing import assert_close


ROWS = 50


@pytest.mark.parametrize("user", [csr_compiled, grid_stencil_compiled])
def test_what_numba_has_kept_is_of_these_instructions(user):
    """numba looks at the text of the file that it has compiled, not at that of the instructions in it."""
    digest = hashlib.sha256(Path(instructions.__file__).read_bytes()).hexdigest()
    assert digest[: len(user.INSTRUCTIONS)] == user.INSTRUCTIONS, "set INSTRUCTIONS to the digest of instructions.py"
    assert len(user.INSTRUCTIONS) == 12  # control: an empty one would do for every text


def rows_of(length, dtype, index, rng):
    """Equal rows: places, entries and a field."""
    places = rng.integers(0, ROWS, (ROWS, length)).astype(index)
    return places, rng.standard_normal((ROWS, length)).astype(dtype), rng.standard_normal(ROWS).astype(dtype)


def summed(places, entries, x) -> np.ndarray:
    """The product by the compiled loop."""
    length, none, y = places.shape[1], np.empty(0, x.dtype), np.empty_like(x)
    indptr = (np.arange(ROWS + 1) * length).astype(places.dtype)
    indices = places.reshape(-1).view(f"u{places.itemsize}")
    csr_compiled.vector(indptr, indices, entries.reshape(-1), x, none, none, x, y, 0, ROWS)
    return y


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_rows_of_every_length_are_summed(dtype, index, rng):
    for length in range(42):
        places, entries, x = rows_of(length, dtype, index, rng)
        exact = np.sum(entries.astype(float) * x[places], axis=1)
        scale = float(np.max(np.sum(np.abs(entries * x[places]), axis=1), initial=1.0))
        assert_close(summed(places, entries, x), exact.astype(dtype), "reduction", n=42, scale=scale)
        if length > 0:
            fewer = np.sum(entries[:, 1:].astype(float) * x[places[:, 1:]], axis=1)
            assert np.max(np.abs(fewer - exact)) > 0.1  # control: every entry counts


@pytest.mark.parametrize("far", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_counted_once(far, rng):
    """Entries that are read twice are not added twice, nor times 0, which would turn infinity into no number."""
    for length in range(1, 42):
        places, entries, x = rows_of(length, np.float64, np.int32, rng)
        places[:, rng.integers(length)] = 7
        places[: ROWS // 2] = np.where(places[: ROWS // 2] == 7, 8, places[: ROWS // 2])
        entries = np.abs(entries)
        x[7] = far
        found = summed(places, entries, x)
        assert np.all(np.isfinite(found[: ROWS // 2]))  # control: rows that do not have it
        np.testing.assert_array_equal(found[ROWS // 2 :], far)


@pytest.mark.parametrize("far", [np.inf, -np.inf])
def test_an_infinite_entry_is_counted_once(far, rng):
    for length in range(1, 42):
        places, entries, x = rows_of(length, np.float64, np.int32, rng)
        x = np.abs(x) + 0.1
        entries[:, rng.integers(length)] = far
        np.testing.assert_array_equal(summed(places, entries, x), far)
        entries[np.isinf(entries)] = 1.0
        assert np.all(np.isfinite(summed(places, entries, x)))  # control


def test_counters_are_raised_by_one_thread_at_a_time():
    """Every thread gets numbers that no other one gets."""

    @njit(nogil=True)
    def take(counters, taken):
        for k in range(len(taken)):
            taken[k] = instructions.raise_by(counters, 1, 1)

    @njit(nogil=True)
    def take_carelessly(counters, taken):
        for k in range(len(taken)):
            taken[k] = counters[1]
            counters[1] = taken[k] + 1

    def distinct(way) -> int:
        counters, taken = np.zeros(2, np.int64), np.zeros((4, 1_000_000), np.int64)
        way(counters.copy(), taken[0, :1])
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda numbers: way(counters, numbers), taken))
        return len(np.unique(taken))

    assert distinct(take) == 4_000_000
    assert any(distinct(take_carelessly) < 4_000_000 for _ in range(20))  # control

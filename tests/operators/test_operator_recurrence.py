"""The steps of a recurrence that threads share: in order, whatever their number and whoever waits."""

import threading

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from nlmodel._jit import compiled
from nlmodel.errors import ShapeError
from nlmodel.filters import chebyshev_filter
from nlmodel.operators import csr_compiled, csr_product, csr_recurrence
from nlmodel.operators.csr_product import ScaledProduct


THETA = [0.3, -0.2, 0.5, 0.1, 0.7]
RANGES = 4


def matrix(rng, M=300):
    return random_array((M, M), density=0.05, format="csr", rng=rng) / M**0.5


@pytest.mark.parametrize("columns", [1, 3, 16])
def test_any_number_of_threads_gives_the_same_bytes(columns, monkeypatch, rng):
    A, Z = matrix(rng), rng.standard_normal((300, columns))
    monkeypatch.setattr(csr_recurrence, "COMPILED_FROM", 0)
    found = []
    for threads in (1, 2, 3, 40):
        for module in (csr_recurrence, csr_product):
            monkeypatch.setattr(module, "cores", lambda threads=threads: threads)
        found += [chebyshev_filter(A, Z, THETA) for _ in range(20)]
    assert all(np.array_equal(found[0], again) for again in found)
    assert not np.array_equal(found[0], chebyshev_filter(A, Z, THETA[::-1]))  # control


def test_a_step_waits_for_the_one_before(rng):
    """A thread that holds a turn of the second step gives it back while the first is not done, and changes nothing."""
    A, U = matrix(rng), rng.standard_normal(300)
    older, total, weights = np.zeros(300), np.zeros(300), np.array([2.0, 3.0])
    bounds, factors = np.linspace(0, 300, RANGES + 1).astype(int), np.ones(300)
    entries = A.indptr, A.indices.astype(np.uint32), A.data

    def recur(counters: np.ndarray, turn: int) -> int:
        return csr_compiled.recur(*entries, factors, U, older, total, weights, bounds, counters, turn)

    for done in range(RANGES):
        counters = np.array([RANGES + 1, done])
        assert recur(counters, RANGES) == RANGES
        assert counters.tolist() == [RANGES + 1, done] and not np.any(total)
    counters = np.array([2 * RANGES, RANGES])
    assert recur(counters, RANGES) == -1  # control: with the first step done it goes on
    assert counters.tolist() == [2 * RANGES + 1, RANGES + 1]
    assert np.any(total[: bounds[1]]) and not np.any(total[bounds[1] :])


def test_whoever_has_waited_for_long_goes_on_with_the_turn_it_holds(monkeypatch, rng):
    loops, handed_back = compiled("operators.csr_compiled"), []

    class Hesitant:
        """Takes the first turn and hands it back, as one that has waited."""

        def __getattr__(self, name):
            return getattr(loops, name)

        def recur(self, *given):
            *_, counters, turn = given
            if not handed_back:
                counters[0] += 1
                handed_back.append(turn)
                return 0
            handed_back.append(turn)
            return loops.recur(*given)

    A, Z = matrix(rng), rng.standard_normal((300, 1))
    monkeypatch.setattr(csr_recurrence, "COMPILED_FROM", 0)
    monkeypatch.setattr(csr_recurrence, "cores", lambda: 1)
    expected = chebyshev_filter(A, Z, THETA)
    monkeypatch.setattr(csr_recurrence, "compiled", lambda name: Hesitant())
    assert np.array_equal(chebyshev_filter(A, Z, THETA), expected)
    assert handed_back == [-1, 0]


def test_an_interrupt_ends_the_work_of_all(monkeypatch, rng):
    """Control-C while a thread holds a turn: the others do not wait for it."""
    loops = compiled("operators.csr_compiled")

    class Interrupted:
        """Takes the first turn, and is interrupted before it begins."""

        def __getattr__(self, name):
            return getattr(loops, name)

        def recur(self, *given):
            *_, counters, turn = given
            if threading.current_thread() is threading.main_thread():
                held.append(turn)
                counters[0] += 1
                raise KeyboardInterrupt
            return loops.recur(*given)

    held: list[int] = []
    A, Z = matrix(rng), rng.standard_normal((300, 1))
    monkeypatch.setattr(csr_recurrence, "COMPILED_FROM", 0)
    expected = chebyshev_filter(A, Z, THETA)
    with monkeypatch.context() as patch:
        patch.setattr(csr_recurrence, "compiled", lambda name: Interrupted())
        with pytest.raises(KeyboardInterrupt):
            chebyshev_filter(A, Z, THETA)
    assert held == [-1]
    assert np.array_equal(chebyshev_filter(A, Z, THETA), expected)  # the threads are there for the next one


def test_matrices_that_are_not_square_are_refused(monkeypatch, rng):
    monkeypatch.setattr(csr_recurrence, "COMPILED_FROM", 0)
    Z = rng.standard_normal((300, 1))
    for shape in ((400, 300), (290, 300)):
        with pytest.raises(ShapeError, match="square"):
            chebyshev_filter(random_array(shape, density=0.05, format="csr", rng=rng), Z, THETA)
    assert chebyshev_filter(matrix(rng), Z, THETA).shape == (300, 1)  # control


def test_entries_that_lie_apart_in_memory_are_those_that_are_read(monkeypatch, rng):
    A = matrix(rng)
    apart = csr_array((np.repeat(A.data, 2)[::2], np.repeat(A.indices, 2)[::2], A.indptr), shape=A.shape)
    apart.data = np.stack([A.data, rng.standard_normal(A.nnz)], axis=1)[:, 0]
    assert not apart.data.flags.c_contiguous
    monkeypatch.setattr(csr_recurrence, "COMPILED_FROM", 0)
    monkeypatch.setattr(csr_product, "COMPILED_FROM", 0)
    for columns in (1, 3, 16):
        Z = rng.standard_normal((300, columns))
        assert np.array_equal(chebyshev_filter(apart, Z, THETA), chebyshev_filter(A, Z, THETA))
        assert np.array_equal(ScaledProduct(apart)(Z), ScaledProduct(A)(Z))
        assert not np.array_equal(ScaledProduct(A)(Z), ScaledProduct(2 * A)(Z))  # control

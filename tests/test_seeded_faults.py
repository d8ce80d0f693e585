"""Each seeded fault must turn at least one test and at least one claim red; without it both are green."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import nlmodel as nl
from nlmodel.kernels import Gaussian, TopHat
from nlmodel.testing import adjoint_gap, assert_close, tolerance
from tests import test_network
from tests.faults import FAULTS
from tests.operators import test_operator_laws as laws
from tests.operators import test_operator_values as values
from validation.registry import discover
from validation.run import run_claim
from validation.verdict import BROKEN


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def half_in_the_exponent() -> None:
    values_there = Gaussian(2.0)(np.array([[0.0], [3.0]]))[0, 1]
    assert_close(values_there, np.float64(np.exp(-9 / 8)))


def softmax_rows_sum_to_one() -> None:
    logits = rng().standard_normal((5, 5))
    op = nl.NonlocalOperator.from_affinity(logits, log=True)
    assert np.max(np.abs(op.average(np.ones(5)) - 1)) <= tolerance("reduction", n=5)


def wave_on_a_ring() -> None:
    x = 2 * np.pi * np.arange(64) / 64
    op = nl.NonlocalOperator.on_grid(64, TopHat(1.0), 2 * np.pi / 64)
    change = op @ np.sin(x)
    assert abs(float(np.sum(change * np.cos(x)))) <= tolerance("reduction", n=64 * 64)


def precision_of_the_product() -> None:
    op = nl.NonlocalOperator.from_affinity(rng().uniform(0.1, 1, (6, 6)))
    assert adjoint_gap(op, rng=rng()) <= tolerance("reduction", n=6, scale=4.0)


def draws_differ() -> None:
    process, source = nl.markov.JumpProcess(nl.markov.generator(np.ones((3, 3)))), rng()
    first, second = (process.sample(0, 2.0, 200, rng=source) for _ in range(2))
    assert np.any(first != second)


def results_are_kept() -> None:
    op = nl.NonlocalOperator.from_affinity(rng().uniform(0.1, 1, (4, 4)))
    first = op @ np.array([1.0, 0, 0, 0])
    before = first.copy()
    op @ np.array([0, 1.0, 0, 0])
    assert np.array_equal(first, before)


DETECTORS: dict[str, tuple[Callable[[], object], str]] = {
    "wrong sign of the diagonal": (lambda: laws.check("dense", laws.constants_are_steady), "P4"),
    "missing normaliser": (lambda: laws.check("dense", laws.equals_the_dense_definition), "C6"),
    "row and symmetric form swapped": (lambda: laws.check("dense", laws.equals_the_dense_definition), "P2"),
    "transposed W": (test_network.test_one_sub_block_is_the_original_block_and_a_convolution, "C5"),
    "< for <= at the horizon": (lambda: values.test_horizon_matters(rng()), "P5"),
    "h^2 for h in the quadrature weight": (values.test_quadrature_weights_make_the_sum_an_integral, "P5"),
    "dropped factor 1/2": (half_in_the_exponent, "4.12"),
    "softmax over the wrong axis": (softmax_rows_sum_to_one, "C15"),
    "periodic wrap off by one": (wave_on_a_ring, "P5"),
    "float32 leak": (precision_of_the_product, "C14"),
    "seed reused": (draws_differ, "C12"),
    "stale buffer": (results_are_kept, "P1"),
}


def test_there_are_twelve_faults_each_with_its_detectors():
    assert len(FAULTS) == 12
    assert set(DETECTORS) == set(FAULTS)


@pytest.mark.parametrize("words", FAULTS)
def test_a_seeded_fault_is_caught_by_a_test_and_by_a_claim(words, monkeypatch):
    test, claim = DETECTORS[words][0], discover()[DETECTORS[words][1]]
    test()
    assert run_claim(claim, quick=True).verdict != BROKEN
    with monkeypatch.context() as patch:
        FAULTS[words](patch)
        with pytest.raises(AssertionError):  # found by what the test asserts, not by a crash
            test()
        assert run_claim(claim, quick=True).verdict == BROKEN

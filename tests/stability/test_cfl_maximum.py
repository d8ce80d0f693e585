"""The maximum principle: entries of the update, extremes of the field, the row sum norm beyond the limit."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import DotProduct
from nlmodel.stability import cfl_limit
from nlmodel.testing import assert_close, tolerance
from tests.stability.stability_cases import IRREVERSIBLE, REVERSIBLE, Kernel, random_kernel, random_weight


SINKHORN = 64  # eps, where its iteration stops
SEEDS = st.integers(0, 2**32 - 1)
FAMILIES = st.sampled_from(REVERSIBLE + IRREVERSIBLE)


def limit(op, weight):
    return cfl_limit(op, weight, "max")


def check_entries_change_sign_at(limit, kernel: Kernel, w: float) -> None:
    bound = limit(kernel.op, w).value
    update = np.eye(kernel.size) + bound * w * kernel.L
    rounding = tolerance("reduction", n=kernel.size + SINKHORN, scale=float(np.max(np.abs(update))))
    assert np.min(update) >= -rounding
    assert np.min(np.eye(kernel.size) + 1.05 * bound * w * kernel.L) < -0.04


@given(seed=SEEDS, family=FAMILIES, w=st.floats(0.01, 5.0))
def test_sharp_from_both_sides(seed, family, w):
    check_entries_change_sign_at(limit, random_kernel(seed, family), w)


@pytest.mark.parametrize("norm", ["spectral", "energy"])
def test_the_other_limits_are_larger(norm):
    def wrong(op, weight):
        return cfl_limit(op, weight, norm)

    with pytest.raises(AssertionError):
        check_entries_change_sign_at(wrong, random_kernel(0, "gaussian"), 1.0)


@given(seed=SEEDS, family=FAMILIES, w=st.floats(0.01, 5.0))
def test_never_above_the_spectral_limit(seed, family, w):
    """An average is a contraction: S-5 is stricter than von Neumann for every Markov kernel."""
    op = random_kernel(seed, family).op
    assert limit(op, w).value <= cfl_limit(op, w).value * (1 + 1e-10)


def check_stays_between_its_extremes(kernel: Kernel, W: np.ndarray, step: float, seed: int) -> None:
    """Each coordinate in W's eigenbasis, over one step."""
    Q = np.linalg.eigh(W)[1]
    Z = np.sign(np.random.default_rng(seed).standard_normal((kernel.size, len(W)))) @ Q.T
    if kernel.op.normalize == "symmetric":
        Z = Z * np.sqrt(np.asarray(kernel.op.degree))[:, None]
    change = Z + step * kernel.L @ Z @ W.T
    before, after = Z @ Q, change @ Q
    if kernel.op.normalize == "symmetric":
        root = np.sqrt(np.asarray(kernel.op.degree))[:, None]
        before, after = before / root, after / root
    rounding = tolerance("reduction", n=kernel.size * len(W) + SINKHORN, scale=4.0)
    assert np.all(after.max(0) <= before.max(0) + rounding)
    assert np.all(after.min(0) >= before.min(0) - rounding)


@given(seed=SEEDS, family=FAMILIES)
def test_every_coordinate_of_a_tied_weight_stays_between_its_extremes(seed, family):
    kernel, W = random_kernel(seed, family), random_weight(seed, "tied")
    check_stays_between_its_extremes(kernel, W, limit(kernel.op, W).value, seed)


def test_beyond_the_limit_an_extreme_is_passed():
    with pytest.raises(AssertionError):
        for seed in range(30):
            kernel, W = random_kernel(seed, "gaussian"), random_weight(seed, "tied")
            check_stays_between_its_extremes(kernel, W, 1.2 * limit(kernel.op, W).value, seed)


def test_five_percent_beyond_the_row_sum_norm_is_one_point_one():
    """The negative diagonal entry -0.05 and the rest 1.05 add up to 1.10."""
    kernel = random_kernel(2, "gaussian")
    update = np.eye(kernel.size) + 1.05 * limit(kernel.op, 1.0).value * kernel.L
    assert_close(np.max(np.abs(update).sum(1)), np.float64(1.1), "reduction", n=kernel.size)


def test_row_stochastic_kernels_allow_at_least_one():
    for family in ("gaussian", "zero diagonal", "sinkhorn", "symmetric", "alpha", "weighted", "markov", "cycle"):
        assert limit(random_kernel(1, family).op, None).value >= 1 - tolerance("reduction", n=16)
    assert limit(random_kernel(1, "unnormalised").op, None).value < 1  # control


@pytest.mark.parametrize(
    ("weight", "word"),
    [
        (-0.5, "eigenvalue -0.5 < 0"),
        (1j, "symmetric"),
        (np.array([[1.0, 0.2], [0.0, 1.0]]), "symmetric"),
        (np.diag([1.0, -0.1]), "-0.1 < 0"),
    ],
)
def test_no_average_without_a_positive_symmetric_weight(weight, word):
    bound = limit(random_kernel(0, "gaussian").op, weight)
    assert bound.value == 0.0 and bound.sharp and word in bound.reason


def test_a_hermitian_weight_has_real_coordinates():
    Q = np.linalg.qr(np.array([[1, 1j, 0], [2, 1, 1j], [0, 3, 1]]))[0]
    W = (Q * np.array([0.2, 0.5, 0.9])) @ Q.conj().T
    op = random_kernel(0, "gaussian").op
    assert_close(np.float64(limit(op, W).value), np.float64(limit(op, 0.9).value), "solve", n=3)


def test_negative_affinities_average_nothing():
    X = np.random.default_rng(0).standard_normal((10, 3))
    bound = limit(NonlocalOperator.from_points(X, DotProduct(), "none"), 1.0)
    assert bound.value == 0.0 and not bound.sharp and "negative" in bound.reason


@pytest.mark.parametrize("method", ["auto", "exact", "lanczos", "gershgorin"])
def test_the_entries_decide_whatever_the_method(method):
    op = random_kernel(0, "markov").op
    bound = cfl_limit(op, 0.5, "max", method=method)
    assert (bound.value, bound.method) == (limit(op, 0.5).value, "entries") and bound.value < math.inf
    assert replace(bound, value=1.0).value == 1.0

"""The norm limit: attained by a field, kept by every field for ten thousand steps, zero for generic bottlenecks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import Gaussian
from nlmodel.stability import StepBound, cfl_limit, tied_weight
from nlmodel.testing import assert_close, tolerance
from tests.stability.stability_cases import (
    REVERSIBLE,
    WEIGHTS,
    Kernel,
    as_matrix,
    energy_norm,
    random_kernel,
    random_weight,
    update,
)


SEEDS = st.integers(0, 2**32 - 1)
FAMILIES = st.sampled_from(REVERSIBLE)
KINDS = st.sampled_from(WEIGHTS)


def energy_limit(op, weight) -> StepBound:
    return cfl_limit(op, weight, "energy")


def norm_of_update(kernel: Kernel, weight, step: float) -> float:
    return energy_norm(update(kernel, weight, step), kernel.measure, len(as_matrix(weight)))


def check_sharp_from_both_sides(limit, kernel: Kernel, weight) -> None:
    """||I + tau L (x) W||_m is 1 at 0.999 of the limit (the mean is kept) and more at 1.01 of it."""
    bound = limit(kernel.op, weight).value
    spread = float(np.max(kernel.measure) / np.min(kernel.measure))
    rounding = tolerance("reduction", n=kernel.size * len(as_matrix(weight)), scale=4 * spread)
    if bound < math.inf:
        assert norm_of_update(kernel, weight, 0.999 * bound) <= 1 + rounding
        assert norm_of_update(kernel, weight, 1.01 * bound if bound else 0.1) > 1 + rounding


@given(seed=SEEDS, family=FAMILIES, kind=KINDS)
def test_sharp_from_both_sides(seed, family, kind):
    check_sharp_from_both_sides(energy_limit, random_kernel(seed, family), random_weight(seed, kind))


def von_neumann(op, weight):
    """Twin: the spectral limit, too large when W is not normal."""
    return cfl_limit(op, weight)


def by_worst_case(op, weight):
    """Twin: 2 lambda_min(W~)/(s_max ||W||^2), sufficient but not necessary."""
    W = as_matrix(weight)
    s_max = 2 / cfl_limit(op).value
    low = np.linalg.eigvalsh((W + W.conj().T) / 2)[0]
    return replace(energy_limit(op, weight), value=float(2 * low / (s_max * np.linalg.norm(W, 2) ** 2)))


@pytest.mark.parametrize("twin", [von_neumann, by_worst_case])
def test_a_wrong_limit_is_not_sharp(twin):
    with pytest.raises(AssertionError):
        for seed in range(5):
            check_sharp_from_both_sides(twin, random_kernel(seed, "gaussian"), random_weight(seed, "matrix"))


@pytest.mark.parametrize("family", REVERSIBLE)
def test_the_sufficient_scaling_is_sufficient(family):
    """tau <= 2 lambda_min(W~)/(s_max ||W||^2) when W~ > 0."""
    for seed in range(10):
        kernel, weight = random_kernel(seed, family), random_weight(seed, "matrix")
        assert by_worst_case(kernel.op, weight).value <= energy_limit(kernel.op, weight).value * (1 + 1e-12)


@given(seed=SEEDS, family=FAMILIES)
def test_invertible_weights_by_the_inverse(seed, family):
    """lambda_min(W^{-1} + W^{-H})/s_max, or 0 where that is negative."""
    kernel = random_kernel(seed, family)
    weight = random_weight(seed, ("matrix", "complex matrix")[seed % 2])
    inverse = np.linalg.inv(weight)
    s_max = 2 / cfl_limit(kernel.op).value
    expected = max(0.0, float(np.linalg.eigvalsh(inverse + inverse.conj().T)[0]) / s_max)
    cond = float(np.linalg.cond(weight)) * max(1.0, float(np.linalg.norm(inverse, 2)) / (s_max * max(expected, 1e-3)))
    found = np.float64(energy_limit(kernel.op, weight).value)
    assert_close(found, np.float64(expected), "solve", n=4, cond=cond)


def test_normal_weights_make_no_difference_between_the_norms():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        kernel = random_kernel(seed, REVERSIBLE[seed % len(REVERSIBLE)])
        Q = np.linalg.qr(rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4)))[0]
        mu = rng.uniform(0.1, 1, 4) + 1j * rng.standard_normal(4)
        W = (Q * mu) @ Q.conj().T
        assert_close(
            np.float64(energy_limit(kernel.op, W).value),
            np.float64(cfl_limit(kernel.op, W).value),
            "solve",
            n=4,
            cond=10.0,
        )


def largest_energy_ratio(kernel: Kernel, weight, step: float, steps: int) -> float:
    """Largest ||Z^{n+1}||_m / ||Z^n||_m over a run, started at the field that the update stretches most."""
    W, half = as_matrix(weight), np.sqrt(kernel.measure)[:, None]
    A = update(kernel, weight, step)
    scale = np.repeat(half[:, 0], len(W))
    start = np.linalg.svd(scale[:, None] * A / scale)[2][0].reshape(kernel.size, len(W)) / half
    S, Z, worst = step * kernel.L, start, 0.0
    before = np.linalg.norm(half * Z)
    for _ in range(steps):
        Z = Z + S @ Z @ W.T
        after = np.linalg.norm(half * Z)
        worst, before = max(worst, after / before if before else 0.0), after
    return float(worst)


@pytest.mark.parametrize(
    ("family", "kind"),
    [("gaussian", "number"), ("zero diagonal", "matrix"), ("weighted", "tied"), ("unnormalised", "matrix")],
)
def test_energy_never_grows_within_the_limit(family, kind):
    kernel = random_kernel(8, family)
    weight = random_weight(8, kind)
    bound = energy_limit(kernel.op, weight).value
    assert bound > 0
    rounding = tolerance("reduction", n=kernel.size * 4)
    assert largest_energy_ratio(kernel, weight, 0.999 * bound, 10_000) <= 1 + rounding
    assert largest_energy_ratio(kernel, weight, 1.01 * bound, 1) > 1 + 1e-3


def test_a_generic_bottleneck_is_unstable_at_every_scaling():
    """Inertia: W_Z W_g of rank r has r negative eigenvalues of W + W^T, and ||I - eps W|| = 1 + O(eps) > 1."""
    op = NonlocalOperator.from_points(np.random.default_rng(0).standard_normal((20, 2)), Gaussian())
    for seed in range(20):
        rng = np.random.default_rng(seed)
        W = rng.standard_normal((8, 3)) @ rng.standard_normal((3, 8))
        bound = energy_limit(op, W)
        assert bound.value == 0.0 and bound.sharp and "3 negative eigenvalues" in bound.reason and "tie" in bound.reason
        excess = [np.linalg.norm(np.eye(8) - e * W, 2) - 1 for e in (1e-1, 1e-2, 1e-3)]
        assert excess[0] > excess[1] > excess[2] > 0
        assert 8 < excess[1] / excess[2] < 14  # first order in eps
    B = np.random.default_rng(0).standard_normal((8, 3))
    assert energy_limit(op, B @ B.T).value > 0  # control: tied, the same rank is stable


def test_rank_deficient_weights_with_one_range_are_stable():
    """W = U W_r U^H: the formula on the range; a range that differs from that of W^H has limit 0."""
    rng = np.random.default_rng(3)
    kernel = random_kernel(3, "gaussian")
    U = np.linalg.qr(rng.standard_normal((5, 3)))[0]
    core = np.eye(3) + 0.3 * rng.standard_normal((3, 3))
    whole = np.float64(energy_limit(kernel.op, core).value)
    assert whole > 0
    assert_close(np.float64(energy_limit(kernel.op, U @ core @ U.T).value), whole, "solve", n=5, cond=10.0)
    V = np.linalg.qr(U + 1e-3 * rng.standard_normal((5, 3)))[0]
    assert energy_limit(kernel.op, U @ core @ V.T).value == 0.0
    assert cfl_limit(kernel.op, U @ core @ V.T).value > 0  # control: its eigenvalues see nothing


@pytest.mark.parametrize("W", [np.array([[0.0, -1.0], [1.0, 0.0]]), 2j, np.array([[0.0, 1.0], [0.0, 0.0]])])
def test_weights_without_dissipation(W):
    bound = energy_limit(random_kernel(0, "gaussian").op, W)
    assert bound.value == 0.0 and "grows" in bound.reason


def test_the_tiny_eigenvalues_of_a_tied_weight_do_not_disturb():
    """The limit of a symmetric W >= 0 is 2/(s_max w_max), however small its other eigenvalues."""
    kernel = random_kernel(4, "weighted")
    s_max = 2 / cfl_limit(kernel.op).value
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    for decay in (1e-3, 1e-6, 1e-9, 1e-12, 1e-15, 0.0):
        W = (Q * np.array([1.0, 0.7, decay, decay, decay**2, 0.0])) @ Q.T
        W = (W + W.T) / 2
        assert_close(np.float64(energy_limit(kernel.op, W).value), np.float64(2 / s_max), "solve", n=6)


def test_methods():
    X = np.random.default_rng(0).standard_normal((40, 2))
    op, W = NonlocalOperator.from_points(X, Gaussian()), random_weight(2, "matrix")
    exact, lanczos, cheap = (cfl_limit(op, W, "energy", method=m) for m in ("exact", "lanczos", "gershgorin"))
    assert (1 - 5e-6) * exact.value <= lanczos.value <= (1 + 1e-10) * exact.value
    assert 0 < cheap.value <= exact.value and not cheap.sharp and "<=" in cheap.reason
    assert (exact.sharp, lanczos.sharp, exact.norm) == (True, True, "energy")


def check_tied_is_sharp(make, kernel: Kernel, B: np.ndarray) -> None:
    """With ||B||^2 s_max just below 2 no field grows, just above one does."""
    s_max = float(np.max(np.linalg.eigvals(-kernel.L).real))
    W = make(B, s_max)
    assert norm_of_update(kernel, W, 0.999) <= 1 + tolerance("reduction", n=kernel.size * 4, scale=100.0)
    assert norm_of_update(kernel, W, 1.01) > 1 + 1e-3


@given(seed=SEEDS, family=FAMILIES)
def test_tied_weights_are_stable_up_to_two(seed, family):
    kernel = random_kernel(seed, family)
    B = np.random.default_rng(seed).uniform(5.0, 9.0, (4, 2))  # ||B||^2 s_max > 2, so that the scaling acts
    check_tied_is_sharp(lambda B, s: tied_weight(B, s), kernel, B)


def test_tied_weights_twins():
    kernel, B = random_kernel(0, "gaussian"), np.full((4, 2), 6.0)
    for wrong in (
        lambda B, s: 2 * tied_weight(B, s),
        lambda B, s: tied_weight(B, 2 * s),
        lambda B, s: -tied_weight(B, s),
    ):
        with pytest.raises(AssertionError):
            check_tied_is_sharp(wrong, kernel, B)

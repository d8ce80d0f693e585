"""Tied weights, families of kernels, oversmoothing, and the identities of one step."""

import math

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import ExpDot, Gaussian
from nlmodel.stability import amplification, cfl_limit, oversmoothing_rate, tied_weight, worst_case_limit
from nlmodel.testing import assert_close, tolerance
from tests.stability.stability_cases import IRREVERSIBLE, REVERSIBLE, Kernel, random_kernel


SEEDS = st.integers(0, 2**32 - 1)
MARKOV = ("gaussian", "zero diagonal", "sinkhorn", "alpha", "weighted")


def field(seed: int, M: int, C: int = 2) -> np.ndarray:
    return np.random.default_rng([seed, 1]).uniform(-1, 1, (M, C))


# ------------------------------------------------------------------ tied weights


def check_fits(make, B: np.ndarray, s_max: float) -> None:
    """W = B B^T / scale with eigenvalues in [0, 2/s_max], the largest one attained when B is too large."""
    W = make(B, s_max)
    w = np.linalg.eigvalsh(W)
    rounding = tolerance("reduction", n=len(B), scale=2 / s_max)
    size = float(np.linalg.norm(B, 2)) ** 2
    assert w[0] >= -rounding and abs(w[-1] - min(size, 2 / s_max)) <= rounding
    assert np.max(np.abs(W * max(1.0, size * s_max / 2) - B @ B.T)) <= tolerance("reduction", n=len(B), scale=size)


@given(seed=SEEDS, s_max=st.floats(0.1, 10), size=st.floats(0.01, 10))
def test_tied_weights_fit_the_disc(seed, s_max, size):
    B = size * np.random.default_rng(seed).standard_normal((4, 2))
    check_fits(tied_weight, B, s_max)


@pytest.mark.parametrize("power", [0, 2])
def test_tied_weights_with_a_wrong_scaling(power):
    def wrong(B, s_max):
        return B @ B.T / max(1.0, s_max * float(np.linalg.norm(B, 2)) ** power / 2) ** (1 / max(power, 1))

    with pytest.raises(AssertionError):
        check_fits(wrong, 5 * np.random.default_rng(0).standard_normal((4, 2)), 2.0)


def test_tied_weights_in_every_library():
    B = np.random.default_rng(0).standard_normal((3, 4, 2))
    expected = tied_weight(B)
    for xp in (torch, array_api_strict):
        found = tied_weight(xp.asarray(B))
        assert isinstance(found, type(xp.asarray(B)))
        assert_close(np.asarray(found), expected, "solve", n=4)
    assert tied_weight(B.astype(np.float32)).dtype == np.float32
    assert_close(expected[1], tied_weight(B[1]), "solve", n=4)
    torch.manual_seed(0)
    leaf = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda B: tied_weight(3 * B), (leaf,))
    assert torch.autograd.gradgradcheck(lambda B: tied_weight(3 * B), (leaf,))
    assert torch.equal(tied_weight(torch.zeros(4, 2)), torch.zeros(4, 4))


# ------------------------------------------------------------------ families


def check_holds_for_the_family(limit, family: str, op: NonlocalOperator, mu: complex) -> None:
    assert limit(mu, family).value <= cfl_limit(op, mu).value * (1 + 1e-10)


@pytest.mark.parametrize("family", ["markov", "reversible", "psd"])
@given(seed=SEEDS, re=st.floats(0.05, 3), im=st.floats(-1, 1))
@settings(max_examples=70)
def test_no_kernel_of_a_family_is_worse(family, seed, re, im):
    if family == "psd":
        op = NonlocalOperator.from_points(field(seed, 5), (Gaussian(), ExpDot())[seed % 2])
    else:
        names = MARKOV if family == "reversible" else ("markov", "cycle")
        op = random_kernel(seed, names[seed % len(names)]).op
    check_holds_for_the_family(worst_case_limit, family, op, re if family == "markov" else complex(re, im))


def test_a_family_too_small():
    two, ring = random_kernel(0, "zero diagonal", size=2).op, random_kernel(0, "cycle", size=9).op
    for op, family, smaller, mu in ((two, "reversible", "psd", 1.0), (ring, "markov", "reversible", 1 + 1j)):
        with pytest.raises(AssertionError):
            check_holds_for_the_family(lambda mu, _, name=smaller: worst_case_limit(mu, name), family, op, mu)


def test_families_are_attained():
    two = NonlocalOperator.from_affinity(1 - np.eye(2))
    flat = NonlocalOperator.from_affinity(np.ones((3, 3)))
    for mu in (1.0, 0.3, 2.0):
        for family, op in (("markov", two), ("reversible", two), ("psd", flat)):
            expected = np.float64(cfl_limit(op, mu).value)
            assert_close(np.float64(worst_case_limit(mu, family).value), expected, "solve", n=3)
    assert_close(np.float64(worst_case_limit(1 + 1j, "psd").value), np.float64(1.0))
    rings = [NonlocalOperator.from_affinity(np.roll(np.eye(n), 1, 1)) for n in (16, 20, 24, 48)]
    limits = [cfl_limit(op, 1 + 0.1j).value for op in rings]
    assert limits[0] > limits[1] > limits[2] > limits[3] == worst_case_limit(1 + 0.1j).value == 0.0


def test_families_with_matrices_and_signs():
    W = np.array([[1.0, 5.0], [0.0, 0.5]])
    assert_close(np.float64(worst_case_limit(W).value), np.float64(1.0), "solve", n=2)
    assert_close(np.float64(worst_case_limit(W, "psd").value), np.float64(2.0), "solve", n=2)
    for family in ("markov", "reversible", "psd"):
        assert worst_case_limit(-1e-3, family).value == worst_case_limit(1j, family).value == 0.0
        assert worst_case_limit(0.0, family).value == math.inf
        assert worst_case_limit(W, family).sharp and worst_case_limit(W, family).method == "family"


# ------------------------------------------------------------------ identities of one step


def check_energy_identity(kernel: Kernel, Z: np.ndarray, mu: float, twice: float) -> None:
    """||Z + mu L Z||^2 = ||Z||^2 - 2 mu E(Z) + mu^2 ||L Z||^2 in the measure, E = -<Z, L Z>."""
    op = kernel.op
    E, change = float(op.energy(Z)), op @ Z
    left = float(op.inner(Z + mu * change, Z + mu * change))
    right = float(op.inner(Z, Z)) - twice * mu * E + mu**2 * float(op.inner(change, change))
    scale = float(op.inner(np.abs(Z) + abs(mu) * 8, np.abs(Z) + abs(mu) * 8)) * 8
    assert abs(left - right) <= tolerance("reduction", n=2 * kernel.size, scale=scale)


@given(seed=SEEDS, family=st.sampled_from(REVERSIBLE), mu=st.floats(-3, 3))
def test_energy_of_one_step(seed, family, mu):
    kernel = random_kernel(seed, family)
    check_energy_identity(kernel, field(seed, kernel.size), mu, 2.0)


def test_energy_of_one_step_twin():
    with pytest.raises(AssertionError):
        check_energy_identity(random_kernel(0, "gaussian"), field(0, random_kernel(0, "gaussian").size), 0.5, 1.0)


@given(seed=SEEDS, family=st.sampled_from(("gaussian", "zero diagonal", "unnormalised")))
def test_energy_is_the_sum_over_pairs(seed, family):
    """E(Z) = (1/2) sum_ij m_i K_ij |Z_i - Z_j|^2."""
    kernel = random_kernel(seed, family)
    Z = field(seed, kernel.size)
    rates = kernel.measure[:, None] * (kernel.L - np.diag(np.diag(kernel.L)))
    pairs = np.sum((Z[:, None] - Z[None]) ** 2, axis=-1)
    scale = float(np.sum(np.abs(rates))) * 4
    gap = abs(float(kernel.op.energy(Z)) - float(np.sum(rates * pairs)) / 2)
    assert gap <= tolerance("reduction", n=kernel.size**2, scale=scale)
    assert float(np.sum(rates * pairs)) > 10 * gap  # control: without the half it is another number


def check_energy_decreases(kernel: Kernel, step: float, seed: int) -> None:
    """Both ||Z||_m and E do not grow, whatever Z."""
    Z = field(seed, kernel.size)
    after = Z + step * kernel.L @ Z
    op = kernel.op
    rounding = tolerance("reduction", n=4 * kernel.size, scale=float(op.inner(Z, Z)) * (1 + step) ** 2 * 40)
    assert float(op.inner(after, after)) <= float(op.inner(Z, Z)) + rounding
    assert float(op.energy(after)) <= float(op.energy(Z)) + rounding


@given(seed=SEEDS, family=st.sampled_from(REVERSIBLE))
def test_energy_decreases_within_the_limit(seed, family):
    kernel = random_kernel(seed, family)
    check_energy_decreases(kernel, cfl_limit(kernel.op).value, seed)


def test_energy_grows_beyond_it():
    with pytest.raises(AssertionError):
        for seed in range(20):
            kernel = random_kernel(seed, "zero diagonal")
            check_energy_decreases(kernel, 1.3 * cfl_limit(kernel.op).value, seed)


@given(seed=SEEDS, family=st.sampled_from(MARKOV), mu=st.floats(-1, 2))
def test_a_step_is_gradient_descent(seed, family, mu):
    """-L Z is the gradient of E/2 in the measure: <-L Z, Y>_m = d/dt E(Z + t Y)/2, exactly (E is quadratic)."""
    kernel = random_kernel(seed, family)
    op, Z, Y = kernel.op, field(seed, kernel.size), field(seed + 1, kernel.size)
    slope = (float(op.energy(Z + Y)) - float(op.energy(Z - Y))) / 4
    direction = float(op.inner(-(op @ Z), Y))
    scale = float(np.sum(kernel.measure)) * 32
    assert abs(slope - direction) <= tolerance("reduction", n=2 * kernel.size, scale=scale)
    assert_close(op.mean(Z + mu * (op @ Z)), op.mean(Z), "reduction", n=kernel.size + 64, scale=4.0)


def check_decays(kernel: Kernel, rate: float, mu: float, blocks: int, seed: int) -> None:
    """||Z^N - mean||_m <= rate^N ||Z - mean||_m."""
    op, Z = kernel.op, field(seed, kernel.size)
    mean, after = op.mean(Z), Z
    for _ in range(blocks):
        after = after + mu * (op @ after)
    before = math.sqrt(float(op.inner(Z - mean, Z - mean)))
    rounding = tolerance("reduction", n=blocks * kernel.size + 64, scale=4 * before * max(1.0, rate) ** blocks)
    assert math.sqrt(float(op.inner(after - mean, after - mean))) <= rate**blocks * before + rounding


@given(seed=SEEDS, family=st.sampled_from(MARKOV), mu=st.floats(-0.5, 2.5), blocks=st.integers(1, 6))
def test_fields_go_to_their_mean_at_the_second_rate(seed, family, mu, blocks):
    kernel = random_kernel(seed, family)
    found = amplification(kernel.op, [mu])
    check_decays(kernel, float(np.max(found.radii[1:])), mu, blocks, seed)


def test_decay_by_the_last_rate_alone_is_too_fast():
    """Twin: |1 - mu s_max| instead of the largest over s != 0."""
    with pytest.raises(AssertionError):
        for seed in range(10):
            kernel = random_kernel(seed, "gaussian")
            found = amplification(kernel.op, [0.4])
            check_decays(kernel, float(found.radii[-1]), 0.4, 4, seed)


# ------------------------------------------------------------------ oversmoothing


def dobrushin(K: np.ndarray) -> float:
    return float(np.max(np.sum(np.abs(K[:, None] - K[None]), axis=-1))) / 2


def check_forgets(rate, kernel: Kernel, mu: float, blocks: int, seed: int) -> None:
    Z = field(seed, kernel.size)
    after = Z
    for _ in range(blocks):
        after = after + mu * kernel.L @ after
    tau = dobrushin(kernel.L + np.eye(kernel.size))
    bound = rate(min(tau, 1.0), mu, blocks) * np.ptp(Z, axis=0)
    assert np.all(np.ptp(after, axis=0) <= bound + tolerance("reduction", n=kernel.size * blocks + 64, scale=4.0))


@given(
    seed=SEEDS,
    family=st.sampled_from((*MARKOV, *(f for f in IRREVERSIBLE if f != "directed"))),
    mu=st.floats(0, 1),
    blocks=st.integers(0, 5),
)
def test_the_spread_shrinks_at_least_so_fast(seed, family, mu, blocks):
    check_forgets(oversmoothing_rate, random_kernel(seed, family), mu, blocks, seed)


def test_a_faster_rate_is_wrong():
    with pytest.raises(AssertionError):
        for seed in range(30):
            kernel = random_kernel(seed, "gaussian")
            check_forgets(lambda tau, mu, N: oversmoothing_rate(tau, mu, N + 1), kernel, 0.9, 2, seed)


def test_rates_by_hand():
    assert oversmoothing_rate(0.0, 0.5, 3) == 0.125
    assert oversmoothing_rate(1.0, 0.5, 3) == oversmoothing_rate(0.3, 0.0, 3) == oversmoothing_rate(0.3, 1.0, 0) == 1.0
    assert_close(np.float64(oversmoothing_rate(0.25, 1.0, 2)), np.float64(0.0625))


def test_tied_weights_of_any_size_stay_in_range():
    B = np.array([[1.0, 0.0], [0.5, 2.0]])
    for dtype, size in ((np.float64, 1e200), (np.float64, 1e300), (np.float32, 1e30)):
        W = tied_weight((size * B).astype(dtype))
        assert_close(W, tied_weight(1e3 * B).astype(dtype), "solve", n=2)
    assert np.max(np.abs(tied_weight(0.1 * B) - tied_weight(B))) > 0.1  # control: small factors are left alone

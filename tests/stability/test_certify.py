"""Certificates: verdicts on stages whose fate is known, brackets that hold, and the words."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.kernels import DotProduct, Gaussian, TopHat
from nlmodel.stability import Certificate, amplification, certify, cfl_limit, stage_norm, tied_weight
from nlmodel.testing import assert_close, tolerance
from tests.stability.stability_cases import REVERSIBLE, energy_norm, random_kernel, random_weight, spectral_radius
from tests.stability.test_amplification import dense_stage


SEEDS = st.integers(0, 2**32 - 1)
A1 = np.array([[0.5, 3.0], [0.0, 0.5]])
TRANSIENT = np.array([[0.5, 20.0], [0.0, 0.5]])
ONE = NonlocalOperator.from_affinity(np.ones((3, 3)))  # s = 0 and 1: a sub-block is Z -> mean + (I - W)(Z - mean)
BANDED = NonlocalOperator.from_points(np.random.default_rng(1).random((60, 1)), Gaussian(0.1))


def test_stable_factors_with_an_unstable_product():
    """A_1 = [[.5, 3], [0, .5]] and its transpose have radius .5, their product (9.5 + sqrt(90))/2 + ... = 9.49."""
    found = certify(ONE, [np.eye(2) - A1, np.eye(2) - A1.T])
    assert_close(np.float64(found.radius), np.float64((9.5 + math.sqrt(9.5**2 - 0.25)) / 2), "solve", n=2, cond=10.0)
    assert f"{found.radius:.2f}" == "9.49"
    assert (found.verdict, found.unstable_product) == ("unstable", True)
    assert all(block.spectral.value > 3.9 and block.bounded for block in found.blocks)
    assert "alone is spectrally stable" in found.explain()


def test_the_same_factor_twice_is_no_unstable_product():
    found = certify(ONE, [np.eye(2) - A1, np.eye(2) - A1])
    assert (found.verdict, found.unstable_product) == ("transient_growth", False)
    alone = certify(ONE, [-0.1])
    assert (alone.verdict, alone.unstable_product) == ("unstable", False)


def test_transient_growth_of_a_defective_weight():
    """||I - W|| = 10 + sqrt(100.25) = 20.01, and half of it for the Kreiss constant."""
    found = certify(ONE, [TRANSIENT])
    assert found.verdict == "transient_growth"
    assert_close(np.float64(found.norm), np.float64(10 + math.sqrt(100.25)), "solve", n=2)
    a = np.linspace(0.99, 1.02, 30_001)  # z = 1/2 + a > 1, where ||(zI - G)^{-1}|| = (10 + sqrt(100 + a^2))/a^2
    exact = np.max((a - 0.5) * (10 + np.sqrt(100 + a**2)) / a**2)
    assert abs(found.kreiss - exact) <= 1e-8 * exact and f"{exact:.3f}" == "10.025"
    assert found.kreiss <= found.norm <= math.e * 2 * found.kreiss
    assert found.blocks[0].kreiss == found.kreiss


def test_a_stage_may_grow_on_the_way_and_come_back():
    """The second sub-block undoes the first: I - W^1 = (I - W^0)^{-1} on the mode s = 1."""
    G = np.array([[1.0, 2.0], [0.0, 1.0]])
    found = certify(ONE, [np.eye(2) - G, np.eye(2) - np.linalg.inv(G)])
    assert found.verdict == "stable"
    assert_close(np.float64(found.norm), np.float64(1.0), "solve", n=2)
    assert_close(np.float64(found.transient), np.float64(1 + math.sqrt(2)), "solve", n=2)
    assert "grow on the way" in found.explain()


def test_powers_that_grow_polynomially_are_unstable():
    found = certify(ONE, [np.array([[0.0, 1.0], [0.0, 0.0]])])
    assert found.radius == 1.0 and found.kreiss == math.inf
    assert (found.verdict, found.unstable_product, found.blocks[0].bounded) == ("unstable", False, False)


def test_a_mode_that_is_not_the_largest_may_decide():
    """On a path of three the mode s = 2 is defective on the unit circle; s = 1 has the larger norm, and is stable."""
    path = NonlocalOperator.from_affinity(np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]))
    weights = [np.array([[1.5, 20.0], [0, 1.5]]), np.array([[0.75, -4.95], [0, 0.75]])]
    found = certify(path, weights)
    assert found.verdict == "unstable"
    assert found.kreiss == math.inf
    pass_once = np.linalg.multi_dot([np.eye(6) + np.kron(path.to_dense(), W) for W in reversed(weights)])
    sizes = [np.linalg.norm(np.linalg.matrix_power(pass_once, n), 2) for n in (10, 100, 1000)]
    assert sizes[2] > 5 * sizes[1] > 25 * sizes[0]
    harmless = certify(path, [weights[0], np.array([[0.75, -4.95], [0, 0.7]])])
    assert harmless.verdict == "transient_growth"  # control: no longer defective
    assert math.isfinite(harmless.kreiss)


@pytest.mark.parametrize("family", REVERSIBLE)
def test_numbers_up_to_their_limit(family):
    """mu = the limit is contractive, one per cent more is unstable."""
    op = random_kernel(6, family).op
    limit = cfl_limit(op).value
    assert certify(op, [limit] * 3).verdict == "contractive"
    beyond = certify(op, [1.01 * limit])
    assert beyond.verdict == "unstable"
    assert_close(np.float64(beyond.norm), np.float64(1.02), "solve", n=op.size)
    assert certify(op, [1.01 * limit, 0.1 * limit]).verdict != "unstable"  # the second block damps what the first grows


@given(seed=SEEDS, family=st.sampled_from(REVERSIBLE))
def test_tied_stages_are_contractive(seed, family):
    kernel, rng = random_kernel(seed, family), np.random.default_rng(seed)
    s_max = 2 / cfl_limit(kernel.op).value
    weights = [tied_weight(rng.uniform(-3, 3, (3, 2)), s_max) for _ in range(2)]
    found = certify(kernel.op, weights)
    assert found.verdict == "contractive" and found.exact
    spread = float(np.max(kernel.measure) / np.min(kernel.measure))
    norm = energy_norm(dense_stage(kernel, weights), kernel.measure, 3)
    assert norm <= 1 + tolerance("reduction", n=kernel.size * 9, scale=4 * spread)


@pytest.mark.parametrize("wrong", [1.05, -1.0])
def test_tied_stages_twin(wrong):
    B = np.random.default_rng(0).uniform(2, 3, (3, 2))
    s_max = 2 / cfl_limit(BANDED).value
    assert certify(BANDED, [wrong * tied_weight(B, s_max)]).verdict == "unstable"


@given(seed=SEEDS, family=st.sampled_from(REVERSIBLE))
def test_margins_and_limits_have_one_sign(seed, family):
    """A margin is >= 0 exactly when the limit allows the step 1."""
    kernel, weight = random_kernel(seed, family), random_weight(seed, ("matrix", "number", "tied")[seed % 3])
    block = certify(kernel.op, [weight]).blocks[0]
    near = 1e-8
    for bound, margin in (
        (block.spectral, block.spectral_margin),
        (block.energy, block.energy_margin),
        (block.maximum, block.maximum_margin),
    ):
        if margin is not None and abs(margin) > near and abs(bound.value - 1) > near:
            assert (bound.value > 1) == (margin > 0)


def test_margins_by_hand():
    """Complete graph on two points with self-affinity: s = 0, 1; W = diag(1, 1/2)."""
    op = NonlocalOperator.from_affinity(np.ones((2, 2)))
    block = certify(op, [np.diag([1.0, 0.5])]).blocks[0]
    for found, expected in (
        (block.spectral_margin, 0.75),  # 2 mu - mu^2 at mu = 1/2, below the 1 at mu = 1
        (block.energy_margin, 0.75),
        (block.maximum_margin, 0.5),  # 1 - w_max (1 - K_ii)
    ):
        assert_close(np.float64(found), np.float64(expected), "solve", n=2)
    assert certify(op, [np.diag([1.0, -0.5])]).blocks[0].maximum_margin == -0.5
    assert certify(op, [TRANSIENT]).blocks[0].maximum_margin is None
    singular = certify(op, [np.diag([1.0, 0.0])]).blocks[0]
    assert singular.energy_margin == 0.0 < singular.spectral_margin


def test_the_maximum_principle_of_a_stage_needs_common_coordinates():
    assert certify(ONE, [0.5, np.diag([1.0, 0.2])]).maximum_principle
    R = np.array([[1.0, -1.0], [1.0, 1.0]]) / math.sqrt(2)
    turned = R @ np.diag([1.0, 0.2]) @ R.T
    found = certify(ONE, [np.diag([1.0, 0.2]), turned])
    assert not found.maximum_principle and all(block.maximum.allows(1.0) for block in found.blocks)
    assert not certify(ONE, [0.5, 2.5]).maximum_principle


def test_norms_without_a_measure_are_those_of_the_dense_stage(monkeypatch):
    kernel, rng = random_kernel(2, "markov", size=9), np.random.default_rng(0)
    weights = [0.5 * rng.standard_normal((3, 3)), (0.2 + 0.4j) * rng.standard_normal((3, 3))]
    T = dense_stage(kernel, weights)
    whole = certify(kernel.op, weights)
    assert (whole.measure, whole.exact, whole.norm) == ("euclidean", True, whole.norm_lower)
    assert_close(np.float64(whole.norm), np.float64(np.linalg.norm(T, 2)), "solve", n=27)
    assert np.max(whole.modes.norms) < whole.norm * (1 - 1e-4)  # control: the modes alone fall short
    monkeypatch.setattr(stage_norm, "LARGEST_DENSE", 1)
    found = certify(kernel.op, weights)
    assert not found.exact and "between" in found.explain()
    assert found.norm_lower <= whole.norm * (1 + 1e-6) and whole.norm <= found.norm <= whole.norm * (1 + 1e-5)
    assert abs(found.transient - whole.transient) <= 1e-5 * whole.transient
    assert found.blocks[0].energy is None and found.blocks[0].energy_margin is None


def test_a_contraction_in_the_maximum_norm_may_grow_in_the_euclidean():
    """mu = 1: Z -> K Z, an average whose Euclidean norm exceeds 1 when K is not doubly stochastic."""
    found = certify(random_kernel(2, "markov", size=9).op, [1.0])
    assert found.verdict == "transient_growth" and found.maximum_principle and found.norm > 1.001
    ring = NonlocalOperator.from_affinity(np.roll(np.eye(7), 1, axis=1) + 0.3 * np.eye(7))
    assert not ring.reversible and certify(ring, [1.0]).verdict == "contractive"  # doubly stochastic


def test_large_operators_are_sampled():
    """The bracket of 64 N + 1 samples holds, and certainty of the sub-blocks carries over."""
    rng = np.random.default_rng(0)
    op = NonlocalOperator.from_points(rng.random((2500, 1)), TopHat(0.02), "row")
    tied = certify(op, [tied_weight(rng.standard_normal((3, 2))) for _ in range(2)])
    assert (tied.verdict, tied.exact, len(tied.modes.s)) == ("contractive", True, 129)
    assert_close(np.float64(tied.norm), np.float64(1.0), "reduction", n=6)
    wild = [0.7 * rng.standard_normal((2, 2)) for _ in range(3)]
    found = certify(op, wild)
    s = np.linspace(0.0, np.max(found.modes.s), 5000)
    fine = np.max(amplification(s, wild).norms)
    assert found.norm_lower * (1 - 1e-3) <= fine <= found.norm <= 1.0004 * found.norm_lower


def coarse_samples_bracket(samples: int, excess: float, monkeypatch) -> None:
    """A polynomial with its extremes between the samples: P = 1 - s w cubed, sampled at N samples."""
    monkeypatch.setattr(stage_norm, "SAMPLES", samples)
    x = stage_norm.chebyshev_modes(1.0, -1.0, 3)
    fine = np.linspace(-1.0, 1.0, 2001)
    worst = max(
        np.max(np.abs(np.cos(3 * np.arccos(fine) + shift))) / np.max(np.abs(np.cos(3 * np.arccos(x) + shift)))
        for shift in np.linspace(0, 3, 301)
    )
    assert worst <= excess


@pytest.mark.parametrize("samples", [1, 2, 8])
def test_polynomials_between_chebyshev_points(samples, monkeypatch):
    """cos(3 theta + c) at m = 3 samples + 1 points is exceeded at most by 1/cos(pi/(2 samples)), and attains it."""
    excess = 1 / math.cos(math.pi / (2 * samples)) if samples > 1 else math.inf
    coarse_samples_bracket(samples, excess * (1 + 1e-12), monkeypatch)
    if samples > 1:
        with pytest.raises(AssertionError):
            coarse_samples_bracket(samples, 1 + 0.9 * (excess - 1), monkeypatch)


def test_affinities_of_both_signs_are_unstable():
    X = np.random.default_rng(0).standard_normal((20, 3))
    op = NonlocalOperator.from_points(X, DotProduct(), "none", weights=1 / 20)
    for mu in (0.1, -0.1):
        found = certify(op, [mu])
        assert found.verdict == "unstable" and found.blocks[0].energy_margin < 0
        assert found.blocks[0].maximum_margin is None


@pytest.mark.parametrize("weights", [[0.0], [np.zeros((2, 2))], [0.5], [1.0, 2.0]])
def test_one_position_and_kernels_without_neighbours_stay_as_they_are(weights):
    for omega in (np.ones((1, 1)), np.eye(4)):
        found = certify(NonlocalOperator.from_affinity(omega), weights)
        assert (found.verdict, found.norm, found.transient) == ("contractive", 1.0, 1.0)


def test_torch_and_single_precision():
    import torch

    omega = np.exp(-np.abs(np.arange(8.0)[:, None] - np.arange(8.0)))
    weights = [random_weight(5, "matrix")]
    expected = certify(NonlocalOperator.from_affinity(omega), weights)
    found = certify(NonlocalOperator.from_affinity(torch.from_numpy(omega)), [torch.from_numpy(weights[0])])
    assert found.verdict == expected.verdict
    assert_close(np.float64(found.norm), np.float64(expected.norm), "solve", n=8)
    stacked = certify(NonlocalOperator.from_affinity(omega), np.stack(weights))
    assert stacked.norm == expected.norm
    single = NonlocalOperator.from_affinity(omega.astype(np.float32))
    assert certify(single, [np.float32(cfl_limit(single).value)]).verdict == "contractive"
    assert certify(single, [np.float32(1.01 * cfl_limit(single).value)]).verdict == "unstable"


def test_radius_and_norm_on_the_banded_kernel():
    weights = [random_weight(seed, "matrix")[:2, :2] for seed in range(3)]
    found = certify(BANDED, weights)
    L = BANDED.to_dense()
    T = np.eye(120)
    for W in weights:
        T = (np.eye(120) + np.kron(L, W)) @ T
    assert abs(found.radius - spectral_radius(T)) <= 1e-6
    assert_close(np.float64(found.norm), np.float64(energy_norm(T, BANDED.measure, 2)), "solve", n=120, cond=2.0)


def test_the_words():
    found = certify(BANDED, [0.5, TRANSIENT])
    assert isinstance(found, Certificate) and "\n" not in repr(found) and "\n" not in repr(found.blocks[0])
    text = found.explain()
    assert text.count("sub-block 0") == text.count("sub-block 1") == 1
    for word in ("transient_growth", "spectral: holds", "energy: fails", "max: holds", "Kreiss constant", "worst mode"):
        assert word in text
    bound = replace(found.blocks[0].maximum, value=0.5, sharp=False)
    unsure = replace(found, blocks=(replace(found.blocks[0], maximum=bound),))
    assert "max: not shown" in unsure.explain()

"""The von Neumann limit against a dense eigensolve of the whole update matrix, and against powers of it."""

import importlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nlmodel import NonlocalOperator
from nlmodel.kernels import DotProduct, Gaussian, TopHat
from nlmodel.stability import StepBound, certify, cfl_limit
from nlmodel.testing import assert_close, tolerance
from tests.stability.stability_cases import (
    IRREVERSIBLE,
    REVERSIBLE,
    WEIGHTS,
    Kernel,
    as_matrix,
    random_kernel,
    random_weight,
    spectral_radius,
    update,
)


AGREEMENT = 1e-10  # what the limit promises beside an exact eigensolve
LANCZOS = 5e-6  # how much lower, at most, Lanczos may come out
SEEDS = st.integers(0, 2**32 - 1)
FAMILIES = st.sampled_from(REVERSIBLE + IRREVERSIBLE)
KINDS = st.sampled_from(WEIGHTS)


def exact_limit(kernel: Kernel, weight) -> float:
    """min 2 Re(1/q) over the eigenvalues q of -L (x) W, those within rounding of zero left out."""
    q = np.linalg.eigvals(np.kron(-kernel.L, as_matrix(weight)).astype(complex))
    size = np.max(np.abs(q), initial=0.0)
    q = q[np.abs(q) > math.sqrt(np.finfo(float).eps) * size]
    if not q.size:
        return math.inf
    return max(0.0, float(np.min(2 * (1 / q).real)))


def check_agrees(limit, kernel: Kernel, weight) -> None:
    exact, found = exact_limit(kernel, weight), limit(kernel.op, weight).value
    assert found == exact or abs(found - exact) <= AGREEMENT * max(1.0, exact)


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("family", REVERSIBLE + IRREVERSIBLE)
def test_equals_the_limit_of_a_dense_eigensolve(family, kind):
    for seed in range(4):  # 4 x 60 kernels and weights
        check_agrees(cfl_limit, random_kernel(seed, family), random_weight(seed, kind))


def by_modulus(op, weight):
    """Twin: 2/|q|, right only for real mu s > 0."""
    s = np.linalg.eigvals(-op.to_dense())
    mu = np.linalg.eigvals(as_matrix(weight))
    return StepBound(float(2 / np.max(np.abs(np.outer(mu, s)))), "", True, "spectral", "exact")


def by_symmetric_part(op, weight):
    """Twin: W replaced by (W + W^T)/2."""
    W = as_matrix(weight)
    return cfl_limit(op, (W + W.conj().T) / 2)


def by_row_bound(op, weight):
    """Twin: Gershgorin's bound taken for the limit."""
    return cfl_limit(op, weight, method="gershgorin")


@pytest.mark.parametrize("twin", [by_modulus, by_symmetric_part, by_row_bound])
def test_a_wrong_limit_disagrees(twin):
    with pytest.raises(AssertionError):
        for seed in range(4):
            check_agrees(twin, random_kernel(seed, "gaussian"), random_weight(seed, "matrix"))


def check_sharp_from_both_sides(limit, kernel: Kernel, weight) -> None:
    """No eigenvalue of the update leaves the unit disc at 0.999 of the limit, one does at 1.01 of it."""
    bound = limit(kernel.op, weight).value
    rounding = tolerance("solve", n=update(kernel, weight, 0.0).shape[0], cond=100.0)
    if bound < math.inf:
        assert spectral_radius(update(kernel, weight, 0.999 * bound)) <= 1 + rounding
        grown = 1.01 * bound if bound else 0.1
        assert spectral_radius(update(kernel, weight, grown)) > 1 + rounding


@given(seed=SEEDS, family=FAMILIES, kind=KINDS)
def test_sharp_from_both_sides(seed, family, kind):
    check_sharp_from_both_sides(cfl_limit, random_kernel(seed, family), random_weight(seed, kind))


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_a_limit_two_percent_off_is_not_sharp(factor):
    def off(op, weight):
        return replace(cfl_limit(op, weight), value=factor * cfl_limit(op, weight).value)

    with pytest.raises(AssertionError):
        check_sharp_from_both_sides(off, random_kernel(0, "gaussian"), 0.7)


def test_two_points_without_self_affinity():
    op = NonlocalOperator.from_affinity(np.array([[0.0, 1.0], [1.0, 0.0]]))
    bound = cfl_limit(op)
    assert_close(np.float64(bound.value), np.float64(1.0), "solve", n=2)
    assert_close(1 - 1.01 * np.float64(bound.critical[1].real), np.float64(-1.02), "solve", n=2)
    assert (bound.norm, bound.method, bound.sharp) == ("spectral", "exact", True)


@pytest.mark.parametrize("a", [0.0, 0.5, 1.0, 3.0])
def test_two_points_with_self_affinity(a):
    """[[a, 1], [1, a]]/(1 + a) has lambda = 1, (a - 1)/(1 + a), so the limit is 1 + a."""
    op = NonlocalOperator.from_affinity(np.array([[a, 1.0], [1.0, a]]))
    assert_close(np.float64(cfl_limit(op).value), np.float64(1 + a), "solve", n=2)


def test_the_limit_of_a_positive_kernel_exceeds_two():
    """lambda_min = 0.0113 moves the limit to 2/(1 - 0.0113) = 2.02286."""
    lam = 0.0113
    a = (1 + lam) / (1 - lam)  # [[a, 1], [1, a]]/(1 + a) with lambda_2 = (a - 1)/(a + 1)
    op = NonlocalOperator.from_affinity(np.array([[a, 1.0], [1.0, a]]))
    assert_close(np.float64(cfl_limit(op).value), np.float64(2 / (1 - lam)), "solve", n=2)
    assert f"{cfl_limit(op).value:.4f}" == "2.0229"


@pytest.mark.parametrize("M", [2, 3, 5, 12])
def test_complete_graph_and_cycle(M):
    complete = NonlocalOperator.from_affinity(1.0 - np.eye(M))
    assert_close(np.float64(cfl_limit(complete).value), np.float64(2 * (M - 1) / M), "solve", n=M)
    ring = np.roll(np.eye(M), 1, axis=1)
    cycle = NonlocalOperator.from_affinity(ring + ring.T)
    lowest = min(math.cos(2 * math.pi * k / M) for k in range(M))
    assert_close(np.float64(cfl_limit(cycle).value), np.float64(2 / (1 - lowest)), "solve", n=M)


@pytest.mark.parametrize("family", REVERSIBLE + IRREVERSIBLE)
@pytest.mark.parametrize("mu", [1j, -2j, -1e-3, -5.0, complex(-0.1, 3)])
def test_no_step_is_stable_without_positive_real_part(family, mu):
    bound = cfl_limit(random_kernel(3, family).op, mu)
    assert bound.value == 0.0 and bound.sharp and "Re" in bound.reason
    assert bound.critical[0] == mu


@pytest.mark.parametrize("family", REVERSIBLE + IRREVERSIBLE)
def test_a_rotation_obeys_the_disc(family):
    """W = [[a, -b], [b, a]] has mu = a +- ib; reversible: |mu|^2 s_max <= 2 a at the limit."""
    kernel = random_kernel(5, family)
    W = np.array([[0.4, -0.3], [0.3, 0.4]])
    pair = min(cfl_limit(kernel.op, 0.4 + 0.3j).value, cfl_limit(kernel.op, 0.4 - 0.3j).value)
    assert_close(np.float64(cfl_limit(kernel.op, W).value), np.float64(pair), "solve", n=kernel.size, cond=100.0)
    if kernel.measure is not None:
        s_max = 2 / cfl_limit(kernel.op).value
        assert_close(np.float64(0.25 * pair * s_max), np.float64(0.8), "solve", n=kernel.size)


def test_the_zeros_of_a_bottleneck_decide_nothing():
    """Eigenvalues of W that are 0 up to rounding, of either sign, must not stop the step."""
    kernel, rng = random_kernel(1, "gaussian"), np.random.default_rng(4)
    for _ in range(20):
        B = rng.standard_normal((12, 3))
        W = B @ np.linalg.inv(rng.standard_normal((3, 3)) + 4 * np.eye(3)) @ B.T
        noise = np.linalg.eigvals(W)
        small = noise[np.abs(noise) < 1e-10]
        assert len(small) == 9
        bound = cfl_limit(kernel.op, W)
        assert bound.value > 0.01 and "Jordan" not in bound.reason
    assert np.min(small.real) < 0  # control: a plain eigensolve would have said 0


def test_nilpotent_weights_are_told():
    kernel, rng = random_kernel(1, "gaussian"), np.random.default_rng(4)
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    J = np.diag([1.0, 2.0, 3.0], 1)
    bound = cfl_limit(kernel.op, Q @ J @ Q.T)
    assert bound.value == math.inf and "Jordan block of size 4" in bound.reason and "n^3" in bound.reason
    both = Q @ np.array([[1.0, 0, 0, 0], [0, 0, 5, 0], [0, 0, 0, 0], [0, 0, 0, 0]]) @ Q.T
    mixed = cfl_limit(kernel.op, both)
    assert abs(mixed.value - cfl_limit(kernel.op).value) <= AGREEMENT * mixed.value
    assert "Jordan block of size 2" in mixed.reason
    assert "Jordan" not in cfl_limit(kernel.op, np.diag([1.0, 0, 0])).reason


def test_a_defective_weight_at_the_limit_grows_polynomially():
    kernel = random_kernel(2, "gaussian")
    W = np.array([[0.5, 20.0], [0.0, 0.5]])
    bound = cfl_limit(kernel.op, W)
    assert_close(np.float64(bound.value), np.float64(2 * cfl_limit(kernel.op).value), "solve", n=kernel.size)
    assert "defective" in bound.reason
    inside = np.linalg.matrix_power(update(kernel, W, 0.99 * bound.value), 2**12)
    at = [np.linalg.norm(np.linalg.matrix_power(update(kernel, W, bound.value), n), 2) for n in (1000, 2000)]
    assert np.linalg.norm(inside, 2) < 10 < 1000 < at[0] and 1.9 < at[1] / at[0] < 2.1
    assert "defective" not in cfl_limit(kernel.op, np.diag([0.5, 0.4])).reason


@pytest.mark.parametrize("weight", [0.0, 0j, np.zeros((3, 3)), np.zeros((2, 2), complex), 1e-310])
def test_zero_weight_allows_every_step(weight):
    for norm in ("spectral", "energy", "max"):
        assert cfl_limit(random_kernel(0, "gaussian").op, weight, norm).value == math.inf


@pytest.mark.parametrize("method", ["exact", "lanczos", "gershgorin"])
@pytest.mark.parametrize("how", ["none", "row"])
def test_a_kernel_without_neighbours_allows_every_step(method, how):
    op = NonlocalOperator.from_affinity(np.diag(np.linspace(0.3, 1.7, 20)), how)  # 1/C_i * C_i is not always 1
    for norm in ("spectral", "energy", "max"):
        assert cfl_limit(op, 0.7, norm, method=method).value == math.inf
    assert cfl_limit(NonlocalOperator.from_affinity(np.ones((1, 1)), how), method=method).value == math.inf


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("family", REVERSIBLE)
def test_lanczos_finds_the_same_limit(family, kind):
    kernel, weight = random_kernel(9, family, size=20), random_weight(9, kind)
    exact, found = cfl_limit(kernel.op, weight, method="exact"), cfl_limit(kernel.op, weight, method="lanczos")
    assert found.method == "lanczos" and found.sharp
    if exact.value < math.inf:
        assert (1 - LANCZOS) * exact.value <= found.value <= (1 + AGREEMENT) * exact.value


def never_above(limit, kernel: Kernel, weight) -> None:
    assert limit(kernel.op, weight).value <= cfl_limit(kernel.op, weight, method="exact").value * (1 + AGREEMENT)


@given(seed=SEEDS, family=FAMILIES, kind=KINDS)
def test_gershgorin_is_a_safe_lower_bound(seed, family, kind):
    kernel, weight = random_kernel(seed, family), random_weight(seed, kind)
    never_above(by_row_bound, kernel, weight)
    bound = by_row_bound(kernel.op, weight)
    if bound.sharp:
        assert bound.value in (0.0, math.inf) and bound.value == cfl_limit(kernel.op, weight).value
    else:
        assert bound.value == 0.0 or ">=" in bound.reason


def test_half_the_gershgorin_radius_is_not_safe():
    def halved(op, weight):
        return replace(by_row_bound(op, weight), value=2 * by_row_bound(op, weight).value)

    with pytest.raises(AssertionError):
        never_above(halved, random_kernel(0, "zero diagonal", size=3), 1.0)


@pytest.mark.parametrize("family", REVERSIBLE)
def test_gershgorin_is_the_bound_of_the_maximum_principle(family):
    """2/(2 max(r_i - K_ii)): von Neumann by Gershgorin and the maximum principle give one number."""
    op = random_kernel(7, family).op
    pair = cfl_limit(op, 0.3, method="gershgorin").value, cfl_limit(op, 0.3, "max").value
    assert_close(np.float64(pair[0]), np.float64(pair[1]))


def test_auto_chooses_by_size():
    rng = np.random.default_rng(0)
    sparse = NonlocalOperator.from_points(rng.random((2100, 1)), TopHat(0.01), "row")
    assert sparse.storage == "sparse" and cfl_limit(sparse).method == "lanczos"
    directed = NonlocalOperator.from_affinity(rng.random((2001, 2001)))
    bound = cfl_limit(directed, 0.5)
    assert bound.method == "gershgorin" and not bound.sharp and bound.value >= 2.0
    assert cfl_limit(random_kernel(0, "markov").op).method == "exact"


def test_grid_operators_by_lanczos_meet_their_symbol():
    """Periodic top-hat: the eigenvalues of L are the discrete Fourier transform of one row."""
    n, delta = 64, 0.1
    op = NonlocalOperator.on_grid(n, TopHat(delta), 1 / n)
    s = -np.fft.fft(op.to_dense()[0]).real
    assert_close(np.float64(cfl_limit(op, method="exact").value), np.float64(2 / s.max()), "solve", n=n)
    assert (1 - LANCZOS) * 2 / s.max() <= cfl_limit(op, method="lanczos").value <= (1 + AGREEMENT) * 2 / s.max()


def test_affinities_of_both_signs_may_grow():
    """The dot product without normalisation: some s < 0, then no mu != 0 is stable."""
    X = np.random.default_rng(0).standard_normal((30, 3))
    op = NonlocalOperator.from_points(X, DotProduct(), "none", weights=1 / 30)
    s = np.linalg.eigvalsh(-(op.to_dense() + op.to_dense().T) / 2)
    assert s[0] < -0.1 < 0.1 < s[-1]
    for method in ("exact", "lanczos"):
        for mu in (1.0, -1.0, 1j):
            assert cfl_limit(op, mu, method=method).value == 0.0
            assert cfl_limit(op, mu, "energy", method=method).value == 0.0


def test_negative_weights_suit_negative_operators():
    """All s <= 0: L -> -L, so mu < 0 is stable, with the same limits."""
    omega = np.exp(-((np.arange(6)[:, None] - np.arange(6)) ** 2) / 4.0)
    plus = NonlocalOperator.from_affinity(omega, "none")
    minus = NonlocalOperator.from_affinity(-omega, "none")
    for norm in ("spectral", "energy"):
        expected = np.float64(cfl_limit(plus, 0.4, norm).value)
        assert_close(np.float64(cfl_limit(minus, -0.4, norm).value), expected, "solve", n=6)
        assert cfl_limit(minus, 0.4, norm).value == 0.0


@pytest.mark.parametrize("library", ["torch", "array_api_strict"])
def test_libraries_and_precisions(library):
    xp = importlib.import_module(library)
    kernel = random_kernel(11, "gaussian", size=20)
    omega = np.asarray(kernel.op.averaging.to_dense()) * np.asarray(kernel.op.degree)[:, None]
    omega = (omega + omega.T) / 2
    W = random_weight(3, "matrix")
    expected = cfl_limit(NonlocalOperator.from_affinity(omega), W)
    op = NonlocalOperator.from_affinity(xp.asarray(omega))
    found = cfl_limit(op, xp.asarray(W))
    assert isinstance(found.value, float)
    assert_close(np.float64(found.value), np.float64(expected.value), "solve", n=20, cond=10.0)
    iterated = cfl_limit(op, xp.asarray(W), method="lanczos").value
    assert (1 - LANCZOS) * expected.value <= iterated <= (1 + AGREEMENT) * expected.value
    single = cfl_limit(NonlocalOperator.from_affinity(omega.astype(np.float32)), W.astype(np.float32))
    gap = abs(single.value - expected.value)
    assert gap <= tolerance("solve", np.float32, n=20, scale=expected.value)
    assert gap > tolerance("solve", n=20, scale=expected.value)  # control: single precision is seen


def test_one_line():
    X = np.random.default_rng(0).standard_normal((10, 2))
    bound = cfl_limit(NonlocalOperator.from_points(X, Gaussian()), 0.5 + 0.1j)
    assert "\n" not in repr(bound) and f"{bound.value:.6g}" in repr(bound) and "0.5+0.1i" in bound.reason
    assert float(bound) == bound.value


@pytest.mark.parametrize("method", ["exact", "lanczos", "gershgorin"])
@pytest.mark.parametrize("storage", [np.asarray, csr_array])
@pytest.mark.parametrize("alone", [0.37, 1e8, 1e16])
def test_a_position_that_keeps_to_itself_hides_no_other(alone, storage, method):
    """r_i - K_ii cancels in its row; s = 0, 0, 2 whatever its affinity to itself."""
    omega = np.array([[alone, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
    op = NonlocalOperator.from_affinity(storage(omega), "none")
    for norm in ("spectral", "energy", "max"):
        assert 1 - LANCZOS <= cfl_limit(op, norm=norm, method=method).value <= 1 + 4 * np.finfo(float).eps


def test_a_weak_link_of_a_strong_position_counts():
    """omega = [[a, 1], [1, 0]]: s = 2 for every a, though a + 1 = a in floating point."""
    omega = np.array([[1e16, 1.0], [1.0, 0.0]])
    for op in (NonlocalOperator.from_affinity(omega, "none"), NonlocalOperator.from_affinity(csr_array(omega), "none")):
        assert_close(np.array(cfl_limit(op).value), np.array(1.0), "solve", n=2)
        assert_close(np.array(cfl_limit(op, norm="max").value), np.array(1.0), "solve", n=2)
        assert np.max(np.asarray(op.exit_rate) - np.diag(omega)) == 1 and op.exit_rate[0] == omega[0, 0]  # control
    lone = NonlocalOperator.from_affinity(omega[:1, :1] * 0.37, "none")
    assert all(cfl_limit(lone, norm=norm).value == math.inf for norm in ("spectral", "energy", "max"))


@pytest.mark.parametrize("size", [1e-250, 1e-100, 1e100, 1e139, 1e200, 1e300])
def test_the_limit_scales_with_the_weight_over_the_whole_range(size):
    kernel, W = random_kernel(3, "gaussian"), np.array([[2.0, 1.0], [0.0, 1.0]])
    for weight in (1.0, W, 1 + 0.5j):
        unit = cfl_limit(kernel.op, weight).value
        assert_close(np.array(cfl_limit(kernel.op, size * weight).value * size), np.array(unit), "solve", n=4)
    assert cfl_limit(kernel.op, -size).value == 0  # control: not every scaling is stable


@pytest.mark.parametrize("move", [np.asarray, torch.as_tensor])
def test_an_array_without_dimensions_is_a_number(move):
    op = random_kernel(5, "gaussian").op
    for norm in ("spectral", "energy", "max"):
        assert cfl_limit(op, move(np.array(0.3)), norm) == cfl_limit(op, 0.3, norm) != cfl_limit(op, 0.4, norm)
    W = np.array([[0.5, 0.1], [0.0, 0.5]])
    assert certify(op, [move(np.array(0.3)), W]).norm == certify(op, [0.3, W]).norm

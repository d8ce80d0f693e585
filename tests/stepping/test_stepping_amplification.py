"""Each method multiplies a mode by its p(z); where |p| <= 1, and that every explicit p is a mean of powers of 1 - z."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import chebyshev, polynomial

from nlmodel.stepping import METHODS, evolve
from nlmodel.stepping.rk4 import RK4
from nlmodel.stepping.super_time_stepping import SuperTimeStepping, leja_order
from nlmodel.testing import assert_close, tolerance
from tests.stepping.problems import CONSERVING, HOWS, setting, settings


EXPLICIT = [name for name, method in METHODS.items() if method.explicit]
IMPLICIT = [name for name, method in METHODS.items() if not method.explicit]
PLAIN = [name for name, method in METHODS.items() if method.reaction != "required"]


def eigenmode(case) -> tuple[float, np.ndarray]:
    """The largest eigenvalue s of -L and an eigenvector, in the plain coordinates."""
    S = case.op.symmetrized().to_dense()
    s, vectors = np.linalg.eigh(np.diag(case.op.exit_rate) - (S + S.T) / 2)
    return float(s[-1]), vectors[:, -1] / np.sqrt(case.op.measure)


@given(method=st.sampled_from(PLAIN), case=settings(), z=st.floats(0.05, 1.9))
def test_a_mode_is_multiplied_by_p(method, case, z):
    s, v = eigenmode(case)
    if s < 1e-3:  # a single position does not move
        return
    run = evolve(case.op, v, step=z / s, steps=2, method=method)
    p = METHODS[method]().amplification(np.asarray(z))
    assert_close(run.final, p**2 * v, "solve", n=len(v), cond=4 * (1 + z), scale=np.max(np.abs(v)))


def test_a_mode_is_not_multiplied_by_another_methods_p():
    case = setting(1, 6, 1)
    s, v = eigenmode(case)
    z = 0.7
    factors = [float(METHODS[name]().amplification(np.asarray(z))) for name in PLAIN if name != "super_time_stepping"]
    assert np.min(np.diff(np.sort(factors))) > 1e-4  # all differ, so the law above tells them apart
    run = evolve(case.op, v, step=z / s, steps=1, method="rk2")
    assert not np.allclose(run.final, METHODS["rk4"]().amplification(np.asarray(z)) * v)


@pytest.mark.parametrize("method", EXPLICIT)
def test_real_limit_is_where_p_leaves_the_unit_disc(method):
    scheme = METHODS[method]()
    inside = np.linspace(0, scheme.real_limit, 20_001)
    assert np.max(np.abs(scheme.amplification(inside))) <= 1 + tolerance("solve", n=scheme.real_limit)
    assert abs(scheme.amplification(np.asarray(1.001 * scheme.real_limit))) > 1


@pytest.mark.parametrize("method", EXPLICIT)
def test_imaginary_limit_is_where_p_leaves_the_unit_disc(method):
    scheme = METHODS[method]()
    inside = 1j * np.linspace(0, scheme.imaginary_limit, 20_001)
    assert np.max(np.abs(scheme.amplification(inside))) <= 1 + tolerance("solve", n=4)
    assert abs(scheme.amplification(np.asarray(1j * max(0.1, 1.001 * scheme.imaginary_limit)))) > 1


def test_limits_of_the_runge_kutta_methods():
    assert METHODS["forward_euler"]().real_limit == METHODS["rk2"]().real_limit == 2
    assert_close(
        np.asarray(polynomial.polyval(RK4().real_limit, [-24.0, 12.0, -4.0, 1.0])), np.asarray(0.0), scale=24.0
    )
    assert RK4().imaginary_limit == math.sqrt(8)


@given(method=st.sampled_from(IMPLICIT), x=st.floats(0, 1e6), y=st.floats(-1e6, 1e6))
def test_implicit_methods_are_stable_in_the_whole_half_plane(method, x, y):
    assert abs(METHODS[method]().amplification(np.asarray(x + 1j * y))) <= 1 + tolerance("elementwise")


def in_powers_of_euler(scheme) -> np.ndarray:
    """Coefficients a_k of p(z) = sum_k a_k (1 - z)^k, by interpolation at Chebyshev points of w = 1 - z."""
    degree = {"forward_euler": 1, "rk2": 2, "rk4": 4}.get(scheme.name, getattr(scheme, "stages", 0))
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    return np.linalg.solve(np.vander(nodes, increasing=True), scheme.amplification(1 - nodes))


SCHEMES = [METHODS["forward_euler"](), METHODS["rk2"](), METHODS["rk4"]()]
SCHEMES += [SuperTimeStepping(N, damping) for N in (1, 2, 3, 6) for damping in (0.0, 0.15)]


@pytest.mark.parametrize("scheme", SCHEMES, ids=repr)
def test_every_explicit_method_is_a_mean_of_powers_of_forward_euler(scheme):
    """So a step that is safe for forward Euler is safe for each of them, for every spectrum and every norm."""
    a = in_powers_of_euler(scheme)
    assert np.min(a) >= -tolerance("solve", n=len(a), cond=50)
    assert_close(np.sum(a), np.float64(1.0), "solve", n=len(a), cond=50)


def test_not_every_stable_polynomial_is_such_a_mean():
    a = np.array([-0.2, 0.0, 1.2])  # control: p = 1.2 (1 - z)^2 - 0.2
    assert np.min(a) < 0


# ------------------------------------------------------------------ super time stepping


@pytest.mark.parametrize("N", [1, 2, 3, 5, 8, 20])
def test_super_time_stepping_is_a_chebyshev_polynomial(N):
    """p(s) = T_N(1 - 2 s / s_max) when the step is 2 N^2 / s_max: N Euler sub-steps, N times as far as N equal ones."""
    case = setting(3, 12, 2, "sinkhorn")
    s_max = case.s[-1]
    step = 2 * N**2 / s_max
    run = evolve(case.op, case.Z, step=step, steps=1, method="super_time_stepping", stages=N)
    S = case.op.symmetrized().to_dense()
    s, Q = np.linalg.eigh(np.eye(12) - (S + S.T) / 2)
    half = np.sqrt(case.op.measure)[:, None]
    T = chebyshev.chebval(1 - 2 * s / s_max, np.eye(N + 1)[N])
    exact = Q @ (T[:, None] * (Q.T @ (half * case.Z))) / half
    assert_close(run.final, exact, "solve", n=12, cond=2 * N**2)
    equal = evolve(case.op, case.Z, step=step / N, steps=N, on_unstable="ignore").final  # control: N equal steps
    if N > 1:
        with pytest.raises(AssertionError, match="exceeds"):
            assert_close(equal, exact, "solve", n=12, cond=2 * N**2)


@pytest.mark.parametrize("N", [2, 5, 20])
def test_super_time_stepping_takes_the_sub_steps_of_the_theory(N):
    s_max, j = 1.7, np.arange(1, N + 1)
    wanted = 1 / (s_max / 2 * (1 - np.cos((2 * j - 1) * np.pi / (2 * N))))
    taken = np.sort([2 * N**2 / s_max * fraction for fraction in SuperTimeStepping(N).fractions])
    assert_close(taken, np.sort(wanted), "solve", n=N, cond=N)
    assert_close(np.float64(sum(SuperTimeStepping(N).fractions)), np.float64(1.0), "reduction", n=N)


@pytest.mark.parametrize("damping", [0.05, 2 / 13, 1.0])
@pytest.mark.parametrize("N", [2, 5, 20])
def test_damping_keeps_p_below_one_away_from_zero(N, damping):
    scheme, free = SuperTimeStepping(N, damping), SuperTimeStepping(N)
    y = 1 + damping / N**2
    bound = 1 / chebyshev.chebval(y, np.eye(N + 1)[N])
    end = scheme.real_limit * (1 + y) / (2 * y)
    z = np.linspace(scheme.real_limit * (y - 1) / (2 * y), end, 4001)
    assert np.max(np.abs(scheme.amplification(z))) <= bound + tolerance("solve", n=N**2)
    assert bound < 1 and scheme.real_limit < free.real_limit
    touches = np.max(np.abs(free.amplification(np.linspace(1.0, free.real_limit * 0.99, 4001))))
    assert touches > 1 - 1e-3  # control: undamped, inner modes do not decay


def partial_products(fractions) -> float:
    z = np.linspace(0, 2 * len(fractions) ** 2, 4001)
    factors = 1 - np.asarray(fractions)[:, None] * z
    forward, backward = np.cumprod(factors, axis=0), np.cumprod(factors[::-1], axis=0)
    return float(max(np.max(np.abs(forward)), np.max(np.abs(backward))))


@pytest.mark.parametrize("N", [2, 5, 20, 50, 100])
def test_the_order_of_the_sub_steps_keeps_rounding_small(N):
    fractions = SuperTimeStepping(N).fractions
    assert partial_products(fractions) <= 2 * N**2
    if N >= 5:
        assert partial_products(sorted(fractions)) > 5 * N**2  # control: increasing sub-steps
        assert partial_products(sorted(fractions, reverse=True)) > 5 * N**2


def test_leja_order_is_a_permutation():
    points = np.array([3.0, 0.5, 2.0, 9.0, 1.0])
    assert sorted(leja_order(points)) == [0, 1, 2, 3, 4]
    assert [points[j] for j in leja_order(points)][:2] == [0.5, 9.0]


@pytest.mark.parametrize("how", HOWS)
def test_super_time_stepping_is_as_stable_as_it_says(how):
    case = setting(5, 10, 1, how)
    limit = 50 / case.s[-1]
    safe = evolve(case.op, case.Z, step=0.999 * limit, steps=400, method="super_time_stepping", stages=5)
    assert safe.norm[-1] <= safe.norm[0]
    wild = evolve(
        case.op, case.Z, step=1.05 * limit, steps=400, method="super_time_stepping", stages=5, on_unstable="ignore"
    )
    assert wild.status == "blew_up"


def test_conserving_normalisations_are_those_that_keep_constants():
    assert {how for how in HOWS if "weighted_mean" in setting(1, 4, 1, how).op.keeps} == set(CONSERVING)

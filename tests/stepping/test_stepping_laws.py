"""What every method keeps: mass, constants, the maximum principle, positivity, decaying energy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.operators import NonlocalOperator
from nlmodel.stability.cfl import cfl_limit
from nlmodel.stepping import METHODS, evolve
from nlmodel.testing import assert_close, tolerance
from tests.stepping.problems import CONSERVING, HOWS, flow, setting, settings


PLAIN = [name for name, method in METHODS.items() if method.reaction != "required"]
METHOD = st.sampled_from(PLAIN)
TWO_POINTS = NonlocalOperator.from_affinity(np.array([[0.0, 1.0], [1.0, 0.0]]))  # s = 0, 2


def largest(run) -> float:
    return float(max(np.max(np.abs(run.minimum)), np.max(np.abs(run.maximum))))


# ------------------------------------------------------------------ mass and constants


@given(method=METHOD, case=settings(hows=CONSERVING), step=st.floats(0.05, 1.5))
def test_the_weighted_mean_is_conserved_for_any_weight(method, case, step):
    weight = case.weight() if method in ("forward_euler", "rk2", "rk4", "super_time_stepping") else 0.8
    run = evolve(case.op, case.Z, step=step, steps=3, method=method, weight=weight, on_unstable="ignore")
    W = np.linalg.norm(np.atleast_2d(weight), 2)
    inner = (1 + step * W * 2 * np.max(case.op.exit_rate)) ** 4  # what rounding inside a step is multiplied by
    assert run.mass_drift <= tolerance("reduction", n=8 * len(case.Z), scale=largest(run) * inner)


@pytest.mark.parametrize("method", ["exponential", "implicit_euler", "crank_nicolson"])
@pytest.mark.parametrize("tolerance_of_solver", [None, 1e-3])
def test_the_weighted_mean_is_conserved_however_loose_the_solver(method, tolerance_of_solver):
    for seed, how in enumerate(CONSERVING):
        case = setting(seed, 9, 3, how)
        for weight in (case.weight(), np.diag([0.5, 1.0, 4.0])):  # by GMRES, by conjugate gradients
            run = evolve(
                case.op, case.Z, step=0.7, steps=5, method=method, weight=weight, tolerance=tolerance_of_solver
            )
            assert run.mass_drift <= tolerance("reduction", n=20 * 9, scale=largest(run))


def test_other_means_are_not_conserved():
    case = setting(1, 6, 1, "row")
    run = evolve(case.op, case.Z, step=0.5, steps=3)
    plain = [float(np.mean(Z)) for Z in run.states]
    assert abs(plain[-1] - plain[0]) > 1e-3
    symmetric = setting(1, 6, 1, "symmetric")
    assert evolve(symmetric.op, symmetric.Z, step=0.5, steps=3).mass_drift > 1e-3


@given(method=METHOD, case=settings(hows=CONSERVING), value=st.floats(-5, 5))
def test_constants_do_not_move(method, case, value):
    Z0 = np.full_like(case.Z, value)
    run = evolve(case.op, Z0, step=0.5, steps=2, method=method, weight=0.7, on_unstable="ignore")
    assert_close(run.final, Z0, "solve", n=8 * len(Z0), scale=abs(value) * (1 + np.max(case.op.exit_rate)))


def test_constants_move_with_the_symmetric_normalisation():
    case = setting(2, 6, 1, "symmetric")
    run = evolve(case.op, np.ones((6, 1)), step=0.5, steps=2)
    assert np.ptp(run.final) > 1e-3


# ------------------------------------------------------------------ maximum principle and positivity


@given(method=METHOD, case=settings(hows=CONSERVING), fraction=st.floats(0.05, 1.0), mu=st.floats(0.1, 3.0))
def test_maximum_principle_within_its_bound(method, case, fraction, mu):
    """Within forward Euler's bound every method averages: the explicit ones are means of powers of an average."""
    step = fraction * min(cfl_limit(case.op, mu, "max").value, 50 / mu)
    run = evolve(case.op, case.Z, step=step, steps=3, method=method, weight=mu)
    cond = 1 + step * mu * np.max(case.op.exit_rate)
    rounding = tolerance("solve", n=8 * len(case.Z), cond=cond, scale=np.max(np.abs(case.Z)))
    assert np.min(run.minimum) >= np.min(case.Z) - rounding
    assert np.max(run.maximum) <= np.max(case.Z) + rounding


@pytest.mark.parametrize(("method", "factor"), [("forward_euler", 1.05), ("crank_nicolson", 10.0)])
def test_maximum_principle_fails_beyond_its_bound(method, factor):
    op = NonlocalOperator.from_affinity(np.ones((9, 9)) - np.eye(9))
    spike = np.eye(9)[0]
    step = factor * cfl_limit(op, None, "max").value
    run = evolve(op, spike, step=step, steps=1, method=method)
    assert np.min(run.minimum) < -0.01


@given(case=settings(hows=CONSERVING), step=st.floats(1.0, 1e6))
def test_implicit_euler_keeps_the_maximum_principle_for_any_step(case, step):
    run = evolve(case.op, case.Z, step=step, steps=2, method="implicit_euler")
    rounding = tolerance(
        "solve", n=8 * len(case.Z), cond=1 + step * np.max(case.op.exit_rate), scale=np.max(np.abs(case.Z))
    )
    assert np.min(run.minimum) >= np.min(case.Z) - rounding
    assert np.max(run.maximum) <= np.max(case.Z) + rounding


@given(case=settings(symmetric=False, hows=("none", "row")), step=st.floats(0.01, 30.0))
def test_uniformisation_keeps_zero_and_positive_entries_exactly(case, step):
    Z0 = np.where(case.Z > 0.5, case.Z, 0.0)
    run = evolve(case.op, Z0, step=step, steps=2, method="exponential")
    assert np.min(run.minimum) >= 0.0


def test_krylov_does_not_keep_positivity_exactly():
    """Control: the same flow by Arnoldi's method leaves rounding of either sign where the solution is nearly zero."""
    chain = np.eye(30) + np.eye(30, k=1) + np.eye(30, k=-1)
    op = NonlocalOperator.from_affinity(chain)
    Z0 = np.eye(30)[:, :1]
    assert np.min(evolve(op, Z0, step=5.0, steps=1, method="exponential", weight=np.eye(1)).final) < 0.0
    assert np.min(evolve(op, Z0, step=5.0, steps=1, method="exponential").final) >= 0.0


@given(seed=st.integers(0, 2**32 - 1), time=st.floats(0.01, 100.0))
def test_uniformisation_is_the_exponential(seed, time):
    case = setting(seed, 6, 2, "none", symmetric=False)
    run = evolve(case.op, case.Z, step=time, steps=1, method="exponential")
    cond = 4 + time * np.max(case.op.exit_rate)
    assert_close(run.final, flow(case.L, case.Z, None, time), "solve", n=6, cond=cond, scale=np.max(np.abs(case.Z)))


def test_uniformisation_with_very_different_rates_of_leaving():
    """A hub that exchanges with every leaf leaves a thousand times as fast as they do."""
    omega = np.zeros((6, 6))
    omega[0, 1:] = omega[1:, 0] = [0.01, 0.1, 1.0, 3.0, 10.0]
    op = NonlocalOperator.from_affinity(omega, "none")
    Z0 = np.eye(6)[:, :2]
    run = evolve(op, Z0, step=0.7, steps=1, method="exponential")
    assert_close(run.final, flow(op.to_dense(), Z0, None, 0.7), "solve", n=6, cond=4 + 0.7 * 15)
    assert np.min(run.final) >= 0


# ------------------------------------------------------------------ energy and norm


@given(method=METHOD, case=settings(hows=HOWS), fraction=st.floats(0.05, 1.0), mu=st.floats(0.1, 3.0))
def test_energy_and_norm_decrease_within_the_spectral_bound(method, case, fraction, mu):
    step = fraction * min(cfl_limit(case.op, mu).value, 50 / mu)
    run = evolve(case.op, case.Z, step=step, steps=4, method=method, weight=mu)
    rate = np.max(case.op.exit_rate)
    rounding = tolerance("solve", n=8 * len(case.Z), cond=1 + step * mu * rate, scale=run.norm[0])
    assert np.all(np.diff(run.norm) <= rounding)
    assert np.all(np.diff(run.energy) <= rounding * 4 * rate * run.norm[0])
    assert np.all(run.energy >= -rounding * rate * run.norm[0])


def test_energy_grows_beyond_the_spectral_bound():
    run = evolve(TWO_POINTS, np.array([-1.0, 2.0]), step=1.05, steps=4, on_unstable="ignore")
    assert np.all(np.diff(run.energy) > 0)


@pytest.mark.parametrize("method", ["forward_euler", "rk2", "rk4", "super_time_stepping"])
def test_the_bound_is_safe_for_ten_thousand_steps_and_sharp(method):
    case = setting(11, 4, 1, "row")
    limit = METHODS[method]().real_limit / case.s[-1]
    steps = 10_000 if method == "forward_euler" else 200
    safe = evolve(case.op, case.Z, step=0.999 * limit, steps=steps, method=method, save_every=steps)
    assert np.all(np.diff(safe.energy) <= tolerance("solve", n=4, scale=safe.energy[0]))
    beyond = evolve(case.op, case.Z, step=1.01 * limit, steps=200, method=method, on_unstable="ignore", save_every=200)
    assert beyond.energy[-1] > beyond.energy[1]


@given(
    case=settings(hows=CONSERVING),
    step=st.floats(10.0, 1e8),
    method=st.sampled_from(["implicit_euler", "crank_nicolson"]),
)
def test_huge_implicit_steps_are_stable(case, step, method):
    run = evolve(case.op, case.Z, step=step, steps=2, method=method)
    rounding = tolerance("solve", n=8 * len(case.Z), cond=1 + step * np.max(case.op.exit_rate), scale=run.norm[0])
    assert np.all(np.diff(run.norm) <= rounding)


def test_a_huge_implicit_step_lands_on_the_mean():
    case = setting(12, 8, 2, "row")
    run = evolve(case.op, case.Z, step=1e9, steps=1, method="implicit_euler")
    mean = np.ones((8, 1)) * case.op.mean(case.Z)
    gap = np.linalg.norm(case.Z) / (1e9 * case.s[1])
    assert np.max(np.abs(run.final - mean)) <= gap + tolerance("solve", n=8, scale=np.max(np.abs(case.Z)), cond=8)
    control = evolve(case.op, case.Z, step=1e9, steps=1, method="crank_nicolson").final  # p -> -1: nothing decays
    assert np.max(np.abs(control - mean)) > 0.1


@pytest.mark.parametrize("how", ["row", "none"])
def test_crank_nicolson_keeps_the_norm_for_a_skew_weight(how):
    case = setting(13, 7, 2, how)
    W = np.array([[0.0, -3.0], [3.0, 0.0]])
    run = evolve(case.op, case.Z, step=0.4, steps=20, method="crank_nicolson", weight=W)
    assert_close(run.norm, np.full(21, run.norm[0]), "solve", n=20, cond=8)
    damped = evolve(case.op, case.Z, step=0.4, steps=20, method="implicit_euler", weight=W)
    assert damped.norm[-1] < 0.9 * damped.norm[0]

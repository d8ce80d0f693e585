"""Nonlinear flows with known solutions, and runs that end early and say so."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import exp1

from nlmodel.errors import BlowUpError, UnstableStepWarning
from nlmodel.kernels import DotProduct, ExpDot, Gaussian
from nlmodel.network import original_flow
from nlmodel.operators import NonlocalOperator
from nlmodel.stepping import evolve
from nlmodel.testing import assert_close, observed_order


PAIR = NonlocalOperator.from_affinity(np.ones((2, 2)))  # switched off by weight=0
ONE = NonlocalOperator.from_affinity(np.ones((1, 1)))  # L = 0: the reaction acts alone
FLOWS = {
    "exponential": (ExpDot(1.0), lambda z0: exp1(z0**2) / 2),  # z' = exp(z^2) z
    "dot product": (DotProduct(), lambda z0: 1 / (2 * z0**2)),  # z' = z^3
}


def unnormalised(kernel):
    return lambda Z: original_flow(Z, kernel, normalize="none")


@pytest.mark.parametrize(("flow", "z0"), [("exponential", 1.0), ("dot product", 0.6)])
def test_blow_up_time_of_the_unnormalised_original_flow(flow, z0):
    """Forward Euler stays below a convex solution, so it blows up late; both come to T = E_1(z0^2)/2 or 1/(2 z0^2)."""
    kernel, time = FLOWS[flow]
    T = time(z0)
    late = []
    for n in (16, 32, 64, 128):
        arguments = {"step": T / n, "steps": 2 * n, "reaction": unnormalised(kernel), "on_unstable": "ignore"}
        euler = evolve(ONE, np.array([z0]), **arguments)
        kutta = evolve(ONE, np.array([z0]), method="rk4", **arguments)
        assert euler.status == kutta.status == "blew_up"
        late.append((euler.steps + 1) * euler.step - T)
        assert abs((kutta.steps + 1) * kutta.step - T) <= 2 * kutta.step
    assert min(late) > 0 and np.all(np.diff(late) < 0) and late[-1] <= 0.1 * T


def test_normalised_flows_of_either_sign_do_not_blow_up():
    """||K(Z)||_inf = 1, so |Z(t)| <= exp(mu t) |Z0|, and every Runge-Kutta step obeys the same bound."""
    rng = np.random.default_rng(3)
    Z0 = rng.standard_normal((7, 2))
    mu, step, steps = 1.0, 0.1, 20
    op = NonlocalOperator.from_affinity(np.ones((7, 7)))
    for kernel in (Gaussian(1.0), ExpDot(1.0)):
        run = evolve(
            op,
            Z0,
            step=step,
            steps=steps,
            weight=0.0,
            method="rk4",
            reaction=lambda Z, k=kernel: mu * original_flow(Z, k),
        )
        bound = math.exp(mu * step * steps) * np.max(np.abs(Z0))
        assert run.status == "completed" and max(-run.minimum[-1], run.maximum[-1]) <= bound
    control = evolve(
        op, Z0, step=step, steps=steps, weight=0.0, reaction=unnormalised(ExpDot(1.0)), on_unstable="ignore"
    )
    assert control.status == "blew_up"


def test_two_points_follow_the_scalar_flow():
    """Z = (z, -z), omega = exp(-|x - y|^2/2): z' = -z tanh(z^2), so the time from z0 to z is an integral."""

    def errors(method):
        found = []
        for n in (8, 16, 32, 64):
            run = evolve(
                lambda Z: NonlocalOperator.from_points(Z, Gaussian(1.0)),
                np.array([1.2, -1.2])[:, None],
                step=2 / n,
                steps=n,
                method=method,
                weight=-1.0,  # -K Z = -L Z - Z
                reaction=lambda Z: -Z,
                on_unstable="ignore",
            )
            assert_close(run.final[0], -run.final[1], scale=2.0)
            elapsed, _ = quad(lambda x: 1 / (x * math.tanh(x**2)), float(run.final[0, 0]), 1.2)
            found.append(abs(elapsed - 2))
        return found

    for method, order in (("rk2", 2), ("rk4", 4)):
        found = observed_order([1 / 8, 1 / 16, 1 / 32, 1 / 64], errors(method))
        assert abs(found.order - order) <= 0.1 and max(abs(np.array(found.local) - order)) <= 0.15


def test_without_normalisation_two_points_follow_another_scalar_flow():
    """z' = -(1 - exp(-2 z^2)) z; the integral of the normalised flow gives another time."""
    run = evolve(
        PAIR,
        np.array([1.2, -1.2])[:, None],
        step=0.04,
        steps=50,
        method="rk4",
        weight=0.0,
        reaction=lambda Z: original_flow(Z, Gaussian(1.0), -1.0, normalize="none"),
    )
    end = float(run.final[0, 0])
    right, _ = quad(lambda x: 1 / (x * (1 - math.exp(-2 * x**2))), end, 1.2)
    wrong, _ = quad(lambda x: 1 / (x * math.tanh(x**2)), end, 1.2)
    assert abs(right - 2) <= 0.04**4 * 10  # order four, constant below 10
    assert abs(wrong - 2) > 0.1


def test_singular_values_of_the_dot_product_flow_decouple():
    """Z' = -(c/M) Z Z^T Z: sigma(t) = sigma_0 / sqrt(1 + 2 c sigma_0^2 t / M)."""
    rng = np.random.default_rng(4)
    M, c, T = 6, 0.8, 0.5
    Z0 = 0.5 * rng.standard_normal((M, 3))
    op = NonlocalOperator.from_affinity(np.ones((M, M)))
    start = np.linalg.svd(Z0, compute_uv=False)
    exact = start / np.sqrt(1 + 2 * c * start**2 * T / M)
    counts, found = (16, 32, 64, 128), []
    for n in counts:
        run = evolve(
            op,
            Z0,
            step=T / n,
            steps=n,
            method="rk4",
            weight=0.0,
            reaction=lambda Z: -c / M * original_flow(Z, DotProduct(), normalize="none"),
        )
        found.append(np.max(np.abs(np.linalg.svd(run.final, compute_uv=False) - exact)))
    order = observed_order([T / n for n in counts], found)
    assert abs(order.order - 4) <= 0.1 and max(abs(np.array(order.local) - 4)) <= 0.15
    assert np.max(np.abs(start * np.exp(-c / M * T) - exact)) > 0.05  # control: it is not an exponential decay


def test_the_mean_free_part_dies_only_algebraically():
    """Z' = -K(Z) Z with the Gaussian: |Z| ~ t^{-1/2}, m2 = mean(Z^2) ~ 1/(2t); with K frozen it is exponential."""
    rng = np.random.default_rng(5)
    Z0 = rng.standard_normal((6, 1))
    Z0 = Z0 - np.mean(Z0)

    def second_moments(op) -> np.ndarray:
        run = evolve(
            op, Z0, step=0.5, steps=160, method="rk4", weight=-1.0, reaction=lambda Z: -Z, on_unstable="ignore"
        )
        return np.array([np.mean(run.states[2 * t] ** 2) for t in (10, 20, 40, 80)])

    times = np.array([10, 20, 40, 80])
    found = second_moments(lambda Z: NonlocalOperator.from_points(Z, Gaussian(1.0)))
    slope = observed_order(times, found)
    assert abs(slope.order + 1) <= 0.1 and max(abs(np.array(slope.local) + 1)) <= 0.15
    assert abs(2 * times[-1] * found[-1] - 1) <= 0.05
    frozen = second_moments(NonlocalOperator.from_points(Z0, Gaussian(0.3)))
    assert observed_order(times, frozen).order < -2


# ------------------------------------------------------------------ ending early


def test_a_blow_up_raises_with_the_trajectory_until_then():
    with pytest.raises(BlowUpError, match=r"blew up at step \d+, t = .*nonlinear") as caught:
        evolve(ONE, np.array([1.0]), step=0.1, steps=100, reaction=lambda Z: Z**3)
    run = caught.value.trajectory
    assert run.status == "blew_up" and 5 <= run.steps < 20
    assert np.all(np.isfinite(run.final)) and len(run.times) == len(run.norm) == run.steps + 1


def test_a_blow_up_can_warn_or_stay_silent():
    with pytest.warns(UnstableStepWarning, match="blew up at step"):
        warned = evolve(ONE, np.array([1.0]), step=0.1, steps=100, reaction=lambda Z: Z**3, on_unstable="warn")
    silent = evolve(ONE, np.array([1.0]), step=0.1, steps=100, reaction=lambda Z: Z**3, on_unstable="ignore")
    assert warned.message == silent.message and silent.saved[-1] == silent.steps


def test_the_message_names_the_excess_over_the_bound():
    op = NonlocalOperator.from_affinity(np.array([[0.0, 1.0], [1.0, 0.0]]))
    run = evolve(op, np.array([1.0, -1.0]), step=3.0, steps=100, on_unstable="ignore")
    assert run.status == "blew_up" and "3 times the bound 1" in run.message and "growth_limit" in run.message
    assert run.steps == 17  # 5^17 < 1e12 < 5^18


def test_the_message_names_a_flow_that_grows_by_itself():
    op = NonlocalOperator.from_affinity(np.array([[0.0, 1.0], [1.0, 0.0]]))
    run = evolve(
        op, np.array([1.0, -1.0]), step=1.0, steps=100, method="exponential", weight=-1.0, on_unstable="ignore"
    )
    assert run.status == "blew_up" and "the flow itself grows" in run.message
    assert run.steps == 13  # exp(2 * 13) < 1e12 < exp(2 * 14)


def test_the_growth_limit_is_the_callers():
    op = NonlocalOperator.from_affinity(np.array([[0.0, 1.0], [1.0, 0.0]]))
    run = evolve(op, np.array([1.0, -1.0]), step=3.0, steps=30, on_unstable="ignore", growth_limit=math.inf)
    assert run.steps == 30 and run.status == "unstable_step_ignored"
    short = evolve(op, np.array([1.0, -1.0]), step=3.0, steps=30, on_unstable="ignore", growth_limit=10.0)
    assert short.steps == 1
    endless = evolve(op, np.array([1.0, -1.0]), step=3.0, steps=600, on_unstable="ignore", growth_limit=math.inf)
    assert endless.status == "blew_up" and "not finite" in endless.message


def test_a_reaction_that_turns_nan_ends_the_run():
    run = evolve(ONE, np.array([1.0]), step=0.5, steps=9, reaction=lambda Z: -np.sqrt(Z) * 3, on_unstable="ignore")
    assert run.status == "blew_up" and "not finite" in run.message and run.steps < 9


def test_from_zero_the_limit_is_absolute():
    run = evolve(
        ONE, np.array([0.0]), step=1.0, steps=99, reaction=lambda Z: 1 + Z, on_unstable="ignore", growth_limit=1e3
    )
    assert run.steps == 9  # z = 2^n - 1

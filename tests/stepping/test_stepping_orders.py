"""Observed orders in the step: each method against the dense exponential, or a tightly solved nonlinear flow."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from scipy.integrate import solve_ivp as solver

from nlmodel.kernels import Gaussian
from nlmodel.operators import NonlocalOperator
from nlmodel.stepping import METHODS, evolve
from nlmodel.stepping.rk2 import RK2
from nlmodel.stepping.rk4 import RK4
from nlmodel.testing import ObservedOrder, assert_close, observed_order, tolerance
from tests.stepping.problems import flow, setting


COUNTS = (8, 16, 32, 64)
TIME = 0.5
CEILING = {1: 1e-2, 2: 1e-4, 4: 1e-7}  # last error, relative to the field
EXPLICIT = ("forward_euler", "rk2", "rk4", "super_time_stepping")


def has_order(found: ObservedOrder, order: float) -> bool:
    """The bar of every discretisation: fitted order within 0.1, every local slope within 0.15."""
    return abs(found.order - order) <= 0.1 and all(abs(slope - order) <= 0.15 for slope in found.local)


def errors(solve, exact: np.ndarray, counts=COUNTS) -> list[float]:
    return [float(np.max(np.abs(solve(n) - exact)) / np.max(np.abs(exact))) for n in counts]


def weights(rng: np.random.Generator) -> dict[str, object]:
    B = rng.standard_normal((3, 3))
    return {
        "number": 0.7,
        "definite": B @ B.T / 4,
        "rotation": np.array([[0.5, -1.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.2]]),
        "growing": -0.5,
    }


@pytest.mark.parametrize(
    ("method", "kind"),
    [(method, kind) for method in EXPLICIT for kind in ("definite", "rotation", "growing")]
    + [("implicit_euler", "definite"), ("implicit_euler", "rotation"), ("crank_nicolson", "rotation")],
)
def test_order_of_a_frozen_operator(method, kind):
    case = setting(1, 9, 3, "row")
    weight = weights(case.rng)[kind]
    exact = flow(case.L, case.Z, weight, TIME)

    def solve(n: int) -> np.ndarray:
        run = evolve(case.op, case.Z, step=TIME / n, steps=n, method=method, weight=weight, on_unstable="ignore")
        return run.final

    found = errors(solve, exact)
    order = METHODS[method].order
    assert has_order(observed_order([TIME / n for n in COUNTS], found), order), found
    assert found[-1] <= CEILING[order]


@pytest.mark.parametrize(
    ("method", "how"), [("rk2", "none"), ("rk2", "symmetric"), ("rk2", "sinkhorn"), ("crank_nicolson", "alpha")]
)
def test_order_for_every_normalisation(method, how):
    case = setting(2, 7, 2, how)
    exact = flow(case.L, case.Z, None, TIME)
    found = errors(lambda n: evolve(case.op, case.Z, step=TIME / n, steps=n, method=method).final, exact)
    assert has_order(observed_order([TIME / n for n in COUNTS], found), 2)


def test_order_without_a_measure():
    case = setting(3, 7, 2, "row", symmetric=False)
    exact = flow(case.L, case.Z, None, TIME)
    for method in ("rk4", "super_time_stepping", "crank_nicolson"):
        found = errors(lambda n, m=method: evolve(case.op, case.Z, step=TIME / n, steps=n, method=m).final, exact)
        assert has_order(observed_order([TIME / n for n in COUNTS], found), METHODS[method].order), method


@dataclass(frozen=True)
class WrongHeun(RK2):
    """Wrong twin: the second rate weighs too much."""

    name: ClassVar[str] = "wrong_heun"

    def advance(self, problem, state, step):
        first = problem.rate(state)
        second = problem.rate(problem.state(state.Z + step * first))
        return state.Z + step * (0.4 * first + 0.6 * second)


@dataclass(frozen=True)
class WrongKutta(RK4):
    """Wrong twin: the third stage starts from the first rate."""

    name: ClassVar[str] = "wrong_kutta"

    def advance(self, problem, state, step):
        first = problem.rate(state)
        second = problem.rate(problem.state(state.Z + (step / 2) * first))
        third = problem.rate(problem.state(state.Z + (step / 2) * first))
        fourth = problem.rate(problem.state(state.Z + step * third))
        return state.Z + (step / 6) * (first + 2 * second + 2 * third + fourth)


@pytest.mark.parametrize(("twin", "order"), [(WrongHeun, 2), (WrongKutta, 4)])
def test_a_wrong_coefficient_loses_the_order(monkeypatch, twin, order):
    monkeypatch.setitem(METHODS, twin.name, twin)
    case = setting(1, 9, 3, "row")
    exact = flow(case.L, case.Z, 0.7, TIME)
    found = errors(lambda n: evolve(case.op, case.Z, step=TIME / n, steps=n, method=twin.name, weight=0.7).final, exact)
    assert not has_order(observed_order([TIME / n for n in COUNTS], found), order)


def test_a_transposed_weight_does_not_converge():
    case = setting(1, 9, 3, "row")
    W = weights(case.rng)["rotation"]
    exact = flow(case.L, case.Z, W.T, TIME)
    found = errors(lambda n: evolve(case.op, case.Z, step=TIME / n, steps=n, method="rk4", weight=W).final, exact)
    assert found[-1] > CEILING[1]
    assert not has_order(observed_order([TIME / n for n in COUNTS], found), 4)


@pytest.mark.parametrize("steps", [1, 3, 24])
@pytest.mark.parametrize("kind", ["number", "definite", "rotation", "growing"])
def test_the_exponential_has_no_error_in_time(kind, steps):
    case = setting(4, 9, 3, "row")
    weight = weights(case.rng)[kind]
    run = evolve(case.op, case.Z, step=8 / steps, steps=steps, method="exponential", weight=weight)
    exact = flow(case.L, case.Z, weight, 8.0)
    assert_close(run.final, exact, "solve", n=steps + 1, cond=10, scale=np.max(np.abs([case.Z, exact])))


# ------------------------------------------------------------------ with a reaction


def test_imex_order_on_a_linear_reaction():
    case = setting(5, 8, 2, "row")
    exact = np.exp(-0.6 * TIME) * flow(case.L, case.Z, 0.9, TIME)
    found = errors(
        lambda n: (
            evolve(
                case.op, case.Z, step=TIME / n, steps=n, method="imex", weight=0.9, reaction=lambda Z: -0.6 * Z
            ).final
        ),
        exact,
    )
    assert has_order(observed_order([TIME / n for n in COUNTS], found), 1)
    assert found[-1] <= CEILING[1]


@pytest.mark.parametrize("method", ["imex", "forward_euler", "rk2", "rk4"])
def test_order_on_logistic_growth_of_a_constant(method):
    """On constants diffusion does nothing, and z' = z (1 - z) has z(t) = 1 / (1 + (1/z0 - 1) exp(-t))."""
    case = setting(6, 5, 2, "row")
    Z0 = np.broadcast_to(np.array([0.1, 0.4]), (5, 2))
    exact = 1 / (1 + (1 / Z0 - 1) * np.exp(-2.0))
    found = errors(
        lambda n: evolve(case.op, Z0, step=2 / n, steps=n, method=method, reaction=lambda Z: Z * (1 - Z)).final,
        exact,
    )
    order = METHODS[method].order
    assert has_order(observed_order([2 / n for n in COUNTS], found), order)
    assert found[-1] <= CEILING[order]


def test_imex_takes_steps_that_are_far_too_long_for_forward_euler():
    case = setting(5, 8, 2, "row")
    arguments = {"step": 0.1, "steps": 40, "weight": 1e4, "reaction": lambda Z: -Z}
    fast = evolve(case.op, case.Z, method="imex", **arguments)
    mean = np.exp(-4.0) * np.ones((8, 1)) * case.op.mean(case.Z)
    assert has_order(observed_order([1, 2], [1.0, 2.0]), 1)
    assert np.max(np.abs(fast.final - mean)) <= 0.25 * np.max(np.abs(mean))  # (1 - 0.1)^40 against exp(-4)
    slow = evolve(case.op, case.Z, method="forward_euler", on_unstable="ignore", **arguments)
    assert slow.status == "blew_up"


# ------------------------------------------------------------------ kernel found anew


def kernel_of(Z: np.ndarray) -> NonlocalOperator:
    return NonlocalOperator.from_points(Z, Gaussian(1.0), "row")


@pytest.fixture(scope="module")
def nonlinear() -> tuple[np.ndarray, np.ndarray]:
    """Z0 and the solution at t = TIME of Z' = L(Z) Z, by an adaptive method of order eight."""
    Z0 = np.random.default_rng(7).standard_normal((6, 2))

    def rate(_, z):
        Z = z.reshape(6, 2)
        K = np.exp(-np.sum((Z[:, None] - Z[None]) ** 2, -1) / 2)
        return (K @ Z / K.sum(1, keepdims=True) - Z).reshape(-1)

    found = solver(rate, (0, TIME), Z0.reshape(-1), method="DOP853", rtol=1e-13, atol=1e-13)
    return Z0, found.y[:, -1].reshape(6, 2)


@pytest.mark.parametrize(
    "method", ["forward_euler", "rk2", "rk4", "super_time_stepping", "exponential", "implicit_euler"]
)
def test_order_of_a_recomputed_kernel(method, nonlinear):
    Z0, exact = nonlinear
    counts = (4, 8, 16, 32)
    found = errors(lambda n: evolve(kernel_of, Z0, step=TIME / n, steps=n, method=method).final, exact, counts)
    order = METHODS[method].order
    assert has_order(observed_order([TIME / n for n in counts], found), order), found
    assert found[-1] <= CEILING[order]


def test_a_kernel_frozen_at_the_start_solves_another_problem(nonlinear):
    Z0, exact = nonlinear
    op = kernel_of(Z0)
    assert errors(lambda n: evolve(op, Z0, step=TIME / n, steps=n, method="rk4").final, exact)[-1] > CEILING[1]


def test_uniformisation_and_krylov_agree():
    case = setting(8, 30, 2, "sinkhorn")
    number = evolve(case.op, case.Z, step=3.0, steps=1, method="exponential", weight=0.5).final
    krylov = evolve(case.op, case.Z, step=3.0, steps=1, method="exponential", weight=0.5 * np.eye(2)).final
    assert float(np.max(np.abs(number - krylov))) <= tolerance("solve", n=1, scale=np.max(np.abs(case.Z)), cond=4)

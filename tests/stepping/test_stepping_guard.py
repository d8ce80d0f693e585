"""The stability check: exact, safe, sharp, and what it says."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.errors import UnstableStepError, UnstableStepWarning
from nlmodel.kernels import Gaussian
from nlmodel.operators import NonlocalOperator
from nlmodel.stepping import METHODS, evolve
from nlmodel.stepping.guard import stability_bound
from nlmodel.testing import assert_close, tolerance
from tests.stepping.problems import HOWS, matrix, setting, settings


EXPLICIT = [name for name, method in METHODS.items() if method.explicit]
TWO_POINTS = NonlocalOperator.from_affinity(np.array([[0.0, 1.0], [1.0, 0.0]]))  # s = 0, 2
UP_DOWN = np.array([1.0, -1.0])


def spectral_radius(method: str, case, weight, step: float) -> float:
    """max |p(step q)| from the eigenvalues of the whole matrix W (x) L."""
    A = np.kron(case.L, matrix(weight, case.Z.shape[-1]))
    return float(np.max(np.abs(METHODS[method]().amplification(-step * np.linalg.eigvals(A)))))


# ------------------------------------------------------------------ the number


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("method", "limit"),
    [("forward_euler", 2.0), ("rk2", 2.0), ("rk4", 2.785293563405282), ("super_time_stepping", 50.0)],
)
def test_bound_is_the_exact_limit_for_a_real_spectrum(method, limit, how):
    case = setting(1, 8, 2, how)
    B = case.rng.standard_normal((2, 2))
    W = B @ B.T
    exact = limit / (case.s[-1] * np.linalg.eigvalsh(W)[-1])
    bound = stability_bound(METHODS[method](), case.op, W, 1.0)
    assert_close(np.float64(bound.value), exact, "solve", n=8)
    assert bound.sharp
    evolve(case.op, case.Z, step=0.999 * exact, steps=1, method=method, weight=W)
    with pytest.raises(UnstableStepError, match="beyond the stability bound of " + method):
        evolve(case.op, case.Z, step=1.01 * exact, steps=1, method=method, weight=W)


@given(
    method=st.sampled_from(EXPLICIT),
    case=settings(symmetric=False, hows=("none", "row")),
    angle=st.floats(0.0, 1.5),
    step=st.floats(0.1, 6.0),
)
def test_a_step_that_passes_amplifies_no_mode(method, case, angle, step):
    C = case.Z.shape[-1]
    W = np.eye(C)
    W[:2, :2] = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])[: min(C, 2), : min(C, 2)]
    run = evolve(case.op, case.Z, step=step, steps=1, method=method, weight=W, on_unstable="ignore")
    radius = spectral_radius(method, case, W, step)
    if run.status == "completed":
        assert radius <= 1 + tolerance("solve", n=8 * C, cond=1 + step)
    else:
        assert radius > 1 - tolerance("solve", n=8 * C, cond=1 + step) or not run.bound.sharp


@given(case=settings(), step=st.floats(0.1, 20.0), method=st.sampled_from(EXPLICIT))
def test_a_refused_step_amplifies_a_mode_when_the_bound_is_sharp(case, step, method):
    run = evolve(case.op, case.Z, step=step, steps=1, method=method, weight=0.9, on_unstable="ignore")
    if run.status == "unstable_step_ignored":
        assert run.bound.sharp
        assert spectral_radius(method, case, 0.9, step) > 1


@pytest.mark.parametrize(("method", "limit"), [("rk4", np.sqrt(8)), ("forward_euler", 0.0), ("rk2", 0.0)])
def test_rotations_need_a_part_of_the_imaginary_axis(method, limit):
    rotation = np.array([[0.0, -1.0], [1.0, 0.0]])
    case = setting(2, 6, 2)
    exact = limit / case.s[-1]
    if exact:
        run = evolve(case.op, case.Z, step=0.999 * exact, steps=200, method=method, weight=rotation)
        assert run.status == "completed" and run.norm[-1] <= run.norm[0]
    with pytest.raises(UnstableStepError, match=r"\|p\(step mu s\)\| = 1\.|Re(.|\n)*<= 0"):
        evolve(case.op, case.Z, step=1.01 * exact or 0.1, steps=1, method=method, weight=rotation)


@pytest.mark.parametrize("method", ["exponential", "implicit_euler", "crank_nicolson"])
def test_methods_without_a_limit_are_not_checked(method):
    run = evolve(TWO_POINTS, UP_DOWN, step=50.0, steps=2, method=method)
    assert run.status == "completed" and run.bound is None


def test_the_reaction_is_not_part_of_the_check():
    run = evolve(TWO_POINTS, UP_DOWN, step=0.9, steps=2, reaction=lambda Z: -100.0 * Z)
    assert run.status == "completed" and run.norm[-1] > run.norm[0]


# ------------------------------------------------------------------ what happens


def test_raises_before_the_first_step_with_bound_reason_and_remedy():
    with pytest.raises(UnstableStepError) as caught:
        evolve(TWO_POINTS, UP_DOWN, step=1.5, steps=10)
    message = str(caught.value)
    assert "step 1.5, 1.5 times the bound 1" in message
    assert "mu = 1" in message and "s = 2" in message
    assert "pass step <= 1" in message and 'method="implicit_euler"' in message and 'on_unstable="ignore"' in message
    assert caught.value.trajectory is None


def test_warns_once_and_goes_on():
    with pytest.warns(UnstableStepWarning, match=r"1\.5 times the bound 1") as caught:
        run = evolve(TWO_POINTS, UP_DOWN, step=1.5, steps=3, on_unstable="warn")
    assert len(caught) == 1
    assert run.steps == 3 and run.status == "unstable_step_ignored"


def test_ignores_silently_but_says_so_in_the_status():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = evolve(TWO_POINTS, UP_DOWN, step=1.5, steps=3, on_unstable="ignore")
    assert run.status == "unstable_step_ignored" and "1.5 times the bound 1" in run.message
    assert_close(run.final, -8.0 * UP_DOWN)  # (1 - 1.5 * 2)^3
    assert evolve(TWO_POINTS, UP_DOWN, step=1.0, steps=3).status == "completed"


def test_a_negative_weight_has_no_stable_step():
    with pytest.raises(UnstableStepError, match=r"no step > 0 is stable(.|\n)*mu = -1"):
        evolve(TWO_POINTS, UP_DOWN, step=1e-3, steps=1, weight=-1.0)
    run = evolve(TWO_POINTS, UP_DOWN, step=1e-3, steps=1000, weight=-1.0, method="rk4", on_unstable="ignore")
    assert_close(run.final, np.exp(2.0) * UP_DOWN, "solve", n=1000)


# ------------------------------------------------------------------ kernels found anew, batches


def kernel_of(Z: np.ndarray) -> NonlocalOperator:
    return NonlocalOperator.from_points(Z, Gaussian(1.0), "row")


def test_recomputed_kernels_use_the_cheap_bound_first_and_the_exact_one_beyond():
    Z0 = np.random.default_rng(1).standard_normal((6, 2))
    assert evolve(kernel_of, Z0, step=0.9, steps=3).bound.method == "gershgorin"
    beyond = evolve(kernel_of, Z0, step=1.8, steps=1)  # the Gaussian is positive definite: s <= 1
    assert beyond.bound.method == "exact" and beyond.bound.value > 1.8
    with pytest.raises(UnstableStepError):
        evolve(kernel_of, Z0, step=30.0, steps=1)


def test_a_kernel_that_becomes_unstable_stops_the_run_and_keeps_what_was_computed():
    calm = NonlocalOperator.from_affinity(np.array([[3.0, 1.0], [1.0, 3.0]]))

    def kernel(Z: np.ndarray) -> NonlocalOperator:
        return calm if np.max(np.abs(Z)) > 0.2 else TWO_POINTS

    with pytest.raises(UnstableStepError, match="at step 3") as caught:
        evolve(kernel, UP_DOWN, step=1.05, steps=10)
    run = caught.value.trajectory
    assert run.steps == 3 and run.status == "unstable_step" and "step 3" in run.message
    with pytest.warns(UnstableStepWarning, match="at step 3"):
        ended = evolve(kernel, UP_DOWN, step=1.05, steps=10, on_unstable="warn")
    assert ended.steps == 10 and ended.status == "unstable_step_ignored"


def test_a_batch_has_the_smallest_of_its_bounds():
    affinities = np.array([[[3.0, 1.0], [1.0, 3.0]], [[0.0, 1.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    op = NonlocalOperator.from_affinity(affinities)
    Z0 = np.broadcast_to(UP_DOWN[:, None], (3, 2, 1))
    with pytest.raises(UnstableStepError, match="times the bound 1\n"):
        evolve(op, Z0, step=1.01, steps=1)
    assert evolve(op, Z0, step=0.99, steps=1).bound.value == 1.0

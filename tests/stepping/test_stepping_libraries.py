"""One code on NumPy, torch and array-api-strict; gradients, precision, batches, determinism."""

import array_api_strict
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from nlmodel._arrays import to_numpy
from nlmodel.errors import DtypeError
from nlmodel.kernels import Gaussian, TopHat
from nlmodel.operators import NonlocalOperator
from nlmodel.stepping import METHODS, evolve
from nlmodel.testing import assert_close
from tests.stepping.problems import setting


W = np.array([[1.0, 0.3], [0.3, 0.5]])
X = np.random.default_rng(1).standard_normal((6, 2))
Z = np.random.default_rng(2).standard_normal((6, 2))
MOVES = {"numpy": np.asarray, "torch": torch.as_tensor, "strict": array_api_strict.asarray}
GENERAL = ("forward_euler", "rk2", "rk4", "super_time_stepping", "implicit_euler", "crank_nicolson", "imex")


def run(move, method, weight, dtype=np.float64, **more):
    points, field = move(X.astype(dtype)), move(Z.astype(dtype))
    if method == "imex":
        more["reaction"] = lambda z: -z
    weight = move(weight.astype(dtype)) if isinstance(weight, np.ndarray) else weight
    op = NonlocalOperator.from_points(points, Gaussian(1.0))
    return evolve(op, field, step=0.4, steps=3, method=method, weight=weight, **more)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("library", ["torch", "strict"])
@pytest.mark.parametrize("method", METHODS)
def test_other_libraries_give_what_numpy_gives(method, library, dtype):
    weight = 0.8 if method == "exponential" else W
    reference, other = run(np.asarray, method, weight, dtype), run(MOVES[library], method, weight, dtype)
    assert type(other.final) is type(MOVES[library](Z))
    assert reference.final.dtype == dtype and str(other.final.dtype).endswith(np.dtype(dtype).name)
    assert_close(to_numpy(other.final), reference.final, "solve", n=6, cond=8)
    assert_close(other.mass.astype(dtype), reference.mass.astype(dtype), "solve", n=6, cond=8)
    assert_close(other.energy.astype(dtype), reference.energy.astype(dtype), "solve", n=6, cond=8)


@pytest.mark.parametrize(("method", "weight"), [("exponential", W), ("implicit_euler", W @ np.diag([1.0, 2.0]))])
def test_what_needs_scipy_refuses_other_libraries(method, weight):
    assert run(np.asarray, method, weight).status == "completed"
    with pytest.raises(DtypeError, match=r"takes other arrays than NumPy only for(.|\n)*Tensor"):
        run(torch.as_tensor, method, weight)


def torch_run(method, steps=3, **more):
    def final(points, field, weight):
        op = NonlocalOperator.from_points(points, Gaussian(1.0))
        w = 0.8 if method == "exponential" else weight @ weight.T
        return evolve(op, field, step=0.3, steps=steps, method=method, weight=w, **more).final

    return final


def inputs(n=4):
    return tuple(torch.tensor(a, requires_grad=True) for a in (X[:n], Z[:n], W))


@pytest.mark.parametrize("method", ["forward_euler", "rk2", "rk4", "super_time_stepping", "exponential"])
def test_gradients_of_a_run(method):
    arguments = inputs() if method != "exponential" else (*inputs()[:2], torch.tensor(W))
    assert gradcheck(torch_run(method), arguments)


def test_second_derivatives_of_a_run():
    assert gradgradcheck(torch_run("rk2", steps=2), inputs(3))


def test_gradients_through_a_recomputed_kernel_and_a_reaction():
    def final(field, rate):
        return evolve(
            lambda z: NonlocalOperator.from_points(z, Gaussian(1.0)),
            field,
            step=0.3,
            steps=2,
            method="rk4",
            reaction=lambda z: rate * torch.tanh(z),
        ).final

    assert gradcheck(final, (inputs()[1], torch.tensor(0.4, dtype=torch.float64, requires_grad=True)))


def test_gradients_through_conjugate_gradients():
    points, field, weight = inputs(3)
    assert gradcheck(torch_run("implicit_euler", steps=1), (points, field, weight))


@pytest.mark.parametrize("storage", ["sparse", "grid"])
def test_torch_fields_on_numpy_operators(storage):
    points = np.linspace(0, 1, 12, endpoint=False)[:, None]
    if storage == "sparse":
        op = NonlocalOperator.from_points(points, TopHat(0.3), storage="sparse")
    else:
        op = NonlocalOperator.on_grid(12, TopHat(0.3), 1 / 12)
    field = np.cos(2 * np.pi * points)
    step = 0.5 / float(np.max(op.exit_rate))
    for method in ("rk4", "implicit_euler", "exponential"):
        reference = evolve(op, field, step=step, steps=3, method=method).final
        assert_close(
            to_numpy(evolve(op, torch.as_tensor(field), step=step, steps=3, method=method).final),
            reference,
            "solve",
            n=12,
        )


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_members(method):
    affinities = np.exp(-np.abs(np.random.default_rng(3).standard_normal((3, 5, 5))))
    affinities = affinities + np.swapaxes(affinities, -1, -2)
    fields = np.random.default_rng(4).standard_normal((3, 5, 2))
    arguments = {"step": 0.4, "steps": 3, "method": method, "weight": 0.7}
    arguments |= {"reaction": lambda z: -z} if method == "imex" else {}
    together = evolve(NonlocalOperator.from_affinity(affinities), fields, **arguments)
    shared = evolve(NonlocalOperator.from_affinity(affinities[0]), fields, **arguments)
    for b in range(3):
        alone = evolve(NonlocalOperator.from_affinity(affinities[b]), fields[b], **arguments)
        assert_close(together.final[b], alone.final, "solve", n=5, cond=4)
        assert_close(together.mass[:, b], alone.mass, "solve", n=5, cond=4)
        assert_close(together.energy[:, b], alone.energy, "solve", n=5, cond=4)
    assert_close(shared.final[0], together.final[0], "solve", n=5, cond=4)
    assert np.max(np.abs(shared.final[1] - together.final[1])) > 1e-3  # control: another operator


@pytest.mark.parametrize("method", METHODS)
def test_a_vector_is_one_channel(method):
    case = setting(1, 6, 1)
    arguments = {"step": 0.4, "steps": 3, "method": method}
    arguments |= {"reaction": lambda z: -z} if method == "imex" else {}
    vector = evolve(case.op, case.Z[:, 0], **arguments)
    assert vector.final.shape == (6,)
    assert_close(vector.final, evolve(case.op, case.Z, **arguments).final[:, 0], "exact")


@pytest.mark.parametrize("method", METHODS)
def test_same_bytes_twice_and_inputs_untouched(method):
    before = Z.copy()
    first, second = run(np.asarray, method, W), run(np.asarray, method, W)
    assert first.final.tobytes() == second.final.tobytes()
    assert np.array_equal(Z, before) and np.shares_memory(first.states[0], first.states[0])


# ------------------------------------------------------------------ the trajectory


def test_states_are_saved_every_so_many_steps_first_and_last_always():
    case = setting(2, 5, 2)
    full = evolve(case.op, case.Z, step=0.2, steps=7)
    thin = evolve(case.op, case.Z, step=0.2, steps=7, save_every=3)
    assert full.saved == tuple(range(8)) and thin.saved == (0, 3, 6, 7)
    for k, state in zip(thin.saved, thin.states, strict=True):
        assert_close(state, full.states[k], "exact")
    assert_close(thin.times, 0.2 * np.arange(8), "exact")
    assert_close(thin.norm, full.norm, "exact")


def test_diagnostics_are_what_they_say():
    case = setting(3, 5, 2)
    run_ = evolve(case.op, case.Z, step=0.2, steps=4)
    for k, state in enumerate(run_.states):
        assert_close(run_.mass[k], case.op.mean(state), "reduction", n=5, scale=1.0)
        assert_close(run_.energy[k], np.float64(case.op.energy(state)), "reduction", n=50, scale=run_.energy[0])
        assert_close(run_.norm[k] ** 2, np.float64(case.op.inner(state, state)), "reduction", n=10)
        assert run_.minimum[k] == np.min(state) and run_.maximum[k] == np.max(state)
    assert run_.mass_drift == np.max(np.abs(run_.mass - run_.mass[0]))


def test_without_a_measure_there_is_no_mass_and_no_energy():
    case = setting(3, 5, 2, symmetric=False)
    found = evolve(case.op, case.Z, step=0.2, steps=2)
    assert found.mass is None and found.energy is None and found.mass_drift is None
    assert_close(found.norm[0], np.linalg.norm(case.Z), "reduction", n=10)
    assert "mass_drift" not in repr(found)


def test_repr_is_one_line():
    case = setting(3, 5, 2)
    text = repr(evolve(case.op, case.Z, step=0.2, steps=4, save_every=2))
    assert text.startswith("Trajectory(forward_euler, 4 steps of 0.2, 3 states of shape (5, 2), status='completed'")
    assert "\n" not in text


@pytest.mark.parametrize("move", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("method", ["forward_euler", "rk4", "super_time_stepping"])
def test_a_weight_without_dimensions_is_a_number(method, move):
    omega = move(np.array([[1.0, 0.5], [0.5, 2.0]]))
    op, Z = NonlocalOperator.from_affinity(omega), move(np.array([[1.0, 0.0], [0.0, 2.0]]))
    run = [evolve(op, Z, step=0.5, steps=3, method=method, weight=w).final for w in (move(np.array(0.7)), 0.7, 0.8)]
    assert_close(run[0], run[1], "reduction", n=4)
    assert float(abs(run[0] - run[2]).max()) > 1e-3  # control
